"""The causality gate over everything that a study computes, from features to fills."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from foreshock.data.bars import Bars
from foreshock.detectors.base import Detector
from foreshock.engine.features.ohlcv import ohlcv_features
from foreshock.engine.out_of_sample.causality import Audit, audit
from foreshock.engine.out_of_sample.splits import WalkForward
from foreshock.engine.out_of_sample.walk_forward import walk_forward
from foreshock.engine.scores import Threshold
from foreshock.progress import progress_bar
from foreshock.strategies.backtest.costs import Costs
from foreshock.strategies.backtest.portfolio import backtest
from foreshock.study.trading import Strategies

# Cheap to refit on every history, which the walk-forward scores need.
REFITTED = "volatility_only"


@dataclass(frozen=True)
class Pipeline:
    """Everything of a study that must not look ahead, computed from a history.

    Parameters
    ----------
    features : sequence of str
        Names of the bar features.
    fitted : dict of str to Detector
        Detectors by label, fitted on the first training window; ``volatility_only`` is among them.
    splits : WalkForward
        Training and test blocks of the walk-forward scores.
    threshold : Threshold
        Rule that turns these scores into alerts.
    purge : int
        Bars left out between training and test rows: the longest horizon, the delay and the longest lookback.
    strategies : Strategies
        Strategies whose weights and fills are computed.
    costs : Costs
        Costs of their fills.
    thresholds : dict of str to Threshold
        Rules of single detectors by label, held to the same scores.
    """

    features: Sequence[str]
    fitted: Mapping[str, Detector]
    splits: WalkForward
    threshold: Threshold
    purge: int
    strategies: Strategies
    costs: Costs
    thresholds: Mapping[str, Threshold] = field(default_factory=dict)

    def compute(self, bars: Bars) -> dict[str, np.ndarray]:
        """Features, scores, threshold, weights and fills by name, each with a row for each bar."""
        features = ohlcv_features(bars, self.features)
        found = {f"feature {name}": features.column(name) for name in features.names}
        found |= {f"detector {label}": detector.score(features).values for label, detector in self.fitted.items()}
        baseline = self.fitted[REFITTED]
        label_bars = self.purge - baseline.lookback
        train_scores = any(rule.needs_train_scores for rule in (self.threshold, *self.thresholds.values()))
        scores = walk_forward(baseline, features, self.splits, label_bars=label_bars, train_scores=train_scores)
        signals = scores.signals(self.threshold)
        found["walk-forward scores"] = scores.values
        found[f"threshold {type(self.threshold).__name__}"] = signals.threshold
        found |= {f"threshold of {label}": scores.signals(rule).threshold for label, rule in self.thresholds.items()}
        acting = self.strategies.acting
        weights = {acting.name: acting.weights(bars, signals)} | {idle.name: idle.weights(bars) for idle in self.strategies.passive}
        found |= {f"strategy {name}": values for name, values in weights.items()}
        return found | {f"fills {name}": backtest(bars, values, self.costs).turnover for name, values in weights.items()}

    def run_gate(self, bars: Bars, n_cuts: int, first: int, seed: int, progress: bool) -> Audit:
        """Hold ``compute`` to the causality gate; ``first`` is the first test row."""
        at_open = [f"fills {strategy.name}" for strategy in (self.strategies.acting, *self.strategies.passive)]
        tolerance = {f"detector {label}": detector.tolerance for label, detector in self.fitted.items()}
        with progress_bar(n_cuts, progress) as step:
            # Cuts start one row into the first test block, so that every history has something to score.
            return audit(self.compute, bars, n_cuts, first + 1, tolerance, at_open, seed, lambda: step("causality gate"))
