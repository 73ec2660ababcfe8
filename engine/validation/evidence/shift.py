"""Studentised circular shift test: alerts compared with the same alerts at other times."""

from __future__ import annotations

import numpy as np
from numba import njit

from foreshock.engine.validation.evidence.inference import Estimate, unknown

# With fewer shifts, the smallest possible two-sided p exceeds 5 %.
MIN_SHIFTS = 39


def shift_test(y: np.ndarray, event: np.ndarray, decided: np.ndarray, lags: int, n_shifts: int = 999, seed: int = 0) -> Estimate:
    """Mean of y at events over its overall mean, and how often alerts shifted in time do as well.

    All alerts are moved by one offset around the circle of decided rows, which keeps their spacing and their coincidence across
    symbols; offsets are at least ``lags`` rows, beyond the overlap. The ranked statistic is a t with a Newey-West error computed
    for the shifted alerts: it is pivotal, and so accurate to a higher order than the ratio itself [1]_ [2]_. The null is that
    alerts and y are independent. If y is the move itself, any echo of volatility violates the null; if y is the move over its
    expectation, only information beyond the expectation does.

    Parameters
    ----------
    y : ndarray, shape (n_rows, n_symbols)
        Moves, with a positive mean; NaN where not known. Each symbol is divided by its mean.
    event, decided : ndarray of bool, shape (n_rows, n_symbols)
        Events, and rows with a decision.
    lags : int
        Autocovariances of the Newey-West error, and the smallest offset.
    n_shifts : int
        Number of shifts; fewer if the rows do not allow as many different offsets.
    seed : int
        Seed of the offsets.

    Returns
    -------
    Estimate
        The estimate; its interval is the distribution of t over the shifts, placed around the estimate.

    References
    ----------
    .. [1] Romano (1990), On the behavior of randomization tests without a group invariance assumption.
    .. [2] DiCiccio and Romano (2017), Robust permutation tests for correlation and regression coefficients.
    """
    against = "the same alerts shifted in time"
    known = decided & ~np.isnan(y)
    n, n_events = int(known.sum()), int((event & known).sum())
    span = np.flatnonzero(known.any(axis=1))
    if n_events < 2:
        return unknown("fewer than 2 events", n, n_events, against)
    y, event = y[span[0] : span[-1] + 1], (event & decided)[span[0] : span[-1] + 1]
    # A symbol whose price never moved has no mean to be divided by.
    y = y / np.array([np.nanmean(column) if (column > 0).any() else np.nan for column in y.T])
    n_rows = len(y)
    offsets = np.arange(lags, n_rows - lags + 1) if n_rows > 2 * lags else np.zeros(0, dtype=np.int64)
    if len(offsets) < MIN_SHIFTS:
        return unknown(f"{n_rows} rows leave {len(offsets)} offsets beyond the overlap, too few", n, n_events, against)
    rng = np.random.default_rng(seed)
    offsets = rng.choice(offsets, min(n_shifts, len(offsets)), replace=False)
    market = np.isfinite(y)
    excess = np.where(market, y - 1, 0.0)
    rows, cols = np.nonzero(event)
    found = shifted_t_nb(excess, market, rows, cols, np.concatenate([[0], offsets]), lags)
    value, error = map(float, found[0])
    if not error > 0:
        return unknown("no variation at events", n, n_events, against)
    t = value / error
    drawn = found[1:]
    drawn = drawn[drawn[:, 1] > 0]
    shifted = drawn[:, 0] / drawn[:, 1]
    if len(shifted) < MIN_SHIFTS:
        return unknown("too few offsets at which alerts meet known moves", n, n_events, against)
    above, below = int((shifted >= t).sum()), int((shifted <= t).sum())
    p = min(1.0, 2 * (1 + min(above, below)) / (1 + len(shifted)))
    low, high = map(float, np.quantile(shifted, [0.025, 0.975]))
    return Estimate(1 + value, (1 + value - high * error, 1 + value - low * error), p, n, n_events, against)


@njit(cache=True)
def shifted_t_nb(
    excess: np.ndarray, market: np.ndarray, rows: np.ndarray, cols: np.ndarray, offsets: np.ndarray, lags: int
) -> np.ndarray:
    """Mean excess of events shifted by each offset, less that of all rows, and its Newey-West error, shape (n_offsets, 2).

    The error is that of ``hac_variance``: with Bartlett weights the long-run variance is the mean square of the sums over all
    windows of lags + 1 rows, including those that extend beyond an end, which takes one pass. ``lags`` must be below n_rows.
    """
    n_rows, n_symbols = excess.shape
    row_sum, row_count = np.zeros(n_rows), np.zeros(n_rows)
    for row in range(n_rows):
        for col in range(n_symbols):
            if market[row, col]:
                row_sum[row] += excess[row, col]
                row_count[row] += 1
    n_known, whole = row_count.sum(), row_sum.sum()
    out = np.full((len(offsets), 2), np.nan)
    influence = np.empty(n_rows)
    for k in range(len(offsets)):
        n_events, total = 0, 0.0
        for j in range(len(rows)):
            row = (rows[j] + offsets[k]) % n_rows
            if market[row, cols[j]]:
                n_events += 1
                total += excess[row, cols[j]]
        if n_events < 2 or n_events > n_known - 2:
            continue
        share = n_events / n_known
        base = (whole - total) / (n_known - n_events)
        mean = total / n_events
        # (event - share) * (excess - fitted), summed over each row, starting as if no row were an event.
        for row in range(n_rows):
            influence[row] = -share * (row_sum[row] - base * row_count[row])
        for j in range(len(rows)):
            row = (rows[j] + offsets[k]) % n_rows
            if market[row, cols[j]]:
                x = excess[row, cols[j]]
                influence[row] += (1 - share) * (x - mean) + share * (x - base)
        # Windows in three groups: growing at the start, complete, shrinking at the end.
        window, squares = 0.0, 0.0
        for row in range(lags + 1):
            window += influence[row]
            squares += window * window
        for row in range(lags + 1, n_rows):
            window += influence[row] - influence[row - lags - 1]
            squares += window * window
        for row in range(n_rows, n_rows + lags):
            window -= influence[row - lags - 1]
            squares += window * window
        out[k, 0] = mean - base
        out[k, 1] = np.sqrt(squares / (lags + 1)) / (n_known * share * (1 - share))
    return out
