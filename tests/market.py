"""Small markets for tests: random walks, prices written by hand, simulated histories without events, and signals on them."""

import numpy as np
from numpy.typing import ArrayLike

from foreshock.data.bars import Bars
from foreshock.data.simulate.market import simulate_market
from foreshock.data.simulate.random_bars import random_bars
from foreshock.data.trades.trades import Trades
from foreshock.engine.scores import Signals

HOUR = np.timedelta64(1, "h")
NAN = float("nan")
FIRST_TRADE = np.datetime64("2024-08-08T23:59:50", "us")
NO_EVENTS = dict.fromkeys(("n_flash_crashes", "n_pumps", "n_foreshocks", "n_decoys"), 0)


make_bars = random_bars


def bars_of(
    open_: ArrayLike,
    close: ArrayLike | None = None,
    high: ArrayLike | None = None,
    low: ArrayLike | None = None,
    *,
    funding: ArrayLike | None = None,
    volume: ArrayLike | None = None,
    start: str = "2024-01-01",
    interval: np.timedelta64 = HOUR,
) -> Bars:
    """Bars of these prices, one row or one list a bar; they close where they open and have no wicks unless told otherwise."""
    open_ = np.asarray(open_, float).reshape(np.shape(open_)[0], -1)
    close, high, low, volume, funding = (
        None if values is None else np.asarray(values, float).reshape(open_.shape) for values in (close, high, low, volume, funding)
    )
    close = open_ if close is None else close
    high = np.fmax(open_, close) if high is None else high
    low = np.fmin(open_, close) if low is None else low
    volume = np.ones(open_.shape) if volume is None else volume
    extras = {} if funding is None else {"funding_rate": funding}
    time = np.datetime64(start, "us") + np.arange(len(open_)) * interval
    return Bars(time, tuple(f"S{col}" for col in range(open_.shape[1])), open_, high, low, close, volume, interval, extras)


def quiet_bars(seed: int, n_bars: int, n_symbols: int = 2) -> Bars:
    """Simulated bars with volatility clusters and seasons, and no planted event."""
    return simulate_market(seed=seed, n_symbols=n_symbols, n_bars=n_bars, **NO_EVENTS).bars


def signals_of(bars: Bars, active: ArrayLike, decided: np.ndarray | None = None) -> Signals:
    """Alerts at these bars; without ``decided`` every bar is decided."""
    decided = np.ones(bars.shape, dtype=bool) if decided is None else decided
    return Signals(bars.time, bars.symbols, np.asarray(active, bool), np.zeros(bars.shape), decided, bars.interval)


def make_trades(n: int = 3_000, seed: int = 0, level: float = 60_000.0, gap_ms: float = 120.0) -> Trades:
    """Bursts that share a millisecond, silences longer than a window, heavy sizes."""
    rng = np.random.default_rng(seed)
    gaps = np.where(rng.random(n) < 0.5, 0, rng.exponential(gap_ms, n).astype(int))
    gaps[rng.integers(0, n, 5)] += 45_000
    price = level * np.exp(np.cumsum(rng.normal(0, 1e-5, n)))
    size = np.round(rng.pareto(1.5, n) + 0.01, 4)
    time = FIRST_TRADE + np.cumsum(gaps) * np.timedelta64(1_000, "us")
    return Trades(time, price, size, price * size, rng.random(n) < 0.6, np.arange(n))
