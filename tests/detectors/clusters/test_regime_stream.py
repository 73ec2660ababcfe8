"""Regimes row by row: the labels and names of the batch, and after a restart at any row."""

import numpy as np
import pytest

import foreshock as fs
from foreshock.detectors.clusters.regimes import named_at_the_time
from foreshock.engine.features.features import Features
from foreshock.engine.features.ohlcv import ohlcv_features
from tests.market import quiet_bars

SPLITS = fs.WalkForward("15D", "5D", "1D")


@pytest.fixture(scope="module")
def features() -> Features:
    found = ohlcv_features(quiet_bars(3, 1_000, 3), ["volatility_20", "return_24", "log_return"])
    found.values[700:705, 1] = np.nan
    return found


@pytest.mark.parametrize("pool", [True, False])
def test_labels_and_names_are_those_of_the_batch_also_after_a_restart(pool, features, tmp_path):
    detector = fs.make_detector("kmeans_regime", n_regimes=3, pool=pool)
    batch = named_at_the_time(detector, features, SPLITS)
    stream = fs.RegimeStream(detector, SPLITS, features.rows(slice(0, 0)))
    found = []
    for row, cut in ((0, 530), (530, 777), (777, 1_000)):
        found += [stream.update(features.values[k], features.time[k]) for k in range(row, cut)]
        stream.save(tmp_path / "regimes")
        stream = fs.RegimeStream(detector, SPLITS, features.rows(slice(0, 0))).load(tmp_path / "regimes")
    assert np.array_equal(found, batch.labels)
    assert (batch.labels >= 0).sum() > 1_000
    assert stream.names == batch.names
    assert not stream.stale
    assert batch.names[0] in repr(stream)


def test_a_stream_after_rows_goes_on_with_the_labels_of_the_batch(features):
    detector = fs.make_detector("kmeans_regime")
    batch = named_at_the_time(detector, features, SPLITS)
    stream = fs.RegimeStream(detector, SPLITS, features.rows(slice(0, 620)))
    assert np.array_equal([stream.update(row) for row in features.values[620:900]], batch.labels[620:900])


def test_what_does_not_fit_is_refused(features):
    stream = fs.RegimeStream(fs.make_detector("kmeans_regime"), SPLITS, features.rows(slice(0, 0)))
    with pytest.raises(fs.DataError, match=r"\(n_symbols, n_features\) = \(3, 3\), got \(2, 3\)"):
        stream.update(np.zeros((2, 3)), features.time[0])
    with pytest.raises(fs.DataError, match="needs its time"):
        stream.update(np.zeros((3, 3)))
    with pytest.raises(fs.ConfigError, match="detector must be KMeansRegime"):
        fs.RegimeStream(fs.make_detector("pca"), SPLITS, features)
