"""What the loopback exchange holds for tests, and what a fetch must leave in a store."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from foreshock.data.store.series import SeriesKey
from foreshock.data.store.store import Store
from tests.servers.exchange_server import HOUR_MS, MINUTE_MS, START_MS, ExchangeServer, Market

N_BARS, N_HOLES = 5_000, 30
STOP_MS = START_MS + N_BARS * MINUTE_MS
LATER_MS = STOP_MS + 2 * HOUR_MS
SPOT = SeriesKey("binance", "spot", "BTC/USDT", "ohlcv", "1m")


def serve(market: Market, **options) -> ExchangeServer:
    return ExchangeServer([market], [market], **{"now": LATER_MS, **options})


def numbers(table: pa.Table) -> np.ndarray:
    return np.column_stack([table[name].to_numpy() for name in ("time", "open", "high", "low", "close", "volume")])


def assert_exact(store: Store, key: SeriesKey, bars: np.ndarray, holes: list[tuple[int, int]], stop: int = STOP_MS) -> None:
    """Every bar, every hole, and nothing else."""
    assert np.array_equal(numbers(store.read(key)), bars)
    assert store.known_empty(key) == holes
    assert store.ranges(key) == [(START_MS, stop)]
    assert store.verify().whole


def partitions(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.parquet"))}
