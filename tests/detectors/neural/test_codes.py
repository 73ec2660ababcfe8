"""What is known of a code: the active units of a VAE, the mean activation of a sparse code, and where both are shown."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import foreshock as fs
from foreshock.benchmarks.models import _figures
from foreshock.detectors.kept import keeper_of
from foreshock.detectors.registry import load_detector, make_detector
from foreshock.engine.detection import Events
from foreshock.engine.features.features import Features
from foreshock.engine.out_of_sample.walk_forward import fit_walk_forward
from foreshock.engine.scores import FoldScores
from foreshock.reports.comparison.tables import models_table
from foreshock.reports.study.tables import alert_table
from foreshock.study.content import detector_section, facts_section
from tests.made.comparison import MODELS
from tests.market import make_bars
from tests.small import small_detector, train_rows

HOUR = np.timedelta64(3_600_000_000, "us")


def fitted(detector: Any, features: Features) -> Any:
    return detector.fit(features)


def two_factors(n: int = 1_500, seed: int = 1) -> Features:
    """Eight features that two factors drive, and noise."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n, 2)) @ rng.normal(size=(2, 8)) + 0.5 * rng.normal(size=(n, 8))
    time = np.datetime64("2024-01-01", "us") + np.arange(n) * HOUR
    return Features(time, ("A",), tuple("abcdefgh"), values[:, None], HOUR)


def test_as_many_units_are_active_as_factors_were_planted():
    detector = fitted(make_detector("vae", latent=5, hidden=(16,), epochs=20, learning_rate=0.02, device="cpu"), two_factors())
    assert detector.active_units_ == 2
    assert repr(detector).endswith("2 of 5 units active)")


def test_a_unit_is_active_if_its_mean_varies_by_a_hundredth_over_the_training_rows(features, tmp_path):
    detector = fitted(small_detector("vae"), train_rows(features))
    codes = detector.encode(train_rows(features))
    windows = detector._training_windows(train_rows(features))[0].split(0.15)[0]
    expected = codes[windows.rows, windows.cols].var(axis=0)
    np.testing.assert_allclose(detector.models_[0]["unit_variance"], expected, rtol=1e-5)
    detector.models_[0]["unit_variance"][:] = [0.5, 0.0099, 0.0101, 0.0]
    assert detector.active_units_ == 2
    detector.save(tmp_path / "vae")
    loaded: Any = load_detector(tmp_path / "vae")
    assert loaded.active_units_ == 2
    # A file of before it was counted.
    del detector.models_[0]["unit_variance"]
    detector.save(tmp_path / "old")
    old: Any = load_detector(tmp_path / "old")
    assert np.isnan(old.active_units_)
    np.testing.assert_array_equal(old.score(features).values, detector.score(features).values)


def test_the_mean_activation_is_that_of_the_training_rows(features):
    detector = fitted(small_detector("sparse_autoencoder"), train_rows(features))
    windows = detector._training_windows(train_rows(features))[0].split(0.15)[0]
    codes = detector.encode(train_rows(features))[windows.rows, windows.cols]
    assert detector.mean_activation_ == pytest.approx(codes.mean(), rel=1e-5)
    assert f"mean activation {detector.mean_activation_:.2g}" in repr(detector)


def test_of_networks_for_each_symbol_the_mean_is_told_and_without_a_fit_nothing(features):
    detector = fitted(small_detector("vae", pool=False), train_rows(features))
    each = [float((model["unit_variance"] > 0.01).sum()) for model in detector.models_]
    assert detector.active_units_ == np.mean(each)
    with pytest.raises(fs.ConfigError, match="vae is not fitted"):
        small_detector("vae").fit_facts()
    assert "active" not in repr(small_detector("vae"))


def test_results_have_the_facts_of_every_fold_from_the_cache_too(features, monkeypatch, tmp_path):
    monkeypatch.setenv("FORESHOCK_CACHE", str(tmp_path))
    splits = fs.WalkForward("20D", "12D", None)

    def section(name: str) -> dict:
        detector = small_detector(name, **{"epochs": 1} if name != "zscore" else {})
        keeper: Any = keeper_of(detector, features, {}, False)
        return facts_section(fit_walk_forward(detector, features, splits, keeper=keeper)[0])

    assert section("zscore") == {}
    found = {name: section(name) for name in ("vae", "sparse_autoencoder")}
    units, activation = found["vae"]["fit_facts"]["active_units"], found["sparse_autoencoder"]["fit_facts"]["mean_activation"]
    assert len(units) > 1
    assert all(0 < n <= 4 for n in units)
    assert all(0 < a < 1 for a in activation)
    assert {name: section(name) for name in found} == found


def test_the_comparison_of_models_and_the_section_of_a_detector_have_the_facts(features):
    bars = make_bars(n_bars=1_400, n_symbols=3, seed=11)
    events = Events(np.zeros(1, int), np.array([1_200]), np.array([1_201]), bars.shape)
    detector, rows = small_detector("vae", epochs=1), slice(0, 1_400)
    figures = _figures(detector, bars, features, events, [(rows, rows)], 0.95)
    assert figures["active_units"] == fitted(small_detector("vae", epochs=1), features).active_units_
    folds = (FoldScores(rows, rows, facts={"active_units": 3.0}), FoldScores(rows, rows, facts={"active_units": 4.0}))
    scores = fs.Scores(features.time, features.symbols, features.values[:, :, 0], features.interval, folds)
    judged: Any = SimpleNamespace(
        verdicts={"vae": SimpleNamespace(label="", horizon="", sentence="")},
        surrogate=lambda _: None,
        forward={"vae": SimpleNamespace(horizons={})},
        rungs=SimpleNamespace(found={"vae": {}}, gains={"vae": {}}),
    )
    section = detector_section(detector, scores, scores.signals(fs.Fixed(1.0)), judged, "vae")
    assert section["fit_facts"] == {"active_units": [3.0, 4.0]}


def test_pages_show_what_is_known_of_a_code():
    entry = {"verdict": "no information", "forward": {}, "fit_seconds": 2.0, "score_seconds": 1.0}
    told = alert_table({"detectors": {"vae": entry | {"fit_facts": {"active_units": [3, 4]}}, "pca": entry}})
    assert {row[0].text: row[6].detail for row in told.rows} == {"vae": "active units 3.50", "pca": ""}
    rows = [row | {"active_units": 3.0, "mean_activation": None} for row in MODELS["rows"][:1]] + MODELS["rows"][1:]
    table = models_table({**MODELS, "rows": rows})
    at = [column.label for column in table.columns].index("Code")
    assert [row[at].text for row in table.rows] == ["active units 3.00", "–", "–"]
    assert "Code" not in [column.label for column in models_table(MODELS).columns]


def test_a_sparse_code_reaches_its_rate_at_the_defaults():
    """On whole years of eight coins and of simulated ones it was .108."""
    features = fs.ohlcv_features(fs.simulate_market(seed=7, n_symbols=1, n_bars=1_500).bars)
    detector = fitted(make_detector("sparse_autoencoder", device="cpu"), features)
    assert detector.rate == 0.1
    assert 0.08 < detector.mean_activation_ < 0.13
    assert np.nanmedian(detector.score(features).values) < 0.3
