"""Order books are read as they are or refused; flows between snapshots balance at every price."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from foreshock.data.books.flows import book_flows, book_from_ccxt
from foreshock.data.books.orderbook import BOOK_COLUMNS, LEVELS, SIDES, Book, read_book
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.trades.trades import Trades

START_MS = 1_700_000_000_000


def answer(bids: list, asks: list, second: float = 0.0) -> dict:
    """What ccxt's fetch_order_book gives."""
    return {"bids": bids, "asks": asks, "timestamp": START_MS + round(1_000 * second), "symbol": "A/B", "nonce": None}


def book_of(*answers: dict) -> Book:
    return Book.join([book_from_ccxt(one, "1s") for one in answers])


def table(n_rows: int = 4, **changes: object) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    columns: dict[str, object] = {"system_time": pd.date_range("2024-01-01", periods=n_rows, freq="1min", tz="UTC")}
    columns |= {"midpoint": 100.0 + rng.random(n_rows), "spread": 0.5, "buys": 7.0, "sells": 8.0}
    for side, sign in zip(SIDES, (-1, 1), strict=True):
        away = np.cumsum(1e-5 + 1e-4 * rng.random((n_rows, 15)), axis=1)
        for level in range(15):
            columns[f"{side}_distance_{level}"] = sign * away[:, level]
            for kind in LEVELS[1:]:
                columns[f"{side}_{kind}_{level}"] = rng.random(n_rows) * 1e4
    return pd.DataFrame(columns | changes)


@pytest.mark.parametrize("suffix", ["csv", "parquet", "feather"])
def test_a_file_reads_as_its_columns_say(tmp_path, suffix):
    frame, path = table(), tmp_path / f"perp.{suffix}"
    upper = frame.rename(columns=str.upper)
    upper.to_csv(path, index=False) if suffix == "csv" else getattr(upper, f"to_{suffix}")(path)
    book = read_book(path)
    assert (book.symbol, book.interval) == ("perp", np.timedelta64(60_000_000, "us"))
    assert book.time[1] == np.datetime64("2024-01-01T00:01", "us")
    for name in BOOK_COLUMNS:
        np.testing.assert_array_equal(book.column(name), frame[name].to_numpy(dtype=float), err_msg=name)
    assert book.notional[2, 1, 7] == frame["asks_notional_7"][2]
    assert book.limit_notional[3, 0, 14] == frame["bids_limit_notional_14"][3]
    again = Book.from_frame(book.to_frame())
    assert all(np.array_equal(getattr(again, name), getattr(book, name)) for name in ("time", *LEVELS, "midpoint"))


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (table()[:0], "the book is empty"),
        (table().drop(columns="system_time"), "missing column: a time (system_time, ts, time"),
        (table().drop(columns=["buys", "asks_notional_3"]), "missing column: buys, asks_notional_3; add them, or pass"),
        (pd.DataFrame({"time": ["2024-01-01"], "close": [1.0]}), "no column of an order book, such as midpoint"),
        (table(MIDPOINT=1.0), "columns are doubled, or differ only in case: midpoint"),
        (table(midpoint=[1.0, 0.0, 1.0, 1.0]), "midpoint must be positive, got 0.0 at 2024-01-01T00:01:00"),
        (table(spread=-1.0), "spread must be zero or more, got -1.0"),
        (table(sells=np.inf), "sells must be finite, got inf"),
        (table(bids_limit_notional_2=-5.0), "bids_limit_notional_2 must be zero or more, got -5.0 at 2024-01-01T00:00:00"),
        (table(asks_notional_2="many"), "column asks_notional_2 must hold numbers, got 'many' in row 0"),
        (table(bids_distance_0=1e-6), "bids_distance_0 must be price / midpoint - 1, negative for bids and positive for asks"),
        (table(asks_distance_14=1e-7), "asks_distance_14 must be no nearer to the midpoint than that of the level before"),
        (table()[::-1], "snapshots must be in ascending order of time, each time once, got 2024-01-01T00:03:00"),
        (pd.concat([table(), table()[3:]]), "(1 such rows); sort the source and keep one of each"),
        (table(system_time=[1.7e9, None, 1.7e9 + 1, 1.7e9 + 2]), "column system_time must have a time in every row"),
    ],
)
def test_a_malformed_book_is_refused_in_one_sentence(frame, message):
    with pytest.raises(DataError, match=re.escape(message)):
        Book.from_frame(frame)


def test_a_file_that_is_no_book_is_named(tmp_path):
    for name, content, message in [
        ("a.parquet", b"PAR1 and nothing else", r"a\.parquet: cannot be read as parquet"),
        ("b.csv", b"", r"b\.csv is empty"),
        ("c.xlsx", b"x", "must end in one of"),
        ("d.csv", b"time,close\n2024-01-01,2\n", r"d\.csv: no column of an order book"),
    ]:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=message):
            read_book(tmp_path / name)
    with pytest.raises(DataError, match="no such file"):
        read_book(tmp_path / "none.parquet")


