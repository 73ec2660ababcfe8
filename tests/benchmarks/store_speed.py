"""The store against its peers: ``python -m tests.benchmarks.store_speed``.

A year of minutes and five million trades of one symbol, read whole. pandas and DuckDB read the same files in the same run, one
thread each; neither checks what it reads, the store holds every page against its checksum. Seconds are of the clock and of
the CPU, the best of the repeats.
"""

import argparse
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
import pandas as pd
import pyarrow as pa

from foreshock.data.store.store import SeriesKey, Store

START, DAY = 1_704_067_200_000, 86_400_000
BARS = SeriesKey("binance", "spot", "BTC/USDT", "ohlcv", "1m")
TRADES = SeriesKey("binance", "spot", "BTC/USDT", "trades")


def prices(n: int, scale: float, rng: np.random.Generator) -> np.ndarray:
    return np.round(6e4 * np.exp(np.cumsum(rng.normal(0, scale, n))), 2)


def year_of_minutes(rng: np.random.Generator) -> pa.Table:
    n = 366 * 1_440
    close, width = prices(n, 3e-4, rng), np.round(rng.exponential(10, n), 2)
    columns = {"open": np.append(close[0], close[:-1]), "high": close + width, "low": close - width, "close": close}
    return pa.table({"time": START + 60_000 * np.arange(n), **columns, "volume": np.round(rng.exponential(10, n), 5)})


def ticks(n: int, days: int, rng: np.random.Generator) -> pa.Table:
    side = pa.DictionaryArray.from_arrays((rng.random(n) < 0.5).astype(np.int8), pa.array(["buy", "sell"]))
    time = START + np.sort(rng.integers(0, days * DAY, n))
    columns = {"price": prices(n, 1e-5, rng), "amount": np.round(rng.exponential(0.1, n), 5), "side": side}
    return pa.table({"time": time, "id": 10**9 + np.arange(n), **columns})


def best(function: Callable[[], object], repeats: int) -> tuple[float, float]:
    seconds = []
    for _ in range(repeats):
        clock, cpu = perf_counter(), process_time()
        function()
        seconds.append((perf_counter() - clock, process_time() - cpu))
    return min(clock for clock, _ in seconds), min(cpu for _, cpu in seconds)


def duckdb_reader(pattern: str) -> Callable[[], object] | None:
    try:
        import duckdb  # pyright: ignore[reportMissingImports]
    except ImportError:
        return None
    connection = duckdb.connect()
    connection.execute("set threads = 1")
    return lambda: connection.execute(f"select * from read_parquet('{pattern}')").to_arrow_table()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trades", type=int, default=5_000_000)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    pa.set_cpu_count(1)
    rng = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        tables = {
            BARS: (year_of_minutes(rng), 366 * DAY, 0.2),
            TRADES: (ticks(options.trades, 2, rng), 2 * DAY, 0.5),
        }
        for key, (table, length, wanted) in tables.items():
            began = perf_counter()
            store.write(key, table, START, START + length)
            written = perf_counter() - began
            assert store.read(key)["time"].equals(table["time"])
            files = sorted((Path(folder) / key.folder).glob("*.parquet"))
            size = sum(path.stat().st_size for path in files)
            print(f"{key}: {len(table):,} rows, {len(files)} partitions, {size / 1e6:.1f} MB, written in {written:.2f} s")
            ours = best(lambda: store.read(key), options.repeats)  # noqa: B023
            print(f"  store   {ours[0]:.3f} s, {ours[1]:.3f} s of CPU; wanted under {wanted} s")
            peers = {
                "pandas": lambda: pd.concat([pd.read_parquet(path) for path in files], ignore_index=True),  # noqa: B023
                "duckdb": duckdb_reader(str(Path(folder) / key.folder / "*.parquet")),
            }
            for name, function in peers.items():
                if function is None:
                    print(f"  {name}  not installed")
                    continue
                theirs = best(function, options.repeats)
                ratios = f"{theirs[0] / ours[0]:.2f} of ours, {theirs[1] / ours[1]:.2f} in CPU"
                print(f"  {name}  {theirs[0]:.3f} s, {theirs[1]:.3f} s of CPU; {ratios}")
            page = store.read(key, START, START + 3_600_000)
            again = best(lambda: store.write(key, page, START, START + 3_600_000), 3)  # noqa: B023
            print(f"  an hour, {len(page):,} rows, into a full partition: {again[0]:.3f} s")
            print(f"  verify of all so far: {best(store.verify, 1)[0]:.2f} s")


if __name__ == "__main__":
    main()
