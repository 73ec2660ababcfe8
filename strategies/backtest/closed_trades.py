"""Closed trades from fills: the profit of each position from its opening to its end."""

from __future__ import annotations

import numpy as np
import pandas as pd

from foreshock.data.checks import check_type
from foreshock.data.doors.door import door
from foreshock.strategies.backtest.result import BacktestResult

# A rest below this fraction of the largest position of a symbol is rounding and counts as flat.
FLAT = 1e-9


@door
def closed_trades(result: BacktestResult) -> pd.DataFrame:
    """One row for each position that was opened and closed again.

    A trade lasts from the fill that opens a position in a symbol to the fill that closes it. A fill that reverses the side ends
    one trade and begins the next, with its size and fee divided in proportion. Positions still held at the end are left out.

    Parameters
    ----------
    result : BacktestResult
        A backtest, such as ``fs.backtest`` returns.

    Returns
    -------
    DataFrame
        ``symbol``, ``opened`` and ``closed`` (times of the first and last fill), ``side`` (long or short), ``entered`` (value of
        the fills that opened or added), ``profit`` (value sold less value bought less fees; slippage is in the prices, while
        funding, borrow and interest are left out) and ``net_return``, profit over entered. Rows are sorted by ``closed``; money
        is in units of the starting equity.

    Raises
    ------
    ConfigError
        If ``result`` is not a ``BacktestResult``.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> time = np.datetime64("2024-01-01T00", "us") + np.arange(3) * np.timedelta64(1, "h")
    >>> price = np.array([[100.0], [100.0], [110.0]])
    >>> bars = fs.Bars(time, ("BTC",), price, price, price, price, price, np.timedelta64(1, "h"))
    >>> result = fs.backtest(bars, np.array([[1.0], [0.0], [np.nan]]), fs.Costs(0.0, 0.0))
    >>> fs.closed_trades(result)["net_return"].round(9).tolist()
    [0.1]
    """
    check_type("result", result, BacktestResult, "pass what fs.backtest returned")
    rows: list[tuple] = []
    for symbol, fills in result.trades.groupby("symbol", sort=False):
        signed = np.where(fills["side"] == "buy", 1.0, -1.0) * fills["size"].to_numpy()
        flat = FLAT * np.abs(np.cumsum(signed)).max()
        held, opened, side, entered, profit = 0.0, None, "", 0.0, 0.0
        for time, change, price, fee in zip(fills["time"], signed, fills["price"], fills["fee"], strict=True):
            left, rate = change, fee / abs(change) if change else 0.0
            while abs(left) > flat:
                # A fill that reverses the side is split: one part closes the position, the rest opens the other side.
                part = -held if held * left < 0 and abs(left) > abs(held) + flat else left
                if opened is None:
                    opened, side = time, "long" if part > 0 else "short"
                if held * part >= 0:
                    entered += abs(part) * price
                profit -= part * price + abs(part) * rate
                held, left = held + part, left - part
                if abs(held) <= flat:
                    rows.append((symbol, opened, time, side, entered, profit, profit / entered))
                    held, opened, entered, profit = 0.0, None, 0.0, 0.0
    columns = ["symbol", "opened", "closed", "side", "entered", "profit", "net_return"]
    return pd.DataFrame(rows, columns=columns).sort_values("closed", kind="stable", ignore_index=True)
