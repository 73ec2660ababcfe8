"""Losses beyond a VaR whose mean is a given CVaR, with the tail of the Student-t that has both."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import stats

# 1 / degrees of freedom: 0 is the normal; from 1 on there is no mean.
SHAPES = np.linspace(0.0, 0.9, 46)
# Quantiles of the excess at probabilities exp(-x): log-linear in between, as a Pareto tail is.
STEP = 0.05
GRID = np.arange(0.0, 30.0, STEP)


@dataclass(frozen=True)
class StudentExcess:
    """For every row the excess E over VaR, in units of CVaR - VaR: positive, with mean 1.

    The shape of a row is that of the Student-t around zero whose ratio of CVaR to VaR is the row's own; a ratio below the normal's
    or above that of 1.1 degrees of freedom is given the nearest of the two.

    Parameters
    ----------
    shape : ndarray of int, shape (n_rows,)
        Which of the tabulated shapes.
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
        """One excess for each of the rows, shape (n,)."""
        x = np.minimum(rng.standard_exponential(len(rows)) / STEP, len(GRID) - 1.001)
        below = x.astype(np.int64)
        shape = self.shape[rows]
        low, high = self.table[shape, below], self.table[shape, below + 1]
        return low + (x - below) * (high - low)


@lru_cache(maxsize=8)
def _tables(level: float) -> tuple[np.ndarray, np.ndarray]:
    """Ratio of CVaR to VaR, and quantiles of the excess, of each shape."""
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
