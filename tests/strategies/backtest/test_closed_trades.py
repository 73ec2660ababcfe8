"""Closed trades: the position they come from, and their sum."""

import numpy as np
import pandas as pd
import pytest

import foreshock as fs
from tests.market import bars_of, make_bars

FREE = fs.Costs(taker=0.0, slippage=0.0)


def test_a_turn_of_the_side_ends_one_trade_and_begins_the_next():
    bars = bars_of([100.0, 100.0, 110.0, 121.0, 121.0])
    weights = np.array([[1.0], [-1.0], [0.0], [np.nan], [np.nan]])
    found = fs.closed_trades(fs.backtest(bars, weights, FREE, account=fs.Account(shorts=True)))
    assert found["side"].tolist() == ["long", "short"]
    np.testing.assert_allclose(found["net_return"], [0.1, -0.1])
    assert found["closed"].iloc[0] == found["opened"].iloc[1] == pd.Timestamp("2024-01-01T02")


def test_a_position_that_is_built_and_sold_in_parts_is_one_trade_and_one_still_held_is_none():
    bars = bars_of([100.0, 100.0, 200.0, 200.0, 100.0, 100.0, 100.0])
    weights = np.array([[0.25], [0.75], [0.25], [0.0], [0.5], [np.nan], [np.nan]])
    found = fs.closed_trades(fs.backtest(bars, weights, FREE))
    assert len(found) == 1
    # 0.0025 bought at 100, then up to 0.75 of 1.25 at 200: 0.9375 in all, less 0.5 held before.
    assert found["entered"].item() == pytest.approx(0.25 + 0.4375)


def test_profits_of_an_account_that_ends_flat_are_what_its_equity_gained():
    rng = np.random.default_rng(2)
    bars = make_bars(n_bars=400, n_symbols=3, seed=9)
    weights = np.where(rng.random(bars.shape) < 0.1, rng.uniform(-1, 1, bars.shape) / 3, np.nan)
    weights[-2:] = 0.0
    result = fs.backtest(bars, weights, fs.Costs(), account=fs.Account(shorts=True))
    found = fs.closed_trades(result)
    assert found["profit"].sum() == pytest.approx(result.equity[-1] - 1, abs=1e-9)
    assert set(found["side"]) == {"long", "short"}
    assert len(fs.risk_report(result.returns, trades=found["net_return"].to_numpy()).loc["trade"])


def test_what_is_no_result_is_refused():
    with pytest.raises(fs.ConfigError, match="result must be BacktestResult"):
        fs.closed_trades(pd.DataFrame())
