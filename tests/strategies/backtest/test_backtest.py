"""The adapter's account against a plain ledger, and every special case by hand."""

import numpy as np
import pandas as pd
import pytest

from foreshock.data.errors import ConfigError
from foreshock.strategies.backtest.costs import Costs
from foreshock.strategies.backtest.portfolio import backtest, backtest_many
from tests.accounts import FREE, random_bars, random_weights
from tests.ledger import ledger
from tests.market import NAN, bars_of


@pytest.mark.parametrize("holes", [False, True])
def test_random_books_equal_the_plain_ledger(holes):
    rng = np.random.default_rng(11 + holes)
    for _ in range(40):
        n_symbols = int(rng.integers(1, 7))
        bars = random_bars(rng, 150, n_symbols, holes)
        weights = random_weights(rng, 150, n_symbols)
        costs = Costs(taker=rng.choice([0.0, 5e-4, 5e-3, -1e-4]), slippage=rng.choice([0.0, 2e-4, 5e-3]))

        result = backtest(bars, weights, costs)

        expected = ledger(bars.open, bars.close, weights, costs.taker, costs.slippage)
        # Two accounts that are both NaN would pass for equal.
        assert np.isfinite(expected["equity"]).all()
        np.testing.assert_allclose(result.equity, expected["equity"], rtol=1e-9)
        np.testing.assert_allclose(result.exposure, expected["exposure"], rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(result.turnover, expected["turnover"], rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(result.costs, expected["costs"].sum(), rtol=1e-9, atol=1e-12)


def test_orders_for_single_symbols_equal_the_plain_ledger():
    rng = np.random.default_rng(5)
    for _ in range(20):
        bars = random_bars(rng, 120, 4, holes=True)
        # A third of the equity is never asked for, so that no order finds the cash used up by drifted positions.
        weights = random_weights(rng, 120, 4) * 0.4
        weights[rng.random(weights.shape) < 0.5] = NAN
        result = backtest(bars, weights)
        expected = ledger(bars.open, bars.close, weights, 5e-4, 2e-4)
        assert np.isfinite(expected["equity"]).all()
        np.testing.assert_allclose(result.equity, expected["equity"], rtol=1e-9)


def test_a_purchase_is_filled_at_the_open_after_the_decision():
    bars = bars_of([100, 110, 121, 130], [105, 120, 125, 140])
    result = backtest(bars, np.array([NAN, 1.0, NAN, NAN]), FREE)
    # Decided at the close of 120, bought at 121; a fill in the same bar would have bought at 110 or 120.
    np.testing.assert_allclose(result.equity, [1, 1, 125 / 121, 140 / 121], rtol=1e-12)
    np.testing.assert_allclose(result.returns, [0, 0, 125 / 121 - 1, 140 / 125 - 1], rtol=1e-12, atol=1e-15)
    assert result.trades["time"].tolist() == [pd.Timestamp("2024-01-01 02:00")]


def test_a_weight_in_the_last_row_is_never_filled():
    bars = bars_of([100, 110], [105, 120])
    assert backtest(bars, np.array([NAN, 1.0])).trades.empty


def test_a_weight_that_knows_the_bar_it_is_filled_in_gains_and_one_that_does_not_gains_nothing():
    rng = np.random.default_rng(0)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, 3_000)))
    bars = bars_of(np.concatenate([[100], close[:-1]]), close)
    up = (close > np.concatenate([[100], close[:-1]])).astype(float)
    honest = backtest(bars, up, FREE).equity[-1]
    oracle = backtest(bars, np.append(up[1:], 0), FREE).equity[-1]
    # Holding exactly the bars that rise earns the sum of their moves; the sign of the last bar says nothing.
    assert np.log(oracle) == pytest.approx(np.log(close[1:] / close[:-1]).clip(0).sum(), rel=1e-9)
    assert abs(np.log(honest)) < 0.1 * np.log(oracle)


