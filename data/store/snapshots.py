"""Order books of the store: a ccxt answer as a row, and rows as a ``Book`` with its flows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from foreshock.data.books.flows import book_flows, book_levels
from foreshock.data.books.orderbook import N_LEVELS, Book, grid_row
from foreshock.data.errors import DataError
from foreshock.data.interval import parse_duration
from foreshock.data.store.series import LEVELS, SIDES, SeriesKey
from foreshock.data.store.store import Store
from foreshock.data.trades.trades import Trades


def snapshot_row(order_book: Mapping[str, Any]) -> pa.Table:
    """One row of the store from what ccxt's ``fetch_order_book`` returns; see ``book_from_ccxt``.

    Raises
    ------
    DataError
        If a side is missing or empty, a price or amount is not a positive number, or the book is crossed.
    """
    values = np.full((2, 2, N_LEVELS), np.nan)
    for side, levels in zip(values, book_levels(order_book, str(order_book["symbol"])), strict=True):
        known = np.array(levels[:N_LEVELS]).T
        side[:, : known.shape[1]] = known
    columns = dict(zip(LEVELS, values.reshape(-1, 1), strict=True))
    return pa.table({"time": pa.array([round(order_book["timestamp"])], pa.int64()), **columns})


def read_snapshots(store: Store, key: SeriesKey, start: int | None = None, stop: int | None = None) -> Book:
    """The snapshots of ``[start, stop)`` in epoch ms, with their flows.

    The first of two snapshots in one interval is used; two programs that record at once leave such pairs. Market flow, buys and
    sells come from the market's trades in the store if these cover the whole book; otherwise they are unknown. See ``book_flows``.

    Raises
    ------
    DataError
        If there is no snapshot.
    """
    rows = store.read(key, start, stop)
    if not len(rows):
        raise DataError(f"{key} has no snapshot in that range; foreshock store ls shows what is there")
    time = rows["time"].to_numpy().astype("datetime64[ms]").astype("datetime64[us]")
    interval = parse_duration(key.timeframe)
    kept = np.append(True, np.diff(grid_row(time, time[0], interval)) > 0)
    values = np.stack([rows[name].to_numpy() for name in LEVELS], axis=1)[kept].reshape(-1, 2, 2, N_LEVELS)
    price, amount = values[:, :, 0], values[:, :, 1]
    midpoint = price[:, :, 0].mean(axis=1)
    unknown, no_flow = np.full(len(price), np.nan), np.full(price.shape, np.nan)
    book = Book(
        time=time[kept],
        midpoint=midpoint,
        spread=price[:, 1, 0] - price[:, 0, 0],
        buys=unknown,
        sells=unknown,
        distance=(price - midpoint[:, None, None]) / midpoint[:, None, None],
        notional=price * amount,
        cancel_notional=no_flow,
        limit_notional=no_flow,
        market_notional=no_flow,
        interval=interval,
        symbol=key.symbol,
    )
    return book_flows(book, _trades(store, key, book))


def _trades(store: Store, key: SeriesKey, book: Book) -> Trades | None:
    """The trades between the first snapshot and the last, if the store has all of them."""
    first, last = (int(edge.astype("datetime64[ms]").astype(np.int64)) for edge in book.time[[0, -1]])
    trades = replace(key, kind="trades", timeframe="")
    if store.missing(trades, first + 1, last + 1):
        return None
    table = store.read(trades, first + 1, last + 1)
    return trades_from_store(table) if len(table) else None


def trades_from_store(table: pa.Table) -> Trades:
    """``Trades`` from a table that ``Store.read`` returned."""
    price, size = table["price"].to_numpy(), table["amount"].to_numpy()
    side = table["side"].combine_chunks()
    bought = side.indices.to_numpy() == side.dictionary.to_pylist().index(SIDES[0])
    time = table["time"].to_numpy().astype("datetime64[ms]")
    return Trades(time, price, size, price * size, bought, table["id"].to_numpy())
