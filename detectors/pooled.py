"""Base of the detectors that score each standardised row by itself, with one model for all symbols or one for each."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np

from foreshock.detectors.explanation import variants
from foreshock.detectors.scaled import ModelDetector
from foreshock.detectors.scaling import _complete_nb, content_order
from foreshock.detectors.stream import DetectorStream, RingStream
from foreshock.engine.features.features import Features
from foreshock.engine.out_of_sample.lookback import is_ours


class PooledDetector(ModelDetector):
    """Base of the detectors whose score of a row uses that row alone.

    Rows are standardised per symbol by median and interquartile range of the training rows. With ``pool`` one model is learned
    from the rows of all symbols, otherwise each symbol has its own. A subclass takes ``pool`` in its ``__init__``, returns a model
    from ``_fit_rows`` (a dict of arrays and plain values) and scores with it in ``_score_rows``. Rows are learned from in an order
    that does not depend on the order or the names of symbols.

    A row with an unknown feature, and a symbol with fewer than 100 complete training rows, is not scored (NaN).
    """

    def _fit(self, features: Features) -> None:
        self._check(features)
        self._learn_scales(features)
        rows, mask = self.scaler.complete(features)
        groups = [_in_content_order(rows, mask)] if self.pool else _by_symbol(rows, mask)
        self.models_ = tuple(self._fit_rows(group) if len(group) else {} for group in groups)

    def _score(self, features: Features) -> np.ndarray:
        return self._by_model(features, self._score_rows)

    def _by_model(self, features: Features, function: Any, width: tuple[int, ...] = (), unknown: Any = np.nan) -> np.ndarray:
        """``function(rows, model)`` for every complete row, shape (n_rows, n_symbols, *width); ``unknown`` elsewhere."""
        rows, mask = self.scaler.complete(features)
        out = np.full((*mask.shape, *width), unknown)
        if self.pool:
            if len(rows):
                out[mask] = function(rows, self.models_[0])
            return out
        for i, group in enumerate(_by_symbol(rows, mask)):
            if len(group) and features.symbols[i] in self.symbols_:
                out[mask[:, i], i] = function(group, self.models_[self.symbols_.index(features.symbols[i])])
        return out

    def _stream(self, features: Features) -> DetectorStream:
        kind = type(self)
        plain = kind._score is PooledDetector._score and kind._by_model is PooledDetector._by_model
        return RowStream(self, features) if plain and is_ours(self) else RingStream(self, features)

    def _explain_rows(self, features: Features, rows: np.ndarray, symbols: np.ndarray) -> np.ndarray:
        return self._by_place(features, rows, symbols, self._parts, len(features.names))

    def _variants(self, features: Features, rows: np.ndarray, symbols: np.ndarray) -> np.ndarray:
        return self._by_place(features, rows, symbols, self._score_variants, 1 + len(features.names))

    def _by_place(self, features: Features, rows: np.ndarray, symbols: np.ndarray, function: Any, width: int) -> np.ndarray:
        """``function(rows, model)`` of the standardised rows at some places, (n, width); NaN where a row is not complete."""
        center, scale = self.scaler._of(features)
        x = (features.values[rows, symbols] - center[symbols]) / scale[symbols]
        known = np.logical_not(np.isnan(x).any(axis=1))
        places = np.array([self.symbols_.index(name) if name in self.symbols_ else -1 for name in features.symbols])
        model_of = np.zeros_like(rows) if self.pool else places[symbols]
        out = np.full((len(rows), width), np.nan)
        for k in np.unique(model_of[known]):
            chosen = known & (model_of == k)
            out[chosen] = function(x[chosen], self.models_[k])
        return out

    def _score_variants(self, rows: np.ndarray, model: dict[str, Any]) -> np.ndarray:
        # The typical row is zero: features are standardised by their medians.
        return np.stack([self._score_rows(part, model) for part in variants(rows, np.zeros_like(rows))], axis=1)

    def _parts(self, rows: np.ndarray, model: dict[str, Any]) -> np.ndarray:
        """What each feature added to the scores of complete standardised rows, (n, n_features)."""
        scores = self._score_variants(rows, model)
        return scores[:, :1] - scores[:, 1:]

    @abstractmethod
    def _fit_rows(self, rows: np.ndarray) -> dict[str, Any]:
        """A model learned from complete standardised rows, shape (n, n_features); n >= 100."""

    @abstractmethod
    def _score_rows(self, rows: np.ndarray, model: dict[str, Any]) -> np.ndarray:
        """Scores of complete standardised rows, shape (n,)."""


class RowStream(DetectorStream):
    """What a function of standardised rows and their model says of each row; by default the scores of the detector.

    Scales and models are looked up once; what is not known is ``unknown``.
    """

    def __init__(self, detector: PooledDetector, features: Features, function: Any = None, unknown: Any = np.nan) -> None:
        super().__init__(detector, features)
        self._function, self._unknown = function or detector._score_rows, unknown
        self._center, self._scale = detector.scaler._of(features)
        places = [detector.symbols_.index(name) if name in detector.symbols_ else -1 for name in features.symbols]
        # The model of each symbol; -1 where it has none.
        self._models = np.zeros(len(places), dtype=np.int64) if detector.pool else np.array(places)

    def _step(self, row: np.ndarray, time: int) -> np.ndarray:  # noqa: ARG002 - of the row alone
        rows, mask = _complete_nb(row[None], self._center, self._scale)
        out, known = np.full(len(row), self._unknown), mask[0]
        if not len(rows):
            return out
        if self.detector.pool:
            out[known] = self._function(rows, self.detector.models_[0])
            return out
        for x, symbol in zip(rows, np.flatnonzero(known), strict=True):
            if self._models[symbol] >= 0:
                out[symbol] = self._function(x[None], self.detector.models_[self._models[symbol]])[0]
        return out


def _in_content_order(rows: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Complete rows, given in the order of their mask, with the symbols of a time in the order of their values."""
    return rows[content_order(np.nonzero(mask)[0], lambda at: rows[at, :1], lambda at: rows[at, 1:])]


def _by_symbol(rows: np.ndarray, mask: np.ndarray) -> list[np.ndarray]:
    """Complete rows, given in the order of their mask, split by symbol."""
    column = np.nonzero(mask)[1]
    return [rows[column == i] for i in range(mask.shape[1])]
