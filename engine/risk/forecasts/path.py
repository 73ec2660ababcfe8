"""Returns of a strategy and the risk forecast for each of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from foreshock.data.errors import DataError
from foreshock.engine.risk.estimators.filtered import standing_still
from foreshock.engine.risk.estimators.report import daily_returns
from foreshock.engine.risk.forecasts.forecasts import RiskForecast, risk_forecast
from foreshock.engine.risk.forecasts.var_tests import MIN_ROWS, var_backtest

LEVELS = (0.95, 0.99)
# The first method is plotted. The second is the comparison, and the only one for an account that is often in cash.
METHODS = ("filtered_historical", "historical")
# Days per forecast, bars per forecast where the history has fewer than twice those days, days between fits, fits per history.
WINDOW_DAYS, WINDOW_BARS, REFIT_DAYS, N_FITS = 365, 1_000, 30, 40


@dataclass(frozen=True)
class RiskPath:
    """Returns of a strategy by period, with forecasts of their VaR and CVaR. Arrays have the shape (n_rows,).

    Parameters
    ----------
    period : str
        "day" or "bar".
    time : ndarray of datetime64
        Open of each period.
    returns : ndarray
        Simple returns.
    forecasts : dict of str to RiskForecast
        Forecasts by method, for the levels 0.95 and 0.99: filtered historical and historical, or only historical where the returns
        contain long runs of zeros.
    """

    period: str
    time: np.ndarray
    returns: np.ndarray
    forecasts: dict[str, RiskForecast]

    def tests(self, seed: int = 0) -> list[dict[str, Any]]:
        """Hits, mean forecasts and p-values of every test of ``var_backtest``, for each method and level."""
        rows = []
        for method, forecast in self.forecasts.items():
            for level in LEVELS:
                var, cvar = forecast.var[level], forecast.cvar[level]
                known = ~(np.isnan(var) | np.isnan(cvar) | np.isnan(self.returns))
                if known.sum() < MIN_ROWS:
                    continue
                tests = var_backtest(self.returns, forecast, level, seed=seed).set_index("test")
                n_hits = int(tests["n_hits"].iloc[0])
                rows.append(
                    {
                        "method": method,
                        "level": level,
                        "period": self.period,
                        "n": int(known.sum()),
                        "n_hits": n_hits,
                        "hit_rate": n_hits / int(known.sum()),
                        "mean_var": float(var[known].mean()),
                        "mean_cvar": float(cvar[known].mean()),
                        "p": {str(test): float(p) for test, p in tests["p"].items()},
                        "zone": str(tests.loc["traffic_light", "note"]),
                    }
                )
        return rows


def risk_path(returns: np.ndarray, interval: np.timedelta64, time: np.ndarray) -> RiskPath:
    """Daily VaR forecasts from the previous 365 days, or, with less than two years of data, bar forecasts from 1,000 bars.

    Parameters
    ----------
    returns : ndarray, shape (n_bars,)
        Simple returns, fractions; the first is left out, because a backtest spends its first bar in cash.
    interval : timedelta64
        Length of a bar.
    time : ndarray of datetime64, shape (n_bars,)
        Bar opens.

    Raises
    ------
    DataError
        If there are fewer than 2,000 returns.
    """
    days, daily = daily_returns(returns, interval, time)
    if len(daily) >= 2 * WINDOW_DAYS:
        return RiskPath("day", days, daily, _forecasts(daily, WINDOW_DAYS, REFIT_DAYS))
    returns, time = returns[1:], time[1:]
    if len(returns) < 2 * WINDOW_BARS:
        raise DataError(f"{len(returns)} returns are too few to forecast value at risk, which takes {2 * WINDOW_BARS}; test longer")
    return RiskPath("bar", time, returns, _forecasts(returns, WINDOW_BARS, max(len(returns) // N_FITS, 24)))


def _forecasts(returns: np.ndarray, window: int, every: int) -> dict[str, RiskForecast]:
    methods = METHODS[1:] if standing_still(returns[~np.isnan(returns)]) else METHODS
    return {method: risk_forecast(returns, method, LEVELS, window, every) for method in methods}
