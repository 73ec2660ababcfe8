"""Every threshold one row at a time: the bits of the batch, from any row on, and after a restart at any row."""

from dataclasses import replace

import numpy as np
import pytest

import foreshock as fs
from foreshock.engine.scores import FoldScores, Scores, Threshold
from foreshock.engine.thresholds.stream import HistoryStream
from tests.paths import ROOT

N = 1_500
PLUGIN = f"{ROOT / 'examples' / 'plugins' / 'past_maximum.py'}:PastMaximum"
RULES = {
    "rolling_quantile": {"q": 0.98, "window": "20D"},
    "rolling_quantile below 0.9": {"q": 0.8, "window": "10D"},
    "train_quantile": {"q": 0.98},
    "adaptive_conformal": {"q": 0.98, "window": "20D", "gamma": 0.02},
    "peaks_over_threshold": {"q": 0.98, "init": 0.9, "window": "20D", "refit": "1D"},
    "fixed": {"value": 2.0},
    PLUGIN: {},
}
# Those whose threshold depends on all rows before, and not on a window.
ENDLESS = ("adaptive_conformal", PLUGIN)


def rule_of(name: str, scaled: bool) -> Threshold:
    more = {"volatility_scaled": True, "halflife": "2D"} if scaled else {}
    return fs.make_threshold(name.removesuffix(" below 0.9"), **RULES[name], **more)


def make_scores(seed: int = 5, start: str = "2024-01-01T05:00") -> Scores:
    """Heavy tails, ties, holes, an infinite score, a symbol that is never known, and two folds."""
    rng = np.random.default_rng(seed)
    values = np.abs(rng.standard_t(3, (N, 4)))
    values[:, 1] = np.round(values[:, 1], 1)
    values[rng.random(values.shape) < 0.1] = np.nan
    values[700:760, 0], values[900, 2], values[:, 3] = np.nan, np.inf, np.nan
    time = np.datetime64(start, "us") + np.arange(N) * np.timedelta64(1, "h")
    train = [np.abs(rng.standard_t(3, (400, 4))) for _ in range(2)]
    folds = (FoldScores(slice(0, 400), slice(430, 900), train[0]), FoldScores(slice(470, 870), slice(900, N), train[1]))
    return Scores(time, ("A", "B", "C", "D"), values, np.timedelta64(1, "h").astype("m8[us]"), folds)


def head(scores: Scores, n: int) -> Scores:
    folds = tuple(
        replace(fold, test=slice(fold.test.start, min(fold.test.stop, n))) for fold in scores.folds if fold.test.start < n
    )
    return replace(scores, time=scores.time[:n], values=scores.values[:n], folds=folds)


def streamed(stream, scores: Scores, first: int, stop: int = N) -> np.ndarray:
    begins = {fold.test.start: fold for fold in scores.folds}
    found = []
    for row in range(first, stop):
        if row in begins:
            stream.begin_fold(begins[row].train_values, begins[row].train)
        found.append(stream.update(scores.values[row], scores.time[row]))
    return np.array(found)


def test_every_registered_threshold_is_streamed_here():
    assert {name.removesuffix(" below 0.9") for name in RULES} >= set(fs.threshold_kinds())


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("name", RULES)
def test_a_stream_has_the_bits_of_the_batch_from_the_first_row_and_from_a_later_one(name, scaled):
    rule, scores = rule_of(name, scaled), make_scores()
    whole = rule.threshold(scores)
    assert np.isfinite(whole).any()
    last = N if name != PLUGIN else 500
    found = streamed(fs.threshold_stream(rule, head(scores, 0)), scores, 0, last)
    assert np.array_equal(found, whole[:last], equal_nan=True)
    first = 1_100 if name != PLUGIN else 1_400
    later = fs.threshold_stream(rule, head(scores, first))
    assert np.array_equal(streamed(later, scores, first), whole[first:], equal_nan=True)


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("name", RULES)
def test_a_stream_that_is_saved_and_restored_at_a_random_row_goes_on_with_the_same_bits(name, scaled, tmp_path):
    rule, scores = rule_of(name, scaled), make_scores(7)
    first = 0 if name != PLUGIN else 1_200
    cut = int(np.random.default_rng(len(name) + scaled).integers(first + 1, N - 100))
    stream = fs.threshold_stream(rule, head(scores, first))
    streamed(stream, scores, first, cut)
    stream.save(tmp_path / "state.safetensors")
    resumed = fs.threshold_stream(rule, head(scores, 0)).load(tmp_path / "state.safetensors")
    assert np.array_equal(streamed(resumed, scores, cut), streamed(stream, scores, cut), equal_nan=True)


@pytest.mark.parametrize("name", [name for name in RULES if name not in ENDLESS])
@pytest.mark.parametrize("cut", [1, 37, 331])
def test_a_threshold_of_a_cut_history_has_the_bits_of_the_whole_once_its_window_is_full(name, cut):
    rule, scores = rule_of(name, False), make_scores()
    whole, full = rule.threshold(scores), 24 * 21
    folds = tuple(FoldScores(slice(0, 1), slice(f.test.start - cut, f.test.stop - cut), f.train_values) for f in scores.folds)
    later = replace(scores, time=scores.time[cut:], values=scores.values[cut:], folds=folds)
    stream = fs.threshold_stream(rule, head(later, 0))
    found = streamed(stream, later, 0, N - cut)
    assert np.isfinite(whole[cut + full :]).any()
    assert np.array_equal(found[full:], whole[cut + full :], equal_nan=True)
    assert np.array_equal(rule.threshold(later)[full:], whole[cut + full :], equal_nan=True)


