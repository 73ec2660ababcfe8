"""Credit, short sales, funding, borrow, interest, limits and liquidation: against the plain ledger, and by hand."""

import numpy as np
import pandas as pd
import pytest

from foreshock.data.bars import Bars
from foreshock.data.errors import ConfigError, DataError
from foreshock.strategies.backtest.account import Account, MarketLimits
from foreshock.strategies.backtest.account_loop import LINES
from foreshock.strategies.backtest.costs import Costs
from foreshock.strategies.backtest.orders import orders_of
from foreshock.strategies.backtest.portfolio import CASH, Market, backtest, filled, keep_books, vectorbt_portfolio
from tests.accounts import FREE, random_case
from tests.ledger import full_ledger
from tests.market import NAN, bars_of

pytestmark = pytest.mark.long


def by_hand(bars: Bars, weights: np.ndarray, costs: Costs, account: Account) -> dict[str, np.ndarray]:
    prices = {name: getattr(bars, name) for name in ("open", "high", "low", "close", "volume")} | dict(bars.extras)
    return full_ledger(prices, weights, costs, account, bars.symbols)


# From 100 on only seeds whose account is liquidated: few are.
QUICK = (*range(100), 102, 124, 127, 132, 153, 159, 172, 179, 182, 193, 198, 207)


@pytest.fixture(scope="module", params=[QUICK, pytest.param(range(500), marks=pytest.mark.slow)], ids=["quick", "500"])
def paths(request):
    """Accounts of random markets, and the same by the plain ledger."""
    cases = [random_case(seed) for seed in request.param]
    return [(case, keep_books(Market(case[0]), *case[2:], *orders_of(*case[:2])), by_hand(*case)) for case in cases]


def test_random_markets_with_every_cost_equal_the_plain_ledger(paths):
    seen = dict.fromkeys((*LINES, "liquidated"), 0)
    for (bars, *_), books, expected in paths:
        assert np.isfinite(expected["equity"]).all(), bars
        # Relative to the highest equity so far: of a ruined account nothing but rounding is left.
        scale = np.maximum.accumulate(np.maximum(expected["equity"], 1.0))
        assert np.max(np.abs(books.equity - expected["equity"]) / scale) < 1e-9
        np.testing.assert_allclose(books.turnover, expected["turnover"], rtol=1e-7, atol=1e-9)
        for at, line in enumerate(LINES):
            assert np.max(np.abs(books.lines[:, at] - expected[line]) / scale) < 1e-9, line
            seen[line] += int(np.any(expected[line] != 0))
        seen["liquidated"] += int(expected["liquidated"].any())
        assert (books.equity >= 0).all()
    # Every rule must have been at work, and not in every path the worst of them.
    assert all(count > len(paths) / 25 for count in seen.values()), seen
    assert seen["liquidated"] < 0.8 * len(paths)


def test_the_change_of_the_equity_is_its_ledger_and_what_prices_did():
    for seed in range(20):
        bars, weights, costs, account = random_case(seed)
        result = backtest(bars, weights, costs, account=account)
        units = result.units()
        trades = result.trades
        sign = np.where(trades["side"] == "buy", 1.0, -1.0)
        # Cash from trades at the prices before slippage is what is bought less what is sold; the ledger holds the rest.
        paid = np.zeros(len(bars))
        np.add.at(paid, np.searchsorted(bars.time, trades["time"].to_numpy()), sign * trades["value"])
        last = pd.DataFrame(bars.close).ffill().fillna(0.0).to_numpy()
        slip = result.ledger["slippage"].cumsum().to_numpy()
        cash = 1 - np.cumsum(paid) + result.ledger.drop(columns="slippage").sum(axis=1).cumsum().to_numpy()
        np.testing.assert_allclose(cash + (units * last).sum(axis=1), result.equity, rtol=1e-9, atol=1e-9)
        assert slip[-1] < 0


