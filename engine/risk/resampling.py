"""Stationary bootstrap of a series, row by row."""

from __future__ import annotations

import numpy as np
from numba import njit

from foreshock.engine.validation.evidence.inference import stationary_block

MAX_DRAWS = 1_000_000


def dependence_block(returns: np.ndarray, least: float = 1.0) -> float:
    """Mean block length for known returns, shape (n,): the larger of the lengths for the returns and for their squares."""
    return max(stationary_block(returns, least), stationary_block(returns**2, least))


@njit(cache=True, nogil=True)
def max_drawdowns_nb(returns, n_rows, block, n_draws, rng):
    """Largest drawdown of paths of ``n_rows`` drawn from ``returns`` (n,) in blocks of mean length ``block``; shape (n_draws,).

    A block continues with the next row, wrapping around the end, and ends with probability 1 / block.
    """
    n = len(returns)
    out = np.empty(n_draws)
    for draw in range(n_draws):
        at = rng.integers(0, n)
        level, worst = 1.0, 1.0
        for _ in range(n_rows):
            # Equity relative to its peak so far.
            level = min(level * (1 + returns[at]), 1.0)
            worst = min(worst, level)
            at = 0 if at + 1 == n else at + 1
            if rng.random() * block < 1:
                at = rng.integers(0, n)
        out[draw] = 1 - worst
    return out


@njit(cache=True, nogil=True)
def loss_tail_draws_nb(losses, rows, splits, n_rows, block, levels, n_draws, rng):
    """Historical VaR and CVaR of groups of losses, drawn together by the rows they belong to.

    losses, rows : (n,), one group after another, losses descending within a group; splits : (n_groups + 1,), group boundaries.
    Returns (n_draws, n_groups, n_levels, 2); NaN where a draw contains no row of the group.
    """
    out = np.full((n_draws, len(splits) - 1, len(levels), 2), np.nan)
    count = np.empty(n_rows)
    for draw in range(n_draws):
        count[:] = 0
        at = rng.integers(0, n_rows)
        for _ in range(n_rows):
            count[at] += 1
            at = 0 if at + 1 == n_rows else at + 1
            if rng.random() * block < 1:
                at = rng.integers(0, n_rows)
        for group in range(len(splits) - 1):
            total = 0.0
            for i in range(splits[group], splits[group + 1]):
                total += count[rows[i]]
            if total == 0:
                continue
            for k in range(len(levels)):
                # As in np.quantile's inverted_cdf: rounding of total (1 - level) must not shift it by a complete loss.
                tail = total * (1 - levels[k])
                beyond, weighted = 0.0, 0.0
                for i in range(splits[group], splits[group + 1]):
                    weight = count[rows[i]]
                    if weight > 0 and beyond + weight > tail + 1e-9:
                        out[draw, group, k, 0] = losses[i]
                        out[draw, group, k, 1] = losses[i] + (weighted - beyond * losses[i]) / tail
                        break
                    beyond += weight
                    weighted += weight * losses[i]
    return out
