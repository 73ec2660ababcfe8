"""VaR and CVaR of a series of returns by every estimator, per bar, per day and per trade."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import pandas as pd

from foreshock.data.checks import check_array, check_levels
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.interval import Duration, bars_in, parse_duration
from foreshock.engine.risk.estimators.filtered import GarchFilter, filtered_historical, garch_t, standing_still
from foreshock.engine.risk.estimators.tail import TAIL_LEVEL, ParetoTail
from foreshock.engine.risk.estimators.value_at_risk import (
    cornish_fisher_cvar,
    cornish_fisher_is_monotone,
    cornish_fisher_var,
    gaussian_cvar,
    gaussian_var,
    historical_cvar,
    historical_var,
    known_returns,
)

DAY = np.timedelta64(1, "D").astype("timedelta64[us]")
MOMENTS = {
    "historical": (historical_var, historical_cvar),
    "gaussian": (gaussian_var, gaussian_cvar),
    "cornish_fisher": (cornish_fisher_var, cornish_fisher_cvar),
}
FILTERED = {"filtered_historical": filtered_historical, "garch_t": garch_t}
ESTIMATORS = (*MOMENTS, "extreme_value", *FILTERED)
Model = TypeVar("Model")


@door
def risk_report(
    returns: np.ndarray,
    levels: Sequence[float] = (0.95, 0.99),
    interval: Duration | None = None,
    time: np.ndarray | None = None,
    trades: np.ndarray | None = None,
) -> pd.DataFrame:
    """VaR and CVaR by every estimator, per bar and, where asked for, per day and per trade.

    The historical, Gaussian, Cornish-Fisher and extreme-value figures describe a return drawn from all those seen; filtered
    historical and GARCH-t figures describe the next return, given the volatility at the end of the series.

    Parameters
    ----------
    returns : ndarray, shape (n_bars,)
        Simple returns, fractions. NaN (not known) is left out and counted.
    levels : sequence of float
        Levels of VaR and CVaR, between 0 and 1, without duplicates.
    interval : str, optional
        Length of a bar. With it, figures per day are added: bars are compounded to days, and a day counts if all its bars are
        known.
    time : ndarray of datetime64, shape (n_bars,), optional
        Bar opens, for UTC days. By default the first bar opens at midnight.
    trades : ndarray, shape (n_trades,), optional
        Simple return of each closed trade, in the order of their ends. The figures of filtered historical and GARCH-t describe
        the next trade only if trades follow each other without overlap or gap.

    Returns
    -------
    DataFrame
        One row per ``period`` (bar, day, trade), ``level`` and ``estimator``; columns ``var`` and ``cvar`` (fractions, losses
        positive), ``n`` (returns used), ``n_missing`` (returns left out), ``valid``, and ``reason`` where ``valid`` is False:
        there is no figure (too few returns, returns that do not vary, a likelihood without a maximum, a tail without a mean);
        the tail of ``historical`` or ``filtered_historical`` has less than one complete observation, ``n (1 - level) < 1``; the
        Cornish-Fisher expansion is not a quantile function; or the returns contain long runs of zeros, which the GARCH filters
        cannot use (``standing_still``).

    Raises
    ------
    ConfigError
        If returns are not one series, are infinite or below -1; if levels are not a list, or one is not between 0 and 1 or occurs
        twice; if a day is not a whole number of bars; or if time does not fit the returns.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> report = fs.risk_report(np.arange(-10, 10) / 100, levels=[0.9])
    >>> report.loc[("bar", 0.9, "historical")].to_dict()
    {'var': 0.08, 'cvar': 0.095, 'n': 20, 'n_missing': 0, 'valid': True, 'reason': ''}
    """
    if trades is not None:
        check_array("trades", trades)
    check_array("returns", returns)
    returns = np.asarray(returns, dtype=np.float64)
    known_returns(returns)
    levels = check_levels(levels)
    periods = {"bar": returns}
    if interval is not None:
        periods["day"] = daily_returns(returns, parse_duration(interval, "interval"), time)[1]
    elif time is not None:
        raise ConfigError("time is used for returns per day: pass interval with it, such as interval='1h'")
    if trades is not None:
        periods["trade"] = np.asarray(trades, dtype=np.float64)
    rows = []
    for period, series in periods.items():
        known = known_returns(series)
        fitted = _fit(GarchFilter.fit, known)
        tail = _fit(ParetoTail.fit, -known)
        for level in levels:
            for name, var, cvar, reason in _figures(known, level, fitted, tail):
                row = {"period": period, "level": level, "estimator": name, "var": var, "cvar": cvar}
                row |= {"n": len(known), "n_missing": len(series) - len(known), "valid": not reason, "reason": reason}
                rows.append(row)
    return pd.DataFrame(rows).set_index(["period", "level", "estimator"])


def _fit(fit: Callable[[np.ndarray], Model], values: np.ndarray) -> Model | str:
    """The fitted model, or the reason why the fit failed."""
    try:
        return fit(values)
    except DataError as error:
        return str(error)


def _figures(
    known: np.ndarray, level: float, fitted: GarchFilter | str, tail: ParetoTail | str
) -> Iterator[tuple[str, float, float, str]]:
    """Name, VaR, CVaR and the reason why they are not valid (empty if they are)."""
    short = "" if len(known) * (1 - level) >= 1 - 1e-9 else f"{len(known)} returns have no whole one in the tail of {level}"
    for name, (var, cvar) in MOMENTS.items():
        pair = var(known, level), cvar(known, level)
        reason = short if name == "historical" else ""
        if not math.isfinite(pair[1]):
            reason = "the returns do not vary, or are too few"
        elif name == "cornish_fisher" and not cornish_fisher_is_monotone(known):
            reason = "the expansion is no quantile function at this skew and kurtosis"
        yield name, *pair, reason
    if isinstance(tail, ParetoTail):
        reason = f"the tail begins at {TAIL_LEVEL}" if level <= TAIL_LEVEL else ""
        yield "extreme_value", tail.var(level), tail.cvar(level), reason or ("" if tail.shape < 1 else "the tail has no mean")
    else:
        yield "extreme_value", math.nan, math.nan, str(tail)
    still = standing_still(known)
    for name, figure in FILTERED.items():
        if isinstance(fitted, GarchFilter):
            yield name, *figure(fitted, known, level), still or (short if name == "filtered_historical" else "")
        else:
            yield name, math.nan, math.nan, str(fitted)


def daily_returns(returns: np.ndarray, interval: np.timedelta64, time: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """UTC days and the compounded return of each, NaN where a bar is unknown. Incomplete days at either end are dropped."""
    per_day = bars_in(DAY, interval, "a day")
    if time is None:
        time = np.datetime64(0, "us") + np.arange(len(returns)) * interval
    if len(time) != len(returns) or (np.diff(time) < interval).any():
        raise ConfigError(f"time must be one open per return, {len(returns)} in all, at least one interval apart, got {len(time)}")
    days, first, n_bars = np.unique(np.asarray(time).astype("datetime64[D]"), return_index=True, return_counts=True)
    if not first.size:
        return days, np.empty(0)
    whole = n_bars == per_day
    return days[whole], (np.multiply.reduceat(1 + returns, first) - 1)[whole]
