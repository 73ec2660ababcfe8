"""The causality gate over everything that a study computes, from features to fills."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from foreshock.data.bars import Bars
from foreshock.detectors.base import Detector
from foreshock.detectors.clusters.setting import RegimeSetting
from foreshock.engine.out_of_sample.causality import Audit, refuse_unknown
from foreshock.engine.out_of_sample.splits import WalkForward
from foreshock.engine.out_of_sample.universe import Membership, Universe
from foreshock.engine.out_of_sample.walk_forward import walk_forward
from foreshock.engine.scores import Signals, Threshold
from foreshock.engine.sources.gate import audit_source
from foreshock.engine.sources.source import Source
from foreshock.progress import progress_bar
from foreshock.strategies.backtest.account import DEFAULT_ACCOUNT
from foreshock.strategies.backtest.costs import Costs
from foreshock.strategies.backtest.portfolio import backtest
from foreshock.strategies.regime_exposure import RegimeExposure
from foreshock.study.traded.entries import Entry
from foreshock.study.traded.members import weights_of_members
from foreshock.study.traded.trading import Strategies
from foreshock.study.traded.weights import Told, account_of, wanted, weights_from

# Cheap to refit on every history, which the walk-forward scores need.
REFITTED = "volatility_only"


@dataclass(frozen=True)
class Pipeline:
    """Everything of a study that must not look ahead, computed from a history.

    Parameters
    ----------
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
    regimes : RegimeSetting
        Regimes of the strategies that hold by regime.
    thresholds : dict of str to Threshold
        Rules of single detectors by label, held to the same scores.
    universe : Universe, optional
        Who is scored and held when.
    """

    fitted: Mapping[str, Detector]
    splits: WalkForward
    threshold: Threshold
    purge: int
    strategies: Strategies
    costs: Costs
    regimes: RegimeSetting = field(default_factory=RegimeSetting)
    thresholds: Mapping[str, Threshold] = field(default_factory=dict)
    universe: Universe | None = None

    def compute(self, source: Source) -> dict[str, np.ndarray]:
        """Features, scores, threshold, weights and fills by name, each with a row for each row of the source."""
        bars, features = source.bars, source.features
        found = {f"feature {name}": features.column(name) for name in features.names}
        found |= {f"detector {label}": detector.score(features).values for label, detector in self.fitted.items()}
        baseline = self.fitted[REFITTED]
        label_bars = self.purge - baseline.lookback
        train_scores = any(rule.needs_train_scores for rule in (self.threshold, *self.thresholds.values()))
        scores = walk_forward(baseline, features, self.splits, label_bars=label_bars, train_scores=train_scores)
        members = None if self.universe is None else self.universe.members(bars, self.splits, self.purge)
        within = None
        if members is not None:
            within = members.mask
            found |= {"universe": members.mask, "universe held": members.held}
        signals = scores.signals(self.threshold).where(within)
        found["walk-forward scores"] = scores.where(within).values
        found[f"threshold {type(self.threshold).__name__}"] = signals.threshold
        found |= {f"threshold of {label}": scores.signals(rule).threshold for label, rule in self.thresholds.items()}
        weights = {entry.label: self._weights(entry, bars, signals, members) for entry in self._acting()}
        for idle in self.strategies.passive:
            weights[idle.name] = idle.weights(bars) if members is None else weights_of_members(idle.weights, bars, None, members)
        rules = {entry.label: account_of(entry, entry.strategy, weights[entry.label]) for entry in self._acting()}
        found |= {f"strategy {name}": values for name, values in weights.items()}
        return found | {
            f"fills {name}": backtest(bars, values, self.costs, account=rules.get(name, DEFAULT_ACCOUNT)).turnover
            for name, values in weights.items()
        }

    def _acting(self) -> list[Entry]:
        """The strategies that are checked: all but those that networks are fitted for, which would take hours."""
        return [entry for entry in self.strategies.entries if getattr(entry.strategy, "model", None) is None]

    def _weights(self, entry: Entry, bars: Bars, signals: Signals, members: Membership | None) -> np.ndarray:
        strategy = entry.strategy
        if isinstance(strategy, RegimeExposure) and strategy.regimes is None:
            told = Told(self.regimes.walk_forward(bars, self.splits, self.strategies.seed), self.splits, self.strategies.seed)
            strategy = told.bound(strategy, bars)
        if members is None:
            return wanted(entry, strategy, bars, signals)
        first = members.blocks[0].rows.start
        weights = np.full(bars.shape, np.nan)
        weights[first:] = weights_from(entry, strategy, bars, signals, first, members)
        return weights

    def run_gate(self, source: Source, n_cuts: int, first: int, seed: int, progress: bool) -> Audit:
        """Hold ``compute`` to the causality gate; ``first`` is the first test row."""
        at_open = [f"fills {entry.label}" for entry in self._acting()]
        at_open += [f"fills {strategy.name}" for strategy in self.strategies.passive]
        tolerance = {f"detector {label}": detector.tolerance for label, detector in self.fitted.items()}
        with progress_bar(n_cuts, progress) as step:
            # Cuts start one row into the first test block, so that every history has something to score.
            found = audit_source(self.compute, source, n_cuts, first + 1, tolerance, at_open, seed, lambda: step("causality gate"))
        refuse_unknown([result for result in found.results if result.name.startswith("detector ")], first + 1)
        return found
