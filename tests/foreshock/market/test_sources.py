"""The source section of a study file: every kind is read, and what does not belong together is refused by its key."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import foreshock as fs
from foreshock.data.errors import ConfigError, DataError
from foreshock.market.sources import features_of, merged_bars, open_source
from foreshock.study.config import parse_study

HOUR = 3_600_000
START = 1_704_067_200_000


def opened(folder: Path, features: list[str] | None = None, **source: object) -> fs.Bars | fs.Source:
    content: dict[str, object] = {"detectors": ["zscore"], "source": source}
    if features:
        content["features"] = features
    return open_source(parse_study(content), "study.toml", folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("sources")
    market = fs.simulate_market(seed=2, n_symbols=2, n_bars=48)
    bars = market.bars
    (place / "trades").mkdir()
    for symbol in bars.symbols:
        trades = fs.bar_trades(bars.select(symbol))
        trades.to_frame().to_parquet(place / "trades" / f"{symbol.replace('/', '-')}.parquet")
    fs.bar_trades(bars.select("BTC/USDT")).to_frame().to_parquet(place / "btc.parquet")
    bars.to_frame().to_parquet(place / "bars.parquet")
    features = fs.ohlcv_features(bars, ["range", "log_return"]).to_frame().reset_index()
    features.to_parquet(place / "features.parquet")
    book = fs.simulate_book(seed=1, n_rows=200).book
    book.to_frame().to_parquet(place / "book.parquet")
    return place


def test_windows_of_one_file_of_a_folder_and_of_some_symbols(folder):
    one = opened(folder, kind="windows", path="btc.parquet", interval="1m", symbols=["BTC/USDT"])
    assert (type(one), one.bars.symbols) == (fs.WindowSource, ("BTC/USDT",))
    many = opened(folder, kind="windows", path="trades", interval="1m")
    assert many.bars.symbols == ("BTC-USDT", "ETH-USDT")
    some = opened(folder, ["log_return", "volume"], kind="windows", path="trades", interval="1m", symbols=["ETH-USDT"])
    assert (some.bars.symbols, some.features.names) == (("ETH-USDT",), ("log_return", "volume"))
    np.testing.assert_array_equal(some.bars.close[:, 0], many.bars.close[-len(some.bars) :, 1])


def test_a_range_of_time_is_kept_of_trades(folder):
    whole = opened(folder, kind="windows", path="trades", interval="1m")
    part = opened(folder, kind="windows", path="trades", interval="1m", start="2022-01-01T06:00", end="2022-01-01T12:00")
    assert str(part.bars.time[0]) >= "2022-01-01T06:00"
    assert str(part.bars.time[-1]) < "2022-01-01T12:00"
    assert part.bars.n_bars < whole.bars.n_bars
    with pytest.raises(DataError, match="no data from '2030-01-01' to None"):
        opened(folder, kind="windows", path="trades", start="2030-01-01")


def test_bars_of_a_path_and_of_trades(folder):
    plain = opened(folder, kind="bars", path="bars.parquet", symbols=["BTC/USDT"])
    of_trades = opened(folder, path="btc.parquet", interval="1h", symbols=["BTC/USDT"], **{"from": "trades"})
    assert of_trades.kind == "bars"
    np.testing.assert_allclose(of_trades.bars.close, plain.bars.close)


def test_books_have_their_own_prices_or_those_of_bars(folder):
    own = opened(folder, kind="book", path="book.parquet", interval="5s")
    assert (own.bars.n_bars, own.kind) == (200, "book")
    micro = opened(folder, kind="book", path="book.parquet", interval="5s", price="microprice")
    assert not np.array_equal(own.bars.close, micro.bars.close)
    times = pd.DatetimeIndex(own.bars.time)
    one = np.ones(200)
    priced = pd.DataFrame({"time": times, "open": one, "high": one, "low": one, "close": one, "volume": one})
    priced.assign(symbol="BTC").to_parquet(folder / "priced.parquet")
    given = opened(folder, kind="book", path="book.parquet", interval="5s", prices="priced.parquet", symbols=["BTC"])
    assert given.bars.symbols == ("BTC",)
    np.testing.assert_array_equal(given.bars.close, 1.0)
    # A book without times has that of its first row.
    fs.read_book(folder / "book.parquet").to_frame().drop(columns="time").to_parquet(folder / "clockless.parquet")
    late = opened(folder, kind="book", path="clockless.parquet", interval="5s", first_row="2024-06-01T12:00")
    assert str(late.bars.time[0]) == "2024-06-01T12:00:00.000000"


def test_features_of_a_table_lie_on_the_rows_of_their_bars(folder):
    source = opened(folder, kind="features", path="features.parquet", prices="bars.parquet", symbols=["ETH/USDT"])
    bars = fs.read_bars(folder / "bars.parquet").select("ETH/USDT")
    np.testing.assert_array_equal(source.features.values, fs.ohlcv_features(bars, ["range", "log_return"]).values)
    part = opened(folder, kind="features", path="features.parquet", prices="bars.parquet", start="2022-01-01T12:00")
    assert part.bars.n_bars == 36


def test_bars_of_the_store_of_several_exchanges_are_one_market_or_many(tmp_path, monkeypatch):
    monkeypatch.setenv("FORESHOCK_STORE", str(tmp_path / "store"))
    store = fs.Store(tmp_path / "store")
    for exchange, level in (("binance", 100.0), ("bybit", 102.0)):
        prices = {name: [level, level + 1] for name in ("open", "high", "low", "close")}
        rows = pa.table({"time": [START, START + HOUR], **prices, "volume": [5.0, 6.0]})
        store.write(fs.SeriesKey(exchange, "spot", "BTC/USDT", "ohlcv", "1h"), rows, START, START + 2 * HOUR)
    wanted = {"from": "store", "symbols": ["BTC/USDT"], "interval": "1h", "start": "2024-01-01", "end": "2024-01-01T02:00"}
    one = opened(tmp_path, exchange="binance", **wanted)
    np.testing.assert_array_equal(one.bars.close[:, 0], [100, 101])
    merged = opened(tmp_path, exchange=["binance", "bybit"], merge=True, **wanted)
    np.testing.assert_array_equal(merged.bars.close[:, 0], [101, 102])
    np.testing.assert_array_equal(merged.bars.volume[:, 0], [10, 12])
    beside = opened(tmp_path, exchange=["binance", "bybit"], **wanted)
    assert beside.bars.symbols == ("binance:BTC/USDT", "bybit:BTC/USDT")


def test_a_bar_that_one_venue_lacks_is_that_of_the_others():
    bars = fs.simulate_market(seed=2, n_symbols=1, n_bars=10).bars
    holed = {name: getattr(bars, name).copy() for name in ("open", "high", "low", "close", "volume")}
    for values in holed.values():
        values[4] = np.nan
    other = fs.Bars(bars.time, bars.symbols, **holed, interval=bars.interval)
    found = merged_bars({"a": bars, "b": other})
    np.testing.assert_array_equal(found.close, bars.close)
    np.testing.assert_array_equal(found.volume[:, 0] / bars.volume[:, 0], [2.0] * 4 + [1.0] + [2.0] * 5)


@pytest.fixture(scope="module")
def venues(folder) -> Path:
    """Trades of one market on two exchanges: okx is two minutes late, a percent dearer, and has another market too."""
    place = folder / "venues"
    for exchange in ("binance", "okx"):
        (place / exchange).mkdir(parents=True)
        for symbol in ("BTC-USDT", "ETH-USDT") if exchange == "okx" else ("BTC-USDT",):
            trades = fs.read_trades(folder / "trades" / f"{symbol}.parquet").to_frame()
            if exchange == "okx":
                trades = trades.assign(time=trades["time"] + pd.Timedelta("2min"), price=1.01 * trades["price"])
            trades.to_parquet(place / exchange / f"{symbol}.parquet")
    return place


@pytest.mark.parametrize("wanted", [{"kind": "windows"}, {"kind": "bars", "from": "trades"}])
def test_trades_of_several_exchanges_are_one_market_in_the_order_of_time(venues, wanted):
    both = {"path": "venues", "interval": "1h", "exchange": ["binance", "okx"]}
    merged = opened(venues.parent, **both, merge=True, **wanted)
    parts = [pd.read_parquet(venues / name / "BTC-USDT.parquet") for name in ("binance", "okx")]
    together = pd.concat(parts).sort_values("time", kind="stable")
    expected = fs.WindowSource(fs.Trades.from_frame(together.drop(columns="ids", errors="ignore")), "1h").bars
    found = merged.bars.select("BTC-USDT")
    np.testing.assert_array_equal(found.close, expected.close)
    np.testing.assert_array_equal(found.high, expected.high)
    np.testing.assert_array_equal(found.volume, expected.volume)
    # A market of one exchange is that of the exchange.
    assert merged.bars.symbols == ("BTC-USDT", "ETH-USDT")
    beside = opened(venues.parent, **both, **wanted)
    assert beside.bars.symbols == ("binance:BTC-USDT", "okx:BTC-USDT", "okx:ETH-USDT")
    some = opened(venues.parent, **both, merge=True, symbols=["BTC-USDT"], end="2022-01-01T12:00", **wanted)
    assert (some.bars.symbols, str(some.bars.time[-1])) == (("BTC-USDT",), "2022-01-01T11:00:00.000000")
    alone = opened(venues.parent, path="venues", interval="1h", exchange="okx", **wanted)
    assert alone.bars.symbols == ("BTC-USDT", "ETH-USDT")


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"exchange": ["binance", "kraken"], "merge": True}, "venues holds no folder and no file of kraken"),
        ({"exchange": ["binance", "okx"], "merge": True, "symbols": ["XRP"]}, "no such symbol: XRP"),
        ({"exchange": ["binance", "okx"], "symbols": ["BTC-USDT", "XRP"]}, "no such symbol on any exchange: XRP"),
        ({"exchange": ["binance", "other"], "merge": True}, "no symbol is on two of the exchanges binance, other"),
        ({"exchange": ["binance", "okx"], "merge": True, "start": "2030-01-01"}, "no data from '2030-01-01' to None"),
    ],
)
def test_exchanges_that_cannot_be_put_together_are_refused_in_one_sentence(venues, wanted, words):
    if not (venues / "other").exists():
        (venues / "other").mkdir()
        pd.read_parquet(venues / "okx" / "ETH-USDT.parquet").to_parquet(venues / "other" / "ether.parquet")
    with pytest.raises(DataError, match=words):
        opened(venues.parent, kind="windows", path="venues", interval="1m", **wanted)


def test_trades_of_the_store_are_windows_of_one_market_or_many(tmp_path, monkeypatch):
    monkeypatch.setenv("FORESHOCK_STORE", str(tmp_path / "store"))
    store = fs.Store(tmp_path / "store")
    for at, (exchange, price) in enumerate((("binance", 100.0), ("okx", 102.0))):
        columns = {"id": [1, 2], "price": [price, price + 1], "amount": [1.0, 2.0], "side": ["buy", "sell"]}
        rows = pa.table({"time": [START + at, START + 30_000 + at], **columns})
        store.write(fs.SeriesKey(exchange, "spot", "BTC/USDT", "trades"), rows, START, START + HOUR)
    wanted = {"kind": "windows", "from": "store", "symbols": ["BTC/USDT"], "interval": "20s", "start": "2024-01-01"}
    wanted |= {"end": "2024-01-01T01:00"}
    merged = opened(tmp_path, exchange=["binance", "okx"], merge=True, **wanted)
    np.testing.assert_array_equal(merged.bars.open[:, 0], [100, 101])
    np.testing.assert_array_equal(merged.bars.close[:, 0], [102, 103])
    np.testing.assert_array_equal(merged.bars.volume[:, 0], [2, 4])
    np.testing.assert_array_equal(opened(tmp_path, exchange="okx", **wanted).bars.close[:, 0], [102, 103])


def test_a_universe_of_the_store_chooses_from_every_symbol_that_has_bars_in_the_time(tmp_path, monkeypatch):
    monkeypatch.setenv("FORESHOCK_STORE", str(tmp_path / "store"))
    store = fs.Store(tmp_path / "store")
    prices = {name: [1.0, 2.0] for name in ("open", "high", "low", "close", "volume")}
    for symbol, begin in (("A/USDT", START), ("B/USDT", START), ("C/USDT", START + 100 * HOUR)):
        rows = pa.table({"time": [begin, begin + HOUR], **prices})
        store.write(fs.SeriesKey("binance", "spot", symbol, "ohlcv", "1h"), rows, START, START + 102 * HOUR)
    wanted = {"from": "store", "symbols": {"top": 1}, "interval": "1h", "start": "2024-01-01", "end": "2024-01-01T02:00"}
    assert opened(tmp_path, exchange="binance", **wanted).bars.symbols == ("A/USDT", "B/USDT")
    with pytest.raises(DataError, match="the store has no 1h bars of okx from which a universe could be chosen"):
        opened(tmp_path, exchange="okx", **wanted)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"kind": "windows"}, "no key 'source.path'"),
        ({"kind": "features", "path": "features.parquet"}, "features need the bars"),
        ({"kind": "windows", "path": "x", "prices": "y"}, "key 'source': prices is for sources of kind book and features"),
        ({"kind": "book", "path": "x", "silence": "1D"}, "silence is for sources of kind windows"),
        ({"kind": "windows", "from": "store"}, "'source.symbols' is missing: trades of the store go by symbol"),
        ({"kind": "book", "from": "store"}, "from = 'store' is for sources of kind bars and windows, not book"),
        ({"kind": "book", "path": "x", "merge": True}, "merge is for sources of kind bars and windows, not book"),
        ({"from": "store", "path": "x"}, "exclude each other"),
        ({"from": "store"}, "'source.symbols' is missing"),
        ({"kind": "trades"}, "key 'source.kind'"),
        ({"colour": "red"}, "unknown key 'source.colour'"),
    ],
)
def test_keys_that_do_not_belong_together_are_refused(folder, source, words):
    with pytest.raises(ConfigError, match=words):
        opened(folder, **source)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: f.drop(columns="time"), "missing column: a time"),
        (lambda f: f.assign(symbol="DOGE"), "of which there are no bars"),
        (lambda f: f.assign(time=f["time"] + pd.Timedelta("1min")), "where there is no bar"),
        (lambda f: pd.concat([f, f.head(1)]), "stands twice"),
        (lambda f: f[["time", "symbol"]], "no column of numbers"),
    ],
)
def test_features_that_do_not_fit_their_bars_are_refused(folder, tmp_path, change, words):
    change(pd.read_parquet(folder / "features.parquet")).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(DataError, match=words):
        opened(folder, kind="features", path=str(tmp_path / "other.parquet"), prices="bars.parquet")


def test_data_and_source_exclude_each_other():
    with pytest.raises(ConfigError, match=r"\[data\] and \[source\] exclude each other"):
        parse_study({"detectors": ["zscore"], "data": {"path": "a"}, "source": {"path": "b"}})


def test_a_file_for_each_exchange_holds_the_market_that_the_study_names(folder):
    (folder / "files").mkdir()
    for exchange in ("binance", "okx"):
        fs.read_trades(folder / "btc.parquet").to_frame().to_parquet(folder / "files" / f"{exchange}.parquet")
    both = {"path": "files", "kind": "windows", "interval": "1h", "exchange": ["binance", "okx"], "merge": True}
    one = opened(folder, path="btc.parquet", kind="windows", interval="1h", symbols=["BTC"])
    np.testing.assert_allclose(opened(folder, symbols=["BTC"], **both).bars.volume, 2 * one.bars.volume)
    with pytest.raises(DataError, match="no symbol is on two of the exchanges binance, okx, got binance, okx; name their files"):
        opened(folder, **both)


@pytest.mark.parametrize("kind", ["windows", "book"])
def test_files_of_a_folder_whose_names_differ_in_a_date_are_one_market(kind, folder, tmp_path):
    whole = pd.read_parquet(folder / ("btc.parquet" if kind == "windows" else "book.parquet"))
    (tmp_path / "parts").mkdir()
    half = len(whole) // 2
    for name, part in {"2024-01": whole[:half], "2024-02": whole[half:]}.items():
        part.to_parquet(tmp_path / "parts" / f"BTCUSDT-{name}.parquet")
    step = "1m" if kind == "windows" else "5s"
    found = opened(tmp_path, kind=kind, path="parts", interval=step)
    whole.to_parquet(tmp_path / "BTCUSDT.parquet")
    expected = opened(tmp_path, kind=kind, path="BTCUSDT.parquet", interval=step)
    assert found.bars.symbols == ("BTCUSDT",)
    np.testing.assert_array_equal(found.bars.close, expected.bars.close)
    whole[half - 5 :].to_parquet(tmp_path / "parts" / "BTCUSDT-2024-02.parquet")
    with pytest.raises(fs.DataError, match=r"whose names differ in a date alone, .* and whose times overlap"):
        opened(tmp_path, kind=kind, path="parts", interval=step)


def test_a_file_that_would_be_passed_over_in_a_folder_of_trades_is_named(folder, tmp_path):
    (tmp_path / "parts").mkdir()
    pd.read_parquet(folder / "btc.parquet").to_parquet(tmp_path / "parts" / "BTC.parquet")
    (tmp_path / "parts" / "ETH.csv.xz").write_bytes(b"x")
    with pytest.raises(fs.DataError, match=r"has files that are not read: ETH.csv.xz"):
        opened(tmp_path, kind="windows", path="parts", interval="1m")


def test_trades_that_name_their_market_are_not_called_otherwise(folder, tmp_path):
    table = pd.read_parquet(folder / "btc.parquet").assign(symbol="BTC/USDT")
    table.to_parquet(tmp_path / "trades.parquet")
    wanted = {"kind": "windows", "path": "trades.parquet", "interval": "1m"}
    assert opened(tmp_path, **wanted).bars.symbols == ("BTC/USDT",)
    assert opened(tmp_path, **wanted, symbols=["BTCUSDT"]).bars.symbols == ("BTCUSDT",)
    with pytest.raises(fs.DataError, match="no such symbol: ETH/USDT; the data have BTC/USDT"):
        opened(tmp_path, **wanted, symbols=["ETH/USDT"])


def test_a_folder_of_trades_holds_every_symbol_that_its_files_name(folder, tmp_path):
    table = pd.read_parquet(folder / "btc.parquet")
    half = len(table) // 2
    (tmp_path / "parts").mkdir()
    pd.concat([table[:half].assign(symbol=name) for name in ("A", "B")]).to_csv(tmp_path / "parts" / "one.csv", index=False)
    table[half:].assign(symbol="B").to_csv(tmp_path / "parts" / "two.csv", index=False)
    found = opened(tmp_path, kind="windows", path="parts", interval="1m").bars
    table.to_parquet(tmp_path / "all.parquet")
    assert found.symbols == ("A", "B")
    expected = opened(tmp_path, kind="windows", path="all.parquet", interval="1m").bars
    np.testing.assert_array_equal(found.close[:, 1], expected.close[:, 0])
    table[half - 50 :].assign(symbol="B").to_csv(tmp_path / "parts" / "two.csv", index=False)
    with pytest.raises(fs.DataError, match=r"has B in one.csv, two.csv, whose times overlap; keep one of them"):
        opened(tmp_path, kind="windows", path="parts", interval="1m")


def test_columns_of_times_are_no_features_and_names_may_be_in_any_case(folder, tmp_path):
    table = pd.read_parquet(folder / "features.parquet")
    bars = fs.read_bars(folder / "bars.parquet")
    seconds = table["time"].dt.tz_convert(None).astype("datetime64[s]").astype("int64")
    told = table.assign(timestamp=seconds, flag=table["range"] > table["range"].median(), since=pd.to_timedelta(seconds, unit="s"))
    told = told.rename(columns={"time": "Time", "symbol": " Symbol", "range": "Range"})
    found = features_of(told, bars)
    assert found.names == ("Range", "log_return", "flag")
    np.testing.assert_array_equal(found.values[..., 0], features_of(table, bars).column("range"))


@pytest.mark.parametrize("word", ["n.a.", "0,5"])
def test_a_feature_with_a_word_is_not_left_out_in_silence(word, folder):
    table, bars = pd.read_parquet(folder / "features.parquet"), fs.read_bars(folder / "bars.parquet")
    texts = table["range"].astype(str).replace("nan", None)
    at = int(texts.notna().to_numpy().argmax())
    table["spread"] = texts.where(np.arange(len(texts)) != at, word)
    with pytest.raises(fs.DataError, match=f"column spread must hold numbers, got '{word}' in row {at}"):
        features_of(table, bars)
    assert features_of(table.assign(spread="wide"), bars).names == ("range", "log_return")
