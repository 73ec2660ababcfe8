"""Rows of CSV, Parquet and Feather files, and of archives with one CSV: the one front of every reader of the project."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.ipc
from pyarrow.parquet import ParquetFile

from foreshock.data.errors import ConfigError, DataError
from foreshock.data.reading import separated
from foreshock.data.reading.kinds import Kinds, lowered, refuse_doubled
from foreshock.data.reading.limits import check_size, feather_rows, unpacked

CSV = (".csv", ".csv.gz", ".csv.zip", ".zip")
PARQUET = (".parquet", ".pq")
FEATHER = (".feather", ".arrow")
SUFFIXES = (*CSV, *PARQUET, *FEATHER)
# Read for bars alone.
JSON = ".json"
ROWS = "has rows that take"
# As much of the text of a compressed file as the header and the first row take.
HEAD = 1 << 20


def suffix_of(path: Path) -> str:
    """The ending that says how a file is read; none if it is not read."""
    return next((suffix for suffix in SUFFIXES if path.name.lower().endswith(suffix)), "")


def stem_of(path: Path) -> str:
    """The name of a file without that ending."""
    suffix = suffix_of(path) or (JSON if path.name.lower().endswith(JSON) else "")
    return path.name[: -len(suffix)] if suffix else path.name


def check_file(path: Path, what: str) -> str:
    """The ending of a file that is there, is of a kind that is read, and is not empty.

    Parameters
    ----------
    path : Path
        The file.
    what : str
        What its rows are, such as ``"bars"``.
    """
    if not path.is_file():
        raise DataError(f"no such file: {path}; pass a CSV, Parquet or Feather file of {what}")
    suffix = suffix_of(path)
    if not suffix:
        raise DataError(f"{path} must end in one of {', '.join(SUFFIXES)}; convert it first")
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty (0 bytes); expected a table of {what}")
    return suffix


@contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Put the path in front of the message of an error about the content of a file, and say what cannot be read in a sentence."""
    try:
        yield
    except ConfigError as error:
        # An argument is at fault, and not the file.
        raise ConfigError(f"{path}: {error}") from error
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    except UnicodeDecodeError as error:
        byte = f"byte 0x{error.object[error.start]:02x} at {error.start}"
        raise DataError(f"{path}: not UTF-8 text ({byte}); save it as UTF-8, or check that it is a CSV file") from error
    except (pa.ArrowException, OSError, EOFError, zlib.error, zipfile.BadZipFile, ValueError, TypeError, LookupError) as error:
        # Damaged files and their metadata raise any of these.
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:160]
        suffix = suffix_of(Path(path))[1:]
        raise DataError(f"{path}: cannot be read as {suffix}: {reason}; check that its content fits its name") from error


