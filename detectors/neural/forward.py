"""Dense networks row by row without BLAS: each sum in a fixed order, so that the rows beside a row change no bit of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

LINEAR, RELU, SIGMOID = 0, 1, 2


@dataclass(frozen=True)
class Layer:
    """One layer: activation(scale * (x @ weight) + shift), with batch normalisation folded into scale and shift.

    Parameters
    ----------
    weight : ndarray, shape (n_in, n_out)
    scale, shift : ndarray, shape (n_out,)
    activation : int
        LINEAR, RELU or SIGMOID.
    """

    weight: np.ndarray
    scale: np.ndarray
    shift: np.ndarray
    activation: int


class DenseForward:
    """An autoencoder of dense layers: rebuilds rows from their code and a context that coder and decoder both see.

    Parameters
    ----------
    encoder, decoder : sequence of Layer
        Layers in turn; the first of each also takes the context.
    """

    def __init__(self, encoder: Sequence[Layer], decoder: Sequence[Layer]) -> None:
        layers = [*encoder, *decoder]
        self._first = len(encoder)
        self._shapes = np.array([layer.weight.shape for layer in layers], dtype=np.int64)
        self._activation = np.array([layer.activation for layer in layers], dtype=np.int64)
        self._weights = np.concatenate([np.ascontiguousarray(layer.weight, dtype=np.float64).ravel() for layer in layers])
        self._scales, self._shifts = (
            np.concatenate([np.asarray(getattr(layer, name), dtype=np.float64) for layer in layers]) for name in ("scale", "shift")
        )

    def rebuilt(self, x: np.ndarray, context: np.ndarray) -> np.ndarray:
        """Rows as the network rebuilds them: (n, n_in) and (n, n_context) to (n, n_in)."""
        x, context = (np.ascontiguousarray(part, dtype=np.float64) for part in (x, context))
        parts = self._weights, self._scales, self._shifts, self._shapes, self._activation
        return _forward_nb(x, context, *parts, self._first)


def dense_forward(detector: Any, net: Any) -> DenseForward | None:
    """The network in numpy, if it is one of foreshock's dense autoencoders and scored by its rebuilt row; else None."""
    layers = getattr(net, "dense_layers", None)
    ours = type(net).__module__.startswith("foreshock.") and type(detector).__module__.startswith("foreshock.")
    return DenseForward(*layers()) if ours and layers is not None else None


@njit(cache=True, nogil=True)
def _forward_nb(x, context, weights, scales, shifts, shapes, activation, first):
    """Layers of one row after another; the inner loop runs over the outputs of a layer, so that it has no sum to reorder."""
    n, n_in = x.shape
    n_context = context.shape[1]
    widest = max(shapes.max(), n_in + n_context)
    out = np.empty((n, shapes[-1, 1]))
    now = np.empty(widest)
    following = np.empty(widest)
    for row in range(n):
        now[:n_in] = x[row]
        at = 0
        to = 0
        for layer in range(len(shapes)):
            wide, n_out = shapes[layer]
            if layer in (0, first):
                now[wide - n_context : wide] = context[row]
            following[:n_out] = 0.0
            for j in range(wide):
                value = now[j]
                part = weights[at : at + n_out]
                for i in range(n_out):
                    following[i] += value * part[i]
                at += n_out
            for i in range(n_out):
                value = following[i] * scales[to + i] + shifts[to + i]
                if activation[layer] == 1:
                    value = max(value, 0.0)
                elif activation[layer] == 2:
                    value = 1.0 / (1.0 + np.exp(-value))
                now[i] = value
            to += n_out
        out[row] = now[: shapes[-1, 1]]
    return out
