"""GARCH and GJR-GARCH with Student-t shocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numba import njit
from scipy.optimize import minimize

from foreshock.engine.volatility.model import (
    LEAST_DF,
    MAX_PERSISTENCE,
    MAX_VARIANCE,
    MOST_DF,
    NotConvergedError,
    scale_of,
    student_constant,
)


@dataclass(frozen=True)
class Garch:
    """GJR-GARCH(1,1) [1]_ with Student-t shocks; plain GARCH [2]_ where gamma is 0.

    r[t] = sqrt(h[t]) z[t], h[t+1] = omega + (alpha + gamma [r[t] < 0]) r[t]^2 + beta h[t].

    Parameters
    ----------
    omega, alpha, gamma, beta : float
        Coefficients of the recursion above.
    nu : float
        Degrees of freedom of the shocks, which have variance 1.
    first : float
        Variance of the first bar, h[0].
    log_likelihood : float
        Log likelihood of the returns that the model was fitted to.
    filtered : ndarray, shape (n_bars,)
        Variance h of those returns.

    References
    ----------
    .. [1] Glosten, Jagannathan and Runkle (1993), On the relation between the expected value and the volatility of the nominal
       excess return on stocks.
    .. [2] Bollerslev (1987), A conditionally heteroskedastic time series model for speculative prices and rates of return.
    """

    omega: float
    alpha: float
    gamma: float
    beta: float
    nu: float
    first: float
    log_likelihood: float
    filtered: np.ndarray

    @property
    def persistence(self) -> float:
        return self.alpha + self.gamma / 2 + self.beta

    @classmethod
    def fit(cls, returns: np.ndarray, leverage: bool = True, stationary: bool = True) -> Self:
        """Maximum likelihood for log returns without a mean, shape (n_bars,); NaN is an unknown bar.

        Simulations need a ``stationary`` process; forecasts of the next bar do not. Without ``stationary`` a unit root is accepted.

        Raises
        ------
        DataError
            If fewer than 300 returns are known, or all are zero.
        NotConvergedError
            If the search does not converge, or ends at a unit root or where shocks have no variance.
        """
        scale = scale_of(returns)
        x = returns / scale

        def loss(p: np.ndarray) -> float:
            omega, alpha, gamma, beta, nu, first = _garch_parameters(p, leverage)
            return -garch_log_likelihood_nb(x, omega, alpha, gamma, beta, nu, first, student_constant(nu))

        start = np.array([3.5, -2.0, -1.5 if leverage else 0.0, 1.5, 0.0])
        found = minimize(loss, start, method="BFGS", options={"gtol": 1e-5 * len(x), "maxiter": 200})
        if not np.isfinite(found.fun) or found.fun > loss(start):
            raise NotConvergedError("the GARCH likelihood has no maximum on these returns; use another family, or more data")
        omega, alpha, gamma, beta, nu, first = _garch_parameters(found.x, leverage)
        if (stationary and alpha + gamma / 2 + beta > MAX_PERSISTENCE) or nu <= LEAST_DF + 1e-3:
            raise NotConvergedError(
                f"GARCH ends at persistence {alpha + gamma / 2 + beta:.4f} and {nu:.2f} degrees of freedom, where its variance is "
                f"not finite; use another family, or more data"
            )
        square = scale * scale
        h = garch_variance_nb(returns, omega * square, alpha, gamma, beta, first * square)
        known = np.count_nonzero(~np.isnan(returns))
        return cls(omega * square, alpha, gamma, beta, nu, first * square, -found.fun - known * float(np.log(scale)), h[:-1])

    def variance(self, returns: np.ndarray) -> np.ndarray:
        """Variance of each bar given the previous bars, shape (n_bars + 1,)."""
        return garch_variance_nb(returns, self.omega, self.alpha, self.gamma, self.beta, self.first)

    def mean_variance(self, h: np.ndarray, horizon: int) -> np.ndarray:
        """Expected mean variance of ``horizon`` bars, the first of which has variance h."""
        p = self.persistence
        level = self.omega / (1 - p)
        return level + (h - level) * (1 - p**horizon) / ((1 - p) * horizon)

    def simulate(self, shocks: np.ndarray, start: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Returns and their standard deviations for unit-variance shocks (n_bars,), starting at the variance of bar ``start``."""
        del rng
        most = MAX_VARIANCE * float(self.filtered.max())
        return _garch_simulate_nb(shocks, self.omega, self.alpha, self.gamma, self.beta, self.filtered[start], most)


def _garch_parameters(p: np.ndarray, leverage: bool) -> tuple[float, float, float, float, float, float]:
    """Model parameters for returns of variance 1; news is the share of the persistence that squared returns carry."""
    persistence, news = 1 / (1 + np.exp(-np.clip(p[0], -30, 30))), 1 / (1 + np.exp(-np.clip(p[1], -30, 30)))
    asymmetry = 1 / (1 + np.exp(-np.clip(p[2], -30, 30))) if leverage else 0.0
    total = persistence * news
    level = float(np.exp(np.clip(p[4], -5, 5)))
    nu = LEAST_DF + float(np.exp(min(p[3], np.log(MOST_DF))))
    alpha, gamma, beta = total * (1 - asymmetry), 2 * total * asymmetry, persistence - total
    return level * (1 - persistence), float(alpha), float(gamma), float(beta), nu, level


@njit(cache=True, error_model="numpy", nogil=True)
def garch_variance_nb(returns, omega, alpha, gamma, beta, first):
    """h of ``Garch``, shape (n_bars + 1,)."""
    h = np.empty(len(returns) + 1)
    h[0] = first
    for t in range(len(returns)):
        r = returns[t]
        news = (alpha + gamma / 2) * h[t] if np.isnan(r) else (alpha + gamma * (r < 0)) * r * r
        h[t + 1] = omega + news + beta * h[t]
    return h


@njit(cache=True, error_model="numpy", nogil=True)
def garch_log_likelihood_nb(returns, omega, alpha, gamma, beta, nu, first, constant):
    """Student-t log-likelihood of ``Garch``; ``constant`` is the log density of a shock of 0."""
    h = first
    total = 0.0
    for t in range(len(returns)):
        r = returns[t]
        if np.isnan(r):
            h = omega + (alpha + gamma / 2 + beta) * h
        else:
            total += constant - 0.5 * (np.log(h) + (nu + 1) * np.log1p(r * r / (h * (nu - 2))))
            h = omega + (alpha + gamma * (r < 0)) * r * r + beta * h
    return total


@njit(cache=True, error_model="numpy", nogil=True)
def _garch_simulate_nb(shocks, omega, alpha, gamma, beta, first, most):
    returns = np.empty(len(shocks))
    deviation = np.empty(len(shocks))
    h = first
    for t in range(len(shocks)):
        deviation[t] = np.sqrt(h)
        r = deviation[t] * shocks[t]
        returns[t] = r
        h = min(omega + (alpha + gamma * (r < 0)) * r * r + beta * h, most)
    return returns, deviation
