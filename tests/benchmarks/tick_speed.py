"""A month of ticks to windows of 20 seconds: ``python -m tests.benchmarks.tick_speed``.

The ticks are simulated and written as ``foreshock store export`` writes them. Each reader is a process of its own with one
thread, so that its peak of memory is its own; numba's kernels are loaded before the clock starts. pandas holds all rows at once and
gets the first of them only; DuckDB streams, as foreshock does. Both compute less: count, volume, value, bought volume, open, high,
low, close, mean and deviation of the price; foreshock also rush orders, and it refuses rows that are out of order or no trade.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from foreshock.data.store.export import parquet_options
from foreshock.data.trades.trades import scan_trades
from foreshock.data.trades.windows import trade_windows

START, MONTH = 1_704_067_200_000, 30 * 86_400_000
CHUNK, SECONDS = 1_000_000, 20
WANTED_RATE, WANTED_MEMORY = 10e6, 600e6


def write_month(path: Path, n: int, seed: int = 1) -> None:
    """Ticks of a random walk over a month, a chunk in memory at a time."""
    rng, price, writer = np.random.default_rng(seed), 6e4, None
    for first in range(0, n, CHUNK):
        rows = min(CHUNK, n - first)
        time = np.sort(rng.integers(START + MONTH * first // n, START + MONTH * (first + rows) // n, rows))
        prices = np.round(price * np.exp(np.cumsum(rng.normal(0, 1e-5, rows))), 2)
        price = float(prices[-1])
        table = pa.table(
            {
                "time": pa.array(time).cast(pa.timestamp("ms", "UTC")),
                "symbol": pa.repeat("BTC/USDT", rows),
                "id": 10**9 + first + np.arange(rows),
                "price": prices,
                "amount": np.round(rng.exponential(0.1, rows) + 1e-5, 5),
                "side": np.where(rng.random(rows) < 0.5, "buy", "sell"),
            }
        )
        writer = writer or pq.ParquetWriter(path, table.schema, **parquet_options(table.schema))
        writer.write_table(table)
    if writer is not None:
        writer.close()


def foreshock(path: str, n: int) -> Callable[[], pd.DataFrame]:
    trade_windows(next(scan_trades(path, 1_000)), SECONDS)
    return lambda: trade_windows(scan_trades(path), SECONDS).to_frame().set_index("time")


def pandas(path: str, n: int) -> Callable[[], pd.DataFrame]:
    def run() -> pd.DataFrame:
        columns = ["time", "price", "amount", "side"]
        with pq.ParquetFile(path, read_dictionary=["side"]) as file:
            groups = range(-(-n // file.metadata.row_group(0).num_rows))
            ticks = file.read_row_groups(list(groups), columns, use_threads=False).slice(0, n).to_pandas()
        ticks["bought"] = ticks["amount"].where(ticks["side"] == "buy", 0.0)
        ticks["value"] = ticks["price"] * ticks["amount"]
        windows = ticks.set_index("time").resample(f"{SECONDS}s")
        prices = windows["price"].agg(["count", "first", "max", "min", "last", "mean", "std"])
        return prices.join(windows[["amount", "bought", "value"]].sum()).rename(
            columns={"count": "trade_count", "amount": "volume", "last": "close"}
        )

    return run


def duckdb(path: str, n: int) -> Callable[[], pd.DataFrame]:
    import duckdb as database  # pyright: ignore[reportMissingImports]

    connection = database.connect()
    connection.execute("set threads = 1")
    query = f"""
        select time_bucket(interval '{SECONDS} seconds', time) as window, count(*) as trade_count, sum(amount) as volume,
            sum(price * amount) as value, sum(amount) filter (side = 'buy') as bought, first(price) as open, max(price) as high,
            min(price) as low, last(price) as close, avg(price) as mean, stddev_samp(price) as std
        from read_parquet('{path}') group by 1 order by 1
    """
    return lambda: connection.execute(query).to_arrow_table().to_pandas().set_index("window")


READERS = {"foreshock": foreshock, "pandas": pandas, "duckdb": duckdb}


def measure(name: str, path: str, n: int) -> None:
    """One reader, in this process: its seconds, its memory, and what shows that it has read what the others have."""
    import resource

    warnings.simplefilter("ignore")
    pa.set_cpu_count(1)
    run = READERS[name](path, n)
    clock, cpu = perf_counter(), process_time()
    found = run()
    seconds, busy = perf_counter() - clock, process_time() - cpu
    found = found[found["trade_count"] > 0]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    # The last window of a slice is cut.
    sums = [float(found[column].iloc[:10_000].sum()) for column in ("trade_count", "volume", "close")]
    result = {"ticks": int(found["trade_count"].sum()), "seconds": seconds, "cpu": busy, "memory": memory, "sums": sums}
    print(json.dumps(result))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ticks", type=int, default=50_000_000)
    parser.add_argument("--pandas-ticks", type=int, default=5_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--measure", nargs=3, metavar=("READER", "FILE", "TICKS"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.measure:
        measure(options.measure[0], options.measure[1], int(options.measure[2]))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ticks.parquet"
        write_month(path, options.ticks)
        print(
            f"{options.ticks:,} ticks of 30 days, {path.stat().st_size / 1e6:,.0f} MB; best of {options.repeats}, one thread each"
        )
        best: dict[str, dict] = {}
        for name in READERS:
            n = min(options.pandas_ticks, options.ticks) if name == "pandas" else options.ticks
            command = [sys.executable, "-m", "tests.benchmarks.tick_speed", "--measure", name, str(path), str(n)]
            runs = []
            for _ in range(options.repeats):
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode:
                    print(f"  {name}: {done.stderr.strip().splitlines()[-1]}")
                    break
                runs.append(json.loads(done.stdout))
            if not runs:
                continue
            one = best[name] = min(runs, key=lambda run: run["cpu"])
            assert one["ticks"] == n
            assert np.allclose(one["sums"], best["foreshock"]["sums"], rtol=1e-9), (name, one["sums"])
            ours = best["foreshock"]
            ratio = (
                ""
                if name == "foreshock"
                else f"; foreshock is {(one['cpu'] / n) / (ours['cpu'] / options.ticks):.1f} times as fast"
            )
            memory = max(run["memory"] for run in runs)
            rates = f"{n / one['cpu'] / 1e6:>6.1f} M/s of CPU, {n / one['seconds'] / 1e6:>6.1f} M/s by the clock"
            print(f"  {name:<10} {n:>12,} ticks  {rates}, peak {memory / 1e6:>6,.0f} MB{ratio}")
            if name == "foreshock":
                rate, peak = f"{WANTED_RATE / 1e6:.0f} M/s", f"{WANTED_MEMORY / 1e6:.0f} MB"
                reached = n / one["cpu"] > WANTED_RATE and memory < WANTED_MEMORY
                print(f"  {'':<10} wanted over {rate} a core and under {peak}: {'reached' if reached else 'NOT reached'}")


if __name__ == "__main__":
    main()
