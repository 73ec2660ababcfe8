"""How rare a score is: against a slow twin, a closed form and later rows."""

import numpy as np
import pytest

import foreshock as fs
from foreshock.engine.statistics.pareto import fit_pareto
from foreshock.engine.thresholds.tail_probability import tail_probability

HOUR = np.timedelta64(1, "h")


def scores_of(values: np.ndarray) -> fs.Scores:
    time = np.datetime64("2024-01-01", "us") + np.arange(len(values)) * HOUR
    return fs.Scores(time, tuple("AB"[: values.shape[1]]), values, HOUR)


@pytest.fixture
def scores() -> fs.Scores:
    rng = np.random.default_rng(5)
    values = rng.standard_t(4, (1_200, 2)).round(2)
    values[rng.random(values.shape) < 0.1] = np.nan
    values[:100] = np.nan
    return scores_of(values)


def test_within_the_scores_seen_it_is_the_share_that_is_at_least_as_high(scores):
    rows, cols = np.nonzero(~np.isnan(scores.values))
    found = tail_probability(scores, fs.RollingQuantile(0.9, "10D"), rows, cols)
    beyond = 0
    for probability, row, col in zip(found, rows, cols, strict=True):
        window = scores.values[max(row - 239, 0) : row + 1, col]
        window = window[~np.isnan(window)]
        if (window >= window[-1]).sum() > 1 or len(window) <= 200:
            assert probability == (window >= window[-1]).mean()
        else:
            beyond += 1
            assert probability < 1 / len(window) * 3
    assert beyond > 3


def test_a_threshold_without_a_window_has_all_earlier_scores(scores):
    rows, cols = np.array([1_000, 1_100]), np.array([0, 1])
    whole = tail_probability(scores, fs.RollingQuantile(0.9, "1200h"), rows, cols)
    np.testing.assert_array_equal(tail_probability(scores, fs.Fixed(1.0), rows, cols), whole)


def test_beyond_the_scores_seen_it_is_that_of_the_fitted_tail():
    values = np.random.default_rng(1).exponential(1.0, (1_000, 1))
    values[-1] = 12.0
    found = tail_probability(scores_of(values), fs.PeaksOverThreshold(0.99, 0.9, "60D"), np.array([999]), np.array([0]))[0]
    before = values[:-1, 0]
    start = np.quantile(before, 0.9)
    peaks = before[before > start] - start
    shape, scale = fit_pareto(peaks)
    assert found == pytest.approx(len(peaks) / 999 * (1 + shape * (12.0 - start) / scale) ** (-1 / shape))
    # The truth is exp(-12) = 6e-6; a share would say 1e-3.
    assert 1e-7 < found < 3e-4


def test_the_farther_a_score_is_the_rarer_and_none_is_impossible():
    values = np.random.default_rng(2).random((500, 1))
    found = []
    for last in (0.5, 0.99, 1.0001, 1.01, 50.0):
        values[-1] = last
        found.append(tail_probability(scores_of(values), fs.RollingQuantile(0.9, "20D"), np.array([499]), np.array([0]))[0])
    assert found == sorted(found, reverse=True)
    assert found[-1] > 0


def test_later_rows_and_rows_before_the_window_do_not_change_it(scores):
    rows, cols = np.array([700, 800]), np.array([0, 1])
    rule = fs.RollingQuantile(0.9, "10D")
    values = scores.values.copy()
    values[801:] = 1e9
    values[: 700 - 240] = -1e9
    np.testing.assert_array_equal(tail_probability(scores_of(values), rule, rows, cols), tail_probability(scores, rule, rows, cols))


def test_scores_scaled_by_volatility_are_compared_as_scaled(scores):
    rule = fs.VolatilityScaled(fs.RollingQuantile(0.9, "10D"), "2D")
    rows, cols = np.nonzero(~np.isnan(scores.values))
    rows, cols = rows[1_000:1_100], cols[1_000:1_100]
    scaled = fs.standardise_by_volatility(scores)
    found = tail_probability(scores, rule, rows, cols)
    np.testing.assert_array_equal(found, tail_probability(scaled, rule.policy, rows, cols))
    assert (found != tail_probability(scores, rule.policy, rows, cols)).any()


def test_a_score_beyond_a_tail_that_ends_is_as_rare_as_an_exponential_tail_has_it():
    # Scores of a bounded detector: the fitted tail ends near 1.
    values = np.random.default_rng(3).random((800, 1)) ** 0.5
    found = []
    for last in (1.01, 1.05, 1.2):
        values[-1] = last
        found.append(tail_probability(scores_of(values), fs.RollingQuantile(0.9, "30D"), np.array([799]), np.array([0]))[0])
    before = values[80:-1, 0]
    start = np.quantile(before, 0.95)
    peaks = before[before > start] - start
    assert found == pytest.approx(
        [len(peaks) / len(before) * np.exp((start - x) / peaks.mean()) for x in (1.01, 1.05, 1.2)], rel=1e-9
    )
    assert found[0] > found[1] > found[2] > 1e-9
