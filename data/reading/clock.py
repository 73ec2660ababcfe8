"""Times of bars as clocks: each symbol's own step against that of the grid, and stamps of the close told from those of the open."""

from __future__ import annotations

import time as system
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from foreshock.data.errors import DataError
from foreshock.data.interval import format_duration

DAY = np.timedelta64(86_400_000_000, "us")
# A run of wide steps is that of longer bars if bars missing at random would show one in fewer than one of so many tables.
TABLES = 1e4
# Steps that, if they are all there are and all equal, are the symbol's own.
LEAST_EQUAL = 3
# Steps of a symbol that may be those of longer bars: its most common ones.
MOST_CANDIDATES = 8
# What a close is stamped before the open of the next bar: the last second, millisecond, microsecond or nanosecond of its bar.
LAST_MOMENTS = (1_000_000, 1_000, 1)
CLOSE_SHARE = 10


def latest_time() -> np.datetime64:
    """A day from now: a later time is none of a market, whatever clock or zone wrote it."""
    return np.datetime64(int(system.time() * 1e6), "us") + DAY


@dataclass(frozen=True)
class Steps:
    """The rows of a table of bars, symbol by symbol in the order of the table, and the steps between them.

    Parameters
    ----------
    order : ndarray of int or None
        Rows symbol by symbol, or None if they are already; if every time has every symbol, only the rows of the first one.
    codes : ndarray of int, shape (n_rows,)
        Number of the symbol of each ordered row.
    size : ndarray of int64, shape (n_rows - 1,)
        Microseconds from each ordered row to the next.
    within : ndarray of bool, shape (n_rows - 1,)
        Whether both rows are of one symbol.
    """

    order: np.ndarray | None
    codes: np.ndarray
    size: np.ndarray
    within: np.ndarray

    @classmethod
    def of(cls, time: np.ndarray, codes: np.ndarray) -> Steps:
        """The steps of a table's times and the numbers of its symbols, from 0 on."""
        n_symbols = by_time(time, codes)
        if n_symbols:
            # The steps of every symbol are those of the first one.
            order = np.arange(0, len(time), n_symbols)
            size = np.diff(time[order].view(np.int64))
            return cls(order, codes[order], size, np.ones(len(size), dtype=bool))
        codes = codes.astype(np.min_scalar_type(int(codes.max(initial=0))), copy=False)
        order = None if (codes[1:] >= codes[:-1]).all() else np.argsort(codes, kind="stable")
        if order is not None:
            time, codes = time[order], codes[order]
        return cls(order, codes, np.diff(time.view(np.int64)), codes[1:] == codes[:-1])

    def rows(self, wrong: np.ndarray) -> np.ndarray:
        """The rows of the table at the ends of some of the steps, ascending."""
        at = np.flatnonzero(wrong & self.within) + 1
        return at if self.order is None else np.sort(self.order[at])


def by_time(time: np.ndarray, codes: np.ndarray) -> int:
    """The number of symbols if the rows go time by time, ascending, each time with every symbol in the same order; otherwise 0."""
    n = int(codes.max(initial=0)) + 1
    if not len(codes) or len(codes) % n or np.bincount(codes[:n], minlength=n).max() > 1:
        return 0
    every = time[::n]
    if not (every[1:] > every[:-1]).all() or not (time.reshape(-1, n) == every[:, None]).all():
        return 0
    return n if (codes.reshape(-1, n) == codes[:n]).all() else 0


