"""Paging through a history, so that no row is lost and every gap is real.

An answer without a row may mean that there was none, or that the answer is bad. A gap, inside a page or at its end, is accepted
only if a second answer, to a question that reaches from the row before the gap, says the same. What is not accepted is not covered,
and is requested again by a later fetch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from foreshock.data.errors import ExchangeError
from foreshock.data.exchange.agreement import Answer, Ask, Fault, settled
from foreshock.data.exchange.plausible import LATE_MS, jumps
from foreshock.data.store.series import Range, union

# A bar that closed a moment ago may not be published yet, so its absence is accepted only after this time.
SETTLED_MS = 10 * 60_000
# Largest width of a request in pages; the width doubles after an empty answer.
WIDEST = 64
HOUR_MS = 3_600_000
# Answers that lack the row from which they were asked, before the gap after it counts as not known.
SHORT_ANSWERS = 3
# A rate this many times the usual time after the one before leaves room for another.
GAP_IN_RATES = 1.5
LATER = "fetch again later, what has arrived is kept"


class Span(NamedTuple):
    """Rows, and the range of time in which they are complete, except in its holes; rows from ``final`` on may still change."""

    rows: np.ndarray
    start: int
    stop: int
    faults: tuple[Fault, ...] = ()
    final: int | None = None
    holes: tuple[Range, ...] = ()


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

    def gaps(slots: list[int]) -> list[Range]:
        opens = np.array(slots)
        ends = np.flatnonzero(np.diff(opens) > step)
        return [(int(opens[at]) + step, int(opens[at + 1])) for at in ends]

    at, width, known = start, n_page, False
    # The bar before ``at``, if there is one right before it, and the last close.
    before, close = None, None
    # Whether the last answer had what was known to be there.
    trusted = True
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
        # An exchange that takes no end may not reach beyond a page.
        begin = before if exact or end - at < n_page * step else None
        agreed = True
        if not len(answer.rows):
            answer, agreed = _second(ask, begin, at, end)
        if not len(answer.rows):
            sure = min(end, _final(answer) // step * step)
            trusted &= agreed
            if trusted and sure > at and (exact or known or answer.earlier):
                yield Span(answer.rows, at, sure)
            at, before = end, None
            width = min(2 * width, WIDEST * n_page) if exact else width
            continue
        if jumps(answer.rows, close):
            answer = answer._replace(doubtful=True)
        answer = settled(answer, ask, 0, gaps)
        rows, earlier, faults, unsure = answer.rows, answer.earlier, dict(answer.faults), list(answer.unsure)
        while rows[0, 0] > at:
            lead, agreed = _second(ask, begin, at, int(rows[0, 0]))
            earlier |= lead.earlier
            if not len(lead.rows):
                unsure += [] if agreed else [(at, int(rows[0, 0]))]
                break
            lead = settled(lead, ask, 0, gaps)
            faults |= lead.faults
            unsure += lead.unsure
            rows = np.concatenate([lead.rows, rows])
        # If the exchange does not show where its history begins, nothing is known about the time before the first bar.
        first = at if exact or known or earlier else int(rows[0, 0])
        at = int(rows[-1, 0]) + step
        yield _around(rows, first, at, faults, unsure, step, _final(answer))
        before = None if int(rows[-1, 0]) in faults else int(rows[-1, 0])
        close = float(rows[-1, 4]) if before is not None and rows.shape[1] > 4 else close
        known, width, trusted = True, n_page, True


def _final(answer: Answer) -> int:
    return answer.now - SETTLED_MS if answer.final is None else answer.final


def _second(ask: Ask, begin: int | None, at: int, end: int) -> tuple[Answer, bool]:
    """A second answer for ``[at, end)``, and whether it counts: it has the row at ``begin``, if one is known there."""
    if begin is None:
        return ask(at, end), True
    agreed = False
    for _ in range(SHORT_ANSWERS):
        answer = ask(begin, end)
        agreed = bool(len(answer.rows))
        if agreed:
            break
    return answer._replace(rows=answer.rows[answer.rows[:, 0] >= at]), agreed


def _around(
    rows: np.ndarray, start: int, stop: int, faults: Mapping[int, Fault], unsure: Iterable[Range], step: int, final: int
) -> Span:
    """The span of a range, in which the slots that are not known are holes."""
    holes = union([*((slot, slot + step) for slot in faults), *unsure])
    return _span(rows, start, stop, tuple(faults.values()), final, holes)


def _span(rows: np.ndarray, start: int, stop: int, faults: tuple[Fault, ...], final: int | None, holes: list[Range]) -> Span:
    inside = tuple((max(low, start), min(high, stop)) for low, high in holes if low < stop and high > start)
    if inside:
        edges = np.array(inside)
        at = np.searchsorted(edges[:, 0], rows[:, 0], side="right") - 1
        rows = rows[(at < 0) | (rows[:, 0] >= edges[at, 1])]
    return Span(rows, start, stop, faults, final, inside)


def rate_spans(ask: Ask, start: int, stop: int, n_page: int) -> Iterator[Span]:
    """Funding rates of a range. There is at most one an hour, so a request one hour shorter than a page gets a full answer."""
    usual = 0.0

    def gaps(slots: list[int]) -> list[Range]:
        times = np.array(slots)
        ends = np.flatnonzero(np.diff(times) > GAP_IN_RATES * usual) if usual else []
        return [(int(times[at]) + 1, int(times[at + 1])) for at in ends]

    width = (n_page - 1) * HOUR_MS
    last: int | None = None
    for at in range(start, stop, width):
        end = min(at + width, stop)
        answer = ask(at, end)
        if not len(answer.rows):
            answer, agreed = _second(ask, last, at, end)
            if not agreed:
                continue
        if len(answer.rows) > 1:
            usual = float(np.median(np.diff(answer.rows[:, 0])))
        near = last if last is not None and len(answer.rows) and at - last <= usual else None
        answer = settled(answer, ask, 0, gaps, near)
        until = int(answer.rows[-1, 0]) + 1 if len(answer.rows) else at
        end = min(end, max(_final(answer), until))
        if end > at:
            yield _around(answer.rows, at, end, answer.faults, answer.unsure, 1, end)
        last = int(answer.rows[-1, 0]) if len(answer.rows) else last


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

    def ask(low: int, high: int) -> Answer:
        answer = ask_from(low, min(high - low, n_page))
        return answer._replace(rows=answer.rows[answer.rows[:, 1] < high])

    def gaps(slots: list[int]) -> list[Range]:
        ids = np.array(slots)
        ends = np.flatnonzero(np.diff(ids) != 1)
        return [(int(ids[at]) + 1, int(ids[at + 1])) for at in ends]

    id_, answer, begun = _first_page(ask_from, latest, start, n_page)
    at, held = start, None
    holes: list[Range] = []
    while True:
        if answer is None:
            answer = ask_from(id_, n_page)
        if not len(answer.rows):
            answer = _answer_from(ask_from, id_, n_page, begun)
        if not len(answer.rows):
            rest = answer.rows if held is None else held
            last = int(rest[-1, 0]) + 1 if len(rest) else at
            end = min(stop, max(_final(answer), last))
            if end > at:
                yield _span(rest[rest[:, 0] < end], at, end, (), None, holes)
            return
        # Ids are consecutive; a gap between them must be confirmed by a second answer.
        answer = settled(answer, ask, 1, gaps, id_ - 1)
        _check_lead(ask_from, id_, int(answer.rows[0, 1]), n_page)
        known = answer.rows[~np.isin(answer.rows[:, 1], list(answer.faults))] if answer.faults else answer.rows
        faults = tuple(answer.faults.values())
        rows = known if held is None else np.concatenate([held, known])
        late = rows[(rows[:, 0] < at) & (rows[:, 0] >= start)]
        if len(late):
            # Far behind the trades before them; their time is covered already.
            yield Span(late, int(late[:, 0].min()), int(late[:, 0].max()) + 1)
        rows = rows[rows[:, 0] >= at]
        id_, begun = int(answer.rows[-1, 1]) + 1, True
        # The next page may have more trades of the last moment, or times slightly before it.
        whole = int(np.nanmax(answer.rows[:, 0])) - LATE_MS
        holes += [_time_of(answer.rows, ids, at) for ids in answer.unsure]
        holes = union([*holes, *((fault.time, fault.time + 1) for fault in faults if not fault.nothing)])
        if whole >= stop:
            yield _span(rows[rows[:, 0] < stop], at, stop, faults, None, holes)
            return
        if whole > at or faults:
            whole = max(whole, at)
            yield _span(rows[rows[:, 0] < whole], at, whole, faults, None, holes)
            at = whole
        holes = [hole for hole in holes if hole[1] > at]
        held, answer = rows[rows[:, 0] >= at], None


def _answer_from(ask_from: Ask, id_: int, n_page: int, begun: bool) -> Answer:
    """A second answer to the question for the trades from an id on, asked from the trade before it if that is known."""
    for _ in range(SHORT_ANSWERS):
        answer = ask_from(id_ - begun, n_page)
        if len(answer.rows) or not begun:
            return answer._replace(rows=answer.rows[answer.rows[:, 1] >= id_])
    raise ExchangeError(f"trade {id_ - 1} was there a moment ago and is in none of {SHORT_ANSWERS} answers; {LATER}")


def _check_lead(ask_from: Ask, wanted: int, first: int, n_page: int) -> None:
    """Refuse an answer that begins more than a page of ids too late, unless the question for an id in between begins there too."""
    if first - wanted <= n_page:
        return
    probe = ask_from((wanted + first) // 2, 1).rows
    if not len(probe) or int(probe[0, 1]) != first:
        raise ExchangeError(
            f"trades from id {wanted} on were requested, and those from {first} on came, but not to every such question: the "
            f"exchange may ignore the id; {LATER}"
        )


def _time_of(rows: np.ndarray, ids: Range, at: int) -> Range:
    """The time between the trades around a range of ids."""
    before, after = rows[rows[:, 1] < ids[0]], rows[rows[:, 1] >= ids[1]]
    first = int(before[-1, 0]) if len(before) else at
    return first, int(after[0, 0]) + 1 if len(after) else int(rows[-1, 0]) + 1


def _first_page(ask_from: Ask, latest: Callable[[], Answer], start: int, n_page: int) -> tuple[int, Answer | None, bool]:
    """An id less than a page before the first trade at or after a time, by bisection, the answer from there on, and whether the
    trade before that id is known.

    One bad answer would lead the search astray, so that its end is held against what it must be: a trade before the time, or the
    oldest one of two answers.
    """
    for _ in range(SHORT_ANSWERS):
        oldest = ask_from(0, 1).rows
        if not len(oldest):
            return 0, None, False
        newest = latest().rows
        low, high = int(oldest[0, 1]), int(newest[0, 1])
        if oldest[0, 0] >= start:
            again = ask_from(0, 1).rows
            if len(again) and int(again[0, 1]) == low <= high:
                answer = ask_from(low, n_page)
                if len(answer.rows) and int(answer.rows[0, 1]) == low:
                    return low, answer, False
            continue
        if newest[0, 0] < start:
            return high + 1, None, True
        while high - low > n_page:
            middle = ask_from((low + high) // 2, 1).rows
            if not len(middle) or middle[0, 0] >= start:
                high = (low + high) // 2
            else:
                low = (low + high) // 2
        answer = ask_from(low, n_page)
        if len(answer.rows) and answer.rows[0, 0] < start:
            return low, answer, False
    raise ExchangeError(f"answers to the question for the first trade differ; {LATER}")
