"""Fetch missing history from an exchange and its archive into the store: several series at once, each page kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from foreshock.data.errors import ExchangeError
from foreshock.data.exchange.agreement import Fault
from foreshock.data.exchange.patience import Stopped
from foreshock.data.store.journal import notes_of
from foreshock.data.store.series import Range, SeriesKey, union
from foreshock.data.store.store import Store
from foreshock.data.system.threads import for_each_in_threads

if TYPE_CHECKING:
    from foreshock.data.exchange.archive import Archive
    from foreshock.data.exchange.exchange import Exchange, Page

OnPage = Callable[[SeriesKey, int, int, bool], None]
WORKERS = 4
# The archive has files of complete days; a part of a day is cheaper to fetch from the exchange.
LONG_MS = 86_400_000


def missing_ranges(store: Store, keys: Sequence[SeriesKey], start: int, stop: int) -> dict[SeriesKey, list[Range]]:
    """The ranges to fetch, for each series that lacks any or has provisional ones."""
    found = {key: union([*store.missing(key, start, stop), *store.provisional(key, start, stop)]) for key in keys}
    return {key: ranges for key, ranges in found.items() if ranges}


def fetch_missing(
    exchange: Exchange,
    store: Store,
    missing: dict[SeriesKey, list[Range]],
    on_page: OnPage = lambda _key, _rows, _ms, _archived: None,
    workers: int = WORKERS,
    archive: Archive | None = None,
    replace: bool = False,
) -> None:
    """Fetch ranges of several series into the store.

    Parameters
    ----------
    exchange : Exchange
        Exchange to fetch from.
    store : Store
        Store to write to.
    missing : dict of SeriesKey to list of (int, int)
        Half-open ranges to fetch, epoch ms.
    on_page : callable
        Called with the series, the number of rows and of milliseconds of each page, and whether it came from the archive.
    workers : int
        Series fetched at once. All of them share the exchange's rate limit.
    archive : Archive, optional
        Tried first for ranges of a day and longer; the exchange is asked for what it lacks.
    replace : bool
        Remove what the store has where an answer covers it, instead of adding to it.

    Raises
    ------
    ForeshockError
        The first error of any series; what the others have fetched by then is kept.
    """

    def work(key: SeriesKey) -> None:
        _fetch_series(exchange, store, key, missing[key], on_page, archive, replace)

    for_each_in_threads(missing, work, max(1, min(workers, len(missing))), exchange.connection.pace.stopped)


def _fetch_series(
    exchange: Exchange,
    store: Store,
    key: SeriesKey,
    ranges: list[Range],
    on_page: OnPage,
    archive: Archive | None,
    replace: bool,
) -> None:
    if archive is not None and any(stop - start >= LONG_MS for start, stop in ranges):
        try:
            # If the market does not exist, years of archive files would be requested for nothing.
            exchange.connection.market(key.symbol)
        except Stopped:
            raise
        except ExchangeError:
            # The archive may serve a location that the exchange does not; ranges that it lacks fail below.
            pass
        for start, stop in ranges:
            if stop - start >= LONG_MS:
                archive.fill(store, key, start, stop, lambda rows, ms: on_page(key, rows, ms, True))
        ranges = [lacking for start, stop in ranges for lacking in store.missing(key, start, stop)]
    faults: list[Fault] = []
    try:
        with store.writer(key, **({"replace": True} if replace else {})) as writer:
            for start, stop in ranges:
                for page in pages(exchange, key, start, stop):
                    faults += page.faults
                    if page.start < page.stop:
                        writer.write(page.table, page.start, page.stop, page.final, page.holes)
                    on_page(key, len(page.table), page.stop - page.start, False)
    finally:
        store.add_notes(key, notes_of(faults, exchange.connection.now()))


def pages(exchange: Exchange, key: SeriesKey, start: int, stop: int) -> Iterator[Page]:
    """The pages of a series of any kind."""
    if key.kind == "ohlcv":
        return exchange.ohlcv(key.symbol, key.timeframe, start, stop)
    return (exchange.trades if key.kind == "trades" else exchange.funding)(key.symbol, start, stop)
