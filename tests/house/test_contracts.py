# ruff: noqa: ARG002 - a plug-in takes the arguments of its base
"""The checks that users run on their own plug-ins: ours pass, and each kind of mistake is refused with its own sentence."""

from dataclasses import dataclass

import numpy as np
import pytest

import foreshock as fs
from foreshock.data.simulate.random_bars import random_bars
from tests.market import make_bars


@pytest.fixture(scope="module")
def features() -> fs.Features:
    return fs.ohlcv_features(make_bars(500, 3, seed=4), ["log_return", "range", "volume_ratio_20"])


class Honest(fs.Detector):
    """Distance from the training mean in training deviations, summed over features."""

    learned = ("mean_", "std_")

    def __init__(self, power: float = 1.0) -> None:
        self.power = power

    def _fit(self, features):
        self.mean_ = np.nanmean(features.values, axis=(0, 1))
        self.std_ = np.nanstd(features.values, axis=(0, 1))

    def _score(self, features):
        return (np.abs((features.values - self.mean_) / self.std_) ** self.power).sum(axis=2)


class LooksAhead(Honest):
    def _score(self, features):
        scores = super()._score(features)
        return scores + np.vstack([np.abs(scores[1:]), scores[-1:]])


class RanksAll(Honest):
    def _score(self, features):
        scores = super()._score(features)
        return scores / np.nanmax(scores)


class FillsWithZero(Honest):
    def _score(self, features):
        return np.nan_to_num(super()._score(features))


class Dice(Honest):
    def _score(self, features):
        return super()._score(features) + np.random.rand(features.n_rows, 1)  # noqa: NPY002


class DiceWhenFitted(Honest):
    def _fit(self, features):
        super()._fit(features)
        self.mean_ = self.mean_ + 1e-3 * np.random.rand()  # noqa: NPY002


class ForgetsToLearn(Honest):
    learned = ("mean_",)


class HidesItsLookback(Honest):
    def _score(self, features):
        scores = super()._score(features)
        return scores + np.nan_to_num(np.vstack([scores[:1], scores[:-1]]))


class Constant(fs.Detector):
    def _score(self, features):
        return np.where(np.isnan(features.values).any(axis=2), np.nan, 1.0)


class Short(Honest):
    def _score(self, features):
        return super()._score(features)[:-1]


class Silent(Honest):
    def _score(self, features):
        return np.full((features.n_rows, 3), np.nan)


class Spreads(Honest):
    def _score(self, features):
        scores = super()._score(features)
        return np.where(np.isnan(scores).any(axis=1, keepdims=True), np.nan, scores)


class ComparesSymbols(Honest):
    def _score(self, features):
        scores = super()._score(features)
        return scores / np.where(np.isnan(scores), 0.0, scores).sum(axis=1, keepdims=True).clip(1e-9) + 0 * scores


class NotCloned(Honest):
    def __init__(self, power: float = 1.0) -> None:
        self.power = power * 2


class Raises(Honest):
    def _fit(self, features):
        raise KeyError("volume")


class ReturnsNothing(Honest):
    def fit(self, features):
        super().fit(features)


class Infinite(Honest):
    def _score(self, features):
        scores = super()._score(features)
        return np.where(scores > 5, np.inf, scores)


class BareArray(Honest):
    def score(self, features):
        return self._score(features)


class OtherRows(Honest):
    def score(self, features):
        found = super().score(features)
        return fs.Scores(found.time + found.interval, found.symbols, found.values, found.interval)


class LearnsIntoAParameter(Honest):
    def _fit(self, features):
        super()._fit(features)
        self.power = 2.0


class LookbackInWords(Honest):
    lookback = "24h"


class HalfALookback(Honest):
    lookback = 2.5


class HidesBehindTolerance(RanksAll):
    tolerance = 1e9


class NumberForAName(Honest):
    name = 3


class NameOfOurs(Honest):
    name = "zscore"


class FailsOnShortHistories(Honest):
    def _score(self, features):
        if features.n_rows < 500:
            raise ValueError("too\nshort")
        return super()._score(features)


class Exits(Honest):
    def _score(self, features):
        raise SystemExit(3)


