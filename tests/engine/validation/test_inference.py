"""Intervals and p-values: held to statsmodels, to formulas, to naive panels, and to their promised coverage."""

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from foreshock.engine.validation.evidence.inference import RowSums, bootstrap_ratios, hac_dummy_p, hac_mean_p, hac_variance, welch_p
from foreshock.engine.validation.moves.moves import fit_qlike
from foreshock.engine.validation.selection.multiple import benjamini_hochberg


def overlapping(noise: np.ndarray, horizon: int) -> np.ndarray:
    """Sums of ``horizon`` successive rows of noise: what a move over a horizon looks like row by row."""
    total = np.cumsum(np.vstack([np.zeros(noise.shape[1]), noise]), axis=0)
    return total[horizon:] - total[:-horizon]


def make_sums(move: np.ndarray, event: np.ndarray, expected: np.ndarray | None = None) -> RowSums:
    """Row sums of one symbol; without ``expected`` every event is expected to move by 1."""
    event = event.astype(float)
    expected = np.ones(len(move)) if expected is None else expected
    return RowSums(move * event, event, move * (1 - event), 1 - event, move * event, expected * event, np.zeros(len(move)))


# Long-run variance


@pytest.mark.parametrize("lags", [0, 1, 7, 48, 199])
def test_the_long_run_variance_equals_the_sum_of_weighted_autocovariances(lags):
    x = overlapping(np.random.default_rng(0).standard_normal((205, 1)), 6)[:, 0]
    slow = sum(
        max(0.0, 1 - abs(i - j) / (lags + 1)) * x[i] * x[j] for i in range(len(x)) for j in range(len(x)) if abs(i - j) <= lags
    )
    assert hac_variance(x, lags) == pytest.approx(slow, rel=1e-9)


def test_more_lags_than_rows_are_cut_to_the_rows():
    x = np.random.default_rng(1).standard_normal(20)
    assert hac_variance(x, 500) == pytest.approx(hac_variance(x, 19))


@pytest.mark.parametrize("lags", [0, 5, 48])
def test_the_event_dummy_has_the_p_of_statsmodels(lags):
    rng = np.random.default_rng(2)
    y = np.abs(overlapping(rng.standard_t(5, (1_005, 1)), 6))
    event = rng.random(y.shape) < 0.1
    y[event] *= 1.15
    fit = sm.OLS(y[:, 0], sm.add_constant(event[:, 0].astype(float))).fit(
        cov_type="HAC", cov_kwds={"maxlags": lags, "use_correction": False}
    )
    assert 1e-6 < fit.pvalues[1] < 0.9
    assert hac_dummy_p(y, event, np.ones_like(event), lags) == pytest.approx(fit.pvalues[1], rel=1e-6)


@pytest.mark.parametrize("lags", [0, 8])
def test_the_mean_has_the_p_of_statsmodels(lags):
    x = 0.15 + overlapping(np.random.default_rng(3).standard_normal((505, 1)), 4)
    fit = sm.OLS(x[:, 0], np.ones(len(x))).fit(cov_type="HAC", cov_kwds={"maxlags": lags, "use_correction": False})
    assert 1e-6 < fit.pvalues[0] < 0.9
    assert hac_mean_p(x, np.ones_like(x, dtype=bool), lags) == pytest.approx(fit.pvalues[0], rel=1e-6)


def driscoll_kraay_p(y, event, known, lags):
    """Least squares on the stacked panel; the moments x e are summed over the symbols of a row, row by row."""
    rows, cols = np.nonzero(known)
    x = np.column_stack([np.ones(len(rows)), event[rows, cols].astype(float)])
    beta, *_ = np.linalg.lstsq(x, y[rows, cols], rcond=None)
    moments = np.zeros((len(y), 2))
    for k, row in enumerate(rows):
        moments[row] += x[k] * (y[row, cols[k]] - x[k] @ beta)
    middle = np.zeros((2, 2))
    for s in range(len(y)):
        for t in range(max(0, s - lags), min(len(y), s + lags + 1)):
            middle += (1 - abs(s - t) / (lags + 1)) * np.outer(moments[s], moments[t])
    bread = np.linalg.inv(x.T @ x)
    return 2 * stats.norm.sf(abs(beta[1]) / np.sqrt((bread @ middle @ bread)[1, 1]))


