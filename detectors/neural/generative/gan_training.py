"""Adversarial training of a generator and its critic."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

from foreshock.data.errors import ConfigError

GanLoss = Literal["wgan_gp", "original"]
# Weight of the gradient penalty, and critic steps for each generator step, as in Gulrajani et al. (2017).
PENALTY = 10.0
CRITIC_STEPS = 5
# Windows in each step. Many small steps train both networks better than a few large ones.
BATCH = 128
# The learning rates fall to this share of their start along a half cosine.
LAST_RATE = 0.05
# A generator has collapsed if its windows vary by less than this share of the variation of real windows.
CONSTANT = 0.05
CHECK_EVERY = 50


@dataclass(frozen=True)
class GanSettings:
    """Settings of the adversarial training.

    Parameters
    ----------
    loss : {"wgan_gp", "original"}
        Wasserstein distance with gradient penalty [1]_, with five critic steps for each generator step; or the logistic loss of
        [2]_ with the non-saturating generator, with one critic step for each.
    steps : int
        Number of generator steps.
    learning_rate : float
        Learning rate of Adam at the start, for both networks.

    References
    ----------
    .. [1] Gulrajani, Ahmed, Arjovsky, Dumoulin and Courville (2017), Improved training of Wasserstein GANs.
    .. [2] Goodfellow et al. (2014), Generative adversarial nets.
    """

    loss: GanLoss
    steps: int
    learning_rate: float


def train_gan(net: Any, x: Tensor, settings: GanSettings, seed: int) -> None:
    """Train ``net.generator`` and ``net.critic`` on windows ``x``, (n, window, n_features).

    Raises
    ------
    ConfigError
        If a loss is not finite, or the generator returns nearly the same window for every code.
    """
    noise = torch.Generator().manual_seed(seed)
    wasserstein = settings.loss == "wgan_gp"
    betas = (0.0, 0.9) if wasserstein else (0.5, 0.999)
    size = min(BATCH, len(x))
    players = [net.generator, net.critic]
    makers, critics = [torch.optim.Adam(part.parameters(), settings.learning_rate, betas, fused=True) for part in players]

    def codes() -> Tensor:
        return torch.randn((size, net.latent), generator=noise).to(x.device)

    net.train()
    for step in range(settings.steps):
        falling = 0.5 * (1 + math.cos(math.pi * step / settings.steps))
        for optimiser in (makers, critics):
            optimiser.param_groups[0]["lr"] = settings.learning_rate * (LAST_RATE + (1 - LAST_RATE) * falling)
        net.critic.requires_grad_(True)
        judged = torch.zeros(())
        for _ in range(CRITIC_STEPS if wasserstein else 1):
            real = x[torch.randint(len(x), (size,), generator=noise)]
            with torch.no_grad():
                fake = net.decode(codes())
            judged = critic_loss(net, real, fake, torch.rand((size, 1, 1), generator=noise).to(x.device) if wasserstein else None)
            critics.zero_grad(set_to_none=True)
            judged.backward()
            critics.step()
        net.critic.requires_grad_(False)
        opinion = net.judge(net.decode(codes()))
        made = -opinion.mean() if wasserstein else functional.softplus(-opinion).mean()
        makers.zero_grad(set_to_none=True)
        made.backward()
        makers.step()
        if (step + 1) % CHECK_EVERY == 0 or step + 1 == settings.steps:
            check_finite_losses(float(judged.detach()), float(made.detach()), step + 1)
    net.eval()
    check_variety(net, x, codes())


def critic_loss(net: Any, real: Tensor, fake: Tensor, mix: Tensor | None) -> Tensor:
    """Loss of the critic: logistic if ``mix`` is None, else Wasserstein with a penalty on windows mixed by it (uniform on 0-1)."""
    opinion = net.judge(torch.cat([real, fake]))
    of_real, of_fake = opinion[: len(real)], opinion[len(real) :]
    if mix is None:
        return functional.softplus(-of_real).mean() + functional.softplus(of_fake).mean()
    between = (mix * real + (1 - mix) * fake).requires_grad_(True)
    (slope,) = torch.autograd.grad(net.judge(between).sum(), between, create_graph=True)
    # The derivative of the square root is infinite at zero, hence the small constant.
    norm = (slope.flatten(1).square().sum(dim=1) + 1e-12).sqrt()
    return of_fake.mean() - of_real.mean() + PENALTY * (norm - 1).square().mean()


def check_finite_losses(critic: float, generator: float, step: int) -> None:
    if not (math.isfinite(critic) and math.isfinite(generator)):
        raise ConfigError(
            f"the losses of critic and generator are {critic:.3g} and {generator:.3g} after step {step}: training diverged; "
            f"lower learning_rate, or use loss='wgan_gp'"
        )


@torch.no_grad()
def check_variety(net: Any, x: Tensor, codes: Tensor) -> None:
    """Refuse a generator whose windows hardly vary with the code."""
    generated, real = (part.double().std(dim=0).square().mean().sqrt() for part in (net.decode(codes), x))
    if float(real) > 1e-3 and not float(generated) > CONSTANT * float(real):
        raise ConfigError(
            f"the generator has collapsed: its windows vary by {float(generated):.2g} where real ones vary by {float(real):.2g}; "
            f"use loss='wgan_gp', lower learning_rate or raise steps"
        )
