"""Rolling moments and maxima by block merge.

Rows are cut into blocks as long as the window. A window that ends in a block is the end of the block before it and the
beginning of this one, so its sums are one suffix sum plus one prefix sum: O(1) a row, nothing is ever subtracted, no error
accumulates, and deleting later rows changes no bit of earlier results. Sums are taken about the first row of the block,
which lies in every window that ends there: at a price of 6e4 with noise of 0.01 the differences are exact, a flat window
sums to exactly zero, and if the anchor is NaN then so is every one of those windows, rightly.
"""

import numpy as np
from numba import njit


@njit(cache=True)
def rolling_moments_nb(x, window):
    """Mean, deviation of the last row from the mean, standard deviation and skewness of the last ``window`` rows.

    With ``r = pandas.DataFrame(x).rolling(window)`` they equal ``r.mean()``, ``x - r.mean()``, ``r.std()``, ``r.skew()``.
    NaN in a window gives NaN there; a flat window has deviation and standard deviation exactly 0 and no skewness.

    x : (n_rows, n_symbols); window >= 2. Returns four arrays of that shape.
    """
    n_rows, n_symbols = x.shape
    mean = np.full((n_rows, n_symbols), np.nan)
    deviation = np.full((n_rows, n_symbols), np.nan)
    std = np.full((n_rows, n_symbols), np.nan)
    skew = np.full((n_rows, n_symbols), np.nan)
    tail1 = np.zeros((window, n_symbols))
    tail2 = np.zeros((window, n_symbols))
    tail3 = np.zeros((window, n_symbols))
    n = float(window)
    skew_factor = np.sqrt(n * (n - 1.0)) / (n - 2.0) if window > 2 else np.nan
    for start in range(0, n_rows, window):
        if start > 0:
            for j in range(window - 2, -1, -1):
                for i in range(n_symbols):
                    d = x[start - window + j + 1, i] - x[start, i]
                    tail1[j, i] = tail1[j + 1, i] + d
                    tail2[j, i] = tail2[j + 1, i] + d * d
                    tail3[j, i] = tail3[j + 1, i] + d * d * d
        head1 = np.zeros(n_symbols)
        head2 = np.zeros(n_symbols)
        head3 = np.zeros(n_symbols)
        for j in range(min(window, n_rows - start)):
            row = start + j
            full = row >= window - 1
            for i in range(n_symbols):
                d = x[row, i] - x[start, i]
                head1[i] += d
                head2[i] += d * d
                head3[i] += d * d * d
                if full:
                    offset = (tail1[j, i] + head1[i]) / n
                    s2 = tail2[j, i] + head2[i]
                    s3 = tail3[j, i] + head3[i]
                    m2 = max(s2 - n * offset * offset, 0.0)
                    # max() turns NaN into 0 on some platforms: a window with NaN has an offset that is NaN.
                    if np.isnan(offset):
                        m2 = np.nan
                    mean[row, i] = x[start, i] + offset
                    deviation[row, i] = d - offset
                    std[row, i] = np.sqrt(m2 / (n - 1.0))
                    if m2 > 0.0:
                        m3 = s3 - 3.0 * offset * s2 + 2.0 * n * offset * offset * offset
                        skew[row, i] = skew_factor * (m3 / n) / (m2 / n) ** 1.5
    return mean, deviation, std, skew


@njit(cache=True)
def rolling_mean_nb(x, window):
    """Equals ``pandas.DataFrame(x).rolling(window).mean()``; x : (n_rows, n_symbols), window >= 1."""
    n_rows, n_symbols = x.shape
    mean = np.full((n_rows, n_symbols), np.nan)
    tail = np.zeros((window, n_symbols))
    for start in range(0, n_rows, window):
        if start > 0:
            for j in range(window - 2, -1, -1):
                for i in range(n_symbols):
                    tail[j, i] = tail[j + 1, i] + (x[start - window + j + 1, i] - x[start, i])
        head = np.zeros(n_symbols)
        for j in range(min(window, n_rows - start)):
            row = start + j
            for i in range(n_symbols):
                head[i] += x[row, i] - x[start, i]
                if row >= window - 1:
                    mean[row, i] = x[start, i] + (tail[j, i] + head[i]) / window
    return mean


@njit(cache=True)
def rolling_max_nb(x, window):
    """Equals ``pandas.DataFrame(x).rolling(window).max()``; x : (n_rows, n_symbols), window >= 1."""
    n_rows, n_symbols = x.shape
    out = np.full((n_rows, n_symbols), np.nan)
    tail = np.full((window, n_symbols), -np.inf)
    for start in range(0, n_rows, window):
        if start > 0:
            for j in range(window - 2, -1, -1):
                for i in range(n_symbols):
                    tail[j, i] = _nan_max(tail[j + 1, i], x[start - window + j + 1, i])
        head = np.full(n_symbols, -np.inf)
        for j in range(min(window, n_rows - start)):
            row = start + j
            for i in range(n_symbols):
                head[i] = _nan_max(head[i], x[row, i])
                if row >= window - 1:
                    out[row, i] = _nan_max(tail[j, i], head[i])
    return out


@njit(cache=True)
def _nan_max(a, b):
    if np.isnan(a) or np.isnan(b):
        return np.nan
    return a if a > b else b
