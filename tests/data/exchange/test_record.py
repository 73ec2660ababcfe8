"""Order books recorded into the store, and read from it: each snapshot once, at its time, and every gap a gap."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

import foreshock as fs
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.exchange.exchange import Exchange
from foreshock.data.exchange.patience import Pace, Patience
from foreshock.data.exchange.record import record_books
from foreshock.data.store.series import SeriesKey
from foreshock.data.store.snapshots import read_snapshots, snapshot_row
from foreshock.data.store.store import Store
from tests.console import foreshock
from tests.servers.exchange_server import MINUTE_MS, START_MS, ExchangeServer, Market, tick_trades, walk

BOOK = SeriesKey("binance", "spot", "BTC/USDT", "book", "5s")
SERIES = (
    BOOK,
    SeriesKey("binanceusdm", "linear", "BTC/USDT:USDT", "book", "5s"),
    SeriesKey("bybit", "linear", "BTC/USDT:USDT", "book", "5s"),
)
COLUMNS = ("midpoint", "spread", "distance", "notional", "limit_notional", "cancel_notional", "market_notional", "buys", "sells")


class Clock:
    """Time that passes where somebody waits."""

    def __init__(self, server: ExchangeServer, monkeypatch: pytest.MonkeyPatch, start: int = START_MS + 1_234) -> None:
        self.server, self.ms = server, float(start)
        monkeypatch.setattr(Pace, "_sleep", lambda pace, seconds: self.wait(seconds))
        self.wait(0.0)

    def wait(self, seconds: float) -> None:
        self.ms += 1_000 * max(seconds, 0.0)
        self.server.fixed_now = round(self.ms)

    def __call__(self) -> float:
        return self.ms / 1_000


@pytest.fixture
def market():
    return Market("BTC", bars=walk(10), trades=tick_trades(3_000))


@pytest.fixture
def exchange(market, monkeypatch):
    """One that answers at once, and whose requests cost no time."""
    with ExchangeServer([market], [market], now=START_MS) as server:
        clock = Clock(server, monkeypatch)
        monkeypatch.setattr(Pace, "turn", lambda self, seconds: None)

        def connect(name: str = "binance") -> Exchange:
            return Exchange(name, server.url, Patience(timeout=5.0), clock=clock)

        connect.server, connect.clock = server, clock
        yield connect


def same_books(a: fs.Book, b: fs.Book) -> bool:
    return np.array_equal(a.time, b.time) and all(np.array_equal(getattr(a, n), getattr(b, n), equal_nan=True) for n in COLUMNS)


@pytest.mark.parametrize("key", SERIES, ids=lambda key: key.exchange)
def test_snapshots_come_at_the_multiples_of_the_interval_and_are_those_of_the_exchange(exchange, tmp_path, key):
    source, store, told, answers = exchange(key.exchange), Store(tmp_path), [], []
    ask = source.order_book
    source.order_book = lambda symbol: answers.append(ask(symbol)) or answers[-1]
    record_books(source, store, [key], 12, lambda *beat: told.append(beat))
    times = store.read(key)["time"].to_numpy()
    assert (times - START_MS).tolist() == [5_000 * n for n in range(1, 13)]
    assert told == [(key, 1)] * 12
    assert store.ranges(key) == [(START_MS + 5_000, START_MS + 60_001)]
    assert store.verify().whole
    book = read_snapshots(store, key)
    assert same_books(book, fs.book_flows(fs.Book.join([fs.book_from_ccxt(answer, "5s") for answer in answers])))
    assert len(np.unique(book.notional[:, 0, 0])) > 2
    assert np.nanmax(book.limit_notional[1:]) > 0
    assert np.isnan(book.buys).all()


def test_fast_snapshots_lie_in_hours_so_that_none_waits_for_a_day_to_be_written(exchange, tmp_path):
    key, store = replace(BOOK, timeframe="1s"), Store(tmp_path)
    exchange.clock.wait(3_595)
    record_books(exchange(), store, [key], 10)
    assert [path.name for path in sorted(tmp_path.rglob("*.parquet"))] == ["2024-01-01T00.parquet", "2024-01-01T01.parquet"]
    assert store.ranges(key) == [(START_MS + 3_597_000, START_MS + 3_606_001)]
    assert len(store.read(key, START_MS + 3_600_000, START_MS + 3_605_000)) == 5
    assert store.verify().whole


def test_answers_that_come_late_leave_gaps_and_no_two_snapshots_in_one_interval(exchange, tmp_path):
    late = ["503"] * 4
    # The markets, two snapshots, one that takes about 14 seconds, two more, and one that takes two.
    exchange.server.script = [None, None, None, *late, None, None, "503", "503", None]
    source, store, told = exchange(), Store(tmp_path), []
    record_books(source, store, [BOOK], 20, lambda _key, taken: told.append(taken))
    assert exchange.server.injected["503"] == 6
    times = store.read(BOOK)["time"].to_numpy()
    assert len(told) == 20
    assert sum(told) == len(times) == 20 - told.count(0)
    assert told.count(0) >= 2
    gaps = np.diff(times) > 7_500
    assert len(store.ranges(BOOK)) == 1 + gaps.sum() >= 2
    book = read_snapshots(store, BOOK)
    assert len(book) == len(times)
    rows, _ = book.grid_rows()
    assert np.isnan(book.limit_notional[1:][gaps]).all()
    assert np.isfinite(book.limit_notional[1:][~gaps]).all()
    assert rows[-1] == 19


def test_a_book_that_is_not_newer_is_no_snapshot(exchange, tmp_path):
    source, store, told = exchange("bybit"), Store(tmp_path), []
    key = SERIES[2]
    ask = source.order_book
    # A cache that holds each answer for 15 seconds.
    source.order_book = lambda symbol: ask(symbol) | {"timestamp": exchange.server.now // 15_000 * 15_000}
    record_books(source, store, [key], 6, lambda _key, taken: told.append(taken))
    assert told == [1, 0, 1, 0, 0, 1]
    assert [stop - start for start, stop in store.ranges(key)] == [1, 1, 1]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda book, now: book["bids"][1].__setitem__(1, None),
        lambda book, now: book["asks"][0].__setitem__(0, "-5"),
        lambda book, now: book.update(E=now + 3_600_000, T=now + 3_600_000),
        lambda book, now: book["bids"].clear(),
    ],
    ids=["a null amount", "a negative price", "a time of the future", "an empty side"],
)
def test_one_book_that_cannot_be_costs_a_second_question_and_no_recording(exchange, tmp_path, monkeypatch, spoil):
    key, server, store, told, n = SERIES[1], exchange.server, Store(tmp_path), [], 0
    good = server.answer

    def answer(path: str, query: dict[str, str], fault: str | None):
        nonlocal n
        book = good(path, query, fault)
        if path.endswith("depth"):
            n += 1
            if n == 3:
                spoil(book, server.now)
        return book

    monkeypatch.setattr(server, "answer", answer)
    record_books(exchange(key.exchange), store, [key], 6, lambda _key, taken: told.append(taken))
    assert told == [1] * 6
    times = store.read(key)["time"].to_numpy() - START_MS
    # The third one came a second late.
    assert np.abs(times - 5_000 * np.arange(1, 7)).tolist() == pytest.approx([0, 0, 875, 0, 0, 0], abs=140)


def test_an_error_keeps_the_snapshots_that_were_taken(exchange, tmp_path):
    exchange.server.script = [None] * 4 + ["451"] * 4
    store = Store(tmp_path)
    with pytest.raises(fs.ExchangeError, match=r"binance does not serve this location .* the order book of BTC/USDT"):
        record_books(exchange(), store, [BOOK], 20)
    assert len(store.read(BOOK)) == 3
    assert store.verify().whole


def test_of_two_recordings_at_once_each_interval_is_given_once(exchange, tmp_path):
    store = Store(tmp_path)
    record_books(exchange(), store, [BOOK], 6)
    alone = read_snapshots(store, BOOK)
    rows = store.read(BOOK)
    other = rows.set_column(0, "time", pa.array(rows["time"].to_numpy() + 300))
    store.write(BOOK, other, START_MS + 5_300, START_MS + 30_301)
    assert len(store.read(BOOK)) == 12
    assert same_books(read_snapshots(store, BOOK), alone)


def test_levels_that_are_not_there_stay_unknown(tmp_path):
    store = Store(tmp_path)
    for at, bids in enumerate(([[99.0, 2.0], [98.0, 1.0]], [[99.0, 2.5]])):
        answer = {"bids": bids, "asks": [[101.0, 3.0], [101.5, 0.0]], "timestamp": START_MS + 5_000 * at, "symbol": "BTC/USDT"}
        store.write(BOOK, snapshot_row(answer), START_MS + 5_000 * at, START_MS + 5_000 * at + 1)
    book = read_snapshots(store, BOOK)
    assert np.isfinite(book.notional).sum(axis=2).tolist() == [[2, 1], [1, 1]]
    assert book.column("bids_limit_notional_0")[1] == pytest.approx(0.5 * 99.0)
    # The second level was pulled; it is booked at the only one left.
    assert book.column("bids_cancel_notional_0")[1] == pytest.approx(98.0)


def test_trades_of_the_store_give_market_flow_where_they_cover_the_book(exchange, market, tmp_path):
    store = Store(tmp_path)
    record_books(exchange(), store, [BOOK], 6)
    exchange.clock.wait(1_200)
    first, last = START_MS + 5_000, START_MS + 30_000
    fs.load_trades("BTC/USDT", start=_time(first + 2_000), end=_time(last + 1), store=store, base_url=exchange.server.url)
    assert np.isnan(fs.load_book("BTC/USDT", every="5s", store=store).buys).all()
    end = _time(last + 60_000)
    trades = fs.load_trades("BTC/USDT", start=_time(START_MS), end=end, store=store, base_url=exchange.server.url)
    book = fs.load_book("BTC/USDT", every="5s", store=store)
    inside = (market.trades[:, 1] > first) & (market.trades[:, 1] <= last)
    value = market.trades[:, 2] * market.trades[:, 3]
    for total, side in ((book.buys, 1.0), (book.sells, 0.0)):
        assert np.nansum(total) == pytest.approx(value[inside & (market.trades[:, 4] == side)].sum())
        assert np.nansum(total) > 0
    assert same_books(book, fs.book_flows(book, trades))
    part = fs.load_book("BTC/USDT", every="5s", start=_time(START_MS + 10_000), end=_time(START_MS + 20_000), store=store)
    assert len(part) == 2


def _time(ms: int) -> str:
    return str(np.datetime64(ms, "ms"))


def test_the_command_records_and_the_store_knows_books(market, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FORESHOCK_STORE", str(tmp_path / "store"))
    other = replace(market, base="ETH")
    with ExchangeServer([market, other]) as server:
        monkeypatch.setenv("FORESHOCK_BASE_URL", server.url)
        given = ("BTC/USDT", "ETH/USDT", "--kind", "book", "--timeframe", "1s", "--duration", "2s")
        code, out, err = foreshock(monkeypatch, capsys, "fetch", *given)
    assert (code, err) == (0, "")
    assert out == "".join(f"binance spot {base}/USDT book 1s: 2 snapshots taken\n" for base in ("BTC", "ETH"))
    code, out, _ = foreshock(monkeypatch, capsys, "store", "ls")
    assert (code, out.count("USDT book 1s"), out.count("2 rows")) == (0, 2, 2)
    assert "2 series, 2 partitions, 4 rows" in foreshock(monkeypatch, capsys, "store", "verify")[1]
    expected = fs.load_book("ETH/USDT", every="1s")
    for name in ("book.csv", "book.parquet"):
        path = tmp_path / name
        code, out, _ = foreshock(monkeypatch, capsys, "store", "export", "ETH/USDT", "--kind", "book", "--out", str(path))
        assert (code, out) == (0, f"2 rows of binance spot ETH/USDT book 1s in {path}\n")
        assert same_books(fs.read_book(path, "1s"), expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "duration must be given, got None; pass how long to record, such as '1h'"),
        (["--duration", "soon"], "duration must be a number and one of the units"),
        (["--duration", "15s"], "duration must be a whole number of 10s bars"),
        (["--duration", "1m", "--timeframe", "500ms"], "the time between snapshots must be whole seconds, got 500ms"),
        (["--duration", "1m", "--start", "2024-01-01"], "recorded from now on: leave out --start and --end, got 2024-01-01"),
        (["--duration", "1m", "--archive", "public"], "recorded from now on: leave out --archive, got public"),
        (["--duration", "1m", "--exchange", "binanse"], "did you mean binance"),
        (["--duration", "1m", "--kind", "trades", "--start", "2024-01-01"], "--duration applies to books only, got 1m for trades"),
    ],
)
def test_a_recording_that_cannot_be_is_wrong_use(tmp_path, monkeypatch, capsys, arguments, message):
    given = ["BTC/USDT", "--kind", "book", "--store", str(tmp_path / "store"), *arguments]
    code, _, err = foreshock(monkeypatch, capsys, "fetch", *given)
    assert (code, err.count("\n")) == (2, 1)
    assert message in err
    assert not (tmp_path / "store").exists()


def test_a_market_without_a_book_is_named(exchange, tmp_path):
    with pytest.raises(ConfigError, match=r"binance has no market 'BTC/USDX'"):
        record_books(exchange(), Store(tmp_path), [replace(BOOK, symbol="BTC/USDX")], 2)
    with pytest.raises(DataError, match="binance spot BTC/USDT book 5s has no snapshot in that range"):
        fs.load_book("BTC/USDT", every="5s", store=tmp_path)


def test_an_answer_of_a_clock_far_off_bears_the_time_of_the_exchange(market, tmp_path, monkeypatch):
    with ExchangeServer([market], now=START_MS + MINUTE_MS + 700) as server:
        fast = Exchange("binance", server.url, clock=lambda: server.now / 1_000 + 3_600)
        assert fast.order_book("BTC/USDT")["timestamp"] == START_MS + MINUTE_MS
        true = Exchange("binance", server.url, clock=lambda: server.now / 1_000 + 0.4)
        assert true.order_book("BTC/USDT")["timestamp"] == START_MS + MINUTE_MS + 1_100
