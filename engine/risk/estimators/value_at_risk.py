"""Value at risk and expected shortfall of a series of returns; losses are positive.

With the loss L = -r and the level a (such as 0.95), VaR is the a-quantile of L and CVaR the mean of the worst
1 - a of L. Each estimator is a pair ``(var, cvar)`` from the same model:

===================  ===================================================================================
historical           the empirical distribution, no model
gaussian             mean and standard deviation
cornish_fisher       the gaussian quantile, corrected for skew and excess kurtosis
extreme_value        a generalised Pareto tail beyond the 90 % quantile (``tail.py``)
filtered_historical  the empirical shocks of a GARCH model, times its next volatility (``filtered.py``)
garch_t              the Student-t shocks of that model, times its next volatility
===================  ===================================================================================

The first four describe a return drawn from one distribution; the last two describe the next return after the series.
"""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
from scipy.special import ndtri

from foreshock.data.checks import check_level
from foreshock.data.errors import ConfigError
from foreshock.engine.statistics.variation import varies

Moment = TypeVar("Moment", float, np.ndarray)


def historical_var(returns: np.ndarray, level: float = 0.95) -> float:
    """The empirical quantile of the losses: the smallest loss x with P(L <= x) >= level. NaN returns are left out.

    >>> historical_var(np.arange(-10, 10) / 100, 0.9)
    0.08
    """
    return loss_tail(-known_returns(returns, level), level)[0]


def historical_cvar(returns: np.ndarray, level: float = 0.95) -> float:
    """The mean of the worst ``1 - level`` of the losses. NaN returns are left out.

    ``VaR + sum(max(L - VaR, 0)) / (n (1 - level))``: the loss at the quantile counts only with the fraction that lies in the
    tail, so that the tail weighs exactly ``1 - level`` for every n.

    References
    ----------
    Rockafellar and Uryasev (2002), Conditional value-at-risk for general loss distributions.

    Examples
    --------
    The worst 15 % of 20 losses are the three largest.

    >>> round(historical_cvar(np.arange(-10, 10) / 100, 0.85), 12)
    0.09
    """
    return loss_tail(-known_returns(returns, level), level)[1]


def loss_tail(losses: np.ndarray, level: float) -> tuple[float, float]:
    """Historical VaR and CVaR of known losses, shape (n,); NaN if there are none."""
    if not losses.size:
        return math.nan, math.nan
    var = np.quantile(losses, level, method="inverted_cdf")
    return float(var), float(var + np.maximum(losses - var, 0).sum() / (len(losses) * (1 - level)))


def gaussian_var(returns: np.ndarray, level: float = 0.95) -> float:
    """``-mean + std * z`` with z the normal quantile at the level (std with n - 1). NaN returns are left out.

    >>> round(gaussian_var(np.array([-0.01, 0.0, 0.01]), 0.95), 6)
    0.016449
    """
    mean, std, *_ = _moments(known_returns(returns, level))
    return float(-mean + std * gaussian_quantile(level)[0])


def gaussian_cvar(returns: np.ndarray, level: float = 0.95) -> float:
    """``-mean + std * phi(z) / (1 - level)`` with phi the normal density. NaN returns are left out.

    >>> round(gaussian_cvar(np.array([-0.01, 0.0, 0.01]), 0.95), 6)
    0.020627
    """
    mean, std, *_ = _moments(known_returns(returns, level))
    return float(-mean + std * gaussian_quantile(level)[1])


def gaussian_quantile(level: float) -> tuple[float, float]:
    """VaR and CVaR of a standard normal variable."""
    z = ndtri(level)
    return float(z), _density(z) / (1 - level)


def cornish_fisher_var(returns: np.ndarray, level: float = 0.95) -> float:
    """The gaussian VaR with the lower quantile z corrected for skew S and excess kurtosis K of the returns.

    The formula is ``-(mean + std * q(z))`` with ``z`` the normal quantile at ``1 - level`` and
    ``q(z) = z + (z^2 - 1) S / 6 + (z^3 - 3 z) K / 24 - (2 z^3 - 5 z) S^2 / 36``.

    S and K are those of the sample (moments over n). NaN returns are left out; the result is NaN where the returns do not vary.
    The expansion is a quantile function only where q rises everywhere: see ``cornish_fisher_is_monotone``.

    References
    ----------
    Cornish and Fisher (1938); Maillard (2012), A user's guide to the Cornish Fisher expansion.

    Examples
    --------
    >>> round(cornish_fisher_var(np.array([-0.03, 0.0, 0.01, 0.01, 0.01]), 0.95), 6)
    0.034333
    """
    mean, std, skew, kurtosis = _moments(known_returns(returns, level))
    return float(-mean + std * cornish_fisher_quantile(skew, kurtosis, level)[0])


