"""Functions that sum in the same order for one network and, under vmap, for a stack of networks.

With torch's own functions the two round differently, and training amplifies the difference. The functions here also make few
passes over the rows, on which small networks spend most of their time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

# Added to a variance before its root is taken, to avoid division by zero.
EPSILON = 1e-5


def product(x: Tensor, weight: Tensor) -> Tensor:
    """Rows times the transpose of a weight; shapes (n, n_in) and (n_out, n_in)."""
    return _Product.apply(x, weight)  # pyright: ignore[reportReturnType]


def normalise(x: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Standardised columns times a weight, plus a bias; and the mean and variance of the columns.

    The results have shapes (n, width), (width,) and (width,). No gradient flows through the returned mean and variance.
    """
    return _Normalise.apply(x, weight, bias)[:3]  # pyright: ignore


class _Product(Function):
    @staticmethod
    def forward(x: Tensor, weight: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return x @ weight.mT

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:  # noqa: ARG004
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        x, weight = ctx.saved_tensors
        g = gradients[0]
        return g @ weight if ctx.needs_input_grad[0] else None, g.mT @ x

    @staticmethod
    def vmap(info: Any, in_dims: Any, *inputs: Tensor) -> Any:
        return _Product.apply(*_stacked(info, in_dims, inputs)), 0


class _Normalise(Function):
    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        mean = x.mean(dim=-2)
        centred = x - mean.unsqueeze(-2)
        var = (centred * centred).mean(dim=-2)
        rate = torch.rsqrt(var + EPSILON)
        out = torch.addcmul(bias.unsqueeze(-2), centred, (weight * rate).unsqueeze(-2))
        return out, mean, var, centred, rate

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
        _, mean, var, centred, rate = output
        ctx.mark_non_differentiable(mean, var, centred, rate)
        ctx.save_for_backward(inputs[1], centred, rate)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        weight, centred, rate = ctx.saved_tensors
        g, n = gradients[0], centred.shape[-2]
        to_bias = g.sum(dim=-2)
        to_weight = rate * (g * centred).sum(dim=-2)
        # (g - sum(g) / n - unit * sum(g * unit) / n) * weight * rate with unit = centred * rate
        scale = weight * rate
        level, slope = -scale * to_bias / n, -scale * rate * to_weight / n
        to_x = torch.addcmul(level.unsqueeze(-2), centred, slope.unsqueeze(-2)).addcmul_(g, scale.unsqueeze(-2))
        return to_x, to_weight, to_bias

    @staticmethod
    def vmap(info: Any, in_dims: Any, *inputs: Tensor) -> Any:
        return _Normalise.apply(*_stacked(info, in_dims, inputs)), (0, 0, 0, 0, 0)


def _stacked(info: Any, in_dims: Sequence[int | None], inputs: Sequence[Tensor]) -> list[Tensor]:
    """The arguments with one network per position of their first axis."""
    return [
        value.expand(info.batch_size, *value.shape) if dim is None else value.movedim(dim, 0)
        for value, dim in zip(inputs, in_dims, strict=True)
    ]
