"""The row some rows before, row by row."""

import numpy as np

from foreshock.data.stream.state import Stream


class LagStream(Stream):
    """The row n rows before; ``fill`` in the first n."""

    carries = ("_ring", "_row")

    def __init__(self, n: int, n_columns: int, fill: float = np.nan) -> None:
        self._ring = np.full((n, n_columns), fill)
        self._row = 0

    def update(self, row: np.ndarray) -> np.ndarray:
        """Take the next row, shape (n_columns,)."""
        at = self._row % len(self._ring)
        old = self._ring[at].copy()
        self._ring[at] = row
        self._row += 1
        return old
