"""Networks row by row: built once from their weights, and passed no more windows than there are symbols."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from foreshock.detectors.neural.forward import DenseForward, dense_forward
from foreshock.detectors.neural.trainer import as_tensor, one_thread, pick_device
from foreshock.detectors.neural.windows import Windows, clipped
from foreshock.detectors.stream import RingStream
from foreshock.engine.features.features import Features


class NetworkStream(RingStream):
    """Scores of a network's newest windows; passes are padded to the number of symbols, so that all have one shape."""

    def __init__(self, detector: Any, features: Features) -> None:
        super().__init__(detector, features)
        self._device = pick_device(detector.device)
        places = [detector.symbols_.index(name) if name in detector.symbols_ else -1 for name in features.symbols]
        # The model of each symbol: one for all, or each its own, where it has one.
        self._models = np.zeros(len(places), dtype=np.int64) if detector.pool else np.array(places)
        n_context = detector._n_context(len(features.names))
        self._nets = [
            detector._restored(len(features.names), n_context, model).double().to(self._device) if model else None
            for model in detector.models_
        ]
        by_row = type(detector)._errors is type(detector)._default_errors
        self._dense = [dense_forward(detector, net) if net is not None and by_row else None for net in self._nets]
        self._center, self._scale = detector.scaler._of(features)

    def _step(self, row: np.ndarray, time: int) -> np.ndarray:
        self._append(row, time)
        features = self._tail()
        out = np.full(len(row), np.nan)
        windows = self.detector._windows_of((features.values - self._center) / self._scale, features)
        newest = windows.take(windows.rows == features.n_rows - 1)
        if not len(newest):
            return out
        with one_thread(), torch.no_grad():
            for place in np.unique(self._models[newest.cols]):
                net = self._nets[place] if place >= 0 else None
                if net is not None:
                    group = newest.take(self._models[newest.cols] == place)
                    dense = self._dense[place]
                    errors = (
                        self._errors(net, self.detector.models_[place], group) if dense is None else _rebuilt_errors(dense, group)
                    )
                    out[group.cols] = errors
        return out

    def _errors(self, net: Any, model: dict[str, Any], group: Windows) -> np.ndarray:
        x, context = group.gather()
        missing = (len(self.symbols) if self.detector.pool else 1) - len(x)
        x, context = np.pad(x, ((0, missing), (0, 0), (0, 0))), np.pad(context, ((0, missing), (0, 0)))
        target, seen, state = (as_tensor(part, self._device, torch.float64) for part in (x, clipped(x), clipped(context)))
        return self.detector._errors(net, model, seen, state, target).cpu().numpy()[: len(group)]


def _rebuilt_errors(dense: DenseForward, group: Windows) -> np.ndarray:
    """Mean squared errors of the newest rows, whose sums do not depend on how many rows there are."""
    x, context = group.gather()
    n_features = x.shape[2]
    rebuilt = dense.rebuilt(clipped(x).reshape(len(x), -1), clipped(context))[:, -n_features:]
    errors = (x[:, -1] - rebuilt) ** 2
    total = np.zeros(len(x))
    for column in errors.T:
        total += column
    return total / n_features
