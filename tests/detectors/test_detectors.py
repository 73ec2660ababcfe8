"""The contract that every registered detector keeps, and what is particular to some."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.ensemble import IsolationForest as SklearnForest

from foreshock.data.errors import ConfigError, DataError, ForeshockError
from foreshock.detectors.base import Detector
from foreshock.detectors.contract import check_detector
from foreshock.detectors.registry import detectors, load_detector, make_detector
from foreshock.detectors.scaling import RobustScaler, complete_rows
from foreshock.engine.features.features import Features
from foreshock.engine.features.ohlcv import ohlcv_features
from tests.market import make_bars
from tests.reference import content_ordered
from tests.small import quick, small_detector

N_TRAIN = 800


@pytest.fixture(scope="module")
def features() -> Features:
    bars = make_bars(n_bars=1_400, n_symbols=3, seed=11)
    return ohlcv_features(bars)


@pytest.fixture(params=detectors())
def detector(request) -> Detector:
    return small_detector(request.param)


def fitted(detector: Detector, features: Features) -> Detector:
    return detector.fit(features.rows(slice(0, N_TRAIN)))


def test_most_rows_are_scored_and_scores_differ(detector, features):
    values = fitted(detector, features).score(features).values
    assert values.shape == (features.n_rows, 3)
    assert np.isfinite(values[N_TRAIN:]).all()
    assert len(np.unique(values[N_TRAIN:])) > 100


def test_an_obvious_anomaly_scores_above_nearly_all_rows(detector, features):
    if detector.name in ("random", "volatility_only"):
        pytest.skip("a baseline is not meant to find it")
    values = features.values.copy()
    row = 1_200
    for name in ("log_return", "volume_ratio_20", "range", "volatility_20", "return_zscore_168", "volume_zscore_168"):
        values[row, 0, features.index(name)] *= 1 + 40 / max(abs(values[row, 0, features.index(name)]), 1)
        values[row, 0, features.index(name)] += 20 * np.nanstd(values[:, 0, features.index(name)])
    planted = Features(features.time, features.symbols, features.names, values, features.interval)
    scores = fitted(detector, features).score(planted).values
    assert (scores[N_TRAIN:] >= scores[row, 0]).sum() <= 6


@pytest.mark.parametrize("name", detectors())
def test_every_detector_keeps_the_contract(name, features):
    check_detector(quick(name), features)


@pytest.mark.parametrize("name", detectors())
def test_no_lookback_is_longer_than_it_need_be(name, features):
    detector = quick(name)
    if not detector.lookback:
        pytest.skip("looks at no row before")
    fitted(detector, features)
    short = detector.score(features.rows(slice(1_301 - detector.lookback, 1_301))).values[-1]
    assert np.isnan(short).all()


def test_every_name_is_that_of_its_class(detector):
    assert type(make_detector(detector.name)) is type(detector)


def test_a_saved_detector_is_loaded_by_its_name_from_one_file(features, tmp_path):
    detector = fitted(make_detector("pca"), features)
    detector.save(tmp_path / "model.safetensors")
    loaded = load_detector(tmp_path / "model.safetensors")
    assert type(loaded) is type(detector)
    assert loaded.get_params() == detector.get_params()
    assert np.array_equal(loaded.score(features).values, detector.score(features).values, equal_nan=True)
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]
    with pytest.raises(ConfigError, match="not fitted"):
        clone(detector).score(features)


@pytest.mark.parametrize("damage", ["truncated", "changed", "empty", "text", "missing"])
def test_a_damaged_detector_file_is_refused(damage, features, tmp_path):
    path = tmp_path / "model.safetensors"
    fitted(make_detector("pca"), features).save(path)
    content = bytearray(path.read_bytes())
    content[-9] ^= 1
    damaged = {"truncated": bytes(content[:-100]), "changed": bytes(content), "empty": b"", "text": b'{"a": 1}'}
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(damaged[damage])
    with pytest.raises(DataError, match="was changed" if damage == "changed" else "not a complete file of a detector|no such file"):
        load_detector(path)


def test_a_detector_file_of_a_newer_format_is_refused(features, tmp_path, monkeypatch):
    monkeypatch.setattr("foreshock.detectors.saved.FORMAT", 99)
    fitted(make_detector("pca"), features).save(tmp_path / "model.safetensors")
    monkeypatch.undo()
    with pytest.raises(DataError, match="format 99, this version reads up to 2"):
        load_detector(tmp_path / "model.safetensors")


def test_the_registry_refuses_unknown_names_and_parameters():
    with pytest.raises(ConfigError, match="did you mean 'isolation_forest'"):
        make_detector("isolationforest")
    with pytest.raises(ConfigError, match=r"unknown parameter of zscore: windw; .*; did you mean 'window'"):
        make_detector("zscore", windw=3)
    assert set(detectors()) >= {
        "zscore",
        "iqr",
        "mad",
        "rolling_volatility",
        "isolation_forest",
        "pca",
        "random",
        "volatility_only",
    }


@pytest.mark.parametrize("name", detectors())
def test_a_parameter_of_the_wrong_type_is_refused_by_its_name(name):
    for parameter in make_detector(name).get_params(deep=False):
        with pytest.raises(ConfigError, match=f"^{parameter} of {name} must be .*, got"):
            make_detector(name, **{parameter: object()})


def test_the_types_of_parameters_are_those_of_their_annotations(features):
    numpy_numbers = make_detector("one_class_svm", nu=np.float64(0.1), n_components=np.int64(20), gamma=1)
    assert numpy_numbers.get_params()["n_components"] == 20
    for params in ({"window": 2.0}, {"window": True}, {"window": "24"}, {"columns": "range"}, {"columns": [1]}):
        with pytest.raises(ConfigError, match=f"{next(iter(params))} of zscore must be"):
            make_detector("zscore", **params)
    with pytest.raises(ConfigError, match=r"hidden of autoencoder must be a list of whole numbers, such as .*, got \(8, 2.5\)"):
        make_detector("autoencoder", hidden=(8, 2.5))
    with pytest.raises(ConfigError, match="window of zscore must be a whole number, such as 168, got 'day'"):
        make_detector("zscore").set_params(window="day").fit(features)


def test_infinite_features_are_refused_before_anything_is_learned(features):
    values = features.values.copy()
    values[7, 1, 2] = np.inf
    wrong = replace(features, values=values)
    place = f"got inf in {features.names[2]} of {features.symbols[1]} at {features.time[7]} .1 such values"
    with pytest.raises(DataError, match=place):
        make_detector("pca").fit(wrong)
    with pytest.raises(DataError, match=place):
        make_detector("pca").fit(features).score(wrong)


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("zscore", {"window": 1}, "window must be at least 2 rows, got 1"),
        ("zscore", {"columns": ("close",)}, "no such feature: 'close'"),
        ("rolling_volatility", {"short": 5, "long": 5}, "long must be at least 6 rows, got 5"),
        ("pca", {"n_components": 13}, "between 1 and 12 for 13 features, got 13"),
        ("isolation_forest", {"n_estimators": 0}, "n_estimators must be at least 1"),
    ],
)
def test_a_parameter_that_cannot_work_is_refused(name, params, message, features):
    with pytest.raises(ConfigError, match=message):
        make_detector(name, **params).fit(features).score(features)


def test_rolling_detectors_equal_their_pandas_expressions(features):
    x = {name: pd.DataFrame(features.column(name)) for name in ("log_return", "volume_ratio_20")}

    def zscore(v):
        before = v.shift(1).rolling(50)
        return (v - before.mean()).abs() / before.std()

    def iqr(v):
        before = v.shift(1).rolling(50)
        low, high = before.quantile(0.25), before.quantile(0.75)
        return np.maximum(low - v, v - high) / (high - low)

    def mad(v):
        before = v.shift(1).rolling(50)
        return (v - before.median()).abs() / (1.4826 * before.apply(lambda w: np.median(np.abs(w - np.median(w))), raw=True))

    for name, expression in {"zscore": zscore, "iqr": iqr, "mad": mad}.items():
        expected = np.fmax(expression(x["log_return"]), expression(x["volume_ratio_20"]))
        found = make_detector(name, window=50).fit(features).score(features).values
        np.testing.assert_allclose(found, expected, rtol=1e-8, err_msg=name)
    r = x["log_return"]
    found = make_detector("rolling_volatility", short=5, long=40).fit(features).score(features).values
    np.testing.assert_allclose(found, r.rolling(5).std() / r.rolling(40).std(), rtol=1e-9)
    np.testing.assert_allclose(
        make_detector("volatility_only", window=9).fit(features).score(features).values, r.rolling(9).std(), rtol=1e-9
    )


def test_the_forest_scores_as_scikit_learn_does(features):
    detector = fitted(make_detector("isolation_forest", n_estimators=50, seed=3), features)
    scaler = RobustScaler(detector.symbols_, detector.names_, detector.center_, detector.scale_)
    train = content_ordered(*complete_rows(scaler.transform(features.rows(slice(0, N_TRAIN)))))
    rows, mask = complete_rows(scaler.transform(features))
    peer = SklearnForest(n_estimators=50, max_samples=256, random_state=3).fit(train)
    np.testing.assert_allclose(detector.score(features).values[mask], -peer.score_samples(rows), rtol=1e-9)


def test_pca_leaves_no_error_on_rows_within_its_span():
    rng = np.random.default_rng(2)
    values = rng.normal(size=(400, 1, 2)) @ rng.normal(size=(2, 6))
    time = np.datetime64("2024-01-01", "us") + np.arange(400) * np.timedelta64(1, "h")
    features = Features(time, ("A",), tuple("abcdef"), values, np.timedelta64(1, "h"))
    detector = make_detector("pca", n_components=2).fit(features)
    assert detector.score(features).values.max() < 1e-12
    moved = values.copy()
    moved[7, 0] += 3.0
    planted = Features(time, ("A",), features.names, moved, features.interval)
    scores = detector.score(planted).values[:, 0]
    assert scores[7] > 0.1
    assert np.delete(scores, 7).max() < 1e-12


def test_a_symbol_without_training_rows_is_not_scored(features):
    values = features.values.copy()
    values[:N_TRAIN, 2] = np.nan
    late = Features(features.time, features.symbols, features.names, values, features.interval)
    for name in ("isolation_forest", "pca"):
        scores = fitted(make_detector(name), late).score(late).values
        assert np.isnan(scores[:, 2]).all()
        assert np.isfinite(scores[N_TRAIN:, :2]).all()
    values[:N_TRAIN] = np.nan
    with pytest.raises(DataError, match="no symbol has 100 training rows"):
        fitted(make_detector("pca"), Features(features.time, features.symbols, features.names, values, features.interval))


def test_other_features_than_those_fitted_on_are_refused(features):
    detector = fitted(make_detector("pca"), features)
    with pytest.raises(ConfigError, match="was fitted on the features"):
        detector.score(features.select(features.names[::-1]))


def test_random_scores_are_uniform_and_know_nothing_of_each_other(features):
    scores = make_detector("random", seed=5).fit(features).score(features).values
    known = scores[~np.isnan(scores)]
    assert abs(known.mean() - 0.5) < 4 * np.sqrt(1 / 12 / len(known))
    assert np.histogram(known, bins=10, range=(0, 1))[0].min() > 0.07 * len(known)
    complete = scores[~np.isnan(scores).any(axis=1)]
    assert np.abs(np.corrcoef(complete.T) - np.eye(3)).max() < 0.12
    assert abs(np.corrcoef(complete[1:, 0], complete[:-1, 0])[0, 1]) < 0.12
    other = make_detector("random", seed=6).fit(features).score(features).values
    assert not np.array_equal(scores, other, equal_nan=True)


def test_the_saved_card_is_readable_text(features, tmp_path):
    from safetensors import safe_open

    fitted(make_detector("isolation_forest"), features).save(tmp_path / "m")
    with safe_open(tmp_path / "m", framework="numpy") as file:
        card = json.loads(file.metadata()["foreshock"])
    assert card["detector"] == "isolation_forest"
    assert card["params"] == {"max_samples": 256, "n_estimators": 100, "pool": True, "seed": 0}


@pytest.mark.parametrize("name", ["random", "joint_tail", "ensemble", "isolation_forest", "kmeans_regime"])
@pytest.mark.parametrize("value", [None, float("nan"), "text", 3, np.zeros(0), (None,)])
def test_a_state_of_other_things_is_refused(name, value, features):
    detector = make_detector(name).fit(features)
    for part in detector.state():
        with pytest.raises(ForeshockError):
            make_detector(name).restore(detector.state() | {part: value}).score(features)
