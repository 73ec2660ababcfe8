"""Export of stored series to files that ``read_bars``, ``read_trades`` and ``read_book`` can read."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
from pyarrow.parquet import ParquetWriter

from foreshock.data.books.orderbook import BOOK_COLUMNS
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.show.shown import few
from foreshock.data.store.series import SeriesKey
from foreshock.data.store.snapshots import read_snapshots
from foreshock.data.store.store import Store
from foreshock.data.system.disk import written_whole

SUFFIXES = (".csv", ".parquet")


def find_series(
    store: Store, symbol: str, kind: str = "ohlcv", exchange: str | None = None, timeframe: str | None = None
) -> SeriesKey:
    """The only series of a store that matches.

    Raises
    ------
    DataError
        If no series matches, or more than one.
    """
    keys = store.keys()
    keys = [key for key in keys if (key.symbol, key.kind) == (symbol, kind) and exchange in (None, key.exchange)]
    keys = [key for key in keys if timeframe in (None, key.timeframe)]
    if len(keys) == 1:
        return keys[0]
    asked = " ".join(part for part in (exchange, symbol, kind, timeframe) if part)
    if not keys:
        raise DataError(f"no series {asked} in {store.folder}; foreshock store ls shows what is there")
    raise DataError(f"{len(keys)} series are {asked}: {few(map(str, keys))}; add --exchange or --timeframe")


def export_series(store: Store, key: SeriesKey, path: str | Path, start: int | None = None, stop: int | None = None) -> int:
    """Write the rows of ``[start, stop)`` in epoch ms as CSV or Parquet, times as UTC timestamps; returns their number.

    Raises
    ------
    ConfigError
        If the path ends in neither ``.csv`` nor ``.parquet``, or its folder is not there.
    DataError
        If there are no rows, a partition is damaged, or the file cannot be written. A file that was at the path is then unchanged.
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise ConfigError(f"the file must end in {' or '.join(SUFFIXES)}, got {path}")
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"the folder of the file must be there, got {path}; make it first")
    parts = iter([_book_rows(store, key, start, stop)]) if key.kind == "book" else store.parts(key, start, stop)
    part = next(parts, None)
    if part is None:
        raise DataError(f"{key} has no row in that range; foreshock store ls shows what is there")
    schema, csv, n_rows = _handed_out(key, part).schema, path.suffix == ".csv", 0
    with (
        written_whole(path) as partial,
        pyarrow.csv.CSVWriter(partial, schema) if csv else ParquetWriter(partial, schema, **parquet_options(schema)) as writer,
    ):
        # A month of trades is never in memory at once.
        for rows in chain([part], parts):
            writer.write_table(_handed_out(key, rows))
            n_rows += len(rows)
    return n_rows


def _handed_out(key: SeriesKey, rows: pa.Table) -> pa.Table:
    time = rows["time"].cast(pa.timestamp("ms", "UTC"))
    rows = rows.set_column(0, "time", time).add_column(1, "symbol", pa.repeat(key.symbol, len(rows)))
    if key.kind == "trades":
        rows = rows.set_column(rows.column_names.index("side"), "side", rows["side"].cast(pa.string()))
    return rows


def _book_rows(store: Store, key: SeriesKey, start: int | None, stop: int | None) -> pa.Table:
    book = read_snapshots(store, key, start, stop)
    columns = {name: np.ascontiguousarray(book.column(name)) for name in BOOK_COLUMNS}
    return pa.table({"time": book.time.astype("datetime64[ms]").astype(np.int64), **columns})


def parquet_options(schema: pa.Schema) -> dict[str, Any]:
    """Options of Parquet for small and fast files of ticks: times and ids as differences, texts in a dictionary."""
    words = [field.name for field in schema if pa.types.is_string(field.type)]
    encodings = {
        field.name: "BYTE_STREAM_SPLIT" if pa.types.is_floating(field.type) else "DELTA_BINARY_PACKED"
        for field in schema
        if field.name not in words
    }
    return {"compression": "zstd", "compression_level": 1, "use_dictionary": words, "column_encoding": encodings}
