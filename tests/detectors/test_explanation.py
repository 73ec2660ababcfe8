"""What each feature added to a score: exact shares add up, differences are those of scores, and nothing else moves them."""

from dataclasses import replace
from time import perf_counter

import numpy as np
import pytest

import foreshock as fs
from foreshock.detectors.explanation import replaced_scores
from foreshock.detectors.registry import detectors
from foreshock.engine.features.features import Features
from tests.market import make_bars
from tests.small import N_TRAIN, quick, train_rows

# Shares of these add up to the score.
SHARED = (
    "pca",
    "kmeans_regime",
    "autoencoder",
    "sparse_autoencoder",
    "denoising_autoencoder",
    "conv_autoencoder",
    "conditional_autoencoder",
)
LARGEST = ("zscore", "iqr", "mad")
# The score is that of one feature, or of none.
WHOLE = {"rolling_volatility": "log_return", "volatility_only": "log_return", "range_only": "range", "random": None}
REPLACED = ("isolation_forest", "one_class_svm", "half_space_trees", "ensemble", "vae", "beta_vae", "seq2seq_autoencoder", "anogan")
ROWS, SYMBOLS = np.array([1_100, 900, 901, 1_199, 900]), np.array([0, 1, 1, 2, 0])


@pytest.fixture(scope="module")
def features() -> Features:
    return fs.ohlcv_features(make_bars(1_200, 3, seed=3))


@pytest.fixture(scope="module", params=detectors())
def fitted(request, features) -> fs.Detector:
    return quick(request.param).fit(train_rows(features))


def typical(detector: fs.Detector, features: Features) -> np.ndarray:
    """Median of the training rows, of those that are complete where the detector learns from complete rows alone."""
    values = features.values[:N_TRAIN]
    if not detector.keeps_typical:
        values = np.where(np.isnan(values).any(axis=2, keepdims=True), np.nan, values)
    return np.nanmedian(values, axis=0)


def without(detector: fs.Detector, features: Features, row: int, symbol: int, name: str) -> float:
    """The slow twin: the score of one row when one of its features is at its typical value."""
    values = features.values.copy()
    j = features.index(name)
    values[row, symbol, j] = typical(detector, features)[symbol, j]
    return detector.score(replace(features, values=values)).values[row, symbol]


def test_every_detector_says_what_each_feature_added(fitted, features):
    added = fitted.explain_rows(features, ROWS, SYMBOLS)
    scores = fitted.score(features).values[ROWS, SYMBOLS]
    assert added.shape == (5, len(features.names))
    assert np.isfinite(scores).all()
    assert np.isfinite(added).all()
    if fitted.name in SHARED:
        np.testing.assert_allclose(added.sum(axis=1), scores, rtol=1e-9)
    elif fitted.name in LARGEST:
        used = [features.index(name) for name in fitted.get_params()["columns"]]
        assert (added[:, used].max(axis=1) == scores).all()
        assert not np.delete(added, used, axis=1).any()
    elif fitted.name == "joint_tail":
        used = [features.index(name) for name in fitted.get_params()["columns"]]
        assert (added[:, used].min(axis=1) == scores).all()
        assert not np.delete(added, used, axis=1).any()
    elif fitted.name in WHOLE:
        told = WHOLE[fitted.name]
        expected = np.zeros_like(added)
        if told is not None:
            expected[:, features.index(told)] = scores
        assert (added == expected).all()
    else:
        assert fitted.name in REPLACED
        for i, name in ((0, "log_return"), (1, "range"), (3, "volume_ratio_20")):
            expected = scores[i] - without(fitted, features, ROWS[i], SYMBOLS[i], name)
            # Members of an ensemble have their own training rows, whose medians differ a little.
            near = 2e-3 if fitted.name == "ensemble" else 1e-9
            assert added[i, features.index(name)] == pytest.approx(expected, rel=1e-6, abs=near)


def test_later_rows_change_no_explanation(fitted, features):
    rows, symbols = ROWS[1:3], SYMBOLS[1:3]
    expected = fitted.explain_rows(features, rows, symbols)
    np.testing.assert_allclose(fitted.explain_rows(features.rows(slice(0, 902)), rows, symbols), expected, rtol=1e-9, atol=1e-12)


def test_a_thousand_alerts_take_seconds(fitted, features):
    rows, symbols = np.repeat(np.arange(850, 1_184), 3)[:1_000], np.tile(np.arange(3), 334)[:1_000]
    fitted.explain_rows(features, rows[:2], symbols[:2])
    began = perf_counter()
    fitted.explain_rows(features, rows, symbols)
    assert perf_counter() - began < 20


@pytest.mark.parametrize("name", ["zscore", "iqr", "mad"])
def test_an_ensemble_replaces_the_row_but_not_the_window_of_a_rolling_member(features, name):
    ensemble = fs.make_detector("ensemble", members=[name, "pca"], pool=False).fit(train_rows(features))
    added = ensemble.explain_rows(features, ROWS, SYMBOLS)
    for i, column in ((0, "log_return"), (2, "volume_ratio_20"), (3, "range")):
        member = typical_member(ensemble, features)
        values = features.values.copy()
        values[ROWS[i], SYMBOLS[i], features.index(column)] = member[SYMBOLS[i], features.index(column)]
        changed = ensemble.score(replace(features, values=values)).values[ROWS[i], SYMBOLS[i]]
        score = ensemble.score(features).values[ROWS[i], SYMBOLS[i]]
        assert added[i, features.index(column)] == pytest.approx(score - changed, abs=2e-3)


