"""Generated paths as bars, so that detectors and strategies can be tried on them."""

from __future__ import annotations

import numpy as np

from foreshock.data.bars import Bars
from foreshock.data.interval import Instant, parse_instant


def bars_of_paths(
    paths: np.ndarray, symbols: tuple[str, ...], interval: np.timedelta64, start: Instant, price: float, volume: float
) -> Bars:
    """Paths of log returns, (n_paths, n_steps, n_symbols), one after another, as bars that begin at ``price``."""
    returns = paths.reshape(-1, paths.shape[2])
    close = price * np.exp(np.cumsum(returns, axis=0))
    opened = np.concatenate([np.full((1, close.shape[1]), price), close[:-1]])
    time = parse_instant(start, "start") + np.arange(len(close)) * interval
    return Bars(
        time, symbols, opened, np.maximum(opened, close), np.minimum(opened, close), close, np.full(close.shape, volume), interval
    )
