"""Files and tables: what is read, exactly, and what is refused, by name."""

import gzip
from datetime import timedelta, timezone
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from foreshock.data import tables
from foreshock.data.bars import FIELDS, PRICES, Bars
from foreshock.data.errors import DataError
from foreshock.data.files import read_bars
from foreshock.data.tables import parse_times
from tests.market import make_bars
from tests.sentences import refused

START = pd.Timestamp("2024-01-01")
HEADER = "time,open,high,low,close,volume\n"
ROWS = "".join(f"2024-01-01T0{hour}:00:00Z,10,12,9,11,{hour + 1}\n" for hour in range(5))


def table(n_bars=6, **columns):
    """A flat table of one symbol, with some columns replaced or added."""
    frame = pd.DataFrame({"time": pd.date_range(START, periods=n_bars, freq="h"), **dict.fromkeys(FIELDS, np.ones(n_bars))})
    return frame.assign(**columns)


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def hours(bars: Bars) -> list[str]:
    return bars.time.astype("datetime64[h]").astype(str).tolist()


def source_refused(message: str, source, **options):
    """``source``, a path or a table, is refused with a message that contains ``message``, and names the path."""
    with refused(DataError, message, *([str(source)] if isinstance(source, Path) else [])):
        read_bars(source, **options) if isinstance(source, Path) else Bars.from_frame(source, **options)


# Formats: the same bars whatever they are kept in


WRITERS = {
    "csv": lambda frame, path: frame.to_csv(path, index=False),
    "csv.gz": lambda frame, path: frame.to_csv(path, index=False),
    "parquet": lambda frame, path: frame.to_parquet(path, index=False),
    "pq": lambda frame, path: frame.to_parquet(path, index=False),
    "feather": lambda frame, path: frame.to_feather(path),
    "arrow": lambda frame, path: frame.to_feather(path),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_every_format_gives_back_the_same_bits(kind, tmp_path):
    bars = make_bars(200, 3, seed=5)
    path = tmp_path / f"bars.{kind}"
    WRITERS[kind](bars.to_frame(), path)
    assert read_bars(path).fingerprint() == bars.fingerprint()


@pytest.mark.parametrize("kind", WRITERS)
def test_one_symbol_is_named_after_its_file(kind, tmp_path):
    bars = make_bars(50, 1, seed=6)
    WRITERS[kind](bars.to_frame().drop(columns="symbol"), tmp_path / f"BTC.USDT.{kind}")
    read = read_bars(tmp_path / f"BTC.USDT.{kind}")
    assert read.symbols == ("BTC.USDT",)
    np.testing.assert_array_equal(read.close, bars.close)


def test_a_folder_is_one_table_of_its_files_whatever_their_formats_and_time_columns(tmp_path):
    bars = make_bars(60, 3, seed=7)
    one = {symbol: bars.select(symbol).to_frame().drop(columns="symbol") for symbol in bars.symbols}
    one["A"].to_csv(tmp_path / "A.csv", index=False)
    one["B"].rename(columns={"time": "ts"}).assign(ts=lambda frame: frame["ts"].astype("int64") // 1_000).to_csv(
        tmp_path / "B.CSV", index=False
    )
    one["C"].rename(columns=str.upper).assign(TRADE_COUNT=7).to_parquet(tmp_path / "C.parquet")
    # None of these is a file of bars.
    write(tmp_path / ".A.csv.partial", "half")
    write(tmp_path / ".hidden.csv", "half")
    write(tmp_path / "notes.txt", "a note")
    (tmp_path / "old.csv").mkdir()
    read = read_bars(tmp_path)
    assert read.symbols == ("A", "B", "C")
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(read, name), getattr(bars, name))
    assert np.isnan(read.extras["trade_count"][:, :2]).all()
    assert (read.extras["trade_count"][:, 2] == 7).all()


def test_files_of_successive_years_join_into_one_history(tmp_path):
    bars = make_bars(48, 2, seed=8)
    bars.head(24).to_frame().to_parquet(tmp_path / "2023.parquet")
    bars.rows(slice(24, None)).to_frame().to_parquet(tmp_path / "2024.parquet")
    assert read_bars(tmp_path).fingerprint() == bars.fingerprint()


