"""Multiple testing: corrections for the best of many tests looking good by luck."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from foreshock.data.checks import check_array, check_level, check_vector
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.show.facts import Shown


@door
def benjamini_hochberg(p_values: np.ndarray) -> np.ndarray:
    """q-values of p-values: the share of false discoveries if that test and all with smaller p-values are accepted [1]_.

    Parameters
    ----------
    p_values : ndarray
        Any shape. NaN stays NaN and does not count as a test.

    Returns
    -------
    ndarray
        q-values, in the shape of ``p_values``.

    Raises
    ------
    ValueError
        If a p-value lies outside 0 to 1.

    References
    ----------
    .. [1] Benjamini and Hochberg (1995), Controlling the false discovery rate.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> fs.benjamini_hochberg(np.array([0.01, 0.04, np.nan])).round(3)
    array([0.02, 0.04,  nan])
    """
    check_vector("p_values", p_values)
    return _q_values(p_values, "bh")


@door
def benjamini_yekutieli(p_values: np.ndarray) -> np.ndarray:
    """q-values valid under any dependence of the tests: those of Benjamini and Hochberg times ``sum(1 / i)``, at most 1 [1]_.

    Parameters
    ----------
    p_values : ndarray
        Any shape. NaN stays NaN and does not count as a test.

    Returns
    -------
    ndarray
        q-values, in the shape of ``p_values``.

    Raises
    ------
    ValueError
        If a p-value lies outside 0 to 1.

    References
    ----------
    .. [1] Benjamini and Yekutieli (2001), The control of the false discovery rate in multiple testing under dependency.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> fs.benjamini_yekutieli(np.array([0.01, 0.04, np.nan])).round(3)
    array([0.03, 0.06,  nan])
    """
    check_vector("p_values", p_values)
    return _q_values(p_values, "by")


def holm(p_values: np.ndarray) -> np.ndarray:
    """Adjusted p-values by Holm [1]_: the chance of any false finding is at most the level, however the tests depend on each other.

    Parameters
    ----------
    p_values : ndarray, shape (n,)
        NaN stays NaN and does not count as a test.

    References
    ----------
    .. [1] Holm (1979), A simple sequentially rejective multiple test procedure.

    Examples
    --------
    >>> holm(np.array([0.04, 0.01, np.nan, 0.03])).round(2)
    array([0.06, 0.03,  nan, 0.06])
    """
    p = np.asarray(p_values, float)
    out = np.full(p.shape, np.nan)
    order = np.argsort(p)[: int((~np.isnan(p)).sum())]
    out[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)), 1.0)
    return out


def _q_values(p_values: np.ndarray, method: Literal["bh", "by"]) -> np.ndarray:
    check_array("p_values", p_values)
    p = np.asarray(p_values, float)
    q = np.full(p.shape, np.nan)
    known = ~np.isnan(p)
    if ((p[known] < 0) | (p[known] > 1)).any():
        raise ConfigError("p_values must lie between 0 and 1; pass the p-values of the tests, NaN where one is not known")
    if known.any():
        q[known] = stats.false_discovery_control(p[known], method=method)
    return q


@dataclass(frozen=True, repr=False)
class StepDown(Shown):
    """Adjusted p-values of a step-down test.

    Parameters
    ----------
    p_values : ndarray, shape (n_tests,)
        Adjusted p-values: rejecting all at or below a level keeps the probability of any false rejection at that level. NaN where
        the statistic is not known.
    rounds : ndarray of int, shape (n_tests,)
        Round, from 1, in which the test is rejected at ``level``; 0 if it is not.
    level : float
        Family-wise error rate.
    n_draws, n_tests : int
        Draws used, and tests whose statistic is known.
    """

    p_values: np.ndarray
    rounds: np.ndarray
    level: float
    n_draws: int
    n_tests: int

    @property
    def rejected(self) -> np.ndarray:
        """Tests that are rejected at ``level``, shape (n_tests,)."""
        return self.rounds > 0


@door
def romano_wolf(statistics: np.ndarray, draws: np.ndarray, level: float = 0.05) -> StepDown:
    """Step-down maximum test over dependent tests [1]_.

    Statistics are processed from the largest down; the j-th is compared with the draws of ``max`` over it and all smaller ones:

    ``p_(j) = max(p_(j-1), (1 + #{draws: max_{i >= j} draw_(i) >= t_(j)}) / (1 + n_draws))``

    Tests that move together share their luck within a draw, which the corrections of Bonferroni and Holm do not use.

    Parameters
    ----------
    statistics : ndarray, shape (n_tests,)
        Larger values speak more against the null; all must be on one scale (t-statistics). Absolute values make the test
        two-sided. NaN is a test that could not be made: its p is NaN, and it does not count.
    draws : ndarray, shape (n_draws, n_tests)
        The same statistics under the null, each row from one bootstrap draw or one surrogate history. NaN is a test that could not
        be made in this draw: it counts as not exceeding anything.
    level : float
        Family-wise error rate for ``rejected``.

    Raises
    ------
    ConfigError
        If the shapes do not fit, or there are too few draws to reject anything at ``level``.
    DataError
        If a statistic or draw is infinite, or a known test is NaN in more than half of the draws.

    References
    ----------
    .. [1] Romano and Wolf (2005), Stepwise multiple testing as formalized data snooping; (2016), Efficient computation of
       adjusted p-values for resampling-based stepdown multiple testing.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> draws = np.random.default_rng(0).standard_normal((999, 3))
    >>> fs.romano_wolf(np.array([4.0, 2.2, np.nan]), draws).p_values
    array([0.001, 0.013,   nan])
    """
    check_array("statistics", statistics)
    check_array("draws", draws)
    statistics, draws = np.asarray(statistics, float), np.asarray(draws, float)
    if statistics.ndim != 1 or draws.ndim != 2 or draws.shape[1] != len(statistics):
        raise ConfigError(
            f"statistics and draws must have the shapes (n_tests,) and (n_draws, n_tests), got {statistics.shape} and {draws.shape}"
        )
    check_level(level, 0.05)
    n_draws = len(draws)
    if (1 + n_draws) * level < 1:
        raise ConfigError(f"at least {int(np.ceil(1 / level)) - 1} draws are needed to reject at {level}, got {n_draws}; draw more")
    if np.isinf(statistics).any() or np.isinf(draws).any():
        raise DataError("statistics and draws must be finite or NaN, got an infinite one; a zero standard error causes this")
    known = np.flatnonzero(~np.isnan(statistics))
    unknown = np.isnan(draws[:, known]).mean(axis=0)
    if (unknown > 0.5).any():
        worst = known[unknown.argmax()]
        raise DataError(f"test {worst} is NaN in {unknown.max():.0%} of the draws; set its statistic to NaN, or draw others")
    order = known[np.argsort(-statistics[known], kind="stable")]
    # Column j of the running maximum from the right is the maximum over the j-th largest statistic and all below it.
    tail = np.where(np.isnan(draws[:, order]), -np.inf, draws[:, order])
    tail = np.maximum.accumulate(tail[:, ::-1], axis=1)[:, ::-1]
    exceeding = (tail >= statistics[order]).sum(axis=0)
    p_values = np.full(len(statistics), np.nan)
    p_values[order] = np.maximum.accumulate((1 + exceeding) / (1 + n_draws))
    return StepDown(p_values, _rounds(statistics, p_values, tail, order, level), level, n_draws, len(known))


def _rounds(statistics: np.ndarray, p_values: np.ndarray, tail: np.ndarray, order: np.ndarray, level: float) -> np.ndarray:
    """Round in which each test is rejected, if each round rejects every test that exceeds the maximum over the remaining ones."""
    rounds = np.zeros(len(statistics), np.int64)
    start, n_round, n_draws = 0, 1, len(tail)
    n_falling = int((p_values[order] <= level).sum())
    while start < n_falling:
        exceeding = (tail[:, start, None] >= statistics[order[start:n_falling]]).sum(axis=0)
        fallen = int(((1 + exceeding) / (1 + n_draws) <= level).sum())
        rounds[order[start : start + fallen]] = n_round
        start, n_round = start + fallen, n_round + 1
    return rounds
