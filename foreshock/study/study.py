"""A study: detectors over one history, out of sample, through every layer to the results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from foreshock.data.bars import Bars
from foreshock.data.checks import (
    check_duration,
    check_horizons,
    check_most,
    check_number,
    check_seed,
    check_text,
    check_type,
    check_whole,
)
from foreshock.data.doors.door import door
from foreshock.data.doors.kinds import ANYTHING
from foreshock.data.errors import ConfigError
from foreshock.data.interval import bars_in
from foreshock.data.labels import Labels
from foreshock.data.quality.clean import QualityReport
from foreshock.data.show.facts import Shown
from foreshock.data.show.shown import few, shown
from foreshock.data.system.threads import with_one_blas_thread
from foreshock.detectors.base import Detector
from foreshock.detectors.clusters.setting import RegimeSetting, regime_setting
from foreshock.engine.features.ohlcv import OHLCV_FEATURES
from foreshock.engine.out_of_sample.causality import Audit
from foreshock.engine.out_of_sample.lookback import lookback_of
from foreshock.engine.out_of_sample.splits import WalkForward
from foreshock.engine.out_of_sample.universe import Membership, Universe
from foreshock.engine.scores import Scores, Threshold, check_threshold
from foreshock.engine.sources.bars import BarSource
from foreshock.engine.sources.source import Source
from foreshock.engine.thresholds.quantiles import RollingQuantile
from foreshock.engine.thresholds.registry import build_threshold, described
from foreshock.engine.trials.hold_out import n_held
from foreshock.engine.validation.judging import MOST_DRAWS, Judging, check_surrogates
from foreshock.engine.validation.moves.forward import check_moves_fit
from foreshock.engine.validation.surrogates.histories import BEST
from foreshock.engine.validation.surrogates.significance import Rescorer
from foreshock.plain import plain
from foreshock.progress import progress_bar
from foreshock.strategies.anomaly_avoidance import AnomalyAvoidance
from foreshock.strategies.backtest.costs import Costs
from foreshock.strategies.base import Strategy
from foreshock.study.audit import Pipeline
from foreshock.study.config import MIN_BOOTSTRAP, StudyConfig
from foreshock.study.content import study_content
from foreshock.study.controls import check_controls, control_alerts, labelled_controls
from foreshock.study.defaults import DELAY, HORIZONS, N_BOOTSTRAP, N_SURROGATES, RANDOM_DRAWS, SEED, TITLE
from foreshock.study.judge import judge
from foreshock.study.own.entries import adapted_entries, built, built_thresholds, check_thresholds, labelled
from foreshock.study.own.gate import Gate, leaks_of, prepared, refuse_leaking
from foreshock.study.own.rules import Rules
from foreshock.study.result import StudyResult
from foreshock.study.sections import circumstances
from foreshock.study.signals.detection import detect, labels_of
from foreshock.study.signals.scored import Scored, score_forward
from foreshock.study.traded.entries import DEFAULT, Defaults, Entry, Strategies, entries
from foreshock.study.traded.entries import described as described_strategies
from foreshock.study.traded.from_file import strategies_of
from foreshock.study.traded.trading import Strategies as Backtested
from foreshock.study.traded.trading import Traded, trade
from foreshock.study.traded.weights import Told
from foreshock.study.trials import deflate_study

BASELINES = ("random", "volatility_only")
MAX_RANDOM_DRAWS = 10_000


@door(
    features=ANYTHING,
    threshold=ANYTHING,
    delay=ANYTHING,
    n_bootstrap=ANYTHING,
    bars=ANYTHING,
    detectors=ANYTHING,
    horizons=ANYTHING,
    controls=ANYTHING,
)
@dataclass(frozen=True, repr=False)
class Study(Shown):
    """Detectors on a history, and everything that decides how they are scored, judged and traded.

    Nothing is computed before ``run`` or ``audit`` is called.

    Parameters
    ----------
    bars : Bars or Source
        The history; bars are cleaned first, and the result says what was set to unknown. A source has features and prices of its
        own: see ``fs.BarSource``, ``fs.WindowSource``, ``fs.BookSource`` and ``fs.FeatureSource``.
    detectors : sequence of str or Detector, or dict of label to either
        Names (see ``fs.detectors()``), detectors, or things of your own; see ``fs.as_detector``. Whatever is not foreshock's goes
        through a short causality gate, and its look-back is measured. The baselines ``random`` and ``volatility_only`` are added.
    splits : WalkForward
        Lengths of training and test blocks; by default a year and 90 days.
    threshold : Threshold
        Rule that turns scores into alerts; by default a rolling quantile.
    horizons : sequence of str
        Durations of the moves measured after an alert, such as ``"6h"``; the longest is purged before each test block.
    features : sequence of str
        Names of the bar features that the detectors see; see ``ohlcv_features``. A source has its own.
    delay : int
        Bars from a signal to the first bar measured, at least 1.
    cooldown : str, optional
        After an event, further alerts of the symbol do not count as events for this long; by default the longest horizon.
        Strategies see every alert.
    costs : Costs
        Fee, slippage and funding of every backtest.
    hold : str
        How long ``AnomalyAvoidance`` stays out of a symbol after an alert.
    exposure : float
        Fraction of its weight that the symbol keeps meanwhile, 0 to 1.
    rebalance : str
        How often the strategies restore equal weights.
    random_draws : int
        Random timings that each avoidance strategy is compared with, at most 10,000.
    n_bootstrap : int
        Draws of every bootstrap and shifts of every shift test; 999 is usual.
    n_surrogates : int
        Histories that have the volatility of the data and nothing else, on which the detectors are scored again: a second opinion
        on the verdicts, which takes long. 0, the default, leaves it out.
    surrogate_family : str
        Volatility model of these histories; see ``fit_surrogates``.
    seed : int
        Seed of every random number in the study.
    title : str
        Heading of the report.
    controls : sequence of str or Detector, or dict of label to either
        Negative controls of your own, beside some forty that every study has: detectors that know nothing of what comes but what
        past prices tell. They raise alerts by the same blocks and rule, help to calibrate the verdicts at both forecasts, and are
        neither judged nor traded. A control that does know something widens every interval.
    strategies : sequence of str or Strategy, or dict of label to either
        What is held on the alerts, and on other rules: names (see ``fs.strategy_names()``), strategies with parameters, objects of
        your own with ``weights(bars, signals)``. Those that act on alerts are run for each detector, beside random timings. By
        default ``"anomaly_avoidance"``; buy and hold and equal weight always stand beside. A strategy that fails is named with its
        reason, and takes nothing else with it.
    regimes : int or dict, optional
        Number of regimes, or a dict of ``n``, ``volatility``, ``trend``, ``features`` and ``pool``; by default those of the study's
        own ``kmeans_regime``, or else 4. See ``fs.make_detector("kmeans_regime")`` for how they are named.
    sealed : float or str, optional
        Share of the bars, such as 0.2, or duration, such as ``"180D"``, at the end that nothing of the study may see; see
        ``fs.open_sealed``.
    labels : Labels, optional
        Events that are known to have happened, and what an analyst said about alerts; see ``fs.read_labels``. Every detector is
        measured by how well it finds them.
    thresholds : dict of str to Threshold, optional
        Rules of single detectors, by label, in place of ``threshold``. Where ``threshold`` aims at no rate, as ``fs.Fixed`` does,
        the baselines alert by a rolling quantile, as often as the detectors.
    universe : Universe, optional
        Symbols that are judged and held in each test block, chosen by what was known when it began; by default all of them. See
        ``fs.Universe``.

    Raises
    ------
    ConfigError
        If a value has another type, lies outside its range, or a list is a single word.

    Examples
    --------
    >>> import foreshock as fs
    >>> bars = fs.simulate_market(seed=1, n_symbols=1, n_bars=300).bars
    >>> study = fs.Study(bars, ["zscore"], fs.WalkForward(train="5D", test="2D"), horizons=["1h", "6h"])
    >>> study.event_cooldown
    '6h'
    >>> list(study.labelled_detectors())
    ['zscore', 'random', 'volatility_only']
    >>> study  # doctest: +ELLIPSIS
    Study(bars=Bars(BTC/USDT, 300 bars of 1h, 2022-01-01 to 2022-01-13, with quote_volume), detectors=['zscore'], splits=...)
    """

    bars: Bars | Source
    detectors: Sequence[Any] | Mapping[str, Any]
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
    controls: Sequence[Any] | Mapping[str, Any] = ()
    sealed: float | str | None = None
    strategies: Strategies = DEFAULT
    regimes: int | Mapping[str, Any] | None = None
    labels: Labels | None = None
    thresholds: Mapping[str, Threshold] = field(default_factory=dict)
    universe: Universe | None = None

    def __post_init__(self) -> None:
        check_type("splits", self.splits, WalkForward, "such as fs.WalkForward('365D', '30D')")
        check_type("costs", self.costs, Costs, "such as fs.Costs(taker=5e-4)")
        check_number("delay", self.delay)
        if self.cooldown is not None:
            check_duration("cooldown", self.cooldown)
        check_duration("hold", self.hold)
        check_number("exposure", self.exposure)
        check_duration("rebalance", self.rebalance)
        check_number("random_draws", self.random_draws)
        check_text("surrogate_family", self.surrogate_family)
        check_text("title", self.title)
        for name in ("detectors", "horizons", "features", "strategies"):
            if isinstance(getattr(self, name), str) or not isinstance(getattr(self, name), Sequence | Mapping):
                raise ConfigError(f"{name} must be a list, got {shown(getattr(self, name))}; put it in brackets")
        self.labelled_strategies()
        regime_setting(self.regimes)
        check_controls(self.controls)
        # Once: a table of scores may be large.
        for name in ("detectors", "controls"):
            object.__setattr__(self, name, adapted_entries(getattr(self, name)))
        check_horizons(self.horizons)
        if not isinstance(self.bars, Bars | Source):
            raise ConfigError(f"bars must be Bars or a source, got {shown(self.bars)}; read a file with fs.read_bars")
        if isinstance(self.bars, Source) and tuple(self.features) != OHLCV_FEATURES:
            raise ConfigError(f"features belong to the source, got {few(self.features, 3)} beside it; pass them to the source")
        if self.sealed is not None and not 0 < self.n_sealed < self.source.bars.n_bars:
            raise ConfigError(
                f"sealed must be a share between 0 and 1, or a duration, that leaves bars before it, got {shown(self.sealed)} of "
                f"{self.source.bars.n_bars} bars; such as 0.2 or '180D'"
            )
        if self.labels is not None:
            check_type("labels", self.labels, Labels, "read a file with fs.read_labels")
            bars = self.source.bars
            self.labels.check_fit(bars.symbols, bars.time[0], bars.time[-1] + bars.interval)
        if self.universe is not None:
            check_type("universe", self.universe, Universe, "such as fs.Universe(top=50)")
        check_threshold(self.threshold)
        if not isinstance(self.thresholds, Mapping) or self.thresholds:
            check_thresholds(self.thresholds, list(self.labelled_detectors()))
        check_seed("seed", self.seed)
        check_whole("n_bootstrap", self.n_bootstrap, MIN_BOOTSTRAP, hint="999 is usual")
        check_most("n_bootstrap", self.n_bootstrap, MOST_DRAWS, "999 is usual")
        check_surrogates(self.n_surrogates)
        if self.n_surrogates and self.source.redraw is None:
            raise ConfigError(
                f"surrogate histories cannot honestly be drawn of {self.source.kind}, got n_surrogates={self.n_surrogates}; "
                f"leave it out"
            )
        if not 1 <= self.random_draws <= MAX_RANDOM_DRAWS:
            raise ConfigError(f"random_draws must lie between 1 and {MAX_RANDOM_DRAWS}, got {self.random_draws}; 200 is usual")

    @classmethod
    def from_config(cls, config: StudyConfig, bars: Bars | Source) -> Study:
        """The study that a configuration describes, on bars or a source already selected by its data or source section."""
        check_type("config", config, StudyConfig, "read one with fs.load_study")
        return cls(
            bars,
            built("detectors", config.detectors, config),
            WalkForward(**config.splits.model_dump()),
            build_threshold(config.threshold.kind, config.threshold.model_dump(exclude={"kind"}), config.folder),
            config.horizons,
            OHLCV_FEATURES if isinstance(bars, Source) else config.features or OHLCV_FEATURES,
            config.delay,
            config.cooldown,
            Costs(**config.costs.model_dump()),
            **config.avoidance.model_dump(),
            n_bootstrap=config.n_bootstrap,
            n_surrogates=config.surrogates.n,
            surrogate_family=config.surrogates.family,
            seed=config.seed,
            title=config.title,
            controls=built("controls", config.controls, config),
            sealed=config.sealed,
            strategies=strategies_of(config),
            regimes=config.regimes.model_dump() if config.regimes is not None else None,
            labels=labels_of(config),
            thresholds=built_thresholds(config),
            universe=config.universe,
        )

    def labelled_detectors(self) -> dict[str, Detector]:
        """Detectors by label, the baselines among them."""
        return labelled(self.detectors, BASELINES)

    def labelled_controls(self) -> dict[str, Detector]:
        """Negative controls of the user's own by label."""
        return labelled_controls(self.controls, self.labelled_detectors())

    def labelled_strategies(self) -> dict[str, Strategy]:
        """Strategies under test by label, without the passive baselines that every study has."""
        return {entry.label: entry.strategy for entry in self._entries()}

    def _entries(self, given: Strategies | None = None) -> tuple[Entry, ...]:
        return entries(self.strategies if given is None else given, Defaults(self.hold, self.exposure, self.rebalance))

    @property
    def regime_setting(self) -> RegimeSetting:
        """How regimes are found and named."""
        return regime_setting(self.regimes, self.labelled_detectors().values())

    def config(self) -> dict[str, Any]:
        """Every parameter in plain values, for results.json."""
        detectors, controls = (
            {label: d.described() for label, d in labelled.items()}
            for labelled in (self.labelled_detectors(), self.labelled_controls())
        )
        return {
            "title": self.title,
            "features": list(self.source.names),
            # Without a source, the configuration is the one that earlier entries of a ledger hold.
            **({"source": self.source.facts()} if isinstance(self.bars, Source) else {}),
            "detectors": detectors,
            # Without any, the configuration is the one that earlier entries of a ledger hold.
            **({"controls": controls} if controls else {}),
            **({"sealed": self.sealed} if self.sealed is not None else {}),
            **({"strategies": described_strategies(self._entries())} if self._entries() != self._entries(DEFAULT) else {}),
            **({"regimes": regimes} if (regimes := self.regime_setting.described()) else {}),
            "splits": asdict(self.splits),
            "threshold": described(self.threshold),
            **({"thresholds": {label: described(rule) for label, rule in self.thresholds.items()}} if self.thresholds else {}),
            **({"universe": self.universe.described()} if self.universe is not None else {}),
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
    def n_sealed(self) -> int:
        """Number of bars at the end that are sealed."""
        return n_held(self.source.bars, self.sealed)

    @property
    def visible(self) -> Bars:
        """The bars before the sealed part, which are all that ``run`` and ``audit`` see."""
        return self.visible_source.bars

    @property
    def visible_source(self) -> Source:
        """The source before the sealed part."""
        return self.source.head(self.source.bars.n_bars - self.n_sealed) if self.n_sealed else self.source

    @cached_property
    def source(self) -> Source:
        """Prices, features and marks on the same rows: the source that was passed, or one of the bars."""
        return self.bars if isinstance(self.bars, Source) else BarSource(self.bars, self.features)

    @property
    def event_cooldown(self) -> str:
        """``cooldown``, or the longest horizon."""
        if self.cooldown is not None:
            return self.cooldown
        return max(self.horizons, key=lambda horizon: bars_in(horizon, self.source.bars.interval, "horizon"))

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
    def run(self, progress: bool = False, out: str | Path | None = None) -> StudyResult:
        """Score, judge and backtest every detector out of sample.

        Parameters
        ----------
        progress : bool
            Show a progress bar on standard error.
        out : str or Path, optional
            Folder for ``results.json`` and ``scores.parquet`` with the verdicts, written before the backtests begin; ``save``
            writes the whole.

        Raises
        ------
        ConfigError
            If a window or horizon does not fit into the data.
        DataError
            If nothing can be scored.
        """
        plan = self._plan()
        bars, setting = plan.bars, plan.setting
        n_labels = len(plan.detectors)
        n_steps = (
            7
            + n_labels * (plan.n_folds + 3)
            + len(plan.controls) * plan.n_folds
            + plan.strategies.n_backtests(n_labels)
            + self.n_surrogates
        )
        with progress_bar(n_steps, progress) as step:
            scored = plan.scored(plan.detectors, self.splits, step)
            features, scores, signals, rules = scored.features, scored.scores, scored.signals, scored.rules
            rescorers = {label: Rescorer(folds.score, rules[label], plan.within) for label, folds in scored.folds.items()}
            purge = self._purge(plan.detectors | plan.controls)
            controls = control_alerts(plan.controls, features, self.splits, purge, self.threshold, step, plan.within)
            redraw, marks = plan.source.redraw, plan.source.marks
            given = (self.threshold, setting, rescorers, redraw, step, controls, marks, plan.within)
            judged = judge(bars, scores, signals, *given, leaks_of(plan.gates))
            around = circumstances(judged, signals, self.splits, setting, step, self.regime_setting)
            detection = detect(self.labels, bars, scores, signals, self.event_cooldown, self.seed)
            step("labels")
            alerts = scored.alerts(judged.table, around.regimes)
            step("alerts")
            told = {label: {"threshold": described(rule), "gate": plan.gates.get(label)} for label, rule in rules.items()}

            def result(traded: Traded | None) -> StudyResult:
                known = (bars, plan.source.drawn, plan.detectors, scores, signals, judged, around)
                content = plain(study_content(self.config(), *known, traded, setting, detection, features, told, plan.members))
                backtests, paths = ({}, {}) if traded is None else (traded.backtests, traded.risk_paths)
                found = (scores, signals, judged.forward, judged.verdicts, backtests, paths, plan.quality, alerts, features)
                return StudyResult(self.title, content, bars, around.regimes, *found)

            if out is not None:
                result(None).save_verdicts(out)
            seen = Told(around.named, self.splits, self.seed, plan.members)
            traded = trade(bars, signals, setting.first, plan.strategies, self.costs, seen, step)
        return deflate_study(result(traded))

    @with_one_blas_thread
    def audit(self, n_cuts: int = 20, progress: bool = False) -> Audit:
        """The causality gate over the study's features, detectors, threshold and strategies.

        Detectors are fitted on the first training window and score truncated and corrupted histories; the threshold and the
        strategy are held to the walk-forward scores of ``volatility_only``, refitted on every history. What a strategy fills
        at an open must not depend on the bar that opens.

        Parameters
        ----------
        n_cuts : int
            Rows at which the history is cut or corrupted.
        progress : bool
            Show a progress bar on standard error.
        """
        source, _ = self.visible_source.cleaned()
        bars = source.bars
        detectors = self.labelled_detectors()
        purge = self._purge(detectors)
        first = self.splits.folds(bars.n_bars, bars.interval, purge, bars.start_row)[0].test.start
        trained = source.head(first).features
        # Nobody can tell what scores from a table saw.
        computed = {label: detector for label, detector in detectors.items() if not getattr(detector, "from_table", False)}
        fitted = {label: detector.fit(trained) for label, detector in computed.items()}
        known = (self.threshold, purge, self._strategies(), self.costs, self.regime_setting, self.thresholds, self.universe)
        pipeline = Pipeline(fitted, self.splits, *known)
        return pipeline.run_gate(source, n_cuts, first, self.seed, progress)

    def _plan(self) -> _Plan:
        """Everything that costs no time, checked: a duration that does not fit should not wait for the detectors."""
        detectors = self.labelled_detectors()
        source, quality = self.visible_source.cleaned()
        bars = source.bars
        for name in ("hold", "rebalance", "event_cooldown"):
            bars_in(getattr(self, name), bars.interval, name.removeprefix("event_"))
        for rule in (self.threshold, *self.thresholds.values()):
            _probe_threshold(rule, bars)
        check_moves_fit(bars, self.horizons, self.delay)
        detectors, gates = prepared(detectors, source, self.splits, self._label_bars, self.seed)
        controls, found = prepared(self.labelled_controls(), source, self.splits, self._label_bars, self.seed)
        refuse_leaking(found)
        purge = self._purge(detectors)
        folds = self.splits.folds(bars.n_bars, bars.interval, purge, bars.start_row)
        setting = self._judging(folds[0].test.start)
        baselines = [label for label, detector in detectors.items() if detector.role == "baseline"]
        rules = Rules(self.threshold, self.thresholds, baselines)
        members = self._members(bars, purge)
        return _Plan(detectors, controls, source, quality, purge, len(folds), setting, self._strategies(), rules, gates, members)

    def _members(self, bars: Bars, purge: int) -> Membership | None:
        """Who is judged and held when; None for everyone always."""
        return None if self.universe is None else self.universe.members(bars, self.splits, purge)

    def _strategies(self) -> Backtested:
        return Backtested(self._entries(), self.hold, self.rebalance, self.random_draws, self.seed)

    def _purge(self, detectors: Mapping[str, Detector]) -> int:
        """Bars between training and test rows: one for all detectors, so that they are judged on the same rows."""
        return self._label_bars + max(lookback_of(detector) for detector in detectors.values())

    @property
    def _label_bars(self) -> int:
        return max(bars_in(horizon, self.source.bars.interval, "horizon") for horizon in self.horizons) + self.delay


@dataclass(frozen=True)
class _Plan:
    """A study after its checks: the cleaned source, and what is settled before the first fit."""

    detectors: dict[str, Detector]
    controls: dict[str, Detector]
    source: Source
    quality: QualityReport
    purge: int
    n_folds: int
    setting: Judging
    strategies: Backtested
    rules: Rules
    gates: dict[str, Gate]
    members: Membership | None

    @property
    def within(self) -> np.ndarray | None:
        return None if self.members is None else self.members.mask

    @property
    def bars(self) -> Bars:
        return self.source.bars

    def scored(self, detectors: Mapping[str, Detector], splits: WalkForward, step: Callable[[str], None]) -> Scored:
        """Some of the detectors, walked forward over the source."""
        return score_forward(detectors, self.source, splits, self.purge, self.rules, step, self.within)


def _probe_threshold(rule: Threshold, bars: Bars) -> None:
    """Let a threshold refuse its window now, on scores that are nowhere known."""
    if not rule.needs_train_scores:
        unknown = np.full((1, bars.n_symbols), np.nan)
        rule.threshold(Scores(bars.time[:1], bars.symbols, unknown, bars.interval))
