"""Variational autoencoders of return windows, with and without regimes."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError
from foreshock.data.show.shown import shown
from foreshock.detectors.neural.scenarios.model import VOLATILITY_REGIMES, OnEpoch, ScenarioModel
from foreshock.detectors.neural.scenarios.nets import PathVAE
from foreshock.detectors.neural.trainer import Settings, TrainingData, pick_device, seeded, train

# A unit whose posterior mean has a variance over windows below this is inactive (Burda, Grosse and Salakhutdinov 2016).
ACTIVE = 0.01
PATIENCE = 6


@door
class VAEScenarios(ScenarioModel):
    """Variational autoencoder whose decoder emits the law of each step's returns given the code and the earlier returns [1]_.

    Mean, scale, correlation and size of shock are learned by maximum likelihood under Student-t shocks
    (``PathVAE``), so that volatility clusters and falling prices may raise it. Paths are drawn
    from the law, and are never its mean. Codes are drawn from the aggregated posterior, which is the posterior of a random
    training window [2]_. Codes from the standard normal prior would lie where no training window lies, and their paths fail the
    realism card.

    The other parameters are those of ``ScenarioModel``: ``n_steps=24`` bars of a path, ``latent=8``, ``hidden=48``,
    ``epochs=30``, ``batch_size=256``, ``learning_rate=3e-3``, ``max_windows=8_000``, ``seed=0`` and ``device="auto"``.

    Parameters
    ----------
    beta : float
        Weight of the divergence of the posterior from the prior; 1 is a VAE.

    Raises
    ------
    ConfigError
        By ``fit``, if a parameter is out of range, or training fails.
    DataError
        By ``fit``, if there are fewer than 200 windows with all returns known.

    References
    ----------
    .. [1] Kingma and Welling (2014), Auto-encoding variational Bayes.
    .. [2] Ghosh, Sajjadi, Vergari, Black and Schoelkopf (2020), From variational to deterministic autoencoders.

    Examples
    --------
    A tiny network that trains in a fraction of a second.

    >>> import foreshock as fs
    >>> bars = fs.simulate_market(seed=1, n_symbols=2, n_bars=300).bars
    >>> tiny = {"latent": 2, "hidden": 8, "epochs": 4, "batch_size": 64, "learning_rate": 0.01, "device": "cpu"}
    >>> model = fs.VAEScenarios(n_steps=8, **tiny).fit(bars)
    >>> model.sample(5).shape
    (5, 8, 2)
    """

    name: ClassVar[str] = "vae"

    def __init__(self, *, beta: float = 1.0, **shared: Any) -> None:
        super().__init__(**shared)
        self.beta = beta

    def _network(self, n_assets: int) -> PathVAE:
        return PathVAE(self.n_steps, n_assets, self._n_context, self.latent, self.hidden)

    def _train(self, data: TrainingData, on_epoch: OnEpoch | None) -> tuple[nn.Module, dict[str, float]]:
        settings = Settings(self.epochs, self.batch_size, self.learning_rate, PATIENCE, device=pick_device(self.device))
        net = seeded(lambda: self._network(data.x.shape[2]), self.seed).to(settings.device)

        def loss(net: Any, x: Tensor, context: Tensor, uniform: Tensor, normal: Tensor) -> Tensor:  # noqa: ARG001
            return net.loss(x, context, normal, self.beta)

        if not 0 < self.beta < float("inf"):
            raise ConfigError(f"beta of {self.name} must be above 0 and finite, got {shown(self.beta)}; 1 is that of a VAE")
        try:
            trained = train(net, loss, data, settings, self.seed, on_epoch)
        except ConfigError as error:
            raise ConfigError(f"{self.name}: {error}") from error
        return net, {"epochs": trained.epochs, "validation_loss": trained.validation_loss}

    def _learn_codes(self, net: Any, x: Tensor, context: Tensor) -> dict[str, Tensor]:
        mean, log_variance = net.encode(x, context)
        n_active = int((mean.var(dim=0) > ACTIVE).sum())
        self.trained_["active_units"] = n_active
        if not n_active:
            raise ConfigError(
                f"{self.name} has collapsed: none of its {self.latent} latent units varies over the training windows; "
                f"lower beta (now {self.beta:g}), raise epochs, or pass more rows"
            )
        return {"mean": mean, "log_variance": log_variance, "context": context}

    def _draw(self, net: PathVAE, n: int, regime: str | None, generator: torch.Generator) -> Tensor:
        mean, log_variance, context = (torch.from_numpy(self.codes_[key]) for key in ("mean", "log_variance", "context"))
        rows = torch.arange(len(mean)) if regime is None else torch.nonzero(context[:, VOLATILITY_REGIMES.index(regime)])[:, 0]
        chosen = rows[torch.randint(len(rows), (n,), generator=generator)]
        noise = torch.randn((n, self.latent), generator=generator)
        return net.sample(mean[chosen] + torch.exp(log_variance[chosen] / 2) * noise, context[chosen], generator)


class ConditionalVAEScenarios(VAEScenarios):
    """``VAEScenarios`` whose encoder and decoder receive the regime before the path [1]_.

    The regimes, ``"calm"``, ``"normal"`` and ``"high volatility"``, are classes of the mean absolute return of all assets over
    the 7 ``n_steps`` bars before the path, divided at its 40 % and 80 % quantiles over the training rows. If no regime is
    requested, regimes come as often as in training. Parameters and errors are those of ``VAEScenarios``.

    References
    ----------
    .. [1] Sohn, Lee and Yan (2015), Learning structured output representation using deep conditional generative models.

    Examples
    --------
    A tiny network that trains in a fraction of a second.

    >>> import foreshock as fs
    >>> bars = fs.simulate_market(seed=1, n_symbols=2, n_bars=300).bars
    >>> tiny = {"latent": 2, "hidden": 8, "epochs": 4, "batch_size": 64, "learning_rate": 0.01, "device": "cpu"}
    >>> model = fs.ConditionalVAEScenarios(n_steps=8, **tiny).fit(bars)
    >>> fs.generate_scenarios(model, 10, regime="calm").regime
    'calm'
    """

    name: ClassVar[str] = "conditional_vae"
    conditional: ClassVar[bool] = True
