"""A generative adversarial network of return windows."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from foreshock.data.errors import ConfigError
from foreshock.detectors.neural.scenarios.model import OnEpoch, ScenarioModel
from foreshock.detectors.neural.scenarios.nets import MOST_DRIFT, bounded, correlation_factor
from foreshock.detectors.neural.trainer import Noise, TrainingData, batches, check_finite, pick_device, seeded

CRITIC_STEPS = 3
PENALTY = 10.0
# The noise starts this many steps before the path, so that the convolutions have a full past at the first step.
KERNEL, DILATIONS = 3, (1, 2, 4, 8)
BEFORE = (KERNEL - 1) * sum(DILATIONS)


class PathGenerator(nn.Module):
    """Generates paths from noise: causal convolutions of noise are the volatility path, other noise the shocks.

    ``x_t = mean_t + exp(s_t) * L e_t`` with mean_t and s_t from the noise up to t, L from one noise vector for the path, and e_t
    normal. Tails are heavy because s_t varies.
    """

    def __init__(self, n_steps: int, n_assets: int, latent: int, hidden: int) -> None:
        super().__init__()
        self.n_steps, self.n_assets, self.latent = n_steps, n_assets, latent
        widths = [2 * latent] + [hidden] * len(DILATIONS)
        self.layers = nn.ModuleList(
            nn.Conv1d(n_in, n_out, KERNEL, dilation=dilation)
            for n_in, n_out, dilation in zip(widths, widths[1:], DILATIONS, strict=False)
        )
        self.head = nn.Conv1d(hidden, 2 * n_assets, 1)
        self.together = nn.Sequential(nn.Linear(latent, hidden), nn.SiLU(), nn.Linear(hidden, n_assets * (n_assets + 1) // 2))
        self.n_uniform = 0
        self.n_normal = latent + latent * (n_steps + BEFORE) + n_steps * n_assets

    def forward(self, normal: Tensor) -> Tensor:
        whole, steps, shocks = normal.split(
            [self.latent, self.latent * (self.n_steps + BEFORE), self.n_steps * self.n_assets], dim=1
        )
        steps = steps.unflatten(1, (self.latent, -1))
        h = torch.cat([steps, whole[:, :, None].expand(-1, -1, steps.shape[2])], dim=1)
        for layer in self.layers:
            h = functional.silu(layer(h))
        location, log_scale = self.head(h).transpose(1, 2).chunk(2, dim=2)
        scale = torch.exp(bounded(log_scale))
        factor = correlation_factor(self.together(whole), self.n_assets)
        shock = shocks.unflatten(1, (self.n_steps, self.n_assets)) @ factor.transpose(1, 2)
        return scale * (MOST_DRIFT * torch.tanh(location) + shock)


class PathCritic(nn.Module):
    """Scores a path by dense layers on compressed returns, their size, and the means of both over the steps."""

    def __init__(self, n_steps: int, n_assets: int, hidden: int) -> None:
        super().__init__()
        n_inputs = 2 * n_assets * (n_steps + 1)
        self.layers = nn.Sequential(
            nn.Linear(n_inputs, 4 * hidden), nn.SiLU(), nn.Linear(4 * hidden, 2 * hidden), nn.SiLU(), nn.Linear(2 * hidden, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        seen = torch.cat([torch.asinh(x), torch.sqrt(torch.asinh(x) ** 2 + 0.01)], dim=2)
        return self.layers(torch.cat([seen.flatten(1), seen.mean(dim=1)], dim=1))[:, 0]


class GANScenarios(ScenarioModel):
    """Wasserstein GAN with gradient penalty [1]_ whose generator emits a volatility path and shocks [2]_.

    The critic's loss is ``E D(fake) - E D(real) + 10 E (|grad D| - 1)^2``, with three critic steps for each generator step. A GAN
    has no validation loss by which to stop, so it trains for all ``epochs``, and the final weights are the average over the
    generator steps of the last half. The parameters are those of ``ScenarioModel``, with other defaults: ``n_steps=24`` bars of a
    path, ``latent=4``, ``hidden=48``, ``epochs=40``, ``batch_size=128``, ``learning_rate=5e-4``, ``max_windows=8_000``,
    ``seed=0`` and ``device="auto"``.

    Raises
    ------
    ConfigError
        By ``fit``, if a parameter is out of range, or training fails.
    DataError
        By ``fit``, if there are fewer than 200 windows with all returns known.

    References
    ----------
    .. [1] Gulrajani, Ahmed, Arjovsky, Dumoulin and Courville (2017), Improved training of Wasserstein GANs.
    .. [2] Wiese, Knobloch, Korn and Kretschmer (2020), Quant GANs: deep generation of financial time series.

    Examples
    --------
    A tiny network that trains in a fraction of a second.

    >>> import foreshock as fs
    >>> bars = fs.simulate_market(seed=1, n_symbols=2, n_bars=300).bars
    >>> model = fs.GANScenarios(n_steps=8, latent=2, hidden=8, epochs=1, device="cpu").fit(bars)
    >>> model.sample(5).shape
    (5, 8, 2)
    """

    name: ClassVar[str] = "gan"

    def __init__(self, **shared: Any) -> None:
        super().__init__(**{"latent": 4, "epochs": 40, "batch_size": 128, "learning_rate": 5e-4, **shared})

    def _network(self, n_assets: int) -> PathGenerator:
        return PathGenerator(self.n_steps, n_assets, self.latent, self.hidden)

    def _train(self, data: TrainingData, on_epoch: OnEpoch | None) -> tuple[nn.Module, dict[str, float]]:
        device = pick_device(self.device)
        n_assets = data.x.shape[2]
        # A GAN has no early stopping, so it learns from the validation windows too.
        x = torch.cat([data.x, data.later_x])
        net: Any = seeded(lambda: self._network(n_assets), self.seed).to(device)
        critic = seeded(lambda: PathCritic(self.n_steps, n_assets, self.hidden), self.seed + 1).to(device)
        noise = Noise(net, self.seed, device)
        betas = (0.0, 0.9)
        makes = torch.optim.Adam(net.parameters(), lr=self.learning_rate, betas=betas)
        judges = torch.optim.Adam(critic.parameters(), lr=self.learning_rate, betas=betas)
        size = data.batch_size(self.batch_size)
        average, n_averaged, step, gap = {}, 0, 0, 0.0
        for epoch in range(1, self.epochs + 1):
            for optimiser in (makes, judges):
                optimiser.param_groups[0]["lr"] = self.learning_rate * min(1.0, 2 * (1 - (epoch - 1) / self.epochs))
            for chosen in batches(noise.order(len(x)), size):
                step += 1
                gap = self._judge(net, critic, judges, x[chosen], noise)
                if step % CRITIC_STEPS:
                    continue
                makes.zero_grad(set_to_none=True)
                loss = -critic(net(noise.draw(size)[1])).mean()
                loss.backward()
                nn.utils.clip_grad_norm_(net.parameters(), 1.0)
                makes.step()
                if epoch > self.epochs / 2:
                    n_averaged += 1
                    for name, value in net.state_dict().items():
                        average[name] = value.clone() if n_averaged == 1 else average[name].lerp(value, 1 / n_averaged)
            try:
                check_finite(gap, gap, epoch)
            except ConfigError as error:
                raise ConfigError(f"{self.name}: {error}") from error
            if on_epoch is not None:
                on_epoch(epoch, gap, gap)
        if average:
            net.load_state_dict(average)
        net.eval()
        self._check_collapse(net, x, noise)
        return net, {"epochs": self.epochs, "critic_gap": gap}

    def _judge(self, net: Any, critic: nn.Module, optimiser: Any, real: Tensor, noise: Noise) -> float:
        """One step of the critic; returns the difference of its mean score between real and generated paths."""
        with torch.no_grad():
            fake = net(noise.draw(len(real))[1])
        share = torch.rand((len(real), 1, 1), generator=noise.generator).to(real.device)
        between = (share * real + (1 - share) * fake).requires_grad_(True)
        (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
        penalty = ((torch.sqrt((slope**2).sum(dim=(1, 2)) + 1e-12) - 1) ** 2).mean()
        gap = critic(real).mean() - critic(fake).mean()
        optimiser.zero_grad(set_to_none=True)
        (PENALTY * penalty - gap).backward()
        optimiser.step()
        return float(gap.detach())

    def _check_collapse(self, net: Any, x: Tensor, noise: Noise) -> None:
        """Refuse a generator whose paths hardly differ from each other in size."""
        with torch.no_grad():
            sizes = [torch.log((paths**2).mean(dim=(1, 2)) + 1e-12).std() for paths in (net(noise.draw(len(x))[1]), x)]
        if not float(sizes[0]) > 0.1 * float(sizes[1]):
            raise ConfigError(
                f"{self.name} has collapsed: its paths are all alike, their log size varies by {float(sizes[0]):.3f}, that of real "
                f"ones by {float(sizes[1]):.3f}; lower learning_rate, raise epochs, or pass more rows"
            )

    def _learn_codes(self, net: Any, x: Tensor, context: Tensor) -> dict[str, Tensor]:  # noqa: ARG002 - draws from noise alone
        return {}

    def _draw(self, net: PathGenerator, n: int, regime: str | None, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        return net(torch.randn((n, net.n_normal), generator=generator))
