"""Features of trade windows: their pandas expressions, the published pump features, and no look at later windows."""

import importlib.util
import re

import numpy as np
import pandas as pd
import pytest

from foreshock.data.errors import ConfigError
from foreshock.data.trades.trades import read_trades
from foreshock.data.trades.windows import trade_windows
from foreshock.detectors.registry import detectors, make_detector
from foreshock.engine.features.pumps import PUMP_FEATURES, published_pump_features
from foreshock.engine.features.windows import WINDOW_FEATURES, window_features
from foreshock.engine.kernels.windows import rolling_sum_nb
from tests.market import make_trades
from tests.paths import ROOT

NAMES = (
    *WINDOW_FEATURES,
    "return_6",
    "rush_orders_6",
    "buy_quote_volume_6",
    "buy_burst_6_40",
    "volume_zscore_30",
    "return_zscore_30",
)


@pytest.fixture(scope="module")
def windows():
    return trade_windows(make_trades(6_000, seed=2), 5)


def test_features_equal_their_pandas_expressions(windows):
    found = window_features(windows, NAMES)
    assert found.values.shape == (len(windows), 1, len(NAMES))
    w = windows.to_frame()
    assert (w["trade_count"] == 0).any()
    r = np.log(w["close"].ffill()).diff()
    bought = w["buy_quote_volume"]
    expected = {
        "log_return": r,
        "volatility": w["volatility"],
        "volatility_20": r.rolling(20).std(),
        "trade_count": w["trade_count"],
        "volume": w["volume"],
        "avg_trade_size": w["volume"] / w["trade_count"],
        "buy_share": w["buy_volume"] / w["volume"],
        "rush_orders": w["rush_orders"],
        "volume_ratio_20": w["volume"] / w["volume"].rolling(20).mean(),
        "trade_count_ratio_20": w["trade_count"] / w["trade_count"].rolling(20).mean(),
        "return_6": np.log(w["close"].ffill()).diff(6),
        "rush_orders_6": w["rush_orders"].rolling(6).sum(),
        "buy_quote_volume_6": bought.rolling(6).sum(),
        "buy_burst_6_40": bought.rolling(6).mean() / bought.rolling(40).mean().shift(6),
        "volume_zscore_30": (w["volume"] - w["volume"].rolling(30).mean()) / w["volume"].rolling(30).std(),
        "return_zscore_30": (r - r.rolling(30).mean()) / r.rolling(30).std(),
    }
    assert set(expected) == set(NAMES)
    for name, values in expected.items():
        scale = np.nanmax(np.abs(values))
        np.testing.assert_allclose(found.column(name)[:, 0], values, rtol=1e-9, atol=1e-12 * scale, err_msg=name)


def test_rolling_sums_equal_pandas_and_count_whole_numbers_exactly():
    rng = np.random.default_rng(4)
    x = np.column_stack([rng.poisson(0.3, 500).astype(float), rng.pareto(1.0, 500)])
    x[100:180] = 0.0
    for window in (1, 2, 7, 60, 600):
        found = rolling_sum_nb(x, window)
        np.testing.assert_allclose(found, pd.DataFrame(x).rolling(window).sum(), rtol=1e-12, atol=1e-9)
        if window <= 60:
            assert (found[window - 1 :, 0] == np.rint(found[window - 1 :, 0])).all()
            assert (found[100 + window - 1 : 180] == 0.0).all()


def test_a_silent_market_has_returns_of_zero_and_no_average_size(windows):
    found = window_features(windows, ["log_return", "avg_trade_size", "volume", "buy_share"])
    silent = windows.trade_count == 0
    assert (found.column("log_return")[silent] == 0).all()
    assert (found.column("volume")[silent] == 0).all()
    assert np.isnan(found.column("avg_trade_size")[silent]).all()
    assert np.isnan(found.column("buy_share")[silent]).all()


def test_later_trades_do_not_change_features_or_scores_of_closed_windows():
    trades = make_trades(16_000, seed=12)
    full = trade_windows(trades, 3)
    names = ("log_return", "volume_ratio_20", *NAMES[-6:])
    features = window_features(full, names)
    n_train = 150
    fitted = [
        make_detector(name).set_params(**params).fit(features.rows(slice(0, n_train)))
        for name, params in [
            ("joint_tail", {"columns": ("return_6", "buy_burst_6_40", "rush_orders_6"), "scales": (1e-5, 1.0, 1.0)}),
            ("zscore", {"window": 30}),
            ("isolation_forest", {"n_estimators": 20}),
        ]
    ]
    scores = [detector.score(features).values for detector in fitted]
    assert all(np.isfinite(values).sum() > 100 for values in scores)
    cuts = np.flatnonzero(trades.time > full.time[n_train + 5])
    for cut in np.random.default_rng(1).choice(cuts, 12, replace=False):
        part = trade_windows(trades.rows(slice(0, cut)), 3)
        closed = int((part.time + part.interval <= trades.time[cut]).sum())
        found = window_features(part, names)
        assert np.array_equal(found.values[:closed], features.values[:closed], equal_nan=True)
        for detector, expected in zip(fitted, scores, strict=True):
            assert np.array_equal(detector.score(found).values[:closed], expected[:closed], equal_nan=True)


