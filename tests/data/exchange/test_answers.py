"""Answers that do not end, or are larger than any market's: each ends in time, in little memory, with a sentence."""

from __future__ import annotations

import gzip
import resource
import socket
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from foreshock.data.errors import ExchangeError
from foreshock.data.exchange.answers import Stop
from foreshock.data.exchange.archive import Archive
from foreshock.data.exchange.connection import Connection
from foreshock.data.exchange.patience import Patience, Stopped
from foreshock.data.system.threads import for_each_in_threads

PACKER = zlib.compressobj(1, wbits=31)
# 200 MB of blanks.
BOMB = b"".join([*(PACKER.compress(b" " * 1_000_000) for _ in range(200)), PACKER.flush()])
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def slowly(content: bytes) -> Iterator[bytes]:
    for byte in content * 1_000:
        time.sleep(0.02)
        yield bytes([byte])


def large() -> Iterator[bytes]:
    yield HEAD + b"Content-Length: 1000000000\r\n\r\n"
    for _ in range(1_000):
        yield b" " * 1_000_000


def endless() -> Iterator[bytes]:
    yield HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    for _ in range(1_000):
        yield b"F4240\r\n" + b" " * 1_000_000 + b"\r\n"


def bomb() -> Iterator[bytes]:
    yield HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB) + BOMB


def packed() -> Iterator[bytes]:
    content = gzip.compress(b'{"serverTime": 1700000000000}')
    yield HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(content) + content


def dripping_head() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nX: "
    yield from slowly(b"a")


def dripping_body() -> Iterator[bytes]:
    yield HEAD + b"Content-Length: 100000\r\n\r\n"
    yield from slowly(b" ")


def without_length() -> Iterator[bytes]:
    yield HEAD + b"Connection: close\r\n\r\n{}"
    yield from slowly(b" ")


WAYS = {f.__name__: f for f in (packed, large, endless, bomb, dripping_head, dripping_body, without_length)}
BIG, SLOW = ("large", "endless", "bomb"), ("dripping_head", "dripping_body", "without_length")


@contextmanager
def served(way: str) -> Iterator[str]:
    """A server that answers every request in one of the ways."""
    closing = threading.Event()

    def answer(client: socket.socket) -> None:
        with client, suppress(OSError):
            client.recv(65_536)
            for part in WAYS[way]():
                if closing.is_set():
                    return
                client.sendall(part)

    def serve() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        closing.set()
        listener.shutdown(socket.SHUT_RDWR)


def connection(url: str, longest: float = 0.4) -> Connection:
    return Connection("binance", url, Patience(2, 2, scale=0.01, longest_answer=longest, largest_answer=1_000_000))


def asked(there: Connection) -> object:
    return there.call(lambda exchange: exchange.fetch_time(), "the time")


@pytest.mark.parametrize("way", [*BIG, *SLOW])
def test_an_answer_without_end_is_a_sentence_in_time(way):
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    said = "the answer has more than 1 MB" if way in BIG else r"the answer did not end within 0\.4 s"
    with served(way) as url, pytest.raises(ExchangeError, match=rf"no valid answer for the time in 2 attempts, at last .*{said}"):
        asked(connection(url))
    assert time.monotonic() - began < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"serverTime": ' + b"9" * 5_000 + b"}"], ids=["deep", "digits"])
def test_an_answer_that_no_parser_likes_is_a_sentence(content, monkeypatch):
    monkeypatch.setitem(WAYS, "odd", lambda: iter([HEAD + b"Content-Length: %d\r\n\r\n" % len(content) + content]))
    with served("odd") as url, pytest.raises(ExchangeError, match="no valid answer for the time in 2 attempts"):
        asked(connection(url))


def test_a_packed_answer_is_unpacked():
    with served("packed") as url:
        assert asked(connection(url)) == 1_700_000_000_000


@pytest.mark.parametrize("way", SLOW)
def test_a_stop_ends_an_answer_that_drips_in(way):
    with served(way) as url:
        there = connection(url, longest=60.0)
        threading.Timer(0.3, there.pace.stopped.set).start()
        began = time.monotonic()
        with pytest.raises(Stopped):
            asked(there)
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("way", [*BIG, *SLOW])
def test_a_file_of_the_archive_without_end_is_a_sentence(way, monkeypatch):
    monkeypatch.setattr("foreshock.data.exchange.archive.LARGEST_ZIP", 1_000_000)
    monkeypatch.setattr("foreshock.data.exchange.answers.ANY", 0.4)
    if way == "bomb":
        pytest.skip("the archive asks for no packed answers, and unpacks none")
    said = "the answer has more than 1 MB" if way in BIG else "the answer did not end in time"
    with served(way) as url, pytest.raises(ExchangeError, match=f"the archive did not return .*: {said}; try again later"):
        Archive(url, attempts=2, wait=0.01)._get("file.zip")


def test_a_stop_ends_the_download_of_a_file(monkeypatch):
    stopped = Stop()
    with served("dripping_head") as url:
        threading.Timer(0.3, stopped.set).start()
        began = time.monotonic()
        with pytest.raises(Stopped):
            Archive(url, attempts=2, stopped=stopped)._get("file.zip")
    assert time.monotonic() - began < 2


def test_an_interrupt_does_not_wait_for_a_thread_that_hangs(monkeypatch):
    hung = threading.Event()

    def interrupt() -> None:
        time.sleep(0.2)
        raise KeyboardInterrupt

    real = threading.Thread.join
    monkeypatch.setattr(
        threading.Thread, "join", lambda self, timeout=None: interrupt() if timeout is None else real(self, timeout)
    )
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        for_each_in_threads(["one", "two"], lambda _: hung.wait(30) and None, 2, threading.Event())
    assert time.monotonic() - began < 2
    hung.set()
