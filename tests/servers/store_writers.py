"""Processes that write into a store, to be killed and to be run at once."""

from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pyarrow as pa

from foreshock.data.store.store import SeriesKey, Store

START = 1_717_200_000_000 - 3 * 86_400_000  # 2024-05-29, so that a month ends after 4,320 minutes.
MINUTE = 60_000
BARS = SeriesKey("binance", "spot", "BTC/USDT", "ohlcv", "1m")
TRADES = SeriesKey("binance", "linear", "BTC/USDT:USDT", "trades")
# Children of a server that has imported everything start in milliseconds, and inherit no thread.
PROCESSES = get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.servers.store_writers"])


def bars(n: int, holes: list[tuple[int, int]] | None = None, seed: int = 0) -> pa.Table:
    """Minutes from ``START``, without those whose number lies in a hole."""
    rng = np.random.default_rng(seed)
    close = np.round(6e4 * np.exp(np.cumsum(rng.normal(0, 3e-4, n))), 2)
    spread = np.round(rng.exponential(5, n), 2)
    kept = np.ones(n, dtype=bool)
    for first, stop in holes or []:
        kept[first:stop] = False
    columns = {"open": close, "high": close + spread, "low": close - spread, "close": close, "volume": rng.exponential(3, n)}
    return pa.table({"time": START + MINUTE * np.arange(n), **columns}).filter(pa.array(kept))


def trades(n: int, per_minute: int, seed: int = 0) -> pa.Table:
    """Trades from ``START``; several share a millisecond."""
    rng = np.random.default_rng(seed)
    time = START + np.sort(rng.integers(0, n * MINUTE // per_minute // 50, n)) * 50
    side = np.where(rng.random(n) < 0.5, "buy", "sell")
    return pa.table({"time": time, "id": 7_000 + np.arange(n), "price": rng.random(n), "amount": rng.random(n), "side": side})


def between(table: pa.Table, start: int, stop: int) -> pa.Table:
    first, last = np.searchsorted(table["time"].to_numpy(), (start, stop))
    return table.slice(first, last - first)


def fill(folder: Path, key: SeriesKey, table: pa.Table, stop: int, step: int, started=None, start: int = START) -> None:
    """Write what is missing of ``[start, stop)``, page by page, as a fetch that was interrupted goes on."""
    store = Store(folder)
    if started is not None:
        started.set()
    for first, last in store.missing(key, start, stop):
        for begin in range(first, last, step):
            end = min(begin + step, last)
            store.write(key, between(table, begin, end), begin, end)
