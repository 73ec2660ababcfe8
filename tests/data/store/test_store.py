"""The store: what is written is read, whatever the order, the interruption, the neighbour or the damage."""

import errno
import os
import resource
import sys
import time
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foreshock.cli import root as cli
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.files import read_bars
from foreshock.data.store.partition import verify_partition
from foreshock.data.store.series import empty_runs, union, without
from foreshock.data.store.store import SeriesKey, Store
from foreshock.data.trades.trades import read_trades
from tests.paths import snapshot
from tests.servers.store_writers import BARS, MINUTE, PROCESSES, START, TRADES, bars, between, fill, trades

HOLES = [(0, 3), (700, 701), (1_000, 1_450), (5_990, 6_000)]


def at(minute: int) -> int:
    return START + minute * MINUTE


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def filled(store):
    """6,000 minutes over the end of a month, with holes."""
    store.write(BARS, bars(6_000, HOLES), at(0), at(6_000))
    return store


def partition(store: Store, key: SeriesKey = BARS, name: str = "2024-05") -> Path:
    return store.folder / key.folder / f"{name}.parquet"


# What goes in comes out


def test_bars_are_read_as_they_were_written_and_holes_are_known_to_be_empty(filled):
    assert filled.read(BARS).equals(bars(6_000, HOLES))
    assert filled.ranges(BARS) == [(at(0), at(6_000))]
    assert filled.missing(BARS, at(-10), at(6_010)) == [(at(-10), at(0)), (at(6_000), at(6_010))]
    assert filled.known_empty(BARS) == [(at(first), at(stop)) for first, stop in HOLES]
    assert filled.keys() == [BARS]
    report = filled.verify()
    assert (report.n_series, report.n_partitions, report.n_rows, report.problems) == (1, 2, 6_000 - 464, ())


@pytest.mark.parametrize(("start", "stop"), [(700, 1_500), (4_319, 4_321), (None, 5), (5_000, None), (20_000, 30_000), (9, 9)])
def test_a_range_is_read_without_the_rest(store, start, stop):
    table = bars(10_000, HOLES)
    store.write(BARS, table, at(0), at(10_000))
    wanted = (None if start is None else at(start), None if stop is None else at(stop))
    expected = between(table, at(0) if start is None else at(start), at(10_000) if stop is None else at(stop))
    assert store.read(BARS, *wanted).equals(expected)


def test_trades_of_one_millisecond_keep_the_order_of_their_ids(store):
    table = trades(20_000, 4)
    shuffled = table.take(np.random.default_rng(1).permutation(len(table)))
    store.write(TRADES, shuffled, at(0), at(6_000))
    got = store.read(TRADES)
    assert got["side"].to_pylist() == table["side"].to_pylist()
    assert got.drop_columns("side").equals(table.drop_columns("side"))
    assert [path.name for path in sorted(partition(store, TRADES).parent.glob("*.parquet"))] == [
        f"2024-{day}.parquet" for day in ("05-29", "05-30", "05-31", "06-01", "06-02")
    ]


def test_trades_whose_ids_do_not_rise_with_time_are_whole(store):
    table = trades(500, 2)
    rng = np.random.default_rng(3)
    table = table.set_column(1, "id", pa.array(rng.permutation(500)))
    store.write(TRADES, table, at(0), at(600))
    assert store.verify().whole
    read = store.read(TRADES)
    assert read["time"].to_pylist() == table["time"].to_pylist()
    assert sorted(read["id"].to_pylist()) == list(range(500))
    before = snapshot(store.folder)
    store.write(TRADES, table.take(rng.permutation(500)), at(0), at(600))
    assert snapshot(store.folder) == before


