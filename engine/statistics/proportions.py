"""Confidence intervals of proportions, and the normal quantile used for every 95 % interval."""

import math

import numpy as np

# Standard normal quantile of 0.975: a two-sided 95 % interval extends this many standard errors to each side.
Z_95 = 1.959963984540054


def wilson(k: float, n: int) -> tuple[float, float]:
    """95 % score interval of a proportion, k out of n [1]_.

    >>> [round(bound, 3) for bound in wilson(1, 20)]
    [0.009, 0.236]

    References
    ----------
    .. [1] Wilson (1927), Probable inference, the law of succession, and statistical inference.
    """
    z2 = Z_95**2
    middle, half = (k + z2 / 2) / (n + z2), math.sqrt(z2 * (k * (n - k) / n + z2 / 4)) / (n + z2)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def wilson_of_draws(value: float, n: float, draws: np.ndarray) -> tuple[float, float]:
    """Wilson interval of a proportion with n divided by the design effect, which is at least 1.

    Parameters
    ----------
    value : float
        The observed share; if it is NaN, so are the bounds.
    n : float
        Denominator of the share.
    draws : ndarray, shape (n_draws,)
        The share in each resample of dependent observations. The design effect is the variance of the draws over that of a share
        of n independent observations.

    >>> [round(bound, 3) for bound in wilson_of_draws(0.05, 20, np.array([0.05, 0.05]))]
    [0.009, 0.236]
    """
    if np.isnan(value):
        return float("nan"), float("nan")
    spread = value * (1 - value)
    effect = max(float(np.nanvar(draws)) / (spread / n), 1.0) if spread > 0 else 1.0
    n = n / effect
    centre = (value + Z_95**2 / (2 * n)) / (1 + Z_95**2 / n)
    half = Z_95 / (1 + Z_95**2 / n) * np.sqrt(spread / n + Z_95**2 / (4 * n**2))
    # Rounding can put the bound for a share of 0 or 1 slightly beyond the share itself.
    return float(min(max(centre - half, 0.0), value)), float(max(min(centre + half, 1.0), value))
