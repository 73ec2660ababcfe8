"""What alerts and scores look like: the profile of alerts, how scores are distributed, and what follows low and high ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from foreshock.engine.features.features import Features
from foreshock.engine.scores import Scores, Signals
from foreshock.engine.statistics.proportions import Z_95
from foreshock.engine.validation.moves.forward import MoveTable
from foreshock.engine.validation.moves.moves import Moves

N_BINS = 40
N_GROUPS = 10
# The highest and lowest scores of this share lie in the outermost bins of a histogram.
CUT = 0.001


def profile_section(features: Features, signals: Mapping[str, Signals]) -> dict[str, list[dict[str, Any]]]:
    """Each feature on the alerts of each detector against the other rows it decided on, largest difference first.

    ``difference`` and ``median_difference`` are those of the means and of the medians, in standard deviations of the other rows.
    """
    return {label: _profile(features, found) for label, found in signals.items()}


def _profile(features: Features, found: Signals) -> list[dict[str, Any]]:
    rows = []
    for at, name in enumerate(features.names):
        values = features.values[:, :, at]
        known = ~np.isnan(values)
        alerts, others = values[found.active & known], values[found.decided & ~found.active & known]
        if not len(others):
            continue
        mean, median, spread = float(others.mean()), float(np.median(others)), float(others.std())
        on_alerts = (float(alerts.mean()), float(np.median(alerts))) if len(alerts) else (float("nan"),) * 2
        differs = [(a - b) / spread if spread > 0 else float("nan") for a, b in zip(on_alerts, (mean, median), strict=True)]
        rows.append(
            {
                "feature": name,
                "n_alerts": len(alerts),
                "mean": on_alerts[0],
                "median": on_alerts[1],
                "others_mean": mean,
                "others_median": median,
                "others_std": spread,
                "difference": differs[0],
                "median_difference": differs[1],
            }
        )
    return sorted(rows, key=lambda row: -abs(row["difference"]) if row["difference"] == row["difference"] else 0.0)


def distribution_section(scores: Mapping[str, Scores], signals: Mapping[str, Signals]) -> dict[str, dict[str, Any]]:
    """For each detector, how many of the decided rows score within each of 40 bins, and the thresholds that they were held against.

    The outermost bins also hold what lies beyond them, the lowest and the highest thousandth. ``threshold`` has the lowest, the
    middle and the highest threshold.
    """
    found = {}
    for label, alerts in signals.items():
        values, levels = scores[label].values[alerts.decided], alerts.threshold[alerts.decided]
        finite = values[np.isfinite(values)]
        if not len(finite):
            continue
        low, high = np.quantile(finite, (CUT, 1 - CUT))
        edges = np.linspace(low, high if high > low else low + 1.0, N_BINS + 1)
        counts = np.bincount(np.clip(np.searchsorted(edges, values, side="right") - 1, 0, N_BINS - 1), minlength=N_BINS)
        middle = np.quantile(levels[np.isfinite(levels)], (0.0, 0.5, 1.0)) if np.isfinite(levels).any() else [np.nan] * 3
        found[label] = {"edges": edges, "counts": counts, "n": len(values), "threshold": middle}
    return found


def deciles_section(table: MoveTable, scores: Mapping[str, Scores], signals: Mapping[str, Signals]) -> dict[str, dict[str, Any]]:
    """Mean absolute move and mean return after rows of each tenth of a detector's scores, by horizon, with 95 % intervals.

    Scores are ranked within each symbol and test block, so that a tenth has the rows of all of them. The intervals take account of
    moves that overlap and symbols that move together: they are made of sums over blocks of twice the horizon.
    """
    found = {}
    for label, alerts in signals.items():
        groups = score_groups(scores[label], alerts.decided)
        found[label] = {name: _after(groups, moves) for name, (moves, _) in table.entries.items()}
    return found


def score_groups(scores: Scores, decided: np.ndarray) -> np.ndarray:
    """The tenth of the scores, 0 to 9, that each decided row belongs to within its symbol and test block; -1 elsewhere."""
    groups = np.full_like(decided, -1, dtype=np.int64)
    blocks = [fold.test for fold in scores.folds] or [slice(0, len(scores.values))]
    for block in blocks:
        for col in range(len(scores.symbols)):
            rows = block.start + np.flatnonzero(decided[block, col])
            if len(rows) < N_GROUPS:
                continue
            # Equal scores belong together, wherever the cut would be.
            values = scores.values[rows, col]
            below = np.searchsorted(np.sort(values), values, side="left")
            groups[rows, col] = below * N_GROUPS // len(rows)
    return groups


def _after(groups: np.ndarray, moves: Moves) -> list[dict[str, Any]]:
    known = ~np.isnan(moves.signed)
    block = np.arange(len(groups)) // max(2 * moves.horizon, 1)
    rows = []
    for group in range(N_GROUPS):
        mask = (groups == group) & known
        size, size_ci = _mean_of_blocks(np.abs(moves.signed), mask, block)
        # Simple returns: what a holder would have earned.
        earned, earned_ci = _mean_of_blocks(np.expm1(moves.signed), mask, block)
        sizes = {"abs_move": size, "abs_move_ci": size_ci, "return": earned, "return_ci": earned_ci}
        rows.append({"group": group + 1, "n": int(mask.sum()), **sizes})
    return rows


def _mean_of_blocks(values: np.ndarray, mask: np.ndarray, block: np.ndarray) -> tuple[float, tuple[float, float]]:
    """Mean over a mask, and its interval by the ratio of sums of blocks; NaN without two blocks that have rows."""
    weights = mask.sum(axis=1)
    counts = np.bincount(block, weights)
    sums = np.bincount(block, np.where(mask, values, 0.0).sum(axis=1))
    sums, counts = sums[counts > 0], counts[counts > 0]
    if not len(counts):
        return float("nan"), (float("nan"), float("nan"))
    mean = float(sums.sum() / counts.sum())
    if len(counts) < 2:
        return mean, (float("nan"), float("nan"))
    # Variance of a ratio of sums over independent blocks.
    error = float(np.sqrt(((sums - mean * counts) ** 2).sum() * len(counts) / (len(counts) - 1)) / counts.sum())
    return mean, (mean - Z_95 * error, mean + Z_95 * error)
