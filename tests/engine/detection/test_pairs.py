"""Detectors compared in pairs on the same labelled events."""

from itertools import product

import numpy as np
import pytest

import foreshock as fs
from foreshock.engine.detection.pairs import N_EXCHANGES, _exchanged
from foreshock.engine.detection.report import Tally

TIME = np.datetime64("2024-01-01", "us") + np.arange(2_000) * np.timedelta64(1, "h")
STARTS = np.arange(20, 1_980, 40)
EVENTS = fs.Events(np.zeros(49, int), STARTS, STARTS + 3, (2_000, 1))


def report(strength: float, seed: int = 0, events: fs.Events = EVENTS, **options) -> fs.DetectionReport:
    values = np.random.default_rng(seed).random((2_000, 1)) + strength * events.labels()
    scores = fs.Scores(TIME, ("A",), values, np.timedelta64(1, "h"))
    return fs.detection_report(scores, scores.signals(fs.Fixed(0.98)), events, n_shifts=3, **options)


def test_a_better_detector_is_told_from_a_worse_one_and_not_from_its_like():
    found = fs.compare_detections({"good": report(0.9), "bad": report(0.05, 1), "like": report(0.05, 2)})
    good, like = (
        found[(found["first"] == first) & (found["second"] == second)] for first, second in (("good", "bad"), ("bad", "like"))
    )
    assert (good["p_adjusted"] < 0.01).all()
    assert (good["low"] > 0).all()
    assert (like["p_adjusted"] > 0.05).all()
    row = good.set_index("metric").loc["recall"]
    assert row["difference"] == pytest.approx(row["value_first"] - row["value_second"])
    assert row["only_first"] - row["only_second"] == pytest.approx(row["difference"] * 49)


def test_what_does_not_differ_has_no_p():
    one = report(0.5)
    found = fs.compare_detections({"one": one, "same": one})
    assert (found["difference"] == 0).all()
    assert found["p"].isna().all()


def test_the_order_of_a_pair_turns_the_sign_alone():
    a, b = report(0.4), report(0.2, 1)
    one, two = (fs.compare_detections(pair).set_index("metric") for pair in ({"a": a, "b": b}, {"b": b, "a": a}))
    np.testing.assert_allclose(one["difference"], -two["difference"])
    np.testing.assert_allclose(one["low"], -two["high"])
    np.testing.assert_allclose(one["p"], two["p"])


def test_the_permutation_test_is_near_the_count_of_all_exchanges():
    rng = np.random.default_rng(3)
    events, days = np.ones(10), np.ones(10)
    one, two = (
        Tally(events, (rng.random(10) < share).astype(float), rng.integers(0, 3, 10).astype(float), days, days, np.zeros(10, int))
        for share in (0.9, 0.4)
    )

    def f1(caught: float, false: float) -> float:
        return 2 * caught / (10 + caught + false)

    difference = f1(one.n_caught.sum(), one.n_false.sum()) - f1(two.n_caught.sum(), two.n_false.sum())
    exact = []
    for kept in product([True, False], repeat=10):
        sides = [
            f1(np.where(mask, one.n_caught, two.n_caught).sum(), np.where(mask, one.n_false, two.n_false).sum())
            for mask in (np.array(kept), ~np.array(kept))
        ]
        exact.append(abs(sides[0] - sides[1]) >= abs(difference) - 1e-12)
    error = 4 * np.sqrt(np.mean(exact) / N_EXCHANGES)
    assert _exchanged(one, two, "f1", difference) == pytest.approx(np.mean(exact), abs=error)


def test_reports_on_other_events_or_draws_are_refused():
    with pytest.raises(fs.ConfigError, match="same events, rows and draws, got others of b"):
        fs.compare_detections({"a": report(0.5), "b": report(0.5, seed=0, events=EVENTS.take(np.arange(40)))})
    shifted = np.random.default_rng(1).random((2_000, 1))
    scores = fs.Scores(TIME, ("A",), shifted, np.timedelta64(1, "h"))
    other = fs.detection_report(scores, scores.signals(fs.Fixed(0.5)), EVENTS, n_shifts=3, seed=8)
    with pytest.raises(fs.ConfigError, match="same events, rows and draws"):
        fs.compare_detections({"a": report(0.5), "b": other})
    with pytest.raises(fs.ConfigError, match="at least two"):
        fs.compare_detections({"a": report(0.5)})
