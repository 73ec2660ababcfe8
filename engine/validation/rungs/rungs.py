"""The deciding test of all detectors on one history, at both rungs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy import stats

from foreshock.data.bars import Bars
from foreshock.data.interval import bars_in, format_duration, parse_duration
from foreshock.data.system.cache import key_of, usual_cache
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
from foreshock.engine.validation.rungs.controls import Control, control_scores, control_signals
from foreshock.engine.validation.rungs.effects import Effect, EventEffects
from foreshock.engine.validation.rungs.forecast import Forecast, cross_fit
from foreshock.engine.validation.rungs.gain import ForecastErrors, Gain
from foreshock.engine.validation.rungs.slices import InSlice, in_slice, sliced_effects
from foreshock.engine.validation.rungs.state import known_state

RUNGS = ("volatility", "volume")
LEVEL = 0.05
# Source that decides forecasts and effects.
CODE = ("foreshock.engine.kernels", "foreshock.engine.validation.rungs")
# Arrays and numbers of an effect, as the cache keeps them.
FIELDS = ("effect", "error", "z", "state", "profile")
COUNTS = ("n_events", "n_alerts", "n_settled")
# A detector with fewer alerts than this is not judged.
LEAST_EVENTS = 8
# Standard errors that an effect must have to be found four times in five by a two-sided test at 5 %.
DETECTABLE = 2.8
# Effect whose number of alerts is told where there are too few.
EXAMPLE = 1.5


@dataclass(frozen=True)
class Found:
    """One detector at one rung and horizon.

    Parameters
    ----------
    n_events : int
        Alerts used.
    ratio : float
        Activity after alerts over that which the forecast and the controls expect, less the bias of the negative controls.
    ci : tuple of float
        95 % interval of ``ratio``, calibrated.
    z_raw, z : float
        Normal score before and after calibration.
    p, q : float
        Two-sided p of ``z``, and p adjusted for all detectors, horizons and rungs together.
    bias, spread : float
        Calibration in the circumstances of the alerts: effect without information, in logs, and total error as a multiple of the
        sampling error.
    state : float
        How far from usual the forecast was at the alerts, in standard deviations.
    detectable : float
        Smallest ratio that would have been found four times in five by a single test at 5 %.
    halves : tuple of float
        Ratio in the first and in the second half of the judged rows, calibrated likewise; NaN with fewer than eight alerts.
    halves_z : tuple of float
        Calibrated z of the halves.
    reason : str
        Why z is not calibrated or not known; empty otherwise.
    settled : bool
        Whether the forecasts know where most alerts are, as they do of a clock's, so that nothing is left to test.
    """

    n_events: int
    ratio: float
    ci: tuple[float, float]
    z_raw: float
    z: float
    p: float
    q: float
    bias: float
    spread: float
    state: float
    detectable: float
    halves: tuple[float, float]
    halves_z: tuple[float, float]
    reason: str = ""
    settled: bool = False

    @property
    def larger(self) -> bool:
        return self.z > 0


@dataclass(frozen=True)
class ControlFound:
    """One negative control at one rung and horizon, calibrated by the controls of other families; ``own`` is the user's."""

    name: str
    family: str
    rung: str
    horizon: str
    n_events: int
    z_raw: float
    z: float
    state: float
    own: bool = False


@dataclass(frozen=True)
class RungTest:
    """Result of the deciding test.

    Parameters
    ----------
    found : dict of str to dict of str to dict of str to Found
        By detector, rung (``volatility``, ``volume``) and horizon.
    controls : list of ControlFound
        Every negative control at every rung and horizon.
    quality : dict of str to dict of str to dict
        By rung and horizon: ``r2`` and ``qlike_gain`` of the forecast on the judged rows.
    gains : dict of str to dict of str to dict of str to Gain
        By detector, rung and input (``alert``, ``score``): improvement of the forecast.
    enough : dict of str to int
        By horizon, the alerts with which a ratio of 1.5 would be found four times in five, by the errors of the negative controls.
    n_days : float
        Length of the judged rows in days.
    has_marks : bool
        Whether volumes are known; without them both rungs are the same.
    trees : bool
        Whether the forecasts have trees.
    """

    found: dict[str, dict[str, dict[str, Found]]]
    controls: list[ControlFound]
    quality: dict[str, dict[str, dict[str, float]]]
    gains: dict[str, dict[str, dict[str, Gain]]]
    enough: dict[str, int]
    n_days: float
    has_marks: bool
    trees: bool

    def needed(self, detector: str) -> str:
        """A sentence on how many alerts, and how much history, would show a ratio of 1.5; empty if that is not known."""
        by_horizon = self.found[detector][RUNGS[0]]
        name = max(by_horizon, key=lambda horizon: by_horizon[horizon].n_events)
        if not self.enough.get(name):
            return ""
        n, n_events = self.enough[name], by_horizon[name].n_events
        days = f", about {self.n_days * n / n_events:,.0f} days at the present rate" if n_events else ""
        return f"{n} alerts would show a ratio of {EXAMPLE} four times in five{days}."


