"""Every detector one row at a time: the scores of the batch, from any row on, and after a restart at any row."""

from dataclasses import replace

import numpy as np
import pytest

import foreshock as fs
from foreshock.detectors.base import Detector
from foreshock.detectors.registry import make_detector
from foreshock.detectors.stream import RingStream
from foreshock.engine.features.features import Features
from foreshock.engine.features.ohlcv import ohlcv_features
from foreshock.engine.out_of_sample.lookback import lookback_of
from tests.market import make_bars
from tests.paths import ROOT
from tests.small import N_TRAIN, quick

# Rows that are streamed: later than all lookbacks, and few enough for networks.
FIRST, N = 1_100, 1_140
PLUGIN = f"{ROOT / 'examples' / 'plugins' / 'volume_zscore.py'}:VolumeZScore"
# Networks that take seconds, of which the plain contract is enough in every run.
LONG = ("vae", "beta_vae", "anogan", "seq2seq_autoencoder", "conv_autoencoder")
EVERY = [*fs.detectors(), PLUGIN]
MOST = [pytest.param(name, marks=[pytest.mark.slow] if name in LONG else []) for name in EVERY]
# BLAS stands between a row and these scores.
ROUNDED = {"pca": 1e-9, "one_class_svm": 1e-9, "ensemble": 1e-9}
_FITTED: dict[str, Detector] = {}


@pytest.fixture(scope="module")
def features() -> Features:
    """Features with holes, ties, an unknown symbol and a row of which nothing is known."""
    found = ohlcv_features(make_bars(n_bars=1_400, n_symbols=4, seed=11))
    values = found.values.copy()
    values[1_110, 2], values[700, 0] = np.nan, np.nan
    values[1_130], values[1_000:1_120, 1] = np.nan, values[999, 1]
    values[1_125:, 2, found.index("log_return")] = 0.0
    values[:, 3] = np.nan
    return replace(found, values=values)


def fitted(name: str, features: Features) -> Detector:
    if name not in _FITTED:
        detector = fs.make_detector(PLUGIN) if name == PLUGIN else quick(name)
        _FITTED[name] = detector.fit(features.rows(slice(0, N_TRAIN)))
    return _FITTED[name]


def assert_same(name: str, found: np.ndarray, expected: np.ndarray) -> None:
    assert np.isfinite(expected).any()
    assert np.array_equal(np.isnan(found), np.isnan(expected))
    tolerance = max(ROUNDED.get(name, 0.0), _FITTED[name].tolerance if name in _FITTED else 0.0)
    if tolerance:
        np.testing.assert_allclose(found, expected, rtol=tolerance)
    else:
        assert np.array_equal(found, expected, equal_nan=True)


def streamed(stream, features: Features, first: int = FIRST, stop: int = N) -> np.ndarray:
    return np.array([stream.update(features.values[row]) for row in range(first, stop)])


@pytest.mark.parametrize("name", EVERY)
def test_a_stream_has_the_scores_of_the_batch(name, features):
    detector = fitted(name, features)
    whole = detector.score(features.rows(slice(0, N))).values
    stream = detector.stream(features.rows(slice(0, FIRST)))
    assert_same(name, streamed(stream, features), whole[FIRST:])


@pytest.mark.parametrize("name", MOST)
def test_a_stream_without_rows_before_it_has_the_scores_of_the_batch_that_begins_there(name, features):
    detector = fitted(name, features)
    first = 900
    part = features.rows(slice(first, first + detector.lookback + 10))
    stream = detector.stream(part.rows(slice(0, 0)))
    found = np.array([stream.update(part.values[row], part.time[row]) for row in range(part.n_rows)])
    assert_same(name, found, detector.score(part).values)


@pytest.mark.parametrize("name", MOST)
def test_a_stream_that_starts_at_any_row_has_the_scores_of_the_whole_once_its_lookback_is_full(name, features):
    detector = fitted(name, features)
    whole = detector.score(features.rows(slice(0, N))).values[FIRST:]
    for cut in (37, 331):
        later = features.rows(slice(cut, None))
        stream = detector.stream(later.rows(slice(0, FIRST - cut)))
        assert_same(name, streamed(stream, features, FIRST, FIRST + 5), whole[:5])
        part = detector.score(features.rows(slice(FIRST - max(lookback_of(detector), cut), N))).values[-len(whole) :]
        assert_same(name, part, whole)


@pytest.mark.parametrize("name", EVERY)
def test_a_stream_that_is_saved_and_restored_at_a_random_row_goes_on_with_the_same_bits(name, features, tmp_path):
    detector = fitted(name, features)
    cut = int(np.random.default_rng(len(name)).integers(FIRST + 1, N - 10))
    stream = detector.stream(features.rows(slice(0, FIRST)))
    streamed(stream, features, FIRST, cut)
    stream.save(tmp_path / "stream.safetensors")
    resumed = detector.stream(features.rows(slice(0, 0))).load(tmp_path / "stream.safetensors")
    again = detector.stream(state=stream.state())
    expected = streamed(stream, features, cut)
    assert np.isfinite(expected).any()
    assert np.array_equal(streamed(resumed, features, cut), expected, equal_nan=True)
    assert np.array_equal(streamed(again, features, cut), expected, equal_nan=True)