def test_fee_and_slippage_of_a_round_trip_are_those_computed_by_hand():
    bars = bars_of([100, 100, 100, 100], [100, 100, 100, 100])
    result = backtest(bars, np.array([0.5, NAN, 0.0, NAN]), Costs(taker=0.01, slippage=0.02))
    # 0.005 units: bought at 102 with a fee of 0.0051, sold at 98 with a fee of 0.0049.
    np.testing.assert_allclose(result.equity, [1, 1 - 0.01 - 0.0051, 1 - 0.01 - 0.0051, 1 - 0.02 - 0.01], rtol=1e-12)
    np.testing.assert_allclose(result.trades["price"], [102, 98], rtol=1e-12)
    np.testing.assert_allclose(result.trades["size"], [0.005, 0.005], rtol=1e-12)
    np.testing.assert_allclose(result.trades["value"], [0.51, 0.49], rtol=1e-12)
    np.testing.assert_allclose(result.trades["fee"], [0.0051, 0.0049], rtol=1e-12)
    assert result.trades["side"].tolist() == ["buy", "sell"]
    assert result.costs == pytest.approx(0.03, rel=1e-12)
    np.testing.assert_allclose(result.turnover, [0, 0.5, 0, 0.5 / 0.9849], rtol=1e-12)
    np.testing.assert_allclose(result.exposure, [0, 0.5 / 0.9849, 0.5 / 0.9849, 0], rtol=1e-12, atol=1e-15)


def test_a_rebate_is_income():
    bars = bars_of([100, 100, 100], [100, 100, 100])
    result = backtest(bars, np.array([0.5, 0.0, NAN]), Costs(taker=-1e-3, slippage=0.0))
    assert result.equity[-1] == pytest.approx(1.001, rel=1e-12)
    assert result.costs == pytest.approx(-0.001, rel=1e-12)


def test_a_full_purchase_leaves_room_for_its_own_fee():
    bars = bars_of([100, 100], [100, 100])
    result = backtest(bars, np.array([1.0, NAN]), Costs(taker=0.25, slippage=0.0))
    assert result.equity[-1] == pytest.approx(0.8, rel=1e-12)
    assert result.trades["value"].tolist() == pytest.approx([0.8], rel=1e-12)


def test_sells_come_before_buys_so_a_switch_is_complete():
    ones = np.ones((3, 2))
    for first in ([1.0, 0.0], [0.0, 1.0]):
        result = backtest(bars_of(ones, ones), np.array([first, first[::-1], [NAN, NAN]]), FREE)
        np.testing.assert_allclose(result.turnover, [0, 1, 2], rtol=1e-12)
        assert result.exposure[-1] == pytest.approx(1.0, rel=1e-12)


def test_a_nan_weight_holds_the_position_while_others_trade():
    bars = bars_of([[10, 10], [10, 10], [20, 10], [20, 10]], [[10, 10], [10, 10], [20, 10], [20, 10]])
    weights = np.array([[0.5, 0.5], [NAN, 0.0], [NAN, NAN], [NAN, NAN]])
    result = backtest(bars, weights, FREE)
    assert result.trades["symbol"].tolist() == ["S0", "S1", "S1"]
    np.testing.assert_allclose(result.exposure, [0, 1, 1 / 1.5, 1 / 1.5], rtol=1e-12)


def test_an_order_in_a_bar_without_price_waits_for_the_next_open():
    bars = bars_of([100, NAN, NAN, 100, 110], [100, NAN, NAN, 105, 120])
    result = backtest(bars, np.array([1.0, NAN, NAN, NAN, NAN]), FREE)
    np.testing.assert_allclose(result.equity, [1, 1, 1, 1.05, 1.2], rtol=1e-12)


def test_a_newer_target_replaces_the_one_that_waits():
    bars = bars_of([100, NAN, 100, 110], [100, NAN, 100, 110])
    result = backtest(bars, np.array([1.0, 0.25, NAN, NAN]), FREE)
    assert result.exposure[2] == pytest.approx(0.25, rel=1e-12)


def test_an_order_that_was_filled_does_not_return_after_a_gap():
    bars = bars_of([100, 100, NAN, 200, 200], [100, 200, NAN, 200, 200])
    result = backtest(bars, np.array([0.5, NAN, NAN, NAN, NAN]), FREE)
    assert len(result.trades) == 1
    assert result.exposure[-1] == pytest.approx(2 / 3, rel=1e-12)


