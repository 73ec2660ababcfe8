"""Models of a cross-section of returns by a few codes: the base, a linear one, and one of lagged characteristics."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from foreshock.data.errors import DataError
from foreshock.detectors.neural.reconstruction.autoencoder import Dense
from foreshock.detectors.neural.trainer import Settings, TrainingData, as_tensor, one_thread, pick_device, seeded, train
from foreshock.detectors.scaling import CLIP

MIN_ROWS = 500
# A row gets a code if at least this share of the symbols of its fold is known.
LEAST_KNOWN = 0.5
# Ridge penalty of the regression of returns on characteristics, which may have more columns than there are symbols.
RIDGE = 0.5
LATER = 0.15


@dataclass(frozen=True)
class CrossSections:
    """Returns of each row in units of the volatility known before it, and characteristics known before it.

    Parameters
    ----------
    returns : ndarray, shape (n_rows, n_symbols)
        Log returns over volatility; NaN is unknown.
    characteristics : ndarray, shape (n_rows, n_symbols, n_characteristics)
        Ranks of the previous row, between -0.5 and 0.5; NaN is unknown.
    """

    returns: np.ndarray
    characteristics: np.ndarray

    def rows(self, rows: slice | np.ndarray) -> CrossSections:
        return CrossSections(self.returns[rows], self.characteristics[rows])

    def columns(self, cols: np.ndarray) -> CrossSections:
        return CrossSections(self.returns[:, cols], self.characteristics[:, cols])

    def without(self, col: int) -> CrossSections:
        """A copy in which the returns of a symbol are unknown."""
        returns = self.returns.copy()
        returns[:, col] = np.nan
        return replace(self, returns=returns)

    def known(self) -> np.ndarray:
        """True where a return is known, (n_rows, n_symbols)."""
        return np.logical_not(np.isnan(self.returns))

    def usable(self) -> np.ndarray:
        """True for rows in which enough symbols are known, (n_rows,)."""
        known = self.known()
        return known.sum(axis=1) >= max(LEAST_KNOWN * known.shape[1], 2)


class FactorModel(ABC):
    """A model of cross-sections; codes of unusable rows are NaN."""

    n_factors: int

    @abstractmethod
    def fit(self, train: CrossSections) -> None: ...

    @abstractmethod
    def encode(self, rows: CrossSections) -> np.ndarray:
        """Codes, (n_rows, n_factors)."""

    @abstractmethod
    def decode(self, codes: np.ndarray, rows: CrossSections) -> np.ndarray:
        """Returns rebuilt from the codes, (n_rows, n_symbols); the returns of ``rows`` are not used, only what was known before."""

    def weights(self, rows: CrossSections) -> np.ndarray | None:  # noqa: ARG002 - most codes are not portfolios
        """The portfolios whose returns are the codes, (n_rows, n_factors, n_symbols); None if codes are not portfolio returns."""
        return None


class LinearFactors(FactorModel):
    """Principal components: leading eigenvectors of the second moments of clipped training returns.

    Each moment is taken over the rows in which both symbols are known. For the code of a row, an unknown return is replaced by its
    regression on the known returns, computed from the same moments.
    """

    def __init__(self, n_factors: int) -> None:
        self.n_factors = n_factors

    def fit(self, train: CrossSections) -> None:
        known = train.known()
        filled = np.where(known, np.clip(train.returns, -CLIP, CLIP), 0.0)
        moments = filled.T @ filled / np.maximum(known.T.astype(float) @ known, 1)
        self.moments_ = moments + 1e-3 * np.eye(len(moments))
        _, vectors = np.linalg.eigh(moments)
        self.components_ = vectors[:, ::-1][:, : self.n_factors].T

    def encode(self, rows: CrossSections) -> np.ndarray:
        known, usable = rows.known(), rows.usable()
        codes = np.full((len(known), self.n_factors), np.nan)
        patterns, which = np.unique(known[usable], axis=0, return_inverse=True)
        returns, found = rows.returns[usable], np.empty((int(usable.sum()), self.n_factors))
        for i, pattern in enumerate(patterns):
            # A known return enters the codes directly, and through the regressions of the unknown returns on it.
            regress = np.linalg.solve(self.moments_[np.ix_(pattern, pattern)], self.moments_[pattern])
            regress[:, pattern] = np.eye(int(pattern.sum()))
            found[which.ravel() == i] = returns[which.ravel() == i][:, pattern] @ (regress @ self.components_.T)
        codes[usable] = found
        return codes

    def decode(self, codes: np.ndarray, rows: CrossSections) -> np.ndarray:  # noqa: ARG002
        return codes @ self.components_


class BetaNetwork(nn.Module):
    """Loadings from characteristics, the same function for every symbol; factors from characteristic-managed portfolios."""

    n_uniform = n_normal = 0

    def __init__(self, n_characteristics: int, hidden: tuple[int, ...], n_factors: int) -> None:
        super().__init__()
        self.beta = Dense(n_characteristics, hidden, n_factors, 0.0)
        self.factor = nn.Linear(n_characteristics + 1, n_factors, bias=False)

    def loadings(self, z: Tensor) -> Tensor:
        """(n, n_symbols, n_characteristics) to (n, n_symbols, n_factors)."""
        return self.beta(z.flatten(0, 1)).unflatten(0, z.shape[:2])

    def weights(self, z: Tensor, known: Tensor) -> Tensor:
        """The portfolios of known symbols whose returns are the factors, (n, n_factors, n_symbols)."""
        one = torch.cat([torch.ones_like(z[:, :, :1]), z], dim=2) * known[:, :, None]
        gram = one.transpose(1, 2) @ one + RIDGE * torch.eye(one.shape[2], dtype=z.dtype, device=z.device)
        return self.factor.weight @ torch.linalg.solve(gram, one.transpose(1, 2))


class CharacteristicFactors(FactorModel):
    """The conditional autoencoder of asset pricing [1]_: ``u_it = beta(z_i,t-1)' f_t``, ``f_t = W (Z'Z + I / 2)^-1 Z' u_t``.

    beta is a network of the characteristics of the previous row, the same for every symbol. The factors are returns of portfolios
    of the symbols known at t, with weights known at t - 1. A symbol with an unknown characteristic or return takes no part.

    References
    ----------
    .. [1] Gu, Kelly and Xiu (2021), Autoencoder asset pricing models.
    """

    def __init__(self, n_factors: int, hidden: tuple[int, ...], epochs: int, seed: int, device: str) -> None:
        self.n_factors = n_factors
        self.hidden = hidden
        self.epochs = epochs
        self.seed = seed
        self.device = device

    def fit(self, train: CrossSections) -> None:
        usable = _with_characteristics(train)
        usable = usable.rows(usable.usable())
        known = usable.known().astype(float)
        x = np.where(known > 0, np.clip(usable.returns, -CLIP, CLIP), 0.0)
        z = np.nan_to_num(usable.characteristics)

        def loss(net: Any, x: Tensor, known: Tensor, uniform: Tensor, normal: Tensor) -> Tensor:  # noqa: ARG001
            u, z = x[:, :, 0], x[:, :, 1:]
            f = net.weights(z, known) @ u[:, :, None]
            rebuilt = (net.loadings(z) @ f)[:, :, 0]
            return ((rebuilt - u) ** 2 * known).sum() / known.sum()

        together = np.concatenate([x[:, :, None], z], axis=2)
        n_characteristics = z.shape[2]
        self.net_: Any = trained(
            lambda: BetaNetwork(n_characteristics, self.hidden, self.n_factors),
            loss,
            together,
            known,
            self.epochs,
            self.seed,
            self.device,
        )

    def encode(self, rows: CrossSections) -> np.ndarray:
        both = _with_characteristics(rows)
        codes = np.einsum("tkn,tn->tk", self._weights(rows, both.known()), np.nan_to_num(rows.returns))
        codes[~both.usable()] = np.nan
        return codes

    def decode(self, codes: np.ndarray, rows: CrossSections) -> np.ndarray:
        """Returns rebuilt from the codes; NaN where a characteristic is unknown."""
        return np.einsum("tnk,tk->tn", self.loadings(rows), codes)

    def loadings(self, rows: CrossSections) -> np.ndarray:
        """Loadings known at the previous row, (n_rows, n_symbols, n_factors); NaN where a characteristic is unknown."""
        z = rows.characteristics
        with one_thread(), torch.no_grad():
            beta = self.net_.loadings(as_tensor(np.nan_to_num(z), dtype=torch.float64)).numpy()
        unknown = np.isnan(z).any(axis=2, keepdims=True)
        return np.where(unknown, np.nan, beta)

    def weights(self, rows: CrossSections) -> np.ndarray:
        """Zero for a symbol with an unknown characteristic; they do not depend on whether its return will be known."""
        return self._weights(rows, np.logical_not(np.isnan(rows.characteristics).any(axis=2)))

    def _weights(self, rows: CrossSections, known: np.ndarray) -> np.ndarray:
        z = np.nan_to_num(rows.characteristics)
        with one_thread(), torch.no_grad():
            return self.net_.weights(*(as_tensor(part, dtype=torch.float64) for part in (z, known.astype(float)))).numpy()


def _with_characteristics(rows: CrossSections) -> CrossSections:
    """A copy in which a return is unknown where a characteristic is unknown."""
    return replace(rows, returns=np.where(np.isnan(rows.characteristics).any(axis=2), np.nan, rows.returns))


def trained(build: Any, loss: Any, x: np.ndarray, known: np.ndarray, epochs: int, seed: int, device: str) -> nn.Module:
    """A network trained on the first 85 % of the rows, with the rest for early stopping; returned in float64 on the CPU."""
    if len(x) < MIN_ROWS:
        raise DataError(
            f"latent factors need {MIN_ROWS} training rows with half of the symbols known, got {len(x)}; lengthen train"
        )
    cut = int((1 - LATER) * len(x))
    device = pick_device(device)
    data = TrainingData(*(as_tensor(part, device) for half in (slice(0, cut), slice(cut, None)) for part in (x[half], known[half])))
    with one_thread():
        net = seeded(build, seed).to(device)
        train(net, loss, data, Settings(epochs, 512, 3e-3, device=device), seed)
    return net.double().cpu().eval()
