"""Intervals of proportions, and the normal quantile behind every 95 % interval."""

import math

import numpy as np

Z_95 = 1.959963984540054


def wilson(k: int, n: int) -> tuple[float, float]:
    """95 % score interval of k out of n [1]_.

    >>> [round(bound, 3) for bound in wilson(1, 20)]
    [0.009, 0.236]

    References
    ----------
    .. [1] Wilson (1927), Probable inference, the law of succession, and statistical inference.
    """
    z2 = Z_95**2
    middle, half = (k + z2 / 2) / (n + z2), math.sqrt(z2 * (k * (n - k) / n + z2 / 4)) / (n + z2)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def clustered_wilson(value: float, n: float, draws: np.ndarray) -> tuple[float, float]:
    """95 % score interval of a proportion whose cases come in clusters.

    Parameters
    ----------
    value : float
        The proportion; NaN has no interval.
    n : float
        Number of cases; it is divided by the design effect, which is at least 1.
    draws : array, shape (n_draws,)
        The proportion in bootstrap draws of whole clusters; its variance over that of independent cases is the design effect.

    Examples
    --------
    >>> [round(bound, 3) for bound in clustered_wilson(0.05, 20, np.full(9, 0.05))]
    [0.009, 0.236]
    """
    if np.isnan(value):
        return float("nan"), float("nan")
    spread = value * (1 - value)
    effect = max(float(np.nanvar(draws)) / (spread / n), 1.0) if spread > 0 else 1.0
    n = n / effect
    centre = (value + Z_95**2 / (2 * n)) / (1 + Z_95**2 / n)
    half = Z_95 / (1 + Z_95**2 / n) * np.sqrt(spread / n + Z_95**2 / (4 * n**2))
    # Rounding puts the bound of nothing, or of all, a hair beyond it.
    return float(min(max(centre - half, 0.0), value)), float(max(min(centre + half, 1.0), value))