@dataclass
class _Part:
    """Effects at one rung, in all and in halves: of the controls, and of whatever is asked."""

    effects: EventEffects
    errors: ForecastErrors
    controls: dict[str, tuple[Effect, Effect, Effect]] = field(default_factory=dict)

    def of(self, signals: Signals) -> tuple[Effect, Effect, Effect]:
        return self.effects.of(signals.active, signals.decided)


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
    """

    def __init__(
        self,
        bars: Bars,
        setting: Judging,
        threshold: Threshold,
        rate: float = 0.01,
        marks: Mapping[str, np.ndarray] | None = None,
        own_controls: Mapping[str, Signals] | None = None,
    ) -> None:
        self.bars, self.setting = bars, setting
        self.horizons = [bars_in(horizon, bars.interval, "horizon") for horizon in setting.horizons]
        self.names = [h if isinstance(h, str) else format_duration(parse_duration(h)) for h in setting.horizons]
        self.cooldown = bars_in(setting.cooldown, bars.interval, "cooldown")
        self.state = known_state(bars, self.horizons, setting.delay, marks)
        self.has_marks = len(self.state.inputs) > self.state.n_price
        controls = control_scores(bars, max(self.horizons), marks)
        self.parts: dict[str, _Part] = {}
        self._fits: dict[tuple[str, int, int, frozenset[str]], Calibration] = {}
        self._cache, arrays = usual_cache(), [self.state.target, *self.state.inputs.values(), self.state.row, self.state.symbol]
        facts: dict[str, Any] = {
            "first": setting.first,
            "seed": setting.seed,
            "horizons": self.horizons,
            "forward": setting.forward,
        }
        content = key_of(facts, arrays, CODE)
        self.forecasts = {rung: self._forecast(rung, content) for rung in RUNGS[: 2 if self.has_marks else 1]}
        controls["forecast"] = Control("forecast", False, self._expected())
        self.families = {name: control.family for name, control in controls.items()}
        self.marked = {name for name, control in controls.items() if control.marks}
        self.alerts = control_signals(controls, bars, threshold, rate)
        # Labels of the user's own controls by a key that no other control has, whatever the label.
        self.own = {f"{name} (own)": name for name in own_controls or {}}
        for key, name in self.own.items():
            self.alerts[key], self.families[key] = (own_controls or {})[name], key
        for rung, forecast in self.forecasts.items():
            sees = rung == RUNGS[1]
            errors = ForecastErrors(self.state, forecast, setting.first)
            part = _Part(EventEffects(self.state, forecast, sees, self.cooldown, setting.first), errors)
            names = [name for name in self.alerts if name not in self.own and (sees or name not in self.marked)]
            part.controls = self._effects(part, names, content, rung)
            if self.own:
                part.controls |= self._effects(part, list(self.own), content, rung)
            self.parts[rung] = part

    def _forecast(self, rung: str, content: str) -> Forecast:
        """The forecast of a rung, from the cache where it is there."""
        key = key_of({"rung": rung, "content": content})
        kept = self._cache.read("forecasts", key)
        if kept is not None:
            return Forecast(kept["values"], kept["r2"], kept["qlike_gain"], bool(kept["trees"][0]))
        found = cross_fit(self.state, rung == RUNGS[1], self.setting.first, self.setting.seed, self.setting.forward)
        arrays = {"values": found.values, "r2": found.r2, "qlike_gain": found.qlike_gain, "trees": np.array([int(found.trees)])}
        self._cache.write("forecasts", key, arrays)
        return found

    def _effects(self, part: _Part, names: Sequence[str], content: str, rung: str) -> dict[str, tuple[Effect, Effect, Effect]]:
        """Effects of the negative controls of a rung, from the cache where they are there."""
        alerts = [np.packbits(mask) for name in names for mask in (self.alerts[name].active, self.alerts[name].decided)]
        key = key_of({"rung": rung, "content": content, "cooldown": self.cooldown, "names": names}, alerts)
        kept = self._cache.read("controls", key)
        if kept is not None:
            return {name: (_effect_at(kept, i, 0), _effect_at(kept, i, 1), _effect_at(kept, i, 2)) for i, name in enumerate(names)}
        found = {name: part.of(self.alerts[name]) for name in names}
        arrays = {one: np.array([[getattr(effect, one) for effect in found[name]] for name in names]) for one in FIELDS}
        for count in COUNTS:
            arrays[count] = np.array([[getattr(effect, count) for effect in found[name]] for name in names])
        self._cache.write("controls", key, arrays)
        return found

    def _expected(self) -> np.ndarray:
        """The first rung's own forecast over the middle horizon, as a score."""
        out = np.full(self.bars.shape, np.nan)
        order = np.argsort(self.horizons)
        out[self.state.row, self.state.symbol] = self.forecasts[RUNGS[0]].values[:, order[len(order) // 2]]
        return out

    def test(self, signals: Mapping[str, Signals], scores: Mapping[str, Scores] | None = None) -> RungTest:
        """Judge detectors: their alerts, and, for the improvement of the forecast, their scores where there are any."""
        effects = {label: {rung: part.of(alerts) for rung, part in self.parts.items()} for label, alerts in signals.items()}
        kin = {label: self._kin(alerts) for label, alerts in signals.items()}
        drafts = {
            label: {rung: self._calibrated(rung, found, kin[label]) for rung, found in by_rung.items()}
            for label, by_rung in effects.items()
        }
        found = self._adjusted(drafts)
        gains = {
            label: {rung: self._gains(rung, alerts, (scores or {}).get(label)) for rung in self.parts}
            for label, alerts in signals.items()
        }
        quality = {
            rung: {
                name: {"r2": float(forecast.r2[j]), "qlike_gain": float(forecast.qlike_gain[j])}
                for j, name in enumerate(self.names)
            }
            for rung, forecast in self.forecasts.items()
        }
        n_days = float((self.bars.n_bars - self.setting.first) * (self.bars.interval / np.timedelta64(1, "D")))
        trees = self.forecasts[RUNGS[0]].trees
        return RungTest(found, self.control_findings(), quality, gains, self._enough(), n_days, self.has_marks, trees)

    def in_slices(self, alerts: Signals, horizon: str, masks: Sequence[np.ndarray]) -> list[InSlice]:
        """The deciding test at the first rung of the alerts in each slice, calibrated as that of all alerts is."""
        j = self.names.index(horizon)
        fit = self._calibration(RUNGS[0], 0, j, self._kin(alerts))
        return [in_slice(_judged(effect), fit) for effect in sliced_effects(self.parts[RUNGS[0]].effects, alerts, masks, j)]

    def _enough(self) -> dict[str, int]:
        whole = [effects[0] for effects in self.parts[RUNGS[0]].controls.values()]
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
        for rung, part in self.parts.items():
            for name, effects in part.controls.items():
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
            controls = self.parts[rung].controls.items()
            used = [(self.families[name], found[part]) for name, found in controls if self.families[name] not in without]
            self._fits[key] = calibrate(used, horizon)
        return self._fits[key]

    def _calibrated(self, rung: str, effects: tuple[Effect, Effect, Effect], without: set[str]) -> dict[str, Found]:
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
        if self.has_marks:
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
        errors = self.parts[rung].errors
        out = {"alert": errors.gain(alerts.active, alerts.decided)}
        if scores is not None:
            out["score"] = errors.gain(scores.values, alerts.decided)
        return out


def _effect_at(kept: Mapping[str, np.ndarray], control: int, part: int) -> Effect:
    """One effect of the arrays that the cache keeps."""
    effect, error, z, state, profile = (kept[name][control, part] for name in FIELDS)
    return Effect(effect, error, z, state, profile, *(int(kept[count][control, part]) for count in COUNTS))


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
        return f"{effect.n_alerts} alerts could be followed; {LEAST_EVENTS} are needed"
    if 2 * effect.n_settled > effect.n_alerts:
        return f"the hour and the recent past settle where the {effect.n_alerts:,} alerts are, so they know nothing else"
    return f"there are too few other bars to hold the {effect.n_alerts:,} alerts against"


def _near(active: np.ndarray) -> np.ndarray:
    near = active.copy()
    near[1:] |= active[:-1]
    near[:-1] |= active[1:]
    return near
