"""Formulas on single numbers as ufuncs: one pass over memory each, with the same bits for one row as for a whole history."""

import math
from collections.abc import Callable

import numpy as np
from numba import vectorize

GARMAN_KLASS_BODY = 2 * math.log(2) - 1
PARKINSON_SHARE = 1 / (4 * math.log(2))


def _ufunc(n_arguments: int) -> Callable[[Callable[..., float]], np.ufunc]:
    # The explicit type lets numba compile at import, or load from its cache.
    return vectorize([f"float64({', '.join(['float64'] * n_arguments)})"], cache=True)


@_ufunc(1)
def positive(x):
    """x, NaN where it is not positive."""
    return x if x > 0.0 else np.nan


@_ufunc(2)
def over_positive(x, y):
    """x / y, NaN where y is not positive."""
    return x / y if y > 0.0 else np.nan


@_ufunc(3)
def over_close(high, low, close):
    """(high - low) / close."""
    return (high - low) / close


@_ufunc(2)
def relative_change(x, y):
    """x / y - 1."""
    return x / y - 1.0


@_ufunc(1)
def parkinson(mean_squared_range):
    """Standard deviation from the mean of log(high / low)^2."""
    return math.sqrt(mean_squared_range * PARKINSON_SHARE)


@_ufunc(2)
def garman_klass_variance(squared_range, body):
    """Variance of a bar from log(high / low)^2 and log(close / open)."""
    return 0.5 * squared_range - GARMAN_KLASS_BODY * (body * body)


@_ufunc(1)
def root(mean_variance):
    """Square root, 0 for negative input: rounding can make the mean of a window of dojis slightly negative."""
    return math.sqrt(0.0 if mean_variance < 0.0 else mean_variance)


@_ufunc(3)
def illiquidity(log_return, close, volume):
    """Absolute return per unit of quote currency; 0 where nothing was traded, NaN where the return or the volume is not known."""
    return 0.0 * log_return if volume == 0.0 else abs(log_return) / (close * volume)


@_ufunc(2)
def traded(log_return, volume):
    """1 where something was traded, 0 where nothing was, NaN where the return or the volume is not known."""
    return 0.0 * log_return + (1.0 if volume > 0.0 else 0.0 * volume)
