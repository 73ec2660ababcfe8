"""VaR and CVaR of the moves after alerts, compared with the moves after other rows."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from foreshock.data.checks import check_array, check_horizons, check_levels, check_most, check_texts, check_whole
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError
from foreshock.data.interval import Duration, bars_in, format_duration, parse_duration
from foreshock.data.show.shown import few
from foreshock.engine.risk.estimators.value_at_risk import known_returns, loss_tail
from foreshock.engine.risk.labels import check_index
from foreshock.engine.risk.resampling import MAX_DRAWS, loss_tail_draws_nb
from foreshock.engine.scores import Signals, thin

GROUPS = ("alert", "other")


@door
def conditional_risk(
    returns: np.ndarray | pd.DataFrame | pd.Series,
    signals: Signals,
    horizons: Sequence[Duration] | None = None,
    levels: Sequence[float] = (0.95, 0.99),
    delay: int = 1,
    n_bootstrap: int = 999,
    seed: int = 0,
) -> pd.DataFrame:
    """Historical VaR and CVaR of the moves after alerts and after other rows, and their ratio.

    The move of row t is ``prod(1 + returns[t + delay : t + delay + h]) - 1``. Other rows are those with a decision and no alert.
    Symbols are pooled. A ratio above 1 may only mean that alerts come when volatility is already high; ``forward_moves`` and
    ``validate`` test whether alerts say more.

    Parameters
    ----------
    returns : ndarray, shape (n_rows, n_symbols) or (n_rows,)
        Simple returns on the rows of the signals. A move that contains a NaN return is NaN. For a single series, such as a
        portfolio's, a row counts as an alert if any symbol alerts, and as an other row if some symbol is decided and none alerts.
        The columns of a DataFrame must be the symbols of the signals, in their order; the index of a DataFrame or Series must be
        their time.
    signals : Signals
        Alerts and the rows with a decision.
    horizons : sequence of str, optional
        Lengths of the moves, such as ``"24h"``; one bar by default.
    levels : sequence of float
        Levels of VaR and CVaR, between 0 and 1.
    delay : int
        Bars from the alert to the first return of its move, at least 1: an alert is known at the close of its bar.
    n_bootstrap : int
        Draws of the stationary bootstrap [1]_ over rows, all symbols of a row together; mean block twice the horizon, or
        n_rows^(1/3) if that is longer. At most 1,000,000.
    seed : int
        Seed of the bootstrap.

    Returns
    -------
    DataFrame
        One row per ``horizon``, ``level`` and ``group`` (alert, other, ratio); columns ``var``, ``var_low``, ``var_high``,
        ``cvar``, ``cvar_low``, ``cvar_high`` (fractions, losses positive, 95 % intervals), ``n`` (moves), ``n_effective`` (rows of
        the group at least a horizon apart) and ``valid``, which is False where the tail has less than one complete move,
        ``n (1 - level) < 1``. The group ``ratio`` divides the figure of alerts by that of other rows, NaN where the latter is not
        positive; its ``n`` and ``n_effective`` are the smaller of the two groups. An interval is NaN where more than one draw in
        twenty has no move of the group.

    Raises
    ------
    ConfigError
        If signals are not Signals; if returns do not fit them in shape or labels, are infinite or below -1; if a level, horizon
        or whole number is out of its range.

    References
    ----------
    .. [1] Politis and Romano (1994), The stationary bootstrap.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> bars = fs.simulate_market(seed=1, n_symbols=1, n_bars=300).bars
    >>> features = fs.ohlcv_features(bars, ["return_zscore_24"])
    >>> scores = fs.Scores(bars.time, bars.symbols, np.abs(features.values[:, :, 0]), bars.interval)
    >>> returns = np.full(bars.close.shape, np.nan)
    >>> returns[1:] = bars.close[1:] / bars.close[:-1] - 1
    >>> risk = fs.conditional_risk(returns, scores.signals(fs.Fixed(2.0)), levels=[0.9], n_bootstrap=99)
    >>> risk[["var", "n"]].round(4)
                        var    n
    horizon level group
    1h      0.9   alert  0.0056   13
                  other  0.0087  262
                  ratio  0.6487   13
    """
    if horizons is not None:
        check_texts("horizons", horizons)
    check_array("returns", returns)
    _check_labels(returns, signals)
    active, decided = signals.active, signals.decided
    returns = np.asarray(returns, dtype=np.float64)
    if returns.ndim == 1:
        active, decided = active.any(axis=1, keepdims=True), decided.any(axis=1, keepdims=True)
        returns = returns[:, None]
    if returns.shape != active.shape:
        expected = f"{signals.active.shape} of the signals, or one series of as many rows"
        raise ConfigError(f"returns must have the shape {expected}, got {returns.shape}")
    known_returns(returns.ravel())
    levels = check_levels(levels)
    check_whole("delay", delay, 1, " bar, because an alert is known at the close of its bar")
    check_whole("n_bootstrap", n_bootstrap, 1)
    check_most("n_bootstrap", n_bootstrap, MAX_DRAWS, "999 are usual")
    check_whole("seed", seed, 0)
    horizons = [signals.interval] if horizons is None else list(horizons)
    check_horizons(horizons)
    masks = active, decided & np.logical_not(active)
    rows = []
    for horizon in horizons:
        n_bars = bars_in(horizon, signals.interval, "horizon")
        name = horizon if isinstance(horizon, str) else format_duration(parse_duration(horizon))
        moves = moves_of(returns, n_bars, delay)
        groups = [np.logical_and(mask, np.logical_not(np.isnan(moves))) for mask in masks]
        drawn = _draw(moves, groups, n_bars, levels, n_bootstrap, seed)
        apart = [int(thin(np.any(group, axis=1)[:, None], n_bars).sum()) for group in groups]
        for k, level in enumerate(levels):
            found = [loss_tail(-moves[group], level) for group in groups]
            ratio = tuple(_divide(*pair) for pair in zip(*found, strict=True))
            alert, other = drawn[:, 0, k], drawn[:, 1, k]
            ratios = np.divide(alert, other, out=np.full(other.shape, np.nan), where=other > 0)
            n = [int(group.sum()) for group in groups]
            parts = zip((*GROUPS, "ratio"), (*found, ratio), (alert, other, ratios), strict=True)
            for (group, pair, draws), size, effective in zip(parts, (*n, min(n)), (*apart, min(apart)), strict=True):
                row = {"horizon": name, "level": level, "group": group}
                for j, key in enumerate(("var", "cvar")):
                    low, high = _interval(draws[:, j])
                    row |= {key: pair[j], f"{key}_low": low, f"{key}_high": high}
                rows.append(row | {"n": size, "n_effective": effective, "valid": size * (1 - level) >= 1 - 1e-9})
    return pd.DataFrame(rows).set_index(["horizon", "level", "group"])


def _check_labels(returns: object, signals: Signals) -> None:
    if not isinstance(signals, Signals):
        raise ConfigError(f"signals must be Signals, such as scores.signals(policy) gives, got {type(signals).__name__}")
    hint = "reindex the returns, or pass an array whose rows are those of the signals"
    if isinstance(returns, pd.DataFrame) and list(returns.columns) != list(signals.symbols):
        got = f"got {few(returns.columns)}, expected {few(signals.symbols)}"
        raise ConfigError(f"the columns of returns must be the symbols of the signals, in their order; {got}; reorder them")
    if isinstance(returns, pd.DataFrame | pd.Series):
        check_index("returns", returns.index, pd.DatetimeIndex(signals.time), "the time of the signals", hint)


def moves_of(returns: np.ndarray, n_bars: int, delay: int = 1) -> np.ndarray:
    """``prod(1 + returns[t + delay : t + delay + n_bars]) - 1`` for each row t; NaN beyond the data.

    >>> moves_of(np.array([[0.5], [0.1], [-0.1], [0.2]]), 2)[:, 0].round(2)
    array([-0.01,  0.08,   nan,   nan])
    """
    out = np.full(returns.shape, np.nan)
    n = len(returns) - delay - n_bars + 1
    if n > 0:
        out[:n] = 1
        for k in range(delay, delay + n_bars):
            out[:n] *= 1 + returns[k : k + n]
        out[:n] -= 1
    return out


def _draw(
    moves: np.ndarray, groups: Sequence[np.ndarray], n_bars: int, levels: Sequence[float], n_draws: int, seed: int
) -> np.ndarray:
    losses, rows, splits = [], [], [0]
    for group in groups:
        at, _ = np.nonzero(group)
        loss = -moves[group]
        order = np.argsort(-loss, kind="stable")
        losses.append(loss[order])
        rows.append(at[order])
        splits.append(splits[-1] + len(order))
    # Only the rows between the first and the last member of either group are resampled.
    used = np.flatnonzero(np.any(groups, axis=(0, 2)))
    first, n_rows = (int(used[0]), int(used[-1] - used[0] + 1)) if used.size else (0, 1)
    block = float(max(2 * n_bars, math.ceil(n_rows ** (1 / 3))))
    at = np.concatenate(rows) - first
    by = np.array(levels, dtype=np.float64), n_draws, np.random.default_rng(seed)
    return loss_tail_draws_nb(np.concatenate(losses), at, np.array(splits), n_rows, block, *by)


def _divide(top: float, bottom: float) -> float:
    return top / bottom if bottom > 0 else math.nan


def _interval(draws: np.ndarray) -> tuple[float, float]:
    if np.isnan(draws).mean() > 0.05:
        return math.nan, math.nan
    low, high = np.nanquantile(draws, [0.025, 0.975])
    return float(low), float(high)
