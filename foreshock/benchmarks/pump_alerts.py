"""Alerts around announced pumps: caught events, false alerts, and the curve of recall against false alerts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from foreshock.engine.statistics.proportions import wilson

EARLIEST, LATEST = -120.0, 60.0
COOLDOWN = 1_800.0
MAX_FALSE_PER_DAY = 5.0
N_CURVE = 60
N_BOOTSTRAP = 999


@dataclass(frozen=True)
class ScoredEvent:
    """Scores of one event: ``seconds`` from the announced minute to the close of each window, and the days of trades covered."""

    seconds: np.ndarray
    score: np.ndarray
    days: float


@dataclass(frozen=True)
class Outcome:
    """Result of one threshold by event: seconds to the alert that caught it (NaN if missed), false alerts, days of trades."""

    delay: np.ndarray
    n_false: np.ndarray
    days: np.ndarray

    @property
    def caught(self) -> int:
        return int((~np.isnan(self.delay)).sum())

    @property
    def recall(self) -> float:
        return self.caught / len(self.delay)

    @property
    def false_per_day(self) -> float:
        return float(self.n_false.sum() / self.days.sum())

    @property
    def median_delay(self) -> float | None:
        return float(np.nanmedian(self.delay)) if self.caught else None

    def select(self, events: slice) -> Outcome:
        return Outcome(self.delay[events], self.n_false[events], self.days[events])

    def point(self) -> dict[str, Any]:
        """Recall, false alerts and delay, for a curve."""
        return {
            "recall": self.recall,
            "false_per_day": self.false_per_day,
            "median_delay_s": self.median_delay,
            "caught": self.caught,
        }

    def row(self, seed: int = 0) -> dict[str, Any]:
        """The figures of a table with their 95 % intervals: Wilson for recall, a bootstrap over events for false alerts."""
        n_false, n = int(self.n_false.sum()), len(self.delay)
        precision = self.caught / (self.caught + n_false) if self.caught + n_false else None
        draws = np.random.default_rng(seed).integers(0, n, (N_BOOTSTRAP, n))
        rates = self.n_false[draws].sum(axis=1) / self.days[draws].sum(axis=1)
        return self.point() | {
            "recall_ci": list(wilson(self.caught, n)),
            "precision": precision,
            "f1": 2 * precision * self.recall / (precision + self.recall) if precision else 0.0,
            "false_per_day_ci": [float(bound) for bound in np.quantile(rates, [0.025, 0.975])],
            "n_events": n,
            "n_false": n_false,
            "n_days": float(self.days.sum()),
        }


def outcome(events: Sequence[ScoredEvent], threshold: float) -> Outcome:
    """Apply a threshold: an alert where the score exceeds it, with a cool-down of half an hour within each event."""
    delay, n_false = np.full(len(events), np.nan), np.zeros(len(events))
    for i, event in enumerate(events):
        alerts = cooled(event.seconds[event.score > threshold])
        hit = (alerts >= EARLIEST) & (alerts <= LATEST)
        n_false[i] = (~hit).sum()
        if hit.any():
            delay[i] = alerts[hit][0]
    return Outcome(delay, n_false, np.array([event.days for event in events]))


def cooled(seconds: np.ndarray) -> np.ndarray:
    """The alerts left after a cool-down of ``COOLDOWN`` seconds; on a regular grid this equals ``engine.scores.thin``."""
    kept, i = [], 0
    while i < len(seconds):
        kept.append(seconds[i])
        i = int(np.searchsorted(seconds, seconds[i] + COOLDOWN))
    return np.array(kept)


def curve(events: Sequence[ScoredEvent]) -> list[tuple[float, Outcome]]:
    """Thresholds in descending order with their outcomes, down to ``MAX_FALSE_PER_DAY`` false alerts per day.

    The thresholds lie just below each event's own peak, where recall changes, and at quantiles of the half-hourly peaks of all
    events.
    """
    peaks, own = [], []
    for event in events:
        if not len(event.score):
            continue
        score = np.where(np.isnan(event.score), -np.inf, event.score)
        slots = np.floor((event.seconds - event.seconds[0]) / COOLDOWN)
        peaks.append(np.maximum.reduceat(score, np.flatnonzero(np.r_[True, np.diff(slots) > 0])))
        near = score[(event.seconds >= EARLIEST) & (event.seconds <= LATEST)]
        own.append(near.max(initial=-np.inf))
    ordered = np.sort(np.concatenate(peaks))[::-1]
    most = int(MAX_FALSE_PER_DAY * sum(event.days for event in events)) + len(events)
    grid = ordered[np.unique(np.geomspace(1, min(most, len(ordered)), N_CURVE).astype(int) - 1)]
    thresholds = np.concatenate([grid, np.array(own)])
    thresholds = np.unique(np.nextafter(thresholds[np.isfinite(thresholds)], -np.inf))[::-1]
    points = []
    for threshold in thresholds:
        found = outcome(events, float(threshold))
        if found.false_per_day > MAX_FALSE_PER_DAY:
            break
        points.append((float(threshold), found))
    return points


def best_within(points: Sequence[tuple[float, Outcome]], false_per_day: float) -> tuple[float, Outcome] | None:
    """The point with the highest recall among those with at most ``false_per_day`` false alerts; ties go to the fewest alerts."""
    allowed = [point for point in points if point[1].false_per_day <= false_per_day]
    return max(allowed, key=lambda point: (point[1].recall, -point[1].false_per_day)) if allowed else None
