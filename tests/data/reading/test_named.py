"""Files as ccxt, freqtrade, Binance and Kraken write them: without names of columns, as JSON, with the market in their name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import foreshock as fs
from tests.console import foreshock
from tests.market import make_bars

TIMES = 1_704_067_200_000 + 3_600_000 * np.arange(30)


@pytest.fixture
def bars() -> fs.Bars:
    return make_bars(30, 1, seed=3, start="2024-01-01")


def values(bars: fs.Bars) -> np.ndarray:
    return np.column_stack([getattr(bars, name)[:, 0] for name in ("open", "high", "low", "close", "volume")])


def rows(bars: fs.Bars, kind: str) -> list[list]:
    """The rows of a kind of file, in JSON types."""
    prices = values(bars).tolist()
    if kind == "kraken":
        return [[int(t) // 1000, *row, 7] for t, row in zip(TIMES, prices, strict=True)]
    if kind == "binance":
        return [
            [int(t), *map(repr, row), int(t) + 3_599_999, "5.5", 9, "1.5", "2.5", "0"] for t, row in zip(TIMES, prices, strict=True)
        ]
    return [[int(t), *row] for t, row in zip(TIMES, prices, strict=True)]


def put(path: Path, found: list[list]) -> Path:
    if path.suffix == ".json":
        path.write_text(json.dumps(found))
    else:
        path.write_text("".join(",".join(map(str, row)) + "\n" for row in found))
    return path


@pytest.mark.parametrize(("kind", "extras"), [("ccxt", ()), ("kraken", ("trades",)), ("binance", ("count", "quote_volume"))])
@pytest.mark.parametrize("name", ["BTC_USDT-1h.csv", "BTC_USDT-1h.json"])
def test_rows_of_others_are_read_as_they_are(kind, extras, name, bars, tmp_path):
    path = put(tmp_path / name, rows(bars, kind))
    found = fs.read_bars(path, columns=kind)
    np.testing.assert_array_equal(values(found), values(bars))
    np.testing.assert_array_equal(found.time, TIMES.astype("datetime64[ms]"))
    assert found.symbols == ("BTC/USDT",)
    assert set(extras) <= set(found.extras)
    assert not {"ignore", "close_time", ""} & set(found.extras)
    if path.suffix == ".json" and kind != "kraken":
        np.testing.assert_array_equal(values(fs.read_bars(path)), values(bars))


def test_names_may_be_given_in_any_order_and_left_out(bars, tmp_path):
    path = put(tmp_path / "a.csv", [[row[0], 5, row[4], *row[1:4], row[5]] for row in rows(bars, "ccxt")])
    found = fs.read_bars(path, columns=["time", "", "close", "open", "high", "low", "volume"])
    np.testing.assert_array_equal(values(found), values(bars))
    assert not found.extras


def test_a_volume_that_is_not_known_is_not_known(bars, tmp_path):
    found = rows(bars, "ccxt")
    found[4][5] = None
    read = fs.read_bars(put(tmp_path / "a.json", found))
    assert np.isnan(read.volume[4, 0])
    assert np.isnan(read.volume).sum() == 1


def test_json_with_names_and_a_folder_of_json_are_read(bars, tmp_path):
    for symbol in ("BTC_USDT", "ETH_USDT"):
        names = ("date", "open", "high", "low", "close", "volume")
        content = [dict(zip(names, row, strict=True)) for row in rows(bars, "ccxt")]
        (tmp_path / f"{symbol}-1h.json").write_text(json.dumps(content))
    (tmp_path / "meta.json").write_text('{"a": 1}')
    found = fs.read_bars(tmp_path)
    assert found.symbols == ("BTC/USDT", "ETH/USDT")
    np.testing.assert_array_equal(found.close[:, 1], bars.close[:, 0])


@pytest.mark.parametrize(
    ("stem", "symbol"),
    [
        ("BTC_USDT-1h", "BTC/USDT"),
        ("BTC_USDT_USDT-5m-futures", "BTC/USDT:USDT"),
        ("1000PEPE_USDT_USDT-1d", "1000PEPE/USDT:USDT"),
        ("BTC_USDT_USDT-8h-mark", "BTC_USDT_USDT-8h-mark"),
        ("BTCUSDT-1h", "BTCUSDT-1h"),
        ("my_bars", "my_bars"),
        ("BTC_USDT", "BTC_USDT"),
    ],
)
def test_the_market_is_in_the_name_of_the_file(stem, symbol, bars, tmp_path):
    path = tmp_path / f"{stem}.parquet"
    bars.to_frame().drop(columns="symbol").to_parquet(path)
    assert fs.read_bars(path).symbols == (symbol,)


def test_a_symbol_column_goes_before_the_name_of_the_file(bars, tmp_path):
    bars.to_frame().to_parquet(tmp_path / "BTC_USDT-1h.parquet")
    assert fs.read_bars(tmp_path / "BTC_USDT-1h.parquet").symbols == bars.symbols


def odd(change) -> list:
    found = rows(make_bars(30, 1, seed=3, start="2024-01-01"), "ccxt")
    change(found)
    return found


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[]", "must be a list of rows, got"),
        ("{}", "must be a list of rows, got"),
        ("5", "must be a list of rows, got 5"),
        ("[" * 100_000, "cannot be read as json: it is nested too deeply"),
        ("[[1, 2", "cannot be read as json: "),
        ("[NaN]", "cannot be read as json: it has NaN"),
        ("[[1, 2, 3]]", "must have the 6 values time, open, high, low, close, volume, got [1, 2, 3] in row 0"),
        (json.dumps(odd(lambda found: found[7].pop())), "in row 7"),
        (json.dumps(odd(lambda found: found.insert(5, None))), "got None in row 5"),
        (json.dumps(odd(lambda found: found[7].__setitem__(2, "x"))), "column high must hold numbers, got"),
        (json.dumps(odd(lambda found: found[7].__setitem__(2, True))), "column high must hold numbers, got"),
        (json.dumps(odd(lambda found: found[7].__setitem__(2, [1]))), "column high must hold numbers, got"),
        (json.dumps(odd(lambda found: found[7].__setitem__(0, None))), "column time"),
        (json.dumps([{"time": 1}]), "missing column: open, high, low, close, volume"),
        (json.dumps([{"time": {"a": 1}, "open": 1, "high": 1, "low": 1, "close": 1, "volume": 1}]), "column time must hold times"),
    ],
)
def test_json_that_is_none_of_bars_is_refused_in_a_sentence(content, said, tmp_path):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(fs.DataError) as caught:
        fs.read_bars(tmp_path / "a.json")
    assert said in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "a.json"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("columns", "kind", "said"),
    [
        (None, "ccxt", "the first line must name the columns, got 1704067200000, "),
        (None, "binance", "name the columns of bars with columns=, such as 'binance'"),
        ("kraken", "ccxt", "must have the 7 fields|Expected 7 columns"),
        (["time", "open"], "ccxt", "missing column|must have the 2 fields"),
    ],
)
def test_a_file_without_names_says_what_to_do(columns, kind, said, bars, tmp_path):
    with pytest.raises(fs.DataError, match=said):
        fs.read_bars(put(tmp_path / "a.csv", rows(bars, kind)), columns=columns)


@pytest.mark.parametrize("columns", ["gate", "", [], 5, [1, 2], {"a": 1}])
def test_names_that_are_none_are_refused(columns, bars, tmp_path):
    with pytest.raises(fs.ConfigError, match="columns must be names, or one of ccxt, kraken, binance, got"):
        fs.read_bars(put(tmp_path / "a.csv", rows(bars, "ccxt")), columns=columns)


def test_names_for_a_file_that_has_them_are_refused(bars, tmp_path):
    bars.to_frame().to_parquet(tmp_path / "a.parquet")
    bars.to_frame().to_csv(tmp_path / "a.csv", index=False)
    for name in ("a.parquet", "a.csv"):
        with pytest.raises(fs.DataError, match=r"columns= is for CSV|fields of the header|Expected 6 columns|must hold times"):
            fs.read_bars(tmp_path / name, columns="ccxt")


def test_clean_reads_them_and_lists_what_it_did(bars, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    found = rows(bars, "binance")
    found[3][3], found[9] = "-1", found[8]
    # The turnover at the close, so that nothing is to be said of the unit of volumes.
    found = [[*row[:7], repr(float(row[4]) * float(row[5])), *row[8:]] for row in found]
    put(tmp_path / "BTC_USDT-1h.csv", found)
    code, said, err = foreshock(monkeypatch, capsys, "clean", "BTC_USDT-1h.csv", "--columns", "binance", "--out", "out.parquet")
    assert (code, err) == (0, "")
    done = pd.read_csv("out.done.csv")
    assert set(done["kind"]) == {"not_positive", "doubled", "missing"}
    assert list(done.columns) == ["symbol", "kind", "rows", "from", "to", "found", "done"]
    assert set(done["symbol"]) == {"BTC/USDT"}
    assert "out.done.csv: what was found and done" in said
    read = fs.read_bars("out.parquet")
    assert read.symbols == ("BTC/USDT",)
    assert np.isnan(read.close).sum() == 2


def test_what_eda_finds_is_gone_after_clean(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    table = make_bars(300, 2, seed=3).to_frame()
    table.loc[10, "low"], table.loc[20, "open"], table.loc[30, "high"] = -1.0, np.inf, 1e-9
    pd.concat([table.iloc[50:], table.iloc[:60]]).to_csv("bars.csv", index=False)
    assert foreshock(monkeypatch, capsys, "clean", "bars.csv", "--out", "out.csv")[0] == 0
    _, before = fs.clean(pd.read_csv("bars.csv"))
    _, after = fs.clean(fs.read_bars("out.csv"))
    fixed = {"unsorted", "doubled", "infinite", "not_positive", "ohlc_violation"}
    assert fixed <= set(before.findings["kind"])
    assert not fixed & set(after.findings["kind"])
