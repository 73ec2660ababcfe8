"""Recursive statistics of all previous rows."""

import numpy as np
from numba import njit


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


class EwmaStream:
    """``ewma_nb`` one row at a time."""

    def __init__(self, smoothing: float, n_symbols: int) -> None:
        self.smoothing = smoothing
        self._state = np.full(n_symbols, np.nan)

    def update(self, row: np.ndarray) -> np.ndarray:
        """Take the next row, shape (n_symbols,)."""
        out = np.full(len(row), np.nan)
        _advance_ewma(row, self.smoothing, self._state, out)
        return out
