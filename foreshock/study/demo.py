"""The study of ``foreshock demo``: a simulated market whose events are known."""

from __future__ import annotations

from functools import cache

import numpy as np

from foreshock.data.simulate.market import SimulatedMarket, simulate_market
from foreshock.detectors.base import Detector
from foreshock.detectors.registry import make_detector
from foreshock.engine.features.features import Features
from foreshock.engine.out_of_sample.splits import WalkForward
from foreshock.engine.thresholds.quantiles import RollingQuantile
from foreshock.study.study import Study

DETECTORS = ("zscore", "iqr", "mad", "rolling_volatility", "isolation_forest", "pca")


class PlantedForeshocks(Detector):
    """An oracle for comparison: 1 at the bars where a foreshock of the simulated market becomes visible, 0 elsewhere.

    It shows the verdict that a detector which finds exactly the foreshocks would get. It reads the truth, so it is not registered.

    Parameters
    ----------
    seed : int
        Seed of the simulated market.
    """

    name = "planted_foreshocks"
    role = "oracle"

    def __init__(self, seed: int = 7) -> None:
        self.seed = seed

    def _score(self, features: Features) -> np.ndarray:
        events = demo_market(self.seed).events
        foreshocks = events[events["kind"] == "foreshock"]
        score = np.zeros((features.n_rows, len(features.symbols)))
        for time, symbol in zip(foreshocks["signature_time"].to_numpy(), foreshocks["symbol"], strict=True):
            row = np.searchsorted(features.time, time)
            if row < features.n_rows and features.time[row] == time and symbol in features.symbols:
                score[row, features.symbols.index(symbol)] = 1.0
        return score


@cache
def demo_market(seed: int) -> SimulatedMarket:
    """The simulated market: eight symbols, two years of hourly bars."""
    return simulate_market(seed=seed)


def demo_study(seed: int = 7) -> Study:
    """Six detectors and the planted truth on the simulated market, quarterly refits."""
    detectors = {name: make_detector(name) for name in DETECTORS} | {PlantedForeshocks.name: PlantedForeshocks(seed)}
    return Study(
        demo_market(seed).bars,
        detectors,
        WalkForward(train="180D", test="90D", embargo="2D"),
        RollingQuantile(0.99, window="60D"),
        title=f"foreshock demo: simulated market, seed {seed}",
        seed=seed,
        labels=demo_market(seed).labels,
    )
