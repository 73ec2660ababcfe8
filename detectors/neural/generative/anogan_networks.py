"""Generator, critic and encoder of the AnoGAN: 1-D convolutions over time or over the levels of an order book."""

from __future__ import annotations

import re
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from foreshock.data.errors import ConfigError
from foreshock.data.show.shown import few

Layout = Literal["auto", "time", "levels"]
# Largest size of a code, in standard deviations of the prior; the generator is not trained on codes further out.
CODE_BOUND = 3.0
SLOPE = 0.2
FEWEST_CHANNELS = 16
FEWEST_LEVELS = 4


class Grid(nn.Module):
    """Rearranges windows (n, window, n_features) to (n, channels, length) for a convolution, and back.

    With layout ``"time"`` the features are the channels. With ``"levels"``, features whose names differ only in a last number 0,
    1, ... form one channel of that length; any other feature is a channel with the same value at every level; and each row of the
    window has its own channels.

    Parameters
    ----------
    names : tuple of str
        Names of the features.
    window : int
        Number of rows in a window.
    layout : {"auto", "time", "levels"}
        ``"auto"`` uses levels if the features have any, else time.
    """

    index: Tensor
    back: Tensor

    def __init__(self, names: tuple[str, ...], window: int, layout: Layout) -> None:
        super().__init__()
        groups = {} if layout == "time" else level_groups(names)
        if layout == "levels" and not groups:
            raise ConfigError(
                f"layout='levels' needs features such as bids_notional_0, bids_notional_1, ... with no level missing, got "
                f"{few(names)}; add the missing levels or use layout='time'"
            )
        self.window, self.n_features, self.over_levels = window, len(names), bool(groups)
        n_levels = max(map(len, groups.values()), default=1)
        grouped = {name for group in groups.values() for name in group}
        rows = [[names.index(name) for name in group] for group in groups.values()]
        rows += [[i] * n_levels for i, name in enumerate(names) if name not in grouped]
        index = torch.tensor(rows)
        back = functional.one_hot(index.flatten(), len(names)).double()
        self.register_buffer("index", index, persistent=False)
        self.register_buffer("back", back / back.sum(dim=0), persistent=False)
        self.channels, self.length = (window * len(rows), n_levels) if groups else (len(names), window)

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, self.index].flatten(1, 2) if self.over_levels else x.transpose(1, 2)

    def windows(self, y: Tensor) -> Tensor:
        """The windows of a grid; a feature with the same value at every level gets the mean over the levels."""
        if not self.over_levels:
            return y.transpose(1, 2)
        return y.reshape(len(y), self.window, -1) @ self.back.to(y.dtype)


def level_groups(names: tuple[str, ...]) -> dict[str, list[str]]:
    """Features grouped by the name before their level, in order of level; only complete runs 0, 1, ... of the largest length.

    >>> level_groups(("spread", *(f"bids_{i}" for i in range(4)), *(f"asks_{i}" for i in (0, 2, 3)), "volatility_20"))
    {'bids': ['bids_0', 'bids_1', 'bids_2', 'bids_3']}
    """
    found: dict[str, dict[int, str]] = {}
    for name in names:
        if match := re.fullmatch(r"(.+)_(0|[1-9]\d{0,3})", name):
            found.setdefault(match[1], {})[int(match[2])] = name
    whole = {key: [run[i] for i in range(len(run))] for key, run in found.items() if set(run) == set(range(len(run)))}
    longest = max(map(len, whole.values()), default=0)
    return {key: levels for key, levels in whole.items() if len(levels) == longest >= FEWEST_LEVELS}


