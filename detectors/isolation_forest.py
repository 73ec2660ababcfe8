"""Isolation forest: grown by scikit-learn, walked by numba."""

from typing import Any

import numpy as np
from numba import njit

from data.errors import ConfigError
from detectors.base import Detector
from detectors.scaling import RobustScaler, complete_rows
from engine.features import Features


class IsolationForest(Detector):
    """How few random cuts isolate a row: 2^(-mean depth / c(max_samples)) [1]_, symbols pooled.

    Rows are standardised per symbol by median and interquartile range. Trees are grown by scikit-learn; scores equal minus its
    ``score_samples``. The score of a row, in (0, 1), uses that row alone.

    Parameters
    ----------
    n_estimators : int
    max_samples : int
        Training rows drawn for each tree.
    seed : int

    References
    ----------
    .. [1] Liu, Ting and Zhou (2008), Isolation forest.
    """

    name = "isolation_forest"
    learned = ("symbols_", "names_", "center_", "scale_", "feature_", "cut_", "left_", "right_", "depth_", "root_", "norm_")

    def __init__(self, n_estimators: int = 100, max_samples: int = 256, seed: int = 0) -> None:
        self.n_estimators = n_estimators
        self.max_samples = max_samples
        self.seed = seed

    def _fit(self, features: Features) -> None:
        from sklearn.ensemble import IsolationForest as Grower

        if self.n_estimators < 1 or self.max_samples < 2:
            raise ConfigError(
                f"n_estimators must be at least 1 and max_samples at least 2, got {self.n_estimators} and {self.max_samples}"
            )
        scaler = RobustScaler.learn(features)
        rows, _ = complete_rows(scaler.transform(features))
        n_samples = min(self.max_samples, len(rows))
        options: dict[str, Any] = {"n_estimators": self.n_estimators, "max_samples": n_samples, "random_state": self.seed}
        grower = Grower(**options, n_jobs=1).fit(rows)
        self.symbols_, self.names_, self.center_, self.scale_ = scaler.symbols, scaler.names, scaler.center, scaler.scale
        trees = [estimator.tree_ for estimator in grower.estimators_]
        self.root_ = np.concatenate([[0], np.cumsum([tree.node_count for tree in trees])[:-1]]).astype(np.int64)
        self.feature_ = np.concatenate([tree.feature for tree in trees]).astype(np.int32)
        self.cut_ = np.concatenate([tree.threshold for tree in trees])
        self.left_, self.right_ = (
            np.concatenate([getattr(tree, side) + root for tree, root in zip(trees, self.root_, strict=True)]).astype(np.int32)
            for side in ("children_left", "children_right")
        )
        sizes = np.concatenate([tree.n_node_samples for tree in trees])
        self.depth_ = _node_depths_nb(self.left_, self.right_, self.feature_) + average_path_length(sizes)
        self.norm_ = self.n_estimators * average_path_length(np.array([n_samples]))

    def _score(self, features: Features) -> np.ndarray:
        scaler = RobustScaler(self.symbols_, self.names_, self.center_, self.scale_)
        rows, mask = complete_rows(scaler.transform(features))
        depths = _sum_depths_nb(
            rows.astype(np.float32), self.feature_, self.cut_, self.left_, self.right_, self.depth_, self.root_
        )
        score = np.full(mask.shape, np.nan)
        score[mask] = 2.0 ** (-depths / self.norm_[0])
        return score


def average_path_length(n: np.ndarray) -> np.ndarray:
    """Mean depth of an unsuccessful search in a binary tree of n rows: c(n) of Liu, Ting and Zhou, 0 for n = 1, 1 for n = 2."""
    n = np.asarray(n, dtype=np.float64)
    large = np.maximum(n, 3)
    return np.where(n <= 1, 0.0, np.where(n == 2, 1.0, 2 * (np.log(large - 1) + np.euler_gamma) - 2 * (large - 1) / large))


@njit(cache=True)
def _node_depths_nb(left, right, feature):
    """Depth of every node below its root; children stand behind their parents."""
    depth = np.zeros(len(left))
    for node in range(len(left)):
        if feature[node] >= 0:
            depth[left[node]] = depth[node] + 1.0
            depth[right[node]] = depth[node] + 1.0
    return depth


@njit(cache=True)
def _sum_depths_nb(rows, feature, cut, left, right, depth, root):
    """Sum over the trees of the depth of the leaf that each row falls into; rows are float32, as scikit-learn compares them."""
    total = np.zeros(len(rows))
    for tree in range(len(root)):
        for i in range(len(rows)):
            node = root[tree]
            while feature[node] >= 0:
                node = left[node] if rows[i, feature[node]] <= cut[node] else right[node]
            total[i] += depth[node]
    return total
