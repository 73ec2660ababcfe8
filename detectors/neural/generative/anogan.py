"""AnoGAN: scores windows by how badly a generator of usual windows rebuilds them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from foreshock.data.errors import ConfigError
from foreshock.data.show.shown import shown
from foreshock.detectors.neural.base import NeuralDetector, OnEpoch, spread
from foreshock.detectors.neural.generative.anogan_networks import CODE_BOUND, AnoganNet, Layout
from foreshock.detectors.neural.generative.gan_training import GanLoss, GanSettings, train_gan
from foreshock.detectors.neural.trainer import TrainingData, as_tensor, train
from foreshock.detectors.neural.windows import Windows
from foreshock.engine.features.features import Features

SEARCH_RATE = 0.1
# Weight of the critic's features in the encoder's loss (Schlegl et al. 2019).
KAPPA = 1.0


class AnoGAN(NeuralDetector):
    """Distance of a window from the windows that a generative adversarial network can generate [1]_ [2]_.

    A generator G learns to generate usual windows from normal codes, against a critic D; both are 1-D convolutional. With z(x) a
    code for the window x,

    score = (1 - lambda) R / R0 + lambda F / F0,
    R = |x_t - G(z(x))_t|^2 / n_features,  F = |f(x) - f(G(z(x)))|^2 / n_f,

    where t is the newest row of the window, f the last hidden layer of D with n_f values, and R0, F0 the means of R and F over
    the validation windows, so that lambda is a share whatever the scale of f. With ``search="encoder"``, z(x) is E(x) of an
    encoder E, trained with G and D fixed to minimise |x - G(E(x))|^2 / n + |f(x) - f(G(E(x)))|^2 / n_f over the training windows
    (izi_f of [2]_). With ``search="latent"``, it is the code that gradient descent from the middle of the prior finds for this
    window alone (as in [1]_). Both keep codes within three standard deviations of the prior, because the generator is not trained
    on codes further out.

    Each row's code depends on its own window only. A row whose window has an unknown value gets NaN. The other parameters
    are those of ``NeuralDetector``; ``epochs`` is the number of epochs of the encoder.

    Parameters
    ----------
    width : int
        Number of values of the narrowest convolutional layer and of the dense layers, at least 4.
    layout : {"auto", "time", "levels"}
        Whether convolutions run over the rows of the window or over the levels of an order book; see ``Grid``.
    loss : {"wgan_gp", "original"}
        Loss of the adversarial training; see ``GanSettings``.
    steps : int
        Number of training steps of the generator.
    lambda_ : float
        Share of the feature matching in the score, from 0 to 1.
    search : {"encoder", "latent"}
        How the code of a window is found. It can be changed on a fitted detector without fitting again.
    search_steps : int
        Number of gradient steps of ``search="latent"``.

    References
    ----------
    .. [1] Schlegl, Seeboeck, Waldstein, Schmidt-Erfurth and Langs (2017), Unsupervised anomaly detection with generative
       adversarial networks to guide marker discovery.
    .. [2] Schlegl, Seeboeck, Waldstein, Langs and Schmidt-Erfurth (2019), f-AnoGAN: fast unsupervised anomaly detection with
       generative adversarial networks.
    """

    name = "anogan"
    slow = 3

    def __init__(
        self,
        *,
        width: int = 128,
        layout: Layout = "auto",
        loss: GanLoss = "wgan_gp",
        steps: int = 600,
        lambda_: float = 0.1,
        search: str = "encoder",
        search_steps: int = 200,
        **shared: Any,
    ) -> None:
        super().__init__(**{"window": 24, "latent": 8, "epochs": 12, "batch_size": 512, "learning_rate": 1e-3, **shared})
        self.width = width
        self.layout: Layout = layout
        self.loss: GanLoss = loss
        self.steps = steps
        self.lambda_ = lambda_
        self.search = search
        self.search_steps = search_steps

    def _check(self, features: Features) -> None:
        super()._check(features)
        for name, least in (("width", 4), ("steps", 1), ("search_steps", 1)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} of anogan must be at least {least}, got {getattr(self, name)}; raise it")
        for name, known in (
            ("layout", ("auto", "time", "levels")),
            ("loss", ("wgan_gp", "original")),
            ("search", ("encoder", "latent")),
        ):
            if getattr(self, name) not in known:
                raise ConfigError(
                    f"{name} of anogan must be one of {', '.join(known)}, got {shown(getattr(self, name))}; change it"
                )
        if not 0 <= self.lambda_ <= 1:
            raise ConfigError(f"lambda_ of anogan must lie between 0 and 1, got {self.lambda_}; it is a share")

    def _network(self, n_features: int, n_context: int) -> AnoganNet:  # noqa: ARG002
        return AnoganNet(self.names_, self.window, self.layout, self._units(len(self.names_)), self.width)

    def _fit_windows(self, windows: Windows, start: dict[str, Any] | None, on_epoch: OnEpoch | None) -> dict[str, Any]:
        settings = self._settings()
        net: Any = self._built(windows)
        if start is not None:
            net.load_state_dict({name: as_tensor(value) for name, value in start["weights"].items()})
        net.to(settings.device)
        data = TrainingData.of(windows, settings.device)
        try:
            train_gan(net, data.x, GanSettings(self.loss, self.steps, self.learning_rate), self.seed)
            net.generator.requires_grad_(False)
            net.critic.requires_grad_(False)
            trained = train(net, self._loss, data, settings, self.seed, on_epoch)
        except ConfigError as error:
            raise ConfigError(f"{self.name}: {error}") from error
        return self._model(net, data, trained.epochs, trained.validation_loss)

    def _loss(self, net: Any, x: Tensor, context: Tensor, uniform: Tensor, normal: Tensor) -> Tensor:  # noqa: ARG002
        rebuilt = net.decode(net.encode(x))
        return functional.mse_loss(rebuilt, x) + KAPPA * functional.mse_loss(net.features(rebuilt), net.features(x))

    def _learn_errors(self, net: Any, data: TrainingData) -> dict[str, Any]:
        x = data.later_x.double()
        rebuilt = net.decode(net.encode(x))
        units = [float(term.mean()) for term in terms(net, x[:, -1], rebuilt, net.features(x))]
        # A term that is zero on all validation windows has no unit and is left unscaled.
        return {"residual_unit": units[0] or 1.0, "feature_unit": units[1] or 1.0}

    def _check_trained(self, net: Any, data: TrainingData) -> None:
        rebuilt = net.decode(net.encode(data.later_x))
        if spread(data.later_x) > 1e-3 and spread(rebuilt) < 1e-3 * spread(data.later_x):
            raise ConfigError(
                f"{self.name} has collapsed: it rebuilds every window alike; lower learning_rate, raise epochs or steps, or pass "
                f"more rows"
            )

    def _codes(self, net: Any, x: Tensor, context: Tensor) -> Tensor:  # noqa: ARG002
        return net.encode(x) if self.search == "encoder" else searched(net, x, self.search_steps, self.lambda_)

    def _rebuilt(self, net: Any, x: Tensor, context: Tensor) -> Tensor:
        return net.decode(self._codes(net, x, context))

    def _errors(self, net: Any, model: dict[str, Any], x: Tensor, context: Tensor, target: Tensor) -> Tensor:
        residual, matching = terms(net, target[:, -1], self._rebuilt(net, x, context), net.features(x))
        return (1 - self.lambda_) * residual / model["residual_unit"] + self.lambda_ * matching / model["feature_unit"]

    def _fits(self, model: dict[str, Any], n_features: int) -> bool:
        units = (model["residual_unit"], model["feature_unit"])
        return super()._fits(model, n_features) and all(isinstance(unit, float) and 0 < unit < float("inf") for unit in units)


def terms(net: Any, newest: Tensor, rebuilt: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
    """R and F of windows, shape (n,) each, from their newest rows, the rebuilt windows and the critic's features of the windows."""
    residual = (newest - rebuilt[:, -1]).square().mean(dim=1)
    return residual, (features - net.features(rebuilt)).square().mean(dim=1)


@torch.enable_grad()
def searched(net: Any, x: Tensor, steps: int, lambda_: float) -> Tensor:
    """Codes, (n, latent), that rebuild windows (n, window, n_features) best, found by Adam from the middle of the prior.

    The error of a window is (1 - lambda) |x - G(z)|^2 / n + lambda |f(x) - f(G(z))|^2 / n_f over all its rows. The sum over
    windows is minimised, in which each code has the gradient of its own window's error.
    """
    wanted = net.features(x).detach()
    code = torch.zeros((len(x), net.latent), dtype=x.dtype, device=x.device, requires_grad=True)
    optimiser = torch.optim.Adam([code], SEARCH_RATE)
    for _ in range(steps):
        rebuilt = net.decode(code)
        residual = (x - rebuilt).square().flatten(1).mean(dim=1)
        matching = (net.features(rebuilt) - wanted).square().mean(dim=1)
        (code.grad,) = torch.autograd.grad(((1 - lambda_) * residual + lambda_ * matching).sum(), code)
        optimiser.step()
        with torch.no_grad():
            code.clamp_(-CODE_BOUND, CODE_BOUND)
    return code.detach()
