"""Event regression: by how much activity after alerts exceeds a forecast, and how far from usual the forecast was."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from foreshock.engine.scores import thin
from foreshock.engine.validation.evidence.inference import hac_variance
from foreshock.engine.validation.rungs.forecast import Forecast
from foreshock.engine.validation.rungs.state import State

# With fewer events than this nothing is judged.
LEAST_EVENTS = 8
# A dummy for each hour needs this many rows of a symbol; one for each column of controls needs this many rows.
DUMMIES_FROM, ROWS_PER_COLUMN = 2_000, 4
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
)
BENDS = (("abs6", "abs72"), ("range1", "range24"), ("abs1", "abs24"), ("range6", "range72"))
MARK_LOGS = ("1", "3", "6", "24", "168")


@dataclass(frozen=True)
class Effect:
    """The effect of alerts on log activity beyond a forecast, by horizon; arrays have the shape (n_horizons,).

    Parameters
    ----------
    effect, error : ndarray
        Effect in logs, and its standard error.
    z : ndarray
        Effect over its error as a normal score, not calibrated; NaN with fewer than eight events.
    state : ndarray
        Mean forecast at the alerts, in standard deviations from the mean of all rows.
    n_events : int
        Alerts used.
    """

    effect: np.ndarray
    error: np.ndarray
    z: np.ndarray
    state: np.ndarray
    n_events: int


@dataclass
class _Symbol:
    """One symbol's lines: their rows, controls, targets, and sums over all of them."""

    rows: np.ndarray
    x: np.ndarray
    y: np.ndarray
    forecast: np.ndarray
    gram: np.ndarray
    product: np.ndarray


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
    first, stop : int
        Rows that are judged.
    """

    def __init__(
        self, state: State, forecast: Forecast, marks: bool, cooldown: int, first: int = 0, stop: int | None = None
    ) -> None:
        self.horizons, self.cooldown = state.horizons, cooldown
        self.first, self.stop = first, state.n_rows if stop is None else stop
        lines = ~np.isnan(state.target).any(axis=1) & ~np.isnan(forecast.values).any(axis=1)
        lines &= (state.row >= self.first) & (state.row < self.stop)
        shared = _controls(state, forecast, marks)
        self._symbols: list[_Symbol | None] = []
        for i in range(state.n_symbols):
            own = np.flatnonzero(lines & (state.symbol == i))
            self._symbols.append(_symbol(state, forecast, shared, own) if own.size else None)

    def of(self, active: np.ndarray, decided: np.ndarray) -> Effect:
        """Effect of the alerts ``active`` among the rows ``decided``, both (n_rows, n_symbols)."""
        events = thin(active & decided, self.cooldown)
        used = decided & ((~active & ~_within(events, self.cooldown)) | events)
        nothing = np.full(len(self.horizons), np.nan)
        parts, n_events = [], 0
        at_events, everywhere = [], []
        for i, one in enumerate(self._symbols):
            if one is None:
                continue
            keep = used[one.rows, i]
            event = events[one.rows, i] & keep
            n = int(event.sum())
            if not n or keep.sum() < ROWS_PER_COLUMN * one.x.shape[1]:
                continue
            at_events.append(one.forecast[event])
            everywhere.append(one.forecast[keep])
            part = _residuals(one, keep, event)
            if part is not None:
                parts.append(part)
                n_events += n
        if n_events < LEAST_EVENTS:
            return Effect(nothing, nothing, nothing, nothing, n_events)
        forecasts = np.concatenate(everywhere)
        state = (np.concatenate(at_events).mean(axis=0) - forecasts.mean(axis=0)) / (forecasts.std(axis=0) + 1e-12)
        spread = sum(float(dummy @ dummy) for _, dummy, *_ in parts)
        effect = sum(dummy @ residual for _, dummy, residual, *_ in parts) / spread
        influence, own = np.zeros((self.stop - self.first, len(self.horizons))), np.zeros(len(self.horizons))
        for rows, dummy, residual, event, leverage in parts:
            score = dummy[:, None] * (residual - dummy[:, None] * effect)
            score[event] /= np.clip(1 - leverage - dummy[event] ** 2 / spread, 0.25, 1)[:, None]
            influence[rows - self.first] += score
            own += (score[event] ** 2).sum(axis=0)
        variance = [max(hac_variance(column, 2 * h), one) for column, h, one in zip(influence.T, self.horizons, own, strict=True)]
        error = np.sqrt(variance) / spread
        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.where(error > 0, effect / error, np.nan)
        tail = stats.t.logcdf(-np.abs(t), max(n_events - 1, 3))
        z = np.clip(-np.sign(t) * stats.norm.ppf(np.exp(tail)), -LARGEST, LARGEST)
        return Effect(effect, error, z, state, n_events)


def _symbol(state: State, forecast: Forecast, shared: np.ndarray, own: np.ndarray) -> _Symbol:
    x = shared[own]
    if len(own) >= DUMMIES_FROM:
        cell = state.hour_cell[own]
        x = np.column_stack([x, *((cell == k).astype(float) for k in np.unique(cell)[1:])])
    x = (x - x.mean(axis=0)) / (x.std(axis=0) + 1e-9)
    x = np.column_stack([np.ones(len(x)), x])
    y = state.target[own]
    return _Symbol(state.row[own], x, y, forecast.values[own], x.T @ x, x.T @ y)


def _residuals(
    one: _Symbol, keep: np.ndarray, event: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None:
    """Rows, dummy and targets less what the controls explain of them, events, and their leverage; None if nothing is left."""
    out = ~keep
    x_out, x_event = one.x[out], one.x[event]
    # Detectors share most rows, so the rows left out are subtracted from the sums over all rows.
    gram = one.gram - x_out.T @ x_out
    inverse = np.linalg.inv(gram + 1e-7 * keep.sum() * np.eye(len(gram)))
    sums = np.column_stack([x_event.sum(axis=0), one.product - x_out.T @ one.y[out]])
    fitted = one.x @ (inverse @ sums)
    dummy, residual = event - fitted[:, 0], one.y - fitted[:, 1:]
    dummy[out] = 0.0
    if float(dummy @ dummy) < 1e-6 * event.sum():
        return None
    return one.rows, dummy, residual, event, np.einsum("ij,jk,ik->i", x_event, inverse, x_event)


def _controls(state: State, forecast: Forecast, marks: bool) -> np.ndarray:
    """Controls that all symbols share, (n, n_columns)."""
    inputs, values = state.inputs, np.nan_to_num(forecast.values)
    columns = [*values.T, *((values - values.mean(axis=0)) ** 2).T]
    columns += [inputs[f"season{h}"] for h in (0, *state.horizons)]
    columns += [inputs[name] for name in HAR if name in inputs]
    columns += [(inputs[a] - inputs[b]) ** 2 for a, b in BENDS if b in inputs]
    if marks:
        for name in [name.removesuffix("_season") for name in state.names(True)[state.n_price :] if name.endswith("_season")]:
            columns += [inputs[name + k] for k in MARK_LOGS if name + k in inputs]
            columns.append((inputs[f"{name}1"] - inputs[f"{name}24"]) ** 2)
    return np.column_stack(columns)


def _within(events: np.ndarray, cooldown: int) -> np.ndarray:
    """Rows less than ``cooldown`` after an event of the same symbol, without the event itself."""
    row = np.arange(len(events))[:, None]
    last = np.maximum.accumulate(np.where(events, row, -cooldown - 1), axis=0)
    return (row - last > 0) & (row - last < cooldown)
