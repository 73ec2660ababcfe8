"""Do anomalies of 20-second windows come before larger moves? The stored predictions of a live collector, and a forest of ours.

    python examples/windows20s.py windows20s_btcusdt.parquet

The file has one row a window: segment, trade_count, volume, avg_trade_size, return, volatility, prediction (-1 for an anomaly). Its
stamps drift by a second or two, so that rows, not clock times, are counted; a new segment begins a new market.
"""

import sys
from typing import Literal

import numpy as np
import pandas as pd

import foreshock as fs

COLUMNS = ("trade_count", "volume", "avg_trade_size", "return", "volatility")
STEP = np.timedelta64(20_000_000, "us")


def bars_of(rows: pd.DataFrame, symbol: str) -> fs.Bars:
    """The price path that the returns describe, from 1, on a grid of 20 s: every open is the close before."""
    close = np.cumprod(1 + rows["return"].to_numpy())
    opened = np.concatenate([[1.0], close[:-1]])
    time = rows["timestamp"].to_numpy(dtype="datetime64[us]")[0] + np.arange(len(rows)) * STEP
    high, low = np.maximum(opened, close), np.minimum(opened, close)
    return fs.Bars(time, (symbol,), opened, high, low, close, rows["volume"].to_numpy(), STEP)


def stored(bars: fs.Bars, prediction: np.ndarray) -> fs.Signals:
    """The collector's predictions as signals; NaN is a window that it did not judge."""
    unknown = np.full(bars.shape, np.nan)
    return fs.Signals(bars.time, bars.symbols, prediction[:, None] == -1, unknown, ~np.isnan(prediction)[:, None], STEP)


def forest(bars: fs.Bars, rows: pd.DataFrame, mode: Literal["rolling", "expanding"], alert_rate: float) -> fs.Signals:
    """Isolation forest, fitted on the first 100 windows and refitted every 100, on the last 100 or on all before.

    It is given the collector's alert rate as a quantile of its training scores.
    """
    features = fs.Features(bars.time, bars.symbols, COLUMNS, rows[list(COLUMNS)].to_numpy(dtype=float)[:, None, :], STEP)
    # 100 windows of 20 s: the first fit needs its rows from the very beginning.
    splits = fs.WalkForward(train="2000s", test="2000s", mode=mode, embargo=None)
    scores = fs.walk_forward(fs.make_detector("isolation_forest"), features, splits, train_scores=True)
    return scores.signals(fs.TrainQuantile(1 - alert_rate))


def main(path: str) -> None:
    table = pd.read_parquet(path)
    for segment, rows in table.groupby("segment", sort=False):
        bars = bars_of(rows, str(segment))
        prediction = rows["prediction"].to_numpy(dtype=float)
        known = stored(bars, prediction)
        all_signals = {
            "stored predictions": known,
            "isolation forest, rolling": forest(bars, rows, "rolling", known.alert_rate),
            "isolation forest, expanding": forest(bars, rows, "expanding", known.alert_rate),
        }
        for name, signals in all_signals.items():
            n_alerts, n_others = int(signals.active.sum()), int((signals.decided & ~signals.active).sum())
            moves = fs.forward_moves(bars, signals, ["5m"])["5m"]
            print(
                f"{name}: {n_alerts} alerts against {n_others} windows, next 5 minutes: "
                f"sum of absolute returns {moves.path_ratio:.2f} times normal, net move {moves.abs_move_ratio:.2f}, "
                f"volatility-matched {moves.matched_ratio:.2f} [{moves.ci[0]:.2f}, {moves.ci[1]:.2f}]"
            )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python windows20s.py windows20s_btcusdt.parquet")
    main(sys.argv[1])
