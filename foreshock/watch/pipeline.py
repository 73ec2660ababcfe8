"""A study in operation: rows of its source in, scores, thresholds and alerts out, equal to those of the study."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from foreshock.data.checks import check_names, check_type, did_you_mean
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError
from foreshock.data.interval import bars_in
from foreshock.data.show.facts import Shown, counted, symbols_fact
from foreshock.data.show.shown import few, shown
from foreshock.data.stream.state import Stream
from foreshock.detectors.kept import fit_kept
from foreshock.engine.features.features import Features
from foreshock.engine.out_of_sample.forward_stream import ForwardStream, StoredRows, fit_fold
from foreshock.engine.out_of_sample.lookback import is_ours
from foreshock.engine.scores import Scores, Threshold
from foreshock.engine.sources.source import Source
from foreshock.engine.sources.streams import FeatureRow
from foreshock.engine.thresholds.stream import Cooldown, ThresholdStream, threshold_stream
from foreshock.study.cases.scan import described
from foreshock.study.study import Study
from foreshock.watch.expected import ExpectedRows


@dataclass(frozen=True, repr=False)
class PipelineRow(Shown):
    """What a pipeline makes of one row; arrays by label of the detector, each of shape (n_symbols,).

    Parameters
    ----------
    time : datetime64[us]
        Open of the row; what stands here is known one interval later.
    symbols : tuple of str
        Symbol of each position.
    features : ndarray, shape (n_symbols, n_features)
        What the detectors saw.
    scores, thresholds : dict of str to ndarray of float64
        NaN where not known.
    alerts : dict of str to ndarray of bool
        Where the score exceeds the threshold.
    events : dict of str to ndarray of bool
        The alerts that the study counts: those that come within its cool-down after an event of the symbol are left out.
    expected : dict of str to ndarray, shape (n_symbols, n_horizons)
        How active the market was to be expected after the row, as a multiple of the usual, by past prices (``"volatility"``) and by
        what the second forecast of the verdict also sees (``"volume"``), over each horizon of the study; empty before the first
        fold, and where the pipeline was not asked for it. See ``fs.ActivityForecast``.
    stale_model : tuple of str
        Detectors whose model is older than the fold of the row, because the refit is late or failed.
    failures : dict of str to str
        Why the refit of a detector failed.
    """

    time: np.datetime64
    symbols: tuple[str, ...]
    features: np.ndarray
    scores: dict[str, np.ndarray]
    thresholds: dict[str, np.ndarray]
    alerts: dict[str, np.ndarray]
    events: dict[str, np.ndarray]
    expected: dict[str, np.ndarray] = field(default_factory=dict)
    stale_model: tuple[str, ...] = ()
    failures: Mapping[str, str] | None = None

    def _facts(self) -> Iterator[str]:
        yield str(self.time)
        yield symbols_fact(self.symbols)
        yield counted(sum(int(found.sum()) for found in self.alerts.values()), "alert")
        if self.stale_model:
            yield f"stale model of {few(self.stale_model)}"


@door
class Pipeline(Stream, Shown):
    """A study one row at a time: scores, thresholds and alerts equal those of ``Study.run`` over the same rows, bit for bit.

    (Networks, PCA and the one-class SVM to the tolerance of their detectors.) It begins before the first row; the rows of a history
    are replayed first, and then those that come are passed one by one. Detectors are refitted on stored rows at the rows at which
    the study refits them. A pipeline that begins later than the study's history has the same folds, and the same scores and alerts
    as soon as training and threshold windows are full.

    ``save`` and ``load`` carry it over, models and stored rows among it, so that a file is as large as a training window and two
    test blocks of features. Detectors that hold objects which are not foreshock's are fitted again on the stored rows.

    Parameters
    ----------
    study : Study
        What was validated; its source tells what a row is. Bars: ``Bars`` of one bar of all symbols. Trade windows and order books:
        a dict of symbol to ``TradeWindows`` or ``Book`` of one row. Features: ``Features`` of one row.
    detectors : sequence of str, optional
        Labels of the detectors to run; by default all, without baselines whose threshold the study takes from all of its alerts.
    executor : Executor, optional
        Where to refit, such as a ``ProcessPoolExecutor``. A fit begins as soon as its training rows are known, and the embargo is
        the time that it has; a model that is late is marked, and the old one goes on. By default a row waits for its fit.

    expected : bool
        Whether to say of each row how much activity was to be expected after it, by forecasts that are fitted on the training rows
        of each block.

    Raises
    ------
    ConfigError
        If ``study`` is none, has no such detector, has a universe, or a source that cannot be streamed.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> bars = fs.simulate_market(seed=1, n_symbols=2, n_bars=1_200).bars
    >>> splits = fs.WalkForward(train="15D", test="5D", embargo="1D")
    >>> study = fs.Study(bars, ["zscore"], splits, fs.RollingQuantile(0.9, "5D"), horizons=["1h", "6h"])
    >>> pipeline = fs.Pipeline(study, ["zscore"])
    >>> rows = [row for bar in study.source.live_rows() for row in pipeline.update(bar)]
    >>> len(rows), rows[-1]
    (1200, PipelineRow(2022-02-19T23:00:00.000000, 2 symbols, 0 alerts))
    >>> sum(int(row.alerts["zscore"].sum()) for row in rows) > 50
    True
    """

    fixed = ("identity", "labels")
    carries = ("_rows", "_stored", "_forward", "_thresholds", "_cooldowns", "_expected")

    def __init__(
        self, study: Study, detectors: Sequence[str] | None = None, executor: Executor | None = None, *, expected: bool = False
    ) -> None:
        check_type("study", study, Study, "such as fs.Study(bars, ['zscore'])")
        if executor is not None:
            check_type("executor", executor, Executor, "such as a ProcessPoolExecutor")
        if study.universe is not None:
            raise ConfigError("a pipeline cannot choose a universe yet, got a study with universe; name its symbols instead")
        plan = study._plan()
        if plan.bars.symbols != study.source.bars.symbols:
            raise ConfigError(
                f"cleaning sets symbols apart, {few(plan.bars.symbols, 4)}, which rows do not have; clean the bars before the study"
            )
        rules = {label: rule for label in plan.detectors if (rule := plan.rules.rule_of(label)) is not None}
        self.labels = _chosen(detectors, plan.detectors, rules)
        # What a scan of the study names as its digest.
        self.identity = hashlib.sha256(json.dumps(described(study), sort_keys=True).encode()).hexdigest()[:16]
        self._rows = study.source.stream()
        self.symbols = self._rows.symbols
        like = _no_features(self._rows)
        self._stored = StoredRows(like)
        self._forward = {
            label: ForwardStream(
                plan.detectors[label], self._stored, study.splits, plan.purge, plan.rules.needs_train_scores, executor, fit_cached
            )
            for label in self.labels
        }
        none = Scores(like.time, like.symbols, np.zeros((0, len(like.symbols))), like.interval)
        self._rules: dict[str, Threshold] = {label: rules[label] for label in self.labels}
        self._thresholds: dict[str, ThresholdStream] = {label: threshold_stream(self._rules[label], none) for label in self.labels}
        if expected and self._rows.mark_names is None:
            raise ConfigError(
                "what is to be expected is foretold from prices, which features alone have none of; leave expected out"
            )
        self._rows.priced = expected
        self._expected = ExpectedRows(self._rows, study.horizons, study.delay) if expected else None
        quiet = bars_in(study.event_cooldown, like.interval, "cooldown")
        self._cooldowns = {label: Cooldown(len(self.symbols), quiet) for label in self.labels}

    @property
    def n_rows(self) -> int:
        """Rows that were taken, those that were left out among them."""
        return self._stored.n

    def update(self, row: Any) -> list[PipelineRow]:
        """Take the next row of the source; rows that were left out before it come first, unknown.

        Raises
        ------
        DataError
            If the row is of other symbols or another interval, or comes before one that was taken.
        """
        return [self._step(one) for one in self._rows.update(row)]

    def replay(self, source: Source) -> Iterator[PipelineRow]:
        """Take the rows of a history one by one, each as if it had come alone; a row waits for the model of its fold.

        Raises
        ------
        ConfigError
            If the source is of another kind, or has other symbols, features or another interval, than that of the study.
        """
        check_type("source", source, Source, "such as study.source")
        other = source.stream()
        if type(other) is not type(self._rows) or any(getattr(other, n) != getattr(self._rows, n) for n in self._rows.fixed):
            raise ConfigError(
                f"the source must be as that of the study, got {shown(source)}; pass one of the same symbols and features"
            )
        return self._replayed(source)

    def _replayed(self, source: Source) -> Iterator[PipelineRow]:
        for forward in self._forward.values():
            forward.patient = True
        try:
            for row in source.live_rows():
                yield from self.update(row)
        finally:
            for forward in self._forward.values():
                forward.patient = False

    def _step(self, row: FeatureRow) -> PipelineRow:
        values, time = row.values, row.time
        at = int(time.astype("datetime64[us]").astype(np.int64))
        found: dict[str, dict[str, np.ndarray]] = {name: {} for name in ("scores", "thresholds", "alerts", "events")}
        for label in self.labels:
            forward, threshold = self._forward[label], self._thresholds[label]
            scores, fresh = forward.update(values, at)
            if fresh and forward.current is not None:
                threshold.begin_fold(forward.current.train_values, forward.current.train)
            level = threshold.update(scores, time)
            active = scores > level
            kept = self._cooldowns[label].update(active)
            for name, value in zip(found, (scores, level, active, kept), strict=True):
                found[name][label] = value
        begun = self._forward[self.labels[0]].begun
        expected = {} if self._expected is None else self._expected.update(row, begun, self._stored.keep)
        self._stored.append(values, at)
        stale = tuple(label for label in self.labels if self._forward[label].stale)
        failures = {label: why for label in self.labels if (why := self._forward[label].failure)}
        return PipelineRow(time, self.symbols, values, **found, expected=expected, stale_model=stale, failures=failures)

    def _facts(self) -> Iterator[str]:
        yield few(self.labels)
        yield symbols_fact(self.symbols)
        yield counted(self.n_rows, "row")


def fit_cached(
    detector: Any, features: Features, previous: Any = None, train_scores: bool = False
) -> tuple[Any, np.ndarray | None]:
    """``fit_fold`` on one thread of BLAS, as a study fits; read from the cache where the same was fitted before."""
    with threadpool_limits(limits=1):
        if getattr(detector, "warm_start", False) or not is_ours(detector):
            return fit_fold(detector, features, previous, train_scores)
        from sklearn.base import clone

        fresh: Any = clone(detector)
        fitted = fit_kept(fresh, features)
        return fitted, fitted.score(features).values if train_scores else None


def _chosen(wanted: Sequence[str] | None, known: Mapping[str, Any], rules: Mapping[str, Threshold]) -> tuple[str, ...]:
    if wanted is None:
        return tuple(rules)
    check_names("detectors", wanted)
    for label in wanted:
        if label not in known:
            raise ConfigError(f"the study has no detector {shown(label)}; it has {few(known, 8)}{did_you_mean(label, known)}")
        if label not in rules:
            raise ConfigError(
                f"{label} is a baseline without a threshold of its own, which alerts as often as the detectors do; leave it out"
            )
    if not wanted or len(set(wanted)) < len(wanted):
        raise ConfigError(f"detectors must be different labels, at least one, got {few(wanted) or 'none'}")
    return tuple(wanted)


def _no_features(rows: Any) -> Features:
    none, interval = np.zeros(0, dtype="datetime64[us]"), np.timedelta64(rows.interval, "us")
    values = np.zeros((0, len(rows.symbols), len(rows.names)))
    return Features(none, rows.symbols, rows.names, values, interval, rows.comparable)
