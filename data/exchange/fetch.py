"""From an exchange, and its archive, into the store: what is missing, several series at once, each page kept as it comes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from foreshock.data.errors import ExchangeError
from foreshock.data.exchange.patience import Stopped
from foreshock.data.store.series import Range, SeriesKey
from foreshock.data.store.store import Store
from foreshock.data.system.threads import for_each_in_threads

if TYPE_CHECKING:
    from foreshock.data.exchange.archive import Archive
    from foreshock.data.exchange.exchange import Exchange, Page

OnPage = Callable[[SeriesKey, int, int, bool], None]
WORKERS = 4
# The archive has whole days; a part of one takes the exchange fewer requests than it has bytes.
LONG_MS = 86_400_000


def missing_ranges(store: Store, keys: Sequence[SeriesKey], start: int, stop: int) -> dict[SeriesKey, list[Range]]:
    """What has to be fetched, for the series that lack anything."""
    found = {key: store.missing(key, start, stop) for key in keys}
    return {key: ranges for key, ranges in found.items() if ranges}


def fetch_missing(
    exchange: Exchange,
    store: Store,
    missing: dict[SeriesKey, list[Range]],
    on_page: OnPage = lambda _key, _rows, _ms, _archived: None,
    workers: int = WORKERS,
    archive: Archive | None = None,
) -> None:
    """Fetch ranges of several series into the store.

    Parameters
    ----------
    exchange : Exchange
    store : Store
    missing : dict of SeriesKey to list of (int, int)
        Half-open, epoch ms.
    on_page : callable
        Told the series, the rows and the milliseconds of each page that was fetched, and whether it came from the archive.
    workers : int
        Series fetched at once. The pace of requests is that of the exchange, whatever their number.
    archive : Archive, optional
        Asked first for ranges of a day and more; what it lacks, the exchange is asked for.

    Raises
    ------
    ForeshockError
        The first that any series meets; what the others have got by then is kept.
    """

    def work(key: SeriesKey) -> None:
        _fetch_series(exchange, store, key, missing[key], on_page, archive)

    for_each_in_threads(missing, work, max(1, min(workers, len(missing))), exchange.connection.pace.stopped)


def _fetch_series(
    exchange: Exchange, store: Store, key: SeriesKey, ranges: list[Range], on_page: OnPage, archive: Archive | None
) -> None:
    if archive is not None and any(stop - start >= LONG_MS for start, stop in ranges):
        try:
            # Of a market that there is not, the archive would be asked for years of files in vain.
            exchange.connection.market(key.symbol)
        except Stopped:
            raise
        except ExchangeError:
            # The archive may serve a place that the exchange does not; what it lacks fails below.
            pass
        for start, stop in ranges:
            if stop - start >= LONG_MS:
                archive.fill(store, key, start, stop, lambda rows, ms: on_page(key, rows, ms, True))
        ranges = [lacking for start, stop in ranges for lacking in store.missing(key, start, stop)]
    with store.writer(key) as writer:
        for start, stop in ranges:
            for page in pages(exchange, key, start, stop):
                writer.write(page.table, page.start, page.stop)
                on_page(key, len(page.table), page.stop - page.start, False)


def pages(exchange: Exchange, key: SeriesKey, start: int, stop: int) -> Iterator[Page]:
    """The pages of a series, whatever its kind."""
    if key.kind == "ohlcv":
        return exchange.ohlcv(key.symbol, key.timeframe, start, stop)
    return (exchange.trades if key.kind == "trades" else exchange.funding)(key.symbol, start, stop)
