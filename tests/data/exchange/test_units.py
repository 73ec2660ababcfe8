"""Amounts are in base currency, whatever an exchange counts: bars, trades and books of linear and inverse markets."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import foreshock as fs
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.exchange.exchange import Exchange
from foreshock.data.exchange.fetch import fetch_missing, missing_ranges
from foreshock.data.exchange.patience import Patience
from foreshock.data.exchange.profiles import Profile
from foreshock.data.exchange.units import Unit, unit_of
from foreshock.data.store import partition as module
from foreshock.data.store.partition import MANIFEST, Partition, encode
from foreshock.data.store.series import SeriesKey, market_of
from foreshock.data.store.store import Store
from tests.console import foreshock
from tests.servers.exchange_server import HOUR_MS, MINUTE_MS, START_MS, Market, _book, tick_trades, walk
from tests.servers.venue_server import VenueServer

CALM = Patience(scale=0.001, timeout=20.0)
MARKETS = {"BTC/USDT:USDT": "USDT", "BTC/USD:BTC": "USD"}
CASES = [(name, symbol) for name in ("gate", "okx", "bybit") for symbol in MARKETS]


@pytest.fixture
def venue():
    trades = tick_trades(400)
    pair = [Market("BTC", quote, walk(600), trades) for quote in MARKETS.values()]
    with VenueServer(pair[:1], pair[1:], now=int(trades[-1, 1]) + 1_000) as server:
        yield server


def connect(venue, name: str) -> Exchange:
    return Exchange(name, venue.url, CALM, clock=lambda: venue.now / 1000)


@pytest.mark.parametrize(("name", "symbol"), CASES)
def test_volumes_of_bars_are_base_currency(venue, tmp_path, name, symbol):
    key, bars, store = SeriesKey(name, market_of(symbol), symbol, "ohlcv", "1m"), walk(600), Store(tmp_path)
    venue.fixed_now = START_MS + 600 * MINUTE_MS + HOUR_MS
    fetch_missing(connect(venue, name), store, missing_ranges(store, [key], START_MS, START_MS + 600 * MINUTE_MS))
    table = store.read(key)
    assert np.array_equal(table["close"].to_numpy(), bars[:, 4])
    # Gate has no volume in base currency for its inverse bars: dollars are divided by the mean of the bar's prices.
    close = 1e-3 if (name, symbol) == ("gate", "BTC/USD:BTC") else 1e-12
    np.testing.assert_allclose(table["volume"].to_numpy(), bars[:, 5], rtol=close)


@pytest.mark.parametrize(("name", "symbol"), CASES)
def test_sizes_of_trades_are_base_currency(venue, name, symbol):
    (page,) = connect(venue, name).trades(symbol, int(tick_trades(400)[-90, 1]), venue.now)
    true = {row[1]: row for row in tick_trades(400).tolist()}
    assert len(page.table) > 50
    for row in page.table.to_pylist():
        same = [true_row for true_row in tick_trades(400).tolist() if (true_row[1], true_row[2]) == (row["time"], row["price"])]
        assert any(row["amount"] == pytest.approx(true_row[3], rel=1e-12) for true_row in same)
    assert set(page.table["time"].to_pylist()) <= set(true)


@pytest.mark.parametrize(("name", "symbol"), CASES)
def test_levels_of_books_are_base_currency(venue, name, symbol):
    book = fs.book_from_ccxt(connect(venue, name).order_book(symbol), "10s")
    market = next(one for kind in venue.markets.values() for one in kind.values() if one.quote == MARKETS[symbol])
    bids, asks = (np.array(side, dtype=float)[:15] for side in _book(market, 20, venue.now))
    np.testing.assert_allclose(book.notional[0, 0], bids[:, 0] * bids[:, 1], rtol=1e-12)
    np.testing.assert_allclose(book.notional[0, 1], asks[:, 0] * asks[:, 1], rtol=1e-12)


MARKET = {"symbol": "BTC/USD:BTC", "contract": True, "linear": False, "inverse": True, "base": "BTC", "quote": "USD"}
LINEAR = {**MARKET, "symbol": "X/USDT:USDT", "base": "X", "quote": "USDT", "linear": True, "inverse": False}


def test_what_ccxt_says_of_a_market_decides_the_unit():
    anyone = Profile()
    assert unit_of("any", {"spot": True, "symbol": "BTC/USDT"}, "ohlcv", anyone) == Unit()
    assert unit_of("any", {**LINEAR, "contractSize": 1}, "ohlcv", anyone) == Unit()
    assert unit_of("any", {**LINEAR, "contractSize": 0.1}, "trades", anyone) == Unit(0.1)
    assert unit_of("any", {**MARKET, "contractSize": 10}, "book", anyone) == Unit(10.0, per_price=True)
    assert unit_of("any", {**MARKET, "contractSize": 5}, "book", Profile(inverse_size=1.0)) == Unit(1.0, per_price=True)
    assert unit_of("any", {**LINEAR, "contractSize": 0.1}, "ohlcv", Profile(volume="contracts")) == Unit(0.1)
    assert unit_of("any", {**LINEAR, "contractSize": 0.1}, "ohlcv", Profile(volume="base")) == Unit()


@pytest.mark.parametrize(
    ("market", "kind", "message"),
    [
        ({**LINEAR, "linear": False, "settle": "BTC"}, "trades", "settled in BTC, which is neither its base nor its quote"),
        ({**LINEAR, "linear": False, "settle": "BTC"}, "ohlcv", "a quanto contract"),
        ({**LINEAR, "contractSize": None}, "trades", "any does not say how much a contract of X/USDT:USDT is, got None"),
        ({**MARKET, "contractSize": 0.0}, "book", "does not say how much a contract of BTC/USD:BTC is, got 0.0"),
        ({**LINEAR, "contractSize": 10.0}, "ohlcv", "contracts or base currency, and a contract of X/USDT:USDT is 10 X; fetch its"),
        ({**MARKET, "contractSize": 1}, "ohlcv", "a contract of BTC/USD:BTC is 1 USD"),
    ],
)
def test_amounts_that_cannot_be_converted_are_refused(market, kind, message):
    with pytest.raises(ConfigError, match=message):
        unit_of("any", market, kind, Profile())


KEY = SeriesKey("okx", "linear", "BTC/USDT:USDT", "ohlcv", "1m")


def stored(tmp_path, key: SeriesKey) -> tuple[Store, str]:
    store = Store(tmp_path)
    columns = dict(zip(("time", "open", "high", "low", "close", "volume"), walk(10).T, strict=True))
    store.write(key, pa.table(columns | {"time": columns["time"].astype(np.int64)}), START_MS, START_MS + 10 * MINUTE_MS)
    return store, key.folder


def test_a_stored_series_says_which_unit_it_holds(tmp_path, monkeypatch, capsys):
    store, folder = stored(tmp_path, KEY)
    (summary,) = store.summary()
    assert summary.unit == KEY.unit == "BTC"
    assert b'"unit":"BTC"' in pq.read_metadata(tmp_path / folder / "2024-01.parquet").metadata[MANIFEST]
    assert replace(KEY, kind="funding", timeframe="").unit == ""
    code, out, _ = foreshock(monkeypatch, capsys, "store", "ls", "--store", str(tmp_path))
    assert code == 0
    assert "10 rows in BTC" in out


@pytest.mark.parametrize(("exchange", "fine"), [("okx", False), ("gate", False), ("bybit", True), ("binanceusdm", True)])
def test_a_series_of_an_earlier_version_that_may_count_contracts_is_refused(tmp_path, monkeypatch, exchange, fine):
    key = replace(KEY, exchange=exchange)
    store, folder = stored(tmp_path, key)
    path = tmp_path / folder / "2024-01.parquet"
    old = Partition(module.read_partition(key, path).rows, store.ranges(key))
    dumps = module.json.dumps

    def without_unit(content, **options):
        return dumps({name: value for name, value in content.items() if name != "unit"}, **options)

    monkeypatch.setattr(module.json, "dumps", without_unit)
    path.write_bytes(encode(key, "2024-01", old))
    monkeypatch.undo()
    if fine:
        assert len(store.read(key)) == 10
        return
    for ask in (lambda: store.read(key), lambda: store.missing(key, START_MS, START_MS + 1)):
        with pytest.raises(DataError, match=r"does not say that its amounts are in base currency.*run foreshock store repair"):
            ask()
    assert not store.verify().whole
    store.repair()
    assert store.missing(key, START_MS, START_MS + MINUTE_MS) == [(START_MS, START_MS + MINUTE_MS)]
