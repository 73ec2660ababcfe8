"""Windows of standardised rows, gathered on demand, so that not all of them are in memory at once."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from foreshock.detectors.scaling import CLIP, content_order


@dataclass(frozen=True)
class Windows:
    """The complete windows of a history; the window of row t holds the rows t - length + 1 .. t of one symbol.

    Parameters
    ----------
    values : ndarray, shape (n_rows, n_symbols, n_features)
        Standardised features; NaN where unknown.
    context : ndarray, shape (n_rows, n_context)
        State of the market at each row; n_context may be 0.
    length : int
        Number of rows in a window.
    rows, cols : ndarray of int64, shape (n_windows,)
        Newest row and symbol of each window, in order of time. A window with an unknown value is not among them.
    """

    values: np.ndarray
    context: np.ndarray
    length: int
    rows: np.ndarray
    cols: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray, length: int, context: np.ndarray | None = None) -> Windows:
        """All windows whose values, and the context of whose newest row, are known."""
        context = np.empty((len(values), 0)) if context is None else context
        mask = complete_windows(np.logical_not(np.isnan(values).any(axis=2)), length)
        mask &= np.logical_not(np.isnan(context).any(axis=1))[:, None]
        rows, cols = np.nonzero(mask)
        return cls(values, context, length, rows, cols)

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, chosen: np.ndarray) -> Windows:
        """The windows at the given positions, or where a mask is True."""
        return replace(self, rows=self.rows[chosen], cols=self.cols[chosen])

    def in_content_order(self) -> Windows:
        """The windows in order of time and, at a time, of their values, so that the order of symbols does not matter."""
        return self.take(
            content_order(
                self.rows,
                lambda at: self.values[self.rows[at], self.cols[at]],
                # Windows with the same newest row differ in older rows.
                lambda at: self.gather(at)[0][:, ::-1].reshape(len(at), -1),
            )
        )

    def evenly(self, most: int) -> Windows:
        """At most ``most`` windows, evenly spread over all of them in order of time."""
        if len(self) <= most:
            return self
        return self.take(np.linspace(0, len(self) - 1, most).round().astype(np.int64))

    def split(self, share: float) -> tuple[Windows, Windows]:
        """The earlier windows, and the last ``share`` of all windows; no row is in windows of both parts."""
        if not len(self):
            return self, self
        first = self.rows[min(int((1 - share) * len(self)), len(self) - 1)]
        return self.take(self.rows < first), self.take(self.rows >= first + self.length - 1)

    def gather(self, chosen: slice | np.ndarray = slice(None)) -> tuple[np.ndarray, np.ndarray]:
        """Values of the chosen windows, (n, length, n_features), oldest row first, and their context, (n, n_context)."""
        rows, cols = self.rows[chosen], self.cols[chosen]
        if not len(rows):
            return np.empty((0, self.length, self.values.shape[2])), np.empty((0, self.context.shape[1]))
        spans = np.lib.stride_tricks.sliding_window_view(self.values, self.length, axis=0)
        return spans[rows - self.length + 1, cols].transpose(0, 2, 1), self.context[rows]


def clipped(x: np.ndarray) -> np.ndarray:
    """Standardised values clipped at 10, the input of the networks in training and scoring."""
    return np.clip(x, -CLIP, CLIP)


def complete_windows(known: np.ndarray, length: int) -> np.ndarray:
    """True where the last ``length`` rows are all known, for each column.

    >>> complete_windows(np.array([[True], [True], [False], [True], [True], [True]]), 2).ravel()
    array([False,  True, False, False,  True,  True])
    """
    at = np.arange(len(known))[:, None]
    last_unknown = np.maximum.accumulate(np.where(known, -1, at), axis=0)
    return at - last_unknown >= length
