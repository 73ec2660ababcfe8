"""Backtests of target weights, filled by vectorbt; no other file imports vectorbt."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from foreshock.data.bars import Bars
from foreshock.data.checks import check_text, check_type
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError
from foreshock.data.interval import bars_per_year
from foreshock.strategies.backtest.account import DEFAULT_ACCOUNT, Account
from foreshock.strategies.backtest.account_loop import (
    BATCH,
    COL,
    FEE,
    FEE_RATE,
    KIND,
    LINES,
    QUOTE,
    ROUNDING,
    ROW,
    SIZE,
    SLIP,
    SLIPPAGE,
    keep_books_nb,
)
from foreshock.strategies.backtest.costs import DEFAULT_COSTS, Costs
from foreshock.strategies.backtest.orders import checked_weights, orders_of
from foreshock.strategies.backtest.result import BacktestResult, simple_returns
from foreshock.strategies.base import carried

if TYPE_CHECKING:
    import vectorbt as vbt

# vectorbt treats sizes and cash below 1e-12 as zero, so its account must be much larger. A power of two makes scaling back to a
# starting equity of 1 exact.
CASH = 2.0**40
KINDS = np.array(["order", "settlement", "stop", "liquidation"], dtype=object)


@door
def backtest(
    bars: Bars,
    weights: np.ndarray | pd.DataFrame,
    costs: Costs = DEFAULT_COSTS,
    name: str = "",
    account: Account = DEFAULT_ACCOUNT,
) -> BacktestResult:
    """Hold target weights, filled at the next open, in a simulated account.

    ``weights[t]`` is known at the close of t and filled at the open of t + 1 at that price, worse by the slippage.
    All symbols share one account in quote currency. At the open the equity V is cash plus positions at the open; a symbol
    with weight w is brought to ``w V / open`` units. Orders are sorted by the change of the position's absolute value, the largest
    reduction first, and each can add at most what the leverage limit leaves (without credit: what the cash pays for). If the
    absolute weights sum to the limit, the largest purchase is therefore smaller by the costs; and if other positions have grown
    above their weights, a purchase may be smaller than its target, or not happen.

    - *NaN weight*: no order.
    - *No price in a bar*: nothing is filled, the position is valued at its last close, and the newest target
      waits for the symbol's next open. An order for a symbol not yet listed waits for its first open.
    - *The data of a symbol end before the last row*: in the first bar without a price its position is settled at its
      last close, with the taker fee and without slippage; waiting orders lapse. (A gap at the end of the data looks the same, so
      the last rows can differ by that fee from those of a longer history.)
    - *In each bar*: funding is settled on the positions held into the open; then the account is liquidated if necessary; then
      orders are filled; then liquidation is checked at the worst prices of the bar; at the close interest is booked.

    Parameters
    ----------
    bars : Bars
        Prices at which orders are filled.
    weights : ndarray or DataFrame, shape (n_bars, n_symbols), or (n_bars,) for one symbol
        Fractions of the equity, 0 to 1, or -leverage to leverage if the account allows it; the absolute values of a row sum
        to at most the leverage (to 1e-9). A DataFrame must have the times and symbols of the bars.
    costs : Costs
        Fees, slippage and costs of holding.
    name : str
        Name of the strategy in the result.
    account : Account
        Rules of the account.

    Returns
    -------
    BacktestResult

    Raises
    ------
    ConfigError
        If the weights have another shape, are infinite, not allowed in the account or sum to more than its leverage; if there is
        no cash for a purchase because the targets in force, including those kept by a NaN, sum to more than the leverage; if costs
        include funding but the bars have no funding rates; or if vectorbt rejects an order.

    Notes
    -----
    The sizes come from ``keep_books_nb``, because funding, borrow and liquidation, which vectorbt lacks, change the cash that later
    orders are sized with. vectorbt fills the same orders, with the cash flows between them booked in a separate column, and the
    two accounts must agree to 1e-9.

    Examples
    --------
    The position is bought at 110, the open after the decision, not at the close of 100 at which it was decided.

    >>> import numpy as np
    >>> import foreshock as fs
    >>> time = np.datetime64("2024-01-01T00", "us") + np.arange(3) * np.timedelta64(1, "h")
    >>> open_, close = np.array([[100.0], [110.0], [121.0]]), np.array([[100.0], [121.0], [132.0]])
    >>> bars = fs.Bars(time, ("BTC",), open_, np.maximum(open_, close), open_, close, close, np.timedelta64(1, "h"))
    >>> fs.backtest(bars, np.array([[1.0], [np.nan], [np.nan]]), fs.Costs(taker=0.0, slippage=0.0)).equity
    array([1. , 1.1, 1.2])
    """
    check_text("name", name)
    weights = checked_weights(bars, weights, account)
    books = keep_books(Market(bars), costs, account, *orders_of(bars, weights))
    (records,) = filled(bars, [books])
    return result_of(bars, weights, books, records, name)


def backtest_many(
    bars: Bars,
    weights: Iterable[np.ndarray],
    costs: Costs = DEFAULT_COSTS,
    name: str = "",
    account: Account = DEFAULT_ACCOUNT,
) -> Iterator[BacktestResult]:
    """Yield the backtest of each weight matrix in turn, so that only the results that the caller keeps take memory."""
    for one in weights:
        yield backtest(bars, one, costs, name, account)


@dataclass(frozen=True)
class Books:
    """The results of ``keep_books_nb``; see there."""

    equity: np.ndarray
    gross: np.ndarray
    net: np.ndarray
    turnover: np.ndarray
    lines: np.ndarray
    fills: np.ndarray
    flows: np.ndarray
    dropped: np.ndarray
    n_skipped: int


class Market:
    """The bars with their last closes carried forward, computed once for many accounts."""

    def __init__(self, bars: Bars) -> None:
        self.bars = bars
        # The value of 1 before a symbol's first close has no effect, because no position can be held then.
        self.last_close = carried(bars.close, 1.0)


def keep_books(
    market: Market,
    costs: Costs,
    account: Account,
    orders: np.ndarray,
    settled: np.ndarray,
    by_signal: bool = False,
    hold: int = 0,
    stop: float = 0.0,
    take: float = 0.0,
    rows: np.ndarray | None = None,
) -> Books:
    """The account of orders, given in the rows in which they are filled; of some ``rows`` only, if nothing happens in others."""
    check_type("costs", costs, Costs, "such as fs.Costs(taker=5e-4)")
    if account.limits is not None:
        account.limits.check(market.bars.symbols)
    bars, limits, year = market.bars, account.limits, bars_per_year(market.bars.interval)
    smallest, lot = (
        np.array([(getattr(limits, name) if limits else {}).get(symbol, 0.0) for symbol in bars.symbols]) / account.capital
        for name in ("min_notional", "lot")
    )
    by_bar = [
        bars.open, bars.high, bars.low, market.last_close, orders, settled,
        costs.funding_rates(bars), costs.impact_of_capital(bars, account.capital),
    ]  # fmt: skip
    if rows is not None:
        by_bar = [values[rows] if len(values) else values for values in by_bar]
    opens, highs, lows, closes, ordered, settle, funding, impact = by_bar
    equity, gross, net, turnover, lines, fills, n_fills, flows, n_flows, dropped, n_skipped = keep_books_nb(
        opens, highs, lows, closes, ordered, settle, funding, impact,
        float(costs.fee), float(costs.slippage), costs.borrow / year, account.cash_yield / year,
        float(account.leverage), float(account.maintenance), float(account.liquidation_fee), float(account.band), smallest, lot,
        by_signal, hold, float(stop), float(take),
    )  # fmt: skip
    # Copies release the unused rest of the buffers.
    fills, flows = fills[:n_fills].copy(), flows[:n_flows].copy()
    books = Books(equity, gross, net, turnover, lines, fills, flows, dropped, n_skipped)
    if books.dropped[0] >= 0:
        row, col = map(int, books.dropped[:2])
        row = row if rows is None else int(rows[row])
        value, equity, asked = books.dropped[2:]
        raise ConfigError(
            f"the order of {value / equity:.4g} of the equity in {bars.symbols[col]} at {bars.time[row]} was rejected: there is no "
            f"room left and the targets in force sum to {asked:.4g}; a NaN weight keeps its last target, so lower that of another "
            f"symbol in the same row"
        )
    return books


def filled(bars: Bars, books: list[Books], engine: str | None = None) -> list[np.ndarray]:
    """vectorbt's record of every fill of every account, sorted by row; an error if it differs from the account's own fills."""
    n_cols, width = len(books), bars.n_symbols + 1
    portfolio = vectorbt_portfolio(bars, books, engine)
    records = portfolio.orders.records_arr
    records = records[np.lexsort((records["col"], records["idx"], records["col"] // width))]
    ends = np.searchsorted(records["col"] // width, np.arange(n_cols + 1))
    found = []
    for at, own in enumerate(books):
        rows = records[ends[at] : ends[at + 1]]
        rows = rows[rows["col"] % width != bars.n_symbols]
        _refuse_rejected(bars, own, rows)
        found.append(rows)
    return found


def vectorbt_portfolio(bars: Bars, books: list[Books], engine: str | None = None) -> vbt.Portfolio:
    """A vectorbt portfolio with one group of columns per account: one for each symbol and one for the cash flows between fills.

    Row k of a group is the k-th batch of its fills. A flow is entered as the fixed fee of buying one unit of an asset that costs 1,
    which is small compared with the account. The initial cash includes enough credit for every order; sizes do not depend on it.
    """
    # Importing vectorbt takes seconds, so it is imported only for a backtest.
    import vectorbt as vbt

    width, n_rows = bars.n_symbols + 1, max(len(own.flows) for own in books)
    shape = (n_rows, len(books) * width)
    size, price = np.full(shape, np.nan), np.ones(shape)
    slippage, fees, fixed = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    cash = np.empty(len(books))
    for at, own in enumerate(books):
        fills, offset = own.fills, at * width
        row, col = fills[:, BATCH].astype(np.intp), fills[:, COL].astype(np.intp) + offset
        size[row, col] = fills[:, SIZE] * CASH
        price[row, col], slippage[row, col], fees[row, col] = fills[:, QUOTE], fills[:, SLIP], fills[:, FEE_RATE]
        ledger = np.flatnonzero(own.flows)
        size[ledger, offset + width - 1], fixed[ledger, offset + width - 1] = 1.0, -own.flows[ledger] * CASH
        cash[at] = CASH * (1.0 + np.ceil(_credit(own)))
    # Between its fills a symbol is valued at its last fill.
    close = carried(np.where(np.isnan(size), np.nan, price), 1.0)
    return vbt.Portfolio.from_orders(
        close=pd.DataFrame(close),
        size=size,
        size_type="amount",
        direction="both",
        price=price,
        fees=fees,
        fixed_fees=fixed,
        slippage=slippage,
        # vectorbt's default of 1e-8 units silently rejects smaller orders.
        min_size=0.0,
        init_cash=cash,
        cash_sharing=True,
        group_by=np.repeat(np.arange(len(books)), width),
        max_orders=int(np.isfinite(size).sum()) + 1,
        engine=engine,
    )


def _credit(own: Books) -> float:
    """Cash in addition to the initial 1 that suffices for every fill, whatever the order of fills within a batch."""
    fills = own.fills
    row = fills[:, BATCH].astype(np.intp)
    price = fills[:, QUOTE] * (1 + np.sign(fills[:, SIZE]) * fills[:, SLIP])
    value = fills[:, SIZE] * price
    paid = np.bincount(row, weights=value + np.abs(value) * fills[:, FEE_RATE], minlength=len(own.flows))
    out = np.bincount(row, weights=np.maximum(value, 0) + np.abs(value * fills[:, FEE_RATE]), minlength=len(own.flows))
    before = 1 + np.concatenate([[0.0], np.cumsum(own.flows - paid)[:-1]])
    return float(max(0.0, np.max(out + np.abs(own.flows) - before)) + 1.0)


def _refuse_rejected(bars: Bars, own: Books, rows: np.ndarray) -> None:
    """Compare the fills with vectorbt's records, because vectorbt drops a rejected order silently."""
    fills = own.fills[np.lexsort((own.fills[:, COL], own.fills[:, BATCH]))]
    wanted = fills[:, BATCH] * (bars.n_symbols + 1) + fills[:, COL]
    got = rows["idx"] * (bars.n_symbols + 1) + rows["col"] % (bars.n_symbols + 1)
    missing = ~np.isin(wanted, got)
    if not missing.any():
        sold = np.where(rows["side"] == 1, -1.0, 1.0)
        price = fills[:, QUOTE] * (1 + np.sign(fills[:, SIZE]) * fills[:, SLIP])
        value = np.abs(fills[:, SIZE]) * price
        missing = ~(
            np.isclose(sold * rows["size"] / CASH, fills[:, SIZE], rtol=ROUNDING, atol=0)
            & np.isclose(rows["price"], price, rtol=ROUNDING, atol=0)
            & (np.abs(rows["fees"] / CASH - value * fills[:, FEE_RATE]) <= ROUNDING * value)
        )
    if missing.any():
        fill = fills[np.argmax(missing)]
        row, col = int(fill[ROW]), int(fill[COL])
        equity = own.equity[max(row - 1, 0)]
        cash = (own.equity - own.net)[max(row - 1, 0)] / equity
        raise ConfigError(
            f"the order of {fill[SIZE] * fill[QUOTE] / equity:.4g} of the equity in {bars.symbols[col]} at {bars.time[row]} "
            f"was rejected: the cash is {cash:.4g} of the equity, yet vectorbt does not fill it as the account does; check its "
            f"settings"
        )


