"""The inputs of the forecasts: formulas of past prices and marks, the same over a whole history and row by row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from foreshock.data.bars import Bars
from foreshock.engine.validation.moves.moves import typical_move
from foreshock.engine.validation.rungs.past import Past
from foreshock.engine.validation.rungs.seasons import season_inputs

WINDOWS = (1, 2, 3, 6, 12, 24, 72, 168)
# Horizons longer than 24 bars need longer windows: each is about this many times the one before.
STRETCH = 2.5
# Added to every ratio before its log, so that the log of an unchanged price is finite.
FLOOR = 0.05
# Windows of net moves.
NET_WINDOWS = (6, 24, 168)
# Inputs of which the mean over all symbols is one more input.
OF_THE_MARKET = ("abs1", "abs6", "abs24", "range1", "range6", "range24", "return1", "return24")
MARK_OF_THE_MARKET = ("1", "6", "24")


@dataclass(frozen=True)
class Scales:
    """What is usual of each symbol, and the windows: what the inputs take from a history as a whole.

    Parameters
    ----------
    typical : ndarray, shape (n_symbols,)
        Median absolute return of the bars in which the price changed; NaN for a symbol without inputs.
    spread : ndarray, shape (n_symbols,)
        Median positive log range.
    marks : dict of str to ndarray, shape (n_symbols,)
        Median positive value of each mark.
    windows : tuple of int
        Windows of the means, in bars.
    """

    typical: np.ndarray
    spread: np.ndarray
    marks: dict[str, np.ndarray]
    windows: tuple[int, ...]

    @classmethod
    def of(cls, bars: Bars, horizons: Sequence[int], marks: Mapping[str, np.ndarray]) -> Self:
        """The scales of a history."""
        usual = {name: median_above_zero(values) for name, values in marks.items()}
        with np.errstate(divide="ignore", invalid="ignore"):
            spread = median_above_zero(np.log(bars.high / bars.low))
        return cls(typical_move(bars), spread, usual, windows_of(bars.n_bars, max(horizons)))

    def one(self, i: int) -> Self:
        """Those of one symbol."""
        marks = {name: values[[i]] for name, values in self.marks.items()}
        return type(self)(self.typical[[i]], self.spread[[i]], marks, self.windows)


def windows_of(n_bars: int, longest: int) -> tuple[int, ...]:
    """Windows up to seven times the longest horizon, and at most a twentieth of the history."""
    windows: list[int] = [*WINDOWS]
    while windows[-1] < 7 * longest:
        windows.append(min(round(STRETCH * windows[-1]), 7 * longest))
    return tuple(window for window in windows if window <= max(n_bars // 20, 24))


def market_changes(close: np.ndarray, past: Past, windows: Sequence[int]) -> dict[int, np.ndarray]:
    """Mean log change of all symbols over each of some windows, (n_rows, 1); nothing for one symbol."""
    found = {}
    for w in NET_WINDOWS if close.shape[1] > 1 else ():
        if w <= windows[-1]:
            change = np.log(close / past.earlier(close, w, np.nan))
            found[w] = across(np.nan_to_num(change), ~np.isnan(change))
    return found


def price_inputs(
    high: np.ndarray,
    low: np.ndarray,
    close: np.ndarray,
    time: np.ndarray,
    scales: Scales,
    horizons: Sequence[int],
    market: Mapping[int, np.ndarray],
    past: Past,
) -> tuple[dict[str, np.ndarray], set[str]]:
    """Inputs of past prices, each (n_rows, n_symbols), and which of them belong to the linear part.

    Prices are (n_rows, n_symbols), ``time`` has the open of each row, ``market`` is that of ``market_changes``.
    """
    windows, typical = scales.windows, scales.typical
    returns, spread = np.log(close / past.earlier(close, 1, np.nan)), np.log(high / low)
    size = np.abs(returns)
    found: dict[str, np.ndarray] = {}
    for w in windows:
        found[f"abs{w}"] = logs(past.mean(size, w), typical)
        found[f"range{w}"] = logs(past.mean(spread, w), scales.spread)
    roots = [w for w in (3, 6, 24, 96) if w <= windows[-1]] + [w for w in windows if w > 168]
    for w in roots:
        found[f"root{w}"] = logs(np.sqrt(past.mean(size**2, w)), typical)
    for k in (1, 2, 3, 4):
        found[f"abs_lag{k}"], found[f"range_lag{k}"] = past.earlier(found["abs1"], k), past.earlier(found["range1"], k)
    linear = set(found)
    for w in NET_WINDOWS:
        if w <= windows[-1]:
            change = np.log(close / past.earlier(close, w, np.nan))
            found[f"net{w}"] = logs(np.abs(change), typical * w**0.5)
            if w in market:
                found[f"apart{w}"] = logs(np.abs(change - market[w]), typical * w**0.5)
    linear |= set(found)
    for w in (6, 24, 72):
        found[f"largest{w}"] = logs(past.largest(spread, w), scales.spread)
    linear.add("largest6")
    unusual = np.nan_to_num(size / past.earlier(np.sqrt(past.mean(size**2, windows[-1])), 1, np.nan), posinf=0.0)
    for level in (2.5, 4.0):
        found[f"since{level}"], found[f"size{level}"] = past.since(np.minimum(unusual, 15.0), level)
    found["zscore"] = np.minimum(np.nan_to_num(size / np.sqrt(past.mean(size**2, min(100, windows[-1]))), posinf=0.0), 10.0)
    for w in (1, 6, 24, 168):
        if w <= windows[-1]:
            change = np.log(close / past.earlier(close, w, np.nan))
            found[f"return{w}"] = np.clip(np.nan_to_num(change / (typical * w**0.5)), -15.0, 15.0)
    away = np.where(np.isnan(close), np.nan, found["range1"] - found[f"range{windows[-1]}"])
    seasons = season_inputs(past.season(away, horizons), horizons)
    found |= seasons
    linear |= set(seasons)
    seconds = time.astype("datetime64[s]").astype(np.int64)
    found["hour"] = np.broadcast_to((seconds / 3600 % 24)[:, None], close.shape)
    found["hour_of_week"] = np.broadcast_to(((seconds / 3600 + 72) % 168)[:, None], close.shape)
    return found, linear


def mark_inputs(
    name: str, values: np.ndarray, close: np.ndarray, scales: Scales, past: Past
) -> tuple[dict[str, np.ndarray], set[str]]:
    """Inputs of one mark, (n_rows, n_symbols), and which of them belong to the linear part."""
    windows, usual = scales.windows, scales.marks[name]
    found = {f"{name}{w}": logs(past.mean(values, w), usual) for w in windows}
    linear = set(found)
    for k in (1, 2, 3):
        found[f"{name}_lag{k}"] = past.earlier(found[f"{name}1"], k)
    for w in (6, 24):
        found[f"{name}_largest{w}"] = logs(past.largest(values, w), usual)
    longest = windows[-1]
    away = found[f"{name}1"] - found[f"{name}{longest}"]
    spread = np.sqrt(past.mean((away - past.mean(away, longest, -np.inf)) ** 2, longest))
    unusual = np.nan_to_num(away / past.earlier(spread, 1, np.nan), posinf=0.0)
    found[f"{name}_since"], found[f"{name}_size"] = past.since(np.minimum(unusual, 15.0), 2.5)
    found[f"{name}_season"] = away - season_inputs(past.season(np.where(np.isnan(close), np.nan, away), ()), ())["season0"]
    return found, linear


def logs(values: np.ndarray, usual: np.ndarray) -> np.ndarray:
    """Log of values over their usual size; values that are not known count as usual."""
    return np.log(np.where(np.isnan(values), 1.0, values / usual) + FLOOR)


def median_above_zero(values: np.ndarray) -> np.ndarray:
    """Median of the positive values of each column, NaN without any."""
    positive = [column[column > 0] for column in values.T]
    return np.array([np.median(column) if column.size else np.nan for column in positive])


def across(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Mean over the known symbols of each row, shape (n_rows, 1)."""
    count = np.maximum(known.sum(axis=1, keepdims=True), 1)
    return np.where(known, values, 0.0).sum(axis=1, keepdims=True) / count
