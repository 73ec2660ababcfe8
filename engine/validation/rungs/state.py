"""What past prices and past marks, such as volume, say about the activity to come: inputs of the forecasts of both rungs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from foreshock.data.bars import Bars
from foreshock.engine.statistics.variation import varies
from foreshock.engine.validation.moves.moves import moves_after, typical_move
from foreshock.engine.validation.rungs.inputs import (
    FLOOR,
    MARK_OF_THE_MARKET,
    OF_THE_MARKET,
    Scales,
    across,
    mark_inputs,
    market_changes,
    price_inputs,
)
from foreshock.engine.validation.rungs.past import WholePast
from foreshock.engine.validation.rungs.seasons import hour_cells


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


def known_state(
    bars: Bars,
    horizons: Sequence[int],
    delay: int = 1,
    marks: Mapping[str, np.ndarray] | None = None,
    scales: Scales | None = None,
) -> State:
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
    scales : Scales, optional
        What is usual of each symbol, such as in an earlier history; by default in this one. Its marks are those that are seen.
    """
    if scales is None:
        marks = telling(usual_marks(bars) if marks is None else marks)
        scales = Scales.of(bars, horizons, marks)
    marks = marks or {}
    typical = scales.typical
    row, symbol = np.nonzero(~np.isnan(bars.close) & ~np.isnan(typical))
    known = np.zeros(bars.shape, bool)
    known[row, symbol] = True
    own: dict[str, np.ndarray] = {}
    linear: set[str] = set()
    with np.errstate(divide="ignore", invalid="ignore"):
        market = market_changes(bars.close, WholePast(bars.time, bars.interval), scales.windows)
        # One symbol at a time: all inputs of all symbols on all rows would be far larger than those of the lines.
        for i in range(bars.n_symbols):
            lines = np.flatnonzero(symbol == i)
            if not lines.size:
                continue
            # Where many rows are known of other symbols alone, the rows before and after those of this one are left out.
            rows = slice(int(row[lines[0]]), int(row[lines[-1]]) + 1) if bars.broken else slice(None)
            high, low, close = (np.ascontiguousarray(values[rows, i : i + 1]) for values in (bars.high, bars.low, bars.close))
            one, past = scales.one(i), WholePast(bars.time[rows], bars.interval)
            of_market = {w: moves[rows] for w, moves in market.items()}
            found, straight = price_inputs(high, low, close, past.time, one, horizons, of_market, past)
            n_price = len(found)
            linear |= straight
            for name in scales.marks:
                seen, straight = mark_inputs(name, np.ascontiguousarray(marks[name][rows, i : i + 1]), close, one, past)
                found |= seen
                linear |= straight
            at = row[lines] - (rows.start or 0)
            for name, values in found.items():
                own.setdefault(name, np.empty(len(row)))[lines] = values[at, 0]
        price = {name: own[name] for name in list(own)[:n_price]}
        seen = {name: own[name] for name in list(own)[n_price:]}
        if bars.n_symbols > 1:
            of_marks = [f"{mark}{k}" for mark in scales.marks for k in MARK_OF_THE_MARKET]
            for inputs, names in ((price, OF_THE_MARKET), (seen, of_marks)):
                for name in names:
                    dense = np.zeros(bars.shape)
                    dense[row, symbol] = inputs[name]
                    inputs[f"market_{name}"] = across(dense, known)[row, 0]
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
