"""The store: history on disk that several processes may write, and that stays valid when a write is interrupted."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import time as clock

import numpy as np
import pyarrow as pa

from foreshock.data.checks import check_each, check_integer, check_number, check_path, check_switch, check_type
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.show.facts import Shown
from foreshock.data.show.shown import shown
from foreshock.data.store.examination import examine, problem, repair
from foreshock.data.store.findings import SeriesSummary, StoreReport
from foreshock.data.store.journal import Note, read_notes, revisions, write_notes
from foreshock.data.store.layout import SUFFIX, Layout, begin_of
from foreshock.data.store.partition import Partition, encode, read_manifest, read_partition
from foreshock.data.store.series import STORED, Range, SeriesKey, checked_range, empty_runs, handed_out, stored_rows, union, without
from foreshock.data.store.writer import SeriesWriter
from foreshock.data.system.disk import renamed_together

__all__ = ["SeriesKey", "SeriesSummary", "SeriesWriter", "Store", "StoreReport"]

ENVIRONMENT = "FORESHOCK_STORE"


@door
class Store(Shown):
    """Bars, trades, funding rates and order books of many markets in Parquet partitions under one folder.

    A partition is a year, a month, a day or an hour of one series, and records which ranges of time it covers. It is
    written under a temporary name, flushed to the disk, and renamed: readers need no lock and see either the old one or the new
    one. Writers of one series take turns.

    Parameters
    ----------
    folder : str or Path
        Folder of the store; created by the first write.

    Examples
    --------
    >>> import foreshock as fs
    >>> import pyarrow as pa
    >>> import tempfile
    >>> store = fs.Store(tempfile.mkdtemp())
    >>> key = fs.SeriesKey("binance", "spot", "BTC/USDT", "funding")
    >>> eight_hours, start = 28_800_000, 1_704_067_200_000
    >>> rates = pa.table({"time": [start, start + eight_hours], "rate": [1e-4, 2e-4]})
    >>> store.write(key, rates, start, start + 3 * eight_hours)
    >>> store.missing(key, start, start + 4 * eight_hours)
    [(1704153600000, 1704182400000)]
    >>> store.read(key, start=start + eight_hours)["rate"].to_pylist()
    [0.0002]
    """

    def __init__(self, folder: str | Path) -> None:
        check_path("folder", folder)
        self.folder = Path(folder)
        self._layout = Layout(self.folder)

    @classmethod
    def default(cls) -> Store:
        """The store in the folder ``FORESHOCK_STORE`` of the environment, or in the user's cache folder."""
        import platformdirs

        return cls(os.environ.get(ENVIRONMENT) or platformdirs.user_cache_path("foreshock") / "store")

    def keys(self) -> list[SeriesKey]:
        """The series that have at least one partition, sorted."""
        return sorted({key for _, key in self._layout.partitions() if key is not None})

    def ranges(self, key: SeriesKey) -> list[Range]:
        """Half-open ranges in epoch ms in which nothing is missing, ascending and disjoint.

        Raises
        ------
        DataError
            If a partition is damaged, as in every method that reads.
        """
        check_type("key", key, SeriesKey, "make one with fs.SeriesKey")
        return union(pair for path in self._layout.files(key) for pair in read_manifest(key, path).covered)

    def missing(self, key: SeriesKey, start: int, stop: int) -> list[Range]:
        """The parts of ``[start, stop)`` that were never written; a range that is known to be empty is not missing."""
        check_integer("stop", stop)
        check_integer("start", start)
        wanted = checked_range(key, start, stop)
        names = (f"{name}{SUFFIX}" for name, _, _ in key.partitions(*wanted))
        there = [path for path in map((self.folder / key.folder).joinpath, names) if path.exists()]
        return without(wanted, union(pair for path in there for pair in read_manifest(key, path).covered))

    def provisional(self, key: SeriesKey, start: int, stop: int) -> list[Range]:
        """The covered parts of ``[start, stop)`` that were fetched while the exchange might still change them.

        The bars of the last ten minutes are, or of the last day, if the exchange does not say what time it is. A later fetch asks
        for them again.
        """
        check_integer("stop", stop)
        check_integer("start", start)
        check_type("key", key, SeriesKey, "make one with fs.SeriesKey")
        parts = union(part for path in self._layout.files(key) for part in read_manifest(key, path).provisional)
        return [(max(a, start), min(b, stop)) for a, b in parts if a < stop and b > start]

    def known_empty(self, key: SeriesKey) -> list[Range]:
        """Runs of bars that were requested and that the exchange does not have, as half-open ranges of their opens.

        Raises
        ------
        ConfigError
            If the series does not hold bars: other kinds have no grid on which a row could be missing.
        """
        check_type("key", key, SeriesKey, "make one with fs.SeriesKey")
        if key.kind != "ohlcv":
            raise ConfigError(f"only bars can be known to be missing, got {key}; pass a series of ohlcv")
        parts = [read_partition(key, path, ["time"]) for path in self._layout.files(key)]
        time = np.concatenate([part.rows["time"].to_numpy() for part in parts] or [np.empty(0, np.int64)])
        return empty_runs(key, time, union(pair for part in parts for pair in part.covered))

    def read(self, key: SeriesKey, start: int | None = None, stop: int | None = None) -> pa.Table:
        """The rows of ``[start, stop)`` in epoch ms, sorted by time, each bar or trade once; an empty table if there are none.

        Parameters
        ----------
        key : SeriesKey
            Series to read.
        start, stop : int, optional
            By default from the first row to the last.

        Returns
        -------
        Table
            ``time`` (int64, epoch ms) and, for bars, ``open high low close volume``; for trades, ``id price amount side`` (of the
            taker, a dictionary of ``buy`` and ``sell``); for funding, ``rate``; for books, ``{bids,asks}_{price,amount}_{0..14}``,
            NaN where there is no level.
        """
        if start is not None:
            check_integer("start", start)
        if stop is not None:
            check_integer("stop", stop)
        check_type("key", key, SeriesKey, "make one with fs.SeriesKey")
        parts = list(self.parts(key, start, stop))
        return pa.concat_tables(parts) if parts else handed_out(key, STORED[key.kind].empty_table())

    def parts(self, key: SeriesKey, start: int | None = None, stop: int | None = None) -> Iterator[pa.Table]:
        """The rows of ``read``, with one partition in memory at a time; no table is empty."""
        if start is not None:
            check_integer("start", start)
        if stop is not None:
            check_integer("stop", stop)
        check_type("key", key, SeriesKey, "make one with fs.SeriesKey")
        first, last = 0 if start is None else start, 1 << 42 if stop is None else stop
        for path in self._layout.files(key):
            # The name gives the start of a partition; it ends where the next one may begin.
            begin = begin_of(path)
            _, begin, end = next(key.partitions(begin, begin + 1))
            if begin >= last or end <= first:
                continue
            rows = read_partition(key, path).rows
            edges = np.searchsorted(rows["time"].to_numpy(), (first, last))
            if edges[0] < edges[1]:
                yield handed_out(key, rows.slice(edges[0], edges[1] - edges[0]))

    def write(
        self,
        key: SeriesKey,
        table: pa.Table,
        start: int,
        stop: int,
        final: int | None = None,
        replace: bool = False,
        holes: Sequence[Range] = (),
    ) -> None:
        """Add rows; afterwards ``[start, stop)`` is covered, and times in it without a row are known to be empty.

        A stored bar of the same time, or trade of the same id, is replaced; ``notes`` has its values if they were final and others.
        Nothing is removed, unless ``replace`` says so. The rows are on the disk when this returns. All partitions are written
        under temporary names before the first is renamed: a full disk leaves the store as it was.

        Parameters
        ----------
        key : SeriesKey
            Series to write.
        table : Table
            The columns that ``read`` returns, in any order; ``side`` may be plain text.
        start, stop : int
            Half-open range, epoch ms, that holds every row.
        final : int, optional
            Rows from this time on, epoch ms, are provisional; by default none.
        replace : bool
            Remove all stored rows of the range first.
        holes : sequence of (int, int)
            Ranges without a row in it that are not covered: what is in them is not known.

        Raises
        ------
        DataError
            If the table is malformed, a partition is damaged, or the folder cannot be written. The store is then as it was.
        ConfigError
            If the range does not rise or lies outside of the years 2000 to 2099.
        """
        check_integer("start", start)
        check_integer("stop", stop)
        if final is not None:
            check_integer("final", final)
        check_switch("replace", replace)
        start, stop = checked_range(key, start, stop)
        rows = stored_rows(key, table, start, stop)
        if start == stop:
            return
        time, now = rows["time"].to_numpy(), int(clock() * 1000)
        with self._layout.locked(key) as folder:
            self._layout.remember(key)
            parts = [(f"{name}{SUFFIX}", name, begin, end) for name, begin, end in key.partitions(start, stop)]
            notes: list[Note] = []
            with renamed_together(folder, [file for file, *_ in parts]) as partial:
                for file, name, begin, end in parts:
                    first, last = np.searchsorted(time, (max(start, begin), min(stop, end)))
                    covered = without((max(start, begin), min(stop, end)), union(holes))
                    path, fresh = folder / file, rows.slice(first, last - first)
                    before = read_partition(key, path) if path.exists() else Partition(STORED[key.kind].empty_table(), [])
                    known = [before.rows_of(*part) for one in covered for part in without(one, before.provisional)]
                    if any(map(len, known)):
                        notes += revisions(pa.concat_tables(known), fresh, "id" if key.kind == "trades" else "time", now)
                    after = before.with_rows(key, fresh, covered, stop if final is None else final, replace)
                    partial[file].write_bytes(encode(key, name, after))
            write_notes(folder, notes)

    def drop(self, key: SeriesKey, start: int | None = None, stop: int | None = None) -> int:
        """Remove the rows of ``[start, stop)`` in epoch ms, by default all; the range is missing then. Returns their number.

        Raises
        ------
        DataError
            If a partition is damaged, or the folder cannot be written.
        """
        if start is not None:
            check_integer("start", start)
        if stop is not None:
            check_integer("stop", stop)
        check_type("key", key, SeriesKey, "make one with fs.SeriesKey")
        first, last = 0 if start is None else start, 1 << 42 if stop is None else stop
        n_rows = 0
        if not self._layout.files(key):
            return n_rows
        with self._layout.locked(key) as folder:
            for path in self._layout.files(key):
                before = read_partition(key, path)
                after = before.without(first, last)
                n_rows += len(before.rows) - len(after.rows)
                if not after.covered:
                    path.unlink()
                elif after.covered != before.covered:
                    with renamed_together(folder, [path.name]) as partial:
                        partial[path.name].write_bytes(encode(key, path.name.removesuffix(SUFFIX), after))
            if not self._layout.files(key):
                self._layout.forget(key)
        return n_rows

    def notes(self, key: SeriesKey) -> list[Note]:
        """What happened to single rows, in the order of their time: set aside, dropped or revised; see ``Note``."""
        check_type("key", key, SeriesKey, "make one with fs.SeriesKey")
        return read_notes(self.folder / key.folder)

    def add_notes(self, key: SeriesKey, notes: Sequence[Note]) -> None:
        """Keep notes with a series; one that is there already is not kept twice."""
        check_type("key", key, SeriesKey, "make one with fs.SeriesKey")
        check_each("notes", notes, Note)
        if notes:
            with self._layout.locked(key) as folder:
                self._layout.remember(key)
                write_notes(folder, notes)

    def writer(self, key: SeriesKey, n_rows: int = 50_000, seconds: float = 10.0, replace: bool = False) -> SeriesWriter:
        """A writer that collects the pages of a series, so that a partition is not rewritten for each page."""
        check_integer("n_rows", n_rows)
        check_number("seconds", seconds)
        check_switch("replace", replace)
        check_type("key", key, SeriesKey, "make one with fs.SeriesKey")
        return SeriesWriter(self, key, n_rows, seconds, replace)

    def summary(self) -> list[SeriesSummary]:
        """One entry for each series, from the footers alone; a partition that cannot be read is one of its problems."""
        found = []
        for key in self.keys():
            n_bytes, manifests, problems = 0, [], []
            for path in self._layout.files(key):
                try:
                    manifests.append(read_manifest(key, path))
                    n_bytes += path.stat().st_size
                except (DataError, OSError) as error:
                    problems.append(problem(path, error))
            covered = union(pair for manifest in manifests for pair in manifest.covered)
            n_rows = sum(manifest.n_rows for manifest in manifests)
            found.append(SeriesSummary(key, n_rows, n_bytes, len(manifests), covered, tuple(problems), key.unit))
        return found

    def verify(self) -> StoreReport:
        """Read every partition and check its rows against what was written; nothing is changed.

        A deleted partition is not reported: its range is missing, and is fetched again. The folder of a series that is gone as a
        whole is a problem, and so is a link to a folder that is not there.
        """
        return examine(self._layout)

    def repair(self) -> StoreReport:
        """Rename damaged partitions to ``.damaged``, so that their ranges are missing again, and remove what crashes left.

        Raises
        ------
        DataError
            If the folder cannot be written.
        """
        return repair(self._layout)

    def _facts(self) -> Iterator[str]:
        yield shown(str(self.folder), 120)
