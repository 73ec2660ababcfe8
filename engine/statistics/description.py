"""Descriptive statistics of a series: histogram, quartiles, autocorrelation, correlations. Unknown values are left out, never
filled.

They describe a complete history and are for plots only; scores and thresholds must not use them.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

# Histogram bins are a fifth of a standard deviation wide and extend to six on each side of the mean.
BINS_PER_SIGMA, SIGMAS = 5, 6
FAR = 3.0


@dataclass(frozen=True)
class Histogram:
    """Counts in bins around the mean, and the expected counts of a normal with the same mean and standard deviation.

    Parameters
    ----------
    edges : ndarray, shape (n_bins + 1,)
        Edges of the bins, in the unit of the values.
    counts : ndarray of int, shape (n_bins,)
        A bin includes its left edge; the last bin includes its right edge too.
    normal : ndarray, shape (n_bins,)
        Expected counts of a normal sample of the same size.
    below, above : int
        Values outside the bins.
    """

    edges: np.ndarray
    counts: np.ndarray
    normal: np.ndarray
    below: int
    above: int


@dataclass(frozen=True)
class Summary:
    """Moments and quantiles of the known values.

    Parameters
    ----------
    n : int
        Known values.
    mean, std : float
        Standard deviation with divisor n - 1.
    skew, kurtosis : float
        m3 / m2^(3/2) and m4 / m2^2 of the central moments (divisor n); 0 and 3 for a normal.
    min, low, q25, median, q75, high, max : float
        ``low`` and ``high`` are the quantiles at 1 and 99 %.
    far : float
        Share of values more than three standard deviations from the mean; 0.0027 for a normal.
    """

    n: int
    mean: float
    std: float
    skew: float
    kurtosis: float
    min: float
    low: float
    q25: float
    median: float
    q75: float
    high: float
    max: float
    far: float


def summarise(x: np.ndarray) -> Summary:
    """Moments and quantiles of the known values of any array; NaN where there are too few values, or they do not vary.

    >>> found = summarise(np.array([1.0, 2.0, 3.0, np.nan, 10.0]))
    >>> found.n, found.mean, found.median, round(found.skew, 4)
    (4, 4.0, 2.5, 1.0182)
    """
    x = x[~np.isnan(x)]
    n = len(x)
    if not n:
        nothing: dict[str, Any] = dict.fromkeys((field.name for field in fields(Summary)), np.nan)
        return Summary(**nothing | {"n": 0})
    mean, spread = float(x.mean()), float(x.std(ddof=1)) if n > 1 else np.nan
    centred = x - mean
    m2 = float((centred**2).mean())
    spreads = spread > 0
    skew, kurtosis = ((centred**3).mean() / m2**1.5, (centred**4).mean() / m2**2) if spreads else (np.nan, np.nan)
    least, low, q25, median, q75, high, most = np.quantile(x, [0, 0.01, 0.25, 0.5, 0.75, 0.99, 1]).tolist()
    far = float((np.abs(centred) > FAR * spread).mean()) if spreads else np.nan
    return Summary(n, mean, spread, float(skew), float(kurtosis), least, low, q25, median, q75, high, most, far)


def histogram(x: np.ndarray) -> Histogram | None:
    """Bins of a fifth of a standard deviation, up to six on each side of the mean; None for fewer than 2 values or equal ones."""
    from scipy.special import ndtr

    x = x[~np.isnan(x)]
    found = summarise(x)
    if not found.std > 0:
        return None
    sigmas = np.arange(-SIGMAS * BINS_PER_SIGMA, SIGMAS * BINS_PER_SIGMA + 1) / BINS_PER_SIGMA
    edges = found.mean + sigmas * found.std
    counts = np.histogram(x, edges)[0]
    return Histogram(edges, counts, found.n * np.diff(ndtr(sigmas)), int((x < edges[0]).sum()), int((x > edges[-1]).sum()))


def autocorrelation(x: np.ndarray, n_lags: int) -> np.ndarray:
    """Correlation of a series with itself k steps later, k = 1..n_lags: shape (n_lags,).

    With d = x - mean(x) over the known values: the mean of d[t] d[t + k] over the pairs where both are known, divided by the mean
    of d^2. NaN where no pair is known.

    >>> autocorrelation(np.array([1.0, -1.0, 1.0, -1.0, np.nan, np.nan, 1.0, -1.0]), 2).round(3).tolist()
    [-1.0, 1.0]
    """
    known = ~np.isnan(x)
    if not known.any():
        return np.full(n_lags, np.nan)
    centred = np.where(known, x - x[known].mean(), 0.0)
    there = known.astype(float)
    power = (centred @ centred) / there.sum()
    out = np.full(n_lags, np.nan)
    for k in range(1, min(n_lags, len(x) - 1) + 1):
        pairs = there[k:] @ there[:-k]
        if pairs and power > 0:
            out[k - 1] = centred[k:] @ centred[:-k] / pairs / power
    return out


def rank_within(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Ranks of each column within each group, scaled to 0 to 1, ties averaged: shape (n, n_columns).

    Parameters
    ----------
    values : ndarray, shape (n, n_columns)
        Values without NaN.
    groups : ndarray of int, shape (n,)
        Group of each row.
    """
    from scipy.stats import rankdata

    out = np.empty(values.shape)
    for group in np.unique(groups):
        rows = groups == group
        out[rows] = rankdata(values[rows], axis=0) / rows.sum()
    return out


def correlation(x: np.ndarray) -> np.ndarray:
    """Pearson correlation of the columns, each pair over rows where both are known; NaN for fewer than 3 rows or no variation."""
    n = x.shape[1]
    if len(x) > 2 and not np.isnan(x).any():
        centred = x - x.mean(axis=0)
        power = (centred**2).sum(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.clip(centred.T @ centred / np.sqrt(power[:, None] * power), -1, 1)
    out = np.full((n, n), np.nan)
    for i in range(n):
        for j in range(i + 1):
            both = ~np.isnan(x[:, i]) & ~np.isnan(x[:, j])
            a, b = x[both, i], x[both, j]
            if len(a) > 2:
                a, b = a - a.mean(), b - b.mean()
                scale = np.sqrt((a @ a) * (b @ b))
                out[i, j] = out[j, i] = np.clip(a @ b / scale, -1, 1) if scale > 0 else np.nan
    return out
