"""One symbol on several exchanges, made one series that still says where each bar comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from foreshock.data.bars import FIELDS, PRICES
from foreshock.data.checks import check_type
from foreshock.data.errors import DataError
from foreshock.data.show.facts import Shown, counted
from foreshock.data.show.shown import few, shown


@dataclass(frozen=True, repr=False)
class MergedBars(Shown):
    """Bars of several exchanges as one.

    Parameters
    ----------
    table : Table
        ``time open high low close volume``; see ``merge_exchanges``.
    exchanges : tuple of str
    close, volume : ndarray of float64, shape (n_bars, n_exchanges)
        Of each exchange; NaN where it does not have the bar.
    """

    table: pa.Table
    exchanges: tuple[str, ...]
    close: np.ndarray
    volume: np.ndarray

    @property
    def n_exchanges(self) -> np.ndarray:
        """Exchanges that have the bar, shape (n_bars,)."""
        return (~np.isnan(self.close)).sum(axis=1)

    @property
    def spread(self) -> np.ndarray:
        """Highest close over the lowest, less one, shape (n_bars,): 0 where one exchange has the bar."""
        return np.nanmax(self.close, axis=1) / np.nanmin(self.close, axis=1) - 1

    def _facts(self) -> Iterator[str]:
        yield counted(len(self.close), "bar")
        yield f"of {few(self.exchanges)}"

    def to_frame(self) -> pd.DataFrame:
        """Columns ``time open high low close volume``, one row a bar; ``time`` as in ``table``."""
        return self.table.to_pandas()


def merge_exchanges(tables: Mapping[str, pa.Table]) -> MergedBars:
    """Median price and summed volume of the exchanges that have a bar.

    Parameters
    ----------
    tables : mapping of str to Table
        By exchange, bars as ``Store.read`` gives them, of one timeframe.

    Returns
    -------
    MergedBars
        Every bar that at least one exchange has. Open, high, low and close are each the median of the exchanges with that bar, of
        two the mean; since a median keeps order, low stays below and high above. An exchange whose bar lacks one of its prices
        does not have it. Volume is the sum of those known, NaN if none is.

    Raises
    ------
    DataError
        If there is no table, a column is missing, or times do not rise.

    Examples
    --------
    >>> def bar(price, volume):
    ...     return pa.table({"time": [0], **{name: [price] for name in PRICES}, "volume": [volume]})
    >>> merged = merge_exchanges({"binance": bar(100.0, 5.0), "bybit": bar(101.0, 2.0), "upbit": bar(180.0, 1.0)})
    >>> merged.table.to_pylist()[0]["close"], merged.table.to_pylist()[0]["volume"], round(float(merged.spread[0]), 3)
    (101.0, 8.0, 0.8)
    """
    check_type("tables", tables, Mapping, "the table of each exchange, by its name")
    if not tables:
        raise DataError("there is nothing to merge; give the bars of at least one exchange")
    times = {name: _times(name, table) for name, table in tables.items()}
    time = np.unique(np.concatenate(list(times.values())))
    values = np.full((len(FIELDS), len(time), len(tables)), np.nan)
    for i, (name, table) in enumerate(tables.items()):
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


def _times(name: str, table: pa.Table) -> np.ndarray:
    check_type(f"each of tables, {shown(name)},", table, pa.Table, "pass Arrow tables, as Store.read does")
    missing = {"time", *FIELDS} - set(table.column_names)
    if missing:
        raise DataError(f"{name}: missing column: {few(sorted(missing))}; give bars as Store.read does")
    time = table["time"].to_numpy()
    if (np.diff(time) <= 0).any():
        raise DataError(f"{name}: times must rise from row to row, got {time[np.argmax(np.diff(time) <= 0) + 1]} after a later one")
    return time


def _median(values: np.ndarray) -> np.ndarray:
    """Of the known values of each row; numpy's own takes row by row."""
    ascending = np.sort(values, axis=1)
    n_known = (~np.isnan(values)).sum(axis=1)
    rows = np.arange(len(values))
    lower, upper = ascending[rows, (n_known - 1) // 2], ascending[rows, n_known // 2]
    # The mean of two equal prices is that price, bit for bit.
    return lower + (upper - lower) / 2
