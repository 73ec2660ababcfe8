"""Rolling order statistics from a sorted copy of the window: one binary search and one shift per row."""

import numpy as np
from numba import njit

from foreshock.data.stream.state import Stream


@njit(cache=True, nogil=True)
def rolling_quantiles_nb(x, window, quantiles, min_known):
    """Quantiles of the known values among the last ``window`` rows, NaN where fewer than ``min_known`` are known.

    Equals ``pandas.DataFrame(x).rolling(window, min_periods=min_known).quantile(q)`` (linear interpolation), except that the first
    windows may be shorter than ``window``.

    x : (n_rows, n_symbols). Returns (n_quantiles, n_rows, n_symbols).
    """
    n_rows, n_symbols = x.shape
    out = np.full((len(quantiles), n_rows, n_symbols), np.nan)
    for i in range(n_symbols):
        ordered = np.empty(window)
        n = 0
        for row in range(n_rows):
            old = x[row - window, i] if row >= window else np.nan
            n = _slide(ordered, n, old, x[row, i])
            if n >= min_known and n > 0:
                for k in range(len(quantiles)):
                    out[k, row, i] = _quantile(ordered, n, quantiles[k])
    return out


@njit(cache=True, nogil=True)
def rolling_mad_nb(x, window, min_known):
    """Median and median absolute deviation of the known values among the last ``window`` rows.

    Equals ``r.median()`` and ``r.apply(lambda v: (v - v.median()).abs().median())`` of a pandas rolling ``r``.

    x : (n_rows, n_symbols). Returns two arrays of that shape.
    """
    n_rows, n_symbols = x.shape
    median = np.full((n_rows, n_symbols), np.nan)
    mad = np.full((n_rows, n_symbols), np.nan)
    for i in range(n_symbols):
        ordered = np.empty(window)
        n = 0
        for row in range(n_rows):
            old = x[row - window, i] if row >= window else np.nan
            n = _slide(ordered, n, old, x[row, i])
            if n >= min_known and n > 0:
                median[row, i] = _quantile(ordered, n, 0.5)
                mad[row, i] = _mad(ordered, n, median[row, i])
    return median, mad


@njit(cache=True, nogil=True)
def rolling_mean_deviation_nb(x, window, wanted):
    """Mean absolute deviation from the median of the last ``window`` rows where ``wanted``; NaN elsewhere.

    Equals ``r.apply(lambda v: (v - v.median()).abs().mean())`` of a pandas rolling ``r``. It is summed again in each row.

    x, wanted : (n_rows, n_symbols). Returns that shape.
    """
    n_rows, n_symbols = x.shape
    out = np.full((n_rows, n_symbols), np.nan)
    for i in range(n_symbols):
        for row in range(window - 1, n_rows):
            if wanted[row, i]:
                values = x[row - window + 1 : row + 1, i].copy()
                out[row, i] = np.mean(np.abs(values - np.median(values)))
    return out


@njit(cache=True, nogil=True)
def _slide(ordered, n, old, new):
    """Remove ``old`` from ``ordered[:n]`` and insert ``new``, ignoring NaN; returns the new n."""
    if np.isnan(old) or np.isnan(new):
        return _slide_one(ordered, n, old, new)
    # Only the values between the two positions move.
    out = np.searchsorted(ordered[:n], old)
    into = np.searchsorted(ordered[:n], new)
    if into > out:
        for k in range(out, into - 1):
            ordered[k] = ordered[k + 1]
        ordered[into - 1] = new
    else:
        for k in range(out, into, -1):
            ordered[k] = ordered[k - 1]
        ordered[into] = new
    return n


@njit(cache=True, nogil=True)
def _slide_one(ordered, n, old, new):
    if not np.isnan(old):
        at = np.searchsorted(ordered[:n], old)
        for k in range(at, n - 1):
            ordered[k] = ordered[k + 1]
        n -= 1
    if not np.isnan(new):
        at = np.searchsorted(ordered[:n], new)
        for k in range(n, at, -1):
            ordered[k] = ordered[k - 1]
        ordered[at] = new
        n += 1
    return n


@njit(cache=True, nogil=True)
def _quantile(ordered, n, q):
    rank = q * (n - 1)
    below = int(np.floor(rank))
    if below >= n - 1:
        return ordered[n - 1]
    share = rank - below
    low = ordered[below]
    high = ordered[below + 1]
    return low if low == high else low + share * (high - low)


@njit(cache=True, nogil=True)
def _mad(ordered, n, median):
    """Median of |x - median|. The k = n // 2 + 1 smallest deviations are the values next to the median on its right and left; how
    many are on each side is found by bisection."""
    start = np.searchsorted(ordered[:n], median)
    k = n // 2 + 1
    fewest = max(k - start, 0)
    most = min(k, n - start)
    while fewest < most:
        n_right = (fewest + most) // 2
        # More must come from the right while its next value is no farther from the median than the last value taken from the left.
        if ordered[start + n_right] - median <= median - ordered[start - (k - n_right)]:
            fewest = n_right + 1
        else:
            most = n_right
    n_right = fewest
    n_left = k - n_right
    right = ordered[start + n_right - 1] - median if n_right else -1.0
    left = median - ordered[start - n_left] if n_left else -1.0
    last = max(right, left)
    if n % 2:
        return last
    if right >= left:
        right = ordered[start + n_right - 2] - median if n_right > 1 else -1.0
    else:
        left = median - ordered[start - n_left + 1] if n_left > 1 else -1.0
    return 0.5 * (max(right, left, 0.0) + last)


