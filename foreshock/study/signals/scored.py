"""The detectors of a study over its source: scores and alerts, before anything is judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from foreshock.detectors.base import Detector
from foreshock.detectors.clusters.labels import Regimes
from foreshock.engine.features.features import Features
from foreshock.engine.out_of_sample.splits import WalkForward
from foreshock.engine.out_of_sample.walk_forward import FittedFolds
from foreshock.engine.scores import Scores, Signals, Threshold
from foreshock.engine.sources.source import Source
from foreshock.engine.validation.moves.forward import MoveTable
from foreshock.study.files.alerts import alerts_table
from foreshock.study.own.rules import Rules
from foreshock.study.side_by_side import walk_forward_each


@dataclass(frozen=True)
class Scored:
    """Out-of-sample scores and alerts by detector, and what they were made of.

    Parameters
    ----------
    features : Features
        What the detectors saw.
    scores : dict of str to Scores
        Those that are judged: who is no member of the universe has none.
    every : dict of str to Scores
        All of them, on which thresholds and tail probabilities rest.
    folds : dict of str to FittedFolds
    signals : dict of str to Signals
    rules : dict of str to Threshold
        The rule that each detector alerts by.
    """

    features: Features
    scores: dict[str, Scores]
    every: dict[str, Scores]
    folds: dict[str, FittedFolds]
    signals: dict[str, Signals]
    rules: dict[str, Threshold]

    def alerts(self, table: MoveTable, regimes: Regimes) -> pd.DataFrame:
        """One row for each alert; see ``StudyResult.alerts_frame``."""
        return alerts_table(table, self.every, self.signals, self.rules, regimes, self.features, self.folds)


def score_forward(
    detectors: Mapping[str, Detector],
    source: Source,
    splits: WalkForward,
    purge: int,
    rules: Rules,
    step: Callable[[str], None],
    within: np.ndarray | None = None,
) -> Scored:
    """Walk the detectors forward over the source, and let them raise alerts.

    ``step`` is called once, and after each fold. ``within``, (n_rows, n_symbols), is True where a symbol is a member of the
    universe; None where all are.
    """
    features = source.features
    step("features")
    fitted = walk_forward_each(detectors, features, splits, purge, rules.needs_train_scores, step)
    every = {label: found for label, (found, _) in fitted.items()}
    signals, told = rules.signals(every, source.bars, within)
    scores = {label: found.where(within) for label, found in every.items()}
    return Scored(features, scores, every, {label: folds for label, (_, folds) in fitted.items()}, signals, told)
