"""Answers that are well formed and untrue: nothing is lost, invented or wrong in silence where a client can tell."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from foreshock.data.errors import ForeshockError
from foreshock.data.exchange.agreement import Answer, Ask, Fault, settled
from foreshock.data.exchange.exchange import Exchange
from foreshock.data.exchange.fetch import fetch_missing, missing_ranges
from foreshock.data.exchange.patience import Patience
from foreshock.data.store.series import Range, SeriesKey
from foreshock.data.store.store import Store
from tests.servers.exchange_server import HOUR_MS, MINUTE_MS, START_MS, Market, tick_trades, walk
from tests.servers.liar import ALWAYS_HIDDEN, BAR_LIES, HIDDEN, RATE_LIES, TRADE_LIES, Liar

QUICK = Patience(scale=0.0005, timeout=20.0, attempts=6)
PAGE = 100
BARS, TRADES = walk(640), tick_trades(640)
RATES = np.column_stack([START_MS + 8 * HOUR_MS * np.arange(300.0), np.round(np.random.default_rng(5).normal(1e-4, 1e-4, 300), 8)])
MARKETS = [Market("BTC", bars=BARS, trades=TRADES, funding=RATES), Market("ETH", bars=walk(640, 9, price=3e3))]
# At the price of the other one, so that nothing but its name tells it.
LINEAR = [MARKETS[0], Market("ETH", bars=walk(640, 9))]
NOW = int(RATES[-1, 0]) + 2 * HOUR_MS


@dataclass(frozen=True)
class Series:
    key: SeriesKey
    stop: int

    @property
    def truth(self) -> dict[int, tuple]:
        """Values by id for trades, else by time."""
        if self.key.kind == "trades":
            rows = TRADES[TRADES[:, 1] < self.stop]
            return {int(row[0]): (int(row[1]), row[2], row[3], "buy" if row[4] else "sell") for row in rows.tolist()}
        rows = BARS if self.key.kind == "ohlcv" else RATES
        return {int(row[0]): tuple(row[1:]) for row in rows.tolist()}


SPOT = Series(SeriesKey("binance", "spot", "BTC/USDT", "ohlcv", "1m"), START_MS + 640 * MINUTE_MS)
BYBIT = Series(SeriesKey("bybit", "linear", "BTC/USDT:USDT", "ohlcv", "1m"), SPOT.stop)
TICKS = Series(SeriesKey("binance", "spot", "BTC/USDT", "trades"), int(TRADES[-1, 1]) - 2_000)
FUNDING = Series(SeriesKey("binanceusdm", "linear", "BTC/USDT:USDT", "funding"), int(RATES[-1, 0]) + 1)


def fetched(series: Series, store: Store, replace_: bool = False, **lies) -> str:
    """Fetch the whole range; returns the sentence with which that ended, if it did."""
    with Liar(MARKETS, LINEAR, now=NOW, **lies) as server:
        exchange = Exchange(series.key.exchange, server.url, QUICK, clock=lambda: NOW / 1000)
        pages = {"bars": PAGE, "trades": PAGE, "funding": PAGE}
        exchange.connection.profile = replace(exchange.connection.profile, **pages)
        whole = {series.key: [(START_MS, series.stop)]}
        wanted = whole if replace_ else missing_ranges(store, [series.key], START_MS, series.stop)
        try:
            fetch_missing(exchange, store, wanted, replace=replace_)
        except ForeshockError as error:
            return str(error)
    return ""


def content(series: Series, store: Store) -> dict[int, tuple]:
    rows = store.read(series.key).to_pylist()
    if series.key.kind == "trades":
        return {row["id"]: (row["time"], row["price"], row["amount"], row["side"]) for row in rows}
    return {row["time"]: tuple(value for name, value in row.items() if name != "time") for row in rows}


def assert_honest(series: Series, store: Store) -> int:
    """No row is wrong, and none is missing where the store says that it knows; returns the number of rows that are not known."""
    truth, got = series.truth, content(series, store)
    assert {name: value for name, value in got.items() if truth.get(name) != value} == {}
    lost = [name for name in truth if name not in got]
    times = [truth[name][0] if series.key.kind == "trades" else name for name in lost]
    covered = store.ranges(series.key)
    assert [time for time in times if any(start <= time < stop for start, stop in covered)] == []
    assert store.verify().whole
    return len(lost)


CASES = [
    *((SPOT, lie) for lie in (*BAR_LIES, "another timeframe", "another symbol", "the start ignored")),
    *((BYBIT, lie) for lie in (*BAR_LIES, "another timeframe", "another symbol")),
    *((TICKS, lie) for lie in (*TRADE_LIES, "another symbol", "the start ignored", "start and limit ignored")),
    *((FUNDING, lie) for lie in (*RATE_LIES, "another symbol")),
]
IDS = [f"{series.key.exchange} {series.key.kind}: {lie}" for series, lie in CASES]


@pytest.mark.parametrize(("series", "lie"), CASES, ids=IDS)
def test_one_lie_is_seen_and_nothing_is_lost(series, lie, tmp_path):
    # The first answers about trades find the first trade, the sixth is a page in the middle, as the third one of bars is.
    for nth in (1, 3, 6) if series.key.kind == "trades" else (3,):
        store = Store(tmp_path / str(nth))
        if (said := fetched(series, store, lie=lie, when=nth)) == "":
            assert assert_honest(series, store) == 0
        else:
            assert_honest(series, store)
            assert "what has arrived is kept" in said


@pytest.mark.parametrize(("series", "lie"), CASES, ids=IDS)
def test_a_liar_is_not_believed_where_it_can_be_told_and_an_honest_exchange_heals_the_store(series, lie, tmp_path):
    store = Store(tmp_path)
    said = fetched(series, store, lie=lie)
    if lie not in ALWAYS_HIDDEN:
        n_unknown = assert_honest(series, store)
        # Whoever lacks rows is told: by a sentence, by notes, or by a range that is missing.
        assert n_unknown == 0 or said or store.notes(series.key) or store.missing(series.key, START_MS, series.stop)
    assert fetched(series, store, replace_=True) == ""
    assert content(series, store) == series.truth
    assert store.missing(series.key, START_MS, series.stop) == []


@pytest.mark.parametrize("series", [SPOT, BYBIT, TICKS, FUNDING], ids=lambda series: f"{series.key.exchange} {series.key.kind}")
@pytest.mark.parametrize("seed", range(3))
def test_lies_of_all_kinds_in_a_tenth_of_the_answers_leave_no_wrong_row(series, seed, tmp_path):
    lies = [lie for one, lie in CASES if one is series]
    rng = np.random.default_rng(seed)
    # One empty answer that is followed by another is a gap to everyone.
    lies = [lie for lie in rng.permutation(lies).tolist() if lie not in ("nothing", "no trades", "fewer each time")]
    store = Store(tmp_path)
    said = fetched(series, store, lie="|".join(lies), when=0.1)
    assert_honest(series, store)
    assert said == "" or "what has arrived is kept" in said
    assert fetched(series, store, replace_=True) == ""
    assert content(series, store) == series.truth


@pytest.mark.parametrize("lie", HIDDEN)
def test_values_moved_within_what_can_be_are_not_seen_and_are_healed_by_a_refetch_that_notes_them(lie, tmp_path):
    series, store = TICKS if "trades" in lie else SPOT, Store(tmp_path)
    assert fetched(series, store, lie=lie) == ""
    wrong = sum(series.truth[name] != value for name, value in content(series, store).items())
    assert wrong > 300
    assert fetched(series, store, replace_=True) == ""
    assert content(series, store) == series.truth
    revised = [note for note in store.notes(series.key) if note.what == "revised"]
    assert len(revised) == wrong


@pytest.mark.parametrize("series", [SPOT, BYBIT, TICKS, FUNDING], ids=lambda series: f"{series.key.exchange} {series.key.kind}")
def test_an_honest_exchange_is_asked_nothing_twice(series, tmp_path):
    with Liar(MARKETS, LINEAR, now=NOW) as server:
        exchange = Exchange(series.key.exchange, server.url, QUICK, clock=lambda: NOW / 1000)
        exchange.connection.profile = replace(exchange.connection.profile, bars=PAGE, trades=PAGE, funding=PAGE)
        fetch_missing(exchange, Store(tmp_path), {series.key: [(START_MS, series.stop)]})
        questions = [path for path in server.requests if "Info" not in path and "instruments" not in path]
    assert len(set(questions)) == len(questions) - (series.key.kind == "trades")


# The agreement itself


def answers(*given: list) -> tuple[list[Range], Ask]:
    """A question that is answered by these rows of (slot, value) in turn; the last answer is repeated."""
    asked: list[Range] = []

    def ask(low: int, high: int) -> Answer:
        rows = given[min(len(asked), len(given) - 1)]
        asked.append((low, high))
        inside = [row for row in rows if low <= row[0] < high]
        return answer(inside)

    return asked, ask


def answer(rows: list) -> Answer:
    faults = {slot: Fault(slot, "it cannot be", value) for slot, value in rows if isinstance(value, str)}
    numbers = [[slot, np.nan if isinstance(value, str) else value] for slot, value in rows]
    return Answer(np.array(numbers, dtype=float).reshape(-1, 2), False, 0, None, faults)


def gaps(slots: list[int]) -> list[Range]:
    return [(a + 1, b) for a, b in pairwise(slots) if b > a + 1]


def test_a_gap_that_two_answers_have_is_one():
    asked, ask = answers([(0, 1.0), (3, 4.0)])
    got = settled(answer([(0, 1.0), (3, 4.0)]), ask, 0, gaps)
    assert (got.rows.tolist(), got.unsure, asked) == ([[0, 1.0], [3, 4.0]], (), [(0, 4)])


def test_a_row_that_one_of_two_answers_has_is_there():
    _, ask = answers([(0, 1.0), (2, 3.0), (3, 4.0)])
    got = settled(answer([(0, 1.0), (3, 4.0)]), ask, 0, gaps)
    # Slot 1 is in doubt again, since an answer was seen to lack a row, and is a gap in two more.
    assert (got.rows[:, 0].tolist(), got.unsure) == ([0, 2, 3], ())


def test_an_answer_that_lacks_what_is_known_confirms_no_gap():
    _, ask = answers([(0, 1.0)], [])
    got = settled(answer([(0, 1.0), (3, 4.0)]), ask, 0, gaps)
    assert got.unsure == ((1, 3),)


def test_a_row_that_cannot_be_is_taken_from_the_answer_where_it_can():
    _, ask = answers([(0, 1.0), (1, 2.0), (2, 3.0)])
    got = settled(answer([(0, 1.0), (1, "nonsense"), (2, 3.0)]), ask, 0, gaps)
    assert (got.rows[:, 1].tolist(), got.faults) == ([1.0, 2.0, 3.0], {})


def test_a_row_that_cannot_be_in_two_answers_is_what_the_exchange_has():
    _, ask = answers([(1, "nonsense")])
    got = settled(answer([(0, 1.0), (1, "nonsense"), (2, 3.0)]), ask, 0, gaps)
    assert got.faults == {1: Fault(1, "it cannot be", "nonsense")}


def test_different_rows_are_decided_by_the_one_that_two_answers_have():
    first = answer([(0, 1.0), (1, 9.0), (3, 4.0)])
    _, ask = answers([(0, 1.0), (1, 2.0), (3, 4.0)])
    assert settled(first, ask, 0, gaps).rows[:, 1].tolist() == [1.0, 2.0, 4.0]
    _, ask = answers(*([(0, 1.0), (1, 20.0 + n), (3, 4.0)] for n in range(20)))
    got = settled(first, ask, 0, gaps)
    assert {slot: fault.reason for slot, fault in got.faults.items()} == {1: "answers to the same question differ"}


def test_a_doubtful_answer_is_taken_once_another_has_the_same():
    first = answer([(0, 1.0), (1, 2.0)])._replace(doubtful=True)
    asked, ask = answers([(0, 1.0), (1, 2.0)])
    assert settled(first, ask, 0, gaps).rows[:, 1].tolist() == [1.0, 2.0]
    assert asked == [(0, 2)]
    _, ask = answers([(0, 7.0), (1, 8.0)])
    assert settled(first, ask, 0, gaps).rows[:, 1].tolist() == [7.0, 8.0]


def test_a_store_without_any_doubt_has_no_notes(tmp_path: Path):
    store = Store(tmp_path)
    assert fetched(SPOT, store) == ""
    assert store.notes(SPOT.key) == []
    assert not list(tmp_path.rglob("notes.jsonl"))
