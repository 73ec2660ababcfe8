"""Rolling sums of counts and volumes by block merge: exact for integers, and zero only for a window of zeros."""

import numpy as np
from numba import njit

from foreshock.data.stream.state import Stream


@njit(cache=True)
def rolling_sum_nb(x, window, phase=0):
    """Equals ``pandas.DataFrame(x).rolling(window).sum()``; x : (n_rows, n_symbols), window >= 1, 0 <= phase < window.

    As in ``engine.kernels.rolling``, a window is the end of one block and the beginning of the next. Prices are summed about an
    anchor there; here sums are about zero, so that counts stay integers and a window of zeros sums to zero.
    """
    n_rows, n_symbols = x.shape
    out = np.full((n_rows, n_symbols), np.nan)
    tail = np.zeros((window, n_symbols))
    for start in range((window - phase) % window, n_rows, window):
        if start > 0:
            for j in range(window - 2, max(window - start - 1, 0) - 1, -1):
                for i in range(n_symbols):
                    tail[j, i] = tail[j + 1, i] + x[start - window + j + 1, i]
        head = np.zeros(n_symbols)
        for j in range(min(window, n_rows - start)):
            row = start + j
            for i in range(n_symbols):
                head[i] += x[row, i]
                if row >= window - 1:
                    out[row, i] = tail[j, i] + head[i]
    return out


class SumStream(Stream):
    """``rolling_sum_nb`` one row at a time."""

    carries = ("_block", "_tail", "_head", "_count", "_full")

    def __init__(self, window: int, n_symbols: int, phase: int = 0) -> None:
        self._block = np.zeros((window, n_symbols))
        self._tail = np.zeros((window, n_symbols))
        self._head = np.zeros(n_symbols)
        self._count = phase
        self._full = phase + window

    def update(self, row: np.ndarray) -> np.ndarray:
        """Take the next row, shape (n_symbols,)."""
        window = len(self._block)
        j = self._count % window
        if j == 0:
            if self._count:
                # Suffix sums of the last block without its first row, without its first two, and so on: summed from the end.
                self._tail[:-1] = np.cumsum(self._block[:0:-1], axis=0)[::-1]
            self._head[:] = 0.0
        self._block[j] = row
        self._head += row
        self._count += 1
        return self._tail[j] + self._head if self._count >= self._full else np.full(len(row), np.nan)
