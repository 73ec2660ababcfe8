"""A source of order books."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Self

import numpy as np
import pandas as pd

from foreshock.data.bars import FIELDS, Bars
from foreshock.data.books.orderbook import TOTALS, Book
from foreshock.data.checks import check_texts, check_type
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.interval import format_duration
from foreshock.engine.features.book import BOOK_FEATURES, LEVEL_FEATURES, book_features
from foreshock.engine.features.features import Features
from foreshock.engine.out_of_sample.causality import corrupt_from
from foreshock.engine.sources.layout import lay_out
from foreshock.engine.sources.marks import marks_of_book
from foreshock.engine.sources.source import Source, by_symbol
from foreshock.engine.sources.streams import BookRows

# A default feature is left out if it is known in a smaller share of the first rows: a network of 24 rows scores none that has an
# unknown value among them. With fewer features than this, the levels are added.
LEAST_KNOWN, LEAST_FEATURES = 0.95, 4
# Default features are chosen by so many rows at the beginning: what a later row knows has no part in it.
FIRST_ROWS = 1_000


@door
class BookSource(Source):
    """Order books of one symbol or several.

    Prices are midpoints (or microprices), or bars of the same market. The second forecast of the verdict sees the depth of all
    levels, the spread, the share of the bids, and the values placed, cancelled and traded, as far as the book knows them.

    Parameters
    ----------
    book : Book, or dict of symbol to Book
        Snapshots, all of one interval. Holes stay unknown.
    features : sequence of str, optional
        Names; see ``book_features``. By default ``BOOK_FEATURES``, without those that more than a twentieth of the first 1,000
        snapshots do not know, as in a partial book; where few of them remain, the logs of its levels are added.
    price : str
        ``"midpoint"`` or ``"microprice"``.
    prices : Bars, optional
        Bars of the same symbols to judge and trade instead, of the same interval or a longer one; a row then has the features of
        the last snapshot in the bar. A book without prices needs them.

    Raises
    ------
    ConfigError
        If an argument has another type, books have different intervals, or bars lack a symbol.
    DataError
        If a book has no price, or no bar lies in its time.

    Examples
    --------
    >>> import foreshock as fs
    >>> source = fs.BookSource(fs.simulate_book(seed=1, n_rows=600).book)
    >>> source
    BookSource(SIM/USDT, 600 rows of 5s, 2024-01-01T00:00:00 to 2024-01-01T00:49:55)
    >>> sorted(source.marks)
    ['bid_share', 'cancelled', 'depth', 'placed', 'spread', 'traded']
    """

    kind = "book"

    def __init__(
        self,
        book: Book | Mapping[str, Book],
        features: Sequence[str] | None = None,
        price: str = "midpoint",
        prices: Bars | None = None,
    ) -> None:
        if features is not None:
            check_texts("features", features)
        if prices is not None:
            check_type("prices", prices, Bars, "read a file with fs.read_bars")
        given = by_symbol(book, (Book,), "book", book.symbol if isinstance(book, Book) else "asset")
        self._books = [replace(one, symbol=name) for name, one in given.items()]
        self._symbols = tuple(given)
        steps = {one.interval for one in self._books}
        if len(steps) > 1:
            found = ", ".join(sorted(map(format_duration, steps)))
            raise ConfigError(f"books must have one interval, got {found}; pass interval when reading them")
        self._price, self._step = price, steps.pop()
        self._names = tuple(features) if features is not None else _usual(self._books)
        self._given = None if prices is None else _covering(prices, self._books)
        if prices is None:
            found = [one.to_bars(price) for one in self._books]
            first, length = [bars.start_row for bars in found], [bars.n_bars for bars in found]
            self._layout = lay_out(first, length, list(range(len(found))), len(found))
            self._runs = found

    @property
    def names(self) -> tuple[str, ...]:
        return self._names

    @property
    def marks(self) -> dict[str, np.ndarray] | None:
        if self._given is not None:
            return None
        found: dict[str, list[np.ndarray]] = {}
        for one in self._books:
            at, _ = one.grid_rows()
            for name, values in marks_of_book(one).items():
                run = np.full(int(at[-1]) + 1, np.nan)
                run[at] = values
                found.setdefault(name, []).append(run)
        placed = {name: self._layout.place(runs) for name, runs in found.items()}
        return {name: values for name, values in placed.items() if not np.isnan(values).all()}

    def _head(self, n: int) -> Self:
        other = self._copy()
        if self._given is not None:
            other._given = self._given.head(n)
            stop = other._given.time[-1] + other._given.interval
            other._books = [_before(one, stop) for one in self._books]
            return other
        other._layout = self._layout.head(n)
        stop = self._layout.time(self._step)[n - 1] + self._step
        kept = self._layout.begun(n)
        other._books = [_before(self._books[k], stop) for k in kept]
        other._runs = [self._runs[k].head(length) for k, length in zip(kept, other._layout.length, strict=True)]
        return other

    def _disturbed(self, cut: int, rng: np.random.Generator) -> Self:
        other = self._copy()
        start = self.bars.time[cut]
        level = np.exp(rng.normal(0, 0.1))
        other._books = []
        for one in self._books:
            later = one.time >= start - self._step // 2
            amounts = np.exp(rng.normal(0, 3, later.shape))
            changed = {name: getattr(one, name) * np.where(later, amounts, 1.0) for name in ("spread", "buys", "sells")}
            for name in ("notional", "cancel_notional", "limit_notional", "market_notional"):
                changed[name] = getattr(one, name) * np.where(later, amounts, 1.0)[:, None, None]
            other._books.append(replace(one, midpoint=one.midpoint * np.where(later, level, 1.0), **changed))
        if self._given is not None:
            other._given = corrupt_from(self._given, cut, rng)
        else:
            other._runs = [one.to_bars(self._price) for one in other._books]
        return other

    def _raw_rows(self, symbol: str, start: np.datetime64, stop: np.datetime64) -> tuple[str, pd.DataFrame]:
        book = next((one for one in self._books if one.symbol == symbol), None)
        if book is None:
            return super()._raw_rows(symbol, start, stop)
        rows = slice(*(int(k) for k in np.searchsorted(book.time, [start, stop])))
        # Columns that no snapshot knows are those that the file did not have.
        frame = book.rows(rows).to_frame() if rows.start < rows.stop else book.head(1).to_frame().head(0)
        return "snapshots", frame[["time", *book.known_columns]]

    def stream(self) -> BookRows:
        if self._given is not None:
            raise ConfigError("a book with prices of its own bars cannot be streamed; pass it without prices")
        return BookRows(self._symbols, self._names, self._step, self._price)

    def live_rows(self) -> Iterator[dict[str, Book]]:
        by_row: dict[int, dict[str, Book]] = {}
        for one in self._books:
            at, start = one.grid_rows()
            first = int(start.astype(np.int64)) // int(self._step.astype(np.int64))
            for k, row in enumerate(at.tolist()):
                by_row.setdefault(first + row, {})[one.symbol] = one.rows(slice(k, k + 1))
        yield from (by_row[row] for row in sorted(by_row))

    def _copy(self) -> Self:
        other = object.__new__(type(self))
        vars(other).update({name: value for name, value in vars(self).items() if name.startswith("_")})
        return other

    def _prices(self) -> Bars:
        if self._given is not None:
            return self._given
        placed = {name: self._layout.place([getattr(run, name)[:, 0] for run in self._runs]) for name in FIELDS}
        symbols = self._symbols
        time, prices = self._layout.time(self._step), (placed[name] for name in FIELDS)
        return Bars(time, symbols, *prices, interval=self._step, broken=self._layout.broken)

    def _features(self) -> Features:
        found = [book_features(one, self._names) for one in self._books]
        several = len(self._symbols) > 1
        if self._given is None:
            values = self._layout.place([one.values[:, 0] for one in found])
            return Features(self._layout.time(self._step), self._symbols, self._names, values, self._step, comparable=several)
        bars = self._given
        values = np.full((*bars.shape, len(self._names)), np.nan)
        for one in found:
            # The last row that is known at the close of a bar, unless it is as old as the bar before.
            close = bars.time + bars.interval - one.interval
            last = np.searchsorted(one.time, close, side="right") - 1
            fresh = (last >= 0) & (one.time[np.maximum(last, 0)] >= bars.time)
            values[fresh, bars.symbols.index(one.symbols[0])] = one.values[last[fresh], 0]
        return Features(bars.time, bars.symbols, self._names, values, bars.interval, comparable=several)


def _usual(books: Sequence[Book]) -> tuple[str, ...]:
    """Default features that nearly all of the first rows of every book know."""
    books, wanted = [one.head(FIRST_ROWS) for one in books], BOOK_FEATURES
    kept = _known(books, wanted)
    if len(kept) < LEAST_FEATURES:
        have = set.intersection(*(set(one.known_columns) for one in books))
        levels = [name for name in LEVEL_FEATURES if name.removeprefix("log_") in have and name not in TOTALS]
        kept = (*kept, *_known(books, tuple(levels)))
    if not kept:
        raise DataError("no feature of the order book is known in nearly all of its first rows; pass features")
    return kept


def _known(books: Sequence[Book], names: tuple[str, ...]) -> tuple[str, ...]:
    if not names:
        return ()
    shares = np.min([_share_known(one, names) for one in books], axis=0)
    return tuple(name for name, share in zip(names, shares, strict=True) if share >= LEAST_KNOWN)


def _share_known(book: Book, names: tuple[str, ...]) -> np.ndarray:
    """Share of the rows that know each feature, among those whose past twenty are all there: holes are no fault of a feature."""
    known = ~np.isnan(book_features(book, names).values[:, 0])
    whole = ~np.isnan(book_features(book, ["volatility_20"]).values[:, 0, 0])
    rows = whole if whole.any() else known.any(axis=1)
    return known[rows].mean(axis=0) if rows.any() else np.zeros(len(names))


def _before(book: Book, stop: np.datetime64) -> Book:
    """The snapshots of rows that end by ``stop``, at least one."""
    at, start = book.grid_rows()
    return book.head(max(int(np.searchsorted(start + at * book.interval, stop)), 1))


def _covering(prices: Bars, books: Sequence[Book]) -> Bars:
    """The bars of the books' symbols in the time of the books."""
    names = [one.symbol for one in books]
    missing = [name for name in names if name not in prices.symbols]
    if missing:
        raise ConfigError(
            f"prices must have the symbols of the books, and lack {missing[0]}; name the book as the bars do, in a study file with "
            f'symbols = ["..."] of [source]'
        )
    if any(prices.interval % one.interval != np.timedelta64(0) for one in books):
        raise ConfigError(
            f"bars of {format_duration(prices.interval)} must be as long as the snapshots are apart, or a multiple of it, got "
            f"{format_duration(books[0].interval)}; pass longer bars"
        )
    return prices.select(names).between(min(one.time[0] for one in books), max(one.time[-1] for one in books))
