"""Every registered detector fits every kind of source with its defaults."""

import numpy as np
import pytest

import foreshock as fs
from foreshock.detectors.registry import detectors
from tests.small import small_detector

MARKET = fs.simulate_market(seed=1, n_symbols=2, n_bars=900).bars
N_TRAIN = 450


def windows() -> fs.Source:
    trades = {name: fs.bar_trades(MARKET.select(name).head(16)) for name in MARKET.symbols}
    return fs.WindowSource(trades, "1m")


SOURCES = {
    "bars": lambda: fs.BarSource(MARKET),
    "windows": windows,
    "book": lambda: fs.BookSource(fs.simulate_book(seed=3, n_rows=900).book),
    "features": lambda: fs.FeatureSource(fs.ohlcv_features(MARKET, ["log_return", "range", "volume_ratio_20"]), MARKET),
}


@pytest.fixture(scope="module", params=SOURCES)
def features(request) -> fs.Features:
    return SOURCES[request.param]().features


# One epoch, or a few steps, of a small network: that a network learns is tested where it is at home.
QUICK = {"epochs": 1, "max_windows": 300}


@pytest.mark.parametrize("name", detectors())
def test_every_detector_scores_every_source_with_its_defaults(name, features):
    detector = small_detector(name)
    params = detector.get_params()
    quick = {key: value for key, value in {**QUICK, "steps": 3}.items() if key in params}
    detector = small_detector(name, **quick).fit(features.rows(slice(0, N_TRAIN)))
    scores = detector.score(features).values
    assert scores.shape == features.values.shape[:2]
    known = np.isfinite(features.values[N_TRAIN:]).all(axis=2)
    assert known.mean() > 0.5
    # A rolling detector scores a row as soon as its window is full.
    assert np.isfinite(scores[N_TRAIN:][known]).mean() > 0.95
    assert len(np.unique(scores[N_TRAIN:][known])) > 50
