"""What the strategies and their accounts refuse: other types, other labels, names that are not there."""

import numpy as np
import pandas as pd
import pytest

import foreshock as fs
from tests.market import make_bars


@pytest.fixture(scope="module")
def bars():
    return make_bars(n_bars=1_500, n_symbols=2, seed=3)


@pytest.fixture(scope="module")
def scores(bars):
    return fs.walk_forward(
        fs.make_detector("zscore", window=24), fs.ohlcv_features(bars), fs.WalkForward("20D", "10D", embargo=None)
    )


@pytest.fixture(scope="module")
def signals(scores):
    return scores.signals(fs.RollingQuantile(0.95, "10D"))


def framed(bars, values):
    return pd.DataFrame(values, index=pd.DatetimeIndex(bars.time), columns=list(bars.symbols))


@pytest.mark.parametrize("shuffled", [lambda f: f.iloc[:, ::-1], lambda f: f.set_axis(f.index + pd.Timedelta("1h"))])
def test_a_table_with_other_labels_is_refused_wherever_weights_or_entries_are_taken(shuffled, bars, signals):
    weights = framed(bars, fs.EqualWeight().weights(bars))
    entries = framed(bars, signals.active.astype(float))
    sets = {"a": weights, "b": 0.5 * weights}
    fs.backtest(bars, weights)
    fs.backtest_signals(bars, entries, hold="6h")
    fs.choose_walk_forward(bars, sets, fs.WalkForward("20D", "10D", embargo=None))
    for call in (
        lambda: fs.backtest(bars, shuffled(weights)),
        lambda: fs.backtest_signals(bars, shuffled(entries), hold="6h"),
        lambda: fs.backtest_signals(bars, entries, exits=shuffled(entries)),
        lambda: fs.choose_walk_forward(bars, {**sets, "b": shuffled(weights)}, fs.WalkForward("20D", "10D", embargo=None)),
    ):
        with pytest.raises(fs.ConfigError, match="must be the"):
            call()


def test_limits_of_symbols_that_are_not_traded_are_refused(bars):
    account = fs.Account(limits=fs.MarketLimits({"BTC/USDT": 5.0}, {}))
    with pytest.raises(fs.ConfigError, match="limits name BTC/USDT, but the symbols are"):
        fs.backtest(bars, fs.EqualWeight().weights(bars), account=account)


def test_a_text_is_no_switch():
    for build in (
        lambda: fs.Account(shorts="no"),
        lambda: fs.TimeSeriesMomentum(shorts="no"),
        lambda: fs.AnomalyAvoidance(market_wide="no"),
        lambda: fs.FactorPortfolio(long_only="no"),
    ):
        with pytest.raises(fs.ConfigError, match="must be True or False, got 'no'"):
            build()


def test_an_infinite_funding_rate_is_refused(bars):
    rates = np.full(bars.shape, np.nan)
    rates[8, 0] = np.inf
    fields = (bars.open, bars.high, bars.low, bars.close, bars.volume)
    with pytest.raises(fs.DataError, match="infinite funding_rate"):
        fs.Bars(bars.time, bars.symbols, *fields, bars.interval, {"funding_rate": rates})


def test_what_is_of_another_type_is_named_in_one_sentence(bars, scores, signals):
    weights = fs.EqualWeight().weights(bars)
    frame = framed(bars, weights)
    splits = fs.WalkForward("20D", "10D", embargo=None)
    calls = {
        "bars must be Bars": [
            lambda: fs.backtest(frame, weights),
            lambda: fs.backtest("x.csv", weights),
            lambda: fs.EqualWeight().weights("x"),
            lambda: fs.ohlcv_features("x"),
            lambda: fs.backtest_signals("x", weights),
        ],
        "weights.* must be an array of numbers": [
            lambda: fs.backtest(bars, "abc"),
            lambda: fs.backtest(bars, bars),
            lambda: fs.backtest(bars, weights * 1j),
            lambda: fs.backtest_grid(bars, {"x": "y"}),
        ],
        "entries must be an array of numbers": [lambda: fs.backtest_signals(bars, signals)],
        "costs must be Costs": [
            lambda: fs.backtest(bars, weights, 0.001),
            lambda: fs.backtest(bars, weights, None),
            lambda: fs.cost_sweep(bars, {"a": weights}, costs=5),
            lambda: fs.backtest_grid(bars, [weights], costs="x"),
            lambda: fs.backtest_grid(bars, [weights], costs=[1.0]),
        ],
        "account must be Account": [lambda: fs.backtest(bars, weights, account=None)],
        "limits must be MarketLimits": [lambda: fs.Account(limits=3)],
        "min_notional must be a dict": [lambda: fs.MarketLimits(None, {})],
        "signals must be Signals": [
            lambda: fs.AnomalyAvoidance().weights(bars, signals.active),
            lambda: fs.AnomalyAvoidance().weights(bars, scores),
            lambda: fs.EventTrade().weights(bars, None),
        ],
        "regimes must be": [lambda: fs.RegimeExposure(None, {})],
        "factors must be": [lambda: fs.FactorPortfolio(factors="x")],
        "strategy must be BacktestResult": [lambda: fs.paired_difference(1, 2)],
        "strategy must be AnomalyAvoidance": [
            lambda: fs.compare_avoidance(bars, signals, fs.EqualWeight()),
            lambda: fs.stability_grid(bars, scores, {"a": fs.Fixed(3.0)}, ["6h"], fs.EqualWeight()),
        ],
        "n_draws must be a whole number": [lambda: fs.compare_avoidance(bars, signals, n_draws=5.5)],
        "seed must be a whole number": [lambda: fs.compare_avoidance(bars, signals, seed="x")],
        "rates must be a list": [
            lambda: fs.cost_sweep(bars, {"a": weights}, rates=0.1),
            lambda: fs.cost_sweep(bars, {"a": weights}, rates="abc"),
        ],
        "memory must be": [lambda: fs.backtest_grid(bars, [weights], memory="1GB")],
        "weights must be a dict or a list": [lambda: fs.backtest_grid(bars, None)],
        "each of thresholds, 'a', must be a rule": [lambda: fs.stability_grid(bars, scores, {"a": 3.0}, ["6h"])],
        "scores must be Scores": [lambda: fs.stability_grid(bars, signals, {"a": fs.Fixed(3.0)}, ["6h"])],
        "and distinct holds": [lambda: fs.stability_grid(bars, scores, {"a": fs.Fixed(3.0)}, ["24h", "1d"])],
        "splits must be WalkForward": [lambda: fs.choose_walk_forward(bars, {"a": weights, "b": weights}, "120D")],
        "weights must be a dict": [lambda: fs.choose_walk_forward(bars, [weights, weights], splits)],
    }
    for message, some in calls.items():
        for call in some:
            with pytest.raises(fs.ConfigError, match=message):
                call()
