"""Rows without names, as exchanges and other programs write them, and the market in the name of a file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from foreshock.data.errors import ConfigError, DataError
from foreshock.data.reading.kinds import shown_names
from foreshock.data.reading.limits import check_size
from foreshock.data.show.shown import shown
from foreshock.data.system.parsed import parse_json, read_limited

FIRST = ("time", "open", "high", "low", "close", "volume")
# The columns of files without a header, by who writes them; one without a name is not read.
LAYOUTS: dict[str, tuple[str, ...]] = {
    "ccxt": FIRST,
    "kraken": (*FIRST, "trades"),
    "binance": (*FIRST, "", "quote_volume", "count", "taker_buy_volume", "taker_buy_quote_volume", ""),
}
# BTC_USDT-1h and BTC_USDT_USDT-1h-futures, as freqtrade names its files.
MARKET = re.compile(r"([A-Z0-9]+)_([A-Z0-9]+)(?:_([A-Z0-9]+))?-\d+[smhdwM](?:-(?:spot|futures))?")


def symbol_of(stem: str) -> str:
    """The symbol in the name of a file, without its ending; the name itself if it is none of freqtrade's.

    >>> symbol_of("BTC_USDT-1h"), symbol_of("BTC_USDT_USDT-5m-futures"), symbol_of("BTCUSDT-1h")
    ('BTC/USDT', 'BTC/USDT:USDT', 'BTCUSDT-1h')
    """
    found = MARKET.fullmatch(stem)
    if found is None:
        return stem
    base, quote, settled = found.groups()
    return f"{base}/{quote}" + (f":{settled}" if settled else "")


def names_of_columns(columns: str | Sequence[str]) -> tuple[str, ...]:
    """The column names that a user passed, or those of a layout by its name.

    Raises
    ------
    ConfigError
        If it is neither.
    """
    if isinstance(columns, str):
        if columns not in LAYOUTS:
            raise ConfigError(f"columns must be names, or one of {', '.join(LAYOUTS)}, got {shown(columns)}")
        return LAYOUTS[columns]
    if not isinstance(columns, Sequence) or not columns or not all(isinstance(name, str) for name in columns):
        raise ConfigError(f"columns must be names, or one of {', '.join(LAYOUTS)}, got {shown(columns)}")
    return tuple(columns)


def read_json(path: Path, columns: tuple[str, ...] | None) -> pd.DataFrame:
    """Rows of a JSON file: a list of lists, as ccxt, freqtrade and Binance write them, or of objects with names.

    Parameters
    ----------
    path : Path
        The file.
    columns : tuple of str, optional
        Names of the values in a list; by default those of ccxt, and of Binance where a row has as many.

    Raises
    ------
    DataError
        If it is no such list; the message does not name the file.
    """
    try:
        content = read_limited(path)
        rows = parse_json(content)
    except ValueError as error:
        raise DataError(f"cannot be read as json: {error}; check that its content fits its name") from error
    # A number in a list takes some ten times what it takes in the file.
    check_size(10 * len(content), len(content), "takes")
    if not isinstance(rows, list) or not rows:
        raise DataError(f"a JSON file of bars must be a list of rows, got {shown(rows)}; pass such a list, or a CSV file")
    if all(isinstance(row, dict) for row in rows):
        return pd.DataFrame.from_records(rows)
    lengths = {len(row) if isinstance(row, list) else -1 for row in rows}
    if columns is None:
        columns = next((names for names in (LAYOUTS["ccxt"], LAYOUTS["binance"]) if lengths == {len(names)}), None)
    if columns is None or lengths != {len(columns)}:
        wrong = next((k for k, row in enumerate(rows) if not isinstance(row, list) or len(row) != len(columns or FIRST)), 0)
        raise DataError(
            f"every row of a JSON file must have the {len(columns or FIRST)} values {shown_names(columns or FIRST)}, got "
            f"{shown(rows[wrong])} in row {wrong}; name them with columns="
        )
    frame = pd.DataFrame(rows, columns=pd.RangeIndex(len(columns)))
    kept = [at for at, name in enumerate(columns) if name]
    return frame[kept].set_axis([columns[at] for at in kept], axis=1).apply(_numbers)


def _numbers(values: pd.Series) -> pd.Series:
    """Numbers that are written as text, as Binance does; what is none is left for the reader to name."""
    if values.dtype.kind in "iuf":
        return values
    wrong = next((k for k, value in enumerate(values) if isinstance(value, bool | list | dict)), None)
    if wrong is not None:
        raise DataError(f"column {values.name} must hold numbers, got {shown(values.iloc[wrong])} in row {wrong}; correct the file")
    found = pd.to_numeric(values, errors="coerce")
    return found if (found.notna() | values.isna()).all() else values
