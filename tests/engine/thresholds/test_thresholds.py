"""Thresholds: equal to pandas, blind to the future, and as frequent as they promise."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import foreshock as fs
from foreshock.data.errors import ConfigError
from foreshock.engine.scores import FoldScores, Scores
from foreshock.engine.thresholds.contract import check_threshold_rule
from foreshock.engine.thresholds.quantiles import Fixed, RollingQuantile, TrainQuantile, min_known

HOUR = np.timedelta64(1, "h").astype("timedelta64[us]")


def make_scores(values: np.ndarray, folds: tuple[FoldScores, ...] = ()) -> Scores:
    values = np.asarray(values, float)
    time = np.datetime64("2024-01-01", "us") + np.arange(len(values)) * HOUR
    return Scores(time, tuple("ABCDEFGH"[: values.shape[1]]), values, HOUR, folds)


def gappy(n_rows: int, n_symbols: int = 2, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = rng.standard_t(4, (n_rows, n_symbols))
    values[rng.random(values.shape) < 0.1] = np.nan
    return values


@pytest.mark.parametrize(("q", "window"), [(0.9, "48h"), (0.99, "120h"), (0.5, "7h")])
def test_a_rolling_quantile_is_that_of_the_window_before_in_pandas(q, window):
    values = gappy(600)
    size, least = int(window[:-1]), round(1 / (1 - q))
    frame = pd.DataFrame(values)
    expected = frame.rolling(size, min_periods=least).quantile(q).shift()
    found = RollingQuantile(q, window).threshold(make_scores(values))
    assert np.isnan(found[:least]).all()
    assert not np.isnan(found[-1]).any()
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("policy", [RollingQuantile(0.95, "10D"), TrainQuantile(0.95), Fixed(2.0)])
def test_every_threshold_keeps_the_contract(policy):
    check_threshold_rule(policy)


def test_a_train_quantile_is_that_of_each_folds_own_training_scores():
    rng = np.random.default_rng(1)
    trained = [gappy(150, seed=2), 5 + gappy(200, seed=3)]
    folds = (FoldScores(slice(0, 150), slice(160, 260), trained[0]), FoldScores(slice(60, 260), slice(260, 300), trained[1]))
    scores = make_scores(rng.random((300, 2)), folds)
    found = TrainQuantile(0.9).threshold(scores)
    assert np.isnan(found[:160]).all()
    for fold, values in zip(folds, trained, strict=True):
        expected = pd.DataFrame(values).quantile(0.9).to_numpy()
        np.testing.assert_allclose(found[fold.test], np.tile(expected, (len(found[fold.test]), 1)), rtol=1e-12)


def test_a_train_quantile_does_not_look_at_the_scores_it_judges():
    folds = (FoldScores(slice(0, 150), slice(160, 200), gappy(150)),)
    scores = make_scores(gappy(200, seed=1), folds)
    other = replace(scores, values=scores.values + 1e6)
    np.testing.assert_array_equal(TrainQuantile(0.9).threshold(scores), TrainQuantile(0.9).threshold(other))


@pytest.mark.parametrize(("known", "decided"), [(0, False), (99, False), (100, True)])
def test_a_quantile_needs_as_many_scores_as_one_alert_takes(known, decided):
    rng = np.random.default_rng(0)
    train = rng.random((150, 2))
    train[known:, 0] = np.nan
    folds = (FoldScores(slice(0, 150), slice(150, 160), train),)
    found = TrainQuantile(0.99).threshold(make_scores(np.ones((160, 2)), folds))
    assert (~np.isnan(found[155])).tolist() == [decided, True]
    rolling = RollingQuantile(0.99, "150h").threshold(make_scores(np.vstack([train, np.ones((1, 2))])))
    assert (~np.isnan(rolling[150])).tolist() == [decided, True]


@pytest.mark.parametrize(("q", "expected"), [(0.5, 2), (0.9, 10), (0.95, 20), (0.99, 100), (0.995, 200), (0.999, 1000), (0.97, 34)])
def test_the_fewest_scores_are_those_of_which_one_lies_beyond(q, expected):
    assert min_known(q) == expected


def test_signals_take_their_threshold_under_its_earlier_name_too():
    scores = make_scores(np.arange(8.0).reshape(4, 2))
    named, earlier = scores.signals(threshold=Fixed(2.5)), scores.signals(policy=Fixed(2.5))
    assert named.active.tolist() == earlier.active.tolist() == [[False, False], [False, True], [True, True], [True, True]]
    for given, n in (({}, 0), ({"threshold": Fixed(1.0), "policy": Fixed(1.0)}, 2)):
        with pytest.raises(TypeError, match=f"takes one threshold, .*got {n}"):
            scores.signals(**given)


@pytest.mark.parametrize("q", [0.9, 0.99])
def test_independent_scores_alert_at_the_nominal_rate(q):
    n = 60_000
    values = np.random.default_rng(4).standard_t(3, (n, 2)) * [1, 1e6]
    train, test = values[:20_000], slice(20_000, n)
    scores = make_scores(values, (FoldScores(slice(0, 20_000), test, train),))
    for policy in (RollingQuantile(q, "100D"), TrainQuantile(q)):
        signals = scores.signals(policy)
        assert signals.nominal_rate == pytest.approx(1 - q)
        assert signals.alert_rate == pytest.approx(1 - q, rel=0.12)
        # Each symbol by its own scores, whatever their scale.
        np.testing.assert_allclose(signals.active.sum(axis=0) / signals.decided.sum(axis=0), 1 - q, rtol=0.2)


def test_a_fixed_threshold_is_itself_everywhere_and_aims_at_no_rate():
    values = gappy(50)
    signals = make_scores(values).signals(Fixed(1.5))
    np.testing.assert_array_equal(signals.threshold, np.full((50, 2), 1.5))
    assert np.isnan(signals.nominal_rate)
    np.testing.assert_array_equal(signals.active, np.nan_to_num(values, nan=-np.inf) > 1.5)


def test_a_score_at_the_threshold_is_no_alert_and_unknown_scores_are_not_decided():
    signals = make_scores(np.array([[1.0], [np.nan], [1.0 + 1e-9], [0.0]])).signals(Fixed(1.0))
    assert signals.prediction[:, 0].tolist() == [1, 0, -1, 1]
    assert signals.alert_rate == pytest.approx(1 / 3)


@pytest.mark.parametrize("policy", [RollingQuantile(0.9, "20h"), Fixed(0.0)])
def test_without_scores_nothing_is_decided(policy):
    signals = make_scores(np.full((60, 2), np.nan)).signals(policy)
    assert not signals.active.any()
    assert not signals.decided.any()
    assert np.isnan(signals.alert_rate)


def test_constant_scores_never_alert():
    signals = make_scores(np.full((60, 1), 3.0)).signals(RollingQuantile(0.9, "20h"))
    assert signals.decided[10:].all()
    assert not signals.active.any()


@pytest.mark.parametrize("q", [0, 1, -0.1, 1.5, 99, float("nan")])
@pytest.mark.parametrize("policy", [TrainQuantile, RollingQuantile])
def test_a_quantile_outside_zero_to_one_is_refused(policy, q):
    with pytest.raises(ConfigError, match="q must lie between 0 and 1"):
        policy(q)


def test_a_fixed_threshold_that_is_no_number_is_refused():
    with pytest.raises(ConfigError, match="value must be a number, got nan"):
        Fixed(float("nan"))


def test_a_window_too_short_for_its_quantile_is_refused():
    scores = make_scores(np.zeros((300, 1)))
    with pytest.raises(ConfigError, match=r"at least 100 bars for q=0\.99, got 99"):
        RollingQuantile(0.99, "99h").threshold(scores)
    RollingQuantile(0.99, "100h").threshold(scores)
    with pytest.raises(ConfigError, match="whole number of 1h bars"):
        RollingQuantile(0.9, "90m").threshold(scores)


def test_scores_without_training_scores_are_refused_by_a_train_quantile():
    values = np.zeros((300, 1))
    kept, dropped = FoldScores(slice(0, 100), slice(100, 200), values[:100]), FoldScores(slice(100, 200), slice(200, 300))
    for folds in ((), (dropped,), (kept, dropped)):
        with pytest.raises(ConfigError, match=r"walk_forward\(..., train_scores=True\)"):
            TrainQuantile(0.9).threshold(make_scores(values, folds))


def test_a_halflife_without_scaling_does_nothing_and_is_refused():
    with pytest.raises(ConfigError, match="halflife does nothing without volatility_scaled"):
        fs.make_threshold("rolling_quantile", halflife="3D")
    assert fs.make_threshold("fixed", value=3.0, volatility_scaled=True, halflife="3D").halflife == "3D"


@pytest.mark.parametrize("values", [[1.0, 2.0], np.zeros(4), np.zeros((2, 2, 2))])
def test_training_scores_of_another_shape_are_refused(values):
    with pytest.raises(ConfigError, match=r"train_values must have the shape \(n_rows, n_symbols\), got \("):
        TrainQuantile(0.9).level(values)
