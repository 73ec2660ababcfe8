"""Files that would fill the memory: each is refused in a sentence before it does."""

from __future__ import annotations

import gzip
import io
import resource
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

import foreshock as fs
from foreshock.data.exchange.archive_file import archive_file, read_archive_zip
from foreshock.data.reading.limits import feather_rows

HEADER = b"time,open,high,low,close,volume\n"
ROW = b"2024-01-01 00:00:00,1,1,1,1,1\n"
MB = 1_000_000


def packed(n: int) -> bytes:
    """A gzip of so many MB of blanks, made without having them."""
    packer = zlib.compressobj(6, wbits=31)
    block = b" " * MB
    return b"".join([packer.compress(HEADER), *(packer.compress(block) for _ in range(n)), packer.flush()])


def bomb_gz(path: Path) -> Path:
    path = path / "bars.csv.gz"
    path.write_bytes(packed(300))
    return path


def bomb_zip(path: Path) -> Path:
    path = path / "bars.csv.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("bars.csv", "w") as file:
        for _ in range(300):
            file.write(b" " * MB)
    return path


def constant(n: int) -> pa.Table:
    """A table of so many rows that takes no memory."""
    zeros = np.lib.stride_tricks.as_strided(np.zeros(1), (n,), (0,))
    times = np.lib.stride_tricks.as_strided(np.zeros(1, np.int64), (n,), (0,))
    return pa.table({"time": times, **{name: zeros for name in ("open", "high", "low", "close", "volume")}})


def claims_parquet(path: Path) -> Path:
    path = path / "bars.parquet"
    table = constant(2_000_000)
    with pq.ParquetWriter(path, table.schema, compression="zstd") as writer:
        for _ in range(6):
            writer.write_table(table, row_group_size=len(table))
    return path


def claims_feather(path: Path) -> Path:
    path = path / "bars.feather"
    table = constant(2_000_000)
    with (
        pa.OSFile(str(path), "wb") as file,
        pa.ipc.new_file(file, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer,
    ):
        for _ in range(6):
            writer.write_table(table)
    return path


def long_line(path: Path) -> Path:
    path = path / "bars.csv"
    with path.open("wb") as file:
        for _ in range(300):
            file.write(b"1," * (MB // 2))
    return path


def long_row(path: Path) -> Path:
    path = path / "bars.csv"
    with path.open("wb") as file:
        file.write(HEADER)
        for _ in range(300):
            file.write(b"1" * MB)
    return path


def long_row_later(path: Path) -> Path:
    path = path / "bars.csv"
    with path.open("wb") as file:
        file.write(HEADER + ROW * 100)
        for _ in range(300):
            file.write(b"1" * MB)
    return path


def long_quoted(path: Path) -> Path:
    path = path / "bars.csv"
    with path.open("wb") as file:
        file.write(HEADER + ROW * 100 + b'"')
        for _ in range(300):
            file.write(b"1\n" * (MB // 2))
    return path


TIMES = "over 300 times the size of the file, as no table does; it is damaged, or no file of a market"
CASES: dict[Callable[[Path], Path], str] = {
    bomb_gz: f"bars.csv.gz: it unpacks to 0.2 GB or more, {TIMES}",
    bomb_zip: f"bars.csv.zip: it unpacks to 0.2 GB or more, {TIMES}",
    claims_parquet: f"bars.parquet: it has rows that take 0.6 GB or more, {TIMES}",
    claims_feather: f"bars.feather: it has rows that take 0.6 GB or more, {TIMES}",
    long_line: "line 1 has more than 1 MB, as no row of a table has; check that it is a CSV file",
    long_row: "line 2 has more than 1 MB",
    long_row_later: "line 102 has more than 1 MB",
    long_quoted: "bars.csv: cannot be read as csv",
}


@pytest.mark.parametrize("make", CASES, ids=lambda make: make.__name__)
def test_a_file_that_would_fill_the_memory_is_refused_in_a_sentence(make, tmp_path):
    path = make(tmp_path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(fs.DataError) as caught:
        fs.read_bars(path)
    assert CASES[make] in str(caught.value)
    assert "\n" not in str(caught.value)
    # In kB. A mapped file counts, and is no memory that anybody waits for.
    mapped = path.stat().st_size // 1_000 if path.suffix == ".csv" else 0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000 + mapped


def test_a_file_that_is_larger_than_the_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("foreshock.data.reading.limits.memory", lambda: 1_000)
    (tmp_path / "bars.csv").write_bytes(HEADER + ROW * 100)
    with pytest.raises(fs.DataError, match=r"it has 0\.0 GB or more, and this machine has 0\.0 GB of memory; cut it into parts"):
        fs.read_bars(tmp_path / "bars.csv")


def test_what_is_packed_well_is_read(tmp_path):
    frame = pd.DataFrame({"time": pd.date_range("2024-01-01", periods=50_000, freq="min")}).assign(
        open=1.0, high=1.0, low=1.0, close=1.0, volume=0.0
    )
    frame.to_csv(tmp_path / "a.csv.gz", index=False)
    frame.to_parquet(tmp_path / "a.parquet", index=False, compression="zstd")
    frame.to_feather(tmp_path / "a.feather", compression="zstd")
    for name in ("a.csv.gz", "a.parquet", "a.feather"):
        assert fs.read_bars(tmp_path / name).n_bars == 50_000


@pytest.mark.parametrize("compression", ["lz4", "zstd", "uncompressed"])
@pytest.mark.parametrize("n_rows", [0, 1, 70_000, 200_000])
def test_the_rows_of_a_feather_file_are_counted_without_reading_them(compression, n_rows, tmp_path):
    table = pa.table({"a": np.arange(n_rows), "b": pa.array(["x"] * n_rows).dictionary_encode()})
    pyarrow.feather.write_feather(table, str(tmp_path / "a.feather"), compression=compression)
    assert feather_rows(tmp_path / "a.feather") == n_rows


def test_a_zip_of_the_archive_that_is_a_bomb_is_refused():
    key = fs.SeriesKey("binance", "spot", "BTC/USDT", "ohlcv", "1m")
    file = archive_file(key, "daily", 1_704_067_200_000, 1_704_153_600_000)
    name, content = file.path.rsplit("/", 1)[1], io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive, archive.open(name.replace("zip", "csv"), "w") as inside:
        for _ in range(300):
            inside.write(b" " * MB)
    with pytest.raises(fs.DataError, match=f"it unpacks to 0.2 GB or more, {TIMES}"):
        read_archive_zip(key, content.getvalue(), file)


def test_gzip_says_what_it_is(tmp_path):
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(HEADER)[:-6])
    with pytest.raises(fs.DataError, match=r"a\.csv\.gz: cannot be read as csv\.gz: "):
        fs.read_bars(tmp_path / "a.csv.gz")
