"""Kernels of the volume under the precision-recall surface; ``vus_pr`` has the definition."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True)
def volume_nb(alerted, core, near, seen, positives, events):
    """Mean area over the buffers; near : (n_buffers, n_thresholds); seen and events have one row per two buffers."""
    total = 0.0
    for buffer in range(len(near)):
        total += _area_nb(alerted, core, near[buffer], seen[buffer // 2], positives, events[buffer // 2])
    return total / len(near)


@njit(cache=True)
def areas_nb(alerted, core, near, seen, positives, events):
    """Area of each draw; the first four arguments are (n_draws, n_thresholds), the last two (n_draws,)."""
    out = np.empty(len(core))
    for draw in range(len(core)):
        out[draw] = _area_nb(alerted[draw], core[draw], near[draw], seen[draw], positives[draw], events[draw])
    return out


@njit(cache=True)
def _area_nb(alerted, core, near, seen, positives, events):
    """Area under precision over recall, from four arrays (n_thresholds,) and two numbers; 0 without an event."""
    area = before = 0.0
    if positives == 0 or events == 0:
        return area
    for k in range(len(core)):
        if alerted[k] > 0:
            hits = core[k] + near[k]
            recall = min(hits / (positives + near[k] / 2), 1.0) * seen[k] / events
            area += (recall - before) * hits / alerted[k]
            before = recall
    return area


@njit(cache=True)
def near_nb(labels, reach):
    """Rows outside events within ``reach`` of one, (n, 4): row, column, distances to the nearest and second nearest event."""
    n_rows, n_cols = labels.shape
    far = 2 * n_rows + reach + 2
    out = np.empty((n_rows * n_cols, 4), np.int64)
    n = 0
    before = np.empty((n_rows, 2), np.int64)
    for col in range(n_cols):
        last, earlier = -far, -far
        for row in range(n_rows):
            if labels[row, col]:
                if not (row > 0 and labels[row - 1, col]):
                    earlier = last
                last = row
            before[row, 0] = row - last
            before[row, 1] = row - earlier
        following, later = far + n_rows, far + n_rows
        for row in range(n_rows - 1, -1, -1):
            if labels[row, col]:
                if not (row + 1 < n_rows and labels[row + 1, col]):
                    later = following
                following = row
                continue
            a, b = before[row]
            c, d = following - row, later - row
            nearest = min(a, c)
            if nearest <= reach:
                out[n, 0], out[n, 1], out[n, 2] = row, col, nearest
                # The second nearest event is the next one on the same side, or the nearest one on the other side.
                out[n, 3] = min(b, c) if a <= c else min(a, d)
                n += 1
    return out[:n].copy()


@njit(cache=True)
def sums_nb(bins, core, near, runs, unit, shift, window, n_units, n_cuts):
    """Histograms over bins and units of event rows, buffer labels and first alerts of events; the last bin is ignored."""
    n_rows = bins.shape[0]
    core_sum = np.zeros((n_units, n_cuts + 1))
    near_sum = np.zeros((window + 1, n_units, n_cuts + 1))
    seen = np.zeros((window // 2 + 1, n_units, n_cuts + 1))
    events = np.zeros((window // 2 + 1, n_units))
    for i in range(len(core)):
        row, col = (core[i, 0] + shift) % n_rows, core[i, 1]
        core_sum[unit[row, col], bins[row, col]] += 1.0
    for buffer in range(2, window + 1):
        reach = buffer // 2
        for i in range(len(near)):
            if near[i, 2] > reach:
                break
            row, col = (near[i, 0] + shift) % n_rows, near[i, 1]
            # With two events in reach each label is at least sqrt(1 / 2), so the sum is capped at 1.
            label = 1.0 if near[i, 3] <= reach else np.sqrt(1.0 - near[i, 2] / buffer)
            near_sum[buffer, unit[row, col], bins[row, col]] += label
    first = np.full(len(runs), n_cuts)
    for reach in range(window // 2 + 1):
        best, owner = n_cuts, 0
        for i in range(len(runs)):
            col, start, stop = runs[i, 0], runs[i, 1], runs[i, 2]
            if reach == 0:
                for row in range(start, stop):
                    first[i] = min(first[i], bins[(row + shift) % n_rows, col])
            else:
                if start - reach >= 0:
                    first[i] = min(first[i], bins[(start - reach + shift) % n_rows, col])
                if stop - 1 + reach < n_rows:
                    first[i] = min(first[i], bins[(stop - 1 + reach + shift) % n_rows, col])
            joined = i > 0 and runs[i - 1, 0] == col and runs[i - 1, 2] - 1 + reach >= start - reach
            if not joined:
                best, owner = n_cuts, unit[(start + shift) % n_rows, col]
            best = min(best, first[i])
            ends = i + 1 == len(runs) or runs[i + 1, 0] != col or stop - 1 + reach < runs[i + 1, 1] - reach
            # An event without any row that counts is ignored.
            if ends and best < n_cuts:
                seen[reach, owner, best] += 1.0
                events[reach, owner] += 1.0
    return core_sum, near_sum, seen, events
