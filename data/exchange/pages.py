"""Paging through a history, so that no bar is lost and every gap is real.

An answer without a bar may mean that there was none, or that the answer is bad. A gap is accepted if one answer has bars on both
sides of it, or if a second answer, to the request for just that gap, has none either. A gap that is not accepted is not covered,
and is requested again by a later fetch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

# A bar that closed a moment ago may not be published yet, so its absence is accepted only after this time.
SETTLED_MS = 10 * 60_000
# Largest width of a request in pages; the width doubles after an empty answer.
WIDEST = 64
HOUR_MS = 3_600_000
# Largest lag in ms of a trade's time behind that of a trade with a lower id.
LATE_MS = 1_000


class Answer(NamedTuple):
    """Rows that open in the requested range, ascending, with their time in column 0."""

    rows: np.ndarray
    # Whether the exchange also sent rows from before the range, so that its history goes further back.
    earlier: bool
    # The exchange's time, ms.
    now: int


class Span(NamedTuple):
    """Rows, and the range of time in which they are complete."""

    rows: np.ndarray
    start: int
    stop: int


Ask = Callable[[int, int], Answer]


def bar_spans(ask: Ask, start: int, stop: int, step: int, n_page: int, exact: bool) -> Iterator[Span]:
    """The bars of a range, ascending, with every gap confirmed.

    Parameters
    ----------
    ask : callable
        ``ask(first, end)`` returns the closed bars that open in ``[first, end)``, which may exceed one page.
    start, stop : int
        Range, ms, multiples of ``step``.
    n_page : int
        Largest number of bars in an answer.
    exact : bool
        See ``Profile.exact``.
    """
    at, width, known = start, n_page, False
    while at < stop:
        answer = ask(at, min(at + width * step, stop))
        closed = answer.now // step * step
        end = min(at + width * step, stop, closed)
        if end <= at:
            return
        if width > n_page and len(answer.rows) >= n_page:
            # The answer may be incomplete: it may be the first or the last page of a wider request.
            width = max(width // 2, n_page)
            continue
        if not len(answer.rows):
            answer = ask(at, end)
        if not len(answer.rows):
            settled = min(end, (answer.now - SETTLED_MS) // step * step)
            if settled > at and (exact or known or answer.earlier):
                yield Span(answer.rows, at, settled)
            at = end
            width = min(2 * width, WIDEST * n_page) if exact else width
            continue
        rows, earlier = answer.rows, answer.earlier
        while rows[0, 0] > at:
            before = ask(at, int(rows[0, 0]))
            earlier |= before.earlier
            if not len(before.rows):
                break
            rows = np.concatenate([before.rows, rows])
        # If the exchange does not show where its history begins, nothing is known about the time before the first bar.
        first = at if exact or known or earlier else int(rows[0, 0])
        at = int(rows[-1, 0]) + step
        yield Span(rows, first, at)
        known, width = True, n_page


def rate_spans(ask: Ask, start: int, stop: int, n_page: int) -> Iterator[Span]:
    """Funding rates of a range. There is at most one an hour, so a request one hour shorter than a page gets a full answer."""
    width = (n_page - 1) * HOUR_MS
    for at in range(start, stop, width):
        end = min(at + width, stop)
        answer = ask(at, end)
        if not len(answer.rows):
            answer = ask(at, end)
        last = int(answer.rows[-1, 0]) + 1 if len(answer.rows) else at
        end = min(end, max(answer.now - SETTLED_MS, last))
        if end > at:
            yield Span(answer.rows, at, end)


def trade_spans(ask_from: Ask, latest: Callable[[], Answer], start: int, stop: int, n_page: int) -> Iterator[Span]:
    """Trades of a range, paged by their unique ids; time and id are in columns 0 and 1.

    Parameters
    ----------
    ask_from : callable
        ``ask_from(id, n)`` returns the first n trades from that id on.
    latest : callable
        Returns the most recent trade.
    start, stop : int
        Range, ms.
    n_page : int
        Largest number of trades in an answer.
    """
    id_ = _first_id(ask_from, latest, start, n_page)
    at, held = start, None
    while True:
        answer = ask_from(id_, n_page)
        if not len(answer.rows) or int(answer.rows[0, 1]) != id_ or np.any(np.diff(answer.rows[:, 1]) != 1):
            # Ids are consecutive; a gap between them must be confirmed by a second answer.
            again = ask_from(id_, n_page)
            answer = again if len(again.rows) >= len(answer.rows) else answer
        if not len(answer.rows):
            rest = answer.rows if held is None else held
            last = int(rest[-1, 0]) + 1 if len(rest) else at
            end = min(stop, max(answer.now - SETTLED_MS, last))
            if end > at:
                yield Span(rest, at, end)
            return
        rows = answer.rows if held is None else np.concatenate([held, answer.rows])
        rows = rows[rows[:, 0] >= at]
        id_ = int(answer.rows[-1, 1]) + 1
        # The next page may have more trades of the last moment, or times slightly before it.
        whole = int(answer.rows[:, 0].max()) - LATE_MS
        if whole >= stop:
            yield Span(rows[rows[:, 0] < stop], at, stop)
            return
        if whole > at:
            yield Span(rows[rows[:, 0] < whole], at, whole)
            at = whole
        held = rows[rows[:, 0] >= at]


def _first_id(ask_from: Ask, latest: Callable[[], Answer], start: int, n_page: int) -> int:
    """An id less than a page before the first trade at or after a time, by bisection."""
    oldest = ask_from(0, 1).rows
    if not len(oldest):
        return 0
    newest = latest().rows
    low, high = int(oldest[0, 1]), int(newest[0, 1])
    if oldest[0, 0] >= start:
        return low
    if newest[0, 0] < start:
        return high + 1
    while high - low > n_page:
        middle = ask_from((low + high) // 2, 1).rows
        if not len(middle) or middle[0, 0] >= start:
            high = (low + high) // 2
        else:
            low = (low + high) // 2
    return low
