"""Cross-fitted forecasts of the activity after each bar: the two rungs that an alert has to exceed."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from foreshock.engine.validation.rungs.state import State

BLOCKS = 5
# Rows beside a block that its forecast is not fitted on, as a multiple of the longest horizon.
GAP = 2
RIDGE = 20.0
# An input whose standard deviation is not above this, in units of a log, is constant but for rounding.
FLAT = 1e-9
# With fewer rows, trees learn nothing that the linear part does not; with more than this many, a sample is enough for them.
TREES_FROM, TREES_SAMPLE = 50_000, 40_000
TREES: dict[str, Any] = {
    "learning_rate": 0.15,
    "max_iter": 60,
    "max_leaf_nodes": 8,
    "max_depth": 3,
    "min_samples_leaf": 60,
    "l2_regularization": 5.0,
    "max_bins": 31,
    "max_features": 0.5,
    "early_stopping": False,
}
# A block without this many training rows for each input has no forecast.
LEAST_ROWS = 4


@dataclass(frozen=True)
class Forecast:
    """Forecasts of the log path over each horizon, each made by a model that was not fitted on the row or its neighbours.

    Parameters
    ----------
    values : ndarray, shape (n, n_horizons)
        On the lines of the state; NaN where a block has no forecast.
    r2 : ndarray, shape (n_horizons,)
        Share of the variance of the target that is explained on the judged rows, with the mean of those rows as yardstick.
    qlike_gain : ndarray, shape (n_horizons,)
        QLIKE loss of a heterogeneous autoregression of absolute returns less that of the forecast, on the judged rows.
    trees : bool
        Whether boosted trees were added to the linear part.
    """

    values: np.ndarray
    r2: np.ndarray
    qlike_gain: np.ndarray
    trees: bool


def cross_fit(
    state: State, marks: bool, first: int = 0, seed: int = 0, forward: bool = False, trees: bool | None = None
) -> Forecast:
    """Forecast each of five blocks of time by models fitted on the other four, less a gap on either side.

    The models are ridge regressions on logs, pooled over symbols, with means over the market among the inputs. From 50,000 rows
    on, boosted trees are fitted on what the linear part leaves.

    Parameters
    ----------
    state : State
        Inputs and targets.
    marks : bool
        Whether the forecast sees the marks, such as volume.
    first : int
        First row that is judged; quality is measured from there on.
    seed : int
        Seed of the trees.
    forward : bool
        Fit each block on earlier rows alone. Blocks then lie after the first half of the rows before ``first``, or after a sixth
        of the history.
    trees : bool, optional
        Whether to add trees; by default from 50,000 rows on.
    """
    names = state.names(marks)
    x = np.column_stack([state.inputs[name] for name in names])
    straight = np.array([name in state.linear for name in names])
    trees = len(x) >= TREES_FROM if trees is None else trees
    values = _blocks(state, x, straight, seed, forward, trees, first)
    har = [name for name in ("abs1", "abs6", "abs24", "abs72") if name in state.inputs]
    plain = np.column_stack([state.inputs[name] for name in har])
    yardstick = _blocks(state, plain, np.ones(len(har), bool), seed, forward, False, first)
    judged = ~np.isnan(values).any(axis=1) & ~np.isnan(state.target).any(axis=1) & (state.row >= first)
    judged &= ~np.isnan(yardstick).any(axis=1)
    if judged.sum() < 2:
        nothing = np.full(len(state.horizons), np.nan)
        return Forecast(values, nothing, nothing, trees)
    target = state.target[judged]
    r2 = 1 - (target - values[judged]).var(axis=0) / target.var(axis=0)
    gain = qlike(target, yardstick[judged]) - qlike(target, values[judged])
    return Forecast(values, r2, gain, trees)


def qlike(target: np.ndarray, forecast: np.ndarray) -> np.ndarray:
    """Mean of y / m + log m, with y and m the exp of both, after m is scaled to the mean of y / m; by column."""
    surprise = np.exp(target - forecast)
    level = surprise.mean(axis=0)
    return (forecast + np.log(level)).mean(axis=0) + 1.0


def _blocks(state: State, x: np.ndarray, straight: np.ndarray, seed: int, forward: bool, trees: bool, first: int) -> np.ndarray:
    from joblib import Parallel, delayed

    gap = GAP * max(state.horizons)
    usable = ~np.isnan(state.target).any(axis=1) & (state.row >= gap)
    begin = (first // 2 or state.n_rows // 6) if forward else 0
    edges = np.linspace(begin, state.n_rows, BLOCKS + 1).astype(int)
    out = np.full(state.target.shape, np.nan)
    tasks = []
    for k, (start, stop) in enumerate(pairwise(edges)):
        before, after = state.row < start - gap, state.row >= stop + gap
        train = np.flatnonzero(usable & (before if forward else before | after))
        block = np.flatnonzero((state.row >= start) & (state.row < stop))
        if len(train) >= LEAST_ROWS * x.shape[1] and block.size:
            tasks.append((train, block, seed + k))
    # Trees take most of the time and run beside each other; a linear fit is quicker than a thread's start.
    n_jobs = -1 if trees else 1
    results: Any = Parallel(n_jobs=n_jobs, prefer="threads")(
        delayed(_fit)(x, state.target, train, block, straight, task_seed, trees) for train, block, task_seed in tasks
    )
    for (_, block, _), values in zip(tasks, results, strict=True):
        out[block] = values
    return out


def _fit(
    x: np.ndarray, y: np.ndarray, train: np.ndarray, block: np.ndarray, straight: np.ndarray, seed: int, trees: bool
) -> np.ndarray:
    from sklearn.linear_model import Ridge
    from threadpoolctl import threadpool_limits

    columns = x[:, straight]
    mean, spread = columns[train].mean(axis=0), columns[train].std(axis=0)
    # An input that does not vary on the training rows has no part in the forecast, even where it varies later.
    spread = np.where(spread > FLAT, spread + 1e-12, np.inf)
    z = (columns[train] - mean) / spread
    line = Ridge(RIDGE).fit(z, y[train])
    out = line.predict((columns[block] - mean) / spread).reshape(len(block), -1)
    if not trees:
        return out
    rest = y[train] - line.predict(z).reshape(len(train), -1)
    rng = np.random.default_rng(seed)
    some = np.sort(rng.choice(len(train), TREES_SAMPLE, replace=False)) if len(train) > TREES_SAMPLE else np.arange(len(train))
    sample, x_block = x[train[some]], x[block]
    # Blocks run beside each other, so the threads of one would only wait for those of another.
    with threadpool_limits(limits=1):
        for j in range(y.shape[1]):
            out[:, j] += _trees(seed).fit(sample, rest[some, j]).predict(x_block)
    return out


def _trees(seed: int):
    from sklearn.ensemble import HistGradientBoostingRegressor

    return HistGradientBoostingRegressor(**TREES, random_state=seed)
