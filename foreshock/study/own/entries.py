"""Detectors of a study: from the entries of a study file, and from whatever a script passes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from foreshock.data.checks import check_text, did_you_mean
from foreshock.data.errors import ConfigError
from foreshock.data.show.shown import few, shown
from foreshock.detectors.base import Detector
from foreshock.detectors.registry import DETECTORS, as_detector, make_detector
from foreshock.engine.scores import Threshold, check_threshold
from foreshock.engine.thresholds.registry import build_threshold
from foreshock.study.config import DetectorConfig, StudyConfig


def adapted_entries(entries: Any) -> Any:
    """The entries, with detectors in place of models, modules, functions and tables, so that each is adapted once."""
    if isinstance(entries, Mapping):
        return {label: entry if isinstance(entry, str) else as_detector(entry) for label, entry in entries.items()}
    return [entry if isinstance(entry, str) else as_detector(entry) for entry in entries]


def labelled(entries: Sequence[str | Detector] | Mapping[str, str | Detector], baselines: Sequence[str]) -> dict[str, Detector]:
    """Detectors by label, the baselines among them; each label is checked."""
    if isinstance(entries, Mapping):
        found = {label: as_detector(entry) for label, entry in entries.items()}
    else:
        made = [as_detector(entry) for entry in entries]
        found = {detector.name: detector for detector in made}
        if len(found) < len(made):
            raise ConfigError("two detectors have the same name; pass a dict of label to detector")
    if not found:
        raise ConfigError("a study needs at least one detector; see fs.detectors()")
    for label, detector in found.items():
        check_text("label of a detector", label)
        if not label.strip() or any("\ud800" <= letter <= "\udfff" for letter in label):
            raise ConfigError(f"the label of a detector must be a text, got {shown(label)}; such as 'short'")
        # The tables compare every detector with the baselines by these labels.
        if label in baselines and (detector.name != label or detector.role != "baseline"):
            raise ConfigError(f"the label {label!r} belongs to the baseline of that name; choose another label")
    return found | {name: make_detector(name) for name in baselines if name not in found}


def check_thresholds(thresholds: Any, labels: Sequence[str]) -> None:
    """Refuse thresholds that are none, or of detectors that the study does not have."""
    if not isinstance(thresholds, Mapping):
        raise ConfigError(
            f"thresholds must be a dict of label to threshold, got {shown(thresholds)}; such as {{'zscore': fs.Fixed(3)}}"
        )
    for label, rule in thresholds.items():
        if label not in labels:
            hint = did_you_mean(str(label), list(labels)) or "; remove it"
            raise ConfigError(
                f"thresholds has {shown(label)}, which is no detector of the study: it has {few(list(labels), 8)}{hint}"
            )
        check_threshold(rule)


def built(key: str, entries: Sequence[str | DetectorConfig], config: StudyConfig) -> dict[str, Detector]:
    """Detectors of a list in a study file, by label."""
    found: dict[str, Detector] = {}
    for entry in entries:
        label, detector = _entry(entry, config.folder)
        if label in found:
            raise ConfigError(f"key {key!r}: {shown(label)} stands there twice; set a label for one of them")
        found[label] = detector
    return found


def built_thresholds(config: StudyConfig) -> dict[str, Threshold]:
    """Thresholds of single detectors in a study file, by label."""
    found: dict[str, Threshold] = {}
    for entry in config.detectors:
        if isinstance(entry, DetectorConfig) and entry.threshold is not None:
            section = entry.threshold.model_dump(exclude={"kind"})
            found[_entry(entry, config.folder)[0]] = build_threshold(entry.threshold.kind, section, config.folder)
    return found


def _entry(entry: str | DetectorConfig, folder: Path) -> tuple[str, Detector]:
    wanted = entry if isinstance(entry, DetectorConfig) else DetectorConfig(name=entry)
    if wanted.scores is not None:
        detector = as_detector(folder / wanted.scores, wanted.label)
        return detector.name, detector
    assert wanted.name is not None
    detector = DETECTORS.make(wanted.name, wanted.model_extra or {}, folder)
    # A class in a file or module goes by its own name, not by its place.
    return wanted.label or (detector.name if ":" in wanted.name else wanted.name), detector
