"""Order books as they are now, again and again, into the store: their past cannot be fetched."""

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

    Snapshots bear the exchange's time, or, where it gives none, that at which they came. A late answer costs the multiples that it
    has passed: what is not taken then is a gap. So is a snapshot that is not later than the one before.

    Parameters
    ----------
    exchange : Exchange
    store : Store
    keys : sequence of SeriesKey
        Of books.
    n : int
    on_beat : callable
        Told the series, and the snapshots that were taken: 1, or 0 for each multiple that was passed.

    Raises
    ------
    ForeshockError
        The first that any series meets; what was taken by then is kept.
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
            # Half an interval apart at least, so that no two snapshots come into one interval.
            following = max(-(-(now() + step // 2) // step) * step, beat + step)
            for _ in range(beat + step, min(following, stop), step):
                on_beat(key, 0)
            beat = following
