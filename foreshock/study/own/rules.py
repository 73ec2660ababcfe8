"""Thresholds of a study: one for all detectors, and those of single ones."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from foreshock.data.bars import Bars
from foreshock.engine.scores import Scores, Signals, Threshold
from foreshock.engine.validation.rungs.controls import rolling_rule
from foreshock.study.judge import alert_rate


@dataclass(frozen=True)
class Rules:
    """How scores become alerts.

    Parameters
    ----------
    common : Threshold
        Rule of all detectors that have none of their own.
    own : dict of str to Threshold
        Rules of single detectors, by label.
    baselines : collection of str
        Labels of the baselines. Where the common rule names a level of the score instead of a rate, it means nothing for them:
        they alert by a rolling quantile, as often as the detectors do.
    """

    common: Threshold
    own: Mapping[str, Threshold]
    baselines: Collection[str]

    @property
    def needs_train_scores(self) -> bool:
        return any(rule.needs_train_scores for rule in (self.common, *self.own.values()))

    def signals(
        self, scores: Mapping[str, Scores], bars: Bars, within: np.ndarray | None = None
    ) -> tuple[dict[str, Signals], dict[str, Threshold]]:
        """Alerts, and the rule that raised them, by label.

        With ``within``, (n_rows, n_symbols), nothing is decided where it is False; thresholds still rest on every score of before.
        """
        by_rate = [label for label in scores if self._by_rate(label)]
        rules = {label: self.own.get(label, self.common) for label in scores if label not in by_rate}
        found = {label: scores[label].signals(rule).where(within) for label, rule in rules.items()}
        if by_rate:
            judged = {label: alerts for label, alerts in found.items() if label not in self.baselines}
            usual = {label: alerts for label, alerts in judged.items() if label not in self.own}
            # The median: one detector that always alerts, or never, says nothing of the others.
            rates = [rate for alerts in (usual or judged).values() if (rate := alert_rate({"": alerts})) > 0]
            rule = rolling_rule(float(np.median(rates)) if rates else 0.0, bars)
            rules |= dict.fromkeys(by_rate, rule)
            found |= {label: scores[label].signals(rule).where(within) for label in by_rate}
        return {label: found[label] for label in scores}, {label: rules[label] for label in scores}

    def rule_of(self, label: str) -> Threshold | None:
        """The rule of a detector; None for a baseline that alerts as often as the detectors do, which only all alerts tell."""
        return None if self._by_rate(label) else self.own.get(label, self.common)

    def _by_rate(self, label: str) -> bool:
        return label in self.baselines and label not in self.own and bool(np.isnan(self.common.nominal_rate))