def test_an_honest_detector_passes_and_is_left_unfitted(features):
    detector = Honest()
    fs.check_detector(detector, features)
    assert not hasattr(detector, "mean_")


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (LooksAhead, "looks_ahead looks ahead: its score of row .* differs when the rows from .* on are deleted; score a row from"),
        (RanksAll, "ranks_all looks ahead: .* on are (deleted|changed)"),
        (Infinite, "infinite gives row .* an infinite score; return a finite number, or NaN where none is known"),
        (BareArray, r"score of bare_array must return Scores, got an array of shape \(500, 3\); override _score instead"),
        (OtherRows, "score of other_rows must return the rows and symbols of the features; override _score instead"),
        (LearnsIntoAParameter, "fit of learns_into_a_parameter changes its parameters, {'power': 1.0}; set what it learns under"),
        (LookbackInWords, "lookback of lookback_in_words must be a whole number of rows, 0 or more, got '24h'"),
        (HalfALookback, "lookback of half_a_lookback must be a whole number of rows, 0 or more, got 2.5"),
        (HidesBehindTolerance, "tolerance of hides_behind_tolerance must be a number from 0 to 0.001, got 1000000000.0; it is for"),
        (NumberForAName, "the name of NumberForAName must be a text, got 3; set name on the class, or leave it out"),
        (NameOfOurs, "NameOfOurs has the name 'zscore' of foreshock's own detector; set another name on the class"),
        (FailsOnShortHistories, "fails_on_short_histories score raised ValueError: too short; fix it"),
        (Exits, "exits score raised SystemExit: 3; fix it"),
        (FillsWithZero, "fills_with_zero must leave a row unscored whose features are not known, got 0; return NaN there"),
        (Dice, "dice gives other scores when it is fitted and scores again; draw random numbers from np.random.default_rng"),
        (DiceWhenFitted, "dice_when_fitted gives other scores when it is fitted and scores again"),
        (ForgetsToLearn, "scores of forgets_to_learn change when it is saved and loaded; name in learned all that fit sets"),
        (HidesItsLookback, "hides_its_lookback uses rows before its lookback of 0; make the property lookback return"),
        (Constant, "constant gives every row the same score, 1.0; strange rows must score higher"),
        (Short, "short must return scores of shape .n_rows, n_symbols. = .500, 3., got .499, 3."),
        (Silent, "silent must score most rows after those it was fitted on, got 0 of 645"),
        (Spreads, "spreads loses the score of row .* to unknown features of B in row .*; only that symbol may be unscored"),
        (ComparesSymbols, "compares_symbols lets the features of one symbol change the score of another .* market_wide = True"),
        (NotCloned, "not_cloned cannot be cloned; keep each parameter of __init__ as it is, under its own name"),
        (Raises, "raises fit raised KeyError: 'volume'; fix it"),
        (ReturnsNothing, "fit of returns_nothing must return the detector itself, got NoneType; end it with return self"),
    ],
)
def test_each_mistake_of_a_detector_is_refused_with_its_own_sentence(broken, message, features):
    with pytest.raises(fs.ConfigError, match=f"^{message}"):
        fs.check_detector(broken(), features)


def test_what_is_no_detector_is_refused_and_the_global_random_state_is_left_as_it_was(features):
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    fs.check_detector(Honest(), features)
    assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    for wrong in ("zscore", Honest):
        with pytest.raises(fs.ConfigError, match=r"detector must be an object of a subclass of fs\.Detector"):
            fs.check_detector(wrong)


# Thresholds


class Rule:
    """The largest score before the row."""

    nominal_rate = float("nan")
    needs_train_scores = False

    def threshold(self, scores):
        largest = np.fmax.accumulate(scores.values, axis=0)
        return np.vstack([np.full((1, largest.shape[1]), np.nan), largest[:-1]])


class SeesItself(Rule):
    def threshold(self, scores):
        return np.fmax.accumulate(scores.values, axis=0)


class SeesAll(Rule):
    def threshold(self, scores):
        return np.full(scores.values.shape, np.nanmax(scores.values))


class Fills(Rule):
    def threshold(self, scores):
        scores.values[np.isnan(scores.values)] = 0.0
        return super().threshold(scores)


class Zero(Rule):
    def threshold(self, scores):
        return np.nan_to_num(super().threshold(scores))


class DiceRule(Rule):
    def threshold(self, scores):
        return super().threshold(scores) + np.random.rand()  # noqa: NPY002


