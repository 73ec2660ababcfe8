"""The plain autoencoder, and the layers that its relatives share."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from detectors.neural.base import NeuralDetector
from detectors.neural.trainer import kept

EPSILON = 1e-5
# Weight of a batch in the running mean and variance.
MOMENTUM = 0.1


class Normalise(torch.autograd.Function):
    """Columns less their mean over their deviation, with both; written out so that vmap gives what one network gives.

    torch's own batch norm takes another path under vmap: rounding differs, and training carries it far.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # pyright: ignore[reportIncompatibleMethodOverride]
        mean = x.mean(dim=0)
        centred = x - mean
        var = centred.square().mean(dim=0)
        return centred * torch.rsqrt(var + EPSILON), mean, var

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: tuple[Tensor, Tensor, Tensor]) -> None:  # noqa: ARG004
        unit, mean, var = output
        ctx.mark_non_differentiable(mean, var)
        ctx.save_for_backward(unit, var)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        unit, var = ctx.saved_tensors
        g = gradients[0]
        return (g - g.mean(dim=0) - unit * (g * unit).mean(dim=0)) * torch.rsqrt(var + EPSILON)


class BatchNorm(nn.Module):
    """Batch normalisation of columns, or of channels; the mean and variance for scoring are running ones."""

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
        unit, batch_mean, batch_var = Normalise.apply(x)  # pyright: ignore[reportGeneralTypeIssues]
        mean.mul_(1 - MOMENTUM).add_(batch_mean, alpha=MOMENTUM)
        var.mul_(1 - MOMENTUM).add_(batch_var, alpha=MOMENTUM * len(x) / (len(x) - 1))
        return unit + self.bias if self.weight is None else torch.addcmul(self.bias, unit, self.weight)


class Dense(nn.Module):
    """Linear, batch norm, ReLU and dropout, layer by layer; the last layer is linear alone."""

    def __init__(self, n_in: int, hidden: tuple[int, ...], n_out: int, dropout: float) -> None:
        super().__init__()
        widths = (n_in, *hidden)
        self.linear = nn.ModuleList(nn.Linear(*pair, bias=False) for pair in zip(widths, hidden, strict=False))
        self.norm = nn.ModuleList(BatchNorm(width) for width in hidden)
        self.out = nn.Linear(widths[-1], n_out)
        self.dropout = dropout
        self.n_uniform = sum(hidden) if dropout else 0

    def forward(self, x: Tensor, uniform: Tensor | None = None) -> Tensor:
        start = 0
        for linear, norm in zip(self.linear, self.norm, strict=True):
            x = functional.relu(norm(linear(x)))
            if self.training and self.dropout and uniform is not None:
                stays, share = kept(uniform[:, start : start + x.shape[1]], self.dropout)
                x, start = x * (stays * (1 / share)), start + x.shape[1]
        # Apart, as vmap does it: a fused bias rounds otherwise.
        return functional.linear(x, self.out.weight) + self.out.bias


class DenseAutoencoder(nn.Module):
    """Encoder to a code and decoder back, each beside the context; a window is one long row."""

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


class Autoencoder(NeuralDetector):
    """Mean squared error of rebuilding a standardised row from a short code [1]_.

    score = |z - g(f(z))|^2 / n_features with z the newest row of the window, standardised per symbol by median and
    interquartile range. f and g are dense networks, [128, 64, 32] and back, with batch norm, ReLU and dropout, that minimise the
    mean squared error of the training windows; with linear layers alone they would span the space of ``pca``. The other
    parameters are those of ``NeuralDetector``. A row whose window has an unknown value is not scored.

    Parameters
    ----------
    hidden : tuple of int
        Widths of the encoder's layers; the decoder has them in reverse.
    dropout : float

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
        return DenseAutoencoder(self.window, n_features, n_context, tuple(self.hidden), self.latent, self.dropout)

    def _loss(self, net: Any, x: Tensor, context: Tensor, uniform: Tensor, normal: Tensor) -> Tensor:  # noqa: ARG002
        return functional.mse_loss(net(x, context, uniform), x)

    def _codes(self, net: Any, x: Tensor, context: Tensor) -> Tensor:
        return net.encode(x, context)

    def _rebuilt(self, net: Any, x: Tensor, context: Tensor) -> Tensor:
        return net(x, context)
