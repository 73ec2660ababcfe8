"""The strict front of every reader: a text is read as it is written, and a row that is cut is refused, variant by variant."""

import gzip
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foreshock.benchmarks.nab import read_nab, read_tsb
from foreshock.data.books.orderbook import BOOK_COLUMNS, read_book
from foreshock.data.errors import DataError
from foreshock.data.files import read_bars
from foreshock.data.trades.trades import read_trades, scan_trades
from tests.sentences import refused

BARS = "time,symbol,open,high,low,close,volume"
FAST = settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])


def rows(n: int = 12) -> list[list[str]]:
    return [
        [f"2024-01-{1 + i // 24:02d} {i % 24:02d}:00:00", "BTC", f"{100 + i}", "900", "1", "105.5", f"{i + 1}"] for i in range(n)
    ]


def text(table: list[list[str]], header: str = BARS, end: str = "\n") -> str:
    return end.join([header, *(",".join(row) for row in table)]) + end


def read(folder: Path, content: str | bytes) -> object:
    path = folder / "x.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_bars(path)


# What is read, and reads the same as the plain text


def crlf(data: st.DataObject) -> str:
    return text(rows(), end="\r\n")


def cr(data: st.DataObject) -> str:
    return text(rows(), end="\r")


def byte_order_mark(data: st.DataObject) -> str:
    return "\ufeff" + text(rows())


def no_end_of_the_last_line(data: st.DataObject) -> str:
    return text(rows()).rstrip("\n")


def blank_lines(data: st.DataObject) -> str:
    lines = text(rows()).splitlines()
    for _ in range(data.draw(st.integers(1, 4))):
        lines.insert(data.draw(st.integers(0, len(lines))), data.draw(st.sampled_from(["", "  ", "\t"])))
    return "\n".join(lines) + "\n"


def blanks_around_every_field(data: st.DataObject) -> str:
    return text([[field if at == 0 else f" {field}  " for at, field in enumerate(row)] for row in rows()])


def blanks_around_names(data: st.DataObject) -> str:
    table = rows()
    for row in table:
        row[1] = data.draw(st.sampled_from(["BTC", "BTC ", " BTC", "  BTC  ", "\tBTC"]))
    return text(table)


def quoted_fields(data: st.DataObject) -> str:
    return text([[f'"{field}"' if data.draw(st.booleans()) else field for field in row] for row in rows()])


def quoted_ends_of_lines(data: st.DataObject) -> str:
    notes = st.sampled_from(['"two\nlines"', '"a, b"', '"say ""so"""', "plain"])
    return text([[*row, data.draw(notes)] for row in rows()], f"{BARS},note")


def capital_and_blank_header(data: st.DataObject) -> str:
    return text(rows(), data.draw(st.sampled_from([BARS.upper(), BARS.replace(",", " , "), f" {BARS.title()} "])))


def row_numbers(data: st.DataObject) -> str:
    return text([[str(i), *row] for i, row in enumerate(rows())], f",{BARS}")


def signed_and_exponents(data: st.DataObject) -> str:
    table = rows()
    for row in table:
        row[3] = data.draw(st.sampled_from(["+900", "9e2", "900.", "900.000", "0900", "9.0E+2"]))
    return text(table)


def times(form: str) -> Callable[[st.DataObject], str]:
    def variant(data: st.DataObject) -> str:
        table = rows()
        for row in table:
            stamp = pd.Timestamp(row[0])
            row[0] = {"s": f"{stamp.value // 10**9}", "ms": f"{stamp.value // 10**6}", "ns": f"{stamp.value}"}.get(
                form, stamp.strftime(form)
            )
        return text(table)

    variant.__name__ = f"times as {form}"
    return variant


