"""Per-symbol standardisation learned on the training rows, for detectors that pool symbols."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numba import njit

from foreshock.data.errors import ConfigError, DataError
from foreshock.data.show.shown import few
from foreshock.engine.features.features import Features
from foreshock.engine.statistics.variation import robust_spread

MIN_ROWS = 100
CLIP = 10.0


@dataclass(frozen=True)
class RobustScaler:
    """Subtracts the median and divides by the interquartile range over 1.349, separately for each symbol and feature.

    Features such as Amihud illiquidity differ between symbols by orders of magnitude; without scaling, a pooled detector would
    call every row of a small symbol an anomaly. A symbol with fewer than 100 complete training rows gets NaN and is not scored.

    Parameters
    ----------
    symbols, names : tuple of str
        Symbols and features of the training rows.
    center, scale : ndarray, shape (n_symbols, n_features)
        Median and ``robust_spread``, in the unit of the feature; NaN for a symbol with too few rows.
    """

    symbols: tuple[str, ...]
    names: tuple[str, ...]
    center: np.ndarray
    scale: np.ndarray

    @classmethod
    def learn(cls, features: Features) -> RobustScaler:
        """The scaler of the complete rows of each symbol.

        A feature that does not vary has its absolute value as its scale, or 1 if it is zero throughout.

        Raises
        ------
        DataError
            If no symbol has enough complete rows.
        """
        shape = (len(features.symbols), len(features.names))
        center, scale = np.full(shape, np.nan), np.full(shape, np.nan)
        complete = known_rows(features.values)
        for i in range(shape[0]):
            rows = features.values[complete[:, i], i]
            if len(rows) >= MIN_ROWS:
                center[i] = np.quantile(rows, 0.5, axis=0)
                scale[i] = robust_spread(rows)
                still = scale[i] == 0
                scale[i, still] = np.where(center[i, still] == 0, 1.0, np.abs(center[i, still]))
        if np.isnan(center).all():
            raise DataError(
                f"no symbol has {MIN_ROWS} training rows with all of {few(features.names)} known, "
                f"of {features.n_rows} rows at most {int(complete.sum(axis=0).max())}; {_remedy(features)}"
            )
        return cls(features.symbols, features.names, center, scale)

    def transform(self, features: Features) -> np.ndarray:
        """Standardised features, shape (n_rows, n_symbols, n_features); symbols absent from training as ``with_others`` says."""
        center, scale = self._of(features)
        return (features.values - center) / scale

    def complete(self, features: Features) -> tuple[np.ndarray, np.ndarray]:
        """``complete_rows(transform(features))`` in one pass."""
        return _complete_nb(features.values, *self._of(features))

    def _of(self, features: Features) -> tuple[np.ndarray, np.ndarray]:
        """Centres and scales of the symbols of ``features``; for symbols absent from training see ``with_others``."""
        if features.names != self.names:
            raise ConfigError(
                f"the detector was fitted on the features {few(self.names)}, got {few(features.names)}; "
                f"score the same features, or fit again"
            )
        rows = [self.symbols.index(name) if name in self.symbols else -1 for name in features.symbols]
        return with_others(self.center, features)[rows], with_others(self.scale, features)[rows]


def with_others(learned: np.ndarray, features: Features) -> np.ndarray:
    """Values of each symbol, (n_symbols, n_columns), and below them those of a symbol that was not among them.

    They are not known, or, where features of different symbols have the same meaning, the median over the symbols; symbols with too
    few training rows have them too.
    """
    if not features.comparable:
        return np.vstack([learned, np.full((1, learned.shape[1]), np.nan)])
    known = [column[~np.isnan(column)] for column in learned.T]
    middle = np.array([[np.median(column) if column.size else np.nan for column in known]])
    return np.vstack([np.where(np.isnan(learned), middle, learned), middle])


def content_order(time: np.ndarray, *stages: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Positions in order of time, and of the values where times are equal, so that the order of symbols does not matter.

    Parameters
    ----------
    time : ndarray, shape (n,)
        Row of each position, ascending.
    *stages : callable
        From positions, shape (m,), to values, shape (m, n_columns). A later stage is asked only about positions whose values of
        the stages before are equal.

    >>> values = np.array([[3.0, 1.0], [2.0, 9.0], [2.0, 8.0]])
    >>> content_order(np.array([0, 1, 1]), lambda at: values[at, :1], lambda at: values[at, 1:])
    array([0, 2, 1])
    """
    order = np.arange(len(time))
    place, group = order, time
    for values_of in stages:
        starts = np.flatnonzero(np.diff(group, prepend=-1))
        size = np.diff(starts, append=len(group))
        tied = np.repeat(size > 1, size)
        place, group = place[tied], group[tied]
        if not len(place):
            break
        values = values_of(order[place])
        by = np.lexsort((*values.T[::-1], group))
        order[place] = order[place][by]
        values = values[by]
        changed = (group[1:] != group[:-1]) | (values[1:] != values[:-1]).any(axis=1)
        group = np.concatenate([[0], np.cumsum(changed)])
    return order


def known_rows(x: np.ndarray) -> np.ndarray:
    """True where every feature is known: (n_rows, n_symbols, n_features) to (n_rows, n_symbols)."""
    return np.logical_not(np.isnan(x).any(axis=2))


def _remedy(features: Features) -> str:
    never = [name for i, name in enumerate(features.names) if np.isnan(features.values[:, :, i]).all()]
    if never:
        return f"never known: {', '.join(never)} (the price or volume may never change); leave them out"
    return "lengthen train or shorten the feature windows"


def complete_rows(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows without NaN of all symbols, shape (n_complete, n_features), and their mask, shape (n_rows, n_symbols)."""
    mask = known_rows(x)
    return x[mask], mask


@njit(cache=True, nogil=True)
def _complete_nb(values, center, scale):
    """Standardised rows without NaN, (n_complete, n_features), and their mask, (n_rows, n_symbols)."""
    n_rows, n_symbols, n_features = values.shape
    rows = np.empty((n_rows * n_symbols + 1, n_features))
    mask = np.empty((n_rows, n_symbols), np.bool_)
    n = 0
    for row in range(n_rows):
        for symbol in range(n_symbols):
            known = True
            for j in range(n_features):
                rows[n, j] = (values[row, symbol, j] - center[symbol, j]) / scale[symbol, j]
                known &= not np.isnan(rows[n, j])
            mask[row, symbol] = known
            # n does not advance past a row with an unknown feature, so the next row overwrites it.
            n += known
    return rows[:n], mask
