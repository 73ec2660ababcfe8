"""VaR and CVaR of the next return from a GARCH filter, with Student-t shocks or with the empirical shocks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy import stats

from foreshock.engine.risk.estimators.value_at_risk import loss_tail
from foreshock.engine.statistics.variation import varies
from foreshock.engine.volatility import Garch

# Ten or more zero returns in a row mean an account in cash or a closed market; a filter tolerates this share of such returns.
STILL_RUN, STILL_SHARE = 10, 0.005


def standing_still(known: np.ndarray) -> str:
    """Why the returns must not be filtered: they contain long runs of zeros. Empty if they do not.

    While an account is in cash, a filter sees its variance decay towards zero, so the first return afterwards looks like a shock
    of many standard deviations.

    >>> standing_still(np.r_[np.full(12, 0.01), np.zeros(12)])
    '50.0 % of the returns lie in runs of 10 zeros and more: an account in cash has no volatility to filter'
    """
    edges = np.flatnonzero(np.diff(np.r_[0, known == 0, 0]))
    lengths = edges[1::2] - edges[::2]
    share = lengths[lengths >= STILL_RUN].sum() / max(len(known), 1)
    if share <= STILL_SHARE:
        return ""
    return (
        f"{share:.1%}".replace("%", " %") + f" of the returns lie in runs of {STILL_RUN} zeros and more: "
        "an account in cash has no volatility to filter"
    )


@dataclass(frozen=True)
class GarchFilter:
    """A GARCH(1,1) model with a constant mean: r[t] = mean + sqrt(h[t]) z[t], z Student-t of variance 1.

    A persistence of 1 (a unit root) is allowed: in short windows volatility often seems to wander, or to stay constant.

    Parameters
    ----------
    mean : float
        Mean of the returns.
    model : Garch
        Model of the returns less their mean, without leverage.
    """

    mean: float
    model: Garch

    @classmethod
    def fit(cls, known: np.ndarray) -> Self:
        """Fit to known simple returns, shape (n,).

        Raises
        ------
        DataError
            If there are fewer than 300 returns, all are equal, or the likelihood has no maximum.
        """
        mean = float(known.mean()) if known.size else 0.0
        # Equal returns less their mean are rounding errors, which a model would fit as if they were shocks.
        centred = known - mean if varies(known, level=1.0) else np.zeros(len(known))
        return cls(mean, Garch.fit(centred, leverage=False, stationary=False))

    def filter(self, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Standard deviation of each return and of the next one, (n + 1,), and the shocks, (n,)."""
        centred = known - self.mean
        deviation = np.sqrt(self.model.variance(centred))
        return deviation, centred / deviation[:-1]

    def student(self, level: float) -> tuple[float, float]:
        """VaR and CVaR of a Student-t shock of variance 1."""
        return student_tail(self.model.nu, level)


def student_tail(nu: float, level: float) -> tuple[float, float]:
    """VaR q and CVaR of a Student-t variable of variance 1; ``nu`` must be above 2.

    With t the quantile and f the density of the standard Student-t, q = t sqrt((nu - 2) / nu) and
    CVaR = f(t) / (1 - level) (nu + t^2) / (nu - 1) sqrt((nu - 2) / nu) [1]_.

    References
    ----------
    .. [1] McNeil, Frey and Embrechts (2015), Quantitative Risk Management.

    >>> [round(figure, 4) for figure in student_tail(5.0, 0.99)]
    [2.6065, 3.4488]
    """
    unit = math.sqrt((nu - 2) / nu)
    t = float(stats.t.ppf(level, nu))
    return t * unit, float(stats.t.pdf(t, nu)) / (1 - level) * (nu + t * t) / (nu - 1) * unit


def garch_t(fitted: GarchFilter, known: np.ndarray, level: float) -> tuple[float, float]:
    """VaR and CVaR of the next return: ``-mean + sqrt(h) q``, q the VaR or CVaR of the Student-t."""
    deviation, _ = fitted.filter(known)
    return _ahead(fitted, deviation, fitted.student(level))


def filtered_historical(fitted: GarchFilter, known: np.ndarray, level: float) -> tuple[float, float]:
    """VaR and CVaR of the next return: ``-mean + sqrt(h) q``, q the historical VaR or CVaR of the shocks [1]_.

    References
    ----------
    .. [1] Barone-Adesi, Giannopoulos and Vosper (1999), VaR without correlations for portfolios of derivative securities.
    """
    deviation, shocks = fitted.filter(known)
    return _ahead(fitted, deviation, loss_tail(-shocks, level))


def _ahead(fitted: GarchFilter, deviation: np.ndarray, pair: tuple[float, float]) -> tuple[float, float]:
    return -fitted.mean + deviation[-1] * pair[0], -fitted.mean + deviation[-1] * pair[1]
