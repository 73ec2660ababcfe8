"""How long the verdicts of a study take: ``python -m tests.benchmarks.verdict_speed BARS``.

Six detectors and two baselines on hourly bars, three horizons, refits every quarter: features and walk-forward scores, the deciding
test from an empty cache and from a full one, what one more detector adds to it, and all tests with the verdicts, on all cores. What
``foreshock run`` does besides (strategies, slices, risk, files) is not in it.
"""

import argparse
import os
import resource
import tempfile
from functools import partial
from pathlib import Path
from time import perf_counter

from threadpoolctl import threadpool_limits

from foreshock import RollingQuantile, WalkForward, read_bars
from foreshock.data.quality.clean import clean
from foreshock.engine.features.ohlcv import ohlcv_features
from foreshock.engine.validation.rungs.rungs import RungTable
from foreshock.engine.validation.surrogates.significance import Rescorer
from foreshock.study.judge import judge
from foreshock.study.side_by_side import walk_forward_all
from foreshock.study.study import Study

DETECTORS = ("zscore", "iqr", "mad", "rolling_volatility", "isolation_forest", "pca")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bars", type=Path)
    parser.add_argument("--surrogates", type=int, default=0)
    wanted = parser.parse_args()
    bars, _ = clean(read_bars(wanted.bars))
    splits, threshold = WalkForward("365D", "90D", "2D"), RollingQuantile(0.99, "60D")
    study = Study(bars, DETECTORS, splits, threshold, n_surrogates=wanted.surrogates)
    detectors = study.labelled_detectors()
    began = perf_counter()
    purge = 24 + 1 + max(detector.lookback for detector in detectors.values())
    fitted = dict(walk_forward_all(detectors, ohlcv_features(bars), splits, purge))
    signals = {label: scores.signals(threshold) for label, (scores, _) in fitted.items()}
    scored = perf_counter()
    first = splits.folds(bars.n_bars, bars.interval, purge, bars.start_row)[0].test.start
    setting = study._judging(first)
    found = {label: scores for label, (scores, _) in fitted.items()}
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(limits=1, user_api="blas"):
        os.environ["FORESHOCK_CACHE"] = folder
        for cache in ("an empty", "a full"):
            start = perf_counter()
            table = RungTable(bars, setting, threshold)
            table.test(signals, found)
            print(f"deciding test from {cache} cache: {perf_counter() - start:.2f} s")
        eight, one_less = (dict(list(signals.items())[:n]) for n in (8, 7))
        times = []
        for part in (one_less, eight):
            start = perf_counter()
            table.test(part, found)
            times.append(perf_counter() - start)
        print(f"one more detector: {times[1] - times[0]:.2f} s")
        start = perf_counter()
        rescorers = {label: Rescorer(folds.score, threshold) for label, (_, folds) in fitted.items()}
        judged = judge(bars, found, signals, threshold, setting, rescorers, partial(ohlcv_features, features=study.features))
    ended = perf_counter()
    for label, verdict in judged.verdicts.items():
        print(f"{label:20} {verdict.label}")
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1e6
    print(
        f"{len(detectors)} detectors, {bars.n_symbols} symbols of {bars.n_bars:,} bars, {wanted.surrogates} surrogates: "
        f"scores {scored - began:.0f} s, verdicts {ended - start:.0f} s; "
        f"largest process {peak:.2f} GB"
    )


if __name__ == "__main__":
    main()
