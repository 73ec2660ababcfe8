"""Stochastic volatility: log variance follows its own autoregression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numba import njit
from scipy.optimize import minimize

from foreshock.engine.volatility.model import MAX_PERSISTENCE, NotConvergedError, scale_of

# Mean and variance of the log of a squared standard normal.
LOG_CHI2_MEAN, LOG_CHI2_VARIANCE = -1.2703628454614782, np.pi**2 / 2


@dataclass(frozen=True)
class StochasticVolatility:
    """Log variance as a first-order autoregression with its own shocks, by quasi maximum likelihood [1]_.

    log h[t] = mean + x[t], x[t+1] = phi x[t] + eta[t], eta of standard deviation ``noise``; log r[t]^2 = log h[t] + log z[t]^2
    is treated as Gaussian with the mean and variance for normal z, and filtered by a Kalman filter. ``variance`` is the exp of the
    filter's forecast plus half its variance. Absolute returns below ``floor``, a fiftieth of the typical one, are raised to it,
    because an unchanged price has no log.

    References
    ----------
    .. [1] Harvey, Ruiz and Shephard (1994), Multivariate stochastic variance models.
    """

    mean: float
    phi: float
    noise: float
    floor: float
    log_likelihood: float
    filtered: np.ndarray
    smoothed: np.ndarray

    @classmethod
    def fit(cls, returns: np.ndarray) -> Self:
        """Quasi maximum likelihood; see ``Garch.fit`` for shapes and errors."""
        scale = scale_of(returns)
        floor = float(np.nanmedian(np.abs(returns[returns != 0]))) / 50
        y = _log_squares(returns / scale, floor / scale)
        mean = float(np.nanmean(y))
        centred = y - mean

        def parameters(p: np.ndarray) -> tuple[float, float]:
            return float(MAX_PERSISTENCE / (1 + np.exp(-p[0]))), float(np.exp(np.clip(p[1], -8, 1)))

        def loss(p: np.ndarray) -> float:
            phi, noise = parameters(p)
            return -_kalman_nb(centred, phi, noise * noise, LOG_CHI2_VARIANCE)[0]

        found = min(
            (minimize(loss, start, method="Nelder-Mead", options={"maxiter": 400}) for start in ((3.0, -1.5), (4.5, -2.5))),
            key=lambda result: result.fun,
        )
        phi, noise = parameters(found.x)
        if not np.isfinite(found.fun):
            raise NotConvergedError("the stochastic volatility likelihood has no maximum on these returns; use another family")
        # The mean of log z^2 is known for normal z only; for fatter tails the level is rescaled so that shocks have variance 1.
        _, forecast, spread, smooth = _kalman_nb(centred, phi, noise * noise, LOG_CHI2_VARIANCE)
        level = mean - LOG_CHI2_MEAN + 2 * np.log(scale)
        level += float(np.log(np.nanmean(returns**2 / np.exp(level + smooth))))
        return cls(level, phi, noise, floor, -found.fun, np.exp(level + forecast[:-1] + spread[:-1] / 2), np.exp(level + smooth))

    def variance(self, returns: np.ndarray) -> np.ndarray:
        """Variance of each bar given the previous bars, shape (n_bars + 1,)."""
        y = _log_squares(returns, self.floor) - self.mean - LOG_CHI2_MEAN
        _, forecast, spread, _ = _kalman_nb(y, self.phi, self.noise**2, LOG_CHI2_VARIANCE)
        return np.exp(self.mean + forecast + spread / 2)

    def simulate(self, shocks: np.ndarray, start: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Returns and their standard deviations for unit-variance shocks (n_bars,); log variance gets random shocks of its own."""
        x0 = float(np.log(self.smoothed[start])) - self.mean
        x = _ar1_nb(rng.standard_normal(len(shocks)) * self.noise, self.phi, x0)
        deviation = np.exp((self.mean + x) / 2)
        return deviation * shocks, deviation


def _log_squares(returns: np.ndarray, floor: float) -> np.ndarray:
    return np.log(np.maximum(returns**2, floor**2))


@njit(cache=True, error_model="numpy", nogil=True)
def _kalman_nb(y, phi, noise_variance, observation_variance):
    """Gaussian log likelihood, one-step forecasts (n + 1,), their variances, and smoothed states (n,) of y = x + e.

    The state follows x[t+1] = phi x[t] + eta[t] and starts from its stationary distribution.
    """
    n = len(y)
    a = np.zeros(n + 1)
    p = np.empty(n + 1)
    p[0] = noise_variance / (1 - phi * phi)
    total = 0.0
    for t in range(n):
        if np.isnan(y[t]):
            a[t + 1] = phi * a[t]
            p[t + 1] = phi * phi * p[t] + noise_variance
        else:
            f = p[t] + observation_variance
            v = y[t] - a[t]
            total -= 0.5 * (np.log(2 * np.pi * f) + v * v / f)
            gain = phi * p[t] / f
            a[t + 1] = phi * a[t] + gain * v
            p[t + 1] = phi * phi * p[t] + noise_variance - gain * gain * f
    smooth = np.empty(n)
    back = 0.0
    for t in range(n - 1, -1, -1):
        if np.isnan(y[t]):
            back = phi * back
        else:
            f = p[t] + observation_variance
            back = (y[t] - a[t]) / f + (phi - phi * p[t] / f) * back
        smooth[t] = a[t] + p[t] * back
    return total, a, p, smooth


@njit(cache=True, error_model="numpy", nogil=True)
def _ar1_nb(noise, phi, first):
    x = np.empty(len(noise))
    state = first
    for t in range(len(noise)):
        x[t] = state
        state = phi * state + noise[t]
    return x