def test_every_detector_with_default_columns_runs_on_busy_windows():
    features = window_features(
        trade_windows(make_trades(20_000, seed=13, gap_ms=60.0), 2),
        ("log_return", "volume_ratio_20", "volatility_20", "trade_count", "volume", "rush_orders"),
    )
    assert features.n_rows > 300
    for name in ("zscore", "isolation_forest", "volatility_only", "random"):
        assert name in detectors()
        params = {"window": 50} if name == "zscore" else {}
        scores = make_detector(name, **params).fit(features.rows(slice(0, 200))).score(features)
        assert np.isfinite(scores.values[250:]).mean() > 0.9, name


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("volume_ratio", "unknown feature 'volume_ratio'; expected one of log_return"),
        ("volume_ratio_1", "the lookback of volume_ratio must be at least 2 windows, got 1"),
        ("rush_orders_0", "the lookback of rush_orders must be at least 1"),
        ("buy_burst_6", "unknown feature 'buy_burst_6'"),
        ("buy_burst_0_9", "the lookbacks of buy_burst must be at least 1 window"),
        ("close", "unknown feature 'close'"),
    ],
)
def test_an_unknown_feature_is_refused(windows, name, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        window_features(windows, [name])


def test_a_lookback_longer_than_the_data_is_unknown_everywhere(windows):
    found = window_features(windows, ["return_99999", "buy_burst_3_99999", "volatility_99999"])
    assert np.isnan(found.values).all()


GOLDEN = [
    *(("NAS_202005301600", seconds) for seconds in (5, 15, 25)),
    *(("ARN_202004071800", seconds) for seconds in (5, 15)),
    *(("ONG_202101111600", seconds) for seconds in (5, 15)),
    ("POA_202003121900", 5),
]


def test_the_eight_golden_pumps_have_their_published_features(shared_data):
    """To three decimals: seven round to the published figures, the eighth is one last digit off in one feature."""
    events = pd.read_csv(shared_data / "pump_events.csv").set_index("event_id")
    published = pd.read_csv(shared_data / "lamorgia_labelled_rows.csv")
    trades = read_trades(shared_data / "pump_trades.parquet").split()
    n_equal = 0
    for name, seconds in GOLDEN:
        start = events.loc[name, f"lamorgia_chunk_{seconds}s"]
        row = published.query(
            "freq == @f and date == @start and symbol == @s", local_dict={"f": f"{seconds}s", "start": start, "s": name[:3]}
        )
        features = published_pump_features(trades[name], seconds)
        at = features.time == np.datetime64(pd.Timestamp(start).tz_convert(None), "us")
        found, expected = features.values[at][0, 0], row[list(PUMP_FEATURES)].to_numpy(dtype=float)[0]
        np.testing.assert_allclose(found, expected, rtol=0, atol=0.001, err_msg=f"{name} {seconds} s")
        n_equal += bool((np.abs(np.round(found, 3) - expected) < 1e-9).all())
    assert n_equal == 7


def test_published_features_do_not_look_at_later_trades(shared_data):
    trades = read_trades(shared_data / "pump_trades.parquet").split()["NAS_202005301600"]
    full = published_pump_features(trades, 25)
    for cut in (12_000, 20_000, 30_000):
        part = published_pump_features(trades.rows(slice(0, cut)), 25)
        closed = int((part.time + part.interval <= trades.time[cut]).sum())
        assert closed >= part.n_rows - 1
        assert np.array_equal(part.values[:closed], full.values[:closed], equal_nan=True)


def test_the_live_collectors_windows_move_on_as_their_reference_says(shared_data, capsys):
    path = ROOT / "examples" / "windows20s.py"
    spec = importlib.util.spec_from_file_location("windows20s", path)
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    example.main(str(shared_data / "windows20s_btcusdt.parquet"))
    stored, *forests = capsys.readouterr().out.splitlines()
    assert stored.startswith("stored predictions: 82 alerts against 1767 windows")
    assert "sum of absolute returns 1.77 times normal, net move 2.16, volatility-matched" in stored
    assert [line.split(":")[0] for line in forests] == ["isolation forest, rolling", "isolation forest, expanding"]
    assert all(re.search(r"volatility-matched \d\.\d\d \[\d\.\d\d, \d\.\d\d\]", line) for line in forests)
