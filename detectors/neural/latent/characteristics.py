"""Characteristics of symbols by name, as they were known at the close of the previous row."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from foreshock.data.bars import Bars
from foreshock.data.checks import check_texts
from foreshock.data.errors import ConfigError
from foreshock.data.show.shown import shown
from foreshock.detectors.clusters.regimes import TREND, VOLATILITY, KMeansRegime
from foreshock.detectors.neural.conditions import BTC, HOUR, N_REGIMES, REGIME, SYMBOL, clock, one_hot, row_before, symbol_of
from foreshock.engine.features.ohlcv import ohlcv_features
from foreshock.engine.kernels.robust import rolling_rank_nb

# What is said of a named symbol, each as its rank among its own last rows.
OF_SYMBOL = ("return_24", "volatility_24")
RANKED_ROWS = 168
# Values of a characteristic lie between minus this and this.
HALF = 0.5


class Characteristics:
    """Characteristics of the rows of a history, (n_rows, n_symbols, n_characteristics), each between -0.5 and 0.5.

    Parameters
    ----------
    bars : Bars
    names : sequence of str
        See ``fs.latent_factors``.
    seed : int
        Seed of the regimes.

    Raises
    ------
    ConfigError
        If a name is unknown.
    """

    def __init__(self, bars: Bars, names: Sequence[str], seed: int) -> None:
        check_texts("characteristics", names)
        if isinstance(names, str) or not len(names):
            raise ConfigError(f"characteristics must be a list of at least one name, got {shown(names)}; put it in brackets")
        self.seed = seed
        ranked = [name for name in names if name not in (HOUR, REGIME, BTC) and not name.startswith(SYMBOL)]
        try:
            ranks = lagged_ranks(ohlcv_features(bars, ranked).values) if ranked else np.empty((*bars.shape, 0))
        except ConfigError as error:
            raise ConfigError(f"{error}; other characteristics are {BTC}, {SYMBOL}SYMBOL, {HOUR} and {REGIME}") from error
        parts = {name: ranks[:, :, k : k + 1] for k, name in enumerate(ranked)}
        if REGIME in names:
            self._regime_features = ohlcv_features(bars, (VOLATILITY, TREND))
        for name in names:
            if (col := symbol_of(name, bars.symbols)) is not None:
                parts[name] = self._everywhere(bars, _of_symbol(bars, col))
            elif name == HOUR:
                parts[name] = self._everywhere(bars, HALF * clock(bars.time))
        self._parts: list[np.ndarray | None] = [parts.get(name) for name in names]

    def of_fold(self, train: slice) -> Callable[[slice], np.ndarray]:
        """From rows to their characteristics; regimes are those that the training rows tell apart."""
        if all(part is not None for part in self._parts):
            return lambda rows: np.concatenate([part[rows] for part in self._parts if part is not None], axis=2)
        features = self._regime_features
        fitted = KMeansRegime(N_REGIMES, seed=self.seed).fit(features.rows(train))
        regimes = row_before(one_hot(fitted.regimes(features).labels) - HALF)
        return lambda rows: np.concatenate([regimes[rows] if part is None else part[rows] for part in self._parts], axis=2)

    def _everywhere(self, bars: Bars, values: np.ndarray) -> np.ndarray:
        """Values of the previous row, (n_rows, n), for every symbol."""
        return np.repeat(row_before(values)[:, None], bars.n_symbols, axis=1)


def _of_symbol(bars: Bars, col: int) -> np.ndarray:
    """Return and volatility of one symbol as ranks among its last rows, (n_rows, 2), from -0.5 to 0.5."""
    values = ohlcv_features(bars.select(bars.symbols[col]), OF_SYMBOL).values[:, 0]
    return rolling_rank_nb(np.ascontiguousarray(values), RANKED_ROWS) - HALF


def lagged_ranks(values: np.ndarray) -> np.ndarray:
    """Ranks over the known symbols of the previous row, from -0.5 to 0.5; 0 for a single known symbol, NaN where unknown.

    >>> lagged_ranks(np.array([[[3.0], [1.0], [2.0]], [[0.0], [0.0], [0.0]]]))[1].ravel()
    array([ 0.5, -0.5,  0. ])
    """
    known = np.logical_not(np.isnan(values))
    below = (values[:, :, None] > values[:, None]).sum(axis=2) + 0.5 * ((values[:, :, None] == values[:, None]).sum(axis=2) - 1)
    others = known.sum(axis=1, keepdims=True) - 1
    ranks = np.where(known, np.where(others > 0, below / np.maximum(others, 1), 0.5) - 0.5, np.nan)
    return row_before(ranks)
