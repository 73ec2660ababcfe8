"""Detectors row by row: the base of their streams, and the one that suits every detector, a ring of rows around ``score``."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from foreshock.data.checks import check_array
from foreshock.data.errors import DataError
from foreshock.data.stream.state import Stream
from foreshock.engine.features.features import Features
from foreshock.engine.out_of_sample.lookback import past_of

LONGEST = 2**62


class DetectorStream(Stream):
    """Scores of a fitted detector one row at a time, with the bits of ``score`` over the whole history.

    The state holds what was seen of the rows, and not what the detector learned: save the detector beside it.

    Parameters
    ----------
    detector : Detector
        Fitted.
    features : Features
        Rows before the first; there may be none of them. Their symbols, names and interval are those of the rows to come.
    """

    fixed = ("symbols", "names", "interval", "comparable")
    carries = ("_next", "_start_row", "_n")

    def __init__(self, detector: Any, features: Features) -> None:
        self.detector = detector
        self.symbols, self.names, self.comparable = features.symbols, features.names, features.comparable
        # In microseconds.
        self.interval = int(features.interval.astype("timedelta64[us]").astype(np.int64))
        self._next: int | None = None
        # Rows are counted on from the first, as in a batch, even if some are left out.
        self._start_row = self._n = 0

    def update(self, row: np.ndarray, time: np.datetime64 | None = None) -> np.ndarray:
        """Scores of the next row, shape (n_symbols,).

        Parameters
        ----------
        row : ndarray, shape (n_symbols, n_features)
            Features of the row; NaN where not known.
        time : datetime64, optional
            Open of the row; by default one interval after the row before.
        """
        check_array("row", row)
        x = np.ascontiguousarray(row, dtype=np.float64)
        shape = (len(self.symbols), len(self.names))
        if x.shape != shape:
            raise DataError(f"a row of features must have the shape (n_symbols, n_features) = {shape}, got {x.shape}")
        if np.isinf(x).any():
            symbol, column = map(int, np.argwhere(np.isinf(x))[0])
            raise DataError(f"features must be finite, or NaN where not known, got {x[symbol, column]} in {self.names[column]}")
        at = self._next if time is None else int(time.astype("datetime64[us]").astype(np.int64))
        if at is None:
            raise DataError("the first row of a detector stream needs its time; pass time, or rows before it")
        if self._next is not None and at < self._next:
            raise DataError(f"rows must come in order, got {np.datetime64(at, 'us')} after {np.datetime64(self._next, 'us')}")
        if not self._n:
            self._begin(at // self.interval)
        self._next = at + self.interval
        self._n += 1
        return self._step(x, at)

    def after(self, features: Features) -> Self:
        """The stream itself, once it has taken as many of the last rows of ``features`` as scores can depend on."""
        past = past_of(self.detector, features.n_rows)
        for row in range(features.n_rows - past, features.n_rows):
            self.update(features.values[row], features.time[row])
        if features.n_rows:
            self._next = int(features.time[-1].astype("datetime64[us]").astype(np.int64)) + self.interval
        return self

    def _begin(self, start_row: int) -> None:
        """The first row comes, with this number on the grid of whole intervals since 1970."""
        self._start_row = start_row

    @abstractmethod
    def _step(self, row: np.ndarray, time: int) -> np.ndarray:
        raise NotImplementedError


@dataclass(frozen=True, repr=False)
class _Tail(Features):
    """The last rows of a stream: rows are numbered on from its first, also where some were left out."""

    first_row: int = 0

    @property
    def start_row(self) -> int:
        return self.first_row

    def rows(self, rows: slice) -> Features:
        return replace(super().rows(rows), first_row=self.first_row + rows.indices(self.n_rows)[0])  # pyright: ignore[reportCallIssue]


class RingStream(DetectorStream):
    """Any detector: the rows that a score can depend on are kept and scored again at each row, by the detector's own ``score``."""

    def __init__(self, detector: Any, features: Features) -> None:
        super().__init__(detector, features)
        # Longer than any history if scores depend on all rows.
        self._past = past_of(detector, LONGEST)
        self._time = np.zeros(0, dtype=np.int64)
        self._values = np.zeros((0, len(self.symbols), len(self.names)))
        # The rows that are kept lie at [_from, _to) of arrays that are twice as long.
        self._from = self._to = 0

    def state(self) -> dict[str, Any]:
        kept = slice(self._from, self._to)
        return super().state() | {"time": self._time[kept].copy(), "values": self._values[kept].copy()}

    def restore(self, state: Mapping[str, Any]) -> Self:
        rest = {name: value for name, value in state.items() if name not in ("time", "values")}
        super().restore(rest)
        if not {"time", "values"} <= set(state) or state["values"].shape[1:] != self._values.shape[1:]:
            raise DataError(
                f"the state is not one of {self.detector.name} on these symbols; restore that of a stream made as this one"
            )
        self._time, self._values = np.array(state["time"]), np.array(state["values"])
        self._from, self._to = 0, len(self._time)
        return self

    def after(self, features: Features) -> Self:
        past = past_of(self.detector, features.n_rows)
        if past:
            rows = features.rows(slice(features.n_rows - past, None))
            self._time, self._values = rows.time.astype("datetime64[us]").astype(np.int64), np.array(rows.values, dtype=np.float64)
            self._from, self._to, self._n = 0, past, past
            self._start_row = rows.start_row
        self._next = int(features.time[-1].astype("datetime64[us]").astype(np.int64)) + self.interval if features.n_rows else None
        return self

    def _step(self, row: np.ndarray, time: int) -> np.ndarray:
        self._append(row, time)
        return self.detector.score(self._tail()).values[-1]

    def _append(self, row: np.ndarray, time: int) -> None:
        self._from = max(self._from, self._to - self._past)
        if self._to == len(self._time):
            kept = slice(self._from, self._to)
            more = max(self._to - self._from, 16)
            self._time = np.concatenate([self._time[kept], np.zeros(more, dtype=np.int64)])
            self._values = np.concatenate([self._values[kept], np.zeros((more, *self._values.shape[1:]))])
            self._from, self._to = 0, self._to - self._from
        self._time[self._to], self._values[self._to] = time, row
        self._to += 1

    def _tail(self) -> Features:
        kept = slice(self._from, self._to)
        found = object.__new__(_Tail)
        # The rows were checked one by one as they came.
        vars(found).update(
            time=self._time[kept].view("datetime64[us]"), symbols=self.symbols, names=self.names, values=self._values[kept],
            interval=np.timedelta64(self.interval, "us"), comparable=self.comparable,
            first_row=self._start_row + self._n - (self._to - self._from),
        )  # fmt: skip
        return found


def no_rows(state: Mapping[str, Any]) -> Features:
    """Features without rows, of the symbols, names and interval in the state of a stream."""
    if not {"symbols", "names", "interval", "comparable"} <= set(state):
        raise DataError("the state is not one of a detector stream, got other entries; pass what state() of such a stream returned")
    symbols, names = tuple(state["symbols"]), tuple(state["names"])
    none = np.zeros(0, dtype="datetime64[us]")
    interval = np.timedelta64(state["interval"], "us")
    return Features(none, symbols, names, np.zeros((0, len(symbols), len(names))), interval, state["comparable"])
