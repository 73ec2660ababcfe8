"""Findings merged into runs of neighbouring bars and described in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from foreshock.data.interval import format_duration

COLUMNS = ("symbol", "kind", "rows", "from", "to", "found", "done")
WORDS = {
    "unsorted": "stood after later bars",
    "doubled": "came again later in the source",
    "infinite": "had an infinite number",
    "not_positive": "had a price of zero or less",
    "negative_volume": "had a negative volume",
    "incomplete": "had some numbers and not others",
    "ohlc_violation": "had an open or close outside low to high",
    "stale": "repeat the bar before",
    "zero_volume": "no volume",
}


def runs_of(findings: pd.DataFrame, interval: np.timedelta64, symbols: Sequence[str], alone: bool) -> pd.DataFrame:
    """One row for each run of bars of one symbol and kind, at most one interval apart.

    Parameters
    ----------
    findings : DataFrame
        ``symbol``, ``time``, ``kind``, ``size``, ``done``.
    interval : timedelta64
        Length of a bar.
    symbols : sequence of str
        Symbols in the order of the result.
    alone : bool
        Whether there is only one symbol, so that nothing can be said about trading in others.
    """
    if not len(findings):
        return pd.DataFrame({name: pd.Series(dtype=object) for name in COLUMNS}).astype({"rows": np.int64})
    place = findings["symbol"].map({name: i for i, name in enumerate(symbols)})
    ordered = findings.assign(place=place).sort_values(["place", "kind", "time"], kind="stable")
    same = (ordered["place"] == ordered["place"].shift()) & (ordered["kind"] == ordered["kind"].shift())
    # A change of the unit, or another listing, begins a new run.
    apart = ordered["kind"].isin(["relisted", "unit"]) & (ordered["size"] != ordered["size"].shift())
    run = (~same | (ordered["time"].diff() > pd.Timedelta(interval)) | apart).cumsum()
    groups = ordered.groupby(run.to_numpy())
    runs = groups.agg(
        symbol=("symbol", "first"),
        kind=("kind", "first"),
        rows=("time", "size"),
        first=("time", "min"),
        last=("time", "max"),
        low=("size", "min"),
        high=("size", "max"),
        done=("done", "first"),
        place=("place", "first"),
    )
    runs = runs.sort_values(["place", "first"], kind="stable").reset_index(drop=True)
    columns = (runs[name] for name in ("kind", "rows", "low", "high"))
    runs["found"] = [_words(kind, rows, low, high, interval, alone) for kind, rows, low, high in zip(*columns, strict=True)]
    return runs.rename(columns={"first": "from", "last": "to"})[list(COLUMNS)]


def _words(kind: str, rows: int, low: float, high: float, interval: np.timedelta64, alone: bool) -> str:
    largest = high if high * low >= 1 else low
    if kind == "missing":
        others = "" if alone else ", no symbol traded" if high == 0 else f", others traded: up to {high:.0f}"
        return f"no bar for {format_duration(rows * interval)}{others}"
    if kind == "relisted":
        return f"after a day or more without a bar, a close {_times(largest)} the last one"
    if kind == "unit":
        return f"prices {_times(largest)} those before"
    if kind == "volume_unit":
        return f"volume {_times(largest)} what it should be, which is about the price: quote currency"
    if kind == "outlier":
        return f"a price {_times(largest)} those of both neighbours, on ordinary volume"
    if kind == "jump":
        return f"close {_times(largest)} the last known close"
    return WORDS[kind]


def _times(ratio: float) -> str:
    """A factor in words; one below 1 as a fraction."""
    size = max(ratio, 1 / ratio)
    written = f"{size:,.0f}" if size >= 100 else f"{size:.3g}"
    return f"{written} times" if ratio >= 1 else f"1/{written} of"