def test_a_position_without_a_price_is_worth_its_last_close():
    bars = bars_of([[100, 1], [100, 1], [NAN, 1], [100, 1]], [[100, 1], [130, 1], [NAN, 1], [150, 1]])
    result = backtest(bars, np.array([[0.5, 0.0], [NAN, NAN], [NAN, NAN], [NAN, NAN]]), FREE)
    np.testing.assert_allclose(result.equity, [1, 1.15, 1.15, 1.25], rtol=1e-12)


def test_other_symbols_are_sized_with_the_last_close_of_one_without_a_price():
    # S0 stands at 0.5 * 1.3 without a price while S1 is bought for a tenth of the equity of 1.15.
    bars = bars_of([[100, 1], [100, 1], [NAN, 1], [100, 1]], [[100, 1], [130, 1], [NAN, 1], [150, 1]])
    result = backtest(bars, np.array([[0.5, 0.0], [NAN, 0.1], [NAN, NAN], [NAN, NAN]]), FREE)
    assert result.trades["value"].tolist() == pytest.approx([0.5, 0.115], rel=1e-12)


def test_a_delisted_position_is_settled_at_its_last_close_with_the_fee():
    bars = bars_of([[100, 1], [100, 1], [NAN, 1], [NAN, 1]], [[100, 1], [120, 1], [NAN, 1], [NAN, 1]])
    result = backtest(bars, np.array([[0.5, NAN], [NAN, NAN], [NAN, 1.0], [NAN, NAN]]), Costs(taker=0.01, slippage=0.0))
    # Bought 0.005 units for 0.5 and a fee of 0.005; settled for 0.6 less 0.006; the cash can be spent again.
    np.testing.assert_allclose(result.equity[:3], [1, 1.095, 1.089], rtol=1e-12)
    assert result.trades["time"].tolist()[1] == pd.Timestamp("2024-01-01 02:00")
    assert result.trades["side"].tolist() == ["buy", "sell", "buy"]
    assert result.exposure[2] == 0
    assert result.trades["value"].tolist()[2] == pytest.approx(1.089 / 1.01, rel=1e-12)


def test_a_settlement_has_no_slippage():
    bars = bars_of([[100, 1], [100, 1], [NAN, 1]], [[100, 1], [100, 1], [NAN, 1]])
    result = backtest(bars, np.array([[0.5, NAN], [NAN, NAN], [NAN, NAN]]), Costs(taker=0.0, slippage=0.1))
    # Half the equity bought at 110, settled at 100.
    assert result.equity[-1] == pytest.approx(0.95, rel=1e-12)


def test_an_order_known_at_the_last_close_before_a_delisting_lapses():
    bars = bars_of([[100, 1], [100, 1], [NAN, 1], [NAN, 1]], [[100, 1], [120, 1], [NAN, 1], [NAN, 1]])
    result = backtest(bars, np.array([[NAN, NAN], [1.0, NAN], [1.0, NAN], [NAN, NAN]]))
    assert result.trades.empty
    np.testing.assert_array_equal(result.equity, np.ones(4))


def test_a_late_listing_is_bought_at_its_first_open():
    bars = bars_of([[NAN, 1], [NAN, 1], [50, 1], [60, 1]], [[NAN, 1], [NAN, 1], [55, 1], [65, 1]])
    result = backtest(bars, np.array([[0.5, 0.5], [NAN, NAN], [NAN, NAN], [NAN, NAN]]), FREE)
    np.testing.assert_allclose(result.equity, [1, 1, 1.05, 1.15], rtol=1e-12)


def test_a_symbol_that_never_trades_changes_nothing():
    prices = np.array([[100.0], [110.0], [120.0]])
    alone = backtest(bars_of(prices, prices), np.array([0.5, NAN, NAN]))
    both = np.hstack([prices, np.full_like(prices, NAN)])
    beside = backtest(bars_of(both, both), np.array([[0.5, 0.5], [NAN, NAN], [NAN, NAN]]))
    np.testing.assert_array_equal(beside.equity, alone.equity)


def test_a_purchase_without_cash_is_an_error():
    ones = np.ones((4, 2))
    weights = np.array([[1.0, NAN], [NAN, 0.5], [NAN, NAN], [NAN, NAN]])
    message = r"0\.5 of the equity in S1 at 2024-01-01T02:00.*the targets in force sum to 1\.5"
    for costs in (FREE, Costs()):
        with pytest.raises(ConfigError, match=message):
            backtest(bars_of(ones, ones), weights, costs)


