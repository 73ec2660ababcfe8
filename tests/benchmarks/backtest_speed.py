"""Backtests of many parameter sets against their peers: ``python -m tests.benchmarks.backtest_speed``.

Long-flat signals of 8 symbols over 43,800 hours, one equal-weight account for each of 200 parameter sets:

- ours: ``backtest_grid``, one call;
- vectorbt: ``Portfolio.from_orders`` of target weights with shared cash and its ``value()``, one call, on a UTC-naive index;
- backtesting.py, which knows one symbol: its ``Backtest.run`` of the same entries and exits, for a few columns, times the number of
  columns. It needs the extra: pip install -e ".[benchmark]".

Each peer runs in a process of its own, which has compiled what it compiles before the clock starts; memory is the peak of
the process less what it held before the call. The entries of a set are breakouts of the close above its highest of a window, the
exits those below its lowest.
"""

import argparse
import json
import resource
import subprocess
import sys
import warnings
from collections.abc import Iterator, Sequence
from time import perf_counter

import numpy as np
import pandas as pd

from foreshock.data.bars import Bars
from foreshock.strategies.assess.grid import backtest_grid
from foreshock.strategies.backtest.costs import Costs
from tests.market import make_bars

COSTS = Costs(taker=5e-4, slippage=0.0)
PEERS = ("ours", "vectorbt", "backtesting.py")
N_COLUMNS = 4


def held(bars: Bars, window: int) -> np.ndarray:
    """1 from a close above the highest of the last ``window`` to one below the lowest, shape (n_bars, n_symbols)."""
    close = pd.DataFrame(bars.close)
    past = close.shift(1).rolling(window)
    state = np.where(close > past.max(), 1.0, np.where(close < past.min(), 0.0, np.nan))
    return pd.DataFrame(state).ffill().fillna(0.0).to_numpy()


def weights(bars: Bars, n_sets: int) -> Iterator[np.ndarray]:
    """Target weights where they change, NaN elsewhere."""
    for number in range(n_sets):
        target = held(bars, 12 + number) / bars.n_symbols
        yield np.where(np.diff(target, axis=0, prepend=0.0) != 0, target, np.nan)


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def ours(bars: Bars, n_sets: int) -> dict[str, float]:
    matrices = list(weights(bars, n_sets))
    backtest_grid(bars.head(100), [matrix[:100] for matrix in matrices[:2]], COSTS)
    before, began = peak(), perf_counter()
    result = backtest_grid(bars, matrices, COSTS)
    return {"seconds": perf_counter() - began, "mb": peak() - before, "growth": float(result.equity[-1].mean())}


def vectorbt(bars: Bars, n_sets: int) -> dict[str, float]:
    import vectorbt as vbt

    def call(matrices: Sequence[np.ndarray], bars: Bars) -> np.ndarray:
        columns = pd.MultiIndex.from_product([range(len(matrices)), bars.symbols], names=["set", "symbol"])
        index = pd.DatetimeIndex(bars.time)
        open_ = pd.DataFrame(np.tile(bars.open, (1, len(matrices))), index, columns)
        close = pd.DataFrame(np.tile(bars.close, (1, len(matrices))), index, columns)
        shifted = np.vstack([np.full((1, len(columns)), np.nan), np.hstack(matrices)[:-1]])
        portfolio = vbt.Portfolio.from_orders(
            close, shifted, size_type="targetpercent", price=open_, val_price=open_, fees=COSTS.taker, min_size=0.0,
            init_cash=2.0**30, group_by="set", cash_sharing=True, call_seq="auto", freq="1h",
        )  # fmt: skip
        return np.asarray(portfolio.value()) / 2.0**30

    matrices = list(weights(bars, n_sets))
    call([matrix[:100] for matrix in matrices[:2]], bars.head(100))
    before, began = peak(), perf_counter()
    value = call(matrices, bars)
    return {"seconds": perf_counter() - began, "mb": peak() - before, "growth": float(value[-1].mean())}


def backtesting(bars: Bars, n_sets: int) -> dict[str, float]:
    from backtesting import Backtest, Strategy  # pyright: ignore[reportMissingImports]

    class Follow(Strategy):
        def init(self) -> None:
            self.state = self.I(self.data.df["state"].to_numpy, plot=False)

        def next(self) -> None:
            if self.state[-1] > 0 and not self.position:
                self.buy()
            elif self.state[-1] == 0 and self.position:
                self.position.close()

    seconds = []
    for number in np.linspace(0, n_sets - 1, N_COLUMNS).astype(int):
        col = int(number) % bars.n_symbols
        columns = {name.title(): getattr(bars, name)[:, col] for name in ("open", "high", "low", "close", "volume")}
        state = held(bars, 12 + int(number))[:, col]
        frame = pd.DataFrame(columns, pd.DatetimeIndex(bars.time)).assign(state=state)
        began = perf_counter()
        Backtest(frame, Follow, cash=1e9, commission=COSTS.taker, finalize_trades=True).run()
        seconds.append(perf_counter() - began)
    return {"seconds": float(np.mean(seconds)) * n_sets * bars.n_symbols, "mb": float("nan"), "growth": float("nan")}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=200)
    parser.add_argument("--bars", type=int, default=43_800)
    parser.add_argument("--symbols", type=int, default=8)
    parser.add_argument("--peer", choices=PEERS, help="run this one alone and print its figures")
    options = parser.parse_args(arguments)
    if options.peer:
        warnings.simplefilter("ignore")
        bars = make_bars(options.bars, options.symbols, seed=1)
        run = {"ours": ours, "vectorbt": vectorbt, "backtesting.py": backtesting}[options.peer]
        print(json.dumps(run(bars, options.sets)))
        return
    found = {}
    for peer in PEERS:
        own = [f"--{name}={getattr(options, name)}" for name in ("sets", "bars", "symbols")]
        command = [sys.executable, "-m", "tests.benchmarks.backtest_speed", f"--peer={peer}", *own]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"{peer:15} did not run: {done.stderr.strip().splitlines()[-1]}")
            continue
        found[peer] = json.loads(done.stdout.splitlines()[-1])
        ratio = found[peer]["seconds"] / found["ours"]["seconds"]
        print(f"{peer:15} {found[peer]['seconds']:8.1f} s {ratio:8.1f} times ours {found[peer]['mb']:8.0f} MB more at the peak")
    if "vectorbt" in found:
        np.testing.assert_allclose(found["vectorbt"]["growth"], found["ours"]["growth"], rtol=1e-9)
        print("the mean final equity of ours and of vectorbt is the same to 1e-9")


if __name__ == "__main__":
    main()
