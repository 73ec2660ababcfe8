"""Labels of events and of alerts: what happened to which symbol and when, from a list of events or from an analyst."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd

from foreshock.data.checks import check_names, check_path, check_type
from foreshock.data.doors.door import door
from foreshock.data.errors import DataError
from foreshock.data.interval import Instant, parse_instant
from foreshock.data.reading.kinds import UNKNOWN, Kinds, lowered, refuse_doubled, shown_names
from foreshock.data.reading.rows import naming, read_rows
from foreshock.data.show.facts import Shown, counted, span_facts
from foreshock.data.show.shown import few, shown
from foreshock.data.tables import parse_times

DISPOSITIONS = ("true", "false", "unsure")
# The first name of each is the usual one; a table of planted events and an alert have a ``time``.
STARTS, STOPS = ("start", "time", "begin"), ("stop", "end")
COLUMNS = Kinds(times=(*STARTS, *STOPS), numbers=(), words=("symbol", "kind", "disposition"), ids=("note",))
# A label without a stop is a moment: it covers the row that it lies in.
MOMENT = np.timedelta64(1, "us")
USUAL_KIND = "event"


@door
@dataclass(frozen=True, repr=False)
class Labels(Shown):
    """What is known to have happened: labelled events, and what an analyst said about alerts.

    A label that is ``true`` is an event that a detector should find. One that is ``false`` says that there was none: an alert in
    it is a false alarm, as it is wherever there is no event. In one that is ``unsure``, nothing counts. ``fs.read_labels`` reads
    them from a file, ``Labels.from_frame`` from a table.

    Parameters
    ----------
    symbols : tuple of str
        Symbol of each label.
    start, stop : ndarray of datetime64[us], shape (n_labels,)
        Beginning of each, and the first moment after it (UTC).
    kinds : tuple of str
        Kind of each, such as ``"pump"``.
    dispositions : tuple of str
        ``"true"``, ``"false"`` or ``"unsure"`` for each.
    notes : tuple of str
        Note of each, which may be empty.

    Examples
    --------
    >>> import foreshock as fs
    >>> labels = fs.simulate_market(seed=1, n_symbols=1, n_bars=2_000).labels
    >>> labels
    Labels(2 labels of BTC/USDT, 1 foreshock and 1 flash_crash, 2022-02-12 to 2022-03-17)
    >>> labels.to_frame()[["symbol", "start", "kind"]]
         symbol               start         kind
    0  BTC/USDT 2022-02-12 20:00:00    foreshock
    1  BTC/USDT 2022-03-16 09:00:00  flash_crash
    """

    symbols: tuple[str, ...]
    start: np.ndarray
    stop: np.ndarray
    kinds: tuple[str, ...]
    dispositions: tuple[str, ...]
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.start)

    @classmethod
    def from_frame(cls, frame: pd.DataFrame) -> Self:
        """Labels from a table; rows that are equal are one label.

        Parameters
        ----------
        frame : DataFrame
            Columns, in any case and order: ``symbol``; ``start`` (or ``time``), the beginning, as a timestamp, ISO 8601 or an
            epoch, UTC; ``stop`` (or ``end``), the first moment after it, without which a label is a moment and covers the row that
            it lies in; and, where there are any, ``kind``, ``disposition`` (``true``, ``false``, ``unsure``; empty is ``unsure``)
            and ``note``. Without a column ``disposition``, every label is ``true``.

        Raises
        ------
        DataError
            If a column is missing, a symbol or a time is not known, a label stops before it starts, or a disposition is another
            word.
        """
        check_type("frame", frame, pd.DataFrame, "pass a pandas table")
        frame = frame.set_axis([lowered(name) for name in frame.columns], axis=1)
        refuse_doubled(frame.columns)
        start = next((name for name in STARTS if name in frame), None)
        missing = [name for name, there in (("symbol", "symbol" in frame), ("start", start is not None)) if not there]
        if start is None or missing:
            got = shown_names(frame.columns) or "none"
            raise DataError(f"labels must have the columns symbol and start, and stop unless they are moments, got {got}; add them")
        if not len(frame):
            raise DataError("the table of labels is empty; expected at least one row")
        begin = parse_times(frame[start])
        stop = next((name for name in STOPS if name in frame), None)
        end = parse_times(frame[stop]) if stop else begin + MOMENT
        symbols = _texts(frame["symbol"])
        _refuse([not symbol for symbol in symbols], "a label must name a symbol, got none", "fill it in, or remove the row")
        wrong = end <= begin
        at = int(np.argmax(wrong))
        _refuse(wrong, f"a label must stop after it starts, got {begin[at]} to {end[at]}", "correct or remove it")
        said = [_disposition(text) for text in _texts(frame["disposition"])] if "disposition" in frame else ["true"] * len(frame)
        unknown = [text not in DISPOSITIONS for text in said]
        word = shown(said[int(np.argmax(unknown))], 40)
        _refuse(unknown, f"a disposition must be one of {', '.join(DISPOSITIONS)}, got {word}", "correct it, or leave it empty")
        kinds = _texts(frame["kind"]) if "kind" in frame else [""] * len(frame)
        notes = _texts(frame["note"]) if "note" in frame else [""] * len(frame)
        table = pd.DataFrame({"symbol": symbols, "start": begin, "stop": end, "kind": kinds, "disposition": said, "note": notes})
        table["kind"] = table["kind"].mask(table["kind"] == "", USUAL_KIND)
        table = table.drop_duplicates(["symbol", "start", "stop", "kind", "disposition"])
        return cls._of(table.sort_values(["start", "symbol", "stop", "kind"], kind="stable"))

    @classmethod
    def _of(cls, table: pd.DataFrame) -> Self:
        texts = {f"{name}s": tuple(table[name]) for name in ("symbol", "kind", "disposition", "note")}
        start, stop = (table[name].to_numpy(dtype="datetime64[us]") for name in ("start", "stop"))
        return cls(texts["symbols"], start, stop, texts["kinds"], texts["dispositions"], texts["notes"])

    def select(self, symbols: Sequence[str]) -> Self:
        """The labels of some symbols."""
        check_names("symbols", symbols)
        wanted = set(map(str, symbols))
        return self._of(self.to_frame()[[symbol in wanted for symbol in self.symbols]])

    def between(self, start: Instant | None = None, end: Instant | None = None) -> Self:
        """The labels that have a moment from ``start`` on and before ``end``; None leaves an end open."""
        kept = np.ones(len(self), dtype=bool)
        if start is not None:
            kept &= self.stop > parse_instant(start, "start")
        if end is not None:
            kept &= self.start < parse_instant(end, "end")
        return self._of(self.to_frame()[kept])

    def check_fit(self, symbols: Sequence[str], start: np.datetime64, end: np.datetime64) -> None:
        """Refuse labels that lie outside some data.

        Parameters
        ----------
        symbols : sequence of str
            Symbols of the data.
        start, end : datetime64
            Beginning of the data, and the first moment after them.

        Raises
        ------
        DataError
            If a label is of another symbol, or has no moment within the data.
        """
        check_names("symbols", symbols)
        start, end = parse_instant(start, "start"), parse_instant(end, "end")
        strange = sorted(set(self.symbols) - set(map(str, symbols)))
        if strange:
            raise DataError(
                f"labels name {few(strange)}, the data have {few(symbols)}; correct them, or keep the others with "
                f"labels.select, in a study file with symbols of the data"
            )
        outside = (self.stop <= start) | (self.start >= end)
        if outside.any():
            at = int(np.argmax(outside))
            raise DataError(
                f"labels must lie within the data, {start} to {end}, got {int(outside.sum())} outside, the first of "
                f"{few([self.symbols[at]])} at {self.start[at]}; correct them, or keep the others with "
                f"labels.between, in a study file with start and end of the data"
            )

    def _facts(self) -> Iterator[str]:
        names = sorted(set(self.symbols))
        yield f"{counted(len(self), 'label')}" + (f" of {names[0]}" if len(names) == 1 else f" of {len(names)} symbols")
        counts = {kind: self.kinds.count(kind) for kind in dict.fromkeys(self.kinds)}
        yield few([f"{n} {kind}" for kind, n in counts.items()], 4).replace(", ", " and ", 1 if len(counts) == 2 else 0)
        told = {name: self.dispositions.count(name) for name in DISPOSITIONS}
        # A label of which nobody says anything is a true one.
        said = told if any(told[name] for name in DISPOSITIONS[1:]) else {}
        yield from (f"{n} {name}" for name, n in said.items() if n)
        yield from span_facts(np.array([self.start.min(), self.stop.max()])) if len(self) else ()

    def _preview(self) -> pd.DataFrame:
        return self.to_frame()

    def to_frame(self) -> pd.DataFrame:
        """One row a label: ``symbol``, ``start``, ``stop``, ``kind``, ``disposition``, ``note``."""
        columns = {"symbol": self.symbols, "start": self.start, "stop": self.stop, "kind": self.kinds}
        return pd.DataFrame({**columns, "disposition": self.dispositions, "note": self.notes})


@door
def read_labels(path: str | Path) -> Labels:
    """Labels from a CSV, Parquet or Feather file.

    Parameters
    ----------
    path : str or Path
        File with the columns of ``Labels.from_frame``: ``symbol``, ``start``, ``stop`` and, where there are any, ``kind``,
        ``disposition`` and ``note``. The ``alerts.csv`` that ``foreshock run`` writes is one as soon as an analyst has added a
        column ``disposition``.

    Raises
    ------
    DataError
        If the file is missing, empty, damaged or malformed; the message begins with its path. Nothing is repaired.

    Examples
    --------
    >>> import foreshock as fs
    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/events.csv"
    >>> with open(path, "w") as file:
    ...     _ = file.write("symbol,start,stop,kind\\nBTC/USDT,2024-01-05 12:00,2024-01-05 18:00,pump\\n")
    >>> fs.read_labels(path)
    Labels(1 label of BTC/USDT, 1 pump, 2024-01-05T12:00:00 to 2024-01-05T18:00:00)
    """
    check_path("path", path)
    frame = read_rows(Path(path), COLUMNS, "labels")
    with naming(path):
        return Labels.from_frame(frame)


def _texts(values: pd.Series) -> list[str]:
    """Each value as text, without the blanks around it; empty where it is not known."""
    return ["" if pd.isna(value) else str(value).strip() for value in values.astype(object)]


def _disposition(text: str) -> str:
    # A file may hold true and false as truth values. What is not said is not known.
    return "unsure" if text in UNKNOWN else text.lower()


def _refuse(wrong: Sequence[bool] | np.ndarray, said: str, remedy: str) -> None:
    """Refuse a table if any of its rows is wrong, and say how many are."""
    rows = np.flatnonzero(np.asarray(wrong, dtype=bool))
    if rows.size:
        raise DataError(f"{said} in row {rows[0]} ({rows.size} such rows); {remedy}")
