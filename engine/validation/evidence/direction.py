"""Direction of moves, apart from their size: whether alerts predict which way the market moves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from foreshock.engine.validation.evidence.inference import (
    Estimate,
    dummy_slope,
    from_error,
    hac_variance,
    hodrick_variance,
    unknown,
)

AGAINST = "other rows"


@dataclass(frozen=True)
class Direction:
    """What alerts say about the sign of the move; a detector without it may still predict the size.

    Parameters
    ----------
    move : Estimate
        Mean signed log move after events less that after other rows; errors of Driscoll and Kraay.
    p_hodrick : float
        p of the same difference with Hodrick's errors, which are also valid for long horizons: without predictability, returns
        are martingale differences.
    hit_rate, base_rate : float
        Share of upward moves, among moves that are not 0, after events and after other rows.
    hit : Estimate
        ``hit_rate`` less ``base_rate``.
    """

    move: Estimate
    p_hodrick: float
    hit_rate: float
    base_rate: float
    hit: Estimate


def direction(
    signed: np.ndarray,
    returns: np.ndarray,
    event: np.ndarray,
    others: np.ndarray,
    horizon: int,
    lags: int,
    delay: int = 1,
    sign: np.ndarray | None = None,
) -> Direction:
    """Signed move and hit rate after events compared with other rows.

    Parameters
    ----------
    signed : ndarray, shape (n_rows, n_symbols)
        Log move over the horizon; NaN where not known.
    returns : ndarray, shape (n_rows, n_symbols)
        Log return of each bar; a move is their sum, except for the gap before its first bar.
    event, others : ndarray of bool, shape (n_rows, n_symbols)
        Events and the rows they are compared with.
    horizon, lags, delay : int
        Bars of a move, autocovariances of the errors, and bars from signal to entry.
    sign : ndarray, shape (n_rows, n_symbols), optional
        Direction predicted by each row, such as the sign of its own return; a move counts as up if it goes that way. Rows with NaN
        or 0, whether events or other rows, are left out. By default every row predicts up.
    """
    y = signed if sign is None else signed * np.where(sign == 0, np.nan, np.sign(sign))
    known = (event | others) & ~np.isnan(y)
    event = event & known
    n, n_events = int(known.sum()), int(event.sum())
    slope = dummy_slope(y, event, known)
    if slope is None:
        nothing = unknown("fewer than 2 events or other rows", n, n_events, AGAINST, null=0.0)
        nan = float("nan")
        return Direction(nothing, nan, nan, nan, nothing)
    move = from_error(slope.value, float(np.sqrt(hac_variance(slope.influence, lags))), n, n_events, AGAINST, null=0.0)
    # If each row has its own sign, the return of a bar has different signs in the moves that contain it, and Hodrick's form fails.
    variance = hodrick_variance(returns, event, known, horizon, delay) if sign is None else float("nan")
    p_hodrick = from_error(slope.value, float(np.sqrt(variance)), n, n_events, AGAINST, null=0.0).p
    moved = known & (y != 0)
    up = dummy_slope((y > 0).astype(float), event & moved, moved)
    if up is None:
        nothing = unknown("fewer than 2 moves", int(moved.sum()), int((event & moved).sum()), AGAINST, null=0.0)
        return Direction(move, p_hodrick, float("nan"), float("nan"), nothing)
    error = float(np.sqrt(hac_variance(up.influence, lags)))
    hit = from_error(up.value, error, int(moved.sum()), int((event & moved).sum()), AGAINST, null=0.0)
    return Direction(move, p_hodrick, up.base + up.value, up.base, hit)
