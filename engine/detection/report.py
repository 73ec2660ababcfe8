"""Detection quality of scores and alerts against labelled events, with intervals and the values that chance achieves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict, Unpack

import numpy as np
import pandas as pd

from foreshock.data.checks import check_shape
from foreshock.data.doors.door import door
from foreshock.data.doors.kinds import count_of
from foreshock.data.doors.truth import yes_or_no
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.options import check_options
from foreshock.data.show.facts import Shown, counted
from foreshock.engine.detection.curves import Panel, Surroundings, VolumeSums
from foreshock.engine.detection.events import Events, check_panel, match_events
from foreshock.engine.scores import Scores, Signals
from foreshock.engine.statistics.proportions import Z_95, wilson_of_draws

METRICS = ("recall", "precision", "f1", "false_per_day", "median_delay_s", "auc_pr", "vus_pr")
LEVELS = (0.025, 0.975)
# Upper bound (95 % two-sided) of a Poisson mean when the observed count is 0: log(40).
NONE_SEEN = float(np.log(40))
# With fewer values, even the smallest and the largest do not enclose the median in 95 % of samples.
FEWEST_FOR_MEDIAN = 6


@dataclass(frozen=True)
class Metric:
    """A metric, its 95 % interval, and its mean when the same scores and alerts are moved to random times; NaN where not known."""

    value: float
    low: float
    high: float
    chance: float

    @property
    def lift(self) -> tuple[float, float, float]:
        """Value over chance, and its 95 % interval."""
        chance = self.chance if self.chance > 0 else float("nan")
        return self.value / chance, self.low / chance, self.high / chance


@dataclass(frozen=True)
class Tally:
    """Events, caught events, false alarms and days of each resampling unit, and the delays of the caught events."""

    n_events: np.ndarray
    n_caught: np.ndarray
    n_false: np.ndarray
    days: np.ndarray
    delay_s: np.ndarray
    delay_unit: np.ndarray

    def metrics(self, weights: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """The event metrics of each draw; weights, shape (n_draws, n_units), count how often a unit was drawn."""
        weights = np.ones((1, len(self.n_events))) if weights is None else weights
        events, caught, false, days = (weights @ x for x in (self.n_events, self.n_caught, self.n_false, self.days))
        return {
            "recall": _ratio(caught, events),
            "precision": _ratio(caught, caught + false),
            # Equals 2 / (1 / precision + 1 / recall), and also holds where precision is not defined.
            "f1": _ratio(2 * caught, events + caught + false),
            "false_per_day": _ratio(false, days),
            "median_delay_s": _weighted_median(self.delay_s, weights[:, self.delay_unit]),
        }

    def as_unit(self) -> Tally:
        """The sums over all units, as a single unit."""
        events, caught, false, days = (x.sum(keepdims=True) for x in (self.n_events, self.n_caught, self.n_false, self.days))
        return Tally(events, caught, false, days, self.delay_s, np.zeros(len(self.delay_s), dtype=np.int64))

    @classmethod
    def joined(cls, tallies: Sequence[Tally]) -> Tally:
        """Several tallies of one unit each, joined to one tally of several units."""
        names = ("n_events", "n_caught", "n_false", "days", "delay_s")
        events, caught, false, days, delay_s = (np.concatenate([getattr(t, name) for t in tallies]) for name in names)
        return cls(events, caught, false, days, delay_s, np.repeat(np.arange(len(tallies)), [len(t.delay_s) for t in tallies]))


@dataclass(frozen=True, repr=False)
class DetectionReport(Shown):
    """Detection quality of one detector.

    Parameters
    ----------
    n_events, n_caught, n_false : int
        Events, caught events and false alarms.
    days : float
        Days observed, summed over symbols.
    metrics : dict of str to Metric
        ``recall``, ``precision``, ``f1``, ``false_per_day`` (per symbol), ``median_delay_s``, ``auc_pr``, ``vus_pr``.
    tally, shifted : Tally, tuple of Tally
        Counts behind the event metrics, for the data and for each random shift; used for pooling.
    caught : ndarray of bool, shape (n_events,)
        Whether each event was caught, by symbol and start; empty in a pooled report.
    draws : dict of str to ndarray
        Each metric, and ``n_events``, in each draw of the bootstrap; reports on the same events, rows and seed have the same draws.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> time = np.datetime64("2024-01-01", "us") + np.arange(60) * np.timedelta64(1, "h")
    >>> values = np.zeros((60, 1))
    >>> values[[5, 21, 40], 0] = [3.0, 2.0, 1.0]
    >>> scores = fs.Scores(time, ("BTC/USDT",), values, np.timedelta64(1, "h"))
    >>> events = fs.Events(col=[0, 0], start=[20, 39], stop=[23, 42], shape=(60, 1))
    >>> report = fs.detection_report(scores, scores.signals(fs.Fixed(0.5)), events)
    >>> report
    DetectionReport(2 of 2 events caught, 1 false alert, 2.5 days)
    >>> round(report.metrics["precision"].value, 2)
    0.67
    """

    n_events: int
    n_caught: int
    n_false: int
    days: float
    metrics: dict[str, Metric]
    tally: Tally
    shifted: tuple[Tally, ...]
    caught: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=bool))
    draws: dict[str, np.ndarray] = field(default_factory=dict)

    def row(self) -> dict[str, Any]:
        """Flat dict: counts, and for every metric ``<name>``, ``<name>_ci``, ``_chance``, ``_lift`` and ``_lift_ci``."""
        out: dict[str, Any] = {}
        for name, metric in self.metrics.items():
            lift, low, high = metric.lift
            out |= {name: metric.value, f"{name}_ci": [metric.low, metric.high], f"{name}_chance": metric.chance}
            out |= {f"{name}_lift": lift, f"{name}_lift_ci": [low, high]}
        return out | {"n_events": self.n_events, "n_caught": self.n_caught, "n_false": self.n_false, "days": self.days}

    def _facts(self) -> Iterator[str]:
        yield f"{self.n_caught} of {counted(self.n_events, 'event')} caught"
        yield counted(self.n_false, "false alert")
        yield f"{self.days:,.1f} days"

    def _preview(self) -> pd.DataFrame:
        return self.to_frame()

    def to_frame(self) -> pd.DataFrame:
        """One row per metric (``metric``): ``value``, its 95 % interval ``low`` to ``high``, and ``chance``."""
        rows = {name: vars(metric) for name, metric in self.metrics.items()}
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("metric")


class ReportOptions(TypedDict, total=False):
    """Rare keywords of ``detection_report``: how intervals and ``chance`` are drawn."""

    block: int | None
    n_draws: int
    n_shifts: int


@door(early=count_of(0), cooldown=count_of(1), window=count_of(0, 10_000), block=count_of(1))
def detection_report(
    scores: Scores,
    signals: Signals,
    events: Events | pd.DataFrame,
    *,
    early: int = 0,
    cooldown: int = 1,
    window: int = 24,
    counted: np.ndarray | None = None,
    seed: int = 0,
    **options: Unpack[ReportOptions],
) -> DetectionReport:
    """How well scores and alerts find labelled events.

    ``recall`` is caught events over events; ``precision`` is caught events over caught events plus false alarms, so that ten alerts
    in one event count once; ``f1`` is their harmonic mean; ``false_per_day`` is false alarms per symbol and day; ``median_delay_s``
    is the median over caught events of the seconds from the open of the event's first row to the close of the row of its first
    alert (one interval for an alert in the first row); see ``match_events``. ``auc_pr`` and ``vus_pr`` need no threshold; see the
    functions, also for why point-adjusted F1 is not offered.

    Intervals (95 %) resample blocks of time, all symbols together; an event, its rows and its buffers belong to the block in which
    it starts. ``recall``, ``precision`` and ``f1`` have Wilson intervals [1]_ with n divided by the design effect estimated from
    the blocks, which do not collapse if every event or none is caught; ``false_per_day`` and ``median_delay_s`` have percentile
    intervals (that of the delay is NaN below 6 caught events); ``auc_pr`` and ``vus_pr`` have the value times exp(-1.96 s) to
    exp(1.96 s), at most 1, with s the standard deviation of the log of the draws, because a row drawn twice raises the precision at
    its own rank (NaN where one draw in twenty has no event).

    ``chance`` is the mean of each metric when scores and alerts, otherwise unchanged, are shifted against the events by random
    numbers of rows, wrapping around the end: the level that their number and clustering achieve alone.

    Parameters
    ----------
    scores : Scores
        Scores on the rows and symbols of the events.
    signals : Signals
        Alerts from those scores, without cool-down.
    events : Events or DataFrame
        A DataFrame has the columns ``symbol``, ``start`` and ``stop``; see ``Events.from_frame``.
    early : int
        Rows before an event in which an alert catches it.
    cooldown : int
        Rows in which a false alarm silences further ones of its symbol.
    window : int
        Largest buffer of VUS-PR, in rows.
    counted : ndarray of bool, shape (n_rows, n_symbols), optional
        Rows that count; by default those with a score. A row that counts without a score ranks last. An event whose first row
        does not count is left out: it is neither missed, nor is an alert in it false.
    seed : int
        Seed of the draws and shifts.
    block : int, optional
        Block length in rows; by default twice the longest event with its surroundings, or 1 % of the rows if that is longer.
    n_draws : int, default 299
        Draws of the bootstrap behind the intervals.
    n_shifts : int, default 99
        Shifts behind ``chance``.

    Raises
    ------
    ConfigError
        If scores, signals and events are not of the same rows and symbols.
    DataError
        If no event starts in a row that counts.
    TypeError
        If a keyword is unknown.

    References
    ----------
    .. [1] Wilson (1927), Probable inference, the law of succession, and statistical inference.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> time = np.datetime64("2024-01-01", "us") + np.arange(60) * np.timedelta64(1, "h")
    >>> values = np.zeros((60, 1))
    >>> values[[5, 21, 40], 0] = [3.0, 2.0, 1.0]
    >>> scores = fs.Scores(time, ("BTC/USDT",), values, np.timedelta64(1, "h"))
    >>> events = fs.Events(col=[0, 0], start=[20, 39], stop=[23, 42], shape=(60, 1))
    >>> report = fs.detection_report(scores, scores.signals(fs.Fixed(0.5)), events)
    >>> report.to_frame().loc[["recall", "precision", "f1"], ["value", "chance"]].round(2)
               value  chance
    metric
    recall      1.00    0.18
    precision   0.67    0.12
    f1          0.80    0.15
    """
    check_options(detection_report, options, ReportOptions)
    if counted is not None:
        check_shape("counted", counted, scores.values.shape)
    check_panel(scores, signals)
    if isinstance(events, pd.DataFrame):
        events = Events.from_frame(events, scores.time, scores.symbols, scores.interval)
    shape = scores.values.shape
    if events.shape != shape or signals.active.shape != shape:
        raise ConfigError(f"scores, alerts and events must have one shape, got {shape}, {signals.active.shape} and {events.shape}")
    counted = ~np.isnan(scores.values) if counted is None else yes_or_no("counted", counted)
    some = np.flatnonzero(counted.any(axis=1))
    kept = counted[events.start, events.col]
    if not kept.any():
        raise DataError("no event starts in a row that counts; pass events within the scored rows, or score more rows")
    # The rows of events that do not count do not count either.
    counted = counted & ~events.take(~kept).labels(early)
    rows = slice(int(some[0]), int(some[-1]) + 1)
    inside = events.take(kept).rows(rows)
    counted = counted[rows]
    active = signals.active[rows] & counted
    labels = inside.labels()
    panel = Panel(scores.values[rows], labels, counted)

    reach = early + window // 2
    longest = int((inside.stop - inside.start).max()) + 2 * reach
    block = options.get("block")
    unit, n_units = _units(inside, reach, max(2 * longest, -(-len(labels) // 100)) if block is None else block)
    weights = _draws(n_units, options.get("n_draws", 299), seed)
    day_share = scores.interval / np.timedelta64(1, "D")
    seconds = scores.interval / np.timedelta64(1, "s")
    days = np.bincount(unit[counted], minlength=n_units) * day_share

    def tally(active: np.ndarray) -> Tally:
        found = match_events(active, inside, early=early, cooldown=cooldown)
        unit_of = unit[inside.start, inside.col]
        where = (unit_of, unit_of[found.caught], unit[found.false_alarms])
        events, caught, false = (np.bincount(units, minlength=n_units).astype(float) for units in where)
        return Tally(events, caught, false, days, found.delay_rows[found.caught] * seconds, unit_of[found.caught])

    around = Surroundings.of(labels, window)
    volume = VolumeSums.of(panel, around, unit, n_units, panel.alerted(unit, n_units))
    whole = tally(active)
    values = {name: float(x[0]) for name, x in whole.metrics().items()}
    values |= {"auc_pr": panel.average_precision(), "vus_pr": volume.volume()}
    drawn = whole.metrics(weights) | {"auc_pr": panel.average_precision_draws(unit, weights), "vus_pr": volume.draws(weights)}
    drawn["n_events"] = weights @ whole.n_events

    shifts = np.random.default_rng([seed, 1]).integers(0, len(labels), options.get("n_shifts", 99))
    shifted = tuple(tally(np.roll(active, -shift, axis=0) & counted).as_unit() for shift in shifts)
    precision, volumes = panel.shifted(around, shifts)
    caught = match_events(active, inside, early=early, cooldown=cooldown).caught
    return _assemble(whole, shifted, values, drawn, {"auc_pr": precision, "vus_pr": volumes}, caught)


def pooled_report(reports: Sequence[DetectionReport], n_draws: int = 299, seed: int = 0) -> DetectionReport:
    """One report on several histories: events are pooled, AUC-PR and VUS-PR averaged, and complete histories resampled."""
    tally = Tally.joined([report.tally.as_unit() for report in reports])
    shifted = tuple(Tally.joined(parts).as_unit() for parts in zip(*(report.shifted for report in reports), strict=True))
    weights = _draws(len(reports), n_draws, seed)
    values = {name: float(x[0]) for name, x in tally.metrics().items()}
    drawn, chance = tally.metrics(weights), {}
    for name in ("auc_pr", "vus_pr"):
        each = np.array([report.metrics[name].value for report in reports])
        values[name] = float(each.mean())
        drawn[name] = weights @ each / len(reports)
        chance[name] = np.array([np.mean([report.metrics[name].chance for report in reports])])
    return _assemble(tally, shifted, values, drawn, chance)


def _assemble(
    tally: Tally,
    shifted: tuple[Tally, ...],
    values: dict[str, float],
    drawn: dict[str, np.ndarray],
    chance: dict[str, np.ndarray],
    caught_each: np.ndarray | None = None,
) -> DetectionReport:
    by_shift = [t.metrics() for t in shifted]
    events, caught, false, days = (float(x.sum()) for x in (tally.n_events, tally.n_caught, tally.n_false, tally.days))
    metrics = {}
    for name in METRICS:
        value, draws = values[name], drawn[name]
        if name in ("recall", "precision", "f1"):
            n = {"recall": events, "precision": caught + false, "f1": (events + caught + false) / 2}[name]
            low, high = wilson_of_draws(value, n, draws)
        elif name in ("auc_pr", "vus_pr"):
            low, high = _log_normal(value, draws)
        elif name == "false_per_day" and not false:
            low, high = 0.0, NONE_SEEN / days
        elif name == "median_delay_s" and caught < FEWEST_FOR_MEDIAN:
            low = high = float("nan")
        else:
            low, high = map(float, np.nanquantile(draws, LEVELS))
        by_chance = chance[name] if name in chance else np.array([m[name][0] for m in by_shift])
        known = by_chance[~np.isnan(by_chance)]
        metrics[name] = Metric(value, low, high, float(known.mean()) if len(known) else float("nan"))
    each = np.zeros(0, dtype=bool) if caught_each is None else caught_each
    return DetectionReport(int(events), int(caught), int(false), days, metrics, tally, shifted, each, drawn)


def _units(events: Events, reach: int, block: int) -> tuple[np.ndarray, int]:
    """Index of the block that each row belongs to, shape (n_rows, n_symbols), and the number of blocks."""
    n_rows, n_symbols = events.shape
    unit = np.repeat((np.arange(n_rows) // block)[:, None], n_symbols, axis=1)
    for col, start, stop in zip(events.col, events.start, events.stop, strict=True):
        unit[max(start - reach, 0) : stop + reach, col] = start // block
    return unit, -(-n_rows // block)


def _draws(n_units: int, n_draws: int, seed: int) -> np.ndarray:
    """Number of times each unit is drawn, shape (n_draws, n_units)."""
    rng = np.random.default_rng([seed, 0])
    return rng.multinomial(n_units, np.full(n_units, 1 / n_units), n_draws).astype(float)


def _log_normal(value: float, draws: np.ndarray) -> tuple[float, float]:
    known = draws[draws > 0]
    if value <= 0 or len(known) < 0.95 * len(draws):
        return float("nan"), float("nan")
    width = Z_95 * float(np.log(known).std())
    return float(value * np.exp(-width)), float(min(value * np.exp(width), 1.0))


def _weighted_median(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted median of values (n,) for each row of weights (n_draws, n); NaN where all weights are 0."""
    if not len(values):
        return np.full(len(weights), np.nan)
    order = np.argsort(values)
    reached = np.cumsum(weights[:, order], axis=1)
    half = reached[:, -1:] / 2
    # The median of an even number of values is the mean of the middle two.
    low = values[order][np.argmax(reached >= half, axis=1)]
    high = values[order][np.minimum((reached <= half).sum(axis=1), len(values) - 1)]
    return np.where(half[:, 0] > 0, (low + high) / 2, np.nan)


def _ratio(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    return np.divide(top, bottom, out=np.full(np.shape(top), np.nan), where=bottom > 0)
