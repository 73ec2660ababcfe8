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


def forecast_gain(state: State, forecast: Forecast, values: np.ndarray, decided: np.ndarray, first: int) -> Gain:
    """Regress the error of the forecast on the input over all earlier runs of rows, and correct the forecast of the next run.

    The first of six runs is only learned from. Targets that were not complete at the beginning of a run are left out.

    Parameters
    ----------
    state : State
        Inputs and targets.
    forecast : Forecast
        Forecast of a rung.
    values : ndarray, shape (n_rows, n_symbols)
        Alerts (bool), or a score, which is clipped to its past 1st and 99th percentile.
    decided : ndarray of bool, shape (n_rows, n_symbols)
        Rows with a decision.
    first : int
        First row that is judged.
    """
    nothing = np.full(len(state.horizons), np.nan)
    rest = state.target - forecast.values
    at = values[state.row, state.symbol].astype(float)
    lines = decided[state.row, state.symbol] & ~np.isnan(rest).any(axis=1) & ~np.isnan(at) & (state.row >= first)
    if not lines.any():
        return Gain(nothing, nothing, nothing)
    rest, at, row = rest[lines], at[lines], state.row[lines]
    edges = np.linspace(first, state.n_rows, RUNS + 1).astype(int)
    gap = max(state.horizons) + 1
    saved, judged = np.zeros_like(rest), np.zeros(len(rest), bool)
    error = np.zeros_like(rest)
    for start, stop in itertools.pairwise(edges):
        past, now = row < start - gap, (row >= start) & (row < stop)
        if past.sum() < 2 * LEAST_PAST or not now.any():
            continue
        was, now_is = at[past], at[now]
        if values.dtype != bool:
            low, high = np.quantile(was, [0.01, 0.99])
            was, now_is = np.clip(was, low, high), np.clip(now_is, low, high)
        mean, level = was.mean(), rest[past].mean(axis=0)
        square = float(((was - mean) ** 2).sum())
        enough = np.count_nonzero(was != np.median(was)) >= LEAST_PAST and square > 0
        slope = (was - mean) @ (rest[past] - level) / square if enough else np.zeros(rest.shape[1])
        plain = rest[now] - level
        error[now] = plain**2
        saved[now] = plain**2 - (plain - (now_is - mean)[:, None] * slope) ** 2
        judged[now] = True
    if not judged.any():
        return Gain(nothing, nothing, nothing)
    total = error[judged].sum(axis=0)
    r2 = saved[judged].sum(axis=0) / total
    spread = np.empty_like(r2)
    for j, h in enumerate(state.horizons):
        by_row = np.bincount(row[judged] - first, saved[judged, j] - r2[j] * error[judged, j])
        spread[j] = np.sqrt(max(hac_variance(by_row, 2 * h), 0.0)) / total[j]
    return Gain(r2, r2 - 1.96 * spread, r2 + 1.96 * spread)
