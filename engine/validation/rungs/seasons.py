"""Seasons of the day, the week and the hour, learned from the past: what the hour alone says of activity to come."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit

# Seasons forget half of what they know after this many visits of a cell, and start from this many visits of nothing.
HALF_LIFE, SHRINK = 90, 3.0
DECAY = 0.5 ** (1 / HALF_LIFE)


def hour_cells(time: np.ndarray, interval: np.timedelta64) -> list[np.ndarray]:
    """Cells of the season of each row, coarse to fine: hour by weekend, hour of the week, slot of the hour.

    Bars of a day or more have the weekday alone.
    """
    seconds = time.astype("datetime64[s]").astype(np.int64)
    day = (seconds // 86_400 + 3) % 7  # 1970-01-01 was a Thursday
    if interval >= np.timedelta64(1, "D"):
        return [day]
    hour = seconds // 3600 % 24
    cells = [hour + 24 * (day >= 5), hour + 24 * day]
    if interval < np.timedelta64(1, "h"):
        cells.append(seconds % 3600 // max(int(interval / np.timedelta64(1, "s")), 1))
    return cells


def n_cells(interval: np.timedelta64) -> list[int]:
    """How many cells there are of each kind of ``hour_cells``."""
    if interval >= np.timedelta64(1, "D"):
        return [7]
    return [48, 168] + ([_slots(interval)] if interval < np.timedelta64(1, "h") else [])


def _slots(interval: np.timedelta64) -> int:
    return 3599 // max(int(interval / np.timedelta64(1, "s")), 1) + 1


def season_inputs(found: Sequence[np.ndarray], horizons: Sequence[int]) -> dict[str, np.ndarray]:
    """Inputs made of the seasons by each kind of cell: now (``season0``), and their mean over each horizon, (n_rows, n_symbols).

    Seasons are learned from the past, forget, and are added from coarse to fine cells.
    """
    out = np.zeros_like(found[0])
    for one in found:
        out += one
    parts = {"season": out}
    if len(found) > 2:
        # Markets that open move at once: what a slot of the hour foretells is worth more than what a whole hour does.
        parts["slot"] = found[-1]
    return {f"{name}{h}": values[k] for name, values in parts.items() for k, h in enumerate((0, *horizons))}


@njit(cache=True, error_model="numpy", nogil=True)
def season_nb(values: np.ndarray, cell: np.ndarray, n_cells: int, decay: float, shrink: float, horizons: np.ndarray) -> np.ndarray:
    """Mean of the values of each cell so far, about the mean of all cells: now, and over the rows of each horizon.

    ``cell`` has one entry for each row and for the rows of the longest horizon after the last. The present row counts.
    Returns (1 + n_horizons, n_rows, n_symbols).
    """
    n_rows, n_symbols = values.shape
    out = np.zeros((1 + len(horizons), n_rows, n_symbols))
    total, count, everything = np.zeros((n_symbols, n_cells)), np.zeros((n_symbols, n_cells)), np.zeros((n_symbols, 2))
    for t in range(n_rows):
        season_step_nb(values[t], cell, t, decay, shrink, horizons, total, count, everything, out[:, t])
    return out


@njit(cache=True, error_model="numpy", nogil=True)
def season_step_nb(row, cell, t, decay, shrink, horizons, total, count, everything, out):
    """One row of ``season_nb``: its values, (n_symbols,), its cell ``cell[t]``, and what is known of cells, which it changes."""
    n_symbols, n_cells = total.shape
    level = np.empty(n_cells)
    for i in range(n_symbols):
        if row[i] == row[i]:
            c = cell[t]
            everything[i, 0] += total[i, c] * (decay - 1.0) + row[i]
            everything[i, 1] += count[i, c] * (decay - 1.0) + 1.0
            total[i, c] = total[i, c] * decay + row[i]
            count[i, c] = count[i, c] * decay + 1.0
        mean = everything[i, 0] / max(everything[i, 1], 1.0)
        for c in range(n_cells):
            level[c] = (total[i, c] - count[i, c] * mean) / (count[i, c] + shrink)
        out[0, i] = level[cell[t]]
        ahead, done = 0.0, 0
        for k in range(len(horizons)):
            for j in range(done + 1, horizons[k] + 1):
                ahead += level[cell[t + j]]
            done = horizons[k]
            out[1 + k, i] = ahead / done
