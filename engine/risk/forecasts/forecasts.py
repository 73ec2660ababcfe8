"""Rolling forecasts of VaR and CVaR; the forecast of a row uses only earlier rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from foreshock.data.checks import check_array, check_levels, check_text, check_whole
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.show.facts import Shown, counted
from foreshock.data.show.shown import few, shown
from foreshock.engine.kernels.loss_tail import rolling_four_moments_nb, rolling_loss_tail_nb
from foreshock.engine.risk.estimators.filtered import GarchFilter
from foreshock.engine.risk.estimators.tail import MIN_LOSSES, TAIL_LEVEL, ParetoTail
from foreshock.engine.risk.estimators.value_at_risk import cornish_fisher_quantile, gaussian_quantile, known_returns
from foreshock.engine.volatility.model import MIN_RETURNS


@dataclass(frozen=True, repr=False)
class RiskForecast(Shown):
    """Forecasts of the risk of each row by one method.

    Parameters
    ----------
    method : str
        Name of the method; see ``risk_forecast``.
    var, cvar : dict of float to ndarray, shape (n_rows,)
        Forecasts by level; row t uses the returns before t. Losses are positive; NaN until ``window`` returns are known.
    window, refit_every : int
        Window and time between fits, in known returns.
    n_fits, n_failed : int
        Fits of a model that were due, and those that failed; after a failure the parameters of the previous fit stay in use.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> returns = np.array([0.01, -0.02, 0.01, -0.03, 0.02, -0.01])
    >>> fs.risk_forecast(returns, "historical", levels=[0.5], window=4)
    RiskForecast(historical, levels 0.5, 6 rows, window 4, 0 fits)
    """

    method: str
    var: dict[float, np.ndarray]
    cvar: dict[float, np.ndarray]
    window: int
    refit_every: int
    n_fits: int
    n_failed: int

    def _facts(self) -> Iterator[str]:
        yield self.method
        yield f"levels {few(self.var)}"
        yield counted(len(next(iter(self.var.values()), ())), "row")
        yield f"window {self.window:,}"
        yield counted(self.n_fits, "fit")

    def to_frame(self) -> pd.DataFrame:
        """One row per return (``row``, from 0), with columns ``var_LEVEL`` and ``cvar_LEVEL``, such as ``var_0.99``."""
        columns = {f"{name}_{level:g}": values for name in ("var", "cvar") for level, values in getattr(self, name).items()}
        return pd.DataFrame(columns).rename_axis("row")


@door
def risk_forecast(
    returns: np.ndarray,
    method: str = "filtered_historical",
    levels: Sequence[float] = (0.95, 0.99),
    window: int = 1_000,
    refit_every: int = 24,
) -> RiskForecast:
    """VaR and CVaR of every row, forecast from the ``window`` known returns before it.

    Row t of the result uses only ``returns[:t]``, so it can be compared with ``returns[t]`` in ``var_backtest``; deleting later
    rows changes no bit of it. For the next row, append a NaN to the returns.

    ===================  ======================================================================================
    historical           empirical tail of the window, updated every row
    gaussian             mean and standard deviation of the window, updated every row
    cornish_fisher       four moments of the window, updated every row
    extreme_value        ``ParetoTail`` of the window, fitted every ``refit_every`` rows and kept in between
    filtered_historical  GARCH(1,1)-t of the window, fitted every ``refit_every`` rows; its variance and the empirical tail of the
                         last ``window`` shocks are updated every row
    garch_t              the same model and variance, with the tail of its Student-t
    ===================  ======================================================================================

    Parameters
    ----------
    returns : ndarray, shape (n_rows,)
        Simple returns, fractions. NaN (not known) is left out: the known returns are joined.
    method : str
        One of the methods above.
    levels : sequence of float
        Levels of VaR and CVaR, between 0 and 1; above 0.9 for ``extreme_value``.
    window : int
        Known returns in the window; at least ``1 / (1 - level)`` for an empirical tail, 100 for ``extreme_value``,
        300 for a GARCH model and 2 otherwise.
    refit_every : int
        Known returns between fits, counted from the first. A GARCH fit takes about 20 ms for a window of 1,000.

    Raises
    ------
    ConfigError
        If the method is unknown; if returns are not one series, are infinite or below -1; if a level or a whole number is out of
        its range.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> returns = np.array([0.01, -0.02, 0.01, -0.03, 0.02, -0.01])
    >>> fs.risk_forecast(returns, "historical", levels=[0.5], window=4).var[0.5]
    array([ nan,  nan,  nan,  nan, -0.01, -0.01])
    """
    check_text("method", method)
    check_array("returns", returns)
    returns = np.asarray(returns, dtype=np.float64)
    if method not in METHODS:
        raise ConfigError(f"no such method: {shown(method)}; expected one of {', '.join(METHODS)}")
    known_returns(returns)
    levels = check_levels(levels)
    if method == "extreme_value" and min(levels) <= TAIL_LEVEL:
        raise ConfigError(f"level of extreme_value must be above {TAIL_LEVEL}, where the tail begins, got {min(levels)}")
    check_whole("window", window, _least_window(method, levels), f" for {method}", "lengthen it")
    check_whole("refit_every", refit_every, 1)
    is_known = ~np.isnan(returns)
    known = returns[is_known]
    var, cvar = np.full((2, len(levels), len(known) + 1), np.nan)
    n_fits, n_failed = METHODS[method](known, np.array(levels, dtype=np.float64), window, refit_every, var, cvar)
    # Forecast k uses the first k known returns; a row takes the one for the number of known returns before it.
    before = np.cumsum(is_known) - is_known
    pairs = zip(levels, var[:, before], cvar[:, before], strict=True)
    by_level = {level: pair for level, *pair in pairs}
    return RiskForecast(
        method,
        {level: pair[0] for level, pair in by_level.items()},
        {level: pair[1] for level, pair in by_level.items()},
        window,
        refit_every,
        n_fits,
        n_failed,
    )


def _least_window(method: str, levels: Sequence[float]) -> int:
    # Without rounding, 1 / (1 - 0.99) would ask for 101 returns instead of 100.
    whole = max(int(np.ceil(round(1 / (1 - level), 6))) for level in levels)
    least = {"historical": whole, "extreme_value": MIN_LOSSES, "filtered_historical": max(whole, MIN_RETURNS)}
    return max(least.get(method, MIN_RETURNS if method == "garch_t" else 2), 2)


# Each method fills var and cvar (n_levels, n_known + 1), column k from the first k known returns, and returns fits due and failed.


def _historical(known: np.ndarray, levels: np.ndarray, window: int, _: int, var: np.ndarray, cvar: np.ndarray) -> tuple[int, int]:
    var[:, window:], cvar[:, window:] = rolling_loss_tail_nb(-known, window, levels)
    return 0, 0


def _gaussian(known: np.ndarray, levels: np.ndarray, window: int, _: int, var: np.ndarray, cvar: np.ndarray) -> tuple[int, int]:
    mean, std, _skew, _kurtosis = rolling_four_moments_nb(known, window)
    for i, level in enumerate(levels):
        q, tail = gaussian_quantile(level)
        var[i, window:], cvar[i, window:] = std * q - mean, std * tail - mean
    return 0, 0


def _cornish_fisher(
    known: np.ndarray, levels: np.ndarray, window: int, _: int, var: np.ndarray, cvar: np.ndarray
) -> tuple[int, int]:
    mean, std, skew, kurtosis = rolling_four_moments_nb(known, window)
    for i, level in enumerate(levels):
        q, tail = cornish_fisher_quantile(skew, kurtosis, level)
        var[i, window:], cvar[i, window:] = std * q - mean, std * tail - mean
    return 0, 0


def _extreme_value(
    known: np.ndarray, levels: np.ndarray, window: int, every: int, var: np.ndarray, cvar: np.ndarray
) -> tuple[int, int]:
    tail, n_fits, n_failed = None, 0, 0
    for k in range(window, len(known) + 1, every):
        n_fits += 1
        try:
            tail = ParetoTail.fit(-known[k - window : k])
        except DataError:
            n_failed += 1
        if tail is not None:
            for i, level in enumerate(levels):
                var[i, k : k + every], cvar[i, k : k + every] = tail.var(level), tail.cvar(level)
    return n_fits, n_failed


def _filtered(
    known: np.ndarray, levels: np.ndarray, window: int, every: int, var: np.ndarray, cvar: np.ndarray, empirical: bool
) -> tuple[int, int]:
    fitted, n_fits, n_failed = None, 0, 0
    for k in range(window, len(known) + 1, every):
        n_fits += 1
        try:
            fitted = GarchFilter.fit(known[k - window : k])
        except DataError:
            n_failed += 1
        if fitted is None:
            continue
        # Columns k to k + every - 1 share this fit; the last of them knows every - 1 more returns than the fit.
        deviation, shocks = fitted.filter(known[k - window : k + every - 1])
        ahead = deviation[window:]
        block = slice(k, k + len(ahead))
        if empirical:
            q, tail = rolling_loss_tail_nb(-shocks, window, levels)
        else:
            q, tail = np.array([fitted.student(level) for level in levels]).T[:, :, None]
        var[:, block], cvar[:, block] = ahead * q - fitted.mean, ahead * tail - fitted.mean
    return n_fits, n_failed


def _filtered_historical(
    known: np.ndarray, levels: np.ndarray, window: int, every: int, var: np.ndarray, cvar: np.ndarray
) -> tuple[int, int]:
    return _filtered(known, levels, window, every, var, cvar, empirical=True)


def _garch_t(known: np.ndarray, levels: np.ndarray, window: int, every: int, var: np.ndarray, cvar: np.ndarray) -> tuple[int, int]:
    return _filtered(known, levels, window, every, var, cvar, empirical=False)


METHODS: dict[str, Callable[..., tuple[int, int]]] = {
    "historical": _historical,
    "gaussian": _gaussian,
    "cornish_fisher": _cornish_fisher,
    "extreme_value": _extreme_value,
    "filtered_historical": _filtered_historical,
    "garch_t": _garch_t,
}
