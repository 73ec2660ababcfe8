"""Cleaning of a long table of bars that ``read_bars`` would refuse: faulty rows, and the remaining bars."""

from __future__ import annotations

import numpy as np
import pandas as pd

from foreshock.data.bars import PRICES, Bars
from foreshock.data.errors import DataError
from foreshock.data.interval import Duration
from foreshock.data.tables import grid, refuse_longer_bars, regular_interval, steps_of

REMOVED = ("infinite", "not_positive", "negative_volume", "incomplete")


def mend_table(table: pd.DataFrame, interval: Duration | None) -> tuple[Bars, list[pd.DataFrame]]:
    """Bars of a ``bar_table``, and its faulty rows, each with ``symbol``, ``time`` and ``kind``."""
    prices, volume = table[list(PRICES)].to_numpy(), table["volume"].to_numpy()
    # A row without any number counts as a missing row.
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
    found = [_rows(table[rows], kind) for kind, rows in checks.items()]
    remove = np.any([empty, *(checks[kind] for kind in REMOVED)], axis=0)
    kept = table[~remove].sort_values("time", kind="stable")
    doubled = kept.duplicated(["symbol", "time"], keep="last")
    found.append(_rows(kept[doubled], "doubled"))
    kept = kept[~doubled].reset_index(drop=True)
    if not len(kept):
        raise DataError(f"no valid bar is left of {len(table)} rows; check the source")
    # A symbol that lost all its bars is no column; the others keep the order of the source.
    kept["symbol"] = kept["symbol"].cat.remove_unused_categories()
    step = regular_interval(kept, steps_of(kept), interval)
    columns = grid(kept, step)
    # Bars that were removed were there: without them, the others would look longer.
    source = table.drop_duplicates(["symbol", "time"]).sort_values("time", kind="stable")
    refuse_longer_bars(source, steps_of(source), step, asked=interval is not None)
    return Bars(**columns), found


def _rows(rows: pd.DataFrame, kind: str) -> pd.DataFrame:
    return rows[["symbol", "time"]].assign(symbol=rows["symbol"].astype(object), kind=kind, size=np.nan)