def test_funding_and_slow_bars_lie_in_years(store):
    funding, days = SeriesKey("bybit", "linear", "BTC/USDT:USDT", "funding"), SeriesKey("upbit", "spot", "BTC/KRW", "ohlcv", "1d")
    rates = pa.table({"time": [START + 1, START + 28_800_003], "rate": [1e-4, -2e-4]})
    store.write(funding, rates, START, START + 86_400_000)
    daily = bars(3).set_column(0, "time", pa.array([START, START + 86_400_000, START + 3 * 86_400_000]))
    store.write(days, daily, START, START + 4 * 86_400_000)
    assert store.read(funding).equals(rates)
    assert store.known_empty(days) == [(START + 2 * 86_400_000, START + 3 * 86_400_000)]
    assert {path.name for path in store.folder.rglob("*.parquet")} == {"2024.parquet"}
    assert store.keys() == [funding, days]


def test_the_holes_of_real_hourly_bars_are_known_exactly(store, shared_data):
    frame = read_bars(shared_data / "ohlcv_btc_spot_1h_2017_2024.parquet").to_frame()
    time = frame["time"].to_numpy().astype("datetime64[ms]").astype(np.int64)
    table = pa.table({"time": time, **{name: frame[name].to_numpy() for name in ("open", "high", "low", "close", "volume")}})
    hourly = SeriesKey("binance", "spot", "BTC/USDT", "ohlcv", "1h")
    store.write(hourly, table, time[0], time[-1] + 3_600_000)
    empty = store.known_empty(hourly)
    assert (len(empty), sum(stop - start for start, stop in empty) // 3_600_000) == (28, 128)
    assert store.read(hourly).equals(table)
    assert store.verify().whole


def test_an_empty_range_is_remembered(store):
    store.write(BARS, bars(0), at(0), at(500))
    assert store.missing(BARS, at(0), at(500)) == []
    assert store.known_empty(BARS) == [(at(0), at(500))]
    assert store.read(BARS).equals(bars(0))
    assert store.verify().whole


def test_a_store_that_is_not_there_is_empty_and_stays_away(store):
    assert store.read(BARS).equals(bars(0))
    assert store.missing(BARS, at(0), at(9)) == [(at(0), at(9))]
    assert (store.keys(), store.ranges(BARS), store.known_empty(BARS)) == ([], [], [])
    assert not store.folder.exists()


def test_a_later_value_replaces_an_earlier_one_and_nothing_is_removed(filled):
    later = bars(20, seed=1)
    filled.write(BARS, later.take([4, 4, 9]), at(0), at(20))
    expected = bars(6_000, HOLES).to_pylist()
    for row in (4, 9):
        expected[row - 3] = later.to_pylist()[row]
    assert filled.read(BARS).to_pylist() == expected


def test_a_trade_that_moves_within_its_day_is_one_trade(store):
    table = trades(3, 1)
    store.write(TRADES, table, at(0), at(10))
    moved = table.slice(0, 1).set_column(0, "time", pa.array([at(9)]))
    store.write(TRADES, moved, at(0), at(10))
    assert store.read(TRADES)["id"].to_pylist() == [7_001, 7_002, 7_000]


def test_ends_between_two_bars_cover_the_bars_that_open_inside(store):
    store.write(BARS, bars(10).slice(1, 3), at(0) + 1, at(3) + 1)
    assert store.ranges(BARS) == [(at(1), at(4))]
    assert store.missing(BARS, at(3) + 1, at(4) + 1) == [(at(4), at(5))]


def test_an_unknown_volume_stays_unknown(store):
    table = bars(2).set_column(5, "volume", pa.array([None, 2.5]))
    store.write(BARS, table, at(0), at(2))
    assert np.isnan(store.read(BARS)["volume"].to_numpy()).tolist() == [True, False]
    assert store.verify().whole


@settings(deadline=None, max_examples=15)
@given(data=st.data())
def test_any_pages_in_any_order_give_the_same_bytes(data):
    n = 300
    table = bars(n, [(17, 19), (100, 140)])
    edges = sorted({0, n, *data.draw(st.lists(st.integers(0, n), max_size=6))})
    pages = list(pairwise(edges))
    pages += data.draw(st.lists(st.tuples(st.integers(0, n), st.integers(0, n)).map(lambda pair: tuple(sorted(pair))), max_size=4))
    with TemporaryDirectory() as folder:
        once, paged = Store(Path(folder) / "once"), Store(Path(folder) / "paged")
        once.write(BARS, table, at(0), at(n))
        for first, stop in data.draw(st.permutations(pages)):
            page = between(table, at(first), at(stop))
            paged.write(BARS, page.take(np.arange(len(page))[::-1]), at(first), at(stop))
        assert snapshot(paged.folder) == snapshot(once.folder)


def test_a_day_of_several_pages_has_the_same_bytes_in_one_piece_and_in_three(tmp_path):
    table = trades(300_000, 300)
    once, paged = Store(tmp_path / "once"), Store(tmp_path / "paged")
    once.write(TRADES, table, at(0), at(1_000))
    for first, stop in ((0, 333), (333, 500), (500, 1_000)):
        paged.write(TRADES, between(table, at(first), at(stop)), at(first), at(stop))
    assert snapshot(paged.folder) == snapshot(once.folder)


MINUTES = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=8)


