"""The tail of a generalised Pareto distribution, fitted to the excesses over a threshold."""

from __future__ import annotations

import numpy as np

# Fewer peaks do not determine the two parameters of a tail.
MIN_PEAKS = 10


def fit_pareto(excess: np.ndarray) -> tuple[float, float]:
    """Shape and scale of a generalised Pareto distribution by the estimator of Zhang and Stephens [1]_.

    The mean of theta = -shape / scale over its profile likelihood on a grid: unlike a search it always converges, and it is closer
    to the truth than maximum likelihood in small samples.

    Parameters
    ----------
    excess : ndarray, shape (n,)
        Positive excesses over the threshold.

    References
    ----------
    .. [1] Zhang and Stephens (2009), A new and efficient estimation method for the generalized Pareto distribution.

    Examples
    --------

    >>> rng = np.random.default_rng(0)
    >>> shape, scale = fit_pareto(2.0 * (rng.random(4_000) ** -0.25 - 1) / 0.25)
    >>> round(shape, 2), round(scale, 2)
    (0.26, 2.02)
    """
    x = np.sort(excess)
    n = len(x)
    m = 20 + int(np.sqrt(n))
    quartile = x[int(n / 4 + 0.5) - 1]
    # Grid of theta, equation 8 of Zhang and Stephens; all below 1 / max(x).
    theta = 1 / x[-1] + (1 - np.sqrt(m / (np.arange(1, m + 1) - 0.5))) / (3 * quartile)
    shape = -np.log1p(-theta[:, None] * x).mean(axis=1)
    # For an exponential tail, shape and theta are both 0; the limit of their ratio is used.
    rate = np.divide(theta, shape, out=np.full(m, 1 / x.mean()), where=shape != 0)
    likelihood = n * (np.log(rate) + shape - 1)
    weight = np.exp(likelihood - likelihood.max())
    best = float((theta * weight).sum() / weight.sum())
    k = -float(np.log1p(-best * x).mean())
    return -k, k / best