READ = [
    *(crlf, cr, byte_order_mark, no_end_of_the_last_line, blank_lines, blanks_around_every_field, blanks_around_names),
    *(quoted_fields, quoted_ends_of_lines, capital_and_blank_header, row_numbers, signed_and_exponents),
    *map(times, ["s", "ms", "ns", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M:%S.000", "%Y-%m-%dT%H", "%Y-%m-%d %H:%M+00:00"]),
]


@pytest.mark.parametrize("variant", READ, ids=lambda variant: variant.__name__)
@FAST
@given(data=st.data())
def test_a_text_reads_the_same_however_it_is_written(variant, data, tmp_path):
    assert read(tmp_path, variant(data)).fingerprint() == read(tmp_path, text(rows())).fingerprint()


# What is refused


def cut(data: st.DataObject) -> tuple[str, str]:
    table = rows()
    at, kept = data.draw(st.integers(0, len(table) - 1)), data.draw(st.integers(1, 6))
    table[at] = table[at][:kept]
    return text(table), f"got {kept} in line {at + 2} (1 such rows); the row is cut"


def cut_within_a_field(data: st.DataObject) -> tuple[str, str]:
    table = rows()
    at = data.draw(st.integers(0, len(table) - 1))
    table[at] = [*table[at][:5], table[at][5][:1]]
    return text(table), f"got 6 in line {at + 2} (1 such rows); the row is cut"


def two_rows_in_one_line(data: st.DataObject) -> tuple[str, str]:
    table = rows()
    at = data.draw(st.integers(0, len(table) - 2))
    table[at] = [*table[at][:6], *table.pop(at + 1)]
    return text(table), f"got 13 in line {at + 2} (1 such rows); name every column"


def more_fields(data: st.DataObject) -> tuple[str, str]:
    table = rows()
    at = data.draw(st.integers(0, len(table) - 1))
    table[at].append("")
    return text(table), f"got 8 in line {at + 2} (1 such rows); name every column"


def every_row_longer(data: st.DataObject) -> tuple[str, str]:
    return text([[*row, "1"] for row in rows()]), "got 8 in line 2 (12 such rows); name every column"


def cut_behind_blank_lines(data: st.DataObject) -> tuple[str, str]:
    n_blank = data.draw(st.integers(1, 5))
    return text(rows()).replace("\n", "\n" * (1 + n_blank), 1) + "2024-01-02,BTC\n", f"got 2 in line {14 + n_blank} (1 such rows)"


def cut_behind_quoted_ends_of_lines(data: st.DataObject) -> tuple[str, str]:
    return text([[*row, '"two\nlines"'] for row in rows()], f"{BARS},note") + "2024-01-02,BTC\n", "got 2 in line 26 (1 such rows)"


def cut_far_down(data: st.DataObject) -> tuple[str, str]:
    """Behind the first block that Arrow reads."""
    return text(rows(480) * 60) + "2024-01-02,BTC\n", "got 2 in line 28802 (1 such rows)"


def nameless(data: st.DataObject) -> tuple[str, str]:
    table = rows()
    at = data.draw(st.integers(0, len(table) - 1))
    table[at][1] = data.draw(st.sampled_from(["", "  ", '""']))
    return text(table), f"column symbol must have a name in every row, got 1 without, the first in row {at}"


def no_number(data: st.DataObject) -> tuple[str, str]:
    table, wrong = rows(), data.draw(st.sampled_from(["1_000", "0x10", "1d5", "1,5", "none", "12 3", "1e", "--1"]))
    at = data.draw(st.integers(0, len(table) - 1))
    table[at][4] = f'"{wrong}"'
    return text(table), f"column low must hold numbers, got '{wrong}' in row {at}"


def timeless(data: st.DataObject) -> tuple[str, str]:
    table = rows()
    at = data.draw(st.integers(1, len(table) - 1))
    table[at][0] = data.draw(st.sampled_from(["", "NA", "nan", "null"]))
    return text(table), f"column time must have a time in every row, got 1 without, the first in row {at}"


def two_forms_of_time(data: st.DataObject) -> tuple[str, str]:
    table = rows()
    table[data.draw(st.integers(1, 11))][0] = data.draw(st.sampled_from(["1704067200000", "01/02/2024", "today"]))
    return text(table), "column time cannot be read as times"


def not_utf8(data: st.DataObject) -> tuple[bytes, str]:
    table = rows()
    table[5][1] = "BÄR"
    return text(table).encode("latin-1"), "not UTF-8 text (byte 0xc4 at "


def doubled_names(data: st.DataObject) -> tuple[str, str]:
    return text(
        [[*row, "1"] for row in rows()], f"{BARS},{data.draw(st.sampled_from(['close', 'Close', ' CLOSE ']))}"
    ), "are doubled"


def other_marks(data: st.DataObject) -> tuple[str, str]:
    mark = data.draw(st.sampled_from([";", "\t", "|"]))
    return text(rows()).replace(",", mark), f"fields must be separated by commas, got {mark!r}"


REFUSED = [
    *(cut, cut_within_a_field, two_rows_in_one_line, more_fields, every_row_longer, cut_behind_blank_lines),
    *(cut_behind_quoted_ends_of_lines, cut_far_down, nameless, no_number, timeless, two_forms_of_time, not_utf8, doubled_names),
    other_marks,
]


@pytest.mark.parametrize("variant", REFUSED, ids=lambda variant: variant.__name__)
@FAST
@given(data=st.data())
def test_a_text_that_cannot_be_read_in_one_way_is_refused(variant, data, tmp_path):
    content, words = variant(data)
    with refused(DataError, words, str(tmp_path / "x.csv")):
        read(tmp_path, content)


# Names

NAMES = [
    *(
        "00",
        "0",
        "007",
        "1",
        "1.0",
        "1e3",
        "1E3",
        "INF",
        "inf",
        "-Infinity",
        "nan",
        "NaN",
        "NA",
        "N/A",
        "NULL",
        "null",
        "None",
        "true",
    ),
    *(
        "True",
        "2024-01-01",
        "12:00",
        "0x10",
        "1_000",
        "+5",
        "-",
        "BTC/USDT:USDT",
        "ÄÖ",
        "比特币",
        "a b",
        "<NA>",
        "#N/A",
        "1000000000000000000000",
    ),
]


@settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    names=st.lists(
        st.sampled_from(NAMES) | st.from_regex(r"[0-9A-Za-z.:/+_-]{1,12}", fullmatch=True), min_size=1, max_size=5, unique=True
    ),
    further=st.booleans(),
)
def test_a_name_is_read_as_it_is_written_in_every_format(names, further, tmp_path):
    frame = pd.DataFrame([[row[0], name, *map(float, row[2:])] for row in rows(4) for name in names], columns=BARS.split(","))
    if further:
        # A column whose kind is not known by its name, and of which a value is not known.
        frame["trades"] = [np.nan, *range(len(frame) - 1)]
    frame.to_csv(tmp_path / "x.csv", index=False)
    frame.to_parquet(tmp_path / "x.parquet")
    frame.astype({"symbol": "category"}).to_feather(tmp_path / "x.feather")
    for kind in ("csv", "parquet", "feather"):
        assert read_bars(tmp_path / f"x.{kind}").symbols == tuple(names)


@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(NAMES), kind=st.sampled_from(["csv", "parquet", "feather"]))
def test_names_of_trades_are_read_as_they_are_written(name, kind, tmp_path):
    frame = pd.DataFrame({"time": [1_704_067_200_000, 1_704_067_200_001] * 2, "symbol": [name] * 2 + ["other"] * 2})
    frame = frame.assign(price=1.0, size=2.0, side="buy")
    {"csv": frame.to_csv, "parquet": frame.to_parquet, "feather": frame.to_feather}[kind](
        tmp_path / f"t.{kind}", **({"index": False} if kind == "csv" else {})
    )
    assert list(read_trades(tmp_path / f"t.{kind}").split()) == [name, "other"]