def test_what_a_partial_file_lacks_is_unknown_and_only_by_request():
    frame = table().drop(columns=["midpoint", "bids_distance_4", "asks_market_notional_0"])
    with pytest.raises(DataError, match="missing column: midpoint, bids_distance_4, asks_market_notional_0"):
        Book.from_frame(frame)
    book = Book.from_frame(frame, partial=True)
    assert set(BOOK_COLUMNS) - set(book.known_columns) == {"midpoint", "bids_distance_4", "asks_market_notional_0"}
    assert np.isnan(book.distance[:, 0, 4]).all()
    # The level behind an unknown one is still held against those before it.
    with pytest.raises(DataError, match="bids_distance_5 must be no nearer"):
        Book.from_frame(frame.assign(bids_distance_5=-1e-7), partial=True)


def test_a_clock_of_row_numbers_is_the_callers_word():
    frame = table().drop(columns="system_time")
    book = Book.from_frame(frame, "5m", start="2021-04-07T16:35")
    assert list(book.time) == list(np.datetime64("2021-04-07T16:35", "us") + np.arange(4) * np.timedelta64(5, "m"))
    with pytest.raises(ConfigError, match=r"start \(first_row in a study file\) needs interval"):
        Book.from_frame(frame, start="2021-04-07")
    with pytest.raises(ConfigError, match="this one has the column system_time; leave start out"):
        Book.from_frame(table(), "5m", start="2021-04-07")


def test_the_interval_is_the_median_step_to_the_second():
    late = pd.to_datetime(["2024-01-01T00:00:00.1", "2024-01-01T00:01:00.4", "2024-01-01T00:02:00.2", "2024-01-01T00:09:00.3"])
    assert Book.from_frame(table(system_time=late)).interval == np.timedelta64(60, "s")
    fast = pd.date_range("2024-01-01", periods=4, freq="100.04ms")
    assert Book.from_frame(table(system_time=fast)).interval == np.timedelta64(100, "ms")
    with pytest.raises(DataError, match="cannot be inferred from a single snapshot; pass interval"):
        Book.from_frame(table(1))


def test_snapshots_that_drift_keep_their_rows_and_missing_ones_are_gaps():
    second = np.array([59.7, 120.2, 179.6, 300.4, 361.0])
    times = np.datetime64("2024-01-01", "us") + (second * 1e6).astype(np.int64)
    book = Book.from_frame(table(5, system_time=times), "1m")
    rows, start = book.grid_rows()
    assert rows.tolist() == [0, 1, 2, 4, 5]
    assert start == np.datetime64("2024-01-01T00:01", "us")
    # Known at the end of its row: taken less than an interval from the row's time.
    assert (np.abs(times - (start + rows * book.interval)) < book.interval).all()
    with pytest.raises(DataError, match=r"two snapshots fall into one interval of 5m: .* \(3 such pairs\)"):
        Book.from_frame(table(5, system_time=times), "5m").grid_rows()
    with pytest.raises(DataError, match=r"grid from .* would have 301301 rows for 5 snapshots"):
        Book.from_frame(table(5, system_time=times), "1ms").grid_rows()


def test_parts_of_a_book():
    book = Book.from_frame(table(6))
    assert len(book.head(2)) == 2
    assert np.array_equal(book.between("2024-01-01T00:01", "2024-01-01T00:03").notional, book.notional[1:3])
    joined = Book.join([book.head(2), book.rows(slice(2, None))])
    assert np.array_equal(joined.distance, book.distance)
    with pytest.raises(DataError, match="no snapshot from 2025"):
        book.between("2025-01-01")
    with pytest.raises(DataError, match="of one symbol and interval"):
        Book.join([book, replace(book, symbol="other")])
    with pytest.raises(ConfigError, match="no such column of a book: 'bids_notional_15'"):
        book.column("bids_notional_15")


def test_the_real_minute_book_is_signed_gapped_and_on_ticks_of_a_cent(shared_data):
    book = read_book(shared_data / "l2_btc_1min_full_20210417.parquet")
    assert (len(book), book.interval, len(book.known_columns)) == (600, np.timedelta64(60, "s"), len(BOOK_COLUMNS))
    rows, start = book.grid_rows()
    assert start == np.datetime64("2021-04-17T17:22", "us")
    assert sorted(set(range(602)) - set(rows.tolist())) == [158, 398]
    assert (book.distance[:, 0] < 0).all()
    assert (book.distance[:, 1] > 0).all()
    np.testing.assert_allclose(book.price * 100, np.round(book.price * 100), rtol=0, atol=1e-3)
    np.testing.assert_allclose(book.price[:, 1, 0] - book.price[:, 0, 0], book.spread, rtol=0, atol=1e-5)


