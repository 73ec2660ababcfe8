"""Models of volatility: GARCH, HAR and stochastic volatility, fitted to one symbol's log returns.

Each model has ``variance(returns)``: the variance of every bar given the bars before it, one value more than there are bars, the
last being the forecast for the bar to come; and ``simulate(shocks, ...)``: returns made of unit-variance shocks. A bar that is
unknown (NaN) moves the variance as its expectation would.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numba import njit
from scipy.optimize import minimize
from scipy.special import gammaln

from data.errors import DataError

HAR_WINDOWS = (1, 6, 24, 96)
MIN_RETURNS = 300
# A unit root has no mean to come back to, and a simulation needs one.
MAX_PERSISTENCE = 0.9995
LEAST_DF, MOST_DF = 2.1, 200.0
# A simulated variance above this many times the largest that the data saw has left the range in which the model was fitted.
MAX_VARIANCE = 2.0
# log of a squared standard normal: mean and variance.
LOG_CHI2_MEAN, LOG_CHI2_VARIANCE = -1.2703628454614782, np.pi**2 / 2


class VolatilityModel(Protocol):
    """What a surrogate history needs of a model."""

    def variance(self, returns: np.ndarray) -> np.ndarray: ...

    def simulate(self, shocks: np.ndarray, start: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]: ...


class NotConvergedError(DataError):
    """The likelihood has no maximum inside the model's limits; another family may fit."""


@dataclass(frozen=True)
class Ewma:
    """Exponentially weighted variance: h[t+1] = h[t] + smoothing (r[t]^2 - h[t]), h[0] the sample variance."""

    halflife: float

    def variance(self, returns: np.ndarray) -> np.ndarray:
        """Variance of each bar given those before it, shape (n_bars + 1,)."""
        return _ewma_variance_nb(returns, 1 - 0.5 ** (1 / self.halflife), float(np.nanvar(returns)))


@dataclass(frozen=True)
class Garch:
    """GJR-GARCH(1,1) [1]_ with Student-t shocks; plain GARCH [2]_ where gamma is 0.

    r[t] = sqrt(h[t]) z[t], h[t+1] = omega + (alpha + gamma [r[t] < 0]) r[t]^2 + beta h[t].

    Parameters
    ----------
    omega, alpha, gamma, beta : float
    nu : float
        Degrees of freedom of the shocks, which have variance 1.
    first : float
        h[0].
    log_likelihood : float
        Of the returns it was fitted to.
    filtered : ndarray, shape (n_bars,)
        h of those returns.

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
    def fit(cls, returns: np.ndarray, leverage: bool = True) -> Self:
        """Maximum likelihood of log returns without a mean, shape (n_bars,); NaN is an unknown bar.

        Raises
        ------
        DataError
            If fewer than 300 returns are known, or none differs from zero.
        NotConvergedError
            If the search ends nowhere, or at a unit root.
        """
        scale = _scale(returns)
        x = returns / scale

        def loss(p: np.ndarray) -> float:
            omega, alpha, gamma, beta, nu, first = _garch_parameters(p, leverage)
            return -garch_log_likelihood_nb(x, omega, alpha, gamma, beta, nu, first, _student_constant(nu))

        start = np.array([3.5, -2.0, -1.5 if leverage else 0.0, 1.5, 0.0])
        found = minimize(loss, start, method="BFGS", options={"gtol": 1e-5 * len(x), "maxiter": 200})
        if not np.isfinite(found.fun) or found.fun > loss(start):
            raise NotConvergedError("the GARCH likelihood has no maximum on these returns; use another family, or more data")
        omega, alpha, gamma, beta, nu, first = _garch_parameters(found.x, leverage)
        if alpha + gamma / 2 + beta > MAX_PERSISTENCE or nu <= LEAST_DF + 1e-3:
            raise NotConvergedError(
                f"GARCH ends at persistence {alpha + gamma / 2 + beta:.4f} and {nu:.2f} degrees of freedom, where its variance is "
                f"not finite; use another family, or more data"
            )
        square = scale * scale
        h = garch_variance_nb(returns, omega * square, alpha, gamma, beta, first * square)
        known = np.count_nonzero(~np.isnan(returns))
        return cls(omega * square, alpha, gamma, beta, nu, first * square, -found.fun - known * float(np.log(scale)), h[:-1])

    def variance(self, returns: np.ndarray) -> np.ndarray:
        """Variance of each bar given those before it, shape (n_bars + 1,)."""
        return garch_variance_nb(returns, self.omega, self.alpha, self.gamma, self.beta, self.first)

    def mean_variance(self, h: np.ndarray, horizon: int) -> np.ndarray:
        """Expected mean variance of the ``horizon`` bars of which the first has variance h."""
        p = self.persistence
        level = self.omega / (1 - p)
        return level + (h - level) * (1 - p**horizon) / ((1 - p) * horizon)

    def simulate(self, shocks: np.ndarray, start: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Returns and their standard deviations for unit-variance shocks (n_bars,), from the variance of bar ``start`` on."""
        del rng
        most = MAX_VARIANCE * float(self.filtered.max())
        return _garch_simulate_nb(shocks, self.omega, self.alpha, self.gamma, self.beta, self.filtered[start], most)