@njit(cache=True, nogil=True)
def rolling_rank_nb(x, window):
    """Rank of the last row among the last ``window`` rows, in (0, 1]; ties share their mean rank.

    Equals ``pandas.DataFrame(x).rolling(window).rank(pct=True)``, NaN where the window has a NaN.

    x : (n_rows, n_symbols). Returns that shape.
    """
    n_rows, n_symbols = x.shape
    out = np.full((n_rows, n_symbols), np.nan)
    for i in range(n_symbols):
        ordered = np.empty(window)
        n = 0
        for row in range(n_rows):
            old = x[row - window, i] if row >= window else np.nan
            n = _slide(ordered, n, old, x[row, i])
            if n == window:
                out[row, i] = _rank(ordered, n, x[row, i])
    return out


@njit(cache=True, nogil=True)
def _rank(ordered, n, value):
    below = np.searchsorted(ordered[:n], value)
    equal = np.searchsorted(ordered[:n], value, side="right") - below
    return (below + 0.5 * (equal + 1)) / n


@njit(cache=True, nogil=True)
def _slide_row(ordered, n, rows, at, row):
    """Let a row, (n_symbols,), take the place ``at`` of the ring ``rows``, (window, n_symbols), and of its sorted copies."""
    for i in range(len(row)):
        n[i] = _slide(ordered[i], n[i], rows[at, i], row[i])
        rows[at, i] = row[i]


@njit(cache=True, nogil=True)
def _quantiles_row(ordered, n, quantiles, min_known, out):
    for i in range(len(n)):
        if n[i] >= min_known:
            for k in range(len(quantiles)):
                out[k, i] = _quantile(ordered[i], n[i], quantiles[k])


@njit(cache=True, nogil=True)
def _mad_row(ordered, n, min_known, median, mad):
    for i in range(len(n)):
        if n[i] >= min_known:
            median[i] = _quantile(ordered[i], n[i], 0.5)
            mad[i] = _mad(ordered[i], n[i], median[i])


@njit(cache=True, nogil=True)
def _rank_row(ordered, n, row, out):
    for i in range(len(row)):
        if n[i] == ordered.shape[1]:
            out[i] = _rank(ordered[i], n[i], row[i])


class _OrderedStream(Stream):
    """A sorted copy of the last ``window`` rows of each symbol."""

    carries = ("_rows", "_ordered", "_n", "_row")

    def __init__(self, window: int, n_symbols: int) -> None:
        self.window = window
        self._rows = np.full((window, n_symbols), np.nan)
        self._ordered = np.zeros((n_symbols, window))
        self._n = np.zeros(n_symbols, dtype=np.int64)
        self._row = 0

    @property
    def latest(self) -> np.ndarray:
        """The last ``window`` rows, (window, n_symbols), the oldest first; NaN before the first."""
        return np.roll(self._rows, -(self._row % self.window), axis=0)

    def _take(self, row: np.ndarray) -> np.ndarray:
        """Take the next row, and return it as the kernels want it."""
        row = np.ascontiguousarray(row, dtype=np.float64)
        _slide_row(self._ordered, self._n, self._rows, self._row % self.window, row)
        self._row += 1
        return row


class RankStream(_OrderedStream):
    """``rolling_rank_nb`` one row at a time."""

    def update(self, row: np.ndarray) -> np.ndarray:
        """Take the next row, shape (n_symbols,)."""
        row = self._take(row)
        out = np.full(len(row), np.nan)
        _rank_row(self._ordered, self._n, row, out)
        return out


class QuantilesStream(_OrderedStream):
    """``rolling_quantiles_nb`` one row at a time."""

    def __init__(self, window: int, n_symbols: int, quantiles: np.ndarray, min_known: int) -> None:
        super().__init__(window, n_symbols)
        self.quantiles, self.min_known = quantiles, max(min_known, 1)

    def update(self, row: np.ndarray) -> np.ndarray:
        """Take the next row, shape (n_symbols,); returns (n_quantiles, n_symbols)."""
        self._take(row)
        out = np.full((len(self.quantiles), len(row)), np.nan)
        _quantiles_row(self._ordered, self._n, self.quantiles, self.min_known, out)
        return out


class MadStream(_OrderedStream):
    """``rolling_mad_nb`` one row at a time."""

    def __init__(self, window: int, n_symbols: int, min_known: int) -> None:
        super().__init__(window, n_symbols)
        self.min_known = max(min_known, 1)

    def update(self, row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Take the next row, shape (n_symbols,); returns median and median absolute deviation."""
        self._take(row)
        median, mad = np.full(len(row), np.nan), np.full(len(row), np.nan)
        _mad_row(self._ordered, self._n, self.min_known, median, mad)
        return median, mad
