"""Total returns of many accounts of which nothing else is asked, without vectorbt."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from foreshock.data.bars import Bars
from foreshock.strategies.backtest.account import DEFAULT_ACCOUNT, Account
from foreshock.strategies.backtest.costs import DEFAULT_COSTS, Costs
from foreshock.strategies.backtest.orders import orders_of
from foreshock.strategies.backtest.portfolio import Market, keep_books


def total_returns(
    bars: Bars, weights: Iterable[np.ndarray], costs: Costs = DEFAULT_COSTS, account: Account = DEFAULT_ACCOUNT
) -> np.ndarray:
    """Total return of each weight matrix, shape (n_sets,): those of ``backtest``, bit for bit.

    The weights are not checked: they must be those of a strategy that ``backtest`` takes. The account is that of ``backtest``,
    whose fills vectorbt repeats; here they are not repeated. Where neither funding, interest nor credit can change the account
    between orders, the rows without an order are left out.
    """
    market = Market(bars)
    quiet = not (costs.funding or costs.borrow or account.cash_yield or account.shorts or account.leverage > 1)
    totals = []
    for one in weights:
        orders, settled = orders_of(bars, one)
        rows = None
        if quiet:
            rows = np.flatnonzero(np.append(~np.isnan(orders[:-1]).all(axis=1), True))
        totals.append(keep_books(market, costs, account, orders, settled, rows=rows).equity[-1] - 1)
    return np.array(totals)
