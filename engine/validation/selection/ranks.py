"""Comparison of several methods by their ranks over many blocks: Friedman's test and Nemenyi's critical difference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from foreshock.data.checks import check_array, check_level, check_names
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.show.facts import Shown, counted
from foreshock.data.show.shown import few


@dataclass(frozen=True, repr=False)
class RankComparison(Shown):
    """Mean ranks of methods over blocks, and the difference beyond chance.

    Parameters
    ----------
    names : tuple of str
        Methods, best mean rank first.
    mean_ranks : tuple of float
        Mean ranks, 1 is the best; tied methods share the mean of their ranks.
    statistic, p_value : float
        Friedman's test of the null that all methods rank alike, chi-squared with ``len(names) - 1`` degrees of freedom.
    critical_difference : float
        Nemenyi's critical difference: two methods differ at ``level`` if their mean ranks are further apart.
    groups : tuple of tuple of str
        The largest runs of two or more methods that do not differ, in the order of ``names``.
    level : float
        Level of the critical difference.
    n_blocks : int
        Number of blocks.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> found = fs.compare_ranks(np.array([[3.0, 2, 1], [3, 2, 1], [3, 1, 2], [2, 3, 1]]), ["a", "b", "c"])
    >>> found.to_frame()["mean_rank"].to_dict()
    {'a': 1.25, 'b': 2.0, 'c': 2.75}
    """

    names: tuple[str, ...]
    mean_ranks: tuple[float, ...]
    statistic: float
    p_value: float
    critical_difference: float
    groups: tuple[tuple[str, ...], ...]
    level: float
    n_blocks: int

    def _facts(self) -> Iterator[str]:
        yield few(self.names, 4)
        yield f"p {self.p_value:.3g}"
        yield f"critical difference {self.critical_difference:.3g}"
        yield counted(self.n_blocks, "block")

    def _preview(self) -> pd.DataFrame:
        return self.to_frame()

    def to_frame(self) -> pd.DataFrame:
        """``mean_rank`` of each method (``name``), best first."""
        return pd.DataFrame({"mean_rank": self.mean_ranks}, pd.Index(self.names, name="name"))


@door
def compare_ranks(figures: np.ndarray, names: Sequence[str], level: float = 0.05) -> RankComparison:
    """Rank methods within each block, and compare their mean ranks [1]_.

    With ``k`` methods, ``n`` blocks and mean ranks ``R_j``, Friedman's statistic is
    ``12 n / (k (k + 1)) sum_j (R_j - (k + 1) / 2)^2``, divided by ``1 - sum(t^3 - t) / (n (k^3 - k))`` where ``t`` values tie;
    and the critical difference

    ``q sqrt(k (k + 1) / (6 n))``

    with ``q`` the upper quantile of the studentised range of ``k`` means, infinite degrees of freedom, over the root of 2. Both
    assume independent blocks: blocks that cover the same time are dependent, and p is then too small.

    Parameters
    ----------
    figures : ndarray, shape (n_blocks, n_methods)
        Figures to rank; larger is better.
    names : sequence of str
        Names of the methods.
    level : float
        Level of the critical difference, for all pairs together.

    Raises
    ------
    ConfigError
        If there are fewer than three methods or two blocks, or the names do not fit.
    DataError
        If a figure is not known, or all methods tie in every block.

    References
    ----------
    .. [1] Demsar (2006), Statistical comparisons of classifiers over multiple data sets.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> found = fs.compare_ranks(np.array([[3.0, 2, 1], [3, 2, 1], [3, 1, 2], [2, 3, 1]]), ["a", "b", "c"])
    >>> found.mean_ranks, round(found.critical_difference, 2), found.groups
    ((1.25, 2.0, 2.75), 1.66, (('a', 'b', 'c'),))
    """
    check_names("names", names)
    check_array("figures", figures)
    check_level(level, 0.05)
    figures, names = np.asarray(figures, float), tuple(names)
    if figures.ndim != 2 or figures.shape[1] != len(names) or len(set(names)) < len(names):
        raise ConfigError(f"figures must have a column for each of {len(names)} different names, got the shape {figures.shape}")
    n, k = figures.shape
    if n < 2 or k < 3:
        raise ConfigError(f"ranks need at least 3 methods over 2 blocks, got {k} over {n}; compare more")
    if np.isnan(figures).any():
        raise DataError(
            f"figures must be known, got {int(np.isnan(figures).sum())} that are NaN; leave out their blocks or methods"
        )
    ranks = stats.rankdata(-figures, axis=1)
    if not np.ptp(ranks, axis=1).any():
        raise DataError(f"all {k} methods tie in each of {n} blocks; there is nothing to rank")
    test = stats.friedmanchisquare(*ranks.T)
    means = ranks.mean(axis=0)
    order = np.argsort(means, kind="stable")
    apart = float(stats.studentized_range.ppf(1 - level, k, np.inf) / np.sqrt(2) * np.sqrt(k * (k + 1) / (6 * n)))
    sorted_names, sorted_means = tuple(names[i] for i in order), means[order]
    groups = tuple(sorted_names[start:stop] for start, stop in _runs(sorted_means, apart))
    mean_ranks = tuple(sorted_means.tolist())
    return RankComparison(sorted_names, mean_ranks, float(test.statistic), float(test.pvalue), apart, groups, level, n)


def _runs(means: np.ndarray, apart: float) -> list[tuple[int, int]]:
    """Starts and stops of the largest runs of ascending means that lie within ``apart`` of the first mean of the run."""
    # A difference that equals the critical one up to rounding does not count as larger.
    stops = np.searchsorted(means, means + apart * (1 + 1e-12), side="right").tolist()
    return [(start, stop) for start, stop in enumerate(stops) if stop - start > 1 and (start == 0 or stop > stops[start - 1])]
