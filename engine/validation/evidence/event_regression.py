"""Do moves after alerts exceed what the volatility visible at the alert leads one to expect? A t of the alert dummy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from foreshock.data.bars import Bars
from foreshock.engine.scores import thin
from foreshock.engine.validation.evidence.inference import hac_variance
from foreshock.engine.validation.moves.moves import Moves, typical_move, volatility_regressors, volume_regressors

# Fewer alerts than this have no t.
LEAST_EVENTS = 5
HARMONICS = 3
# Share of a dummy that its controls must leave: below it there is nothing but rounding.
EXPLAINED = 1e-6


@dataclass(frozen=True)
class EventEffect:
    """The effect of alerts on the log path of each horizon, given the volatility visible at the alert.

    Parameters
    ----------
    effect : ndarray, shape (n_horizons,)
        Coefficient of the dummy: exp of it is the ratio of the path after an alert to that after other bars.
    t : ndarray, shape (n_horizons,)
        Effect over its Driscoll-Kraay standard error; NaN with fewer than five alerts.
    n_events : int
    """

    effect: np.ndarray
    t: np.ndarray
    n_events: int


class EventRegression:
    """Panel regression of log forward paths on an alert dummy and what was visible of volatility.

    For each symbol, log(path + typical move / 20 a bar) = controls b + effect * alert, the effect common to all symbols. The
    controls are the log forecast of the symbol's volatility model, ``volatility_regressors`` (HAR terms of mean absolute and root
    mean square returns, their bends, the range of the bar itself), ``volume_regressors``, hour of day and weekend, fitted by least
    squares on the rows at hand. Fewer controls would have more power, but on real markets, whose volatility follows no model to the
    letter, they leave more of it to be taken for information: what a z-score sees is then no echo any more. Without volume among
    them, a detector that merely sees volume is found to add information in three of four histories whose volume follows a
    volatility that returns show only in part; with it, in one of thirty. The sum of absolute returns is a far better measure of
    activity than the move from end to end: its noise is smaller by about the root of the number of bars.

    Bars less than ``cooldown`` after an event are left out: they are neither quiet nor events.

    Parameters
    ----------
    bars : Bars
    forecast : ndarray, shape (n_bars, n_symbols)
        Standard deviation that the volatility model expects of the next bar, known at the close of the row.
    moves : sequence of Moves
    cooldown : int
        In bars.
    first : int
        Row from which on alerts are judged.
    """

    def __init__(self, bars: Bars, forecast: np.ndarray, moves: Sequence[Moves], cooldown: int, first: int = 0) -> None:
        self.horizons = tuple(one.horizon for one in moves)
        self.cooldown, self.first = cooldown, first
        typical = typical_move(bars)
        visible = volatility_regressors(bars, typical)
        traded = volume_regressors(bars)
        season = _season_columns(bars)
        with np.errstate(divide="ignore", invalid="ignore"):
            path = np.stack([np.log(one.path / typical + 0.05 * one.horizon) for one in moves], axis=2)
            logs = np.log(forecast / typical)
        self._symbols = []
        for i in range(bars.n_symbols):
            x = np.column_stack([season, logs[:, i], visible[:, i], traded[:, i]])
            known = ~np.isnan(x).any(axis=1) & ~np.isnan(path[:, i]).any(axis=1)
            rows = np.flatnonzero(known & (np.arange(bars.n_bars) >= first))
            x, y = x[rows], path[rows, i]
            self._symbols.append((rows, x, y, x.T @ x, x.T @ y))
        self._n_rows = bars.n_bars

    def effect(self, active: np.ndarray, decided: np.ndarray) -> EventEffect:
        """Effect of alerts, both arrays of shape (n_bars, n_symbols); rows that are not decided do not count."""
        events = thin(active, self.cooldown)
        used = (decided & ~active & ~_within(events, self.cooldown)) | events
        n_horizons = len(self.horizons)
        dummies, residuals, n_events = [], [], 0
        for i, (rows, x, y, gram, product) in enumerate(self._symbols):
            keep = used[rows, i]
            event = events[rows, i] & keep
            n = int(event.sum())
            if not n or keep.sum() <= 2 * x.shape[1]:
                continue
            out = np.flatnonzero(~keep)
            x_out = x[out]
            # Most rows are used by every detector: what is left out is taken from the sums over all.
            inverse = np.linalg.pinv(gram - x_out.T @ x_out, hermitian=True)
            # Both regressions in one pass over the rows.
            sums = np.column_stack([x[np.flatnonzero(event)].sum(axis=0), product - x_out.T @ y[out]])
            fitted = x @ (inverse @ sums)
            dummy, residual = event - fitted[:, 0], y - fitted[:, 1:]
            dummy[out] = 0.0
            if float(dummy @ dummy) < EXPLAINED * n:
                continue
            dummies.append((rows, dummy))
            residuals.append(residual)
            n_events += n
        nan = np.full(n_horizons, np.nan)
        spread = sum(float(dummy @ dummy) for _, dummy in dummies)
        if n_events < LEAST_EVENTS:
            return EventEffect(nan, nan, n_events)
        effect = sum(dummy @ residual for (_, dummy), residual in zip(dummies, residuals, strict=True)) / spread
        influence = np.zeros((self._n_rows, n_horizons))
        for (rows, dummy), residual in zip(dummies, residuals, strict=True):
            influence[rows] += dummy[:, None] * (residual - dummy[:, None] * effect)
        judged = influence[self.first :]
        error = np.array([np.sqrt(max(hac_variance(judged[:, k], 2 * h), 0.0)) for k, h in enumerate(self.horizons)])
        with np.errstate(divide="ignore", invalid="ignore"):
            return EventEffect(np.asarray(effect), np.where(error > 0, effect * spread / error, np.nan), n_events)


def _within(events: np.ndarray, cooldown: int) -> np.ndarray:
    """Rows less than ``cooldown`` after an event of the same symbol, the event not included."""
    row = np.arange(len(events))[:, None]
    last = np.maximum.accumulate(np.where(events, row, -cooldown - 1), axis=0)
    return (row - last > 0) & (row - last < cooldown)


def _season_columns(bars: Bars) -> np.ndarray:
    """Constant, weekend, and three harmonics of the hour of day where bars are shorter than half a day."""
    hour = bars.time.astype("datetime64[s]").astype(np.int64) / 3600
    columns = [np.ones(len(hour)), ((hour // 24 + 3) % 7 >= 5).astype(float)]
    if bars.interval < np.timedelta64(12, "h"):
        angle = 2 * np.pi * (hour % 24) / 24
        columns += [function(k * angle) for k in range(1, HARMONICS + 1) for function in (np.cos, np.sin)]
    return np.column_stack(columns)
