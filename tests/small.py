"""Detectors small enough to be fitted in every test of the contract."""

from typing import Any

from detectors.base import Detector
from detectors.registry import make_detector, neural_detectors

# Fewer epochs and units; windows, codes and losses are those of the defaults.
_NEURAL: dict[str, dict[str, Any]] = {
    "autoencoder": {"hidden": (32, 16)},
    "sparse_autoencoder": {"hidden": (32, 16)},
    "denoising_autoencoder": {"hidden": (32, 16)},
    "conv_autoencoder": {"channels": (16, 8)},
    "vae": {"hidden": (32, 16)},
    "beta_vae": {"hidden": (32, 16), "epochs": 6},
    "conditional_autoencoder": {"hidden": (32, 16)},
    "seq2seq_autoencoder": {"hidden": 8},
    "anogan": {"width": 32, "steps": 60, "learning_rate": 2e-3},
}
_SHARED = {"epochs": 4, "max_windows": 2_000, "learning_rate": 1e-2}


def small_detector(name: str, **params: Any) -> Detector:
    """A detector with its defaults, or a small network."""
    if name not in neural_detectors():
        return make_detector(name, **params)
    return make_detector(name, **{**_SHARED, **_NEURAL.get(name, {}), **params})
