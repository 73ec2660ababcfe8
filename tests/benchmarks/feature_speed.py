"""The OHLCV set against its peers: ``python -m tests.benchmarks.feature_speed``.

Every peer computes the same features from the same arrays with its own rolling functions and NumPy for the rest, on one thread;
ours is timed in the same run on the features that the peer has. Seconds are of CPU time, so that they do not count what else the
machine was doing; those of one thread against two are of the clock. A peer counts if its rolling standard deviation is right to
1e-6 at a price of 6e4 with noise of 0.01.
"""

import os

os.environ |= {name: "1" for name in ("POLARS_MAX_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS", "NUMBAGG_NUM_THREADS")}

import argparse
import subprocess
import sys
from collections.abc import Callable, Sequence
from time import perf_counter, process_time

import bottleneck
import numbagg
import numpy as np
import pandas as pd
import polars as pl

from foreshock.data.bars import Bars
from foreshock.engine.features.ohlcv import OHLCV_FEATURES, ohlcv_features
from foreshock.engine.kernels.elementwise import GARMAN_KLASS_BODY
from foreshock.engine.kernels.rolling import rolling_moments_nb
from tests import reference
from tests.market import make_bars

Rolling = Callable[[np.ndarray, int], np.ndarray]
WITHOUT_SKEW = tuple(name for name in OHLCV_FEATURES if not name.startswith("skew"))


def by_column(function: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    return lambda x: np.column_stack([function(np.ascontiguousarray(x[:, i])) for i in range(x.shape[1])])


def polars_rolling(name: str) -> Rolling:
    # A NaN in polars is a number: it has to be told that it is unknown, and back.
    def one(x: np.ndarray, window: int) -> np.ndarray:
        return getattr(pl.Series(x).fill_nan(None), name)(window).to_numpy()

    return lambda x, w: by_column(lambda column: one(column, w))(x)


def vectorbt_rolling() -> dict[str, Rolling]:
    from vectorbt.generic import nb

    return {
        "mean": lambda x, w: nb.rolling_mean_nb(x, w, w),
        "std": lambda x, w: nb.rolling_std_nb(x, w, w, 1),
        "max": lambda x, w: nb.rolling_max_nb(x, w, w),
    }


PEERS: dict[str, dict[str, Rolling]] = {
    "pandas": {
        name: lambda x, w, name=name: getattr(pd.DataFrame(x).rolling(w), name)().to_numpy()
        for name in ("mean", "std", "max", "skew")
    },
    "bottleneck": {
        "mean": lambda x, w: bottleneck.move_mean(x, w, axis=0),
        "std": lambda x, w: bottleneck.move_std(x, w, axis=0, ddof=1),
        "max": lambda x, w: bottleneck.move_max(x, w, axis=0),
    },
    "numbagg": {
        "mean": lambda x, w: numbagg.move_mean(x, window=w, min_count=w, axis=0),
        "std": lambda x, w: numbagg.move_std(x, window=w, min_count=w, axis=0),
    },
    "polars": {name: polars_rolling(f"rolling_{name}") for name in ("mean", "std", "max", "skew")},
    "vectorbt": vectorbt_rolling(),
}


def peer_features(bars: Bars, rolling: dict[str, Rolling]) -> dict[str, np.ndarray]:
    """The set, as far as the peer has the functions."""
    o, h, low, c, v = bars.open, bars.high, bars.low, bars.close, bars.volume

    def before(x: np.ndarray, n: int) -> np.ndarray:
        out = np.full_like(x, np.nan)
        out[n:] = x[:-n]
        return out

    mean, std = rolling["mean"], rolling["std"]
    r = np.log(c / before(c, 1))
    squared_range = np.log(h / low) ** 2
    found = {
        "log_return": r,
        "volatility_20": std(r, 20),
        "range": (h - low) / c,
        "parkinson_20": np.sqrt(mean(squared_range, 20) / (4 * np.log(2))),
        "garman_klass_20": np.sqrt(mean(0.5 * squared_range - GARMAN_KLASS_BODY * np.log(c / o) ** 2, 20)),
        "volume_change": np.log(v / before(v, 1)),
        "volume_ratio_20": v / mean(v, 20),
        "return_zscore_168": (r - mean(r, 168)) / std(r, 168),
        "volume_zscore_168": (v - mean(v, 168)) / std(v, 168),
        "return_24": np.log(c / before(c, 24)),
        "amihud_20": mean(np.abs(r) / (c * v), 20),
    }
    if "max" in rolling:
        found["drawdown_168"] = c / rolling["max"](c, 168) - 1
    if "skew" in rolling:
        found["skew_168"] = rolling["skew"](r, 168)
    return found


def std_error(std: Rolling) -> float:
    """Worst relative error of a rolling standard deviation of 60 rows at 6e4 with noise of 0.01."""
    x = 6e4 + 0.01 * np.random.default_rng(1).standard_normal((700, 1))
    exact = reference.rolling(x[:, 0], 60, reference.exact_moments)[59:, 2]
    return float(np.max(np.abs(std(x, 60)[59:, 0] / exact - 1)))


def best(function: Callable[[], object], clock: Callable[[], float] = process_time, repeats: int = 5) -> float:
    times = []
    for _ in range(repeats):
        began = clock()
        function()
        times.append(clock() - began)
    return min(times)


def peak_over_output(n_rows: int, n_symbols: int) -> float:
    """Growth of the largest resident size during one computation, in units of the output, in a process of its own."""
    code = (
        "import resource, sys\n"
        "from tests.market import make_bars\n"
        "from foreshock.engine.features.ohlcv import ohlcv_features\n"
        "ohlcv_features(make_bars(2000, 2, interval='1m'))\n"
        f"bars = make_bars({n_rows}, {n_symbols}, interval='1m')\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "held = int(open('/proc/self/statm').read().split()[1]) * resource.getpagesize() // 1024\n"
        "values = ohlcv_features(bars).values\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - held) * 1024 / values.nbytes)\n"
    )
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=525_600)
    parser.add_argument("--symbols", type=int, default=8)
    options = parser.parse_args(arguments)
    bars = make_bars(options.rows, options.symbols, interval="1m", seed=1)
    # Zero rows and page faults of the first call are nobody's merit: all are timed warm.
    for names in (OHLCV_FEATURES, WITHOUT_SKEW):
        ohlcv_features(bars.head(3_000), names)
    ours = best(lambda: ohlcv_features(bars))
    one, two = (best(lambda n=n: ohlcv_features(bars, n_threads=n), perf_counter) for n in (1, 2))
    print(f"{options.symbols} symbols x {options.rows} rows, {len(OHLCV_FEATURES)} features, float64")
    print(f"foreshock   1 thread {ours:6.2f} s   std error {std_error(lambda x, w: rolling_moments_nb(x, w, 2)[1]):.1e}")
    print(f"foreshock   2 threads {two:5.2f} s  {one / two:.2f} times one thread")
    for name, rolling in PEERS.items():
        few = bars.head(3_000)
        names = tuple(peer_features(few, rolling))
        seconds = best(lambda rolling=rolling: peer_features(bars, rolling))
        same = best(lambda names=names: ohlcv_features(bars, names))
        error = std_error(rolling["std"])
        counts = "counts" if error < 1e-6 else "inaccurate: does not count"
        ratio = f"{seconds / same:5.1f} times ours on {len(names)} features, {counts}"
        print(f"{name:<11} 1 thread {seconds:6.2f} s   std error {error:.1e}   {ratio}")
    print(f"peak memory {peak_over_output(options.rows, options.symbols):.2f} times the output")


if __name__ == "__main__":
    main()
