"""Detectors that score each standardised row by itself: symbols pooled, or a model for each."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Self

import numpy as np

from data.errors import DataError
from detectors.base import Detector
from detectors.scaling import RobustScaler
from engine.features import Features


class PooledDetector(Detector):
    """Base of the detectors whose score of a row uses that row alone.

    Rows are standardised per symbol by median and interquartile range of the training rows. With ``pool`` one model is learned
    from the rows of all symbols, without it each symbol has its own. A subclass takes ``pool`` in its ``__init__`` and says in
    ``_fit_rows`` what a model is (a dict of arrays and plain values) and in ``_score_rows`` how it scores.

    A row with an unknown feature is not scored, nor is a symbol with fewer than 100 complete training rows.
    """

    learned = ("symbols_", "names_", "center_", "scale_", "models_")
    pool: bool

    def _fit(self, features: Features) -> None:
        self._check(features)
        scaler = RobustScaler.learn(features)
        self.symbols_, self.names_, self.center_, self.scale_ = scaler.symbols, scaler.names, scaler.center, scaler.scale
        rows, mask = scaler.complete(features)
        groups = [rows] if self.pool else _by_symbol(rows, mask)
        self.models_ = tuple(self._fit_rows(group) if len(group) else {} for group in groups)

    def _score(self, features: Features) -> np.ndarray:
        return self._by_model(features, self._score_rows)

    def _by_model(self, features: Features, function: Any, width: tuple[int, ...] = (), unknown: Any = np.nan) -> np.ndarray:
        """``function(rows, model)`` of every complete row, shape (n_rows, n_symbols, *width); ``unknown`` elsewhere."""
        rows, mask = RobustScaler(self.symbols_, self.names_, self.center_, self.scale_).complete(features)
        out = np.full((*mask.shape, *width), unknown)
        if self.pool:
            if len(rows):
                out[mask] = function(rows, self.models_[0])
            return out
        for i, group in enumerate(_by_symbol(rows, mask)):
            if len(group):
                out[mask[:, i], i] = function(group, self.models_[self.symbols_.index(features.symbols[i])])
        return out

    def restore(self, state: dict[str, Any]) -> Self:
        super().restore(state)
        shape = (len(self.symbols_), len(self.names_))
        whole = self.center_.shape == self.scale_.shape == shape and len(self.models_) == (1 if self.pool else shape[0])
        # Kernels trust their arrays: one that points outside them must not get there.
        if not whole or not all(self._fits(model, shape[1]) for model in self.models_ if model):
            raise DataError(f"the saved {self.name} does not fit together; save the detector again")
        return self

    def _check(self, features: Features) -> None:
        """Refuse parameters that cannot work; nothing to refuse unless a subclass does so."""

    def _fits(self, model: dict[str, Any], n_features: int) -> bool:
        """Whether the arrays of a model that was read from a file have shapes and indices that scoring may trust."""
        raise NotImplementedError

    @abstractmethod
    def _fit_rows(self, rows: np.ndarray) -> dict[str, Any]:
        """A model of complete standardised rows, shape (n, n_features); n >= 100."""

    @abstractmethod
    def _score_rows(self, rows: np.ndarray, model: dict[str, Any]) -> np.ndarray:
        """Scores of complete standardised rows, shape (n,)."""


def _by_symbol(rows: np.ndarray, mask: np.ndarray) -> list[np.ndarray]:
    """Complete rows, which stand in the order of their mask, apart by symbol."""
    column = np.nonzero(mask)[1]
    return [rows[column == i] for i in range(mask.shape[1])]