@pytest.mark.parametrize("lags", [0, 12])
def test_a_panel_has_the_p_of_driscoll_and_kraay(lags):
    rng = np.random.default_rng(4)
    market = rng.standard_normal((306, 1))
    y = np.abs(overlapping(market + rng.standard_normal((306, 4)), 6))
    event = (rng.random(y.shape) < 0.1) | (rng.random((len(y), 1)) < 0.05)
    known = rng.random(y.shape) < 0.8
    y[event] *= 1.15
    y[~known] = np.nan
    p = driscoll_kraay_p(np.nan_to_num(y), event, known, lags)
    assert 1e-5 < p < 0.9
    assert hac_dummy_p(y, event, known, lags) == pytest.approx(p, rel=1e-6)


def test_symbols_that_move_as_one_count_once():
    rng = np.random.default_rng(5)
    y = np.abs(rng.standard_normal((400, 1)))
    event = rng.random(y.shape) < 0.2
    known = np.ones_like(event)
    y5, event5, known5 = (np.tile(a, 5) for a in (y, event, known))
    assert hac_dummy_p(y5, event5, known5, 5) == pytest.approx(hac_dummy_p(y, event, known, 5), rel=1e-9)
    assert hac_mean_p(y5 - 0.8, known5, 5) == pytest.approx(hac_mean_p(y - 0.8, known, 5), rel=1e-9)


def test_the_error_of_the_match_enters_the_standard_error():
    # Events in the first half, their neighbours in the second: two independent samples, so that variances add.
    rng = np.random.default_rng(6)
    gain, neighbour = rng.normal(0.1, 1, 300), rng.normal(0, 1, 300)
    x = np.concatenate([gain, np.full(300, np.nan)])[:, None]
    error = np.concatenate([np.zeros(300), neighbour - neighbour.mean()])[:, None]
    standard_error = np.sqrt((gain.var() + neighbour.var()) / 300)
    p = 2 * stats.norm.sf(abs(gain.mean()) / standard_error)
    assert hac_mean_p(x, ~np.isnan(x), 0, error) == pytest.approx(p, rel=1e-9)


def test_too_little_gives_no_p():
    y = np.arange(10.0)[:, None]
    known = np.ones_like(y, dtype=bool)
    one = np.arange(10)[:, None] == 3
    assert np.isnan([hac_dummy_p(y, one, known, 2), hac_dummy_p(y, ~one, known, 2), hac_dummy_p(y, known, known, 2)]).all()
    assert np.isnan(hac_mean_p(y, one, 2))
    assert np.isnan(hac_mean_p(np.zeros_like(y), known, 2))
    assert np.isnan([welch_p(y[:1, 0], y[:, 0]), welch_p(y[:, 0], y[:0, 0]), welch_p(np.ones(5), np.ones(5))]).all()


def test_welch_has_the_statistic_of_scipy_and_the_normal_distribution():
    rng = np.random.default_rng(7)
    a, b = rng.normal(0.2, 2, 40), rng.normal(0, 1, 300)
    t, p = np.asarray(stats.ttest_ind(a, b, equal_var=False))
    assert welch_p(a, b) == pytest.approx(2 * stats.norm.sf(abs(t)), rel=1e-9)
    assert welch_p(a, b) == pytest.approx(p, abs=0.02)


