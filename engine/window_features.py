"""The trade-window feature set: what each feature is, and ``window_features``."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np

from data.errors import ConfigError
from data.windows import TradeWindows
from engine.features import Features
from engine.kernels.rolling import rolling_moments_nb
from engine.kernels.windows import rolling_sum_nb

WINDOW_FEATURES = (
    "log_return",
    "volatility",
    "volatility_20",
    "trade_count",
    "volume",
    "avg_trade_size",
    "buy_share",
    "rush_orders",
    "volume_ratio_20",
    "trade_count_ratio_20",
)


def window_features(windows: TradeWindows, features: Sequence[str] = WINDOW_FEATURES, symbol: str = "asset") -> Features:
    """Causal features of trade windows.

    Row t uses windows up to and including t. A feature is NaN until its lookback is full, and where it is not defined (the average
    size of no trade, a ratio to a mean of zero). The price of the last trade stays known while nothing trades: returns are of that
    price, so a window without a trade has a return of zero, as counts and volumes have.

    Parameters
    ----------
    windows : TradeWindows
    features : sequence of str
        Names; trailing numbers are lookbacks in windows.

        ``log_return``, ``return_w``
            log(last price / last price one window, or w windows, before).
        ``trade_count``, ``volume``, ``avg_trade_size``, ``volatility``, ``rush_orders``
            As in ``TradeWindows``.
        ``buy_share``
            Bought volume over volume.
        ``rush_orders_w``, ``buy_quote_volume_w``
            Sum over the last w windows.
        ``volatility_w``
            Standard deviation of log_return (sample).
        ``volume_ratio_w``, ``trade_count_ratio_w``
            x / mean(x), the current window included.
        ``volume_zscore_w``, ``return_zscore_w``
            (x - mean(x)) / std(x) of volume and log_return, the current window included.
        ``buy_burst_k_w``
            Mean bought value (quote currency) of the last k windows over that of the w windows before them.
    symbol : str

    Returns
    -------
    Features
        values of shape (n_windows, 1, n_features).

    Raises
    ------
    ConfigError
        If a name is unknown or a lookback too short.
    """
    source = _Source(windows)
    values = np.concatenate([_compute(source, name) for name in features], axis=1)[:, None, :]
    return Features(windows.time, (symbol,), tuple(features), values, windows.interval)


class _Source:
    """Columns of the windows, shape (n_windows, 1), and what several features share."""

    def __init__(self, windows: TradeWindows) -> None:
        self.windows = windows
        self._sums: dict[tuple[str, int], np.ndarray] = {}
        self._moments: dict[tuple[str, int], np.ndarray] = {}

    def column(self, name: str) -> np.ndarray:
        return self.log_return if name == "log_return" else getattr(self.windows, name)[:, None]

    @cached_property
    def log_price(self) -> np.ndarray:
        close = self.windows.close
        traded = np.where(np.isnan(close), -1, np.arange(len(close)))
        last = np.maximum.accumulate(traded)
        return np.log(np.where(last >= 0, close[last], np.nan))[:, None]

    @cached_property
    def log_return(self) -> np.ndarray:
        return self.log_price - _lag(self.log_price, 1)

    def sums(self, name: str, window: int) -> np.ndarray:
        if (name, window) not in self._sums:
            self._sums[name, window] = rolling_sum_nb(self.column(name), window)
        return self._sums[name, window]

    def moments(self, name: str, window: int) -> np.ndarray:
        """Deviation of the last window from the mean, and standard deviation."""
        if (name, window) not in self._moments:
            self._moments[name, window] = rolling_moments_nb(self.column(name), window, 2)
        return self._moments[name, window]

    def ratio(self, name: str, window: int) -> np.ndarray:
        return _divide(self.column(name), self.sums(name, window) / window)

    def zscore(self, name: str, window: int) -> np.ndarray:
        return _divide(*self.moments(name, window))

    def burst(self, short: int, long: int) -> np.ndarray:
        before = _lag(self.sums("buy_quote_volume", long), short)
        return _divide(self.sums("buy_quote_volume", short) / short, before / long)


def _lag(x: np.ndarray, n: int) -> np.ndarray:
    lagged = np.full_like(x, np.nan)
    lagged[n:] = x[: len(x) - n] if n < len(x) else x[:0]
    return lagged


def _divide(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    return np.divide(top, bottom, out=np.full_like(top, np.nan), where=bottom > 0)


_PLAIN: dict[str, Callable[[_Source], np.ndarray]] = {
    "log_return": lambda s: s.log_return,
    "trade_count": lambda s: s.column("trade_count"),
    "volume": lambda s: s.column("volume"),
    "avg_trade_size": lambda s: s.column("avg_trade_size"),
    "volatility": lambda s: s.column("volatility"),
    "rush_orders": lambda s: s.column("rush_orders"),
    "buy_share": lambda s: _divide(s.column("buy_volume"), s.column("volume")),
}
_WINDOWED: dict[str, tuple[int, Callable[[_Source, int], np.ndarray]]] = {
    "return": (1, lambda s, w: s.log_price - _lag(s.log_price, w)),
    "rush_orders": (1, lambda s, w: s.sums("rush_orders", w)),
    "buy_quote_volume": (1, lambda s, w: s.sums("buy_quote_volume", w)),
    "volatility": (2, lambda s, w: s.moments("log_return", w)[1]),
    "volume_ratio": (2, lambda s, w: s.ratio("volume", w)),
    "trade_count_ratio": (2, lambda s, w: s.ratio("trade_count", w)),
    "volume_zscore": (2, lambda s, w: s.zscore("volume", w)),
    "return_zscore": (2, lambda s, w: s.zscore("log_return", w)),
}


def _compute(source: _Source, name: str) -> np.ndarray:
    if name in _PLAIN:
        return _PLAIN[name](source)
    match = re.fullmatch(r"([a-z_]+?)((?:_\d+)+)", name)
    lookbacks = [int(number) for number in match[2][1:].split("_")] if match else []
    if match and match[1] == "buy_burst" and len(lookbacks) == 2:
        if min(lookbacks) < 1:
            raise ConfigError(f"the lookbacks of buy_burst must be at least 1 window, got {name!r}")
        return source.burst(*lookbacks)
    if match is None or match[1] not in _WINDOWED or len(lookbacks) != 1:
        known = ", ".join([*_PLAIN, *(f"{key}_<windows>" for key in _WINDOWED), "buy_burst_<windows>_<windows>"])
        raise ConfigError(f"unknown feature {name!r}; expected one of {known}")
    least, compute = _WINDOWED[match[1]]
    if lookbacks[0] < least:
        raise ConfigError(f"the lookback of {match[1]} must be at least {least} windows, got {lookbacks[0]} in {name!r}")
    return compute(source, lookbacks[0])
