"""User names and passwords in addresses reach the server, and no message, description or log."""

from __future__ import annotations

import base64
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from foreshock.data.errors import ConfigError, ExchangeError
from foreshock.data.exchange.addresses import masked
from foreshock.data.exchange.archive import Archive
from foreshock.data.exchange.connection import Connection
from foreshock.data.exchange.patience import Patience
from foreshock.market.fetching import fetching_of
from tests.console import foreshock

SECRET = "S3CR3T"
RANGE = ["--start", "2024-01-01", "--end", "2024-01-02"]


class Handler(BaseHTTPRequestHandler):
    seen: ClassVar[list[str | None]] = []

    def do_GET(self) -> None:
        self.seen.append(self.headers.get("Authorization"))
        content = b'{"serverTime": 5}' if SECRET in base64.b64decode((self.seen[-1] or "")[6:]).decode() else b"no"
        self.send_response(200 if content != b"no" else 401)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def host() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_a_password_reaches_the_exchange_and_the_archive(host, caplog):
    caplog.set_level(logging.DEBUG)
    there = Connection("binance", f"http://user:{SECRET}@{host}", Patience(1, 1))
    assert there.call(lambda exchange: exchange.fetch_time(), "the time") == 5
    assert Archive(f"http://user:{SECRET}@{host}", attempts=1)._get("file.zip") == b'{"serverTime": 5}'
    assert Handler.seen[-2:] == ["Basic " + base64.b64encode(f"user:{SECRET}".encode()).decode()] * 2
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    "address",
    [
        f"http://user:{SECRET}@127.0.0.1:9",
        f"http://user:{SECRET}@",
        f"ftp://user:{SECRET}@host",
        f"user:{SECRET}@host",
        f"http://user:{SECRET}/x@host",
        f"http://user:{SECRET}@x@[host",
        f"http://user:{SECRET}@host:port",
    ],
)
@pytest.mark.parametrize("option", ["--base-url", "--archive"])
def test_no_message_has_the_password(option, address, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("foreshock.data.exchange.patience.Pace._sleep", lambda self, seconds: None)
    if option == "--archive" and address.startswith("http://") and address.endswith(":9"):
        with pytest.raises(ExchangeError) as caught:
            Archive(address, attempts=1)._get("file.zip")
        assert SECRET not in str(caught.value)
        return
    words = ["fetch", "BTC/USDT", *RANGE, option, address, "--store", str(tmp_path)]
    code, out, err = foreshock(monkeypatch, capsys, *words)
    assert code in (2, 4)
    assert err.startswith("error: ")
    assert SECRET not in out + err


def test_no_description_has_the_password(tmp_path):
    address = f"https://user:{SECRET}@host"
    with pytest.raises(ConfigError, match="got 'ftp://") as caught:
        Connection("binance", address.replace("https", "ftp"))
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(Archive(address))
    assert SECRET not in repr(fetching_of("binance", "2024-01-01", "2024-01-02", tmp_path, address, False, address))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"GET (http://user:{SECRET}@host/api?key={SECRET}) failed", "GET (http://***@host/api?*** failed"),
        (f"'user:{SECRET}@x@host' and ::@ and @name", "'***@host' and ::@ and @name"),
        (f"{'x' * 300_000} user:{SECRET}@host", f"{'x' * 300_000} ***@host"),
    ],
)
def test_addresses_are_masked_within_a_message_however_long_it_is(text, shown):
    assert masked(text) == shown