def test_a_name_in_the_folder_path_is_no_column(tmp_path):
    folder = tmp_path / "symbol=X" / "year=2024"
    folder.mkdir(parents=True)
    table().to_parquet(folder / "BTC.parquet")
    read = read_bars(folder / "BTC.parquet")
    assert (read.symbols, dict(read.extras)) == (("BTC",), {})


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + HEADER + ROWS,
        HEADER.replace(",", " , ").upper() + ROWS.replace(",", " , "),
        HEADER + ROWS.replace("Z", ""),
        HEADER + ROWS.replace(":00:00Z", ":00+00:00"),
        HEADER.replace("time", "Date") + ROWS.replace("T", " "),
        (HEADER + ROWS).replace("\n", "\r\n"),
        "\n\n" + HEADER + "\n" + ROWS,
        "," + HEADER + "".join(f"{i},{row}\n" for i, row in enumerate(ROWS.splitlines())),
    ],
    ids=["byte order mark", "spaces and capitals", "no zone", "offset", "date and space", "crlf", "blank lines", "row numbers"],
)
def test_a_csv_file_is_read_however_it_was_saved(text, tmp_path):
    read = read_bars(write(tmp_path / "BTC.csv", text))
    assert hours(read) == [f"2024-01-01T0{hour}" for hour in range(5)]
    assert read.volume[:, 0].tolist() == [1, 2, 3, 4, 5]
    assert [getattr(read, name)[3, 0] for name in PRICES] == [10, 12, 9, 11]
    assert (read.symbols, dict(read.extras)) == (("BTC",), {})


def test_csv_numbers_are_read_to_the_last_digit(tmp_path):
    rng = np.random.default_rng(9)
    close = np.exp(rng.normal(0, 15, 3_000))
    frame = table(3_000, **dict.fromkeys(PRICES, close))
    frame.to_csv(tmp_path / "X.csv", index=False)
    np.testing.assert_array_equal(read_bars(tmp_path / "X.csv").close[:, 0], close)


# Files that are refused


def test_a_file_that_is_not_there_is_refused(tmp_path):
    source_refused("no such file or folder: ", tmp_path / "nowhere.csv")


@pytest.mark.parametrize("name", ["bars.txt", "bars", "bars.tar.gz", "bars.gz", "csv"])
def test_a_file_of_another_kind_is_refused(name, tmp_path):
    source_refused(
        "must end in one of .csv, .csv.gz, .csv.zip, .zip, .parquet, .pq, .feather, .arrow; convert it first",
        write(tmp_path / name, "a,b"),
    )


@pytest.mark.parametrize("kind", WRITERS)
def test_an_empty_file_is_refused(kind, tmp_path):
    source_refused("is empty (0 bytes); expected a table of bars", write(tmp_path / f"x.{kind}", b""))


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("seed", range(5))
def test_random_bytes_are_refused(kind, seed, tmp_path):
    source_refused("check that it", write(tmp_path / f"x.{kind}", np.random.default_rng(seed).bytes(4_096)))


@pytest.mark.parametrize("kind", ["csv.gz", "parquet", "feather"])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.99])
def test_a_file_that_was_cut_short_is_refused(kind, kept, tmp_path):
    path = tmp_path / f"x.{kind}"
    WRITERS[kind](make_bars(100, 2).to_frame(), path)
    whole = path.read_bytes()
    source_refused("cannot be read as " + kind, write(path, whole[: int(len(whole) * kept)]))


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "parquet"])
def test_a_damaged_file_is_refused_or_read_and_nothing_else(kind, tmp_path):
    path = tmp_path / f"x.{kind}"
    WRITERS[kind](make_bars(30, 2).to_frame(), path)
    whole, rng, n_refused = path.read_bytes(), np.random.default_rng(4), 0
    for _ in range(100):
        damaged = bytearray(whole)
        for at in rng.integers(0, len(whole) - 40, 3):
            damaged[at : at + rng.integers(0, 30)] = rng.bytes(int(rng.integers(0, 8)))
        try:
            read_bars(write(path, bytes(damaged)))
        except DataError as error:
            assert "\n" not in str(error)  # noqa: PT017 - most are refused, some damage leaves a readable file
            n_refused += 1
    assert n_refused > 50


