"""Cost sweeps, parameter grids and choices by the past: closed forms, single backtests and planted truth."""

import math

import numpy as np
import pytest

from foreshock.data.errors import ConfigError
from foreshock.engine.out_of_sample.splits import WalkForward
from foreshock.engine.scores import Scores
from foreshock.engine.thresholds.quantiles import Fixed, RollingQuantile
from foreshock.strategies.anomaly_avoidance import AnomalyAvoidance
from foreshock.strategies.assess.cost_sweep import break_even_cost, cost_sweep
from foreshock.strategies.assess.stability import choose_walk_forward, stability_grid
from foreshock.strategies.backtest.account import Account
from foreshock.strategies.backtest.costs import Costs
from foreshock.strategies.backtest.portfolio import backtest
from foreshock.strategies.baselines import BuyAndHold, EqualWeight
from foreshock.strategies.event import EventTrade
from tests.accounts import FREE, random_market
from tests.market import NAN, bars_of


def test_a_sweep_is_the_backtest_at_each_cost_and_its_break_even_earns_nothing():
    rng = np.random.default_rng(0)
    bars = bars_of(100 * np.exp(np.cumsum(1e-3 + rng.normal(0, 0.01, (500, 2)), axis=0)))
    weights = {"daily": EqualWeight().weights(bars), "switch": np.tile([[0.9, 0.0], [0.0, 0.9]], (250, 1))}
    found = cost_sweep(bars, weights, [0.0, 1e-4])
    for name, one in weights.items():
        for rate in (0.0, 1e-4):
            assert found.loc[name, rate] == backtest(bars, one, Costs(rate, 0.0)).equity[-1] - 1
    rate = found.loc["switch", "break_even"]
    assert 1e-4 < rate < 1e-2
    assert backtest(bars, weights["switch"], Costs(rate, 0.0)).equity[-1] == pytest.approx(1, abs=1e-9)
    # What hardly trades bears more.
    assert found.loc["daily", "break_even"] > 20 * rate


def test_the_break_even_of_one_round_trip_is_in_closed_form():
    bars = bars_of(np.array([[1.0], [1], [1.1], [1.1]]))
    # Half the equity: (0.55 - 0.5) = c (0.55 + 0.5).
    assert break_even_cost(bars, np.array([0.5, 0.0, NAN, NAN])) == pytest.approx(0.05 / 1.05, rel=1e-9)


def test_a_loser_has_no_break_even_and_what_trades_less_than_its_baseline_has_no_bound():
    bars = bars_of(np.array([[1.0], [1], [0.9], [0.9]]))
    out, hold = np.array([0.5, 0.0, NAN, NAN]), np.array([0.5, NAN, NAN, NAN])
    assert math.isnan(break_even_cost(bars, out))
    flat = np.full(4, NAN)
    assert break_even_cost(bars, flat, against=hold) == math.inf
    assert math.isnan(break_even_cost(bars, hold, against=flat))


def test_a_break_even_against_a_baseline_is_where_both_end_equal():
    close = np.array([[1.0], [1], [1], [0.9], [0.9], [0.9]])
    bars = bars_of(close)
    # The fall comes between the opens of rows 2 and 3: out at the first, in again at the second.
    avoid, hold = np.array([1.0, 0.0, 1.0, NAN, NAN, NAN]), np.array([1.0, NAN, NAN, NAN, NAN, NAN])
    rate = break_even_cost(bars, avoid, against=hold)
    # Selling and buying again costs what the fall does: (1 - c) / (1 + c) = 0.9.
    assert rate == pytest.approx(0.1 / 1.9, rel=1e-9)


def scores_of(bars, values):
    return Scores(bars.time, bars.symbols, values, bars.interval)


