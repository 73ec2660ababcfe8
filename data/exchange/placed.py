"""Rows of an answer in the order of the history, each in its slot, and what is wrong with those that cannot be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import ccxt
import numpy as np

from foreshock.data.exchange.agreement import Fault
from foreshock.data.possible import impossible_bars, possible_bars

OHLCV = ("time", "open", "high", "low", "close", "volume")
BUY, SELL = 1.0, 0.0
# Longs never pay more than their position at one settlement; exchanges cap rates at a few percent.
MOST_RATE = 1.0
# Larger ids are not exact in a float64; no exchange has come that far.
LARGEST_ID = 2**53
# From so many trades on, a page of which half are nothing is no page of trades.
ENOUGH_TRADES = 10


def placed_bars(rows: np.ndarray, raw: list[Any], step: int) -> tuple[np.ndarray, dict[int, Fault]]:
    """The bars in ascending order, one for each slot, with those that cannot be, lie off the grid or contradict each other."""
    slots = rows[:, 0] // step * step
    columns: dict[str, np.ndarray] = dict(zip(OHLCV, rows.T, strict=True))
    with np.errstate(invalid="ignore"):
        good = possible_bars(columns) & (slots == rows[:, 0])
    faults: dict[int, Fault] = {}
    for at in np.flatnonzero(~good).tolist():
        slot = int(slots[at])
        reason = "it does not open at a multiple of its length"
        if slot == rows[at, 0]:
            found = impossible_bars({name: values[at : at + 1] for name, values in columns.items()})
            reason = found[1] if found else reason
        faults[slot] = _joined(faults.get(slot), Fault(int(rows[at, 0]), reason, _text(raw[at])))
    order = np.argsort(slots, kind="stable")
    doubled = np.flatnonzero(np.diff(slots[order]) == 0)
    for at in doubled.tolist():
        one, other = order[at], order[at + 1]
        slot = int(slots[one])
        if slot not in faults and not np.array_equal(rows[one], rows[other]):
            faults[slot] = Fault(slot, "two different bars open at one time", f"{_text(raw[one])} | {_text(raw[other])}")
    placed = rows[np.delete(order, doubled + 1)].copy() if len(doubled) else rows[order].copy()
    placed[:, 0] = placed[:, 0] // step * step
    return placed, faults


def placed_trades(trades: Sequence[Mapping[str, Any]], ids: Sequence[int]) -> tuple[np.ndarray, dict[int, Fault]]:
    """Trades (time, id, price, amount, side) in the order of their ids, each once, with those that cannot be by their ids.

    A trade with an amount or a price of 0, of which Binance has some, is nothing.
    """
    raw = [
        [trade["timestamp"], id_, trade["price"], trade["amount"], SIDES.get(trade["side"])]
        for trade, id_ in zip(trades, ids, strict=True)
    ]
    rows = np.array(raw, dtype=np.float64).reshape(-1, 5)
    price, amount = rows[:, 2], rows[:, 3]
    with np.errstate(invalid="ignore"):
        good = (price > 0) & np.isfinite(price) & (amount > 0) & np.isfinite(amount) & ~np.isnan(rows[:, 4])
    faults = {}
    for at in np.flatnonzero(~good).tolist():
        nothing = 0.0 in (price[at], amount[at]) and bool(price[at] >= 0 and amount[at] >= 0)
        reason = (
            f"its price is {price[at]:.15g} and its amount {amount[at]:.15g}" if rows[at, 4] in (BUY, SELL) else "it has no side"
        )
        text = _text([trades[at]["timestamp"], ids[at], trades[at]["price"], trades[at]["amount"], trades[at]["side"]])
        faults[ids[at]] = Fault(int(rows[at, 0]), reason, text, nothing)
    if len(rows) >= ENOUGH_TRADES and 2 * sum(fault.nothing for fault in faults.values()) > len(rows):
        faults = {id_: fault._replace(nothing=False) for id_, fault in faults.items()}
    order = np.argsort(rows[:, 1], kind="stable")
    if len(rows) and rows[order[-1], 1] >= LARGEST_ID:
        raise ccxt.BadResponse(f"the trade id {ids[order[-1]]} is larger than any exchange has")
    doubled = np.flatnonzero(np.diff(rows[order, 1]) == 0)
    if not np.array_equal(rows[order[doubled]], rows[order[doubled + 1]], equal_nan=True):
        raise ccxt.BadResponse("two different trades have one id")
    return rows[np.delete(order, doubled)], faults


SIDES = {"buy": BUY, "sell": SELL}


def placed_rates(rates: Sequence[Mapping[str, Any]]) -> tuple[np.ndarray, dict[int, Fault]]:
    """Funding rates (time, rate) in the order of time, each once, with those that no exchange charges by their times."""
    rows = np.array([[rate["timestamp"], rate["fundingRate"]] for rate in rates], dtype=np.float64).reshape(-1, 2)
    rows = np.unique(rows, axis=0)
    if np.any(np.diff(rows[:, 0]) == 0):
        raise ccxt.BadResponse("two different rates have one time")
    with np.errstate(invalid="ignore"):
        wrong = ~(np.abs(rows[:, 1]) <= MOST_RATE)
    times = rows[wrong, 0].tolist()
    return rows, {
        int(time): Fault(int(time), f"its rate is {rate:.15g}, of which a position is at most {MOST_RATE:g}", _text([time, rate]))
        for time, rate in zip(times, rows[wrong, 1].tolist(), strict=True)
    }


def _joined(first: Fault | None, other: Fault) -> Fault:
    return other if first is None else Fault(first.time, first.reason, f"{first.raw} | {other.raw}")


def _text(raw: Any) -> str:
    return str(raw)[:300]
