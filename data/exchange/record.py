"""Recording of order books into the store, snapshot by snapshot: past order books cannot be fetched."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from foreshock.data.store.series import SeriesKey
from foreshock.data.store.snapshots import snapshot_row
from foreshock.data.store.store import Store
from foreshock.data.system.threads import for_each_in_threads

if TYPE_CHECKING:
    from foreshock.data.exchange.exchange import Exchange

OnBeat = Callable[[SeriesKey, int], None]


def record_books(
    exchange: Exchange, store: Store, keys: Sequence[SeriesKey], n: int, on_beat: OnBeat = lambda _key, _taken: None
) -> None:
    """Take a snapshot of every book at each of the next ``n`` multiples of its interval.

    A snapshot has the exchange's time or, if there is none, the time at which it arrived. A late answer skips the multiples that
    have passed; they are gaps. A snapshot that is not later than the one before is a gap too.

    Parameters
    ----------
    exchange : Exchange
        Exchange to record.
    store : Store
        Store to write to.
    keys : sequence of SeriesKey
        Series of kind ``"book"``.
    n : int
        Number of snapshots of each book.
    on_beat : callable
        Called with the series and the number of snapshots taken: 1, or 0 for each multiple that was skipped.

    Raises
    ------
    ForeshockError
        The first error of any series; what was recorded by then is kept.
    """

    def work(key: SeriesKey) -> None:
        _record(exchange, store, key, n, on_beat)

    for_each_in_threads(keys, work, len(keys), exchange.connection.pace.stopped)


def _record(exchange: Exchange, store: Store, key: SeriesKey, n: int, on_beat: OnBeat) -> None:
    step, connection = key.step_ms, exchange.connection
    connection.market(key.symbol)

    def now() -> int:
        return int(connection.clock() * 1000)

    last, beat = None, -(-now() // step) * step
    stop = beat + n * step
    with store.writer(key) as writer:
        while beat < stop:
            connection.pace.rest(max(beat - now(), 0) / 1000)
            row = snapshot_row(exchange.order_book(key.symbol))
            time = row["time"][0].as_py()
            new = last is None or time > last
            if new:
                follows = last is not None and 2 * (time - last) <= 3 * step
                writer.write(row, last + 1 if last is not None and follows else time, time + 1)
                last = time
            on_beat(key, int(new))
            # At least half an interval apart, so that no two snapshots fall into one interval.
            following = max(-(-(now() + step // 2) // step) * step, beat + step)
            for _ in range(beat + step, min(following, stop), step):
                on_beat(key, 0)
            beat = following
