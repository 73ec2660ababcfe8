"""Whether values vary by more than rounding, and how much they vary where many of them are equal."""

from __future__ import annotations

import numpy as np

# Rounding of values that went through a few operations: 45 times the spacing of floats near 1.
ROUNDING = 1e-14
# For a normal distribution: interquartile range, and standard deviation over mean absolute deviation.
QUARTILES = 1.349
MEAN_DEVIATION = float(np.sqrt(np.pi / 2))


def exceeds_rounding(spread: np.ndarray | float, size: np.ndarray | float, level: float = 0.0) -> np.ndarray:
    """True where a spread is more than the rounding of values of this size; False where either is NaN.

    Parameters
    ----------
    spread : ndarray or float
        Any measure of spread, in the unit of the values.
    size : ndarray or float
        Largest absolute value, or another size of the values.
    level : float
        Size of the numbers whose difference the values are: 1 for returns, because a return is a ratio less 1 and carries the
        rounding of the ratio.

    >>> exceeds_rounding(np.array([0.0, 1e-17, 1e-17]), np.array([0.1, 0.1, 1e-6])).tolist()
    [False, False, True]
    """
    return np.asarray(spread > ROUNDING * np.maximum(np.abs(size), level))


def varies(values: np.ndarray, level: float = 0.0) -> bool:
    """Whether some values differ by more than rounding; False for fewer than two values. See ``exceeds_rounding``.

    >>> grown = 1.0001 ** np.arange(2_000)
    >>> returns = grown[1:] / grown[:-1] - 1
    >>> bool(np.ptp(returns) > 0), varies(returns, level=1.0)
    (True, False)
    """
    if values.size < 2:
        return False
    return bool(exceeds_rounding(np.ptp(values), np.abs(values).max(), level))


def robust_spread(values: np.ndarray) -> np.ndarray:
    """Standard deviation of each column, estimated from its quartiles: their distance over 1.349.

    Where ties make the quartiles meet, as in minutes without a trade, it is estimated from the mean absolute deviation from the
    median, times sqrt(pi / 2) [1]_. It is zero for a column that does not vary.

    Parameters
    ----------
    values : ndarray, shape (n_rows, n_columns)
        Known values.

    References
    ----------
    .. [1] Iglewicz and Hoaglin (1993), How to detect and handle outliers.

    >>> robust_spread(np.array([[0.0, 1.0, 5.0], [0.0, 2.0, 5.0], [0.0, 3.0, 5.0], [0.0, 4.0, 5.0], [5.0, 5.0, 5.0]])).round(3)
    array([1.253, 1.483, 0.   ])
    """
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75], axis=0)
    size = np.abs(values).max(axis=0)
    wide = exceeds_rounding(high - low, size)
    spread = np.where(wide, (high - low) / QUARTILES, 0.0)
    if not wide.all():
        mean_deviation = np.abs(values - middle).mean(axis=0)
        known = ~wide & exceeds_rounding(np.ptp(values, axis=0), size)
        spread[known] = MEAN_DEVIATION * mean_deviation[known]
    return spread
