"""Recursive statistics of all previous rows."""

import numpy as np
from numba import njit

from foreshock.data.stream.state import Stream


@njit(cache=True, nogil=True)
def ewma_nb(x, smoothing):
    """Exponentially weighted mean: s = s + smoothing (x - s), starting at the first known value.

    Equals ``pandas.DataFrame(x).ewm(alpha=smoothing, adjust=False, ignore_na=True).mean()`` where x is known. NaN where x is NaN;
    the mean continues from the last known value.

    x : (n_rows, n_symbols); smoothing in (0, 1]. Returns that shape.
    """
    n_rows, n_symbols = x.shape
    out = np.full((n_rows, n_symbols), np.nan)
    state = np.full(n_symbols, np.nan)
    for row in range(n_rows):
        _advance_ewma(x[row], smoothing, state, out[row])
    return out


@njit(cache=True, nogil=True)
def _advance_ewma(row, smoothing, state, out):
    for i in range(len(row)):
        if not np.isnan(row[i]):
            state[i] = row[i] if np.isnan(state[i]) else state[i] + smoothing * (row[i] - state[i])
            out[i] = state[i]


class EwmaStream(Stream):
    """``ewma_nb`` one row at a time."""

    carries = ("_state",)

    def __init__(self, smoothing: float, n_symbols: int) -> None:
        self.smoothing = smoothing
        self._state = np.full(n_symbols, np.nan)

    def update(self, row: np.ndarray) -> np.ndarray:
        """Take the next row, shape (n_symbols,)."""
        out = np.full(len(row), np.nan)
        _advance_ewma(row, self.smoothing, self._state, out)
        return out


@njit(cache=True, nogil=True)
def ewm_moments_nb(x, smoothing, least):
    """Exponentially weighted mean and sample standard deviation of the known rows, up to and with each row.

    With ``e = pandas.DataFrame(x).ewm(alpha=smoothing, min_periods=least, ignore_na=True)`` they have the bits of ``e.mean()`` and
    ``e.std()``: NaN until ``least`` rows are known, carried on where x is NaN.

    x : (n_rows, n_symbols); smoothing in (0, 1); least >= 1. Returns two arrays of that shape.
    """
    n_rows, n_symbols = x.shape
    mean = np.empty((n_rows, n_symbols))
    std = np.empty((n_rows, n_symbols))
    state = np.zeros((6, n_symbols))
    for row in range(n_rows):
        _advance_ewm_moments(x[row], smoothing, least, state, mean[row], std[row])
    return mean, std


@njit(cache=True, nogil=True)
def _advance_ewm_moments(row, smoothing, least, state, mean, std):
    """State by symbol: number of known rows, weight of the rows before the next, mean, variance before its bias is corrected, and
    the sums of weights and of squared weights that correct it. The steps are those of pandas, so that the bits are too."""
    keep = 1.0 - smoothing
    for i in range(len(row)):
        n, old, centre, spread, total, squares = state[0, i], state[1, i], state[2, i], state[3, i], state[4, i], state[5, i]
        x = row[i]
        if not np.isnan(x):
            if n == 0:
                old, centre, spread, total, squares = 1.0, x, 0.0, 1.0, 1.0
            else:
                old *= keep
                total *= keep
                squares *= keep * keep
                before = centre
                # A constant series keeps its mean without rounding.
                if centre != x:
                    centre = (old * before + x) / (old + 1.0)
                spread = (old * (spread + (before - centre) * (before - centre)) + (x - centre) * (x - centre)) / (old + 1.0)
                total += 1.0
                squares += 1.0
                old += 1.0
            n += 1
            state[0, i], state[1, i], state[2, i], state[3, i], state[4, i], state[5, i] = n, old, centre, spread, total, squares
        mean[i] = centre if n >= least else np.nan
        above = total * total - squares
        std[i] = np.sqrt(max(total * total / above * spread, 0.0)) if n >= least and above > 0.0 else np.nan


class EwmMomentsStream(Stream):
    """``ewm_moments_nb`` one row at a time."""

    carries = ("_state",)

    def __init__(self, smoothing: float, least: int, n_symbols: int) -> None:
        self.smoothing, self.least = smoothing, least
        self._state = np.zeros((6, n_symbols))

    def update(self, row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Take the next row, shape (n_symbols,); returns mean and standard deviation."""
        mean, std = np.empty(len(row)), np.empty(len(row))
        _advance_ewm_moments(row, self.smoothing, self.least, self._state, mean, std)
        return mean, std
