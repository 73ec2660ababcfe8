"""Adaptive conformal, peaks over threshold and volatility standardisation: right, causal, and as frequent as they promise."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import genpareto

from foreshock.data.errors import ConfigError
from foreshock.engine.scores import FoldScores, Scores
from foreshock.engine.statistics.pareto import fit_pareto
from foreshock.engine.thresholds.conformal import AdaptiveConformal
from foreshock.engine.thresholds.contract import check_threshold_rule
from foreshock.engine.thresholds.peaks import PeaksOverThreshold
from foreshock.engine.thresholds.quantiles import Fixed, RollingQuantile, TrainQuantile
from foreshock.engine.thresholds.volatility import VolatilityScaled, standardise_by_volatility
from foreshock.study.config import parse_study
from foreshock.study.study import Study
from tests.market import make_bars
from tests.small import ADAPTIVE as POLICIES

HOUR = np.timedelta64(1, "h").astype("timedelta64[us]")


def make_scores(values: np.ndarray, folds: tuple[FoldScores, ...] = (), start: int = 0) -> Scores:
    time = np.datetime64("2024-01-01", "us") + (start + np.arange(len(values))) * HOUR
    return Scores(time, tuple("ABCDEFGH"[: values.shape[1]]), np.asarray(values, float), HOUR, folds)


def gappy(n_rows: int, n_symbols: int = 2, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = np.abs(rng.standard_t(4, (n_rows, n_symbols)))
    values[rng.random(values.shape) < 0.1] = np.nan
    return values


def doubling(seed: int, n_rows: int = 17_520) -> Scores:
    """Two years of absolute hourly returns with clustered volatility (GARCH, t of 4 degrees); it doubles after the first."""
    rng = np.random.default_rng(seed)
    shock = rng.standard_t(4, n_rows) / np.sqrt(2)
    variance, returns = 1.0, np.empty(n_rows)
    for row in range(n_rows):
        returns[row] = np.sqrt(variance) * shock[row]
        variance = 0.02 + 0.08 * returns[row] ** 2 + 0.9 * variance
    returns[n_rows // 2 :] *= 2
    return make_scores(np.abs(0.005 * returns)[:, None])


def rate(policy, scores: Scores, rows: slice = slice(None)) -> float:
    return scores.signals(policy).rows(rows).alert_rate


# All of them


@pytest.mark.parametrize("policy", POLICIES, ids=repr)
def test_every_threshold_keeps_the_contract(policy):
    check_threshold_rule(policy)
    scores = make_scores(gappy(900))
    check_threshold_rule(policy, scores)
    assert np.isfinite(policy.threshold(scores)[400:]).mean() > 0.9


@pytest.mark.parametrize("policy", POLICIES, ids=repr)
def test_symbols_have_their_own_thresholds(policy):
    values = gappy(700)
    other = values.copy()
    other[:, 1] *= 50
    both, changed = policy.threshold(make_scores(values)), policy.threshold(make_scores(other))
    np.testing.assert_array_equal(changed[:, 0], both[:, 0])
    np.testing.assert_array_equal(policy.threshold(make_scores(values[:, :1]))[:, 0], both[:, 0])


@pytest.mark.parametrize("policy", POLICIES, ids=repr)
@pytest.mark.parametrize("unit", [1e12, 1e-12])
def test_thresholds_are_in_the_unit_of_the_scores(policy, unit):
    values = gappy(700)
    np.testing.assert_allclose(
        policy.threshold(make_scores(unit * values)), unit * policy.threshold(make_scores(values)), rtol=1e-9
    )


@pytest.mark.parametrize("policy", POLICIES, ids=repr)
def test_scores_that_never_change_or_are_unknown_give_no_alert(policy):
    flat, unknown = np.full((600, 1), 0.3), np.full((600, 1), np.nan)
    assert not make_scores(flat).signals(policy).active.any()
    signals = make_scores(unknown).signals(policy)
    assert not signals.decided.any()


# The rate


@pytest.mark.parametrize("seed", range(5))
def test_the_alert_rate_stays_near_one_percent_when_volatility_doubles(seed):
    """Overall, in each year and, scaled, in the month after the break; there an unscaled quantile alerts three times as often."""
    scores = doubling(seed)
    year, month = slice(8_760, None), slice(8_760, 8_760 + 30 * 24)
    for policy in (RollingQuantile(), PeaksOverThreshold(), AdaptiveConformal()):
        scaled = VolatilityScaled(policy)
        for part in (slice(None), slice(0, 8_760), year):
            assert 0.007 < rate(scaled, scores, part) < 0.015
        # 7 alerts are expected in a month, give or take 3.
        assert 0.002 <= rate(scaled, scores, month) <= 0.02
    for part in (slice(None), slice(0, 8_760), year):
        assert 0.007 < rate(AdaptiveConformal(), scores, part) < 0.015
    assert rate(RollingQuantile(), scores, month) > 0.025
    assert rate(PeaksOverThreshold(), scores, month) > 0.025


# Adaptive conformal


def slow_conformal(x: np.ndarray, window: int, alpha: float, gamma: float) -> np.ndarray:
    out, level = np.full(len(x), np.nan), alpha
    for row in range(len(x)):
        past = x[max(row - window, 0) : row]
        past = past[~np.isnan(past)]
        if len(past) < round(1 / alpha):
            continue
        out[row] = np.inf if level <= 0 else -np.inf if level >= 1 else np.quantile(past, 1 - level)
        if not np.isnan(x[row]):
            level += gamma * (alpha - (x[row] > out[row]))
    return out


@pytest.mark.parametrize(("alpha", "gamma"), [(0.02, 0.01), (0.05, 0.1), (0.5, 0.9)])
def test_the_kernel_equals_the_recursion_of_the_paper(alpha, gamma):
    values = gappy(500)
    found = AdaptiveConformal(alpha, gamma, "60h").threshold(make_scores(values))
    for col in range(2):
        np.testing.assert_allclose(found[:, col], slow_conformal(values[:, col], 60, alpha, gamma), rtol=1e-12)
    assert np.isposinf(found).any()
    assert np.isneginf(found).any() == (alpha == 0.5)


@pytest.mark.parametrize("scores", ["rising", "falling", "jumping"])
def test_the_bound_of_the_paper_holds_whatever_the_scores_do(scores):
    t = np.arange(6_000.0)
    values = {"rising": t, "falling": -t, "jumping": np.where(t // 700 % 2, 1e6, 1.0) + t % 7}[scores][:, None]
    policy = AdaptiveConformal(0.05, 0.02, "10D")
    signals = make_scores(values).signals(policy)
    n = int(signals.decided.sum())
    assert abs(signals.alert_rate - 0.05) <= (0.95 + 0.02) / (0.02 * n)


# Peaks over threshold


@pytest.mark.parametrize("shape", [-0.3, 0.0, 0.2, 0.5])
def test_the_pareto_fit_finds_its_parameters_as_well_as_maximum_likelihood(shape):
    rng = np.random.default_rng(3)
    ours, theirs = [], []
    for _ in range(40):
        x = genpareto.rvs(shape, scale=2.0, size=200, random_state=rng)
        ours.append(fit_pareto(x))
        k, _, s = genpareto.fit(x, floc=0)
        theirs.append((k, s))
    errors = [np.sqrt(((np.array(fits) - [shape, 2.0]) ** 2).mean(axis=0)) for fits in (ours, theirs)]
    assert abs(np.mean([k for k, _ in ours]) - shape) < 0.05
    assert abs(np.mean([s for _, s in ours]) - 2.0) < 0.1
    assert (errors[0] < 1.1 * errors[1]).all()


@pytest.mark.parametrize("shape", [-0.2, 0.0, 0.3])
def test_the_threshold_is_the_quantile_of_the_tail_it_was_given(shape):
    q = 0.995
    values = genpareto.rvs(shape, size=(40_000, 1), random_state=np.random.default_rng(1))
    found = PeaksOverThreshold(q, 0.95, "1000D").threshold(make_scores(values))[-1, 0]
    assert found == pytest.approx(genpareto.ppf(q, shape), rel=0.03)


def test_a_tail_foresees_a_quantile_beyond_all_scores_seen():
    found, empirical = [], []
    for seed in range(60):
        values = np.random.default_rng(seed).exponential(size=(401, 1))
        found.append(PeaksOverThreshold(0.9995, 0.9, "400h", "4h").threshold(make_scores(values))[-1, 0])
        empirical.append(values.max())
    truth = -np.log(0.0005)
    assert np.median(found) == pytest.approx(truth, rel=0.12)
    assert np.median(empirical) < 0.9 * truth


def test_a_threshold_holds_until_the_next_refit_whenever_the_history_began():
    values = gappy(900)
    policy = PeaksOverThreshold(0.98, 0.9, "10D", "12h")
    whole = policy.threshold(make_scores(values))[:, 0]
    changes = np.flatnonzero(np.diff(whole[200:])) + 201
    assert set(changes % 12) == {0}
    assert len(changes) > 50
    # 5 rows into the day, so that rows and hours differ.
    later = policy.threshold(make_scores(values[5:], start=5))[:, 0]
    np.testing.assert_array_equal(later[300:], whole[305:])


def test_too_few_peaks_give_no_threshold():
    values = np.zeros((600, 1))
    values[::100] = 1.0
    policy = PeaksOverThreshold(0.99, 0.9, "20D")
    assert np.isnan(policy.threshold(make_scores(values))).all()
    values = np.random.default_rng(0).random((600, 1))
    found = policy.threshold(make_scores(values))[:, 0]
    assert np.isnan(found[:100]).all()
    assert np.isfinite(found[120:]).all()


# Volatility


def test_standard_scores_are_those_of_pandas_over_the_rows_before():
    values = gappy(400)
    frame = pd.DataFrame(values)
    past = frame.ewm(halflife=24, ignore_na=True)
    expected = (frame - past.mean().shift()) / past.std().shift()
    found = standardise_by_volatility(make_scores(values), halflife="24h").values
    enough = frame.notna().cumsum().shift().ge(24).to_numpy()
    np.testing.assert_allclose(found, expected.where(enough), rtol=1e-9)


def test_given_volatility_is_that_of_the_row_before():
    values, volatility = gappy(50), 1 + gappy(50, seed=1)
    folds = (FoldScores(slice(10, 30), slice(35, 50), values[10:30]),)
    found = standardise_by_volatility(make_scores(values, folds), volatility)
    np.testing.assert_array_equal(found.values[1:], values[1:] / volatility[:-1])
    assert np.isnan(found.values[0]).all()
    trained = found.folds[0].train_values
    assert trained is not None
    np.testing.assert_array_equal(trained, found.values[10:30])
    with pytest.raises(ConfigError, match="shape of the scores"):
        standardise_by_volatility(make_scores(values), volatility[:-1])


def test_a_scaled_threshold_alerts_where_the_standard_score_does():
    rng = np.random.default_rng(4)
    trained = (FoldScores(slice(0, 300), slice(320, 900), rng.exponential(size=(300, 2))),)
    scores = make_scores(gappy(900), trained)
    standard = standardise_by_volatility(scores, halflife="2D")
    for policy in (TrainQuantile(0.97), RollingQuantile(0.97, "10D"), Fixed(2.5), AdaptiveConformal(0.03, 0.01, "10D")):
        expected, found = standard.signals(policy), scores.signals(VolatilityScaled(policy))
        np.testing.assert_array_equal(found.active, expected.active)
        np.testing.assert_array_equal(found.decided, expected.decided)
        assert expected.active.sum() > 5
        assert VolatilityScaled(policy).needs_train_scores == policy.needs_train_scores


# Refusals and the study file


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AdaptiveConformal(0.0), "alpha must lie between 0 and 1"),
        (lambda: AdaptiveConformal(0.01, 1.0), "gamma must lie between 0 and 1"),
        (lambda: PeaksOverThreshold(0.95, 0.95), "init must lie between 0 and q"),
        (lambda: AdaptiveConformal(window="99h").threshold(make_scores(gappy(10))), "at least 100 bars for alpha=0.01, got 99"),
        (lambda: PeaksOverThreshold(window="199h").threshold(make_scores(gappy(10))), "at least 200 bars for 10 peaks"),
        (lambda: PeaksOverThreshold(refit="90min").threshold(make_scores(gappy(10))), "threshold refit must be a whole number"),
        (lambda: VolatilityScaled(Fixed(1.0), "1h").threshold(make_scores(gappy(10))), "halflife must be at least 2 bars, got 1"),
    ],
)
def test_a_threshold_that_cannot_work_is_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ({"kind": "adaptive_conformal", "q": 0.98, "gamma": 0.01}, AdaptiveConformal(0.02, 0.01)),
        ({"kind": "peaks_over_threshold", "init": 0.9, "refit": "6h"}, PeaksOverThreshold(0.99, 0.9, refit="6h")),
        ({"volatility_scaled": True, "halflife": "5D"}, VolatilityScaled(RollingQuantile(), "5D")),
        ({"kind": "fixed", "value": 3.0, "volatility_scaled": True}, VolatilityScaled(Fixed(3.0))),
    ],
)
def test_a_study_file_names_the_threshold(section, expected):
    config = parse_study({"detectors": ["zscore"], "threshold": section})
    study = Study.from_config(config, make_bars(50))
    assert study.threshold == expected
    assert replace(study, threshold=expected).config() == study.config()


def test_the_results_name_the_threshold_and_the_one_inside_it():
    study = Study(make_bars(50), ["zscore"], threshold=VolatilityScaled(AdaptiveConformal(0.02)))
    inside = {"kind": "AdaptiveConformal", "alpha": 0.02, "gamma": 0.005, "window": "60D"}
    assert study.config()["threshold"] == {"kind": "VolatilityScaled", "policy": inside, "halflife": "2D"}


def test_peaks_over_a_tied_start_never_lower_the_threshold():
    rounded = np.round(np.random.default_rng(0).standard_normal((5_000, 1)))
    rounded[700] = np.inf
    time = np.datetime64("2022-01-01", "us") + np.arange(5_000) * np.timedelta64(1, "h")
    scores = Scores(time, ("A",), rounded, np.timedelta64(1, "h"))
    threshold = PeaksOverThreshold(0.99, window="60D").threshold(scores)
    known = threshold[~np.isnan(threshold)]
    assert len(known) > 1_000
    assert known.min() >= np.quantile(rounded, 0.95)
