"""Sources row by row: rows of bars, windows, books or features in, features of all symbols out, with the bits of the batch."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np

from foreshock.data.bars import FIELDS, Bars
from foreshock.data.books.orderbook import Book, grid_row, grid_start, price_of
from foreshock.data.checks import check_type
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.interval import format_duration
from foreshock.data.show.shown import few
from foreshock.data.stream.state import Stream
from foreshock.data.trades.windows import TradeWindows
from foreshock.engine.features.book import BookStream
from foreshock.engine.features.features import Features
from foreshock.engine.features.ohlcv import FUNDING, STANDS, OhlcvStream, is_formula
from foreshock.engine.features.roles import role_of
from foreshock.engine.features.windows import WindowStream
from foreshock.engine.sources.layout import APART
from foreshock.engine.sources.marks import BOOK_MARKS, WINDOW_MARKS, marks_of_book, marks_of_windows


class FeatureRow(NamedTuple):
    """One row: its open, and features of shape (n_symbols, n_features)."""

    time: np.datetime64
    values: np.ndarray
    # Open, high, low and close, (4, n_symbols), and marks, (n_symbols,) each, where they are wanted.
    prices: np.ndarray | None = None
    marks: Mapping[str, np.ndarray] | None = None


class SourceStream(Stream):
    """The features of a source one row at a time.

    Parameters
    ----------
    symbols : sequence of str
        Symbols of the columns.
    names : sequence of str
        Features that the source computes; with the log return of its prices if none of them is a return.
    interval : timedelta64
        Length of a row.
    """

    fixed = ("symbols", "names", "interval")
    carries = ("_next", "_close")
    # Whether features of different symbols have the same meaning; see ``Features``.
    comparable = False
    # Names of the marks; None for a source without prices.
    mark_names: tuple[str, ...] | None = None
    # Whether rows have prices and marks, too.
    priced = False

    def __init__(self, symbols: Sequence[str], names: Sequence[str], interval: np.timedelta64) -> None:
        self._adds_return = not any(role_of(name) == "return" for name in names)
        self.symbols = tuple(symbols)
        self.names = (*names, "log_return") if self._adds_return else tuple(names)
        # In microseconds, as all times are here.
        self.interval = micros(interval)
        self._next: int | None = None
        self._close = np.full(len(self.symbols), np.nan)

    def update(self, row: Any) -> list[FeatureRow]:
        """The rows of features up to the one that ``row`` is of; rows that were left out before it come first, unknown."""
        found = []
        time = self._time_of(row)
        if self._next is not None:
            if time < self._next:
                raise DataError(f"rows must come in order, got {np.datetime64(time, 'us')} after {np.datetime64(self._next, 'us')}")
            n_missing = (time - self._next) // self.interval
            for k in range(self._filled(row, n_missing)):
                found.append(self._row(self._next + k * self.interval, None))
        found.append(self._row(time, row))
        self._next = time + self.interval
        return found

    def _row(self, time: int, row: Any) -> FeatureRow:
        close, values = self._values(row)
        if self._adds_return:
            with np.errstate(divide="ignore", invalid="ignore"):
                moves = np.log(close / self._close)
            values = np.concatenate([values, moves[:, None]], axis=1)
        prices, marks = self._market(row, close) if self.priced else (None, None)
        self._close = close
        return FeatureRow(np.datetime64(time, "us"), values, prices, marks)

    def _market(self, row: Any, close: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:  # noqa: ARG002 - of some sources
        """Prices, (4, n_symbols), and marks of a row whose closes are known; of an unknown one for None."""
        raise ConfigError("the source has no prices from row to row, so nothing is known of what they lead one to expect")

    def _filled(self, row: Any, n_missing: int) -> int:  # noqa: ARG002 - some sources ask the row
        """How many of the rows that were left out the batch has too."""
        return n_missing

    @abstractmethod
    def _time_of(self, row: Any) -> int:
        """Open of the row, in microseconds; a row that does not fit is refused."""
        raise NotImplementedError

    @abstractmethod
    def _values(self, row: Any) -> tuple[np.ndarray, np.ndarray]:
        """Closes, (n_symbols,), and features, (n_symbols, n_features), of a row; of an unknown one for None."""
        raise NotImplementedError


class BarRows(SourceStream):
    """Rows are ``Bars`` of one bar of all symbols; see ``SourceStream``.

    ``extras`` are the columns that the features name; ``of`` computes the features where they are a function of bars, again at each
    row over all bars.
    """

    carries = (*SourceStream.carries, "_stream", "_funding", "_age", "_columns", "_began")
    mark_names = ("volume",)

    def __init__(
        self,
        symbols: Sequence[str],
        names: Sequence[str],
        interval: np.timedelta64,
        extras: Sequence[str] = (),
        of: Callable[[Bars], Features] | None = None,
    ) -> None:
        super().__init__(symbols, names, interval)
        self._given = [name for name in names if name in extras and not is_formula(name)]
        self._computed = [name for name in names if name not in self._given] if of is None else []
        self._order = [[*self._computed, *self._given].index(name) for name in names] if of is None else []
        n = len(self.symbols)
        self._stream = OhlcvStream(n, self._computed) if self._computed else None
        self._funding, self._age = np.full(n, np.nan), np.zeros(n, dtype=np.int64)
        self._stands = max(micros(STANDS) // self.interval, 1)
        self._of = of
        self._began = 0
        self._extras = tuple(extras)
        self._fields: Sequence[np.ndarray] = ()
        # All bars so far, where the features are a function of them: open, high, low, close, volume and extras.
        self._columns: tuple[np.ndarray, ...] = tuple(np.zeros((0, n)) for _ in (*FIELDS, *extras)) if of is not None else ()

    def _time_of(self, row: Any) -> int:
        check_type("row", row, Bars, "pass bars of one row, see Bars.rows")
        if row.n_bars != 1 or row.symbols != self.symbols or micros(row.interval) != self.interval:
            raise DataError(
                f"a row must be one bar of {format_duration(np.timedelta64(self.interval, 'us'))} of {few(self.symbols, 3)}, got "
                f"{row.n_bars} of {format_duration(row.interval)} of {few(row.symbols, 3)}; set unknown symbols to NaN"
            )
        missing = [name for name in self._given if name not in row.extras]
        if missing:
            raise DataError(
                f"a row of bars must have the extras {few(self._given)}, it lacks {few(missing)}; add them, NaN if unknown"
            )
        return micros(row.time[0])

    def restore(self, state: Mapping[str, Any]) -> Self:
        # Bars are added with every row.
        self._columns = tuple(np.zeros_like(part) for part in state.get("_columns", ()))
        return super().restore(state)

    def _values(self, row: Any) -> tuple[np.ndarray, np.ndarray]:
        unknown = np.full(len(self.symbols), np.nan)
        fields, extras = [unknown] * len(FIELDS), dict.fromkeys(self._extras, unknown)
        if row is not None:
            fields = [getattr(row, name)[0] for name in FIELDS]
            open_, high, low, close, _ = fields
            # As in clean(): a bar whose open or close lies outside its range is not known.
            wrong = (high < np.maximum(open_, close)) | (low > np.minimum(open_, close))
            extras = {name: row.extras[name][0] if name in row.extras else unknown for name in self._extras}
            if wrong.any():
                fields = [np.where(wrong, np.nan, values) for values in fields]
                extras = {name: np.where(wrong, np.nan, values) for name, values in extras.items()}
        self._fields = fields
        if self._next is None and row is not None:
            self._began = micros(row.time[0])
        if self._of is not None:
            return fields[3], self._recomputed(fields, extras)
        if self._next is None and self._stream is not None and row is not None:
            self._stream = OhlcvStream(len(self.symbols), self._computed, self._began // self.interval)
        parts = [] if self._stream is None else [self._stream.update(fields)]
        parts += [self._standing(name, extras[name])[:, None] for name in self._given]
        return fields[3], np.ascontiguousarray(np.concatenate(parts, axis=1)[:, self._order])

    def _market(self, row: Any, close: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:  # noqa: ARG002 - as computed
        *prices, volume = self._fields
        return np.array(prices), {"volume": close * volume}

    def _standing(self, name: str, values: np.ndarray) -> np.ndarray:
        """The value; of a funding rate the newest, if it still stands."""
        if name != FUNDING:
            return values
        known = ~np.isnan(values)
        self._funding, self._age = np.where(known, values, self._funding), np.where(known, 0, self._age + 1)
        return np.where(self._age < self._stands, self._funding, np.nan)

    def _recomputed(self, fields: Sequence[np.ndarray], extras: Mapping[str, np.ndarray]) -> np.ndarray:
        assert self._of is not None
        rows = zip(self._columns, (*fields, *extras.values()), strict=True)
        self._columns = tuple(np.vstack([column, row]) for column, row in rows)
        n = len(self._columns[0])
        time = (self._began + self.interval * np.arange(n)).astype("datetime64[us]")
        columns = dict(zip((*FIELDS, *extras), self._columns, strict=True))
        prices = [columns.pop(name) for name in FIELDS]
        bars = Bars(time, self.symbols, *prices, interval=np.timedelta64(self.interval, "us"), extras=columns)
        return np.ascontiguousarray(self._of(bars).values[-1])


class WindowRows(SourceStream):
    """Rows are dicts of symbol to ``TradeWindows`` of one window, without symbols that are not watched; see ``SourceStream``."""

    carries = (*SourceStream.carries, "_streams", "_due")
    mark_names = WINDOW_MARKS

    def __init__(self, symbols: Sequence[str], names: Sequence[str], interval: np.timedelta64) -> None:
        super().__init__(symbols, names, interval)
        self._wanted, self.comparable = tuple(names), len(self.symbols) > 1
        self._streams = tuple(WindowStream(self._wanted) for _ in self.symbols)
        # Start of the next window of each symbol's run.
        self._due = np.full(len(self.symbols), -1, dtype=np.int64)

    def _time_of(self, row: Any) -> int:
        known = _one_each(row, self.symbols, TradeWindows, "windows")
        times = {micros(one.time[0]) for one in known.values()}
        steps = {micros(one.interval) for one in known.values()}
        if len(times) > 1 or steps != {self.interval}:
            raise DataError(
                f"the windows of a row must begin together and last {format_duration(np.timedelta64(self.interval, 'us'))}; pass "
                f"those of one time"
            )
        return times.pop()

    def _filled(self, row: Any, n_missing: int) -> int:  # noqa: ARG002 - of any row
        # A source has no more unknown rows than that between two runs.
        return min(n_missing, APART)

    def _values(self, row: Any) -> tuple[np.ndarray, np.ndarray]:
        close = np.full(len(self.symbols), np.nan)
        values = np.full((len(self.symbols), len(self._wanted)), np.nan)
        streams = list(self._streams)
        for i, symbol in enumerate(self.symbols):
            window = (row or {}).get(symbol)
            if window is None:
                continue
            start = micros(window.time[0])
            if start != self._due[i]:
                # No look-back crosses the time in which the symbol was not watched.
                streams[i], before = WindowStream(self._wanted), np.nan
            else:
                before = self._close[i]
            values[i] = streams[i].update(window)[0]
            # Without a trade, the last price stands.
            close[i] = before if np.isnan(window.close[0]) else window.close[0]
            self._due[i] = start + self.interval
        self._streams = tuple(streams)
        return close, values

    def _market(self, row: Any, close: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        prices = np.tile(close, (4, 1))
        marks = {name: np.full(len(self.symbols), np.nan) for name in WINDOW_MARKS}
        for i, symbol in enumerate(self.symbols):
            window = (row or {}).get(symbol)
            if window is None:
                continue
            if window.trade_count[0] > 0:
                prices[:3, i] = window.open[0], window.high[0], window.low[0]
            for name, values in marks_of_windows(window).items():
                marks[name][i] = values[0]
        return prices, marks


class BookRows(SourceStream):
    """Rows are dicts of symbol to ``Book`` of one snapshot; a symbol without one is left out. See ``SourceStream``."""

    carries = (*SourceStream.carries, "_streams", "_first", "_last")
    mark_names = BOOK_MARKS

    def __init__(self, symbols: Sequence[str], names: Sequence[str], interval: np.timedelta64, price: str) -> None:
        super().__init__(symbols, names, interval)
        self._wanted, self._price, self.comparable = tuple(names), price, len(self.symbols) > 1
        self._streams = tuple(BookStream(self._wanted) for _ in self.symbols)
        # Time of the first snapshot of each symbol; -1 before it.
        self._first = np.full(len(self.symbols), -1, dtype=np.int64)
        # Price of each snapshot of the row before; NaN without one.
        self._last = np.full(len(self.symbols), np.nan)

    def _time_of(self, row: Any) -> int:
        known = _one_each(row, self.symbols, Book, "snapshots")
        if {micros(one.interval) for one in known.values()} != {self.interval}:
            raise DataError(f"books must be of {format_duration(np.timedelta64(self.interval, 'us'))}; pass those of the source")
        times = set()
        for symbol, one in known.items():
            began = self._first[self.symbols.index(symbol)]
            first = one.time[0] if began < 0 else np.datetime64(int(began), "us")
            at = int(grid_row(one.time, first, one.interval)[0])
            times.add(micros(grid_start(first, one.interval)) + at * self.interval)
        if len(times) > 1:
            raise DataError("the snapshots of a row must be of one row of the grid; pass those of one time")
        return times.pop()

    def _filled(self, row: Any, n_missing: int) -> int:
        # The grid of a book runs on through its holes.
        begun = any(self._first[self.symbols.index(symbol)] >= 0 for symbol in row)
        return n_missing if begun else min(n_missing, APART)

    def _values(self, row: Any) -> tuple[np.ndarray, np.ndarray]:
        close = np.full(len(self.symbols), np.nan)
        values = np.full((len(self.symbols), len(self._wanted)), np.nan)
        for i, symbol in enumerate(self.symbols):
            snapshot = (row or {}).get(symbol)
            if snapshot is not None:
                if self._first[i] < 0:
                    self._first[i] = micros(snapshot.time[0])
                values[i] = self._streams[i].update(snapshot)[0]
                if self._adds_return:
                    close[i] = price_of(snapshot, self._price)[0]
        return close, values

    def _market(self, row: Any, close: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:  # noqa: ARG002 - not always known
        own = np.full(len(self.symbols), np.nan)
        marks = {name: own.copy() for name in BOOK_MARKS}
        for i, symbol in enumerate(self.symbols):
            snapshot = (row or {}).get(symbol)
            if snapshot is not None:
                own[i] = price_of(snapshot, self._price)[0]
                for name, values in marks_of_book(snapshot).items():
                    marks[name][i] = values[0]
        # A bar opens at the price of the row before, if there was one.
        opened = np.where(np.isnan(self._last) | np.isnan(own), own, self._last)
        self._last = own
        return np.array([opened, np.maximum(opened, own), np.minimum(opened, own), own]), marks


class GivenRows(SourceStream):
    """Rows are ``Features`` of one row of all symbols; see ``SourceStream``."""

    def __init__(self, features: Features) -> None:
        super().__init__(features.symbols, features.names, features.interval)
        self.comparable = features.comparable
        if self._adds_return:
            raise ConfigError(
                "features without a return cannot be streamed: the return of their bars is not among them; add log_return"
            )

    def _time_of(self, row: Any) -> int:
        check_type("row", row, Features, "pass features of one row, see Features.rows")
        if row.n_rows != 1 or row.symbols != self.symbols or row.names != self.names:
            raise DataError(
                f"a row must have {len(self.names)} features of {few(self.symbols, 3)}, got {row.n_rows} rows of {len(row.names)} "
                f"features of {few(row.symbols, 3)}"
            )
        return micros(row.time[0])

    def _values(self, row: Any) -> tuple[np.ndarray, np.ndarray]:
        shape = (len(self.symbols), len(self.names))
        values = np.full(shape, np.nan) if row is None else np.ascontiguousarray(row.values[0])
        return np.full(shape[0], np.nan), values


def micros(value: np.timedelta64 | np.datetime64) -> int:
    """A duration or a time in microseconds."""
    unit = "timedelta64[us]" if isinstance(value, np.timedelta64) else "datetime64[us]"
    return int(value.astype(unit).astype(np.int64))


def _one_each(row: Any, symbols: Sequence[str], kind: type, what: str) -> dict[str, Any]:
    """A dict of symbol to one row of a kind, checked."""
    check_type("row", row, Mapping, f"pass a dict of symbol to {kind.__name__} of one row")
    strangers = [name for name in row if name not in symbols]
    if strangers or not row:
        raise ConfigError(f"a row must have {what} of at least one of {few(symbols, 3)}, got {few(list(row), 3) or 'none'}")
    for name, one in row.items():
        check_type(f"the row of {name}", one, kind, f"pass {kind.__name__} of one row")
        if len(one) != 1:
            raise DataError(f"a row must have one of the {what} of {name}, got {len(one)}; pass one row")
    return dict(row)
