"""Test whether moves after alerts exceed what the volatility visible at the alert implies: the t of an alert dummy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from foreshock.data.bars import Bars
from foreshock.engine.scores import thin
from foreshock.engine.validation.evidence.inference import hac_variance
from foreshock.engine.validation.moves.moves import Moves, typical_move, volatility_regressors, volume_regressors

# With fewer alerts than this, t is NaN.
LEAST_EVENTS = 5
HARMONICS = 3
# Minimum share of a dummy's variation that its controls leave; below it the rest is rounding.
EXPLAINED = 1e-6


@dataclass(frozen=True)
class EventEffect:
    """The effect of alerts on the log path of each horizon, given the volatility visible at the alert.

    Parameters
    ----------
    effect : ndarray, shape (n_horizons,)
        Coefficient of the dummy: its exp is the ratio of the path after an alert to the path after other bars.
    t : ndarray, shape (n_horizons,)
        Effect over its Driscoll-Kraay standard error; NaN with fewer than five alerts.
    n_events : int
        Alerts used.
    """

    effect: np.ndarray
    t: np.ndarray
    n_events: int


class EventRegression:
    """Panel regression of log forward paths on an alert dummy and the visible volatility.

    For each symbol, log(path + typical move / 20 a bar) = controls b + effect * alert, with one effect for all symbols. The
    controls are the log forecast of the symbol's volatility model, ``volatility_regressors`` (HAR terms of mean absolute and root
    mean square returns, their bends, the range of the bar itself), ``volume_regressors``, hour of day and weekend, fitted by least
    squares on the rows of the history. Fewer controls would have more power; but the volatility of real markets follows no model
    exactly, and with fewer controls more of it would be mistaken for information, so that a plain z-score would pass. Without the
    volume controls, a detector that only sees volume is found to add information in three of four histories whose volume follows a
    volatility that returns show only in part; with them, in one of thirty. The sum of absolute returns measures activity much
    better than the move from end to end: its noise is smaller by about the root of the number of bars.

    Bars less than ``cooldown`` after an event are left out, because they are neither quiet nor events.

    Parameters
    ----------
    bars : Bars
        The history.
    forecast : ndarray, shape (n_bars, n_symbols)
        Standard deviation that the volatility model expects of the next bar, known at the close of the row.
    moves : sequence of Moves
        Moves for each horizon.
    cooldown : int
        Cool-down in bars.
    first : int
        First row whose alerts are judged.
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
        """Effect of alerts; both arrays have the shape (n_bars, n_symbols), and rows that are not decided are left out."""
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
            # Detectors share most rows, so the rows left out are subtracted from the sums over all rows.
            inverse = np.linalg.pinv(gram - x_out.T @ x_out, hermitian=True)
            # The regressions of the dummy and of the paths share one pass over the rows.
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
    """Rows less than ``cooldown`` after an event of the same symbol, without the event itself."""
    row = np.arange(len(events))[:, None]
    last = np.maximum.accumulate(np.where(events, row, -cooldown - 1), axis=0)
    return (row - last > 0) & (row - last < cooldown)


def _season_columns(bars: Bars) -> np.ndarray:
    """Constant, weekend, and, for bars shorter than half a day, three harmonics of the hour of day."""
    hour = bars.time.astype("datetime64[s]").astype(np.int64) / 3600
    columns = [np.ones(len(hour)), ((hour // 24 + 3) % 7 >= 5).astype(float)]
    if bars.interval < np.timedelta64(12, "h"):
        angle = 2 * np.pi * (hour % 24) / 24
        columns += [function(k * angle) for k in range(1, HARMONICS + 1) for function in (np.cos, np.sin)]
    return np.column_stack(columns)
