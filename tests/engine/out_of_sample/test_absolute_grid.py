"""Test blocks on the grid of whole intervals since 1970: the same rows and scores wherever a history begins."""

import numpy as np
import pytest

from foreshock.data.errors import ConfigError
from foreshock.detectors.clusters.regimes import walk_forward_regimes
from foreshock.detectors.registry import make_detector
from foreshock.engine.features.ohlcv import ohlcv_features
from foreshock.engine.out_of_sample.splits import WalkForward
from foreshock.engine.out_of_sample.walk_forward import walk_forward
from tests.market import make_bars

HOUR = np.timedelta64(1, "h")


@pytest.mark.parametrize("mode", ["rolling", "expanding"])
@pytest.mark.parametrize("origin", [0, 1, 14, 15, 16, 455_832, -3])
def test_blocks_begin_at_multiples_of_their_length_after_a_whole_training_window(mode, origin):
    folds = WalkForward("10h", "4h", "2h", mode=mode).folds(40, HOUR, purge=3, origin=origin)
    starts = [fold.test.start for fold in folds]
    assert starts == [row for row in range(15, 40) if (row + origin) % 4 == 0]
    for fold in folds:
        assert fold.train.stop == fold.test.start - 5
        assert fold.train.start == (0 if mode == "expanding" else fold.test.start - 15)
        assert fold.test.stop == min(fold.test.start + 4, 40)


def test_a_history_that_begins_later_has_the_same_blocks():
    splits = WalkForward("10h", "4h", "2h")
    whole = {fold.test.start + 100: fold.train.start + 100 for fold in splits.folds(80, HOUR, 3, 100)}
    for cut in range(1, 30):
        later = {fold.test.start + 100 + cut: fold.train.start + 100 + cut for fold in splits.folds(80 - cut, HOUR, 3, 100 + cut)}
        assert later.items() <= whole.items()
        assert max(later) == max(whole)


def test_rows_that_hold_no_block_on_the_grid_are_refused_with_the_number_that_is_enough():
    splits = WalkForward("10h", "8h", "2h")
    assert splits.folds(16, HOUR, 3)[0].test == slice(15, 16)
    with pytest.raises(ConfigError, match=r"multiples of test=8h since 1970.* got 16 bars of 1h.* need 23 bars wherever"):
        splits.folds(16, HOUR, 3, origin=0)
    for origin in range(8):
        assert splits.folds(23, HOUR, 3, origin)
    with pytest.raises(ConfigError, match="train window plus gap must be shorter than the data"):
        splits.folds(15, HOUR, 3, origin=0)
    with pytest.raises(ConfigError, match="origin must be"):
        splits.folds(40, HOUR, 3, origin=1.5)


@pytest.mark.parametrize("name", ["zscore", "rolling_volatility", "isolation_forest"])
@pytest.mark.parametrize("cut", [1, 37, 331])
def test_walk_forward_scores_of_a_history_cut_on_the_left_have_the_bits_of_the_whole(name, cut):
    bars = make_bars(n_bars=1_500, n_symbols=2, seed=3)
    splits, detector = WalkForward("15D", "5D", "1D"), make_detector(name)
    whole = walk_forward(detector, ohlcv_features(bars), splits)
    later = walk_forward(detector, ohlcv_features(bars.rows(slice(cut, None))), splits)
    # The training window of an earlier block holds rows whose features are not known after the cut.
    blocks = [fold.test for fold in later.folds if fold.train.start >= 170]
    assert len(blocks) >= 2
    assert {block.start + cut for block in blocks} <= {fold.test.start for fold in whole.folds}
    for block in blocks:
        expected = whole.values[block.start + cut : block.stop + cut]
        assert np.isfinite(expected).all()
        assert np.array_equal(later.values[block], expected)


def test_regimes_of_a_history_cut_on_the_left_have_the_same_blocks():
    bars = make_bars(n_bars=1_500, n_symbols=1, seed=3)
    splits, detector = WalkForward("20D", "10D", "1D"), make_detector("kmeans_regime")
    features = ohlcv_features(bars)
    known = np.flatnonzero(walk_forward_regimes(detector, features, splits).labels[:, 0] >= 0)
    assert (features.start_row + known[0]) % 240 == 0
