"""A study: detectors over one history, out of sample, through every layer to the results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import numpy as np

from foreshock.data.bars import Bars
from foreshock.data.checks import check_horizons, check_type, check_whole
from foreshock.data.errors import ConfigError
from foreshock.data.interval import bars_in
from foreshock.data.quality.clean import clean
from foreshock.data.show.facts import Shown
from foreshock.data.show.shown import shown
from foreshock.data.system.threads import with_one_blas_thread
from foreshock.detectors.base import Detector
from foreshock.detectors.clusters.regimes import KMeansRegime, walk_forward_regimes
from foreshock.detectors.registry import DETECTORS, as_detector, make_detector
from foreshock.engine.features.features import Features
from foreshock.engine.features.ohlcv import OHLCV_FEATURES, ohlcv_features
from foreshock.engine.out_of_sample.causality import Audit, audit
from foreshock.engine.out_of_sample.splits import WalkForward
from foreshock.engine.out_of_sample.walk_forward import FittedFolds, walk_forward
from foreshock.engine.scores import Scores, Signals, Threshold, check_threshold
from foreshock.engine.thresholds.quantiles import RollingQuantile
from foreshock.engine.thresholds.registry import build_threshold, described
from foreshock.engine.validation.judging import MIN_SURROGATES, Judging
from foreshock.engine.validation.moves.forward import check_moves_fit
from foreshock.engine.validation.moves.slices import agreement, rank_stability, slice_masks
from foreshock.engine.validation.surrogates.histories import BEST
from foreshock.engine.validation.surrogates.significance import Rescorer
from foreshock.exploration.sections import PAIRED, projection
from foreshock.plain import plain, versions
from foreshock.progress import progress_bar
from foreshock.strategies.anomaly_avoidance import AnomalyAvoidance
from foreshock.strategies.backtest.costs import Costs
from foreshock.strategies.backtest.portfolio import backtest, backtest_many
from foreshock.strategies.backtest.result import BacktestResult
from foreshock.strategies.baselines import BuyAndHold, EqualWeight, RandomAvoidance
from foreshock.strategies.identity import BASELINE, RANDOM, Identity
from foreshock.study import content as sections
from foreshock.study.config import MIN_BOOTSTRAP, DetectorConfig, StudyConfig
from foreshock.study.defaults import DELAY, HORIZONS, N_BOOTSTRAP, N_SURROGATES, RANDOM_DRAWS, SEED, TITLE
from foreshock.study.judge import judge
from foreshock.study.result import StudyResult
from foreshock.study.sections import cost_section, event_studies, regimes_section, risk_section, slices_section
from foreshock.study.side_by_side import walk_forward_all, worth_processes
from foreshock.study.trials import deflate_study

BASELINES = ("random", "volatility_only")
# Alerts of two detectors up to this many bars apart are the same event.
AGREEMENT_BARS = 1
MAX_RANDOM_DRAWS = 10_000


@dataclass(frozen=True, repr=False)
class Study(Shown):
    """What is to be run on which bars.

    Parameters
    ----------
    bars : Bars
    detectors : sequence of str or Detector, or dict of label to either
        The baselines ``random`` and ``volatility_only`` are added, so that every table shows them.
    splits : WalkForward
    threshold : Threshold
    horizons : sequence of str
        Durations of the forward moves; the longest is purged before each test block.
    features : sequence of str
        See ``ohlcv_features``.
    delay : int
        Bars from a signal to the first bar measured.
    cooldown : str, optional
        After an event, further alerts of the symbol are no events for this long; by default the longest horizon. Strategies see
        every alert.
    costs : Costs
    hold, exposure, rebalance : str, float, str
        Of ``AnomalyAvoidance``.
    random_draws : int
        Random timings that each avoidance strategy is held against.
    n_bootstrap : int
    n_surrogates : int
        Histories of volatility alone that the alerts are held against; 0 leaves this test, which decides the verdict, out.
    surrogate_family : str
        Volatility model of these histories; see ``fit_surrogates``.
    seed : int
    title : str
    """

    bars: Bars
    detectors: Sequence[str | Detector] | Mapping[str, str | Detector]
    splits: WalkForward = field(default_factory=WalkForward)
    threshold: Threshold = field(default_factory=RollingQuantile)
    horizons: Sequence[str] = HORIZONS
    features: Sequence[str] = OHLCV_FEATURES
    delay: int = DELAY
    cooldown: str | None = None
    costs: Costs = field(default_factory=Costs)
    hold: str = str(AnomalyAvoidance.hold)
    exposure: float = AnomalyAvoidance.exposure
    rebalance: str = str(AnomalyAvoidance.rebalance)
    random_draws: int = RANDOM_DRAWS
    n_bootstrap: int = N_BOOTSTRAP
    n_surrogates: int = N_SURROGATES
    surrogate_family: str = BEST
    seed: int = SEED
    title: str = TITLE

    def __post_init__(self) -> None:
        for name in ("detectors", "horizons", "features"):
            if isinstance(getattr(self, name), str) or not isinstance(getattr(self, name), Sequence | Mapping):
                raise ConfigError(f"{name} must be a list, got {shown(getattr(self, name))}; put it in brackets")
        check_horizons(self.horizons)
        if not isinstance(self.bars, Bars):
            raise ConfigError(f"bars must be Bars, got {shown(self.bars)}; read a file with fs.read_bars")
        check_threshold(self.threshold)
        check_whole("seed", self.seed, 0)
        check_whole("n_bootstrap", self.n_bootstrap, MIN_BOOTSTRAP, hint="999 is usual")
        check_whole("n_surrogates", self.n_surrogates, 0, hint="199 is usual")
        if not 1 <= self.random_draws <= MAX_RANDOM_DRAWS:
            raise ConfigError(f"random_draws must lie between 1 and {MAX_RANDOM_DRAWS}, got {self.random_draws}; lower it")
        if self.n_surrogates and self.n_surrogates < MIN_SURROGATES:
            raise ConfigError(f"n_surrogates must be 0 or at least {MIN_SURROGATES}, got {self.n_surrogates}; 199 is usual")

    @classmethod
    def from_config(cls, config: StudyConfig, bars: Bars) -> Study:
        """The study that a configuration describes, on bars already selected by its data section."""
        check_type("config", config, StudyConfig, "read one with fs.load_study")
        detectors: dict[str, Detector] = {}
        for entry in config.detectors:
            wanted = entry if isinstance(entry, DetectorConfig) else DetectorConfig(name=entry)
            detector = DETECTORS.make(wanted.name, wanted.model_extra or {}, config.folder)
            # A class in a file or module goes by its own name, not by its place.
            label = wanted.label or (detector.name if ":" in wanted.name else wanted.name)
            if label in detectors:
                raise ConfigError(f"key 'detectors': {shown(label)} stands there twice; give one of them a label")
            detectors[label] = detector
        return cls(
            bars,
            detectors,
            WalkForward(**config.splits.model_dump()),
            build_threshold(config.threshold.kind, config.threshold.model_dump(exclude={"kind"}), config.folder),
            config.horizons,
            config.features or OHLCV_FEATURES,
            config.delay,
            config.cooldown,
            Costs(**config.costs.model_dump()),
            **config.avoidance.model_dump(),
            n_bootstrap=config.n_bootstrap,
            n_surrogates=config.surrogates.n,
            surrogate_family=config.surrogates.family,
            seed=config.seed,
            title=config.title,
        )

    def labelled_detectors(self) -> dict[str, Detector]:
        """Detectors by label, the baselines among them."""
        if isinstance(self.detectors, Mapping):
            named = self.detectors.items()
            labelled = {label: as_detector(entry) for label, entry in named}
        else:
            built = [as_detector(entry) for entry in self.detectors]
            labelled = {detector.name: detector for detector in built}
            if len(labelled) < len(built):
                raise ConfigError("two detectors have the same name; pass a dict of label to detector")
        if not labelled:
            raise ConfigError("a study needs at least one detector; see fs.detectors()")
        return labelled | {name: make_detector(name) for name in BASELINES if name not in labelled}

    def config(self) -> dict[str, Any]:
        """Every parameter in plain values, for results.json."""
        detectors = {label: {"name": d.name, **d.get_params()} for label, d in self.labelled_detectors().items()}
        return {
            "title": self.title,
            "features": list(self.features),
            "detectors": detectors,
            "splits": asdict(self.splits),
            "threshold": described(self.threshold),
            "horizons": list(self.horizons),
            "delay": self.delay,
            "cooldown": self.event_cooldown,
            "costs": asdict(self.costs),
            "avoidance": {
                "hold": self.hold,
                "exposure": self.exposure,
                "rebalance": self.rebalance,
                "random_draws": self.random_draws,
            },
            "n_bootstrap": self.n_bootstrap,
            "surrogates": {"n": self.n_surrogates, "family": self.surrogate_family},
            "seed": self.seed,
        }

    @property
    def event_cooldown(self) -> str:
        if self.cooldown is not None:
            return self.cooldown
        return max(self.horizons, key=lambda horizon: bars_in(horizon, self.bars.interval, "horizon"))

    def _judging(self, first: int) -> Judging:
        """How verdicts are reached on the rows from ``first`` on."""
        return Judging(
            self.horizons,
            self.event_cooldown,
            self.delay,
            first,
            self.n_bootstrap,
            self.n_surrogates,
            self.surrogate_family,
            self.seed,
        )

    # Matrices here are small: BLAS threads cost more than they give, and several studies at once would fight over cores.
    @with_one_blas_thread
    def run(self, progress: bool = False) -> StudyResult:
        """Score, judge and backtest every detector out of sample.

        Parameters
        ----------
        progress : bool
            Show a progress bar on standard error.

        Raises
        ------
        ConfigError
            If a window or horizon does not fit into the data.
        DataError
            If nothing can be scored.
        """
        detectors = self.labelled_detectors()
        bars, quality = clean(self.bars)
        # Costless checks first: a duration that does not fit should not wait for the detectors.
        for name in ("hold", "rebalance", "event_cooldown"):
            bars_in(getattr(self, name), bars.interval, name.removeprefix("event_"))
        self._probe_threshold(bars)
        check_moves_fit(bars, self.horizons, self.delay)
        purge = self._purge(detectors)
        folds = self.splits.folds(bars.n_bars, bars.interval, purge)
        first, n_folds = folds[0].test.start, len(folds)
        setting = self._judging(first)
        n_backtests = 2 + len(detectors) * (1 + self.random_draws)
        with progress_bar(4 + len(detectors) * (n_folds + 3) + n_backtests + self.n_surrogates, progress) as step:
            features = ohlcv_features(bars, self.features)
            step("features")
            fitted = self._walk_forward(detectors, features, purge, step)
            scores = {label: found for label, (found, _) in fitted.items()}
            signals = {label: found.signals(self.threshold) for label, found in scores.items()}
            rescorers = {label: Rescorer(folds.score, self.threshold) for label, (_, folds) in fitted.items()}
            judged = judge(bars, signals, rescorers, partial(ohlcv_features, features=self.features), setting, step)
            longest = judged.table.longest
            after = event_studies(bars, signals, longest, setting, step)
            n_jobs = -1 if worth_processes(bars) else 1
            regimes = walk_forward_regimes(KMeansRegime(seed=self.seed), ohlcv_features(bars), self.splits, n_jobs)
            masks = slice_masks(bars, regimes.labels, regimes.names)
            slices = slices_section(judged.table.only(longest), signals, masks, setting)
            step("years, assets and regimes")
            tested = bars.rows(slice(first, None))
            accounts, timings = self._backtests(tested, {k: s.rows(slice(first, None)) for k, s in signals.items()}, step)
            backtests = {identity.name: result for identity, result in accounts.items()}
            acted = {identity.name: result for identity, result in accounts.items() if identity.role != RANDOM}
            costs = cost_section(tested, acted, self.costs)
            step("costs")
            paths, tested_risk = risk_section(acted, bars, self.seed)
            step("value at risk")
        content = {
            "version": sections.SCHEMA_VERSION,
            "config": self.config(),
            "data": sections.data_section(bars, first),
            "detectors": {
                label: sections.detector_section(detector, scores[label], signals[label], judged, label)
                for label, detector in detectors.items()
            },
            "surrogates": sections.surrogates_section(judged, bars.symbols),
            "calibration": sections.calibration_section(),
            "evidence": {label: sections.evidence_section(frames) for label, frames in judged.evidence.items()},
            "lead_lag": {label: asdict(found) for label, found in judged.lead_lag.items()},
            "backtests": {who.name: sections.backtest_section(who, result) for who, result in accounts.items()},
            "risk": {name: sections.risk_rows(result) for name, result in backtests.items()},
            "equity_by_month": sections.months_section(backtests),
            "value_at_risk": tested_risk,
            "cost_sweep": costs,
            "random_draws": timings,
            "event_study": after,
            "regimes": regimes_section(regimes),
            "projection": projection(ohlcv_features(bars, PAIRED), regimes.labels, self.seed, []),
            "slices": slices,
            "rank_stability": rank_stability(slices),
            "agreement": agreement(signals, AGREEMENT_BARS),
            "seeds": {"study": self.seed},
            "versions": versions(),
        }
        found = plain(content)
        return deflate_study(
            StudyResult(
                self.title, found, bars, regimes, scores, signals, judged.forward, judged.verdicts, backtests, paths, quality
            )
        )

    def _walk_forward(
        self, detectors: Mapping[str, Detector], features: Features, purge: int, step: Callable[[str], None]
    ) -> dict[str, tuple[Scores, FittedFolds]]:
        """Scores and fitted detectors by label, in the order of the detectors."""
        found = {}
        for label, result in walk_forward_all(
            detectors,
            features,
            self.splits,
            purge,
            train_scores=self.threshold.needs_train_scores,
            on_fold=lambda label: step(f"walk-forward {label}"),
        ):
            if isinstance(result, ConfigError):
                raise result
            found[label] = result
        return {label: found[label] for label in detectors}

    def _probe_threshold(self, bars: Bars) -> None:
        """Let the threshold refuse its window now, on scores that are nowhere known."""
        if not self.threshold.needs_train_scores:
            unknown = np.full((1, bars.n_symbols), np.nan)
            self.threshold.threshold(Scores(bars.time[:1], bars.symbols, unknown, bars.interval))

    def _purge(self, detectors: Mapping[str, Detector]) -> int:
        """Bars between training and test rows: one for all detectors, so that they are judged on the same rows."""
        longest = max(bars_in(horizon, self.bars.interval, "horizon") for horizon in self.horizons)
        return longest + self.delay + max(detector.lookback for detector in detectors.values())

    def _backtests(
        self, bars: Bars, signals: dict[str, Signals], step: Callable[[str], None]
    ) -> tuple[dict[Identity, BacktestResult], dict[str, dict[str, Any]]]:
        """Avoidance by each detector, its random timings, and the two passive baselines, all on the test rows."""
        accounts: dict[Identity, BacktestResult] = {}
        timings: dict[str, dict[str, Any]] = {}
        avoidance = AnomalyAvoidance(self.hold, self.exposure, self.rebalance)
        chance = RandomAvoidance(self.random_draws, self.seed, self.hold, self.exposure, self.rebalance)
        for passive in (BuyAndHold(), EqualWeight(self.rebalance)):
            accounts[Identity(passive.name, role=BASELINE)] = backtest(bars, passive.weights(bars), self.costs, passive.name)
            step(passive.name)
        for label, alerts in signals.items():
            avoiding, by_chance = Identity(avoidance.name, label), Identity(chance.name, label, RANDOM)
            accounts[avoiding] = backtest(bars, avoidance.weights(bars, alerts), self.costs, avoiding.name)
            step(avoiding.name)
            drawn: list[BacktestResult] = []
            for result in backtest_many(bars, chance.draws(bars, alerts), self.costs, by_chance.name):
                drawn.append(result)
                step(by_chance.name)
            # The draw in the middle stands for chance in the tables; all of them give the percentile.
            drawn.sort(key=lambda result: result.equity[-1])
            accounts[by_chance] = drawn[(len(drawn) - 1) // 2]
            totals = [result.equity[-1] - 1 for result in drawn]
            own = accounts[avoiding].equity[-1] - 1
            # Equal returns are half below; without an alert there is no timing to be better or worse than.
            below = np.mean([(total < own) + 0.5 * (total == own) for total in totals]) if alerts.active.any() else None
            timings[avoiding.name] = {"n_draws": self.random_draws, "total_returns": totals, "percentile": below}
        return accounts, timings

    @with_one_blas_thread
    def audit(self, n_cuts: int = 20, progress: bool = False) -> Audit:
        """The causality gate over the study's features, detectors, threshold and strategies.

        Detectors are fitted on the first training window and score truncated and corrupted histories; the threshold and the
        strategy are held to the walk-forward scores of ``volatility_only``, refitted on every history. What a strategy fills
        at an open must not depend on the bar that opens.
        """
        bars, _ = clean(self.bars)
        detectors = self.labelled_detectors()
        purge = self._purge(detectors)
        first = self.splits.folds(bars.n_bars, bars.interval, purge)[0].test.start
        trained = ohlcv_features(bars.head(first), self.features)
        fitted = {label: detector.fit(trained) for label, detector in detectors.items()}
        baseline = fitted["volatility_only"]
        avoidance = AnomalyAvoidance(self.hold, self.exposure, self.rebalance)
        passive = (BuyAndHold(), EqualWeight(self.rebalance))

        def compute(history: Bars) -> dict[str, np.ndarray]:
            features = ohlcv_features(history, self.features)
            found = {f"feature {name}": features.column(name) for name in features.names}
            found |= {f"detector {label}": detector.score(features).values for label, detector in fitted.items()}
            scores = walk_forward(
                baseline,
                features,
                self.splits,
                label_bars=purge - baseline.lookback,
                train_scores=self.threshold.needs_train_scores,
            )
            signals = scores.signals(self.threshold)
            found["walk-forward scores"] = scores.values
            found[f"threshold {type(self.threshold).__name__}"] = signals.threshold
            weights = {avoidance.name: avoidance.weights(history, signals)} | {idle.name: idle.weights(history) for idle in passive}
            found |= {f"strategy {name}": values for name, values in weights.items()}
            return found | {f"fills {name}": backtest(history, values, self.costs).turnover for name, values in weights.items()}

        at_open = [f"fills {strategy.name}" for strategy in (avoidance, *passive)]
        tolerance = {f"detector {label}": detector.tolerance for label, detector in fitted.items()}
        with progress_bar(n_cuts, progress) as step:
            # Cuts start one row into the first test block, so that every history has something to score.
            return audit(compute, bars, n_cuts, first + 1, tolerance, at_open, self.seed, lambda: step("causality gate"))
