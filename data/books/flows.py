"""Order books from bare snapshots: a book from a ccxt answer, and the flows between consecutive snapshots."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numba import njit

from foreshock.data.books.orderbook import N_LEVELS, Book
from foreshock.data.checks import check_type
from foreshock.data.doors.door import door
from foreshock.data.errors import DataError
from foreshock.data.interval import Duration, parse_duration
from foreshock.data.show.shown import shown
from foreshock.data.trades.trades import Trades

# Prices with a smaller relative difference count as the same: a price rebuilt from its distance is exact only up to rounding.
SAME_PRICE = 1e-9


@door
def book_from_ccxt(
    order_book: Mapping[str, Any], interval: Duration, symbol: str | None = None, time: np.datetime64 | None = None
) -> Book:
    """A one-row book from what ccxt's ``fetch_order_book`` returns; its flows are unknown (NaN), see ``book_flows``.

    Parameters
    ----------
    order_book : dict
        The lists ``bids`` and ``asks`` of ``[price, amount, ...]`` in any order, and ``timestamp`` (ms) and ``symbol`` if they are
        not passed here. Levels beyond the fifteenth are dropped, absent levels are NaN, and levels of the same price are summed.
        Amounts are taken for base currency: multiply those of derivatives, which ccxt counts in contracts, by ``contractSize``.
    interval : str
        Usual time between snapshots, such as ``"1m"``.
    symbol : str, optional
        Name of the market; by default that of the answer, or ``"asset"``.
    time : datetime64, optional
        When the snapshot was taken, UTC; by default the answer's ``timestamp``, which some exchanges leave out.

    Raises
    ------
    DataError
        If there is no time, a side is missing or empty, a price or amount is not a positive number, or the book is crossed.

    Examples
    --------
    >>> import foreshock as fs
    >>> answer = {"bids": [[99.0, 2.0], [98.0, 1.0]], "asks": [[101.0, 3.0]], "timestamp": 1_700_000_000_000, "symbol": "A/B"}
    >>> book = fs.book_from_ccxt(answer, "1m")
    >>> book.midpoint, book.column("bids_notional_1"), book.column("asks_distance_0")
    (array([100.]), array([98.]), array([0.01]))
    """
    check_type("order_book", order_book, Mapping, "pass what fetch_order_book of ccxt returns")
    name = symbol if symbol is not None else _name(order_book.get("symbol"))
    taken = time if time is not None else _timestamp(order_book, name)
    sides = book_levels(order_book, name)
    bid, ask = sides[0][0][0], sides[1][0][0]
    midpoint = (bid + ask) / 2
    distance, notional = np.full((2, 1, 2, N_LEVELS), np.nan)
    for at, levels in enumerate(sides):
        for level, (price, amount) in enumerate(levels[:N_LEVELS]):
            # Taken from the difference: ``price / midpoint - 1`` of a price near the midpoint could round to the wrong sign.
            distance[0, at, level] = (price - midpoint) / midpoint
            notional[0, at, level] = price * amount
    unknown = np.full((1, 2, N_LEVELS), np.nan)
    return Book(
        time=np.array([taken]),
        midpoint=np.array([midpoint]),
        spread=np.array([ask - bid]),
        buys=np.array([np.nan]),
        sells=np.array([np.nan]),
        distance=distance,
        notional=notional,
        cancel_notional=unknown,
        limit_notional=unknown,
        market_notional=unknown,
        interval=parse_duration(interval, "interval"),
        symbol=name,
    )


def _name(symbol: object) -> str:
    return symbol if isinstance(symbol, str) and symbol else "asset"


def _timestamp(order_book: Mapping[str, Any], name: str) -> np.datetime64:
    stamp = order_book.get("timestamp")
    if not isinstance(stamp, int | float) or not math.isfinite(stamp):
        raise DataError(f"the order book of {name} has no timestamp (got {shown(stamp)}); pass time, when it was fetched")
    return np.datetime64(round(stamp * 1_000), "us")


def book_levels(order_book: Mapping[str, Any], name: str) -> list[list[tuple[float, float]]]:
    """Price and amount of each level of bids and asks, the best first; see ``book_from_ccxt``."""
    bids, asks = (_levels(order_book, side, name) for side in ("bids", "asks"))
    if bids[0][0] >= asks[0][0]:
        crossing = f"best bid {bids[0][0]} is not below best ask {asks[0][0]}"
        raise DataError(f"the order book of {name} is crossed: {crossing}; fetch it again")
    return [bids, asks]


def _levels(order_book: Mapping[str, Any], side: str, name: str) -> list[tuple[float, float]]:
    """Price and amount of each level, the best first."""
    levels = order_book.get(side)
    if not isinstance(levels, Sequence) or isinstance(levels, str) or not levels:
        raise DataError(f"the order book of {name} has no {side}, got {str(levels)[:40]!r}; expected a list of [price, amount]")
    amounts: dict[float, float] = {}
    for level in levels:
        try:
            price, amount = float(level[0]), float(level[1])
        except (TypeError, ValueError, LookupError) as error:
            raise DataError(f"a level of {side} of {name} must be [price, amount], got {str(level)[:40]!r}") from error
        if not (0 < price < math.inf and 0 <= amount < math.inf):
            raise DataError(f"{side} of {name} must have positive prices and amounts of zero or more, got {str(level)[:40]!r}")
        if amount:
            amounts[price] = amounts.get(price, 0.0) + amount
    if not amounts:
        raise DataError(f"all amounts of {side} of {name} are zero; expected a level with a positive amount")
    return sorted(amounts.items(), reverse=side == "bids")


@door
def book_flows(book: Book, trades: Trades | None = None) -> Book:
    """The book with limit, cancel and market flows derived from consecutive snapshots and the trades between them.

    Levels are matched by price, not by their number. For a price of a snapshot, let q' be the value resting there in the previous
    snapshot, q the value resting now, and m the value traded against it in between::

        market = m,  limit = max(q - q' + m, 0),  cancel = max(q' - q - m, 0),  so that  q = q' + limit - cancel - market

    These are net flows, the smallest that explain the two snapshots: an order placed and cancelled between them leaves no trace.
    If the previous snapshot reached a price and showed nothing there, q' = 0; if the price lay beyond its last level, q' is
    unknown, and so are limit and cancel. A price that has left the book has no level of its own: its flow is booked at the nearest
    level of the new snapshot (the better one of two equally near). That is level 0 for values traded through or pulled at the old
    touch; a price that is now beyond the last level is not booked. At a level that receives such flow, the equation holds for the
    sums over its prices. A trade at a price that neither snapshot shows hit an order placed in between: it counts as limit and
    market at the nearest level; if the previous snapshot did not reach the price, limit and cancel of that level are unknown.

    Parameters
    ----------
    book : Book
        Snapshots; their own flows, buys and sells, if any, are replaced.
    trades : Trades, optional
        Trades of the same market that cover the book's time. A trade belongs to the first snapshot taken at or after it; a taker's
        buy trades against the asks. Without trades, market flow, buys and sells are unknown, and limit and cancel are net of
        trades: a traded amount counts as cancelled.

    Returns
    -------
    Book
        The flows of the first row are NaN, and so are those after a gap of more than one and a half intervals, in which the touch
        may have been anywhere.

    Raises
    ------
    DataError
        If the trades belong to several series.

    Examples
    --------
    >>> import foreshock as fs
    >>> first = {"bids": [[99.0, 5.0]], "asks": [[101.0, 4.0]], "timestamp": 1_700_000_000_000}
    >>> second = {"bids": [[99.0, 7.0]], "asks": [[101.0, 1.0]], "timestamp": 1_700_000_001_000}
    >>> book = fs.book_flows(fs.Book.join([fs.book_from_ccxt(answer, "1s") for answer in (first, second)]))
    >>> book.column("bids_limit_notional_0"), book.column("asks_cancel_notional_0")
    (array([ nan, 198.]), array([ nan, 303.]))
    """
    check_type("book", book, Book, "read one with fs.read_book")
    n_rows, price = len(book), book.price
    linked = np.zeros(n_rows, dtype=np.bool_)
    linked[1:] = 2 * np.diff(book.time) <= 3 * book.interval
    if trades is None:
        starts = np.zeros(n_rows + 1, dtype=np.int64)
        paid, value, is_buy = np.empty(0), np.empty(0), np.empty(0, dtype=np.bool_)
    else:
        check_type("trades", trades, Trades, "read a file with fs.read_trades")
        if trades.series is not None:
            raise DataError(f"flows need trades of one series, got {len(set(trades.series))}; use Trades.split")
        # Row r has the trades after snapshot r - 1, up to and including the time of snapshot r.
        starts = np.concatenate([[0], np.searchsorted(trades.time, book.time, side="right")])
        paid, value, is_buy = trades.price, trades.quote, trades.is_buy
    cancel, limit, market = _flows_nb(price, book.notional, linked, starts, paid, value, is_buy, SAME_PRICE)
    unknown = np.full(n_rows, np.nan)
    if trades is None:
        market = np.full_like(market, np.nan)
        buys = sells = unknown
    else:
        buys, sells = unknown.copy(), unknown.copy()
        rows = np.repeat(np.arange(n_rows), np.diff(starts))
        inside = slice(0, int(starts[-1]))
        for total, side in ((buys, is_buy[inside]), (sells, ~is_buy[inside])):
            total[linked] = np.bincount(rows[side], value[inside][side], n_rows)[linked]
    return replace(book, cancel_notional=cancel, limit_notional=limit, market_notional=market, buys=buys, sells=sells)


@njit(cache=True)
def _flows_nb(price, notional, linked, starts, paid, value, is_buy, same):
    """Cancel, limit and market flow of each level, one snapshot and side at a time; see ``book_flows``.

    price, notional : (n_rows, 2, n_levels), NaN where there is no level; linked : (n_rows,) whether a row follows the one before;
    starts : (n_rows + 1,) where each row's trades begin in paid, value and is_buy. Returns three (n_rows, 2, n_levels).
    """
    n_rows, n_sides, n_levels = price.shape
    cancel = np.full(price.shape, np.nan)
    limit = np.full(price.shape, np.nan)
    market = np.full(price.shape, np.nan)
    old = np.empty(n_levels)
    spent = np.empty(n_levels)
    for row in range(1, n_rows):
        if not linked[row]:
            continue
        for side in range(n_sides):
            # Bid prices are negated, so that on both sides the best price is the lowest and prices rise away from the midpoint.
            sign = 1.0 if side == 1 else -1.0
            now, before = price[row, side], price[row - 1, side]
            n_now, n_before = 0, 0
            while n_now < n_levels and not np.isnan(now[n_now]) and not np.isnan(notional[row, side, n_now]):
                n_now += 1
            while n_before < n_levels and not np.isnan(before[n_before]) and not np.isnan(notional[row - 1, side, n_before]):
                n_before += 1
            if n_now == 0 or n_before == 0:
                continue
            last_now, last_before = sign * now[n_now - 1], sign * before[n_before - 1]
            # A side with fewer levels than the book can hold is visible to its end.
            sees_all_now, sees_all_before = n_now < n_levels, n_before < n_levels
            for j in range(n_now):
                spent[j] = 0.0
                old[j] = 0.0
                if not sees_all_before and sign * now[j] > last_before:
                    old[j] = np.nan
                cancel[row, side, j] = 0.0
                limit[row, side, j] = 0.0
                market[row, side, j] = 0.0
            gone = np.zeros(n_before)
            left = np.zeros(n_before, dtype=np.bool_)
            for i in range(n_before):
                j = _find(now, n_now, before[i], same)
                if j >= 0:
                    old[j] = notional[row - 1, side, i]
                elif sees_all_now or sign * before[i] < last_now:
                    left[i] = True
            # A trade is booked at its level now, at its level before if that has left, or else at the nearest level now.
            for t in range(starts[row], starts[row + 1]):
                if is_buy[t] != (side == 1):
                    continue
                j = _find(now, n_now, paid[t], same)
                if j >= 0:
                    spent[j] += value[t]
                    continue
                i = _find(before, n_before, paid[t], same)
                if i >= 0:
                    gone[i] += value[t]
                elif sees_all_now or sign * paid[t] < last_now:
                    j = _nearest(now, n_now, paid[t], same)
                    market[row, side, j] += value[t]
                    limit[row, side, j] += value[t]
                    if not sees_all_before and sign * paid[t] > last_before:
                        old[j] = np.nan
            for j in range(n_now):
                change = notional[row, side, j] - old[j] + spent[j]
                market[row, side, j] += spent[j]
                limit[row, side, j] += change if not change < 0.0 else 0.0
                cancel[row, side, j] += -change if not change > 0.0 else 0.0
            for i in range(n_before):
                if left[i]:
                    j = _nearest(now, n_now, before[i], same)
                    change = gone[i] - notional[row - 1, side, i]
                    market[row, side, j] += gone[i]
                    limit[row, side, j] += max(change, 0.0)
                    cancel[row, side, j] += max(-change, 0.0)
    return cancel, limit, market


@njit(cache=True)
def _find(prices, n, wanted, same):
    """The number of the level with a price, or -1 if there is none."""
    for j in range(n):
        if abs(prices[j] - wanted) <= same * wanted:
            return j
    return -1


@njit(cache=True)
def _nearest(prices, n, wanted, same):
    """The number of the level nearest to a price; the better one of two at the same distance."""
    best = 0
    for j in range(1, n):
        if abs(prices[j] - wanted) < abs(prices[best] - wanted) - same * wanted:
            best = j
    return best
