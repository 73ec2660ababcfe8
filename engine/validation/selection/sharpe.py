"""Sharpe ratios as estimates: their errors, and the correction for choosing the best of many trials."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from foreshock.data.checks import check_array, check_integer, check_number, check_whole
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.show.facts import Shown
from foreshock.data.show.shown import shown
from foreshock.engine.statistics.variation import varies
from foreshock.engine.validation.evidence.inference import hac_variance


@dataclass(frozen=True, repr=False)
class SharpeEstimate(Shown):
    """A Sharpe ratio per bar and how well it is known.

    Parameters
    ----------
    ratio : float
        ``mean(r) / std(r)``, n - 1 in the variance; NaN if the returns do not vary.
    error : float
        Standard error of ``ratio``.
    skew, kurtosis : float
        Skew and kurtosis of the returns; 0 and 3 for a normal.
    n : int
        Known returns.
    lags : int
        Autocovariances in ``error``; 0 assumes independent returns.
    """

    ratio: float
    error: float
    skew: float
    kurtosis: float
    n: int
    lags: int


@door
def sharpe_estimate(returns: np.ndarray, lags: int = 0) -> SharpeEstimate:
    """Sharpe ratio per bar with the standard error of its influence function.

    With ``x = (r - mean) / std``, the influence of a bar on the ratio s is ``x - s (x^2 - 1) / 2``; the variance of s is the
    Newey-West variance of these over ``lags`` autocovariances. Without lags it is ``(1 - S s + (K - 1) / 4 s^2) / n``, that of
    Mertens (2002) [2]_, and for normal returns that of Lo (2002), ``(1 + s^2 / 2) / n`` [1]_.

    Parameters
    ----------
    returns : ndarray, shape (n_bars,)
        Simple returns, fractions. NaN (not known) is left out.
    lags : int
        Autocovariances in the error; 0 assumes independent returns.

    Raises
    ------
    ConfigError
        If returns are not one series, or ``lags`` is negative or not below the number of returns.
    DataError
        If a return is infinite.

    References
    ----------
    .. [1] Lo (2002), The statistics of Sharpe ratios.
    .. [2] Mertens (2002), Comments on variance of the IID estimator in Lo (2002).

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> found = fs.sharpe_estimate(np.array([0.02, -0.01, 0.01, 0.0]))
    >>> round(found.ratio, 4), round(found.error, 4), round(found.kurtosis, 2)
    (0.3873, 0.506, 1.64)
    """
    check_integer("lags", lags)
    check_array("returns", returns)
    returns = np.asarray(returns, float)
    if returns.ndim != 1:
        raise ConfigError(f"returns must be one series, got the shape {returns.shape}; pass one column at a time")
    if lags < 0:
        raise ConfigError(f"lags must not be negative, got {lags}")
    known = returns[~np.isnan(returns)]
    if np.isinf(known).any():
        raise DataError("returns must be finite or NaN, got an infinite one")
    # Values that differ by rounding alone have a standard deviation of 0, not of that rounding.
    if not varies(known, level=1.0):
        return SharpeEstimate(math.nan, math.nan, math.nan, math.nan, known.size, lags)
    if lags >= known.size:
        raise ConfigError(f"lags must be fewer than the {known.size} returns, got {shown(lags)}; their cube root is usual")
    ratio = float(known.mean() / known.std(ddof=1))
    x = (known - known.mean()) / known.std()
    influence = x - ratio * (x**2 - 1) / 2
    error = math.sqrt(max(hac_variance(influence, lags), 0.0)) / known.size
    return SharpeEstimate(ratio, error, float(np.mean(x**3)), float(np.mean(x**4)), known.size, lags)


@door
def probabilistic_sharpe(returns: np.ndarray, benchmark: float = 0.0, lags: int = 0) -> float:
    """Probability that the true Sharpe ratio per bar lies above ``benchmark`` [1]_.

    The formula is ``Phi((s - benchmark) / error)``, the error as in ``sharpe_estimate`` with n - 1 in place of n. NaN if the
    returns do not vary, or fewer than three are known.

    Parameters
    ----------
    returns : ndarray, shape (n_bars,)
        Simple returns, fractions. NaN (not known) is left out.
    benchmark : float
        Sharpe ratio per bar.
    lags : int
        See ``sharpe_estimate``.

    Raises
    ------
    ConfigError
        If returns are not one series, ``lags`` is negative, or ``benchmark`` is not finite.
    DataError
        If a return is infinite.

    References
    ----------
    .. [1] Bailey and Lopez de Prado (2012), The Sharpe ratio efficient frontier.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> round(fs.probabilistic_sharpe(np.array([0.02, -0.01, 0.01, 0.0])), 4)
    0.7463
    """
    check_number("benchmark", benchmark)
    check_integer("lags", lags)
    check_array("returns", returns)
    return _above(sharpe_estimate(returns, lags), benchmark)


def _above(found: SharpeEstimate, benchmark: float) -> float:
    if not math.isfinite(benchmark):
        raise ConfigError(f"benchmark must be a finite Sharpe ratio per bar, got {benchmark}")
    # With two values the error is zero except for rounding.
    if found.n < 3 or not found.error > 1e-12:
        return math.nan
    error = found.error * math.sqrt(found.n / (found.n - 1))
    return float(stats.norm.cdf((found.ratio - benchmark) / error))


@door
def expected_max_sharpe(n_trials: int, trial_variance: float) -> float:
    """The Sharpe ratio that the best of ``n_trials`` independent trials without skill is expected to reach [1]_.

    The formula is ``sqrt(V) ((1 - g) Phi^-1(1 - 1 / N) + g Phi^-1(1 - 1 / (N e)))``, g the Euler-Mascheroni constant; 0 for one
    trial.

    Parameters
    ----------
    n_trials : int
        Number of independent trials, at least 1.
    trial_variance : float
        Variance V of the Sharpe ratios per bar of the trials.

    Raises
    ------
    ConfigError
        If ``n_trials`` is not a whole number of at least 1, or ``trial_variance`` is negative or not finite.

    References
    ----------
    .. [1] Bailey and Lopez de Prado (2014), The deflated Sharpe ratio.

    Examples
    --------
    >>> import foreshock as fs
    >>> round(fs.expected_max_sharpe(100, 0.5), 3)
    1.789
    """
    check_number("trial_variance", trial_variance)
    check_whole("n_trials", n_trials, 1)
    if isinstance(n_trials, bool) or n_trials != int(n_trials) or n_trials < 1:
        raise ConfigError(f"n_trials must be a whole number of at least 1, got {shown(n_trials)}")
    if not (math.isfinite(trial_variance) and trial_variance >= 0):
        raise ConfigError(f"trial_variance must be finite and not negative, got {trial_variance}")
    if n_trials == 1:
        return 0.0
    high, higher = stats.norm.isf(1 / n_trials), stats.norm.isf(1 / (n_trials * math.e))
    return float(math.sqrt(trial_variance) * ((1 - np.euler_gamma) * high + np.euler_gamma * higher))


@dataclass(frozen=True, repr=False)
class DeflatedSharpe(Shown):
    """A Sharpe ratio after correction for the search that found it; all ratios per bar.

    Parameters
    ----------
    probability : float
        Probability that the true ratio lies above the best ratio that the trials would reach by luck; NaN if the returns do not
        vary.
    estimate : SharpeEstimate
        The ratio of the chosen strategy.
    expected_max : float
        The best ratio expected of the trials by luck.
    n_trials : int
        Number of trials.
    trial_variance : float
        Variance of the Sharpe ratios of the trials.
    """

    probability: float
    estimate: SharpeEstimate
    expected_max: float
    n_trials: int
    trial_variance: float


@door
def deflated_sharpe(returns: np.ndarray, n_trials: int, trial_variance: float, lags: int = 0) -> DeflatedSharpe:
    """Probabilistic Sharpe ratio with the best ratio expected of ``n_trials`` trials without skill as its benchmark [1]_.

    Parameters
    ----------
    returns : ndarray, shape (n_bars,)
        Simple returns, fractions, of the chosen strategy; NaN is left out.
    n_trials : int
        Number of all configurations tried, including forgotten ones: ``Ledger.count`` has them.
    trial_variance : float
        Variance of the Sharpe ratios per bar of the trials, with divisor n - 1.
    lags : int
        See ``sharpe_estimate``.

    Raises
    ------
    ConfigError
        If an argument is out of its range; see ``sharpe_estimate`` and ``expected_max_sharpe``.
    DataError
        If a return is infinite.

    References
    ----------
    .. [1] Bailey and Lopez de Prado (2014), The deflated Sharpe ratio: correcting for selection bias, backtest overfitting, and
       non-normality.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> returns = np.random.default_rng(0).normal(0.1, 1.0, 500)
    >>> [round(fs.deflated_sharpe(returns, n, 0.002).probability, 3) for n in (1, 10, 100)]
    [0.945, 0.514, 0.181]
    """
    check_integer("lags", lags)
    check_array("returns", returns)
    check_whole("n_trials", n_trials, 1)
    luck = expected_max_sharpe(n_trials, trial_variance)
    found = sharpe_estimate(returns, lags)
    return DeflatedSharpe(_above(found, luck), found, luck, int(n_trials), float(trial_variance))


@door
def min_track_record(returns: np.ndarray, benchmark: float = 0.0, level: float = 0.05, lags: int = 0) -> float:
    """Bars needed until a Sharpe ratio like this one lies above ``benchmark`` (per bar) with probability ``1 - level`` [1]_.

    The formula is ``1 + n error^2 (Phi^-1(1 - level) / (s - benchmark))^2``. Infinite if the ratio does not exceed the benchmark,
    NaN if the returns do not vary.

    Parameters
    ----------
    returns : ndarray, shape (n_bars,)
        Simple returns, fractions. NaN (not known) is left out.
    benchmark : float
        Sharpe ratio per bar.
    level : float
        One-sided error probability, between 0 and 0.5.
    lags : int
        See ``sharpe_estimate``.

    Raises
    ------
    ConfigError
        If returns are not one series, or an argument is out of its range.
    DataError
        If a return is infinite.

    References
    ----------
    .. [1] Bailey and Lopez de Prado (2012), The Sharpe ratio efficient frontier.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> round(fs.min_track_record(np.array([0.02, -0.01, 0.01, 0.0])), 2)
    19.47
    """
    check_number("benchmark", benchmark)
    check_number("level", level)
    check_integer("lags", lags)
    check_array("returns", returns)
    if not 0 < level < 0.5:
        raise ConfigError(f"level must lie between 0 and 0.5, got {level}; 0.05 is usual")
    found = sharpe_estimate(returns, lags)
    if math.isnan(found.ratio):
        return math.nan
    if found.ratio <= benchmark:
        return math.inf
    return float(1 + found.n * found.error**2 * (stats.norm.isf(level) / (found.ratio - benchmark)) ** 2)
