"""Exponentially weighted variance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit


@dataclass(frozen=True)
class Ewma:
    """Exponentially weighted variance: h[t+1] = h[t] + smoothing (r[t]^2 - h[t]), h[0] the sample variance."""

    halflife: float

    def variance(self, returns: np.ndarray) -> np.ndarray:
        """Variance of each bar given the previous bars, shape (n_bars + 1,)."""
        return _ewma_variance_nb(returns, 1 - 0.5 ** (1 / self.halflife), float(np.nanvar(returns)))


@njit(cache=True, error_model="numpy", nogil=True)
def _ewma_variance_nb(returns, smoothing, first):
    h = np.empty(len(returns) + 1)
    h[0] = first
    for t in range(len(returns)):
        r = returns[t]
        h[t + 1] = h[t] if np.isnan(r) else h[t] + smoothing * (r * r - h[t])
    return h
