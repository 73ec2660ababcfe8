"""Reading against its peers: ``python -m tests.benchmarks.read_speed``.

Five million bars of ten symbols, as a long table, time by time, in a CSV and a Parquet file. ``fs.read_bars`` with all its checks
is held against ``pandas.read_csv`` and ``pyarrow.parquet.read_table``, which check nothing, in one run. Seconds are of the CPU, the
best of the repeats; ratios are wanted below 1.2 and 3.
"""

import argparse
import gc
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from foreshock.data.files import read_bars

N_SYMBOLS = 10
START = 1_577_836_800_000
MOST = {"csv": 1.2, "csv, ISO times": 1.2, "parquet": 3.0}


def minutes(n_rows: int, rng: np.random.Generator) -> pa.Table:
    n = n_rows // N_SYMBOLS
    close = np.round(6e4 * np.exp(np.cumsum(rng.normal(0, 3e-4, (n, N_SYMBOLS)), axis=0)), 2)
    width = np.round(rng.exponential(10, close.shape), 2)
    columns = {"open": np.vstack([close[:1], close[:-1]]), "high": close + width, "low": close - width, "close": close}
    columns["high"] = np.round(np.maximum(columns["high"], columns["open"]), 2)
    columns["low"] = np.round(np.minimum(columns["low"], columns["open"]), 2)
    columns["volume"] = np.round(rng.exponential(10, close.shape), 5)
    symbol = pa.DictionaryArray.from_arrays(
        np.tile(np.arange(N_SYMBOLS, dtype=np.int8), n), pa.array([f"COIN{i}/USDT" for i in range(N_SYMBOLS)])
    )
    time = np.repeat(START + 60_000 * np.arange(n), N_SYMBOLS)
    return pa.table({"time": time, "symbol": symbol.cast(pa.string())} | {name: values.ravel() for name, values in columns.items()})


def best(function: Callable[[], object], repeats: int) -> tuple[float, float]:
    seconds = []
    for _ in range(repeats):
        gc.collect()
        clock, cpu = perf_counter(), process_time()
        function()
        seconds.append((perf_counter() - clock, process_time() - cpu))
    return min(clock for clock, _ in seconds), min(cpu for _, cpu in seconds)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    table = minutes(options.rows, np.random.default_rng(1))
    iso = table.set_column(0, "time", table["time"].cast(pa.timestamp("ms")))
    with tempfile.TemporaryDirectory() as folder:
        paths = {kind: Path(folder) / f"{i}.{kind.split(',')[0]}" for i, kind in enumerate(MOST)}
        pyarrow.csv.write_csv(table, paths["csv"])
        pyarrow.csv.write_csv(iso, paths["csv, ISO times"])
        pq.write_table(iso, paths["parquet"])
        del table, iso
        for kind, path in paths.items():
            peer, read = ("pyarrow", pq.read_table) if kind == "parquet" else ("pandas", pd.read_csv)
            ours = best(lambda: read_bars(path), options.repeats)  # noqa: B023
            theirs = best(lambda: read(path), options.repeats)  # noqa: B023
            print(
                f"{kind}: {path.stat().st_size / 1e6:.0f} MB, ours {ours[1]:.2f} s of CPU, {peer} {theirs[1]:.2f} s, ratio "
                f"{ours[1] / theirs[1]:.2f} (wanted below {MOST[kind]}); of the clock {ours[0]:.2f} s and {theirs[0]:.2f} s"
            )


if __name__ == "__main__":
    main()
