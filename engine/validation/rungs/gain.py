"""The plain question: by how much a forecast improves out of sample with the alert, or the score, as one more input."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from foreshock.engine.validation.evidence.inference import hac_variance
from foreshock.engine.validation.rungs.forecast import Forecast
from foreshock.engine.validation.rungs.state import State

RUNS = 6
# With fewer past rows that the input tells apart, it is left out.
LEAST_PAST = 8


@dataclass(frozen=True)
class Gain:
    """Improvement of a forecast by one more input, by horizon; arrays have the shape (n_horizons,).

    Parameters
    ----------
    r2 : ndarray
        Share of the squared error of the forecast that the input removes; below 0 where it adds noise.
    low, high : ndarray
        95 % interval of ``r2``.
    """

    r2: np.ndarray
    low: np.ndarray
    high: np.ndarray


class ForecastErrors:
    """Errors of a forecast on the judged rows, and how much of them one more input would have removed.

    Parameters
    ----------
    state : State
        Inputs and targets.
    forecast : Forecast
        Forecast of a rung.
    first : int
        First row that is judged.
    """

    def __init__(self, state: State, forecast: Forecast, first: int) -> None:
        rest = state.target - forecast.values
        lines = np.flatnonzero(~np.isnan(rest.sum(axis=1)) & (state.row >= first))
        self.rest, self.row, self.symbol = rest[lines], state.row[lines], state.symbol[lines]
        self.horizons, self.n_rows, self.first = state.horizons, state.n_rows, first

    def gain(self, values: np.ndarray, decided: np.ndarray) -> Gain:
        """Regress the error on the input over all earlier runs of rows, and correct the forecast of the next run.

        The first of six runs is only learned from. Targets that were not complete at the beginning of a run are left out.

        Parameters
        ----------
        values : ndarray, shape (n_rows, n_symbols)
            Alerts (bool), or a score, which is clipped to its past 1st and 99th percentile.
        decided : ndarray of bool, shape (n_rows, n_symbols)
            Rows with a decision.
        """
        nothing = np.full(len(self.horizons), np.nan)
        at = values[self.row, self.symbol].astype(float)
        lines = np.flatnonzero(decided[self.row, self.symbol] & ~np.isnan(at))
        if not lines.size:
            return Gain(nothing, nothing, nothing)
        # Lines are in the order of time, so that runs and what is before them are slices.
        rest, at, row = self.rest[lines], at[lines], self.row[lines]
        edges = np.linspace(self.first, self.n_rows, RUNS + 1).astype(int)
        gap = max(self.horizons) + 1
        saved, judged = np.zeros_like(rest), np.zeros(len(rest), bool)
        error = np.zeros_like(rest)
        for start, stop in itertools.pairwise(edges):
            end, begin, until = (int(k) for k in np.searchsorted(row, (start - gap, start, stop)))
            if end < 2 * LEAST_PAST or begin == until:
                continue
            past, now = slice(0, end), slice(begin, until)
            was, now_is = at[past], at[now]
            if values.dtype != bool:
                low, middle, high = np.quantile(was, [0.01, 0.5, 0.99])
                was, now_is = was.clip(low, high), now_is.clip(low, high)
                enough = np.count_nonzero(was != middle) >= LEAST_PAST
            else:
                n_alerts = np.count_nonzero(was)
                enough = min(n_alerts, end - n_alerts) >= LEAST_PAST
            mean, level = was.mean(), rest[past].mean(axis=0)
            away = was - mean
            square = float(away @ away)
            slope = away @ rest[past] / square if enough and square > 0 else np.zeros(rest.shape[1])
            plain = rest[now] - level
            error[now] = plain**2
            saved[now] = error[now] - (plain - (now_is - mean)[:, None] * slope) ** 2
            judged[now] = True
        if not judged.any():
            return Gain(nothing, nothing, nothing)
        total = error[judged].sum(axis=0)
        r2 = saved[judged].sum(axis=0) / total
        spread = np.empty_like(r2)
        for j, h in enumerate(self.horizons):
            by_row = np.bincount(row[judged] - self.first, saved[judged, j] - r2[j] * error[judged, j])
            spread[j] = np.sqrt(max(hac_variance(by_row, 2 * h), 0.0)) / total[j]
        return Gain(r2, r2 - 1.96 * spread, r2 + 1.96 * spread)
