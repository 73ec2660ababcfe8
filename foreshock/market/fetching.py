"""One fetch: the exchange, the range and the store that its series share, and what each series brought."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from foreshock.data.errors import ConfigError, DataError
from foreshock.data.exchange.archive import Archive
from foreshock.data.exchange.fetch import fetch_missing, missing_ranges
from foreshock.data.interval import Instant, parse_instant
from foreshock.data.show.shown import few, shown
from foreshock.data.store.journal import DROPPED, REVISED, SET_ASIDE
from foreshock.data.store.series import Range, SeriesKey, market_of, union, without
from foreshock.data.store.store import Store
from foreshock.data.system.disk import check_writable
from foreshock.data.tables import EARLIEST_EPOCH, LATEST_EPOCH
from foreshock.progress import fetch_bar

if TYPE_CHECKING:
    from foreshock.data.exchange.exchange import Exchange

BASE_URL = "FORESHOCK_BASE_URL"


@dataclass(frozen=True)
class Fetched:
    """What a fetch brought of one series.

    Parameters
    ----------
    key : SeriesKey
    n_fetched : int
        Rows that came from the exchange or its archive.
    n_archived : int
        Those of them that came from the archive.
    n_rows : int
        Rows that the store now has of the range.
    n_empty : int
        Bars of the range that the exchange does not have.
    uncovered : list of (int, int)
        What is still missing, epoch ms: not closed yet, before the exchange has any, or set aside.
    n_set_aside : int
        Rows of the range that cannot be, as the exchange or the archive gives them; ``Store.notes`` has them.
    n_dropped : int
        Trades of the range with a price or an amount of 0, which are left out.
    n_revised : int
        Stored rows of the range that got other values when they were fetched again.
    """

    key: SeriesKey
    n_fetched: int
    n_archived: int
    n_rows: int
    n_empty: int
    uncovered: list[tuple[int, int]]
    n_set_aside: int = 0
    n_dropped: int = 0
    n_revised: int = 0

    def told(self) -> str:
        """What a user must know of single rows; empty if there is nothing."""
        parts = [f"{self.n_set_aside:,} set aside that cannot be"] if self.n_set_aside else []
        parts += [f"{self.n_dropped:,} of price or amount 0 left out"] if self.n_dropped else []
        parts += [f"{self.n_revised:,} revised since they were first fetched"] if self.n_revised else []
        return ", ".join(parts)


@dataclass(frozen=True)
class Fetching:
    """What the fetches of one call share: the exchange, the range, the store, and the way to them.

    Parameters
    ----------
    exchange : str
        ccxt's name.
    first, stop : int
        The range, epoch ms; it includes ``first`` and excludes ``stop``.
    asked : str
        The range in the user's words, for messages.
    store : Store
    base_url : str, optional
        Another host for every request.
    progress : bool
        Show a progress bar on standard error.
    archive : str or Path, optional
        Where long ranges are looked for first.
    """

    exchange: str
    first: int
    stop: int
    asked: str
    store: Store
    # Either may hold a password.
    base_url: str | None = field(repr=False)
    progress: bool
    archive: str | Path | None = field(repr=False)

    def fetch(self, names: Sequence[str], kind: str, timeframe: str = "") -> list[Fetched]:
        """Put one series for each symbol into the store, in the order of ``names``; the timeframe is used for bars only."""
        place, first, stop = self.store, self.first, self.stop
        wanted = timeframe if kind == "ohlcv" else ""
        if kind == "ohlcv":
            # The bar that is open now is none yet.
            step = SeriesKey(self.exchange, "spot", names[0], kind, wanted).step_ms
            stop = min(stop, int(time.time() * 1000) // step * step)
        keys = [series_key(self.exchange, name, kind, wanted) for name in names]
        bulk = Archive(self.archive) if self.archive is not None else None
        if bulk is not None:
            for key in keys:
                bulk.check(key)
        missing = missing_ranges(place, keys, first, stop)
        # What cannot be was asked for twice; ``store refetch`` asks again.
        apart = {key: _set_aside(place, key) for key in missing}
        missing = {key: [part for one in ranges for part in without(one, apart[key])] for key, ranges in missing.items()}
        missing = {key: ranges for key, ranges in missing.items() if ranges}
        fetched, archived = dict.fromkeys(keys, 0), dict.fromkeys(keys, 0)
        if missing:
            source = _source(place, self.exchange, self.base_url)
            if kind == "ohlcv":
                source.step(timeframe)
            if bulk is not None:
                bulk.stopped = source.connection.pace.stopped
            total = sum(b - a for ranges in missing.values() for a, b in ranges)
            with fetch_bar(total, self.progress) as shown:

                def on_page(key: SeriesKey, rows: int, ms: int, from_archive: bool) -> None:
                    fetched[key] += rows
                    archived[key] += rows if from_archive else 0
                    shown(key.symbol, rows, ms)

                fetch_missing(source, place, missing, on_page, archive=bulk)
        return [_found(place, key, (fetched[key], archived[key]), first, stop) for key in keys]

    def trades(self, symbol: str) -> SeriesKey:
        """Fetch the trades of one market; at least one must lie in the range."""
        if not isinstance(symbol, str):
            raise ConfigError(f"symbol must be one word, such as 'BTC/USDT', got {shown(symbol)}")
        (found,) = self.fetch([symbol], "trades")
        if not found.n_rows:
            apart = f" ({found.told()})" if found.told() else ""
            raise DataError(f"{self.exchange} has no trade of {symbol} {self.asked}{apart}; widen the range")
        self.tell([found], 4)
        return found.key

    def tell(self, found: Sequence[Fetched], level: int = 3) -> None:
        """Warn of rows that were set aside, since a series without them looks like one with a gap."""
        for one in found:
            if one.n_set_aside:
                warnings.warn(f"{one.key}: {one.told()}; foreshock store notes shows them", stacklevel=level)


def refetch(
    store: Store,
    key: SeriesKey,
    start: int | None = None,
    stop: int | None = None,
    base_url: str | None = None,
    progress: bool = False,
) -> Fetched:
    """Ask the exchange again for what the store has of a series, and for rows set aside; its answers replace what is stored.

    What no answer covers, or what comes after an error, stays as it is.

    Raises
    ------
    DataError
        If the store has nothing of that range.
    ConfigError
        If the series is one of order books, whose past cannot be fetched.
    """
    if key.kind == "book":
        raise ConfigError(f"the past of an order book cannot be fetched, got {key}; take store drop to remove it")
    first, last = 0 if start is None else start, 1 << 42 if stop is None else stop
    known = union([*store.ranges(key), *_set_aside(store, key)])
    ranges = [(max(a, first), min(b, last)) for a, b in known if a < last and b > first]
    if not ranges:
        raise DataError(f"the store has nothing of {key} in that range; foreshock store ls shows what is there")
    source = _source(store, key.exchange, base_url)
    n_fetched = 0
    with fetch_bar(sum(b - a for a, b in ranges), progress) as shown:

        def on_page(key: SeriesKey, rows: int, ms: int, _: bool) -> None:
            nonlocal n_fetched
            n_fetched += rows
            shown(key.symbol, rows, ms)

        fetch_missing(source, store, {key: ranges}, on_page, replace=True)
    return _found(store, key, (n_fetched, 0), ranges[0][0], ranges[-1][1])


def _source(store: Store, exchange: str, base_url: str | None) -> Exchange:
    check_writable(store.folder)
    # When nothing is missing, neither a network nor ccxt is needed, and ccxt takes a second to import.
    from foreshock.data.exchange.exchange import Exchange

    return Exchange(exchange, host(base_url))


def _set_aside(store: Store, key: SeriesKey) -> list[Range]:
    """The ranges of rows that cannot be."""
    width = key.step_ms if key.kind == "ohlcv" else 1
    times = [note.time // width * width for note in store.notes(key) if note.what == SET_ASIDE]
    return union((time, time + width) for time in times)


def fetching_of(
    exchange: str,
    start: Instant | None,
    end: Instant | None,
    store: Store | str | Path | None,
    base_url: str | None,
    progress: bool,
    archive: str | Path | None,
) -> Fetching:
    first, stop = _range(start, end)
    asked = f"from {start} to {end or 'now'}"
    return Fetching(exchange, first, stop, asked, store_at(store), base_url, progress, archive)


def symbol_names(symbols: str | Sequence[str]) -> tuple[str, ...]:
    alone = isinstance(symbols, str) or not isinstance(symbols, Iterable) or getattr(symbols, "ndim", 1) == 0
    names: tuple[str, ...] = (symbols,) if alone else tuple(symbols)  # pyright: ignore[reportAssignmentType] - refused below
    wrong = [name for name in names if not isinstance(name, str)]
    if wrong:
        raise ConfigError(f"symbols must be words, such as 'BTC/USDT', got {shown(wrong[0])}")
    if not names or len(set(names)) != len(names):
        raise ConfigError(f"symbols must be at least one and differ, got {few(names) or 'none'}")
    return names


def store_at(store: Store | str | Path | None) -> Store:
    if store is not None and not isinstance(store, Store | str | os.PathLike):
        raise ConfigError(f"store must be a folder, got {shown(store)}; leave it out for the user's own")
    return store if isinstance(store, Store) else Store(store) if store is not None else Store.default()


def series_key(exchange: str, symbol: str, kind: str, timeframe: str = "") -> SeriesKey:
    return SeriesKey(exchange, market_of(symbol) if isinstance(symbol, str) else "spot", symbol, kind, timeframe)


def host(base_url: str | None) -> str | None:
    if base_url is not None and not isinstance(base_url, str):
        raise ConfigError(f"base_url must be an address that begins with http, got {shown(base_url)}")
    return base_url or os.environ.get(BASE_URL) or None


def _range(start: Instant | None, end: Instant | None) -> tuple[int, int]:
    """Epoch ms; the start is needed, the end is now by default."""
    if start is None:
        raise ConfigError("start must be given, such as '2024-01-01', got none")
    first = int(parse_instant(start, "start").astype("datetime64[ms]").astype(np.int64))
    now = int(time.time() * 1000)
    stop = now if end is None else int(parse_instant(end, "end").astype("datetime64[ms]").astype(np.int64))
    if first >= stop:
        raise ConfigError(f"start must be before end, got {start} and {'now' if end is None else end}")
    if not EARLIEST_EPOCH * 1000 <= first < LATEST_EPOCH * 1000:
        raise ConfigError(f"start must lie in the years 2000 to 2099, got {start}; take a later one")
    if first >= now:
        raise ConfigError(f"start must be in the past, got {start}")
    return first, min(stop, now)


def _found(store: Store, key: SeriesKey, n_fetched: tuple[int, int], start: int, stop: int) -> Fetched:
    n_rows = sum(map(len, store.parts(key, start, stop)))
    uncovered = store.missing(key, start, stop)
    n_empty = 0
    if key.kind == "ohlcv":
        step = key.step_ms
        n_slots = -(-stop // step) - -(-start // step)
        n_empty = n_slots - n_rows - sum(-(-b // step) - -(-a // step) for a, b in uncovered)
    counts: dict[str, int] = dict.fromkeys((SET_ASIDE, DROPPED, REVISED), 0)
    for note in store.notes(key):
        # A row that is known by now, after it was fetched again, is set aside no more.
        apart = note.what != SET_ASIDE or any(a <= note.time < b for a, b in uncovered)
        counts[note.what] += apart and start <= note.time < stop
    return Fetched(key, *n_fetched, n_rows, n_empty, uncovered, *counts.values())
