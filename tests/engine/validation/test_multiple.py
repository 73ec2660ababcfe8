"""Many tests and many trials: corrections against slow twins, published figures and peers, and error rates by simulation."""

import math
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from foreshock.data.errors import ConfigError, DataError
from foreshock.engine.validation.selection.model_comparison import (
    bootstrap_means,
    model_confidence_set,
    superior_models,
    superior_predictive_ability,
)
from foreshock.engine.validation.selection.multiple import benjamini_hochberg, benjamini_yekutieli, romano_wolf
from foreshock.engine.validation.selection.overfitting import overfitting_probability
from foreshock.engine.validation.selection.sharpe import (
    deflated_sharpe,
    expected_max_sharpe,
    min_track_record,
    probabilistic_sharpe,
    sharpe_estimate,
)

RNG = np.random.default_rng


def trials() -> np.ndarray:
    """30 strategies of heavy-tailed returns, the first ones a little better than the last."""
    return RNG(42).standard_t(5, (600, 30)) * 0.01 + 0.00004 * np.arange(30)[::-1]


def slow_q(p: np.ndarray, penalty: float) -> np.ndarray:
    """q of each p by its definition: the smallest rate at which the step-up procedure rejects it."""
    n = len(p)
    q = np.ones(n)
    for i in range(n):
        for threshold in p[p >= p[i]]:
            q[i] = min(q[i], penalty * n * threshold / (p <= threshold).sum())
    return q


@pytest.mark.parametrize("seed", range(5))
def test_false_discovery_rates_equal_their_definition_and_unknown_tests_do_not_count(seed):
    p = RNG(seed).random(20) ** 3
    holes = np.insert(p, [3, 11], np.nan)
    harmonic = sum(1 / i for i in range(1, 21))
    for correct, penalty in ((benjamini_hochberg, 1.0), (benjamini_yekutieli, harmonic)):
        found = correct(holes)
        np.testing.assert_allclose(found[~np.isnan(holes)], np.minimum(slow_q(p, penalty), 1))
        assert np.isnan(found[np.isnan(holes)]).all()
    assert np.isnan(benjamini_yekutieli(np.array([np.nan]))).all()


