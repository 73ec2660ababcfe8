"""The denoising autoencoder, which learns to rebuild the clean row from a corrupted one."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import functional

from foreshock.data.errors import ConfigError
from foreshock.detectors.neural.reconstruction.autoencoder import Autoencoder, DenseAutoencoder
from foreshock.detectors.neural.trainer import kept
from foreshock.engine.features.features import Features


class DenoisingNetwork(DenseAutoencoder):
    """A dense autoencoder that also receives normal and uniform noise of the size of its input, to corrupt it."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.n_input = self.shape[0] * self.shape[1]
        self.n_normal = self.n_input
        self.n_uniform += self.n_input


class DenoisingAutoencoder(Autoencoder):
    """Mean squared error of rebuilding a row by a network that has learned to undo noise [1]_.

    Training minimises |z - g(f(c(z)))|^2 / n, where c adds Gaussian noise of standard deviation ``noise`` and sets a share
    ``masking`` of the values to zero, the median; the target stays clean. The score is that of ``autoencoder``, whose parameters
    this detector shares: the error of rebuilding the newest row from uncorrupted input; NaN where a value is unknown.

    Parameters
    ----------
    noise : float
        Standard deviation of the noise, in units of the standardised features; at least 0.
    masking : float
        Share of the values that are set to zero, from 0 to below 1.

    References
    ----------
    .. [1] Vincent et al. (2010), Stacked denoising autoencoders.
    """

    name = "denoising_autoencoder"

    def __init__(self, *, noise: float = 0.3, masking: float = 0.1, **shared: Any) -> None:
        super().__init__(**shared)
        self.noise = noise
        self.masking = masking

    def _check(self, features: Features) -> None:
        super()._check(features)
        if self.noise < 0 or not 0 <= self.masking < 1:
            raise ConfigError(
                f"noise must be at least 0 and masking from 0 to below 1, got {self.noise} and {self.masking}; change them"
            )

    def _network(self, n_features: int, n_context: int) -> DenoisingNetwork:
        return DenoisingNetwork(self.window, n_features, n_context, tuple(self.hidden), self._units(n_features), self.dropout)

    def _loss(self, net: Any, x: Tensor, context: Tensor, uniform: Tensor, normal: Tensor) -> Tensor:
        return functional.mse_loss(net(self.corrupt(x, uniform[:, -net.n_input :], normal), context, uniform), x)

    def corrupt(self, x: Tensor, uniform: Tensor, normal: Tensor) -> Tensor:
        """Windows with noise added and a share of values set to zero; ``uniform`` and ``normal`` have the size of a window."""
        noisy = x + self.noise * normal.view_as(x)
        return noisy * kept(uniform.reshape(x.shape), self.masking)[0]
