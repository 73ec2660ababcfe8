"""Small random-walk markets for tests and trials; ``simulate_market`` makes realistic ones."""

from __future__ import annotations

import numpy as np

from foreshock.data.bars import Bars
from foreshock.data.interval import parse_duration


def random_bars(n_bars: int = 500, n_symbols: int = 2, seed: int = 0, interval: str = "1h", start: str = "2024-01-01") -> Bars:
    """Random-walk OHLCV bars with heavy tails; no two symbols alike.

    >>> random_bars(3, 2).symbols
    ('A', 'B')
    """
    rng = np.random.default_rng(seed)
    shape = (n_bars, n_symbols)
    level = 10.0 ** rng.uniform(-1, 4, n_symbols)
    close = level * np.exp(np.cumsum(0.01 * rng.standard_t(5, shape), axis=0))
    open_ = np.vstack([level[None], close[:-1]])
    high = np.maximum(open_, close) * np.exp(np.abs(rng.normal(0, 0.003, shape)))
    low = np.minimum(open_, close) * np.exp(-np.abs(rng.normal(0, 0.003, shape)))
    volume = np.exp(rng.normal(5, 1, shape))
    step = parse_duration(interval)
    time = np.datetime64(start, "us") + np.arange(n_bars) * step
    return Bars(time, tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ"[:n_symbols]), open_, high, low, close, volume, step)
