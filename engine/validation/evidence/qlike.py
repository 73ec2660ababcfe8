"""Test whether adding the alert to a volatility forecast improves the forecast out of sample."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import stats

from foreshock.data.bars import Bars
from foreshock.engine.validation.evidence.inference import Estimate, from_error, hac_variance, unknown
from foreshock.engine.validation.evidence.regression import control_design
from foreshock.engine.validation.moves.moves import Moves, fit_qlike

N_FOLDS = 6
# With fewer past events than this, the forecast is left unchanged.
LEAST_PAST_EVENTS = 30
AGAINST = "the volatility forecast without the alert"


def walk_forward_log_path(bars: Bars, moves: Moves, n_folds: int = N_FOLDS) -> np.ndarray:
    """Log of the path expected at each row by the model of ``expected_log_path``, fitted on past rows only.

    Rows are cut into ``n_folds`` runs; the forecast of a run is fitted on every earlier row whose move was complete when the run
    began. The scale of the regressors also comes from the past: the median absolute return of the first quarter of a symbol's bars.

    Returns
    -------
    ndarray, shape (n_bars, n_symbols)
        NaN in the first run, and in runs before which a symbol has too few rows.
    """
    typical = np.array([_early_scale(column) for column in bars.returns().T])
    design = control_design(bars, typical)
    out = np.full(bars.shape, np.nan)
    for i in range(bars.n_symbols):
        x, y = design[i], moves.path[:, i]
        usable = ~np.isnan(x).any(axis=1)
        for first, stop in fold_edges(bars.n_bars, n_folds)[1:]:
            past = usable & ~np.isnan(y)
            past[max(first - moves.horizon - moves.delay + 1, 0) :] = False
            # A season that has not occurred yet, or a price that never moved, cannot be fitted.
            if past.sum() > 4 * x.shape[1] and y[past].any():
                rows = np.flatnonzero(usable[first:stop]) + first
                out[rows, i] = x[rows] @ fit_qlike(x[past], y[past], typical[i])
    return out


def fold_edges(n_rows: int, n_folds: int) -> list[tuple[int, int]]:
    """First row and stop of each run, of lengths as equal as possible."""
    edges = np.linspace(0, n_rows, n_folds + 1).astype(int)
    return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))


def qlike_gain(
    moves: Moves, signal: np.ndarray, decided: np.ndarray, log_path: np.ndarray, lags: int, n_folds: int = N_FOLDS
) -> Estimate:
    """Mean QLIKE loss of a forecast less that of the same forecast times exp(a + b signal), with its Diebold-Mariano test.

    A gain above 0 means that the alert helps. Both forecasts are rescaled, and b is fitted, on past rows whose move was complete,
    all symbols together; with fewer than 30 past events b is 0. The loss of a forecast m is path / m + log m [1]_; the mean
    difference over rows, symbols of a moment together, is tested with Newey-West errors [2]_. The models are nested: where the true
    b is 0, the model that estimates it loses slightly. A negative gain is therefore not a finding, and p is one-sided for the null
    of no gain.

    Parameters
    ----------
    moves : Moves
        Moves over the horizon.
    signal : ndarray, shape (n_rows, n_symbols)
        Alerts (bool), or a score; scores are clipped to their past 1st and 99th percentile and divided by their past standard
        deviation.
    decided : ndarray of bool, shape (n_rows, n_symbols)
        Rows with a decision.
    log_path : ndarray, shape (n_rows, n_symbols)
        Forecast from ``walk_forward_log_path``.
    lags : int
        Autocovariances of the errors, at least horizon - 1.

    References
    ----------
    .. [1] Patton (2011), Volatility forecast comparison using imperfect volatility proxies.
    .. [2] Diebold and Mariano (1995), Comparing predictive accuracy.
    """
    y = moves.path
    dummy = signal.dtype == bool
    known = decided & ~np.isnan(y) & ~np.isnan(log_path) & ~np.isnan(signal.astype(float))
    # Where the forecast is not known it is set to 1; those rows are never read.
    surprise = np.where(known, y * np.exp(-np.where(known, log_path, 0.0)), np.nan)
    gain = np.full(y.shape, np.nan)
    fitted = False
    for first, stop in fold_edges(len(y), n_folds):
        past = known.copy()
        past[max(first - moves.horizon - moves.delay + 1, 0) :] = False
        now = known.copy()
        now[:first] = now[stop:] = False
        if not past.any() or not now.any() or not surprise[past].any():
            continue
        level = float(np.log(surprise[past].mean()))
        a, b, z = level, 0.0, np.zeros(int(now.sum()))
        if not dummy or min((past & signal).sum(), (past & ~signal).sum()) >= LEAST_PAST_EVENTS:
            was, z = _regressor(signal, past, now, dummy)
            a, b = fit_qlike(np.column_stack([np.ones(len(was)), was]), surprise[past], 1.0)
            fitted = True
        without = surprise[now] * np.exp(-level) + level
        gain[now] = without - (surprise[now] * np.exp(-a - b * z) + a + b * z)
    judged = ~np.isnan(gain)
    n, n_events = int(judged.sum()), int((judged & signal).sum()) if dummy else int(judged.sum())
    if not fitted:
        return unknown("too few events in the past of every fold", n, n_events, AGAINST, null=0.0)
    mean = float(gain[judged].mean())
    error = np.sqrt(hac_variance(np.where(judged, gain - mean, 0.0).sum(axis=1), lags)) / n
    found = from_error(mean, float(error), n, n_events, AGAINST, null=0.0)
    return replace(found, p=float(stats.norm.sf(mean / error))) if error > 0 else found


def _regressor(signal: np.ndarray, past: np.ndarray, now: np.ndarray, dummy: bool) -> tuple[np.ndarray, np.ndarray]:
    """The signal in past rows and in the rows to be forecast, scaled by what is known from the past."""
    if dummy:
        return signal[past].astype(float), signal[now].astype(float)
    low, high = np.quantile(signal[past], [0.01, 0.99])
    was, now_is = (np.clip(signal[rows], low, high) for rows in (past, now))
    spread = was.std() or 1.0
    return (was - was.mean()) / spread, (now_is - was.mean()) / spread


def _early_scale(returns: np.ndarray) -> float:
    known = np.abs(returns[~np.isnan(returns)])
    early = known[: len(known) // 4]
    return float(np.median(early[early > 0])) if (early > 0).any() else float("nan")
