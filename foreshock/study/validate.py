"""Validation of one detector at one horizon."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import log
from typing import Any, TypedDict, Unpack

import numpy as np
import pandas as pd

from foreshock.data.bars import Bars
from foreshock.data.checks import check_most, check_one, check_seed, check_type, check_whole
from foreshock.data.doors.door import door
from foreshock.data.doors.kinds import ANYTHING
from foreshock.data.errors import ConfigError
from foreshock.data.interval import bars_in
from foreshock.data.labels import Labels
from foreshock.data.options import check_options
from foreshock.data.quality.clean import clean
from foreshock.data.system.threads import with_one_blas_thread
from foreshock.detectors.registry import as_detector
from foreshock.engine.detection import DetectionReport
from foreshock.engine.features.features import Features
from foreshock.engine.features.ohlcv import OHLCV_FEATURES
from foreshock.engine.out_of_sample.lookback import lookback_of
from foreshock.engine.out_of_sample.splits import WalkForward
from foreshock.engine.out_of_sample.universe import Universe
from foreshock.engine.out_of_sample.walk_forward import fit_walk_forward
from foreshock.engine.scores import Threshold, check_threshold
from foreshock.engine.sources.bars import BarSource
from foreshock.engine.sources.source import Source
from foreshock.engine.thresholds.quantiles import RollingQuantile
from foreshock.engine.validation.judging import MOST_DRAWS, Judging, check_surrogates
from foreshock.engine.validation.moves.forward import check_moves_fit
from foreshock.engine.validation.rungs.frame import rungs_frame
from foreshock.engine.validation.surrogates.calibration import Measured, measured
from foreshock.engine.validation.surrogates.histories import BEST
from foreshock.engine.validation.surrogates.significance import Rescorer
from foreshock.engine.validation.verdict import Verdict
from foreshock.study.config import MIN_BOOTSTRAP
from foreshock.study.controls import control_alerts, labelled_controls
from foreshock.study.judge import judge
from foreshock.study.own.gate import Gate, leaks_of, prepared, refuse_leaking
from foreshock.study.signals.detection import report_of


@dataclass(frozen=True, repr=False)
class Validation(Verdict):
    """A verdict with its evidence.

    Parameters
    ----------
    p_value : float
        Two-sided p of the deciding test at the first rung, past prices; NaN without a test.
    rungs : DataFrame
        The deciding test at both rungs: events, ratio to the forecast with its interval, z before and after calibration, p, q, the
        smallest ratio that could have been shown, the ratios of both halves of the judged rows, and the forecast's quality.
    evidence : DataFrame
        Every other test, from the naive one to the surrogate test; see ``fs.evidence``.
    calibration : DataFrame
        Measured size and power of the surrogate test on simulated histories of one symbol, ordered by similarity in bars,
        horizon and events.
    lead : float
        Bars from the alert to the bar in which activity sets in; NaN if there is no such bar.
    detection : DetectionReport, optional
        How well the alerts find the labels that were passed.
    gate : Gate, optional
        What a short causality gate found out about a detector that is not foreshock's own: ``outcome`` is "passed", "leaks" or
        "cannot be checked".

    Examples
    --------
    >>> import foreshock as fs
    >>> bars = fs.simulate_market(seed=7, n_symbols=1, n_bars=2_000).bars
    >>> rule = fs.RollingQuantile(0.95, "20D")
    >>> found = fs.validate(bars, "zscore", threshold=rule, horizon="6h", n_bootstrap=99)
    >>> found.evidence.loc["naive", "p"].round(2), found.rungs["p"].round(2).tolist()
    (np.float64(0.0), [0.43, 0.57])
    """

    p_value: float
    rungs: pd.DataFrame
    evidence: pd.DataFrame
    calibration: pd.DataFrame
    lead: float
    detection: DetectionReport | None = None
    gate: Gate | None = None

    def _preview(self) -> pd.DataFrame:
        return self.evidence

    def to_frame(self) -> pd.DataFrame:
        """``evidence``: one row a test, see ``fs.evidence``."""
        return self.evidence.copy()


class ValidateOptions(TypedDict, total=False):
    """Rarely used keywords of ``validate``."""

    family: str
    n_bootstrap: int
    controls: Sequence[Any] | Mapping[str, Any]
    labels: Labels | None
    universe: Universe | None


@door(bars=ANYTHING, features=ANYTHING, threshold=ANYTHING, delay=ANYTHING, n_bootstrap=ANYTHING, controls=ANYTHING)
@with_one_blas_thread
def validate(
    bars: Bars | Source,
    detector: Any,
    features: Sequence[str] | Callable[[Bars], Features] = OHLCV_FEATURES,
    threshold: Threshold | None = None,
    horizon: str = "24h",
    n_surrogates: int = 0,
    seed: int = 0,
    *,
    splits: WalkForward | None = None,
    delay: int = 1,
    cooldown: str | None = None,
    **options: Unpack[ValidateOptions],
) -> Validation:
    """Test whether activity after a detector's alerts exceeds what past prices, and past volumes, lead one to expect.

    Scores are walk-forward and thresholds causal. The verdict rests on cross-fitted forecasts, an event regression, and its
    calibration by negative controls on the same history.

    Parameters
    ----------
    bars : Bars or Source
        History; bars are cleaned first. A source has features of its own; see ``fs.WindowSource`` and ``fs.BookSource``.
    detector : str or Detector
        Name, detector, or a thing of your own; see ``fs.as_detector``. It is cloned.
    features : sequence of str, or callable
        Names for ``ohlcv_features``, or a function of bars that returns ``Features`` on their rows and symbols. It is also
        called with the bars of each surrogate history.
    threshold : Threshold, optional
        Rule that turns scores into alerts, ``RollingQuantile()`` by default.
    horizon : str
        Duration of the forward moves.
    n_surrogates : int
        Surrogate histories of a second opinion, 0 for none or at least 19; it needs a detector that can score other histories.
    seed : int
        Seed of the surrogates and the bootstrap.
    splits : WalkForward, optional
        By default a year of training and 90 days of test; for histories up to two years, a third and a twelfth of the history.
    delay : int
        Bars from a signal to the first bar measured, at least 1.
    cooldown : str, optional
        Time after an event during which further alerts of the symbol are not events; by default the horizon.
    family : str, default "best"
        Volatility model of the surrogates; see ``fs.fit_surrogates``.
    n_bootstrap : int, default 999
        Bootstrap draws, at least 99.
    controls : sequence of str or Detector, or dict of label to either
        Negative controls of your own, which help to calibrate the verdict and are not judged; see ``fs.Study``.
    labels : Labels, optional
        Events that are known to have happened; ``detection`` of the result says how well the alerts find them. A false alarm
        silences further ones of its symbol for the cool-down.
    universe : Universe, optional
        Largest symbols at the time, who alone are judged; see ``fs.Universe``. Members change with the blocks of ``splits``.

    Returns
    -------
    Validation

    Raises
    ------
    ConfigError
        If an argument has the wrong type, a window or the horizon does not fit into the data, or there are too few surrogates
        or bootstrap draws.
    DataError
        If no row can be scored, or labels lie outside the data or the rows that are decided.
    TypeError
        If a keyword is unknown.

    Examples
    --------
    >>> import foreshock as fs
    >>> bars = fs.simulate_market(seed=7, n_symbols=1, n_bars=2_000).bars
    >>> rule = fs.RollingQuantile(0.95, "20D")
    >>> found = fs.validate(bars, "zscore", threshold=rule, horizon="6h", n_bootstrap=99)
    >>> found.label, round(found.p_value, 2)
    ('echoes volatility', 0.43)

    With a negative control of one's own, the calibration is another one.

    >>> more = fs.validate(bars, "zscore", threshold=rule, horizon="6h", n_bootstrap=99, controls=["random"])
    >>> bool(more.rungs["z_raw"].equals(found.rungs["z_raw"])), bool(more.rungs["z"].equals(found.rungs["z"]))
    (True, False)

    With labels, the result says how well the alerts find them.

    >>> labels = fs.simulate_market(seed=7, n_symbols=1, n_bars=2_000).labels
    >>> fs.validate(bars, "zscore", threshold=rule, horizon="6h", n_bootstrap=99, labels=labels).detection
    DetectionReport(1 of 1 event caught, 37 false alerts, 43.5 days)
    """
    check_one("splits", splits)
    check_one("features", features)
    check_options(validate, options, ValidateOptions)
    family, n_bootstrap = options.get("family", BEST), options.get("n_bootstrap", 999)
    labels = options.get("labels")
    if labels is not None:
        check_type("labels", labels, Labels, "read a file with fs.read_labels")
    universe = options.get("universe")
    if universe is not None:
        check_type("universe", universe, Universe, "such as fs.Universe(top=50)")
    check_surrogates(n_surrogates)
    check_whole("n_bootstrap", n_bootstrap, MIN_BOOTSTRAP, hint="999 is usual")
    check_most("n_bootstrap", n_bootstrap, MOST_DRAWS, "999 is usual")
    check_seed("seed", seed)
    if isinstance(bars, Source):
        if features is not OHLCV_FEATURES:
            raise ConfigError("features belong to the source, and were passed beside it; pass them to the source")
        if n_surrogates and bars.redraw is None:
            raise ConfigError(
                f"surrogate histories cannot honestly be drawn of {bars.kind}, got n_surrogates={n_surrogates}; leave it out"
            )
        source, _ = bars.cleaned()
    else:
        source = BarSource(clean(bars)[0], features)
    bars = source.bars
    if labels is not None:
        labels.check_fit(bars.symbols, bars.time[0], bars.time[-1] + bars.interval)
    fitted = as_detector(detector)
    threshold = RollingQuantile() if threshold is None else threshold
    check_threshold(threshold)
    label = fitted.name
    controls = labelled_controls(options.get("controls", ()), [label])
    bars_in(horizon, bars.interval, "horizon")
    gap = horizon if cooldown is None else cooldown
    bars_in(gap, bars.interval, "cooldown")
    check_moves_fit(bars, [horizon], delay)
    seen, splits = source.features, splits or _usual_splits(bars)
    label_bars = bars_in(horizon, bars.interval, "horizon") + delay
    known, gates = prepared({label: fitted}, source, splits, label_bars, seed)
    fitted = known[label]
    controls, found = prepared(controls, source, splits, label_bars, seed)
    refuse_leaking(found)
    scores, folds = fit_walk_forward(fitted, seen, splits, label_bars=label_bars, train_scores=threshold.needs_train_scores)
    purge = label_bars + max(lookback_of(one) for one in (fitted, *controls.values()))
    # Members change where the blocks of the detector begin.
    within = None if universe is None else universe.members(bars, splits, label_bars + lookback_of(fitted)).mask
    own = control_alerts(controls, seen, splits, purge, threshold, within=within)
    signals, rescorer = scores.signals(threshold).where(within), Rescorer(folds.score, threshold, within)
    scores = scores.where(within)
    # Before the verdict, which takes longer: labels that cannot be counted are told first.
    detection = None if labels is None else report_of(labels, bars, scores, signals, gap, seed)
    setting = Judging([horizon], gap, delay, scores.folds[0].test.start, n_bootstrap, n_surrogates, family, seed)
    given = (threshold, setting, {label: rescorer}, source.redraw)
    judged = judge(
        bars, {label: scores}, {label: signals}, *given, own_controls=own, marks=source.marks, within=within, leaks=leaks_of(gates)
    )
    verdict = judged.verdicts[label]
    n_bars = bars.n_bars - setting.first
    return Validation(
        verdict.label,
        verdict.horizon,
        verdict.sentence,
        judged.rungs.found[label]["volatility"][verdict.horizon].p,
        rungs_frame(judged.rungs, label),
        judged.evidence[label][verdict.horizon],
        _calibration(n_bars, bars_in(horizon, bars.interval, "horizon"), judged.forward[label][verdict.horizon].n_events),
        judged.lead_lag[label].lead,
        detection,
        gates.get(label),
    )


def _usual_splits(bars: Bars) -> WalkForward:
    minutes = int(bars.n_bars * bars.interval / np.timedelta64(1, "m"))
    if minutes < 12 * 1_440:
        return WalkForward(f"{max(minutes // 3, 1)}m", f"{max(minutes // 12, 1)}m", embargo=None)
    days = int(bars.n_bars * (bars.interval.astype("timedelta64[us]").astype(int) / 86_400e6))
    return (
        WalkForward(embargo=None)
        if days > 2 * 365
        else WalkForward(f"{max(days // 3, 1)}D", f"{max(days // 12, 1)}D", embargo=None)
    )


def _calibration(n_bars: int, horizon: int, n_events: int) -> pd.DataFrame:
    """The measured settings, ordered by similarity in bars, horizon and events."""

    def away(row: Measured) -> float:
        pairs = (n_bars, row.n_bars), (horizon, row.horizon), (max(n_events, 1), row.n_events)
        return sum(abs(log(ours / theirs)) for ours, theirs in pairs)

    return pd.DataFrame([vars(row) for row in sorted(measured(), key=away)])