@given(ranges=MINUTES, wanted=st.tuples(st.integers(0, 40), st.integers(0, 40)))
def test_ranges_are_sets_of_minutes(ranges, wanted):
    known = union(ranges)
    members = {minute for start, stop in ranges for minute in range(start, stop)}
    assert {minute for start, stop in known for minute in range(start, stop)} == members
    assert all(before[1] < after[0] for before, after in pairwise(known))
    left = without(wanted, known)
    assert [minute for start, stop in left for minute in range(start, stop)] == sorted(set(range(*wanted)) - members)


@given(ranges=MINUTES, present=st.sets(st.integers(0, 40)))
def test_empty_runs_are_the_covered_bars_that_are_not_there(ranges, present):
    covered = union((at(start), at(stop)) for start, stop in ranges)
    opens = {time for start, stop in covered for time in range(start, stop, MINUTE)}
    there = sorted({at(minute) for minute in present} & opens)
    runs = empty_runs(BARS, np.array(there, dtype=np.int64), covered)
    assert sorted(time for start, stop in runs for time in range(start, stop, MINUTE)) == sorted(opens - set(there))


# A crash, a neighbour


@pytest.mark.parametrize("n_kills", [8, pytest.param(50, marks=pytest.mark.slow)])
def test_killed_at_random_moments_and_resumed_it_equals_the_uninterrupted_store(tmp_path, n_kills):
    rng = np.random.default_rng(5)
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    n_minutes = 60 * n_kills
    n_partials = 0
    for key, table in ((BARS, bars(n_minutes, HOLES)), (TRADES, trades(300 * n_kills, 5))):
        fill(whole, key, table, at(n_minutes), 10 * MINUTE)
        for _ in range(n_kills // 2):
            started = PROCESSES.Event()
            child = PROCESSES.Process(target=fill, args=(torn, key, table, at(n_minutes), 10 * MINUTE, started))
            child.start()
            started.wait()
            time.sleep(rng.uniform(0, 0.06))
            child.kill()
            child.join()
            assert child.exitcode == -9
            n_partials += any(torn.rglob("*.partial"))
            # Readable at every moment, and whole as far as it says so.
            assert Store(torn).verify().whole
            for first, stop in Store(torn).ranges(key):
                assert Store(torn).read(key, first, stop)["time"].equals(between(table, first, stop)["time"])
        assert Store(torn).missing(key, at(0), at(n_minutes))
        fill(torn, key, table, at(n_minutes), 10 * MINUTE)
    print(f"{n_partials} of {n_kills} kills came in the middle of a file")
    assert n_partials or n_kills < 50
    assert Store(torn).verify().whole
    assert snapshot(torn) == snapshot(whole)


def test_two_processes_that_write_at_once_lose_and_double_nothing(tmp_path):
    table = bars(3_000, HOLES)
    whole, shared = Store(tmp_path / "whole"), Store(tmp_path / "shared")
    whole.write(BARS, table, at(0), at(3_000))
    spans = [(0, 2_000, 37), (900, 3_000, 41)]
    children = [
        PROCESSES.Process(target=fill, args=(shared.folder, BARS, table, at(stop), width * MINUTE, None, at(first)))
        for first, stop, width in spans
    ]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0, 0]
    assert snapshot(shared.folder) == snapshot(whole.folder)


