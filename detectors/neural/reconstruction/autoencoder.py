"""The plain autoencoder, and the layers that the other autoencoders share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from foreshock.detectors.neural.base import NeuralDetector
from foreshock.detectors.neural.forward import LINEAR, RELU, Layer
from foreshock.detectors.neural.stackable import EPSILON, normalise, product
from foreshock.detectors.neural.trainer import kept

# Weight of a batch in the running mean and variance.
MOMENTUM = 0.1


class BatchNorm(nn.Module):
    """Batch normalisation of columns, or of channels; scoring uses the running mean and variance."""

    def __init__(self, width: int, scaled: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width)) if scaled else None
        self.bias = nn.Parameter(torch.zeros(width))
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("var", torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        mean, var = self.get_buffer("mean"), self.get_buffer("var")
        if not self.training or x.ndim > 2:
            return functional.batch_norm(x, mean, var, self.weight, self.bias, self.training, MOMENTUM, EPSILON)
        weight = torch.ones_like(self.bias) if self.weight is None else self.weight
        out, batch_mean, batch_var = normalise(x, weight, self.bias)
        mean.mul_(1 - MOMENTUM).add_(batch_mean, alpha=MOMENTUM)
        var.mul_(1 - MOMENTUM).add_(batch_var, alpha=MOMENTUM * len(x) / (len(x) - 1))
        return out


class Dense(nn.Module):
    """Layers of linear map, batch norm, ReLU and dropout; the last layer is only linear."""

    def __init__(self, n_in: int, hidden: tuple[int, ...], n_out: int, dropout: float) -> None:
        super().__init__()
        widths = (n_in, *hidden)
        self.linear = nn.ModuleList(nn.Linear(*pair, bias=False) for pair in zip(widths, hidden, strict=False))
        self.norm = nn.ModuleList(BatchNorm(width) for width in hidden)
        self.out = nn.Linear(widths[-1], n_out)
        self.dropout = dropout
        self.n_uniform = sum(hidden) if dropout else 0

    def forward(self, x: Tensor, uniform: Tensor | None = None) -> Tensor:
        weights: Sequence[Tensor | None] = [None] * len(self.norm)
        if self.training and self.dropout and uniform is not None:
            # The dropout of all layers is drawn at once, because one large comparison is faster than many small ones.
            stays, share = kept(uniform[:, : self.n_uniform], self.dropout)
            weights = stays.mul_(1 / share).split([linear.out_features for linear in self.linear], dim=1)
        for linear, norm, weight in zip(self.linear, self.norm, weights, strict=True):
            x = functional.relu(norm(product(x, linear.weight)))  # pyright: ignore[reportArgumentType]
            x = x if weight is None else x * weight
        return product(x, self.out.weight) + self.out.bias

    def layers(self) -> list[Layer]:
        """The layers as they score, in numpy."""
        found = []
        for linear, norm in zip(self.linear, self.norm, strict=True):
            found.append(Layer(_numbers(linear.weight).T, *scale_and_shift(norm), RELU))
        weight = _numbers(self.out.weight).T
        return [*found, Layer(weight, np.ones(weight.shape[1]), _numbers(self.out.bias), LINEAR)]


def scale_and_shift(norm: Any) -> tuple[np.ndarray, np.ndarray]:
    """What a batch norm multiplies by and adds when it scores."""
    scale = 1.0 / np.sqrt(_numbers(norm.var) + EPSILON) * (1.0 if norm.weight is None else _numbers(norm.weight))
    return scale, _numbers(norm.bias) - _numbers(norm.mean) * scale


def _numbers(x: Any) -> np.ndarray:
    return x.detach().cpu().numpy().astype(np.float64)


class DenseAutoencoder(nn.Module):
    """Encoder from window and context to a code, decoder from code and context to the window; a window is one long row."""

    n_normal = 0

    def __init__(self, window: int, n_features: int, n_context: int, hidden: tuple[int, ...], latent: int, dropout: float) -> None:
        super().__init__()
        self.shape = (window, n_features)
        n = window * n_features
        self.encoder = Dense(n + n_context, hidden, latent, dropout)
        self.decoder = Dense(latent + n_context, hidden[::-1], n, dropout)
        self.n_uniform = self.encoder.n_uniform + self.decoder.n_uniform

    def encode(self, x: Tensor, context: Tensor, uniform: Tensor | None = None) -> Tensor:
        return self.encoder(torch.cat([x.flatten(1), context], dim=1), uniform)

    def decode(self, code: Tensor, context: Tensor, uniform: Tensor | None = None) -> Tensor:
        left = None if uniform is None else uniform[:, self.encoder.n_uniform :]
        return self.decoder(torch.cat([code, context], dim=1), left).unflatten(1, self.shape)

    def forward(self, x: Tensor, context: Tensor, uniform: Tensor | None = None) -> Tensor:
        return self.decode(self.encode(x, context, uniform), context, uniform)

    def dense_layers(self) -> tuple[list[Layer], list[Layer]]:
        """Layers of the encoder and of the decoder as they score, in numpy; see ``DenseForward``."""
        return self.encoder.layers(), self.decoder.layers()


class Autoencoder(NeuralDetector):
    """Mean squared error of rebuilding a standardised row from a short code [1]_.

    score = |z - g(f(z))|^2 / n_features with z the newest row of the window, standardised per symbol by median and
    interquartile range. f and g are dense networks, [128, 64, 32] and back, with batch norm, ReLU and dropout, that minimise the
    mean squared error of the training windows; with linear layers alone they would span the space of ``pca``. The other
    parameters are those of ``NeuralDetector``. A row whose window has an unknown value gets NaN.

    Parameters
    ----------
    hidden : tuple of int
        Widths of the encoder's layers; the decoder has them in reverse.
    dropout : float
        Share of hidden units that are dropped in training, from 0 to below 1.

    References
    ----------
    .. [1] Hinton and Salakhutdinov (2006), Reducing the dimensionality of data with neural networks.
    """

    name = "autoencoder"
    stackable = True

    def __init__(self, *, hidden: tuple[int, ...] = (128, 64, 32), dropout: float = 0.05, **shared: Any) -> None:
        super().__init__(**shared)
        self.hidden = hidden
        self.dropout = dropout

    def _network(self, n_features: int, n_context: int) -> nn.Module:
        return DenseAutoencoder(self.window, n_features, n_context, tuple(self.hidden), self._units(n_features), self.dropout)

    def _loss(self, net: Any, x: Tensor, context: Tensor, uniform: Tensor, normal: Tensor) -> Tensor:  # noqa: ARG002
        return functional.mse_loss(net(x, context, uniform), x)

    def _codes(self, net: Any, x: Tensor, context: Tensor) -> Tensor:
        return net.encode(x, context)

    def _rebuilt(self, net: Any, x: Tensor, context: Tensor) -> Tensor:
        return net(x, context)
