"""Negative controls: dumb detectors that know nothing but what the forecasts know, with alerts by the rule of the study."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Self

import numpy as np

from foreshock.data.bars import Bars
from foreshock.engine.scores import Scores, Threshold
from foreshock.engine.thresholds.quantiles import RollingQuantile
from foreshock.engine.validation.rungs.past import earlier, max_known, mean_known
from foreshock.engine.validation.rungs.state import telling, usual_marks

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
    make : callable
        Makes its score, (n_rows, n_symbols), NaN where not known: the scores of all controls together would fill the memory.
    """

    family: str
    marks: bool
    make: Callable[[], np.ndarray]

    @property
    def values(self) -> np.ndarray:
        """Its score."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.make()


@dataclass(frozen=True)
class Packed:
    """Alerts in an eighth of the memory: on a wide table, those of all controls together would fill it.

    Parameters
    ----------
    shape : tuple of int
        (n_rows, n_symbols).
    bits : ndarray of uint8, shape (2, n_bytes)
        Alerts, and rows in which the rule could decide.

    Examples
    --------
    >>> active, decided = np.array([[True, False]]), np.array([[True, True]])
    >>> packed = Packed.of(active, decided)
    >>> packed.active.tolist(), packed.decided.tolist()
    ([[True, False]], [[True, True]])
    """

    shape: tuple[int, ...]
    bits: np.ndarray

    @classmethod
    def of(cls, active: np.ndarray, decided: np.ndarray) -> Self:
        return cls(active.shape, np.stack([np.packbits(active), np.packbits(decided)]))

    @property
    def active(self) -> np.ndarray:
        """Where there is an alert; bool, (n_rows, n_symbols)."""
        return self._mask(0)

    @property
    def decided(self) -> np.ndarray:
        """Where score and threshold are known; bool, (n_rows, n_symbols)."""
        return self._mask(1)

    def _mask(self, part: int) -> np.ndarray:
        return np.unpackbits(self.bits[part], count=math.prod(self.shape)).view(bool).reshape(self.shape)


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

    unknown = np.isnan(bars.close)

    def add(name: str, family: str, make: Callable[[], np.ndarray], sees: bool = False) -> None:
        def known() -> np.ndarray:
            values = make()
            return np.where(np.isfinite(values) & ~unknown, values, np.nan)

        found[name] = Control(family, sees, known)

    def pairs(*wanted: tuple[int, int]) -> list[tuple[int, int]]:
        return [(short * scale, long * scale) for short, long in wanted if long * scale <= fits]

    def root(w: int) -> np.ndarray:
        return np.sqrt(mean_known(size**2, w))

    def ratio(of: Callable[[int], np.ndarray], short: int, long: int) -> np.ndarray:
        return of(short) / of(long)

    def usual(values: np.ndarray) -> Callable[[int], np.ndarray]:
        return partial(mean_known, values)

    for short, long in pairs((3, 72), (6, 72), (6, 168), (12, 168), (24, 168), (24, 720), (12, 720)):
        add(f"volatility {short}/{long}", "volatility", partial(ratio, root, short, long))
    for short, long in pairs((2, 48), (3, 168), (6, 168), (6, 720), (12, 168)):
        add(f"absolute return {short}/{long}", "absolute return", partial(ratio, usual(size), short, long))
    for short, long in pairs((1, 20), (2, 48), (3, 72), (6, 168), (24, 720)):
        add(f"range {short}/{long}", "range", partial(ratio, usual(spread), short, long))
    add("one return/24", "one bar", lambda: size / earlier(root(24), 1, np.nan))
    add("one range/24", "one bar", lambda: spread / earlier(mean_known(spread, 24), 1, np.nan))
    if fits >= 168:
        add("one return/168", "one bar", lambda: size / earlier(root(168), 1, np.nan))
    add("one return", "level", lambda: size)
    add("one range", "level", lambda: spread)
    add(f"volatility {6 * scale}", "level", lambda: root(6 * scale))
    add(f"volatility {24 * scale}", "level", lambda: root(24 * scale))
    for short, long in pairs((24, 168)):
        add(f"largest range {short}/{long}", "largest", lambda s=short, k=long: max_known(spread, s) / mean_known(spread, k))
    for short, long in pairs((3, 72), (6, 168), (24, 168), (24, 720)):
        add(f"calm range {short}/{long}", "calm range", lambda s=short, k=long: -mean_known(spread, s) / mean_known(spread, k))
    for short, long in pairs((2, 48), (6, 168), (12, 168), (24, 720)):
        add(f"calm return {short}/{long}", "calm return", lambda s=short, k=long: -mean_known(size, s) / mean_known(size, k))
    for name, values in clock_scores(bars).items():
        add(name, "clock", lambda v=values: v)
    for mark, values in marks.items():
        for family, spans in ((f"{mark} of a bar", ((1, 20), (1, 168))), (f"{mark} of hours", ((3, 72), (6, 168), (24, 720)))):
            for short, long in pairs(*spans):
                add(f"{mark} {short}/{long}", family, partial(ratio, usual(values), short, long), True)

        def both(sign: float, values: np.ndarray = values) -> np.ndarray:
            logged = np.log(values / np.nanmean(values) + 1e-9)
            return logged + sign * np.log(spread / np.nanmean(spread) + 0.05)

        add(f"{mark} and range", f"{mark} and range", partial(both, 1.0), True)
        add(f"{mark} without range", f"{mark} without range", partial(both, -1.0), True)
    return found


def clock_scores(bars: Bars) -> dict[str, np.ndarray]:
    """1 at one hour of weekdays, plus noise from 0 to 1 that is a function of the time alone; for bars shorter than a day."""
    if bars.interval >= np.timedelta64(1, "D"):
        return {}
    seconds = bars.time.astype("datetime64[s]").astype(np.int64)
    hour, weekday = seconds // 3600 % 24, (seconds // 86_400 + 3) % 7 < 5
    noise = (seconds // 60 * 2_654_435_761 % 2**32) / 2**32
    return {f"clock {k} h": np.broadcast_to((((hour == k) & weekday) + noise)[:, None], bars.shape) for k in CLOCKS}


def control_signals(
    controls: Mapping[str, Control], bars: Bars, threshold: Threshold, rate: float, within: np.ndarray | None = None
) -> dict[str, Packed]:
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
    within : ndarray of bool, shape (n_bars, n_symbols), optional
        Where they decide; by default everywhere.
    """
    rule = threshold
    if threshold.needs_train_scores or np.isnan(threshold.nominal_rate):
        rule = rolling_rule(rate, bars)
    found = {}
    for name, control in controls.items():
        signals = Scores(bars.time, bars.symbols, control.values, bars.interval).signals(rule).where(within)
        found[name] = Packed.of(signals.active, signals.decided)
    return found


def rolling_rule(rate: float, bars: Bars) -> RollingQuantile:
    """A rolling quantile with about this share of alerts, over 90 days or a fifth of the history."""
    window = min(np.timedelta64(90, "D"), bars.n_bars // 5 * bars.interval)
    minutes = max(int(window / np.timedelta64(1, "m")), 1)
    # A quantile that is too rare for the window would be refused.
    least = max(0.001, 1.01 / max(window / bars.interval, 1))
    return RollingQuantile(1 - min(max(rate, least), 0.2), f"{minutes}m")
