"""Direction, apart from magnitude: do alerts say which way the market will go?"""

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
    """What alerts say about the sign of the move; a detector may be silent on it and still be of use.

    Parameters
    ----------
    move : Estimate
        Mean signed log move after events less that after other rows; errors of Driscoll and Kraay.
    p_hodrick : float
        The same difference with Hodrick's errors, valid for long horizons too: without predictability, returns are
        martingale differences.
    hit_rate, base_rate : float
        Share of moves up, among those that moved, after events and after other rows.
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
    """Signed move and hit rate after events against other rows.

    Parameters
    ----------
    signed : ndarray, shape (n_rows, n_symbols)
        Log move over the horizon; NaN where not known.
    returns : ndarray, shape (n_rows, n_symbols)
        Log return of each bar, whose sum a move is but for the gap before its first bar.
    event, others : ndarray of bool, shape (n_rows, n_symbols)
    horizon, lags, delay : int
    sign : ndarray, shape (n_rows, n_symbols), optional
        Which way each row points, e.g. the sign of its own return; moves count as up if they go there. NaN and 0, events
        and other rows alike, are left out. By default every row points up.
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
    # With a sign of its own for each row, a bar's return does not have one sign for all moves it belongs to.
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
