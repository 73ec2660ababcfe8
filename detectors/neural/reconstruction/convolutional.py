"""The convolutional autoencoder, with 1-D convolutions along the time of a window."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from foreshock.data.errors import ConfigError
from foreshock.data.show.shown import shown
from foreshock.detectors.neural.base import NeuralDetector
from foreshock.detectors.neural.reconstruction.autoencoder import BatchNorm
from foreshock.engine.features.features import Features

WIDTH = 5
SHORTEST = 4


class ConvolutionalNetwork(nn.Module):
    """Two convolutions that each halve the window, a linear code, and a mirrored decoder; features are the channels."""

    n_uniform = n_normal = 0

    def __init__(self, window: int, n_features: int, channels: tuple[int, int], latent: int) -> None:
        super().__init__()
        # Lengths after each halving, rounded up.
        self.lengths = (window, -(-window // 2), -(-window // 4))
        first, second = channels

        def convolution(n_in: int, n_out: int, stride: int = 1) -> nn.Conv1d:
            return nn.Conv1d(n_in, n_out, WIDTH, stride, WIDTH // 2)

        self.down = nn.ModuleList([convolution(n_features, first, 2), convolution(first, second, 2)])
        self.down_norm = nn.ModuleList([BatchNorm(first), BatchNorm(second)])
        self.code = nn.Linear(second * self.lengths[2], latent)
        self.uncode = nn.Linear(latent, second * self.lengths[2])
        self.up = nn.ModuleList([convolution(second, first), convolution(first, n_features)])
        self.up_norm = nn.ModuleList([BatchNorm(second), BatchNorm(first)])

    def encode(self, x: Tensor) -> Tensor:
        x = x.transpose(1, 2)
        for convolution, norm in zip(self.down, self.down_norm, strict=True):
            x = functional.relu(norm(convolution(x)))
        return self.code(x.flatten(1))

    def decode(self, code: Tensor, context: Tensor | None = None) -> Tensor:  # noqa: ARG002 - as the dense network's
        x = self.uncode(code).unflatten(1, (-1, self.lengths[2]))
        for convolution, norm, length in zip(self.up, self.up_norm, self.lengths[1::-1], strict=True):
            x = convolution(functional.interpolate(functional.relu(norm(x)), size=length, mode="nearest"))
        return x.transpose(1, 2)


class ConvolutionalAutoencoder(NeuralDetector):
    """Mean squared error of rebuilding the newest row of a window by 1-D convolutions along its time [1]_.

    score = |z - g(f(w))|^2 / n_features with w the last ``window`` standardised rows and z the newest of them. f halves the window
    twice by convolutions of width 5 with batch norm and ReLU and ends in a linear code; g mirrors it. Features are channels, so
    that the levels of an order book are filtered together; ``reconstruct`` returns the book without the detail that the code
    cannot hold. The other parameters are those of ``NeuralDetector``. A row whose window has an unknown value gets NaN.

    Parameters
    ----------
    channels : tuple of int
        Numbers of channels of the first and the second convolution.

    References
    ----------
    .. [1] Masci et al. (2011), Stacked convolutional auto-encoders for hierarchical feature extraction.
    """

    name = "conv_autoencoder"

    def __init__(self, *, channels: tuple[int, int] = (32, 16), **shared: Any) -> None:
        super().__init__(**{"window": 24, "latent": 8, **shared})
        self.channels = channels

    def _check(self, features: Features) -> None:
        super()._check(features)
        if self.window < SHORTEST:
            raise ConfigError(f"window of {self.name} must be at least {SHORTEST} rows, got {self.window}; raise it")
        if len(self.channels) != 2:
            raise ConfigError(f"channels must be two widths such as (32, 16), got {shown(self.channels)}; change it")

    def _network(self, n_features: int, n_context: int) -> ConvolutionalNetwork:  # noqa: ARG002 - sees the window alone
        return ConvolutionalNetwork(self.window, n_features, self.channels, self._units(n_features))

    def _loss(self, net: Any, x: Tensor, context: Tensor, uniform: Tensor, normal: Tensor) -> Tensor:  # noqa: ARG002
        return functional.mse_loss(net.decode(net.encode(x)), x)

    def _codes(self, net: Any, x: Tensor, context: Tensor) -> Tensor:  # noqa: ARG002
        return net.encode(x)

    def _rebuilt(self, net: Any, x: Tensor, context: Tensor) -> Tensor:  # noqa: ARG002
        return net.decode(net.encode(x))
