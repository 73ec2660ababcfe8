"""Order books: snapshots of the best 15 levels a side, with what was placed, cancelled and traded between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from foreshock.data.bars import Bars
from foreshock.data.books.prices import PRICES, bars_of_prices, microprice
from foreshock.data.checks import (
    check_array,
    check_each,
    check_integer,
    check_path,
    check_rows,
    check_text,
    check_times,
    check_type,
)
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.interval import Duration, Instant, format_duration, parse_duration, parse_instant
from foreshock.data.reading.kinds import Kinds, lowered, refuse_doubled
from foreshock.data.reading.rows import naming, read_rows, stem_of
from foreshock.data.show.facts import Shown, grid_facts
from foreshock.data.show.shown import few, one_line, shown
from foreshock.data.tables import TIME_NAMES, numbers, parse_times

SIDES = ("bids", "asks")
N_LEVELS = 15
TOTALS = ("midpoint", "spread", "buys", "sells")
LEVELS = ("distance", "notional", "cancel_notional", "limit_notional", "market_notional")
BOOK_COLUMNS = (*TOTALS, *(f"{side}_{kind}_{level}" for side in SIDES for kind in LEVELS for level in range(N_LEVELS)))
BOOK_TIME_NAMES = ("system_time", *TIME_NAMES)
BOOKS = Kinds(BOOK_TIME_NAMES, BOOK_COLUMNS)
# A grid far larger than the book it came from means that the interval or a time is wrong.
MAX_GRID_ROWS, MAX_GRID_ROWS_PER_SNAPSHOT = 100_000, 100


@door
@dataclass(frozen=True, repr=False)
class Book(Shown):
    """Snapshots of one market's order book, each at its own time.

    Arrays of levels have the shape (n_rows, 2, 15): bids, then asks, level 0 is the best. NaN means not known: an
    absent level, a column that the source lacks, the flows of the first snapshot.

    Parameters
    ----------
    time : ndarray of datetime64[us], shape (n_rows,)
        When each snapshot was taken, UTC without a zone, strictly ascending.
    midpoint, spread : ndarray of float64, shape (n_rows,)
        Mean and difference of best ask and best bid, in quote currency.
    buys, sells : ndarray of float64, shape (n_rows,)
        Value that takers bought and sold since the snapshot before, in quote currency.
    distance : ndarray of float64, shape (n_rows, 2, 15)
        Signed relative distance of a level's price from the midpoint, ``price / midpoint - 1``: negative for bids, positive for
        asks, growing away from it.
    notional : ndarray of float64, shape (n_rows, 2, 15)
        Value resting at the level, in quote currency.
    cancel_notional, limit_notional, market_notional : ndarray of float64, shape (n_rows, 2, 15)
        Value cancelled from, placed at and traded against the level since the snapshot before.
    interval : timedelta64[us]
        Usual time between snapshots; see ``grid_rows``.
    symbol : str
        Name of the market.

    Raises
    ------
    DataError
        If shapes disagree, times do not ascend, a number is infinite or negative, a distance has the wrong sign or does not
        grow away from the midpoint.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> book = fs.simulate_book(seed=1, n_rows=300).book
    >>> book
    Book(SIM/USDT, 300 snapshots of 5s, 2024-01-01T00:00:00 to 2024-01-01T00:24:55)
    >>> book.distance.shape, book.price[0, :, 0].round(2), book.spread[0].round(2)
    ((300, 2, 15), array([100.01, 100.03]), np.float64(0.02))
    """

    time: np.ndarray
    midpoint: np.ndarray
    spread: np.ndarray
    buys: np.ndarray
    sells: np.ndarray
    distance: np.ndarray
    notional: np.ndarray
    cancel_notional: np.ndarray
    limit_notional: np.ndarray
    market_notional: np.ndarray
    interval: np.timedelta64
    symbol: str = "asset"

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        check_times("time", self.time)
        for name in (*TOTALS, *LEVELS):
            check_array(name, getattr(self, name))
        set_(self, "time", np.ascontiguousarray(self.time, dtype="datetime64[us]"))
        set_(self, "interval", parse_duration(self.interval, "interval"))
        n_rows = len(self.time)
        for names, shape in ((TOTALS, (n_rows,)), (LEVELS, (n_rows, len(SIDES), N_LEVELS))):
            for name in names:
                values = np.ascontiguousarray(getattr(self, name), dtype=np.float64)
                if values.shape != shape:
                    raise DataError(f"{name} of a book must have the shape {shape}, got {values.shape}")
                set_(self, name, values)
        if not n_rows:
            raise DataError("the book is empty; expected at least one snapshot")
        self._check_times()
        self._check_values()

    def _check_times(self) -> None:
        if np.isnat(self.time).any():
            row = int(np.argmax(np.isnat(self.time)))
            raise DataError(f"a snapshot must have a time, got none in row {row}; remove that row")
        wrong = np.flatnonzero(self.time[1:] <= self.time[:-1])
        if wrong.size:
            row = int(wrong[0])
            raise DataError(
                f"snapshots must be in ascending order of time, each time once, got {self.time[row]} followed by "
                f"{self.time[row + 1]} ({wrong.size} such rows); sort the source and keep one of each"
            )

    def _check_values(self) -> None:
        for name in TOTALS:
            self._refuse(np.isinf(getattr(self, name)), name, "finite")
        self._refuse(self.midpoint <= 0, "midpoint", "positive")
        for name in ("spread", "buys", "sells"):
            self._refuse(getattr(self, name) < 0, name, "zero or more")
        for name in LEVELS:
            self._refuse(np.isinf(getattr(self, name)), name, "finite")
        for name in LEVELS[1:]:
            self._refuse(getattr(self, name) < 0, name, "zero or more")
        bids, asks = self.distance[:, 0], self.distance[:, 1]
        signs = np.stack([(bids > 0) | (bids <= -1), asks < 0], axis=1)
        self._refuse(signs, "distance", "price / midpoint - 1, negative for bids and positive for asks")
        away = np.abs(self.distance)
        # Unknown levels are skipped: each level is compared with the farthest known level before it.
        before = np.fmax.accumulate(np.concatenate([np.zeros((*away.shape[:2], 1)), away[:, :, :-1]], axis=2), axis=2)
        self._refuse(away < before, "distance", "no nearer to the midpoint than that of the level before")

    def _refuse(self, wrong: np.ndarray, name: str, expected: str) -> None:
        if wrong.any():
            at = tuple(map(int, np.argwhere(wrong)[0]))
            named = name if len(at) == 1 else f"{SIDES[at[1]]}_{name}_{at[2]}"
            raise DataError(
                f"{named} must be {expected}, got {getattr(self, name)[at]} at {self.time[at[0]]} ({int(wrong.sum())} such "
                f"values); fix the source, or make the value unknown (NaN)"
            )

    def __len__(self) -> int:
        return len(self.time)

    @property
    def price(self) -> np.ndarray:
        """Prices of the levels, shape (n_rows, 2, 15), in quote currency."""
        return self.midpoint[:, None, None] * (1 + self.distance)

    @property
    def known_columns(self) -> tuple[str, ...]:
        """Names of the columns with at least one known value, in the order of ``BOOK_COLUMNS``."""
        return tuple(name for name in BOOK_COLUMNS if not np.isnan(self.column(name)).all())

    def column(self, name: str) -> np.ndarray:
        """One column of the flat table, such as ``bids_notional_0``, shape (n_rows,); a view."""
        check_type("name", name, str, "such as 'midpoint'")
        if name not in _PLACES:
            raise ConfigError(f"no such column of a book: {shown(name)}; expected {', '.join(TOTALS)}, or one like bids_notional_0")
        kind, *at = _PLACES[name]
        return getattr(self, kind)[:, at[0], at[1]] if at else getattr(self, kind)

    def rows(self, rows: slice | np.ndarray) -> Book:
        """Some of the snapshots, by a slice or a mask."""
        check_rows("rows", rows, len(self.time))
        return replace(self, time=self.time[rows], **{name: getattr(self, name)[rows] for name in (*TOTALS, *LEVELS)})

    def head(self, n: int) -> Book:
        """The first ``n`` snapshots, at least one."""
        check_integer("n", n)
        return self.rows(slice(0, n))

    def between(self, start: Instant | None = None, end: Instant | None = None) -> Book:
        """Snapshots taken at or after ``start`` and before ``end``."""
        first = 0 if start is None else int(np.searchsorted(self.time, parse_instant(start, "start")))
        stop = len(self) if end is None else int(np.searchsorted(self.time, parse_instant(end, "end")))
        if first >= stop:
            wanted = f"from {start or 'the first snapshot'} to before {end or 'the end'}"
            raise DataError(f"no snapshot {wanted}; the book runs from {self.time[0]} to {self.time[-1]}, widen the range")
        return self.rows(slice(first, stop))

    def grid_rows(self) -> tuple[np.ndarray, np.datetime64]:
        """Each snapshot's row on the regular grid, and the time of its first row.

        Snapshots come late and drift, so the row is the rounded number of intervals since the first one, and the grid's times are
        multiples of the interval. A snapshot is taken less than one interval before or after its row's time, so that it is known
        at the row's end. Rows without a snapshot are gaps.

        Raises
        ------
        DataError
            If two snapshots fall into one row, or the grid would be far larger than the book.
        """
        rows = grid_row(self.time, self.time[0], self.interval)
        doubled = np.flatnonzero(np.diff(rows) == 0)
        if doubled.size:
            at = int(doubled[0])
            raise DataError(
                f"two snapshots fall into one interval of {format_duration(self.interval)}: {self.time[at]} and "
                f"{self.time[at + 1]} ({doubled.size} such pairs); pass the right interval, or keep one of them"
            )
        if rows[-1] >= max(MAX_GRID_ROWS, MAX_GRID_ROWS_PER_SNAPSHOT * len(self)):
            raise DataError(
                f"a {format_duration(self.interval)} grid from {self.time[0]} to {self.time[-1]} would have {rows[-1] + 1} rows "
                f"for {len(self)} snapshots; check the times, or pass the right interval"
            )
        return rows, grid_start(self.time[0], self.interval)

    def to_bars(self, price: str = "midpoint") -> Bars:
        """Bars of the book's price, on its regular grid; a row without a snapshot is NaN.

        A bar opens at the price of the row before and closes at its own; in the first row, and after a row without a snapshot, it
        has its own price alone. Its volume is the value that was traded against the levels, over the price; NaN where that is not
        known.

        Parameters
        ----------
        price : str
            ``"midpoint"``, or ``"microprice"``: the best prices weighted by the value at the other side.

        Raises
        ------
        ConfigError
            If the price has another name.
        DataError
            If the book has no such price in any row, or two snapshots fall into one interval.

        Examples
        --------
        >>> import foreshock as fs
        >>> fs.simulate_book(seed=1, n_rows=60).book.to_bars()
        Bars(SIM/USDT, 60 bars of 5s, 2024-01-01T00:00:00 to 2024-01-01T00:04:55)
        """
        known = price_of(self, price)
        if np.isnan(known).all():
            raise DataError(
                f"the order book of {self.symbol} has no {price} in any row; pass bars of the market as prices, in a study file "
                f"with the key prices of [source]"
            )
        return bars_of_prices(self.symbol, self.interval, *self.grid_rows(), known, self.market_notional)

    def to_frame(self) -> pd.DataFrame:
        """Flat table: ``time`` and ``BOOK_COLUMNS``."""
        return pd.DataFrame({"time": self.time} | {name: self.column(name) for name in BOOK_COLUMNS})

    @classmethod
    def join(cls, books: Sequence[Book]) -> Book:
        """One book from several books of one market, passed in the order of time."""
        check_each("books", books, Book)
        if not books:
            raise DataError("there is no book to join; pass at least one")
        if len({(book.symbol, book.interval) for book in books}) > 1:
            raise DataError("books must be of one symbol and interval to be joined")
        joined = {name: np.concatenate([getattr(book, name) for book in books]) for name in ("time", *TOTALS, *LEVELS)}
        return replace(books[0], **joined)

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        interval: Duration | None = None,
        *,
        symbol: str = "asset",
        partial: bool = False,
        start: Instant | None = None,
    ) -> Book:
        """A book from a flat table; see ``read_book``."""
        check_type("frame", frame, pd.DataFrame, "pass a pandas table")
        frame = frame.set_axis([lowered(name) for name in frame.columns], axis=1)
        refuse_doubled(frame.columns)
        if not len(frame):
            raise DataError("the book is empty; expected at least one snapshot")
        missing = [name for name in BOOK_COLUMNS if name not in frame]
        if len(missing) == len(BOOK_COLUMNS):
            raise DataError(f"no column of an order book, such as midpoint or bids_notional_0; got {few(frame.columns, 8)}")
        if missing and not partial:
            raise DataError(f"missing column: {few(missing, 6)}; add them, or pass partial=True to leave their values unknown")
        time = _clock(frame, interval, start)
        known = {name: numbers(frame[name]) for name in BOOK_COLUMNS if name in frame}
        unknown = np.full(len(frame), np.nan)
        totals = {name: known.get(name, unknown) for name in TOTALS}
        levels = {
            kind: np.stack(
                [np.column_stack([known.get(f"{side}_{kind}_{level}", unknown) for level in range(N_LEVELS)]) for side in SIDES],
                axis=1,
            )
            for kind in LEVELS
        }
        return cls(time=time, interval=_usual_step(time, interval), symbol=symbol, **totals, **levels)

    def _facts(self) -> Iterator[str]:
        yield one_line(self.symbol, 40)
        yield from grid_facts(self.time, self.interval, "snapshot")


_PLACES: Mapping[str, tuple] = {
    **{name: (name,) for name in TOTALS},
    **{
        f"{side}_{kind}_{level}": (kind, at, level) for at, side in enumerate(SIDES) for kind in LEVELS for level in range(N_LEVELS)
    },
}


@door
def read_book(
    path: str | Path,
    interval: Duration | None = None,
    *,
    symbol: str | None = None,
    partial: bool = False,
    start: Instant | None = None,
) -> Book:
    """Order-book snapshots from a file.

    Parameters
    ----------
    path : str or Path
        CSV, Parquet or Feather: one row per snapshot, a time (``system_time ts time timestamp date``, as for ``read_bars``) and the
        154 columns ``midpoint spread buys sells`` and ``{bids,asks}_{distance,notional,cancel_notional,limit_notional,
        market_notional}_{0..14}``, whose units are those of ``Book``. Names in any case; further columns are ignored.
    interval : str, optional
        Usual time between snapshots; by default the median step to the nearest second (millisecond below one second).
    symbol : str, optional
        By default the name of the file.
    partial : bool
        Accept a file that lacks some of the columns; their values are unknown (NaN). By default such a file is refused.
    start : str or datetime, optional
        Time of the first row of a file without a time column. Its rows are assumed to be exactly ``interval`` apart; a gap in the
        source would not show.

    Raises
    ------
    ConfigError
        If ``start`` is passed without ``interval``, or for a file that has times.
    DataError
        If the file is missing, unreadable or malformed. Nothing is repaired.

    Examples
    --------
    >>> import foreshock as fs
    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/SIM.parquet"
    >>> fs.simulate_book(seed=1, n_rows=100).book.to_frame().to_parquet(path)
    >>> fs.read_book(path, interval="5s")
    Book(SIM, 100 snapshots of 5s, 2024-01-01T00:00:00 to 2024-01-01T00:08:15)
    """
    check_path("path", path)
    path = Path(path)
    frame = read_rows(path, BOOKS, "order-book snapshots")
    with naming(path):
        name = symbol if symbol is not None else stem_of(path)
        return Book.from_frame(frame, interval, symbol=name, partial=partial, start=start)


def price_of(book: Book, price: str) -> np.ndarray:
    """The midpoint or the microprice of each snapshot, NaN where a side is empty."""
    check_text("price", price)
    if price not in PRICES:
        raise ConfigError(f"price must be 'midpoint' or 'microprice', got {shown(price)}")
    return book.midpoint if price == "midpoint" else microprice(book.price[:, :, 0], book.notional[:, :, 0])


def grid_row(time: np.ndarray, first: np.datetime64, interval: np.timedelta64) -> np.ndarray:
    """Whole intervals from ``first`` to each time, rounded half up."""
    step = int(interval.astype(np.int64))
    return ((time - first).astype(np.int64) + step // 2) // step


def grid_start(first: np.datetime64, interval: np.timedelta64) -> np.datetime64:
    """The multiple of the interval nearest to the first snapshot."""
    step = int(interval.astype(np.int64))
    return np.datetime64((int(first.astype(np.int64)) + step // 2) // step * step, "us")


def _clock(frame: pd.DataFrame, interval: Duration | None, start: Instant | None) -> np.ndarray:
    name = next((name for name in BOOK_TIME_NAMES if name in frame), None)
    if start is None:
        if name is None:
            raise DataError(
                f"missing column: a time ({', '.join(BOOK_TIME_NAMES)}); add it, or, if the rows are evenly spaced, "
                f"pass start and interval (first_row and interval of [source] in a study file)"
            )
        return parse_times(frame[name])
    if name is not None:
        raise ConfigError(f"start is for a file without times, but this one has the column {name}; leave start out")
    if interval is None:
        raise ConfigError("start (first_row in a study file) needs interval, the time between rows, such as interval = '5m'")
    return parse_instant(start, "start") + parse_duration(interval, "interval") * np.arange(len(frame))


def _usual_step(time: np.ndarray, interval: Duration | None) -> np.timedelta64:
    if interval is not None:
        return parse_duration(interval, "interval")
    if len(time) == 1:
        raise DataError("the interval cannot be inferred from a single snapshot; pass interval, such as interval='1m'")
    step = float(np.median(np.diff(time).astype(np.int64)))
    unit = 1_000_000 if step >= 1_000_000 else 1_000
    return np.timedelta64(max(round(step / unit), 1) * unit, "us")