def test_an_order_that_vectorbt_drops_although_there_is_cash_is_an_error(monkeypatch):
    import vectorbt as vbt

    monkeypatch.setitem(vbt.settings["portfolio"], "reject_prob", 1.0)
    ones = np.ones((3, 1))
    with pytest.raises(ConfigError, match=r"order of 0\.5 of the equity in S0 .* was rejected: the cash is 1 "):
        backtest(bars_of(ones, ones), np.array([0.5, NAN, NAN]), FREE)


def test_a_purchase_that_waits_for_an_unsaleable_position_is_no_error():
    prices = np.array([[1.0, 1], [1, 1], [NAN, 1], [1, 1], [1, 1]])
    weights = np.array([[1.0, 0.0], [0.0, 1.0], [NAN, NAN], [NAN, NAN], [NAN, NAN]])
    result = backtest(bars_of(prices, prices), weights, FREE)
    assert result.trades["side"].tolist() == ["buy", "sell"]
    np.testing.assert_array_equal(result.equity, np.ones(5))


def test_a_purchase_whose_cash_went_into_the_costs_of_its_row_is_no_error():
    # With a fee of 30 % the first two of three equal purchases use up what the sale brought in.
    ones = np.ones((3, 4))
    weights = np.array([[1.0, 0, 0, 0], [0.4, 0.2, 0.2, 0.2], [NAN, NAN, NAN, NAN]])
    result = backtest(bars_of(ones, ones), weights, Costs(taker=0.3, slippage=0.0))
    assert result.trades["symbol"].tolist() == ["S0", "S0", "S1", "S2"]
    assert result.equity[-1] == pytest.approx(ledger(ones, ones, weights, 0.3, 0.0)["equity"][-1], rel=1e-9)


def test_a_purchase_that_finds_no_cash_because_what_is_held_has_grown_is_no_error():
    # Both are bought for half; S1 falls by half and its weight is restated alone, without cash to restate it from.
    prices = np.array([[1.0, 1], [1, 1], [1, 0.5], [1, 0.5]])
    weights = np.array([[0.5, 0.5], [NAN, 0.5], [NAN, NAN], [NAN, NAN]])
    result = backtest(bars_of(prices, prices), weights, FREE)
    assert len(result.trades) == 2
    np.testing.assert_allclose(result.equity, [1, 1, 0.75, 0.75], rtol=1e-12)


def test_small_orders_in_dear_coins_are_filled():
    # 1e-8 of an equity of 1 at 6e4 is 1.7e-13 units: below the tolerance of a simulator that counts in units.
    prices = np.array([[6e4], [6e4], [9e4]])
    result = backtest(bars_of(prices, prices), np.array([1e-8, NAN, NAN]), FREE)
    assert result.equity[-1] - 1 == pytest.approx(0.5e-8, rel=1e-6)
    assert len(result.trades) == 1


def test_a_nearly_ruined_account_still_fills_small_orders():
    # Fees of 50 % leave 3^-13 of the equity after 13 round trips; 5e-7 of that goes into a coin that then gains half.
    prices = np.array([[6e4]] * 28 + [[9e4]] * 2)
    weights = np.array([1.0, 0.0] * 13 + [5e-7, NAN, NAN, NAN])
    result = backtest(bars_of(prices, prices), weights, Costs(taker=0.5, slippage=0.0))
    expected = ledger(prices, prices, weights[:, None], 0.5, 0.0)["equity"]
    assert expected[26] == pytest.approx(3.0**-13, rel=1e-9)
    np.testing.assert_allclose(result.equity, expected, rtol=1e-9)
    assert result.exposure[-1] == pytest.approx(7.5e-7, rel=1e-3)


def test_restating_the_same_full_investment_makes_no_trades():
    rng = np.random.default_rng(1)
    prices = 1e-6 * np.exp(np.cumsum(rng.normal(0, 0.05, (500, 1)), axis=0))
    result = backtest(bars_of(prices, prices), np.ones((500, 1)), Costs())
    assert len(result.trades) == 1
    assert result.equity[-1] == pytest.approx(prices[-1, 0] / prices[1, 0] / (1.0002 * 1.0005), rel=1e-9)