@pytest.mark.parametrize("strategy", [AnomalyAvoidance(exposure=0.5), EventTrade("fade")])
def test_each_cell_of_a_grid_is_the_backtest_of_its_parameters(strategy):
    bars, _ = random_market(2)
    scores = scores_of(bars, np.random.default_rng(1).random(bars.shape))
    thresholds = {"90 %": Fixed(0.9), "95 %": Fixed(0.95), "rolling": RollingQuantile(0.9, "20h")}
    account = Account(shorts=True)
    found = stability_grid(bars, scores, thresholds, ["2h", "6h"], strategy, account=account)
    for label, threshold in thresholds.items():
        signals = scores.signals(threshold)
        assert found.alert_rate.loc[label].tolist() == [signals.alert_rate] * 2
        for hold in ("2h", "6h"):
            own = type(strategy)(**{**vars(strategy), "hold": hold})
            result = backtest(bars, own.weights(bars, signals), account=account)
            assert found.total_return.loc[label, hold] == result.equity[-1] - 1
            assert found.turnover.loc[label, hold] == pytest.approx(result.turnover.sum(), rel=1e-12)
            sharpe = result.returns[1:].mean() / result.returns[1:].std() * math.sqrt(8_760)
            assert found.sharpe.loc[label, hold] == pytest.approx(sharpe, rel=1e-9)
    assert found.total_return.to_numpy().std() > 0


def test_a_grid_needs_parameters_that_differ():
    bars, _ = random_market(2)
    scores = scores_of(bars, np.zeros(bars.shape))
    for thresholds, holds in (({}, ["2h"]), ({"a": Fixed(0.5)}, []), ({"a": Fixed(0.5)}, ["2h", "2h"])):
        with pytest.raises(ConfigError, match="at least one threshold and distinct holds"):
            stability_grid(bars, scores, thresholds, holds)


def turning_market(n_bars=1_200):
    """S0 rises up to row 560 and falls then, S1 the other way round; hours."""
    rng = np.random.default_rng(3)
    drift = np.where(np.arange(n_bars) < 560, 2e-3, -2e-3)[:, None] * [1, -1]
    bars = bars_of(100 * np.exp(np.cumsum(drift + rng.normal(0, 1e-3, (n_bars, 2)), axis=0)))
    sets = {}
    for col, name in enumerate(bars.symbols):
        sets[name] = np.full((n_bars, 2), NAN)
        sets[name][0] = np.eye(2)[col]
    return bars, sets


def test_the_set_that_was_best_before_is_traded_until_the_past_shows_another():
    bars, sets = turning_market()
    found = choose_walk_forward(bars, sets, WalkForward("200h", "100h", embargo=None), FREE)
    # Blocks begin at multiples of 100 hours since 1970. Of the rows 448 to 648 most lie before the turn, of 548 to 748 behind it.
    assert found.folds["chosen"].tolist() == ["S0"] * 5 + ["S1"] * 5
    assert (found.folds["test_sharpe"] <= found.folds["best_test_sharpe"]).all()
    assert found.folds["test_start"].iloc[0] == bars.time[248]
    orders = np.flatnonzero(~np.isnan(found.weights).all(axis=1))
    assert orders.tolist() == [248, 748]
    np.testing.assert_array_equal(found.weights[748], [0, 1])
    again = backtest(bars.rows(slice(248, None)), found.weights[248:], FREE)
    np.testing.assert_array_equal(found.result.equity, again.equity)
    # It holds the loser for the first 188 bars after the turn, as whoever knows the past alone must.
    assert np.log(found.result.equity[-1]) == pytest.approx(2e-3 * (312 - 188 + 452), rel=0.1)


def test_later_rows_do_not_change_earlier_choices():
    bars, sets = turning_market()
    splits = WalkForward("200h", "100h", mode="expanding", embargo=None)
    full = choose_walk_forward(bars, sets, splits)
    for n in (640, 701, 850):
        part = choose_walk_forward(bars.head(n), {name: one[:n] for name, one in sets.items()}, splits)
        np.testing.assert_array_equal(part.weights, full.weights[:n])
        np.testing.assert_array_equal(part.result.equity, full.result.equity[: n - 248])


def test_a_change_of_sets_is_paid_for():
    bars, sets = turning_market()
    splits = WalkForward("200h", "100h", embargo=None)
    free, dear = (choose_walk_forward(bars, sets, splits, costs).result for costs in (FREE, Costs(0.01, 0.0)))
    # In, out of one, into the other.
    assert dear.equity[-1] / free.equity[-1] == pytest.approx(0.99 / 1.01**2, rel=1e-3)


def test_a_single_set_is_no_choice():
    bars, _ = turning_market(300)
    with pytest.raises(ConfigError, match="at least two parameter sets"):
        choose_walk_forward(bars, {"one": BuyAndHold().weights(bars)}, WalkForward("200h", "100h", embargo=None))
