"""The tail of a generalised Pareto distribution, fitted to what exceeds a threshold."""

from __future__ import annotations

import numpy as np

# Fewer peaks say too little of a tail's two parameters.
MIN_PEAKS = 10


def fit_pareto(excess: np.ndarray) -> tuple[float, float]:
    """Shape and scale of a generalised Pareto distribution by the estimator of Zhang and Stephens (2009).

    The mean of theta = -shape / scale over its profile likelihood on a grid: no search that may fail to converge, and closer to the
    truth than maximum likelihood in small samples.

    Parameters
    ----------
    excess : ndarray, shape (n,)
        Positive amounts over the threshold.

    >>> rng = np.random.default_rng(0)
    >>> shape, scale = fit_pareto(2.0 * (rng.random(4_000) ** -0.25 - 1) / 0.25)
    >>> round(shape, 2), round(scale, 2)
    (0.26, 2.02)
    """
    x = np.sort(excess)
    n = len(x)
    m = 20 + int(np.sqrt(n))
    quartile = x[int(n / 4 + 0.5) - 1]
    # Equation 8: grid of theta, below 1 / max(x).
    theta = 1 / x[-1] + (1 - np.sqrt(m / (np.arange(1, m + 1) - 0.5))) / (3 * quartile)
    shape = -np.log1p(-theta[:, None] * x).mean(axis=1)
    # Both are 0 for an exponential tail; their ratio is then that of the limit.
    rate = np.divide(theta, shape, out=np.full(m, 1 / x.mean()), where=shape != 0)
    likelihood = n * (np.log(rate) + shape - 1)
    weight = np.exp(likelihood - likelihood.max())
    best = float((theta * weight).sum() / weight.sum())
    k = -float(np.log1p(-best * x).mean())
    return -k, k / best