def test_the_real_five_minute_file_has_thirty_columns_and_no_clock(shared_data):
    path = shared_data / "l2_btc_5min_top30.parquet"
    with pytest.raises(DataError, match="and 118 more; add them, or pass partial=True"):
        read_book(path)
    with pytest.raises(DataError, match="missing column: a time"):
        read_book(path, partial=True)
    book = read_book(path, "5m", partial=True, start="2021-04-07T16:35")
    assert (len(book), len(book.known_columns)) == (3_367, 30)
    # A clock of row numbers does not see the two snapshots that the source lacks: ten minutes by the crash.
    matched = pd.read_parquet(path)["ts_matched"].to_numpy(dtype="datetime64[us]")
    known = np.flatnonzero(~np.isnat(matched))
    late = (matched[known] - book.time[known]).astype("timedelta64[m]").astype(int)
    assert np.unique(late, return_counts=True)[0].tolist() == [0, 5, 10]
    assert (np.diff(late) >= 0).all()
    assert (known[0], known[-1]) == (2_890, 3_007)


def test_a_ccxt_answer_becomes_a_snapshot():
    asks = [[101.0 + i, 2.0, 1_700_000_000] for i in range(20)]
    book = book_from_ccxt(answer([[98.0, 1.0], [99.0, 2.0], [99.0, 3.0], [97.0, 0.0], [96.5, 4.0]], asks), "1s")
    assert (len(book), book.symbol, book.time[0]) == (1, "A/B", np.datetime64(START_MS, "ms"))
    assert (book.midpoint[0], book.spread[0]) == (100.0, 2.0)
    np.testing.assert_allclose(book.price[0, 0, :3], [99, 98, 96.5])
    assert book.notional[0, 0, :3].tolist() == [5 * 99.0, 98.0, 4 * 96.5]
    assert np.isnan(book.notional[0, 0, 3:]).all()
    np.testing.assert_allclose(book.price[0, 1], 101 + np.arange(15))
    assert np.isnan([book.buys[0], book.sells[0], *book.limit_notional.ravel()]).all()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"asks": []}, r"A/B has no asks, got '\[\]'"),
        ({"bids": None}, "has no bids, got 'None'"),
        ({"bids": [[99.0]]}, r"a level of bids of A/B must be \[price, amount\], got '\[99.0\]'"),
        ({"bids": [["x", 1]]}, "a level of bids of A/B must be"),
        ({"asks": [[101.0, float("nan")]]}, "asks of A/B must have positive prices and amounts of zero or more"),
        ({"asks": [[-101.0, 1]]}, "asks of A/B must have positive prices"),
        ({"asks": [[101.0, 0]]}, "all amounts of asks of A/B are zero"),
        ({"asks": [[99.0, 1]]}, "crossed: best bid 99.0 is not below best ask 99.0"),
        ({"timestamp": None}, "has no timestamp .*; pass time, when it was fetched"),
    ],
)
def test_a_broken_ccxt_answer_is_refused(wrong, message):
    with pytest.raises(DataError, match=message):
        book_from_ccxt(answer([[99.0, 1.0]], [[101.0, 1.0]]) | wrong, "1s")


def trades_at(*fills: tuple[float, float, float, bool]) -> Trades:
    """Fills of (second, price, size, whether a buy)."""
    second, price, size, is_buy = (np.array(column) for column in zip(*fills, strict=True))
    time = np.datetime64(START_MS, "ms").astype("M8[us]") + (second * 1e6).astype(np.int64)
    return Trades(time, price, size, price * size, is_buy.astype(bool))


def flows_at(book: Book, side: str, level: int, row: int = 1) -> list[float]:
    """Limit, cancel and market flow of a level, in base currency."""
    at = (row, SIDES.index(side), level)
    return [float(round(getattr(book, f"{kind}_notional")[at] / book.price[at], 9)) for kind in ("limit", "cancel", "market")]


def test_flows_are_matched_by_price_when_a_better_level_pushes_the_others_back():
    first = answer([[99.0, 5.0], [98.0, 3.0]], [[101.0, 4.0], [102.0, 9.0]])
    second = answer([[99.5, 2.0], [99.0, 4.0], [98.0, 3.0]], [[101.0, 4.0], [102.0, 12.0]], 1)
    book = book_flows(book_of(first, second), trades_at((0.5, 50.0, 1e-9, True)))
    assert [flows_at(book, "bids", level) for level in range(3)] == [[2, 0, 0], [0, 1, 0], [0, 0, 0]]
    assert [flows_at(book, "asks", level)[0] for level in range(2)] == [0, 3]
    assert np.isnan(book.limit_notional[0]).all()


