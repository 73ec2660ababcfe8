"""Family-wise error of the surrogate test: ``python -m tests.studies.noise_detectors``.

On each of many histories without information 15 detectors that alert at random are judged over 6 horizons. An error is a history in
which even one of the 90 tests is called information at 5 %.
"""

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np
from joblib import Parallel, delayed

from foreshock.detectors.random import Random
from foreshock.engine.features.features import Features
from foreshock.engine.features.ohlcv import ohlcv_features
from foreshock.engine.statistics.proportions import wilson
from foreshock.engine.thresholds.quantiles import Fixed
from foreshock.engine.validation.surrogates.calibration import Planted, simulate_history
from foreshock.engine.validation.surrogates.histories import fit_surrogates
from foreshock.engine.validation.surrogates.significance import Rescorer, surrogate_test
from foreshock.engine.validation.verdict import LEVEL

HORIZONS = ("1h", "3h", "6h", "12h", "24h", "48h")
N_DETECTORS = 15
ALERT_RATE = 0.02


def features(bars: Any) -> Features:
    return ohlcv_features(bars, ["log_return"])


def one_history(k: int, n_surrogates: int) -> tuple[bool, bool]:
    """Whether any test is significant: adjusted, and not."""
    bars = simulate_history(Planted(2_500, "gjr"), 7_000_003 + k)
    rescorers = {str(i): Rescorer(Random(seed=100 * k + i).score, Fixed(1 - ALERT_RATE)) for i in range(N_DETECTORS)}
    seen = features(bars)
    signals = {label: rescorer.signals(seen) for label, rescorer in rescorers.items()}
    test = surrogate_test(
        fit_surrogates(bars), signals, rescorers, features, HORIZONS, cooldown="48h", n_surrogates=n_surrogates, seed=k
    )
    return bool(np.nanmin(test.q) <= LEVEL), bool(np.nanmin(test.p) <= LEVEL)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--histories", type=int, default=200)
    parser.add_argument("--surrogates", type=int, default=39)
    parser.add_argument("--jobs", type=int, default=-1)
    options = parser.parse_args(arguments)
    found: Any = Parallel(options.jobs)(delayed(one_history)(k, options.surrogates) for k in range(options.histories))
    adjusted, plain = np.array(found).sum(axis=0)
    low, high = wilson(int(adjusted), options.histories)
    print(f"{N_DETECTORS} random detectors x {len(HORIZONS)} horizons, {options.histories} histories")
    shares = adjusted / options.histories, plain / options.histories
    print(f"any finding at 5 %: {shares[0]:.3f} [{low:.3f}, {high:.3f}], unadjusted {shares[1]:.3f}")


if __name__ == "__main__":
    main()
