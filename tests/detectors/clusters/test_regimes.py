"""Names of regimes: their bars do what the name says, on planted clouds and on real coins, or the regime has a number."""

import numpy as np
import pandas as pd
import pytest

import foreshock as fs
from foreshock.data.errors import ConfigError
from foreshock.detectors.clusters.regimes import KMeansRegime
from foreshock.detectors.clusters.setting import regime_setting
from foreshock.engine.features.features import Features
from foreshock.engine.out_of_sample.splits import WalkForward

HOUR = np.timedelta64(1, "h").astype("timedelta64[us]")


def plain(rows: np.ndarray, names: tuple[str, ...]) -> Features:
    time = np.datetime64("2024-01-01", "us") + np.arange(len(rows)) * HOUR
    return Features(time, ("A",), names, rows[:, None], HOUR)


def test_a_name_is_kept_only_where_nine_bars_in_ten_satisfy_its_rule():
    """Two clouds beside calm whose trends mix: none rises or falls in nine bars of ten, so neither has a name of a trend."""
    rng = np.random.default_rng(6)
    truth = rng.integers(0, 3, 3_000)
    centres = np.array([[1.0, 0.0], [2.0, 0.6], [2.0, -0.6]])
    rows = centres[truth] + np.column_stack([rng.normal(0, 0.05, 3_000), rng.normal(0, 0.01, 3_000)])
    mixed = rng.random(3_000) < 0.2
    for turned, up in ((mixed, 0.89), (np.zeros(3_000, bool), 1.0)):
        made = rows.copy()
        made[:, 1] = np.where(turned & (truth > 0), 0.02 * np.sign(-made[:, 1]), made[:, 1])
        features = plain(made, ("volatility_20", "return_24"))
        found = KMeansRegime(3).fit(features).regimes(features)
        named = {
            name: share for name, share in zip(found.names, found.holds, strict=True) if name in ("bullish momentum", "bearish")
        }
        assert (len(named) == 2) == (up == 1.0)
        assert all(share >= 0.9 for share in named.values())


def test_a_name_that_later_bars_break_becomes_a_number_and_labels_stay():
    time = np.datetime64("2024-01-01", "us") + np.arange(10) * np.timedelta64(1, "h")
    labels = np.repeat([0, 1], 5)[:, None].astype(np.int8)
    rules = ("a", "b", "")
    found = fs.Regimes(time, ("A",), labels, ("calm", "bearish", "regime 1"), rules, (0.95, 0.89, float("nan"))).checked()
    assert found.names == ("calm", "regime 2", "regime 1")
    assert found.rules == ("a", "", "")
    assert found.holds[0] == 0.95
    assert np.isnan(found.holds[1:]).all()
    np.testing.assert_array_equal(found.labels, labels)


def test_rows_with_a_regime_are_listed_and_others_left_out():
    time = np.datetime64("2024-01-01", "us") + np.arange(2) * np.timedelta64(1, "h")
    found = fs.Regimes(time, ("A", "B"), np.array([[0, -1], [1, 0]], np.int8), ("calm", "bearish")).rows_frame()
    assert found["time"].tolist() == [pd.Timestamp(time[k]) for k in (0, 1, 1)]
    assert (found["symbol"].tolist(), found["regime"].tolist()) == (["A", "A", "B"], ["calm", "bearish", "calm"])


@pytest.mark.parametrize("file", ["ohlcv_1h_8assets.parquet", "ohlcv_btc_spot_1h_2017_2024.parquet"])
@pytest.mark.parametrize("n_regimes", [pytest.param(3, marks=pytest.mark.slow), 4])
def test_at_least_nine_in_ten_bars_of_a_regime_satisfy_its_rule(file, n_regimes, shared_data):
    bars, _ = fs.clean(fs.read_bars(shared_data / file))
    features = fs.ohlcv_features(bars, ["volatility_20", "return_24"])
    found = fs.walk_forward_regimes(KMeansRegime(n_regimes), features, WalkForward("365D", "90D"))
    assert {"calm", "bullish momentum", "bearish"} <= set(found.names)
    trend = features.column("return_24")
    for k, name in enumerate(found.names):
        own = trend[found.labels == k]
        holds = {"bullish momentum": (own > 0).mean(), "bearish": (own < 0).mean()}.get(name, 1.0)
        assert holds >= 0.9
        assert name.startswith("regime ") or found.holds[k] >= 0.9


@pytest.mark.parametrize("n_regimes", [None, pytest.param(3, marks=pytest.mark.slow)])
def test_bars_of_bullish_momentum_have_risen(n_regimes, shared_data):
    """By the regimes of a study on the first four coins, 44 % of these bars had a negative return over 24 hours."""
    bars = fs.read_bars(shared_data / "ohlcv_1h_8assets.parquet")
    bars, _ = fs.clean(bars.select(list(bars.symbols[:4])))
    found = regime_setting(n_regimes).walk_forward(bars, WalkForward("90D", "30D"), 0).checked()
    closes = np.log(bars.close)
    day = np.full_like(closes, np.nan)
    day[24:] = closes[24:] - closes[:-24]
    fallen = {name: float(np.mean(day[found.labels == k] < 0)) for k, name in enumerate(found.names)}
    assert fallen["bullish momentum"] < 0.1
    assert fallen["bearish"] > 0.9
    assert all(share >= 0.9 for name, share in zip(found.names, found.holds, strict=True) if not name.startswith("regime "))


@pytest.mark.parametrize("n_regimes", [1, 9])
def test_a_number_of_regimes_outside_two_to_eight_is_refused(n_regimes):
    features = plain(np.random.default_rng(1).random((200, 2)), ("volatility_20", "return_24"))
    with pytest.raises(ConfigError, match="n_regimes must be a number from 2 to 8"):
        KMeansRegime(n_regimes).fit(features)
