"""Every kind of source on real data, from a file each: ``python -m tests.studies.program.real_sources DATA --out FOLDER``.

DATA is the folder of shared market data. Windows of one second of eleven minutes of trades, windows of 20 seconds around pumps of
several coins over months, order books of twelve days and of ten hours, and hourly bars from a store; each is made ready in FOLDER
and run by ``foreshock run``, with its page, verdicts and strategies. Printed for each: seconds, memory, verdicts, and how many
negative controls, each calibrated without its own family, would be told at 5 % that they know something.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy import stats

import foreshock as fs
from foreshock.data.store.series import COLUMNS

BEYOND = 1.96
ALONE = ["anomaly_avoidance", "event_trade", "regime_exposure", "time_series_momentum", "volatility_target"]
TOGETHER = [*ALONE, "factor_portfolio"]
STUDY = """title = "{title}"
detectors = [{{ name = "zscore", window = {seen} }}, "isolation_forest", "kmeans_regime", "joint_tail"]
horizons = {horizons}
strategies = {strategies}

[source]
{source}

[splits]
{splits}

[threshold]
q = {q}
window = "{window}"

[avoidance]
hold = "{hold}"
rebalance = "{hold}"
random_draws = 200
"""
HOUR_MS = 3_600_000


def seconds(data: Path, folder: Path, _: argparse.Namespace) -> str:
    """One-second windows of eleven minutes of BTC/USDT."""
    trades = pd.read_parquet(data / "ticks_btcusdt_spot_20240808.parquet")
    side = np.where(trades["is_buyer_maker"], "sell", "buy")
    table = {"time": trades["timestamp"], "price": trades["price"], "size": trades["qty"], "side": side, "id": trades["trade_id"]}
    pd.DataFrame(table).to_parquet(folder / "BTC-USDT.parquet")
    return STUDY.format(
        title="Seconds",
        strategies=ALONE,
        seen=60,
        horizons=["1s", "5s", "15s"],
        source='kind = "windows"\npath = "BTC-USDT.parquet"\ninterval = "1s"',
        splits='train = "3m"\ntest = "1m"\nembargo = "15s"',
        q=0.95,
        window="2m",
        hold="15s",
    )


def pumps(data: Path, folder: Path, options: argparse.Namespace) -> str:
    """Windows of 20 seconds around the pumps of several coins, a few days each over fifteen months."""
    trades = pd.read_parquet(data / "pump_trades.parquet")
    events = pd.read_csv(data / "pump_events.csv").drop_duplicates("symbol").head(options.pumps)
    (folder / "trades").mkdir()
    for event in trades["event_id"].unique():
        symbol = str(event).split("_")[0]
        if symbol in set(events["symbol"]):
            own = trades[trades["event_id"] == event]
            table = {"time": own["timestamp"], "price": own["price"], "size": own["amount"], "side": own["side"].astype(str)}
            path = folder / "trades" / f"{symbol}-BTC.parquet"
            before = [pd.read_parquet(path)] if path.exists() else []
            pd.concat([*before, pd.DataFrame(table)]).sort_values("time", kind="stable").to_parquet(path)
    return STUDY.format(
        title="Pumps",
        strategies=TOGETHER,
        seen=60,
        horizons=["1m", "5m", "30m"],
        source='kind = "windows"\npath = "trades"\ninterval = "20s"\nsilence = "12h"',
        splits='train = "10D"\ntest = "5D"\nembargo = "30m"',
        q=0.99,
        window="1D",
        hold="30m",
    )


def book(data: Path, folder: Path, _: argparse.Namespace) -> str:
    """Twelve days of an order book without prices, judged on hourly bars, with the crash of 18 April 2021."""
    rows = pd.read_parquet(data / "l2_btc_5min_top30.parquet")
    rows.drop(columns="ts_matched").to_parquet(folder / "BTCUSDT.parquet")
    fs.read_bars(data / "ohlcv_1h_8assets.parquet").select(["BTCUSDT"]).to_frame().to_parquet(folder / "bars.parquet")
    return STUDY.format(
        title="Order book",
        strategies=ALONE,
        seen=24,
        horizons=["1h", "3h"],
        source='kind = "book"\npath = "BTCUSDT.parquet"\ninterval = "5m"\nfirst_row = "2021-04-07T16:35"\nprices = "bars.parquet"',
        splits='train = "5D"\ntest = "1D"\nembargo = "none"',
        q=0.95,
        window="1D",
        hold="3h",
    )


def minutes(data: Path, folder: Path, _: argparse.Namespace) -> str:
    """Ten hours of a full order book, minute by minute, up to the same crash."""
    pd.read_parquet(data / "l2_btc_1min_full_20210417.parquet").to_parquet(folder / "BTCUSDT.parquet")
    return STUDY.format(
        title="Order book by the minute",
        strategies=ALONE,
        seen=60,
        horizons=["1m", "5m", "15m"],
        source='kind = "book"\npath = "BTCUSDT.parquet"',
        splits='train = "3h"\ntest = "1h"\nembargo = "15m"',
        q=0.95,
        window="2h",
        hold="15m",
    )


def stored(data: Path, folder: Path, _: argparse.Namespace) -> str:
    """Hourly bars of two coins from a store."""
    bars = fs.read_bars(data / "ohlcv_1h_8assets.parquet").select(["BTCUSDT", "ETHUSDT"])
    store = fs.Store(folder / "store")
    for i, symbol in enumerate(bars.symbols):
        known = ~np.isnan(bars.close[:, i])
        opened = bars.time[known].astype("datetime64[ms]").astype(np.int64)
        columns = {"time": opened} | {name: getattr(bars, name)[known, i] for name in COLUMNS["ohlcv"] if name != "time"}
        key = fs.SeriesKey("binance", "linear", f"{symbol.removesuffix('USDT')}/USDT:USDT", "ohlcv", "1h")
        store.write(key, pa.table({name: columns[name] for name in COLUMNS["ohlcv"]}), int(opened[0]), int(opened[-1]) + HOUR_MS)
    return STUDY.format(
        title="Hours from a store",
        strategies=TOGETHER,
        seen=168,
        horizons=["1h", "6h", "24h"],
        source='kind = "bars"\nfrom = "store"\nexchange = "binance"\nsymbols = ["BTC/USDT:USDT", "ETH/USDT:USDT"]\n'
        'interval = "1h"\nstart = "2020-01-01"\nend = "2025-01-01"',
        splits='train = "365D"\ntest = "90D"\nembargo = "2D"',
        q=0.99,
        window="60D",
        hold="24h",
    )


SOURCES: dict[str, Callable[[Path, Path, argparse.Namespace], str]] = {
    "seconds": seconds,
    "pumps": pumps,
    "book": book,
    "minutes": minutes,
    "store": stored,
}


def run(name: str, options: argparse.Namespace) -> dict[str, object]:
    """Make a source ready, run its study in a process of its own, and say what came of it."""
    folder = options.out / name
    folder.mkdir(parents=True)
    (folder / "study.toml").write_text(SOURCES[name](options.data, folder, options), encoding="utf-8")
    command = [sys.executable, "-m", "foreshock", "run", "study.toml", "--out", "found", "--no-ledger"]
    begun = time.monotonic()
    environ = os.environ | {"FORESHOCK_STORE": str((folder / "store").resolve())}
    process = subprocess.Popen(command, cwd=folder, env=environ)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{name} ended with {process.returncode}")
    found = json.loads((folder / "found" / "results.json").read_text(encoding="utf-8"))
    return {
        "source": name,
        "seconds": round(time.monotonic() - begun),
        "CPU": round(used.ru_utime + used.ru_stime),
        "MB": round(used.ru_maxrss / 1024),
        "page, kB": (folder / "found" / "report.html").stat().st_size // 1024,
        "verdicts": ", ".join(f"{label} {detector['verdict']}" for label, detector in found["detectors"].items()),
        "accounts": len(found["backtests"]),
        "failed": len(found["failed_strategies"]),
        "controls": controls(found),
    }


def controls(found: dict) -> str:
    """How many negative controls are beyond 5 %, before and after calibration by other families, and the smallest p."""
    rows = pd.DataFrame(found["controls"]["rows"], columns=["rung", "z_raw", "z"]).dropna(subset="z")
    if rows.empty:
        return "none that can be judged"
    before, after = (int((rows[key].abs() > BEYOND).sum()) for key in ("z_raw", "z"))
    smallest = min(float(2 * stats.norm.sf(rows["z"].abs().max())) * len(rows), 1.0)
    by_rung = rows.assign(hit=rows["z"].abs() > BEYOND).groupby("rung")["hit"]
    shares = ", ".join(f"{rung} {part.sum()} of {len(part)}" for rung, part in by_rung)
    return (
        f"{after} of {len(rows)} ({after / len(rows):.3f}; {before} before): {shares}; smallest p times {len(rows)}: {smallest:.2f}"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", nargs="*", choices=list(SOURCES), default=list(SOURCES))
    parser.add_argument("--pumps", type=int, default=8, help="number of coins")
    options = parser.parse_args(arguments)
    for name in options.only:
        for key, value in run(name, options).items():
            print(f"{key:<10} {value}", flush=True)


if __name__ == "__main__":
    main()
