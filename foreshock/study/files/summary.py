"""The summary of a study from its results alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from foreshock.engine.validation.rungs.result import RUNGS
from foreshock.strategies.anomaly_avoidance import AnomalyAvoidance
from foreshock.strategies.identity import STRATEGY

# Columns of a study without detectors.
COLUMNS = (
    "detector",
    "verdict",
    "horizon",
    "n_events",
    "expected_ratio",
    "q",
    "luck_below",
    "avoidance_return",
)


def summary_table(results: Mapping[str, Any], short: bool = False) -> pd.DataFrame:
    """One row for each detector; see ``StudyResult.summary``."""
    table = _whole(results)
    if not short:
        return table
    table = table.rename(columns={"n_events": "alerts", "expected_ratio": "beyond"})
    return table[["verdict", "horizon", "alerts", "beyond", "q", "avoidance_return", "luck_below"]]


def acting_on(results: Mapping[str, Any]) -> dict[str, str]:
    """Account that acts on each detector: of anomaly avoidance, or else of the first strategy that acts on alerts."""
    found: dict[str, str] = {}
    for name, entry in (results.get("backtests") or {}).items():
        if entry["role"] == STRATEGY and entry["detector"] is not None:
            if entry["strategy"] == AnomalyAvoidance.name:
                found[entry["detector"]] = name
            found.setdefault(entry["detector"], name)
    return found


def _whole(results: Mapping[str, Any]) -> pd.DataFrame:
    rows, acting = [], acting_on(results)
    for label, entry in results["detectors"].items():
        horizon = entry["verdict_horizon"]
        moves = entry["forward"][horizon]
        first, second = (entry["rungs"].get(rung, {}).get(horizon, {}) for rung in RUNGS)
        low, high = moves["expected_ci"]
        rows.append(
            {
                "detector": label,
                "verdict": entry["verdict"],
                "horizon": horizon,
                "n_events": moves["n_events"],
                "abs_move_ratio": moves["abs_move_ratio"],
                "matched_ratio": moves["matched_ratio"],
                "ci_low": moves["ci"][0],
                "ci_high": moves["ci"][1],
                "expected_ratio": moves["expected_ratio"],
                "expected_low": low,
                "expected_high": high,
                "volume_ratio": second.get("ratio"),
                "detectable": first.get("detectable"),
                "q": moves["q"],
                "alert_rate": entry["alert_rate"]["realised"],
                "luck_below": ((results.get("random_draws") or {}).get(acting.get(label, "")) or {}).get("percentile"),
                "avoidance_return": ((results.get("backtests") or {}).get(acting.get(label, "")) or {}).get("total_return"),
            }
        )
    table = pd.DataFrame(rows, columns=None if rows else list(COLUMNS)).set_index("detector")
    numbers = table.columns.drop(["verdict", "horizon", "n_events"])
    return table.astype(dict.fromkeys(numbers, float))


def told_beside(results: Mapping[str, Any]) -> list[str]:
    """What has to be known of a table of results: detectors that look ahead, strategies that failed, a run that was not ended.

    >>> told_beside({"detectors": {"peek": {"gate": {"leak": "rows from 90 on deleted"}}}, "complete": False})[0]
    'peek sees later bars, so its figures are no evidence'
    """
    gates = {label: entry.get("gate") or {} for label, entry in results["detectors"].items()}
    said = [f"{label} sees later bars, so its figures are no evidence" for label, gate in gates.items() if gate.get("leak")]
    said += failures_in_words(results)
    if not results.get("complete", True):
        said.append("the run ended before its backtests; run the study again, and it goes on where it was")
    return said


def failures_in_words(results: Mapping[str, Any]) -> list[str]:
    """Why each strategy that has no account has none.

    >>> failures_in_words({"failed_strategies": [{"strategy": "mine", "detector": "zscore", "reason": "orders nothing"}]})
    ['strategy mine failed: orders nothing']
    """
    failed = {entry["strategy"]: entry["reason"] for entry in results.get("failed_strategies") or []}
    return [f"strategy {name} failed: {reason}" for name, reason in failed.items()]