@pytest.mark.parametrize(
    "name", ["zscore", "iqr", "mad", "rolling_volatility", "half_space_trees", "volatility_only", "range_only"]
)
def test_what_is_slow_with_a_ring_has_a_stream_of_its_own_which_equals_the_ring(name, features):
    detector = fitted(name, features)
    own, ring = (
        detector.stream(features.rows(slice(0, FIRST))),
        RingStream(detector, features).after(features.rows(slice(0, FIRST))),
    )
    assert not isinstance(own, RingStream)
    assert np.array_equal(streamed(own, features, FIRST, FIRST + 40), streamed(ring, features, FIRST, FIRST + 40), equal_nan=True)


def test_rows_that_are_left_out_count_as_none_as_in_the_batch(features):
    kept = np.r_[0:1_060, 1_163:1_300]
    broken = replace(features, time=features.time[kept], values=features.values[kept])
    for name in ("zscore", "mad", "conv_autoencoder", "half_space_trees", "random", "conditional_autoencoder"):
        detector = fitted(name, features)
        past = detector.lookback
        stream = detector.stream(broken.rows(slice(1_050 - past, 1_050)))
        found = np.array([stream.update(broken.values[row], broken.time[row]) for row in range(1_050, 1_100)])
        assert_same(name, found, detector.score(broken.rows(slice(1_050 - past, 1_100))).values[past:])


class Slow(fs.Detector):
    """The mean of absolute returns of all rows, which never stop mattering."""

    def _score(self, features):
        moves = np.abs(np.nan_to_num(features.values[:, :, 0]))
        return np.abs(features.values[:, :, 0]) - np.cumsum(moves, axis=0) / np.arange(1, len(moves) + 1)[:, None]


class Shy(fs.Detector):
    """A look-back of three rows that it does not tell of."""

    def _score(self, features):
        moves = np.abs(np.nan_to_num(features.values[:, :, 0]))
        padded = np.vstack([np.zeros((3, moves.shape[1])), moves])
        return np.abs(features.values[:, :, 0]) + sum(padded[3 - k : len(padded) - k] for k in (1, 2, 3))


@pytest.mark.parametrize("kind", [Slow, Shy])
def test_the_lookback_of_a_users_detector_is_measured_and_not_believed(kind, features):
    detector = kind().fit(features)
    stream = detector.stream(features.rows(slice(0, FIRST)))
    expected = detector.score(features.rows(slice(0, N))).values[FIRST:]
    np.testing.assert_allclose(streamed(stream, features), expected, rtol=1e-9)
    resumed = detector.stream(features.rows(slice(0, FIRST))).restore(stream.state())
    assert np.array_equal(resumed.update(features.values[N]), stream.update(features.values[N]), equal_nan=True)


def test_models_of_each_symbol_are_streamed_too(features):
    known = replace(features, values=np.where(np.arange(4)[:, None] == 3, features.values[:, :1], features.values))
    for name in ("pca", "isolation_forest", "autoencoder", "ensemble"):
        detector = quick(name, pool=False).fit(known.rows(slice(0, N_TRAIN)))
        order = list(reversed(known.symbols))
        other = replace(known, symbols=tuple(order), values=known.values[:, ::-1])
        for one in (known, other):
            found = streamed(detector.stream(one.rows(slice(0, FIRST))), one, FIRST, FIRST + 10)
            np.testing.assert_allclose(found, detector.score(one).values[FIRST : FIRST + 10], rtol=1e-9)


def test_what_does_not_fit_a_stream_is_refused_in_one_sentence(features):
    detector = fitted("zscore", features)
    stream = detector.stream(features.rows(slice(0, FIRST)))
    with pytest.raises(fs.ConfigError, match="not fitted"):
        make_detector("pca").stream(features)
    with pytest.raises(fs.ConfigError, match="needs features or a state, got none"):
        detector.stream()
    with pytest.raises(fs.DataError, match=r"\(n_symbols, n_features\) = \(4, 13\), got \(3, 13\)"):
        stream.update(np.zeros((3, 13)))
    with pytest.raises(fs.DataError, match="must be finite, or NaN where not known, got inf in range"):
        stream.update(np.where(np.arange(13) == features.index("range"), np.inf, np.zeros((4, 13))))
    with pytest.raises(fs.DataError, match="rows must come in order"):
        stream.update(np.zeros((4, 13)), features.time[5])
    with pytest.raises(fs.DataError, match="needs its time"):
        detector.stream(features.rows(slice(0, 0))).update(np.zeros((4, 13)))
    other = replace(features, symbols=("E", "F", "G", "H"))
    with pytest.raises(fs.DataError, match=r"whose symbols is .*; restore the state of a stream made in the same way"):
        detector.stream(other.rows(slice(0, 0)), stream.state())
