"""Event regression: by how much activity after alerts exceeds a forecast, and how far from usual the forecast was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.linalg import cho_factor, cho_solve

from foreshock.engine.scores import thin
from foreshock.engine.validation.evidence.inference import hac_variance
from foreshock.engine.validation.rungs.forecast import Forecast
from foreshock.engine.validation.rungs.state import State

# With fewer events than this nothing is computed; a detector is judged, and a half is told, from more on.
LEAST_EVENTS = 5
# A dummy for each hour needs this many rows of a symbol; one for each column of controls needs this many rows.
DUMMIES_FROM, ROWS_PER_COLUMN = 2_000, 4
# Ridge on the controls, in lines.
RIDGE = 1e-7
# Largest normal score, beyond which the tail of Student's t is no more than rounding.
LARGEST = 8.0
HAR = (
    "abs1",
    "abs6",
    "abs24",
    "abs72",
    "range1",
    "range6",
    "range24",
    "range168",
    "root3",
    "root6",
    "root24",
    "abs_lag1",
    "range_lag1",
    "net6",
    "net24",
    "net168",
    "apart6",
    "apart24",
)
BENDS = (("abs6", "abs72"), ("range1", "range24"), ("abs1", "abs24"), ("range6", "range72"))
# Inputs whose mean at the alerts tells how unusual the recent past was: the last bar, hours, days, week.
PROFILE = ("range1", "abs6", "abs24", "abs168")
# Contrasts of the recent past whose largest values have slopes of their own: what follows the beginning of a storm is not a
# continuation of what follows a gust.
KINKS = (("range1", "range24"), ("abs1", "abs24"), ("range1", "range168"), ("range6", "range72"), ("abs6", "abs72"))
KINKED_AT = (0.9, 0.98)
MARK_BENDS = (("1", "24"), ("1", "168"))
MARK_LOGS = ("1", "3", "6", "24", "168")


@dataclass(frozen=True)
class Effect:
    """The effect of alerts on log activity beyond a forecast, by horizon; arrays have the shape (n_horizons,).

    Parameters
    ----------
    effect, error : ndarray
        Effect in logs, and its standard error.
    z : ndarray
        Effect over its error as a normal score, not calibrated; NaN with fewer than five events.
    state : ndarray
        Mean forecast at the alerts, in standard deviations from the mean of all rows.
    profile : ndarray, shape (n_inputs,)
        The same of recent activity over one bar and longer windows; 0 for a window that does not fit into the history.
    n_events : int
        Alerts used.
    n_alerts : int
        Alerts that could be followed.
    n_settled : int
        Those that the controls explain altogether, so that they are not used: the alerts of a clock that rings at one hour.
    """

    effect: np.ndarray
    error: np.ndarray
    z: np.ndarray
    state: np.ndarray
    profile: np.ndarray
    n_events: int
    n_alerts: int
    n_settled: int


class SymbolLines:
    """One symbol's lines: rows, controls, targets, and sums over the lines of either half of the judged rows."""

    def __init__(self, rows: np.ndarray, x: np.ndarray, y: np.ndarray, known: np.ndarray, middle: int) -> None:
        self.rows, self.x, self.y, self.known = rows, x, y, known
        cut = int(np.searchsorted(rows, middle))
        self.halves = slice(0, cut), slice(cut, len(rows))
        self.grams = [x[half].T @ x[half] for half in self.halves]
        self.products = [x[half].T @ y[half] for half in self.halves]
        self.moments = [moments_of(known[half]) for half in self.halves]

    def residuals(self, keep: np.ndarray, event: np.ndarray) -> list[_Residuals | None]:
        """What the controls leave of dummy and targets: over all lines, and over either half; None where that is nothing."""
        # Detectors share most rows, so the rows left out are subtracted from the sums over all rows.
        grams, sums, moments = [], [], []
        for half, gram, product, usual in zip(self.halves, self.grams, self.products, self.moments, strict=True):
            out = np.flatnonzero(~keep[half])
            x_out = self.x[half][out]
            grams.append(gram - x_out.T @ x_out)
            of_events = self.x[half][event[half]].sum(axis=0)
            sums.append(np.column_stack([of_events, product - x_out.T @ self.y[half][out]]))
            moments.append(usual - moments_of(self.known[half][out]))
        whole = self._residuals(slice(None), grams[0] + grams[1], sums[0] + sums[1], moments[0] + moments[1], keep, event)
        parts = zip(self.halves, grams, sums, moments, strict=True)
        return [whole, *(self._residuals(half, gram, total, known, keep[half], event[half]) for half, gram, total, known in parts)]

    def _residuals(
        self, lines: slice, gram: np.ndarray, sums: np.ndarray, moments: np.ndarray, keep: np.ndarray, event: np.ndarray
    ) -> _Residuals | None:
        x, n = self.x[lines], int(keep.sum())
        if not event.any() or n < ROWS_PER_COLUMN * x.shape[1]:
            return None
        at_events = x[event]
        factor = cho_factor(gram + RIDGE * n * np.eye(len(gram)), check_finite=False)
        solved = cho_solve(factor, np.column_stack([sums, at_events.T]), check_finite=False)
        fitted = x @ solved[:, : sums.shape[1]]
        dummy, residual = event - fitted[:, 0], self.y[lines] - fitted[:, 1:]
        dummy[~keep] = 0.0
        if float(dummy @ dummy) < 1e-6 * event.sum():
            return None
        leverage = (at_events.T * solved[:, sums.shape[1] :]).sum(axis=0)
        return _Residuals(self.rows[lines], dummy, residual, event, leverage, self.known[lines][event], moments)


