"""Order books by symbol: record them into the store, and load them from there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from foreshock.data.books.orderbook import Book
from foreshock.data.doors.door import door
from foreshock.data.doors.kinds import ANYTHING
from foreshock.data.errors import ConfigError
from foreshock.data.exchange.record import record_books
from foreshock.data.interval import Duration, Instant, bars_in, format_duration, parse_duration, parse_instant
from foreshock.data.show.facts import Shown, counted
from foreshock.data.store.series import SeriesKey
from foreshock.data.store.snapshots import read_snapshots
from foreshock.data.store.store import Store
from foreshock.data.system.disk import check_writable
from foreshock.market.fetching import host, series_key, store_at, symbol_names
from foreshock.progress import fetch_bar

SHORTEST = np.timedelta64(1, "s")


@dataclass(frozen=True, repr=False)
class Recorded(Shown):
    """Result of recording one book.

    Parameters
    ----------
    key : SeriesKey
        The series in the store.
    n_taken : int
        Snapshots written.
    n_missed : int
        Intervals without a snapshot.

    Examples
    --------
    >>> import foreshock as fs
    >>> fs.Recorded(fs.SeriesKey("binance", "spot", "BTC/USDT", "book", "10s"), 358, 2)
    Recorded(binance spot BTC/USDT book 10s, 358 snapshots, 2 missed)
    """

    key: SeriesKey
    n_taken: int
    n_missed: int

    def _facts(self) -> Iterator[str]:
        yield str(self.key)
        yield counted(self.n_taken, "snapshot")
        yield f"{self.n_missed:,} missed"


@door(symbols=ANYTHING, exchange=ANYTHING, store=ANYTHING, base_url=ANYTHING)
def record_book(
    symbols: str | Sequence[str],
    exchange: str = "binance",
    every: Duration = "10s",
    duration: Duration | None = None,
    store: Store | str | Path | None = None,
    base_url: str | None = None,
    progress: bool = False,
) -> list[Recorded]:
    """Record snapshots of order books, 15 levels per side, into the store, starting now; see ``load_book``.

    Parameters
    ----------
    symbols : str or sequence of str
        Symbols as ccxt writes them, such as ``"BTC/USDT"``.
    exchange : str
        Exchange by ccxt's name.
    every : str
        Time between snapshots in whole seconds; they are taken at multiples of it, counted from the epoch.
    duration : str
        How long to record, a multiple of ``every``.
    store, base_url, progress
        See ``load_bars``.

    Returns
    -------
    list of Recorded
        One for each symbol.

    Raises
    ------
    ConfigError
        If the exchange or a symbol is unknown, or ``duration`` is missing or not a multiple of ``every``.
    ExchangeError
        If the exchange or the network fails to return a book; snapshots taken before are in the store.
    DataError
        If the store cannot be read or written.

    Examples
    --------
    >>> import foreshock as fs
    >>> fs.record_book("BTC/USDT", every="10s", duration="1h")  # doctest: +SKIP
    >>> fs.record_book("BTC/USDT", every="1500ms", duration="1h")
    Traceback (most recent call last):
    ...
    foreshock.data.errors.ConfigError: the time between snapshots must be whole seconds, got 1500ms; take 1s or more
    """
    names, interval = symbol_names(symbols), _interval(every)
    if duration is None:
        raise ConfigError("duration must be given, got None; pass how long to record, such as '1h'")
    n_beats = bars_in(duration, interval)
    keys = [series_key(exchange, name, "book", format_duration(interval)) for name in names]
    place = store_at(store)
    check_writable(place.folder)
    taken, missed = dict.fromkeys(keys, 0), dict.fromkeys(keys, 0)
    # Imported here, because ccxt takes a second to import and load_book does not need it.
    from foreshock.data.exchange.exchange import Exchange

    source = Exchange(exchange, host(base_url))
    with fetch_bar(n_beats * keys[0].step_ms * len(keys), progress) as shown:

        def on_beat(key: SeriesKey, n: int) -> None:
            taken[key] += n
            missed[key] += 1 - n
            shown(key.symbol, n, key.step_ms)

        record_books(source, place, keys, n_beats, on_beat)
    return [Recorded(key, taken[key], missed[key]) for key in keys]


@door(symbol=ANYTHING, exchange=ANYTHING, store=ANYTHING)
def load_book(
    symbol: str,
    exchange: str = "binance",
    every: Duration = "10s",
    start: Instant | None = None,
    end: Instant | None = None,
    store: Store | str | Path | None = None,
) -> Book:
    """The recorded snapshots of one book, with the flows between them.

    Market flow, buys and sells are known if the store has the market's trades of the same period; see ``book_flows``. If an
    interval has two snapshots, the first is used.

    Parameters
    ----------
    symbol : str
        Symbol as ccxt writes it.
    exchange : str
        Exchange by ccxt's name.
    every : str
        Time between snapshots, as it was recorded.
    start, end : str or datetime64, optional
        Range in UTC, without ``end``; by default everything recorded.
    store : Store or path, optional
        See ``load_bars``.

    Raises
    ------
    ConfigError
        If ``every`` is not whole seconds, or a name is invalid.
    DataError
        If there is no snapshot in the range, or the store cannot be read.

    Examples
    --------
    >>> import foreshock as fs
    >>> book = fs.load_book("BTC/USDT", start="2024-01-01", end="2024-01-02")  # doctest: +SKIP
    """
    key = series_key(exchange, symbol, "book", format_duration(_interval(every)))
    edges = (None if at is None else parse_instant(at, name) for at, name in ((start, "start"), (end, "end")))
    first, stop = (None if at is None else int(at.astype("datetime64[ms]").astype(np.int64)) for at in edges)
    return read_snapshots(store_at(store), key, first, stop)


def _interval(every: Duration) -> np.timedelta64:
    interval = parse_duration(every, "the time between snapshots")
    if interval % SHORTEST:
        raise ConfigError(f"the time between snapshots must be whole seconds, got {every}; take 1s or more")
    return interval