@dataclass(frozen=True)
class Har:
    """Heterogeneous ARCH [1]_: variance is linear in mean squared returns of several windows, with a leverage term.

    h[t+1] = omega + gamma [r[t] < 0] r[t]^2 + sum_k c_k mean(r^2 over the last w_k bars), all coefficients at least 0, Student-t
    shocks. Unlike GARCH its memory does not die out at one rate.

    References
    ----------
    .. [1] Mueller et al. (1997), Volatilities of different time resolutions; in the windows of Corsi (2009).
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
        scale = _scale(returns)
        x = returns / scale
        windows = np.array(HAR_WINDOWS)

        def parameters(p: np.ndarray) -> tuple[float, np.ndarray, float]:
            # One softmax over the constant, the leverage term and the windows keeps the variance stationary.
            share = np.exp(p[:-1] - p[:-1].max())
            share /= share.sum()
            return float(share[0]), share[1:], LEAST_DF + float(np.exp(min(p[-1], 5.0)))

        def loss(p: np.ndarray) -> float:
            omega, share, nu = parameters(p)
            return -_har_log_likelihood_nb(x, omega, 2 * share[0], share[1:], windows, nu, 1.0, _student_constant(nu))

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
        """Variance of each bar given those before it, shape (n_bars + 1,)."""
        return _har_variance_nb(returns, self.omega, self.gamma, np.array(self.weights), np.array(HAR_WINDOWS), self.first)

    def simulate(self, shocks: np.ndarray, start: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Returns and their standard deviations for unit-variance shocks (n_bars,), from the variance of bar ``start`` on."""
        del rng
        first, most = self.filtered[start], MAX_VARIANCE * float(self.filtered.max())
        return _har_simulate_nb(shocks, self.omega, self.gamma, np.array(self.weights), np.array(HAR_WINDOWS), first, most)


