"""Bars of several exchanges, merged into one market; of one symbol with the close and volume of each exchange."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import pandas as pd
import pyarrow as pa

from foreshock.data.bars import FIELDS, PRICES, Bars
from foreshock.data.checks import check_type
from foreshock.data.doors.door import door
from foreshock.data.doors.kinds import ANYTHING
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.interval import format_duration
from foreshock.data.show.facts import Shown, counted
from foreshock.data.show.shown import few, shown


@dataclass(frozen=True, repr=False)
class MergedBars(Shown):
    """Bars of one symbol on several exchanges, merged into one series.

    Parameters
    ----------
    table : Table
        The merged bars, ``time open high low close volume``; see ``merge_exchanges``.
    exchanges : tuple of str
        Name of each column of ``close`` and ``volume``.
    close, volume : ndarray of float64, shape (n_bars, n_exchanges)
        Close and volume on each exchange; NaN where it does not have the bar.

    Examples
    --------
    >>> import foreshock as fs
    >>> import pyarrow as pa
    >>> bar = {"time": [0], "open": [100.0], "high": [100.0], "low": [100.0], "close": [100.0], "volume": [5.0]}
    >>> merged = fs.merge_exchanges({"binance": pa.table(bar), "bybit": pa.table(bar | {"time": [60_000]})})
    >>> merged
    MergedBars(2 bars, of binance, bybit)
    >>> merged.n_exchanges, merged.volume.tolist()
    (array([1, 1]), [[5.0, nan], [nan, 5.0]])
    """

    table: pa.Table
    exchanges: tuple[str, ...]
    close: np.ndarray
    volume: np.ndarray

    @property
    def n_exchanges(self) -> np.ndarray:
        """Number of exchanges that have the bar, shape (n_bars,)."""
        return (~np.isnan(self.close)).sum(axis=1)

    @property
    def spread(self) -> np.ndarray:
        """Highest close divided by the lowest, minus one, shape (n_bars,); 0 where only one exchange has the bar."""
        return np.nanmax(self.close, axis=1) / np.nanmin(self.close, axis=1) - 1

    def _facts(self) -> Iterator[str]:
        yield counted(len(self.close), "bar")
        yield f"of {few(self.exchanges)}"

    def to_frame(self) -> pd.DataFrame:
        """Columns ``time open high low close volume``, one row per bar; ``time`` as in ``table``."""
        return self.table.to_pandas()


@overload
def merge_exchanges(tables: Mapping[str, Bars]) -> Bars: ...
@overload
def merge_exchanges(tables: Mapping[str, pa.Table]) -> MergedBars: ...
@door(tables=ANYTHING)
def merge_exchanges(tables: Mapping[str, pa.Table] | Mapping[str, Bars]) -> MergedBars | Bars:
    """Median price and summed volume of the exchanges that have a bar.

    Parameters
    ----------
    tables : mapping of str to Table or Bars
        Bars of each exchange by its name, all of one length: of one symbol as ``Store.read`` returns them, or ``Bars`` of any
        symbols, which an exchange need not all have.

    Returns
    -------
    MergedBars, or Bars if Bars are passed
        Bars have every symbol of any exchange, from the first bar of all to the last; a bar is NaN where no exchange has it,
        however long an exchange was silent. They have no extras, which have no common meaning. MergedBars have
        Every bar that at least one exchange has. Open, high, low and close are medians over the exchanges with that bar (the mean
        of two); a median keeps order, so low stays below and high above the others. An exchange whose bar lacks one of its prices
        counts as not having it. Volume is the sum of the known volumes, NaN if none is known.

    Raises
    ------
    ConfigError
        If bars have different lengths.
    DataError
        If there is no table, a column is missing, times do not rise, or bars of two exchanges open at different times.

    Examples
    --------
    >>> import foreshock as fs
    >>> import pyarrow as pa
    >>> def bar(price, volume):
    ...     return pa.table({"time": [0], **dict.fromkeys(("open", "high", "low", "close"), [price]), "volume": [volume]})
    >>> merged = fs.merge_exchanges({"binance": bar(100.0, 5.0), "bybit": bar(101.0, 2.0), "upbit": bar(180.0, 1.0)})
    >>> merged.table.to_pylist()[0]["close"], merged.table.to_pylist()[0]["volume"], round(float(merged.spread[0]), 3)
    (101.0, 8.0, 0.8)
    """
    check_type("tables", tables, Mapping, "the table of each exchange, by its name")
    if not tables:
        raise DataError("there is nothing to merge; pass the bars of at least one exchange")
    of_bars = {name: one for name, one in tables.items() if isinstance(one, Bars)}
    if of_bars:
        strange = next((name for name in tables if name not in of_bars), None)
        if strange is not None:
            raise ConfigError(f"tables must be Bars for every exchange or for none, got both ({shown(strange)} is none); pass Bars")
        return _merged(of_bars)
    times = {name: _times(name, table) for name, table in tables.items()}
    time = np.unique(np.concatenate(list(times.values())))
    values = np.full((len(FIELDS), len(time), len(tables)), np.nan)
    given: Mapping[str, Any] = tables
    for i, (name, table) in enumerate(given.items()):
        rows = np.searchsorted(time, times[name])
        for j, field in enumerate(FIELDS):
            values[j, rows, i] = table[field].to_numpy()
    values[:, np.isnan(values[: len(PRICES)]).any(axis=0)] = np.nan
    kept = ~np.isnan(values[0]).all(axis=1)
    time, values = time[kept], values[:, kept]
    prices = {field: _median(values[j]) for j, field in enumerate(PRICES)}
    volume = np.where(np.isnan(values[-1]).all(axis=1), np.nan, np.nansum(values[-1], axis=1))
    merged = pa.table({"time": time, **prices, "volume": volume})
    return MergedBars(merged, tuple(tables), values[FIELDS.index("close")], values[-1])


def _merged(found: Mapping[str, Bars]) -> Bars:
    interval = next(iter(found.values())).interval
    if any(bars.interval != interval for bars in found.values()):
        raise ConfigError("bars of several exchanges must have one interval to be merged; load them alike")
    begin = min(bars.time[0] for bars in found.values())
    for name, bars in found.items():
        if (bars.time[0] - begin) % interval:
            raise DataError(
                f"{name}: bars must open when those of the other exchanges do, got {bars.time[0]} beside {begin} with bars of "
                f"{format_duration(interval)}; load them alike"
            )
    broken = any(bars.broken for bars in found.values())
    end = max(bars.time[-1] for bars in found.values())
    everywhere = np.unique(np.concatenate([bars.time for bars in found.values()]))
    time = everywhere if broken else np.arange(begin, end + interval, interval)
    rows = {name: np.searchsorted(time, bars.time) for name, bars in found.items()}
    symbols = tuple(dict.fromkeys(symbol for bars in found.values() for symbol in bars.symbols))
    merged: dict[str, Any] = {field: np.full((len(time), len(symbols)), np.nan) for field in FIELDS}
    for k, symbol in enumerate(symbols):
        having = {name: bars for name, bars in found.items() if symbol in bars.symbols}
        values = np.full((len(FIELDS), len(time), len(having)), np.nan)
        for i, (name, bars) in enumerate(having.items()):
            for j, field in enumerate(FIELDS):
                values[j, rows[name], i] = getattr(bars, field)[:, bars.symbols.index(symbol)]
        # The volume of a bar that an exchange lacks says nothing.
        values[-1, np.isnan(values[0])] = np.nan
        for j, field in enumerate(PRICES):
            merged[field][:, k] = _median(values[j])
        merged["volume"][:, k] = np.where(np.isnan(values[-1]).all(axis=1), np.nan, np.nansum(values[-1], axis=1))
    return Bars(time, symbols, **merged, interval=interval, broken=broken)


def _times(name: str, table: pa.Table) -> np.ndarray:
    check_type(f"each of tables, {shown(name)},", table, pa.Table, "pass Arrow tables, as Store.read does")
    missing = {"time", *FIELDS} - set(table.column_names)
    if missing:
        raise DataError(f"{name}: missing column: {few(sorted(missing))}; pass bars as Store.read returns them")
    time = table["time"].to_numpy()
    if (np.diff(time) <= 0).any():
        raise DataError(f"{name}: times must rise from row to row, got {time[np.argmax(np.diff(time) <= 0) + 1]} after a later one")
    return time


def _median(values: np.ndarray) -> np.ndarray:
    """Median of the known values of each row; ``np.nanmedian`` would loop over the rows."""
    ascending = np.sort(values, axis=1)
    n_known = (~np.isnan(values)).sum(axis=1)
    rows = np.arange(len(values))
    lower, upper = ascending[rows, (n_known - 1) // 2], ascending[rows, n_known // 2]
    # In this form, the mean of two equal prices is that price, bit for bit.
    return lower + (upper - lower) / 2
