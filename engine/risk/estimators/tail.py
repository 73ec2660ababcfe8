"""VaR and CVaR beyond a high quantile, from a generalised Pareto tail."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np

from foreshock.data.errors import DataError
from foreshock.engine.statistics.pareto import MIN_PEAKS, fit_pareto

# Quantile at which the tail begins, as in McNeil and Frey (2000): the worst tenth.
TAIL_LEVEL = 0.9
MIN_LOSSES = round(MIN_PEAKS / (1 - TAIL_LEVEL))


@dataclass(frozen=True)
class ParetoTail:
    """A generalised Pareto distribution of the losses in excess of a threshold u [1]_.

    With N of n losses above u, shape k and scale s,

    VaR = u + s / k ((n (1 - level) / N)^-k - 1),    CVaR = (VaR + s - k u) / (1 - k).

    Parameters
    ----------
    threshold : float
        u, the 90 % quantile of the losses.
    share : float
        N / n.
    shape, scale : float
        k and s. From k = 1 on the tail has no mean and CVaR is NaN.

    References
    ----------
    .. [1] McNeil and Frey (2000), Estimation of tail-related risk measures for heteroscedastic financial time series.
    """

    threshold: float
    share: float
    shape: float
    scale: float

    @classmethod
    def fit(cls, losses: np.ndarray) -> Self:
        """Fit to known losses, shape (n,), by the estimator of Zhang and Stephens (see ``fit_pareto``).

        Raises
        ------
        DataError
            If there are fewer than 100 losses, or ties leave fewer than 10 above the threshold.
        """
        if len(losses) < MIN_LOSSES:
            raise DataError(f"a Pareto tail needs at least {MIN_LOSSES} returns, got {len(losses)}; give more, or a longer window")
        start = float(np.quantile(losses, TAIL_LEVEL, method="inverted_cdf"))
        peaks = losses[losses > start] - start
        # Differences between equal losses that are rounding errors do not count as a tail.
        if len(peaks) < MIN_PEAKS or peaks.max() <= 1e-12 * abs(start):
            raise DataError(f"a Pareto tail needs {MIN_PEAKS} losses above the {TAIL_LEVEL:.0%} quantile, got {len(peaks)}")
        return cls(start, len(peaks) / len(losses), *fit_pareto(peaks))

    def var(self, level: float) -> float:
        """VaR at a level; NaN at 0.9 and below, where the tail has not begun."""
        if level <= TAIL_LEVEL:
            return math.nan
        # With many ties, fewer than 1 - level of the losses may exceed the threshold; the threshold is then the quantile itself.
        growth = max(math.log(self.share / (1 - level)), 0.0)
        return self.threshold + self.scale * (math.expm1(self.shape * growth) / self.shape if self.shape else growth)

    def cvar(self, level: float) -> float:
        """CVaR at a level; NaN where VaR is NaN or the tail has no mean."""
        var = self.var(level)
        if self.shape >= 1 or math.isnan(var):
            return math.nan
        excess = (self.scale + self.shape * (var - self.threshold)) / (1 - self.shape)
        return var + excess * min(self.share / (1 - level), 1.0)
