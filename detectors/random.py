"""Random scores: the baseline of chance."""

import hashlib

import numpy as np

from foreshock.detectors.base import Detector
from foreshock.engine.features.features import Features


class Random(Detector):
    """Baseline: uniform scores in [0, 1) drawn from seed, symbol and time, independent of the market.

    A row's score is a hash of its time, so later rows, other symbols and the length of the history do not change it. Rows in
    which every feature is unknown get NaN.

    Parameters
    ----------
    seed : int
        Seed of the scores.
    """

    name = "random"
    role = "baseline"

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def _score(self, features: Features) -> np.ndarray:
        key = [hashlib.sha256(f"{self.seed}/{symbol}".encode()).digest()[:8] for symbol in features.symbols]
        keys = np.array([int.from_bytes(k, "little") for k in key], dtype=np.uint64)
        x = features.time.astype(np.int64).astype(np.uint64)[:, None] ^ keys[None, :]
        score = (_mix(x) >> np.uint64(11)) * 2.0**-53
        return np.where(np.isnan(features.values).all(axis=2), np.nan, score)


def _mix(x: np.ndarray) -> np.ndarray:
    """SplitMix64's finaliser (Steele, Lea and Flood 2014), applied twice."""
    for _ in range(2):
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x = x ^ (x >> np.uint64(31))
    return x