@dataclass(frozen=True)
class _Residuals:
    """One symbol's part of the regression: rows, dummy and targets less what the controls explain, and the events.

    ``moments`` has number, sums and sums of squares of what is known at all lines used, (3, n_columns).
    """

    rows: np.ndarray
    dummy: np.ndarray
    residual: np.ndarray
    event: np.ndarray
    leverage: np.ndarray
    at_events: np.ndarray
    moments: np.ndarray


class EventEffects:
    """Regression of the activity after each row on an alert dummy and what the forecast and its inputs say, by symbol.

    The controls are the forecasts of all horizons, their bends, the seasons, logs of recent activity (and marks), and, with at
    least 2,000 rows of a symbol, a dummy for each hour of weekdays and weekends. There is one effect for all symbols. Its variance
    is the larger of that of Newey and West, with two horizons of lags and the symbols of a row together, and the sum over the
    events of their squared residuals, enlarged by their leverage.

    Parameters
    ----------
    state : State
        Inputs and targets.
    forecast : Forecast
        Forecast of the rung.
    marks : bool
        Whether the rung sees the marks.
    cooldown : int
        Bars after an event that are neither events nor other rows.
    first : int
        First row that is judged.
    """

    def __init__(self, state: State, forecast: Forecast, marks: bool, cooldown: int, first: int = 0) -> None:
        self.horizons, self.cooldown, self.first, self.n_rows = state.horizons, cooldown, first, state.n_rows
        middle = (first + state.n_rows) // 2
        lines = ~np.isnan(state.target.sum(axis=1) + forecast.values.sum(axis=1)) & (state.row >= first)
        shared = _controls(state, forecast, marks)
        # What is known at the close of a row, of which the mean at the alerts is told: forecasts, then recent activity.
        nowhere = np.zeros(len(state.row))
        known = np.column_stack([forecast.values, *(state.inputs.get(name, nowhere) for name in PROFILE)])
        self.symbols: list[SymbolLines | None] = []
        for i in range(state.n_symbols):
            own = np.flatnonzero(lines & (state.symbol == i))
            found = SymbolLines(state.row[own], _design(state, shared, own), state.target[own], known[own], middle)
            self.symbols.append(found if own.size else None)

    def of(self, active: np.ndarray, decided: np.ndarray) -> tuple[Effect, Effect, Effect]:
        """Effect of the alerts ``active`` among the rows ``decided``, both (n_rows, n_symbols): in all, first half, second half."""
        events = thin(active & decided, self.cooldown)
        used = decided & ((~active & ~in_cooldown(events, self.cooldown)) | events)
        parts: list[list[_Residuals]] = [[], [], []]
        counts = np.zeros((3, 2), int)
        for i, one in enumerate(self.symbols):
            if one is None:
                continue
            keep = used[one.rows, i]
            event = events[one.rows, i] & keep
            if not event.any():
                continue
            spans = (slice(None), *one.halves)
            for place, (lines, found) in enumerate(zip(spans, one.residuals(keep, event), strict=True)):
                n = int(event[lines].sum())
                counts[place, 0] += n
                if found is not None:
                    parts[place].append(found)
                elif keep[lines].sum() >= ROWS_PER_COLUMN * one.x.shape[1]:
                    counts[place, 1] += n
        whole, first, second = (self._effect(part, *map(int, row)) for part, row in zip(parts, counts, strict=True))
        return whole, first, second

    def _effect(self, parts: list[_Residuals], n_alerts: int, n_settled: int) -> Effect:
        nothing = np.full(len(self.horizons), np.nan)
        n_events = sum(int(part.event.sum()) for part in parts)
        if n_events < LEAST_EVENTS:
            return Effect(nothing, nothing, nothing, nothing, np.full(len(PROFILE), np.nan), n_events, n_alerts, n_settled)
        number, total, squares = sum((part.moments for part in parts), np.zeros_like(parts[0].moments))
        usual = total / number
        deviation = np.sqrt(np.maximum(squares / number - usual**2, 0.0)) + 1e-12
        at_events = (np.concatenate([part.at_events for part in parts]).mean(axis=0) - usual) / deviation
        state, profile = np.split(at_events, [len(self.horizons)])
        spread = sum(float(part.dummy @ part.dummy) for part in parts)
        effect = sum((part.dummy @ part.residual for part in parts), np.zeros(len(self.horizons))) / spread
        influence, own = np.zeros((self.n_rows - self.first, len(self.horizons))), np.zeros(len(self.horizons))
        for part in parts:
            score = part.dummy[:, None] * (part.residual - part.dummy[:, None] * effect)
            score[part.event] /= kept_share(part.leverage, part.dummy[part.event], spread)[:, None]
            influence[part.rows - self.first] += score
            own += (score[part.event] ** 2).sum(axis=0)
        variance = [max(hac_variance(column, 2 * h), one) for column, h, one in zip(influence.T, self.horizons, own, strict=True)]
        error = np.sqrt(variance) / spread
        return Effect(effect, error, normal_score(effect, error, n_events), state, profile, n_events, n_alerts, n_settled)


