"""The OHLCV feature set: what each bar feature is, and ``ohlcv_features``."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np

from data.bars import Bars
from data.errors import ConfigError
from engine.features import Features
from engine.kernels.rolling import rolling_max_nb, rolling_mean_nb, rolling_moments_nb

OHLCV_FEATURES = (
    "log_return",
    "volatility_20",
    "range",
    "parkinson_20",
    "garman_klass_20",
    "volume_change",
    "volume_ratio_20",
    "return_zscore_168",
    "volume_zscore_168",
    "return_24",
    "drawdown_168",
    "amihud_20",
    "skew_168",
)


def ohlcv_features(bars: Bars, features: Sequence[str] = OHLCV_FEATURES) -> Features:
    """Causal features of OHLCV bars.

    Row t uses bars up to and including t. A feature is NaN until its window is full, in every window that contains an unknown
    bar, and where it is not defined (a z-score of a flat window, a change from zero volume).

    Parameters
    ----------
    bars : Bars
    features : sequence of str
        Names; a trailing number is the window in bars, at least 2 (3 for ``skew``).

        ``log_return``
            log(close / previous close).
        ``range``
            (high - low) / close.
        ``volume_change``
            log(volume / previous volume).
        ``volatility_w``
            Standard deviation of log_return (sample, divisor w - 1), per bar.
        ``parkinson_w``
            sqrt(mean(log(high / low)^2) / (4 log 2)) [1]_.
        ``garman_klass_w``
            sqrt(mean(log(high / low)^2 / 2 - (2 log 2 - 1) log(close / open)^2)) [2]_.
        ``volume_ratio_w``
            volume / mean(volume).
        ``return_zscore_w``, ``volume_zscore_w``
            (x - mean(x)) / std(x) of log_return and volume, the current bar included.
        ``return_w``
            log(close / close w bars before).
        ``drawdown_w``
            close / max(close) - 1.
        ``amihud_w``
            mean(abs(log_return) / (close * volume)), per unit of quote currency [3]_.
        ``skew_w``
            Sample skewness of log_return, adjusted for bias.

    Returns
    -------
    Features
        values of shape (n_bars, n_symbols, n_features).

    Raises
    ------
    ConfigError
        If a name is unknown or a window too short.

    References
    ----------
    .. [1] Parkinson (1980), The extreme value method for estimating the variance of the rate of return.
    .. [2] Garman and Klass (1980), On the estimation of security price volatilities from historical data.
    .. [3] Amihud (2002), Illiquidity and stock returns.
    """
    source = _Source(bars)
    values = np.empty((*bars.shape, len(features)))
    for i, name in enumerate(features):
        values[:, :, i] = _compute(source, name)
    return Features(bars.time, bars.symbols, tuple(features), values, bars.interval)


class _Source:
    """What several features share: bar-wise quantities, and rolling moments once for each window."""

    def __init__(self, bars: Bars) -> None:
        self.bars = bars
        self._moments: dict[tuple[str, int], tuple[np.ndarray, ...]] = {}

    @cached_property
    def log_return(self) -> np.ndarray:
        return self.bars.returns()

    @cached_property
    def volume(self) -> np.ndarray:
        return self.bars.volume

    @cached_property
    def log_range(self) -> np.ndarray:
        return np.log(self.bars.high / self.bars.low)

    def moments(self, name: str, window: int) -> tuple[np.ndarray, ...]:
        if (name, window) not in self._moments:
            self._moments[name, window] = rolling_moments_nb(getattr(self, name), window)
        return self._moments[name, window]


def _zscore(source: _Source, name: str, window: int) -> np.ndarray:
    _, deviation, std, _ = source.moments(name, window)
    return np.divide(deviation, std, out=np.full_like(std, np.nan), where=std > 0)


def _volume_change(source: _Source) -> np.ndarray:
    volume = np.where(source.volume > 0, source.volume, np.nan)
    change = np.full_like(volume, np.nan)
    change[1:] = np.log(volume[1:] / volume[:-1])
    return change


def _parkinson(source: _Source, window: int) -> np.ndarray:
    return np.sqrt(rolling_mean_nb(source.log_range**2, window) / (4 * np.log(2)))


def _garman_klass(source: _Source, window: int) -> np.ndarray:
    body = np.log(source.bars.close / source.bars.open)
    daily = 0.5 * source.log_range**2 - (2 * np.log(2) - 1) * body**2
    # Rounding can take the mean of a window of dojis a hair below zero.
    return np.sqrt(np.maximum(rolling_mean_nb(daily, window), 0.0))


def _volume_ratio(source: _Source, window: int) -> np.ndarray:
    mean = rolling_mean_nb(source.volume, window)
    return np.divide(source.volume, mean, out=np.full_like(mean, np.nan), where=mean > 0)


def _return_over(source: _Source, window: int) -> np.ndarray:
    close = source.bars.close
    move = np.full_like(close, np.nan)
    move[window:] = np.log(close[window:] / close[:-window])
    return move


def _amihud(source: _Source, window: int) -> np.ndarray:
    traded = np.where(source.volume > 0, source.bars.close * source.volume, np.nan)
    return rolling_mean_nb(np.abs(source.log_return) / traded, window)


_PLAIN: dict[str, Callable[[_Source], np.ndarray]] = {
    "log_return": lambda s: s.log_return,
    "range": lambda s: (s.bars.high - s.bars.low) / s.bars.close,
    "volume_change": _volume_change,
}
_WINDOWED: dict[str, Callable[[_Source, int], np.ndarray]] = {
    "volatility": lambda s, w: s.moments("log_return", w)[2],
    "parkinson": _parkinson,
    "garman_klass": _garman_klass,
    "volume_ratio": _volume_ratio,
    "return_zscore": lambda s, w: _zscore(s, "log_return", w),
    "volume_zscore": lambda s, w: _zscore(s, "volume", w),
    "return": _return_over,
    "drawdown": lambda s, w: s.bars.close / rolling_max_nb(s.bars.close, w) - 1,
    "amihud": _amihud,
    "skew": lambda s, w: s.moments("log_return", w)[3],
}


def _compute(source: _Source, name: str) -> np.ndarray:
    if name in _PLAIN:
        return _PLAIN[name](source)
    match = re.fullmatch(r"([a-z_]+)_(\d+)", name)
    if match is None or match[1] not in _WINDOWED:
        known = ", ".join([*_PLAIN, *(f"{key}_<window>" for key in _WINDOWED)])
        raise ConfigError(f"unknown feature {name!r}; expected one of {known}")
    window, least = int(match[2]), 3 if match[1] == "skew" else 2
    if window < least:
        raise ConfigError(f"the window of {match[1]} must be at least {least} bars, got {window} in {name!r}")
    return _WINDOWED[match[1]](source, window)
