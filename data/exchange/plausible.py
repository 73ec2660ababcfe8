"""Checks of an answer as a whole: units of time, grid, symbol, timeframe and the size of values beside their neighbours."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

import ccxt
import numpy as np

from foreshock.data.tables import EARLIEST_EPOCH

# Names under which exchanges repeat the market that was asked for.
MARKET_NAMES = ("symbol", "s", "instId", "contract", "contract_code", "pair", "currency_pair", "product_id", "market")
DEEPEST = 3
# Time, open, high, low, close, volume.
N_COLUMNS = 6
# A price this many times the one before, or this part of it, is asked for again.
JUMP = 3.0
# Without the exchange's Date, our own clock may be as slow as this.
AHEAD_MS = 60_000
# Largest lag in ms of a trade's time behind that of a trade with a lower id.
LATE_MS = 1_000
# So many trades do not come in one millisecond.
MOST_AT_ONCE = 100
# From so many bars on, a common step of several bars is one of another timeframe and no accident.
ENOUGH_BARS = 10


def check_times(times: np.ndarray, latest: int, what: str) -> None:
    """Refuse an answer with times that are unknown, before the year 2000, or later than the exchange's own clock.

    Seconds and microseconds that are read as milliseconds lie there.
    """
    wrong = ~((times >= EARLIEST_EPOCH * 1000) & (times <= latest))
    if wrong.any():
        raise ccxt.BadResponse(
            f"{int(wrong.sum())} of {len(times)} {what} have a time that is unknown, before 2000 or still to come, such as "
            f"{times[int(np.argmax(wrong))]:.15g}; they may be in another unit than ms"
        )


def check_market(answer: Any, id_: Any, known: Container[Any], depth: int = 0) -> None:
    """Refuse an answer that names another market than the one that was asked for."""
    if isinstance(answer, list):
        # The rows of one answer belong together.
        answer = answer[0] if answer else None
    if not isinstance(answer, dict) or depth > DEEPEST:
        return
    for name, value in answer.items():
        if isinstance(value, str):
            if name in MARKET_NAMES and value != id_ and value in known:
                raise ccxt.BadResponse(f"it is about {value}, asked for was {id_}")
        elif isinstance(value, dict | list):
            check_market(value, id_, known, depth + 1)


def check_raw_bars(answer: Any, step: int, close: int | None) -> None:
    """Refuse raw bars whose time of the close, where the exchange gives it, is not that of the timeframe."""
    if close is None or not isinstance(answer, list) or not answer:
        return
    for row in (answer[0], answer[-1]):
        if isinstance(row, list) and len(row) > close:
            length = int(row[close]) - int(row[0]) + 1
            if length != step:
                raise ccxt.BadResponse(f"its bars are {length} ms long, asked for were bars of {step} ms")


def check_raw_trades(answer: Any) -> None:
    """Refuse Binance's raw trades that do not say with True or False whether the buyer was the maker."""
    if isinstance(answer, list) and answer and isinstance(answer[0], dict) and "m" in answer[0]:
        wrong = [trade.get("m") for trade in answer if not isinstance(trade.get("m"), bool)]
        if wrong:
            raise ccxt.BadResponse(f"{len(wrong)} trades do not say who was the maker, such as {wrong[0]!r}")


def check_timeframe(times: np.ndarray, step: int) -> None:
    """Refuse bars that are those of a shorter or a longer timeframe."""
    steps = np.diff(np.unique(times.astype(np.int64)))
    if not len(steps):
        return
    usual = int(np.median(steps))
    common = int(np.gcd.reduce(steps)) if len(steps) >= ENOUGH_BARS else step
    if (len(steps) > 1 and usual < step) or common > step:
        raise ccxt.BadResponse(f"its bars are {min(usual, common) if common <= step else common} ms apart, asked for was {step} ms")


def check_book(book: Mapping[str, Any], latest: int) -> None:
    """Refuse an order book with an empty side, a level that holds no positive price and amount, crossed, or of the future."""
    for side in ("bids", "asks"):
        if not book[side]:
            raise ccxt.BadResponse("a side of the order book is empty")
        levels = np.array([level[:2] for level in book[side]], dtype=np.float64)
        if not (np.isfinite(levels).all() and (levels[:, 0] > 0).all() and (levels[:, 1] >= 0).all()):
            raise ccxt.BadResponse("a level of the order book has no price or amount that can be")
    if book["bids"][0][0] >= book["asks"][0][0]:
        raise ccxt.BadResponse("the order book is crossed")
    stamp = book.get("timestamp")
    if stamp is not None and stamp > latest + AHEAD_MS:
        raise ccxt.BadResponse(f"the order book has a time still to come, {stamp:.15g} ms")


def jumps(rows: np.ndarray, last: float | None) -> bool:
    """Whether the open of a bar is three times the close before, or a third of it; ``last`` is the close before the first bar."""
    if rows.shape[1] < N_COLUMNS or not len(rows):
        return False
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = rows[1:, 1] / rows[:-1, 4]
        first = rows[0, 1] / last if last else 1.0
        return bool(np.any((ratio > JUMP) | (ratio < 1 / JUMP)) or first > JUMP or first < 1 / JUMP)


def unlikely_times(times: np.ndarray) -> bool:
    """Whether the times of trades, in the order of their ids, fall by more than a second, or are all the same for many."""
    late = bool(np.any(np.maximum.accumulate(times) - times > LATE_MS)) if len(times) else False
    return late or (len(times) >= MOST_AT_ONCE and times[0] == times[-1] and bool((times == times[0]).all()))
