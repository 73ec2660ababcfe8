"""Backtests of entries and exits, with holding times and stops inside the bar."""

from __future__ import annotations

import numpy as np
import pandas as pd

from foreshock.data.bars import Bars
from foreshock.data.checks import check_number, check_text, check_type
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError
from foreshock.data.interval import Duration, bars_in
from foreshock.data.show.shown import shown
from foreshock.strategies.backtest.account import DEFAULT_ACCOUNT, Account
from foreshock.strategies.backtest.costs import DEFAULT_COSTS, Costs
from foreshock.strategies.backtest.orders import matrix_of, orders_of
from foreshock.strategies.backtest.portfolio import Market, filled, keep_books, result_of
from foreshock.strategies.backtest.result import BacktestResult


@door
def backtest_signals(
    bars: Bars,
    entries: np.ndarray | pd.DataFrame,
    exits: np.ndarray | pd.DataFrame | None = None,
    size: float | None = None,
    hold: Duration | None = None,
    stop: float = 0.0,
    take: float = 0.0,
    costs: Costs = DEFAULT_COSTS,
    name: str = "",
    account: Account = DEFAULT_ACCOUNT,
) -> BacktestResult:
    """Open and close positions by signals that are filled at the next open; everything else is as in ``backtest``.

    A position is opened at the open after its entry, with a fraction ``size`` of the equity at that open. While it is held,
    further entries of its side are ignored, and an entry of the other side reverses it. It is closed at the open after an exit, at
    the open ``hold`` after its opening, or by a stop, whichever comes first. If a row has both an entry and an exit, the exit
    counts.

    Stops are checked in every bar from the bar of the opening on. With entry price P (the open, before slippage), a long position
    is closed in the first bar whose low is at most ``P (1 - stop)``, at that price, or at the open if the bar opens below it;
    ``take`` works likewise above. If a bar touches both, the stop is assumed to come first. Stops pay the taker fee and slippage.

    Parameters
    ----------
    bars : Bars
        Prices at which orders are filled.
    entries : ndarray of bool or number, or DataFrame, shape (n_bars, n_symbols)
        1 or True to buy, -1 to sell short, 0 for nothing; row t is known at the close of t. A DataFrame must have the times and
        symbols of the bars.
    exits : ndarray of bool or DataFrame, shape (n_bars, n_symbols), optional
        True or 1 to close the position; by default no exits.
    size : float, optional
        Size of a position as a fraction of the equity; by default the leverage over the number of symbols.
    hold : str, optional
        Longest time that a position is held, such as ``"24h"``; by default without limit.
    stop, take : float
        Loss and gain at which a position is closed, as fractions of the entry price; 0 for none.
    costs, name, account
        See ``backtest``.

    Returns
    -------
    BacktestResult

    Raises
    ------
    ConfigError
        If the arrays do not fit the bars, an entry is not 1, 0 or -1, the account has no room for an entry or does not allow
        shorts, or a stop is out of range.

    Examples
    --------
    Bought at 100, stopped at 95 in the same bar, which closes at 99.

    >>> import numpy as np
    >>> import foreshock as fs
    >>> time = np.datetime64("2024-01-01T00", "us") + np.arange(3) * np.timedelta64(1, "h")
    >>> open_, low, close = (np.array([[x], [y], [z]]) for x, y, z in ([100.0, 100, 99], [100.0, 94, 99], [100.0, 99, 99]))
    >>> bars = fs.Bars(time, ("BTC",), open_, open_, low, close, open_, np.timedelta64(1, "h"))
    >>> fs.backtest_signals(bars, np.array([[1], [0], [0]]), stop=0.05, costs=fs.Costs(0.0, 0.0)).equity
    array([1.  , 0.95, 0.95])
    """
    if size is not None:
        check_number("size", size)
    check_number("stop", stop)
    check_number("take", take)
    check_text("name", name)
    entries = matrix_of(bars, entries, "entries")
    exits = np.zeros(bars.shape) if exits is None else matrix_of(bars, exits, "exits")
    check_type("account", account, Account, "such as fs.Account(shorts=True)")
    for values, what, allowed in ((entries, "entries", (-1, 0, 1)), (exits, "exits", (0, 1))):
        wrong = ~np.isin(values, allowed)
        if wrong.any():
            row, col = map(int, np.argwhere(wrong)[0])
            raise ConfigError(
                f"{what} must be one of {allowed}, got {values[row, col]} for {bars.symbols[col]} at {bars.time[row]}"
            )
    for what, value, high in (("stop", stop, 1.0), ("take", take, 100.0)):
        if not 0 <= value < high:
            raise ConfigError(f"{what} must be a fraction of the entry price from 0 to below {high:g}, got {shown(value)}")
    size = account.leverage / bars.n_symbols if size is None else size
    if not 0 < size <= account.leverage:
        raise ConfigError(f"size must be a fraction of the equity above 0 and up to {account.leverage:g}, got {shown(size)}")
    weights = np.where(exits == 1, 0.0, np.where(entries != 0, entries * size, np.nan))
    if (entries < 0).any() and not account.shorts:
        raise ConfigError("an entry of -1 is a short sale, which the account does not allow; use Account(shorts=True)")
    n_hold = 0 if hold is None else bars_in(hold, bars.interval, "hold")
    books = keep_books(Market(bars), costs, account, *orders_of(bars, weights), True, n_hold, stop, take)
    (records,) = filled(bars, [books])
    return result_of(bars, weights, books, records, name)
