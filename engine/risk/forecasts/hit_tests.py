"""Likelihood-ratio and regression tests of VaR hits, the bars whose loss exceeded the forecast."""

from __future__ import annotations

import numpy as np
from numba import njit

DQ_LAGS = 4


@njit(cache=True, error_model="numpy", nogil=True)
def kupiec_nb(n_hits, n, rate):
    """Unconditional coverage: 2 (log L(n_hits / n) - log L(rate)) of a binomial likelihood L."""
    share = n_hits / n
    return max(2 * (_log_likelihood(n_hits, n, share) - _log_likelihood(n_hits, n, rate)), 0.0)


@njit(cache=True, error_model="numpy", nogil=True)
def independence_nb(hits, n):
    """Independence against a first-order Markov chain of hits.

    2 (log L(p01, p11) - log L(p)), where p01 and p11 are the shares of hits among the bars after no hit and after a hit, and p is
    the share among all bars but the first.

    hits : (n_hits,), rows of the hits among n, ascending.
    """
    n_hits = len(hits)
    n11 = 0
    for i in range(1, n_hits):
        n11 += hits[i] - hits[i - 1] == 1
    # A transition starts at every row but the last and ends at every row but the first.
    n1 = n_hits - (n_hits > 0 and hits[n_hits - 1] == n - 1)
    into = n_hits - (n_hits > 0 and hits[0] == 0)
    n0 = n - 1 - n1
    n01 = into - n11
    markov = _log_likelihood(n01, n0, n01 / n0 if n0 else 0.0) + _log_likelihood(n11, n1, n11 / n1 if n1 else 0.0)
    return max(2 * (markov - _log_likelihood(into, n - 1, into / (n - 1))), 0.0)


@njit(cache=True, error_model="numpy", nogil=True)
def _log_likelihood(n_hits, n, rate):
    out = 0.0
    if n_hits > 0:
        out += n_hits * np.log(rate)
    if n_hits < n:
        out += (n - n_hits) * np.log1p(-rate)
    return out


@njit(cache=True, error_model="numpy", nogil=True)
def dynamic_quantile_nb(hits, n, rate, var, lags):
    """Statistic and rank of d' X (X' X)^-1 X' d / (rate (1 - rate)), d = hit - rate, X of rows (1, ``lags`` earlier hits, VaR).

    The first ``lags`` rows serve as lags only. All sums run over hits only. Collinear regressors (a VaR that never changes) are
    counted once: the rank is the number of independent ones.

    hits : (n_hits,), rows of the hits among n, ascending; var : (n,).
    """
    width = lags + 2
    m = n - lags
    square = np.zeros((width, width))
    product = np.zeros(width)
    square[0, 0] = m
    mean = 0.0
    for t in range(lags, n):
        mean += var[t]
    mean /= m
    spread = 0.0
    for t in range(lags, n):
        spread += (var[t] - mean) ** 2
    # VaR is centred and scaled to unit variance, so that its column has the size of the constant.
    scale = np.sqrt(spread / m)
    varies = scale > 1e-9 * abs(mean)
    square[width - 1, width - 1] = m if varies else 0.0
    for i in range(len(hits)):
        at = hits[i]
        if at >= lags:
            product[0] += 1.0
            product[width - 1] += (var[at] - mean) / scale if varies else 0.0
        for k in range(1, lags + 1):
            t = at + k
            if lags <= t < n:
                square[0, k] += 1.0
                square[k, k] += 1.0
                square[k, width - 1] += (var[t] - mean) / scale if varies else 0.0
        for j in range(i + 1, len(hits)):
            gap = hits[j] - at
            if gap > lags:
                break
            if hits[j] >= lags:
                product[gap] += 1.0
            # Both hits lie within the lags of row t: one k bars earlier, the other k - gap bars earlier.
            for k in range(gap + 1, lags + 1):
                if lags <= at + k < n:
                    square[k - gap, k] += 1.0
    for i in range(width):
        for j in range(i):
            square[i, j] = square[j, i]
    # X' d is X' hit less the rate times the column sums; the centred VaR sums to 0.
    for k in range(width - 1):
        product[k] -= rate * square[0, k]
    values, vectors = np.linalg.eigh(square)
    statistic = 0.0
    rank = 0
    for i in range(width):
        if values[i] > 1e-10 * values[width - 1]:
            along = 0.0
            for j in range(width):
                along += vectors[j, i] * product[j]
            statistic += along * along / values[i]
            rank += 1
    return statistic / (rate * (1 - rate)), rank