def test_overlap_fools_the_naive_test_but_not_the_robust_one():
    """Alerts in runs, moves over 12 bars, nothing to find: rejections at 5 %."""
    rng = np.random.default_rng(8)
    naive, robust = [], []
    for _ in range(300):
        y = np.abs(overlapping(rng.standard_normal((1_011, 1)), 12))
        event = np.repeat(rng.random((50, 1)) < 0.2, 20, axis=0)
        naive.append(welch_p(y[event], y[~event]) < 0.05)
        robust.append(hac_dummy_p(y, event, np.ones_like(event), 24) < 0.05)
    assert np.mean(naive) > 0.3
    assert np.mean(robust) < 0.12


# Bootstrap


def test_point_ratios_equal_means_over_means():
    rng = np.random.default_rng(9)
    move, event, expected = rng.exponential(1, 200), rng.random(200) < 0.2, rng.exponential(1, 200)
    sums = make_sums(move, event, expected)
    assert sums.raw_ratio() == pytest.approx(move[event].mean() / move[~event].mean())
    assert sums.matched_ratio() == pytest.approx(move[event].mean() / expected[event].mean())


def test_a_block_as_long_as_the_data_leaves_nothing_to_chance():
    rng = np.random.default_rng(10)
    sums = make_sums(rng.exponential(1, 200), rng.random(200) < 0.2)
    raw, matched = bootstrap_ratios(sums, 500, 99, seed=0)
    assert raw == pytest.approx((sums.raw_ratio(),) * 2)
    assert matched == pytest.approx((sums.matched_ratio(),) * 2)


