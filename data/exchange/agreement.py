"""Answers of which a part is in doubt, asked for again until two of them agree.

Rows are told apart by a whole number, their *slot*: the open of a bar, the id of a trade, the time of a rate. A slot is in doubt
if it lies in a gap between the rows of an answer, if its row cannot be, or if two answers give it different rows. A gap is one, and
a row that cannot be is what the exchange has, once a second answer says the same; of different rows, the one that two answers have
is taken. What is still in doubt after the last answer is not known.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from foreshock.data.store.series import Range, union, without

# Answers to one question before what they do not agree on counts as not known.
MOST_ANSWERS = 12
# At most so many gaps are asked for one by one, and more of them together.
FEW = 4


class Fault(NamedTuple):
    """A row that cannot be, with what the exchange sent."""

    time: int
    reason: str
    raw: str
    # Whether it is known what it stands for: nothing, as a trade of amount 0 does.
    nothing: bool = False


class Answer(NamedTuple):
    """Rows of the requested range, ascending; the time is in column 0, and those that cannot be are in ``faults`` by their slot."""

    rows: np.ndarray
    # Whether the exchange also sent rows from before the range, so that its history goes further back.
    earlier: bool
    # The exchange's time, ms.
    now: int
    # Rows until this time, ms, are final, and the lack of one counts; None if that depends on ``now`` alone.
    final: int | None = None
    faults: Mapping[int, Fault] = {}
    # Whether the whole answer is in doubt.
    doubtful: bool = False
    # Ranges of slots on which no two answers agree.
    unsure: tuple[Range, ...] = ()


Ask = Callable[[int, int], Answer]
# The parts of a range of slots in which rows are missing, given the slots that are there.
Gaps = Callable[[list[int]], list[Range]]


def settled(first: Answer, ask: Ask, column: int, gaps: Gaps, before: int | None = None) -> Answer:
    """An answer, or what further answers make of it where it is in doubt.

    Parameters
    ----------
    first : Answer
        The answer to start with; its first and last row are taken for granted.
    ask : callable
        ``ask(start, stop)`` returns the rows of a range of slots.
    column : int
        Column of the slot.
    gaps : callable
        See ``Gaps``.
    before : int, optional
        A slot before the first row of the answer that is known to have a row, or right after which rows were asked for.
    """
    slots = first.rows[:, column].astype(np.int64).tolist()
    marks = slots if before is None else [before, *slots]
    if not (first.doubtful or first.faults or gaps(marks)) or not slots:
        return first
    votes: dict[int, Counter[Any]] = {}
    _count(votes, first, column)
    whole, incomplete = first.doubtful, False
    closed: list[Range] = []
    once: list[Range] = []
    for _ in range(MOST_ANSWERS - 1):
        doubts = _doubts(votes, gaps, before, closed, whole)
        if not doubts:
            break
        asked = doubts[0] if len(doubts) <= FEW else (doubts[0][0], doubts[-1][1])
        low, high = _with_neighbours(asked, votes, before)
        again = ask(low, high)
        new = _count(votes, again, column)
        seen = set(again.rows[:, column].astype(np.int64).tolist())
        lost = [slot for slot in votes if low <= slot < high and slot not in seen]
        incomplete |= new
        if not new and not lost:
            # Where answers have been seen to lack rows, one more must say that there are none.
            twice = [part for part in union(once) if low < part[1] and high > part[0]] if incomplete else [(low, high)]
            closed = union([*closed, *((max(low, a), min(high, b)) for a, b in twice)])
            once.append((low, high))
    doubts = _doubts(votes, gaps, before, closed, whole)
    return _outcome(first, votes, column, doubts)


def _count(votes: dict[int, Counter[Any]], answer: Answer, column: int) -> bool:
    """Add the rows of an answer; returns whether it has one of which there was none."""
    new = False
    for row in answer.rows.tolist():
        slot = int(row[column])
        new |= slot not in votes
        votes.setdefault(slot, Counter())[answer.faults.get(slot) or tuple(row)] += 1
    return new


def _doubts(votes: Mapping[int, Counter[Any]], gaps: Gaps, before: int | None, closed: list[Range], whole: bool) -> list[Range]:
    """The ranges of slots that are in doubt, ascending."""
    slots = sorted(votes)
    open_ = [part for gap in gaps(slots if before is None else [before, *slots]) for part in without(gap, closed)]
    return union([*open_, *((slot, slot + 1) for slot in slots if _chosen(votes[slot], whole) is None)])


def _chosen(of_slot: Counter[Any], whole: bool) -> Any:
    """The row of a slot; None while it is in doubt."""
    good = [(n, row) for row, n in of_slot.items() if not isinstance(row, Fault)]
    if not good:
        fault, n = of_slot.most_common(1)[0]
        return fault if n > 1 else None
    good.sort(key=lambda one: -one[0])
    if len(good) == 1 and not (whole and good[0][0] == 1):
        return good[0][1]
    ahead = good[0][0] > 1 and (len(good) == 1 or good[0][0] > good[1][0])
    return good[0][1] if ahead else None


def _with_neighbours(asked: Range, votes: Iterable[int], before: int | None) -> Range:
    """The range with a known row on either side, so that an answer without them shows that it is not whole."""
    slots = sorted(votes)
    marks = slots if before is None else [before, *slots]
    low = max((slot for slot in marks if slot < asked[0]), default=asked[0])
    high = min((slot for slot in slots if slot >= asked[1]), default=asked[1] - 1)
    return low if low in slots else low + 1, high + 1


def _outcome(first: Answer, votes: Mapping[int, Counter[Any]], column: int, doubts: list[Range]) -> Answer:
    rows, faults = [], {}
    for slot in sorted(votes):
        row = _chosen(votes[slot], first.doubtful)
        if isinstance(row, Fault):
            faults[slot] = row
            row = [np.nan] * first.rows.shape[1]
            row[column] = slot
            row[0] = faults[slot].time
        elif row is None:
            row = next((one for one in votes[slot] if not isinstance(one, Fault)), None)
            if row is None:
                fault = next(iter(votes[slot]))
                row = [np.nan] * first.rows.shape[1]
                row[column], row[0] = slot, fault.time
            texts = " | ".join(one.raw if isinstance(one, Fault) else str(list(one)) for one in list(votes[slot])[:3])
            faults[slot] = Fault(int(row[0]), "answers to the same question differ", texts)
        rows.append(row)
    left = [part for doubt in doubts for part in without(doubt, [(slot, slot + 1) for slot in sorted(votes)])]
    return first._replace(rows=np.array(rows, dtype=np.float64), faults=faults, doubtful=False, unsure=tuple(left))
