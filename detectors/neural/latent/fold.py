"""One fold of a latent factor model: the fitted model with its codes in order, and the regressions on them."""

from __future__ import annotations

import numpy as np

from foreshock.detectors.neural.latent.models import CharacteristicFactors, CrossSections, FactorModel
from foreshock.detectors.scaling import CLIP


class FittedFold:
    """A fitted model whose codes are ordered by the returns they explain in training and signed to rise with the market."""

    def __init__(self, model: FactorModel, train: CrossSections) -> None:
        model.fit(train)
        self.model = model
        codes = model.encode(train)
        usable = ~np.isnan(codes).any(axis=1)
        self.n_rows = int(usable.sum())
        known = train.known()[usable]
        self.filled = np.where(known, np.clip(train.returns[usable], -CLIP, CLIP), 0.0)
        codes = codes[usable]
        market = self.filled.sum(axis=1) / known.sum(axis=1)
        self.order = self._order(codes, known)
        self.sign: np.ndarray = np.where(codes[:, self.order].T @ market < 0, -1.0, 1.0)
        codes = codes[:, self.order] * self.sign
        self.codes, self.known, self.mean = codes, known, codes.mean(axis=0)

    def _order(self, codes: np.ndarray, known: np.ndarray) -> list[int]:
        """Greedy order: each next code is the one that explains most together with the codes before it."""
        order: list[int] = []
        while len(order) < codes.shape[1]:
            left = [k for k in range(codes.shape[1]) if k not in order]
            errors = [
                squared_error(codes[:, [*order, k]], self.filled, known, slopes_on(codes[:, [*order, k]], self.filled, known))
                for k in left
            ]
            order.append(left[int(np.argmin(errors))])
        return order

    def encode(self, rows: CrossSections) -> np.ndarray:
        return self.model.encode(rows)[:, self.order] * self.sign

    def decode(self, codes: np.ndarray, rows: CrossSections) -> np.ndarray:
        plain = np.empty_like(codes)
        plain[:, self.order] = codes * self.sign
        return self.model.decode(plain, rows)

    def weights(self, rows: CrossSections) -> np.ndarray:
        """Weights of returns in units of volatility, shape (n_rows, n_factors, n_symbols)."""
        found = self.model.weights(rows)
        if found is not None:
            return found[:, self.order] * self.sign[:, None]
        n = self.filled.shape[1]
        moments = self.filled.T @ self.filled / self.n_rows + 1e-3 * np.eye(n)
        slopes = np.linalg.solve(moments, self.filled.T @ self.codes / self.n_rows).T
        return np.broadcast_to(slopes, (len(rows.returns), *slopes.shape))

    def loadings(self, rows: CrossSections) -> np.ndarray:
        if isinstance(self.model, CharacteristicFactors):
            return self.model.loadings(rows)[:, :, self.order] * self.sign
        slopes = slopes_on(self.codes, self.filled, self.known)
        return np.broadcast_to(slopes.T, (len(rows.returns), *slopes.T.shape))


def slopes_on(codes: np.ndarray, returns: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Regression of each symbol's known returns on the codes, (n_factors, n_symbols)."""
    found = np.empty((codes.shape[1], returns.shape[1]))
    for i in range(returns.shape[1]):
        rows = known[:, i]
        found[:, i] = np.linalg.lstsq(codes[rows], returns[rows, i], rcond=None)[0]
    return found


def squared_error(codes: np.ndarray, returns: np.ndarray, known: np.ndarray, slopes: np.ndarray) -> float:
    return float((((returns - codes @ slopes) ** 2) * known).sum())