def test_bytes_of_parquet_are_names(tmp_path):
    frame = pd.DataFrame([[row[0], b"BTC ", *map(float, row[2:])] for row in rows(4)], columns=BARS.split(","))
    frame.to_parquet(tmp_path / "x.parquet")
    assert read_bars(tmp_path / "x.parquet").symbols == ("BTC",)


# The other readers go through the same front


def trades_text(n: int = 40) -> list[str]:
    return ["time,price,size,side,id", *(f"{1_704_067_200_000 + i},100,5,buy,t{i}" for i in range(n))]


READERS = {
    "trades": (trades_text, read_trades),
    "trades in runs": (trades_text, lambda path: list(scan_trades(path, 7))),
    "book": (
        lambda: [
            ",".join(["time", *BOOK_COLUMNS]),
            *(",".join([f"2024-01-01 00:00:{i:02d}", "100", *["" for _ in BOOK_COLUMNS[1:]]]) for i in range(9)),
        ],
        read_book,
    ),
    "labels": (
        lambda: ["timestamp,value", *(f"2014-01-01 00:{i:02d}:00,{i}.5" for i in range(20))],
        lambda path: read_nab(path, path.with_name("w.json")),
    ),
    "series": (lambda: ["Data,Label", *(f"{i}.5,0" for i in range(20))], read_tsb),
}


