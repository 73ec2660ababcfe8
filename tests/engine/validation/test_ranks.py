"""Friedman's test and the critical difference, against SciPy, the published table and a worked example."""

import numpy as np
import pytest
from scipy import stats

from foreshock.data.errors import ConfigError, DataError
from foreshock.engine.validation.selection.ranks import compare_ranks

# Critical values of the two-tailed Nemenyi test for 2 to 10 methods (Demsar 2006, table 5a, 5 % and 10 %).
PUBLISHED = {
    0.05: (1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164),
    0.10: (1.645, 2.052, 2.291, 2.459, 2.589, 2.693, 2.780, 2.855, 2.920),
}


@pytest.mark.parametrize("level", PUBLISHED)
@pytest.mark.parametrize("k", range(3, 11))
def test_the_critical_difference_is_that_of_the_published_table(k, level):
    n = 30
    found = compare_ranks(np.random.default_rng(k).normal(size=(n, k)), [str(i) for i in range(k)], level)
    assert found.critical_difference * np.sqrt(6 * n / (k * (k + 1))) == pytest.approx(PUBLISHED[level][k - 2], abs=1.1e-3)


@pytest.mark.parametrize("digits", [6, 0])
def test_statistic_and_p_are_those_of_scipy_with_and_without_ties(digits):
    figures = np.random.default_rng(3).normal(size=(14, 5)).round(digits) + np.array([0, 0, 0.5, 1, 0])
    found = compare_ranks(figures, list("abcde"))
    expected = stats.friedmanchisquare(*figures.T)
    assert (found.statistic, found.p_value) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-12)
    ranks = np.array([stats.rankdata(-row) for row in figures]).mean(axis=0)
    assert dict(zip(found.names, found.mean_ranks, strict=True)) == pytest.approx(dict(zip("abcde", ranks, strict=True)))
    assert list(found.mean_ranks) == sorted(ranks)


def test_friedmans_statistic_follows_its_formula_by_hand():
    # Three methods over four blocks, ranks 1 2 3 / 1 2 3 / 1 3 2 / 2 1 3: means 1.25, 2, 2.75.
    found = compare_ranks(np.array([[3.0, 2, 1], [3, 2, 1], [3, 1, 2], [2, 3, 1]]), ["a", "b", "c"])
    assert found.mean_ranks == (1.25, 2.0, 2.75)
    assert found.statistic == pytest.approx(12 * 4 / (3 * 4) * (0.75**2 + 0 + 0.75**2))
    assert found.p_value == pytest.approx(np.exp(-found.statistic / 2))


def test_bars_join_the_largest_runs_that_are_not_apart_and_no_smaller_ones():
    n, k = 40, 5
    # a and b swap places, then c, then d and e swap: means 1.5, 1.5, 3, 4.5, 4.5; the critical difference is .96.
    figures = np.tile([[5.0, 4, 3, 2, 1], [4, 5, 3, 1, 2]], (n // 2, 1))
    found = compare_ranks(figures, list("abcde"))
    assert found.mean_ranks == (1.5, 1.5, 3.0, 4.5, 4.5)
    assert found.critical_difference == pytest.approx(2.728 * np.sqrt(k * (k + 1) / (6 * n)), abs=1e-3)
    assert found.groups == (("a", "b"), ("d", "e"))
    few = compare_ranks(figures[:12], list("abcde"))
    assert 1.5 < few.critical_difference < 3
    assert few.groups == (("a", "b", "c"), ("c", "d", "e"))
    assert compare_ranks(figures[:2], list("abcde")).groups == (("a", "b", "c", "d", "e"),)


def test_under_the_null_five_percent_of_panels_have_a_pair_that_is_told_apart():
    rng = np.random.default_rng(0)
    found = [compare_ranks(rng.normal(size=(25, 4)), list("abcd")) for _ in range(600)]
    apart = np.mean([one.mean_ranks[-1] - one.mean_ranks[0] > one.critical_difference for one in found])
    assert 0.02 < apart < 0.08
    assert 0.02 < np.mean([one.p_value <= 0.05 for one in found]) < 0.08


def test_what_cannot_be_ranked_is_refused():
    figures = np.arange(12.0).reshape(4, 3)
    for wrong, names in ((figures, ["a", "b"]), (figures, ["a", "a", "b"]), (figures[0], ["a"])):
        with pytest.raises(ConfigError, match="a column for each"):
            compare_ranks(wrong, names)
    for part, names in ((figures[:1], "abc"), (figures[:, :2], "ab")):
        with pytest.raises(ConfigError, match="at least 3 methods over 2 blocks, got"):
            compare_ranks(part, list(names))
    with pytest.raises(DataError, match="got 1 that are NaN"):
        compare_ranks(np.where(figures == 5, np.nan, figures), list("abc"))
    with pytest.raises(DataError, match="tie in each of 4 blocks"):
        compare_ranks(np.ones((4, 3)), list("abc"))
    with pytest.raises(ConfigError, match="level must be between 0 and 1"):
        compare_ranks(figures, list("abc"), 5)
