"""Rolling order statistics from a sorted copy of the window: one binary search and one shift a row."""

import numpy as np
from numba import njit


@njit(cache=True)
def rolling_quantiles_nb(x, window, quantiles, min_known):
    """Quantiles of the known values among the last ``window`` rows, NaN where fewer than ``min_known`` are known.

    Equals ``pandas.DataFrame(x).rolling(window, min_periods=min_known).quantile(q)`` (linear interpolation), but the first
    window may be short.

    x : (n_rows, n_symbols). Returns (n_quantiles, n_rows, n_symbols).
    """
    n_rows, n_symbols = x.shape
    out = np.full((len(quantiles), n_rows, n_symbols), np.nan)
    for i in range(n_symbols):
        ordered = np.empty(window)
        n = 0
        for row in range(n_rows):
            n = _slide(x, i, row, window, ordered, n)
            if n >= min_known and n > 0:
                for k in range(len(quantiles)):
                    out[k, row, i] = _quantile(ordered, n, quantiles[k])
    return out


@njit(cache=True)
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
            n = _slide(x, i, row, window, ordered, n)
            if n >= min_known and n > 0:
                median[row, i] = _quantile(ordered, n, 0.5)
                mad[row, i] = _mad(ordered, n, median[row, i])
    return median, mad


@njit(cache=True)
def _slide(x, i, row, window, ordered, n):
    """Take row - window out of ``ordered[:n]`` and put row in; returns the new n."""
    if row >= window:
        old = x[row - window, i]
        if not np.isnan(old):
            at = np.searchsorted(ordered[:n], old)
            for k in range(at, n - 1):
                ordered[k] = ordered[k + 1]
            n -= 1
    new = x[row, i]
    if not np.isnan(new):
        at = np.searchsorted(ordered[:n], new)
        for k in range(n, at, -1):
            ordered[k] = ordered[k - 1]
        ordered[at] = new
        n += 1
    return n


@njit(cache=True)
def _quantile(ordered, n, q):
    rank = q * (n - 1)
    below = int(np.floor(rank))
    if below >= n - 1:
        return ordered[n - 1]
    share = rank - below
    low = ordered[below]
    high = ordered[below + 1]
    return low if low == high else low + share * (high - low)


@njit(cache=True)
def _mad(ordered, n, median):
    """Median of |x - median|: walk outwards from the median, always to the nearer neighbour."""
    right = np.searchsorted(ordered[:n], median)
    left = right - 1
    last = 0.0
    before_last = 0.0
    for _ in range(n // 2 + 1):
        before_last = last
        if left < 0 or (right < n and ordered[right] - median <= median - ordered[left]):
            last = ordered[right] - median
            right += 1
        else:
            last = median - ordered[left]
            left -= 1
    return last if n % 2 else 0.5 * (before_last + last)
