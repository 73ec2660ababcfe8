"""The store: history on disk that several processes may write, and that stays valid when a write is interrupted."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa

from foreshock.data.checks import check_integer, check_number, check_path, check_type
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.show.facts import Shown
from foreshock.data.show.shown import shown
from foreshock.data.store.findings import SeriesSummary, StoreReport
from foreshock.data.store.partition import Partition, encode, read_manifest, read_partition, verify_partition
from foreshock.data.store.series import STORED, Range, SeriesKey, checked_range, empty_runs, handed_out, stored_rows, union, without
from foreshock.data.store.writer import SeriesWriter
from foreshock.data.system.disk import PARTIAL, make_folder, renamed_together, sync_folder, writing
from foreshock.data.system.locks import lock

__all__ = ["SeriesKey", "SeriesSummary", "SeriesWriter", "Store", "StoreReport"]

ENVIRONMENT = "FORESHOCK_STORE"
SUFFIX, DAMAGED, LOCK = ".parquet", ".damaged", ".lock"
# A link that somebody planted as the lock is refused; Windows has no such flag.
NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)


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

    @classmethod
    def default(cls) -> Store:
        """The store in the folder ``FORESHOCK_STORE`` of the environment, or in the user's cache folder."""
        import platformdirs

        return cls(os.environ.get(ENVIRONMENT) or platformdirs.user_cache_path("foreshock") / "store")

    def keys(self) -> list[SeriesKey]:
        """The series that have at least one partition, sorted."""
        return sorted({key for _, key in self._partitions() if key is not None})

    def ranges(self, key: SeriesKey) -> list[Range]:
        """Half-open ranges in epoch ms in which nothing is missing, ascending and disjoint.

        Raises
        ------
        DataError
            If a partition is damaged, as in every method that reads.
        """
        check_type("key", key, SeriesKey, "make one with fs.SeriesKey")
        return union(pair for path in self._files(key) for pair in read_manifest(key, path).covered)

    def missing(self, key: SeriesKey, start: int, stop: int) -> list[Range]:
        """The parts of ``[start, stop)`` that were never written; a range that is known to be empty is not missing."""
        check_integer("stop", stop)
        check_integer("start", start)
        wanted = checked_range(key, start, stop)
        names = (f"{name}{SUFFIX}" for name, _, _ in key.partitions(*wanted))
        there = [path for path in map((self.folder / key.folder).joinpath, names) if path.exists()]
        return without(wanted, union(pair for path in there for pair in read_manifest(key, path).covered))

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
        parts = [read_partition(key, path, ["time"]) for path in self._files(key)]
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
        for path in self._files(key):
            # The name gives the start of a partition; it ends where the next one may begin.
            begin = _begin(path)
            _, begin, end = next(key.partitions(begin, begin + 1))
            if begin >= last or end <= first:
                continue
            rows = read_partition(key, path).rows
            edges = np.searchsorted(rows["time"].to_numpy(), (first, last))
            if edges[0] < edges[1]:
                yield handed_out(key, rows.slice(edges[0], edges[1] - edges[0]))

    def write(self, key: SeriesKey, table: pa.Table, start: int, stop: int) -> None:
        """Add rows; afterwards ``[start, stop)`` is covered, and times in it without a row are known to be empty.

        A stored bar of the same time, or trade of the same id, is replaced. Nothing is ever removed. The rows are on the disk when
        this returns. All partitions are written under temporary names before the first is renamed: a full disk leaves the store as
        it was.

        Parameters
        ----------
        key : SeriesKey
            Series to write.
        table : Table
            The columns that ``read`` returns, in any order; ``side`` may be plain text.
        start, stop : int
            Half-open range, epoch ms, that holds every row.

        Raises
        ------
        DataError
            If the table is malformed, a partition is damaged, or the folder cannot be written. The store is then as it was.
        ConfigError
            If the range does not rise or lies outside of the years 2000 to 2099.
        """
        check_integer("start", start)
        check_integer("stop", stop)
        start, stop = checked_range(key, start, stop)
        rows = stored_rows(key, table, start, stop)
        if start == stop:
            return
        time = rows["time"].to_numpy()
        with self._locked(key) as folder:
            parts = [(f"{name}{SUFFIX}", name, begin, end) for name, begin, end in key.partitions(start, stop)]
            with renamed_together(folder, [file for file, *_ in parts]) as partial:
                for file, name, begin, end in parts:
                    covered = max(start, begin), min(stop, end)
                    first, last = np.searchsorted(time, covered)
                    path = folder / file
                    before = read_partition(key, path) if path.exists() else Partition(STORED[key.kind].empty_table(), [])
                    after = before.with_rows(key, rows.slice(first, last - first), covered)
                    partial[file].write_bytes(encode(key, name, after))

    def writer(self, key: SeriesKey, n_rows: int = 50_000, seconds: float = 10.0) -> SeriesWriter:
        """A writer that collects the pages of a series, so that a partition is not rewritten for each page."""
        check_integer("n_rows", n_rows)
        check_number("seconds", seconds)
        check_type("key", key, SeriesKey, "make one with fs.SeriesKey")
        return SeriesWriter(self, key, n_rows, seconds)

    def summary(self) -> list[SeriesSummary]:
        """One entry for each series, from the footers alone; a partition that cannot be read is one of its problems."""
        found = []
        for key in self.keys():
            n_bytes, manifests, problems = 0, [], []
            for path in self._files(key):
                try:
                    manifests.append(read_manifest(key, path))
                    n_bytes += path.stat().st_size
                except (DataError, OSError) as error:
                    problems.append(_problem(path, error))
            covered = union(pair for manifest in manifests for pair in manifest.covered)
            n_rows = sum(manifest.n_rows for manifest in manifests)
            found.append(SeriesSummary(key, n_rows, n_bytes, len(manifests), covered, tuple(problems)))
        return found

    def verify(self) -> StoreReport:
        """Read every partition and check its rows against what was written; nothing is changed.

        A deleted partition is not reported: its range is missing, and is fetched again.
        """
        return self._examine(lambda _path, _key, _error: None)

    def repair(self) -> StoreReport:
        """Rename damaged partitions to ``.damaged``, so that their ranges are missing again, and remove what crashes left.

        Raises
        ------
        DataError
            If the folder cannot be written.
        """
        repaired: list[str] = []

        def set_aside(path: Path, key: SeriesKey | None, error: DataError | OSError) -> None:
            if isinstance(error, OSError):
                # A partition that the file system refuses to read may be valid.
                raise error
            if key is None:
                # The file is not in the folder of a series, so no writer is at work there.
                repaired.append(self._set_aside(path))
                return
            with self._locked(key):
                try:
                    verify_partition(key, path)
                except DataError:
                    repaired.append(self._set_aside(path))

        found = self._examine(set_aside)
        for path in sorted(self.folder.rglob(f"*{SUFFIX}{PARTIAL}")):
            # Another writer may still be writing this file, so it is removed under the lock.
            key = self._key_of(path)
            with self._locked(key) if key else writing(path, "the store"):
                path.unlink(missing_ok=True)
            repaired.append(f"removed {path.relative_to(self.folder)}, which an interrupted write left")
        return StoreReport(found.n_series, found.n_partitions, found.n_rows, found.problems, tuple(repaired))

    def _examine(self, on_problem: Callable[[Path, SeriesKey | None, DataError | OSError], None]) -> StoreReport:
        series, n_partitions, n_rows, problems = set(), 0, 0, []
        for path, key in self._partitions():
            try:
                if key is None:
                    raise DataError(f"{path} lies where the store has no series; it was moved or renamed")
                n_rows += verify_partition(key, path).n_rows
                n_partitions += 1
                series.add(key)
            except (DataError, OSError) as error:
                problems.append(_problem(path, error))
                on_problem(path, key, error)
        return StoreReport(len(series), n_partitions, n_rows, tuple(problems))

    def _set_aside(self, path: Path) -> str:
        aside = path.with_name(path.name + DAMAGED)
        number = 1
        while aside.exists():
            number += 1
            aside = path.with_name(f"{path.name}{DAMAGED}{number}")
        with writing(path, "the store"):
            os.replace(path, aside)
            sync_folder(path.parent)
        return f"set aside {path.relative_to(self.folder)} as {aside.name}; its range is missing now, fetch it again"

    def _files(self, key: SeriesKey) -> list[Path]:
        """The partitions of a series in the order of time."""
        return sorted((self.folder / key.folder).glob(f"*{SUFFIX}"))

    def _partitions(self) -> Iterator[tuple[Path, SeriesKey | None]]:
        for path in sorted(self.folder.rglob(f"*{SUFFIX}")):
            yield path, self._key_of(path)

    def _key_of(self, path: Path) -> SeriesKey | None:
        try:
            return SeriesKey.from_folder(path.parent.relative_to(self.folder).as_posix())
        except (ConfigError, ValueError):
            return None

    @contextmanager
    def _locked(self, key: SeriesKey) -> Iterator[Path]:
        """The folder of a series, locked against other writers and cleared of what an interrupted write left."""
        folder = self.folder / key.folder
        with writing(folder, "the store"):
            make_folder(folder)
            descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | NO_FOLLOW, 0o644)
            try:
                lock(descriptor, True)
                for partial in folder.glob(f"*{PARTIAL}"):
                    partial.unlink()
                yield folder
            finally:
                os.close(descriptor)

    def _facts(self) -> Iterator[str]:
        yield shown(str(self.folder), 120)


def _problem(path: Path, error: DataError | OSError) -> str:
    if isinstance(error, OSError):
        return f"partition {path.name} cannot be read: {error.strerror or error}; check its permissions and the disk ({path})"
    return str(error)


def _begin(path: Path) -> int:
    """Start of a partition in epoch ms, from its name."""
    try:
        return int(np.datetime64(path.name.removesuffix(SUFFIX), "ms").astype(np.int64))
    except ValueError as error:
        raise DataError(f"{path} is not named like a partition; it was moved or renamed, run foreshock store repair") from error
