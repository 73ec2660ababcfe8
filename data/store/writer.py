"""Pages of a series collected, so that a partition is not written anew for each."""

from __future__ import annotations

from time import monotonic
from typing import Protocol

import pyarrow as pa

from foreshock.data.store.series import Range, SeriesKey, checked_range, handed_out, stored_rows


class Writable(Protocol):
    """Where pages go in the end, such as a ``Store``."""

    def write(self, key: SeriesKey, table: pa.Table, start: int, stop: int) -> None: ...


class SeriesWriter:
    """Pages of one series on their way into a store, written together once they are many or old.

    Parameters
    ----------
    store : Writable
        Such as a ``Store``.
    key : SeriesKey
    n_rows : int
        Rows that are held at most before they are written.
    seconds : float
        Time after which the next page writes what is held, whatever it is.

    Notes
    -----
    Use it in a ``with`` block: its end writes the rest, after an exception too, since each page is good by itself. A kill
    loses what is held and nothing else; it stays missing and is fetched again.
    """

    def __init__(self, store: Writable, key: SeriesKey, n_rows: int, seconds: float) -> None:
        self.store, self.key, self.n_rows, self.seconds = store, key, n_rows, seconds
        self._tables: list[pa.Table] = []
        self._range: Range | None = None
        self._since = monotonic()

    def write(self, table: pa.Table, start: int, stop: int) -> None:
        """Take a page; see ``Store.write``."""
        if self._range is not None and not self._range[0] <= start <= self._range[1]:
            self.flush()
        if self._range is None:
            self._range, self._since = (start, stop), monotonic()
        # Checked page by page, so that a bad one does not take the good ones with it.
        rows = handed_out(self.key, stored_rows(self.key, table, *checked_range(self.key, start, stop)))
        self._tables.append(rows)
        self._range = self._range[0], max(self._range[1], stop)
        if sum(map(len, self._tables)) >= self.n_rows or monotonic() - self._since >= self.seconds:
            self.flush()

    def flush(self) -> None:
        """Write what is held."""
        if self._range is not None:
            self.store.write(self.key, pa.concat_tables(self._tables), *self._range)
            self._tables, self._range = [], None

    def __enter__(self) -> SeriesWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()