@dataclass(frozen=True)
class StochasticVolatility:
    """Log variance as a first-order autoregression of its own, by quasi maximum likelihood [1]_.

    log h[t] = mean + x[t], x[t+1] = phi x[t] + eta[t], eta of standard deviation ``noise``; log r[t]^2 = log h[t] + log z[t]^2
    with z taken as normal, run through a Kalman filter. ``variance`` is exp of the filter's forecast plus half its variance.
    Returns count as ``floor`` at least, a fiftieth of the typical one: an unchanged price has no log.

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
        scale = _scale(returns)
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
        # mean of log z^2 is known for normal z; with fatter tails the level is set so that shocks have variance 1.
        _, forecast, spread, smooth = _kalman_nb(centred, phi, noise * noise, LOG_CHI2_VARIANCE)
        level = mean - LOG_CHI2_MEAN + 2 * np.log(scale)
        level += float(np.log(np.nanmean(returns**2 / np.exp(level + smooth))))
        return cls(level, phi, noise, floor, -found.fun, np.exp(level + forecast[:-1] + spread[:-1] / 2), np.exp(level + smooth))

    def variance(self, returns: np.ndarray) -> np.ndarray:
        """Variance of each bar given those before it, shape (n_bars + 1,)."""
        y = _log_squares(returns, self.floor) - self.mean - LOG_CHI2_MEAN
        _, forecast, spread, _ = _kalman_nb(y, self.phi, self.noise**2, LOG_CHI2_VARIANCE)
        return np.exp(self.mean + forecast + spread / 2)

    def simulate(self, shocks: np.ndarray, start: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Returns and their standard deviations for unit-variance shocks (n_bars,); log variance has noise of its own."""
        x0 = float(np.log(self.smoothed[start])) - self.mean
        x = _ar1_nb(rng.standard_normal(len(shocks)) * self.noise, self.phi, x0)
        deviation = np.exp((self.mean + x) / 2)
        return deviation * shocks, deviation


def _scale(returns: np.ndarray) -> float:
    known = returns[~np.isnan(returns)]
    if len(known) < MIN_RETURNS:
        raise DataError(f"a volatility model needs at least {MIN_RETURNS} known returns, got {len(known)}; give more data")
    scale = float(known.std())
    if not scale > 0:
        raise DataError("a volatility model needs returns that differ from each other; this price never moved")
    return scale


def _garch_parameters(p: np.ndarray, leverage: bool) -> tuple[float, float, float, float, float, float]:
    """Of returns with variance 1: news is the share of the persistence that comes from squared returns."""
    persistence, news = 1 / (1 + np.exp(-np.clip(p[0], -30, 30))), 1 / (1 + np.exp(-np.clip(p[1], -30, 30)))
    asymmetry = 1 / (1 + np.exp(-np.clip(p[2], -30, 30))) if leverage else 0.0
    total = persistence * news
    level = float(np.exp(np.clip(p[4], -5, 5)))
    nu = LEAST_DF + float(np.exp(min(p[3], np.log(MOST_DF))))
    alpha, gamma, beta = total * (1 - asymmetry), 2 * total * asymmetry, persistence - total
    return level * (1 - persistence), float(alpha), float(gamma), float(beta), nu, level


def _student_constant(nu: float) -> float:
    """log of the density at 0 of a Student-t of variance 1."""
    return float(gammaln((nu + 1) / 2) - gammaln(nu / 2) - 0.5 * np.log(np.pi * (nu - 2)))


def _log_squares(returns: np.ndarray, floor: float) -> np.ndarray:
    return np.log(np.maximum(returns**2, floor**2))


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


@njit(cache=True, error_model="numpy", nogil=True)
def _har_step(squares, sums, t, r, h, omega, gamma, weights, windows):
    """Variance of bar t + 1: takes r of bar t (its expectation where unknown) into the ring and the running sums.

    Sums are taken anew once a ring, lest rounding accumulates.
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
    """Before the first bar every window holds the first variance."""
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


@njit(cache=True, error_model="numpy", nogil=True)
def _kalman_nb(y, phi, noise_variance, observation_variance):
    """Gaussian log-likelihood, one-step forecasts (n + 1,) with their variances, and smoothed states (n,) of y = x + e.

    x[t+1] = phi x[t] + eta[t], started from its stationary law.
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


@njit(cache=True, error_model="numpy", nogil=True)
def _ewma_variance_nb(returns, smoothing, first):
    h = np.empty(len(returns) + 1)
    h[0] = first
    for t in range(len(returns)):
        r = returns[t]
        h[t + 1] = h[t] if np.isnan(r) else h[t] + smoothing * (r * r - h[t])
    return h
