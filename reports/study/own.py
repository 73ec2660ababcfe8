"""What the page says of detectors that are not foreshock's own: the causality gate, their look-back, and each one's threshold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from foreshock.reports.parts import format as fmt

LEAKS, UNKNOWN = "leaks", "cannot be checked"


def leak_sentences(results: Mapping[str, Any]) -> list[str]:
    """One sentence if detectors failed the gate: their figures are no evidence."""
    leaking = [f"{name} (its scores change with {gate['leak']})" for name, gate in _gates(results) if gate["outcome"] == LEAKS]
    if not leaking:
        return []
    whose = "its figures are" if len(leaking) == 1 else "their figures are"
    return [f"{', '.join(leaking)} {'sees' if len(leaking) == 1 else 'see'} later bars, so {whose} no evidence."]


def gate_sentences(results: Mapping[str, Any]) -> list[str]:
    """Which detectors passed the gate, which cannot be checked, and whose look-back is longer than it claims."""
    gates = dict(_gates(results))
    passed = [name for name, gate in gates.items() if gate["outcome"] not in (LEAKS, UNKNOWN)]
    unknown = [name for name, gate in gates.items() if gate["outcome"] == UNKNOWN]
    sentences = []
    if passed:
        cuts = max(gates[name]["n_cuts"] for name in passed)
        sentences.append(f"{', '.join(passed)} passed a short causality gate of {fmt.counted(cuts, 'cut')}.")
    if unknown:
        sentences.append(f"Whether the scores of {', '.join(unknown)} saw later bars cannot be checked: they come from a table.")
    for name, gate in gates.items():
        if gate["needed"] is None:
            sentences.append(f"The scores of {name} depend on the whole past, whatever look-back it claims.")
        elif gate["needed"] > gate["claimed"]:
            sentences.append(
                f"{name} claims a look-back of {fmt.counted(gate['claimed'], 'row')} and needs {gate['needed']}, which were used."
            )
    return sentences


def threshold_text(threshold: Mapping[str, Any] | None) -> str:
    """A threshold in one line: its class and its parameters.

    >>> threshold_text({"kind": "RollingQuantile", "q": 0.99, "window": "60D"})
    'RollingQuantile, q 0.99, window 60D'
    """
    if not threshold:
        return fmt.DASH
    rest = [f"{key} {threshold_text(value) if isinstance(value, Mapping) else _short(value)}" for key, value in threshold.items()]
    return ", ".join([str(threshold.get("kind", "")), *(text for text in rest if not text.startswith("kind "))])


def facts_text(facts: Mapping[str, Any] | None) -> str:
    """What is known of the fits of a detector: the mean over its folds.

    >>> facts_text({"active_units": [4, 3, None]})
    'active units 3.50'
    """
    means = {name: [value for value in values if fmt.known(value)] for name, values in (facts or {}).items()}
    return ", ".join(f"{name.replace('_', ' ')} {fmt.ratio(sum(values) / len(values))}" for name, values in means.items() if values)


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _gates(results: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    return [(name, entry["gate"]) for name, entry in results["detectors"].items() if entry.get("gate")]
