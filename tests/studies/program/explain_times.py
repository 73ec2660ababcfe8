"""How long it takes to explain 1,000 alerts: ``python -m tests.studies.program.explain_times``.

Each registered detector is fitted with its defaults, networks for few epochs, on hourly bars of three symbols, and says of the
1,000 rows with the highest scores what each feature added. Seconds are those of the processor, of one thread.
"""

import argparse
from collections.abc import Sequence
from time import process_time

import numpy as np
from threadpoolctl import threadpool_limits

import foreshock as fs
from foreshock.detectors.registry import detectors
from tests.small import small_detector


def seconds_of(name: str, features: fs.Features, n_alerts: int, first: int) -> tuple[float, float, int]:
    """Seconds that one detector takes to explain its alerts, the share of them that it can explain, and its look-back."""
    # A network of a few steps may learn nothing from so few rows, and is refused.
    params = {"steps": 400} if name == "anogan" else {}
    detector = small_detector(name, **params).fit(features.rows(slice(0, first)))
    scores = detector.score(features).values[first:]
    rows, symbols = np.unravel_index(np.argsort(-np.nan_to_num(scores.ravel(), nan=-np.inf))[:n_alerts], scores.shape)
    detector.explain_rows(features, rows[:2] + first, symbols[:2])
    began = process_time()
    added = detector.explain_rows(features, rows + first, symbols)
    took = process_time() - began
    return took, float(np.isfinite(added).all(axis=1).mean()), detector.lookback


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--alerts", type=int, default=1_000)
    parser.add_argument("--bars", type=int, default=8_760)
    parser.add_argument("--detectors", nargs="*", default=list(detectors()))
    options = parser.parse_args(arguments)
    bars = fs.simulate_market(seed=7, n_symbols=3, n_bars=options.bars).bars
    features = fs.ohlcv_features(bars)
    print(f"{options.alerts:,} alerts among {bars.n_bars:,} bars of {bars.n_symbols} symbols, {len(features.names)} features")
    with threadpool_limits(limits=1):
        for name in options.detectors:
            seconds, explained, lookback = seconds_of(name, features, options.alerts, options.bars // 4)
            print(f"{name:<25} {seconds:>8.3f} s, {explained:.0%} explained, each from {lookback + 1} rows", flush=True)


if __name__ == "__main__":
    main()
