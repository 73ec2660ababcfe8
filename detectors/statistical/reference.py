"""What rolling detectors compare a row with: statistics of the window before it, in batch and row by row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from foreshock.data.stream.state import Stream
from foreshock.detectors.stream import DetectorStream
from foreshock.engine.features.features import Features
from foreshock.engine.kernels.robust import MadStream, QuantilesStream, rolling_mean_deviation_nb
from foreshock.engine.kernels.rolling import MeanStream, MomentsStream
from foreshock.engine.statistics.variation import MEAN_DEVIATION, QUARTILES, exceeds_rounding


def spread_of(spread: np.ndarray, size: np.ndarray) -> np.ndarray:
    """The spread, 0 where it is the rounding of values of this size."""
    return np.where(np.isnan(spread) | exceeds_rounding(spread, size), spread, 0.0)


def where_tied(deviation: Callable[[np.ndarray], np.ndarray], spread: np.ndarray, size: np.ndarray, unit: float) -> np.ndarray:
    """The spread of each window; where ties make it zero, ``unit`` standard deviations by the mean absolute deviation."""
    spread = spread_of(spread, size)
    tied = spread == 0
    if not tied.any():
        return spread
    return np.where(tied, spread_of(unit * MEAN_DEVIATION * deviation(tied), size), spread)


def divide(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    return np.divide(top, bottom, out=np.full_like(top, np.nan), where=bottom > 0)


class MeanReference(Stream):
    """Mean and standard deviation of the last rows."""

    carries = ("_moments", "_mean")

    def __init__(self, window: int, n_symbols: int, phase: int) -> None:
        self._moments, self._mean = MomentsStream(window, n_symbols, 2, phase), MeanStream(window, n_symbols, phase)

    def update(self, row: np.ndarray) -> tuple[np.ndarray, ...]:
        mean = self._mean.update(row)
        return mean, spread_of(self._moments.update(row)[1], mean)


class QuartileReference(Stream):
    """Quartiles of the last rows and their distance."""

    carries = ("_quartiles",)

    def __init__(self, window: int, n_symbols: int, phase: int) -> None:  # noqa: ARG002 - quantiles have no blocks
        self._quartiles = QuantilesStream(window, n_symbols, np.array([0.25, 0.75]), window)

    def update(self, row: np.ndarray) -> tuple[np.ndarray, ...]:
        low, high = self._quartiles.update(row)
        size = np.maximum(np.abs(low), np.abs(high))
        return low, high, where_tied(_deviation(self._quartiles), high - low, size, QUARTILES)


class MedianReference(Stream):
    """Median of the last rows, and the spread by the median absolute deviation."""

    carries = ("_medians",)

    def __init__(self, window: int, n_symbols: int, phase: int) -> None:  # noqa: ARG002 - medians have no blocks
        self._medians = MadStream(window, n_symbols, window)

    def update(self, row: np.ndarray) -> tuple[np.ndarray, ...]:
        median, mad = self._medians.update(row)
        return median, where_tied(_deviation(self._medians), 1.4826 * mad, np.abs(median), 1.0)


def _deviation(ordered: Any) -> Callable[[np.ndarray], np.ndarray]:
    """Mean absolute deviations of the window that a stream holds, as the batch kernel computes them."""

    def deviation(tied: np.ndarray) -> np.ndarray:
        rows = np.ascontiguousarray(ordered.latest)
        wanted = np.zeros(rows.shape, dtype=bool)
        wanted[-1] = tied
        return rolling_mean_deviation_nb(rows, len(rows), wanted)[-1]

    return deviation


class ComparedStream(DetectorStream):
    """A detector that takes the largest score over some columns, each compared with the window before the row.

    Parameters
    ----------
    detector : Detector
        One with ``window`` and ``_compared``.
    features : Features
        The rows before.
    columns : sequence of str
        The columns.
    make : callable
        From window, number of symbols and phase to a stream of what a row is compared with.
    """

    carries = (*DetectorStream.carries, "_streams", "_reference")

    def __init__(self, detector: Any, features: Features, columns: Sequence[str], make: Callable[[int, int, int], Any]) -> None:
        super().__init__(detector, features)
        self._columns, self._make = [features.index(name) for name in columns], make
        self._streams: tuple[Any, ...] = ()
        self._reference: tuple[tuple[np.ndarray, ...], ...] = ()
        self._begin(0)

    def _begin(self, start_row: int) -> None:
        super()._begin(start_row)
        n, window = len(self.symbols), self.detector.window
        self._streams = tuple(self._make(window, n, start_row % window) for _ in self._columns)
        # Nothing is known before the first row: what an unknown row would leave.
        unknown = tuple(self._make(window, n, 0).update(np.full(n, np.nan)) for _ in self._columns)
        self._reference = tuple(tuple(np.full(n, np.nan) for _ in parts) for parts in unknown)

    def _step(self, row: np.ndarray, time: int) -> np.ndarray:  # noqa: ARG002 - rows are counted
        score = np.full(len(row), np.nan)
        following = []
        for column, stream, reference in zip(self._columns, self._streams, self._reference, strict=True):
            x = row[:, column]
            score = np.fmax(score, self.detector._compared(x, *reference))
            following.append(stream.update(x))
        self._reference = tuple(following)
        return score


class TrailingStream(DetectorStream):
    """A detector that describes the last rows of one column by streams of statistics.

    Parameters
    ----------
    detector : Detector
        Fitted.
    features : Features
        The rows before.
    column : str
        The column.
    make : dict of int to callable
        By window, from window, number of symbols and phase to a stream.
    function : callable
        From the column's row and the values of all streams to scores.
    """

    carries = (*DetectorStream.carries, "_streams")

    def __init__(
        self, detector: Any, features: Features, column: str, windows: Sequence[int], make: Callable[[int, int, int], Any],
        function: Callable[..., np.ndarray], of: Callable[[np.ndarray], np.ndarray] = lambda x: x,
    ) -> None:  # fmt: skip
        super().__init__(detector, features)
        self._column, self._windows, self._make, self._function, self._of = features.index(column), windows, make, function, of
        self._streams: tuple[Any, ...] = ()
        self._begin(0)

    def _begin(self, start_row: int) -> None:
        super()._begin(start_row)
        self._streams = tuple(self._make(window, len(self.symbols), start_row % window) for window in self._windows)

    def _step(self, row: np.ndarray, time: int) -> np.ndarray:  # noqa: ARG002 - rows are counted
        x = self._of(np.ascontiguousarray(row[:, self._column]))
        return self._function(*(stream.update(x) for stream in self._streams))
