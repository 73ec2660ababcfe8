"""Splits and walk-forward scoring: what each block was allowed to see."""

import numpy as np
import pytest

from foreshock.data.errors import ConfigError, DataError
from foreshock.detectors.base import Detector
from foreshock.detectors.registry import make_detector
from foreshock.engine.features.features import Features
from foreshock.engine.features.ohlcv import ohlcv_features
from foreshock.engine.out_of_sample.splits import WalkForward
from foreshock.engine.out_of_sample.walk_forward import walk_forward
from tests.market import make_bars

HOUR = np.timedelta64(1, "h")


class Recorder(Detector):
    """Scores the largest value it was fitted on, so that the scores tell what was seen."""

    name = "recorder"
    learned = ("largest_",)

    def __init__(self, lookback_rows: int = 3) -> None:
        self.lookback_rows = lookback_rows

    @property
    def lookback(self) -> int:
        return self.lookback_rows

    def _fit(self, features: Features) -> None:
        self.largest_ = np.array(features.values.max())

    def _score(self, features: Features) -> np.ndarray:
        return np.full(features.values.shape[:2], float(self.largest_))


def counting_features(n_rows: int) -> Features:
    time = np.datetime64("2024-01-01", "us") + np.arange(n_rows) * HOUR
    return Features(time, ("A",), ("row",), np.arange(float(n_rows))[:, None, None], HOUR.astype("m8[us]"))


def test_folds_leave_purge_and_embargo_between_train_and_test():
    folds = WalkForward("10h", "4h", "2h").folds(30, HOUR, purge=3)
    assert [(f.train.start, f.train.stop, f.test.start, f.test.stop) for f in folds] == [
        (0, 10, 15, 19),
        (4, 14, 19, 23),
        (8, 18, 23, 27),
        (12, 22, 27, 30),
    ]
    grown = WalkForward("10h", "4h", "2h", mode="expanding").folds(30, HOUR, purge=3)
    assert [(f.train.start, f.train.stop) for f in grown] == [(0, 10), (0, 14), (0, 18), (0, 22)]


def test_later_rows_never_move_earlier_folds():
    long = WalkForward("10h", "4h", embargo=None).folds(100, HOUR)
    short = WalkForward("10h", "4h", embargo=None).folds(50, HOUR)
    assert short == long[: len(short)]


def test_each_block_is_scored_by_a_model_that_saw_only_the_rows_before_its_gap():
    scores = walk_forward(Recorder(3), counting_features(60), WalkForward("10h", "5h", "2h"), label_bars=4)
    values = scores.values[:, 0]
    # The first multiple of 5 hours since 1970 after the training window and the gap: 2024 began 473,352 hours after 1970.
    first = 23
    assert (473_352 + first) % 5 == 0
    assert np.isnan(values[:first]).all()
    for row in range(first, 60):
        block_start = first + (row - first) // 5 * 5
        assert values[row] == block_start - (3 + 4 + 2) - 1


def test_training_scores_are_kept_only_when_asked_for():
    features = counting_features(60)
    kept = walk_forward(Recorder(), features, WalkForward("10h", "5h", embargo=None), train_scores=True)
    assert all(fold.train_values is not None and fold.train_values.shape == (10, 1) for fold in kept.folds)
    assert all(
        fold.train_values is None for fold in walk_forward(Recorder(), features, WalkForward("10h", "5h", embargo=None)).folds
    )


def test_a_rolling_detector_has_its_lookback_at_the_start_of_every_block():
    features = ohlcv_features(make_bars(n_bars=900, n_symbols=2, seed=3))
    blocks = walk_forward(make_detector("mad", window=100), features, WalkForward("10D", "3D", embargo=None)).values
    whole = make_detector("mad", window=100).fit(features).score(features).values
    scored = ~np.isnan(blocks)
    first = int(np.argmax(scored.all(axis=1)))
    assert (features.start_row + first) % 72 == 0
    assert 340 <= first < 340 + 72
    assert scored[first:].all()
    np.testing.assert_allclose(blocks[scored], whole[scored], rtol=1e-9)


def test_the_detector_passed_in_stays_unfitted():
    detector = Recorder()
    walk_forward(detector, counting_features(60), WalkForward("10h", "5h", embargo=None))
    assert not hasattr(detector, "largest_")


def test_windows_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match="train window plus gap must be shorter than the data"):
        WalkForward("60h", "5h", embargo=None).folds(60, HOUR)
    with pytest.raises(ConfigError, match="train must be a whole number of 1h bars"):
        WalkForward("90m", "5h", embargo=None).folds(60, HOUR)
    with pytest.raises(ConfigError, match="'rolling' or 'expanding'"):
        WalkForward("10h", "5h", mode="both", embargo=None)
    blank = counting_features(60)
    unknown = Features(blank.time, blank.symbols, blank.names, np.full((60, 1, 1), np.nan), blank.interval)
    with pytest.raises(DataError, match="no row could be scored"):
        walk_forward(make_detector("random"), unknown, WalkForward("10h", "5h", embargo=None))


def test_negative_label_bars_which_would_let_training_reach_into_the_test_are_refused():
    with pytest.raises(ConfigError, match="label_bars must be a whole number of at least 0"):
        walk_forward(
            make_detector("zscore"), ohlcv_features(make_bars(2_000, 1)), WalkForward("20D", "10D", embargo=None), label_bars=-48
        )


def test_more_test_blocks_than_anyone_fits_are_refused_before_they_are_made():
    with pytest.raises(ConfigError, match=r"test=1h would make 999,998,952 test blocks of 1,000,000,000 bars.*lengthen test$"):
        WalkForward("1000h", "1h").folds(10**9, HOUR)