def test_trades_are_market_flow_of_the_price_at_which_they_happened():
    still = [[99.0, 5.0], [98.0, 5.0]]
    first = answer(still, [[101.0, 4.0], [102.0, 9.0]])
    second = answer(still, [[101.0, 3.0], [102.0, 9.0]], 1)
    fills = trades_at((0.2, 101.0, 2.5, True), (0.4, 101.0, 0.5, True), (0.6, 99.0, 1.0, False), (1.0, 102.0, 1.0, True))
    book = book_flows(book_of(first, second), fills)
    # 4 less 3 traded and 2 placed is 3; what was traded at 102 and 99 has been put back.
    assert flows_at(book, "asks", 0) == [2, 0, 3]
    assert flows_at(book, "asks", 1) == [1, 0, 1]
    assert flows_at(book, "bids", 0) == [1, 0, 1]
    assert book.buys[1] == pytest.approx(3 * 101 + 102)
    assert book.sells[1] == pytest.approx(99)
    assert np.isnan(book.buys[0])


def test_a_touch_that_is_traded_through_is_booked_at_the_new_one():
    first = answer([[99.0, 5.0]], [[101.0, 4.0], [102.0, 9.0], [103.0, 1.0]])
    second = answer([[99.0, 5.0]], [[102.0, 9.5], [103.0, 1.0]], 1)
    book = book_flows(book_of(first, second), trades_at((0.5, 101.0, 3.0, True)))
    limit, cancel, market = (getattr(book, f"{kind}_notional")[1, 1] for kind in ("limit", "cancel", "market"))
    assert (limit[0], cancel[0], market[0]) == pytest.approx((0.5 * 102, 1 * 101, 3 * 101))
    assert (limit[1], cancel[1], market[1]) == (0, 0, 0)
    # Everything at or below the new touch balances.
    assert 4 * 101 + 9 * 102 + limit[0] - cancel[0] - market[0] == pytest.approx(9.5 * 102)


def test_a_price_between_two_levels_that_vanished_goes_to_the_nearer_and_of_two_to_the_better():
    first = answer([[99.0, 5.0]], [[101.0, 1.0], [103.0, 2.0], [104.5, 3.0], [105.0, 1.0]])
    second = answer([[99.0, 5.0]], [[101.0, 1.0], [105.0, 1.0]], 1)
    cancel = book_flows(book_of(first, second)).cancel_notional[1, 1]
    np.testing.assert_allclose(cancel[:2], [2 * 103.0, 3 * 104.5])


def test_what_came_into_sight_has_unknown_flow_and_what_went_out_of_sight_has_none():
    asks = [[101.0 + i, 1.0] for i in range(16)]
    retreat = book_flows(book_of(answer([[99.0, 1.0]], asks[:15]), answer([[99.0, 1.0]], asks[1:], 1)))
    assert np.isnan(retreat.limit_notional[1, 1, 14])
    assert np.isnan(retreat.cancel_notional[1, 1, 14])
    assert retreat.cancel_notional[1, 1, 0] == 101.0
    advance = book_flows(book_of(answer([[99.0, 1.0]], asks[1:]), answer([[99.0, 1.0]], asks[:15], 1)))
    assert advance.limit_notional[1, 1].tolist() == [101.0] + [0.0] * 14
    assert advance.cancel_notional[1, 1].tolist() == [0.0] * 15
    # A book of fewer levels than fit is seen to its end: what shows up there was placed.
    grown = book_flows(book_of(answer([[99.0, 1.0]], asks[:2]), answer([[99.0, 1.0]], asks[:3], 1)))
    assert grown.limit_notional[1, 1, :3].tolist() == [0.0, 0.0, 103.0]


def test_a_trade_at_a_price_that_neither_snapshot_shows_was_placed_and_taken_in_between():
    still = answer([[99.0, 5.0]], [[101.0, 4.0], [102.0, 9.0]])
    book = book_flows(book_of(still, still | {"timestamp": START_MS + 1_000}), trades_at((0.5, 100.5, 2.0, True)))
    assert book.market_notional[1, 1, 0] == book.limit_notional[1, 1, 0] == 201.0
    assert book.cancel_notional[1, 1, 0] == 0.0


def test_flows_across_a_gap_are_unknown_and_without_trades_so_is_market_flow():
    levels = [[99.0, 5.0]], [[101.0, 4.0]]
    book = book_flows(book_of(answer(*levels), answer(*levels, 1), answer(*levels, 3)))
    assert np.isnan(book.limit_notional[2]).all()
    assert book.limit_notional[1, 0, 0] == 0.0
    assert np.isnan(book.market_notional).all()
    assert np.isnan(book.buys).all()
    mixed = replace(trades_at((0.1, 99.0, 1.0, True), (0.2, 99.0, 1.0, True)), series=np.array(["a", "b"]))
    with pytest.raises(DataError, match="flows need trades of one series, got 2"):
        book_flows(book, mixed)
