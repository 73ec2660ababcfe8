"""Fits and scores are kept in the cache: nothing is fitted twice, and what is read is what was computed."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

import foreshock as fs
from foreshock.data.system.cache import usual_cache
from foreshock.detectors.base import Detector
from foreshock.detectors.kept import facts_of, fit_kept
from foreshock.detectors.registry import detectors, neural_detectors
from foreshock.detectors.trees.isolation_forest import IsolationForest
from foreshock.engine.features.features import Features
from foreshock.study.side_by_side import walk_forward_each
from tests.small import small_detector, small_study

SPLITS = fs.WalkForward("15D", "5D", None)
N_FOLDS = 5


@pytest.fixture(scope="module")
def features() -> Features:
    return fs.ohlcv_features(fs.simulate_market(seed=3, n_symbols=2, n_bars=24 * 41).bars)


@pytest.fixture
def fitted(monkeypatch, tmp_path) -> Counter:
    """Names of the detectors that were fitted, in a cache of their own."""
    monkeypatch.setenv("FORESHOCK_CACHE", str(tmp_path / "cache"))
    counts: Counter = Counter()
    fit = Detector.fit

    def counting(self, features):
        counts[self.name] += 1
        return fit(self, features)

    monkeypatch.setattr(Detector, "fit", counting)
    return counts


def scored(detectors: dict[str, Detector], features: Features, purge: int = 24, step=lambda _: None, splits=SPLITS, train=False):
    return walk_forward_each(detectors, features, splits, purge + 200, train, step)


def test_a_second_run_fits_nothing_and_has_equal_scores(features, fitted):
    names = ("zscore", "pca", "isolation_forest")
    first = scored({name: fs.make_detector(name) for name in names}, features)
    n_folds = len(first["pca"][0].folds)
    assert fitted == dict.fromkeys(names, n_folds)
    second = scored({name: fs.make_detector(name) for name in names}, features)
    assert fitted == dict.fromkeys(names, n_folds)
    for name in names:
        np.testing.assert_array_equal(second[name][0].values, first[name][0].values)
        assert second[name][0].folds == first[name][0].folds
        # The fitted detectors score other histories as before.
        others = features.rows(slice(0, features.n_rows))
        np.testing.assert_array_equal(second[name][1].score(others).values, first[name][1].score(others).values)


def test_training_scores_are_kept_where_a_threshold_wants_them(features, fitted):
    first = scored({"pca": fs.make_detector("pca")}, features, train=True)
    second = scored({"pca": fs.make_detector("pca")}, features, train=True)
    assert fitted["pca"] == len(first["pca"][0].folds)
    for one, two in zip(first["pca"][0].folds, second["pca"][0].folds, strict=True):
        np.testing.assert_array_equal(one.train_values, two.train_values)


@pytest.mark.parametrize("change", ["value", "parameter", "purge", "name"])
def test_another_value_parameter_purge_or_feature_is_fitted_anew(features, fitted, change):
    first = scored({"pca": fs.make_detector("pca")}, features)
    folds = first["pca"][0].folds
    n_folds, row = len(folds), folds[0].train.start
    detector, purge, values, names = fs.make_detector("pca"), 24, features.values, features.names
    if change == "value":
        values = values.copy()
        values[row, 0, 0] += 1e-9
    if change == "parameter":
        detector = fs.make_detector("pca", n_components=2)
    if change == "purge":
        purge += 1
    if change == "name":
        names = ("another", *names[1:])
    other = Features(features.time, features.symbols, names, values, features.interval)
    scored({"pca": detector}, other, purge)
    # Only the folds that train on the changed row.
    changed = sum(fold.train.start <= row < fold.train.stop for fold in folds)
    assert 0 < changed < n_folds
    expected = {"value": changed, "parameter": n_folds, "purge": n_folds, "name": n_folds}[change]
    assert fitted["pca"] == n_folds + expected


@pytest.mark.parametrize("stopped_at", [1, 3])
def test_an_interrupted_run_goes_on_and_fits_no_fold_twice(features, fitted, stopped_at):
    seen = []

    def stop(_: str) -> None:
        seen.append(1)
        if len(seen) == stopped_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scored({"isolation_forest": fs.make_detector("isolation_forest")}, features, step=stop)
    assert fitted["isolation_forest"] == stopped_at
    resumed = scored({"isolation_forest": fs.make_detector("isolation_forest")}, features)["isolation_forest"][0]
    assert fitted["isolation_forest"] == len(resumed.folds)
    usual_cache().clear()
    alone = scored({"isolation_forest": fs.make_detector("isolation_forest")}, features)["isolation_forest"][0]
    np.testing.assert_array_equal(resumed.values, alone.values)


def test_a_fit_that_was_kept_before_its_scores_is_not_fitted_again(features, fitted, monkeypatch):
    score = IsolationForest.score

    def killed(self, features):
        raise KeyboardInterrupt

    monkeypatch.setattr(IsolationForest, "score", killed)
    with pytest.raises(KeyboardInterrupt):
        scored({"isolation_forest": fs.make_detector("isolation_forest")}, features)
    monkeypatch.setattr(IsolationForest, "score", score)
    found = scored({"isolation_forest": fs.make_detector("isolation_forest")}, features)["isolation_forest"][0]
    assert fitted["isolation_forest"] == len(found.folds)


@pytest.mark.parametrize("kind", ["fit", "scores"])
def test_what_was_tampered_with_is_computed_again(features, fitted, kind):
    first = scored({"pca": fs.make_detector("pca")}, features)["pca"][0]
    for entry in usual_cache().entries():
        content = bytearray(entry.path.read_bytes())
        content[-9] ^= 1
        if entry.kind == kind:
            entry.path.write_bytes(content)
    again = scored({"pca": fs.make_detector("pca")}, features)["pca"]
    np.testing.assert_array_equal(again[0].values, first.values)
    np.testing.assert_array_equal(again[1].score(features).values, first.values)


def test_networks_that_train_together_or_start_warm_resume_to_the_bit(features, fitted):
    for params in ({}, {"warm_start": True}):
        detector = small_detector("autoencoder", **params)
        first = scored({"autoencoder": detector}, features)["autoencoder"][0]
        # Half of what was kept is lost.
        lost = [entry for entry in usual_cache().entries() if entry.kind in ("fit", "scores")][1::2]
        for entry in lost:
            entry.path.unlink()
        again = scored({"autoencoder": detector}, features)["autoencoder"][0]
        np.testing.assert_array_equal(again.values, first.values)
        usual_cache().clear()


def test_without_a_cache_everything_is_fitted(features, fitted, monkeypatch):
    monkeypatch.setenv("FORESHOCK_CACHE", "off")
    for n_runs in (1, 2):
        found = scored({"pca": fs.make_detector("pca")}, features)
        assert fitted["pca"] == n_runs * len(found["pca"][0].folds)


def test_a_study_with_another_horizon_below_the_longest_fits_nothing(fitted):
    bars = small_study().bars.head(1_600)
    first = small_study(bars=bars, n_surrogates=0, horizons=["1h", "12h"]).run()
    before = dict(fitted)
    assert set(before) >= {"zscore", "pca", "kmeans_regime"}
    second = small_study(bars=bars, n_surrogates=0, horizons=["2h", "6h", "12h"]).run()
    assert dict(fitted) == before
    np.testing.assert_array_equal(second.scores["pca"].values, first.scores["pca"].values)


def arrays_of(value: Any) -> list[np.ndarray]:
    if isinstance(value, np.ndarray):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return [array for part in parts for array in arrays_of(part)]


@pytest.mark.parametrize("name", [name for name in detectors() if name not in neural_detectors()])
def test_what_was_learned_lies_in_memory_as_a_file_has_it(name, features):
    """BLAS rounds by the order of numbers: explanations by a fit of the cache would differ in their last digits."""
    learned = arrays_of(fs.make_detector(name).fit(features).state())
    assert all(array.flags.c_contiguous for array in learned)


class Mine(fs.Detector):
    def _score(self, features):
        return abs(features.column("log_return"))


def test_a_detector_of_a_users_own_and_one_that_reads_a_file_are_not_kept(features, fitted, tmp_path):
    assert facts_of(Mine()) is None
    table = tmp_path / "scores.csv"
    table.write_text("time,symbol,score\n")
    assert facts_of(fs.PrecomputedScores(str(table))) is None
    assert facts_of(fs.make_detector("pca")) is not None
    for _ in range(2):
        fit_kept(Mine(), features)
    assert fitted["mine"] == 2


def test_explanations_are_kept(features, fitted, monkeypatch):
    rows, cols = np.array([900, 950]), np.array([0, 1])
    first: Any = scored({"pca": fs.make_detector("pca")}, features)["pca"][1].detectors[-1]
    added = first.explain_rows(features, rows, cols)
    monkeypatch.setattr(Detector, "_explain_rows", None)
    again: Any = scored({"pca": fs.make_detector("pca")}, features)["pca"][1].detectors[-1]
    np.testing.assert_array_equal(again.explain_rows(features, rows, cols), added)
