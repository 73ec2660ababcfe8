"""What past prices and past marks, such as volume, say about the activity to come: inputs of the forecasts of both rungs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit

from foreshock.data.bars import Bars
from foreshock.engine.kernels.rolling import rolling_max_nb, rolling_mean_nb
from foreshock.engine.statistics.variation import varies
from foreshock.engine.validation.moves.moves import moves_after, typical_move
from foreshock.engine.validation.rungs.seasons import hour_cells, season_inputs

WINDOWS = (1, 2, 3, 6, 12, 24, 72, 168)
# Horizons longer than 24 bars need longer windows: each is about this many times the one before.
STRETCH = 2.5
# Added to every ratio before its log, so that the log of an unchanged price is finite.
FLOOR = 0.05
NEVER = 500
# Inputs of which the mean over all symbols is one more input.
OF_THE_MARKET = ("abs1", "abs6", "abs24", "range1", "range6", "range24", "return1", "return24")
MARK_OF_THE_MARKET = ("1", "6", "24")
# Windows of net moves.
NET_WINDOWS = (6, 24, 168)


@dataclass(frozen=True)
class State:
    """Inputs of the forecasts at the close of each known bar, one line for each bar and symbol.

    Parameters
    ----------
    n_rows, n_symbols : int
        Shape of the history.
    row, symbol : ndarray of int, shape (n,)
        Where each line lies in the history.
    inputs : dict of str to ndarray, shape (n,)
        The price inputs, then those of the marks.
    n_price : int
        Number of price inputs.
    linear : frozenset of str
        Inputs of the linear part of a forecast; the others have a shape that only trees can use.
    target : ndarray, shape (n, n_horizons)
        log(path / typical move + horizon / 20) over the bars after each line; NaN where not known.
    horizons : tuple of int
        Horizons in bars.
    hour_cell : ndarray of int, shape (n,)
        Hour of the day on weekdays (0 to 23) or at weekends (24 to 47); for bars of a day or more the weekday.
    """

    n_rows: int
    n_symbols: int
    row: np.ndarray
    symbol: np.ndarray
    inputs: dict[str, np.ndarray]
    n_price: int
    linear: frozenset[str]
    target: np.ndarray
    horizons: tuple[int, ...]
    hour_cell: np.ndarray

    def names(self, marks: bool) -> list[str]:
        """Names of the inputs of a forecast, with those of the marks or without."""
        return list(self.inputs)[: None if marks else self.n_price]


def known_state(bars: Bars, horizons: Sequence[int], delay: int = 1, marks: Mapping[str, np.ndarray] | None = None) -> State:
    """Compute the inputs and targets of the forecasts.

    Parameters
    ----------
    bars : Bars
        The history.
    horizons : sequence of int
        Horizons in bars.
    delay : int
        Bars from a row to the first bar of its target.
    marks : dict of str to ndarray, shape (n_bars, n_symbols), optional
        What the second forecast also sees, at least 0; by default the volume in quote currency, unless the volume of every symbol
        is the same in all bars. Marks that do not vary or are not known are left out.
    """
    marks = telling(usual_marks(bars) if marks is None else marks)
    windows = _windows(bars.n_bars, max(horizons))
    typical = typical_move(bars)
    row, symbol = known_lines(bars)
    known = np.zeros(bars.shape, bool)
    known[row, symbol] = True
    own: dict[str, np.ndarray] = {}
    linear: set[str] = set()
    with np.errstate(divide="ignore", invalid="ignore"):
        market = _market_changes(bars, windows)
        # One symbol at a time: all inputs of all symbols on all rows would be far larger than those of the lines.
        for i in range(bars.n_symbols):
            lines = np.flatnonzero(symbol == i)
            if not lines.size:
                continue
            # Where many rows are known of other symbols alone, the rows before and after those of this one are left out.
            rows = slice(int(row[lines[0]]), int(row[lines[-1]]) + 1) if bars.broken else slice(None)
            one = bars.select(bars.symbols[i]).rows(rows)
            found, straight = _price_inputs(one, typical[[i]], windows, horizons, {w: moves[rows] for w, moves in market.items()})
            n_price = len(found)
            linear |= straight
            for name, values in marks.items():
                seen, straight = _mark_inputs(name, values[rows, i : i + 1], one, windows)
                found |= seen
                linear |= straight
            at = row[lines] - (rows.start or 0)
            for name, values in found.items():
                own.setdefault(name, np.empty(len(row)))[lines] = values[at, 0]
        price = {name: own[name] for name in list(own)[:n_price]}
        seen = {name: own[name] for name in list(own)[n_price:]}
        if bars.n_symbols > 1:
            for inputs, names in ((price, OF_THE_MARKET), (seen, [f"{mark}{k}" for mark in marks for k in MARK_OF_THE_MARKET])):
                for name in names:
                    dense = np.zeros(bars.shape)
                    dense[row, symbol] = inputs[name]
                    inputs[f"market_{name}"] = _across(dense, known)[row, 0]
                    linear.add(f"market_{name}")
        target = []
        for horizon in horizons:
            path = moves_after(bars, horizon, delay).path
            target.append(np.log(path / typical + FLOOR * horizon)[row, symbol])
    return State(
        bars.n_bars,
        bars.n_symbols,
        row,
        symbol,
        price | seen,
        len(price),
        frozenset(linear),
        np.column_stack(target),
        tuple(horizons),
        hour_cells(bars.time, bars.interval)[0][row],
    )


def _market_changes(bars: Bars, windows: Sequence[int]) -> dict[int, np.ndarray]:
    """Mean log change of all symbols over each of some windows, (n_bars, 1); nothing for one symbol."""
    found = {}
    for w in NET_WINDOWS if bars.n_symbols > 1 else ():
        if w <= windows[-1]:
            change = np.log(bars.close / earlier(bars.close, w, np.nan))
            found[w] = _across(np.nan_to_num(change), ~np.isnan(change))
    return found


def known_lines(bars: Bars) -> tuple[np.ndarray, np.ndarray]:
    """Row and symbol of each line of a state: the bars that are known of symbols whose price ever changed."""
    row, symbol = np.nonzero(~np.isnan(bars.close) & ~np.isnan(typical_move(bars)))
    return row, symbol


def usual_marks(bars: Bars) -> dict[str, np.ndarray]:
    """The volume in quote currency; nothing where volumes do not vary, because their value would be the price again."""
    return {"volume": bars.close * bars.volume} if telling({"volume": bars.volume}) else {}


def telling(marks: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The marks that are above 0 somewhere and vary in some column."""
    columns = {name: [column[~np.isnan(column)] for column in values.T] for name, values in marks.items()}
    return {
        name: marks[name]
        for name, found in columns.items()
        if any(column.max(initial=0.0) > 0 and varies(column) for column in found)
    }


