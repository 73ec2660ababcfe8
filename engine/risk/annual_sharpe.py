"""Annual Sharpe ratio of autocorrelated bar returns."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from foreshock.data.checks import check_array, check_whole
from foreshock.data.doors.door import door
from foreshock.data.interval import Duration, bars_per_year, parse_duration
from foreshock.data.show.facts import Shown
from foreshock.engine.risk.estimators.value_at_risk import known_returns
from foreshock.engine.statistics.proportions import Z_95
from foreshock.engine.validation.selection.sharpe import sharpe_estimate


@dataclass(frozen=True, repr=False)
class AnnualSharpe(Shown):
    """Annual Sharpe ratio, and how well it is known.

    Parameters
    ----------
    ratio, error : float
        Annual Sharpe ratio and its standard error, allowing for autocorrelation; NaN if the returns do not vary.
    ci : tuple of float
        95 % interval of ``ratio``.
    iid_ratio : float
        ``mean / std sqrt(P)`` with P bars a year, which assumes independent returns.
    iid_ci : tuple of float
        95 % interval of ``iid_ratio`` with the error of Mertens (2002), which allows for skew and kurtosis only.
    lags, n : int
        Autocovariances used, and known returns.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> fs.annual_sharpe(np.array([0.03, -0.01, 0.02, -0.01, 0.03, -0.02]), "1d", lags=0)
    AnnualSharpe(5.66 a year, 95 % from -9.68 to 21, taken as independent 5.66, n 6)
    """

    ratio: float
    error: float
    ci: tuple[float, float]
    iid_ratio: float
    iid_ci: tuple[float, float]
    lags: int
    n: int

    def _facts(self) -> Iterator[str]:
        yield f"{self.ratio:.3g} a year, 95 % from {self.ci[0]:.3g} to {self.ci[1]:.3g}"
        yield f"taken as independent {self.iid_ratio:.3g}"
        yield f"n {self.n:,}"


@door
def annual_sharpe(returns: np.ndarray, interval: Duration, lags: int | None = None) -> AnnualSharpe:
    """Sharpe ratio of a year of P bars, allowing for autocorrelation [1]_.

    The mean of P bars is P times the mean of one bar. The same holds for the variance only if bars are independent:

    ratio = s P / sqrt(P + 2 sum_{k=1}^{lags} (P - k) (1 - k / (lags + 1)) rho_k),

    with s the ratio of a bar and rho_k the autocorrelations of the returns; Bartlett weights keep the variance positive.
    The error of s is a Newey-West error of its influence function (``sharpe_estimate``), which allows for autocorrelation, skew and
    kurtosis; the error of the annual ratio is that error times the same factor, which is treated as known.

    Parameters
    ----------
    returns : ndarray, shape (n_bars,)
        Simple returns, fractions. NaN (not known) is left out: the known returns are joined.
    interval : str
        Length of a bar; a year has 365 days.
    lags : int, optional
        Autocovariances used; ``floor(4 (n / 100)^(2/9))`` by default, 0 assumes independent returns.

    Raises
    ------
    ConfigError
        If returns are not one series, are infinite or below -1, or lags is negative.

    References
    ----------
    .. [1] Lo (2002), The statistics of Sharpe ratios.

    Examples
    --------
    Where a gain is followed by a loss, a year varies less than its days suggest:

    >>> import numpy as np
    >>> import foreshock as fs
    >>> found = fs.annual_sharpe(np.array([0.03, -0.01, 0.02, -0.01, 0.03, -0.02]), "1d", lags=1)
    >>> round(found.iid_ratio, 2), round(found.ratio, 2)
    (5.66, 10.81)
    """
    check_array("returns", returns)
    known = known_returns(returns)
    year = bars_per_year(parse_duration(interval, "interval"))
    if lags is not None:
        check_whole("lags", lags, 0)
    n = len(known)
    used = max(min(int(4 * (n / 100) ** (2 / 9)) if lags is None else int(lags), n - 1), 0)
    plain, robust = sharpe_estimate(known), sharpe_estimate(known, used)
    root = math.sqrt(year)
    iid_ci = ((plain.ratio - Z_95 * plain.error) * root, (plain.ratio + Z_95 * plain.error) * root)
    if math.isnan(plain.ratio):
        nan = math.nan
        return AnnualSharpe(nan, nan, (nan, nan), nan, (nan, nan), used, n)
    centred = known - known.mean()
    k = np.arange(1, used + 1)
    rho = np.array([centred[j:] @ centred[:-j] for j in k]) / (centred @ centred)
    variance = year + 2 * float(np.maximum(year - k, 0) * (1 - k / (used + 1)) @ rho)
    factor = year / math.sqrt(variance) if variance > 0 else math.nan
    ratio, error = robust.ratio * factor, robust.error * factor
    return AnnualSharpe(ratio, error, (ratio - Z_95 * error, ratio + Z_95 * error), plain.ratio * root, iid_ci, used, n)
