"""Entries, exits, holding times and stops: against a plain loop, and both adapters against each other."""

import numpy as np
import pytest

from foreshock.data.bars import Bars
from foreshock.data.errors import ConfigError
from foreshock.strategies.backtest.account import Account
from foreshock.strategies.backtest.costs import Costs
from foreshock.strategies.backtest.portfolio import backtest
from foreshock.strategies.backtest.signals import backtest_signals
from foreshock.strategies.event import EventTrade
from tests.accounts import FREE
from tests.market import NAN, bars_of, signals_of

SHORTS = Account(shorts=True)


def loop(bars: Bars, entries, exits, hold, stop, take, costs) -> np.ndarray:
    """Equity of one symbol that never lacks a price, kept plainly."""
    open_, high, low, close = (values[:, 0] for values in (bars.open, bars.high, bars.low, bars.close))
    cash, units, entry, since, equity = 1.0, 0.0, 0.0, 0, []

    def trade(size, price):
        nonlocal cash, units
        paid = price * (1 + np.sign(size) * costs.slippage)
        cash -= size * paid + abs(size) * paid * costs.taker
        units += size

    for t in range(len(bars)):
        side = np.sign(units)
        want = None
        if t > 0 and exits[t - 1]:
            want = 0
        elif t > 0 and entries[t - 1] and entries[t - 1] != side:
            want = entries[t - 1]
        if want is None and side:
            move = side * (open_[t] / entry - 1)
            if (hold and t - since >= hold) or (stop and move <= -stop) or (take and move >= take):
                want = 0
        if want is not None:
            value = cash + units * open_[t]
            if want == 0 and units:
                trade(-units, open_[t])
            elif want:
                trade(want * 0.5 * value / open_[t] - units, open_[t])
                entry, since = open_[t], t
        side = np.sign(units)
        if side:
            bad, good = (low[t], high[t]) if side > 0 else (high[t], low[t])
            if stop and side * (bad / entry - 1) <= -stop:
                trade(-units, entry * (1 - side * stop))
            elif take and side * (good / entry - 1) >= take:
                trade(-units, entry * (1 + side * take))
        if abs(units) * close[t] < 1e-12:
            units = 0.0
        equity.append(cash + units * close[t])
    return np.array(equity)


def random_bars(rng, n_bars, n_symbols=1, holes=False) -> Bars:
    path = np.exp(np.cumsum(rng.normal(0, 0.01, (2 * n_bars, n_symbols)), axis=0))
    open_, close = path[::2].copy(), path[1::2].copy()
    high = np.maximum(open_, close) * np.exp(rng.exponential(0.01, open_.shape))
    low = np.minimum(open_, close) * np.exp(-rng.exponential(0.01, open_.shape))
    if holes:
        missing = rng.random(open_.shape) < 0.1
        missing[:10, 0] = missing[-10:, 1] = True
        for values in (open_, high, low, close):
            values[missing] = NAN
    return bars_of(open_, close, high, low)


def test_two_hundred_signal_accounts_equal_the_plain_loop():
    rng = np.random.default_rng(0)
    kinds = dict.fromkeys(("order", "stop"), 0)
    for _ in range(200):
        bars = random_bars(rng, 120)
        entries = rng.choice([-1, 0, 1], 120, p=[0.1, 0.8, 0.1])
        exits = rng.random(120) < 0.05
        hold, stop, take = int(rng.choice([0, 5, 20])), rng.choice([0.0, 0.02, 0.05]), rng.choice([0.0, 0.03])
        costs = Costs(taker=1e-3, slippage=5e-4)
        result = backtest_signals(bars, entries, exits, 0.5, f"{hold}h" if hold else None, stop, take, costs, account=SHORTS)
        np.testing.assert_allclose(result.equity, loop(bars, entries, exits, hold, stop, take, costs), rtol=1e-9)
        for kind in result.trades["kind"]:
            kinds[kind] += 1
    assert min(kinds.values()) > 300


def test_a_stop_in_the_bar_of_the_entry_is_taken_although_the_bar_recovers():
    bars = bars_of([100.0, 100, 99], [100.0, 99, 99], low=[100.0, 94, 99])
    result = backtest_signals(bars, np.array([1, 0, 0]), stop=0.05, costs=FREE)
    assert result.trades["price"].tolist() == [100.0, 95.0]
    assert result.trades["kind"].tolist() == ["order", "stop"]
    assert result.equity[-1] == pytest.approx(0.95, rel=1e-12)


def test_plain_vectorbt_ignores_a_stop_in_the_bar_of_the_entry():
    """The trap that the check above is for."""
    import pandas as pd
    import vectorbt as vbt

    open_, low, close = (pd.Series(values) for values in ([100.0, 100, 99], [100.0, 94, 99], [100.0, 99, 99]))
    portfolio = vbt.Portfolio.from_signals(
        close, [False, True, False], False, price=open_, open=open_, high=open_, low=low, sl_stop=0.05, freq="1h"
    )
    assert np.asarray(portfolio.assets())[1] > 0


