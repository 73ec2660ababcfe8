"""Runs of rows of several symbols on one grid, without the rows on which no symbol is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Unknown rows between two runs that lie further apart, so that no lookback crosses the break.
APART = 400


@dataclass(frozen=True)
class Layout:
    """Where runs of rows lie.

    Parameters
    ----------
    rows : ndarray of int64, shape (n_rows,)
        Number of each row on the grid of whole intervals since 1970, ascending.
    offset, length, column : tuple of int
        First place, number of rows and column of each run.
    n_columns : int
        Number of columns.
    """

    rows: np.ndarray
    offset: tuple[int, ...]
    length: tuple[int, ...]
    column: tuple[int, ...]
    n_columns: int

    @property
    def broken(self) -> bool:
        """Whether rows are left out somewhere."""
        return bool((np.diff(self.rows) > 1).any())

    def time(self, interval: np.timedelta64) -> np.ndarray:
        """Time of each row, datetime64[us]."""
        return (self.rows * interval.astype("timedelta64[us]").astype(np.int64)).astype("datetime64[us]")

    def place(self, runs: Sequence[np.ndarray]) -> np.ndarray:
        """The values of each run, (length, ...), in an array (n_rows, n_columns, ...); NaN elsewhere. A run may be cut short."""
        out = np.full((len(self.rows), self.n_columns, *runs[0].shape[1:]), np.nan)
        for values, offset, column in zip(runs, self.offset, self.column, strict=True):
            out[offset : offset + len(values), column] = values
        return out

    def begun(self, n: int) -> list[int]:
        """The runs that begin in the first ``n`` rows; they need not be the first runs."""
        return [k for k, offset in enumerate(self.offset) if offset < n]

    def head(self, n: int) -> Layout:
        """The first ``n`` rows, with the runs that begin in them."""
        kept = self.begun(n)
        length = tuple(min(self.length[k], n - self.offset[k]) for k in kept)
        offset, column = (tuple(values[k] for k in kept) for values in (self.offset, self.column))
        return Layout(self.rows[:n], offset, length, column, self.n_columns)


def lay_out(first: Sequence[int], length: Sequence[int], column: Sequence[int], n_columns: int) -> Layout:
    """The rows of runs that begin at the rows ``first`` of the grid.

    >>> lay_out([0, 1, 1_000], [2, 3, 1], [0, 1, 0], 2).rows[[0, 3, 4, -1]]
    array([   0,    3,    4, 1000])
    """
    spans: list[list[int]] = []
    for start, n in sorted(zip(first, length, strict=True)):
        stop = start + n + APART
        if spans and start <= spans[-1][1]:
            spans[-1][1] = max(spans[-1][1], stop)
        else:
            spans.append([start, stop])
    # Nothing is known after the last run.
    spans[-1][1] = max(start + n for start, n in zip(first, length, strict=True))
    rows = np.concatenate([np.arange(start, stop, dtype=np.int64) for start, stop in spans])
    return Layout(rows, tuple(int(k) for k in np.searchsorted(rows, first)), tuple(length), tuple(column), n_columns)
