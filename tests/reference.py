"""Slow, obvious twins of the kernels: one window at a time, in exact rational arithmetic where rounding matters."""

from fractions import Fraction
from math import isnan, nan

import numpy as np


def exact_moments(window: np.ndarray) -> tuple[float, float, float, float]:
    """Mean, last minus mean, sample standard deviation and bias-adjusted skewness of one window, without rounding until the end."""
    if np.isnan(window).any():
        return nan, nan, nan, nan
    x = [Fraction(float(v)) for v in window]
    n = len(x)
    mean = sum(x) / n
    m2 = sum((v - mean) ** 2 for v in x)
    m3 = sum((v - mean) ** 3 for v in x)
    std = exact_sqrt(m2 / (n - 1))
    skew = nan
    if m2 > 0 and n > 2:
        # sign(m3) sqrt(m3^2 / m2^3) keeps the root out of the rational part.
        ratio = exact_sqrt((m3 / n) ** 2 / (m2 / n) ** 3)
        skew = float(np.sign(float(m3))) * ratio * float(np.sqrt(n * (n - 1)) / (n - 2))
    return float(mean), float(x[-1] - mean), std, skew


def exact_sqrt(x: Fraction) -> float:
    """Square root to double precision: an integer root of the scaled fraction."""
    from math import isqrt

    if x == 0:
        return 0.0
    shift = 4 * 64
    while x.numerator << shift < x.denominator << 128:
        shift += 128
    return float(Fraction(isqrt((x.numerator << shift) // x.denominator), 1 << (shift // 2)))


def rolling(x: np.ndarray, window: int, function) -> np.ndarray:
    """A function of each window of a column; NaN before the first full window."""
    out = []
    for row in range(len(x)):
        out.append(function(x[row - window + 1 : row + 1]) if row >= window - 1 else None)
    width = next((np.size(v) for v in out if v is not None), 1)
    return np.array([np.full(width, nan) if v is None else np.atleast_1d(v) for v in out])


def mad(window: np.ndarray) -> float:
    """Median absolute deviation of the known values."""
    known = window[~np.isnan(window)]
    return float(np.median(np.abs(known - np.median(known)))) if len(known) else nan


def max_with_nan(window: np.ndarray) -> float:
    return nan if any(isnan(v) for v in window) else float(window.max())


def content_ordered(rows: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Complete rows in order of time and, at a time, of their values: the order in which pooled detectors learn."""
    time = np.nonzero(mask)[0]
    return rows[sorted(range(len(rows)), key=lambda i: (time[i], tuple(rows[i])))]
