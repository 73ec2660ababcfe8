"""Through real ccxt against the loopback exchange: every bar arrives, every gap is one, and whatever goes wrong has an end."""

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import foreshock as fs
from foreshock.data.errors import ConfigError, DataError, ExchangeError
from foreshock.data.exchange.connection import Connection
from foreshock.data.exchange.exchange import Exchange
from foreshock.data.exchange.fetch import fetch_missing, missing_ranges
from foreshock.data.exchange.pages import SETTLED_MS, Answer, bar_spans
from foreshock.data.exchange.patience import Pace, Patience
from foreshock.data.exchange.profiles import BINANCE_HOST
from foreshock.data.store.series import SeriesKey
from foreshock.data.store.store import Store
from tests.paths import ROOT
from tests.servers.exchange_server import (
    EMPTY,
    FAULTS,
    HOUR_MS,
    MINUTE_MS,
    START_MS,
    ExchangeServer,
    Market,
    plant_holes,
    tick_trades,
    walk,
)
from tests.servers.fetched import LATER_MS, N_BARS, N_HOLES, SPOT, STOP_MS, assert_exact, numbers, partitions, serve

# For servers that hang: what a loaded machine answers later than this is asked for again.
QUICK = Patience(scale=0.001, timeout=0.15, blocked_attempts=10)
# Where nothing hangs, so that the number of requests does not depend on how fast the machine is.
CALM = replace(QUICK, timeout=20.0)
SERIES = (
    SPOT,
    SeriesKey("binanceusdm", "linear", "BTC/USDT:USDT", "ohlcv", "1m"),
    SeriesKey("bybit", "linear", "BTC/USDT:USDT", "ohlcv", "1m"),
)


def connect(server: ExchangeServer, name: str = "binance", page: int | None = None, patience: Patience = CALM) -> Exchange:
    exchange = Exchange(name, server.url, patience, clock=lambda: server.now / 1000)
    if page is not None:
        exchange.connection.profile = replace(exchange.connection.profile, bars=page)
    return exchange


def fetch(exchange: Exchange, folder, key: SeriesKey, start: int = START_MS, stop: int = STOP_MS) -> Store:
    store = Store(folder)
    fetch_missing(exchange, store, missing_ranges(store, [key], start, stop))
    return store


@pytest.mark.parametrize("fault", FAULTS)
def test_every_bar_and_every_hole_arrives_whatever_goes_wrong(fault, holed, tmp_path):
    bars, holes = holed
    with serve(Market("BTC", bars=bars), faults={fault: 0.1 if fault == "hang" else 0.3}, retry_after=2.0, seed=4) as server:
        store = fetch(connect(server, page=100, patience=QUICK), tmp_path, SPOT)
    assert server.injected[fault] > (1 if fault == "hang" else 3)
    assert_exact(store, SPOT, bars, holes)


@pytest.mark.parametrize("key", SERIES, ids=lambda key: key.exchange)
def test_every_exchange_gives_the_same_bars_under_all_faults(key, holed, tmp_path):
    bars, holes = holed
    with serve(Market("BTC", bars=bars), faults=dict.fromkeys(FAULTS, 0.02), seed=1) as server:
        store = fetch(connect(server, key.exchange, page=50, patience=QUICK), tmp_path, key)
    assert server.injected.total() > 15
    assert_exact(store, key, bars, holes)


@pytest.mark.parametrize("fault", ["newest_first", "duplicated", "open_candle"])
def test_what_an_exchange_always_does_costs_no_second_question(fault, holed, tmp_path):
    bars, holes = holed
    asked = []
    for always in ({}, {fault: 1.0}):
        with serve(Market("BTC", bars=bars), faults=always) as server:
            store = fetch(connect(server, page=500), tmp_path / str(len(always)), SPOT)
        assert_exact(store, SPOT, bars, holes)
        asked.append(len(server.requests))
    assert asked[0] == asked[1]


