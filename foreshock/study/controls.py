"""Negative controls of the user's own: detectors that calibrate the deciding test and are not judged."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

from foreshock.data.checks import check_text
from foreshock.data.errors import ConfigError
from foreshock.data.show.shown import shown
from foreshock.detectors.base import Detector
from foreshock.detectors.registry import as_detector
from foreshock.engine.features.features import Features
from foreshock.engine.out_of_sample.splits import WalkForward
from foreshock.engine.scores import Signals, Threshold
from foreshock.study.side_by_side import walk_forward_each


def check_controls(controls: Any) -> None:
    """Refuse what is neither a sequence nor a dict."""
    if isinstance(controls, str) or not isinstance(controls, Sequence | Mapping):
        raise ConfigError(f"controls must be a list, got {shown(controls)}; put it in brackets")


def labelled_controls(
    controls: Sequence[str | Detector] | Mapping[str, str | Detector], judged: Collection[str]
) -> dict[str, Detector]:
    """Negative controls by label.

    Parameters
    ----------
    controls : sequence of str or Detector, or dict of label to either
        Names or detectors.
    judged : collection of str
        Labels of the detectors that are judged.

    Raises
    ------
    ConfigError
        If an entry is neither a name nor a detector, a label is not a text or occurs twice, or a detector of that label is judged.
    """
    check_controls(controls)
    if isinstance(controls, Mapping):
        named = [(label, as_detector(entry)) for label, entry in controls.items()]
    else:
        named = [(detector.name, detector) for detector in map(as_detector, controls)]
    found: dict[str, Detector] = {}
    for label, detector in named:
        check_text("label of a control", label)
        if not label.strip():
            raise ConfigError(f"the label of a control must be a text, got {shown(label)}; such as 'moon'")
        if label in judged:
            raise ConfigError(
                f"{shown(label)} is a detector that is judged, so it cannot be a negative control; leave it out of controls, or "
                "pass a dict with another label"
            )
        if label in found:
            raise ConfigError(f"two controls have the label {shown(label)}; pass a dict of label to control")
        found[label] = detector
    return found


def control_alerts(
    controls: Mapping[str, Detector],
    features: Features,
    splits: WalkForward,
    purge: int,
    threshold: Threshold,
    step: Callable[[str], None] = lambda _: None,
    within: np.ndarray | None = None,
) -> dict[str, Signals]:
    """Walk-forward alerts of the controls, by the splits and the rule of the detectors.

    Parameters
    ----------
    controls : dict of str to Detector
        Controls by label.
    features : Features
        What the detectors see.
    splits : WalkForward
        Training and test blocks.
    purge : int
        Bars between training and test rows: at least the horizon, the delay and the longest lookback of the controls.
    threshold : Threshold
        Rule that turns scores into alerts.
    step : callable
        Called after each fold.
    within : ndarray of bool, shape (n_rows, n_symbols), optional
        Where they decide; by default everywhere.
    """
    if not controls:
        return {}
    fitted = walk_forward_each(controls, features, splits, purge, threshold.needs_train_scores, step)
    return {label: scores.signals(threshold).where(within) for label, (scores, _) in fitted.items()}
