"""Random scores: the baseline of chance."""

import hashlib

import numpy as np

from foreshock.detectors.base import Detector
from foreshock.engine.features.features import Features

# Relative change of a feature that counts as a rise.
RISE = 1e-6
# The key of a symbol without training rows.
NO_KEY = np.uint64(0)


class Random(Detector):
    """Baseline: uniform scores in [0, 1) drawn from seed, time and a key of each symbol, independent of the market.

    A row's score is a hash of its time and the key, so later rows, other symbols and the length of the history do not change it.
    The key is a hash of which features rose from each training row to the next, so that neither the name nor the order of symbols
    nor the unit of prices matters. Rows in which every feature is unknown get NaN, as does a symbol without training rows, unless
    features of different symbols are comparable: then its key is a hash of its name.

    Parameters
    ----------
    seed : int
        Seed of the scores.
    """

    name = "random"
    role = "baseline"
    keeps_typical = False
    learned = ("symbols_", "keys_")

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def _fit(self, features: Features) -> None:
        before, after = features.values[:-1], features.values[1:]
        # A change within the rounding of a feature is none, whatever the unit of prices.
        rises = after - before > RISE * np.fmax(np.abs(before), np.abs(after))
        seed = f"{self.seed}/".encode()
        drawn = [hashlib.sha256(seed + np.packbits(rose).tobytes()).digest()[:8] for rose in rises.swapaxes(0, 1)]
        self.symbols_ = features.symbols
        self.keys_ = np.array([int.from_bytes(key, "little") for key in drawn], dtype=np.uint64)
        self.keys_[np.isnan(features.values).all(axis=(0, 2))] = NO_KEY

    def _whole(self) -> bool:
        return super()._whole() and self.keys_.shape == (len(self.symbols_),)

    def _score(self, features: Features) -> np.ndarray:
        keys = dict(zip(self.symbols_, self.keys_, strict=True))
        if features.comparable:
            drawn = (hashlib.sha256(f"{self.seed}/{symbol}".encode()).digest()[:8] for symbol in features.symbols)
            fresh = {name: np.uint64(int.from_bytes(key, "little")) for name, key in zip(features.symbols, drawn, strict=True)}
            keys = fresh | {name: key for name, key in keys.items() if key != NO_KEY}
        chosen = np.array([keys.get(symbol, NO_KEY) for symbol in features.symbols], dtype=np.uint64)
        x = features.time.astype(np.int64).astype(np.uint64)[:, None] ^ chosen[None, :]
        score = (_mix(x) >> np.uint64(11)) * 2.0**-53
        unknown = np.isnan(features.values).all(axis=2) | (chosen == NO_KEY)
        return np.where(unknown, np.nan, score)

    def _explain_rows(self, features: Features, rows: np.ndarray, symbols: np.ndarray) -> np.ndarray:
        # No feature adds to what is drawn.
        scores = self._score(features)[rows, symbols]
        return np.where(np.isnan(scores), np.nan, 0.0)[:, None].repeat(len(features.names), axis=1)


def _mix(x: np.ndarray) -> np.ndarray:
    """SplitMix64's finaliser (Steele, Lea and Flood 2014), applied twice."""
    for _ in range(2):
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x = x ^ (x >> np.uint64(31))
    return x
