"""Negative controls: dumb detectors that know nothing but what the forecasts know, with alerts by the rule of the study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from foreshock.data.bars import Bars
from foreshock.engine.scores import Scores, Signals, Threshold
from foreshock.engine.thresholds.quantiles import RollingQuantile
from foreshock.engine.validation.rungs.state import earlier, max_known, mean_known, telling, usual_marks

# Hours UTC of the clocks, on weekdays: midnight, and those at which markets open or publish.
CLOCKS = (0, 8, 13, 15, 20)


@dataclass(frozen=True)
class Control:
    """One negative control.

    Parameters
    ----------
    family : str
        Controls of one family measure the same thing; a detector that is one of them is calibrated without its family.
    marks : bool
        Whether it sees a mark such as volume, so that it is a control of the second rung alone.
    values : ndarray, shape (n_rows, n_symbols)
        Its score; NaN where not known.
    """

    family: str
    marks: bool
    values: np.ndarray


def control_scores(bars: Bars, longest: int, marks: Mapping[str, np.ndarray] | None = None) -> dict[str, Control]:
    """Scores of the negative controls.

    Parameters
    ----------
    bars : Bars
        The history.
    longest : int
        Longest horizon in bars. Windows are those of hourly bars and a day; a longer horizon stretches them.
    marks : dict of str to ndarray, shape (n_bars, n_symbols), optional
        What the second forecast also sees; by default the volume in quote currency.
    """
    marks = usual_marks(bars) if marks is None else telling(marks)
    scale = max(1, round(longest / 24))
    fits = max(bars.n_bars // 5, 24)
    size, spread = np.abs(bars.returns()), np.log(bars.high / bars.low)
    found: dict[str, Control] = {}

    def add(name: str, family: str, values: np.ndarray, sees: bool = False) -> None:
        known = np.isfinite(values) & ~np.isnan(bars.close)
        found[name] = Control(family, sees, np.where(known, values, np.nan))

    def pairs(*wanted: tuple[int, int]) -> list[tuple[int, int]]:
        return [(short * scale, long * scale) for short, long in wanted if long * scale <= fits]

    def root(w: int) -> np.ndarray:
        return np.sqrt(mean_known(size**2, w))

    def mean(values: np.ndarray, w: int) -> np.ndarray:
        return mean_known(values, w)

    with np.errstate(divide="ignore", invalid="ignore"):
        for short, long in pairs((3, 72), (6, 72), (6, 168), (12, 168), (24, 168), (24, 720), (12, 720)):
            add(f"volatility {short}/{long}", "volatility", root(short) / root(long))
        for short, long in pairs((2, 48), (3, 168), (6, 168), (6, 720), (12, 168)):
            add(f"absolute return {short}/{long}", "absolute return", mean(size, short) / mean(size, long))
        for short, long in pairs((1, 20), (2, 48), (3, 72), (6, 168), (24, 720)):
            add(f"range {short}/{long}", "range", mean(spread, short) / mean(spread, long))
        add("one return/24", "one bar", size / earlier(root(24), 1, np.nan))
        add("one range/24", "one bar", spread / earlier(mean(spread, 24), 1, np.nan))
        if fits >= 168:
            add("one return/168", "one bar", size / earlier(root(168), 1, np.nan))
        add("one return", "level", size)
        add("one range", "level", spread)
        add(f"volatility {6 * scale}", "level", root(6 * scale))
        add(f"volatility {24 * scale}", "level", root(24 * scale))
        for short, long in pairs((24, 168)):
            add(f"largest range {short}/{long}", "largest", max_known(spread, short) / mean(spread, long))
        for short, long in pairs((3, 72), (6, 168), (24, 168), (24, 720)):
            add(f"calm range {short}/{long}", "calm range", -mean(spread, short) / mean(spread, long))
        for short, long in pairs((2, 48), (6, 168), (12, 168), (24, 720)):
            add(f"calm return {short}/{long}", "calm return", -mean(size, short) / mean(size, long))
        for name, values in clock_scores(bars).items():
            add(name, "clock", values)
        for mark, values in marks.items():
            for family, spans in ((f"{mark} of a bar", ((1, 20), (1, 168))), (f"{mark} of hours", ((3, 72), (6, 168), (24, 720)))):
                for short, long in pairs(*spans):
                    add(f"{mark} {short}/{long}", family, mean(values, short) / mean(values, long), True)
            logged, moved = np.log(values / np.nanmean(values) + 1e-9), np.log(spread / np.nanmean(spread) + 0.05)
            add(f"{mark} and range", f"{mark} and range", logged + moved, True)
            add(f"{mark} without range", f"{mark} without range", logged - moved, True)
    return found


def clock_scores(bars: Bars) -> dict[str, np.ndarray]:
    """1 at one hour of weekdays, plus noise from 0 to 1 that is a function of the time alone; for bars shorter than a day."""
    if bars.interval >= np.timedelta64(1, "D"):
        return {}
    seconds = bars.time.astype("datetime64[s]").astype(np.int64)
    hour, weekday = seconds // 3600 % 24, (seconds // 86_400 + 3) % 7 < 5
    noise = (seconds // 60 * 2_654_435_761 % 2**32) / 2**32
    return {f"clock {k} h": np.broadcast_to((((hour == k) & weekday) + noise)[:, None], bars.shape) for k in CLOCKS}


def control_signals(controls: Mapping[str, Control], bars: Bars, threshold: Threshold, rate: float) -> dict[str, Signals]:
    """Alerts of each control by the rule of the study, or, where that rule needs the scores of a fit, by a rolling quantile.

    Parameters
    ----------
    controls : dict of str to Control
        Scores of the controls.
    bars : Bars
        The history.
    threshold : Threshold
        Rule of the study.
    rate : float
        Share of rows that are alerts, where the rule cannot be used: one that names a level of the score, or needs training scores.
    """
    rule = threshold
    if threshold.needs_train_scores or np.isnan(threshold.nominal_rate):
        rule = rolling_rule(rate, bars)
    return {
        name: Scores(bars.time, bars.symbols, control.values, bars.interval).signals(rule) for name, control in controls.items()
    }


def rolling_rule(rate: float, bars: Bars) -> RollingQuantile:
    """A rolling quantile with about this share of alerts, over 90 days or a fifth of the history."""
    window = min(np.timedelta64(90, "D"), bars.n_bars // 5 * bars.interval)
    minutes = max(int(window / np.timedelta64(1, "m")), 1)
    # A quantile that is too rare for the window would be refused.
    least = max(0.001, 1.01 / max(window / bars.interval, 1))
    return RollingQuantile(1 - min(max(rate, least), 0.2), f"{minutes}m")
