"""How well the detectors of a study find labelled events."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from foreshock.data.bars import Bars
from foreshock.data.errors import DataError
from foreshock.data.interval import bars_in
from foreshock.data.labels import DISPOSITIONS, Labels, read_labels
from foreshock.engine.detection import DetectionReport, Events, compare_detections, detection_report, match_events
from foreshock.engine.scores import Scores, Signals
from foreshock.engine.statistics.proportions import wilson
from foreshock.study.config import StudyConfig
from foreshock.study.side_by_side import for_each

# Rows of the largest buffer of VUS-PR.
WINDOW = 24


@dataclass(frozen=True)
class Detection:
    """How well each detector finds the labels of a study, in the parts of results.json; empty without labels.

    Parameters
    ----------
    labels : dict
        What was labelled, and how it was counted.
    detectors : dict of str to dict
        Metrics by label of the detector.
    pairs : list of dict
        The detectors compared in pairs; see ``fs.compare_detections``.
    """

    labels: dict[str, Any] = field(default_factory=dict)
    detectors: dict[str, dict[str, Any]] = field(default_factory=dict)
    pairs: list[dict[str, Any]] = field(default_factory=list)


def labels_of(config: StudyConfig) -> Labels | None:
    """The labels that a study file names, those of the symbols and the time that its data or source selects; None without any.

    Raises
    ------
    DataError
        If the file cannot be read, or no label is left.
    """
    if config.labels.path is None:
        return None
    path = config.folder / config.labels.path
    name, section = ("data", config.data) if config.source is None else ("source", config.source)
    found = read_labels(path).between(section.start, section.end)
    # Symbols of several exchanges side by side have the names of these before their own.
    beside = config.source is not None and isinstance(config.source.exchange, list) and not config.source.merge
    if section.names and not beside:
        found = found.select(section.names)
    if not len(found):
        raise DataError(f"{path}: no label is of the symbols and the time that {name!r} selects; correct one of them")
    return found


def detect(
    labels: Labels | None, bars: Bars, scores: Mapping[str, Scores], signals: Mapping[str, Signals], cooldown: str, seed: int
) -> Detection:
    """Match the alerts of every detector with the labels.

    All detectors are measured on the same rows, those on which any of them decided: a detector without a score for an event misses
    it. Rows that an analyst was unsure about do not count. A false alarm silences further ones of its symbol for ``cooldown``.
    """
    if labels is None:
        return Detection()
    table, on_rows = labels.to_frame(), _on_rows(labels, bars)
    counted = np.any([found.decided for found in signals.values()], axis=0) & ~on_rows["unsure"].labels()
    rows = bars_in(cooldown, bars.interval, "cooldown")
    facts = {
        "n": len(labels),
        "kinds": {kind: labels.kinds.count(kind) for kind in dict.fromkeys(labels.kinds)},
        "dispositions": {said: labels.dispositions.count(said) for said in DISPOSITIONS},
        "hash": hashlib.sha256(table.to_csv(index=False).encode()).hexdigest(),
        "counted_rows": int(counted.sum()),
        "cooldown": cooldown,
        "window_bars": WINDOW,
        "reason": "",
    }
    arguments = {label: (scores[label], found, on_rows["true"], rows, counted, seed) for label, found in signals.items()}
    try:
        reports = for_each(_report, arguments, bars)
    except DataError as error:
        # Labels of the training rows alone, or no label that is true, must not end a study.
        return Detection({**facts, "n_counted": 0, "reason": str(error)}, _by_analyst(signals, on_rows, labels), [])
    facts["n_counted"] = next(iter(reports.values())).n_events
    judged = _by_analyst(signals, on_rows, labels)
    kinds = _kinds(labels, bars, counted)
    found = {
        label: {**report.row(), "by_kind": _by_kind(signals[label], kinds, counted), **judged[label]}
        for label, report in reports.items()
    }
    pairs = compare_detections(reports).to_dict("records") if len(reports) > 1 else []
    return Detection(facts, found, [{str(key): value for key, value in row.items()} for row in pairs])


def report_of(labels: Labels, bars: Bars, scores: Scores, signals: Signals, cooldown: str, seed: int) -> DetectionReport:
    """How well one detector finds the labels that are true, by the rules of ``detect``.

    Raises
    ------
    DataError
        If no label that is true begins in a row that was decided.
    """
    on_rows = _on_rows(labels, bars)
    counted = signals.decided & ~on_rows["unsure"].labels()
    return _report(scores, signals, on_rows["true"], bars_in(cooldown, bars.interval, "cooldown"), counted, seed)


def _on_rows(labels: Labels, bars: Bars) -> dict[str, Events]:
    """Labels of each disposition on the rows of the bars."""
    table = labels.to_frame()
    return {
        said: Events.from_frame(table[table["disposition"] == said], bars.time, bars.symbols, bars.interval)
        for said in DISPOSITIONS
    }


def _report(scores: Scores, signals: Signals, events: Events, cooldown: int, counted: np.ndarray, seed: int) -> DetectionReport:
    return detection_report(scores, signals, events, cooldown=cooldown, window=WINDOW, counted=counted, seed=seed)


def _kinds(labels: Labels, bars: Bars, counted: np.ndarray) -> dict[str, Events]:
    """The events of each kind that count: those that begin in a row that counts, and end before the last of these."""
    table = labels.to_frame()
    last = int(np.flatnonzero(counted.any(axis=1))[-1])
    found = {}
    for kind, part in table[table["disposition"] == "true"].groupby("kind", sort=False):
        events = Events.from_frame(part, bars.time, bars.symbols, bars.interval)
        found[str(kind)] = events.take(counted[events.start, events.col] & (events.stop <= last + 1))
    return found


def _by_kind(signals: Signals, kinds: Mapping[str, Events], counted: np.ndarray) -> dict[str, dict[str, Any]]:
    """Events, caught events and recall of each kind."""
    found = {}
    for kind, events in kinds.items():
        caught = int(match_events(signals.active & counted, events).caught.sum())
        share, low, high = _share(caught, len(events))
        found[kind] = {"n_events": len(events), "n_caught": caught, "recall": share, "recall_ci": [low, high]}
    return found


def _by_analyst(signals: Mapping[str, Signals], on_rows: Mapping[str, Events], labels: Labels) -> dict[str, dict[str, Any]]:
    """For each detector, what an analyst said about the rows of its alerts, and the share of the decided ones that are true."""
    if all(said == "true" for said in labels.dispositions):
        return {label: {} for label in signals}
    rows = {said: events.labels() for said, events in on_rows.items()}
    found = {}
    for label, alerts in signals.items():
        counts = {said: int((alerts.active & mask).sum()) for said, mask in rows.items()}
        counts["false"] = int((alerts.active & rows["false"] & ~rows["true"]).sum())
        share, low, high = _share(counts["true"], counts["true"] + counts["false"])
        found[label] = {"alerts_said": {**counts, "share_true": share, "share_true_ci": [low, high]}}
    return found


def _share(n: int, of: int) -> tuple[float, float, float]:
    """A share with its 95 % interval, NaN where there is nothing to count."""
    if not of:
        return float("nan"), float("nan"), float("nan")
    low, high = wilson(n, of)
    return n / of, low, high
