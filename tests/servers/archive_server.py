"""Binance's bulk archive on the loopback interface: zips of a day or a month, their checksums, and downloads that fail."""

from __future__ import annotations

import hashlib
import io
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pyarrow as pa

from foreshock.data.exchange.archive_file import BAR_NAMES, TRADE_NAMES
from foreshock.data.store.series import SeriesKey
from tests.servers.store_writers import BARS, TRADES, between

DAY = 86_400_000
LINEAR = SeriesKey("binance", "linear", "BTC/USDT:USDT", "ohlcv", "1m")
HOURLY = SeriesKey("binance", "spot", "BTC/USDT", "ohlcv", "1h")
SPOT_TRADES = SeriesKey("binance", "spot", "BTC/USDT", "trades")
FOLDERS = {
    BARS: "data/spot/{}/klines/BTCUSDT/1m/BTCUSDT-1m-",
    HOURLY: "data/spot/{}/klines/BTCUSDT/1h/BTCUSDT-1h-",
    LINEAR: "data/futures/um/{}/klines/BTCUSDT/1m/BTCUSDT-1m-",
    TRADES: "data/futures/um/{}/aggTrades/BTCUSDT/BTCUSDT-aggTrades-",
    SPOT_TRADES: "data/spot/{}/aggTrades/BTCUSDT/BTCUSDT-aggTrades-",
}


def csv_text(key: SeriesKey, table: pa.Table, header: bool, unit: int) -> str:
    """As Binance writes it, with the columns that are not taken."""
    lines = []
    for row in table.to_pylist():
        if key.kind == "ohlcv":
            step = key.step_ms * unit
            prices = [repr(row[name]) for name in ("open", "high", "low", "close", "volume")]
            fields = [row["time"] * unit, *prices, row["time"] * unit + step - 1, "1.5", 3, "0.5", "0.7", 0]
        else:
            # Spot has one more column, and another spelling.
            maker = str(row["side"] == "sell")
            last = [maker, "True"] if key.market == "spot" else [maker.lower()]
            micros = row["time"] * unit + (row["id"] % unit)
            fields = [row["id"], repr(row["price"]), repr(row["amount"]), row["id"] * 2, row["id"] * 2 + 1, micros, *last]
        lines.append(",".join(map(str, fields)))
    if header:
        names = BAR_NAMES if key.kind == "ohlcv" else TRADE_NAMES.removesuffix("" if key.market == "spot" else ",is_best_match")
        lines.insert(0, names)
    return "\n".join(lines) + "\n"


def put(root: Path, key: SeriesKey, table: pa.Table, date: str, header: bool = False, unit: int = 1) -> Path:
    """One zip and its checksum; ``date`` is a day or a month."""
    path = root / (FOLDERS[key].format("daily" if len(date) == 10 else "monthly") + date + ".zip")
    path.parent.mkdir(parents=True, exist_ok=True)
    start = np.datetime64(date)
    first, stop = (int(edge.astype("datetime64[ms]").astype(np.int64)) for edge in (start, start + 1))
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(path.name.replace(".zip", ".csv"), csv_text(key, between(table, first, stop), header, unit))
    path.write_bytes(content.getvalue())
    checksum(path)
    return path


def checksum(path: Path) -> None:
    path.with_name(path.name + ".CHECKSUM").write_text(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n")


class Handler(SimpleHTTPRequestHandler):
    """Serves a folder; may fail a number of times before it does."""

    server: ArchiveServer

    def do_GET(self) -> None:
        self.server.asked.append(self.path.rsplit("/", 1)[1])
        failure = self.server.failures.pop(0) if self.server.failures else ""
        if failure.isdigit():
            self.send_error(int(failure))
        elif failure == "short":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"PK")
        elif failure == "reset":
            self.connection.close()
        else:
            super().do_GET()

    def log_message(self, *_: object) -> None:
        pass


class ArchiveServer(ThreadingHTTPServer):
    """Serves the folder ``root``; a context manager.

    ``asked`` are the files that were asked for, ``failures`` what the next answers are instead of a file: an HTTP status,
    ``"short"``, ``"reset"``, or nothing for a good one.
    """

    daemon_threads = True

    def __init__(self, root: Path) -> None:
        (root / "data").mkdir(parents=True, exist_ok=True)
        self.root, self.failures, self.asked = root, list[str](), list[str]()
        super().__init__(("127.0.0.1", 0), partial(Handler, directory=str(root)))
        self.url = f"http://127.0.0.1:{self.server_port}"

    def __enter__(self) -> ArchiveServer:
        threading.Thread(target=partial(self.serve_forever, 0.01), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()
