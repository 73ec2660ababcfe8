"""What a folder means: which files are one market, which are read, and which are named, variant by variant."""

import gzip
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foreshock.data.bars import FIELDS
from foreshock.data.errors import DataError
from foreshock.data.files import read_bars
from tests.market import make_bars
from tests.sentences import refused

FAST = settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
MARKET = st.sampled_from(["BTCUSDT", "BTC-USDT", "BTC_USDT", "Binance_ETHBTC"])


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "market"


def fresh(folder: Path) -> Path:
    """An empty folder: hypothesis runs several examples in one."""
    folder.mkdir(exist_ok=True)
    for file in folder.iterdir():
        file.unlink()
    return folder


def hours(start: str, n: int, level: float = 1.0) -> pd.DataFrame:
    time = pd.date_range(start, periods=n, freq="h")
    return pd.DataFrame({"time": time, **dict.fromkeys(FIELDS, level + np.arange(n, dtype=float))})


def put(folder: Path, name: str, table: pd.DataFrame) -> None:
    if name.endswith((".zip", ".csv.gz")):
        content = table.to_csv(index=False).encode()
        if name.endswith(".gz"):
            (folder / name).write_bytes(gzip.compress(content))
        else:
            with zipfile.ZipFile(folder / name, "w") as archive:
                archive.writestr("inside.csv", content)
    elif name.endswith(".parquet"):
        table.to_parquet(folder / name)
    else:
        table.to_csv(folder / name, index=False)


# Parts of one market: names of the files that begin at some dates, and the symbol

DATES = ["2023-11-01", "2023-12-01", "2024-01-01", "2024-02-01"]
SUFFIX = st.sampled_from([".csv", ".csv.gz", ".csv.zip", ".zip", ".parquet"])


def form(pattern: str, symbol: str) -> Callable[[st.DataObject], tuple[list[str], str]]:
    def variant(data: st.DataObject) -> tuple[list[str], str]:
        market = data.draw(MARKET)
        named = [pd.Timestamp(date).strftime(pattern.replace("MARKET", market)) for date in DATES]
        named = [name.replace("NUMBER", str(at + 1)).replace("NEXT", DATES[(at + 1) % 4]) for at, name in enumerate(named)]
        return named, symbol.replace("MARKET", market)

    variant.__name__ = pattern
    return variant


PARTS = [
    form("MARKET-1h-%Y-%m", "MARKET-1h"),
    form("MARKET-1h-%Y-%m-%d", "MARKET-1h"),
    form("MARKET_%Y%m%d", "MARKET"),
    form("MARKET_%Y%m", "MARKET"),
    form("MARKET.%Y.%m", "MARKET"),
    form("MARKET %Y-%m", "MARKET"),
    form("MARKET (%Y-%m)", "MARKET"),
    form("%Y-%m-MARKET", "MARKET"),
    form("%Y%m%d_MARKET", "MARKET"),
    form("MARKET_%Y-%m-%d_NEXT", "MARKET"),
    form("MARKET-%m-%Y", "MARKET"),
    form("MARKET_%d.%m.%Y", "MARKET"),
    form("MARKET_%b%Y", "MARKET"),
    form("MARKET-%Y-%B", "MARKET"),
    form("MARKET_1704067NUMBER", "MARKET"),
    form("%Y-%m", "market"),
    form("%Y-%m-%d", "market"),
    form("MARKET-NUMBER", "MARKET"),
    form("MARKET_000NUMBER", "MARKET"),
    form("MARKET.partNUMBER", "MARKET.part"),
]


@pytest.mark.parametrize("variant", PARTS, ids=lambda variant: variant.__name__)
@FAST
@given(data=st.data())
def test_files_whose_names_differ_in_a_date_are_one_market(variant, data, folder):
    names, symbol = variant(data)
    fresh(folder)
    tables = [hours(date, data.draw(st.integers(2, 600)), 1_000.0 * at + 1) for at, date in enumerate(DATES)]
    for name, table in zip(names, tables, strict=True):
        put(folder, name + data.draw(SUFFIX), table)
    put(folder, "OTHER.csv", hours("2023-11-01", 50))
    read = read_bars(folder)
    assert set(read.symbols) == {symbol, "OTHER"}
    close = read.select(symbol).close[:, 0]
    whole = pd.concat(tables)
    np.testing.assert_array_equal(close[~np.isnan(close)], whole["close"])
    np.testing.assert_array_equal(read.time[~np.isnan(close)], whole["time"].to_numpy(dtype="datetime64[us]"))


