"""Trades of one symbol on several exchanges, put together in the order of time."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from foreshock.data.checks import check_type
from foreshock.data.doors.door import door
from foreshock.data.errors import DataError
from foreshock.data.show.shown import shown
from foreshock.data.trades.trades import Trades

COLUMNS = ("time", "price", "size", "quote", "is_buy")


@door
def merge_trades(trades: Mapping[str, Trades]) -> Trades:
    """Trades of one symbol on several exchanges as one market, in the order of time.

    Every trade is kept. Trades of one time are in the order in which the exchanges are passed, and those of one exchange in their
    own order. Ids are left out, because each exchange counts for itself. Clocks of exchanges differ by milliseconds, and prices by
    basis points, so the order within a moment and the range of a window are those of a market with several places.

    Parameters
    ----------
    trades : dict of str to Trades
        Trades of each exchange by its name.

    Returns
    -------
    Trades

    Raises
    ------
    DataError
        If there is nothing to merge, or trades of an exchange are several series.

    Examples
    --------
    >>> import foreshock as fs
    >>> import numpy as np
    >>> def at(seconds, price):
    ...     ones = np.ones(len(seconds))
    ...     return fs.Trades(np.array(seconds).astype("M8[s]"), price * ones, ones, price * ones, ones > 0)
    >>> fs.merge_trades({"binance": at([0, 2], 10.0), "okx": at([1, 2], 11.0)}).price
    array([10., 11., 10., 11.])
    """
    check_type("trades", trades, Mapping, "the trades of each exchange, by its name")
    if not trades:
        raise DataError("there is nothing to merge; pass the trades of at least one exchange")
    for name, one in trades.items():
        check_type(f"each of trades, {shown(name)},", one, Trades, "read a file with fs.read_trades")
        if one.series is not None:
            raise DataError(f"{name}: trades to merge must be of one symbol, got several series; pass those of each from split()")
    columns = {name: np.concatenate([getattr(one, name) for one in trades.values()]) for name in COLUMNS}
    # Stable: trades of one time keep the order of the exchanges.
    order = np.argsort(columns["time"], kind="stable")
    return Trades(**{name: values[order] for name, values in columns.items()})
