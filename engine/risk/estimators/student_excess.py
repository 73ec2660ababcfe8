"""Losses beyond a VaR with a given CVaR as mean, drawn from the tail of the Student-t that has both."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import stats

# Tabulated shapes, 1 / degrees of freedom: 0 is the normal; from 1 on the distribution has no mean.
SHAPES = np.linspace(0.0, 0.9, 46)
# Step of x in the tabulated quantiles at probabilities exp(-x), interpolated in logs, as a Pareto tail is log-linear.
STEP = 0.05
GRID = np.arange(0.0, 30.0, STEP)


@dataclass(frozen=True)
class StudentExcess:
    """The excess E over VaR of every row, in units of CVaR - VaR: positive, with mean 1.

    The shape of a row is that of the Student-t around zero with the row's ratio of CVaR to VaR; ratios below that of the normal
    or above that of 1.1 degrees of freedom use the nearest tabulated shape.

    Parameters
    ----------
    shape : ndarray of int, shape (n_rows,)
        Index of the row's shape in the table.
    table : ndarray, shape (n_shapes, n_grid)
        Quantiles of E.
    """

    shape: np.ndarray
    table: np.ndarray

    @classmethod
    def of(cls, var: np.ndarray, cvar: np.ndarray, level: float) -> StudentExcess:
        ratios, table = _tables(level)
        return cls(np.rint(np.interp(cvar / var, ratios, np.arange(len(SHAPES)))).astype(np.int64), table)

    def draw(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """One random excess for each of the rows, shape (n,)."""
        x = np.minimum(rng.standard_exponential(len(rows)) / STEP, len(GRID) - 1.001)
        below = x.astype(np.int64)
        shape = self.shape[rows]
        low, high = self.table[shape, below], self.table[shape, below + 1]
        return low + (x - below) * (high - low)


@lru_cache(maxsize=8)
def _tables(level: float) -> tuple[np.ndarray, np.ndarray]:
    """Ratio of CVaR to VaR, and quantiles of the excess, for each tabulated shape."""
    ratios, table = np.empty(len(SHAPES)), np.empty((len(SHAPES), len(GRID)))
    for i, shape in enumerate(SHAPES):
        if shape == 0:
            quantile = stats.norm.isf((1 - level) * np.exp(-GRID))
            cvar = stats.norm.pdf(quantile[0]) / (1 - level)
        else:
            nu = 1 / shape
            quantile = stats.t.isf((1 - level) * np.exp(-GRID), nu)
            cvar = stats.t.pdf(quantile[0], nu) / (1 - level) * (nu + quantile[0] ** 2) / (nu - 1)
        ratios[i] = cvar / quantile[0]
        table[i] = (quantile - quantile[0]) / (cvar - quantile[0])
    return ratios, table
