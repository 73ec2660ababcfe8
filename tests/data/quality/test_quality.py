"""Cleaning: every planted fault is found once, under its name, and nothing else is touched."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from foreshock.data.bars import FIELDS, PRICES, Bars
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.files import read_bars
from foreshock.data.quality.checks import STALE_BARS
from foreshock.data.quality.clean import DONE, clean
from tests.market import make_bars

REMOVED = ("infinite", "not_positive", "negative_volume", "incomplete", "ohlc_violation")
HOUR = np.timedelta64(1, "h")


class Dirty:
    """A table of good bars into which faults are planted, each in a row of its own, and a list of them."""

    def __init__(self, n_bars: int = 400, seed: int = 0) -> None:
        self.good = make_bars(n_bars, 2, seed).to_frame()
        self.table = self.good.copy()
        self.place = pd.Series(np.arange(len(self.table), dtype=float))
        self.planted: dict[str, list[tuple[str, pd.Timestamp]]] = {kind: [] for kind in DONE}
        # Bars 150 to 199 and 240 to 389 of both symbols; the others are for runs and jumps.
        self.free = np.random.default_rng(seed).permutation(np.r_[300:400, 480:780]).tolist()

    def plant(self, kind: str, rows: list[int]) -> list[int]:
        self.planted[kind] += [(self.good["symbol"][row], self.good["time"][row]) for row in rows]
        return rows

    def take(self, kind: str, n: int) -> list[int]:
        return self.plant(kind, [self.free.pop() for _ in range(n)])

    def put(self, kind: str, faults: list[tuple[str, float]]) -> None:
        for row, (name, value) in zip(self.take(kind, len(faults)), faults, strict=True):
            self.table.loc[row, name] = value

    def in_places(self) -> pd.DataFrame:
        return self.table.iloc[np.argsort(self.place)].reset_index(drop=True)


@pytest.fixture
def dirty() -> Dirty:
    """Every kind a different number of times."""
    d = Dirty()
    d.put("infinite", [("open", np.inf), ("high", np.inf), ("low", -np.inf), ("volume", np.inf), ("volume", -np.inf)])
    d.put("not_positive", [("low", 0.0), ("open", -1.0), ("close", -1e-9)])
    d.put("negative_volume", [("volume", -1.0), ("volume", -1e-9)])
    d.put("incomplete", [(name, np.nan) for name in PRICES])
    # A volume without any price is a part of a bar too.
    d.table.loc[d.take("incomplete", 6), list(PRICES)] = np.nan
    low, high = d.take("ohlc_violation", 3), d.take("ohlc_violation", 4)
    d.table.loc[low, "low"] = d.good.loc[low, ["open", "close"]].min(axis=1) * 1.0001
    d.table.loc[high, "high"] = d.good.loc[high, ["open", "close"]].max(axis=1) * 0.9999
    d.put("zero_volume", [("volume", 0.0)] * 9)
    # Runs of A that repeat the close before them; the second is one bar too short to be called stale.
    for first, length in ((10, STALE_BARS + 2), (110, STALE_BARS - 1)):
        run = list(range(2 * first, 2 * (first + length), 2))
        d.table.loc[run, list(PRICES)] = d.table["close"][run[0] - 2]
        d.plant("stale", run if length >= STALE_BARS else [])
    # B is redenominated at its bar 205, and back at 230.
    d.table.loc[range(2 * 205 + 1, 2 * 230 + 1, 2), list(PRICES)] *= 10
    d.plant("jump", [2 * 205 + 1, 2 * 230 + 1])
    # Late rows stand at the end, an outdated version of a bar before it.
    d.place[d.take("unsorted", 11)] += len(d.table)
    outdated = d.table.loc[d.take("doubled", 8)]
    # A row without any number is as good as none.
    dropped, empty = d.take("missing", 10), d.take("missing", 2)
    d.table.loc[empty, list(FIELDS)] = np.nan
    d.place = pd.concat([d.place.drop(dropped), d.place[outdated.index] - 0.5], ignore_index=True)
    d.table = pd.concat([d.table.drop(index=dropped), outdated.assign(close=outdated["low"])], ignore_index=True)
    for kind in REMOVED:
        d.planted["missing"] += d.planted[kind]
    return d


@pytest.mark.parametrize("kind", DONE)
def test_every_planted_fault_is_found_once_and_no_other(kind, dirty):
    _, report = clean(dirty.in_places())
    rows = report.findings[report.findings["kind"] == kind]
    assert sorted(zip(rows["symbol"], rows["time"], strict=True)) == sorted(dirty.planted[kind])
    assert report.count(kind) == len(dirty.planted[kind])
    for symbol in ("A", "B"):
        n = sum(name == symbol for name, _ in dirty.planted[kind])
        assert report.count(kind, symbol) == report.table.loc[symbol, kind] == n


def test_the_counts_are_those_that_were_planted(dirty):
    """The numbers once more, by hand, in case the planting fails."""
    _, report = clean(dirty.in_places())
    by_hand = {
        "unsorted": 11,
        "doubled": 8,
        "infinite": 5,
        "not_positive": 3,
        "negative_volume": 2,
        "incomplete": 10,
        "ohlc_violation": 7,
        "relisted": 0,
        "unit": 0,
        "missing": 12 + 27,
        "stale": STALE_BARS + 2,
        "zero_volume": 9,
        "volume_unit": 0,
        "outlier": 0,
        "jump": 2,
    }
    assert report.table.drop(columns=["n_bars", "gaps"]).sum().to_dict() == by_hand


def test_what_was_removed_is_unknown_and_every_other_bar_is_as_it_was(dirty):
    bars, _ = clean(dirty.in_places())
    gone = set(dirty.planted["missing"])
    expected = dirty.good.copy()
    # Faults that are kept.
    for name in FIELDS:
        kept = dirty.table.iloc[: len(dirty.table) - 8].set_index(["symbol", "time"])[name]
        expected[name] = kept.reindex(pd.MultiIndex.from_frame(expected[["symbol", "time"]])).to_numpy()
    expected = expected[[(row.symbol, row.time) not in gone for row in expected.itertuples()]]
    pd.testing.assert_frame_equal(bars.to_frame(), expected.reset_index(drop=True), check_exact=True)
    for name in FIELDS:
        np.testing.assert_array_equal(np.isnan(getattr(bars, name)), np.isnan(bars.close))


def test_bars_gaps_and_missing_add_up_to_the_listing(dirty):
    bars, report = clean(dirty.in_places())
    for col, symbol in enumerate(bars.symbols):
        known = np.flatnonzero(~np.isnan(bars.close[:, col]))
        assert report.bars[symbol] == len(known)
        assert report.bars[symbol] + report.count("missing", symbol) == known[-1] - known[0] + 1
        assert report.gaps[symbol] == sum(later - earlier > 1 for earlier, later in pairwise(known))


def test_cleaning_clean_bars_again_removes_nothing(dirty):
    once, first = clean(dirty.in_places())
    twice, second = clean(once)
    assert twice.fingerprint() == once.fingerprint()
    assert second.bars == first.bars
    kept = ("missing", "stale", "zero_volume", "jump")
    for kind in DONE:
        assert second.count(kind) == (first.count(kind) if kind in kept else 0)


def test_faultless_bars_come_back_with_an_empty_report():
    bars = make_bars(100, 2, seed=3)
    for given in (bars, bars.to_frame()):
        cleaned, report = clean(given)
        assert cleaned.fingerprint() == bars.fingerprint()
        assert report.findings.columns.tolist() == ["symbol", "time", "kind", "done"]
        assert len(report.findings) == 0
        assert report.table["n_bars"].tolist() == [100, 100]
        assert report.table.drop(columns="n_bars").to_numpy().sum() == 0
        assert [report.count(kind) for kind in DONE] == [0] * len(DONE)


def test_what_was_done_stands_beside_each_finding(dirty):
    _, report = clean(dirty.in_places())
    done = report.findings.groupby("kind")["done"].unique()
    planted = [kind for kind, places in dirty.planted.items() if places]
    assert len(planted) == 11
    assert {kind: values.tolist() for kind, values in done.items()} == {kind: [DONE[kind]] for kind in planted}


def test_the_input_is_left_as_it_was(dirty):
    table = dirty.in_places()
    before = table.copy()
    clean(table)
    pd.testing.assert_frame_equal(table, before)


def test_a_row_with_several_faults_is_counted_under_each():
    table = make_bars(10, 1).to_frame()
    table.loc[4, ["open", "high", "volume"]] = [np.nan, -1.0, -5.0]
    table.loc[6, ["low", "volume"]] = [0.0, np.inf]
    bars, report = clean(table)
    assert {kind: report.count(kind) for kind in ("incomplete", "not_positive", "negative_volume", "infinite", "missing")} == {
        "incomplete": 1,
        "not_positive": 1,
        "negative_volume": 1,
        "infinite": 1,
        "missing": 2,
    }
    assert np.flatnonzero(np.isnan(bars.close[:, 0])).tolist() == [4, 6]


def test_of_doubled_bars_the_last_sound_one_is_kept():
    table = make_bars(6, 1).to_frame()
    versions = table.iloc[[2, 2, 2]].assign(volume=[1.0, 2.0, -3.0])
    empty = table.iloc[[2]].assign(**dict.fromkeys(FIELDS, np.nan))
    bars, report = clean(pd.concat([table.iloc[:2], versions, empty, table.iloc[3:]]))
    assert bars.volume[2, 0] == 2
    assert (report.count("doubled"), report.count("negative_volume"), report.count("missing")) == (1, 1, 0)


def test_removed_bars_lose_their_extras_too():
    table = make_bars(6, 1).to_frame().assign(trade_count=7.0)
    table.loc[2, "high"] = table.loc[2, "low"] / 2
    table.loc[3, "open"] = np.inf
    bars, _ = clean(table)
    assert np.isnan(bars.extras["trade_count"][[2, 3], 0]).all()
    assert (bars.extras["trade_count"][[0, 1, 4, 5], 0] == 7).all()


def test_bars_before_a_listing_and_after_a_delisting_are_not_missing():
    bars = make_bars(30, 2, seed=1)
    hole = np.zeros(bars.shape, bool)
    hole[:10, 1] = hole[25:, 1] = hole[15:17, 1] = True
    punched = Bars(bars.time, bars.symbols, *(np.where(hole, np.nan, getattr(bars, name)) for name in FIELDS), bars.interval)
    _, report = clean(punched)
    assert (report.count("missing"), report.count("missing", "B"), report.gaps, report.bars) == (
        2,
        2,
        {"A": 0, "B": 1},
        {"A": 30, "B": 13},
    )


def test_a_zero_volume_of_an_unknown_bar_is_no_zero_volume():
    bars = make_bars(5, 1)
    unknown = np.array([[False], [False], [True], [False], [False]])
    prices = {name: np.where(unknown, np.nan, getattr(bars, name)) for name in PRICES}
    _, report = clean(Bars(bars.time, bars.symbols, **prices, volume=np.zeros((5, 1)), interval=bars.interval))
    assert (report.count("zero_volume"), report.count("missing")) == (4, 1)


@pytest.mark.parametrize(("length", "n_stale"), [(STALE_BARS - 1, 0), (STALE_BARS, STALE_BARS), (STALE_BARS + 1, STALE_BARS + 1)])
@pytest.mark.parametrize("first", [1, 20, 60])
def test_stale_bars_repeat_the_close_before_them_a_dozen_times(length, n_stale, first):
    table = make_bars(80, 1).to_frame()
    run = slice(first, first + length - 1)
    table.loc[run, list(PRICES)] = table.loc[first - 1, "close"]
    _, report = clean(table)
    assert report.count("stale") == n_stale


def test_flat_bars_that_move_between_bars_are_not_stale():
    close = np.where(np.arange(40) % 2, 1.0, 1.1)
    table = pd.DataFrame({"time": pd.date_range("2024", periods=40, freq="h"), **dict.fromkeys(PRICES, close), "volume": 1.0})
    assert clean(table)[1].count("stale") == 0


@pytest.mark.parametrize(("factor", "n_jumps"), [(2.9, 0), (3.1, 1), (1 / 2.9, 0), (1 / 3.1, 1), (10.0, 1), (40.0, 1)])
@pytest.mark.parametrize("gap", [0, 5])
def test_a_jump_is_threefold_also_across_missing_bars(factor, n_jumps, gap):
    close = np.where(np.arange(40) < 20, 1e-6, 1e-6 * factor)
    table = pd.DataFrame({"time": pd.date_range("2024", periods=40, freq="h"), **dict.fromkeys(PRICES, close), "volume": 1.0})
    _, report = clean(table.drop(index=range(20, 20 + gap)))
    assert report.count("jump") == n_jumps
    if n_jumps:
        jump = report.findings[report.findings["kind"] == "jump"]
        assert jump["time"].tolist() == [table["time"][20 + gap]]


def test_a_symbol_that_loses_every_bar_stays_in_the_report():
    table = make_bars(10, 2).to_frame()
    table.loc[table["symbol"] == "B", "open"] = -1.0
    bars, report = clean(table)
    assert bars.symbols == ("A",)
    assert report.table.loc["B", ["n_bars", "gaps", "not_positive", "missing"]].tolist() == [0, 0, 10, 0]
    assert report.count("not_positive", "B") == 10


def test_nothing_left_is_an_error():
    table = make_bars(10, 1).to_frame()
    with pytest.raises(DataError, match=r"^no valid bar is left of 10 rows; check the source$"):
        clean(table.assign(close=np.inf))
    with pytest.raises(DataError, match=r"^no valid bar is left after cleaning; check the source$"):
        clean(table.assign(high=table["low"] / 2))


def test_what_cannot_be_read_is_refused_here_too():
    table = make_bars(10, 1).to_frame()
    with pytest.raises(DataError, match=r"^missing column: volume; got time, symbol, open, high, low, close; rename or add it$"):
        clean(table.drop(columns="volume"))
    with pytest.raises(DataError, match=r"^column time must have a time in every row, got 1 without, the first in row 3; remove"):
        clean(table.assign(time=table["time"].where(table.index != 3)))
    with pytest.raises(DataError, match=r"^1 bars are off the 1h grid"):
        clean(table.assign(time=table["time"].where(table.index != 9, table["time"][8] + pd.Timedelta("1m"))))
    with pytest.raises(DataError, match=r"^8 bars are off the 7h grid"):
        clean(table, "7h")


def test_a_kind_or_symbol_that_is_not_there_is_refused_and_not_counted_as_none():
    _, report = clean(make_bars(10, 2))
    with pytest.raises(ConfigError, match=r"^no such kind: 'dubled'; expected one of unsorted, doubled, "):
        report.count("dubled")
    with pytest.raises(ConfigError, match=r"^no such symbol: 'C'; expected one of A, B$"):
        report.count("missing", "C")


def test_the_outages_of_the_spot_history_are_counted(shared_data):
    bars = read_bars(shared_data / "ohlcv_btc_spot_1h_2017_2024.parquet")
    _, report = clean(bars)
    (symbol,) = bars.symbols
    assert (report.gaps[symbol], report.count("missing"), report.bars[symbol]) == (28, 128, 58_419)
    assert (
        sum(report.count(kind) for kind in ("unsorted", "doubled", "infinite", "not_positive", "negative_volume", "incomplete"))
        == 0
    )


def test_the_eight_assets_need_no_repair(shared_data):
    bars = read_bars(shared_data / "ohlcv_1h_8assets.parquet")
    cleaned, report = clean(bars)
    assert cleaned.fingerprint() == bars.fingerprint()
    assert sum(report.bars.values()) == 314_270
    assert report.table.drop(columns="n_bars").to_numpy().sum() == 0