def slow_bootstrap(sums: RowSums, block: int, n_draws: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Both ratios of every draw, row by row around the circle."""
    n_rows = len(sums.event_move)
    starts = np.random.default_rng(seed).integers(0, n_rows, (n_draws, int(np.ceil(n_rows / block))))
    raw, matched = [], []
    for draw in starts:
        rows = [(start + k) % n_rows for start in draw for k in range(block)]
        event = sums.event_move[rows].sum() / sums.event_count[rows].sum()
        raw.append(event / (sums.other_move[rows].sum() / sums.other_count[rows].sum()))
        matched.append(sums.matched_event_move[rows].sum() / (sums.matched_expected[rows] + sums.match_error[rows]).sum())
    return np.array(raw), np.array(matched)


def test_the_bootstrap_equals_one_drawn_row_by_row():
    rng = np.random.default_rng(11)
    n = 103
    event = rng.random(n) < 0.4
    sums = make_sums(rng.exponential(1, n), event, rng.exponential(1, n))
    error = np.where(event, 0.0, rng.normal(0, 0.1, n))
    sums = RowSums(**{**vars(sums), "match_error": error - error.mean()})
    for block in (1, 7, 50):
        raw, matched = slow_bootstrap(sums, block, 60, seed=3)
        found_raw, found_matched = bootstrap_ratios(sums, block, 60, seed=3, level=0.9)
        assert found_raw == pytest.approx(np.quantile(raw, [0.05, 0.95]), rel=1e-9)
        assert found_matched == pytest.approx(np.quantile(matched, [0.05, 0.95]), rel=1e-9)


def coverage(horizon: int, block: int, n_histories: int = 250, n_rows: int = 1_500) -> tuple[float, float]:
    """Shares of null histories whose raw and matched interval hold the truth, with events in runs of a horizon."""
    rng = np.random.default_rng(12)
    truth = np.sqrt(2 * horizon / np.pi)  # mean of |N(0, horizon)|
    held = np.zeros(2)
    for seed in range(n_histories):
        move = np.abs(overlapping(rng.standard_normal((n_rows + horizon - 1, 1)), horizon))[:, 0]
        runs = rng.random(-(-n_rows // horizon)) < 0.1
        event = np.repeat(runs, horizon)[:n_rows]
        intervals = bootstrap_ratios(make_sums(move, event, np.full(n_rows, truth)), block, 199, seed)
        held += [low <= 1 <= high for low, high in intervals]
    return held[0] / n_histories, held[1] / n_histories


def test_intervals_hold_the_truth_in_95_percent_of_independent_histories():
    raw, matched = coverage(horizon=1, block=12)
    assert 0.91 < raw < 0.98
    assert 0.91 < matched < 0.98


def test_intervals_hold_the_truth_under_overlap_where_single_rows_do_not():
    raw, matched = coverage(horizon=12, block=24, n_rows=4_000)
    assert 0.89 < raw < 0.98
    assert 0.89 < matched < 0.98
    raw, matched = coverage(horizon=12, block=1, n_histories=60, n_rows=4_000)
    assert raw < 0.7
    assert matched < 0.7


def test_the_interval_widens_by_what_is_not_known_of_the_match():
    """Events and their neighbours in different rows: the variance of the log ratio is the sum of two."""
    rng = np.random.default_rng(13)
    n = 4_000
    event = np.arange(n) % 2 == 0
    sums = make_sums(rng.exponential(1, n), event)
    error = np.where(event, 0.0, rng.exponential(1, n) - 1)
    error[~event] -= error[~event].mean()
    _, (low, high) = bootstrap_ratios(sums, 2, 999, seed=0)
    _, (noisy_low, noisy_high) = bootstrap_ratios(RowSums(**{**vars(sums), "match_error": error}), 2, 999, seed=0)
    assert (noisy_high - noisy_low) / (high - low) == pytest.approx(np.sqrt(2), rel=0.12)


def test_an_interval_is_unknown_if_draws_may_hold_no_event():
    rng = np.random.default_rng(14)
    move, rows = rng.exponential(1, 500), np.arange(500)
    for n_events, known in ((1, False), (2, False), (20, True)):
        raw, matched = bootstrap_ratios(make_sums(move, rows % (500 // n_events) == 0), 8, 199, seed=0)
        assert (~np.isnan([*raw, *matched])).tolist() == 4 * [known]


# Several tests at once, and the fit of the forecast


def test_q_values_equal_those_by_hand():
    p = np.array([0.01, 0.04, 0.03, 0.20])
    np.testing.assert_allclose(benjamini_hochberg(p), [0.04, 0.04 * 4 / 3, 0.04 * 4 / 3, 0.20])


def test_an_unknown_p_has_no_q_and_does_not_count_as_a_test():
    p = np.array([np.nan, 0.01, 0.04, np.nan, 0.03, 0.20])
    q = benjamini_hochberg(p)
    assert np.isnan(q[[0, 3]]).all()
    np.testing.assert_array_equal(q[[1, 2, 4, 5]], benjamini_hochberg(p[[1, 2, 4, 5]]))
    assert np.isnan(benjamini_hochberg(np.full(3, np.nan))).all()


@pytest.mark.parametrize("noise", ["exponential", "heavy"])
def test_qlike_recovers_a_planted_log_linear_mean(noise):
    rng = np.random.default_rng(15)
    n = 40_000
    x = np.column_stack([np.ones(n), rng.normal(0, 1, n), rng.normal(0, 0.5, n)])
    b = np.array([-4.0, 0.7, -0.4])
    error = rng.exponential(1, n) if noise == "exponential" else rng.pareto(4, n) * 3
    np.testing.assert_allclose(fit_qlike(x, np.exp(x @ b) * error, 0.01), b, atol=0.04)


def test_qlike_of_a_constant_is_the_log_of_the_mean():
    y = np.random.default_rng(16).exponential(1e-3, 500)
    y[:50] = 0
    assert fit_qlike(np.ones((500, 1)), y, 1e-3) == pytest.approx(np.log(y.mean()), abs=1e-6)


def test_qlike_survives_regressors_that_say_the_same_or_nothing():
    rng = np.random.default_rng(17)
    x = rng.normal(0, 1, 2_000)
    y = np.exp(0.5 * x) * rng.exponential(1, 2_000)
    plain = np.column_stack([np.ones(2_000), x])
    redundant = np.column_stack([plain, 2 * x, np.zeros(2_000)])
    np.testing.assert_allclose(redundant @ fit_qlike(redundant, y, 1.0), plain @ fit_qlike(plain, y, 1.0), atol=1e-4)
