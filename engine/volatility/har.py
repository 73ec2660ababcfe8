"""A variance that is a linear function of mean squared returns over several windows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numba import njit
from scipy.optimize import minimize

from foreshock.engine.volatility.model import LEAST_DF, MAX_PERSISTENCE, MAX_VARIANCE, NotConvergedError, scale_of, student_constant

HAR_WINDOWS = (1, 6, 24, 96)


@dataclass(frozen=True)
class Har:
    """Heterogeneous ARCH [1]_: variance is linear in mean squared returns of several windows, with a leverage term.

    h[t+1] = omega + gamma [r[t] < 0] r[t]^2 + sum_k c_k mean(r^2 over the last w_k bars), all coefficients at least 0, Student-t
    shocks. Unlike that of GARCH, its memory does not decay at a single rate.

    References
    ----------
    .. [1] Mueller et al. (1997), Volatilities of different time resolutions; with the windows of Corsi (2009).
    """

    omega: float
    gamma: float
    weights: tuple[float, ...]
    nu: float
    first: float
    log_likelihood: float
    filtered: np.ndarray

    @property
    def persistence(self) -> float:
        return self.gamma / 2 + sum(self.weights)

    @classmethod
    def fit(cls, returns: np.ndarray) -> Self:
        """Maximum likelihood; see ``Garch.fit`` for shapes and errors."""
        scale = scale_of(returns)
        x = returns / scale
        windows = np.array(HAR_WINDOWS)

        def parameters(p: np.ndarray) -> tuple[float, np.ndarray, float]:
            # One softmax over the constant, the leverage term and the windows keeps the variance stationary.
            share = np.exp(p[:-1] - p[:-1].max())
            share /= share.sum()
            return float(share[0]), share[1:], LEAST_DF + float(np.exp(min(p[-1], 5.0)))

        def loss(p: np.ndarray) -> float:
            omega, share, nu = parameters(p)
            return -_har_log_likelihood_nb(x, omega, 2 * share[0], share[1:], windows, nu, 1.0, student_constant(nu))

        start = np.array([-1.0, -2.0, -1.0, -1.0, -1.0, 0.0, 1.5])
        found = minimize(loss, start, method="BFGS", options={"gtol": 1e-5 * len(x), "maxiter": 200})
        if not np.isfinite(found.fun) or found.fun > loss(start):
            raise NotConvergedError("the HAR likelihood has no maximum on these returns; use another family, or more data")
        omega, share, nu = parameters(found.x)
        if nu <= LEAST_DF + 1e-3 or omega < 1 - MAX_PERSISTENCE:
            raise NotConvergedError(
                f"HAR ends at persistence {1 - omega:.4f}, where it has no mean; use another family, or more data"
            )
        square = scale * scale
        arguments = omega * square, 2 * float(share[0]), tuple(float(c) for c in share[1:]), nu, square
        h = _har_variance_nb(returns, arguments[0], arguments[1], share[1:], windows, square)
        known = np.count_nonzero(~np.isnan(returns))
        return cls(*arguments, -found.fun - known * float(np.log(scale)), h[:-1])

    def variance(self, returns: np.ndarray) -> np.ndarray:
        """Variance of each bar given the previous bars, shape (n_bars + 1,)."""
        return _har_variance_nb(returns, self.omega, self.gamma, np.array(self.weights), np.array(HAR_WINDOWS), self.first)

    def simulate(self, shocks: np.ndarray, start: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Returns and their standard deviations for unit-variance shocks (n_bars,), starting at the variance of bar ``start``."""
        del rng
        first, most = self.filtered[start], MAX_VARIANCE * float(self.filtered.max())
        return _har_simulate_nb(shocks, self.omega, self.gamma, np.array(self.weights), np.array(HAR_WINDOWS), first, most)


@njit(cache=True, error_model="numpy", nogil=True)
def _har_step(squares, sums, t, r, h, omega, gamma, weights, windows):
    """Variance of bar t + 1. Enters the square of r of bar t (its expectation if unknown) in the ring and the running sums.

    Sums are recomputed once per cycle of the ring, so that rounding does not accumulate.
    """
    n = len(squares)
    square = h if np.isnan(r) else r * r
    for k in range(len(windows)):
        if t >= windows[k]:
            sums[k] -= squares[(t - windows[k]) % n]
        sums[k] += square
    squares[t % n] = square
    if t % n == n - 1:
        for k in range(len(windows)):
            sums[k] = 0.0
            for back in range(windows[k]):
                sums[k] += squares[(t - back) % n]
    out = omega + gamma * (0.5 * h if np.isnan(r) else (square if r < 0 else 0.0))
    for k in range(len(windows)):
        out += weights[k] * max(sums[k], 0.0) / windows[k]
    return out


@njit(cache=True, error_model="numpy", nogil=True)
def _har_begin(windows, first):
    """State before the first bar: every window holds the first variance."""
    squares = np.full(windows.max(), first)
    return squares, windows * first


@njit(cache=True, error_model="numpy", nogil=True)
def _har_variance_nb(returns, omega, gamma, weights, windows, first):
    squares, sums = _har_begin(windows, first)
    n = len(squares)
    h = np.empty(len(returns) + 1)
    h[0] = first
    for t in range(len(returns)):
        h[t + 1] = _har_step(squares, sums, n + t, returns[t], h[t], omega, gamma, weights, windows)
    return h


@njit(cache=True, error_model="numpy", nogil=True)
def _har_log_likelihood_nb(returns, omega, gamma, weights, windows, nu, first, constant):
    squares, sums = _har_begin(windows, first)
    n = len(squares)
    h = first
    total = 0.0
    for t in range(len(returns)):
        r = returns[t]
        if not np.isnan(r):
            total += constant - 0.5 * (np.log(h) + (nu + 1) * np.log1p(r * r / (h * (nu - 2))))
        h = _har_step(squares, sums, n + t, r, h, omega, gamma, weights, windows)
    return total


@njit(cache=True, error_model="numpy", nogil=True)
def _har_simulate_nb(shocks, omega, gamma, weights, windows, first, most):
    squares, sums = _har_begin(windows, first)
    n = len(squares)
    returns = np.empty(len(shocks))
    deviation = np.empty(len(shocks))
    h = first
    for t in range(len(shocks)):
        deviation[t] = np.sqrt(h)
        returns[t] = deviation[t] * shocks[t]
        h = min(_har_step(squares, sums, n + t, returns[t], h, omega, gamma, weights, windows), most)
    return returns, deviation
