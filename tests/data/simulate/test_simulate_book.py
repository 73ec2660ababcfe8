"""The simulated book balances at every price; its events are where they are said to be, and tell it from its clean twin."""

import re

import numpy as np
import pandas as pd
import pytest

from foreshock.data.books.flows import book_flows
from foreshock.data.books.orderbook import LEVELS, SIDES, TOTALS, Book
from foreshock.data.errors import ConfigError
from foreshock.data.simulate.book import CLEARANCE, KINDS, LEVEL_VALUE, TICK, SimulatedBook, simulate_book

QUIET = {f"n_{kind}": 0 for kind in ("flash_crashes", "withdrawals", "spoofs", "flickers", "icebergs", "sweeps")}


@pytest.fixture(scope="module")
def simulated() -> SimulatedBook:
    return simulate_book(seed=7)


@pytest.fixture(scope="module")
def quiet() -> Book:
    return simulate_book(seed=7, n_rows=20_000, **QUIET).book


def slow_balance(book: Book, row: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Per level of a row: what rested at its prices before, and whether all of that was in sight; one price at a time."""
    two = book.rows(slice(row - 1, row + 1))
    ticks = np.round(two.price[:, side] / TICK).astype(int)
    before, now = (dict(zip(ticks[i], two.notional[i, side], strict=True)) for i in (0, 1))
    away = 1 if SIDES[side] == "asks" else -1
    rested, seen = np.zeros(15), np.ones(15, dtype=bool)
    for level, tick in enumerate(ticks[1]):
        rested[level] += before.get(tick, 0.0)
        seen[level] = away * tick <= away * ticks[0, -1]
    for tick, value in before.items():
        if tick not in now and away * tick < away * ticks[1, -1]:
            nearest = min(range(15), key=lambda level: (abs(int(ticks[1, level]) - int(tick)), level))
            rested[nearest] += value
    return rested, seen


@pytest.mark.parametrize("which", ["book", "clean"])
def test_depth_is_what_was_there_plus_placed_less_cancelled_less_traded(simulated, which):
    book = getattr(simulated, which)
    # Every row of an event, and some others.
    rows = [row for event in simulated.events.itertuples() for row in range(event.row, event.stop_row + 2)]
    n_checked = 0
    for row in sorted({*rows, *np.random.default_rng(0).integers(1, len(book), 500)}):
        moved = abs(book.midpoint[row] - book.midpoint[row - 1]) / TICK
        for side in range(2):
            rested, seen = slow_balance(book, row, side)
            placed, cancelled, traded = (getattr(book, f"{kind}_notional")[row, side] for kind in ("limit", "cancel", "market"))
            if moved > 10:
                # Trades at prices that were out of sight are in the market flow of level 0, and nowhere in the depth before.
                seen[0] = False
            balance = rested + placed - cancelled - traded
            scale = 1 + placed + cancelled
            assert (np.abs(balance - book.notional[row, side])[seen] < 1e-9 * scale[seen]).all(), (row, side)
            n_checked += int(seen.sum())
    assert n_checked > 50_000


def test_derived_flows_are_the_true_net_flows_and_the_true_trades(simulated):
    truth = simulated.book
    found = book_flows(truth, simulated.trades)
    net, true_net = (book.limit_notional - book.cancel_notional for book in (found, truth))
    known = ~np.isnan(net)
    assert known[1:].mean() > 0.9
    np.testing.assert_allclose(net[known], true_net[known], rtol=0, atol=1e-6)
    assert (np.minimum(found.limit_notional, found.cancel_notional)[known] == 0).mean() > 0.9
    np.testing.assert_allclose(found.market_notional[1:], truth.market_notional[1:], rtol=1e-12, atol=1e-6)
    np.testing.assert_allclose(found.buys[1:], truth.buys[1:], rtol=1e-12)
    np.testing.assert_allclose(found.sells[1:], truth.sells[1:], rtol=1e-12)
    # Net flows are the least that explain the snapshots: never more than what really happened.
    assert (found.limit_notional <= truth.limit_notional + 1e-6)[known].all()
    assert (found.cancel_notional <= truth.cancel_notional + 1e-6)[known].all()


def test_trades_happen_between_the_snapshots_at_the_prices_of_their_side(simulated):
    book, trades = simulated.book, simulated.trades
    row = np.searchsorted(book.time, trades.time)
    assert row.min() >= 1
    assert (book.time[row - 1] < trades.time).all()
    best_before, best_now = (book.price[row - i, trades.is_buy.astype(int), 0] for i in (1, 0))
    low, high = np.minimum(best_before, best_now), np.maximum(best_before, best_now)
    assert (trades.price >= low - TICK / 2).all()
    assert (trades.price <= high + TICK / 2).all()
    np.testing.assert_allclose(trades.price / TICK, np.round(trades.price / TICK), rtol=1e-12)


def test_only_spoofs_and_flickers_tell_the_book_from_its_clean_twin(simulated):
    book, clean = simulated.book, simulated.clean
    for name in ("time", "distance", "market_notional", *TOTALS):
        assert np.array_equal(getattr(book, name), getattr(clean, name), equal_nan=True)
    added = book.notional - clean.notional
    expected = np.zeros(added.shape, dtype=bool)
    for event in simulated.events.query("kind in ('spoof', 'flicker')").itertuples():
        place = slice(event.row, event.stop_row), SIDES.index(event.side), slice(event.first_level, event.stop_level)
        expected[place] = True
        there = np.isclose(added[place], event.size)
        assert (there | (added[place] == 0)).all()
        if event.kind == "spoof":
            assert there.all()
        else:
            assert 0.35 < there.mean() < 0.65
            gross = (book.limit_notional - clean.limit_notional)[place]
            assert gross.mean() > 3 * event.size
    assert (added[~expected] == 0).all()
    flows = book.limit_notional - clean.limit_notional + book.cancel_notional - clean.cancel_notional
    quiet = ~(expected.any(axis=(1, 2)) | np.r_[False, expected.any(axis=(1, 2))[:-1]])
    quiet[0] = False
    assert (flows[quiet] == 0).all()


def test_spoofed_value_is_all_cancelled_and_never_traded(simulated):
    book, clean = simulated.book, simulated.clean
    for event in simulated.events.query("kind == 'spoof'").itertuples():
        rows = slice(event.row, event.stop_row + 1)
        placed, cancelled = (
            (getattr(book, name) - getattr(clean, name))[rows, SIDES.index(event.side)].sum()
            for name in ("limit_notional", "cancel_notional")
        )
        assert placed >= event.size * (event.stop_level - event.first_level) * (1 - 1e-9)
        # What went out of sight beyond the last level was placed and is not seen to be cancelled.
        assert cancelled <= placed * (1 + 1e-9)
        assert cancelled > 0


def test_each_kind_of_event_does_what_it_says(simulated):
    clean, events = simulated.clean, simulated.events
    depth = np.nansum(clean.notional, axis=(1, 2))
    for event in events.itertuples():
        inside, before = slice(event.row, event.stop_row), slice(event.row - 50, event.row)
        if event.kind == "flash_crash":
            bottom = clean.midpoint[inside].min() / clean.midpoint[event.row - 1]
            assert np.log(bottom) == pytest.approx(event.size, abs=0.01)
            assert 0.2 < np.log(clean.midpoint[event.stop_row] / clean.midpoint[event.row - 1]) / event.size < 0.65
            assert depth[event.row + 15 : event.stop_row].mean() < 0.35 * depth[before].mean()
        elif event.kind == "withdrawal":
            assert depth[event.row + 15 : event.stop_row].mean() < (1.5 - event.size) * depth[before].mean()
            assert clean.spread[inside].mean() > 1.5 * clean.spread[before].mean()
        elif event.kind == "iceberg":
            side = SIDES.index(event.side)
            eaten = clean.market_notional[inside, side, 0].mean()
            assert eaten > 0.8 * event.size
            assert eaten > 3 * clean.market_notional[:, side, 0][1:].mean()
            # The touch does not give way, whatever is traded against it.
            best = clean.price[event.row - 1 : event.stop_row, side, 0] * (1 if side else -1)
            assert (np.diff(best) < TICK / 2).all()
        elif event.kind == "sweep":
            side = SIDES.index(event.side)
            jump = (clean.price[event.row, side, 0] - clean.price[event.row - 1, side, 0]) / TICK * (1 if side else -1)
            assert jump == pytest.approx(event.size, abs=8)
            assert jump > 3
            assert clean.cancel_notional[event.row, side, 0] < clean.market_notional[event.row, side, 0] + 40 * LEVEL_VALUE


def test_the_table_of_events_is_in_order_apart_and_counted(simulated):
    events = simulated.events
    assert events.groupby("kind").size().to_dict() == {kind: count for kind, (count, *_) in KINDS.items()}
    assert (events["row"].to_numpy()[1:] - events["stop_row"].to_numpy()[:-1] >= CLEARANCE).all()
    assert events["row"].min() >= CLEARANCE
    assert events["stop_row"].max() <= 20_000 - CLEARANCE
    assert (events["time"].to_numpy() == simulated.book.time[events["row"]]).all()
    assert (events["stop"].to_numpy() == simulated.book.time[events["stop_row"]]).all()


def test_the_same_seed_gives_the_same_book_and_another_seed_another(simulated):
    again, other = simulate_book(seed=7), simulate_book(seed=8)
    for name in ("time", *TOTALS, *LEVELS):
        assert np.array_equal(getattr(again.book, name), getattr(simulated.book, name), equal_nan=True)
    assert again.events.equals(simulated.events)
    assert not np.array_equal(other.book.midpoint, simulated.book.midpoint)


def test_a_longer_quiet_book_begins_as_a_shorter_one(quiet):
    short = simulate_book(seed=7, n_rows=3_000, **QUIET).book
    assert np.array_equal(short.midpoint, quiet.midpoint[:3_000])
    assert np.array_equal(short.notional, quiet.notional[:3_000], equal_nan=True)


def test_the_book_looks_like_a_market(quiet):
    returns = pd.Series(np.diff(np.log(quiet.midpoint)))
    assert returns.std() * np.sqrt(365 * 86_400 / 5) == pytest.approx(0.8 * 0.7, rel=0.25)
    assert returns.kurt() > 1
    # Volatility clusters; returns do not follow on each other beyond the bounce of the touch.
    assert returns.abs().autocorr(20) > 0.05
    assert abs(returns.autocorr(20)) < 0.03
    mean = quiet.notional.mean(axis=0)
    assert (mean[:, 0] > 1.5 * mean[:, 5:].mean(axis=1)).all()
    log_depth = np.log(quiet.notional)
    # Levels vary by more than half their size, and more together than apart.
    assert 0.5 < log_depth[:, 0, 5].std() < 1.5
    assert np.corrcoef(log_depth[:, 0, 3], log_depth[:, 0, 9])[0, 1] > 0.05
    assert np.corrcoef(log_depth[:, 0].sum(axis=1), log_depth[:, 1].sum(axis=1))[0, 1] > 0.2
    # Depth thins and flow grows when volatility is high.
    volatility = returns.abs().rolling(100).mean().to_numpy()[100:]
    depth, flow = (np.log(getattr(quiet, name).sum(axis=(1, 2))[101:]) for name in ("notional", "limit_notional"))
    assert np.corrcoef(volatility, depth)[0, 1] < -0.1
    assert np.corrcoef(volatility, flow)[0, 1] > 0.1
    # Placing is busiest at 15 h UTC and calmest at 3 h.
    hour = quiet.time.astype("datetime64[h]").astype(int) % 24
    by_hour = pd.Series(quiet.limit_notional[1:].sum(axis=(1, 2))).groupby(hour[1:]).median()
    assert by_hour[13:17].mean() > 1.3 * by_hour[1:5].mean()
    assert (quiet.spread > 0).all()
    np.testing.assert_allclose(quiet.spread, quiet.price[:, 1, 0] - quiet.price[:, 0, 0], atol=1e-9)
    assert not np.isnan(quiet.notional).any()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"seed": -1}, "seed must be a whole number of at least 0, got -1"),
        ({"n_rows": 1}, "n_rows must be a whole number of at least 2, got 1"),
        ({"n_rows": 2.5}, "n_rows must be a whole number of at least 2, got 2.5"),
        ({"interval": "5m"}, "interval must be at most 1m, got 5m"),
        ({"annual_volatility": float("nan")}, "annual_volatility must be a number from 0.05 to 3, got nan"),
        ({"n_spoofs": -1}, "the number of events of kind spoof must be a whole number of at least 0, got -1"),
        ({"n_rows": 500, "n_spoofs": 9}, "n_rows must leave 60 rows between events, got 500 rows, which hold"),
    ],
)
def test_a_book_that_cannot_be_simulated_is_refused(params, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        simulate_book(**params)


@pytest.mark.parametrize(("interval", "volatility"), [("1m", 3.0), ("100ms", 0.05)])
def test_wild_and_still_markets_stay_books(interval, volatility):
    simulated = simulate_book(seed=3, n_rows=3_000, interval=interval, annual_volatility=volatility)
    assert (simulated.book.spread > 0).all()
    assert (np.nan_to_num(simulated.book.notional, nan=1.0) > 0).all()