def typical_member(ensemble: fs.Detector, features: Features) -> np.ndarray:
    assert ensemble.typical_ is not None
    np.testing.assert_allclose(ensemble.typical_["values"], np.nanmedian(features.values[:N_TRAIN], axis=0))
    return ensemble.typical_["values"]


class Span(fs.Detector):
    """Sum of the absolute z-like scores of the last rows: a lookback without a way of its own."""

    learned = ("scale_",)

    def __init__(self, window: int = 5) -> None:
        self.window = window

    @property
    def lookback(self) -> int:
        return self.window

    def _fit(self, features):
        self.scale_ = np.nanstd(features.values, axis=(0, 1))

    def _score(self, features):
        z = np.abs(features.values / self.scale_).sum(axis=2)
        padded = np.vstack([np.full((self.window, z.shape[1]), np.nan), z])
        return np.lib.stride_tricks.sliding_window_view(padded, self.window + 1, axis=0).sum(axis=2)


@pytest.mark.parametrize("n", [3, 200])
def test_a_detector_of_ones_own_is_explained_by_typical_values_however_many_rows_are_asked_for(features, n):
    fitted = Span().fit(train_rows(features))
    rows, symbols = np.arange(900, 900 + n), np.arange(n) % 3
    added = fitted.explain_rows(features, rows, symbols)
    value, middle = features.values[rows, symbols], typical(fitted, features)[symbols]
    np.testing.assert_allclose(added, (np.abs(value) - np.abs(middle)) / fitted.scale_, rtol=1e-6, atol=1e-9)


def test_both_ways_of_scoring_replaced_rows_give_the_same(features, monkeypatch):
    fitted = Span().fit(train_rows(features))
    rows, symbols = np.arange(900, 960), np.arange(60) % 3
    given = (lambda part: fitted.score(part).values, 5, False, features, rows, symbols, typical(fitted, features))
    found = []
    for cost in (0, 10**9):
        monkeypatch.setattr("foreshock.detectors.explanation.CALL_IN_ROWS", cost)
        found.append(replaced_scores(*given))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-12)


def test_the_look_back_of_a_detector_that_claims_none_is_measured_to_explain_it(features):
    def surge(frame):
        return frame["range"] / frame["range"].rolling(30).mean()

    detector = fs.as_detector(surge).fit(train_rows(features))
    added = detector.explain_rows(features, [1_000], [1])[0]
    score = detector.score(features).values[1_000, 1]
    expected = score - without(detector, features, 1_000, 1, "range")
    assert added[features.index("range")] == pytest.approx(expected, rel=1e-9)
    assert not np.delete(added, features.index("range")).any()


def test_a_row_without_a_score_has_no_explanation(fitted, features):
    values = features.values.copy()
    values[1_100, 0] = np.nan
    added = fitted.explain_rows(replace(features, values=values), ROWS, SYMBOLS)
    assert np.isnan(added[0]).all()
    assert np.isfinite(added[1]).all()


def test_an_explanation_survives_saving(features, tmp_path):
    ensemble = fs.make_detector("ensemble").fit(train_rows(features))
    ensemble.save(tmp_path / "one")
    found = fs.load_detector(tmp_path / "one").explain_rows(features, ROWS, SYMBOLS)
    np.testing.assert_array_equal(found, ensemble.explain_rows(features, ROWS, SYMBOLS))


def test_one_row_is_explained_by_position_or_by_time(features):
    fitted = fs.make_detector("zscore").fit(train_rows(features))
    expected = fitted.explain_rows(features, [1_100], [1])[0]
    told = fitted.explain(features, 1_100, features.symbols[1])
    assert told.index[0] in ("log_return", "volume_ratio_20")
    assert told.iloc[0] == expected.max()
    assert fitted.explain(features, str(features.time[1_100]), features.symbols[1]).equals(told)
    assert fitted.explain(features, 1_100 - 1_200, features.symbols[1]).equals(told)


@pytest.mark.parametrize(
    ("row", "symbol", "said"),
    [
        (1_200, "SYM0/USDT", "row must lie between -1200 and 1199, got 1200"),
        ("1990-01-01", "SYM0/USDT", "no row opens at '1990-01-01'"),
        ("soon", "SYM0/USDT", "row must be a position or the time of a row"),
        (0, None, "symbol must be one of"),
    ],
)
def test_a_place_outside_the_features_is_refused(features, row, symbol, said):
    with pytest.raises(fs.ConfigError, match=said):
        fs.make_detector("pca").fit(features).explain(features, row, symbol)


@pytest.mark.parametrize(
    ("rows", "symbols", "said"),
    [([1_200], [0], "from 0 to 1199"), ([0], [3], "from 0 to 2"), ([0.5], [0], "positions"), ([0, 1], [0], "equally many")],
)
def test_places_outside_the_features_are_refused(features, rows, symbols, said):
    with pytest.raises(fs.ConfigError, match=said):
        fs.make_detector("pca").fit(features).explain_rows(features, rows, symbols)
