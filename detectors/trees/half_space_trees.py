"""Half-space trees: the density of the feature space around a row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numba import njit

from foreshock.data.errors import ConfigError
from foreshock.detectors.explanation import variants
from foreshock.detectors.scaled import ScaledDetector
from foreshock.detectors.scaling import complete_rows
from foreshock.detectors.stream import DetectorStream
from foreshock.engine.features.features import Features


class HalfSpaceTrees(ScaledDetector):
    """Minus the log2 of the density that random half-space trees [1]_ saw around the row in the window before it.

    A tree halves the feature space ``depth`` times at random features. With m the number of rows of the window in the node
    that the row falls into, going down while the parent holds at least a tenth of the window, and k the node's depth,
    score = -log2((1 + sum over trees of m 2^k) / (n_trees n)), n being the known rows of the window.

    Rows are standardised per symbol by median and interquartile range of the training rows and squashed to (0, 1) by
    1/2 + z / (2 + 2|z|). All symbols share the trees; each fills them with its own rows. Two things differ from the paper. The
    window slides, whereas the paper's jumps and makes a score depend on where the history was cut. The work range extends
    max(s, 1 - s) to both sides of its random centre s, half as far as in the paper, because squashed rows cannot leave it.

    A row is scored if all its features are known, the window lies within the history, and half of the window is known;
    otherwise its score is NaN.

    Parameters
    ----------
    n_trees : int
        Number of trees, at least 1.
    depth : int
        Number of times that a tree halves the space, from 1 to 20.
    window : int
        Number of rows before the scored row that fill the trees, at least 20. The scored row is not among them.
    seed : int
        Seed of the random features and centres of the trees.

    References
    ----------
    .. [1] Tan, Ting and Liu (2011), Fast anomaly detection for streaming data.
    """

    name = "half_space_trees"
    learned = (*ScaledDetector.learned, "feature_", "cut_")

    def __init__(self, n_trees: int = 50, depth: int = 10, window: int = 250, seed: int = 0) -> None:
        self.n_trees = n_trees
        self.depth = depth
        self.window = window
        self.seed = seed

    @property
    def lookback(self) -> int:
        return self.window

    def _fit(self, features: Features) -> None:
        if self.n_trees < 1 or not 1 <= self.depth <= 20:
            raise ConfigError(f"n_trees must be at least 1 and depth from 1 to 20, got {self.n_trees} and {self.depth}")
        if self.window < 20:
            raise ConfigError(f"window must be at least 20 rows, got {self.window}")
        self._learn_scales(features)
        rng = np.random.default_rng(self.seed)
        n_features = len(features.names)
        centre = rng.random((self.n_trees, n_features))
        reach = np.maximum(centre, 1 - centre)
        self.feature_ = rng.integers(0, n_features, (self.n_trees, 2**self.depth)).astype(np.uint16)
        self.cut_ = _halve(self.feature_, centre - reach, centre + reach)

    def _score(self, features: Features) -> np.ndarray:
        rows = self.scaler.transform(features)
        _, mask = complete_rows(rows)
        squashed = 0.5 + rows / (2 + 2 * np.abs(rows))
        return _stream_nb(squashed, mask, self.feature_, self.cut_, self.depth, self.window)

    def _stream(self, features: Features) -> DetectorStream:
        return _TreesStream(self, features)

    def _variants(self, features: Features, rows: np.ndarray, symbols: np.ndarray) -> np.ndarray:
        x = self.scaler.transform(features)
        _, mask = complete_rows(x)
        squashed = 0.5 + x / (2 + 2 * np.abs(x))
        # Zero is the median of the training rows, squashed to 1/2.
        probes = np.stack(variants(squashed[rows, symbols], np.full((len(rows), x.shape[2]), 0.5)), axis=1)
        return _probe_nb(squashed, mask, rows, symbols, probes, self.feature_, self.cut_, self.depth, self.window)

    def _parts_fit(self) -> bool:
        shape = (self.n_trees, 2**self.depth)
        return self.feature_.shape == self.cut_.shape == shape and self.feature_.max() < len(self.names_)


def _halve(feature: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The cut of each node: the middle of the range that its ancestors left of its feature. Node h has children 2h and 2h + 1."""
    n_trees, n_nodes = feature.shape
    trees = np.arange(n_trees)
    lows, highs = np.zeros((2, n_nodes, *low.shape))
    lows[1], highs[1] = low, high
    cut = np.zeros(feature.shape)
    for node in range(1, n_nodes):
        at = (trees, feature[:, node])
        cut[:, node] = 0.5 * (lows[node][at] + highs[node][at])
        if 2 * node < n_nodes:
            lows[2 * node], lows[2 * node + 1] = lows[node], lows[node]
            highs[2 * node], highs[2 * node + 1] = highs[node], highs[node]
            highs[2 * node][at] = cut[:, node]
            lows[2 * node + 1][at] = cut[:, node]
    return cut


