"""One-class support vector machine, scored as a sum of Gaussian bumps."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from foreshock.data.errors import ConfigError
from foreshock.detectors.pooled import PooledDetector
from foreshock.detectors.scaling import CLIP
from foreshock.engine.features.features import Features

# With this many training rows or more, Nystroem's approximation replaces libsvm, whose cost is quadratic in the rows.
MANY_ROWS = 5_000
# Passes of stochastic gradient descent over the training rows.
PASSES = 20


class OneClassSVM(PooledDetector):
    """Distance beyond the boundary around the training rows [1]_: rho - sum_j w_j exp(-g |z - c_j|^2), positive outside.

    z is the row, standardised per symbol by median and interquartile range, and g = gamma / (n_features var(z)). Below 5,000
    training rows the c_j are libsvm's support vectors and w_j its dual coefficients. With more, the c_j are ``n_components``
    training rows drawn by ``seed``, and w_j combines Nystroem's map [2]_ with the weights of a linear one-class SVM fitted by
    averaged stochastic gradient descent. Scores equal minus scikit-learn's ``decision_function``. For fitting, z is clipped
    at 10. The score of a row uses that row alone; a row with an unknown feature gets NaN. Far from all training rows the
    score levels off at rho.

    Parameters
    ----------
    nu : float
        Approximate share of the training rows that lies outside the boundary, between 0 and 1.
    gamma : float
        Sharpness of the kernel, in units of 1 / (n_features var(z)); above 0.
    n_components : int
        Number of training rows in Nystroem's approximation, at least 2.
    pool : bool
        Whether all symbols share one boundary (True, the default) or each has its own.
    seed : int
        Seed of Nystroem's draw and of the gradient descent.

    References
    ----------
    .. [1] Schoelkopf, Platt, Shawe-Taylor, Smola and Williamson (2001), Estimating the support of a high-dimensional distribution.
    .. [2] Williams and Seeger (2001), Using the Nystroem method to speed up kernel machines.
    """

    name = "one_class_svm"

    def __init__(self, nu: float = 0.05, gamma: float = 1.0, n_components: int = 200, pool: bool = True, seed: int = 0) -> None:
        self.nu = nu
        self.gamma = gamma
        self.n_components = n_components
        self.pool = pool
        self.seed = seed

    def _check(self, features: Features) -> None:  # noqa: ARG002 - no parameter refers to them
        if not 0 < self.nu < 1:
            raise ConfigError(f"nu must lie between 0 and 1, such as 0.05, got {self.nu}")
        if not 0 < self.gamma < np.inf:
            raise ConfigError(f"gamma must be above 0, such as 1.0, got {self.gamma}")
        if self.n_components < 2:
            raise ConfigError(f"n_components must be at least 2, got {self.n_components}")

    def _fit_rows(self, rows: np.ndarray) -> dict[str, Any]:
        rows = np.clip(rows, -CLIP, CLIP)
        # Rows without variance are a single point, for which the width of the kernel does not matter.
        sharpness = self.gamma / (rows.shape[1] * (rows.var() or 1.0))
        exact = self._libsvm if len(rows) < MANY_ROWS else self._nystroem
        centres, weights, offset = exact(rows, sharpness)
        return {"centres": centres, "weights": weights, "offset": np.array([offset]), "sharpness": np.array([sharpness])}

    def _libsvm(self, rows: np.ndarray, sharpness: float) -> tuple[np.ndarray, np.ndarray, float]:
        from sklearn.svm import OneClassSVM as Exact

        options: dict[str, Any] = {"kernel": "rbf", "gamma": sharpness, "nu": self.nu}
        svm: Any = Exact(**options).fit(rows)
        return np.ascontiguousarray(svm.support_vectors_), np.ascontiguousarray(svm.dual_coef_[0]), -float(svm.intercept_[0])

    def _nystroem(self, rows: np.ndarray, sharpness: float) -> tuple[np.ndarray, np.ndarray, float]:
        from sklearn.kernel_approximation import Nystroem
        from sklearn.linear_model import SGDOneClassSVM

        lift: Any = Nystroem(kernel="rbf", gamma=sharpness, n_components=self.n_components, random_state=self.seed).fit(rows)
        options: dict[str, Any] = {"nu": self.nu, "average": True, "max_iter": PASSES, "tol": None, "random_state": self.seed}
        svm: Any = SGDOneClassSVM(**options).fit(lift.transform(rows))
        return np.ascontiguousarray(lift.components_), lift.normalization_.T @ svm.coef_.ravel(), float(svm.offset_[0])

    def _score_rows(self, rows: np.ndarray, model: dict[str, Any]) -> np.ndarray:
        return model["offset"][0] - _bumps_nb(rows, model["centres"], model["weights"], model["sharpness"][0])

    def _fits(self, model: dict[str, Any], n_features: int) -> bool:
        centres, weights = model["centres"], model["weights"]
        shapes = centres.ndim == 2 and centres.shape == (len(weights), n_features) and weights.ndim == 1
        return shapes and model["offset"].shape == model["sharpness"].shape == (1,)


@njit(cache=True)
def _bumps_nb(rows, centres, weights, sharpness):
    """sum_j weights[j] exp(-sharpness |row - centres[j]|^2), without BLAS, so that the rounding does not depend on other rows."""
    total = np.zeros(len(rows))
    for i in range(len(rows)):
        for j in range(len(centres)):
            distance = 0.0
            for k in range(rows.shape[1]):
                gap = rows[i, k] - centres[j, k]
                distance += gap * gap
            total[i] += weights[j] * np.exp(-sharpness * distance)
    return total