def test_a_reader_beside_a_writer_sees_whole_pages(tmp_path):
    table = bars(2_000)
    store = Store(tmp_path)
    child = PROCESSES.Process(target=fill, args=(tmp_path, BARS, table, at(2_000), 50 * MINUTE))
    child.start()
    n_rows = 0
    while child.is_alive():
        got = store.read(BARS)
        assert len(got) >= n_rows
        assert len(got) % 50 == 0
        n_rows = len(got)
    child.join()
    assert store.read(BARS).equals(table)


def test_pages_are_collected_and_a_jump_is_not_covered(store):
    table = bars(500)
    with store.writer(BARS, n_rows=100) as writer:
        for first in (0, 60):
            writer.write(between(table, at(first), at(first + 60)), at(first), at(first + 60))
        assert len(store.read(BARS)) == 120
        writer.write(between(table, at(120), at(150)), at(120), at(150))
        assert len(store.read(BARS)) == 120
        writer.write(between(table, at(300), at(310)), at(300), at(310))
        assert len(store.read(BARS)) == 150
    assert store.ranges(BARS) == [(at(0), at(150)), (at(300), at(310))]


def test_good_pages_survive_a_bad_one(store):
    def fetch():
        with store.writer(BARS) as writer:
            writer.write(bars(50), at(0), at(50))
            writer.write(bars(51), at(50), at(100))

    with pytest.raises(DataError, match="times must lie"):
        fetch()
    assert store.ranges(BARS) == [(at(0), at(50))]


# Damage


def refuses(store: Store, message: str, *calls) -> None:
    before = snapshot(store.folder)
    for call in calls:
        with pytest.raises(DataError, match=message):
            call()
    assert snapshot(store.folder) == before


def test_every_flipped_byte_is_found_or_harmless(filled):
    path, expected, covered = partition(filled), filled.read(BARS), filled.ranges(BARS)
    content = path.read_bytes()
    rng = np.random.default_rng(3)
    n_found = 0
    # The footer, where no page checksum reaches, and the pages.
    places = [*rng.choice(len(content) - 4_000, 60, replace=False), *(len(content) - 1 - rng.choice(4_000, 240, replace=False))]
    for place in places:
        damaged = bytearray(content)
        damaged[place] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        try:
            got = filled.read(BARS), filled.ranges(BARS)
        except DataError:
            n_found += 1
        else:
            assert got[0].equals(expected)
            assert got[1] == covered
    assert n_found > 150


def test_no_digit_of_a_covered_range_can_change_unseen(filled):
    path, content = partition(filled), partition(filled).read_bytes()
    first = content.index(b'"covered":') + 12
    for place in range(first, first + 27):
        damaged = bytearray(content)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        refuses(filled, "is damaged", lambda: filled.ranges(BARS))


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "moved", "renamed", "of another series"])
def test_a_damaged_partition_is_named_and_nothing_is_changed_until_it_is_repaired(filled, damage):
    path, content = partition(filled), partition(filled).read_bytes()
    if damage == "moved":
        path.write_bytes(partition(filled, name="2024-06").read_bytes())
    elif damage == "renamed":
        path.rename(path.with_name("2024-04.parquet"))
        path.write_bytes(content[:-1])
    elif damage == "of another series":
        ether = SeriesKey("binance", "spot", "ETH/USDT", "ohlcv", "1m")
        filled.write(ether, bars(10), at(0), at(10))
        path.write_bytes(partition(filled, ether).read_bytes())
    else:
        path.write_bytes({"cut": content[:-9], "empty": b"", "text": b"<html>503</html>" * 99}[damage])
    calls = (
        lambda: filled.read(BARS),
        lambda: filled.missing(BARS, at(0), at(9)),
        lambda: filled.write(BARS, bars(5), at(0), at(5)),
    )
    refuses(filled, r"partition 2024-0\d.parquet of binance spot BTC/USDT ohlcv 1m is damaged: .*foreshock store repair", *calls)
    assert not filled.verify().whole
    report = filled.repair()
    assert f"{path.name}.damaged" in "".join(report.repaired)
    assert filled.verify().whole
    assert filled.missing(BARS, at(0), at(9)) == [(at(0), at(9))]
    filled.write(BARS, bars(6_000, HOLES), at(0), at(6_000))
    assert filled.read(BARS).equals(bars(6_000, HOLES))


