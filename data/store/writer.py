"""Collection of the pages of a series, so that a partition is not rewritten for each page."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from typing import Protocol

import pyarrow as pa

from foreshock.data.store.series import Range, SeriesKey, checked_range, handed_out, stored_rows


class Writable(Protocol):
    """Destination of pages, such as a ``Store``."""

    def write(
        self,
        key: SeriesKey,
        table: pa.Table,
        start: int,
        stop: int,
        final: int | None = None,
        replace: bool = False,
        holes: Sequence[Range] = (),
    ) -> None: ...


class SeriesWriter:
    """Collects pages of one series and writes them to a store together once they are many or old.

    Parameters
    ----------
    store : Writable
        Destination, such as a ``Store``.
    key : SeriesKey
        Series to write.
    n_rows : int
        Number of collected rows at which they are written.
    seconds : float
        Time after which the next page writes all collected pages, however few they are.
    replace : bool
        See ``Store.write``.

    Notes
    -----
    Use it in a ``with`` block: its end writes the rest, also after an exception, since each page is valid by itself. A kill loses
    only the collected pages, which stay missing and are fetched again.
    """

    def __init__(self, store: Writable, key: SeriesKey, n_rows: int, seconds: float, replace: bool = False) -> None:
        self.store, self.key, self.n_rows, self.seconds, self.replace = store, key, n_rows, seconds, replace
        self._tables: list[pa.Table] = []
        self._range: Range | None = None
        self._final: int | None = None
        self._holes: list[Range] = []
        self._since = monotonic()

    def write(self, table: pa.Table, start: int, stop: int, final: int | None = None, holes: Sequence[Range] = ()) -> None:
        """Add a page; see ``Store.write``."""
        # Each page is checked at once, so that a malformed one does not spoil those collected before.
        rows = handed_out(self.key, stored_rows(self.key, table, *checked_range(self.key, start, stop)))
        if self._range is not None and not self._range[0] <= start <= self._range[1]:
            self.flush()
        if self._range is None:
            self._range, self._since = (start, stop), monotonic()
        self._tables.append(rows)
        self._holes += holes
        self._range = self._range[0], max(self._range[1], stop)
        if final is not None:
            self._final = final if self._final is None else min(final, self._final)
        if sum(map(len, self._tables)) >= self.n_rows or monotonic() - self._since >= self.seconds:
            self.flush()

    def flush(self) -> None:
        """Write the collected pages."""
        if self._range is not None:
            self.store.write(self.key, pa.concat_tables(self._tables), *self._range, self._final, self.replace, self._holes)
            self._tables, self._range, self._final, self._holes = [], None, None, []

    def __enter__(self) -> SeriesWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()