def test_a_csv_in_another_encoding_is_refused(tmp_path):
    text = HEADER.replace("volume", "volume,größe") + ROWS
    expected = "not UTF-8 text (byte 0xf6 at 34); save it as UTF-8, or check that it is a CSV file"
    source_refused(expected, write(tmp_path / "x.csv", text.encode("latin-1")))
    far = HEADER.replace("\n", ",note\n") + ROWS.replace("\n", ",no\n") * 4_000 + ROWS.replace("\n", ",né\n")
    source_refused("not UTF-8 text (byte 0xe9 at ", write(tmp_path / "z.csv", far.encode("latin-1")))
    source_refused("not UTF-8 text (byte 0xff at 0)", write(tmp_path / "y.csv", text.encode("utf-16")))


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_a_csv_without_commas_is_refused(mark, tmp_path):
    expected = f"fields must be separated by commas, got {mark!r}; save it with commas and decimal points"
    source_refused(expected, write(tmp_path / "x.csv", (HEADER + ROWS).replace(",", mark)))


def test_rows_longer_than_the_header_are_refused_and_not_shifted(tmp_path):
    """pandas would take the times for an index, and the opens for times."""
    expected = "every row must have the 6 fields of the header (time, open, high, low, close, volume), got "
    source_refused(
        f"{expected}7 in line 2 (5 such rows); name every column", write(tmp_path / "x.csv", HEADER + ROWS.replace("\n", ",\n"))
    )
    source_refused(
        f"{expected}8 in line 7 (1 such rows)", write(tmp_path / "y.csv", HEADER + ROWS + "2024-01-01T05:00Z,1,1,1,1,1,1,1\n")
    )


def test_a_csv_without_header_is_refused(tmp_path):
    source_refused("missing column: open, high, low, close, volume, a time column", write(tmp_path / "x.csv", ROWS))


def test_a_csv_with_nothing_but_a_header_or_blank_lines_is_refused(tmp_path):
    source_refused("the table of bars is empty; expected at least one row", write(tmp_path / "x.csv", HEADER))
    source_refused("cannot be read as csv: No columns to parse from file", write(tmp_path / "y.csv", "\n\n  \n"))


def test_a_column_that_stands_twice_is_refused(tmp_path):
    """pandas would rename the second one."""
    expected = "columns are doubled, or differ only in case: close; rename or remove one"
    source_refused(expected, write(tmp_path / "x.csv", HEADER.replace("\n", ",close\n") + ROWS.replace("\n", ",99\n")))
    source_refused(expected, table().assign(Close=2.0))


def test_zero_bytes_are_refused_and_printed_in_a_readable_way(tmp_path):
    with pytest.raises(DataError, match=r"missing column: .*; got '\\x00") as caught:
        read_bars(write(tmp_path / "x.csv", b"\0" * 4_096))
    assert len(str(caught.value)) < 400
    source_refused("column open must hold numbers, got ", write(tmp_path / "y.csv", HEADER + ROWS.replace("10,", "10\x005,", 1)))


def test_a_text_in_a_column_of_numbers_is_named_with_its_row(tmp_path):
    text = HEADER + ROWS.replace("10,12", "10,none", 4).replace("10,none", "10,12", 3)
    source_refused("column high must hold numbers, got 'none' in row 3; fix or convert", write(tmp_path / "x.csv", text))
    source_refused(
        "column open must hold numbers, got '1,000' in row 0",
        write(tmp_path / "y.csv", HEADER + ROWS.replace("10,", '"1,000",', 1)),
    )


def test_a_folder_without_files_is_refused(tmp_path):
    folder = tmp_path / "x.csv"
    folder.mkdir()
    source_refused(
        "has no file that ends in .csv, .csv.gz, .csv.zip, .zip, .parquet, .pq, .feather, .arrow, .json; "
        "pass a file, or another folder",
        folder,
    )


def test_a_symbol_in_two_files_of_a_folder_is_refused(tmp_path):
    write(tmp_path / "BTC.csv", HEADER + ROWS)
    write(tmp_path / "BTC.csv.gz", gzip.compress((HEADER + ROWS).encode()))
    write(tmp_path / "ETH.csv", HEADER + ROWS)
    source_refused("has BTC more than once: BTC.csv, BTC.csv.gz; keep one of them", tmp_path)


