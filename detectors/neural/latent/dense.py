"""Dense networks of a cross-section of returns: plain, sparse, denoising and variational autoencoders."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from foreshock.data.errors import ConfigError
from foreshock.detectors.neural.latent.models import CrossSections, FactorModel, trained
from foreshock.detectors.neural.reconstruction.autoencoder import BatchNorm, Dense
from foreshock.detectors.neural.trainer import as_tensor, one_thread
from foreshock.detectors.scaling import CLIP

Kind = Literal["plain", "sparse", "denoising", "variational"]
# Share of known returns that are hidden from the network in training, so that it learns to work with unknown returns.
HIDDEN_SHARE = 0.1
ACTIVE = 0.01
# Weight of the mean absolute code of a sparse network, whose codes have a variance of 1.
SPARSITY = 1.0
# Standard deviation of the noise that a denoising network has to undo, in units of the volatility.
NOISE = 0.3


class MaskedAutoencoder(nn.Module):
    """Dense encoder of returns and of flags for known returns, dense decoder to all returns."""

    def __init__(self, n_symbols: int, hidden: tuple[int, ...], n_factors: int, kind: Kind) -> None:
        super().__init__()
        self.kind, self.n_factors = kind, n_factors
        self.encoder = Dense(2 * n_symbols, hidden, n_factors * (2 if kind == "variational" else 1), 0.0)
        self.decoder = Dense(n_factors, hidden[::-1], n_symbols, 0.0)
        # A linear path is added to the layers, because most of the common part of returns is linear.
        self.linear_in = nn.Linear(2 * n_symbols, n_factors, bias=False)
        self.linear_out = nn.Linear(n_factors, n_symbols, bias=False)
        self.log_noise = nn.Parameter(torch.full((n_symbols,), -0.7))
        self.n_uniform = n_symbols
        self.n_normal = {"variational": n_factors, "denoising": n_symbols}.get(kind, 0)
        # Without a fixed scale, training would shrink the code to lower its penalty, and the decoder would scale it back.
        self.norm = BatchNorm(n_factors, scaled=False) if kind == "sparse" else None

    def encode(self, x: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        seen = torch.cat([x * known, known], dim=1)
        out = self.encoder(seen)
        mean = self.linear_in(seen) + out[:, : self.n_factors]
        mean = mean if self.norm is None else self.norm(mean)
        return mean, out[:, self.n_factors :].clamp(-8, 4)

    def decode(self, code: Tensor) -> Tensor:
        return self.linear_out(code) + self.decoder(code)


class DenseFactors(FactorModel):
    """An autoencoder of cross-sections.

    The loss is the mean squared error, or for a variational one the Gaussian likelihood with a variance for each symbol, over the
    known returns only. An unknown return enters as zero together with a flag of zero, and has no error. A sparse one adds the mean
    absolute code, of variance 1, so that few codes are large in a row; a denoising one sees returns with noise and rebuilds them
    without.
    """

    def __init__(
        self, n_factors: int, kind: Kind, beta: float, hidden: tuple[int, ...], epochs: int, seed: int, device: str
    ) -> None:
        self.n_factors = n_factors
        self.kind: Kind = kind
        self.beta = beta
        self.hidden = hidden
        self.epochs = epochs
        self.seed = seed
        self.device = device

    def fit(self, train: CrossSections) -> None:
        usable = train.rows(train.usable())
        known = usable.known().astype(float)
        x = np.where(known > 0, np.clip(usable.returns, -CLIP, CLIP), 0.0)
        n_symbols = known.shape[1]

        def loss(net: Any, x: Tensor, known: Tensor, uniform: Tensor, normal: Tensor) -> Tensor:
            shown = known * (uniform >= HIDDEN_SHARE) if net.training else known
            noisy = x[:, 0] + NOISE * normal if net.training and net.kind == "denoising" else x[:, 0]
            mean, log_variance = net.encode(noisy, shown)
            if net.kind != "variational":
                error = ((net.decode(mean) - x[:, 0]) ** 2 * known).sum() / known.sum()
                return error + SPARSITY * mean.abs().mean() if net.kind == "sparse" else error
            rebuilt = net.decode(mean + torch.exp(log_variance / 2) * normal)
            noise = net.log_noise
            error = 0.5 * (rebuilt - x[:, 0]) ** 2 * torch.exp(-2 * noise) + noise
            divergence = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum()
            return ((error * known).sum() + self.beta * divergence) / known.sum()

        self.net_: Any = trained(
            lambda: MaskedAutoencoder(n_symbols, self.hidden, self.n_factors, self.kind),
            loss,
            x[:, None],
            known,
            self.epochs,
            self.seed,
            self.device,
        )
        if not (np.nanvar(self.encode(train), axis=0) > ACTIVE).any():
            remedy = f"lower beta (now {self.beta:g}), " if self.kind == "variational" else ""
            raise ConfigError(
                f"the latent factors have collapsed: no code varies over the training rows; {remedy}raise epochs, or pass more rows"
            )

    def encode(self, rows: CrossSections) -> np.ndarray:
        usable = rows.usable()
        codes = np.full((len(usable), self.n_factors), np.nan)
        chosen = rows.rows(usable)
        known = chosen.known()
        x = np.where(known, np.clip(chosen.returns, -CLIP, CLIP), 0.0)
        with one_thread(), torch.no_grad():
            codes[usable] = self.net_.encode(*(as_tensor(part, dtype=torch.float64) for part in (x, known.astype(float))))[
                0
            ].numpy()
        return codes

    def decode(self, codes: np.ndarray, rows: CrossSections) -> np.ndarray:  # noqa: ARG002
        with one_thread(), torch.no_grad():
            return self.net_.decode(as_tensor(codes, dtype=torch.float64)).numpy()
