"""Partitions: one Parquet file of the store, which holds its rows and what is known about them.

The covered ranges are in the footer of the file that has the rows, so no second file can contradict them: one rename publishes
both, and a crash leaves either the old file or the new one. Equal rows and ranges give equal bytes, in whatever order they were
written.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from foreshock.data.errors import DataError
from foreshock.data.store.series import STORED, Range, SeriesKey, ordered, union, without

VERSION = 1
ROWS_PER_GROUP = 1_048_576
ENCODINGS = {pa.int64(): "DELTA_BINARY_PACKED", pa.float64(): "BYTE_STREAM_SPLIT", pa.bool_(): "PLAIN"}
# Errors that Arrow and JSON raise for damaged bytes.
UNREADABLE = (pa.ArrowException, OSError, ValueError, TypeError, LookupError, AttributeError)
MANIFEST, SEAL = b"foreshock.manifest", b"foreshock.sha256"
# Before partitions said their unit, amounts were stored as ccxt gave them: in base currency on spot markets and on these exchanges.
ALWAYS_BASE = ("binance", "binanceusdm", "bybit")


@dataclass(frozen=True)
class Partition:
    """The rows of one partition and the ranges of time in which nothing is missing.

    Parameters
    ----------
    rows : Table
        Rows with the columns of ``STORED``, in order.
    covered : list of (int, int)
        Half-open ranges, epoch ms, ascending and disjoint. Times in them without a row are known to be empty.
    provisional : list of (int, int)
        The parts of them that were fetched while the exchange might still change them.
    """

    rows: pa.Table
    covered: list[Range]
    provisional: list[Range] = field(default_factory=list)

    def with_rows(self, key: SeriesKey, rows: pa.Table, covered: list[Range], final: int, replace: bool) -> Partition:
        """The union with new rows, which replace old rows of the same bar or trade or, with ``replace``, all in their ranges.

        New rows from ``final`` on are provisional.
        """
        old = self
        if replace:
            for start, stop in covered:
                old = old.without(start, stop)
        both = ordered(key, pa.concat_tables([old.rows, rows])) if len(rows) else old.rows
        open_ = [part for before in self.provisional for part in without(before, covered)]
        fresh = [(max(start, final), stop) for start, stop in covered]
        return Partition(both, union([*self.covered, *covered]), union([*open_, *fresh]))

    def rows_of(self, start: int, stop: int) -> pa.Table:
        """The rows of a range."""
        first, last = np.searchsorted(self.rows["time"].to_numpy(), (start, stop))
        return self.rows.slice(first, last - first)

    def without(self, start: int, stop: int) -> Partition:
        """What is left when a range is neither there nor covered."""
        rows = pa.concat_tables([self.rows_of(0, start), self.rows_of(stop, 1 << 62)])
        covered, provisional = (
            [part for one in ranges for part in without(one, [(start, stop)])] for ranges in (self.covered, self.provisional)
        )
        return Partition(rows, covered, provisional)


@dataclass(frozen=True)
class Manifest:
    """The content of a partition's footer."""

    covered: list[Range]
    n_rows: int
    sha256: str
    unit: str
    provisional: list[Range]


def encode(key: SeriesKey, name: str, partition: Partition) -> bytes:
    """The file of a partition; the same bytes for the same content."""
    rows = partition.rows
    manifest = {
        "version": VERSION,
        "series": key.folder,
        "partition": name,
        "covered": partition.covered,
        "rows": len(rows),
        "sha256": _digest(rows),
        "unit": key.unit,
    }
    if partition.provisional:
        manifest["provisional"] = partition.provisional
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink,
        rows.schema,
        compression="zstd",
        compression_level=1,
        use_dictionary=False,
        column_encoding={field.name: ENCODINGS[field.type] for field in rows.schema},
        write_page_checksum=True,
        store_schema=False,
    ) as writer:
        writer.write_table(rows, row_group_size=ROWS_PER_GROUP)
        writer.add_key_value_metadata({MANIFEST: text, SEAL: hashlib.sha256(text).hexdigest().encode()})
    return sink.getvalue().to_pybytes()


