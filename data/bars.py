"""Bars: a regular grid of OHLCV bars of one or many symbols."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from foreshock.data.checks import check_array, check_integer, check_mapping, check_names, check_switch, check_times, check_type
from foreshock.data.doors.door import door
from foreshock.data.doors.kinds import DURATION
from foreshock.data.errors import DataError
from foreshock.data.interval import Duration, Instant, absolute_row, format_duration, parse_duration, parse_instant
from foreshock.data.show.facts import Shown, grid_facts, symbols_fact
from foreshock.data.show.shown import few
from foreshock.data.tables import FIELDS, PRICES, bar_columns, bar_table


@door(interval=DURATION)
@dataclass(frozen=True, repr=False)
class Bars(Shown):
    """OHLCV bars on a regular time grid.

    Every row is one interval after the row before it, so that a number of rows is a duration. A bar in which a symbol
    did not trade, or that the source lacks, is NaN in all five fields.

    Parameters
    ----------
    time : ndarray of datetime64[us], shape (n_bars,)
        Open time of each bar, UTC without a zone.
    symbols : tuple of str
        Name of each column; names must differ.
    open, high, low, close, volume : ndarray of float64, shape (n_bars, n_symbols)
        Prices in quote currency, volume in base currency.
    interval : timedelta64[us]
        Length of a bar.
    extras : dict of str to ndarray of float64, shape (n_bars, n_symbols)
        Further columns such as ``trade_count``, ``quote_volume``, ``taker_buy_volume`` or ``funding_rate``.
    broken : bool
        Whether time may jump by several intervals where no symbol is known, because nobody watched: the row before a jump must be
        unknown, so that no return crosses it.

    Raises
    ------
    DataError
        If shapes disagree, time is not a regular grid, a price is not positive, a number is infinite, a volume is
        negative, or a bar has some of its prices but not all.

    Examples
    --------
    >>> import foreshock as fs
    >>> bars = fs.simulate_market(seed=1, n_symbols=2, n_bars=300).bars
    >>> bars.select("BTC/USDT").head(24)
    Bars(BTC/USDT, 24 bars of 1h, 2022-01-01T00:00:00 to 2022-01-01T23:00:00, with quote_volume)
    >>> bars.close.shape, bars.returns()[1].round(4)
    ((300, 2), array([-0.0021, -0.0069]))
    """

    time: np.ndarray
    symbols: tuple[str, ...]
    open: np.ndarray
    high: np.ndarray
    low: np.ndarray
    close: np.ndarray
    volume: np.ndarray
    interval: np.timedelta64
    extras: Mapping[str, np.ndarray] = field(default_factory=dict)
    broken: bool = False

    def __post_init__(self) -> None:
        check_array("open", self.open)
        check_array("high", self.high)
        check_array("low", self.low)
        check_array("close", self.close)
        check_array("volume", self.volume)
        check_mapping("extras", self.extras)
        check_switch("broken", self.broken)
        set_ = object.__setattr__
        check_times("time", self.time)
        check_names("symbols", self.symbols)
        set_(self, "time", np.ascontiguousarray(self.time, dtype="datetime64[us]"))
        set_(self, "symbols", tuple(map(str, self.symbols)))
        set_(self, "interval", parse_duration(self.interval, "interval"))
        shape = (len(self.time), len(self.symbols))
        for name in FIELDS:
            set_(self, name, _matrix(getattr(self, name), shape, name))
        set_(self, "extras", {name: _matrix(values, shape, name) for name, values in self.extras.items()})
        if not shape[0] or not shape[1]:
            raise DataError(f"bars need at least one row and one symbol, got {shape[0]} rows and {shape[1]} symbols")
        if len(set(self.symbols)) != shape[1]:
            raise DataError(f"symbols must differ, got {self.symbols}")
        self._check_grid()
        self._check_values()

    def _check_grid(self) -> None:
        if np.isnat(self.time).any():
            raise DataError(f"bar times must be known, got NaT in row {int(np.argmax(np.isnat(self.time)))}; remove that bar")
        step = np.diff(self.time)
        wrong = np.flatnonzero(step != self.interval)
        if self.broken:
            jump = (step > self.interval) & (step % self.interval == np.timedelta64(0)) & np.isnan(self.close[:-1]).all(axis=1)
            wrong = np.flatnonzero((step != self.interval) & ~jump)
        if wrong.size:
            row = int(wrong[0])
            raise DataError(
                f"bar times must rise by {format_duration(self.interval)} from row to row, "
                f"got {self.time[row]} followed by {self.time[row + 1]}; use Bars.from_frame, which puts bars on a grid"
            )

    def _check_values(self) -> None:
        # Least and largest value tell of most tables that nothing is wrong, in one pass without an array.
        spans = {name: (getattr(self, name).min(), getattr(self, name).max()) for name in FIELDS}
        if (
            all(spans[name][0] > 0 for name in PRICES)
            and spans["volume"][0] >= 0
            and all(high < np.inf for _, high in spans.values())
        ):
            self._check_extras()
            return
        any_known = ~np.all([np.isnan(getattr(self, name)) for name in PRICES], axis=0)
        for name in PRICES:
            values = getattr(self, name)
            self._refuse(any_known & np.isnan(values), name, "known where another price of the bar is known")
            self._refuse(values <= 0, name, "positive")
        self._refuse(self.volume < 0, "volume", "zero or more")
        for name in FIELDS:
            self._refuse(np.isinf(getattr(self, name)), name, "finite")
        self._check_extras()

    def _check_extras(self) -> None:
        infinite = [name for name, values in self.extras.items() if np.isinf(values).any()]
        if infinite:
            raise DataError(f"extras must be finite, or NaN where not known, got an infinite {infinite[0]}; fix the source")

    def _refuse(self, wrong: np.ndarray, name: str, expected: str) -> None:
        if wrong.any():
            row, col = map(int, np.argwhere(wrong)[0])
            raise DataError(
                f"{name} must be {expected}, got {getattr(self, name)[row, col]} for {self.symbols[col]} at "
                f"{self.time[row]} ({int(wrong.sum())} such bars); fix the source, or pass the table to fs.clean, "
                f"which removes such bars and counts them"
            )

    @property
    def n_bars(self) -> int:
        return len(self.time)

    @property
    def n_symbols(self) -> int:
        return len(self.symbols)

    @property
    def shape(self) -> tuple[int, int]:
        return self.n_bars, self.n_symbols

    @property
    def start_row(self) -> int:
        """Number of the first row on the grid of whole intervals since 1970, rounded down; 0 without rows."""
        return absolute_row(self.time, self.interval)

    def __len__(self) -> int:
        return self.n_bars

    @classmethod
    def from_frame(cls, frame: pd.DataFrame, interval: Duration | None = None) -> Bars:
        """Bars from a long table: one row per bar and symbol.

        Parameters
        ----------
        frame : DataFrame
            Columns ``open high low close volume``, a time column (``open_time ts time timestamp date datetime``) or a
            DatetimeIndex, optionally ``symbol``; names in any case, columns or index levels. Times are timestamps, ISO 8601
            strings or epochs in s, ms, us or ns between the years 2000 and 2100; without a zone they are UTC. Further columns
            of numbers become ``extras``; columns of text are left out.
        interval : str, optional
            Length of a bar, such as ``"1h"``; by default the most common step between the bars of a symbol.

        Raises
        ------
        DataError
            If a column is missing, a time is unsorted, doubled, off the grid, in the future, a date written as a number or the last
            moment of a bar, a symbol has no name, bars of a symbol are longer than the interval, a bar without prices has a volume,
            or a value is refused by ``Bars``.

        Examples
        --------
        >>> import foreshock as fs
        >>> import pandas as pd
        >>> hours = ["2024-01-01T00:00", "2024-01-01T02:00", "2024-01-01T03:00"]
        >>> table = pd.DataFrame({"time": hours, "open": 1.0, "high": 2.0, "low": 0.5, "close": [1.0, 1.5, 2.0], "volume": 10.0})
        >>> fs.Bars.from_frame(table, interval="1h").close[:, 0]
        array([1. , nan, 1.5, 2. ])
        """
        check_type("frame", frame, pd.DataFrame, "pass a pandas table")
        return cls(**bar_columns(bar_table(frame), interval))

    def to_frame(self) -> pd.DataFrame:
        """Long table ``time symbol open high low close volume`` and the extras, without the bars that are NaN."""
        columns = {name: getattr(self, name).ravel() for name in FIELDS}
        columns |= {name: values.ravel() for name, values in self.extras.items()}
        frame = pd.DataFrame(
            {
                "time": np.repeat(self.time, self.n_symbols),
                "symbol": np.tile(np.asarray(self.symbols, dtype=object), self.n_bars),
                **columns,
            }
        )
        return frame[~np.isnan(self.close).ravel()].reset_index(drop=True)

    def rows(self, rows: slice) -> Bars:
        """A run of bars, without a copy."""
        check_type("rows", rows, slice, "such as slice(0, 100)")
        fields = {name: getattr(self, name)[rows] for name in FIELDS}
        extras = {name: values[rows] for name, values in self.extras.items()}
        return replace(self, time=self.time[rows], **fields, extras=extras)

    def head(self, n: int) -> Bars:
        """The first ``n`` bars, at least one."""
        check_integer("n", n)
        if n < 1:
            raise DataError(f"head takes at least 1 bar, got {n}")
        return self.rows(slice(0, n))

    def between(self, start: Instant | None = None, end: Instant | None = None) -> Bars:
        """Bars that open at or after ``start`` and before ``end``."""
        first = 0 if start is None else int(np.searchsorted(self.time, parse_instant(start, "start")))
        stop = self.n_bars if end is None else int(np.searchsorted(self.time, parse_instant(end, "end")))
        if first >= stop:
            wanted = f"from {start or 'the first bar'} to before {end or 'the end'}"
            raise DataError(f"no bar {wanted}; the bars run from {self.time[0]} to {self.time[-1]}, widen the range")
        return self.rows(slice(first, stop))

    def select(self, symbols: str | Sequence[str]) -> Bars:
        """The bars of the named symbols, in that order."""
        if not isinstance(symbols, str):
            check_names("symbols", symbols)
        names = (symbols,) if isinstance(symbols, str) else tuple(symbols)
        missing = [name for name in names if name not in self.symbols]
        if missing:
            raise DataError(f"no such symbol: {few(missing)}; the bars have {few(self.symbols)}")
        cols = [self.symbols.index(name) for name in names]
        fields = {name: getattr(self, name)[:, cols] for name in FIELDS}
        extras = {name: values[:, cols] for name, values in self.extras.items()}
        return replace(self, symbols=names, **fields, extras=extras)

    def returns(self, log: bool = True) -> np.ndarray:
        """Close-to-close returns, shape (n_bars, n_symbols); the first row, and any across an unknown bar, is NaN."""
        check_switch("log", log)
        moves = np.full(self.shape, np.nan)
        ratio = self.close[1:] / self.close[:-1]
        moves[1:] = np.log(ratio) if log else ratio - 1
        return moves

    def fingerprint(self) -> str:
        """SHA-256 of times, symbols, values and extras: equal for equal bars."""
        digest = hashlib.sha256()
        digest.update("\x00".join(self.symbols).encode())
        digest.update(self.time.astype("<i8").tobytes())
        named = [("", getattr(self, name)) for name in FIELDS] + sorted(self.extras.items(), key=lambda item: item[0])
        for name, values in named:
            digest.update(name.encode())
            # Adding zero turns -0.0 into 0.0, and every NaN gets one bit pattern, so that equal values have equal bytes.
            digest.update(np.where(np.isnan(values), np.nan, values + 0.0).astype("<f8").tobytes())
        return digest.hexdigest()

    def _facts(self) -> Iterator[str]:
        yield symbols_fact(self.symbols)
        yield from grid_facts(self.time, self.interval, "bar")
        if self.extras:
            yield f"with {few(self.extras, 3)}"


def _matrix(values: np.ndarray, shape: tuple[int, int], name: str) -> np.ndarray:
    matrix = np.ascontiguousarray(values, dtype=np.float64)
    if matrix.ndim == 1 and shape[1] == 1:
        matrix = matrix[:, None]
    if matrix.shape != shape:
        raise DataError(f"{name} must have the shape (n_bars, n_symbols) = {shape}, got {matrix.shape}")
    return matrix