@pytest.mark.parametrize("reader", READERS)
@FAST
@given(data=st.data())
def test_every_reader_refuses_rows_that_are_cut(reader, data, tmp_path):
    make, read_one = READERS[reader]
    lines, path = make(), tmp_path / "x_tr_5_.csv"
    (tmp_path / "w.json").write_text('{"x_tr_5_.csv": []}', encoding="utf-8")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    read_one(path)
    at = data.draw(st.integers(1, len(lines) - 1))
    wrong = data.draw(st.sampled_from([lines[at].split(",", 1)[0], f"{lines[at]},1"]))
    path.write_text("\n".join([*lines[:at], wrong, *lines[at + 1 :]]) + "\n", encoding="utf-8")
    with refused(DataError, f"got {wrong.count(',') + 1} in line {at + 1} (1 such rows)", str(path)):
        read_one(path)


@pytest.mark.parametrize("n_rows", [1, 7, 40, 1_000])
@pytest.mark.parametrize("kind", ["csv", "csv.gz", "csv.zip"])
def test_a_file_in_runs_has_the_rows_of_the_file(n_rows, kind, tmp_path):
    lines = trades_text()
    # A form of time, and a number, that the first row does not show.
    lines[30] = lines[30].replace("1704067200029", "1704067200029.0")
    lines[35] = lines[35].replace(",5,", ',"5",')
    content = "\n".join(lines).encode()
    path = tmp_path / f"t.{kind}"
    if kind == "csv.zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("inside.csv", content)
    else:
        path.write_bytes(gzip.compress(content) if kind == "csv.gz" else content)
    whole, runs = read_trades(path), list(scan_trades(path, n_rows))
    assert [len(run) for run in runs] == [n_rows] * (40 // n_rows) + [40 % n_rows] * (40 % n_rows > 0)
    for name in ("time", "price", "size", "ids"):
        np.testing.assert_array_equal(np.concatenate([getattr(run, name) for run in runs]), getattr(whole, name))


def test_an_archive_holds_one_csv(tmp_path):
    for inside, words in (
        (["a.csv", "b.csv"], "the archive must hold one CSV file, got a.csv, b.csv"),
        (["a.txt"], "the archive must hold one CSV file, got a.txt"),
        ([], "the archive must hold one CSV file, got nothing"),
    ):
        with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
            for name in inside:
                archive.writestr(name, text(rows()))
        with refused(DataError, words):
            read_bars(tmp_path / "x.zip")
    (tmp_path / "x.zip").write_bytes(b"PK and nothing else")
    with refused(DataError, "cannot be read as zip"):
        read_bars(tmp_path / "x.zip")


@pytest.mark.parametrize("reader", [read_bars, read_trades, lambda path: list(scan_trades(path, 3))])
def test_rows_within_a_quote_that_is_not_closed_are_not_lost(reader, tmp_path):
    path = tmp_path / "x.csv"
    notes = ['"x' if hour == 3 else "y" for hour in range(12)]
    if reader is read_bars:
        lines = [f"2024-01-01 {hour:02}:00,9,9,9,9,1,{note}" for hour, note in enumerate(notes)]
        lines = ["time,open,high,low,close,volume,note", *lines]
    else:
        lines = [f"2024-01-01 {hour:02}:00,9,1,buy,{note}" for hour, note in enumerate(notes)]
        lines = ["time,price,size,side,note", *lines]
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match=r"got '2024-01-01 04:00,9.* within a field of the column 'note': a quote before it is not"):
        reader(path)
    # Two such quotes close each other, which leaves the number of quotes even.
    lines[9] = lines[9][:-1] + 'z"'
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match="within a field of the column 'note': a quote before it is not closed"):
        reader(path)


def test_a_quoted_text_may_have_lines_of_its_own(tmp_path):
    lines = [f'2024-01-01 {hour:02}:00,9,9,9,9,1,"a, b\nc, ""d"""' for hour in range(12)]
    (tmp_path / "x.csv").write_text("\n".join(["time,open,high,low,close,volume,note", *lines]))
    assert read_bars(tmp_path / "x.csv").n_bars == 12


def test_a_bar_is_stamped_by_its_open_whatever_other_times_it_has(tmp_path):
    lines = [f"2024-01-01 {hour + 1:02}:00,2024-01-01 {hour:02}:00,9,9,9,9,1" for hour in range(12)]
    (tmp_path / "x.csv").write_text("\n".join(["time,open_time,open,high,low,close,volume", *lines]))
    assert read_bars(tmp_path / "x.csv").time[0] == np.datetime64("2024-01-01T00:00")
