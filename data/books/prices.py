"""The price of an order book as bars."""

from __future__ import annotations

import numpy as np

from foreshock.data.bars import Bars

PRICES = ("midpoint", "microprice")


def bars_of_prices(
    symbol: str, interval: np.timedelta64, at: np.ndarray, start: np.datetime64, price: np.ndarray, traded: np.ndarray
) -> Bars:
    """Bars on the regular grid of a book, of the price and the values traded at each level of each snapshot.

    Parameters
    ----------
    symbol : str
        Name of the market.
    interval : timedelta64[us]
        Time between rows.
    at : ndarray of int, shape (n_rows,)
        Row of each snapshot on the grid.
    start : datetime64[us]
        Time of the first row of the grid.
    price : ndarray, shape (n_rows,)
        Price of each snapshot; NaN where not known.
    traded : ndarray, shape (n_rows, 2, n_levels)
        Value traded against each level; NaN where not known.
    """
    close, value = np.full((2, int(at[-1]) + 1), np.nan)
    close[at], value[at] = price, np.where(np.isnan(traded).all(axis=(1, 2)), np.nan, np.nansum(traded, axis=(1, 2)))
    before = np.concatenate([[np.nan], close[:-1]])
    opened = np.where(np.isnan(before) | np.isnan(close), close, before)
    time = start + np.arange(len(close)) * interval
    high, low = np.maximum(opened, close), np.minimum(opened, close)
    return Bars(time, (symbol,), opened, high, low, close, np.where(np.isnan(close), np.nan, value / close), interval)


def microprice(price: np.ndarray, notional: np.ndarray) -> np.ndarray:
    """Best bid and ask, (n_rows, 2), weighted by the size at the other side; NaN where a size is not known, or both are 0.

    >>> microprice(np.array([[99.0, 101.0]]), np.array([[99.0, 303.0]]))
    array([99.5])
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        size = notional / price
        return (price[:, 0] * size[:, 1] + price[:, 1] * size[:, 0]) / size.sum(axis=1)
