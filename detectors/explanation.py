"""What each feature added to a score: the score of a row, and its scores with one feature at a time at its typical value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from foreshock.data.checks import check_type
from foreshock.data.errors import ConfigError
from foreshock.data.show.shown import few, shown
from foreshock.engine.features.features import Features

# What calling a detector once costs, in rows that it could score instead.
CALL_IN_ROWS = 1_000
Score = Callable[[Features], np.ndarray]


def check_places(features: Features, rows: Any, symbols: Any) -> tuple[np.ndarray, np.ndarray]:
    """Rows and symbols as arrays of positions, refused if they do not lie within the features."""
    check_type("features", features, Features, "make them with fs.ohlcv_features(bars)")
    found = []
    for what, given, n in (("rows", rows, features.n_rows), ("symbols", symbols, len(features.symbols))):
        try:
            places = np.asarray(given)
        except ValueError:
            places = np.array([None])
        whole = places.ndim == 1 and (places.dtype.kind in "iu" or not places.size)
        if not whole or (places.size and not 0 <= places.min() <= places.max() < n):
            raise ConfigError(f"{what} to explain must be positions from 0 to {n - 1}, one for each alert, got {shown(given)}")
        found.append(places.astype(np.int64))
    if len(found[0]) != len(found[1]):
        raise ConfigError(f"rows and symbols to explain must be equally many, got {len(found[0])} and {len(found[1])}")
    return found[0], found[1]


def row_at(features: Features, row: Any) -> int:
    """Position of a row, given as a position, of which negative ones count from the end, or as the time of its open."""
    check_type("features", features, Features, "make them with fs.ohlcv_features(bars)")
    n = features.n_rows
    if isinstance(row, int | np.integer) and not isinstance(row, bool):
        if -n <= row < n:
            return int(row) % n
        raise ConfigError(f"row must lie between {-n} and {n - 1}, got {row}")
    try:
        time = pd.Timestamp(row)
        wanted = (time if time.tzinfo is None else time.tz_convert(None)).to_datetime64()
        found = np.flatnonzero(features.time == wanted)
    except (ValueError, TypeError):
        raise ConfigError(f"row must be a position or the time of a row, got {shown(row)}; such as -1") from None
    if not len(found):
        raise ConfigError(f"no row opens at {shown(row)}; the rows open from {features.time[0]} to {features.time[-1]}")
    return int(found[0])


def symbol_at(features: Features, symbol: str | None) -> int:
    """Position of a symbol, which may be left out if there is but one."""
    if symbol is None and len(features.symbols) == 1:
        return 0
    if symbol not in features.symbols:
        raise ConfigError(f"symbol must be one of {few(features.symbols)}, got {shown(symbol)}")
    return features.symbols.index(symbol)


def medians(features: Features) -> dict[str, Any]:
    """Median of the known rows of each symbol and feature, with their names; NaN where no row is known."""
    known = np.logical_not(np.isnan(features.values)).any(axis=0)
    # numpy warns about columns without a known row, so they are filled with zeros first.
    filled = np.where(known, features.values, 0.0)
    values = np.where(known, np.nanmedian(filled, axis=0) if len(filled) else np.nan, np.nan)
    return {"symbols": features.symbols, "names": features.names, "values": values}


def typical_of(learned: dict[str, Any] | None, features: Features, first: int) -> np.ndarray:
    """Typical values, (n_symbols, n_features): the learned medians, or else those of the rows before ``first``."""
    if learned is None or tuple(learned["names"]) != features.names:
        learned = medians(features.rows(slice(0, first)))
    places = [learned["symbols"].index(name) if name in learned["symbols"] else -1 for name in features.symbols]
    return np.vstack([learned["values"], np.full((1, len(features.names)), np.nan)])[places]


def variants(x: np.ndarray, typical: np.ndarray) -> list[np.ndarray]:
    """The rows (n, n_features), and copies of them with one feature at a time at its typical value.

    >>> [part.tolist() for part in variants(np.array([[1.0, 2.0]]), np.zeros((1, 2)))]
    [[[1.0, 2.0]], [[0.0, 2.0]], [[1.0, 0.0]]]
    """
    found = [x]
    for j in range(x.shape[1]):
        other = x.copy()
        other[:, j] = typical[:, j]
        found.append(other)
    return found


def replaced_scores(
    score: Score, lookback: int, market_wide: bool, features: Features, rows: np.ndarray, symbols: np.ndarray, typical: np.ndarray
) -> np.ndarray:
    """Scores of rows as they are, and with one feature at a time at its typical value, (n, 1 + n_features).

    Rows that do not see each other are scored together, on one copy of the history; where that would be slower, each row is
    scored alone, after its lookback.

    Parameters
    ----------
    score : callable
        From features to scores, (n_rows, n_symbols).
    lookback : int
        Rows before a row that its score depends on.
    market_wide : bool
        Whether a symbol's score depends on other symbols.
    features : Features
    rows, symbols : ndarray of int64, shape (n,)
        Places of the scores.
    typical : ndarray, shape (n_symbols, n_features)
    """
    n, n_features = len(rows), len(features.names)
    out = np.full((n, 1 + n_features), np.nan)
    if not n:
        return out
    groups = _apart(rows, np.zeros_like(symbols) if market_wide else symbols, lookback)
    n_groups, start = int(groups.max()) + 1, max(int(rows.min()) - lookback, 0)
    span = int(rows.max()) + 1 - start
    if n_groups * (span + CALL_IN_ROWS) <= n * (lookback + 1 + CALL_IN_ROWS):
        parts = [(np.flatnonzero(groups == k), start, start + span) for k in range(n_groups)]
    else:
        parts = [(np.array([i]), max(int(rows[i]) - lookback, 0), int(rows[i]) + 1) for i in range(n)]
    for chosen, first, stop in parts:
        part = features.rows(slice(first, stop))
        at, cols = rows[chosen] - first, symbols[chosen]
        for k in range(1 + n_features):
            values = part.values.copy()
            if k:
                values[at, cols, k - 1] = typical[cols, k - 1]
            changed = Features(part.time, part.symbols, part.names, values, part.interval)
            out[chosen, k] = score(changed)[at, cols]
    return out


def _apart(rows: np.ndarray, lanes: np.ndarray, lookback: int) -> np.ndarray:
    """A number for each place, so that places of one number and lane are more than ``lookback`` rows apart.

    >>> _apart(np.array([1, 2, 9]), np.array([0, 0, 0]), 3).tolist()
    [0, 1, 0]
    """
    group = np.zeros(len(rows), dtype=np.int64)
    for lane in np.unique(lanes):
        newest: list[int] = []
        places = np.flatnonzero(lanes == lane)
        for i in places[np.argsort(rows[places], kind="stable")]:
            free = next((k for k, row in enumerate(newest) if rows[i] - row > lookback), len(newest))
            newest[free : free + 1] = [int(rows[i])]
            group[i] = free
    return group
