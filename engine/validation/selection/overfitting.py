"""How often the configuration that is best in one half of a history falls below the median in the other half."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, islice

import numpy as np
from scipy import stats

from foreshock.data.checks import check_array
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.show.facts import Shown
from foreshock.engine.statistics.variation import exceeds_rounding

MAX_BLOCKS = 20
# Combinations ranked at once; bounds the memory for any number of blocks.
CHUNK = 2048


@dataclass(frozen=True, repr=False)
class Overfitting(Shown):
    """Probability of backtest overfitting and what it was computed from.

    Parameters
    ----------
    probability : float
        Share of combinations in which the configuration that is best in sample falls below the median out of sample. About one
        half if selection by past performance is worthless.
    loss_probability : float
        Share of combinations in which its Sharpe ratio out of sample is negative.
    slope : float
        Slope of its ratio out of sample on its ratio in sample; NaN if the latter does not vary.
    logits : ndarray, shape (n_combinations,)
        ``log(w / (1 - w))`` of its relative rank ``w = rank / (n_configurations + 1)`` out of sample.
    chosen : ndarray of int, shape (n_configurations,)
        Number of combinations in which each configuration is best in sample.
    n_blocks, n_combinations, n_configurations, n_bars : int
        Sizes of the computation.
    """

    probability: float
    loss_probability: float
    slope: float
    logits: np.ndarray
    chosen: np.ndarray
    n_blocks: int
    n_combinations: int
    n_configurations: int
    n_bars: int


@door
def overfitting_probability(returns: np.ndarray, n_blocks: int = 16) -> Overfitting:
    """Probability of backtest overfitting, by combinatorially symmetric cross-validation of Sharpe ratios [1]_.

    The history is cut into blocks; every half of the blocks serves once as the sample, with the other half as the test.

    Parameters
    ----------
    returns : ndarray, shape (n_bars, n_configurations)
        Simple returns, fractions, of every configuration tried, on the same bars. A configuration that is constant throughout a
        half has the ratio 0 there.
    n_blocks : int
        Number of blocks, even; the first ``n_bars % n_blocks`` blocks are one bar longer. 16 blocks make 12,870 combinations.

    Raises
    ------
    ConfigError
        If the shape or the number of blocks is out of range.
    DataError
        If a return is not known: all configurations must be known in every bar.

    References
    ----------
    .. [1] Bailey, Borwein, Lopez de Prado and Zhu (2017), The probability of backtest overfitting.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> noise = np.random.default_rng(0).standard_normal((480, 10))
    >>> found = fs.overfitting_probability(noise, n_blocks=8)
    >>> found.n_combinations, bool(found.probability > 0.3)
    (70, True)
    >>> fs.overfitting_probability(noise + np.linspace(0, 0.5, 10), n_blocks=8).probability
    0.0
    """
    check_array("returns", returns)
    returns = np.asarray(returns, float)
    if returns.ndim != 2 or returns.shape[1] < 2:
        raise ConfigError(f"returns must have the shape (n_bars, n_configurations) with two or more, got {returns.shape}")
    n_bars, n_configurations = returns.shape
    if n_blocks % 2 or not 2 <= n_blocks <= MAX_BLOCKS:
        raise ConfigError(f"n_blocks must be even and lie between 2 and {MAX_BLOCKS}, got {n_blocks}; 16 is usual")
    if n_bars < 2 * n_blocks:
        raise ConfigError(f"n_blocks must leave two bars or more per block, got {n_blocks} blocks for {n_bars} bars; take fewer")
    if not np.isfinite(returns).all():
        n_wrong = int((~np.isfinite(returns)).any(axis=1).sum())
        raise DataError(f"returns must be known in every bar, got {n_wrong} bars where they are not; leave those out")
    halves = _Halves(returns, n_blocks)
    chosen = np.zeros(n_configurations, np.int64)
    inside, outside, ranks = [], [], []
    for masks in _masks(n_blocks):
        sample, test = halves.sharpe(masks), halves.sharpe(~masks)
        best = sample.argmax(axis=1)
        rows = np.arange(len(masks))
        chosen += np.bincount(best, minlength=n_configurations)
        inside.append(sample[rows, best])
        outside.append(test[rows, best])
        ranks.append(stats.rankdata(test, axis=1)[rows, best])
    best_inside, best_outside = np.concatenate(inside), np.concatenate(outside)
    relative = np.concatenate(ranks) / (n_configurations + 1)
    logits = np.log(relative / (1 - relative))
    spread = best_inside.var()
    return Overfitting(
        probability=float((logits < 0).mean()),
        loss_probability=float((best_outside < 0).mean()),
        slope=float(np.cov(best_inside, best_outside, ddof=0)[0, 1] / spread) if spread > 0 else math.nan,
        logits=logits,
        chosen=chosen,
        n_blocks=n_blocks,
        n_combinations=len(logits),
        n_configurations=n_configurations,
        n_bars=n_bars,
    )


class _Halves:
    """Sharpe ratios over any set of blocks, from sums per block: bars are read once instead of once per combination."""

    def __init__(self, returns: np.ndarray, n_blocks: int) -> None:
        blocks = np.array_split(returns, n_blocks)
        # Squares are about the mean of all bars; squares about zero would lose their digits when returns hardly vary.
        self.centre = returns.mean(axis=0)
        self.counts = np.array([len(block) for block in blocks], float)
        self.sums = np.array([(block - self.centre).sum(axis=0) for block in blocks])
        self.squares = np.array([((block - self.centre) ** 2).sum(axis=0) for block in blocks])
        self.low = np.array([block.min(axis=0) for block in blocks])
        self.high = np.array([block.max(axis=0) for block in blocks])

    def sharpe(self, masks: np.ndarray) -> np.ndarray:
        """Ratios of each configuration over the blocks of each mask, shape (n_masks, n_configurations)."""
        weights = masks.astype(float)
        n = (weights @ self.counts)[:, None]
        mean = weights @ self.sums / n
        variance = (weights @ self.squares - n * mean**2) / (n - 1)
        ratios = np.divide(mean + self.centre, np.sqrt(np.maximum(variance, 0)), out=np.zeros_like(mean), where=variance > 0)
        for column in np.flatnonzero(~_differ(self.low, self.high).all(axis=0)):
            # Only a configuration that is constant within some block can be constant throughout a half.
            low = np.where(masks, self.low[:, column], np.inf).min(axis=1)
            high = np.where(masks, self.high[:, column], -np.inf).max(axis=1)
            ratios[~_differ(low, high), column] = 0.0
        return ratios


def _differ(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """True where the lowest and the highest return differ by more than rounding."""
    return exceeds_rounding(high - low, np.maximum(np.abs(low), np.abs(high)), level=1.0)


def _masks(n_blocks: int) -> Iterator[np.ndarray]:
    """All halves of the blocks as rows of booleans, in chunks."""
    halves = combinations(range(n_blocks), n_blocks // 2)
    while some := list(islice(halves, CHUNK)):
        masks = np.zeros((len(some), n_blocks), bool)
        masks[np.arange(len(some))[:, None], some] = True
        yield masks
