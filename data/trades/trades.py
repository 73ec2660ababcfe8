"""Trades: every fill of one market, or of several, in the order of the exchange."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import pandas as pd

from foreshock.data.checks import check_array, check_path, check_rows, check_times, check_type
from foreshock.data.doors.door import door
from foreshock.data.doors.truth import yes_or_no
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.reading.kinds import Kinds, lowered, names_of
from foreshock.data.reading.kinds import refuse_doubled as refuse_doubled_names
from foreshock.data.reading.rows import naming, read_rows, scan_rows
from foreshock.data.show.facts import Shown, counted, span_facts
from foreshock.data.show.shown import few
from foreshock.data.tables import TIME_NAMES, parse_times
from foreshock.data.trades.ids import Boundary, ids_of, refuse_doubled

SIZE_NAMES = ("size", "qty", "quantity", "amount")
SIDE_NAMES = ("side", "is_buyer_maker", "is_buy")
ID_NAMES = ("trade_id", "id", "agg_trade_id", "tradeid", "trdmatchid", "exec_id", "execid", "tid")
QUOTE_NAMES = ("quote_volume", "quote_qty", "btc_volume", "cost")
SERIES_NAMES = ("event_id", "symbol")
TRADES = Kinds(TIME_NAMES, ("price", *SIZE_NAMES, *QUOTE_NAMES), (*SIDE_NAMES, *SERIES_NAMES), ID_NAMES)
SIDES = {"buy": True, "b": True, "true": True, "1": True, "sell": False, "s": False, "false": False, "0": False}


@door
@dataclass(frozen=True, repr=False)
class Trades(Shown):
    """Fills in the order of exchange time; fills of the same time are in the order of the source.

    Two fills that agree in every field are two fills: a market order that meets several resting orders of the same size prints like
    that. No fill is ever dropped; only a repeated trade id is refused.

    Parameters
    ----------
    time : ndarray of datetime64[us], shape (n_trades,)
        Exchange time, UTC without a zone.
    price, size, quote : ndarray of float64, shape (n_trades,)
        Price in quote currency, size in base currency, value in quote currency (price times size where the source has none).
    is_buy : ndarray of bool, shape (n_trades,)
        Whether the taker bought.
    ids : ndarray of int64 or str, or None
        Trade ids of the exchange; text where they are no whole numbers or some are not known, which are then empty.
    series : ndarray of str or None
        Market or event of each trade if the source has several; trades of one series are contiguous.

    Raises
    ------
    DataError
        If shapes disagree, times of a series descend, a trade id comes twice, a price, size or value is not positive and finite, or
        a side is neither True (1) nor False (0).

    Examples
    --------
    >>> import foreshock as fs
    >>> import numpy as np
    >>> price, size = np.array([10.0, 12.0, 11.0]), np.array([1.0, 2.0, 3.0])
    >>> fs.Trades(np.arange(3).astype("M8[s]"), price, size, price * size, is_buy=size > 1)
    Trades(3 trades, 1970-01-01T00:00:00 to 1970-01-01T00:00:02)
    """

    time: np.ndarray
    price: np.ndarray
    size: np.ndarray
    quote: np.ndarray
    is_buy: np.ndarray
    ids: np.ndarray | None = None
    series: np.ndarray | None = None

    def __post_init__(self) -> None:
        check_times("time", self.time)
        for name in ("price", "size", "quote", "is_buy"):
            check_array(name, getattr(self, name))
        object.__setattr__(self, "time", np.ascontiguousarray(self.time, dtype="datetime64[us]"))
        for name in ("price", "size", "quote"):
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name), dtype=np.float64))
        object.__setattr__(self, "is_buy", np.ascontiguousarray(yes_or_no("is_buy", self.is_buy)))
        for name, values in self._columns().items():
            if values.shape != self.time.shape:
                raise DataError(f"{name} must have one value for each of {len(self.time)} trades, got the shape {values.shape}")
        if not len(self.time):
            raise DataError("the table of trades is empty; expected at least one trade")
        if np.isnat(self.time).any():
            raise DataError(f"a trade must have a time, got none in row {int(np.argmax(np.isnat(self.time)))}; remove that trade")
        for name in ("price", "size", "quote"):
            values = getattr(self, name)
            wrong = ~((values > 0) & np.isfinite(values))
            if wrong.any():
                row = int(np.argmax(wrong))
                raise DataError(
                    f"{name} must be positive and finite, got {values[row]} at {self.time[row]} "
                    f"({int(wrong.sum())} such trades); remove or fix them"
                )
        self._check_order()

    def _check_order(self) -> None:
        # One pass without a copy, because a month of ticks is checked here.
        descends = self.time[1:] < self.time[:-1]
        if self.series is not None:
            descends &= self.series[1:] == self.series[:-1]
        if descends.any():
            row = int(np.argmax(descends))
            raise DataError(
                f"trades must be in order of exchange time, got {self.time[row]} followed by {self.time[row + 1]}; "
                f"use Trades.from_frame, which sorts"
            )
        if self.ids is not None:
            refuse_doubled(self.ids, self.series)

    def _columns(self) -> dict[str, np.ndarray]:
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: values for name, values in named.items() if values is not None}

    def __len__(self) -> int:
        return len(self.time)

    def rows(self, rows: slice | np.ndarray) -> Trades:
        """Some of the trades, by a slice or a mask."""
        check_rows("rows", rows, len(self))
        return replace(self, **{name: values[rows] for name, values in self._columns().items()})

    def split(self) -> dict[str, Trades]:
        """The trades of each series by its name, in the order of the source."""
        if self.series is None:
            raise DataError("these trades are one series; split needs a column event_id or symbol in the source")
        starts = np.flatnonzero(np.r_[True, self.series[1:] != self.series[:-1]])
        parts = zip(starts, np.r_[starts[1:], len(self)], strict=True)
        return {str(self.series[first]): replace(self.rows(slice(first, stop)), series=None) for first, stop in parts}

    @classmethod
    def from_frame(cls, frame: pd.DataFrame) -> Trades:
        """Trades from a table, sorted by exchange time within each series; trades of one time keep their order.

        Parameters
        ----------
        frame : DataFrame
            A time (``timestamp time ts date``, as timestamps, ISO strings or epochs in s, ms, us or ns), ``price``, a size (``size
            qty quantity amount``), the taker's side (``side`` as buy or sell, ``is_buyer_maker``, or ``is_buy``); optionally a
            trade id (``trade_id id agg_trade_id tradeid trdmatchid exec_id execid tid``, numbers or words), a value in quote
            currency (``quote_volume quote_qty btc_volume cost``) and a series (``event_id symbol``). Names in any case.

        Raises
        ------
        DataError
            If a column is missing or a value cannot be read.

        Examples
        --------
        >>> import foreshock as fs
        >>> import pandas as pd
        >>> table = pd.DataFrame({"time": ["2024-01-01T00:00:01", "2024-01-01T00:00:00"], "price": [2.0, 1.0], "size": 3.0})
        >>> trades = fs.Trades.from_frame(table.assign(side=["buy", "sell"]))
        >>> trades.price, trades.quote, trades.is_buy
        (array([1., 2.]), array([3., 6.]), array([False,  True]))
        """
        check_type("frame", frame, pd.DataFrame, "pass a pandas table")
        names = [lowered(name) for name in frame.columns]
        frame = frame if names == list(frame.columns) else frame.set_axis(names, axis=1)
        refuse_doubled_names(frame.columns)
        wanted = {"a time": TIME_NAMES, "price": ("price",), "a size": SIZE_NAMES, "a side": SIDE_NAMES}
        names = {what: next((name for name in known if name in frame), None) for what, known in wanted.items()}
        missing = [f"{what} ({', '.join(wanted[what])})" for what, name in names.items() if name is None]
        if missing:
            raise DataError(f"missing column: {few(missing)}; got {few(frame.columns) or 'none'}; rename or add it")
        if not len(frame):
            raise DataError("the table of trades is empty; expected at least one trade")
        price, size = (_numbers(frame[names[what]]) for what in ("price", "a size"))
        quote, ids, series = (_first(frame, known) for known in (QUOTE_NAMES, ID_NAMES, SERIES_NAMES))
        columns = {
            "time": parse_times(frame[names["a time"]]),
            "price": price,
            "size": size,
            "quote": price * size if quote is None else _numbers(quote),
            "is_buy": _is_buy(frame[names["a side"]]),
        }
        known = None if ids is None else ids_of(ids)
        if known is not None:
            columns["ids"] = known
        rank = None
        if series is not None:
            rank, labels = names_of(series)
            if rank.min(initial=0) < 0:
                raise DataError(f"column {series.name} must have a name in every row, got {int((rank < 0).sum())} without")
            if len(labels) > 1:
                columns["series"] = np.asarray(labels, dtype=object).astype(str)[rank]
        time = columns["time"]
        if rank is None or not rank.any():
            order = np.argsort(time, kind="stable") if (time[1:] < time[:-1]).any() else None
        else:
            order = np.lexsort((time, rank))
        if order is not None:
            columns = {name: values[order] for name, values in columns.items()}
        return cls(**columns)

    def _facts(self) -> Iterator[str]:
        yield counted(len(self), "trade")
        if self.series is None:
            yield from span_facts(self.time)
        else:
            yield f"{int((self.series[1:] != self.series[:-1]).sum()) + 1} series"

    def to_frame(self) -> pd.DataFrame:
        """One row per trade: ``time price size quote is_buy``, and ``ids`` and ``series`` where they are known."""
        return pd.DataFrame(self._columns())


@door
def read_trades(path: str | Path) -> Trades:
    """Trades from a CSV, Parquet or Feather file; see ``Trades.from_frame`` for its columns.

    Parameters
    ----------
    path : str or Path
        File whose name ends in ``.csv``, ``.csv.gz``, ``.csv.zip``, ``.zip`` (one CSV), ``.parquet``, ``.pq``, ``.feather`` or
        ``.arrow``.

    Raises
    ------
    DataError
        If the file is missing, unreadable or malformed.

    Examples
    --------
    >>> import foreshock as fs
    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/trades.parquet"
    >>> fs.bar_trades(fs.simulate_market(seed=1, n_symbols=1, n_bars=24).bars).to_frame().to_parquet(path)
    >>> fs.read_trades(path)
    Trades(11,940 trades, 2022-01-01T00:00:02 to 2022-01-01T23:59:39)
    """
    check_path("path", path)
    path = Path(path)
    frame = read_rows(path, TRADES, "trades")
    with naming(path):
        return Trades.from_frame(frame)


def read_by_symbol(path: Path) -> dict[str, Trades]:
    """Trades from a file, as ``read_trades``, by the series that they name; "" where they name none."""
    frame = read_rows(path, TRADES, "trades")
    with naming(path):
        trades = Trades.from_frame(frame)
        if trades.series is not None:
            return trades.split()
        column = next((name for wanted in SERIES_NAMES for name in frame.columns if lowered(name) == wanted), None)
        return {names_of(frame[column])[1][0] if lowered(column) == "symbol" else "": trades}


@door
def scan_trades(path: str | Path, n_rows: int = 500_000) -> Iterator[Trades]:
    """The trades of a CSV or Parquet file in runs of at most ``n_rows``, so that the file is never in memory as a whole.

    Each run is sorted. A run that begins before the end of the run before it is refused by ``trade_windows``, ``volume_bars`` and
    ``dollar_bars``, which put the runs together.

    Parameters
    ----------
    path : str or Path
        CSV or Parquet file; see ``Trades.from_frame`` for its columns.
    n_rows : int
        Largest number of trades in a run.

    Raises
    ------
    ConfigError
        If ``n_rows`` is below 1.
    DataError
        As ``read_trades``.

    Examples
    --------
    >>> import foreshock as fs
    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/trades.parquet"
    >>> fs.bar_trades(fs.simulate_market(seed=1, n_symbols=1, n_bars=24).bars).to_frame().to_parquet(path)
    >>> [len(run) for run in fs.scan_trades(path, n_rows=5_000)]
    [5000, 5000, 1940]
    """
    check_path("path", path)
    if n_rows < 1:
        raise ConfigError(f"n_rows must be at least 1, got {n_rows}")
    path, boundary = Path(path), Boundary()
    for frame in scan_rows(path, TRADES, "trades", n_rows):
        with naming(path):
            run = Trades.from_frame(frame)
            boundary.check(run.time, run.ids, run.series)
        yield run


def _first(frame: pd.DataFrame, names: tuple[str, ...]) -> pd.Series | None:
    return next((frame[name] for name in names if name in frame), None)


def _numbers(values: pd.Series) -> np.ndarray:
    if values.dtype.kind in "iuf":
        return values.to_numpy(dtype=np.float64)
    numbers = pd.to_numeric(values.astype(str), errors="coerce")
    if numbers.isna().any():
        row = int(np.argmax(numbers.isna()))
        raise DataError(f"column {values.name} must hold numbers, got {str(values.iloc[row])[:40]!r} in row {row}; fix the column")
    return numbers.to_numpy(dtype=np.float64)


def _side(word: object) -> bool | None:
    return SIDES.get(str(word).strip().lower())


def _is_buy(side: pd.Series) -> np.ndarray:
    if side.dtype.kind == "b":
        bought = side.to_numpy(dtype=np.bool_)
    else:
        words = side.cat.categories if isinstance(side.dtype, pd.CategoricalDtype) else ()
        # Not every category need occur, so if one is not a side, the rows decide.
        usable = len(words) and all(_side(word) is not None for word in words)
        codes, labels = (side.cat.codes.to_numpy(), words) if usable else pd.factorize(side)
        known = [_side(label) for label in labels]
        wrong = [str(label) for label, value in zip(labels, known, strict=True) if value is None]
        if wrong or (codes < 0).any():
            got = repr(wrong[0][:40]) if wrong else f"{int((codes < 0).sum())} rows without one"
            raise DataError(f"column {side.name} must say buy or sell, or true or false, got {got}; fix the column")
        bought = np.array(known, dtype=np.bool_)[codes]
    # If the buyer was the maker, the taker sold.
    return ~bought if side.name == "is_buyer_maker" else bought