@pytest.mark.slow
def test_both_engines_of_vectorbt_fill_the_same_accounts(paths):
    bars = paths[0][0][0]
    books = [own for _, own, _ in paths]
    values, cash, records = {}, {}, {}
    for engine in ("numba", "rust"):
        portfolio = vectorbt_portfolio(bars, books, engine)
        values[engine] = np.asarray(portfolio.value(), float)
        cash[engine] = np.asarray(portfolio.cash(), float)
        records[engine] = filled(bars, books, engine)
    np.testing.assert_array_equal(values["numba"], values["rust"])
    np.testing.assert_array_equal(cash["numba"], cash["rust"])
    for numba, rust in zip(records["numba"], records["rust"], strict=True):
        for name in ("idx", "size", "price", "fees", "side"):
            np.testing.assert_array_equal(numba[name], rust[name])
    # vectorbt's own account after all fills, less the credit and the units of its ledger column, is that of the plain ledger.
    for at, (_, own, expected) in enumerate(paths):
        credit = np.asarray(portfolio.init_cash)[at] - CASH
        end = (cash["rust"][-1, at] - credit + np.count_nonzero(own.flows)) / CASH
        expected_cash = expected["equity"][-1] * (1 - expected["exposure"][-1])
        assert abs(end - expected_cash) / max(1.0, np.max(expected["equity"])) < 1e-9


def test_a_short_position_earns_the_fall_and_pays_to_borrow():
    bars = bars_of([100.0, 100, 80, 80], [100.0, 100, 80, 80])
    result = backtest(bars, np.array([-0.5, NAN, NAN, NAN]), Costs(0.0, 0.0, borrow=0.876), account=Account(shorts=True))
    # 0.005 units sold at 100; per hour 1e-4 of the value short.
    owed = 1e-4 * np.cumsum([0, 0.5, 0.4, 0.4])
    np.testing.assert_allclose(result.equity, [1, 1, 1.1, 1.1] - owed, rtol=1e-12)
    np.testing.assert_allclose(result.exposure[2], -0.4 / (1.1 - owed[2]), rtol=1e-12)
    np.testing.assert_allclose(result.ledger["borrow"], -1e-4 * np.array([0, 0.5, 0.4, 0.4]), rtol=1e-12)
    assert result.trades["side"].tolist() == ["sell"]


def test_a_long_position_pays_a_positive_funding_rate_and_a_short_one_is_paid():
    rates = [NAN, 0.01, 0.02, NAN]
    for side in (1.0, -1.0):
        bars = bars_of([100.0, 100, 110, 110], [100.0, 100, 110, 110], funding=rates)
        weights = np.array([0.5 * side, NAN, NAN, NAN])
        result = backtest(bars, weights, Costs(0.0, 0.0, funding=True), account=Account(shorts=True))
        # Settled on what is held into the open: nothing at the open it is bought at.
        np.testing.assert_allclose(result.ledger["funding"], [0, 0, -side * 0.55 * 0.02, 0], rtol=1e-12)
        np.testing.assert_allclose(result.equity[2:], 1 + side * (0.05 - 0.011), rtol=1e-12)


def test_a_position_closed_at_the_open_of_a_settlement_still_pays_it():
    bars = bars_of([100.0] * 4, funding=[NAN, NAN, 0.01, 0.01])
    result = backtest(bars, np.array([1.0, 0.0, NAN, NAN]), Costs(0.0, 0.0, funding=True))
    assert result.ledger["funding"].tolist() == [0, 0, -0.01, 0]


def test_idle_cash_earns_interest_and_the_proceeds_of_a_short_sale_do_not():
    account = Account(shorts=True, cash_yield=0.876)
    bars = bars_of([100.0] * 3)
    assert backtest(bars, np.full(3, NAN), FREE, account=account).equity[-1] == pytest.approx(1.0001**3, rel=1e-12)
    sold = backtest(bars, np.array([-0.5, NAN, NAN]), FREE, account=account)
    np.testing.assert_allclose(sold.ledger["interest"], 1e-4 * sold.equity / 1.0001, rtol=1e-12)
    bought = backtest(bars, np.array([0.75, NAN, NAN]), FREE, account=account)
    assert bought.ledger["interest"].iloc[1] == pytest.approx(1e-4 * (0.25 * 1.0001), rel=1e-12)


