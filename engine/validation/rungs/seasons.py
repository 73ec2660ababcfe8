"""Seasons of the day, the week and the hour, learned from the past: what the hour alone says of activity to come."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit

from foreshock.data.bars import Bars

# Seasons forget half of what they know after this many visits of a cell, and start from this many visits of nothing.
HALF_LIFE, SHRINK = 90, 3.0


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


def season_inputs(bars: Bars, values: np.ndarray, base: np.ndarray, horizons: Sequence[int]) -> dict[str, np.ndarray]:
    """The season of ``values`` beyond ``base``, known at each row: now (``season0``), and its mean over each horizon.

    Seasons are learned from the past, forget, and are added from coarse to fine cells. Each is shape (n_bars, n_symbols).
    """
    reach = max(horizons, default=0)
    ahead = bars.time[-1] + bars.interval * np.arange(1, reach + 1)
    cells = hour_cells(np.concatenate([bars.time, ahead]), bars.interval)
    out = np.zeros((1 + len(horizons), *bars.shape))
    known = ~np.isnan(bars.close)
    rest = np.where(known, values - base, np.nan)
    for cell in cells:
        found = season_nb(rest, cell, int(cell.max()) + 1, 0.5 ** (1 / HALF_LIFE), SHRINK, np.array(horizons, np.int64))
        out += found
        rest = rest - found[0]
    parts = {"season": out}
    if len(cells) > 2:
        # Markets that open move at once: what a slot of the hour foretells is worth more than what a whole hour does.
        parts["slot"] = found
    return {f"{name}{h}": values[k] for name, values in parts.items() for k, h in enumerate((0, *horizons))}


@njit(cache=True, error_model="numpy", nogil=True)
def season_nb(values: np.ndarray, cell: np.ndarray, n_cells: int, decay: float, shrink: float, horizons: np.ndarray) -> np.ndarray:
    """Mean of the values of each cell so far, about the mean of all cells: now, and over the rows of each horizon.

    ``cell`` has one entry for each row and for the rows of the longest horizon after the last. The present row counts.
    Returns (1 + n_horizons, n_rows, n_symbols).
    """
    n_rows, n_symbols = values.shape
    out = np.zeros((1 + len(horizons), n_rows, n_symbols))
    level = np.empty(n_cells)
    for i in range(n_symbols):
        total, count = np.zeros(n_cells), np.zeros(n_cells)
        all_total, all_count = 0.0, 0.0
        for t in range(n_rows):
            if values[t, i] == values[t, i]:
                c = cell[t]
                all_total += total[c] * (decay - 1.0) + values[t, i]
                all_count += count[c] * (decay - 1.0) + 1.0
                total[c] = total[c] * decay + values[t, i]
                count[c] = count[c] * decay + 1.0
            mean = all_total / max(all_count, 1.0)
            for c in range(n_cells):
                level[c] = (total[c] - count[c] * mean) / (count[c] + shrink)
            out[0, t, i] = level[cell[t]]
            ahead, done = 0.0, 0
            for k in range(len(horizons)):
                for j in range(done + 1, horizons[k] + 1):
                    ahead += level[cell[t + j]]
                done = horizons[k]
                out[1 + k, t, i] = ahead / done
    return out
