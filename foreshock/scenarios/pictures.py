"""Data of the charts of a scenario report: fans, loss histograms and clustering of volatility."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from foreshock.engine.realism.measures import absolute_autocorrelation

FAN_LEVELS = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
N_BINS = 40
# Losses beyond these quantiles of the pooled sources are counted but not drawn.
DRAWN = (0.001, 0.999)


def path_returns(paths: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Simple return since the start at each step, (n_paths, n_steps + 1), of weights bought at the start and held.

    >>> path_returns(np.log([[[1.1, 0.5], [1.1, 2.0]]]), np.array([0.5, 0.5])).round(6)
    array([[ 0.   , -0.2  ,  0.105]])
    """
    returns = np.expm1(np.cumsum(paths, axis=1)) @ weights
    return np.concatenate([np.zeros((len(returns), 1)), returns], axis=1)


def fan(paths: Mapping[str, np.ndarray], weights: np.ndarray) -> dict[str, Any]:
    """Quantiles of the portfolio's return at each step by source, each of shape (n_levels, n_steps + 1)."""
    values = {name: np.quantile(path_returns(found, weights), FAN_LEVELS, axis=0) for name, found in paths.items()}
    return {"levels": FAN_LEVELS, "quantiles": values, "n": {name: len(found) for name, found in paths.items()}}


def losses(returns: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Histogram of the portfolio's loss over the full horizon by source, in the same bins; losses are positive."""
    low, high = np.quantile(-np.concatenate(list(returns.values())), DRAWN)
    # A portfolio with zero weights has equal losses; the bins still need a positive width.
    edges = np.linspace(low, high if high > low else low + 1e-6, N_BINS + 1)
    found = {}
    for name, values in returns.items():
        loss = -values
        outside = {"below": int((loss < edges[0]).sum()), "above": int((loss > edges[-1]).sum())}
        found[name] = {"counts": np.histogram(loss, edges)[0], "n": len(loss), **outside}
    return {"edges": edges, "sources": found}


def clustering(paths: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Autocorrelation of absolute returns within paths, by source; see ``absolute_autocorrelation``."""
    values = {name: absolute_autocorrelation(found) for name, found in paths.items()}
    return {"absolute": values, "n": {name: len(found) for name, found in paths.items()}}
