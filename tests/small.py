"""Studies, detectors and features small enough to be computed in every test of a contract."""

from typing import Any

import numpy as np

import foreshock as fs
from foreshock.detectors.base import Detector
from foreshock.detectors.registry import make_detector, neural_detectors
from foreshock.engine.features.features import Features
from foreshock.engine.thresholds.conformal import AdaptiveConformal
from foreshock.engine.thresholds.peaks import PeaksOverThreshold
from foreshock.engine.thresholds.quantiles import Fixed, RollingQuantile, TrainQuantile
from foreshock.engine.thresholds.volatility import VolatilityScaled

N_TRAIN = 800
# Thresholds that follow the scores, and with them the kinds that do not.
ADAPTIVE = (
    AdaptiveConformal(0.02, 0.01, "10D"),
    PeaksOverThreshold(0.98, 0.9, "10D"),
    VolatilityScaled(RollingQuantile(0.98, "10D"), "1D"),
    VolatilityScaled(AdaptiveConformal(0.02, 0.01, "10D"), "1D"),
    VolatilityScaled(PeaksOverThreshold(0.98, 0.9, "10D"), "1D"),
)
THRESHOLDS = (RollingQuantile(0.98, "10D"), TrainQuantile(0.98), Fixed(0.01), *ADAPTIVE)

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


def quick(name: str, **params: Any) -> Detector:
    """A detector that is fitted at once, for what does not depend on how well it learned."""
    params |= {"epochs": 1} if name in neural_detectors() else {}
    params |= {"steps": 20} if name == "anogan" else {}
    return small_detector(name, **params)


def train_rows(features: Features) -> Features:
    """The first 800 rows."""
    return features.rows(slice(0, N_TRAIN))


def with_values(features: Features, values: np.ndarray) -> Features:
    """The same rows and names with other values."""
    return Features(features.time, features.symbols, features.names, values, features.interval)


def small_study(**changes) -> fs.Study:
    """A study of two detectors on three simulated symbols, with a few surrogates."""
    settings = {
        "bars": fs.simulate_market(seed=5, n_symbols=3, n_bars=3_000).bars,
        "detectors": ["zscore", "pca"],
        "splits": fs.WalkForward("40D", "10D", "1D"),
        "threshold": fs.RollingQuantile(0.98, "15D"),
        "horizons": ["1h", "12h"],
        "random_draws": 3,
        "n_bootstrap": 199,
        "n_surrogates": 19,
    }
    return fs.Study(**settings | changes)
