"""The recurrent encoder-decoder, which rebuilds a window backwards."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from foreshock.data.errors import ConfigError
from foreshock.data.show.shown import shown
from foreshock.detectors.neural.base import NeuralDetector
from foreshock.detectors.neural.trainer import PASS, TrainingData
from foreshock.engine.features.features import Features

CELLS: dict[str, type[nn.LSTM] | type[nn.GRU]] = {"lstm": nn.LSTM, "gru": nn.GRU}
# Share of the mean variance that is added to the variance of every error, so that the covariance is invertible.
RIDGE = 1e-3


class RecurrentNetwork(nn.Module):
    """Encoder over the window, linear code of its last state, decoder that receives the code at every step."""

    n_uniform = n_normal = 0

    def __init__(self, cell: str, window: int, n_features: int, hidden: int, latent: int) -> None:
        super().__init__()
        self.window = window
        self.encoder = CELLS[cell](n_features, hidden, batch_first=True)
        self.code = nn.Linear(hidden, latent)
        self.decoder = CELLS[cell](latent, hidden, batch_first=True)
        self.out = nn.Linear(hidden, n_features)

    def encode(self, x: Tensor) -> Tensor:
        return self.code(self.encoder(x)[0][:, -1])

    def decode(self, code: Tensor, context: Tensor | None = None) -> Tensor:  # noqa: ARG002 - as the dense network's
        """Windows, oldest row first; the decoder emits the newest row first."""
        backwards = self.decoder(code[:, None].expand(-1, self.window, -1))[0]
        return self.out(backwards).flip(1)


class Seq2SeqAutoencoder(NeuralDetector):
    """Squared Mahalanobis error of rebuilding the newest row of a window by a recurrent encoder-decoder [1]_.

    score = (e - m)' S^-1 (e - m) / n_features with e the error of the newest row, and m and S the mean and covariance of such
    errors on the last 15 % of the training windows; a thousandth of its mean variance is added to the diagonal of S. The encoder
    reads the last ``window`` standardised rows; from a linear code of its last state the decoder rebuilds them backwards, the
    newest row first. Unlike in [1]_, the decoder receives the code at every step instead of its own last output, so that training
    and scoring are the same. The other parameters are those of ``NeuralDetector``. A row whose window has an unknown value gets
    NaN.

    Parameters
    ----------
    cell : {"lstm", "gru"}
        Kind of the recurrent cells.
    hidden : int
        Number of units of the encoder and of the decoder.

    References
    ----------
    .. [1] Malhotra et al. (2016), LSTM-based encoder-decoder for multi-sensor anomaly detection.
    """

    name = "seq2seq_autoencoder"
    slow = 2

    def __init__(self, *, cell: str = "lstm", hidden: int = 24, **shared: Any) -> None:
        super().__init__(**{"window": 24, "latent": 8, "batch_size": 512, "learning_rate": 5e-3, **shared})
        self.cell = cell
        self.hidden = hidden

    def _check(self, features: Features) -> None:
        super()._check(features)
        if self.cell not in CELLS:
            raise ConfigError(f"cell must be 'lstm' or 'gru', got {shown(self.cell)}; change it")
        if self.hidden < 1:
            raise ConfigError(f"hidden must be at least 1 unit, got {self.hidden}; raise it")

    def _network(self, n_features: int, n_context: int) -> RecurrentNetwork:  # noqa: ARG002 - sees the window alone
        return RecurrentNetwork(self.cell, self.window, n_features, self.hidden, self._units(n_features))

    def _loss(self, net: Any, x: Tensor, context: Tensor, uniform: Tensor, normal: Tensor) -> Tensor:  # noqa: ARG002
        return functional.mse_loss(net.decode(net.encode(x)), x)

    def _codes(self, net: Any, x: Tensor, context: Tensor) -> Tensor:  # noqa: ARG002
        return net.encode(x)

    def _rebuilt(self, net: Any, x: Tensor, context: Tensor) -> Tensor:  # noqa: ARG002
        return net.decode(net.encode(x))

    def _learn_errors(self, net: nn.Module, data: TrainingData) -> dict[str, Any]:
        parts = [self._newest_error(net, x.double()) for x in data.later_x.split(PASS)]
        errors = torch.cat(parts)
        mean = errors.mean(dim=0)
        covariance = (errors - mean).T @ (errors - mean) / len(errors)
        ridge = RIDGE * covariance.diagonal().mean().clamp(min=1e-12)
        precision = torch.linalg.inv(covariance + ridge * torch.eye(len(mean), dtype=mean.dtype, device=mean.device))
        return {"error_mean": mean.cpu().numpy(), "error_precision": precision.cpu().contiguous().numpy()}

    def _newest_error(self, net: Any, x: Tensor) -> Tensor:
        return x[:, -1] - net.decode(net.encode(x))[:, -1]

    def _errors(self, net: Any, model: dict[str, Any], x: Tensor, context: Tensor, target: Tensor) -> Tensor:
        error = target[:, -1] - self._rebuilt(net, x, context)[:, -1]
        mean, precision = (torch.from_numpy(model[name]).to(x.device) for name in ("error_mean", "error_precision"))
        centred = error - mean
        return ((centred @ precision) * centred).mean(dim=1)

    def _fits(self, model: dict[str, Any], n_features: int) -> bool:
        mean, precision = model["error_mean"], model["error_precision"]
        return super()._fits(model, n_features) and mean.shape == (n_features,) and precision.shape == (n_features, n_features)