@pytest.mark.slow
@pytest.mark.parametrize(("key", "fault"), [(SPOT, fault) for fault in FAULTS] + [(key, "all") for key in SERIES])
def test_200000_bars_with_30_holes_arrive_exactly(key, fault, tmp_path):
    n_bars = 200_000
    stop = START_MS + n_bars * MINUTE_MS
    bars, holes = plant_holes(walk(n_bars), N_HOLES)
    faults = {name: 0.1 / len(FAULTS) for name in FAULTS} if fault == "all" else {fault: 0.1}
    patience = replace(QUICK, timeout=0.5, blocked_attempts=4)
    with serve(Market("BTC", bars=bars), faults=faults, now=stop + HOUR_MS, seed=3) as server:
        store = fetch(connect(server, key.exchange, patience=patience), tmp_path, key, stop=stop)
    assert server.injected.total() > 10
    assert len(holes) == N_HOLES
    assert_exact(store, key, bars, holes, stop)


@pytest.mark.parametrize("key", SERIES, ids=lambda key: key.exchange)
def test_one_false_answer_that_there_is_nothing_makes_no_gap(key, holed, tmp_path):
    bars, holes = holed
    with serve(Market("BTC", bars=bars), script=[None, None, EMPTY, *[None, EMPTY] * 4]) as server:
        store = fetch(connect(server, key.exchange, page=500), tmp_path, key)
    assert server.injected[EMPTY] == 5
    assert_exact(store, key, bars, holes)


@pytest.mark.parametrize("key", SERIES, ids=lambda key: key.exchange)
def test_a_gap_of_many_pages_is_crossed_in_few_questions(key, tmp_path):
    # Listed 60,000 minutes after the start: 600 pages of 100.
    first = START_MS + 60_000 * MINUTE_MS
    bars = walk(500, start=first)
    stop = first + 500 * MINUTE_MS
    with serve(Market("BTC", bars=bars), now=stop + HOUR_MS) as server:
        store = fetch(connect(server, key.exchange, page=100), tmp_path, key, stop=stop)
    assert_exact(store, key, bars, [(START_MS, first)], stop)
    assert len(server.requests) < 60


@pytest.mark.parametrize("key", SERIES, ids=lambda key: key.exchange)
def test_an_exchange_that_gives_fewer_bars_than_asked_for_loses_none(key, holed, tmp_path):
    bars, holes = holed
    with serve(Market("BTC", bars=bars), cap=170) as server:
        store = fetch(connect(server, key.exchange, page=500), tmp_path, key)
    assert_exact(store, key, bars, holes)


