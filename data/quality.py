"""Cleaning: what is wrong with some bars, what was done about it, and every case countable."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from data.bars import FIELDS, PRICES, Bars
from data.errors import ConfigError, DataError
from data.files import bar_table, grid
from data.interval import Duration

STALE_BARS = 12
JUMP = np.log(3.0)

# Kind of finding: what was done about it.
DONE = {
    "unsorted": "sorted",
    "doubled": "last kept",
    "infinite": "removed",
    "not_positive": "removed",
    "negative_volume": "removed",
    "incomplete": "removed",
    "ohlc_violation": "removed",
    "missing": "left unknown",
    "stale": "kept",
    "zero_volume": "kept",
    "jump": "kept",
}


@dataclass(frozen=True)
class QualityReport:
    """What ``clean`` found and did.

    Parameters
    ----------
    findings : DataFrame
        One row for each bar found: ``symbol``, ``time``, ``kind``, ``done``.
    bars : dict of str to int
        Known bars of each symbol after cleaning, 0 for a symbol that lost them all.
    gaps : dict of str to int
        Runs of missing bars between a symbol's first and last known bar.
    """

    findings: pd.DataFrame
    bars: dict[str, int]
    gaps: dict[str, int]

    def count(self, kind: str, symbol: str | None = None) -> int:
        """How many bars of a kind were found, in one symbol or in all.

        Raises
        ------
        ConfigError
            If there is no such kind or symbol.
        """
        for name, value, known in (("kind", kind, DONE), ("symbol", symbol, self.bars)):
            if value is not None and value not in known:
                raise ConfigError(f"no such {name}: {value!r}; expected one of {', '.join(known)}")
        rows = self.findings["kind"] == kind
        return int(rows.sum() if symbol is None else (rows & (self.findings["symbol"] == symbol)).sum())

    @property
    def table(self) -> pd.DataFrame:
        """One row a symbol: known bars, gaps, and the number of each kind of finding."""
        counts = self.findings.groupby(["symbol", "kind"]).size().unstack(fill_value=0)
        counts = counts.reindex(index=list(self.bars), columns=list(DONE), fill_value=0).astype(int)
        counts.insert(0, "n_bars", pd.Series(self.bars))
        counts.insert(1, "gaps", pd.Series(self.gaps))
        counts.index.name = "symbol"
        return counts


def clean(bars: Bars | pd.DataFrame, interval: Duration | None = None) -> tuple[Bars, QualityReport]:
    """Bars with malformed ones removed, and a report of every one of them.

    Parameters
    ----------
    bars : Bars or DataFrame
        Bars, or a long table that ``read_bars`` would refuse.
    interval : str, optional
        Of a table; by default the most common step.

    Returns
    -------
    Bars, QualityReport
        Removed bars are NaN, as are missing ones; ``missing`` counts every unknown bar between a symbol's first and last known
        one, those removed among them. ``stale`` (12 or more bars in a row that only repeat the close before them),
        ``zero_volume`` and ``jump`` (threefold or more from one known close to the next: a relisted or redenominated symbol) are
        reported and kept, because they can be real.

    Raises
    ------
    ConfigError
        If ``bars`` is of another kind, such as a path.
    DataError
        If a column is missing, a time or number cannot be read, a time is off the grid, or nothing is left.
    """
    found: list[pd.DataFrame] = []
    if isinstance(bars, pd.DataFrame):
        bars = _mend_table(bar_table(bars), interval, found)
    elif not isinstance(bars, Bars):
        raise ConfigError(f"bars must be Bars or a table of them, got {bars!r}; read a file with fs.read_bars")
    high = np.maximum(bars.open, bars.close)
    low = np.minimum(bars.open, bars.close)
    violation = (bars.high < high) | (bars.low > low)
    if violation.any():
        _note(found, bars, violation, "ohlc_violation")
        changed = {name: np.where(violation, np.nan, getattr(bars, name)) for name in FIELDS}
        extras = {name: np.where(violation, np.nan, values) for name, values in bars.extras.items()}
        bars = replace(bars, **changed, extras=extras)
    known = ~np.isnan(bars.close)
    if not known.any():
        raise DataError("no valid bar is left after cleaning; check the source")
    listed = (np.cumsum(known, axis=0) > 0) & (np.cumsum(known[::-1], axis=0)[::-1] > 0)
    missing = listed & ~known
    _note(found, bars, missing, "missing")
    _note(found, bars, _stale(bars), "stale")
    _note(found, bars, known & (bars.volume == 0), "zero_volume")
    _note(found, bars, _jumps(bars), "jump")
    starts = missing & ~np.vstack([np.zeros((1, bars.n_symbols), bool), missing[:-1]])
    nothing = pd.DataFrame({"symbol": np.empty(0, object), "time": bars.time[:0], "kind": np.empty(0, object)})
    findings = pd.concat(found or [nothing], ignore_index=True)
    findings["done"] = findings["kind"].map(DONE)
    lost = dict.fromkeys(name for name in findings["symbol"] if name not in bars.symbols)
    counts = dict(zip(bars.symbols, known.sum(axis=0).tolist(), strict=True)) | dict.fromkeys(lost, 0)
    gaps = dict(zip(bars.symbols, starts.sum(axis=0).tolist(), strict=True)) | dict.fromkeys(lost, 0)
    return bars, QualityReport(findings, counts, gaps)


def _mend_table(table: pd.DataFrame, interval: Duration | None, found: list[pd.DataFrame]) -> Bars:
    prices, volume = table[list(PRICES)].to_numpy(), table["volume"].to_numpy()
    # A row without any number says no more than a missing row.
    empty = np.isnan(prices).all(axis=1) & np.isnan(volume)
    infinite = np.isinf(prices).any(axis=1) | np.isinf(volume)
    later = table.groupby("symbol")["time"].cummax().to_numpy() > table["time"].to_numpy()
    checks = {
        "unsorted": later,
        "infinite": infinite,
        "not_positive": (prices <= 0).any(axis=1) & ~infinite,
        "negative_volume": (volume < 0) & ~infinite,
        "incomplete": np.isnan(prices).any(axis=1) & ~empty,
    }
    remove = empty.copy()
    for kind, rows in checks.items():
        _note_rows(found, table[rows], kind)
        remove |= rows if DONE[kind] == "removed" else False
    kept = table[~remove].sort_values("time", kind="stable")
    doubled = kept.duplicated(["symbol", "time"], keep="last")
    _note_rows(found, kept[doubled], "doubled")
    kept = kept[~doubled]
    if not len(kept):
        raise DataError(f"no valid bar is left of {len(table)} rows; check the source")
    return grid(kept.reset_index(drop=True), interval)


def _note_rows(found: list[pd.DataFrame], rows: pd.DataFrame, kind: str) -> None:
    if len(rows):
        found.append(rows[["symbol", "time"]].assign(kind=kind))


def _note(found: list[pd.DataFrame], bars: Bars, mask: np.ndarray, kind: str) -> None:
    rows, cols = np.nonzero(mask)
    if rows.size:
        symbols = np.asarray(bars.symbols, dtype=object)[cols]
        found.append(pd.DataFrame({"symbol": symbols, "time": bars.time[rows], "kind": kind}))


def _stale(bars: Bars) -> np.ndarray:
    """Bars in runs of at least STALE_BARS with open = high = low = close = the close before."""
    same = (bars.high == bars.low) & ~np.isnan(bars.close)
    same[1:] &= bars.close[1:] == bars.close[:-1]
    same[0] = False
    out = np.zeros(bars.shape, bool)
    for i in range(bars.n_symbols):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], same[:, i].astype(np.int8), [0]])))
        for start, stop in zip(edges[::2], edges[1::2], strict=True):
            out[start:stop, i] = stop - start >= STALE_BARS
    return out


def _jumps(bars: Bars) -> np.ndarray:
    """Bars whose close is threefold the last known close or more, or a third or less."""
    out = np.zeros(bars.shape, bool)
    for i in range(bars.n_symbols):
        rows = np.flatnonzero(~np.isnan(bars.close[:, i]))
        moved = np.abs(np.diff(np.log(bars.close[rows, i]))) >= JUMP
        out[rows[1:][moved], i] = True
    return out
