"""Every registered detector fits every kind of source with its defaults; networks: ``pytest -m slow`` and this file."""

from functools import cache

import numpy as np
import pytest

import foreshock as fs
from foreshock.detectors.registry import detectors, make_detector, neural_detectors
from tests.small import small_detector

# A book has neither flows nor windows in its first rows.
N_ROWS, N_TRAIN = 900, 600
SOURCES = ("bars", "windows", "book", "features")


@cache
def features_of(kind: str, n_rows: int = N_ROWS) -> fs.Features:
    market = fs.simulate_market(seed=1, n_symbols=2, n_bars=n_rows).bars
    if kind == "windows":
        trades = {name: fs.bar_trades(market.select(name).head(n_rows // 60)) for name in market.symbols}
        return fs.WindowSource(trades, "1m").features
    if kind == "book":
        return fs.BookSource(fs.simulate_book(seed=3, n_rows=n_rows + 500).book).features.rows(slice(500, None))
    # So few that the usual codes of networks and components of PCA are as large as their input.
    given = fs.FeatureSource(fs.ohlcv_features(market, ["log_return", "range", "volume_ratio_20"]), market)
    return fs.BarSource(market).features if kind == "bars" else given.features


def networks_are_slow(name: str):
    return pytest.param(name, marks=pytest.mark.slow) if name in neural_detectors() else name


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("name", [networks_are_slow(name) for name in detectors()])
def test_every_detector_scores_every_source_with_its_defaults(name, kind):
    # The codes of a VAE that saw few rows have collapsed, and it says so.
    more = 2_000 if name in ("vae", "beta_vae") else 0
    features, n_train = features_of(kind, N_ROWS + more), N_TRAIN + more
    detector = (make_detector(name) if more else small_detector(name)).fit(features.rows(slice(0, n_train)))
    scores = detector.score(features).values
    assert scores.shape == features.values.shape[:2]
    known = np.isfinite(features.values[n_train:]).all(axis=2)
    assert known.mean() > 0.5
    found = scores[n_train:][known]
    assert np.isfinite(found).mean() > 0.95
    assert len(np.unique(found)) > 50


@pytest.mark.parametrize(
    ("name", "parameter"), [("pca", "n_components"), pytest.param("autoencoder", "latent", marks=pytest.mark.slow)]
)
def test_a_default_is_lowered_for_few_features_and_a_size_that_was_asked_for_is_not(name, parameter):
    features = features_of("features")
    assert small_detector(name, **{parameter: 2}).fit(features).encode(features).shape[2] == 2  # pyright: ignore[reportAttributeAccessIssue]
    assert small_detector(name).fit(features).encode(features).shape[2] == 2  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(fs.ConfigError, match=rf"{parameter} .*must lie between 1 and 2 for 3 features"):
        small_detector(name, **{parameter: 3}).fit(features)
