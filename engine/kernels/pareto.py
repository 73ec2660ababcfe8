"""The tail of a generalised Pareto distribution: its fit, and the quantiles that it foresees for many symbols at once."""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, error_model="numpy")
def fit_pareto_nb(excess):
    """Shape and scale by the estimator of Zhang and Stephens; see ``engine.statistics.pareto.fit_pareto``.

    excess : (n,), positive and sorted.
    """
    n = len(excess)
    m = 20 + int(np.sqrt(n))
    quartile = excess[int(n / 4 + 0.5) - 1]
    mean = excess.sum() / n
    # Grid of theta, equation 8 of Zhang and Stephens; all below 1 / max(x).
    theta = np.empty(m)
    likelihood = np.empty(m)
    for i in range(m):
        theta[i] = 1 / excess[-1] + (1 - np.sqrt(m / (i + 0.5))) / (3 * quartile)
        shape = -_mean_log(excess, theta[i])
        # For an exponential tail, shape and theta are both 0; the limit of their ratio is used.
        rate = theta[i] / shape if shape != 0 else 1 / mean
        likelihood[i] = n * (np.log(rate) + shape - 1)
    weight = np.exp(likelihood - likelihood.max())
    best = (theta * weight).sum() / weight.sum()
    shape = _mean_log(excess, best)
    return shape, -shape / best


@njit(cache=True, nogil=True, error_model="numpy")
def _mean_log(x, theta):
    """Mean of log(1 - theta x)."""
    total = 0.0
    for value in x:
        total += np.log1p(-theta * value)
    return total / len(x)


@njit(cache=True, nogil=True, error_model="numpy")
def peaks_levels_nb(values, q, init, least, min_peaks):
    """The q-quantile of each column, extrapolated from the peaks over its ``init``-quantile; see ``PeaksOverThreshold``.

    NaN with fewer than ``least`` finite values or ``min_peaks`` peaks. The order of the rows does not matter.

    values : (n_rows, n_symbols). Returns (n_symbols,).
    """
    n_rows, n_symbols = values.shape
    out = np.full(n_symbols, np.nan)
    known = np.empty(n_rows)
    for i in range(n_symbols):
        # An infinite score is an alert at any threshold; a tail cannot be fitted to it.
        n = 0
        for row in range(n_rows):
            if np.isfinite(values[row, i]):
                known[n] = values[row, i]
                n += 1
        if n < least or n == 0:
            continue
        start = _quantile(known[:n], init)
        above = known[:n]
        above = above[above > start]
        # With many equal scores, too few exceed the start of the tail to fit it.
        if len(above) < min_peaks:
            continue
        # With many ties, the share of scores above the start is at most 1 - q already; the start itself is used then.
        ratio = n * (1 - q) / len(above)
        out[i] = start
        if ratio < 1:
            shape, scale = fit_pareto_nb(np.sort(above - start))
            # expm1 keeps precision near shape 0.
            growth = -np.log(ratio)
            out[i] = start + scale * (np.expm1(shape * growth) / shape if shape != 0 else growth)
    return out


@njit(cache=True, nogil=True)
def _quantile(values, q):
    """The quantile of at least one value, interpolated, with the bits of ``np.quantile``."""
    at = q * (len(values) - 1)
    k = int(np.floor(at))
    share = at - k
    ordered = np.partition(values, k)
    low = ordered[k]
    if k + 1 == len(values):
        return low
    high = ordered[k + 1 :].min()
    return low + share * (high - low) if share < 0.5 else high - (1 - share) * (high - low)
