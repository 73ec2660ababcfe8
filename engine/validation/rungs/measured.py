"""What one history says of alerts: forecasts, effects and gains, computed when they are asked for and kept in the cache."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from foreshock.data.bars import Bars
from foreshock.data.interval import bars_in
from foreshock.data.system.cache import key_of, usual_cache
from foreshock.engine.scores import Signals
from foreshock.engine.validation.judging import Judging
from foreshock.engine.validation.rungs.controls import Packed
from foreshock.engine.validation.rungs.effects import Effect, EventEffects
from foreshock.engine.validation.rungs.forecast import Forecast, cross_fit
from foreshock.engine.validation.rungs.gain import ForecastErrors, Gain
from foreshock.engine.validation.rungs.result import RUNGS
from foreshock.engine.validation.rungs.state import State, known_lines, known_state, telling, usual_marks

# Source that decides forecasts, effects and gains.
CODE = ("foreshock.engine",)
# Arrays and numbers of an effect, and arrays of a gain, as the cache keeps them.
FIELDS = ("effect", "error", "z", "state", "profile")
COUNTS = ("n_events", "n_alerts", "n_settled")
OF_A_GAIN = ("r2", "low", "high")

# Effects over all rows, and over either half.
ByPart = tuple[Effect, Effect, Effect]


class Measured:
    """Forecasts of one history, and the effects and gains of alerts beside them, each computed once.

    What the cache holds is read from it, and what nobody asks for is not computed: when all is there, neither the inputs of the
    forecasts nor the regressions are made.

    Parameters
    ----------
    bars : Bars
        The history.
    setting : Judging
        Horizons, cool-down, delay, first row and seed.
    marks : dict of str to ndarray, shape (n_bars, n_symbols), optional
        What the second forecast also sees; by default the volume in quote currency.
    """

    def __init__(self, bars: Bars, setting: Judging, marks: Mapping[str, np.ndarray] | None = None) -> None:
        self.bars, self.setting = bars, setting
        self.marks = telling(usual_marks(bars) if marks is None else marks)
        self.has_marks = bool(self.marks)
        self.horizons = [bars_in(horizon, bars.interval, "horizon") for horizon in setting.horizons]
        self.cooldown = bars_in(setting.cooldown, bars.interval, "cooldown")
        self._cache = usual_cache()
        self._regressions: dict[str, EventEffects] = {}
        self._errors: dict[str, ForecastErrors] = {}
        facts: dict[str, Any] = {
            "interval": str(bars.interval),
            "horizons": self.horizons,
            "delay": setting.delay,
            "first": setting.first,
            "seed": setting.seed,
            "forward": setting.forward,
            "marks": list(self.marks),
        }
        prices = (bars.open, bars.high, bars.low, bars.close, bars.volume)
        self._content = key_of(facts, [bars.time.astype(np.int64), *prices, *self.marks.values()], CODE)
        self.forecasts = {rung: self._forecast(rung) for rung in RUNGS[: 2 if self.has_marks else 1]}

    @cached_property
    def state(self) -> State:
        """Inputs and targets of the forecasts."""
        return known_state(self.bars, self.horizons, self.setting.delay, self.marks)

    def regression(self, rung: str) -> EventEffects:
        """The event regression of a rung."""
        if rung not in self._regressions:
            sees = rung == RUNGS[1]
            made = EventEffects(self.state, self.forecasts[rung], sees, self.cooldown, self.setting.first)
            self._regressions[rung] = made
        return self._regressions[rung]

    def errors(self, rung: str) -> ForecastErrors:
        """The errors of the forecast of a rung."""
        if rung not in self._errors:
            self._errors[rung] = ForecastErrors(self.state, self.forecasts[rung], self.setting.first)
        return self._errors[rung]

    def _forecast(self, rung: str) -> Forecast:
        key = key_of({"rung": rung, "content": self._content})
        kept = self._cache.read("forecasts", key)
        if kept is not None:
            return Forecast(kept["values"], kept["r2"], kept["qlike_gain"], bool(kept["trees"][0]))
        found = cross_fit(self.state, rung == RUNGS[1], self.setting.first, self.setting.seed, self.setting.forward)
        arrays = {"values": found.values, "r2": found.r2, "qlike_gain": found.qlike_gain, "trees": np.array([int(found.trees)])}
        self._cache.write("forecasts", key, arrays)
        return found

    def expected(self) -> np.ndarray:
        """The first rung's own forecast over the middle horizon, as a score, (n_bars, n_symbols)."""
        out = np.full(self.bars.shape, np.nan)
        order = np.argsort(self.horizons)
        out[known_lines(self.bars)] = self.forecasts[RUNGS[0]].values[:, order[len(order) // 2]]
        return out

    def effects(self, rung: str, signals: Mapping[str, Signals | Packed]) -> dict[str, ByPart]:
        """Effects of alerts at a rung, by label; those of one call are one entry of the cache."""
        alerts = [np.packbits(mask) for found in signals.values() for mask in (found.active, found.decided)]
        key = key_of({"rung": rung, "content": self._content, "cooldown": self.cooldown}, alerts)
        kept = self._cache.read("effects", key)
        if kept is not None:
            return {label: (_effect(kept, i, 0), _effect(kept, i, 1), _effect(kept, i, 2)) for i, label in enumerate(signals)}
        test = self.regression(rung)
        found = {label: test.of(one.active, one.decided) for label, one in signals.items()}
        arrays = {
            field: np.array([[getattr(effect, field) for effect in parts] for parts in found.values()]) for field in FIELDS + COUNTS
        }
        self._cache.write("effects", key, arrays)
        return found

    def gain(self, rung: str, values: np.ndarray, decided: np.ndarray) -> Gain:
        """Improvement of the forecast of a rung by alerts or a score as one more input; see ``ForecastErrors.gain``."""
        key = key_of({"rung": rung, "content": self._content}, [values, decided])
        kept = self._cache.read("gains", key)
        if kept is not None:
            return Gain(*(kept[field] for field in OF_A_GAIN))
        found = self.errors(rung).gain(values, decided)
        self._cache.write("gains", key, {field: getattr(found, field) for field in OF_A_GAIN})
        return found


def _effect(kept: Mapping[str, np.ndarray], label: int, part: int) -> Effect:
    """One effect of the arrays that the cache keeps."""
    effect, error, z, state, profile = (kept[name][label, part] for name in FIELDS)
    return Effect(effect, error, z, state, profile, *(int(kept[count][label, part]) for count in COUNTS))
