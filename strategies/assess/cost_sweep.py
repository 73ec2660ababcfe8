"""Total returns at several trading costs, and the cost at which a strategy breaks even."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from foreshock.data.bars import Bars
from foreshock.data.checks import check_array, check_type
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError
from foreshock.data.show.shown import shown
from foreshock.strategies.assess.grid import backtest_grid
from foreshock.strategies.backtest.account import DEFAULT_ACCOUNT, Account
from foreshock.strategies.backtest.costs import DEFAULT_COSTS, Costs
from foreshock.strategies.backtest.orders import checked_weights, orders_of
from foreshock.strategies.backtest.portfolio import Market, keep_books

DEFAULT_RATES = (0.0, 2.5e-4, 5e-4, 1e-3, 2e-3, 5e-3)
# Largest cost of a fill that is searched for the break-even.
MOST = 0.2
STEPS = 50


@door
def cost_sweep(
    bars: Bars,
    weights: Mapping[str, np.ndarray],
    rates: Sequence[float] = DEFAULT_RATES,
    costs: Costs = DEFAULT_COSTS,
    account: Account = DEFAULT_ACCOUNT,
) -> pd.DataFrame:
    """Total return of each strategy at each cost of a fill.

    Parameters
    ----------
    bars : Bars
        Prices at which the strategies trade.
    weights : dict of name to ndarray
        Target weights of each strategy, as for ``backtest``.
    rates : sequence of float
        Costs as fractions of the value traded, which replace fee, slippage and impact.
    costs : Costs
        Funding and borrow, which are the same at every rate.
    account : Account
        Rules of the account.

    Returns
    -------
    DataFrame
        Total returns, one row per strategy and one column per rate, and a last column ``break_even``; see ``break_even_cost``.

    Raises
    ------
    ConfigError
        If there are no rates, or ``backtest`` refuses a rate or a weight.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> time = np.datetime64("2024-01-01T00", "us") + np.arange(4) * np.timedelta64(1, "h")
    >>> price = np.array([[100.0], [100.0], [110.0], [110.0]])
    >>> bars = fs.Bars(time, ("BTC",), price, price, price, price, price, np.timedelta64(1, "h"))
    >>> fs.cost_sweep(bars, {"trade": np.array([0.5, 0.0, np.nan, np.nan])}, [0.0, 0.01]).round(4).to_dict("list")
    {0.0: [0.05], 0.01: [0.0395], 'break_even': [0.0476]}
    """
    check_type("bars", bars, Bars, "read a file with fs.read_bars")
    if isinstance(rates, str) or not isinstance(rates, Sequence) or not all(isinstance(rate, int | float) for rate in rates):
        raise ConfigError(f"rates must be a list of numbers, got {shown(rates)}")
    if not rates:
        raise ConfigError("there must be at least one rate, got none")
    columns = {rate: backtest_grid(bars, weights, _at(costs, rate), account).total_return for rate in map(float, rates)}
    frame = pd.DataFrame(columns, index=pd.Index(list(weights), name="strategy"))
    frame["break_even"] = [break_even_cost(bars, one, costs=costs, account=account) for one in weights.values()]
    return frame


@door
def break_even_cost(
    bars: Bars,
    weights: np.ndarray,
    against: np.ndarray | None = None,
    costs: Costs = DEFAULT_COSTS,
    account: Account = DEFAULT_ACCOUNT,
) -> float:
    """Cost of a fill, as a fraction of its value, at which a strategy ends with its starting equity.

    Parameters
    ----------
    bars : Bars
        Prices at which the strategy trades.
    weights : ndarray
        Target weights, as for ``backtest``.
    against : ndarray, optional
        Weights of a baseline. The result is then the cost at which strategy and baseline, both paying it, end with the same
        equity.
    costs, account
        See ``cost_sweep``.

    Returns
    -------
    float
        The cost; NaN if the strategy is behind even without costs; infinite if it is still ahead at 20 %, for example because it
        never trades more than its baseline.

    Raises
    ------
    ConfigError
        If ``backtest`` refuses the weights.

    Examples
    --------
    A position bought at 100 and sold at 110 breaks even where 110 (1 - c) = 100 (1 + c), at c = 10 / 210.

    >>> import numpy as np
    >>> import foreshock as fs
    >>> time = np.datetime64("2024-01-01T00", "us") + np.arange(4) * np.timedelta64(1, "h")
    >>> price = np.array([[100.0], [100.0], [110.0], [110.0]])
    >>> bars = fs.Bars(time, ("BTC",), price, price, price, price, price, np.timedelta64(1, "h"))
    >>> round(fs.break_even_cost(bars, np.array([1.0, 0.0, np.nan, np.nan])), 4)
    0.0476
    """
    check_array("weights", weights)
    if against is not None:
        check_array("against", against)
    check_type("bars", bars, Bars, "read a file with fs.read_bars")
    market = Market(bars)
    ours, theirs = (None if some is None else orders_of(bars, checked_weights(bars, some, account)) for some in (weights, against))

    def ahead(rate: float) -> bool:
        ends = [
            1.0 if orders is None else float(keep_books(market, _at(costs, rate), account, *orders).equity[-1])
            for orders in (ours, theirs)
        ]
        return ends[0] > ends[1]

    if not ahead(0.0):
        return math.nan
    if ahead(MOST):
        return math.inf
    low, high = 0.0, MOST
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if ahead(middle) else (low, middle)
    return (low + high) / 2


def _at(costs: Costs, rate: float) -> Costs:
    check_type("costs", costs, Costs, "such as fs.Costs(taker=5e-4)")
    return replace(costs, taker=rate, slippage=0.0, maker_share=0.0, impact=0.0)
