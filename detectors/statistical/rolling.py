"""Rolling textbook detectors: they compare a row with the window before it and learn nothing."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np

from foreshock.data.errors import ConfigError
from foreshock.data.show.shown import few
from foreshock.detectors.base import Detector
from foreshock.detectors.explanation import typical_of
from foreshock.detectors.statistical.reference import (
    ComparedStream,
    MeanReference,
    MedianReference,
    QuartileReference,
    TrailingStream,
    divide,
    spread_of,
    where_tied,
)
from foreshock.detectors.stream import DetectorStream
from foreshock.engine.features.features import Features
from foreshock.engine.features.roles import default_column, default_columns
from foreshock.engine.kernels.robust import rolling_mad_nb, rolling_mean_deviation_nb, rolling_quantiles_nb
from foreshock.engine.kernels.rolling import MeanStream, MomentsStream, rolling_mean_nb, rolling_moments_nb
from foreshock.engine.statistics.variation import QUARTILES

DEFAULT_COLUMNS = ("log_return", "volume_ratio_20")


class _RollingDetector(Detector):
    """Largest score over some columns, each compared with the ``window`` rows before the scored row.

    Parameters
    ----------
    window : int
        Number of rows to compare with, at least 2. The scored row is not among them.
    columns : sequence of str
        Features to score. A row is scored if at least one of them can be; otherwise its score is NaN.
    """

    keeps_typical = False
    # From window, number of symbols and phase to the stream of what a row is compared with.
    _reference_stream: ClassVar[Any]

    def __init__(self, window: int = 168, columns: Sequence[str] = DEFAULT_COLUMNS) -> None:
        self.window = window
        self.columns = columns

    @property
    def lookback(self) -> int:
        return self.window

    def _fit(self, features: Features) -> None:
        _check_window("window", self.window, 2)
        for name in self._columns(features):
            features.index(name)

    def _score(self, features: Features) -> np.ndarray:
        _check_window("window", self.window, 2)
        score = np.full((features.n_rows, len(features.symbols)), np.nan)
        for name in self._columns(features):
            score = np.fmax(score, self._score_column(features.column(name), features.start_row % self.window))
        return score

    def _stream(self, features: Features) -> DetectorStream:
        _check_window("window", self.window, 2)
        return ComparedStream(self, features, self._columns(features), self._reference_stream)

    def _columns(self, features: Features) -> list[str]:
        """The columns; of the default ones, those that stand nearest to them in features that lack them."""
        if not self.columns:
            raise ConfigError(f"columns must be at least one feature, got none; these features have {few(features.names)}")
        return default_columns(features, self.columns) if tuple(self.columns) == DEFAULT_COLUMNS else list(self.columns)

    def _score_column(self, x: np.ndarray, phase: int) -> np.ndarray:
        return self._compared(x, *self._reference(x, phase))

    def _explain_rows(self, features: Features, rows: np.ndarray, symbols: np.ndarray) -> np.ndarray:
        found = np.zeros((len(rows), len(features.names)))
        columns = self._columns(features)
        for name in columns:
            x = features.column(name)
            found[:, features.index(name)] = self._score_column(x, features.start_row % self.window)[rows, symbols]
        used = found[:, [features.index(name) for name in columns]]
        found[np.isnan(used).all(axis=1)] = np.nan
        return found

    def _variants(self, features: Features, rows: np.ndarray, symbols: np.ndarray) -> np.ndarray:
        typical = typical_of(self.typical_, features, int(rows.min(initial=features.n_rows)))[symbols]
        # The window does not hold the row itself, so another value of the row is compared with the same reference.
        columns = self._columns(features)
        scores = np.full((len(columns), len(rows), 1 + len(features.names)), np.nan)
        for score, name in zip(scores, columns, strict=True):
            x, j = features.column(name), features.index(name)
            reference = [part[rows, symbols] for part in self._reference(x, features.start_row % self.window)]
            score[:] = self._compared(x[rows, symbols], *reference)[:, None]
            score[:, 1 + j] = self._compared(typical[:, j], *reference)
        return np.fmax.reduce(scores, axis=0)

    @abstractmethod
    def _reference(self, x: np.ndarray, phase: int) -> tuple[np.ndarray, ...]:
        """What each row of a column, (n_rows, n_symbols), is compared with: statistics of the window before it."""

    @abstractmethod
    def _compared(self, x: np.ndarray, *reference: np.ndarray) -> np.ndarray:
        """Scores of values, given their references."""


class ZScore(_RollingDetector):
    """Absolute z-score relative to the preceding window: |x - mean| / std; no score where the window does not vary."""

    name = "zscore"
    _reference_stream = MeanReference

    def _reference(self, x: np.ndarray, phase: int) -> tuple[np.ndarray, ...]:
        _, std = rolling_moments_nb(x, self.window, 2, phase)
        mean = rolling_mean_nb(x, self.window, phase)
        return _lag(mean), _lag(spread_of(std, mean))

    def _compared(self, x: np.ndarray, *reference: np.ndarray) -> np.ndarray:
        mean, std = reference
        return divide(np.abs(x - mean), std)


class InterquartileRange(_RollingDetector):
    """Distance outside the quartiles of the preceding window, in interquartile ranges: max(q1 - x, x - q3) / (q3 - q1).

    Tukey's fences lie at 1.5; inside the quartiles the score is negative. Where ties make the quartiles meet, as in minutes without
    a trade, their distance is estimated from the mean absolute deviation from the median; see ``robust_spread``.
    """

    name = "iqr"
    _reference_stream = QuartileReference

    def _reference(self, x: np.ndarray, phase: int) -> tuple[np.ndarray, ...]:  # noqa: ARG002 - quantiles have no blocks
        low, high = rolling_quantiles_nb(x, self.window, np.array([0.25, 0.75]), self.window)
        deviation = partial(rolling_mean_deviation_nb, x, self.window)
        distance = where_tied(deviation, high - low, np.maximum(np.abs(low), np.abs(high)), QUARTILES)
        return _lag(low), _lag(high), _lag(distance)

    def _compared(self, x: np.ndarray, *reference: np.ndarray) -> np.ndarray:
        low, high, distance = reference
        return divide(np.maximum(low - x, x - high), distance)


class MedianAbsoluteDeviation(_RollingDetector):
    """Hampel's |x - median| / (1.4826 MAD) relative to the preceding window.

    Where more than half of the window is tied, so that the MAD is zero, the denominator is sqrt(pi / 2) times the mean absolute
    deviation from the median [1]_.

    References
    ----------
    Hampel (1974), The influence curve and its role in robust estimation.

    .. [1] Iglewicz and Hoaglin (1993), How to detect and handle outliers.
    """

    name = "mad"
    _reference_stream = MedianReference

    def _reference(self, x: np.ndarray, phase: int) -> tuple[np.ndarray, ...]:  # noqa: ARG002 - medians have no blocks
        median, mad = rolling_mad_nb(x, self.window, self.window)
        deviation = partial(rolling_mean_deviation_nb, x, self.window)
        spread = where_tied(deviation, 1.4826 * mad, np.abs(median), 1.0)
        return _lag(median), _lag(spread)

    def _compared(self, x: np.ndarray, *reference: np.ndarray) -> np.ndarray:
        median, spread = reference
        return divide(np.abs(x - median), spread)


class _OfOneColumn(Detector):
    """A detector that sees one column alone, by default log returns, which therefore adds the whole score."""

    keeps_typical = False
    column: ClassVar[str] = "log_return"

    def _explain_rows(self, features: Features, rows: np.ndarray, symbols: np.ndarray) -> np.ndarray:
        scores = self._score(features)[rows, symbols]
        found = np.where(np.isnan(scores), np.nan, 0.0)[:, None].repeat(len(features.names), axis=1)
        found[:, features.index(default_column(features, self.column))] = scores
        return found


class RollingVolatility(_OfOneColumn):
    """Ratio of short to long realised volatility of log returns, both up to and including the scored row.

    Parameters
    ----------
    short, long : int
        Lengths of the two windows in rows, 2 <= short < long.

    References
    ----------
    Andersen, Bollerslev, Diebold and Labys (2003), Modeling and forecasting realized volatility.
    """

    name = "rolling_volatility"

    def __init__(self, short: int = 6, long: int = 168) -> None:
        self.short = short
        self.long = long

    @property
    def lookback(self) -> int:
        return self.long - 1

    def _fit(self, features: Features) -> None:
        default_column(features, "log_return")

    def _score(self, features: Features) -> np.ndarray:
        _check_window("short", self.short, 2)
        _check_window("long", self.long, self.short + 1)
        returns = features.column(default_column(features, "log_return"))
        short, long = (rolling_moments_nb(returns, n, 2, features.start_row % n)[1] for n in (self.short, self.long))
        return divide(short, long)

    def _stream(self, features: Features) -> DetectorStream:
        column, windows = default_column(features, self.column), (self.short, self.long)
        return TrailingStream(self, features, column, windows, _moments, lambda short, long: divide(short[1], long[1]))


class _TrailingBaseline(_OfOneColumn):
    """A baseline that describes the last ``window`` rows of its column, the scored row among them."""

    role = "baseline"

    def __init__(self, window: int = 24) -> None:
        self.window = window

    @property
    def lookback(self) -> int:
        return self.window - 1

    def _fit(self, features: Features) -> None:
        default_column(features, self.column)


class VolatilityOnly(_TrailingBaseline):
    """Baseline: trailing standard deviation of log returns, the only information in a detector that merely echoes volatility.

    Parameters
    ----------
    window : int
        Length of the window in rows, at least 2; it includes the scored row.
    """

    name = "volatility_only"

    def _score(self, features: Features) -> np.ndarray:
        _check_window("window", self.window, 2)
        returns = features.column(default_column(features, "log_return"))
        return rolling_moments_nb(returns, self.window, 2, features.start_row % self.window)[1]

    def _stream(self, features: Features) -> DetectorStream:
        return TrailingStream(
            self, features, default_column(features, self.column), (self.window,), _moments, lambda found: found[1]
        )


class RangeOnly(_TrailingBaseline):
    """Baseline: trailing mean of the range of the bars; where no feature is a range, of the absolute returns.

    Parameters
    ----------
    window : int
        Length of the window in rows, at least 2; it includes the scored row.
    """

    name = "range_only"
    column = "range"

    def _score(self, features: Features) -> np.ndarray:
        _check_window("window", self.window, 2)
        size = np.abs(features.column(default_column(features, "range")))
        return rolling_mean_nb(size, self.window, features.start_row % self.window)

    def _stream(self, features: Features) -> DetectorStream:
        column = default_column(features, self.column)
        return TrailingStream(self, features, column, (self.window,), MeanStream, lambda found: found, np.abs)


def _check_window(name: str, window: int, least: int) -> None:
    if window < least:
        raise ConfigError(f"{name} must be at least {least} rows, got {window}")


def _moments(window: int, n_symbols: int, phase: int) -> MomentsStream:
    return MomentsStream(window, n_symbols, 2, phase)


def _lag(x: np.ndarray) -> np.ndarray:
    lagged = np.full_like(x, np.nan)
    lagged[1:] = x[:-1]
    return lagged
