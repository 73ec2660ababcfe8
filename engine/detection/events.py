"""Labelled events on the rows of a panel, and which of them the alerts catch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numba import njit

from foreshock.data.checks import check_array, check_integer, check_pair, check_rows, check_type
from foreshock.data.doors.door import door
from foreshock.data.doors.times import rising_times
from foreshock.data.doors.truth import yes_or_no
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.show.facts import Shown, counted
from foreshock.data.show.shown import few, shown
from foreshock.engine.scores import Scores, Signals


@door
@dataclass(frozen=True, repr=False)
class Events(Shown):
    """Labelled events, sorted by symbol and start.

    Parameters
    ----------
    col, start, stop : ndarray of int, shape (n_events,)
        Column of the symbol, first row of the event, and first row after it.
    shape : (int, int)
        (n_rows, n_symbols) of the panel.

    Raises
    ------
    DataError
        If an event has no row, or a row outside the panel.

    Examples
    --------
    >>> import foreshock as fs
    >>> events = fs.Events(col=[0], start=[5], stop=[8], shape=(10, 1))
    >>> events
    Events(1 event, on 10 rows of 1 symbol)
    >>> events.labels()[:, 0].astype(int)
    array([0, 0, 0, 0, 0, 1, 1, 1, 0, 0])
    """

    col: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    shape: tuple[int, int]

    def __post_init__(self) -> None:
        check_pair("shape", self.shape)
        for name in ("col", "start", "stop"):
            check_rows_of("events", name, getattr(self, name), len(self.col))
        col, start, stop = (np.asarray(x, dtype=np.int64) for x in (self.col, self.start, self.stop))
        wrong = (col < 0) | (col >= self.shape[1]) | (start < 0) | (stop > self.shape[0]) | (stop <= start)
        if wrong.any():
            i = int(np.argmax(wrong))
            raise DataError(
                f"an event must lie within the {self.shape[0]} rows and {self.shape[1]} symbols and have at least one row, "
                f"got rows {start[i]} to {stop[i]} of symbol {col[i]}; correct or remove it"
            )
        order = np.lexsort((start, col))
        for name, value in (("col", col), ("start", start), ("stop", stop)):
            object.__setattr__(self, name, value[order])

    def __len__(self) -> int:
        return len(self.start)

    @classmethod
    def from_frame(cls, frame: pd.DataFrame, time: np.ndarray, symbols: tuple[str, ...], interval: np.timedelta64) -> Events:
        """Convert events given by times to events on rows.

        Parameters
        ----------
        frame : DataFrame
            Columns ``symbol``, ``start`` and ``stop``: UTC times of the beginning of the event and of the first moment after it.
            An event covers the rows that are open at some time in between; events that cover no row are left out.
        time : ndarray of datetime64, shape (n_rows,)
            Opens, strictly ascending.
        symbols : tuple of str
            Symbols of the columns.
        interval : timedelta64
            Length of a row.

        Raises
        ------
        DataError
            If a column is missing, a symbol unknown, or an event stops before it starts.
        """
        check_type("frame", frame, pd.DataFrame, "pass a pandas table")
        missing = [name for name in ("symbol", "start", "stop") if name not in frame]
        if missing:
            raise DataError(f"events must have the columns symbol, start and stop, got {few(frame.columns)}; add them")
        time = rising_times("time", time)
        unknown = sorted(set(map(str, frame["symbol"])) - set(symbols))
        if unknown:
            raise DataError(f"events name {few(unknown)}, the data have {few(symbols)}; select their events first")
        begin, end = (pd.to_datetime(frame[name], utc=True).dt.tz_convert(None).to_numpy() for name in ("start", "stop"))
        if not (end > begin).all():
            raise DataError(f"an event must stop after it starts, got {int((~(end > begin)).sum())} that do not; correct them")
        start = np.searchsorted(time + interval, begin, side="right")
        stop = np.searchsorted(time, end, side="left")
        col = np.array([symbols.index(str(name)) for name in frame["symbol"]], dtype=np.int64)
        kept = stop > start
        return cls(col[kept], start[kept], stop[kept], (len(time), len(symbols)))

    def take(self, kept: np.ndarray) -> Events:
        """The events selected by a mask or an index."""
        check_rows("kept", kept, len(self))
        return Events(self.col[kept], self.start[kept], self.stop[kept], self.shape)

    def rows(self, rows: slice) -> Events:
        """The events that lie entirely within a run of rows, renumbered from its first row."""
        check_type("rows", rows, slice, "such as slice(0, 100)")
        first, last, _ = rows.indices(self.shape[0])
        kept = (self.start >= first) & (self.stop <= last)
        return Events(self.col[kept], self.start[kept] - first, self.stop[kept] - first, (last - first, self.shape[1]))

    def labels(self, early: int = 0) -> np.ndarray:
        """True within events and in the ``early`` rows before them, shape (n_rows, n_symbols)."""
        check_integer("early", early)
        out = np.zeros(self.shape, dtype=bool)
        for col, start, stop in zip(self.col, self.start, self.stop, strict=True):
            out[max(start - early, 0) : stop, col] = True
        return out

    def _facts(self) -> Iterator[str]:
        yield counted(len(self), "event")
        yield f"on {counted(self.shape[0], 'row')} of {counted(self.shape[1], 'symbol')}"

    def to_frame(self) -> pd.DataFrame:
        """One row per event: ``col``, ``start`` and ``stop``."""
        return pd.DataFrame({"col": self.col, "start": self.start, "stop": self.stop})


def check_rows_of(what: str, name: str, value: object, n: int) -> None:
    """Refuse what is not one whole number for each of n things."""
    check_array(name, value)
    found = np.asarray(value)
    if found.shape != (n,) or (n and found.dtype.kind not in "iu"):
        raise DataError(f"{name} must be a whole number for each of {n} {what}, got {shown(value)} of {found.dtype.name}")


def check_panel(scores: Scores, signals: Signals) -> None:
    """Refuse signals that are not on the rows and symbols of the scores."""
    if signals.symbols != scores.symbols:
        expected, got = few(scores.symbols), few(signals.symbols)
        raise ConfigError(f"signals must have the symbols of the scores, {expected}, got {got}; make them with Scores.signals")
    if not np.array_equal(signals.time, scores.time):
        expected, got = (f"{len(time)} from {time[0] if len(time) else 'none'}" for time in (scores.time, signals.time))
        raise ConfigError(f"signals must cover the rows of the scores, {expected}, got {got}; make them with Scores.signals")


@dataclass(frozen=True, repr=False)
class Matches(Shown):
    """Events caught by alerts, and false alarms.

    Parameters
    ----------
    alert_row : ndarray of int, shape (n_events,)
        First alert in the window of each event; -1 if it has none.
    delay_rows : ndarray of float64, shape (n_events,)
        Rows from the open of the event's first row to the close of the alert's row, when the alert is known: 1 for an alert in the
        first row, 0 or less for an earlier one. NaN if the event has no alert.
    false_alarms : ndarray of bool, shape (n_rows, n_symbols)
        Alerts outside every window, thinned by the cool-down.
    """

    alert_row: np.ndarray
    delay_rows: np.ndarray
    false_alarms: np.ndarray

    @property
    def caught(self) -> np.ndarray:
        return self.alert_row >= 0


@door
def match_events(active: np.ndarray, events: Events, *, early: int = 0, cooldown: int = 1) -> Matches:
    """Which events alerts catch, and which alerts are false.

    An event is caught by an alert from ``early`` rows before its start up to its last row, and counts once, however many alerts
    fall into that window. A false alarm silences further ones of its symbol in the next ``cooldown - 1`` rows; an alert within the
    window of an event is never silenced.

    Parameters
    ----------
    active : ndarray of bool, shape (n_rows, n_symbols)
        Alerts.
    events : Events
        Events on the same panel.
    early : int
        Rows before an event in which an alert catches it, instead of being a false alarm.
    cooldown : int
        Rows, at least 1, in which a false alarm silences further ones of its symbol; 1 silences none.

    Raises
    ------
    ConfigError
        If early or cooldown is out of range, or the shapes differ.
    DataError
        If an alert is neither True (1) nor False (0).

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> active = np.zeros((10, 1), dtype=bool)
    >>> active[[1, 2, 6, 7], 0] = True
    >>> found = fs.match_events(active, fs.Events([0], [5], [8], (10, 1)), cooldown=3)
    >>> found.delay_rows, np.flatnonzero(found.false_alarms)
    (array([2.]), array([1]))
    """
    check_integer("early", early)
    check_integer("cooldown", cooldown)
    check_type("events", events, Events, "make them with fs.Events.from_frame")
    check_array("active", active)
    active = yes_or_no("active", active)
    if early < 0 or cooldown < 1:
        raise ConfigError(f"early must be at least 0 rows and cooldown at least 1, got {early} and {cooldown}")
    if active.shape != events.shape:
        raise ConfigError(f"alerts must have the shape of the events' panel {events.shape}, got {active.shape}; align them")
    alert_row, false_alarms = _match_nb(active, events.col, events.start, events.stop, early, cooldown)
    delay = np.where(alert_row >= 0, alert_row + 1.0 - events.start, np.nan)
    return Matches(alert_row, delay, false_alarms)


@njit(cache=True)
def _match_nb(active, col, start, stop, early, cooldown):
    """First alert in the window of each event, and the alerts outside all windows that no cool-down silences."""
    false = active.copy()
    alert_row = np.full(len(start), -1)
    for i in range(len(start)):
        for row in range(max(start[i] - early, 0), stop[i]):
            if active[row, col[i]]:
                false[row, col[i]] = False
                if alert_row[i] < 0:
                    alert_row[i] = row
    for j in range(false.shape[1]):
        free_from = 0
        for row in range(false.shape[0]):
            if false[row, j]:
                if row < free_from:
                    false[row, j] = False
                else:
                    free_from = row + cooldown
    return alert_row, false
