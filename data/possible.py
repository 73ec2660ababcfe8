"""Checks for bars and trades that no market can have; history from every source passes them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from foreshock.data.bars import PRICES


def impossible_bars(columns: Mapping[str, np.ndarray]) -> tuple[int, str] | None:
    """The first row that cannot be a bar and what is wrong with it; None if every row can be one.

    Prices are positive and finite, volumes finite and not negative, and no price lies above the high or below the low.

    >>> prices = {name: np.array([5.0, 7.0]) for name in PRICES}
    >>> impossible_bars({**prices, "low": np.array([5.0, 8.0]), "volume": np.array([0.0, 1.0])})
    (1, 'its low is 8.0, above its open of 7.0')
    """
    for name in PRICES:
        wrong = ~((columns[name] > 0) & np.isfinite(columns[name]))
        if wrong.any():
            row = int(np.argmax(wrong))
            return row, f"its {name} is {columns[name][row]}, and must be positive and finite"
    if (found := impossible_amounts(columns, ("volume",))) is not None:
        return found
    for edge, sign, side in (("low", 1, "above"), ("high", -1, "below")):
        for name in PRICES:
            wrong = sign * columns[edge] > sign * columns[name]
            if wrong.any():
                row = int(np.argmax(wrong))
                return row, f"its {edge} is {columns[edge][row]}, {side} its {name} of {columns[name][row]}"
    return None


def impossible_amounts(columns: Mapping[str, np.ndarray], names: tuple[str, ...]) -> tuple[int, str] | None:
    """As ``impossible_bars``, for the named columns, which must be finite and not negative."""
    for name in names:
        wrong = ~((columns[name] >= 0) & np.isfinite(columns[name]))
        if wrong.any():
            row = int(np.argmax(wrong))
            return row, f"its {name} is {columns[name][row]}, and must be finite and not negative"
    return None


def possible_bars(columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """True for each row that can be a bar; see ``impossible_bars``."""
    low, high, volume = columns["low"], columns["high"], columns["volume"]
    least, most = np.minimum(columns["open"], columns["close"]), np.maximum(columns["open"], columns["close"])
    # Comparisons with NaN are false, so that an unknown price fails one of them.
    return (low > 0) & (low <= least) & (high >= most) & np.isfinite(high) & possible_amounts(volume)


def possible_amounts(values: np.ndarray) -> np.ndarray:
    """True for each value that is finite and not negative."""
    return (values >= 0) & np.isfinite(values)