def lengths(length: int) -> list[int]:
    """Lengths of the layers; each is half of the one before, rounded up, at most twice and only while above 4.

    >>> lengths(24), lengths(15), lengths(1)
    ([24, 12, 6], [15, 8, 4], [1])
    """
    out = [length]
    while out[-1] > 4 and len(out) < 3:
        out.append((out[-1] + 1) // 2)
    return out


def channels_of(width: int, length: int) -> int:
    """Number of channels with which the shortest layer has about ``width`` values, at least 16."""
    return max(FEWEST_CHANNELS, width // lengths(length)[-1])


class Trunk(nn.Module):
    """From (n, channels, length) to ``width`` features: a convolution for each length, of stride 2 after the first, then dense."""

    def __init__(self, channels: int, length: int, width: int) -> None:
        super().__init__()
        inner = channels_of(width, length)
        layers: list[nn.Module] = []
        for i, _ in enumerate(lengths(length)):
            layers += [conv(inner if i else channels, inner, length, stride=2 if i else 1), nn.LeakyReLU(SLOPE)]
        self.layers = nn.Sequential(*layers)
        self.dense = nn.Linear(inner * lengths(length)[-1], width)

    def forward(self, x: Tensor) -> Tensor:
        return functional.leaky_relu(self.dense(self.layers(x).flatten(1)), SLOPE)


class Head(nn.Module):
    """A trunk and one linear layer: the critic with one output, the encoder with one for each entry of the code."""

    def __init__(self, grid: Grid, width: int, n_out: int) -> None:
        super().__init__()
        self.trunk = Trunk(grid.channels, grid.length, width)
        self.out = nn.Linear(width, n_out)


class Generator(nn.Module):
    """From a code to (n, channels, length): dense layers, then nearest-neighbour upsampling and a convolution for each length."""

    def __init__(self, grid: Grid, width: int, latent: int) -> None:
        super().__init__()
        self.lengths = lengths(grid.length)[::-1]
        self.inner = channels_of(width, grid.length)
        self.dense = nn.Sequential(
            nn.Linear(latent, width), nn.LeakyReLU(SLOPE), nn.Linear(width, self.inner * self.lengths[0]), nn.LeakyReLU(SLOPE)
        )
        self.layers = nn.ModuleList(conv(self.inner, self.inner, grid.length) for _ in self.lengths)
        self.out = conv(self.inner, grid.channels, grid.length)

    def forward(self, code: Tensor) -> Tensor:
        y = self.dense(code).unflatten(1, (self.inner, self.lengths[0]))
        for length, layer in zip(self.lengths, self.layers, strict=True):
            y = y if y.shape[2] == length else functional.interpolate(y, size=length, mode="nearest")
            y = functional.leaky_relu(layer(y), SLOPE)
        return self.out(y)


class AnoganNet(nn.Module):
    """Generator, critic and encoder, each with windows (n, window, n_features) as input or output."""

    n_uniform = 0
    n_normal = 0

    def __init__(self, names: tuple[str, ...], window: int, layout: Layout, latent: int, width: int) -> None:
        super().__init__()
        self.latent = latent
        self.grid = Grid(names, window, layout)
        self.generator = Generator(self.grid, width, latent)
        self.critic = Head(self.grid, width, 1)
        self.encoder = Head(self.grid, width, latent)

    def decode(self, code: Tensor, context: Tensor | None = None) -> Tensor:  # noqa: ARG002 - as the other networks'
        """Windows that the generator generates from codes (n, latent)."""
        return self.grid.windows(self.generator(code))

    def judge(self, x: Tensor) -> Tensor:
        """The critic's output for each window, (n,); higher for real windows."""
        return self.critic.out(self.features(x))[:, 0]

    def features(self, x: Tensor) -> Tensor:
        """The critic's last hidden layer, (n, width)."""
        return self.critic.trunk(self.grid(x))

    def encode(self, x: Tensor) -> Tensor:
        """Codes (n, latent), each entry within ``CODE_BOUND`` of zero."""
        return CODE_BOUND * torch.tanh(self.encoder.out(self.encoder.trunk(self.grid(x))) / CODE_BOUND)


class Pointwise(nn.Conv1d):
    """A convolution over one position, computed as a matrix product; training then takes two thirds of the time."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.linear(input[:, :, 0], self.weight[:, :, 0], self.bias)[:, :, None]


def conv(n_in: int, n_out: int, length: int, stride: int = 1) -> nn.Conv1d:
    """A convolution of width 3, or of width 1 if the length is 1."""
    return nn.Conv1d(n_in, n_out, 3, stride=stride, padding=1) if length > 1 else Pointwise(n_in, n_out, 1)
