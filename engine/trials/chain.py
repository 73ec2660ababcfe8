"""Entries of the trial ledger, each chained to the one before, and what a changed chain shows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from foreshock.data.errors import ConfigError
from foreshock.data.show.shown import shown

GENESIS = "0" * 64
# Keys are sorted, so every entry starts with these bytes: they distinguish a torn line from a line written by another program.
BEGINNING = b'{"configuration":{'


@dataclass(frozen=True)
class Entry:
    """One line of the ledger.

    Parameters
    ----------
    sequence : int
        Number of the entry, from 0 without gaps.
    previous : str
        ``sha256`` of the previous entry; zeros for the first.
    time : str
        UTC, ISO 8601.
    kind : str
        ``"trial"``, ``"seal"`` and ``"opening"`` of a hold-out, or ``"repair"``.
    configuration, result : dict
        What was tried and what came out, in JSON types.
    data_hash : str
        Hash of the data used; see ``Bars.fingerprint``.
    sha256 : str
        Hash of the canonical JSON of all fields above.
    """

    sequence: int
    previous: str
    time: str
    kind: str
    configuration: dict[str, Any]
    data_hash: str
    result: dict[str, Any]
    sha256: str = ""

    def digest(self) -> str:
        return digest({name: value for name, value in vars(self).items() if name != "sha256"})

    def line(self) -> bytes:
        return canonical(vars(self)).encode() + b"\n"


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces, equal for equal values.

    >>> canonical({"b": [1.0, None], "a": "x"})
    '{"a":"x","b":[1.0,null]}'
    """
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, default=_mapping)
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(f"a ledger holds JSON types and finite numbers: {error}; write None for what is not known") from error


def digest(value: Any) -> str:
    """SHA-256 of the canonical JSON."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def _mapping(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"got {type(value).__name__} {shown(value)}")


def read_chain(content: bytes) -> tuple[list[Entry], list[str], bool, int]:
    """Entries up to the first fault, faults of all lines, whether the last line is torn, and the number of bytes before it."""
    lines = content.split(b"\n")
    last_is_open = lines[-1] != b""
    if not last_is_open:
        lines.pop()
    parsed = [_parse(line) for line in lines]
    torn = last_is_open and parsed[-1] is None and _was_cut(lines[-1])
    if torn:
        parsed.pop()
    good_bytes = len(content) - len(lines[-1]) if torn else len(content)
    problems = sorted([*_touched(parsed), *_misplaced(parsed)])
    n_good = problems[0][0] - 1 if problems else len(parsed)
    entries = [entry for entry in parsed[:n_good] if entry is not None]
    return entries, [f"line {number}{text}" for number, text in problems], torn, good_bytes


def _was_cut(line: bytes) -> bool:
    """Whether the line is an entry cut short; complete JSON that is not an entry was written by another program."""
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return line.startswith(BEGINNING) or BEGINNING.startswith(line)
    return False


def _touched(parsed: list[Entry | None]) -> list[tuple[int, str]]:
    text = " was changed or cut: it is not an entry as it was written"
    return [(number, text) for number, entry in enumerate(parsed, 1) if entry is None]


def _misplaced(parsed: list[Entry | None]) -> list[tuple[int, str]]:
    """Gaps, moved or repeated lines, and entries that do not continue the previous one."""
    problems = []
    there = [(number, entry) for number, entry in enumerate(parsed, 1) if entry is not None]
    belongs = sorted(entry.sequence for _, entry in there)
    before: Entry | None = None
    last, last_number = -1, 0
    for (number, entry), expected in zip(there, belongs, strict=True):
        # A changed line still counts as the entry it held.
        gap = expected - last - 1 - (number - last_number - 1)
        follows = expected == 0 or before is None or before.sequence != expected - 1 or before.sha256 == entry.previous
        if entry.sequence != expected:
            problems.append((number, f" holds entry {entry.sequence} where entry {expected} belongs; lines were moved"))
        elif expected == last:
            problems.append((number, f" repeats entry {expected}"))
        elif gap > 0:
            first = expected - gap
            lost = f"entry {first} was" if gap == 1 else f"entries {first} to {expected - 1} were"
            problems.append((number, f": {lost} removed before it"))
        elif not follows or (expected == 0 and entry.previous != GENESIS):
            text = f": entry {expected} does not follow the previous one; one of them was rewritten"
            problems.append((number, text))
        before, last, last_number = (entry if entry.sequence == expected else None), expected, number
    return problems


def _parse(line: bytes) -> Entry | None:
    """The entry in a line, or None unless the line is byte for byte as it was written."""
    try:
        entry = Entry(**json.loads(line))
        fits = isinstance(entry.sequence, int) and entry.digest() == entry.sha256 and entry.line() == line + b"\n"
    except (ValueError, TypeError, RecursionError):
        return None
    return entry if fits else None
