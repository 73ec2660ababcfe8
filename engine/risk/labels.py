"""Checks of pandas labels: rows are matched by position, so contradicting labels are refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from foreshock.data.errors import ConfigError
from foreshock.data.show.shown import few


def named_series(name: str, given: object) -> dict[Any, Any]:
    """Convert a mapping of series, or the columns of a DataFrame, to a dict.

    >>> list(named_series("factors", pd.DataFrame({"market": [0.01], "size": [0.02]})))
    ['market', 'size']
    """
    if isinstance(given, pd.DataFrame):
        if not given.columns.is_unique:
            raise ConfigError(f"{name} must have columns of different names, got {few(given.columns)}; rename one")
        return {column: given[column] for column in given.columns}
    if not isinstance(given, Mapping):
        raise ConfigError(f"{name} must be a dict of name to series or a DataFrame, got {type(given).__name__}")
    return dict(given)


def check_same_index(series: Mapping[str, object]) -> None:
    """Refuse pandas Series with different indexes; arrays have no index and pass.

    >>> check_same_index({"a": pd.Series([0.1, 0.2]), "b": pd.Series([0.1, 0.2], index=[1, 2])})
    Traceback (most recent call last):
    ...
    foreshock.data.errors.ConfigError: the index of b must be that of a; row 0 is 1, expected 0; align them, or pass arrays
    """
    labelled = {name: value.index for name, value in series.items() if isinstance(value, pd.Series | pd.DataFrame)}
    if labelled:
        first, *rest = labelled
        for name in rest:
            check_index(name, labelled[name], labelled[first], f"that of {first}", "align them, or pass arrays")


def check_index(name: str, index: pd.Index, expected: pd.Index, of: str, hint: str) -> None:
    """Refuse an index that differs from the expected one, order included; times without a time zone count as UTC."""
    index, expected = _utc(index), _utc(expected)
    if index.equals(expected):
        return
    if len(index) != len(expected):
        what = f"it has {len(index)} rows, expected {len(expected)}"
    else:
        pairs = enumerate(zip(index, expected, strict=True))
        what = next((f"row {row} is {got}, expected {due}" for row, (got, due) in pairs if got != due), "their types differ")
    raise ConfigError(f"the index of {name} must be {of}; {what}; {hint}")


def _utc(index: pd.Index) -> pd.Index:
    if not isinstance(index, pd.DatetimeIndex):
        return index
    return index if index.tz is None else index.tz_convert("UTC").tz_localize(None)
