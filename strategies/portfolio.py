"""From target weights to an account, through vectorbt: the one file that imports it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from data.bars import Bars
from data.errors import ConfigError
from strategies.costs import DEFAULT_COSTS, Costs
from strategies.result import BacktestResult

if TYPE_CHECKING:
    import vectorbt as vbt

# vectorbt takes sizes and cash below 1e-12 for zero, so the account must be large against that. A power of two, so that
# scaling back to a starting equity of 1 is exact.
CASH = 2.0**30
DUST = 1e-12


def backtest(bars: Bars, weights: np.ndarray, costs: Costs = DEFAULT_COSTS, name: str = "") -> BacktestResult:
    """Hold target weights, filled at the next open, and keep the books.

    ``weights[t]`` is known at the close of t and filled at the open of t + 1 at that price, worse by the slippage.
    All symbols share one account in quote currency, without credit. At the open the equity V is cash plus positions at
    the open; a symbol with weight w is brought to ``w V / open`` units; sells go first, then buys from the smallest
    to the largest, and each buys at most what the cash allows. So where the weights sum to 1, the largest purchase is
    smaller by the costs; and where others that are held have grown, a purchase may be smaller than asked, or none.

    - *NaN weight*: no order.
    - *No price in a bar*: nothing is filled, the position is valued at its last close, and the newest target
      waits for the symbol's next open. An order for a symbol not yet listed waits for its first open.
    - *The data of a symbol end before the last row*: in the first bar without a price its position is settled at its
      last close, with the taker fee and without slippage; waiting orders lapse. (At the end of the data a gap looks the
      same: the last rows can differ by that fee from those of a longer history.)

    Parameters
    ----------
    bars : Bars
    weights : ndarray, shape (n_bars, n_symbols), or (n_bars,) for one symbol
        Fractions of the equity, 0 to 1, rows sum to at most 1 (to 1e-9).
    costs : Costs
    name : str
        Carried into the result.

    Returns
    -------
    BacktestResult

    Raises
    ------
    ConfigError
        If the weights have another shape, are infinite, negative, above 1 or sum to more than 1; or if a purchase finds
        no cash because the targets in force, those before a NaN included, sum to more than 1.

    Notes
    -----
    Only rows with an order are given to vectorbt; the positions between them are constant.

    Examples
    --------
    Bought at 110, the open after the decision, not at the close of 100 that it was decided on.

    >>> time = np.datetime64("2024-01-01T00", "us") + np.arange(3) * np.timedelta64(1, "h")
    >>> open_, close = np.array([[100.0], [110.0], [121.0]]), np.array([[100.0], [121.0], [132.0]])
    >>> bars = Bars(time, ("BTC",), open_, np.maximum(open_, close), open_, close, close, np.timedelta64(1, "h"))
    >>> backtest(bars, np.array([[1.0], [np.nan], [np.nan]]), Costs(taker=0.0, slippage=0.0)).equity
    array([1. , 1.1, 1.2])
    """
    weights = _checked(bars, weights)
    orders, settled = _orders(bars, weights)
    # Before a symbol's first close the 1 only ever multiplies an empty position.
    last_close = _forward(bars.close, 1.0)
    rows = np.flatnonzero(~np.isnan(orders).all(axis=1))
    if not rows.size or rows[0] != 0:
        rows = np.concatenate([[0], rows])
    orders, settled = orders[rows], settled[rows]
    price = np.where(np.isnan(bars.open[rows]), last_close[rows], bars.open[rows])
    portfolio = _simulate(orders, price, np.where(settled, 0.0, costs.slippage), costs.taker)

    # State after the fills of each order row, in units of the starting equity.
    units = np.asarray(portfolio.assets(), dtype=np.float64).reshape(orders.shape) / CASH
    cash = np.asarray(portfolio.cash(), dtype=np.float64).reshape(len(rows)) / CASH
    before = np.vstack([np.zeros((1, bars.n_symbols)), units[:-1]])
    value = np.concatenate([[1.0], cash[:-1]]) + (before * price).sum(axis=1)

    fills = portfolio.orders.records_arr
    row, col, size = fills["idx"], fills["col"], fills["size"] / CASH
    slip = size * np.abs(fills["price"] - price[row, col])
    paid = np.bincount(row, weights=fills["fees"] / CASH + slip, minlength=len(rows))
    traded = np.bincount(row, weights=size * price[row, col], minlength=len(rows))
    filled = np.zeros(orders.shape, dtype=bool)
    filled[row, col] = True
    missing = np.where(filled, 0.0, orders * value[:, None] - before * price)
    _refuse_rejected(bars, rows, missing=missing, targets=_forward(orders, 0.0), cash=cash, value=value)

    since = np.searchsorted(rows, np.arange(len(bars)), side="right") - 1
    held = (units[since] * last_close).sum(axis=1)
    equity = cash[since] + held
    turnover = np.zeros(len(bars))
    turnover[rows] = traded / value
    return BacktestResult(
        time=bars.time,
        symbols=bars.symbols,
        interval=bars.interval,
        weights=weights,
        returns=np.concatenate([[0.0], equity[1:] / equity[:-1] - 1]),
        equity=equity,
        trades=_trades(bars, rows, fills[size * price[row, col] > DUST * value[row]]),
        costs=float(paid.sum()),
        turnover=turnover,
        exposure=held / equity,
        name=name,
    )


def backtest_many(
    bars: Bars, weights: Iterable[np.ndarray], costs: Costs = DEFAULT_COSTS, name: str = ""
) -> Iterator[BacktestResult]:
    """The backtest of each weight matrix in turn, so that only the results the caller keeps take memory."""
    for one in weights:
        yield backtest(bars, one, costs, name)


def _checked(bars: Bars, weights: np.ndarray) -> np.ndarray:
    weights = np.array(weights, dtype=np.float64)
    if weights.ndim == 1 and bars.n_symbols == 1:
        weights = weights[:, None]
    if weights.shape != bars.shape:
        raise ConfigError(f"weights must have the shape (n_bars, n_symbols) = {bars.shape}, got {weights.shape}")
    for wrong, rule in ((np.isinf(weights), "finite"), (weights < 0, "0 or more"), (weights > 1 + 1e-9, "at most 1")):
        if wrong.any():
            row, col = map(int, np.argwhere(wrong)[0])
            raise ConfigError(
                f"weights must be {rule}, or NaN to hold, got {weights[row, col]} for {bars.symbols[col]} at {bars.time[row]}"
            )
    sums = np.nansum(weights, axis=1)
    if (sums > 1 + 1e-9).any():
        row = int(np.argmax(sums > 1 + 1e-9))
        raise ConfigError(
            f"the weights of a row must sum to at most 1, got {sums[row]} at {bars.time[row]}; there is no credit, scale them"
        )
    return weights


def _orders(bars: Bars, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Target weights at the row they are filled in, NaN where nothing is, and True where a position is settled."""
    orders = np.full(bars.shape, np.nan)
    settled = np.zeros(bars.shape, dtype=bool)
    orders[1:] = weights[:-1]
    row = np.arange(len(bars))
    for col in range(bars.n_symbols):
        known = ~np.isnan(bars.open[:, col])
        if known.all():
            continue
        # At an open, the newest target counts if it came after the open before.
        wanted = np.maximum.accumulate(np.where(np.isnan(orders[:, col]), -1, row))
        opened = np.maximum.accumulate(np.where(known, row, -1))
        due = known & (wanted > np.concatenate([[-1], opened[:-1]]))
        orders[:, col] = np.where(due, orders[wanted, col], np.nan)
        end = opened[-1] + 1
        if end < len(bars):
            orders[end, col] = 0.0
            settled[end, col] = True
    return orders, settled