def read_rows(path: Path, kinds: Kinds, what: str, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """All rows of a file; see ``separated.read_csv`` for how strictly, and for ``columns`` of a CSV file without a header.

    Raises
    ------
    DataError
        If the file is missing, empty, of another kind, damaged or malformed; the message begins with its path.
    """
    suffix = check_file(path, what)
    with naming(path):
        if suffix in CSV:
            return separated.read_csv(_text(path, suffix), kinds, columns)
        if columns is not None:
            raise DataError("its columns have names, so columns= is for CSV and JSON files alone; leave it out")
        table = _parquet(path, kinds) if suffix in PARQUET else _feather(path)
        refuse_doubled(table.column_names)
        return table.to_pandas(split_blocks=True)


def scan_rows(path: Path, kinds: Kinds, what: str, n_rows: int) -> Iterator[pd.DataFrame]:
    """The known columns of a CSV or Parquet file in runs of ``n_rows``, of which the last may be shorter."""
    suffix = check_file(path, what)
    with naming(path):
        if suffix in FEATHER:
            raise DataError("this format cannot be read in runs; convert it to Parquet, or use read_trades")
        yield from _scan_parquet(path, kinds, n_rows) if suffix in PARQUET else _scan_csv(path, suffix, kinds, n_rows)


def _words(schema: pa.Schema, kinds: Kinds) -> list[str]:
    """Text that is repeated in millions of rows is read and looked up once."""
    texts = (field for field in schema if pa.types.is_string(field.type) or pa.types.is_large_string(field.type))
    return [field.name for field in texts if lowered(field.name) in kinds.words]


def _parquet(path: Path, kinds: Kinds) -> pa.Table:
    with ParquetFile(path, memory_map=True) as file:
        # A column of one value takes a few bytes, whatever the number of rows.
        check_size(8 * file.metadata.num_rows * len(file.schema_arrow), path.stat().st_size, ROWS)
        words = _words(file.schema_arrow, kinds)
        if not words:
            return file.read()
    with ParquetFile(path, memory_map=True, read_dictionary=words) as file:
        return file.read()


def _feather(path: Path) -> pa.Table:
    with pa.memory_map(str(path)) as file:
        n_columns = len(pyarrow.ipc.open_file(file).schema) if (n_rows := feather_rows(path)) else 0
    check_size(8 * n_rows * n_columns, path.stat().st_size, ROWS)
    return pyarrow.feather.read_table(path, memory_map=True)


def _scan_parquet(path: Path, kinds: Kinds, n_rows: int) -> Iterator[pd.DataFrame]:
    with ParquetFile(path) as file:
        schema = file.schema_arrow
    refuse_doubled(schema.names)
    known = [name for name in schema.names if lowered(name) in kinds.known]
    # With ``pre_buffer``, the default, the whole file would be read ahead.
    with ParquetFile(path, read_dictionary=_words(schema, kinds), pre_buffer=False, buffer_size=1 << 20) as file:
        for batch in file.iter_batches(n_rows, columns=known, use_threads=False):
            yield batch.to_pandas(split_blocks=True)


def _scan_csv(path: Path, suffix: str, kinds: Kinds, n_rows: int) -> Iterator[pd.DataFrame]:
    with _opened(path, suffix) as file:
        head = pa.py_buffer(file.read(HEAD))
    names, start = separated.header(head)
    refuse_doubled(name for name in names if name)
    types = separated.column_types(names, separated.first_row(head.slice(start)), kinds)
    known = [f"c{at}" for at, name in enumerate(names) if lowered(name) in kinds.known]
    # The other columns are looked at for rows that a quote has swallowed.
    types = {at: types.get(at, pa.string()) for at in range(len(names))}
    wanted, given = separated.Wanted(names, types), 0
    while True:
        try:
            with _opened(path, suffix) as file:
                file.read(start)
                for table in _runs(file, wanted, n_rows, given):
                    separated.refuse_swallowed(table, names)
                    yield separated.to_frame(table.select(known), names, kinds)
                    given += len(table)
            return
        except pa.ArrowInvalid as error:
            if "Empty CSV" in str(error):
                yield pd.DataFrame({name: [] for name in names if name})
                return
            with _opened(path, suffix) as file:
                wanted = wanted.after(error, file)


def _runs(file: BinaryIO, wanted: separated.Wanted, n_rows: int, given: int) -> Iterator[pa.Table]:
    """Tables of ``n_rows`` rows after the ``given`` first ones."""
    waiting: list[pa.RecordBatch] = []
    n_waiting = 0
    with pyarrow.csv.open_csv(file, *wanted.options()) as batches:
        for batch in batches:
            skipped = min(given, len(batch))
            given -= skipped
            waiting.append(batch.slice(skipped))
            n_waiting += len(batch) - skipped
            while n_waiting >= n_rows:
                table = pa.Table.from_batches(waiting)
                yield table.slice(0, n_rows)
                waiting, n_waiting = table.slice(n_rows).to_batches(), n_waiting - n_rows
    if n_waiting:
        yield pa.Table.from_batches(waiting)


def _text(path: Path, suffix: str) -> pa.Buffer:
    packed = path.stat().st_size
    if suffix == ".csv":
        check_size(packed, packed, "has")
        with pa.memory_map(str(path)) as file:
            return file.read_buffer()
    with _opened(path, suffix) as file:
        return pa.py_buffer(unpacked(file, packed))


@contextmanager
def _opened(path: Path, suffix: str) -> Iterator[BinaryIO]:
    """The bytes of the CSV in a file, decompressed."""
    if suffix == ".csv":
        with path.open("rb") as file:
            yield file
    elif suffix == ".csv.gz":
        with gzip.open(path) as file:
            yield io.BufferedReader(file)  # type: ignore[arg-type]
    else:
        with zipfile.ZipFile(path) as archive:
            inside = [info for info in archive.infolist() if not info.is_dir() and not info.filename.startswith(("__MACOSX/", "."))]
            if len(inside) != 1 or not inside[0].filename.lower().endswith(".csv"):
                got = ", ".join(info.filename[:40] for info in inside[:5]) or "nothing"
                raise DataError(f"the archive must hold one CSV file, got {got}; unpack it, and pass its files")
            if inside[0].flag_bits & 1:
                raise DataError("the archive is encrypted; unpack it, and pass its file")
            with archive.open(inside[0]) as file:
                yield file  # type: ignore[misc]