def symbols_with_numbers(data: st.DataObject, folder: Path) -> set[str]:
    names = data.draw(st.sampled_from([["asset1", "asset2"], ["1INCH", "2CRZ"], ["LUNA", "LUNA2"], ["UST1", "UST2"]]))
    for name in names:
        put(folder, f"{name}.csv", hours("2024-01-01", 30))
    return set(names)


def dated_files_with_a_symbol_column(data: st.DataObject, folder: Path) -> set[str]:
    bars = make_bars(48, 2, seed=8)
    put(folder, "x-2023.parquet", bars.head(24).to_frame())
    put(folder, "x-2024.parquet", bars.rows(slice(24, None)).to_frame())
    return set(bars.symbols)


def one_dated_file(data: st.DataObject, folder: Path) -> set[str]:
    put(folder, "BTC-2024-01.csv", hours("2024-01-01", 30))
    put(folder, "ETH.csv", hours("2024-01-01", 30))
    return {"BTC-2024-01", "ETH"}


def archives_beside_files(data: st.DataObject, folder: Path) -> set[str]:
    for name in ("A.csv", "B.csv.zip", "C.zip", "D.csv.gz", "E.parquet"):
        put(folder, name, hours("2024-01-01", 30))
    return {"A", "B", "C", "D", "E"}


def texts_beside_files(data: st.DataObject, folder: Path) -> set[str]:
    put(folder, "BTC.csv", hours("2024-01-01", 30))
    for name, content in (
        ("README.md", "# a"),
        ("notes.txt", "two, three words"),
        ("meta.json", '{"a": [1]}'),
        (".x.csv.part", "1"),
    ):
        (folder / name).write_text(content, encoding="utf-8")
    return {"BTC"}


WHOLE = [
    *(symbols_with_numbers, dated_files_with_a_symbol_column, one_dated_file, archives_beside_files),
    texts_beside_files,
]


@pytest.mark.parametrize("variant", WHOLE, ids=lambda variant: variant.__name__)
@FAST
@given(data=st.data())
def test_other_files_are_markets_of_their_own(variant, data, folder):
    wanted = variant(data, fresh(folder))
    assert set(read_bars(folder).symbols) == wanted


@FAST
@given(n=st.integers(2, 5), overlap=st.integers(1, 10))
def test_dated_files_that_overlap_are_refused(n, overlap, folder):
    fresh(folder)
    for at in range(n):
        put(folder, f"BTC-2024-01-{1 + at:02d}.csv", hours(f"2024-01-{1 + at:02d}", 24 + overlap))
    with refused(DataError, "names differ in a date alone, BTC-2024-01-01.csv and BTC-2024-01-02.csv", "must follow one another"):
        read_bars(folder)


PASSED = [
    *("ETH.csv.bz2", "ETH.csv.xz", "ETH.csv.zst", "ETH.tar.gz", "ETH.7z", "ETH.gz", "ETH.xlsx", "ETH.tsv", "ETH.jsonl", "ETH.h5"),
    *(
        "ETH.csv.part",
        "ETH.csv.crdownload",
        "ETH.parquet.tmp",
        "ETH.csv~",
        "ETH.csv.1",
        "ETH.txt",
        "ETH.sqlite",
        "ETH.npz",
    ),
    *("ETH.orc", "ETH.PKL"),
]


@pytest.mark.parametrize("name", PASSED)
def test_a_file_with_rows_that_is_not_read_is_named(name, folder):
    put(fresh(folder), "BTC.csv", hours("2024-01-01", 30))
    (folder / name).write_text("[[1704067200000, 1, 2, 0.5, 1, 10]]", encoding="utf-8")
    with refused(DataError, f"has files that are not read: {name}; move them away, or convert them"):
        read_bars(folder)


def test_parts_with_another_step_are_refused(folder):
    put(fresh(folder), "BTC-2023.csv", hours("2023-01-01", 400))
    daily = pd.DataFrame({"time": pd.date_range("2024-01-01", periods=300, freq="D"), **dict.fromkeys(FIELDS, 1.0)})
    put(folder, "BTC-2024.csv", daily)
    with refused(DataError, "BTC has bars of 1d from 202", "would be known before it ends"):
        read_bars(folder)
