"""Threshold-free quality of scores: AUC-PR and VUS-PR."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import njit

from foreshock.data.checks import check_array
from foreshock.data.errors import ConfigError, DataError

N_THRESHOLDS = 250
# Labelled scores per chunk; bounds the memory of the bootstrap draws.
CHUNK = 4096


def auc_pr(scores: np.ndarray, labels: np.ndarray) -> float:
    """Area under the precision-recall curve as average precision: the mean, over the labelled rows, of the precision at the
    row's own score. Random scores reach the fraction of labelled rows.

    Parameters
    ----------
    scores : ndarray, shape (n_rows,) or (n_rows, n_symbols)
        Higher is more anomalous; symbols are pooled. Rows with NaN are left out.
    labels : ndarray of bool or 0 and 1, same shape
        Rows that belong to an event.

    Raises
    ------
    DataError
        If the shapes differ or no scored row is labelled.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> fs.auc_pr(np.array([4.0, 3.0, 2.0, 1.0]), np.array([1, 0, 1, 0]))
    0.8333333333333333
    """
    check_array("scores", scores)
    check_array("labels", labels)
    panel = Panel.of(scores, labels)
    return panel.average_precision()


def vus_pr(scores: np.ndarray, labels: np.ndarray, window: int) -> float:
    """Volume under the precision-recall surface [1]_, as defined by the TSB-AD benchmark [2]_.

    For each buffer l from 0 to ``window``, a row at distance d <= l // 2 from an event gets the label sqrt(1 - d / l); labels of
    several nearby events add up, to at most 1, and events whose buffers meet count as one. At 250 thresholds, the scores of
    evenly spaced ranks, with TP the labels of the alerted rows, B the part of TP that lies in buffers and P the rows of the
    events::

        precision = TP / alerted rows
        recall    = min(TP / (P + B / 2), 1) * (events with an alert / events)

    The area for a buffer is the sum of precision times the step in recall; the volume is the mean over the buffers.

    Point-adjusted F1 is not offered: it counts one alert anywhere in an event as the complete event, so that a random score
    reaches 0.97 on long events [3]_. Here a long event counts by its alerted rows.

    Parameters
    ----------
    scores : ndarray, shape (n_rows,) or (n_rows, n_symbols)
        Higher is more anomalous; symbols are pooled, and buffers do not cross symbols. Rows with NaN are left out.
    labels : ndarray of bool or 0 and 1, same shape
        Rows that belong to an event.
    window : int
        Largest buffer in rows, at least 0.

    Raises
    ------
    ConfigError
        If window is negative.
    DataError
        If the shapes differ or no scored row is labelled.

    References
    ----------
    .. [1] Paparrizos, Boniol, Palpanas, Tsay, Elmore and Franklin (2022), Volume under the surface: a new accuracy evaluation
       measure for time-series anomaly detection, PVLDB 15.
    .. [2] Liu and Paparrizos (2024), The elephant in the room: towards a reliable time-series anomaly detection benchmark.
    .. [3] Kim, Choi, Choi, Lee and Yoon (2022), Towards a rigorous evaluation of time-series anomaly detection.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> round(fs.vus_pr(np.array([0.0, 3, 5, 1, 0, 0]), np.array([0, 0, 1, 1, 0, 0]), window=2), 6)
    0.86895
    """
    check_array("scores", scores)
    check_array("labels", labels)
    if window < 0:
        raise ConfigError(f"window must be at least 0 rows, got {window}")
    return Panel.of(scores, labels).volume(window)


@dataclass(frozen=True)
class Panel:
    """Scores, labels and the rows that count, all (n_rows, n_symbols); a row that counts but has no score ranks last."""

    scores: np.ndarray
    labels: np.ndarray
    counted: np.ndarray

    @classmethod
    def of(cls, scores: np.ndarray, labels: np.ndarray) -> Panel:
        scores, labels = np.asarray(scores, dtype=np.float64), np.asarray(labels)
        if scores.shape != labels.shape or scores.ndim not in (1, 2):
            raise DataError(
                f"scores and labels must have one shape (n_rows,) or (n_rows, n_symbols), got {scores.shape} and {labels.shape}"
            )
        scores, labels = scores.reshape(len(scores), -1), labels.reshape(len(labels), -1).astype(bool)
        return cls(scores, labels, ~np.isnan(scores))

    def __post_init__(self) -> None:
        if not (self.labels & self.counted).any():
            raise DataError("no scored row is labelled; precision and recall need at least one event")
        object.__setattr__(self, "scores", np.where(np.isnan(self.scores), -np.inf, self.scores))

    def average_precision(self) -> float:
        return float(self.ranked_precision(np.argwhere(self.labels & self.counted)))

    def ranked_precision(self, positives: np.ndarray) -> float:
        """Average precision if the rows ``positives``, shape (n_positives, 2), were the labelled rows."""
        rank = np.sort(self.rank[positives[:, 0], positives[:, 1]])
        return float((np.searchsorted(rank, rank, side="right") / rank).mean())

    def average_precision_draws(self, unit: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Average precision with each unit of ``unit``, (n_rows, n_symbols), weighted by ``weights``, (n_draws, n_units)."""
        n_units = weights.shape[1]
        labelled = (self.labels & self.counted)[self.counted]
        # Rows are grouped by the labelled scores they reach, because precision is needed at those scores only.
        cuts, group = np.unique(-self.scores[self.counted][labelled], return_inverse=True)
        reached = np.searchsorted(cuts, -self.scores[self.counted], side="left")
        of_unit = unit[self.counted]
        alerted = np.bincount(reached * n_units + of_unit, minlength=(len(cuts) + 1) * n_units).reshape(-1, n_units)[:-1]
        fresh = np.bincount(group * n_units + of_unit[labelled], minlength=len(cuts) * n_units).reshape(-1, n_units)
        total = weights @ fresh.sum(axis=0)
        area = np.zeros(len(weights))
        seen, hit = np.zeros((len(weights), 1)), np.zeros((len(weights), 1))
        for first in range(0, len(cuts), CHUNK):
            part = slice(first, first + CHUNK)
            new = weights @ fresh[part].T
            hits, alerts = hit + np.cumsum(new, axis=1), seen + np.cumsum(weights @ alerted[part].T, axis=1)
            area += (new * _ratio(hits, alerts)).sum(axis=1)
            hit, seen = hits[:, -1:], alerts[:, -1:]
        return np.divide(area, total, out=np.full(len(area), np.nan), where=total > 0)

    def shifted(self, around: Surroundings, shifts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Average precision and VUS-PR with the events moved ``shifts`` rows later, wrapping around the end; arrays (n_shifts,)."""
        precision, volume = np.full(len(shifts), np.nan), np.full(len(shifts), np.nan)
        unit = np.zeros(self.labels.shape, dtype=np.int64)
        alerted = self.alerted(unit, 1)
        for i, shift in enumerate(shifts):
            row, col = (around.core[:, 0] + shift) % len(self.labels), around.core[:, 1]
            kept = self.counted[row, col]
            if kept.any():
                precision[i] = self.ranked_precision(np.column_stack([row, col])[kept])
                volume[i] = VolumeSums.of(self, around, unit, 1, alerted, int(shift)).volume()
        return precision, volume

    def alerted(self, unit: np.ndarray, n_units: int) -> np.ndarray:
        """Rows alerted at each of the 250 thresholds, shape (n_units, 250)."""
        size = N_THRESHOLDS + 1
        counts = np.bincount((unit * size + self.bins).ravel(), minlength=n_units * size).reshape(n_units, size)
        return np.cumsum(counts[:, :-1], axis=1, dtype=np.float64)

    @cached_property
    def rank(self) -> np.ndarray:
        """Number of counted rows that score at least as high as each row, shape (n_rows, n_symbols)."""
        ascending = np.sort(self.scores[self.counted])
        return len(ascending) - np.searchsorted(ascending, self.scores, side="left")

    @cached_property
    def bins(self) -> np.ndarray:
        """Index of the first threshold that alerts each row, shape (n_rows, n_symbols); 250 where a row does not count."""
        descending = -np.sort(-self.scores[self.counted])
        cuts = descending[np.linspace(0, len(descending) - 1, N_THRESHOLDS).astype(np.int64)]
        bins = np.searchsorted(-cuts, -self.scores, side="left")
        return np.where(self.counted, bins, N_THRESHOLDS)

    def volume(self, window: int) -> float:
        unit = np.zeros(self.labels.shape, dtype=np.int64)
        return VolumeSums.of(self, Surroundings.of(self.labels, window), unit, 1, self.alerted(unit, 1)).volume()


@dataclass(frozen=True)
class Surroundings:
    """Where the events of a panel lie, and which rows their buffers reach.

    Parameters
    ----------
    core : ndarray of int, shape (n_labelled, 2)
        Row and column of every labelled row.
    near : ndarray of int, shape (n_near, 4)
        Row, column, and distances to the nearest and second nearest event; sorted by the former.
    runs : ndarray of int, shape (n_runs, 3)
        Column, first row and stop (the row after the last) of every run of labelled rows.
    window : int
        Largest buffer in rows.
    """

    core: np.ndarray
    near: np.ndarray
    runs: np.ndarray
    window: int

    @classmethod
    def of(cls, labels: np.ndarray, window: int) -> Surroundings:
        edges = np.diff(np.pad(labels.T.astype(np.int8), ((0, 0), (1, 1))), axis=1)
        first, after = np.argwhere(edges == 1), np.argwhere(edges == -1)
        runs = np.column_stack([first, after[:, 1]])
        near = _near_nb(labels, window // 2)
        return cls(np.argwhere(labels), near[np.argsort(near[:, 2], kind="stable")], runs, window)


@dataclass(frozen=True)
class VolumeSums:
    """Sums behind the surface, per resampling unit and cumulated over thresholds.

    Parameters
    ----------
    alerted, core : ndarray, shape (n_units, 250)
        Alerted rows, and alerted rows within events.
    near : ndarray, shape (window + 1, n_units, 250)
        Labels of the alerted rows in buffers.
    seen : ndarray, shape (window // 2 + 1, n_units, 250)
        Events with an alert in the event or its buffers; buffers 2 h and 2 h + 1 reach the same rows.
    positives : ndarray, shape (n_units,)
        Rows of the events.
    events : ndarray, shape (window // 2 + 1, n_units)
        Number of events, after events whose buffers meet are merged.
    """

    alerted: np.ndarray
    core: np.ndarray
    near: np.ndarray
    seen: np.ndarray
    positives: np.ndarray
    events: np.ndarray

    @classmethod
    def of(
        cls, panel: Panel, around: Surroundings, unit: np.ndarray, n_units: int, alerted: np.ndarray, shift: int = 0
    ) -> VolumeSums:
        """Sums over ``unit``, shape (n_rows, n_symbols); ``shift`` moves the events later by that many rows, around the end."""
        sums = _sums_nb(panel.bins, around.core, around.near, around.runs, unit, shift, around.window, n_units, N_THRESHOLDS)
        core, near, seen = (np.cumsum(x[..., :-1], axis=-1) for x in sums[:3])
        return cls(alerted, core, near, seen, core[:, -1], sums[3])

    def volume(self) -> float:
        """VUS-PR of all units."""
        near, seen, events = self.near.sum(axis=1), self.seen.sum(axis=1), self.events.sum(axis=1)
        return float(_volume_nb(self.alerted.sum(axis=0), self.core.sum(axis=0), near, seen, self.positives.sum(), events))

    def draws(self, weights: np.ndarray) -> np.ndarray:
        """VUS-PR of each draw, NaN without an event; weights, shape (n_draws, n_units), count how often a unit was drawn."""
        alerted, core, positives = weights @ self.alerted, weights @ self.core, weights @ self.positives
        total = np.zeros(len(weights))
        for buffer in range(len(self.near)):
            near, seen, events = (weights @ x for x in (self.near[buffer], self.seen[buffer // 2], self.events[buffer // 2]))
            total += _areas_nb(alerted, core, near, seen, positives, events)
        return np.where(positives > 0, total / len(self.near), np.nan)


def _ratio(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    return np.divide(top, bottom, out=np.zeros(np.broadcast(top, bottom).shape), where=bottom > 0)


@njit(cache=True)
def _volume_nb(alerted, core, near, seen, positives, events):
    """Mean area over the buffers; near : (n_buffers, n_thresholds); seen and events have one row per two buffers."""
    total = 0.0
    for buffer in range(len(near)):
        total += _area_nb(alerted, core, near[buffer], seen[buffer // 2], positives, events[buffer // 2])
    return total / len(near)


@njit(cache=True)
def _areas_nb(alerted, core, near, seen, positives, events):
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
def _near_nb(labels, reach):
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
def _sums_nb(bins, core, near, runs, unit, shift, window, n_units, n_cuts):
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