def test_credit_is_used_up_to_the_leverage_limit_and_costs_interest():
    bars = bars_of([100.0, 100, 110], [100.0, 100, 110])
    result = backtest(bars, np.array([2.0, NAN, NAN]), Costs(0.0, 0.0, borrow=0.876), account=Account(leverage=2))
    np.testing.assert_allclose(result.equity[2], 1.2 - 2e-4 - 1e-8 * 0, rtol=1e-7)
    # With costs the purchase is cut so that the gross value is the limit times what is left.
    cut = backtest(bars, np.array([2.0, NAN, NAN]), Costs(0.01, 0.0), account=Account(leverage=2))
    np.testing.assert_allclose(cut.gross[1], 2.0, rtol=1e-12)


def test_a_crash_inside_a_bar_liquidates_where_the_margin_is_used_up():
    # Five times long at 100: equity 1 - 5 (1 - p / 100) meets 5 % of 5 p / 100 at p = 4 / 4.75 * 100.
    bars = bars_of([100.0, 100, 100, 100], [100.0, 100, 100, 100], low=[100.0, 100, 70, 100])
    account = Account(leverage=5, maintenance=0.05, liquidation_fee=0.01)
    result = backtest(bars, np.array([5.0, NAN, NAN, NAN]), FREE, account=account)
    price = 400 / 4.75
    assert result.trades["kind"].tolist() == ["order", "liquidation"]
    assert result.trades["price"].iloc[1] == pytest.approx(price, rel=1e-12)
    assert result.equity[-1] == pytest.approx(1 - 5 * (1 - price / 100) - 0.05 * price / 100, rel=1e-12)
    assert result.gross[2] == 0
    # The close never shows it: without the check of the bar's low the account would be whole.
    calm = backtest(bars_of([100.0] * 4), np.array([5.0, NAN, NAN, NAN]), FREE, account=account)
    assert calm.equity[-1] == 1.0


def test_a_gap_beyond_the_equity_leaves_nothing_and_no_debt():
    bars = bars_of([100.0, 100, 300, 100, 100], [100.0, 100, 300, 100, 100])
    result = backtest(bars, np.array([-1.0, NAN, NAN, 1.0, NAN]), FREE, account=Account(shorts=True, liquidation_fee=0.0))
    np.testing.assert_array_equal(result.equity, [1, 1, 0, 0, 0])
    np.testing.assert_array_equal(result.returns, [0, 0, -1, 0, 0])
    assert result.ledger["forgiven"].iloc[2] == pytest.approx(1.0, rel=1e-12)
    # What is lost gives no further orders.
    assert len(result.trades) == 2


def test_plain_vectorbt_lets_a_short_position_take_the_equity_below_zero():
    """The trap that the liquidation is for; if vectorbt ever stops this, ours can be looked at again."""
    import vectorbt as vbt

    price = pd.Series([100.0, 300.0])
    portfolio = vbt.Portfolio.from_orders(price, [-1.0, NAN], size_type="targetpercent", init_cash=100.0, freq="1h")
    assert np.asarray(portfolio.value())[-1] < 0


def test_plain_vectorbt_freezes_a_delisted_position_and_ours_frees_its_cash():
    import vectorbt as vbt

    prices = np.array([[100.0, 1], [100, 1], [NAN, 1], [NAN, 1]])
    weights = np.array([[0.5, 0.5], [NAN, NAN], [0.0, 1.0], [NAN, NAN]])
    frozen = vbt.Portfolio.from_orders(
        pd.DataFrame(prices), np.vstack([np.full((1, 2), NAN), weights[:-1]]), size_type="targetpercent", price=prices,
        group_by=True, cash_sharing=True, call_seq="auto", freq="1h",
    )  # fmt: skip
    assert float(np.asarray(frozen.assets())[-1, 0]) > 0
    result = backtest(bars_of(prices), weights, FREE)
    assert result.units()[-1, 0] == 0
    assert result.exposure[-1] == pytest.approx(1.0, rel=1e-12)


