"""Isolation forest: grown by scikit-learn, walked by numba."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from foreshock.data.errors import ConfigError
from foreshock.detectors.pooled import PooledDetector
from foreshock.engine.features.features import Features


class IsolationForest(PooledDetector):
    """How few random cuts isolate a row: 2^(-mean depth / c(max_samples)) [1]_.

    Rows are standardised per symbol by median and interquartile range. Trees are grown by scikit-learn; scores equal minus its
    ``score_samples``. The score of a row, in (0, 1), uses that row alone; a row with an unknown feature gets NaN.

    Parameters
    ----------
    n_estimators : int
        Number of trees, at least 1.
    max_samples : int
        Number of training rows drawn for each tree, at least 2.
    pool : bool
        Whether all symbols share one forest (True, the default) or each has its own.
    seed : int
        Seed of the trees.

    References
    ----------
    .. [1] Liu, Ting and Zhou (2008), Isolation forest.
    """

    name = "isolation_forest"

    def __init__(self, n_estimators: int = 100, max_samples: int = 256, pool: bool = True, seed: int = 0) -> None:
        self.n_estimators = n_estimators
        self.max_samples = max_samples
        self.pool = pool
        self.seed = seed

    def _check(self, features: Features) -> None:  # noqa: ARG002 - no parameter refers to them
        if self.n_estimators < 1 or self.max_samples < 2:
            raise ConfigError(
                f"n_estimators must be at least 1 and max_samples at least 2, got {self.n_estimators} and {self.max_samples}"
            )

    def _fit_rows(self, rows: np.ndarray) -> dict[str, Any]:
        from sklearn.ensemble import IsolationForest as Grower

        n_samples = min(self.max_samples, len(rows))
        options: dict[str, Any] = {"n_estimators": self.n_estimators, "max_samples": n_samples, "random_state": self.seed}
        trees = [grown.tree_ for grown in Grower(**options, n_jobs=1).fit(rows).estimators_]
        # The kernel evaluates the first three levels at once, so there are at least three.
        levels = max(3, *(int(tree.max_depth) for tree in trees))
        feature = np.zeros((len(trees), 2**levels), dtype=np.uint16)
        cut = np.full((len(trees), 2**levels), np.inf, dtype=np.float32)
        path = np.zeros((len(trees), 2**levels))
        for i, tree in enumerate(trees):
            nodes = tree.children_left, tree.children_right, tree.feature, _round_down(tree.threshold)
            _lay_out_nb(*nodes, average_path_length(tree.n_node_samples), feature[i], cut[i], path[i])
        norm = self.n_estimators * average_path_length(np.array([n_samples]))
        return {"feature": feature, "cut": cut, "path": path, "norm": norm}

    def _score_rows(self, rows: np.ndarray, model: dict[str, Any]) -> np.ndarray:
        # scikit-learn compares rows as float32.
        depths = _sum_depths_nb(_keys_nb(rows.astype(np.float32)), model["feature"], _keys_nb(model["cut"]), model["path"])
        return 2.0 ** (-depths / model["norm"][0])

    def _fits(self, model: dict[str, Any], n_features: int) -> bool:
        feature, cut, path, norm = (model[name] for name in ("feature", "cut", "path", "norm"))
        shape = (self.n_estimators, 2 ** int(np.log2(max(feature.shape[-1], 8))))
        dtypes = (feature.dtype, cut.dtype, path.dtype) == (np.uint16, np.float32, np.float64)
        return dtypes and feature.shape == cut.shape == path.shape == shape and feature.max() < n_features and norm.shape == (1,)


def average_path_length(n: np.ndarray) -> np.ndarray:
    """Mean depth of an unsuccessful search in a binary tree of n rows: c(n) of Liu, Ting and Zhou, 0 for n = 1, 1 for n = 2."""
    n = np.asarray(n, dtype=np.float64)
    large = np.maximum(n, 3)
    return np.where(n <= 1, 0.0, np.where(n == 2, 1.0, 2 * (np.log(large - 1) + np.euler_gamma) - 2 * (large - 1) / large))


def _round_down(cut: np.ndarray) -> np.ndarray:
    """The largest float32 not above each cut: ``x <= cut`` has the same result with both for every float32 x."""
    near = cut.astype(np.float32)
    return np.where(near > cut, np.nextafter(near, np.float32(-np.inf)), near).astype(np.float32)


@njit(cache=True)
def _lay_out_nb(left, right, feature, cut, length, feature_out, cut_out, path_out):
    """One tree as a heap: the children of node h are 2h and 2h + 1, and every leaf is extended leftwards to the last level."""
    levels = 0
    while 2**levels < len(path_out):
        levels += 1
    nodes = np.empty(len(left), np.int64)
    places = np.empty(len(left), np.int64)
    depths = np.empty(len(left), np.int64)
    nodes[0], places[0], depths[0] = 0, 1, 0
    n = 1
    while n > 0:
        n -= 1
        node, place, depth = nodes[n], places[n], depths[n]
        if left[node] < 0:
            path_out[place * 2 ** (levels - depth) - len(path_out)] = depth + length[node]
        else:
            feature_out[place] = feature[node]
            cut_out[place] = cut[node]
            nodes[n], places[n], depths[n] = left[node], 2 * place, depth + 1
            nodes[n + 1], places[n + 1], depths[n + 1] = right[node], 2 * place + 1, depth + 1
            n += 2


@njit(cache=True)
def _keys_nb(x):
    """int32 keys in the order of the float32 values (IEEE 754 bits, negative ones flipped); comparing integers is cheaper."""
    # Adding zero turns minus zero into zero, so that both have the same key.
    keys = (x + np.float32(0.0)).view(np.int32)
    return keys ^ ((keys >> np.int32(31)) & np.int32(0x7FFFFFFF))


@njit(cache=True)
def _sum_depths_nb(rows, feature, cut, path):
    """Sum over the trees of the path length of the leaf that each row falls into; rows and cuts are keys.

    A walk down a tree waits for memory at each step, and its branches are unpredictable. The kernel therefore has no branches;
    it works on blocks of rows that fit in the first-level cache, stored feature by feature; it evaluates the first three levels
    of a block at once by vector comparisons of contiguous rows; then it walks eight rows in turn, so that the others proceed
    while one waits for memory. Integers are unsigned, because numba checks signed indices for being negative.
    """
    block = 256
    n, n_features = rows.shape
    total = np.zeros(n)
    x = np.zeros(n_features * block, np.int32)
    node = np.empty(block, np.int32)
    depth = np.empty(block)
    one = np.int32(1)
    n_leaves = np.uint64(path.shape[1])
    levels = 3
    while 2**levels < path.shape[1]:
        levels += 1
    offset = feature.astype(np.uint32) * np.uint32(block)
    for start in range(0, n, block):
        m = min(block, n - start)
        for j in range(n_features):
            for i in range(m):
                x[j * block + i] = rows[start + i, j]
        depth[:] = 0.0
        for tree in range(len(path)):
            at = offset[tree]
            c = cut[tree]
            leaf = path[tree]
            x1, x2, x3 = x[at[1] : at[1] + block], x[at[2] : at[2] + block], x[at[3] : at[3] + block]
            x4, x5 = x[at[4] : at[4] + block], x[at[5] : at[5] + block]
            x6, x7 = x[at[6] : at[6] + block], x[at[7] : at[7] + block]
            c1, c2, c3, c4, c5, c6, c7 = c[1], c[2], c[3], c[4], c[5], c[6], c[7]
            for i in range(block):
                b1, b2, b3 = np.int32(x1[i] > c1), np.int32(x2[i] > c2), np.int32(x3[i] > c3)
                b4, b5, b6, b7 = np.int32(x4[i] > c4), np.int32(x5[i] > c5), np.int32(x6[i] > c6), np.int32(x7[i] > c7)
                second = (b1 & b3) | ((one ^ b1) & b2)
                low = (second & b5) | ((one ^ second) & b4)
                high = (second & b7) | ((one ^ second) & b6)
                third = (b1 & high) | ((one ^ b1) & low)
                node[i] = np.int32(8) + np.int32(4) * b1 + np.int32(2) * second + third
            for i in range(0, m, 8):
                row = np.uint64(i)
                n0, n1 = np.uint64(np.uint32(node[i])), np.uint64(np.uint32(node[i + 1]))
                n2, n3 = np.uint64(np.uint32(node[i + 2])), np.uint64(np.uint32(node[i + 3]))
                n4, n5 = np.uint64(np.uint32(node[i + 4])), np.uint64(np.uint32(node[i + 5]))
                n6, n7 = np.uint64(np.uint32(node[i + 6])), np.uint64(np.uint32(node[i + 7]))
                for _ in range(levels - 3):
                    n0 = n0 + n0 + np.uint64(x[np.uint64(at[n0]) + row] > c[n0])
                    n1 = n1 + n1 + np.uint64(x[np.uint64(at[n1]) + (row + np.uint64(1))] > c[n1])
                    n2 = n2 + n2 + np.uint64(x[np.uint64(at[n2]) + (row + np.uint64(2))] > c[n2])
                    n3 = n3 + n3 + np.uint64(x[np.uint64(at[n3]) + (row + np.uint64(3))] > c[n3])
                    n4 = n4 + n4 + np.uint64(x[np.uint64(at[n4]) + (row + np.uint64(4))] > c[n4])
                    n5 = n5 + n5 + np.uint64(x[np.uint64(at[n5]) + (row + np.uint64(5))] > c[n5])
                    n6 = n6 + n6 + np.uint64(x[np.uint64(at[n6]) + (row + np.uint64(6))] > c[n6])
                    n7 = n7 + n7 + np.uint64(x[np.uint64(at[n7]) + (row + np.uint64(7))] > c[n7])
                depth[i] += leaf[n0 - n_leaves]
                depth[i + 1] += leaf[n1 - n_leaves]
                depth[i + 2] += leaf[n2 - n_leaves]
                depth[i + 3] += leaf[n3 - n_leaves]
                depth[i + 4] += leaf[n4 - n_leaves]
                depth[i + 5] += leaf[n5 - n_leaves]
                depth[i + 6] += leaf[n6 - n_leaves]
                depth[i + 7] += leaf[n7 - n_leaves]
        for i in range(m):
            total[start + i] = depth[i]
    return total
