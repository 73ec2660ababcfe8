"""Combinatorial splits: no training row within reach of a test row, every group on every path once."""

import math
from collections import Counter

import numpy as np
import pytest

from foreshock.data.errors import ConfigError
from foreshock.engine.out_of_sample.combinatorial import CombinatorialSplits

HOUR = np.timedelta64(1, "h")
CASES = [(6, 2, 0, None, 60), (6, 2, 3, "2h", 103), (8, 4, 2, None, 97), (5, 1, 7, "5h", 200), (4, 3, 1, "1h", 41)]


@pytest.mark.parametrize(("n_groups", "n_test", "purge", "embargo", "n_rows"), CASES)
def test_training_rows_are_exactly_those_beyond_purge_and_embargo(n_groups, n_test, purge, embargo, n_rows):
    splits = CombinatorialSplits(n_groups, n_test, purge, embargo)
    folds = splits.folds(n_rows, HOUR)
    assert len(folds) == splits.n_folds == math.comb(n_groups, n_test)
    behind = purge + (int(embargo[0]) if embargo else 0)
    for fold in folds:
        tested = [row for block in fold.test for row in range(block.start, block.stop)]
        # A row may train if no test row lies within a purge after it, or within purge and embargo before it.
        allowed = [r for r in range(n_rows) if not any(-purge <= r - t <= behind for t in tested)]
        assert fold.train_rows.tolist() == allowed
        assert all(run.start < run.stop for run in fold.train)
        assert all(a.stop < b.start for a, b in zip(fold.train, fold.train[1:], strict=False))


@pytest.mark.parametrize(("n_groups", "n_test", "purge", "embargo", "n_rows"), CASES)
def test_each_path_goes_through_all_rows_and_each_tested_block_serves_once(n_groups, n_test, purge, embargo, n_rows):
    splits = CombinatorialSplits(n_groups, n_test, purge, embargo)
    folds, paths = splits.folds(n_rows, HOUR), splits.paths()
    assert paths.shape == (splits.n_paths, n_groups) == (splits.n_folds * n_test // n_groups, n_groups)
    served = Counter((int(fold), group) for path in paths for group, fold in enumerate(path))
    assert served == Counter((number, group) for number, fold in enumerate(folds) for group in fold.groups)
    sizes = Counter(block.stop - block.start for fold in folds for block in fold.test)
    assert max(sizes) - min(sizes) <= 1
    # Each fold writes its number on its test rows and something wrong everywhere else.
    tested = []
    for number, fold in enumerate(folds):
        values = np.full((n_rows, 2), -1.0)
        for block in fold.test:
            values[block] = number
        tested.append(values)
    found = splits.path_values(tested, n_rows)
    assert found.shape == (splits.n_paths, n_rows, 2)
    assert (found >= 0).all()
    for row in range(n_rows):
        # Along the paths, a row is tested by every fold that has it, once by each.
        holders = [n for n, fold in enumerate(folds) if any(block.start <= row < block.stop for block in fold.test)]
        assert sorted(found[:, row, 0]) == holders


def test_one_test_group_is_plain_cross_validation_with_one_path():
    splits = CombinatorialSplits(5, 1)
    assert splits.paths().tolist() == [[0, 1, 2, 3, 4]]
    tests = [fold.test[0] for fold in splits.folds(23, HOUR)]
    assert [t.stop - t.start for t in tests] == [5, 5, 5, 4, 4]
    assert [t.start for t in tests][1:] == [t.stop for t in tests][:-1]


def test_they_are_the_folds_of_a_peer():
    purgedcv = pytest.importorskip("purgedcv", reason="a peer of the benchmark extra")
    times = np.arange("2024-01-01", "2024-01-06", np.timedelta64(1, "h"), dtype="datetime64[us]")
    theirs = purgedcv.CombinatorialPurgedCV(n_splits=6, n_test_groups=2, prediction_times=times, evaluation_times=times + 3 * HOUR)
    rows = np.zeros((len(times), 1))
    ours = CombinatorialSplits(6, 2, purge=3).folds(len(times), HOUR)
    for (_, test), fold in zip(theirs.split(rows), ours, strict=True):
        assert np.concatenate([np.arange(b.start, b.stop) for b in fold.test]).tolist() == sorted(test.tolist())
    for (train, _), fold in zip(theirs.split(rows), ours, strict=True):
        assert set(fold.train_rows) <= set(train.tolist())


@pytest.mark.parametrize(
    ("splits", "words"),
    [
        ({"n_groups": 4, "n_test_groups": 4}, "n_test_groups must lie between 1 and n_groups - 1, got 4 of 4"),
        ({"n_groups": 4, "n_test_groups": 0}, "got 0 of 4"),
        ({"n_groups": 6.0}, "n_groups must be a whole number of at least 2, got 6.0"),
        ({"n_groups": 4, "n_test_groups": 1.5}, "n_test_groups must be a whole number of at least 0, got 1.5"),
        ({"purge": -1}, "purge must be a whole number of at least 0, got -1"),
        ({"purge": 1.5}, "purge must be a whole number of at least 0, got 1.5"),
        ({"n_groups": 30, "n_test_groups": 15}, "155,117,520 folds; take fewer groups"),
        ({"n_groups": 50}, "n_groups must not exceed the 40 rows, got 50"),
        ({"purge": 20}, r"no row is left to train on when groups \[0, 2\] are tested"),
        ({"embargo": "90m"}, "embargo must be a whole number of 1h bars"),
    ],
)
def test_splits_that_cannot_be_made_are_refused(splits, words):
    with pytest.raises(ConfigError, match=words):
        CombinatorialSplits(**splits).folds(40, HOUR)


def test_values_that_do_not_belong_to_the_folds_are_refused():
    with pytest.raises(ConfigError, match="3 arrays of 9 rows"):
        CombinatorialSplits(3, 1).path_values([np.zeros(9)] * 2, 9)
