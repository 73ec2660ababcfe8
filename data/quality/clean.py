"""Cleaning: malformed bars are removed, unusual ones reported, and every case is counted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from foreshock.data.bars import FIELDS, Bars
from foreshock.data.checks import check_duration, check_type
from foreshock.data.doors.door import door
from foreshock.data.doors.kinds import ANYTHING
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.interval import Duration
from foreshock.data.quality.checks import jumps, outliers, stale, volume_units, zero_volume
from foreshock.data.quality.runs import runs_of
from foreshock.data.quality.set_apart import set_apart
from foreshock.data.quality.tables import mend_table
from foreshock.data.show.facts import Shown, counted
from foreshock.data.show.shown import shown
from foreshock.data.tables import bar_table

# What is done about each kind of finding.
DONE = {
    "unsorted": "sorted",
    "doubled": "last kept",
    "infinite": "removed",
    "not_positive": "removed",
    "negative_volume": "removed",
    "incomplete": "removed",
    "ohlc_violation": "removed",
    "relisted": "set apart",
    "unit": "set apart",
    "missing": "left unknown",
    "stale": "kept",
    "zero_volume": "kept",
    "volume_unit": "kept",
    "outlier": "kept",
    "jump": "kept",
}


@door
@dataclass(frozen=True, repr=False)
class QualityReport(Shown):
    """What ``clean`` found and did.

    Parameters
    ----------
    findings : DataFrame
        One row for each bar found: ``symbol``, ``time``, ``kind``, ``done``.
    bars : dict of str to int
        Number of known bars of each symbol after cleaning, 0 for a symbol that lost them all.
    gaps : dict of str to int
        Number of runs of missing bars between a symbol's first and last known bar.
    runs : DataFrame
        The same findings with neighbouring bars merged: ``symbol``, ``kind``, ``rows`` (number of bars), ``from`` and ``to`` (open
        of the first and last bar), ``found`` (in words) and ``done``; sorted by symbol, then by time.

    Examples
    --------
    >>> import foreshock as fs
    >>> table = fs.simulate_market(seed=1, n_symbols=1, n_bars=300).bars.to_frame().drop(index=[3, 4])
    >>> bars, report = fs.clean(table)
    >>> report
    QualityReport(1 symbol, 298 bars, 1 gap, 2 findings)
    >>> report.count("missing"), report.gaps
    (2, {'BTC/USDT': 1})
    """

    findings: pd.DataFrame
    bars: dict[str, int]
    gaps: dict[str, int]
    runs: pd.DataFrame

    def count(self, kind: str, symbol: str | None = None) -> int:
        """How many bars of a kind were found, in one symbol or in all.

        Raises
        ------
        ConfigError
            If there is no such kind or symbol.
        """
        check_type("kind", kind, str, f"one of {', '.join(DONE)}")
        for name, value, known in (("kind", kind, DONE), ("symbol", symbol, self.bars)):
            if value is not None and value not in known:
                raise ConfigError(f"no such {name}: {shown(value)}; expected one of {', '.join(known)}")
        rows = self.findings["kind"] == kind
        return int(rows.sum() if symbol is None else (rows & (self.findings["symbol"] == symbol)).sum())

    @property
    def table(self) -> pd.DataFrame:
        """One row per symbol: known bars, gaps, and the number of each kind of finding."""
        counts = self.findings.groupby(["symbol", "kind"]).size().unstack(fill_value=0)
        counts = counts.reindex(index=list(self.bars), columns=list(DONE), fill_value=0).astype(int)
        counts.insert(0, "n_bars", pd.Series(self.bars))
        counts.insert(1, "gaps", pd.Series(self.gaps))
        counts.index.name = "symbol"
        return counts

    def _facts(self) -> Iterator[str]:
        yield counted(len(self.bars), "symbol")
        yield counted(sum(self.bars.values()), "bar")
        yield counted(sum(self.gaps.values()), "gap")
        yield counted(len(self.findings), "finding")

    def _preview(self) -> pd.DataFrame:
        return self.table

    def to_frame(self) -> pd.DataFrame:
        """``table``: one row per symbol, with ``n_bars``, ``gaps`` and the number of each kind of finding."""
        return self.table


@door(bars=ANYTHING)
def clean(bars: Bars | pd.DataFrame, interval: Duration | None = None) -> tuple[Bars, QualityReport]:
    """Bars without malformed ones and with one series per symbol, and a report of every finding.

    Parameters
    ----------
    bars : Bars or DataFrame
        Bars, or a long table that ``read_bars`` would refuse.
    interval : str, optional
        Length of a bar in a table, such as ``"1h"``; by default the most common step. Bars have their own.

    Returns
    -------
    Bars, QualityReport
        No value is altered, and whether a bar is removed or set apart depends only on bars up to itself.

        *Removed*, so that they are NaN: ``infinite`` numbers, prices ``not_positive``, ``negative_volume``, bars ``incomplete``
        in their prices, and ``ohlc_violation`` (open or close above the high or below the low). The last valid one
        of ``doubled`` bars is kept, and ``unsorted`` bars are sorted.

        *Set apart*, as a separate symbol: ``relisted`` and ``unit``, by the rules of ``set_apart``.

        *Left unknown*: ``missing``, every unknown bar between a symbol's first and last known one, including those
        removed or set apart. Crypto markets never close, so the calendar of a symbol is every interval from its listing to its
        delisting; the report says whether other symbols traded meanwhile.

        *Kept*, because they may be real: ``stale``, ``zero_volume``, ``volume_unit``, ``outlier``, by the rules of
        ``foreshock.data.quality.checks``, and ``jump`` (a close of at least three times the last known one, or at most a third).

    Raises
    ------
    ConfigError
        If ``bars`` is neither, such as a path.
    DataError
        If a column is missing, a time or number cannot be read, a time is off the grid, or nothing is left.

    Examples
    --------
    >>> import foreshock as fs
    >>> import numpy as np
    >>> import pandas as pd
    >>> time = pd.date_range("2024-01-01", periods=7, freq="h")
    >>> table = pd.DataFrame({"time": time, "open": 2.0, "high": 2.0, "low": 2.0, "close": 2.0, "volume": 2.0}).drop(index=4)
    >>> table.loc[1, "low"], table.loc[2, "open"] = -1.0, np.inf
    >>> bars, report = fs.clean(table, "1h")
    >>> report.runs[["kind", "rows", "found", "done"]]
               kind  rows                        found          done
    0       missing     2                no bar for 2h  left unknown
    1  not_positive     1  had a price of zero or less       removed
    2      infinite     1       had an infinite number       removed
    3       missing     1                no bar for 1h  left unknown
    """
    if interval is not None:
        check_duration("interval", interval)
    found: list[pd.DataFrame] = []
    if isinstance(bars, pd.DataFrame):
        bars, found = mend_table(bar_table(bars), interval)
    elif not isinstance(bars, Bars):
        raise ConfigError(f"bars must be Bars or a table of them, got {shown(bars)}; read a file with fs.read_bars")
    high = np.maximum(bars.open, bars.close)
    low = np.minimum(bars.open, bars.close)
    violation = (bars.high < high) | (bars.low > low)
    if violation.any():
        found.append(_bars(bars, "ohlc_violation", np.where(violation, 1.0, np.nan)))
        changed = {name: np.where(violation, np.nan, getattr(bars, name)) for name in FIELDS}
        extras = {name: np.where(violation, np.nan, values) for name, values in bars.extras.items()}
        bars = replace(bars, **changed, extras=extras)
    if np.isnan(bars.close).all():
        raise DataError("no valid bar is left after cleaning; check the source")
    given, (bars, apart, sources) = bars, set_apart(bars)
    found += [_bars(given, kind, size) for kind, size in apart.items()]
    missing, gaps = _missing(bars, given, sources)
    strange = outliers(bars)
    for kind, size in (
        ("missing", missing),
        ("stale", stale(bars)),
        ("zero_volume", zero_volume(bars)),
        ("volume_unit", volume_units(bars)),
        ("outlier", strange),
        ("jump", jumps(bars, ~np.isnan(strange))),
    ):
        found.append(_bars(bars, kind, size))
    together = pd.concat([part for part in found if len(part)] or found[-1:], ignore_index=True)
    together["done"] = together["kind"].map(DONE)
    lost = dict.fromkeys((name for name in together["symbol"] if name not in bars.symbols), 0)
    known = dict(zip(bars.symbols, (~np.isnan(bars.close)).sum(axis=0).tolist(), strict=True))
    runs = runs_of(together, bars.interval, [*known, *lost], alone=given.n_symbols == 1)
    return bars, QualityReport(together[["symbol", "time", "kind", "done"]], known | lost, gaps | lost, runs)


def _missing(bars: Bars, given: Bars, sources: list[int]) -> tuple[np.ndarray, dict[str, int]]:
    """For each missing bar, the number of other given symbols known in it, NaN elsewhere; and the number of gaps by symbol."""
    known = ~np.isnan(bars.close)
    traded = ~np.isnan(given.close)
    others = traded.sum(axis=1, keepdims=True) - traded[:, sources]
    listed = (np.cumsum(known, axis=0) > 0) & (np.cumsum(known[::-1], axis=0)[::-1] > 0)
    missing = listed & ~known
    starts = missing & ~np.vstack([np.zeros((1, bars.n_symbols), bool), missing[:-1]])
    gaps = dict(zip(bars.symbols, starts.sum(axis=0).tolist(), strict=True))
    return np.where(missing, others, np.nan), gaps


def _bars(bars: Bars, kind: str, size: np.ndarray) -> pd.DataFrame:
    """One row for each bar whose size is known."""
    rows, cols = np.nonzero(~np.isnan(size))
    symbols = np.asarray(bars.symbols, dtype=object)[cols]
    return pd.DataFrame({"symbol": symbols, "time": bars.time[rows], "kind": kind, "size": size[rows, cols]})
