"""Kraken, Coinbase and Upbit in their own formats: bars, trades and books are those of the market."""

import numpy as np
import pytest

import foreshock as fs
from foreshock.data.exchange.exchange import Exchange
from foreshock.data.exchange.fetch import fetch_missing, missing_ranges
from foreshock.data.exchange.patience import Patience
from foreshock.data.store.series import SeriesKey
from foreshock.data.store.store import Store
from tests.servers.exchange_server import MINUTE_MS, START_MS, Market, _book, plant_holes, tick_trades, walk
from tests.servers.fetched import numbers
from tests.servers.spot_venues import SpotVenueServer

CALM = Patience(scale=0.001, timeout=20.0)
SYMBOLS = {"kraken": "BTC/USD", "coinbase": "BTC/USD", "upbit": "BTC/KRW"}
N_BARS = 700


@pytest.fixture
def venue():
    bars, holes = plant_holes(walk(N_BARS), 6, widest=40)
    trades = tick_trades(400, start=START_MS)
    trades[:, 1] += START_MS + N_BARS * MINUTE_MS - trades[-1, 1]
    server = SpotVenueServer(Market("BTC", bars=bars, trades=trades), now=START_MS + N_BARS * MINUTE_MS + 15_000)
    server.market_holes = holes
    with server:
        yield server


def connect(venue: SpotVenueServer, name: str) -> Exchange:
    return Exchange(name, venue.url, CALM, clock=lambda: venue.now / 1000)


@pytest.mark.parametrize("name", SYMBOLS)
def test_bars_are_those_of_the_market_and_its_holes_are_known(venue, tmp_path, name):
    key, store = SeriesKey(name, "spot", SYMBOLS[name], "ohlcv", "1m"), Store(tmp_path)
    stop = START_MS + N_BARS * MINUTE_MS
    fetch_missing(connect(venue, name), store, missing_ranges(store, [key], START_MS, stop))
    np.testing.assert_array_equal(numbers(store.read(key)), venue.market.bars)
    assert store.known_empty(key) == venue.market_holes
    assert store.ranges(key) == [(START_MS, stop)]
    assert store.notes(key) == []


@pytest.mark.parametrize("name", SYMBOLS)
def test_the_latest_trades_are_those_of_the_market(venue, name):
    trades = venue.market.trades
    start = int(trades[50, 1]) + 1
    (page,) = connect(venue, name).trades(SYMBOLS[name], start, venue.now)
    true = trades[(trades[:, 1] >= start) & (trades[:, 1] < page.stop)]
    assert page.table["time"].to_pylist() == true[:, 1].tolist()
    order = np.lexsort((page.table["id"].to_numpy(), page.table["time"].to_numpy()))
    assert page.table["price"].to_numpy()[order].tolist() == true[:, 2].tolist()
    assert page.table["amount"].to_numpy()[order].tolist() == true[:, 3].tolist()
    assert [page.table["side"][int(at)].as_py() == "buy" for at in order] == (true[:, 4] == 1).tolist()
    # Every trade has an id of its own, however many digits that has.
    assert len(set(page.table["id"].to_pylist())) == len(true)


@pytest.mark.parametrize("name", SYMBOLS)
def test_books_are_those_of_the_market(venue, name):
    book = fs.book_from_ccxt(connect(venue, name).order_book(SYMBOLS[name], 15), "10s")
    sides = [np.array(side, dtype=float)[:15] for side in _book(venue.market, 15, venue.now)]
    for at, side in enumerate(sides):
        np.testing.assert_allclose(book.notional[0, at], side[:, 0] * side[:, 1], rtol=1e-12)
    assert abs(int(book.time[0].astype("datetime64[ms]").astype(np.int64)) - venue.now) < 2_000
