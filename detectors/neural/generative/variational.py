"""Variational autoencoders, whose decoder returns a mean and a variance."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from foreshock.data.errors import ConfigError
from foreshock.detectors.neural.base import NeuralDetector, spread
from foreshock.detectors.neural.codes import codes_of, mean_of_models
from foreshock.detectors.neural.reconstruction.autoencoder import Dense
from foreshock.detectors.neural.trainer import TrainingData, as_tensor
from foreshock.engine.features.features import Features

# A unit whose posterior mean has a variance over rows below this is inactive (Burda, Grosse and Salakhutdinov 2016).
ACTIVE = 0.01
# Bounds of the log variances; beyond them single rows would dominate the loss.
LOWEST, HIGHEST = -6.0, 6.0


class VariationalNetwork(nn.Module):
    """Dense encoder to mean and log variance of the code, dense decoder to mean and log variance of the window."""

    def __init__(self, window: int, n_features: int, n_context: int, hidden: tuple[int, ...], latent: int, dropout: float) -> None:
        super().__init__()
        self.shape = (window, n_features)
        n = window * n_features
        self.encoder = Dense(n + n_context, hidden, 2 * latent, dropout)
        self.decoder = Dense(latent + n_context, hidden[::-1], 2 * n, dropout)
        self.n_uniform = self.encoder.n_uniform + self.decoder.n_uniform
        self.n_normal = latent

    def posterior(self, x: Tensor, context: Tensor, uniform: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean and log variance of the code, each (n, latent)."""
        mean, log_var = self.encoder(torch.cat([x.flatten(1), context], dim=1), uniform).chunk(2, dim=1)
        return mean, log_var.clamp(LOWEST, HIGHEST)

    def likelihood(self, code: Tensor, context: Tensor, uniform: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean and log variance of the window, each (n, window, n_features)."""
        left = None if uniform is None else uniform[:, self.encoder.n_uniform :]
        mean, log_var = self.decoder(torch.cat([code, context], dim=1), left).chunk(2, dim=1)
        return mean.unflatten(1, self.shape), log_var.clamp(LOWEST, HIGHEST).unflatten(1, self.shape)

    def encode(self, x: Tensor, context: Tensor) -> Tensor:
        return self.posterior(x, context)[0]

    def decode(self, code: Tensor, context: Tensor) -> Tensor:
        return self.likelihood(code, context)[0]


class VAE(NeuralDetector):
    """Minus the log-probability of a row, rebuilt from draws of its code [1]_ [2]_.

    Encoder and decoder return a mean and a variance each. Training minimises, per value of the window,
    -E_q(c|w) log p(w|c) + beta KL(q(c|w) || N(0, 1)). score = -(1 / draws) sum_l log N(z; m(c_l), v(c_l)) / n_features, with z the
    newest row and c_l = mean + deviation * e_l; the e_l are drawn once from the seed and are the same for every row, so that a
    score does not depend on other rows. ``encode`` returns the mean. The other parameters are those of ``NeuralDetector``. A row
    whose window has an unknown value gets NaN.

    A unit of the code is active if the variance of its mean over the training rows is above 0.01 [3]_; any other says the same of
    every row, and could be left out. ``active_units_`` of a fitted detector is their number. Fitting fails if no unit is active on
    the validation rows.

    Parameters
    ----------
    hidden : tuple of int
        Widths of the encoder's layers; the decoder has them in reverse.
    dropout : float
        Share of hidden units that are dropped in training, from 0 to below 1.
    beta : float
        Weight of the KL term, at least 0.
    draws : int
        Number of draws of the code in the score, at least 1.

    References
    ----------
    .. [1] Kingma and Welling (2014), Auto-encoding variational Bayes.
    .. [2] An and Cho (2015), Variational autoencoder based anomaly detection using reconstruction probability.
    .. [3] Burda, Grosse and Salakhutdinov (2016), Importance weighted autoencoders.
    """

    name = "vae"
    stackable = True

    def __init__(
        self, *, hidden: tuple[int, ...] = (128, 64, 32), dropout: float = 0.0, beta: float = 1.0, draws: int = 8, **shared: Any
    ) -> None:
        super().__init__(**shared)
        self.hidden = hidden
        self.dropout = dropout
        self.beta = beta
        self.draws = draws

    def _check(self, features: Features) -> None:
        super()._check(features)
        if self.beta < 0 or self.draws < 1:
            raise ConfigError(f"beta must be at least 0 and draws at least 1, got {self.beta} and {self.draws}; change them")

    def _network(self, n_features: int, n_context: int) -> VariationalNetwork:
        return VariationalNetwork(self.window, n_features, n_context, tuple(self.hidden), self._units(n_features), self.dropout)

    def _loss(self, net: Any, x: Tensor, context: Tensor, uniform: Tensor, normal: Tensor) -> Tensor:
        mean, log_var = net.posterior(x, context, uniform)
        code = mean + torch.exp(0.5 * log_var) * normal
        error = -log_normal(x, *net.likelihood(code, context, uniform)).mean()
        divergence = 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum(dim=1).mean()
        return error + self.beta * divergence / (x.shape[1] * x.shape[2])

    def _codes(self, net: Any, x: Tensor, context: Tensor) -> Tensor:
        return net.encode(x, context)

    def _rebuilt(self, net: Any, x: Tensor, context: Tensor) -> Tensor:
        return net.decode(net.encode(x, context), context)

    def _errors(self, net: Any, model: dict[str, Any], x: Tensor, context: Tensor, target: Tensor) -> Tensor:  # noqa: ARG002
        mean, log_var = net.posterior(x, context)
        total = torch.zeros(len(x), dtype=x.dtype, device=x.device)
        for draw in as_tensor(self._score_noise(), str(x.device), x.dtype):
            rebuilt, spreads = net.likelihood(mean + torch.exp(0.5 * log_var) * draw, context)
            total -= log_normal(target[:, -1], rebuilt[:, -1], spreads[:, -1]).mean(dim=1)
        return total / self.draws

    @property
    def active_units_(self) -> float:
        """Number of active units of the code, of ``latent``; the mean over networks if each symbol has its own.

        NaN for a detector that was saved before it was counted.

        Examples
        --------
        >>> import foreshock as fs
        >>> features = fs.ohlcv_features(fs.simulate_market(seed=1, n_symbols=1, n_bars=900).bars)
        >>> vae = fs.make_detector("vae", latent=6, hidden=(16,), epochs=3, learning_rate=0.01, device="cpu").fit(features)
        >>> 1 <= vae.active_units_ <= 6
        True
        """
        return mean_of_models(self, "unit_variance", lambda variance: float((variance > ACTIVE).sum()))

    def fit_facts(self) -> dict[str, float]:
        return {"active_units": self.active_units_}

    def _facts(self) -> Iterator[str]:
        yield from super()._facts()
        if hasattr(self, "models_"):
            yield f"{self.active_units_:.3g} of {self.latent} units active"

    def _score_noise(self) -> np.ndarray:
        return np.random.default_rng(self.seed).normal(size=(self.draws, self._units(len(self.names_))))

    def sample(
        self, codes: np.ndarray, symbol: str | None = None, context: np.ndarray | None = None, seed: int | None = 0
    ) -> np.ndarray:
        """Windows drawn from the decoder's distribution by ``seed``; arguments and shape are those of ``decode``, its mean."""

        def draw(net: Any, code: Tensor, state: Tensor) -> Tensor:
            mean, log_var = net.likelihood(code, state)
            noise = np.random.default_rng(seed).normal(size=tuple(mean.shape))
            return mean + torch.exp(0.5 * log_var) * as_tensor(noise, dtype=mean.dtype)

        return self._decoded(codes, symbol, context, draw)

    def _learn_errors(self, net: Any, data: TrainingData) -> dict[str, Any]:
        return {"unit_variance": codes_of(net, data).var(dim=0, correction=0).cpu().numpy()}

    def _fits(self, model: dict[str, Any], n_features: int) -> bool:
        return super()._fits(model, n_features) and model.get("unit_variance", np.zeros(self.latent)).shape == (self.latent,)

    def _check_trained(self, net: nn.Module, data: TrainingData) -> None:
        if spread(data.later_x) > 1e-3 and not active_units(self._codes(net, data.later_x, data.later_context)).any():
            raise ConfigError(
                f"{self.name} has collapsed: none of its {self._units(len(self.names_))} latent units is active, every row has the "
                f"same code; lower beta (now {self.beta}), raise epochs, or pass more rows"
            )


class BetaVAE(VAE):
    """Minus the log-probability of a row under a VAE whose KL term weighs ``beta`` times more [1]_.

    A larger beta makes the units of the code more independent, so that each represents its own part, such as the market's move
    or the symbol's own, at the price of a worse reconstruction. Score, NaN policy and parameters are those of ``vae``.

    References
    ----------
    .. [1] Higgins et al. (2017), beta-VAE: learning basic visual concepts with a constrained variational framework.
    """

    name = "beta_vae"

    def __init__(self, *, beta: float = 4.0, **shared: Any) -> None:
        super().__init__(**{"beta": beta, **shared})


def log_normal(x: Tensor, mean: Tensor, log_var: Tensor) -> Tensor:
    """Log density of each value under a normal distribution.

    >>> round(float(log_normal(torch.tensor(1.0), torch.tensor(0.0), torch.tensor(0.0))), 4)
    -1.4189
    """
    return -0.5 * (math.log(2 * math.pi) + log_var + (x - mean).square() * torch.exp(-log_var))


def active_units(means: Tensor) -> Tensor:
    """True for the units of codes (n, latent) whose posterior mean has a variance above 0.01 over rows.

    >>> active_units(torch.tensor([[0.0, 1.0], [0.05, -1.0]]))
    tensor([False,  True])
    """
    return means.var(dim=0) > ACTIVE
