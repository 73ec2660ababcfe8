"""Alerts of all detectors put together as cases: one symbol, one cool-down."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pandas as pd

from foreshock.data.bars import Bars
from foreshock.engine.scores import thin
from foreshock.engine.sources.source import Source
from foreshock.study.files.alerts import N_DRIVERS

DRIVERS = tuple(f"driver_{at + 1}" for at in range(N_DRIVERS))
# Marks of a source that are the value of what was traded.
TRADED = ("volume", "traded")


def cases_of(
    alerts: pd.DataFrame, bars: Bars, value: np.ndarray, cooldown: int, usual: int, digest: str
) -> tuple[pd.DataFrame, np.ndarray]:
    """One row for each case, by time and symbol, and the position of each alert's case.

    A case begins with an alert of any detector and holds every alert of its symbol that comes before the cool-down is over, as the
    events of a study do; the first alert after that begins the next case.

    Parameters
    ----------
    alerts : DataFrame
        As ``alerts_table`` returns it.
    bars : Bars
        Their prices.
    value : ndarray, shape (n_bars, n_symbols)
        Value traded in each row; NaN where not known.
    cooldown : int
        Length of the cool-down in rows.
    usual : int
        Number of rows before a case whose mean value is the usual one.
    digest : str
        Digest of the study, for the ids.

    Returns
    -------
    cases : DataFrame
        ``case_id symbol start stop detectors n_alerts``; ``tail_probability``, the smallest, ``rarest_detector``, whose it is, and
        ``largest_score`` of that detector, because scores of different detectors have no common unit; ``price_change`` from the
        close before the case to its last close; ``value`` traded in it and ``value_ratio`` over what is usual for as many rows;
        the drivers of the rarest alert that has any; and the moves after the first alert.
    of_alert : ndarray of int, shape (n_alerts,)
        Row of ``cases``.
    """
    rows = np.searchsorted(bars.time, alerts["time"].to_numpy(dtype="datetime64[us]"))
    cols = np.array([bars.symbols.index(name) for name in alerts["symbol"]], dtype=int)
    active = np.zeros(bars.shape, dtype=bool)
    active[rows, cols] = True
    first_rows, first_cols = np.nonzero(thin(active, cooldown))
    of_alert = np.full(len(alerts), -1)
    for col in range(bars.n_symbols):
        own = np.flatnonzero(first_cols == col)
        among = cols == col
        of_alert[among] = own[np.searchsorted(first_rows[own], rows[among], side="right") - 1] if len(own) else -1
    moves = [name for name in alerts.columns if name.startswith("move_")]
    found = []
    for case, (first, col) in enumerate(zip(first_rows.tolist(), first_cols.tolist(), strict=True)):
        mine = np.flatnonzero(of_alert == case)
        own = alerts.iloc[mine].assign(row=rows[mine]).sort_values(["row", "detector"], kind="stable")
        found.append(_case(own, bars, value, first, col, usual, digest, moves))
    empty = ["case_id", *_head(), *(f"{name}{end}" for name in DRIVERS for end in ("", "_added")), *moves]
    return (pd.DataFrame(found) if found else pd.DataFrame(columns=empty)), of_alert


def _head() -> tuple[str, ...]:
    seen = ("symbol", "start", "stop", "detectors", "n_alerts", "tail_probability", "rarest_detector", "largest_score")
    return (*seen, "price_change", "value", "value_ratio")


def _case(
    own: pd.DataFrame, bars: Bars, value: np.ndarray, first: int, col: int, usual: int, digest: str, moves: list[str]
) -> dict[str, object]:
    last = int(own["row"].max())
    start, symbol = bars.time[first], bars.symbols[col]
    # A tail that is not known is no rare one.
    rarest = own.iloc[int(np.argmin(own["tail_probability"].fillna(np.inf)))]
    detector = rarest["detector"]
    with_reason = own[own["driver_1"].notna()].sort_values("tail_probability", kind="stable")
    reason = with_reason.iloc[0] if len(with_reason) else rarest
    before = bars.close[first - 1, col] if first and not np.isnan(bars.close[first - 1, col]) else bars.open[first, col]
    traded = _total(value[first : last + 1, col])
    mean = _mean(value[max(first - usual, 0) : first, col]) * (last + 1 - first)
    return {
        "case_id": case_id(digest, symbol, start),
        "symbol": symbol,
        "start": start,
        "stop": bars.time[last] + bars.interval,
        "detectors": ", ".join(dict.fromkeys(own["detector"])),
        "n_alerts": len(own),
        "tail_probability": rarest["tail_probability"],
        "rarest_detector": detector,
        "largest_score": own.loc[own["detector"] == detector, "score"].max(),
        "price_change": bars.close[last, col] / before - 1,
        "value": traded,
        "value_ratio": traded / mean if mean > 0 else np.nan,
        **{f"{name}{end}": reason[f"{name}{end}"] for name in DRIVERS for end in ("", "_added")},
        **{name: own[name].iloc[0] for name in moves},
    }


def case_id(digest: str, symbol: str, start: np.datetime64) -> str:
    """Digest of the study's digest, the symbol and the time of the first alert.

    >>> case_id("9f2c", "BTC/USDT", np.datetime64("2024-01-01T00:00", "us"))
    '0ffe693a756b9d6b'
    """
    return hashlib.sha256(json.dumps([digest, symbol, str(start.astype("datetime64[us]"))]).encode()).hexdigest()[:16]


def traded_value(source: Source) -> np.ndarray:
    """Value traded in each row of a source, (n_rows, n_symbols); NaN where not known."""
    marks = source.marks or {}
    known = next((marks[name] for name in TRADED if name in marks), None)
    if known is not None:
        return known
    bars = source.bars
    return bars.extras["quote_volume"] if "quote_volume" in bars.extras else bars.close * bars.volume


def _total(values: np.ndarray) -> float:
    return float(np.nansum(values)) if not np.isnan(values).all() else np.nan


def _mean(values: np.ndarray) -> float:
    return float(np.nanmean(values)) if not np.isnan(values).all() else np.nan