def test_the_file_at_fault_in_a_folder_is_named(tmp_path):
    write(tmp_path / "BTC.csv", HEADER + ROWS)
    write(tmp_path / "notes.csv", "a,b\n1,2\n")
    source_refused("notes.csv: missing column: open, high, low, close, volume, a time column", tmp_path)


# Times


EPOCHS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}


@pytest.mark.parametrize("unit", EPOCHS)
@pytest.mark.parametrize("dtype", ["int64", "float64", "Int64", "str", "object", "uint64"])
def test_epochs_of_every_unit_and_type_are_the_same_times(unit, dtype, monkeypatch):
    monkeypatch.setattr(tables, "latest_time", lambda: np.datetime64("2100-01-02", "us"))
    time = pd.date_range("2000-01-01", "2099-12-31", periods=6).round("s")
    epochs = pd.Series(time.astype("datetime64[ns]").astype("int64") // EPOCHS[unit]).astype(dtype)
    for value, expected in zip(epochs, time, strict=True):
        read = Bars.from_frame(table(1, time=pd.Series([value], dtype=dtype)), "1h")
        assert read.time[0] == expected.to_datetime64()


@pytest.mark.parametrize("dtype", ["int32", "uint32"])
def test_epochs_in_seconds_of_four_bytes_are_times(dtype):
    seconds = 1_704_067_200 + 3_600 * np.arange(5)
    np.testing.assert_array_equal(parse_times(pd.Series(seconds.astype(dtype))).astype("int64"), seconds * 10**6)
    with pytest.raises(DataError, match="must hold epochs of the years 2000 to 2099, got 5 in row 0"):
        parse_times(pd.Series(np.arange(5, 8, dtype=dtype), name="time"))


def test_epochs_keep_their_microseconds():
    micros = 1_704_067_200_000_000 + np.sort(np.random.default_rng(2).integers(0, 3_600_000_000, 500))
    for epochs in (micros, micros * 1_000, micros / 1e6, (micros * 1_000).astype(str)):
        np.testing.assert_array_equal(parse_times(pd.Series(epochs)).astype("int64"), micros)


@pytest.mark.parametrize(
    ("epochs", "got", "unit"),
    [
        (np.arange(6), "0 in row 0", "s"),
        (20240101 + np.arange(6), "20240101 in row 0", "s"),
        (202401010000 + np.arange(6), "202401010000 in row 0", "ms"),
        (20240101000000 + np.arange(6), "20240101000000 in row 0", "ms"),
        (
            np.r_[1_735_686_000_000 + 3_600_000 * np.arange(3), (1_735_696_800 + 3_600 * np.arange(3)) * 10**6],
            "1735686000000 in row 0",
            "us",
        ),
        (np.r_[1_704_067_200.0 + 3_600 * np.arange(5), np.inf], "inf in row 5", "s"),
        (-3_600 * np.arange(6)[::-1], "-18000 in row 0", "s"),
        (np.full(6, 2**63 - 1), "9.22337203685478e+18 in row 0", "ns"),
    ],
    ids=["row numbers", "yyyymmdd", "yyyymmddhhmm", "yyyymmddhhmmss", "unit changes", "infinite", "negative", "overflow"],
)
def test_numbers_that_are_no_epochs_of_this_century_are_refused(epochs, got, unit):
    source_refused(
        f"column time must hold epochs of the years 2000 to 2099, got {got}, read in {unit}; use ISO 8601", table(time=epochs)
    )


def test_zones_are_converted_to_utc():
    utc = table()
    expected = Bars.from_frame(utc).time
    for zone in ("Asia/Tokyo", "America/New_York", timezone(timedelta(hours=5, minutes=30))):
        local = utc["time"].dt.tz_localize("UTC").dt.tz_convert(zone)
        for time in (local, local.astype(object), local.map(pd.Timestamp.isoformat)):
            np.testing.assert_array_equal(Bars.from_frame(utc.assign(time=time)).time, expected)
    indexed = utc.drop(columns="time").set_index(utc["time"].dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo").rename(None))
    np.testing.assert_array_equal(Bars.from_frame(indexed).time, expected)


def test_an_hour_that_clocks_repeat_is_two_bars_in_utc():
    time = pd.date_range("2024-11-03", periods=6, freq="h", tz="America/New_York")
    assert hours(Bars.from_frame(table(time=time))) == [f"2024-11-03T{hour:02}" for hour in range(4, 10)]


def test_offsets_and_forms_of_iso_8601_may_differ_from_row_to_row():
    time = [
        "2024-01-01",
        "2024-01-01 01:00",
        "2024-01-01T03:00+01:00",
        "2024-01-01T03:00:00.000",
        "20240101T04",
        "2024-01-01T05:00Z",
    ]
    assert hours(Bars.from_frame(table(time=time))) == [f"2024-01-01T0{hour}" for hour in range(6)]


@pytest.mark.parametrize("name", ["ts", "time", "timestamp", "date", "datetime", "open_time", "Open_Time", " DATE "])
def test_every_name_of_the_time_column_is_known(name):
    assert Bars.from_frame(table().rename(columns={"time": name})).n_bars == 6


@pytest.mark.parametrize(
    ("time", "message"),
    [
        (
            ["01/02/2024"] * 6,
            "column time cannot be read as times: Time data 01/02/2024 is not ISO8601 format; use ISO 8601, or epochs",
        ),
        (["now"] * 6, "column time cannot be read as times: Time data no date is not ISO8601 format"),
        ([True] * 6, "column time must hold times, got boolean values such as 'True'; use ISO 8601, or epochs"),
        (pd.timedelta_range("1h", periods=6), "column time must hold times, got timedelta64 values such as '0 days 01:00:00'"),
        (pd.period_range("2024-01-01", periods=6, freq="h"), "column time must hold times, got period values"),
        (["2024-01-01", 5, None, 1.5, True, ""], "column time must have a time in every row, got 1 without, the first in row 2"),
        ([1.7e9, "2024-01-01"] * 3, "column time must hold times, got mixed values such as '1700000000.0'"),
        ([START, None, START, START, None, START], "column time must have a time in every row, got 2 without, the first in row 1"),
        (
            [1.7e9, np.nan, 1.7e9, 1.7e9, 1.7e9, 1.7e9],
            "column time must have a time in every row, got 1 without, the first in row 1",
        ),
        (
            ["2024-01-01", "2024-01-02", "", "", "", ""],
            "column time must have a time in every row, got 4 without, the first in row 2",
        ),
        (["9" * 30] * 6, "column time must hold epochs of the years 2000 to 2099, got 1e+30 in row 0"),
    ],
)
def test_what_is_no_time_is_refused(time, message):
    source_refused(message, table(time=time))


# Columns and rows of a table


@pytest.mark.parametrize("name", FIELDS)
def test_a_missing_column_is_named_beside_those_there_are(name):
    left = ", ".join(column for column in ("time", *FIELDS) if column != name)
    source_refused(f"missing column: {name}; got {left}; rename or add it", table().drop(columns=name))


def test_a_table_without_times_or_without_rows_is_refused():
    expected = (
        "missing column: a time column (ts, time, timestamp, date, datetime, open_time); got open, high, low, close, volume; rename"
    )
    source_refused(expected, table().drop(columns="time"))
    source_refused("the table of bars is empty; expected at least one row", table(0))
    source_refused("missing column: open, high, low, close, volume, a time column", pd.DataFrame())
    source_refused("and 88 more; rename or add it", pd.DataFrame({f"column {i}": [1.0] for i in range(100)}))


def test_time_and_symbol_may_be_index_levels():
    bars = make_bars(30, 2, seed=3)
    frame = bars.to_frame()
    for index in (["time", "symbol"], ["symbol", "time"], ["time"], ["symbol"]):
        assert Bars.from_frame(frame.set_index(index)).fingerprint() == bars.fingerprint()
    renamed = frame.set_index(["time", "symbol"]).rename_axis(["Open_Time", "SYMBOL"])
    assert Bars.from_frame(renamed).fingerprint() == bars.fingerprint()


def test_order_of_rows_across_symbols_does_not_matter():
    bars = make_bars(30, 3, seed=3)
    by_symbol = bars.to_frame().sort_values("symbol", kind="stable")
    assert Bars.from_frame(by_symbol).fingerprint() == bars.fingerprint()


@pytest.mark.parametrize(
    "values",
    [
        pd.Series([1, 2, None, 4, 5, 6], dtype="Int64"),
        pd.Series([1, 2, None, 4, 5, 6], dtype="Float32"),
        pd.Series([1, 2, None, 4, 5, 6], dtype="double[pyarrow]"),
        pd.Series([1, 2, None, 4, 5, 6], dtype=object),
        pd.Series(["1", "2.0", None, "4e0", " 5", "6"]),
        pd.Series([Decimal(1), Decimal(2), None, Decimal(4), Decimal(5), Decimal(6)], dtype=object),
        pd.Series([1, 2, np.nan, 4, 5, 6]).astype("category"),
        pd.Series(pd.arrays.SparseArray([1, 2, np.nan, 4, 5, 6])),
    ],
    ids=["nullable integers", "nullable floats", "arrow", "objects", "strings", "decimals", "categories", "sparse"],
)
def test_numbers_of_every_type_are_read_as_they_are(values):
    np.testing.assert_array_equal(Bars.from_frame(table(volume=values)).volume[:, 0], [1, 2, np.nan, 4, 5, 6])


@pytest.mark.parametrize(
    ("values", "got"),
    [
        (["1", "1", "x", "1", "1", "1"], "'x' in row 2"),
        (pd.Categorical(["1", "1", "1", "y", "1", "1"]), "'y' in row 3"),
        (np.ones(6) + 1j, "'(1+1j)' in row 0"),
        (pd.date_range(START, periods=6), "'2024-01-01 00:00:00' in row 0"),
        (pd.timedelta_range("1h", periods=6), "'0 days 01:00:00' in row 0"),
        ([True] * 6, "'True' in row 0"),
        ([START] * 6, "'2024-01-01 00:00:00' in row 0"),
        ([[1.0]] * 6, "'[1.0]' in row 0"),
        ([""] * 6, "'' in row 0"),
    ],
    ids=["strings", "categories", "complex", "dates", "durations", "booleans", "timestamps", "lists", "blanks"],
)
def test_what_numpy_would_take_for_numbers_is_refused_with_its_row(values, got):
    source_refused(f"column open must hold numbers, got {got}; fix or convert the column", table(open=values))


def test_symbols_of_every_type_are_read_as_text():
    for symbols in (
        pd.Categorical(["B", "A"] * 3),
        np.array(["B", "A"] * 3, dtype=object),
        pd.array(["B", "A"] * 3, dtype="string"),
    ):
        assert Bars.from_frame(table(symbol=symbols, time=table(3)["time"].repeat(2).to_numpy())).symbols == ("B", "A")
    assert Bars.from_frame(table(symbol=7)).symbols == ("7",)
    assert Bars.from_frame(table()).symbols == ("asset",)


@pytest.mark.parametrize("nothing", [None, np.nan, pd.NA, "", "  "])
@pytest.mark.parametrize("dtype", ["object", "category"])
def test_a_row_without_symbol_is_refused(nothing, dtype):
    symbols = pd.Series(["A", "A", nothing, "A", nothing, "A"], dtype=dtype)
    source_refused(
        "column symbol must have a name in every row, got 2 without, the first in row 2; fill them in", table(symbol=symbols)
    )


def test_further_columns_of_numbers_are_extras_and_others_are_left_out():
    frame = table(
        trade_count=pd.array([1, 2, None, 4, 5, 6], dtype="Int64"),
        Funding_Rate=np.float32(0.5),
        maker=pd.array([True, False, None, True, True, True], dtype="boolean"),
        source="binance",
        things=[object()] * 6,
        phase=1j,
        close_time=pd.date_range(START, periods=6),
    )
    extras = Bars.from_frame(frame).extras
    assert set(extras) == {"trade_count", "funding_rate", "maker"}
    np.testing.assert_array_equal(extras["trade_count"][:, 0], [1, 2, np.nan, 4, 5, 6])
    np.testing.assert_array_equal(extras["funding_rate"][:, 0], np.full(6, 0.5))
    np.testing.assert_array_equal(extras["maker"][:, 0], [1, 0, np.nan, 1, 1, 1])


# The grid


def test_gaps_become_rows_of_nan_and_nothing_moves():
    frame = table(10, **dict.fromkeys(FIELDS, np.arange(1.0, 11.0)))
    bars = Bars.from_frame(frame.drop(index=[3, 4, 7]))
    assert bars.n_bars == 10
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(bars, name)[:, 0], [1, 2, 3, np.nan, np.nan, 6, 7, np.nan, 9, 10])


def test_symbols_of_different_spans_share_one_grid():
    early = table(4, symbol="A")
    late = table(4, symbol="B", time=pd.date_range(START + pd.Timedelta("3h"), periods=4, freq="h"))
    bars = Bars.from_frame(pd.concat([early, late]))
    known = ~np.isnan(bars.close)
    assert known[:, 0].tolist() == [True] * 4 + [False] * 3
    assert known[:, 1].tolist() == [False] * 3 + [True] * 4


def test_the_interval_is_the_most_common_step_of_all_symbols():
    lone = table(1, symbol="LONE")
    gappy = table(20, symbol="BTC").drop(index=[3, 4, 5, 9, 11, 12])
    bars = Bars.from_frame(pd.concat([lone, gappy]))
    assert (bars.interval, bars.symbols) == (np.timedelta64(1, "h"), ("LONE", "BTC"))
    assert Bars.from_frame(table(3), "30m").n_bars == 5


def test_symbols_whose_bars_alternate_are_refused_and_not_spread_over_half_empty_rows():
    even = table(symbol="A", time=pd.date_range(START, periods=6, freq="2h"))
    odd = table(symbol="B", time=pd.date_range(START + pd.Timedelta("1h"), periods=6, freq="2h"))
    source_refused("6 bars are off the 2h grid that starts at 2024-01-01T00:00:00.000000, the first", pd.concat([even, odd]))


def test_the_interval_of_a_single_bar_must_be_said():
    source_refused("the interval cannot be inferred from a single bar; pass interval, such as interval='1h'", table(1))
    assert Bars.from_frame(table(1), "1h").n_bars == 1


def test_times_off_the_grid_are_refused():
    time = table(6)["time"].where(lambda times: times.index != 4, START + pd.Timedelta("4h1s"))
    expected = (
        "1 bars are off the 1h grid that starts at 2024-01-01T00:00:00.000000, the first at 2024-01-01T04:00:01.000000; "
        "pass the right interval, or align the times"
    )
    source_refused(expected, table(6, time=time))
    source_refused("5 bars are off the 7m grid", table(6), interval="7m")


def test_a_grid_far_larger_than_its_table_is_refused_before_it_is_built():
    far = table(6, time=[START - pd.Timedelta("3650D"), *pd.date_range(START, periods=5, freq="s")])
    source_refused("would have 315360005 rows and 1 symbols for 6 bars; check the times and symbols", far)
    nameless = table(3_000, symbol=[f"trade {i}" for i in range(3_000)])
    source_refused(
        "a 1h grid from 2024-01-01T00:00:00.000000 to 2024-05-04T23:00:00.000000 would have 3000 rows and 3000",
        nameless,
        interval="1h",
    )


def test_unsorted_and_doubled_times_are_refused_and_counted():
    frame = table(6, symbol=["A", "B"] * 3, time=table(3)["time"].repeat(2).to_numpy())
    expected = "got 2 unsorted bars, the first B at 2024-01-01 01:00:00; expected the times of a symbol in ascending order; fix"
    source_refused(expected, frame.iloc[[0, 5, 2, 3, 4, 1]])
    expected = "got 1 doubled bars, the first B at 2024-01-01 01:00:00; expected each time of a symbol once; fix the source"
    source_refused(expected, frame.iloc[[0, 1, 2, 3, 3, 4, 5]])


def test_a_volume_without_prices_is_refused_and_a_row_without_numbers_is_a_missing_bar():
    empty = table(**{name: [1, 1, np.nan, 1, 1, 1] for name in FIELDS})
    assert np.isnan(Bars.from_frame(empty).volume[2, 0])
    expected = "got 1 incomplete bars, the first asset at 2024-01-01 02:00:00; expected no volume where no price is known; remove"
    source_refused(expected, empty.assign(volume=[1, 1, 0, 1, 1, 1]))


def test_an_unknown_volume_stays_unknown():
    volume = [1, np.nan, 0, 1, 1, 1]
    np.testing.assert_array_equal(Bars.from_frame(table(volume=volume)).volume[:, 0], volume)


# The shared files


def test_the_eight_assets_load_as_they_are(shared_data):
    bars = read_bars(shared_data / "ohlcv_1h_8assets.parquet")
    assert bars.shape == (43_848, 8)
    assert {symbol[:3] for symbol in bars.symbols} == {"BTC", "ETH", "SOL", "AVA", "DOG", "LIN", "DOT", "MAT"}
    assert (~np.isnan(bars.close)).sum() == 314_270
    assert dict(bars.extras) == {}
    matic = next(i for i, symbol in enumerate(bars.symbols) if symbol.startswith("MATIC"))
    last = bars.time[np.flatnonzero(~np.isnan(bars.close[:, matic]))[-1]]
    assert last.astype("datetime64[D]") == np.datetime64("2024-06-16")


def test_the_known_crash_hours_are_where_they_were(shared_data):
    bars = read_bars(shared_data / "ohlcv_1h_8assets.parquet")
    moves = bars.returns(log=False)
    for hour, asset, expected in (
        ("2020-03-12T10", "BTC", -0.187),
        ("2021-05-19T12", "DOT", -0.334),
        ("2022-05-11T12", "AVAX", -0.256),
        ("2022-11-09T15", "SOL", -0.207),
        ("2024-08-05T01", "ETH", -0.083),
    ):
        col = next(i for i, symbol in enumerate(bars.symbols) if symbol.startswith(asset))
        move = moves[np.searchsorted(bars.time, np.datetime64(hour)), col]
        assert move == pytest.approx(expected, abs=6e-4)


def test_the_outages_of_the_spot_history_are_rows_of_nan(shared_data):
    bars = read_bars(shared_data / "ohlcv_btc_spot_1h_2017_2024.parquet")
    known = ~np.isnan(bars.close[:, 0])
    assert (known.sum(), (~known).sum()) == (58_419, 128)
    edges = np.flatnonzero(np.diff(np.r_[1, known.astype(int), 1]))
    lengths = edges[1::2] - edges[::2]
    # The longest lies between two bars that are 34 hours apart.
    assert (len(lengths), lengths.max()) == (28, 33)


def test_the_minutes_load_without_a_gap(shared_data):
    bars = read_bars(shared_data / "ohlcv_btc_spot_1m_20251218.parquet")
    assert bars.shape == (63_643, 1)
    assert not np.isnan(bars.close).any()
    assert bars.interval == np.timedelta64(1, "m")


@pytest.mark.parametrize("name", ["ohlcv_1h_8assets", "ohlcv_btc_spot_1h_2017_2024"])
def test_real_bars_survive_a_table_and_a_file(name, shared_data, tmp_path):
    bars = read_bars(shared_data / f"{name}.parquet").between("2022-01-01", "2022-07-01")
    bars.to_frame().to_feather(tmp_path / "again.feather")
    assert read_bars(tmp_path / "again.feather").fingerprint() == bars.fingerprint()


@pytest.mark.parametrize("lost", [0, 1, 40])
def test_the_order_of_rows_and_symbols_in_a_file_decides_nothing(lost, tmp_path):
    table = make_bars(300, 3, seed=7).to_frame().sort_values(["symbol", "time"], ignore_index=True)
    table = table.drop(index=np.random.default_rng(1).choice(np.arange(5, 290), lost, replace=False))
    cells = {(row.symbol, row.time.tz_localize(None)): row.close for row in table.itertuples()}
    mixed = pd.concat([table[table["symbol"] == name] for name in "BCA"])
    orders = {"stacked": table, "others": mixed, "by time": table.sort_values("time", kind="stable")}
    for name, rows in orders.items():
        rows.to_csv(tmp_path / f"{name}.csv", index=False)
        read = read_bars(tmp_path / f"{name}.csv")
        assert read.close.flags["C_CONTIGUOUS"]
        wanted = [[cells.get((symbol, pd.Timestamp(time)), np.nan) for symbol in read.symbols] for time in read.time]
        np.testing.assert_array_equal(read.close, wanted)