class Scalar(Rule):
    def threshold(self, scores):
        return 3.0


class NeverKnown(Rule):
    def threshold(self, scores):
        return np.full(scores.values.shape, np.nan)


class NoRate:
    def threshold(self, scores):
        return scores.values


class Percent(Rule):
    nominal_rate = 99.0


@pytest.mark.parametrize("kind", fs.threshold_kinds())
@pytest.mark.parametrize("scaled", [False, True])
def test_every_kind_of_threshold_keeps_the_contract(kind, scaled):
    params = {"fixed": {"value": 2.0}, "train_quantile": {"q": 0.98}}.get(kind, {"q": 0.98, "window": "20D"})
    fs.check_threshold_rule(fs.make_threshold(kind, volatility_scaled=scaled, **params))


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (
            SeesItself,
            "SeesItself looks ahead: its threshold of row 750 differs when the scores of row itself, which it judges, are",
        ),
        (SeesAll, "SeesAll looks ahead: its threshold of row 0 differs when"),
        (Fills, "Fills writes into the scores; work on scores.values.copy"),
        (Zero, "Zero treats unknown scores .NaN. as numbers; leave NaN out"),
        (DiceRule, "DiceRule (looks ahead|returns another threshold when it is computed again)"),
        (Scalar, "Scalar must return a float array of shape .n_rows, n_symbols. = .1500, 2., got float; use np.full"),
        (NeverKnown, "NeverKnown returns only NaN for 1500 rows of scores"),
        (NoRate, "threshold NoRate must have nominal_rate and needs_train_scores; set on the class nominal_rate"),
        (Percent, "nominal_rate of Percent must be a fraction from 0 to 1, or nan if there is none, got 99.0"),
    ],
)
def test_each_mistake_of_a_threshold_is_refused_with_its_own_sentence(broken, message):
    fs.check_threshold_rule(Rule())
    with pytest.raises(fs.ConfigError, match=f"^{message}"):
        fs.check_threshold_rule(broken())


# Strategies


@dataclass
class Follow:
    """Long while the bar rises."""

    name = "follow"

    def weights(self, bars, signals):
        return (bars.close > bars.open) / bars.n_symbols


class KnowsTheEnd(Follow):
    def weights(self, bars, signals):
        return (bars.close < bars.close[-1]) / bars.n_symbols


class Cleans(Follow):
    def weights(self, bars, signals):
        bars.close[np.isnan(bars.close)] = 1.0
        return super().weights(bars, signals)


class Silences(Follow):
    def weights(self, bars, signals):
        signals.active[...] = False
        return super().weights(bars, signals)


class Debt(Follow):
    def weights(self, bars, signals):
        return 5 * super().weights(bars, signals)


class Idle(Follow):
    def weights(self, bars, signals):
        return np.full(bars.shape, np.nan)


class DiceStrategy(Follow):
    def weights(self, bars, signals):
        return super().weights(bars, signals) * np.random.rand()  # noqa: NPY002


class Switch(Follow):
    def weights(self, bars, signals):
        return bars.close > bars.open


class Nameless:
    def weights(self, bars, signals):
        return np.zeros(bars.shape)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (KnowsTheEnd, "follow looks ahead: its weights differ with the rows from .* on deleted; use rows up to t only"),
        (Cleans, "follow writes into the bars or the signals; work on a copy"),
        (Silences, "follow writes into the bars or the signals; work on a copy"),
        (Debt, "weights of follow must sum to at most 1 in absolute value, got 5"),
        (Idle, "follow orders nothing in 300 bars"),
        (DiceStrategy, "follow returns other weights when they are computed again; draw random numbers from"),
        (Switch, "follow must return a float array of shape .n_bars, n_symbols. = .300, 3., got bool of .300, 3."),
        (Nameless, "Nameless must have a name, a text on the class, got None"),
    ],
)
def test_each_mistake_of_a_strategy_is_refused_with_its_own_sentence(broken, message):
    # The last symbol is listed late, so that there is something to clean.
    bars = random_bars(300, 3, seed=2)
    for column in ("open", "high", "low", "close", "volume"):
        getattr(bars, column)[:20, -1] = np.nan
    with pytest.raises(fs.ConfigError, match=f"^{message}"):
        fs.check_strategy(broken(), bars)
