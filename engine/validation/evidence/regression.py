"""Regression of the path after an alert on all visible volatility, with the alert as a dummy."""

from __future__ import annotations

import numpy as np

from foreshock.data.bars import Bars
from foreshock.engine.validation.evidence.inference import Estimate, from_error, hac_variance, unknown
from foreshock.engine.validation.moves.moves import season_dummies, typical_move, volatility_regressors

MAX_STEPS = 50
AGAINST = "other rows, given GARCH, HAR, realised volatility and season"


def control_design(bars: Bars, typical: np.ndarray | None = None) -> np.ndarray:
    """Regressors of the volatility visible at the close of each row, shape (n_symbols, n_bars, n_regressors).

    The regressors are HAR terms and the root of realised variance over 1, 6, 24 and 96 bars in logs, their bends, range, weekend
    and hour of day; see ``volatility_regressors``. NaN where one is not known.
    """
    visible = volatility_regressors(bars, typical_move(bars) if typical is None else typical)
    season = season_dummies(bars)
    design = np.empty((bars.n_symbols, bars.n_bars, visible.shape[2] + season.shape[1]))
    design[:, :, : visible.shape[2]] = visible.swapaxes(0, 1)
    design[:, :, visible.shape[2] :] = season
    return design


def volatility_regression(
    y: np.ndarray,
    event: np.ndarray,
    decided: np.ndarray,
    design: np.ndarray,
    forecast: np.ndarray,
    lags: int,
    garch: np.ndarray | None = None,
) -> Estimate:
    """Ratio exp(b) of E[y] = exp(b event + c_i x), with separate coefficients c_i for each symbol i, by QLIKE.

    The exponential mean keeps forecasts positive. The QLIKE loss, y / m + log m, estimates the mean whatever the shape of the
    noise, and weighs rows by their own volatility, so that a crash does not outweigh a year [1]_. The errors of b are those of
    Driscoll and Kraay [2]_ on the part of the dummy that x does not explain.

    Parameters
    ----------
    y : ndarray, shape (n_rows, n_symbols)
        Path or absolute move; NaN where not known.
    event, decided : ndarray of bool, shape (n_rows, n_symbols)
        Events, and rows with a decision.
    design : ndarray, shape (n_symbols, n_rows, n_regressors)
        Regressors x, from ``control_design``.
    forecast : ndarray, shape (n_rows, n_symbols)
        Log of the mean expected from ``design`` (``expected_log_path``), where the search starts.
    lags : int
        Autocovariances of the errors.
    garch : ndarray, shape (n_rows, n_symbols), optional
        Volatility or move forecast by a GARCH model for the same horizon, known at the close of each row, above 0.

    References
    ----------
    .. [1] Patton (2011), Volatility forecast comparison using imperfect volatility proxies.
    .. [2] Driscoll and Kraay (1998), Consistent covariance matrix estimation with spatially dependent panel data.
    """
    against = AGAINST if garch is not None else AGAINST.replace("GARCH, ", "")
    known = decided & ~np.isnan(y) & ~np.isnan(forecast)
    if garch is not None:
        known &= garch > 0
    blocks = _blocks(y, event, known, design, forecast, garch)
    n, n_events = sum(len(block.rows) for block in blocks), int(sum(block.event.sum() for block in blocks))
    spread = sum(float(block.residual @ block.residual) for block in blocks)
    # If x explains the dummy completely, rounding leaves about 1e-16 per row.
    if n_events < 2 or spread < 1e-6 * n_events:
        reason = "fewer than 2 events" if n_events < 2 else "no rows but events"
        return unknown(reason if n else "no volatility is known", n, n_events, against)
    b = 0.0
    for _ in range(MAX_STEPS):
        step = sum(float(block.residual @ block.surprise(b)) for block in blocks) / spread
        # A step beyond one in the log may overshoot.
        step = float(np.clip(step, -1, 1))
        moved = max(block.advance(b, step) for block in blocks)
        b += step
        if abs(step) < 1e-5 and moved < 1e-3:
            break
    else:
        return unknown("the regression does not converge", n, n_events, against)
    influence = np.zeros(len(y))
    for block in blocks:
        influence[block.rows] += block.residual * block.surprise(b)
    error = np.sqrt(hac_variance(influence, lags)) / spread
    return ratio_of_log(b, float(error), n, n_events, against)


def ratio_of_log(b: float, error: float, n: int, n_events: int, against: str) -> Estimate:
    """Estimate of exp(b) from b and its standard error."""
    log = from_error(b, error, n, n_events, against, null=0.0)
    return Estimate(float(np.exp(b)), (float(np.exp(log.ci[0])), float(np.exp(log.ci[1]))), log.p, n, n_events, against)


class _Block:
    """One symbol's part of the regression: its rows, its controls, and the current state of the search for their coefficients."""

    def __init__(self, rows: np.ndarray, y: np.ndarray, event: np.ndarray, x: np.ndarray, log_mean: np.ndarray) -> None:
        self.rows, self.y, self.event, self.x, self.log_mean = rows, y, event, x, log_mean
        self.inverse = np.linalg.pinv(x.T @ x, hermitian=True)
        self.residual = event - x @ (self.inverse @ (x.T @ event))

    def surprise(self, b: float) -> np.ndarray:
        return self.y * np.exp(-self.log_mean - b * self.event) - 1

    def advance(self, b: float, step: float) -> float:
        """Update the coefficients for a ``step`` of b; returns the largest change in the log mean of a row."""
        change = self.x @ (self.inverse @ (self.x.T @ (self.surprise(b) - step * self.event)))
        largest = float(np.abs(change).max())
        self.log_mean = self.log_mean + change / max(1.0, largest)
        return largest


def _blocks(
    y: np.ndarray, event: np.ndarray, known: np.ndarray, design: np.ndarray, forecast: np.ndarray, garch: np.ndarray | None
) -> list[_Block]:
    blocks = []
    for i in range(y.shape[1]):
        rows = np.flatnonzero(known[:, i])
        x = design[i, rows]
        if garch is not None:
            x = np.column_stack([x, np.log(garch[rows, i])])
        if len(rows) > 2 * x.shape[1]:
            blocks.append(_Block(rows, y[rows, i], event[rows, i].astype(float), x, forecast[rows, i]))
    return blocks