def cornish_fisher_cvar(returns: np.ndarray, level: float = 0.95) -> float:
    """The mean of the Cornish-Fisher quantiles beyond the level.

    The moments of a normal variable below z are polynomials in z times ``phi(z) / (1 - level)``; with them
    ``-mean + std * phi(z) / (1 - level) * (1 + z S / 6 + (z^2 - 1) K / 24 - (2 z^2 - 1) S^2 / 36)``.

    The result is NaN, and valid, in the same cases as that of ``cornish_fisher_var``.

    Examples
    --------
    >>> round(cornish_fisher_cvar(np.array([-0.03, 0.0, 0.01, 0.01, 0.01]), 0.95), 6)
    0.040864
    """
    mean, std, skew, kurtosis = _moments(known_returns(returns, level))
    return float(-mean + std * cornish_fisher_quantile(skew, kurtosis, level)[1])


def cornish_fisher_quantile(skew: Moment, kurtosis: Moment, level: float) -> tuple[Moment, Moment]:
    """VaR and CVaR of a variable with mean 0, variance 1 and this skew and excess kurtosis, arrays of equal shape."""
    z = ndtri(1 - level)
    q = z + (z**2 - 1) * skew / 6 + (z**3 - 3 * z) * kurtosis / 24 - (2 * z**3 - 5 * z) * skew**2 / 36
    tail = 1 + z * skew / 6 + (z**2 - 1) * kurtosis / 24 - (2 * z**2 - 1) * skew**2 / 36
    return -q, _density(z) / (1 - level) * tail


def cornish_fisher_is_monotone(returns: np.ndarray) -> bool:
    """Whether the Cornish-Fisher quantile rises everywhere, so that it is the quantile of some distribution.

    Its slope is ``a z^2 + b z + c`` with ``a = K / 8 - S^2 / 6``, ``b = S / 3``, ``c = 1 - K / 8 + 5 S^2 / 36``: never
    negative where a and c are at least 0 and ``b^2 <= 4 a c``. This requires an excess kurtosis from 0 to 8, which returns of
    short bars often exceed.

    >>> cornish_fisher_is_monotone(np.array([-3, -1, -1, 0, 0, 0, 1, 1, 3]) / 100)
    True
    """
    _, _, skew, kurtosis = _moments(known_returns(returns, 0.5))
    a, b, c = kurtosis / 8 - skew**2 / 6, skew / 3, 1 - kurtosis / 8 + 5 * skew**2 / 36
    # If the returns do not vary, a, b and c are NaN and the comparison is False.
    return bool(a >= 0 and c >= 0 and b**2 <= 4 * a * c)


def known_returns(returns: np.ndarray, level: float = 0.95) -> np.ndarray:
    """The known returns; refuses input that is not one series of simple returns, and a level out of range."""
    returns = np.asarray(returns, dtype=np.float64)
    if returns.ndim != 1:
        raise ConfigError(f"returns must be one series, got the shape {returns.shape}; pass one column at a time")
    if np.isinf(returns).any() or (returns < -1).any():
        raise ConfigError("returns must be simple returns, finite and at least -1; a position cannot lose more than its value")
    check_level(level)
    return returns[~np.isnan(returns)]


def _moments(known: np.ndarray) -> tuple[float, float, float, float]:
    """Mean, standard deviation (n - 1), skew and excess kurtosis (both over n); NaN where not defined."""
    if len(known) < 2:
        return math.nan, math.nan, math.nan, math.nan
    mean = float(known.mean())
    # The standard deviation of equal values is a rounding error, and their skew is noise.
    if not varies(known, level=1.0):
        return mean, 0.0, math.nan, math.nan
    centred = known - mean
    variance = np.mean(centred**2)
    skew = np.mean(centred**3) / variance**1.5
    kurtosis = np.mean(centred**4) / variance**2 - 3
    return mean, float(known.std(ddof=1)), float(skew), float(kurtosis)


def _density(z: float) -> float:
    return math.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