@njit(cache=True)
def _leaf_nb(row, feature, cut, n_leaves):
    """The leaf of one tree that a squashed row falls into."""
    leaf = 1
    while leaf < n_leaves:
        leaf = 2 * leaf + 1 if row[feature[leaf]] > cut[leaf] else 2 * leaf
    return leaf


@njit(cache=True)
def _probe_nb(rows, known, at, symbols, probes, feature, cut, depth, window):
    """Scores of (n, n_probes) rows that stand at the places ``at`` and ``symbols``: each sees the window before its place."""
    n_trees, n_leaves = len(feature), 2**depth
    score = np.full(probes.shape[:2], np.nan)
    mass = np.zeros(2 * n_leaves, np.int32)
    for i in range(len(at)):
        row, symbol = at[i], symbols[i]
        if row < window or not known[row, symbol]:
            continue
        n = known[row - window : row, symbol].sum()
        if 2 * n < window:
            continue
        density = np.ones(probes.shape[1])
        for tree in range(n_trees):
            mass[:] = 0
            for past in range(row - window, row):
                if known[past, symbol]:
                    leaf = _leaf_nb(rows[past, symbol], feature[tree], cut[tree], n_leaves)
                    while leaf > 0:
                        mass[leaf] += 1
                        leaf >>= 1
            for k in range(probes.shape[1]):
                leaf = _leaf_nb(probes[i, k], feature[tree], cut[tree], n_leaves)
                level = 0
                while level < depth and 10 * mass[leaf >> (depth - level)] >= n:
                    level += 1
                density[k] += mass[leaf >> (depth - level)] * 2.0**level
        for k in range(probes.shape[1]):
            score[i, k] = -np.log2(density[k] / (n_trees * n))
    return score


@njit(cache=True)
def _stream_nb(rows, known, feature, cut, depth, window):
    """Scores, shape (n_rows, n_symbols).

    A node's mass counts the rows of the window below it, so a row that enters or leaves updates all nodes from its leaf to the
    root.
    """
    n_rows, n_symbols, _ = rows.shape
    n_trees = len(feature)
    n_leaves = 2**depth
    score = np.full((n_rows, n_symbols), np.nan)
    leaves = np.empty((window, n_trees), np.int64)
    mass = np.empty((n_trees, 2 * n_leaves), np.int32)
    for symbol in range(n_symbols):
        mass[:] = 0
        n = 0
        for row in range(n_rows):
            slot = row % window
            leave = row >= window and known[row - window, symbol]
            enter = known[row, symbol]
            scored = enter and row >= window and 2 * n >= window
            density = 1.0
            for tree in range(n_trees):
                leaf = 1
                if enter:
                    while leaf < n_leaves:
                        right = rows[row, symbol, feature[tree, leaf]] > cut[tree, leaf]
                        leaf = 2 * leaf + 1 if right else 2 * leaf
                if scored:
                    level = 0
                    while level < depth and 10 * mass[tree, leaf >> (depth - level)] >= n:
                        level += 1
                    density += mass[tree, leaf >> (depth - level)] * 2.0**level
                if leave:
                    old = leaves[slot, tree]
                    while old > 0:
                        mass[tree, old] -= 1
                        old >>= 1
                if enter:
                    leaves[slot, tree] = leaf
                    while leaf > 0:
                        mass[tree, leaf] += 1
                        leaf >>= 1
            if scored:
                score[row, symbol] = -np.log2(density / (n_trees * n))
            n += int(enter) - int(leave)
    return score


