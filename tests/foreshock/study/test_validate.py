"""One call, one verdict: planted foreshocks add information, z-scores echo, and nothing is asked of the network or the future."""

import numpy as np
import pandas as pd
import pytest

import foreshock as fs
from foreshock.engine.features.features import Features
from foreshock.engine.out_of_sample.walk_forward import fit_walk_forward
from foreshock.engine.scores import Scores
from foreshock.engine.validation.surrogates.calibration import Planted, simulate_history

SPLITS = fs.WalkForward("30D", "30D", embargo=None)


class Known(fs.Detector):
    """1 at given times, 0 elsewhere."""

    name = "known"

    def __init__(self, times: tuple[int, ...] = ()) -> None:
        self.times = times

    def _score(self, features: Features) -> np.ndarray:
        return np.isin(features.time.astype(np.int64), self.times)[:, None].astype(float) * np.ones(len(features.symbols))


@pytest.fixture(scope="module")
def bars() -> fs.Bars:
    return simulate_history(Planted(6_000, "gjr"), seed=13)


def test_alerts_before_larger_moves_add_information_and_the_evidence_is_beside_them(bars):
    rng = np.random.default_rng(3)
    rows = np.sort(rng.choice(np.arange(800, 5_900, 60), 60, replace=False))
    close = np.log(bars.close).copy()
    returns = np.diff(close, axis=0, prepend=close[:1])
    for row in rows:
        returns[row + 1 : row + 13] *= 2
    scale = np.exp(np.cumsum(returns, axis=0) + close[0]) / bars.close
    louder = fs.Bars(
        bars.time, bars.symbols, *(getattr(bars, name) * scale for name in ("open", "high", "low", "close")), bars.volume,
        bars.interval,
    )  # fmt: skip
    # The open moves with the close before it, high and low enclose both.
    opened = np.vstack([louder.close[:1], louder.close[:-1]])
    high, low = np.maximum(louder.high, opened), np.minimum(louder.low, opened)
    louder = fs.Bars(bars.time, bars.symbols, opened, high, low, louder.close, bars.volume, bars.interval)
    known = Known(tuple(louder.time[rows].astype(np.int64).tolist()))
    settings = {"n_surrogates": 39, "splits": SPLITS, "n_bootstrap": 199}
    found = fs.validate(louder, known, ["return_zscore_48"], fs.Fixed(0.5), "12h", **settings)
    assert found.label == "adds information"
    assert found.p_value < 1e-4
    assert found.rungs.loc[("volume", "12h"), "ratio"] > 1.4
    assert "more than either forecast expects" in found.sentence
    assert found.evidence.loc["surrogate", "p"] == pytest.approx(1 / 40)
    assert found.evidence.loc["surrogate", "estimate"] > 1.4
    assert found.evidence.index[0] == "naive"
    assert found.lead == pytest.approx(1, abs=1)


def test_z_scores_echo_and_the_verdict_is_reproducible(bars):
    first, again = (
        fs.validate(bars, fs.make_detector("zscore", window=48, columns=("log_return",)), ["log_return"], horizon="12h",
                    threshold=fs.RollingQuantile(0.98, "20D"), n_surrogates=19, splits=SPLITS, n_bootstrap=99, seed=4)
        for _ in range(2)
    )  # fmt: skip
    assert first.label in ("echoes volatility", "no information")
    assert first.p_value == again.p_value
    assert first.sentence == again.sentence
    assert first.evidence.equals(again.evidence)


def test_features_may_be_a_function(bars):
    def doubled(history: fs.Bars) -> Features:
        return fs.ohlcv_features(history, ["return_zscore_48"])

    found = fs.validate(bars, Known(), doubled, fs.Fixed(0.5), "12h", 19, splits=SPLITS, n_bootstrap=99)
    assert found.label == "too few events"
    assert np.isnan(found.p_value)