@given(
    present=st.sets(st.integers(0, 300)),
    cap=st.integers(1, 12),
    newest=st.booleans(),
    exact=st.booleans(),
    before=st.sampled_from([0, 40]),
)
@settings(max_examples=200, deadline=None)
def test_paging_loses_and_invents_nothing_whatever_part_of_a_page_is_sent(present, cap, newest, exact, before):
    step, n_page, stop = 60, 12, 301
    history = sorted(present)

    def ask(start: int, end: int) -> Answer:
        inside = [at * step for at in history if start <= at * step < end]
        page = inside[-cap:] if newest else inside[:cap]
        earlier = not exact and any(at * step < start for at in history)
        return Answer(np.array(page, dtype=float).reshape(-1, 1), earlier, 10**12)

    spans = list(bar_spans(ask, before * step, stop * step, step, n_page, exact))
    times = [int(time) // step for span in spans for time in span.rows[:, 0]]
    assert times == [at for at in history if at >= before]
    for span in spans:
        assert all(span.start <= time < span.stop for time in span.rows[:, 0])
    edges = [edge for span in spans for edge in (span.start, span.stop)]
    assert edges[1:-1:2] == edges[2:-1:2]
    # An exchange that keeps to what it is asked is believed that it has none; of others, only after they had one.
    first = before if exact or any(at < before for at in history) else min(times, default=stop)
    assert (edges[:1], edges[-1:]) == (([first * step], [stop * step]) if first < stop else ([], []))


def test_a_bar_that_is_still_open_is_not_taken_even_by_a_clock_that_is_fast(tmp_path):
    bars = walk(120)
    # The exchange is in the middle of bar 100; we believe that it is half an hour later.
    now = START_MS + 100 * MINUTE_MS + 30_000
    with serve(Market("BTC", bars=bars), now=now) as server:
        exchange = Exchange("binance", server.url, QUICK, clock=lambda: now / 1000 + 1800)
        store = fetch(exchange, tmp_path, SPOT, stop=START_MS + 120 * MINUTE_MS)
    assert np.array_equal(numbers(store.read(SPOT)), bars[:100])
    assert store.ranges(SPOT) == [(START_MS, START_MS + 100 * MINUTE_MS)]


def test_a_bar_that_closed_a_moment_ago_is_not_yet_known_to_be_missing(tmp_path):
    bars = walk(100)
    now = START_MS + 103 * MINUTE_MS
    with serve(Market("BTC", bars=bars), now=now) as server:
        store = fetch(connect(server), tmp_path, SPOT, stop=now)
        assert store.ranges(SPOT) == [(START_MS, START_MS + 100 * MINUTE_MS)]
        server.fixed_now = now + SETTLED_MS
        store = fetch(connect(server), tmp_path, SPOT, stop=now)
    assert store.known_empty(SPOT) == [(START_MS + 100 * MINUTE_MS, now)]


def test_a_bar_that_was_not_final_is_asked_for_again(tmp_path, monkeypatch):
    """Exchanges add trades to a bar for some seconds after its close: github.com/ccxt/ccxt issue 6742."""
    bars, stop = walk(100), START_MS + 100 * MINUTE_MS
    with serve(Market("BTC", bars=bars), now=stop + 500) as server:
        good = server.answer

        def early(path: str, query: dict[str, str], fault: str | None):
            rows = good(path, query, fault)
            if path.endswith("klines") and server.now < stop + 3_000 and rows and rows[-1][0] == int(bars[-1, 0]):
                rows[-1][5] = "0.001"
            return rows

        monkeypatch.setattr(server, "answer", early)
        store = fetch(connect(server), tmp_path, SPOT, stop=stop)
        assert store.read(SPOT)["volume"][99].as_py() == 0.001
        assert store.provisional(SPOT, START_MS, stop) == [(stop - 10 * MINUTE_MS, stop)]
        server.fixed_now = stop + HOUR_MS
        store = fetch(connect(server), tmp_path, SPOT, stop=stop)
        assert np.array_equal(numbers(store.read(SPOT)), bars)
        server.requests.clear()
        fetch(connect(server), tmp_path, SPOT, stop=stop)
        assert server.requests == []
    assert store.notes(SPOT) == []


@pytest.mark.parametrize("date", ["", "Mon, 01 Jan 0001 00:00:00 GMT", "the day after tomorrow"])
def test_without_a_clock_of_the_exchange_nothing_of_the_last_day_is_final(date, tmp_path, monkeypatch):
    bars = walk(300)
    now, stop = START_MS + 200 * MINUTE_MS + 30_000, START_MS + 240 * MINUTE_MS
    with serve(Market("BTC", bars=bars), now=now) as server:
        with monkeypatch.context() as without:
            without.setattr("tests.servers.exchange_server.formatdate", lambda *_, **__: date)
            # Our clock is an hour fast, and the bar that is open is taken for a closed one.
            fast = Exchange("binance", server.url, CALM, clock=lambda: now / 1000 + 3_600)
            store = fetch(fast, tmp_path, SPOT, stop=stop)
        assert len(store.read(SPOT)) == 201
        assert store.ranges(SPOT) == [(START_MS, START_MS + 201 * MINUTE_MS)]
        assert store.provisional(SPOT, START_MS, stop) == store.ranges(SPOT)
        server.fixed_now = stop + HOUR_MS
        store = fetch(connect(server), tmp_path, SPOT, stop=stop)
    assert np.array_equal(numbers(store.read(SPOT)), bars[:240])
    assert store.provisional(SPOT, START_MS, stop) == []


def test_what_is_in_the_store_is_not_asked_for_again(holed, tmp_path):
    bars, holes = holed
    half = START_MS + N_BARS // 2 * MINUTE_MS
    with serve(Market("BTC", bars=bars)) as server:
        fetch(connect(server), tmp_path, SPOT, stop=half)
        server.requests.clear()
        store = fetch(connect(server), tmp_path, SPOT)
        starts = [int(path.split("startTime=")[1].split("&")[0]) for path in server.requests if "startTime" in path]
        assert starts
        assert min(starts) == half
        server.requests.clear()
        fetch(connect(server), tmp_path, SPOT)
        assert not server.requests
    assert_exact(store, SPOT, bars, holes)


CHILD = """
import sys
from foreshock.data.exchange.exchange import Exchange
from foreshock.data.exchange.patience import Patience
from foreshock.data.exchange.fetch import fetch_missing, missing_ranges
from foreshock.data.store.store import SeriesWriter, Store
from tests.servers.fetched import SPOT

url, folder, start, stop = sys.argv[1:]
store = Store(folder)
store.writer = lambda key: SeriesWriter(store, key, 200, 10.0)
exchange = Exchange("binance", url, Patience(scale=0.05))
print("ready", flush=True)
fetch_missing(exchange, store, missing_ranges(store, [SPOT], int(start), int(stop)))
"""


def child(server: ExchangeServer, folder: Path, start: int, stop: int) -> subprocess.Popen[str]:
    """Another process that fetches, once it has said so."""
    given = [sys.executable, "-c", CHILD, server.url, str(folder), str(start), str(stop)]
    process = subprocess.Popen(given, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    with process.stdout as said:
        assert said.readline() == "ready\n"
    return process


@pytest.mark.slow
def test_a_fetch_that_is_killed_50_times_ends_as_one_that_was_not(tmp_path):
    n_bars, rng = 60_000, np.random.default_rng(6)
    stop = START_MS + n_bars * MINUTE_MS
    bars, holes = plant_holes(walk(n_bars), N_HOLES)
    with serve(Market("BTC", bars=bars), now=stop + HOUR_MS) as server:
        whole = fetch(connect(server), tmp_path / "whole", SPOT, stop=stop)
        store, progress = Store(tmp_path / "killed"), []
        for _ in range(50):
            process = child(server, store.folder, START_MS, stop)
            time.sleep(rng.uniform(0.0, 0.25))
            process.kill()
            assert process.wait() != 0
            assert store.verify().whole
            progress.append(len(store.read(SPOT)))
        fetch(connect(server), store.folder, SPOT, stop=stop)
    assert len(set(progress)) > 10
    assert progress == sorted(progress)
    assert_exact(store, SPOT, bars, holes, stop)
    assert partitions(store.folder) == partitions(whole.folder)


@pytest.mark.slow
def test_two_processes_that_fetch_overlapping_ranges_lose_and_double_nothing(tmp_path):
    n_bars = 20_000
    stop = START_MS + n_bars * MINUTE_MS
    third = n_bars // 3 * MINUTE_MS
    bars, holes = plant_holes(walk(n_bars), N_HOLES)
    with serve(Market("BTC", bars=bars), now=stop + HOUR_MS) as server:
        processes = [child(server, tmp_path, START_MS, stop - third), child(server, tmp_path, START_MS + third, stop)]
        assert [process.wait() for process in processes] == [0, 0]
    assert_exact(Store(tmp_path), SPOT, bars, holes, stop)


def test_several_symbols_are_fetched_at_once_and_one_that_fails_leaves_the_others_whole(tmp_path):
    markets = [Market(base, bars=walk(3_000, seed)) for seed, base in enumerate(("BTC", "ETH", "SOL", "ADA", "XRP"))]
    keys = [SeriesKey("binance", "spot", f"{one.base}/USDT", "ohlcv", "1m") for one in markets]
    stop = START_MS + 3_000 * MINUTE_MS
    store = Store(tmp_path / "all")
    with ExchangeServer(markets, now=LATER_MS, faults=dict.fromkeys(FAULTS, 0.01)) as server:
        fetch_missing(connect(server, page=200, patience=QUICK), store, missing_ranges(store, keys, START_MS, stop))
        for key, market in zip(keys, markets, strict=True):
            assert np.array_equal(numbers(store.read(key)), market.bars)
        wrong = replace(keys[0], symbol="BTC/USDC")
        other = Store(tmp_path / "other")
        with pytest.raises(ConfigError, match=r"binance has no market 'BTC/USDC'; did you mean BTC/USDT"):
            fetch_missing(connect(server, patience=QUICK), other, missing_ranges(other, [wrong, keys[1]], START_MS, stop))
    assert other.verify().whole
    read = numbers(other.read(keys[1]))
    assert np.array_equal(read, markets[1].bars[: len(read)])


def test_bars_of_another_timeframe_are_paged_on_its_grid(tmp_path):
    market = Market("BTC", bars=walk(6_000))
    key = replace(SPOT, timeframe="15m")
    stop = START_MS + 6_000 * MINUTE_MS
    with serve(market, now=stop + HOUR_MS) as server:
        # From the middle of a bar to the middle of a bar: those that open in between.
        store = fetch(connect(server, page=100), tmp_path, key, START_MS + 5 * MINUTE_MS, stop - 5 * MINUTE_MS)
    assert np.array_equal(numbers(store.read(key)), market.of(15 * MINUTE_MS)[1:])


@pytest.mark.parametrize("name", ["binance", "binanceusdm"])
def test_every_trade_arrives_whatever_goes_wrong(name, tmp_path):
    trades = tick_trades(20_000)
    symbol = "BTC/USDT" if name == "binance" else "BTC/USDT:USDT"
    key = SeriesKey(name, "spot" if name == "binance" else "linear", symbol, "trades")
    # From the middle of the history, so that the first id has to be found.
    start, stop = int(trades[3_000, 1]), int(trades[15_000, 1])
    now = int(trades[-1, 1]) + HOUR_MS
    with serve(Market("BTC", trades=trades), now=now, faults=dict.fromkeys(FAULTS, 0.01), seed=2) as server:
        exchange = connect(server, name, patience=QUICK)
        exchange.connection.profile = replace(exchange.connection.profile, trades=250)
        store = fetch(exchange, tmp_path, key, start, stop)
    assert server.injected.total() > 5
    expected = trades[(trades[:, 1] >= start) & (trades[:, 1] < stop)]
    table = store.read(key)
    found = np.column_stack([table[column].to_numpy() for column in ("id", "time", "price", "amount")])
    assert np.array_equal(found, expected[:, :4])
    assert table["side"].to_pylist() == ["buy" if is_buy else "sell" for is_buy in expected[:, 4]]
    assert store.ranges(key) == [(start, stop)]


@pytest.mark.parametrize("column", [2, 3], ids=["price", "amount"])
def test_trades_of_nothing_are_dropped_and_counted_and_leave_no_gap(column, tmp_path):
    trades = tick_trades(1_500)
    key = replace(SPOT, kind="trades", timeframe="")
    nothing = [200, 201, 900]
    trades[nothing, column] = 0.0
    now = int(trades[-1, 1]) + HOUR_MS
    with serve(Market("BTC", trades=trades), now=now) as server:
        store = fetch(connect(server), tmp_path, key, START_MS, int(trades[-1, 1]))
    assert store.missing(key, START_MS, int(trades[-1, 1])) == []
    kept = np.delete(trades, nothing, axis=0)
    assert store.read(key)["id"].to_pylist() == kept[kept[:, 1] < trades[-1, 1], 0].tolist()
    assert [(note.what, note.time) for note in store.notes(key)] == [("dropped", int(trades[at, 1])) for at in nothing]


def test_an_answer_that_is_wrong_is_not_blamed_on_the_network(holed, monkeypatch):
    with serve(Market("BTC", bars=holed[0])) as server:
        monkeypatch.setattr(server, "_spoiled", lambda *_: [row * np.array([1_000, 1, 1, 1, 1, 1]) for row in holed[0][:100]])
        with pytest.raises(
            ExchangeError, match=r"100 of 100 bars have a time that is unknown.* another unit than ms\); check http"
        ) as said:
            list(connect(server, patience=replace(QUICK, attempts=2)).ohlcv("BTC/USDT", "1m", START_MS, STOP_MS))
    assert "network" not in str(said.value)


def test_trades_to_the_present_are_covered_up_to_the_last_one(tmp_path):
    trades = tick_trades(1_500)
    key = replace(SPOT, kind="trades", timeframe="")
    now = int(trades[-1, 1]) + 1_000
    with serve(Market("BTC", trades=trades), now=now) as server:
        store = fetch(connect(server), tmp_path, key, START_MS - HOUR_MS, now)
    assert len(store.read(key)) == 1_500
    assert store.ranges(key) == [(START_MS - HOUR_MS, int(trades[-1, 1]) + 1)]


def test_an_exchange_with_only_recent_trades_says_so():
    trades = tick_trades(3_000)
    now = int(trades[-1, 1]) + 1_000
    with serve(Market("BTC", trades=trades), now=now) as server:
        exchange = connect(server, "bybit")
        with pytest.raises(ExchangeError, match="bybit gives only its latest trades"):
            list(exchange.trades("BTC/USDT:USDT", START_MS, now))
        start = int(trades[-500, 1])
        (page,) = exchange.trades("BTC/USDT:USDT", start, now)
    expected = trades[(trades[:, 1] >= start) & (trades[:, 1] < page.stop)]
    assert page.table["price"].to_pylist() == expected[:, 2].tolist()
    assert len(set(page.table["id"].to_pylist())) == len(expected)


@pytest.mark.parametrize("name", ["binanceusdm", "bybit"])
def test_every_funding_rate_arrives_whatever_goes_wrong(name, tmp_path):
    times = START_MS + 8 * HOUR_MS * np.arange(1_500.0) + 3
    funding = np.column_stack([times, np.round(np.random.default_rng(5).normal(1e-4, 1e-4, 1_500), 8)])
    key = SeriesKey(name, "linear", "BTC/USDT:USDT", "funding")
    stop = int(times[-1]) + HOUR_MS
    with serve(Market("BTC", funding=funding), now=stop + HOUR_MS, faults=dict.fromkeys(FAULTS, 0.01)) as server:
        store = fetch(connect(server, name, patience=QUICK), tmp_path, key, stop=stop)
    table = store.read(key)
    assert np.array_equal(np.column_stack([table["time"].to_numpy(), table["rate"].to_numpy()]), funding)
    assert store.ranges(key) == [(START_MS, stop)]


def test_spot_has_no_funding_rate(holed):
    with serve(Market("BTC", bars=holed[0])) as server, pytest.raises(ConfigError, match="not a perpetual swap"):
        list(connect(server).funding("BTC/USDT", START_MS, STOP_MS))


@pytest.mark.parametrize("key", SERIES, ids=lambda key: key.exchange)
def test_an_order_book_is_a_snapshot_of_the_program(key, holed):
    with serve(Market("BTC", bars=holed[0]), script=[None, None, "blank", "html"]) as server:
        answer = connect(server, key.exchange).order_book(key.symbol)
    book = fs.book_from_ccxt(answer, "1s")
    assert book.midpoint[0] == pytest.approx(holed[0][-1, 4], abs=0.011)
    assert np.isfinite(book.notional).all()


@pytest.mark.parametrize("fault", ["429", "418"])
def test_retry_after_is_waited_for_by_every_thread(fault, holed, monkeypatch):
    slept = []
    monkeypatch.setattr(Pace, "_sleep", lambda self, seconds: slept.append(seconds))
    with serve(Market("BTC", bars=holed[0]), script=[None, fault], retry_after=7.0) as server:
        list(connect(server, patience=Patience(timeout=20.0)).ohlcv("BTC/USDT", "1m", START_MS, STOP_MS))
    assert 6.9 < max(slept) <= 7.1
    assert server.injected[fault] == 1


def test_requests_of_all_threads_keep_one_pace(monkeypatch):
    slept = []
    monkeypatch.setattr(Pace, "_sleep", lambda self, seconds: slept.append(seconds))
    pace = Pace(1.0)
    for _ in range(4):
        pace.turn(5.0)
    assert slept == pytest.approx([0.0, 5.0, 10.0, 15.0], abs=0.1)


def test_a_ban_of_an_hour_is_not_waited_for(holed):
    with serve(Market("BTC", bars=holed[0]), script=[None, "418"], retry_after=3600) as server:
        with pytest.raises(ExchangeError, match="banned this address for 60 minutes"):
            list(connect(server).ohlcv("BTC/USDT", "1m", START_MS, STOP_MS))
        assert len(server.requests) == 2


@pytest.mark.parametrize("fault", ["451", "403"])
def test_a_block_of_the_place_ends_in_advice_after_four_requests(fault, holed):
    with serve(Market("BTC", bars=holed[0]), faults={fault: 1.0}) as server:
        with pytest.raises(ExchangeError, match=rf"does not serve this location .*HTTP {fault}.*{BINANCE_HOST}"):
            list(connect(server, patience=replace(CALM, blocked_attempts=4)).ohlcv("BTC/USDT", "1m", START_MS, STOP_MS))
        assert len(server.requests) == 4


@pytest.mark.parametrize(
    "fault", [fault for fault in FAULTS if fault not in ("newest_first", "open_candle", "duplicated", "overlapping")]
)
def test_nothing_is_tried_for_ever(fault, holed, monkeypatch):
    with serve(Market("BTC", bars=holed[0]), script=[None, None], faults={fault: 1.0}) as server:
        exchange = connect(server, page=1000, patience=replace(QUICK, attempts=6, blocked_attempts=6))
        if fault == "repeated":
            # Always the first page, whatever is asked for.
            monkeypatch.setattr(server, "_spoiled", lambda *_: list(holed[0][:100]))
        expected = (
            "the body is not JSON" if fault in ("html", "truncated", "blank") else "in 6 attempts|does not serve this location"
        )
        with pytest.raises(ExchangeError, match=expected):
            list(exchange.ohlcv("BTC/USDT", "1m", START_MS, STOP_MS))
        assert len(server.requests) <= 10


def test_a_host_that_is_not_there_is_named():
    exchange = Exchange("binance", "http://127.0.0.1:9", QUICK)
    with pytest.raises(ExchangeError, match=r"no valid answer for its markets in 5 attempts.*http://127.0.0.1:9"):
        list(exchange.ohlcv("BTC/USDT", "1m", START_MS, STOP_MS))


def _urls(value) -> list[str]:
    return [url for part in value.values() for url in _urls(part)] if isinstance(value, dict) else [value]


@pytest.mark.parametrize("name", ["binance", "binanceusdm", "bybit", "upbit", "coinbase", "kraken"])
def test_every_path_of_an_exchange_is_moved_to_the_other_host(name):
    usual = _urls(Connection(name).offline.urls["api"])
    moved = _urls(Connection(name, "http://127.0.0.1:1/proxy/").offline.urls["api"])
    assert all(url.startswith("http://127.0.0.1:1/proxy") for url in moved)
    assert [url.count("/") for url in moved] == [url.count("/") + 1 for url in usual]


def test_an_exchange_with_a_short_history_says_from_when_on():
    exchange = Exchange("kraken", "http://127.0.0.1:9", QUICK, clock=lambda: LATER_MS / 1000)
    exchange.connection.market = lambda symbol: {"spot": True}
    with pytest.raises(ExchangeError, match=r"kraken gives only its last 720 bars .* start at 2024-01-04T01:21Z or later"):
        list(exchange.ohlcv("BTC/USDT", "1m", START_MS, STOP_MS))


def test_load_bars_gives_the_bars_and_leaves_holes_unknown(tmp_path):
    bars, holes = plant_holes(walk(600), 3)
    other = walk(600, seed=9)[100:]
    with ExchangeServer([Market("BTC", bars=bars), Market("ETH", bars=other)], now=LATER_MS) as server:
        given = {"timeframe": "1m", "start": "2024-01-01", "end": "2024-01-01T10:00", "store": tmp_path}
        loaded = fs.load_bars(["ETH/USDT", "BTC/USDT"], base_url=server.url, **given)
        again = fs.load_bars(["ETH/USDT", "BTC/USDT"], base_url="http://127.0.0.1:9", **given)
        assert again.fingerprint() == loaded.fingerprint()
        with pytest.raises(DataError, match="no 1m bar of ETH/USDT from 2024-01-01 to 2024-01-01T01:00"):
            fs.load_bars("ETH/USDT", base_url=server.url, **{**given, "end": "2024-01-01T01:00"})
    assert loaded.symbols == ("ETH/USDT", "BTC/USDT")
    assert loaded.n_bars == 600
    assert np.isnan(loaded.close[:100, 0]).all()
    assert np.array_equal(loaded.close[100:, 0], other[:, 4])
    close = np.full(600, np.nan)
    close[((bars[:, 0] - START_MS) // MINUTE_MS).astype(int)] = bars[:, 4]
    assert np.array_equal(loaded.close[:, 1], close, equal_nan=True)
    assert sum(b - a for a, b in holes) // MINUTE_MS == np.isnan(loaded.close[:, 1]).sum()
