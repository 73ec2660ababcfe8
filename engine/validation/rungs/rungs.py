"""The deciding test of all detectors on one history, at both rungs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np
from scipy import stats

from foreshock.data.bars import Bars
from foreshock.data.interval import format_duration, parse_duration
from foreshock.engine.scores import Scores, Signals, Threshold
from foreshock.engine.validation.judging import Judging
from foreshock.engine.validation.rungs.calibration import (
    LEAST_CONTROLS,
    SAME,
    Calibration,
    calibrate,
    chained_q,
    overlap,
    sampling_error,
)
from foreshock.engine.validation.rungs.controls import Control, Packed, control_scores, control_signals
from foreshock.engine.validation.rungs.effects import Effect
from foreshock.engine.validation.rungs.gain import Gain
from foreshock.engine.validation.rungs.measured import ByPart, Measured
from foreshock.engine.validation.rungs.result import EXAMPLE, LEAST_EVENTS, RUNGS, ControlFound, Found, RungTest
from foreshock.engine.validation.rungs.slices import InSlice, in_slice, sliced_effects

# Standard errors that an effect must have to be found four times in five by a two-sided test at 5 %.
DETECTABLE = 2.8


class RungTable:
    """Forecasts and negative controls of one history, computed once and shared by all detectors.

    Parameters
    ----------
    bars : Bars
        The history.
    setting : Judging
        Horizons, cool-down, delay, first row and seed.
    threshold : Threshold
        Rule that turns the scores of the controls into alerts.
    rate : float
        Share of alerts among rows, for rules that cannot be used on the controls.
    marks : dict of str to ndarray, shape (n_bars, n_symbols), optional
        What the second forecast also sees; by default the volume in quote currency.
    own_controls : dict of str to Signals, optional
        Further negative controls by label, each a family of its own, at both rungs.
    within : ndarray of bool, shape (n_bars, n_symbols), optional
        Where the controls decide; by default everywhere. Detectors decide where their signals say.
    """

    def __init__(
        self,
        bars: Bars,
        setting: Judging,
        threshold: Threshold,
        rate: float = 0.01,
        marks: Mapping[str, np.ndarray] | None = None,
        own_controls: Mapping[str, Signals] | None = None,
        within: np.ndarray | None = None,
    ) -> None:
        self.setting, self.n_bars, self.interval = setting, bars.n_bars, bars.interval
        self.measured = Measured(bars, setting, marks)
        self.names = [h if isinstance(h, str) else format_duration(parse_duration(h)) for h in setting.horizons]
        self.forecasts = self.measured.forecasts
        controls = control_scores(bars, max(self.measured.horizons), marks)
        controls["forecast"] = Control("forecast", False, self.measured.expected)
        self.families = {name: control.family for name, control in controls.items()}
        self.alerts: dict[str, Packed] = control_signals(controls, bars, threshold, rate, within)
        # Labels of the user's own controls by a key that no other control has, whatever the label.
        self.own = {f"{name} (own)": name for name in own_controls or {}}
        for key, name in self.own.items():
            signals = (own_controls or {})[name]
            self.alerts[key], self.families[key] = Packed.of(signals.active, signals.decided), key
        self.controls: dict[str, dict[str, ByPart]] = {}
        self._fits: dict[tuple[str, int, int, frozenset[str]], Calibration] = {}
        for rung in self.forecasts:
            sees = rung == RUNGS[1]
            names = [name for name in self.alerts if name not in self.own and (sees or not controls[name].marks)]
            self.controls[rung] = self.measured.effects(rung, {name: self.alerts[name] for name in names})
            if self.own:
                self.controls[rung] |= self.measured.effects(rung, {name: self.alerts[name] for name in self.own})

    def test(
        self, signals: Mapping[str, Signals], scores: Mapping[str, Scores] | None = None, apart: Collection[str] = ()
    ) -> RungTest:
        """Judge detectors: their alerts, and, for the improvement of the forecast, their scores where there are any.

        Those that stand ``apart`` are adjusted for each other alone: a detector that looks ahead must not ease the level of others.
        """
        effects = {
            label: {rung: self.measured.effects(rung, {label: alerts})[label] for rung in self.forecasts}
            for label, alerts in signals.items()
        }
        kin = {label: self._kin(alerts) for label, alerts in signals.items()}
        drafts = {
            label: {rung: self._calibrated(rung, found, kin[label]) for rung, found in by_rung.items()}
            for label, by_rung in effects.items()
        }
        groups = [label for label in drafts if label not in apart], [label for label in drafts if label in apart]
        adjusted = [self._adjusted({label: drafts[label] for label in group}) for group in groups if group]
        found = {label: next(group[label] for group in adjusted if label in group) for label in drafts}
        gains = {
            label: {rung: self._gains(rung, alerts, (scores or {}).get(label)) for rung in self.forecasts}
            for label, alerts in signals.items()
        }
        quality = {
            rung: {
                name: {"r2": float(forecast.r2[j]), "qlike_gain": float(forecast.qlike_gain[j])}
                for j, name in enumerate(self.names)
            }
            for rung, forecast in self.forecasts.items()
        }
        n_days = float((self.n_bars - self.setting.first) * (self.interval / np.timedelta64(1, "D")))
        trees = self.forecasts[RUNGS[0]].trees
        return RungTest(found, self.control_findings(), quality, gains, self._enough(), n_days, self.measured.has_marks, trees)

    def in_slices(self, alerts: Signals, horizon: str, masks: Sequence[np.ndarray]) -> list[InSlice]:
        """The deciding test at the first rung of the alerts in each slice, calibrated as that of all alerts is."""
        j = self.names.index(horizon)
        fit = self._calibration(RUNGS[0], 0, j, self._kin(alerts))
        return [in_slice(_judged(effect), fit) for effect in sliced_effects(self.measured.regression(RUNGS[0]), alerts, masks, j)]

    def _enough(self) -> dict[str, int]:
        whole = [effects[0] for effects in self.controls[RUNGS[0]].values()]
        known = [one for one in whole if not np.isnan(one.error).any()]
        if not known:
            return {}
        # The error of one alert, by the controls in the middle.
        single = np.median([one.error * np.sqrt(one.n_events) for one in known], axis=0)
        wanted = np.ceil((DETECTABLE * single / np.log(EXAMPLE)) ** 2)
        return {name: max(int(n), LEAST_EVENTS) for name, n in zip(self.names, wanted, strict=True)}

    def control_findings(self) -> list[ControlFound]:
        """Every control, calibrated by the controls of the other families."""
        rows = []
        for rung, controls in self.controls.items():
            for name, effects in controls.items():
                without = {self.families[name]}
                for j, horizon in enumerate(self.names):
                    whole = effects[0]
                    z = _calibrated_z(self._calibration(rung, 0, j, without), whole, j)
                    label, family = self.own.get(name, name), self.own.get(name, self.families[name])
                    figures = whole.n_events, float(whole.z[j]), float(z), float(whole.state[j])
                    rows.append(ControlFound(label, family, rung, horizon, *figures, name in self.own))
        return rows

    def _kin(self, alerts: Signals) -> set[str]:
        """Families of which one control raises mostly the same alerts."""
        rows = slice(self.setting.first, None)
        own = alerts.active[rows]
        near = _near(own)
        families: set[str] = set()
        for name, control in self.alerts.items():
            if self.families[name] in families:
                continue
            theirs = control.active[rows] & alerts.decided[rows]
            # The share of the control's alerts that the detector raises is quick to find, and mostly settles it.
            if (n := int(theirs.sum())) and (theirs & near).sum() > SAME * n and overlap(own, theirs) > SAME:
                families.add(self.families[name])
        return families

    def _calibration(self, rung: str, part: int, horizon: int, without: set[str]) -> Calibration:
        """Calibration over all rows (part 0) or a half (1, 2), without the controls of some families."""
        key = (rung, part, horizon, frozenset(without))
        if key not in self._fits:
            controls = self.controls[rung].items()
            used = [(self.families[name], found[part]) for name, found in controls if self.families[name] not in without]
            self._fits[key] = calibrate(used, horizon)
        return self._fits[key]

    def _calibrated(self, rung: str, effects: ByPart, without: set[str]) -> dict[str, Found]:
        """Calibrated figures by horizon, without q."""
        out = {}
        for j, name in enumerate(self.names):
            ratios, scores, fits = [], [], []
            judged = [_judged(effect) for effect in effects]
            for part, effect in enumerate(judged):
                fit = self._calibration(rung, part, j, without)
                bias, spread = fit.at(effect, j)
                ratios.append(float(np.exp(effect.effect[j] - bias)))
                scores.append(_calibrated_z(fit, effect, j))
                fits.append((fit, bias, spread))
            whole, (fit, bias, spread) = judged[0], fits[0]
            z_raw, z, reason = float(whole.z[j]), scores[0], ""
            if np.isnan(z_raw):
                reason = _why_not(whole)
            elif np.isnan(z):
                reason = f"{fit.n} negative controls have enough alerts; {LEAST_CONTROLS} are needed"
            error = sampling_error(whole, j)
            wide = 1.0 if np.isnan(spread) else spread
            middle = float(whole.effect[j]) - (0.0 if np.isnan(bias) else bias)
            out[name] = Found(
                whole.n_events,
                float(np.exp(middle)),
                (float(np.exp(middle - 1.96 * error * wide)), float(np.exp(middle + 1.96 * error * wide))),
                z_raw,
                z,
                float(2 * stats.norm.sf(abs(z))),
                float("nan"),
                bias,
                spread,
                float(whole.state[j]),
                float(np.exp(DETECTABLE * error * wide)),
                (ratios[1], ratios[2]),
                (scores[1], scores[2]),
                reason,
                np.isnan(z_raw) and LEAST_EVENTS <= whole.n_alerts < 2 * whole.n_settled,
            )
        return out

    def _adjusted(self, drafts: dict[str, dict[str, dict[str, Found]]]) -> dict[str, dict[str, dict[str, Found]]]:
        labels = list(drafts)
        one = np.array([[drafts[label][RUNGS[0]][name].p for name in self.names] for label in labels])
        if self.measured.has_marks:
            second = [[drafts[label][RUNGS[1]][name] for name in self.names] for label in labels]
            first = [[drafts[label][RUNGS[0]][name] for name in self.names] for label in labels]
            # A second rung that points the other way does not confirm the first.
            two = np.array(
                [[b.p if b.z * a.z > 0 else 1.0 for a, b in zip(*pair, strict=True)] for pair in zip(first, second, strict=True)]
            )
        else:
            two = one
        q: dict[str, np.ndarray] = dict(zip(RUNGS, chained_q(one, two), strict=True))
        return {
            label: {
                rung: {name: replace(by_horizon[name], q=float(q[rung][i, j])) for j, name in enumerate(self.names)}
                for rung, by_horizon in by_rung.items()
            }
            for i, (label, by_rung) in enumerate(drafts.items())
        }

    def _gains(self, rung: str, alerts: Signals, scores: Scores | None) -> dict[str, Gain]:
        out = {"alert": self.measured.gain(rung, alerts.active, alerts.decided)}
        if scores is not None:
            out["score"] = self.measured.gain(rung, scores.values, alerts.decided)
        return out


def _calibrated_z(fit: Calibration, effect: Effect, horizon: int) -> float:
    bias, spread = fit.at(effect, horizon)
    return (float(effect.effect[horizon]) - bias) / (spread * sampling_error(effect, horizon))


def _judged(effect: Effect) -> Effect:
    """The effect, or nothing but its number of alerts if there are too few to judge a detector."""
    if effect.n_events >= LEAST_EVENTS:
        return effect
    nothing = np.full_like(effect.z, np.nan)
    return replace(effect, effect=nothing, error=nothing, z=nothing)


def _why_not(effect: Effect) -> str:
    """Why a detector with this effect is not judged."""
    if effect.n_alerts < LEAST_EVENTS:
        alerts = "1 alert" if effect.n_alerts == 1 else f"{effect.n_alerts} alerts"
        return f"{alerts} could be held against a forecast; {LEAST_EVENTS} are needed"
    if 2 * effect.n_settled > effect.n_alerts:
        return f"the hour and the recent past settle where the {effect.n_alerts:,} alerts are, so they know nothing else"
    return f"there are too few other bars to hold the {effect.n_alerts:,} alerts against"


def _near(active: np.ndarray) -> np.ndarray:
    near = active.copy()
    near[1:] |= active[:-1]
    near[:-1] |= active[1:]
    return near
