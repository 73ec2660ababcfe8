"""The sparse autoencoder: a wider code in which few units are active."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from foreshock.data.errors import ConfigError
from foreshock.data.show.shown import shown
from foreshock.detectors.neural.codes import codes_of, mean_of_models
from foreshock.detectors.neural.forward import RELU, SIGMOID, Layer
from foreshock.detectors.neural.reconstruction.autoencoder import Autoencoder, BatchNorm, DenseAutoencoder, scale_and_shift
from foreshock.detectors.neural.trainer import TrainingData
from foreshock.engine.features.features import Features

KL, L1 = "kl", "l1"


class SparseNetwork(DenseAutoencoder):
    """A dense autoencoder with a positive code: sigmoids for ``"kl"``; ReLU of a batch norm with a learned bias for ``"l1"``.

    Sigmoids begin at the desired rate, because a short training would not bring them there from a half.
    """

    def __init__(self, penalty: str, rate: float, *args: Any) -> None:
        super().__init__(*args)
        latent = self.encoder.out.out_features
        if penalty == KL:
            nn.init.constant_(self.encoder.out.bias, math.log(rate / (1 - rate)))
        # Without a fixed scale, training would shrink the code to lower the L1 penalty, and the decoder would scale it back.
        self.norm = BatchNorm(latent, scaled=False) if penalty == L1 else None

    def encode(self, x: Tensor, context: Tensor, uniform: Tensor | None = None) -> Tensor:
        code = super().encode(x, context, uniform)
        return torch.sigmoid(code) if self.norm is None else functional.relu(self.norm(code))

    def dense_layers(self) -> tuple[list[Layer], list[Layer]]:
        encoder, decoder = super().dense_layers()
        last = encoder[-1]
        if self.norm is None:
            return [*encoder[:-1], replace(last, activation=SIGMOID)], decoder
        scale, shift = scale_and_shift(self.norm)
        return [*encoder[:-1], replace(last, scale=scale, shift=last.shift * scale + shift, activation=RELU)], decoder


class SparseAutoencoder(Autoencoder):
    """Mean squared error of rebuilding a row from a code in which few units are active [1]_.

    Training minimises |z - g(f(z))|^2 / n + weight * penalty. With ``"kl"`` the code is in (0, 1) and the penalty is the sum over
    its units of KL(rate || a), with a the mean activation of the unit in the batch; with ``"l1"`` it is the mean absolute
    activation. The score is the error of the newest row without the penalty, as in ``autoencoder``, whose parameters this
    detector shares; NaN where a value of the window is unknown. ``mean_activation_`` of a fitted detector is what was reached.

    Parameters
    ----------
    penalty : {"kl", "l1"}
        Kind of the penalty, see above.
    weight : float
        Weight of the penalty in the loss, at least 0. At the default, units of ``"kl"`` are active at 1 to 1.2 times ``rate`` on
        hourly bars, real and simulated.
    rate : float
        Desired mean activation, between 0 and 1; used by ``"kl"`` only.

    References
    ----------
    .. [1] Ng (2011), Sparse autoencoder, CS294A lecture notes.
    """

    name = "sparse_autoencoder"

    def __init__(self, *, penalty: str = KL, weight: float = 0.2, rate: float = 0.1, **shared: Any) -> None:
        super().__init__(**{"latent": 8, **shared})
        self.penalty = penalty
        self.weight = weight
        self.rate = rate

    def _check(self, features: Features) -> None:
        super()._check(features)
        if self.penalty not in (KL, L1):
            raise ConfigError(f"penalty must be 'kl' or 'l1', got {shown(self.penalty)}; change it")
        if self.weight < 0 or not 0 < self.rate < 1:
            raise ConfigError(f"weight must be at least 0 and rate between 0 and 1, got {self.weight} and {self.rate}; change them")

    def _network(self, n_features: int, n_context: int) -> SparseNetwork:
        shape = (self.window, n_features, n_context, tuple(self.hidden), self._units(n_features), self.dropout)
        return SparseNetwork(self.penalty, self.rate, *shape)

    def _loss(self, net: Any, x: Tensor, context: Tensor, uniform: Tensor, normal: Tensor) -> Tensor:  # noqa: ARG002
        code = net.encode(x, context, uniform)
        error = functional.mse_loss(net.decode(code, context, uniform), x)
        return error + self.weight * (kl_penalty(code, self.rate) if self.penalty == KL else code.abs().mean())

    @property
    def mean_activation_(self) -> float:
        """Mean activation of the units over the training rows; the mean over networks if each symbol has its own.

        NaN for a detector that was saved before it was measured.
        """
        return mean_of_models(self, "activation", lambda activation: float(activation.mean()))

    def fit_facts(self) -> dict[str, float]:
        return {"mean_activation": self.mean_activation_}

    def _facts(self) -> Iterator[str]:
        yield from super()._facts()
        if hasattr(self, "models_"):
            yield f"mean activation {self.mean_activation_:.2g}"

    def _learn_errors(self, net: Any, data: TrainingData) -> dict[str, Any]:
        return {"activation": codes_of(net, data).mean(dim=0).cpu().numpy()}

    def _fits(self, model: dict[str, Any], n_features: int) -> bool:
        return super()._fits(model, n_features) and model.get("activation", np.zeros(self.latent)).shape == (self.latent,)


def kl_penalty(code: Tensor, rate: float) -> Tensor:
    """Sum over units of KL(Bernoulli(rate) || Bernoulli(mean activation)) for activations in (0, 1), shape (n, latent).

    >>> round(float(kl_penalty(torch.full((3, 2), 0.5), 0.1)), 4)
    0.7361
    """
    active = code.mean(dim=0).clamp(1e-6, 1 - 1e-6)
    return (rate * torch.log(rate / active) + (1 - rate) * torch.log((1 - rate) / (1 - active))).sum()
