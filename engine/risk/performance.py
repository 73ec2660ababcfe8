"""Return and risk figures of a series of returns."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from foreshock.data.checks import check_array
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError
from foreshock.data.interval import Duration, bars_per_year, parse_duration
from foreshock.data.show.facts import Shown
from foreshock.engine.risk.estimators.value_at_risk import historical_cvar, historical_var
from foreshock.engine.statistics.proportions import Z_95
from foreshock.engine.statistics.variation import varies


@dataclass(frozen=True, repr=False)
class Performance(Shown):
    """Figures of one series of returns: fractions, annualised over 365 days, losses and drawdown positive.

    A figure that the returns do not determine is NaN: constant equity has no Sharpe ratio, equity without a losing bar no
    Sortino ratio, equity without a drawdown no Calmar ratio.

    Parameters
    ----------
    total_return, annual_return : float
        ``prod(1 + r) - 1``, and the constant yearly rate with the same result.
    annual_volatility : float
        ``std(r) sqrt(P)``, with P bars a year and divisor n - 1.
    sharpe : float
        ``mean(r) / std(r) sqrt(P)``; cash earns no interest.
    sharpe_ci : tuple of float
        95 % interval of the Sharpe ratio.
    sortino : float
        ``mean(r) / sqrt(mean(min(r, 0)^2)) sqrt(P)``.
    calmar : float
        ``annual_return / max_drawdown``.
    max_drawdown : float
        Largest loss from an earlier peak; the start counts as a peak.
    var_95, cvar_95, var_99, cvar_99 : float
        Historical, per bar.
    n, n_missing : int
        Returns used, and unknown returns left out.
    """

    total_return: float
    annual_return: float
    annual_volatility: float
    sharpe: float
    sharpe_ci: tuple[float, float]
    sortino: float
    calmar: float
    max_drawdown: float
    var_95: float
    cvar_95: float
    var_99: float
    cvar_99: float
    n: int
    n_missing: int


@door
def performance(returns: np.ndarray, interval: Duration) -> Performance:
    """Return, risk and risk-adjusted return of a series of simple returns.

    Returns a ``Performance``, with a field for each figure.

    Parameters
    ----------
    returns : ndarray, shape (n_bars,)
        Simple returns, fractions. NaN (not known) is left out and counted; annual figures use the known bars only.
    interval : str
        Length of a bar; a year has 365 days.

    Raises
    ------
    ConfigError
        If returns are not one series, are infinite or below -1.

    Notes
    -----
    The standard error of the Sharpe ratio s of n bars is ``sqrt((1 - S s + (K - 1) / 4 s^2) / n)`` with skew S and kurtosis K
    (3 for a normal): Lo's (2002), with the skew and kurtosis terms of Mertens (2002). It assumes independent returns; positive
    autocorrelation makes it too small: see ``annual_sharpe``.

    References
    ----------
    Lo (2002), The statistics of Sharpe ratios. Mertens (2002), Comments on variance of the IID estimator in Lo (2002).

    Examples
    --------
    Two days: +10 % and -10 %.

    >>> import numpy as np
    >>> import foreshock as fs
    >>> result = fs.performance(np.array([0.1, -0.1]), "1d")
    >>> round(result.total_return, 6), round(result.max_drawdown, 6), round(result.annual_volatility, 4), result.sharpe
    (-0.01, 0.1, 2.7019, 0.0)
    """
    check_array("returns", returns)
    returns = np.asarray(returns, dtype=np.float64)
    var_95, var_99 = historical_var(returns, 0.95), historical_var(returns, 0.99)
    known = returns[~np.isnan(returns)]
    year = bars_per_year(parse_duration(interval, "interval"))
    equity = np.cumprod(np.concatenate([[1.0], 1 + known]))
    max_drawdown = float(drawdown(equity).max()) if known.size else math.nan
    annual_return = _annual(float(equity[-1]), year / known.size) if known.size else math.nan
    sharpe, error = _sharpe(known)
    downside = math.sqrt(np.mean(np.minimum(known, 0) ** 2)) if known.size else 0.0
    return Performance(
        total_return=float(equity[-1] - 1) if known.size else math.nan,
        annual_return=annual_return,
        annual_volatility=_std(known) * math.sqrt(year),
        sharpe=sharpe * math.sqrt(year),
        sharpe_ci=((sharpe - Z_95 * error) * math.sqrt(year), (sharpe + Z_95 * error) * math.sqrt(year)),
        sortino=float(known.mean()) / downside * math.sqrt(year) if downside > 0 else math.nan,
        calmar=annual_return / max_drawdown if max_drawdown > 0 else math.nan,
        max_drawdown=max_drawdown,
        var_95=var_95,
        cvar_95=historical_cvar(returns, 0.95),
        var_99=var_99,
        cvar_99=historical_cvar(returns, 0.99),
        n=known.size,
        n_missing=returns.size - known.size,
    )


def drawdown(equity: np.ndarray) -> np.ndarray:
    """Loss from the highest equity so far, ``1 - equity / max(equity up to here)``: 0 at a peak, 1 when everything is lost.

    NaN where the equity is not known; such rows do not affect other rows.

    Raises
    ------
    ConfigError
        If equity is not one series, or starts at zero or below.

    Examples
    --------
    >>> drawdown(np.array([1.0, 2.0, 1.5, 2.5]))
    array([0.  , 0.  , 0.25, 0.  ])
    """
    equity = np.asarray(equity, dtype=np.float64)
    if equity.ndim != 1:
        raise ConfigError(f"equity must be one series, got the shape {equity.shape}; pass one column at a time")
    peak = np.fmax.accumulate(equity)
    if (peak <= 0).any():
        raise ConfigError(f"equity must start above zero, got {equity[~np.isnan(equity)][0]}; there is no peak to fall from")
    return 1 - equity / peak


def _annual(growth: float, years_inverse: float) -> float:
    """Annual growth rate; infinite where extrapolating a short history overflows."""
    if growth == 0:
        return -1.0
    log_growth = math.log(growth) * years_inverse
    return math.expm1(log_growth) if log_growth < 700 else math.inf


def _std(known: np.ndarray) -> float:
    # Values that differ by rounding alone have a standard deviation of 0, not of that rounding.
    if known.size < 2:
        return math.nan
    return float(known.std(ddof=1)) if varies(known, level=1.0) else 0.0


def _sharpe(known: np.ndarray) -> tuple[float, float]:
    """Sharpe ratio per bar and its standard error; NaN where the returns do not vary."""
    std = _std(known)
    if not std > 0:
        return math.nan, math.nan
    ratio = float(known.mean()) / std
    centred = known - known.mean()
    variance = np.mean(centred**2)
    skew, kurtosis = np.mean(centred**3) / variance**1.5, np.mean(centred**4) / variance**2
    # The variance is positive for every distribution (K >= 1 + S^2), but rounding can make it negative for two values.
    return ratio, math.sqrt(max(1 - skew * ratio + (kurtosis - 1) / 4 * ratio**2, 0.0) / known.size)
