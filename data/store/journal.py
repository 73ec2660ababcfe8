"""What is worth a line about single rows of a series: rows set aside or dropped, and values that were revised."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa

from foreshock.data.errors import DataError

JOURNAL = "notes.jsonl"
SET_ASIDE, DROPPED, REVISED = "set aside", "dropped", "revised"


@dataclass(frozen=True)
class Note:
    """What happened to one row.

    Parameters
    ----------
    time : int
        Time of the row, epoch ms.
    what : str
        ``"set aside"`` for a row that cannot be, whose time is not known for that reason; ``"dropped"`` for one that stands for
        nothing, such as a trade of amount 0; ``"revised"`` for a stored row that got other values.
    reason : str
        Why, in words.
    raw : str
        The row as it came or, of a revised one, as it was before.
    seen : int
        When, epoch ms.
    """

    time: int
    what: str
    reason: str
    raw: str
    seen: int


class Faulty(Protocol):
    """A row that cannot be, or that stands for nothing."""

    @property
    def time(self) -> int: ...
    @property
    def reason(self) -> str: ...
    @property
    def raw(self) -> str: ...
    @property
    def nothing(self) -> bool: ...


def notes_of(faults: Iterable[Faulty], seen: int) -> list[Note]:
    """What the store keeps of rows that cannot be."""
    return [Note(one.time, DROPPED if one.nothing else SET_ASIDE, one.reason, one.raw, seen) for one in faults]


def read_notes(folder: Path) -> list[Note]:
    """The notes of a series' folder, in the order of time.

    Raises
    ------
    DataError
        If a line is not one of ours.
    """
    path = folder / JOURNAL
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return []
    try:
        # A crash may have left half of the last line.
        notes = [Note(**json.loads(line)) for line in lines if line.endswith("}")]
        return sorted(notes, key=lambda note: (note.time, note.seen))
    except (ValueError, TypeError) as error:
        raise DataError(f"{path} holds a line that is no note: {error}; remove it") from error


def write_notes(folder: Path, notes: Sequence[Note]) -> None:
    """Append notes, without those that are there already; the folder must be locked."""
    there = {(note.time, note.what, note.raw) for note in read_notes(folder)} if notes else set()
    fresh = {(note.time, note.what, note.raw): note for note in notes}
    lines = [json.dumps(asdict(note), ensure_ascii=False) for mark, note in fresh.items() if mark not in there]
    if not lines:
        return
    descriptor = os.open(folder / JOURNAL, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, ("\n".join(["", *lines]) + "\n").encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def revisions(before: pa.Table, after: pa.Table, identity: str, seen: int) -> list[Note]:
    """A note for each row of ``before`` that has other values in ``after``; rows are told apart by ``identity``."""
    _, old, new = np.intersect1d(before[identity].to_numpy(), after[identity].to_numpy(), return_indices=True)
    differ = np.zeros(len(old), bool)
    for name in before.column_names:
        one, other = before[name].to_numpy()[old], after[name].to_numpy()[new]
        unknown = np.isnan(one) & np.isnan(other) if one.dtype.kind == "f" else False
        differ |= ~((one == other) | unknown)
    rows = before.take(old[differ]).to_pylist()
    times = after["time"].to_numpy()[new[differ]].tolist()
    return [
        Note(int(time), REVISED, "the exchange gives other values than before", json.dumps(list(row.values())), seen)
        for time, row in zip(times, rows, strict=True)
    ]