def test_wrong_use_is_refused(bars):
    with pytest.raises(fs.ConfigError, match="at least 19"):
        fs.validate(bars, "zscore", n_surrogates=7)
    with pytest.raises(fs.ConfigError, match=r"bars must be Bars or a table of them, got 'bars.csv'; read a file"):
        fs.validate("bars.csv", "zscore")
    with pytest.raises(fs.ConfigError, match="horizon must be shorter than the data"):
        fs.validate(bars, "zscore", horizon="400D")
    with pytest.raises(fs.ConfigError, match="unknown detector"):
        fs.validate(bars, "zscoer")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_bootstrap": 0}, "n_bootstrap must be a whole number of at least 99, got 0; 999 is usual"),
        ({"n_bootstrap": 98}, "n_bootstrap must be a whole number of at least 99, got 98"),
        ({"seed": -1}, "seed must be a whole number of at least 0, got -1"),
        ({"seed": None}, "seed must be a whole number of at least 0, got None"),
        ({"n_surrogates": 18}, "n_surrogates must be 0 or at least 19, got 18; 199 is usual"),
        ({"n_surrogates": 19.5}, "n_surrogates must be a whole number of at least 0, got 19.5"),
        ({"features": []}, r"features must be a list of at least one name, got \[\]"),
        ({"features": None}, "features must be a list of names, got None"),
        ({"features": "log_return"}, "features must be a list of names, got 'log_return'"),
        ({"delay": 1.5}, "delay must be a whole number of at least 1 bar, because a score is known at the close of .*, got 1.5"),
        ({"detector": None}, "a detector must be a name, a Detector, .*, got None; such as 'zscore'"),
        ({"detector": Known}, "a detector must be an object, got the class "),
        ({"labels": "events.csv"}, "labels must be Labels, got str; read a file with fs.read_labels"),
        ({"cooldown": ""}, "cooldown must be a number and one of the units"),
        ({"cooldown": "90m"}, "cooldown must be a whole number of 1h bars"),
        ({"threshold": 0.99}, "threshold must be a rule such as"),
        ({"threshold": fs.Fixed}, "threshold must be a rule such as"),
    ],
)
def test_an_argument_of_the_wrong_kind_is_refused_before_anything_is_scored(bars, change, message, monkeypatch):
    monkeypatch.setattr("foreshock.study.validate.judge", None)
    monkeypatch.setattr(Known, "score", None)
    settings = {"detector": Known(), "features": ["return_zscore_48"], "splits": SPLITS, **change}
    with pytest.raises(fs.ConfigError, match=message):
        fs.validate(bars, **settings)


def test_the_calibration_nearest_to_the_data_comes_first(bars):
    found = fs.validate(bars, Known(), ["return_zscore_48"], fs.Fixed(0.5), "12h", 19, splits=SPLITS, n_bootstrap=99).calibration
    assert set(found.columns) >= {"null", "effect", "n_bars", "found", "low", "high", "found_naive"}
    assert found["n_bars"].iloc[0] <= found["n_bars"].iloc[-1]


def test_scores_are_of_the_walk_forward_blocks_only(bars, monkeypatch):
    seen = []

    def begun(*given, **options):
        # What the causality gate scored before is not meant.
        seen.clear()
        return fit_walk_forward(*given, **options)

    monkeypatch.setattr("foreshock.study.validate.fit_walk_forward", begun)

    class Spy(Known):
        # Its look-back is not measured, which would score a longer past.
        by_row = True

        def score(self, features: Features) -> Scores:
            seen.append(features.n_rows)
            return super().score(features)

    fs.validate(bars, Spy(), ["return_zscore_48"], fs.Fixed(0.5), "12h", 19, splits=SPLITS, n_bootstrap=99)
    assert 0 < max(seen) <= 30 * 24


def test_labels_say_how_well_the_alerts_find_them():
    market = fs.simulate_market(seed=7, n_symbols=1, n_bars=2_000)
    rows = [1_200, 1_400, 1_600]
    table = {
        "symbol": "BTC/USDT",
        "start": market.bars.time[[1_199, 1_300, 1_600, 100]],
        "stop": market.bars.time[[1_202, 1_304, 1_601, 104]],
    }
    labels = fs.Labels.from_frame(pd.DataFrame(table))
    known = Known(tuple(market.bars.time[rows].astype(np.int64).tolist()))
    settings = {"threshold": fs.Fixed(0.5), "horizon": "6h", "n_bootstrap": 99}
    found = fs.validate(market.bars, known, labels=labels, **settings)
    # The label of row 100 lies before the first block: it is neither found nor missed.
    assert found.detection is not None
    assert (found.detection.n_events, found.detection.n_caught, found.detection.n_false) == (3, 2, 1)
    assert found.detection.metrics["recall"].value == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"symbol": ["XRP"]}, "labels name XRP, the data have BTC/USDT"),
        ({"start": [np.datetime64("2025-01-01")], "stop": [np.datetime64("2025-01-02")]}, "labels must lie within the data"),
        ({}, "no event starts in a row that counts"),
    ],
)
def test_labels_that_cannot_be_counted_are_told_before_the_verdict(change, message, monkeypatch):
    market = fs.simulate_market(seed=7, n_symbols=1, n_bars=2_000)
    monkeypatch.setattr("foreshock.study.validate.judge", None)
    table = {"symbol": ["BTC/USDT"], "start": market.bars.time[10:11], "stop": market.bars.time[12:13]} | change
    with pytest.raises(fs.DataError, match=message):
        fs.validate(market.bars, Known(), threshold=fs.Fixed(0.5), horizon="6h", labels=fs.Labels.from_frame(pd.DataFrame(table)))
