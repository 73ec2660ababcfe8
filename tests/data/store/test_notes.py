"""What a store says of single rows and ranges: notes, provisional bars, what was dropped, and folders that are gone."""

import json
import os
import shutil
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from foreshock.data.errors import DataError
from foreshock.data.exchange.fetch import missing_ranges
from foreshock.data.store import examination
from foreshock.data.store.journal import JOURNAL, Note
from foreshock.data.store.store import Store
from tests.console import foreshock
from tests.paths import snapshot
from tests.servers.store_writers import BARS, MINUTE, START, TRADES, bars, between, trades


def at(minute: int) -> int:
    return START + minute * MINUTE


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def filled(store):
    """6,000 minutes over the end of a month."""
    store.write(BARS, bars(6_000), at(0), at(6_000))
    return store


def changed(table: pa.Table, row: int, close: float) -> pa.Table:
    values = table["close"].to_numpy().copy()
    values[row] = close
    return table.set_column(table.column_names.index("close"), "close", pa.array(values))


# Revised rows


def test_a_row_that_gets_other_values_is_noted_with_those_of_before(filled):
    table = bars(6_000)
    old = table["close"][4_000].as_py()
    filled.write(BARS, changed(table, 4_000, old + 1), at(0), at(6_000))
    (note,) = filled.notes(BARS)
    assert (note.time, note.what) == (at(4_000), "revised")
    assert json.loads(note.raw)[4] == old
    assert filled.read(BARS)["close"][4_000].as_py() == old + 1
    # The same again is nothing new.
    filled.write(BARS, changed(table, 4_000, old + 1), at(0), at(6_000))
    assert len(filled.notes(BARS)) == 1


def test_rows_that_are_written_again_as_they_were_are_no_revision(store):
    table = bars(10).set_column(5, "volume", pa.array([None, *np.arange(1.0, 10)]))
    for _ in range(2):
        store.write(BARS, table, at(0), at(10))
        store.write(TRADES, trades(100, 1), at(0), at(200))
    assert (store.notes(BARS), store.notes(TRADES)) == ([], [])


def test_half_a_line_that_a_crash_left_spoils_no_note(store):
    notes = [Note(at(n), "set aside", "its low is 5", "[1, 2]", at(n)) for n in (2, 1)]
    store.add_notes(BARS, notes[:1])
    path = store.folder / BARS.folder / JOURNAL
    with path.open("a") as file:
        file.write('{"time": 17')
    store.add_notes(BARS, notes)
    assert store.notes(BARS) == notes[::-1]
    path.write_text("{mine}")
    with pytest.raises(DataError, match=r"notes.jsonl holds a line that is no note"):
        store.notes(BARS)


# Provisional bars


def test_the_newest_bars_are_asked_for_again_until_they_are_final(store):
    table = bars(100)
    store.write(BARS, changed(table, 99, 7.0), at(0), at(100), final=at(95))
    assert store.missing(BARS, at(0), at(100)) == []
    assert store.provisional(BARS, at(0), at(98)) == [(at(95), at(98))]
    assert missing_ranges(store, [BARS], at(0), at(110)) == {BARS: [(at(95), at(110))]}
    assert len(store.read(BARS)) == 100
    assert store.verify().whole
    store.write(BARS, between(table, at(95), at(97)), at(95), at(97))
    assert store.provisional(BARS, at(0), at(100)) == [(at(97), at(100))]
    store.write(BARS, between(table, at(97), at(100)), at(97), at(100), final=at(200))
    assert missing_ranges(store, [BARS], at(0), at(100)) == {}
    # That it changed was to be expected.
    assert store.notes(BARS) == []
    once = Store(store.folder.with_name("once"))
    once.write(BARS, table, at(0), at(100))
    assert snapshot(store.folder) == snapshot(once.folder)


def test_what_is_known_of_a_hole_is_nothing(store):
    table = bars(100)
    kept = table.filter(pa.array((np.arange(100) < 40) | (np.arange(100) >= 42)))
    store.write(BARS, kept, at(0), at(100), holes=[(at(40), at(42))])
    assert store.missing(BARS, at(0), at(100)) == [(at(40), at(42))]
    assert store.known_empty(BARS) == []
    assert store.verify().whole


# Drop and replace


def test_a_range_that_is_dropped_is_missing_and_the_rest_is_there(filled):
    assert filled.drop(BARS, at(100), at(5_000)) == 4_900
    assert filled.missing(BARS, at(0), at(6_000)) == [(at(100), at(5_000))]
    left = [between(bars(6_000), at(first), at(stop)) for first, stop in ((0, 100), (5_000, 6_000))]
    assert filled.read(BARS).equals(pa.concat_tables(left))
    assert filled.verify().whole
    assert filled.drop(BARS, at(100), at(5_000)) == 0
    filled.write(BARS, between(bars(6_000), at(100), at(5_000)), at(100), at(5_000))
    assert filled.read(BARS).equals(bars(6_000))


