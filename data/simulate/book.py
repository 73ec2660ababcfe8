"""A simulated order book with planted manipulation and breakdowns, and the same book without the manipulation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypedDict, Unpack

import numpy as np
import pandas as pd

from foreshock.data.books.orderbook import N_LEVELS, SIDES, Book
from foreshock.data.checks import check_number, check_whole
from foreshock.data.doors.door import door
from foreshock.data.doors.kinds import count_of
from foreshock.data.errors import ConfigError
from foreshock.data.interval import Duration, Instant, format_duration, parse_duration, parse_instant
from foreshock.data.labels import Labels
from foreshock.data.options import check_options
from foreshock.data.show.facts import Shown, counted
from foreshock.data.show.shown import shown
from foreshock.data.simulate.book_path import BookPath, book_along, overlay_flows_nb
from foreshock.data.simulate.paths import HOUR_US, LISTED, ar1_nb, null_path, stream
from foreshock.data.trades.trades import Trades

DEFAULT_ROWS = 20_000
# Rows without other events on both sides of each event, and at both ends.
CLEARANCE = 60
TICK, FIRST_PRICE = 0.01, 100.0
# Usual value of a level far from the touch, in quote currency; the touch has two and a half times that.
LEVEL_VALUE = 20_000.0
LONGEST_INTERVAL = np.timedelta64(60, "s")
# For each kind: number of events in a history of the default length, and their smallest and largest length in rows.
KINDS = {
    "flash_crash": (4, 24, 60),
    "withdrawal": (8, 20, 80),
    "spoof": (16, 20, 120),
    "flicker": (16, 30, 150),
    "iceberg": (12, 10, 40),
    "sweep": (16, 1, 1),
}


@dataclass(frozen=True, repr=False)
class SimulatedBook(Shown):
    """A simulated order book and the events planted in it.

    Parameters
    ----------
    book : Book
        The book with all events. Its flows are gross: an order placed and cancelled between two snapshots is in both.
    clean : Book
        The same book without spoofs and flickers: same prices, same trades, same other events. A denoiser should find it.
    events : DataFrame
        One row per planted event, ascending by ``row``.

        =================== =========================================================================================
        event, kind         number; ``flash_crash withdrawal spoof flicker iceberg sweep``
        side                ``bids``, ``asks`` or ``both``
        time, row           first snapshot that shows it
        stop, stop_row      first snapshot after it
        first_level,        levels affected: from ``first_level`` to the one before ``stop_level``
        stop_level
        size                flash crash: log move from start to bottom; withdrawal: share of the depth that is gone; spoof and
                            flicker: value added to each level, in quote currency; iceberg: value traded and put back per row;
                            sweep: ticks through which the touch is driven
        =================== =========================================================================================
    trades : Trades
        The trades of the book's market flow at their prices, evenly spaced between snapshots.

    Examples
    --------
    >>> import foreshock as fs
    >>> simulated = fs.simulate_book(seed=7, n_rows=1_000, n_spoofs=1)
    >>> simulated
    SimulatedBook(SIM/USDT, 1,000 snapshots of 5s, 2024-01-01T00:00:00 to 2024-01-01T01:23:15, 4 planted events)
    >>> simulated.events["kind"].tolist()
    ['sweep', 'flicker', 'iceberg', 'spoof']
    """

    book: Book
    clean: Book
    events: pd.DataFrame
    trades: Trades

    @property
    def labels(self) -> Labels:
        """The planted events as labels."""
        return Labels.from_frame(self.events[["time", "stop", "kind"]].assign(symbol=self.book.symbol))

    def _facts(self) -> Iterator[str]:
        yield from self.book._facts()
        yield counted(len(self.events), "planted event")

    def _preview(self) -> pd.DataFrame:
        return self.events

    def to_frame(self) -> pd.DataFrame:
        """``events``: one row for each planted event."""
        return self.events.copy()


class BookEvents(TypedDict, total=False):
    """The keywords of ``simulate_book`` that plant events."""

    n_flash_crashes: int | None
    n_withdrawals: int | None
    n_spoofs: int | None
    n_flickers: int | None
    n_icebergs: int | None
    n_sweeps: int | None


@door(n_rows=count_of(2, 10_000_000))
def simulate_book(
    seed: int = 7,
    n_rows: int = DEFAULT_ROWS,
    interval: Duration = "5s",
    start: Instant = "2024-01-01",
    *,
    annual_volatility: float = 0.8,
    **n_events: Unpack[BookEvents],
) -> SimulatedBook:
    """A 15-level book with events of known time, side, level and size.

    The fair price is that of ``simulate_market``: GJR-GARCH with Student-t shocks and a daily season. The spread widens with
    volatility; depth shrinks with it, is steepest at the touch and drifts, more together than by side; placing, cancelling and
    trading grow with an activity that follows volatility, moves and the hour. Sizes are log-normal, and one tick in five is
    empty.

    At every price that stays in the book ``q[t] = q[t-1] + limit - cancel - market``; ``book_flows`` states how prices that leave
    are booked.

    *Flash crash*: depth thins to a tenth, the price falls 2 to 5 % in a third of the event, sells trade through the bids, then it
    retraces 60 %. *Withdrawal*: 70 to 90 % of the depth is gone and the spread is three times as wide; the price does nothing.
    *Spoof*: 6 to 20 times the usual depth rests on one to three levels of one side from the fourth or a later one on, moves along
    with the touch and is cancelled, never traded. *Flicker*: 3 to 10 times the usual depth comes and goes on two to four levels: it
    is there in half of the snapshots, and several times a snapshot it is placed and cancelled. *Iceberg*: a touch that trades at
    many times the usual rate and is always refilled. *Sweep*: one market order drives the touch through 8 to 20 ticks, which come
    back over the next rows.

    Parameters
    ----------
    seed : int
        Seed of all random numbers.
    n_rows : int
        Number of snapshots, at least 2.
    interval : str
        Time between snapshots, at most one minute.
    start : str or datetime64
        Time of the first snapshot, UTC.
    n_flash_crashes, n_withdrawals, n_spoofs, n_flickers, n_icebergs, n_sweeps : int, optional
        Number of events of each kind; by default 4, 8, 16, 16, 12 and 16 for 20,000 rows, and in proportion for other lengths.
    annual_volatility : float
        Annual volatility of the fair price as a fraction, from 0.05 to 3.

    Raises
    ------
    ConfigError
        If a parameter is out of range, or the rows have no room for the events.
    TypeError
        If a keyword is unknown.

    Examples
    --------
    >>> import foreshock as fs
    >>> import numpy as np
    >>> simulated = fs.simulate_book(seed=7, n_rows=3_000)
    >>> simulated.events.groupby("kind").size().to_dict()
    {'flash_crash': 1, 'flicker': 2, 'iceberg': 2, 'spoof': 2, 'sweep': 2, 'withdrawal': 1}
    >>> spoof = simulated.events.query("kind == 'spoof'").iloc[0]
    >>> added = simulated.book.notional - simulated.clean.notional
    >>> bool(np.isclose(added[spoof["row"], ["bids", "asks"].index(spoof["side"]), spoof["first_level"]], spoof["size"]))
    True
    """
    check_number("annual_volatility", annual_volatility)
    check_options(simulate_book, n_events, BookEvents)
    step = parse_duration(interval, "interval")
    if step > LONGEST_INTERVAL:
        raise ConfigError(f"interval must be at most {format_duration(LONGEST_INTERVAL)}, got {format_duration(step)}; shorten it")
    if not 0.05 <= annual_volatility <= 3:
        raise ConfigError(
            f"annual_volatility must be a number from 0.05 to 3, got {shown(annual_volatility)}; pass one in that range"
        )
    # The keys are in the order of the kinds.
    asked = [n_events.get(key) for key in BookEvents.__annotations__]
    counts = {}
    for (kind, (usual, *_)), count in zip(KINDS.items(), asked, strict=True):
        counts[kind] = round(usual * n_rows / DEFAULT_ROWS) if count is None else count
        check_whole(f"the number of events of kind {kind}", counts[kind], 0)
    time = parse_instant(start, "start") + step * np.arange(n_rows)
    events = _draw_events(seed, counts, n_rows)
    path = _drive(seed, time, step, events, annual_volatility)
    keys, *fields, trade_at, trade_value = book_along(stream(seed, "book", 0, "orders"), path)
    clean = _book(time, step, keys, *fields)
    extra, churn = _overlay(seed, events, clean)
    trades = _trades(time, step, trade_at, trade_value)
    cancel, limit = overlay_flows_nb(keys, extra)
    book = replace(
        clean,
        notional=clean.notional + extra,
        cancel_notional=clean.cancel_notional + cancel + churn,
        limit_notional=clean.limit_notional + limit + churn,
    )
    table = pd.DataFrame(events, columns=["kind", "side", "row", "stop_row", "first_level", "stop_level", "size"])
    table.insert(0, "event", np.arange(len(table)))
    table.insert(3, "time", time[table["row"].to_numpy(dtype=np.int64)])
    table.insert(5, "stop", time[0] + step * table["stop_row"].to_numpy(dtype=np.int64))
    return SimulatedBook(book, clean, table, trades)


def _draw_events(seed: int, counts: dict[str, int], n_rows: int) -> list[dict]:
    """Kind, position and size of each event, ascending by row, no two within the clearance of each other."""
    rng = stream(seed, "book", 0, "events")
    taken = np.zeros(n_rows, dtype=np.int64)
    taken[:CLEARANCE] = taken[max(n_rows - CLEARANCE, 0) :] = 1
    events = []
    for kind, count in counts.items():
        shortest, longest = KINDS[kind][1:]
        for _ in range(count):
            length = int(rng.integers(shortest, longest + 1))
            before = np.concatenate([[0], np.cumsum(taken)])
            free = np.flatnonzero(before[length:] == before[: n_rows + 1 - length]) if length <= n_rows else ()
            if not len(free):
                raise ConfigError(
                    f"n_rows must leave {CLEARANCE} rows between events, got {n_rows} rows, which hold {len(events)} of the "
                    f"{sum(counts.values())} events asked for; ask for fewer events or for more rows"
                )
            row = int(rng.choice(free))
            taken[max(row - CLEARANCE, 0) : row + length + CLEARANCE] = 1
            events.append({"kind": kind, "row": row, "stop_row": row + length} | _form(kind, rng))
    return sorted(events, key=lambda event: event["row"])


def _form(kind: str, rng: np.random.Generator) -> dict:
    side = SIDES[int(rng.integers(2))]
    if kind == "flash_crash":
        return {"side": "both", "first_level": 0, "stop_level": N_LEVELS, "size": -rng.uniform(0.02, 0.05)}
    if kind == "withdrawal":
        return {"side": "both", "first_level": 0, "stop_level": N_LEVELS, "size": rng.uniform(0.7, 0.9)}
    if kind == "spoof":
        first = int(rng.integers(3, 10))
        stop, size = first + int(rng.integers(1, 4)), rng.uniform(6, 20) * LEVEL_VALUE
        return {"side": side, "first_level": first, "stop_level": stop, "size": size}
    if kind == "flicker":
        first = int(rng.integers(0, N_LEVELS - 4))
        stop, size = first + int(rng.integers(2, 5)), rng.uniform(3, 10) * LEVEL_VALUE
        return {"side": side, "first_level": first, "stop_level": stop, "size": size}
    if kind == "iceberg":
        return {"side": side, "first_level": 0, "stop_level": 1, "size": rng.uniform(3, 8) * LEVEL_VALUE}
    ticks = int(rng.integers(8, 21))
    return {"side": side, "first_level": 0, "stop_level": N_LEVELS, "size": float(ticks)}


def _drive(seed: int, time: np.ndarray, step: np.timedelta64, events: list[dict], annual_volatility: float) -> BookPath:
    """The path of fair price, spread, depth and activity, with the events that act on them."""
    n_rows = len(time)
    base = null_path(
        seed, 1, time, step, annual_volatility=annual_volatility, correlation=0.0, persistence=0.98, degrees_of_freedom=6.0
    )
    usual = annual_volatility * LISTED[0][2] * np.sqrt(step / np.timedelta64(365, "D"))
    stressed = base.volatility[:, 0] / usual
    first_price, quote_volume = LISTED[0][1], LISTED[0][3]
    usual_volume = quote_volume * (step.astype(np.int64) / HOUR_US) / first_price
    activity = np.minimum(np.exp(base.log_volume[:, 0]) / usual_volume, 10.0)
    drift = np.column_stack([ar1_nb(stream(seed, "book", i, "depth").standard_normal((n_rows, 1)), 0.97)[:, 0] for i in range(3)])
    depth = LEVEL_VALUE * np.exp(0.3 * drift[:, :1] + 0.15 * drift[:, 1:]) / np.sqrt(stressed)[:, None]
    asked = np.exp(1.2 * stream(seed, "book", 0, "asked").standard_normal((n_rows, 2)) - 0.72)
    there = stream(seed, "book", 0, "takers").random((n_rows, 2)) < 0.6
    market = np.where(there, 0.4 * LEVEL_VALUE * asked * activity[:, None], 0.0)
    half_spread = 0.6 * np.sqrt(stressed) * np.exp(0.3 * stream(seed, "book", 0, "spread").standard_normal(n_rows))
    share = stream(seed, "book", 0, "share").uniform(0.2, 0.6, n_rows)
    rng = stream(seed, "book", 0, "iceberg")
    iceberg = np.zeros((n_rows, 2))
    log_fair = np.log(FIRST_PRICE) + np.cumsum(base.returns[:, 0])
    for event in events:
        rows, size = slice(event["row"], event["stop_row"]), event["size"]
        length = event["stop_row"] - event["row"]
        side = SIDES.index(event["side"]) if event["side"] in SIDES else -1
        if event["kind"] == "flash_crash":
            fall = length // 3
            log_fair[rows.start : rows.start + fall] += size * np.arange(1, fall + 1) / fall
            log_fair[rows.start + fall : rows.stop] += size * (1 - 0.6 * np.arange(1, length - fall + 1) / (length - fall))
            log_fair[rows.stop :] += 0.4 * size
            depth[rows] *= 0.1
            half_spread[rows] *= 3.0
            share[rows.start : rows.start + fall] = 0.9
        elif event["kind"] == "withdrawal":
            depth[rows] *= 1 - size
            half_spread[rows] *= 3.0
        elif event["kind"] == "iceberg":
            iceberg[rows, side] = size * np.exp(0.5 * rng.standard_normal(length) - 0.125)
        elif event["kind"] == "sweep":
            back = np.arange(min(6, n_rows - rows.start))
            log_fair[rows.start : rows.start + len(back)] += (1 if side else -1) * size * TICK / FIRST_PRICE * (1 - back / 6)
            share[rows] = 1.0
    return BookPath(np.exp(log_fair) / TICK, half_spread, depth, activity, market, share, iceberg)


def _book(
    time: np.ndarray,
    step: np.timedelta64,
    keys: np.ndarray,
    value: np.ndarray,
    cancel: np.ndarray,
    limit: np.ndarray,
    traded: np.ndarray,
) -> Book:
    flows = [flow.copy() for flow in (cancel, limit, traded)]
    for flow in flows:
        flow[0] = np.nan
    shown = np.where(value > 0, keys, np.nan)
    # The keys of bids are their negated ticks.
    ticks = shown * np.array([-1.0, 1.0])[:, None]
    twice = ticks[:, 0, 0] + ticks[:, 1, 0]
    return Book(
        time=time,
        midpoint=twice * TICK / 2,
        spread=(ticks[:, 1, 0] - ticks[:, 0, 0]) * TICK,
        buys=flows[2][:, 1].sum(axis=1),
        sells=flows[2][:, 0].sum(axis=1),
        distance=(2 * ticks - twice[:, None, None]) / twice[:, None, None],
        notional=np.where(value > 0, value, np.nan),
        cancel_notional=flows[0],
        limit_notional=flows[1],
        market_notional=flows[2],
        interval=step,
        symbol="SIM/USDT",
    )


def _overlay(seed: int, events: list[dict], clean: Book) -> tuple[np.ndarray, np.ndarray]:
    """The value that spoofs and flickers add to each level of each snapshot, and the value they place and cancel in between."""
    extra, churn = np.zeros(clean.notional.shape), np.zeros(clean.notional.shape)
    rng = stream(seed, "book", 0, "overlay")
    for event in events:
        if event["kind"] not in ("spoof", "flicker"):
            continue
        rows, levels = slice(event["row"], event["stop_row"]), slice(event["first_level"], event["stop_level"])
        shape = (event["stop_row"] - event["row"], event["stop_level"] - event["first_level"])
        there = np.ones(shape)
        if event["kind"] == "flicker":
            there = (rng.random(shape) < 0.5).astype(float)
            churn[rows, SIDES.index(event["side"]), levels] = event["size"] * rng.poisson(4, shape)
        extra[rows, SIDES.index(event["side"]), levels] = event["size"] * there
    return extra, churn


def _trades(time: np.ndarray, step: np.timedelta64, at: np.ndarray, value: np.ndarray) -> Trades:
    """The trades that led to each row, both sides in turn, evenly spaced before its snapshot."""
    order = np.argsort(at[:, 0], kind="stable")
    row, side, tick = at[order].T
    first = np.searchsorted(row, row)
    n_in_row = np.searchsorted(row, row, side="right") - first
    share = (np.arange(len(row)) - first + 1) / (n_in_row + 1)
    price = tick * TICK
    paid = value[order]
    elapsed = np.round(share * step.astype(np.int64)).astype(np.int64)
    return Trades(time[row] - step + elapsed, price, paid / price, paid, side == 1, np.arange(len(row)))
