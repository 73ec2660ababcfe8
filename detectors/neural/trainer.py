"""The trainer that the networks share."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from foreshock.data.errors import ConfigError
from foreshock.data.show.shown import shown
from foreshock.detectors.neural.windows import Windows, clipped

# Share of the windows that are kept for validation, the latest ones.
VALIDATION = 0.15
# Batches are made smaller, down to the smallest size, if an epoch would have fewer batches than this.
FEWEST_BATCHES = 32
SMALLEST_BATCH = 64
# Relative fall of the validation loss that counts as an improvement.
BETTER = 1e-3
# Rows in each pass without gradients.
PASS = 1024

# A loss maps the network, windows (n, length, n_features), their context (n, n_context) and noise to a mean over the windows. The
# noise is uniform bytes, (n, n_uniform), and normal numbers, (n, n_normal).
Loss = Callable[[Any, Tensor, Tensor, Tensor, Tensor], Tensor]
# Called after each epoch with the epoch, its training loss and its validation loss.
OnEpoch = Callable[[int, float, float], None]


@dataclass(frozen=True)
class Settings:
    """Settings of the training of a network.

    Parameters
    ----------
    epochs : int
        Largest number of epochs.
    batch_size : int
        Largest number of windows in a batch; batches are smaller if an epoch would have fewer than 32.
    learning_rate : float
        Learning rate of AdamW at the start; it falls to zero over ``epochs`` along a half cosine.
    patience : int
        Number of epochs without a better validation loss after which training stops.
    clip : float
        Largest norm of the gradient of all weights; a larger gradient is scaled down.
    device : str
        ``"cpu"`` or ``"cuda"``.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    patience: int = 3
    clip: float = 1.0
    device: str = "cpu"

    def rate(self, epoch: int) -> float:
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * epoch / self.epochs))


@dataclass(frozen=True)
class Trained:
    """Number of epochs that were run, and the validation loss of the weights that were kept."""

    epochs: int
    validation_loss: float


