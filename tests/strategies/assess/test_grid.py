"""Many backtests in one call are the single ones, whatever the memory."""

import weakref

import numpy as np
import pandas as pd
import pytest

from foreshock.data.errors import ConfigError
from foreshock.strategies.assess import grid
from foreshock.strategies.assess.grid import backtest_grid
from foreshock.strategies.backtest.account import Account
from foreshock.strategies.backtest.costs import Costs
from foreshock.strategies.backtest.portfolio import backtest
from tests.accounts import random_bars, random_case, random_weights
from tests.market import bars_of


def test_each_column_is_the_backtest_of_its_weights_with_its_costs():
    bars, _, _, account = random_case(3)
    matrices = {(seed, "a"): random_case(seed)[1].clip(-0.4, 0.4) * account.leverage / 5 for seed in range(6)}
    rates = [Costs(taker=1e-3 * at, slippage=0.0, funding=True, borrow=0.1) for at in range(6)]
    result = backtest_grid(bars, matrices, rates, account)
    assert result.labels == tuple(matrices)
    for at, (matrix, rate) in enumerate(zip(matrices.values(), rates, strict=True)):
        single = backtest(bars, matrix, rate, account=account)
        np.testing.assert_array_equal(result.equity[:, at], single.equity)
        np.testing.assert_array_equal(result.returns[:, at], single.returns)
        assert result.costs[at] == pytest.approx(single.costs, rel=1e-12)
        assert result.turnover[at] == pytest.approx(single.turnover.sum(), rel=1e-12)
        assert result.exposure[at] == pytest.approx(single.exposure.mean(), rel=1e-12)
        assert (result.n_trades[at], result.n_skipped[at]) == (len(single.trades), single.n_skipped)
        np.testing.assert_allclose(result.ledger.iloc[at], single.ledger.sum(), rtol=1e-12, atol=1e-15)
    assert len({*result.total_return}) == 6


def test_memory_decides_how_many_accounts_are_filled_at_once_and_nothing_else(monkeypatch):
    rng = np.random.default_rng(0)
    bars = random_bars(rng, 120, 3, holes=True)
    matrices = [random_weights(rng, 120, 3) for _ in range(12)]
    at_once = []
    monkeypatch.setattr(grid, "filled", lambda bars, books, filled=grid.filled: at_once.append(len(books)) or filled(bars, books))
    whole = backtest_grid(bars, matrices)
    assert at_once == [12]
    at_once.clear()
    cells = 121 * 4 * grid.BYTES_PER_CELL
    parts = backtest_grid(bars, matrices, memory=3 * cells)
    assert sum(at_once) == 12
    assert 3 <= max(at_once) < 12
    np.testing.assert_array_equal(parts.equity, whole.equity)
    at_once.clear()
    backtest_grid(bars, matrices, memory=1)
    assert at_once == [1] * 12


def test_weights_are_taken_one_at_a_time():
    bars = random_bars(np.random.default_rng(1), 50, 2, holes=False)
    taken: list[weakref.ref[Matrix]] = []

    def matrices():
        for _ in range(5):
            assert sum(matrix() is not None for matrix in taken) <= 2
            matrix = np.full((50, 2), 0.5).view(Matrix)
            taken.append(weakref.ref(matrix))
            yield matrix
            del matrix

    assert backtest_grid(bars, matrices()).equity.shape == (50, 5)


class Matrix(np.ndarray):
    """An array that can be referred to weakly."""


def test_results_are_tables_too():
    bars = bars_of([1.0, 1, 2], [1.0, 1, 2])
    result = backtest_grid(bars, {("a", 1): np.array([1.0, np.nan, np.nan]), ("b", 2): np.full(3, np.nan)}, Costs(0.0, 0.0))
    frame = result.to_frame()
    assert frame["a", 1].tolist() == [1, 1, 2]
    assert frame.index[1] == pd.Timestamp("2024-01-01 01:00", tz="UTC")
    assert result.summary()["total_return"].tolist() == [1.0, 0.0]
    assert result.summary().loc[("a", 1), "n_trades"] == 1


def test_what_makes_no_grid_is_refused():
    bars = bars_of([1.0, 1, 2], [1.0, 1, 2])
    ones = np.ones((3, 1))
    for weights, costs, memory, message in (
        ([], Costs(), 10**9, "at least one backtest"),
        ([ones], [Costs(), Costs()], 10**9, "as many costs as weights, got 2 and 1"),
        ([ones, ones], [Costs()], 10**9, "as many costs as weights, got 1 costs and more"),
        ([ones], Costs(), 0, "memory must be"),
        ([-ones], Costs(), 10**9, "0 or more"),
    ):
        with pytest.raises(ConfigError, match=message):
            backtest_grid(bars, weights, costs, memory=memory)


def test_an_account_with_credit_is_passed_on():
    bars = bars_of([1.0, 1, 2], [1.0, 1, 2])
    result = backtest_grid(bars, [np.array([2.0, np.nan, np.nan])], Costs(0.0, 0.0), Account(leverage=2))
    assert result.total_return[0] == pytest.approx(2.0, rel=1e-12)