def slow_step_down(statistics: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Adjusted p-values one test and one draw at a time."""
    left = [i for i in range(len(statistics)) if not math.isnan(statistics[i])]
    p, worst = np.full(len(statistics), np.nan), 0.0
    while left:
        top = max(left, key=lambda i: statistics[i])
        n_beyond = 0
        for draw in draws:
            known = [draw[i] for i in left if not math.isnan(draw[i])]
            n_beyond += bool(known) and max(known) >= statistics[top]
        worst = max(worst, (1 + n_beyond) / (1 + len(draws)))
        p[top] = worst
        left.remove(top)
    return p


@pytest.mark.parametrize("seed", range(10))
def test_romano_wolf_equals_a_slow_step_down_with_unknown_tests_and_draws(seed):
    rng = RNG(seed)
    # Rounded, so that draws tie with statistics.
    draws = (rng.standard_normal((199, 8)) + rng.standard_normal((199, 1))).round(1)
    draws[rng.random(draws.shape) < 0.2] = np.nan
    statistics = (rng.standard_normal(8) * 2).round(1)
    statistics[rng.integers(0, 8, 2)] = np.nan
    draws[:, np.isnan(statistics)] = np.nan
    found = romano_wolf(statistics, draws)
    np.testing.assert_array_equal(found.p_values, slow_step_down(statistics, draws))
    np.testing.assert_array_equal(found.rejected, found.p_values <= 0.05)
    assert found.n_tests == (~np.isnan(statistics)).sum()


def test_romano_wolf_goes_on_for_as_many_rounds_as_reject_something():
    # The noise of each test is smaller than that of the one above it: only its fall lets the next one be seen.
    scale = np.array([100.0, 10.0, 1.0, 0.1, 0.1])
    draws = RNG(0).standard_normal((999, 5)) * scale
    found = romano_wolf(scale * [5, 5, 5, 5, 0], draws)
    np.testing.assert_array_equal(found.rounds, [1, 2, 3, 4, 0])
    everything = romano_wolf(np.full(5, 1000.0), draws)
    np.testing.assert_array_equal(everything.rounds, 1)


def test_romano_wolf_keeps_its_level_on_tests_that_move_together_and_sees_more_than_bonferroni():
    rng = RNG(1)
    n_runs, n_tests, rho = 1500, 30, 0.8
    wrong = seen = bonferroni = 0
    for _ in range(n_runs):
        both = np.sqrt(rho) * rng.standard_normal((400, 1)) + np.sqrt(1 - rho) * rng.standard_normal((400, n_tests))
        wrong += romano_wolf(both[0], both[1:]).rejected.any()
        planted = both[0] + 2.6 * (np.arange(n_tests) == 0)
        seen += romano_wolf(planted, both[1:]).rejected[0]
        bonferroni += stats.norm.sf(planted[0]) * n_tests <= 0.05
    # 0.05 +- 3 standard errors of 1,500 runs.
    assert 0.033 <= wrong / n_runs <= 0.067
    assert seen > 1.15 * bonferroni


@pytest.mark.parametrize(
    ("statistics", "draws", "error", "words"),
    [
        (np.zeros(3), np.zeros((99, 2)), ConfigError, "shapes"),
        (np.zeros(2), np.zeros((9, 2)), ConfigError, "at least 19 draws are needed to reject at 0.05, got 9"),
        (np.array([0, np.inf]), np.zeros((99, 2)), DataError, "infinite"),
        (np.zeros(2), np.where(np.arange(198).reshape(99, 2) % 2, np.nan, 0.0), DataError, "test 1 is NaN in 100% of the draws"),
    ],
)
def test_romano_wolf_refuses_what_it_cannot_judge(statistics, draws, error, words):
    with pytest.raises(error, match=words):
        romano_wolf(statistics, draws)
    with pytest.raises(ConfigError, match="level must be between 0 and 1"):
        romano_wolf(np.zeros(2), np.zeros((99, 2)), level=0)


def test_no_test_at_all_is_no_rejection():
    found = romano_wolf(np.full(3, np.nan), np.full((99, 3), np.nan))
    assert np.isnan(found.p_values).all()
    assert not found.rejected.any()


# --- models


def arch_step(benchmark, models, seed=1):
    from arch.bootstrap import StepM

    test = StepM(benchmark, models, block_size=1, reps=500, seed=seed)
    test.compute()
    return test.superior_models


def test_superior_models_survive_winners_over_several_rounds_where_the_peer_crashes():
    models = RNG(2).standard_normal((300, 4)) * [1, 1, 1, 3] - [0.6, 0.3, 0.2, 0.9]
    with pytest.raises(ValueError, match="zero-size array"):
        arch_step(np.zeros(300), models)
    assert superior_models(np.zeros(300), models, block=1).rejected.all()


def test_superior_models_agree_with_the_peer_on_models_of_one_scale():
    agreeing = 0
    for seed in range(10):
        models = RNG(seed).standard_normal((400, 6)) - [0.5, 0.4, 0.0, 0.0, 0.0, -0.3]
        found = superior_models(np.zeros(400), models, block=1, n_draws=999, seed=seed)
        assert set(np.flatnonzero(found.rejected)) >= {0, 1}
        agreeing += list(np.flatnonzero(found.rejected)) == arch_step(np.zeros(400), models)
    assert agreeing >= 9


def test_spa_is_not_blinded_by_one_noisy_model_as_unstudentised_means_are():
    from arch.bootstrap import SPA

    noise = RNG(1).standard_normal((500, 2))
    models = noise * [1, 30] - [0.2, 0.0]
    raw = SPA(np.zeros(500), models, block_size=1, reps=999, seed=0)
    raw.compute()
    assert raw.pvalues["consistent"] > 0.2
    found = superior_predictive_ability(np.zeros(500), models, block=1)
    assert found.consistent == 0.001
    assert (found.best, found.n_models, found.n_rows, found.block) == (0, 2, 500, 1)
    assert found.lower <= found.consistent <= found.upper


def test_spa_keeps_its_level_under_noise_that_depends_on_its_past():
    rng, n_wrong = RNG(3), 0
    for seed in range(150):
        shocks = rng.standard_normal((260, 5))
        smooth = sum(shocks[k : k + 256] for k in range(4)) / 2
        n_wrong += superior_predictive_ability(np.zeros(256), smooth, block=16, n_draws=199, seed=seed).consistent <= 0.05
    assert n_wrong / 150 <= 0.12


def test_the_confidence_set_holds_the_best_model_and_drops_the_bad_one():
    rng, kept, dropped = RNG(4), 0, 0
    for seed in range(60):
        losses = rng.standard_normal((300, 4)) + np.array([0.0, 0.0, 0.05, 0.6])
        found = model_confidence_set(losses, ["a", "b", "c", "d"], level=0.1, block=2, n_draws=199, seed=seed)
        assert set(found.included) == {name for name, p in zip(found.names, found.p_values, strict=True) if p > 0.1}
        kept += "a" in found.included
        dropped += "d" not in found.included
    assert kept >= 51
    assert dropped == 60
    assert found.p_values.max() == 1.0
    assert found.p_values.min() > 0


def test_bootstrap_means_have_the_spread_of_a_series_that_depends_on_its_past():
    shocks = RNG(5).standard_normal(4009)
    smooth = np.convolve(shocks, np.ones(10), "valid")[:, None]
    spread = bootstrap_means(smooth, 100, 999, 0).std()
    # The long-run standard deviation of a moving sum of ten is 10; taken for independent it would be sqrt(10).
    assert spread * np.sqrt(4000) == pytest.approx(10, rel=0.2)
    np.testing.assert_array_equal(bootstrap_means(smooth, 100, 99, 7), bootstrap_means(smooth, 100, 99, 7))


def test_models_that_cannot_be_compared_are_refused():
    noise = RNG(6).standard_normal((50, 3))
    with pytest.raises(DataError, match="model 1 differs from the benchmark by a constant"):
        superior_models(noise[:, 1] + 1, noise)
    with pytest.raises(DataError, match="'a' and 'c' differ by a constant"):
        model_confidence_set(noise[:, [0, 1, 0]], ["a", "b", "c"])
    with pytest.raises(ConfigError, match="a name each"):
        model_confidence_set(noise, ["a", "b", "b"])
    noise[3, 1] = np.nan
    with pytest.raises(DataError, match="got 1 rows that are not"):
        superior_predictive_ability(np.zeros(50), noise)
    with pytest.raises(ConfigError, match="benchmark must be one loss for each of 50 rows"):
        superior_predictive_ability(np.zeros(49), noise[:, :1])
    with pytest.raises(DataError, match="at least 10 rows, got 9"):
        superior_predictive_ability(np.zeros(9), noise[:9, :1])
    with pytest.raises(ConfigError, match="block must lie between 1 and the 49"):
        superior_models(np.zeros(50), noise[:, :1], block=50)


# --- Sharpe ratios


def test_the_error_of_a_sharpe_ratio_is_mertens_and_for_normal_returns_los():
    returns = RNG(0).standard_gamma(2.0, 4000) - 1.8
    found = sharpe_estimate(returns)
    skew, kurtosis = stats.skew(returns), stats.kurtosis(returns, fisher=False)
    mertens = (1 - skew * found.ratio + (kurtosis - 1) / 4 * found.ratio**2) / 4000
    assert found.error == pytest.approx(math.sqrt(mertens), rel=1e-3)
    normal = sharpe_estimate(RNG(1).normal(0.3, 1, 100_000))
    assert normal.error == pytest.approx(math.sqrt((1 + normal.ratio**2 / 2) / 100_000), rel=0.01)


def test_the_error_of_a_sharpe_ratio_is_its_spread_over_histories_even_when_returns_depend_on_their_past():
    shocks = RNG(2).standard_normal((1500, 1009)) + 0.05
    dependent = sum(shocks[:, k : k + 1000] for k in range(10))
    ratios = [sharpe_estimate(row) for row in dependent]
    spread = np.std([found.ratio for found in ratios])
    assert np.mean([found.error for found in ratios]) < 0.4 * spread
    assert np.mean([sharpe_estimate(row, lags=30).error for row in dependent]) == pytest.approx(spread, rel=0.12)


def test_the_deflated_sharpe_ratio_is_that_of_its_papers_example():
    # Bailey and Lopez de Prado (2014): 100 trials, variance 1/2 a year, 250 bars a year, best 2.5 a year over 1,250 bars.
    assert expected_max_sharpe(100, 0.5 / 250) == pytest.approx(0.1132, abs=5e-5)
    ratio, skew, kurtosis = 2.5 / math.sqrt(250), -3, 10
    error = math.sqrt((1 - skew * ratio + (kurtosis - 1) / 4 * ratio**2) / 1249)
    assert stats.norm.cdf((ratio - expected_max_sharpe(100, 0.5 / 250)) / error) == pytest.approx(0.9004, abs=5e-5)
    # The same formula, written out, on returns.
    returns = RNG(3).standard_t(6, 1250) + 0.1
    found = deflated_sharpe(returns, 100, 0.5 / 250)
    s, g3, g4 = returns.mean() / returns.std(ddof=1), stats.skew(returns), stats.kurtosis(returns, fisher=False)
    z = (s - found.expected_max) * math.sqrt(1249) / math.sqrt(1 - g3 * s + (g4 - 1) / 4 * s**2)
    assert found.probability == pytest.approx(stats.norm.cdf(z), abs=1e-4)
    assert (found.n_trials, found.trial_variance) == (100, 0.002)


def test_the_expected_maximum_is_near_that_of_simulated_trials():
    best = RNG(4).standard_normal((20_000, 200)).max(axis=1).mean()
    assert expected_max_sharpe(200, 1.0) == pytest.approx(best, rel=0.01)
    assert expected_max_sharpe(1, 1.0) == 0.0


def test_a_record_as_long_as_the_minimum_is_just_long_enough():
    returns = RNG(5).normal(0.15, 1, 400)
    needed = min_track_record(returns, 0.01)
    found = sharpe_estimate(returns)
    error = found.error * math.sqrt(found.n / (needed - 1))
    assert stats.norm.cdf((found.ratio - 0.01) / error) == pytest.approx(0.95)
    assert min_track_record(returns, 1.0) == math.inf


@pytest.mark.parametrize("returns", [np.zeros(9), np.full(9, 0.1), np.full(9, np.nan), np.array([]), np.array([0.1])])
def test_returns_that_do_not_vary_have_no_sharpe_ratio(returns):
    assert math.isnan(sharpe_estimate(returns).ratio)
    assert math.isnan(probabilistic_sharpe(returns))
    assert math.isnan(deflated_sharpe(returns, 10, 0.1).probability)
    assert math.isnan(min_track_record(returns))


def test_unknown_returns_are_left_out_and_impossible_arguments_refused():
    returns = RNG(6).standard_normal(50)
    assert sharpe_estimate(np.insert(returns, 7, np.nan)) == sharpe_estimate(returns)
    for wrong in ({"n_trials": 0}, {"n_trials": 1.5}, {"trial_variance": -1.0}, {"trial_variance": math.nan}, {"lags": -1}):
        with pytest.raises(ConfigError):
            deflated_sharpe(returns, **{"n_trials": 5, "trial_variance": 0.1, **wrong})
    with pytest.raises(ConfigError, match="one series"):
        sharpe_estimate(np.zeros((3, 2)))
    with pytest.raises(DataError, match="infinite"):
        sharpe_estimate(np.array([1.0, np.inf, 0.0]))


# --- overfitting


def slow_overfitting(returns: np.ndarray, n_blocks: int) -> list[float]:
    """Logits of each combination, from the returns themselves."""
    blocks = np.array_split(np.arange(len(returns)), n_blocks)
    logits = []
    for half in combinations(range(n_blocks), n_blocks // 2):
        sample = np.concatenate([blocks[k] for k in half])
        test = np.concatenate([blocks[k] for k in range(n_blocks) if k not in half])
        inside, outside = (
            np.array([0.0 if np.ptp(x) == 0 else x.mean() / x.std(ddof=1) for x in returns[rows].T]) for rows in (sample, test)
        )
        rank = stats.rankdata(outside)[inside.argmax()] / (returns.shape[1] + 1)
        logits.append(math.log(rank / (1 - rank)))
    return logits


@pytest.mark.parametrize(("n_bars", "n_blocks"), [(240, 6), (251, 8)])
@pytest.mark.parametrize(("centre", "spread"), [(0.0, 0.01), (1.0, 1e-8)])
def test_the_overfitting_probability_equals_a_slow_cross_validation(n_bars, n_blocks, centre, spread):
    returns = RNG(n_bars).standard_normal((n_bars, 7)) * spread + centre
    # Flat for a while: out of the market, or so it looks.
    returns[: n_bars * 3 // 4, 2] = 0.1
    found = overfitting_probability(returns, n_blocks)
    slow = slow_overfitting(returns, n_blocks)
    np.testing.assert_allclose(found.logits, slow, atol=1e-12)
    assert found.probability == np.mean(np.array(slow) < 0)
    assert (found.n_blocks, found.n_combinations, found.chosen.sum()) == (n_blocks, math.comb(n_blocks, n_blocks // 2), len(slow))


def test_choosing_among_noise_is_overfitting_half_of_the_time_and_among_unequals_never():
    share = np.mean([overfitting_probability(RNG(seed).standard_normal((320, 20)), 8).probability for seed in range(60)])
    assert share == pytest.approx(0.5, abs=0.06)
    better = RNG(0).standard_normal((320, 20)) + (np.arange(20) == 3)
    found = overfitting_probability(better, 8)
    assert (found.probability, found.loss_probability, found.chosen[3]) == (0.0, 0.0, 70)


def test_histories_that_cannot_be_cut_are_refused():
    noise = RNG(0).standard_normal((40, 3))
    for n_blocks in (5, 0, 22):
        with pytest.raises(ConfigError, match="n_blocks must be even"):
            overfitting_probability(noise, n_blocks)
    with pytest.raises(ConfigError, match="two bars or more per block"):
        overfitting_probability(noise[:20], 16)
    with pytest.raises(ConfigError, match="two or more"):
        overfitting_probability(noise[:, :1], 4)
    noise[3] = np.nan
    with pytest.raises(DataError, match="got 1 bars where they are not"):
        overfitting_probability(noise, 4)


# --- peers


def test_figures_are_those_that_two_peers_gave():
    """purgedcv 0.1.11 and skfolio 1.12.2 on the same returns; purgedcv has n and unbiased moments where the others have not."""
    returns = trials()
    ratios = np.array([sharpe_estimate(column).ratio for column in returns.T])
    found = deflated_sharpe(returns[:, 0], 30, ratios.var(ddof=1)).probability
    assert found == pytest.approx(0.14766522, abs=1e-3)
    assert found == pytest.approx(0.1474042887, abs=1e-9)
    assert probabilistic_sharpe(returns[:, 0], 0.02) == pytest.approx(0.80594077, abs=1e-3)
    assert probabilistic_sharpe(returns[:, 0], 0.02) == pytest.approx(0.8056314252903, abs=1e-9)
    assert [overfitting_probability(returns, n).probability for n in (6, 8)] == pytest.approx([0.15, 0.2])
    found = overfitting_probability(returns, 10)
    assert (found.probability, found.slope) == pytest.approx((0.2857142857, -0.0054481875), abs=1e-9)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_the_peers_still_give_the_same():
    purgedcv = pytest.importorskip("purgedcv", reason="a peer of the benchmark extra")
    measures = pytest.importorskip("skfolio.measures", reason="a peer of the benchmark extra")
    for seed in range(5):
        returns = RNG(seed).standard_t(4, (500, 12)) * 0.01 + 0.0003
        ratios = np.array([sharpe_estimate(column).ratio for column in returns.T])
        variance, best = ratios.var(ddof=1), returns[:, ratios.argmax()]
        found = deflated_sharpe(best, 12, variance).probability
        assert found == pytest.approx(purgedcv.deflated_sharpe_ratio(best, 12, variance), abs=1e-3)
        assert found == pytest.approx(measures.deflated_sharpe_ratio(best, ratios), abs=1e-9)
        assert probabilistic_sharpe(best) == pytest.approx(purgedcv.probabilistic_sharpe_ratio(best, 0.0), abs=1e-3)
        estimate = sharpe_estimate(best)
        theirs = purgedcv.min_track_record_length(estimate.ratio, 0.0, 0.05, estimate.skew, estimate.kurtosis)
        assert math.ceil(min_track_record(best)) == theirs
        ours = overfitting_probability(returns, 8)
        theirs = purgedcv.probability_of_backtest_overfitting(returns.T, 8)
        assert (ours.probability, ours.slope) == pytest.approx((theirs.pbo, theirs.slope), abs=1e-9)


# --- figures: pytest -m slow -s tests/engine/validation/test_multiple.py


@pytest.mark.slow
def test_the_best_of_200_noise_strategies_is_seldom_called_skill(capsys):
    rng, n_runs = RNG(0), 200
    found = {"probabilistic": 0, "deflated": 0}
    for _ in range(n_runs):
        returns = rng.standard_t(4, (2500, 200)) * 0.01
        ratios = returns.mean(axis=0) / returns.std(axis=0, ddof=1)
        best = returns[:, ratios.argmax()]
        found["probabilistic"] += probabilistic_sharpe(best) > 0.95
        found["deflated"] += deflated_sharpe(best, 200, ratios.var(ddof=1)).probability > 0.95
    with capsys.disabled():
        print(f"\nbest of 200 noise strategies above .95: {found} of {n_runs} runs")
    assert found["deflated"] / n_runs <= 0.05
    assert found["probabilistic"] / n_runs > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_the_family_wise_error_of_step_down_tests_of_noise(rho, capsys):
    rng, n_runs = RNG(1), 400
    wrong = {"no correction": 0, "romano_wolf": 0}
    for seed in range(n_runs):
        common, own = rng.standard_normal((600, 1)), rng.standard_normal((600, 20))
        gains = np.sqrt(rho) * common + np.sqrt(1 - rho) * own
        found = superior_models(np.zeros(600), -gains, block=1, n_draws=499, seed=seed)
        wrong["romano_wolf"] += found.rejected.any()
        wrong["no correction"] += (stats.ttest_1samp(gains, 0, alternative="greater").pvalue <= 0.05).any()
    rates = {name: n / n_runs for name, n in wrong.items()}
    with capsys.disabled():
        print(f"\nfamily-wise error of 20 noise tests, correlation {rho}: {rates}")
    assert rates["romano_wolf"] <= 0.08


@pytest.mark.parametrize("wrong", [[0.1, 2.0], [0.1, -1.0]])
def test_p_values_outside_the_unit_interval_are_refused(wrong):
    for call in (benjamini_hochberg, benjamini_yekutieli):
        with pytest.raises(ConfigError, match="p_values must lie between 0 and 1"):
            call(np.array(wrong))