@dataclass(frozen=True)
class TrainingData:
    """Training windows and later validation windows as tensors: (n, length, n_features), and their context (n, n_context)."""

    x: Tensor
    context: Tensor
    later_x: Tensor
    later_context: Tensor

    @classmethod
    def of(cls, windows: Windows, device: str = "cpu") -> TrainingData:
        """The windows split by time: the last 15 % are for validation, and no row is in windows of both parts."""
        parts = [as_tensor(part, device) for windows in windows.split(VALIDATION) for part in gathered(windows)]
        return cls(*parts)

    def batch_size(self, most: int) -> int:
        return min(most, max(SMALLEST_BATCH, len(self.x) // FEWEST_BATCHES), len(self.x))


def gathered(windows: Windows) -> tuple[np.ndarray, np.ndarray]:
    x, context = windows.gather()
    return clipped(x), clipped(context)


def as_tensor(x: np.ndarray, device: str = "cpu", dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(x)).to(device=device, dtype=dtype)


class Noise:
    """Order of batches and noise of one training, from its own generator, independent of torch's global state and the device."""

    def __init__(self, net: Any, seed: int, device: str = "cpu") -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.n_uniform, self.n_normal = net.n_uniform, net.n_normal
        self.device = device

    def order(self, n: int) -> Tensor:
        return torch.randperm(n, generator=self.generator)

    def draw(self, n: int) -> tuple[Tensor, Tensor]:
        # A byte is precise enough to decide what is dropped, and each drawn 64-bit number yields eight bytes.
        drawn = torch.randint(-(2**63), 2**63 - 1, (n, -(-self.n_uniform // 8)), generator=self.generator)
        uniform = drawn.view(torch.uint8)[:, : self.n_uniform]
        normal = torch.randn((n, self.n_normal), generator=self.generator)
        return uniform.to(self.device), normal.to(self.device)


def train(
    net: nn.Module,
    loss: Loss,
    data: TrainingData,
    settings: Settings,
    seed: int,
    on_epoch: OnEpoch | None = None,
) -> Trained:
    """Minimise ``loss`` by AdamW with early stopping by the validation loss.

    The network is left with the weights of its lowest validation loss, in evaluation mode.

    Parameters
    ----------
    net : Module
        A network whose ``n_uniform`` and ``n_normal`` are the numbers of noise values per window in ``loss``. The noise of the
        validation loss is drawn once.
    loss : callable
        ``loss(net, x, context, uniform, normal)``; it applies dropout if ``net.training`` is True.
    data : TrainingData
        Training and validation windows.
    settings : Settings
        See there.
    seed : int
        Seed of the order of batches and of the noise.
    on_epoch : callable, optional
        Called after each epoch with the epoch, its training loss and its validation loss.

    Raises
    ------
    ConfigError
        If the loss is not finite.
    """
    noise = Noise(net, seed, settings.device)
    optimiser = adamw(net.parameters(), settings)
    size = data.batch_size(settings.batch_size)
    held_noise = noise.draw(len(data.later_x))
    best, best_loss, stale, epoch = snapshot(net), float("inf"), 0, 0
    for epoch in range(1, settings.epochs + 1):
        net.train()
        for group in optimiser.param_groups:
            group["lr"] = settings.rate(epoch - 1)
        total, n_batches = 0.0, 0
        for chosen in batches(noise.order(len(data.x)), size):
            optimiser.zero_grad(set_to_none=True)
            mean = loss(net, data.x[chosen], data.context[chosen], *noise.draw(size))
            mean.backward()
            clip(net.parameters(), settings.clip)
            optimiser.step()
            total, n_batches = total + float(mean.detach()), n_batches + 1
        held = held_loss(net, loss, data, held_noise)
        check_finite(total, held, epoch)
        if on_epoch is not None:
            on_epoch(epoch, total / n_batches, held)
        stale = 0 if improved(held, best_loss) else stale + 1
        if held < best_loss:
            best, best_loss = snapshot(net), held
        if stale >= settings.patience:
            break
    net.load_state_dict(best)
    net.eval()
    return Trained(epoch, best_loss)


def adamw(parameters: Iterable[Tensor], settings: Settings) -> torch.optim.AdamW:
    """AdamW, not fused: the fused version rounds the last values of a tensor differently, so a stack would learn differently."""
    return torch.optim.AdamW(parameters, lr=settings.learning_rate, foreach=True)


def clip(parameters: Iterable[Tensor], largest: float) -> None:
    """Scale all gradients down to a largest common norm, summing in the same order as a stack of networks does."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norms = torch.stack([torch.linalg.vector_norm(g.flatten()) for g in gradients])
    factor = (largest / (torch.linalg.vector_norm(norms) + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(factor)


def kept(uniform: Tensor, dropped: float) -> tuple[Tensor, float]:
    """Dropout mask from a uniform byte for each value, 1 to keep and 0 to drop; and the share kept, a multiple of 1 / 256."""
    bar = round(256 * dropped)
    # Comparing the bytes would take several times as long as this arithmetic.
    return uniform.float().sub_(bar - 1).clamp(0, 1), 1 - bar / 256


def batches(order: Tensor, size: int) -> Iterator[Tensor]:
    """Full batches; the rest of the order, too short for a batch, is left out of this epoch."""
    for start in range(0, len(order) - size + 1, size):
        yield order[start : start + size]


def held_loss(net: nn.Module, loss: Loss, data: TrainingData, noise: tuple[Tensor, Tensor]) -> float:
    """Mean loss of the validation windows, without dropout."""
    net.eval()
    total, n = 0.0, len(data.later_x)
    with torch.no_grad():
        for start in range(0, n, PASS):
            part = slice(start, start + PASS)
            mean = loss(net, data.later_x[part], data.later_context[part], noise[0][part], noise[1][part])
            total += float(mean) * min(PASS, n - start)
    return total / n


def improved(loss: float, best: float) -> bool:
    """Whether a loss is below the best by more than 0.1 % of its absolute value; losses may be negative."""
    return not math.isfinite(best) or loss < best - BETTER * abs(best)


def check_finite(trained: float, held: float, epoch: int) -> None:
    if not (math.isfinite(trained) and math.isfinite(held)):
        raise ConfigError(f"the loss is not finite after epoch {epoch}: training diverged; lower learning_rate")


def snapshot(net: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in net.state_dict().items()}


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit torch to one thread: small networks are slower on two, and sums would depend on the number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def seeded(build: Callable[[], nn.Module], seed: int) -> nn.Module:
    """A network with initial weights drawn from the seed; torch's global generator is restored."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def pick_device(wanted: str) -> str:
    """The device to compute on; ``"auto"`` is the GPU if there is one, else the CPU.

    Raises
    ------
    ConfigError
        If the device is unknown or missing.
    """
    if wanted not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"device must be 'auto', 'cpu' or 'cuda', got {shown(wanted)}; 'auto' takes the GPU where there is one")
    there = torch.cuda.is_available()
    if wanted == "cuda" and not there:
        raise ConfigError("device is 'cuda', but torch sees no GPU here; use device='auto' or 'cpu'")
    return "cuda" if there and wanted != "cpu" else "cpu"