def test_plain_vectorbt_drops_the_first_rebalance_of_a_symbol_without_a_price_and_ours_keeps_it():
    import vectorbt as vbt

    prices = np.array([[100.0, NAN], [100, NAN], [100, 1], [100, 1]])
    weights = np.full((4, 2), NAN)
    weights[0] = 0.5
    dropped = vbt.Portfolio.from_orders(
        pd.DataFrame(prices), np.vstack([np.full((1, 2), NAN), weights[:-1]]), size_type="targetpercent", price=prices,
        group_by=True, cash_sharing=True, call_seq="auto", freq="1h",
    )  # fmt: skip
    assert np.asarray(dropped.assets())[-1, 1] == 0
    result = backtest(bars_of(prices), weights, FREE)
    # The decision of the first row, filled at the first open that each symbol has after it.
    assert result.trades["time"].tolist() == [pd.Timestamp("2024-01-01 01:00"), pd.Timestamp("2024-01-01 02:00")]
    assert result.exposure[-1] == pytest.approx(1.0, rel=1e-12)


def test_plain_vectorbt_fills_at_a_price_outside_the_bar():
    """The trap that the adapter avoids by taking no price from its caller."""
    import vectorbt as vbt

    portfolio = vbt.Portfolio.from_orders(pd.Series([100.0, 100.0]), [1.0, NAN], price=[50.0, 50.0], freq="1h")
    assert np.asarray(portfolio.orders.records_arr["price"])[0] == 50.0


def test_an_account_is_a_table_too():
    bars = bars_of([100.0, 100, 110], [100.0, 100, 110], funding=[NAN, NAN, 0.01])
    frame = backtest(bars, np.array([0.5, NAN, NAN]), Costs(0.0, 0.0, funding=True)).to_frame()
    assert frame.index[2] == pd.Timestamp("2024-01-01 02:00", tz="UTC")
    np.testing.assert_allclose(frame["equity"], [1, 1, 1.05 - 0.0055], rtol=1e-12)
    np.testing.assert_allclose(frame["funding"], [0, 0, -0.0055], rtol=1e-12)


def test_no_fill_lies_outside_its_bar_but_for_the_slippage():
    for seed in range(40):
        bars, weights, costs, account = random_case(seed)
        plain = Costs(costs.taker, 0.0, funding=True)
        trades = backtest(bars, weights, plain, account=account).trades
        inside = trades[trades["kind"] != "settlement"]
        row = np.searchsorted(bars.time, inside["time"].to_numpy())
        col = pd.Index(bars.symbols).get_indexer(inside["symbol"])
        price = inside["price"].to_numpy()
        low, high = bars.low[row, col], bars.high[row, col]
        known = ~np.isnan(low)
        assert (price[known] >= low[known] * (1 - 1e-12)).all()
        assert (price[known] <= high[known] * (1 + 1e-12)).all()


def test_orders_are_cut_to_whole_lots_and_small_ones_are_left_out():
    bars = bars_of([30.0] * 5)
    limits = MarketLimits({"S0": 100.0}, {"S0": 1.0})
    account = Account(capital=1_000.0, limits=limits)
    result = backtest(bars, np.array([0.5, 0.55, 0.95, 0.0, NAN]), FREE, account=account)
    # 16 whole units for 500; 2.3 more are worth below 100; 15 more up to 31; then all of them.
    np.testing.assert_allclose(result.trades["size"] * 1_000, [16, 15, 31], rtol=1e-12)
    assert result.n_skipped == 1
    assert result.exposure[-1] == 0


def test_a_band_leaves_out_what_is_near_its_target_but_never_an_exit():
    bars = bars_of([100.0, 100, 120, 100, 100], [100.0, 100, 120, 100, 100])
    weights = np.array([0.5, 0.5, 0.04, 0.0, NAN])
    result = backtest(bars, weights, FREE, account=Account(band=0.05))
    assert result.trades["time"].dt.hour.tolist() == [1, 3, 4]
    assert result.n_skipped == 1


def test_impact_grows_with_the_square_root_of_the_order_and_is_known_before_the_fill():
    n = 30
    volume = np.full((n, 1), 1e4)
    bars = bars_of(np.full(n, 100.0), high=np.full(n, 101.0), low=np.full(n, 99.0), volume=volume)
    weights = np.full(n, NAN)
    weights[-2] = 0.5
    slip = {}
    for capital in (1e4, 4e4):
        result = backtest(bars, weights, Costs(0.0, 0.0, impact=1.0), account=Account(capital=capital))
        slip[capital] = result.trades["price"].iloc[0] / 100 - 1
        # Range of 2 %, volume of 1e6 in quote currency.
        assert slip[capital] == pytest.approx(0.02 * np.sqrt(0.5 * capital / 1e6), rel=1e-9)
    volume[-1] = 1.0
    assert backtest(bars, weights, Costs(0.0, 0.0, impact=1.0), account=Account(capital=1e4)).trades["price"].iloc[0] == (
        100 * (1 + slip[1e4])
    )