class _TreesStream(DetectorStream):
    """``_stream_nb`` one row at a time. The masses of the nodes follow from the leaves, so that the state has leaves alone."""

    carries = (*DetectorStream.carries, "_leaves", "_known")

    def __init__(self, detector: HalfSpaceTrees, features: Features) -> None:
        super().__init__(detector, features)
        n, n_trees = len(features.symbols), detector.n_trees
        self._center, self._scale = detector.scaler._of(features)
        self._leaves = np.zeros((detector.window, n, n_trees), np.int32)
        self._known = np.zeros((detector.window, n), dtype=bool)
        self._mass = np.zeros((n, n_trees, 2 ** (detector.depth + 1)), np.int32)

    def restore(self, state: Mapping[str, Any]) -> Self:
        super().restore(state)
        self._mass[:] = 0
        _fill_nb(self._leaves, self._known, self._mass)
        return self

    def _step(self, row: np.ndarray, time: int) -> np.ndarray:  # noqa: ARG002 - rows are counted
        x = (row - self._center) / self._scale
        squashed = 0.5 + x / (2 + 2 * np.abs(x))
        known = np.logical_not(np.isnan(x).any(axis=1))
        out, detector = np.full(len(row), np.nan), self.detector
        slot, full = (self._n - 1) % detector.window, self._n > detector.window
        _step_nb(
            squashed,
            known,
            slot,
            full,
            detector.feature_,
            detector.cut_,
            detector.depth,
            self._leaves,
            self._known,
            self._mass,
            out,
        )
        return out


@njit(cache=True)
def _fill_nb(leaves, known, mass):
    for slot in range(len(leaves)):
        for symbol in range(leaves.shape[1]):
            if known[slot, symbol]:
                for tree in range(leaves.shape[2]):
                    leaf = leaves[slot, symbol, tree]
                    while leaf > 0:
                        mass[symbol, tree, leaf] += 1
                        leaf >>= 1


@njit(cache=True)
def _step_nb(row, known, slot, full, feature, cut, depth, leaves, was_known, mass, out):
    """One row of ``_stream_nb`` for every symbol; ``full`` says whether a whole window lies before it."""
    n_symbols, n_trees = mass.shape[:2]
    n_leaves, window = 2**depth, len(leaves)
    for symbol in range(n_symbols):
        n = was_known[:, symbol].sum()
        leave, enter = was_known[slot, symbol], known[symbol]
        scored = enter and full and 2 * n >= window
        density = 1.0
        for tree in range(n_trees):
            leaf = 1
            if enter:
                while leaf < n_leaves:
                    right = row[symbol, feature[tree, leaf]] > cut[tree, leaf]
                    leaf = 2 * leaf + 1 if right else 2 * leaf
            if scored:
                level = 0
                while level < depth and 10 * mass[symbol, tree, leaf >> (depth - level)] >= n:
                    level += 1
                density += mass[symbol, tree, leaf >> (depth - level)] * 2.0**level
            if leave:
                old = leaves[slot, symbol, tree]
                while old > 0:
                    mass[symbol, tree, old] -= 1
                    old >>= 1
            if enter:
                leaves[slot, symbol, tree] = leaf
                while leaf > 0:
                    mass[symbol, tree, leaf] += 1
                    leaf >>= 1
        if scored:
            out[symbol] = -np.log2(density / (n_trees * n))
        was_known[slot, symbol] = enter
