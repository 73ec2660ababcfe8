"""The OHLCV feature set against pandas expressions."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from foreshock.data.bars import Bars
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.simulate.market import simulate_market
from foreshock.engine.features.features import Features
from foreshock.engine.features.ohlcv import OHLCV_FEATURES, ohlcv_features
from tests.market import make_bars


def pandas_features(bars: Bars) -> dict[str, pd.DataFrame]:
    """The default set, spelled out."""
    o, h, low, c, v = (pd.DataFrame(getattr(bars, name)) for name in ("open", "high", "low", "close", "volume"))
    r = np.log(c).diff()
    hl, co = np.log(h / low), np.log(c / o)
    gk = 0.5 * hl**2 - (2 * np.log(2) - 1) * co**2
    return {
        "log_return": r,
        "volatility_20": r.rolling(20).std(),
        "range": (h - low) / c,
        "parkinson_20": np.sqrt((hl**2).rolling(20).mean() / (4 * np.log(2))),
        "garman_klass_20": np.sqrt(gk.rolling(20).mean()),
        "volume_change": np.log(v).diff(),
        "volume_ratio_20": v / v.rolling(20).mean(),
        "return_zscore_168": (r - r.rolling(168).mean()) / r.rolling(168).std(),
        "volume_zscore_168": (v - v.rolling(168).mean()) / v.rolling(168).std(),
        "return_24": np.log(c / c.shift(24)),
        "drawdown_168": c / c.rolling(168).max() - 1,
        "amihud_20": (r.abs() / (c * v)).rolling(20).mean(),
        "skew_168": r.rolling(168).skew(),
    }


def test_the_default_set_equals_its_pandas_expressions():
    bars = make_bars(n_bars=600, n_symbols=3, seed=4)
    features = ohlcv_features(bars)
    expected = pandas_features(bars)
    assert features.names == OHLCV_FEATURES == tuple(expected)
    for name, frame in expected.items():
        np.testing.assert_allclose(features.column(name), frame, rtol=1e-8, atol=1e-12, err_msg=name)


def test_an_unknown_bar_is_unknown_in_every_feature_that_looks_at_it_and_nowhere_else():
    bars = make_bars(n_bars=700, n_symbols=2, seed=4)
    holed = {name: getattr(bars, name).copy() for name in ("open", "high", "low", "close", "volume")}
    for values in holed.values():
        values[400, 0] = np.nan
    gapped = ohlcv_features(Bars(bars.time, bars.symbols, interval=bars.interval, **holed))
    whole = ohlcv_features(bars)
    reach = {name: 1 for name in ("range",)} | {name: 2 for name in ("log_return", "volume_change")}
    for name in OHLCV_FEATURES:
        window = int(name.rsplit("_", 1)[1]) if name[-1].isdigit() else 0
        from_returns = name.startswith(("volatility", "return_zscore", "amihud", "skew"))
        expected = np.zeros(700, bool)
        if name == "return_24":
            expected[[400, 424]] = True
        else:
            expected[400 : 400 + (reach.get(name) or window + from_returns)] = True
        changed = np.isnan(gapped.column(name)[:, 0]) & ~np.isnan(whole.column(name)[:, 0])
        assert np.array_equal(changed, expected), name
        assert np.array_equal(gapped.column(name)[:, 1], whole.column(name)[:, 1], equal_nan=True)


def test_zero_volume_and_flat_prices_are_not_turned_into_numbers():
    ones = np.ones((40, 1))
    volume = ones.copy()
    volume[30] = 0.0
    bars = Bars(
        np.datetime64("2024-01-01", "us") + np.arange(40) * np.timedelta64(1, "h"),
        ("A",),
        ones,
        ones,
        ones,
        ones,
        volume,
        np.timedelta64(1, "h"),
    )
    features = ohlcv_features(bars, ["volatility_5", "return_zscore_5", "volume_change", "amihud_5", "volume_ratio_5"])
    assert (features.column("volatility_5")[5:] == 0).all()
    assert np.isnan(features.column("return_zscore_5")).all()
    assert np.flatnonzero(np.isnan(features.column("volume_change")[:, 0])).tolist() == [0, 30, 31]
    assert (features.column("amihud_5")[5:] == 0).all()
    assert features.column("volume_ratio_5")[30, 0] == 0


def test_illiquidity_is_that_of_the_bars_with_trades():
    bars = simulate_market(seed=4, n_symbols=1, n_bars=300).bars
    volume = bars.volume.copy()
    volume[np.arange(300) % 10 == 3] = 0.0
    volume[200:208] = 0.0
    quiet = replace(bars, volume=volume)
    one = np.abs(bars.returns()) / (bars.close * bars.volume)
    expected = pd.DataFrame(np.where(volume > 0, one, np.nan)).rolling(5, min_periods=1).mean().to_numpy(copy=True)
    expected[:5] = np.nan
    found = ohlcv_features(quiet, ["amihud_5"]).column("amihud_5")
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert np.isnan(found[204:208]).all()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("volatilty_20", "unknown feature 'volatilty_20'.*did you mean 'volatility_20'"),
        (20, r"features must be a list of texts, got \[20\]"),
        ("volatility_1", "at least 2 bars, got 1"),
        ("skew_2", "at least 3 bars, got 2"),
        ("range_5", "unknown feature"),
    ],
)
def test_a_wrong_feature_name_is_refused(name, message):
    with pytest.raises(ConfigError, match=message):
        ohlcv_features(make_bars(n_bars=50, n_symbols=1), [name])


def test_features_refuse_a_wrong_shape_and_an_unknown_column():
    bars = make_bars(n_bars=50, n_symbols=1)
    features = ohlcv_features(bars, ["log_return", "range"])
    assert features.select(["range"]).values.shape == (50, 1, 1)
    with pytest.raises(ConfigError, match="no such feature: 'volume'"):
        features.column("volume")
    with pytest.raises(DataError, match="n_features"):
        Features(features.time, features.symbols, ("log_return",), features.values, features.interval)
    with pytest.raises(DataError, match="names of features must differ, got range, range"):
        ohlcv_features(bars, ["range", "range"])
    with pytest.raises(ConfigError, match="n_threads must be a whole number of at least 1, got 0"):
        ohlcv_features(bars, n_threads=0)
