"""Combinatorial cross-validation of a detector: fitted on nothing within reach of what it scores."""

from dataclasses import replace

import numpy as np
import pytest

from foreshock.detectors.registry import make_detector
from foreshock.engine.features.features import Features
from foreshock.engine.out_of_sample.combinatorial import CombinatorialSplits
from foreshock.engine.out_of_sample.cross_validation import combinatorial_scores
from tests.small import small_detector

HOUR = np.timedelta64(1, "h").astype("timedelta64[us]")
SPLITS = CombinatorialSplits(n_groups=4, n_test_groups=2, embargo="3h")


@pytest.fixture(scope="module")
def features():
    rng = np.random.default_rng(0)
    time = np.datetime64("2024-01-01", "us") + np.arange(600) * HOUR
    return Features(time, ("A", "B"), tuple("uvwxyz"), rng.normal(size=(600, 2, 6)).cumsum(axis=0) / 5, HOUR)


@pytest.mark.parametrize(
    ("name", "params"), [("pca", {}), ("isolation_forest", {"n_estimators": 10}), ("autoencoder", {"epochs": 1, "hidden": (8,)})]
)
def test_every_path_scores_every_row_out_of_sample(features, name, params):
    detector = small_detector(name, **params)
    paths = combinatorial_scores(detector, features, SPLITS, label_bars=5)
    assert len(paths) == SPLITS.n_paths == 3
    for path in paths:
        assert not np.isnan(path.values[detector.lookback :]).any()
    assert not np.array_equal(paths[0].values, paths[1].values)
    # Nothing in a test block, nor within purge and embargo of it, may change the fit that scores it.
    reach = detector.lookback + 5
    folds = replace(SPLITS, purge=reach).folds(600, HOUR)
    block, fold = folds[0].test[0], 0
    spoiled = features.values.copy()
    hidden = np.ones(600, dtype=bool)
    hidden[folds[fold].train_rows] = False
    seen = np.zeros(600, dtype=bool)
    seen[block] = True
    spoiled[hidden & ~seen] += 1e3
    again = combinatorial_scores(detector, replace(features, values=spoiled), SPLITS, label_bars=5)
    inner = slice(block.start + detector.lookback, block.stop)
    path = int(np.flatnonzero(SPLITS.paths()[:, 0] == fold)[0])
    np.testing.assert_array_equal(again[path].values[inner], paths[path].values[inner])


def test_without_purge_rows_beside_the_block_are_learned_from(features):
    """The test above can fail: what lies just outside purge and embargo does change the fit."""
    detector = make_detector("pca")
    before = combinatorial_scores(detector, features, SPLITS)
    spoiled = features.values.copy()
    spoiled[replace(SPLITS, purge=detector.lookback).folds(600, HOUR)[0].train_rows[0]] += 1e3
    after = combinatorial_scores(detector, replace(features, values=spoiled), SPLITS)
    assert not np.array_equal(after[0].values[:150], before[0].values[:150])
