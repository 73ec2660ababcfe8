"""What past rows hold: means, largest values, lags, seasons, of a whole history and row by row, with the same bits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numba import njit

from foreshock.data.stream.state import Stream
from foreshock.engine.kernels.lag import LagStream
from foreshock.engine.kernels.rolling import MaxStream, MeanStream, rolling_max_nb, rolling_mean_nb
from foreshock.engine.validation.rungs.seasons import DECAY, SHRINK, hour_cells, n_cells, season_nb, season_step_nb

NEVER = 500


class Past(ABC):
    """Values of rows up to the present one; arrays are (n_rows, n_symbols), a single row where rows come one by one.

    Each call is one quantity: row by row, calls must come in the same order in every row.
    """

    @abstractmethod
    def mean(self, values: np.ndarray, window: int, floor: float = 0.0) -> np.ndarray:
        """Mean of the known values of the last ``window`` rows, fewer at the start; NaN where none is known.

        ``floor`` is the least value that there can be, which no mean falls below by rounding.
        """

    @abstractmethod
    def largest(self, values: np.ndarray, window: int) -> np.ndarray:
        """Largest known value of the last ``window`` rows, fewer at the start; NaN where none is known."""

    @abstractmethod
    def earlier(self, values: np.ndarray, k: int, fill: float = 0.0) -> np.ndarray:
        """Values k rows before."""

    @abstractmethod
    def since(self, values: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
        """Log of the rows since a value last exceeded ``level``, and that value."""

    @abstractmethod
    def season(self, values: np.ndarray, horizons: Sequence[int]) -> list[np.ndarray]:
        """Seasons of values by each kind of cell, coarse to fine: (1 + n_horizons, n_rows, n_symbols) each; see ``seasons``."""


class WholePast(Past):
    """The past of every row of a history.

    Parameters
    ----------
    time : ndarray of datetime64, shape (n_rows,)
        Opens of the rows.
    interval : timedelta64
        Length of a row.
    """

    def __init__(self, time: np.ndarray, interval: np.timedelta64) -> None:
        self.time, self.interval = time, interval

    def mean(self, values: np.ndarray, window: int, floor: float = 0.0) -> np.ndarray:
        return mean_known(values, window, floor)

    def largest(self, values: np.ndarray, window: int) -> np.ndarray:
        return max_known(values, window)

    def earlier(self, values: np.ndarray, k: int, fill: float = 0.0) -> np.ndarray:
        return earlier(values, k, fill)

    def since(self, values: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
        return since_nb(values, level)

    def season(self, values: np.ndarray, horizons: Sequence[int]) -> list[np.ndarray]:
        reach = max(horizons, default=0)
        ahead = self.time[-1] + self.interval * np.arange(1, reach + 1)
        out = []
        for cell in hour_cells(np.concatenate([self.time, ahead]), self.interval):
            out.append(season_nb(values, cell, int(cell.max()) + 1, DECAY, SHRINK, np.array(horizons, np.int64)))
            values = values - out[-1][0]
        return out


class PastStream(Past, Stream):
    """``WholePast`` one row at a time: ``begin`` a row, then ask for its quantities in the order of every other row.

    Parameters
    ----------
    n_symbols : int
        Columns.
    interval : timedelta64
        Length of a row.
    """

    carries = ("_kept",)

    def __init__(self, n_symbols: int, interval: np.timedelta64) -> None:
        self.n_symbols, self.interval = n_symbols, interval
        self._kept: tuple[Stream, ...] = ()
        self._at = 0
        self.time = np.datetime64(0, "us")

    def begin(self, time: np.datetime64) -> None:
        """The next row, by its open."""
        self.time, self._at = time, 0

    def _next(self, make: Callable[[], Stream]) -> Any:
        if self._at == len(self._kept):
            self._kept = (*self._kept, make())
        self._at += 1
        return self._kept[self._at - 1]

    def mean(self, values: np.ndarray, window: int, floor: float = 0.0) -> np.ndarray:
        return values if window == 1 else self._next(lambda: _MeanKnown(window, self.n_symbols)).update(values[0], floor)[None]

    def largest(self, values: np.ndarray, window: int) -> np.ndarray:
        return self._next(lambda: _MaxKnown(window, self.n_symbols)).update(values[0])[None]

    def earlier(self, values: np.ndarray, k: int, fill: float = 0.0) -> np.ndarray:
        return self._next(lambda: LagStream(k, self.n_symbols, fill)).update(values[0])[None]

    def since(self, values: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
        since, size = self._next(lambda: _Since(self.n_symbols)).update(values[0], level)
        return since[None], size[None]

    def season(self, values: np.ndarray, horizons: Sequence[int]) -> list[np.ndarray]:
        ahead = self.time + self.interval * np.arange(max(horizons, default=0) + 1)
        out = []
        for cell, n in zip(hour_cells(ahead, self.interval), n_cells(self.interval), strict=True):
            kept = self._next(lambda n=n: _Season(n, self.n_symbols))
            out.append(kept.update(values[0], cell, np.array(horizons, np.int64))[:, None])
            values = values - out[-1][0]
        return out


class _MeanKnown(Stream):
    carries = ("_values", "_known")

    def __init__(self, window: int, n_symbols: int) -> None:
        self._least = 0.5 / window
        self._values, self._known = (MeanStream(window, n_symbols) for _ in range(2))
        # Rows before the first count as not known.
        for _ in range(window - 1):
            self._values.update(np.zeros(n_symbols))
            self._known.update(np.zeros(n_symbols))

    def update(self, row: np.ndarray, floor: float) -> np.ndarray:
        known = ~np.isnan(row)
        total, count = self._values.update(np.where(known, row, 0.0)), self._known.update(known.astype(float))
        return np.where(count > self._least, np.maximum(total, floor) / count, np.nan)


class _MaxKnown(Stream):
    carries = ("_largest",)

    def __init__(self, window: int, n_symbols: int) -> None:
        self._largest = MaxStream(window, n_symbols)
        for _ in range(window - 1):
            self._largest.update(np.full(n_symbols, -np.inf))

    def update(self, row: np.ndarray) -> np.ndarray:
        out = self._largest.update(np.where(np.isnan(row), -np.inf, row))
        return np.where(np.isinf(out), np.nan, out)


class _Since(Stream):
    carries = ("_last", "_top", "_row")

    def __init__(self, n_symbols: int) -> None:
        self._last, self._top, self._row = np.full(n_symbols, -NEVER), np.zeros(n_symbols), 0

    def update(self, row: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
        since, size = np.empty(len(row)), np.empty(len(row))
        since_step_nb(row, level, self._row, self._last, self._top, since, size)
        self._row += 1
        return since, size


class _Season(Stream):
    carries = ("_total", "_count", "_all")

    def __init__(self, n_cells: int, n_symbols: int) -> None:
        self._total, self._count = np.zeros((2, n_symbols, n_cells))
        self._all = np.zeros((n_symbols, 2))

    def update(self, row: np.ndarray, cell: np.ndarray, horizons: np.ndarray) -> np.ndarray:
        out = np.zeros((1 + len(horizons), len(row)))
        season_step_nb(row, cell, 0, DECAY, SHRINK, horizons, self._total, self._count, self._all, out)
        return out


def mean_known(values: np.ndarray, window: int, floor: float = 0.0) -> np.ndarray:
    """See ``Past.mean``."""
    known = ~np.isnan(values)
    if window == 1:
        return values
    total, count = (_padded(rolling_mean_nb, filled, window, 0.0) for filled in (np.where(known, values, 0.0), known.astype(float)))
    return np.where(count > 0.5 / window, np.maximum(total, floor) / count, np.nan)


def max_known(values: np.ndarray, window: int) -> np.ndarray:
    """See ``Past.largest``."""
    out = _padded(rolling_max_nb, np.where(np.isnan(values), -np.inf, values), window, -np.inf)
    return np.where(np.isinf(out), np.nan, out)


def _padded(kernel: Callable[[np.ndarray, int, int], np.ndarray], values: np.ndarray, window: int, fill: float) -> np.ndarray:
    before = np.full((window - 1, values.shape[1]), fill)
    return kernel(np.concatenate([before, values]), window, 0)[window - 1 :]


def earlier(values: np.ndarray, k: int, fill: float = 0.0) -> np.ndarray:
    """See ``Past.earlier``."""
    out = np.full_like(values, fill)
    out[k:] = values[:-k]
    return out


@njit(cache=True, error_model="numpy", nogil=True)
def since_nb(values: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """See ``Past.since``."""
    n_rows, n_symbols = values.shape
    since, size = np.empty((n_rows, n_symbols)), np.empty((n_rows, n_symbols))
    last, top = np.full(n_symbols, -NEVER), np.zeros(n_symbols)
    for t in range(n_rows):
        since_step_nb(values[t], level, t, last, top, since[t], size[t])
    return since, size


@njit(cache=True, error_model="numpy", nogil=True)
def since_step_nb(row, level, t, last, top, since, size):
    for i in range(len(row)):
        if row[i] > level:
            last[i], top[i] = t, row[i]
        since[i] = np.log1p(min(t - last[i], NEVER))
        size[i] = top[i]