def test_repair_removes_what_a_crash_left_and_keeps_every_damaged_file(filled):
    path = partition(filled)
    for content in (b"first", b"second"):
        path.write_bytes(content)
        path.with_name(path.name + ".partial").write_bytes(b"half")
        filled.repair()
        assert not any(filled.folder.rglob("*.partial"))
    assert path.with_name(path.name + ".damaged").read_bytes() == b"first"
    assert path.with_name(path.name + ".damaged2").read_bytes() == b"second"


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="links of Unix")
def test_a_link_in_the_place_of_the_lock_makes_no_file_elsewhere(filled, tmp_path):
    lock = partition(filled).with_name(".lock")
    lock.unlink()
    lock.symlink_to(tmp_path / "made")
    with pytest.raises(DataError, match="cannot be written: Too many levels of symbolic links"):
        filled.write(BARS, bars(9), at(0), at(9))
    assert not (tmp_path / "made").exists()


def test_the_next_write_clears_up_after_an_interrupted_one(filled):
    left = partition(filled).with_name("2024-05.parquet.partial")
    left.write_bytes(b"half")
    filled.write(BARS, bars(0), at(9_000), at(9_001))
    assert not any(filled.folder.rglob("*.partial"))


def test_rows_changed_by_a_program_that_keeps_the_manifest_are_found_by_verify(filled):
    import pyarrow.parquet as pq

    path = partition(filled)
    metadata = {name: value for name, value in pq.read_metadata(path).metadata.items() if name.startswith(b"foreshock")}
    rows = pq.read_table(path)
    changed = rows.set_column(4, rows.schema.field("close"), pa.array(np.nextafter(rows["close"].to_numpy(), 0)))
    with pq.ParquetWriter(path, changed.schema, store_schema=False) as writer:
        writer.write_table(changed)
        writer.add_key_value_metadata(metadata)
    assert "its rows are not those that were written" in filled.verify().problems[0]


# A disk that refuses


def write_under_a_limit(folder: Path, n_bytes: int, answers) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes))
    try:
        Store(folder).write(BARS, bars(50_000), at(0), at(50_000))
    except DataError as error:
        answers.put(str(error))


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on the size of files")
def test_a_quota_that_ends_in_the_second_partition_leaves_the_store_as_it_was(filled):
    before = snapshot(filled.folder)
    answers = PROCESSES.Queue()
    # The five days of May fit.
    child = PROCESSES.Process(target=write_under_a_limit, args=(filled.folder, 400_000, answers))
    child.start()
    assert "the store cannot be written: File too large" in answers.get(timeout=30)
    child.join()
    assert snapshot(filled.folder) == before


@pytest.mark.parametrize("call", ["open", "fsync", "replace"])
def test_a_full_disk_leaves_the_store_as_it_was(filled, monkeypatch, call):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = snapshot(filled.folder)
    with monkeypatch.context() as patch:
        patch.setattr(f"foreshock.data.store.store.os.{call}", full)
        with pytest.raises(DataError, match=r"the store cannot be written: No space left on device .*; free space"):
            filled.write(BARS, bars(7_000, seed=2), at(0), at(7_000))
    assert snapshot(filled.folder) == before