def kept_share(leverage: np.ndarray, dummy: np.ndarray, spread: float) -> np.ndarray:
    """Share of the error of each event that its own line does not fit away, at least a quarter."""
    return np.clip(1 - leverage - dummy**2 / spread, 0.25, 1)


def normal_score(effect: np.ndarray, error: np.ndarray, n_events: int) -> np.ndarray:
    """Effect over its error as a normal score, by Student's t of the number of events; NaN where the error is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(error > 0, effect / error, np.nan)
    tail = stats.t.logcdf(-np.abs(t), max(n_events - 1, 3))
    return np.clip(-np.sign(t) * stats.norm.ppf(np.exp(tail)), -LARGEST, LARGEST)


def _design(state: State, shared: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Constant and standardised controls of one symbol's lines."""
    cell = state.hour_cell[own]
    cells = np.unique(cell)[1:] if len(own) >= DUMMIES_FROM else []
    k = 1 + shared.shape[1]
    x = np.empty((len(own), k + len(cells)))
    x[:, 0], x[:, 1:k] = 1.0, shared[own]
    for at, one in enumerate(cells, k):
        x[:, at] = cell == one
    if len(own):
        rest = x[:, 1:]
        rest -= rest.mean(axis=0)
        rest /= np.sqrt(np.einsum("ij,ij->j", rest, rest) / len(own)) + 1e-9
    return x


def _controls(state: State, forecast: Forecast, marks: bool) -> np.ndarray:
    """Controls that all symbols share, (n, n_columns)."""
    inputs, values = state.inputs, np.nan_to_num(forecast.values)
    columns = [*values.T, *((values - values.mean(axis=0)) ** 2).T]
    columns += [inputs[f"{name}{h}"] for name in ("season", "slot") for h in (0, *state.horizons) if f"{name}{h}" in inputs]
    columns += [inputs[name] for name in HAR if name in inputs]
    columns += [(inputs[a] - inputs[b]) ** 2 for a, b in BENDS if b in inputs]
    columns += _kinks(inputs, KINKS)
    if marks:
        for name in [name.removesuffix("_season") for name in state.names(True)[state.n_price :] if name.endswith("_season")]:
            columns += [inputs[name + k] for k in MARK_LOGS if name + k in inputs]
            columns += [(inputs[name + a] - inputs[name + b]) ** 2 for a, b in MARK_BENDS if name + b in inputs]
            columns += _kinks(inputs, [(name + a, name + b) for a, b in MARK_BENDS])
    return np.column_stack(columns)


def _kinks(inputs: Mapping[str, np.ndarray], pairs: Sequence[tuple[str, str]]) -> list[np.ndarray]:
    """What contrasts exceed their high quantiles by."""
    contrasts = [inputs[a] - inputs[b] for a, b in pairs if b in inputs]
    return [np.maximum(values - level, 0.0) for values in contrasts for level in np.quantile(values, KINKED_AT)]


def moments_of(values: np.ndarray) -> np.ndarray:
    """Number, sum and sum of squares of each column, (3, n_columns)."""
    return np.array([np.full(values.shape[1], len(values)), values.sum(axis=0), np.einsum("ij,ij->j", values, values)])


def in_cooldown(events: np.ndarray, cooldown: int) -> np.ndarray:
    """Rows less than ``cooldown`` after an event of the same symbol, without the event itself."""
    row = np.arange(len(events))[:, None]
    last = np.maximum.accumulate(np.where(events, row, -cooldown - 1), axis=0)
    return (row - last > 0) & (row - last < cooldown)