def longer_bars_in(
    steps: Steps, interval: np.timedelta64, time: np.ndarray, symbols: Sequence[str] | pd.Index, asked: bool = False
) -> str | None:
    """A sentence about bars of a table that are longer than the grid's, and so would be known before they end; none without such.

    A symbol's bars are longer if all of its steps, three or more, are the same two or more intervals, or if so many steps in a row
    are multiples of one that bars missing at random would hardly look like it.

    Parameters
    ----------
    steps : Steps
        The steps of a table whose times ascend in each symbol.
    interval : timedelta64[us]
        Length of a bar of the grid.
    time : ndarray of datetime64[us], shape (n_rows,)
        Times of the table.
    symbols : sequence or index of str
        Names by number.
    asked : bool
        Whether the user said the interval.
    """
    unit = int(interval.astype(np.int64))
    wide = steps.within & (steps.size >= 2 * unit)
    if not wide.any():
        return None
    edges = np.flatnonzero(~steps.within) + 1
    starts, stops = np.r_[0, edges], np.r_[edges, len(steps.codes)]
    n_wide = np.add.reduceat(np.r_[wide, False].astype(np.int64), starts)
    for start, stop in zip(starts[n_wide >= 2], stops[n_wide >= 2], strict=True):
        counts = steps.size[start : stop - 1] // unit
        found = longer_bars(counts[counts > 0])
        if found is None:
            continue
        multiple, first, length = found
        kept = start + np.r_[0, 1 + np.flatnonzero(counts > 0)]
        ends = kept[[first, first + length]]
        begin, end = (str(at) for at in time[ends if steps.order is None else steps.order[ends]])
        symbol, longer = symbols[int(steps.codes[start])], format_duration(multiple * interval)
        step = format_duration(interval)
        known = f"interval is {step}" if asked else f"the usual step of the table is {step}"
        return (
            f"{symbol} has bars of {longer} from {begin} to {end} ({length + 1} bars {longer} apart), but {known}: a longer bar "
            f"would be known before it ends; read bars of one length at a time, or resample the shorter ones to {longer}"
            + ("; if they are, leave interval out" if asked else "")
            + f" (if they are bars of {step} and the others did not trade, add those as rows without numbers)"
        )
    return None


def longer_bars(counts: np.ndarray) -> tuple[int, int, int] | None:
    """The length of longer bars among the steps of one symbol, counted in intervals, and the first and the number of their steps.

    >>> longer_bars(np.array([4, 4, 4, 4, 8, 4, 4, 4, 4])), longer_bars(np.array([1, 3, 1, 2, 7, 2, 2, 1]))
    ((4, 0, 9), None)
    """
    n = len(counts)
    if not n:
        return None
    if n >= LEAST_EQUAL and counts[0] > 1 and (counts == counts[0]).all():
        return int(counts[0]), 0, n
    wanted = np.log(TABLES * n)
    values, times = np.unique(counts[counts > 1], return_counts=True)
    for multiple in values[np.argsort(-times, kind="stable")][:MOST_CANDIDATES]:
        # Bars that are there at random with the share p have a step of m with (1 - p)^(m - 1) p, at most at p = 1 / m; and a
        # multiple of m less often than every m-th time.
        equal = -np.log((1 - 1 / multiple) ** (multiple - 1) / multiple)
        for mask, evidence in ((counts == multiple, equal), (counts % multiple == 0, np.log(multiple))):
            first, length = _longest_run(mask)
            if length * evidence > wanted:
                return int(multiple), first, length
    return None


def _longest_run(mask: np.ndarray) -> tuple[int, int]:
    """The first place and the length of the longest run of true values."""
    edges = np.flatnonzero(np.diff(np.r_[0, mask.astype(np.int8), 0]))
    lengths = edges[1::2] - edges[::2]
    at = int(np.argmax(lengths))
    return int(edges[2 * at]), int(lengths[at])


def refuse_closes(start: np.datetime64, interval: np.timedelta64) -> None:
    """Refuse a grid of the last moments of bars, such as 00:59:59.999, which are stamps of the close and not of the open."""
    unit = int(interval.astype(np.int64))
    left = -int(start.astype("datetime64[us]").astype(np.int64)) % unit
    if left in LAST_MOMENTS and left * CLOSE_SHARE <= unit:
        after = start + np.timedelta64(left, "us")
        opened, moment = after - interval, np.timedelta64(left, "us")
        raise DataError(
            f"times must be the opens of bars, got {start}, the last moment of the {format_duration(interval)} bar that opens at "
            f"{opened}: they are closes; pass the column of opens, or add {format_duration(moment)} and take off "
            f"{format_duration(interval)}"
        )