@pytest.mark.parametrize("cooldown", [None, "1h", "7h"])
def test_streamed_signals_are_those_of_the_scores(cooldown):
    rule, scores = fs.RollingQuantile(0.9, "10D"), make_scores()
    whole = scores.signals(rule, cooldown)
    for first in (0, 800):
        stream = fs.SignalStream(rule, head(scores, first), cooldown)
        found = [stream.update(row, time) for row, time in zip(scores.values[first:], scores.time[first:], strict=True)]
        for name in ("active", "threshold", "decided"):
            mine = np.array([getattr(one, name) for one in found])
            assert np.array_equal(mine, getattr(whole, name)[first:], equal_nan=name == "threshold"), name
    assert whole.active.sum() > 50
    resumed = fs.SignalStream(rule, head(scores, 0), cooldown).restore(fs.SignalStream(rule, head(scores, 800), cooldown).state())
    assert np.array_equal(resumed.update(scores.values[800]).active, whole.active[800])


def test_rows_that_are_left_out_count_as_none_as_in_the_batch():
    scores = make_scores()
    kept = np.r_[0:700, 1_000:N]
    broken = replace(scores, time=scores.time[kept], values=scores.values[kept], folds=())
    for name in ("rolling_quantile", "peaks_over_threshold"):
        rule = rule_of(name, False)
        found = streamed(fs.threshold_stream(rule, head(broken, 0)), broken, 0, len(kept))
        assert np.array_equal(found, rule.threshold(broken), equal_nan=True)


class Largest:
    """The largest of the last 50 scores."""

    nominal_rate, needs_train_scores, lookback = float("nan"), False, 50

    def threshold(self, scores):
        padded = np.vstack([np.full((50, scores.values.shape[1]), -np.inf), np.nan_to_num(scores.values, nan=-np.inf)])
        found = np.lib.stride_tricks.sliding_window_view(padded, 50, axis=0)[:-1].max(axis=2)
        return np.where(np.isinf(found), np.nan, found)


def test_a_rule_that_names_its_lookback_is_computed_over_no_more_rows():
    scores = replace(make_scores(), folds=())
    stream = fs.threshold_stream(Largest(), head(scores, 0))
    assert isinstance(stream, HistoryStream)
    found = streamed(stream, scores, 0)
    assert np.array_equal(found, Largest().threshold(scores), equal_nan=True)
    assert len(stream.state()["time"]) < 200


def test_what_does_not_fit_a_stream_is_refused_in_one_sentence():
    scores = make_scores()
    stream = fs.threshold_stream(fs.RollingQuantile(0.9, "10D"), head(scores, 10))
    with pytest.raises(fs.DataError, match=r"must have the shape \(n_symbols,\) = \(4,\), got \(3,\)"):
        stream.update(np.zeros(3))
    with pytest.raises(fs.DataError, match="rows must come in order"):
        stream.update(np.zeros(4), scores.time[3])
    with pytest.raises(fs.DataError, match="needs its time"):
        fs.threshold_stream(fs.Fixed(1.0), head(scores, 0)).update(np.zeros(4))
    with pytest.raises(fs.DataError, match="restore the state of a stream made"):
        fs.threshold_stream(fs.RollingQuantile(0.9, "5D"), head(scores, 0)).restore(stream.state())
    with pytest.raises(fs.DataError, match="restore the state of a stream made"):
        fs.threshold_stream(fs.Fixed(1.0), head(scores, 0)).restore(stream.state())
    signals = fs.SignalStream(fs.Fixed(1.0), head(scores, 10), "5h")
    for other in (None, "6h"):
        with pytest.raises(fs.DataError, match="restore the state of a stream made"):
            fs.SignalStream(fs.Fixed(1.0), head(scores, 0), other).restore(signals.state())
    with pytest.raises(fs.ConfigError, match="TrainQuantile needs the scores of the training rows"):
        fs.threshold_stream(fs.TrainQuantile(0.9), head(scores, 0)).begin_fold(None)


class _Largest(fs.Stream):
    carries = ("_largest",)

    def __init__(self, n: int, right: bool) -> None:
        self._largest, self._right = np.full(n, np.nan), right

    def begin_fold(self, train_values, train=None):
        pass

    def update(self, scores, time=None):  # noqa: ARG002 - rows are counted
        before = self._largest
        self._largest = np.fmax(before, scores)
        return before if self._right else self._largest


class OwnStream:
    """The largest score before the row, with a stream of its own."""

    nominal_rate, needs_train_scores = float("nan"), False

    def __init__(self, right: bool) -> None:
        self.right = right

    def threshold(self, scores):
        largest = np.fmax.accumulate(scores.values, axis=0)
        return np.vstack([np.full((1, largest.shape[1]), np.nan), largest[:-1]])

    def stream(self, scores):
        return _Largest(len(scores.symbols), self.right)


def test_the_contract_of_thresholds_holds_the_stream_of_a_users_rule_against_its_batch():
    fs.check_threshold_rule(OwnStream(True))
    with pytest.raises(fs.ConfigError, match="the stream of OwnStream differs from its threshold in row 0"):
        fs.check_threshold_rule(OwnStream(False))