def _forward(values: np.ndarray, start: float) -> np.ndarray:
    """The newest known value of each column at each row; ``start`` before the first."""
    known = ~np.isnan(values)
    if known.all():
        return values
    newest = np.maximum.accumulate(np.where(known, np.arange(len(values))[:, None], -1), axis=0)
    return np.where(newest < 0, start, np.take_along_axis(values, np.maximum(newest, 0), axis=0))


def _simulate(orders: np.ndarray, price: np.ndarray, slippage: np.ndarray, fees: float) -> vbt.Portfolio:
    # Importing vectorbt takes seconds; whoever only looks at data or scores need not wait.
    import vectorbt as vbt

    return vbt.Portfolio.from_orders(
        close=pd.DataFrame(price),
        size=orders,
        size_type="targetpercent",
        direction="longonly",
        price=price,
        val_price=price,
        fees=fees,
        slippage=slippage,
        # Its default of 1e-8 units silently rejects smaller orders.
        min_size=0.0,
        init_cash=CASH,
        cash_sharing=True,
        group_by=True,
        call_seq="auto",
    )


def _refuse_rejected(
    bars: Bars, rows: np.ndarray, *, missing: np.ndarray, targets: np.ndarray, cash: np.ndarray, value: np.ndarray
) -> None:
    """vectorbt drops an order that it rejects without a word.

    It may: a purchase that finds no cash because of costs, of positions that grew, or of one that could not be sold. It may not
    where the targets in force ask for more than there is, or where there is cash.
    """
    rounding = 1e-9 * np.maximum.accumulate(value)[:, None]
    asked = np.where(np.isnan(bars.open[rows]), 0.0, targets).sum(axis=1, keepdims=True)
    excused = (missing > 0) & (cash[:, None] <= rounding) & (asked <= 1 + 1e-9)
    rejected = (np.abs(missing) > rounding) & ~excused
    if rejected.any():
        row, col = map(int, np.argwhere(rejected)[0])
        raise ConfigError(
            f"the order of {missing[row, col] / value[row]:.4g} of the equity in {bars.symbols[col]} at {bars.time[rows[row]]} "
            f"was rejected: the cash is {cash[row] / value[row]:.4g} and the targets in force sum to {asked[row, 0]:.4g}; a "
            f"NaN weight keeps its last target, so lower that of another symbol in the same row"
        )


def _trades(bars: Bars, rows: np.ndarray, fills: np.ndarray) -> pd.DataFrame:
    fills = fills[np.lexsort((fills["col"], fills["idx"]))]
    size, fee = fills["size"] / CASH, fills["fees"] / CASH
    return pd.DataFrame(
        {
            "time": bars.time[rows[fills["idx"]]],
            "symbol": np.asarray(bars.symbols, dtype=object)[fills["col"]],
            "size": size,
            "price": fills["price"],
            "value": size * fills["price"],
            "fee": fee,
            "side": np.where(fills["side"] == 0, "buy", "sell"),
        }
    )