def read_manifest(key: SeriesKey, path: Path) -> Manifest:
    """The content of the footer; the rows are not read.

    Raises
    ------
    DataError
        If the file is damaged, or is that of another series or partition.
    """
    try:
        return _manifest(key, path, pq.read_metadata(path))
    except UNREADABLE as error:
        # An error with a number is from the file system: no permission, or no such file.
        if isinstance(error, OSError) and error.errno:
            raise
        raise _damaged(key, path, error) from error


def read_partition(key: SeriesKey, path: Path, columns: list[str] | None = None) -> Partition:
    """Rows and covered ranges; every page is checked against its checksum.

    Raises
    ------
    DataError
        As ``read_manifest``.
    """
    return _read(key, path, columns)[0]


def _read(key: SeriesKey, path: Path, columns: list[str] | None) -> tuple[Partition, Manifest]:
    """Rows and manifest of one open of the file: a writer may replace it between two."""
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            manifest = _manifest(key, path, file.metadata)
            rows = file.read(columns, use_threads=False).replace_schema_metadata()
    except UNREADABLE as error:
        # An error with a number is from the file system: no permission, or no such file.
        if isinstance(error, OSError) and error.errno:
            raise
        raise _damaged(key, path, error) from error
    names = columns or STORED[key.kind].names
    if len(rows) != manifest.n_rows or rows.schema != pa.schema([STORED[key.kind].field(name) for name in names]):
        raise _damaged(key, path, "its rows or columns are not those of its manifest")
    return Partition(rows, manifest.covered, manifest.provisional), manifest


def verify_partition(key: SeriesKey, path: Path) -> Manifest:
    """Read everything and check all rows against the digest, the order and the covered ranges.

    Raises
    ------
    DataError
        As ``read_manifest``.
    """
    partition, manifest = _read(key, path, None)
    if _digest(partition.rows) != manifest.sha256:
        raise _damaged(key, path, "its rows are not those that were written")
    time = partition.rows["time"].to_numpy()
    starts = np.array([start for start, _ in manifest.covered], dtype=np.int64)
    stops = np.array([stop for _, stop in manifest.covered], dtype=np.int64)
    after = np.searchsorted(starts, time, side="right") - 1
    if (after < 0).any() or (time >= stops[after]).any() or ordered(key, partition.rows) is not partition.rows:
        raise _damaged(key, path, "its rows are out of order, doubled, or outside of its covered ranges")
    return manifest


def _manifest(key: SeriesKey, path: Path, footer: pq.FileMetaData) -> Manifest:
    metadata = footer.metadata or {}
    text = metadata[MANIFEST]
    if hashlib.sha256(text).hexdigest().encode() != metadata[SEAL]:
        raise ValueError("its manifest was changed")
    manifest = json.loads(text)
    if manifest["version"] != VERSION:
        raise ValueError(f"it has version {manifest['version']} of the format, this program reads {VERSION}")
    if (manifest["series"], manifest["partition"]) != (key.folder, path.name.removesuffix(".parquet")):
        raise ValueError(f"it is {manifest['partition']} of {manifest['series']}")
    unit = manifest.get("unit")
    if unit is None and (key.market == "spot" or key.exchange in ALWAYS_BASE):
        unit = key.unit
    if unit != key.unit:
        raise ValueError(
            "it does not say that its amounts are in base currency: earlier versions stored those of derivatives as the exchange "
            "counts them, mostly in contracts"
        )
    covered, provisional = ([(start, stop) for start, stop in manifest.get(name, [])] for name in ("covered", "provisional"))
    return Manifest(covered, manifest["rows"], manifest["sha256"], key.unit, provisional)


def _digest(rows: pa.Table) -> str:
    digest = hashlib.sha256()
    for name in rows.column_names:
        values = rows[name].to_numpy()
        # A NaN has many bit patterns, and they do not survive every writer.
        known = np.where(np.isnan(values), np.nan, values) if values.dtype.kind == "f" and np.isnan(values).any() else values
        digest.update(np.ascontiguousarray(known).data)
    return digest.hexdigest()


def _damaged(key: SeriesKey, path: Path, reason: object) -> DataError:
    if isinstance(reason, KeyError):
        reason = "it has no manifest"
    text = (str(reason).strip() or type(reason).__name__).splitlines()[0][:160]
    return DataError(
        f"partition {path.name} of {key} is damaged: {text}; run foreshock store repair, which sets it aside, and fetch again "
        f"({path})"
    )
