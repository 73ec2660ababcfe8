"""What the codes of the training windows say of a fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from foreshock.detectors.neural.trainer import PASS, TrainingData


def codes_of(net: Any, data: TrainingData) -> Tensor:
    """Codes of the training windows, (n, latent), in float64."""
    parts = zip(data.x.split(PASS), data.context.split(PASS), strict=True)
    return torch.cat([net.encode(x.double(), context.double()) for x, context in parts])


def mean_of_models(detector: Any, key: str, value: Callable[[np.ndarray], float]) -> float:
    """Mean over the networks of a fitted detector of what is made of one of their arrays; NaN if they lack it."""
    detector._check_fitted()
    found = [value(model[key]) for model in detector.models_ if key in model]
    return float(np.mean(found)) if found else float("nan")
