"""What each feature of the newest row of a window added to the score of a network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from foreshock.detectors.neural.trainer import as_tensor, one_thread, pick_device
from foreshock.detectors.neural.windows import Windows, clipped
from foreshock.engine.features.features import Features

# Rows in each pass when scoring. The last pass is padded, because rounding depends on the shape of the arrays.
BATCH = 512
# From network, model, windows, their context and the windows before clipping to values of each window.
Errors = Callable[[Any, dict[str, Any], Tensor, Tensor, Tensor], Tensor]


def variants_of_windows(detector: Any, features: Features, rows: np.ndarray, symbols: np.ndarray) -> np.ndarray:
    """Scores at some places, and those with one feature of the newest row at a time at its typical value, (n, 1 + n_features)."""
    n_features = len(features.names)
    found = np.full((len(rows), 1 + n_features), np.nan)
    for chosen, windows, model in _at_places(detector, features, rows, symbols):
        net = _network(detector, windows, model)
        for k in range(1 + n_features):
            found[chosen, k] = _values(detector, net, model, windows, detector._errors, k - 1 if k else None)
    return found


def squares_of_windows(detector: Any, features: Features, rows: np.ndarray, symbols: np.ndarray) -> np.ndarray:
    """Each feature's share of the mean squared error of the newest row at some places, (n, n_features)."""

    def squares(net: Any, _model: dict[str, Any], x: Tensor, context: Tensor, target: Tensor) -> Tensor:
        return (target[:, -1] - detector._rebuilt(net, x, context)[:, -1]).square() / target.shape[2]

    found = np.full((len(rows), len(features.names)), np.nan)
    for chosen, windows, model in _at_places(detector, features, rows, symbols):
        found[chosen] = _values(detector, _network(detector, windows, model), model, windows, squares, None)
    return found


def _at_places(
    detector: Any, features: Features, rows: np.ndarray, symbols: np.ndarray
) -> list[tuple[np.ndarray, Windows, dict[str, Any]]]:
    """The places that have a complete window and a model: their positions, windows and model, by model."""
    windows = detector._windows(features)
    complete = np.zeros(windows.values.shape[:2], dtype=bool)
    complete[windows.rows, windows.cols] = True
    known = complete[rows, symbols]
    places = np.array([detector.symbols_.index(name) if name in detector.symbols_ else -1 for name in features.symbols])
    model_of = np.zeros_like(rows) if detector.pool else places[symbols]
    found = []
    for k in np.unique(model_of[known]):
        chosen = np.flatnonzero(known & (model_of == k))
        if k >= 0 and detector.models_[k]:
            own = Windows(windows.values, windows.context, windows.length, rows[chosen], symbols[chosen])
            found.append((chosen, own, detector.models_[k]))
    return found


def _network(detector: Any, windows: Windows, model: dict[str, Any]) -> Any:
    net = detector._restored(windows.values.shape[2], windows.context.shape[1], model)
    return net.double().to(pick_device(detector.device))


def _values(detector: Any, net: Any, model: dict[str, Any], windows: Windows, errors: Errors, replaced: int | None) -> np.ndarray:
    device, found = pick_device(detector.device), []
    with one_thread(), torch.no_grad():
        for start in range(0, len(windows), BATCH):
            x, context = windows.gather(slice(start, start + BATCH))
            missing = BATCH - len(x)
            # Padding copies, so the history stays as it is.
            x, context = np.pad(x, ((0, missing), (0, 0), (0, 0))), np.pad(context, ((0, missing), (0, 0)))
            if replaced is not None:
                # Features are standardised by their medians, so the typical value is zero.
                x[:, -1, replaced] = 0.0
            target, seen, state = (as_tensor(part, device, torch.float64) for part in (x, clipped(x), clipped(context)))
            found.append(errors(net, model, seen, state, target).cpu().numpy()[: BATCH - missing])
    return np.concatenate(found)