@pytest.mark.skipif(sys.platform == "win32", reason="rights of Unix")
def test_a_store_of_another_user_can_be_read_and_is_not_written():
    with TemporaryDirectory() as folder:
        store = Store(Path(folder) / "store")
        store.write(BARS, bars(10), at(0), at(10))
        for path in (Path(folder), *Path(folder).rglob("*")):
            path.chmod(0o755 if path.is_dir() and os.geteuid() == 0 else 0o555 if path.is_dir() else 0o444)
        before = snapshot(store.folder)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65_534)
        try:
            assert len(store.read(BARS)) == 10
            for key in (BARS, TRADES):
                with pytest.raises(DataError, match="the store cannot be written: Permission denied"):
                    store.write(key, (bars if key is BARS else lambda _: trades(20, 1))(20), at(0), at(20))
        finally:
            os.seteuid(user)
            for path in (Path(folder), *Path(folder).rglob("*")):
                path.chmod(0o755)
        assert snapshot(store.folder) == before


# Wrong use


WRONG = {
    "missing column": (lambda t: t.drop_columns("close"), "columns must be time, open, high, low, close, volume, got"),
    "surplus column": (lambda t: t.append_column("x", t["close"]), "columns must be"),
    "text": (lambda t: t.set_column(1, "open", t["open"].cast(pa.string())), "column open must hold double, got string"),
    "float time": (lambda t: t.set_column(0, "time", t["time"].cast(pa.float64())), "column time must hold int64, got double"),
    "no time": (lambda t: t.set_column(0, "time", pa.array([None] + [at(1)] * 9, pa.int64())), "time must be known in every row"),
    "outside": (lambda t: t.set_column(0, "time", pa.array(t["time"].to_numpy() + MINUTE)), "times must lie in"),
    "off the grid": (lambda t: t.set_column(0, "time", pa.array(t["time"].to_numpy() + 1)), "bars must open on multiples of 1m"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_malformed_table_is_refused(filled, wrong):
    change, message = WRONG[wrong]
    refuses(filled, message, lambda: filled.write(BARS, change(bars(10)), at(0), at(10)))


@pytest.mark.parametrize("side", ["BUY", "", None])
def test_a_side_that_is_none_is_refused(store, side):
    table = trades(3, 1)
    store.write(TRADES, table, at(0), at(10))
    sides = pa.array(["buy", "sell", side])
    refuses(store, "column side must", lambda: store.write(TRADES, table.set_column(4, "side", sides), at(0), at(10)))


@pytest.mark.parametrize(
    ("start", "stop"), [(at(5), at(4)), (START // 1000, START // 1000 + 60), (START * 1000, START * 1000 + 1), (0, at(1))]
)
def test_a_range_in_another_unit_is_refused(store, start, stop):
    with pytest.raises(ConfigError, match="in epoch ms"):
        store.missing(BARS, start, stop)
    with pytest.raises(ConfigError, match="in epoch ms"):
        store.write(BARS, bars(0), start, stop)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (("../up", "spot", "BTC/USDT", "funding"), "exchange must be"),
        (("binance", "future", "BTC/USDT", "funding"), "market must be one of spot, linear, inverse, got 'future'"),
        (("binance", "spot", "..", "funding"), "symbol must be"),
        (("binance", "spot", "", "funding"), "symbol must be"),
        (("binance", "spot", "BTC/USDT", "quotes"), "kind must be one of ohlcv, trades, funding, book, got"),
        (("binance", "spot", "BTC/USDT", "ohlcv"), "timeframe must be"),
        (("binance", "spot", "BTC/USDT", "ohlcv", "1M"), "timeframe must be"),
        (("binance", "spot", "BTC/USDT", "trades", "1m"), "timeframe is only for ohlcv and book, got '1m' for trades"),
        (("binance", "spot", "BTC/USDT", "book"), "timeframe must be"),
    ],
)
def test_a_key_that_names_no_series_is_refused(parts, message):
    with pytest.raises(ConfigError, match=message):
        SeriesKey(*parts)


def test_symbols_of_any_script_have_a_folder_of_their_own(store):
    names = ["BTC/USDT", "BTC%2FUSDT", "BTC:USDT", "BTC-USDT", "币安人生/USDT", "BTC/USDT:USDT"]
    keys = [SeriesKey("binance", "spot", name, "ohlcv", "1m") for name in names]
    for i, key in enumerate(keys):
        store.write(key, bars(i + 1), at(0), at(10))
    assert store.keys() == sorted(keys)
    assert [len(store.read(key)) for key in keys] == [1, 2, 3, 4, 5, 6]


# The command line


@pytest.fixture
def command(monkeypatch, capsys):
    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["foreshock", "store", *arguments])
        try:
            cli.main()
            code = 0
        except SystemExit as stop:
            code = stop.code
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def test_store_ls_shows_series_gaps_and_empty_bars(filled, command, monkeypatch):
    filled.write(BARS, bars(0), at(6_100), at(6_200))
    filled.write(TRADES, trades(10, 1), at(0), at(60))
    monkeypatch.setenv("FORESHOCK_STORE", str(filled.folder))
    code, out, err = command("ls")
    assert (code, err) == (0, "")
    linear, spot, total = out.splitlines()
    shown = "binance linear BTC/USDT:USDT trades 10 rows in BTC 2024-05-29 00:00 to 2024-05-29 01:00 0.0 MB"
    assert " ".join(linear.split()) == shown
    assert "5,536 rows  2024-05-29 00:00 to 2024-06-02 07:20" in spot
    assert "1 not fetched  564 bars known to be empty, in 5 runs" in spot
    assert total == f"2 series; {filled.folder}"


def test_store_verify_and_repair_say_what_is_wrong_and_mend_it(filled, command):
    where = ("--store", str(filled.folder))
    assert command("verify", *where)[0] == 0
    path = partition(filled)
    path.write_bytes(path.read_bytes()[:-100])
    before = snapshot(filled.folder)
    code, out, err = command("verify", *where)
    assert (code, out[:41]) == (3, "BAD  partition 2024-05.parquet of binance")
    assert err.startswith("error: partition 2024-05.parquet of binance spot BTC/USDT ohlcv 1m is damaged")
    assert err.count("\n") == 1
    assert command("ls", *where)[0] == 3
    assert snapshot(filled.folder) == before
    code, out, err = command("repair", *where)
    assert (code, err) == (0, "")
    assert "set aside binance/spot/BTC%2FUSDT/ohlcv-1m/2024-05.parquet" in out
    assert command("verify", *where)[0] == 0


def test_a_bad_partition_does_not_hide_the_others_from_ls_and_verify(filled, command):
    filled.write(TRADES, trades(10, 1), at(0), at(60))
    where = ("--store", str(filled.folder))
    for name in ("2024-05", "2024-06"):
        path = partition(filled, name=name)
        path.write_bytes(path.read_bytes()[:-100])
        code, out, err = command("ls", *where)
        assert (code, err.count("\n")) == (3, 1)
        assert err.startswith("error: partition 2024-05.parquet of binance spot BTC/USDT ohlcv 1m is damaged")
        linear, spot, total = out.splitlines()
        assert "10 rows" in linear
        assert spot.endswith(f"UNREADABLE: {1 if name == '2024-05' else 2} of 2 partitions")
        assert total.startswith("2 series")
    code, out, err = command("verify", *where)
    assert [line[:28] for line in out.splitlines()] == ["BAD  partition 2024-05.parqu", "BAD  partition 2024-06.parqu"]
    assert code == 3
    assert err.endswith("(and 1 more); the other 1 partitions are valid\n")


def test_rows_that_are_damaged_under_a_whole_footer_are_marked_by_ls(filled, command):
    path = partition(filled)
    content = bytearray(path.read_bytes())
    first = pq.read_metadata(path).row_group(0).column(0).data_page_offset
    content[first : first + 40] = bytes(40)
    path.write_bytes(content)
    code, out, _ = command("ls", "--store", str(filled.folder))
    assert (code, "UNREADABLE: 1 of 2 partitions" in out) == (3, True)


def test_a_partition_that_the_file_system_refuses_is_bad_and_is_not_set_aside(filled, command, monkeypatch):
    def refused(key: SeriesKey, path: Path) -> object:
        if path.name == "2024-05.parquet":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return verify_partition(key, path)

    monkeypatch.setattr("foreshock.data.store.examination.verify_partition", refused)
    code, out, _ = command("verify", "--store", str(filled.folder))
    assert (code, out[:63]) == (3, "BAD  partition 2024-05.parquet cannot be read: Permission denie")
    code, _, err = command("repair", "--store", str(filled.folder))
    assert (code, err[:25]) == (3, "error: Permission denied:")
    assert partition(filled).exists()


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_what_is_exported_is_read_as_bars_and_trades(filled, command, suffix):
    table = trades(3_000, 1)
    filled.write(TRADES, table, at(0), at(6_000))
    where = ("--store", str(filled.folder))
    path = filled.folder.parent / f"out.{suffix}"
    code, out, _ = command("export", "BTC/USDT", "--out", str(path), "--start", "2024-05-29T01:00", "--end", "2024-06-01", *where)
    assert (code, out) == (0, f"3,809 rows of {BARS} in {path}\n")
    got, expected = read_bars(path).to_frame(), between(bars(6_000, HOLES), at(60), at(4_320)).to_pandas()
    assert set(got["symbol"]) == {"BTC/USDT"}
    for name in ("open", "high", "low", "close", "volume"):
        np.testing.assert_array_equal(got[name], expected[name])
    np.testing.assert_array_equal(got["time"].astype("datetime64[ms]").astype(np.int64), expected["time"])
    assert command("export", "BTC/USDT:USDT", "--kind", "trades", "--out", str(path), *where)[0] == 0
    ticks = read_trades(path)
    np.testing.assert_array_equal(ticks.ids, table["id"])
    np.testing.assert_array_equal(ticks.price, table["price"])
    np.testing.assert_array_equal(ticks.is_buy, np.array(table["side"].to_pylist()) == "buy")
    assert sorted(path.parent.iterdir()) == sorted([path, filled.folder])


def test_an_export_of_nothing_or_of_one_of_several_is_refused(filled, command):
    path = filled.folder.parent / "out.csv"
    path.write_text("earlier")
    filled.write(SeriesKey("bybit", "spot", "BTC/USDT", "ohlcv", "1m"), bars(3), at(0), at(3))
    cases = {
        ("ETH/USDT",): (3, "no series ETH/USDT ohlcv in"),
        ("BTC/USDT",): (
            3,
            "2 series are BTC/USDT ohlcv: binance spot BTC/USDT ohlcv 1m, bybit spot BTC/USDT ohlcv 1m; add --exchange",
        ),
        ("BTC/USDT", "--exchange", "bybit", "--start", "2025-01-01"): (3, "bybit spot BTC/USDT ohlcv 1m has no row in that range"),
        ("BTC/USDT", "--start", "soon"): (2, "start must be an ISO date"),
        ("BTC/USDT", "--exchange", "bybit", "--out", "none/bars.csv"): (
            2,
            "the folder of the file must be there, got none/bars.csv",
        ),
        ("BTC/USDT", "--exchange", "bybit", "--out", "bars.txt"): (2, "the file must end in .csv or .parquet, got bars.txt"),
    }
    for arguments, (expected, message) in cases.items():
        out = () if "--out" in arguments else ("--out", str(path))
        code, printed, err = command("export", *arguments, *out, "--store", str(filled.folder))
        assert (code, printed) == (expected, "")
        assert message in err
    assert path.read_text() == "earlier"


@pytest.mark.parametrize("verb", ["ls", "verify", "repair"])
def test_a_store_that_is_not_there_is_said_so(tmp_path, command, verb):
    code, out, err = command(verb, "--store", str(tmp_path / "none"))
    assert (code, out) == (3, "")
    assert err == f"error: no store at {tmp_path / 'none'}; foreshock fetch writes one, or pass --store DIR\n"
