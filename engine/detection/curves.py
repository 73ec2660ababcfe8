"""Threshold-free quality of scores: AUC-PR and VUS-PR."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from foreshock.data.checks import check_array
from foreshock.data.doors.door import door
from foreshock.data.doors.kinds import count_of
from foreshock.data.doors.truth import yes_or_no
from foreshock.data.errors import DataError
from foreshock.engine.detection.volume import areas_nb, near_nb, sums_nb, volume_nb

N_THRESHOLDS = 250
# Labelled scores per chunk; bounds the memory of the bootstrap draws.
CHUNK = 4096


@door
def auc_pr(scores: np.ndarray, labels: np.ndarray) -> float:
    """Area under the precision-recall curve as average precision: the mean, over the labelled rows, of the precision at the
    row's own score. Random scores reach the fraction of labelled rows.

    Parameters
    ----------
    scores : ndarray, shape (n_rows,) or (n_rows, n_symbols)
        Higher is more anomalous; symbols are pooled. Rows with NaN are left out.
    labels : ndarray of bool or 0 and 1, same shape
        Rows that belong to an event. A label that is not known (NaN) is refused: leave its row out, or set its score to NaN.

    Raises
    ------
    DataError
        If the shapes differ, a label is neither 0 nor 1, or no scored row is labelled.

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


@door(window=count_of(0, 10_000))
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
        Rows that belong to an event. A label that is not known (NaN) is refused: leave its row out, or set its score to NaN.
    window : int
        Largest buffer in rows, at least 0.

    Raises
    ------
    ConfigError
        If window is negative.
    DataError
        If the shapes differ, a label is neither 0 nor 1, or no scored row is labelled.

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
    return Panel.of(scores, labels).volume(window)


@dataclass(frozen=True)
class Panel:
    """Scores, labels and the rows that count, all (n_rows, n_symbols); a row that counts but has no score ranks last."""

    scores: np.ndarray
    labels: np.ndarray
    counted: np.ndarray

    @classmethod
    def of(cls, scores: np.ndarray, labels: np.ndarray) -> Panel:
        scores, labels = np.asarray(scores, dtype=np.float64), yes_or_no("labels", labels)
        if scores.shape != labels.shape or scores.ndim not in (1, 2):
            raise DataError(
                f"scores and labels must have one shape (n_rows,) or (n_rows, n_symbols), got {scores.shape} and {labels.shape}"
            )
        scores, labels = scores.reshape(len(scores), -1), labels.reshape(len(labels), -1)
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
        near = near_nb(labels, window // 2)
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
        sums = sums_nb(panel.bins, around.core, around.near, around.runs, unit, shift, around.window, n_units, N_THRESHOLDS)
        core, near, seen = (np.cumsum(x[..., :-1], axis=-1) for x in sums[:3])
        return cls(alerted, core, near, seen, core[:, -1], sums[3])

    def volume(self) -> float:
        """VUS-PR of all units."""
        near, seen, events = self.near.sum(axis=1), self.seen.sum(axis=1), self.events.sum(axis=1)
        return float(volume_nb(self.alerted.sum(axis=0), self.core.sum(axis=0), near, seen, self.positives.sum(), events))

    def draws(self, weights: np.ndarray) -> np.ndarray:
        """VUS-PR of each draw, NaN without an event; weights, shape (n_draws, n_units), count how often a unit was drawn."""
        alerted, core, positives = weights @ self.alerted, weights @ self.core, weights @ self.positives
        total = np.zeros(len(weights))
        for buffer in range(len(self.near)):
            near, seen, events = (weights @ x for x in (self.near[buffer], self.seen[buffer // 2], self.events[buffer // 2]))
            total += areas_nb(alerted, core, near, seen, positives, events)
        return np.where(positives > 0, total / len(self.near), np.nan)


def _ratio(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    return np.divide(top, bottom, out=np.zeros(np.broadcast(top, bottom).shape), where=bottom > 0)
