"""Dense networks of several folds or seeds, trained together by ``torch.func.vmap``."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from foreshock.detectors.neural.trainer import (
    Loss,
    Noise,
    Settings,
    Trained,
    TrainingData,
    adamw,
    batches,
    check_finite,
    held_loss,
    improved,
    snapshot,
)


def train_together(
    nets: Sequence[nn.Module],
    loss: Loss,
    data: Sequence[TrainingData],
    settings: Settings,
    seeds: Sequence[int],
) -> list[Trained]:
    """Train each network on its own data, together with all networks that have as many batches of the same size in an epoch.

    Each network has its own order of batches, noise, gradient norm and early stop, and the stack sums in the same order as
    ``train``. The result therefore equals that of training the network alone, whatever other networks there are.
    """
    sizes = [part.batch_size(settings.batch_size) for part in data]
    shapes = [(size, len(part.x) // size) for size, part in zip(sizes, data, strict=True)]
    out: dict[int, Trained] = {}
    for shape in dict.fromkeys(shapes):
        group = [i for i, found in enumerate(shapes) if found == shape]
        members = [(nets[i], data[i], seeds[i]) for i in group]
        out |= dict(zip(group, _train_group(members, loss, settings, shape[0]), strict=True))
    return [out[i] for i in range(len(nets))]


class _Stack:
    """The weights of the networks still in training, stacked along the first axis of each parameter, and their optimiser."""

    def __init__(self, nets: Sequence[nn.Module], settings: Settings) -> None:
        parameters, self.buffers = stack_module_state(list(nets))
        self.parameters = {name: value.detach().requires_grad_() for name, value in parameters.items()}
        self.settings = settings
        self.optimiser = adamw(list(self.parameters.values()), settings)

    def step(self, losses: Tensor, rate: float) -> None:
        """One AdamW step in which the gradient of each network is clipped by its own norm."""
        self.optimiser.zero_grad(set_to_none=True)
        # The loss of a network depends on its own weights only, so the gradient of the sum is the gradient of each loss.
        losses.sum().backward()
        gradients = [parameter.grad for parameter in self.parameters.values() if parameter.grad is not None]
        # One row for each network, because a sum down columns is taken in another order if there is only one network.
        norms = torch.stack([torch.linalg.vector_norm(g.flatten(1), dim=1) for g in gradients], dim=1)
        factor = (self.settings.clip / (torch.linalg.vector_norm(norms, dim=1) + 1e-6)).clamp(max=1.0)
        for gradient in gradients:
            gradient.mul_(factor.view(-1, *[1] * (gradient.ndim - 1)))
        self.optimiser.param_groups[0]["lr"] = rate
        self.optimiser.step()

    def keep(self, alive: list[int]) -> None:
        """Keep the networks at the positions ``alive`` and drop those that have stopped."""
        old = [self.optimiser.state[parameter] for parameter in self.parameters.values()]
        self.parameters = {name: value.detach()[alive].requires_grad_() for name, value in self.parameters.items()}
        self.buffers = {name: value[alive] for name, value in self.buffers.items()}
        self.optimiser = adamw(list(self.parameters.values()), self.settings)
        for parameter, state in zip(self.parameters.values(), old, strict=True):
            self.optimiser.state[parameter] = {key: value[alive] if value.ndim else value for key, value in state.items()}

    def write(self, member: int, net: nn.Module) -> None:
        net.load_state_dict({name: value[member] for part in (self.parameters, self.buffers) for name, value in part.items()})


class _Lossy(nn.Module):
    """A network whose forward pass returns its loss, because ``functional_call`` calls the forward pass."""

    def __init__(self, net: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.net = net
        self.loss = loss

    def forward(self, *args: Tensor) -> Tensor:
        return self.loss(self.net, *args)


def _train_group(
    members: Sequence[tuple[nn.Module, TrainingData, int]], loss: Loss, settings: Settings, size: int
) -> list[Trained]:
    nets, data, seeds = zip(*members, strict=True)
    noises = [Noise(net, seed, settings.device) for net, seed in zip(nets, seeds, strict=True)]
    held_noises = [noise.draw(len(part.later_x)) for noise, part in zip(noises, data, strict=True)]
    stack = _Stack(nets, settings)
    skeleton = _Lossy(copy.deepcopy(nets[0]).to("meta").train(), loss)

    def loss_of(parameters: dict[str, Tensor], buffers: dict[str, Tensor], *args: Tensor) -> Tensor:
        named = {f"net.{name}": value for part in (parameters, buffers) for name, value in part.items()}
        return functional_call(skeleton, named, args)

    losses_of = vmap(loss_of)
    best: list[Any] = [snapshot(net) for net in nets]
    best_loss, stale, epochs = [float("inf")] * len(nets), [0] * len(nets), [0] * len(nets)
    alive = list(range(len(nets)))
    for epoch in range(1, settings.epochs + 1):
        total = torch.zeros(len(alive))
        orders = [list(batches(noises[i].order(len(data[i].x)), size)) for i in alive]
        for chosen in zip(*orders, strict=True):
            parts = [(data[i].x[rows], data[i].context[rows], *noises[i].draw(size)) for i, rows in zip(alive, chosen, strict=True)]
            losses = losses_of(stack.parameters, stack.buffers, *map(torch.stack, zip(*parts, strict=True)))
            stack.step(losses, settings.rate(epoch - 1))
            total += losses.detach().cpu()
        stopped = []
        for place, i in enumerate(alive):
            stack.write(place, nets[i])
            held = held_loss(nets[i], loss, data[i], held_noises[i])
            check_finite(float(total[place]), held, epoch)
            epochs[i] = epoch
            stale[i] = 0 if improved(held, best_loss[i]) else stale[i] + 1
            if held < best_loss[i]:
                best[i], best_loss[i] = snapshot(nets[i]), held
            if stale[i] >= settings.patience:
                stopped.append(i)
        if stopped:
            left = [place for place, i in enumerate(alive) if i not in stopped]
            alive = [alive[place] for place in left]
            if not alive:
                break
            stack.keep(left)
    for net, weights in zip(nets, best, strict=True):
        net.load_state_dict(weights)
        net.eval()
    return [Trained(*pair) for pair in zip(epochs, best_loss, strict=True)]