def test_a_series_that_is_dropped_is_forgotten(filled):
    filled.write(TRADES, trades(10, 1), at(0), at(60))
    assert filled.drop(BARS) == 6_000
    assert filled.keys() == [TRADES]
    assert filled.verify().whole
    assert filled.drop(BARS) == 0


def test_replaced_rows_are_gone_even_where_there_are_none_now(filled):
    fewer = between(bars(6_000), at(10), at(12))
    filled.write(BARS, fewer, at(0), at(20), replace=True)
    assert filled.read(BARS, at(0), at(20)).equals(fewer)
    assert filled.known_empty(BARS) == [(at(0), at(10)), (at(12), at(20))]
    assert len(filled.read(BARS)) == 6_000 - 18


def test_the_command_drops_a_range(filled, monkeypatch, capsys):
    given = ("--store", str(filled.folder), "--start", "2024-05-29T01:00", "--end", "2024-05-29T02:00")
    code, out, _ = foreshock(monkeypatch, capsys, "store", "drop", "BTC/USDT", *given)
    assert (code, out) == (0, f"60 rows of {BARS} dropped; {filled.folder}\n")
    assert filled.missing(BARS, at(0), at(6_000)) == [(at(60), at(120))]
    code, out, err = foreshock(monkeypatch, capsys, "store", "drop", "ETH/USDT", *given)
    assert (code, out) == (3, "")
    assert "no series ETH/USDT ohlcv" in err


# Folders and files


@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_folder_that_is_gone_is_missed_until_the_store_is_repaired(filled, level):
    filled.write(TRADES, trades(10, 1), at(0), at(60))
    spot = filled.folder / BARS.folder
    shutil.rmtree([spot, spot.parent, spot.parent.parent][level])
    report = filled.verify()
    assert report.problems == (
        f"{BARS} was in the store and its folder is gone ({spot}); bring it back, or run foreshock store repair, which forgets it, "
        "and fetch again",
    )
    repaired = filled.repair().repaired
    assert repaired == (f"forgot {BARS}, whose folder is gone; fetch it again if it is needed",)
    assert filled.verify().whole


def test_a_folder_that_is_a_link_is_read_and_checked_like_any_other(filled, tmp_path):
    linked = filled.folder / "binance" / "spot"
    linked.rename(tmp_path / "elsewhere")
    linked.symlink_to(tmp_path / "elsewhere")
    # A link that leads back up is no second store.
    (tmp_path / "elsewhere" / "up").symlink_to(filled.folder)
    assert filled.keys() == [BARS]
    assert (filled.verify().n_rows, filled.verify().whole) == (6_000, True)
    path = next((tmp_path / "elsewhere").rglob("2024-05.parquet"))
    path.write_bytes(path.read_bytes()[:-9])
    assert len(filled.verify().problems) == 1


def test_a_link_that_leads_nowhere_is_named(filled, tmp_path):
    linked = filled.folder / "binance" / "spot"
    linked.rename(tmp_path / "elsewhere")
    linked.symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").rename(tmp_path / "away")
    problems = filled.verify().problems
    assert f"{linked} is a link to a folder that is not there; mount it, or remove the link" in problems


def test_a_store_beside_a_writer_is_not_called_damaged(store):
    tables = [bars(n) for n in (10, 2_000)]
    store.write(BARS, tables[0], at(0), at(10))
    stop = threading.Event()

    def write() -> None:
        n = 0
        while not stop.is_set():
            n += 1
            table = tables[n % 2]
            store.write(BARS, table, at(0), at(len(table)), replace=True)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        reports = [store.verify() for _ in range(150)]
    finally:
        stop.set()
        writer.join()
    assert [report.problems for report in reports if not report.whole] == []


def test_a_malformed_first_page_is_said_so_and_leaves_the_store_as_it_was(store):
    with pytest.raises(DataError, match="columns must be time, open"), store.writer(BARS) as writer:
        writer.write(pa.table({"time": [at(0)], "open": [1.0]}), at(0), at(1))
    assert not store.folder.exists()


def test_a_partition_that_is_dropped_while_it_is_listed_is_no_problem(filled, monkeypatch):
    verify = examination.verify_partition

    def dropped(key, path: Path):
        os.unlink(path)
        return verify(key, path)

    monkeypatch.setattr(examination, "verify_partition", dropped)
    assert filled.verify().problems == ()