def test_a_gap_beyond_the_stop_is_filled_at_the_open_and_not_at_the_stop():
    bars = bars_of([100.0, 100, 80, 80], [100.0, 100, 85, 80])
    result = backtest_signals(bars, np.array([1, 0, 0, 0]), stop=0.05, costs=FREE)
    assert result.trades["price"].tolist() == [100.0, 80.0]


def test_where_a_bar_touches_stop_and_target_the_loss_is_taken():
    bars = bars_of([100.0, 100], [100.0, 100], high=[100.0, 120], low=[100.0, 89])
    assert backtest_signals(bars, np.array([1, 0]), stop=0.05, take=0.1, costs=FREE).equity[-1] == pytest.approx(0.95)
    assert backtest_signals(bars, np.array([1, 0]), take=0.1, costs=FREE).equity[-1] == pytest.approx(1.1)
    assert backtest_signals(bars, np.array([-1, 0]), take=0.1, costs=FREE, account=SHORTS).equity[-1] == pytest.approx(1.1)


def test_entries_are_filled_at_the_open_after_them():
    bars = bars_of([100.0, 110, 121], [105.0, 115, 121])
    result = backtest_signals(bars, np.array([True, False, False]), costs=FREE)
    assert result.trades["price"].tolist() == [110.0]


@pytest.mark.parametrize("mode", ["follow", "fade"])
def test_weights_and_entries_of_an_event_trade_make_the_same_account(mode):
    rng = np.random.default_rng(4)
    for _ in range(50):
        bars = random_bars(rng, 150, 3, holes=True)
        signals = signals_of(bars, rng.random(bars.shape) < 0.08)
        strategy = EventTrade(mode, hold="6h", move="2h")
        by_weights = backtest(bars, strategy.weights(bars, signals), account=SHORTS)
        by_entries = backtest_signals(bars, strategy.entries(bars, signals), hold="6h", account=SHORTS)
        np.testing.assert_allclose(by_weights.equity, by_entries.equity, rtol=1e-9)
        assert len(by_weights.trades) > 10


def test_following_buys_after_a_rise_and_fading_sells_it():
    bars = bars_of([1.0, 1, 2, 2, 2, 2], [1.0, 2, 2, 2, 2, 2])
    signals = signals_of(bars, np.array([[0], [1], [0], [0], [0], [0]]))
    np.testing.assert_array_equal(EventTrade(hold="2h").weights(bars, signals)[:, 0], [NAN, 1, NAN, 0, NAN, NAN])
    np.testing.assert_array_equal(EventTrade("fade", hold="2h").weights(bars, signals)[:, 0], [NAN, -1, NAN, 0, NAN, NAN])


def test_a_stop_at_closes_leaves_at_the_open_after_the_first_bad_close():
    bars = bars_of([1.0, 1, 2, 1.9, 1.7, 1.7], [1.0, 2, 1.9, 1.7, 1.7, 1.7])
    signals = signals_of(bars, np.array([[0], [1], [0], [0], [0], [0]]))
    weights = EventTrade(hold="24h", stop=0.1).weights(bars, signals)
    np.testing.assert_array_equal(weights[:, 0], [NAN, 1, NAN, 0, NAN, NAN])


def test_an_unknown_or_flat_move_is_no_event():
    bars = bars_of([1.0, 1, NAN, 1, 1], [1.0, 1, NAN, 1, 2])
    signals = signals_of(bars, np.ones((5, 1)))
    np.testing.assert_array_equal(EventTrade().entries(bars, signals)[:, 0], [0, 0, 0, 0, 1])


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda bars: backtest_signals(bars, np.array([1, 2, 0])), r"entries must be one of \(-1, 0, 1\), got 2.0 for S0"),
        (lambda bars: backtest_signals(bars, np.array([1, NAN, 0])), "got nan"),
        (lambda bars: backtest_signals(bars, np.ones(2)), r"entries must have the shape .* = \(3, 1\)"),
        (lambda bars: backtest_signals(bars, np.ones(3), stop=1.0), "stop must be a fraction"),
        (lambda bars: backtest_signals(bars, np.ones(3), take=-0.1), "take must be"),
        (lambda bars: backtest_signals(bars, np.ones(3), size=1.5), "size must be a fraction"),
        (lambda bars: backtest_signals(bars, -np.ones(3)), "short sale, which the account does not allow"),
        (lambda bars: EventTrade("guess"), "mode must be one of follow, fade"),
        (lambda bars: EventTrade(stop=1.0), "stop must be"),
        (lambda bars: EventTrade(exposure=0.0), "exposure must be"),
        (lambda bars: EventTrade(hold="0h"), "hold must be positive"),
    ],
)
def test_what_is_no_signal_is_refused(build, message):
    with pytest.raises(ConfigError, match=message):
        build(bars_of(np.ones(3)))


def test_an_entry_without_room_is_an_error():
    bars = bars_of(np.ones((4, 2)))
    entries = np.array([[1, 0], [0, 1], [0, 0], [0, 0]])
    with pytest.raises(ConfigError, match=r"order of 1 of the equity in S1 .* targets in force sum to 2"):
        backtest_signals(bars, entries, size=1.0, costs=FREE)