def test_an_order_where_nothing_was_traded_has_the_largest_impact():
    bars = bars_of(np.full(5, 100.0), volume=np.zeros((5, 1)))
    result = backtest(bars, np.array([0.5, NAN, NAN, NAN, NAN]), Costs(0.0, 0.0, impact=1.0))
    assert result.trades["price"].iloc[0] == pytest.approx(110.0, rel=1e-12)


def test_the_fee_is_that_of_makers_and_takers_by_their_share():
    assert Costs(taker=5e-4, maker=-1e-4, maker_share=0.25).fee == pytest.approx(0.75 * 5e-4 - 0.25e-4, rel=1e-12)


def test_limits_are_read_from_market_data_of_both_precision_modes():
    markets = {
        "A": {"limits": {"cost": {"min": 5.0}}, "precision": {"amount": 1e-5}},
        "B": {"limits": {"cost": {"min": None}}, "precision": {"amount": 3}},
        "C": {},
    }
    limits = MarketLimits.from_markets(markets, ["A", "B", "C"])
    assert limits.min_notional == {"A": 5.0, "B": 0.0, "C": 0.0}
    assert limits.lot == {"A": 1e-5, "B": pytest.approx(1e-3), "C": 0.0}
    with pytest.raises(ConfigError, match="no market data of D"):
        MarketLimits.from_markets(markets, ["D"])


def test_weights_of_a_table_are_held_to_its_times_and_symbols():
    bars = bars_of(np.ones((3, 2)))
    index = pd.DatetimeIndex(bars.time, tz="UTC")
    table = pd.DataFrame(0.5, index=index, columns=["S0", "S1"])
    np.testing.assert_array_equal(backtest(bars, table, FREE).weights, np.full((3, 2), 0.5))
    with pytest.raises(ConfigError, match="the columns of the weights must be the symbols"):
        backtest(bars, table[["S1", "S0"]], FREE)
    with pytest.raises(ConfigError, match=r"the index of the weights must be the 3 times .* use reindex"):
        backtest(bars, table.shift(1, freq="h"), FREE)
    with pytest.raises(ConfigError, match="or pass an array"):
        backtest(bars, table.reset_index(drop=True), FREE)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: Account(leverage=0), ConfigError, "leverage must be a number from 1e-09"),
        (lambda: Account(leverage=NAN), ConfigError, "leverage must be"),
        (lambda: Account(leverage=20, maintenance=0.05), ConfigError, "maintenance must be below 1 / leverage"),
        (lambda: Account(band=-0.1), ConfigError, "band must be"),
        (lambda: MarketLimits({"A": -1.0}, {}), ConfigError, "min_notional of A"),
        (lambda: Costs(taker=-1.5), ConfigError, "taker must be a fraction"),
        (lambda: Costs(borrow=-0.1), ConfigError, "borrow must be a fraction"),
        (lambda: Costs(maker_share=1.2), ConfigError, "maker_share must be"),
        (lambda: Costs(funding=0.1), ConfigError, "funding must be True or False"),
        (lambda: bars_of([1.0, 0.0]), DataError, "open must be positive, got 0.0"),
        (lambda: backtest(bars_of([1.0, 1.0]), np.array([-0.5, NAN])), ConfigError, r"0 or more.*shorts=True"),
        (lambda: backtest(bars_of([1.0, 1.0]), np.array([1.5, NAN])), ConfigError, "at most 1, or NaN"),
        (
            lambda: backtest(bars_of(np.ones((2, 2))), np.array([[2.0, -1.5], [NAN, NAN]]), account=Account(3, shorts=True)),
            ConfigError,
            r"sum to at most 3, got 3\.5.*leverage=",
        ),
        (lambda: backtest(bars_of([1.0, 1.0]), np.array([1.0, NAN]), Costs(funding=True)), ConfigError, "funding_rate"),
    ],
)
def test_what_no_account_can_do_is_refused(build, error, message):
    with pytest.raises(error, match=message):
        build()