def _windows(n_bars: int, longest: int) -> list[int]:
    """Windows up to seven times the longest horizon, and at most a twentieth of the history."""
    windows: list[int] = [*WINDOWS]
    while windows[-1] < 7 * longest:
        windows.append(min(round(STRETCH * windows[-1]), 7 * longest))
    return [window for window in windows if window <= max(n_bars // 20, 24)]


def _price_inputs(
    bars: Bars, typical: np.ndarray, windows: Sequence[int], horizons: Sequence[int], market: Mapping[int, np.ndarray]
) -> tuple[dict[str, np.ndarray], set[str]]:
    """Inputs of one symbol, each (n_rows, 1), and which of them belong to the linear part."""
    returns, spread = bars.returns(), np.log(bars.high / bars.low)
    size = np.abs(returns)
    usual = median_above_zero(spread)
    found: dict[str, np.ndarray] = {}
    for w in windows:
        found[f"abs{w}"] = logs(mean_known(size, w), typical)
        found[f"range{w}"] = logs(mean_known(spread, w), usual)
    roots = [w for w in (3, 6, 24, 96) if w <= windows[-1]] + [w for w in windows if w > 168]
    for w in roots:
        found[f"root{w}"] = logs(np.sqrt(mean_known(size**2, w)), typical)
    for k in (1, 2, 3, 4):
        found[f"abs_lag{k}"], found[f"range_lag{k}"] = earlier(found["abs1"], k), earlier(found["range1"], k)
    linear = set(found)
    for w in NET_WINDOWS:
        if w <= windows[-1]:
            change = np.log(bars.close / earlier(bars.close, w, np.nan))
            found[f"net{w}"] = logs(np.abs(change), typical * w**0.5)
            if w in market:
                found[f"apart{w}"] = logs(np.abs(change - market[w]), typical * w**0.5)
    linear |= set(found)
    for w in (6, 24, 72):
        found[f"largest{w}"] = logs(max_known(spread, w), usual)
    linear.add("largest6")
    unusual = np.nan_to_num(size / earlier(np.sqrt(mean_known(size**2, windows[-1])), 1, np.nan), posinf=0.0)
    for level in (2.5, 4.0):
        found[f"since{level}"], found[f"size{level}"] = since_nb(np.minimum(unusual, 15.0), level)
    found["zscore"] = np.minimum(np.nan_to_num(size / np.sqrt(mean_known(size**2, min(100, windows[-1]))), posinf=0.0), 10.0)
    for w in (1, 6, 24, 168):
        if w <= windows[-1]:
            change = np.log(bars.close / earlier(bars.close, w, np.nan))
            found[f"return{w}"] = np.clip(np.nan_to_num(change / (typical * w**0.5)), -15.0, 15.0)
    seasons = season_inputs(bars, found["range1"], found[f"range{windows[-1]}"], horizons)
    found |= seasons
    linear |= set(seasons)
    seconds = bars.time.astype("datetime64[s]").astype(np.int64)
    found["hour"] = np.broadcast_to((seconds / 3600 % 24)[:, None], bars.shape)
    found["hour_of_week"] = np.broadcast_to(((seconds / 3600 + 72) % 168)[:, None], bars.shape)
    return found, linear


def _mark_inputs(name: str, values: np.ndarray, bars: Bars, windows: Sequence[int]) -> tuple[dict[str, np.ndarray], set[str]]:
    usual = median_above_zero(values)
    found = {f"{name}{w}": logs(mean_known(values, w), usual) for w in windows}
    linear = set(found)
    for k in (1, 2, 3):
        found[f"{name}_lag{k}"] = earlier(found[f"{name}1"], k)
    for w in (6, 24):
        found[f"{name}_largest{w}"] = logs(max_known(values, w), usual)
    longest = windows[-1]
    away = found[f"{name}1"] - found[f"{name}{longest}"]
    spread = np.sqrt(mean_known((away - mean_known(away, longest)) ** 2, longest))
    unusual = np.nan_to_num(away / earlier(spread, 1, np.nan), posinf=0.0)
    found[f"{name}_since"], found[f"{name}_size"] = since_nb(np.minimum(unusual, 15.0), 2.5)
    base = found[f"{name}{longest}"]
    found[f"{name}_season"] = away - season_inputs(bars, found[f"{name}1"], base, ())["season0"]
    return found, linear


def logs(values: np.ndarray, usual: np.ndarray) -> np.ndarray:
    """Log of values over their usual size; values that are not known count as usual."""
    return np.log(np.where(np.isnan(values), 1.0, values / usual) + FLOOR)


def median_above_zero(values: np.ndarray) -> np.ndarray:
    """Median of the positive values of each column, NaN without any."""
    positive = [column[column > 0] for column in values.T]
    return np.array([np.median(column) if column.size else np.nan for column in positive])


def earlier(values: np.ndarray, k: int, fill: float = 0.0) -> np.ndarray:
    """Values k rows before."""
    out = np.full_like(values, fill)
    out[k:] = values[:-k]
    return out


def mean_known(values: np.ndarray, window: int) -> np.ndarray:
    """Mean of the known values of the last ``window`` rows, fewer at the start; NaN where none is known."""
    known = ~np.isnan(values)
    if window == 1:
        return values
    total, count = (_padded(rolling_mean_nb, filled, window, 0.0) for filled in (np.where(known, values, 0.0), known.astype(float)))
    # A mean of squares must not be negative by rounding.
    return np.where(count > 0.5 / window, np.maximum(total, min(0.0, np.nanmin(values, initial=0.0))) / count, np.nan)


def max_known(values: np.ndarray, window: int) -> np.ndarray:
    """Largest known value of the last ``window`` rows, fewer at the start; NaN where none is known."""
    out = _padded(rolling_max_nb, np.where(np.isnan(values), -np.inf, values), window, -np.inf)
    return np.where(np.isinf(out), np.nan, out)


def _padded(kernel: Callable[[np.ndarray, int, int], np.ndarray], values: np.ndarray, window: int, fill: float) -> np.ndarray:
    before = np.full((window - 1, values.shape[1]), fill)
    return kernel(np.concatenate([before, values]), window, 0)[window - 1 :]


def _across(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Mean over the known symbols of each row, shape (n_rows, 1)."""
    count = np.maximum(known.sum(axis=1, keepdims=True), 1)
    return np.where(known, values, 0.0).sum(axis=1, keepdims=True) / count


@njit(cache=True, error_model="numpy", nogil=True)
def since_nb(values: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Log of the rows since a value last exceeded ``level``, and that value; both (n_rows, n_symbols)."""
    n_rows, n_symbols = values.shape
    since, size = np.empty((n_rows, n_symbols)), np.empty((n_rows, n_symbols))
    for i in range(n_symbols):
        last, top = -NEVER, 0.0
        for t in range(n_rows):
            if values[t, i] > level:
                last, top = t, values[t, i]
            since[t, i] = np.log1p(min(t - last, NEVER))
            size[t, i] = top
    return since, size