def result_of(bars: Bars, weights: np.ndarray, books: Books, records: np.ndarray, name: str) -> BacktestResult:
    equity = books.equity
    share = np.where(equity > 0, 1 / np.where(equity > 0, equity, 1.0), 0.0)
    return BacktestResult(
        time=bars.time,
        symbols=bars.symbols,
        interval=bars.interval,
        weights=weights,
        returns=simple_returns(equity),
        equity=equity,
        trades=_trades(bars, books.fills, records),
        costs=float(-books.lines[:, [FEE, SLIPPAGE]].sum()),
        turnover=books.turnover,
        exposure=books.net * share,
        name=name,
        gross=books.gross * share,
        ledger=pd.DataFrame(books.lines, columns=list(LINES)),
        n_skipped=int(books.n_skipped),
    )


def _trades(bars: Bars, fills: np.ndarray, records: np.ndarray) -> pd.DataFrame:
    fills = fills[np.lexsort((fills[:, COL], fills[:, BATCH]))]
    size = records["size"] / CASH
    return pd.DataFrame(
        {
            "time": bars.time[fills[:, ROW].astype(np.intp)],
            "symbol": np.asarray(bars.symbols, dtype=object)[fills[:, COL].astype(np.intp)],
            "size": size,
            "price": records["price"],
            "value": size * records["price"],
            "fee": records["fees"] / CASH,
            "side": np.where(records["side"] == 0, "buy", "sell"),
            "kind": KINDS[fills[:, KIND].astype(np.intp)],
        }
    )
