"""Long tables that a page can filter, sort, page through and export as CSV; only the rows in view are drawn."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from foreshock.reports.parts import format as fmt
from foreshock.reports.parts.tables import Column
from foreshock.reports.study.order import strategy_kind
from foreshock.strategies.identity import RANDOM

MINUTE = np.timedelta64(1, "m")


@dataclass(frozen=True)
class Records:
    """A long table for the template and ``records.js``.

    Parameters
    ----------
    name, caption, file : str
        Id of the element, caption of the table, and file name of the CSV.
    n : int
        Number of rows.
    columns : tuple of Column
        Headings.
    document : str
        JSON: ``columns`` of ``label``, ``unit``, ``kind`` and values. Names are listed once and referred to by number, times are in
        minutes since 1970, numbers are given as values (for sorting and CSV) and as text.
    """

    name: str
    caption: str
    file: str
    n: int
    columns: tuple[Column, ...]
    document: str


def trade_records(trades: pd.DataFrame, results: Mapping[str, Any]) -> Records | None:
    """Closed trades of every strategy except random timing, the last closed first; None if there are no trades.

    Parameters
    ----------
    trades : DataFrame
        Column ``strategy`` and the columns of ``closed_trades``.
    results : dict
        Content of results.json.
    """
    shown = trades[[strategy_kind(str(name), results) != RANDOM for name in trades["strategy"]]] if len(trades) else trades
    if not len(shown):
        return None
    shown = shown.sort_values("closed", kind="stable", ascending=False)
    held = (shown["closed"] - shown["opened"]).to_numpy() / np.timedelta64(1, "h")
    columns = [
        _names("Strategy", shown["strategy"]),
        _names("Symbol", shown["symbol"]),
        _names("Side", shown["side"]),
        _times("Opened", shown["opened"]),
        _times("Closed", shown["closed"]),
        _numbers("Held", "hours", held, fmt.number),
        _numbers("Entered", "of starting equity", shown["entered"].to_numpy(), fmt.percent),
        _numbers("Profit", "of starting equity", shown["profit"].to_numpy(), lambda value: fmt.percent(value, 3)),
        _numbers("Return", "after costs", shown["net_return"].to_numpy(), lambda value: fmt.percent(value, 2)),
    ]
    n = fmt.count(len(shown))
    caption = f"Closed trades after fees and slippage, without positions still held at the end; n = {n}"
    document = json.dumps({"columns": columns}, separators=(",", ":"), allow_nan=False)
    heads = tuple(Column(column["label"], column["unit"], column["kind"]) for column in columns)
    return Records("trades", caption, "trades.csv", len(shown), heads, document)


def _names(label: str, values: pd.Series) -> dict[str, Any]:
    codes, names = pd.factorize(values.astype(str))
    return {"label": label, "unit": "", "kind": "text", "names": [str(name) for name in names], "values": codes.tolist()}


def _times(label: str, values: pd.Series) -> dict[str, Any]:
    minutes = (values.to_numpy().astype("datetime64[us]") - np.datetime64(0, "us")) // MINUTE
    return {"label": label, "unit": "UTC", "kind": "time", "values": minutes.astype(np.int64).tolist()}


def _numbers(label: str, unit: str, values: np.ndarray, write: Callable[[float], str]) -> dict[str, Any]:
    known = [float(f"{value:.8g}") if np.isfinite(value) else None for value in values.tolist()]
    return {"label": label, "unit": unit, "kind": "number", "values": known, "texts": [write(value) for value in values.tolist()]}
