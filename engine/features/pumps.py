"""The published features for detecting pump-and-dumps, used by the supervised reference."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from foreshock.data.errors import ConfigError, DataError
from foreshock.data.stream.state import Stream
from foreshock.data.trades.trades import Trades
from foreshock.data.trades.windows import TradeWindows, trade_windows
from foreshock.engine.features.features import Features
from foreshock.engine.features.rows import BatchRows, Rows, StreamRows

PUMP_FEATURES = (
    "std_rush_order",
    "avg_rush_order",
    "std_trades",
    "std_volume",
    "avg_volume",
    "std_price",
    "avg_price",
    "avg_price_max",
    "hour_sin",
    "hour_cos",
    "minute_sin",
    "minute_cos",
)
# Lookback in kept chunks by chunk length in seconds, as in the published code (two hours of 5 s chunks would be 1440).
LOOKBACKS = {5: 700, 15: 900, 25: 900}
PRICE_LOOKBACK = 10


def published_pump_features(trades: Trades, seconds: int = 25, symbol: str = "asset") -> Features:
    """The twelve features of La Morgia et al. [1]_ on the chunks of time with at least one buy.

    Only buys count. Chunks without a buy are dropped, so that rows are not evenly spaced. ``std_x`` and ``avg_x`` are the
    relative change, from the previous kept chunk, of the rolling standard deviation and mean over the last 900 kept
    chunks (700 at 5 s), 10 for ``avg_price`` and ``avg_price_max``. NaN until those are full, and where the change is from zero.
    Row t is the start of the chunk and is known at its end.

    Parameters
    ----------
    trades : Trades
        Trades of one series.
    seconds : {5, 15, 25}
        Length of a chunk.
    symbol : str
        Name of the symbol in the result.

    Returns
    -------
    Features
        values of shape (n_kept_chunks, 1, 12).

    References
    ----------
    .. [1] La Morgia, Mei, Sassi and Stefa (2020), Pump and dumps in the Bitcoin era: real time detection of cryptocurrency market
       manipulations.
    """
    chunks = trade_windows(trades.rows(trades.is_buy), seconds)
    chunks = chunks.rows(chunks.trade_count > 0)
    rows = BatchRows({name: getattr(chunks, name)[:, None] for name in _FIELDS}, _series(seconds))
    values = _values(rows, chunks.time)
    return Features(chunks.time, (symbol,), PUMP_FEATURES, values[:, None, :], chunks.interval)


class PumpStream(Stream):
    """``published_pump_features`` one chunk at a time, with bit-equal results.

    Parameters
    ----------
    seconds : {5, 15, 25}
        Length of a chunk.
    """

    fixed = ("seconds",)
    carries = ("_rows",)

    def __init__(self, seconds: int = 25) -> None:
        self.seconds = seconds
        self.names = PUMP_FEATURES
        self._rows = StreamRows(_series(seconds))

    def update(self, chunk: TradeWindows) -> np.ndarray | None:
        """Features, shape (1, 12), of the next chunk of buys, ``TradeWindows`` of one row; None if it has no buy."""
        if len(chunk) != 1:
            raise DataError(f"update takes one chunk, got {len(chunk)}; pass one row, see TradeWindows.rows")
        if chunk.trade_count[0] == 0:
            return None
        self._rows.take({name: getattr(chunk, name) for name in _FIELDS})
        return _values(self._rows, chunk.time)


_FIELDS = ("rush_orders", "trade_count", "quote_volume", "mean_price", "high")
# Statistic and series of each feature before those of the time of day.
_CHANGES = (
    ("std", "rush_orders"),
    ("mean", "rush_orders"),
    ("std", "trade_count"),
    ("std", "quote_volume"),
    ("mean", "quote_volume"),
    ("std", "mean_price"),
    ("last", "mean_price"),
    ("last", "high"),
)


def _series(seconds: int) -> dict[str, Callable[[Rows], np.ndarray]]:
    """The rolling statistics whose relative changes are the features."""
    if seconds not in LOOKBACKS:
        known = ", ".join(map(str, LOOKBACKS))
        raise ConfigError(f"seconds must be one of {known}, for which lookbacks are published, got {seconds}")
    lookback = LOOKBACKS[seconds]
    made: dict[str, Callable[[Rows, str], np.ndarray]] = {
        "std": lambda rows, name: rows.moments(name, lookback)[1],
        "mean": lambda rows, name: rows.mean(name, lookback),
        "last": lambda rows, name: rows.mean(name, PRICE_LOOKBACK),
    }
    return {f"{key}_{name}": lambda rows, key=key, name=name: made[key](rows, name) for key, name in _CHANGES}


def _values(rows: Rows, time: np.ndarray) -> np.ndarray:
    """All features, shape (n_rows, 12)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        changes = [_change(rows, f"{key}_{name}") for key, name in _CHANGES]
    minutes = time.astype("datetime64[m]").astype(np.int64)
    hour, minute = 2 * np.pi * (minutes // 60 % 24) / 23, 2 * np.pi * (minutes % 60) / 59
    return np.column_stack([*changes, np.sin(hour), np.cos(hour), np.sin(minute), np.cos(minute)])


def _change(rows: Rows, name: str) -> np.ndarray:
    before = rows.lagged(name, 1)
    return rows.series(name) / np.where(before > 0, before, np.nan) - 1
