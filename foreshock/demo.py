"""The demonstration: a simulated market whose events are known."""

from data.simulate import simulate_market
from engine.splits import WalkForward
from engine.thresholds import RollingQuantile
from foreshock.study import Study

DETECTORS = ("zscore", "iqr", "mad", "rolling_volatility", "isolation_forest", "pca")


def demo_study(seed: int = 7) -> Study:
    """Six detectors on eight simulated symbols, two years of hours, quarterly refits."""
    return Study(
        simulate_market(seed=seed).bars,
        DETECTORS,
        WalkForward(train="180D", test="90D", embargo="2D"),
        RollingQuantile(0.99, window="60D"),
        title=f"foreshock demo: simulated market, seed {seed}",
        seed=seed,
    )
