"""Value at risk and expected shortfall of a series of returns; losses are positive.

With the loss L = -r and the level a (such as 0.95), VaR is the a-quantile of L and CVaR the mean of the worst
1 - a of L. Each estimator is a pair ``(var, cvar)`` from the same model:

==================  ====================================================================================
historical          the empirical distribution, no model
gaussian            mean and standard deviation
cornish_fisher      the gaussian quantile, corrected for skew and excess kurtosis
==================  ====================================================================================
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.special import ndtri

from data.errors import ConfigError
from data.interval import Duration, bars_in, parse_duration

DAY = np.timedelta64(1, "D").astype("timedelta64[us]")


def historical_var(returns: np.ndarray, level: float = 0.95) -> float:
    """The empirical quantile of the losses: the smallest loss x with P(L <= x) >= level. NaN returns are left out.

    >>> historical_var(np.arange(-10, 10) / 100, 0.9)
    0.08
    """
    losses = -_known(returns, level)
    return float(np.quantile(losses, level, method="inverted_cdf")) if losses.size else math.nan


def historical_cvar(returns: np.ndarray, level: float = 0.95) -> float:
    """The mean of the worst ``1 - level`` of the losses. NaN returns are left out.

    ``VaR + sum(max(L - VaR, 0)) / (n (1 - level))``: the loss at the quantile counts with the part of it that lies in
    the tail, so that the tail weighs exactly ``1 - level`` whatever n is.

    References
    ----------
    Rockafellar and Uryasev (2002), Conditional value-at-risk for general loss distributions.

    Examples
    --------
    The worst 15 % of 20 losses are the three largest.

    >>> round(historical_cvar(np.arange(-10, 10) / 100, 0.85), 12)
    0.09
    """
    losses = -_known(returns, level)
    if not losses.size:
        return math.nan
    var = np.quantile(losses, level, method="inverted_cdf")
    return float(var + np.maximum(losses - var, 0).sum() / (len(losses) * (1 - level)))


def gaussian_var(returns: np.ndarray, level: float = 0.95) -> float:
    """``-mean + std * z`` with z the normal quantile at the level (std with n - 1). NaN returns are left out.

    >>> round(gaussian_var(np.array([-0.01, 0.0, 0.01]), 0.95), 6)
    0.016449
    """
    mean, std, *_ = _moments(_known(returns, level))
    return float(-mean + std * ndtri(level))


def gaussian_cvar(returns: np.ndarray, level: float = 0.95) -> float:
    """``-mean + std * phi(z) / (1 - level)`` with phi the normal density. NaN returns are left out.

    >>> round(gaussian_cvar(np.array([-0.01, 0.0, 0.01]), 0.95), 6)
    0.020627
    """
    mean, std, *_ = _moments(_known(returns, level))
    return float(-mean + std * _density(ndtri(level)) / (1 - level))


def cornish_fisher_var(returns: np.ndarray, level: float = 0.95) -> float:
    """The gaussian VaR with the lower quantile z corrected for skew S and excess kurtosis K of the returns.

    ``-(mean + std * q(z))`` with ``z`` the normal quantile at ``1 - level`` and
    ``q(z) = z + (z^2 - 1) S / 6 + (z^3 - 3 z) K / 24 - (2 z^3 - 5 z) S^2 / 36``.

    S and K are those of the sample (moments over n). NaN returns are left out; NaN where the returns do not vary. The
    expansion is a quantile function only where q rises everywhere: see ``cornish_fisher_is_monotone``.

    References
    ----------
    Cornish and Fisher (1938); Maillard (2012), A user's guide to the Cornish Fisher expansion.

    Examples
    --------
    >>> round(cornish_fisher_var(np.array([-0.03, 0.0, 0.01, 0.01, 0.01]), 0.95), 6)
    0.034333
    """
    mean, std, skew, kurtosis = _moments(_known(returns, level))
    z = ndtri(1 - level)
    q = z + (z**2 - 1) * skew / 6 + (z**3 - 3 * z) * kurtosis / 24 - (2 * z**3 - 5 * z) * skew**2 / 36
    return float(-(mean + std * q))


def cornish_fisher_cvar(returns: np.ndarray, level: float = 0.95) -> float:
    """The mean of the Cornish-Fisher quantiles beyond the level.

    The moments of a normal variable below z are polynomials in z times ``phi(z) / (1 - level)``; with them
    ``-mean + std * phi(z) / (1 - level) * (1 + z S / 6 + (z^2 - 1) K / 24 - (2 z^2 - 1) S^2 / 36)``.

    NaN as in ``cornish_fisher_var``, and valid where it is.

    Examples
    --------
    >>> round(cornish_fisher_cvar(np.array([-0.03, 0.0, 0.01, 0.01, 0.01]), 0.95), 6)
    0.040864
    """
    mean, std, skew, kurtosis = _moments(_known(returns, level))
    z = ndtri(1 - level)
    tail = 1 + z * skew / 6 + (z**2 - 1) * kurtosis / 24 - (2 * z**2 - 1) * skew**2 / 36
    return float(-mean + std * _density(z) / (1 - level) * tail)


def cornish_fisher_is_monotone(returns: np.ndarray) -> bool:
    """Whether the Cornish-Fisher quantile rises everywhere, so that it is the quantile of some distribution.

    Its slope is ``a z^2 + b z + c`` with ``a = K / 8 - S^2 / 6``, ``b = S / 3``, ``c = 1 - K / 8 + 5 S^2 / 36``: never
    negative where a and c are at least 0 and ``b^2 <= 4 a c``. That asks for an excess kurtosis from 0 to 8, which short
    bars often exceed.

    >>> cornish_fisher_is_monotone(np.array([-3, -1, -1, 0, 0, 0, 1, 1, 3]) / 100)
    True
    """
    _, _, skew, kurtosis = _moments(_known(returns, 0.5))
    a, b, c = kurtosis / 8 - skew**2 / 6, skew / 3, 1 - kurtosis / 8 + 5 * skew**2 / 36
    # NaN (returns that do not vary) compares false.
    return bool(a >= 0 and c >= 0 and b**2 <= 4 * a * c)


ESTIMATORS = {
    "historical": (historical_var, historical_cvar),
    "gaussian": (gaussian_var, gaussian_cvar),
    "cornish_fisher": (cornish_fisher_var, cornish_fisher_cvar),
}


def risk_report(
    returns: np.ndarray,
    levels: Sequence[float] = (0.95, 0.99),
    interval: Duration | None = None,
    time: np.ndarray | None = None,
) -> pd.DataFrame:
    """VaR and CVaR by every estimator, per bar and, with an interval, per day.

    Parameters
    ----------
    returns : ndarray, shape (n_bars,)
        Simple returns, fractions. NaN is not known: left out and counted.
    levels : sequence of float
        Between 0 and 1.
    interval : str, optional
        Length of a bar. Bars are then compounded to days besides; a day counts if all its bars are known.
    time : ndarray of datetime64, shape (n_bars,), optional
        Bar opens, for days of UTC. Without it the first bar is taken to open at midnight.

    Returns
    -------
    DataFrame
        One row per ``period`` (bar, day), ``level`` and ``estimator``; columns ``var`` and ``cvar`` (fractions, losses
        positive), ``n`` (returns used), ``n_missing`` (returns left out) and ``valid``. It is False where there is no
        figure; for historical where the tail has no whole observation, ``n (1 - level) < 1``; and for Cornish-Fisher where
        the expansion is no quantile function.

    Raises
    ------
    ConfigError
        If returns are not one series, are infinite or below -1; if a level is not between 0 and 1; if a day is
        not a whole number of bars; or if time does not fit the returns.

    Examples
    --------
    >>> report = risk_report(np.arange(-10, 10) / 100, levels=[0.9])
    >>> report.loc[("bar", 0.9, "historical")].to_dict()
    {'var': 0.08, 'cvar': 0.095, 'n': 20, 'n_missing': 0, 'valid': True}
    """
    returns = np.asarray(returns, dtype=np.float64)
    periods = {"bar": returns}
    if interval is not None:
        periods["day"] = _daily(returns, parse_duration(interval, "interval"), time)
    elif time is not None:
        raise ConfigError("time is used for returns per day: give interval with it, such as interval='1h'")
    rows = []
    for period, series in periods.items():
        for level in levels:
            known = _known(series, level)
            for name, (var, cvar) in ESTIMATORS.items():
                row = {"period": period, "level": level, "estimator": name, "var": var(series, level)}
                row |= {"cvar": cvar(series, level), "n": len(known), "n_missing": len(series) - len(known)}
                rows.append(row | {"valid": math.isfinite(row["cvar"]) and _valid(name, known, level)})
    return pd.DataFrame(rows).set_index(["period", "level", "estimator"])


def _valid(name: str, known: np.ndarray, level: float) -> bool:
    if name == "historical":
        return len(known) * (1 - level) >= 1 - 1e-9
    return name != "cornish_fisher" or cornish_fisher_is_monotone(known)


def _daily(returns: np.ndarray, interval: np.timedelta64, time: np.ndarray | None) -> np.ndarray:
    """Compounded return of each UTC day; NaN where one of its bars is unknown. Days cut off at either end are dropped."""
    per_day = bars_in(DAY, interval, "a day")
    if time is None:
        time = np.datetime64(0, "us") + np.arange(len(returns)) * interval
    if len(time) != len(returns) or (np.diff(time) != interval).any():
        raise ConfigError(f"time must be one open per return, {len(returns)} in all, one interval apart, got {len(time)}")
    _, first, n_bars = np.unique(np.asarray(time).astype("datetime64[D]"), return_index=True, return_counts=True)
    if not first.size:
        return np.empty(0)
    return (np.multiply.reduceat(1 + returns, first) - 1)[n_bars == per_day]


def _known(returns: np.ndarray, level: float) -> np.ndarray:
    returns = np.asarray(returns, dtype=np.float64)
    if returns.ndim != 1:
        raise ConfigError(f"returns must be one series, got the shape {returns.shape}; give one column at a time")
    if np.isinf(returns).any() or (returns < -1).any():
        raise ConfigError("returns must be simple returns, finite and at least -1; nothing can lose more than all")
    if not 0 < level < 1:
        raise ConfigError(f"level must be between 0 and 1, such as 0.95, got {level!r}")
    return returns[~np.isnan(returns)]


def _moments(known: np.ndarray) -> tuple[float, float, float, float]:
    """Mean, standard deviation (n - 1), skew and excess kurtosis (both over n); NaN where not defined."""
    if len(known) < 2:
        return math.nan, math.nan, math.nan, math.nan
    mean = float(known.mean())
    # Equal values have a rounding error for a spread, and its skew is noise.
    if np.ptp(known) == 0:
        return mean, 0.0, math.nan, math.nan
    centred = known - mean
    variance = np.mean(centred**2)
    skew = np.mean(centred**3) / variance**1.5
    kurtosis = np.mean(centred**4) / variance**2 - 3
    return mean, float(known.std(ddof=1)), float(skew), float(kurtosis)


def _density(z: float) -> float:
    return math.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