def test_costs_are_what_separates_the_book_from_one_without_costs_when_nothing_moves():
    rng = np.random.default_rng(4)
    ones = np.ones((200, 3))
    result = backtest(bars_of(ones, ones), random_weights(rng, 200, 3), Costs(taker=1e-3, slippage=5e-4))
    assert result.costs > 0.01
    assert result.equity[-1] == pytest.approx(1 - result.costs, rel=1e-9)


def test_trades_explain_the_equity():
    rng = np.random.default_rng(8)
    bars = random_bars(rng, 200, 3, holes=False)
    result = backtest(bars, random_weights(rng, 200, 3))
    trades = {name: result.trades[name].to_numpy() for name in result.trades}
    sign = np.where(trades["side"] == "buy", 1.0, -1.0)
    cash = 1 - (sign * trades["value"] + trades["fee"]).sum()
    last = dict(zip(bars.symbols, bars.close[-1], strict=True))
    held = sum(sign * trades["size"] * np.array([last[symbol] for symbol in trades["symbol"]]))
    assert cash + held == pytest.approx(result.equity[-1], rel=1e-9)
    assert result.trades["time"].is_monotonic_increasing


def test_deleting_later_rows_does_not_change_earlier_equity():
    rng = np.random.default_rng(9)
    bars = random_bars(rng, 200, 3, holes=False)
    weights = random_weights(rng, 200, 3)
    full = backtest(bars, weights)
    for n in (1, 2, 57, 199):
        part = backtest(bars.head(n), weights[:n])
        np.testing.assert_array_equal(part.equity, full.equity[:n])


def test_many_backtests_are_the_single_ones_and_do_not_read_ahead():
    rng = np.random.default_rng(10)
    bars = random_bars(rng, 100, 2, holes=True)
    matrices = [random_weights(rng, 100, 2) for _ in range(3)]
    taken = []
    results = backtest_many(bars, (taken.append(i) or matrix for i, matrix in enumerate(matrices)), name="draw")
    first = next(results)
    assert taken == [0]
    assert first.name == "draw"
    for matrix, result in zip(matrices, [first, *results], strict=True):
        np.testing.assert_array_equal(result.equity, backtest(bars, matrix).equity)


def test_the_given_weights_are_copied_and_kept():
    ones = np.ones((3, 1))
    weights = np.array([0.5, NAN, NAN])
    result = backtest(bars_of(ones, ones), weights)
    weights[:] = 0.9
    np.testing.assert_array_equal(result.weights, [[0.5], [NAN], [NAN]])


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.zeros((3, 1)), r"shape \(n_bars, n_symbols\) = \(3, 2\), got \(3, 1\)"),
        (np.zeros(3), r"got \(3,\)"),
        (np.array([[0, 0], [0, np.inf], [0, 0]]), "finite, or NaN to hold, got inf for S1 at 2024-01-01T01:00"),
        (np.array([[0, 0], [-0.1, 0.1], [0, 0]]), "0 or more, or NaN to hold, got -0.1 for S0"),
        (np.array([[0, 1.1], [0, 0], [0, 0]]), "at most 1, or NaN to hold, got 1.1 for S1"),
        (np.array([[0.6, 0.5], [0, 0], [0, 0]]), r"sum to at most 1, got 1\.1 at 2024-01-01T00:00"),
    ],
)
def test_weights_that_cannot_be_held_are_refused(weights, message):
    ones = np.ones((3, 2))
    with pytest.raises(ConfigError, match=message):
        backtest(bars_of(ones, ones), weights)


def test_weights_that_sum_to_one_but_for_rounding_are_held():
    ones = np.ones((3, 3))
    weights = np.full((3, 3), NAN)
    weights[0] = (0.5 + 2e-10, 0.3 + 2e-10, 0.2 + 2e-10)
    assert backtest(bars_of(ones, ones), weights, FREE).equity[-1] == pytest.approx(1, rel=1e-9)


@pytest.mark.parametrize("bad", [NAN, np.inf, 1.0, 5, -2.0, "5bp"])
def test_a_fee_that_is_no_fraction_is_refused(bad):
    with pytest.raises(ConfigError, match=r"taker must be a (fraction|number)"):
        Costs(taker=bad)


def test_a_negative_slippage_is_refused():
    with pytest.raises(ConfigError, match="slippage must be a fraction"):
        Costs(slippage=-1e-4)
