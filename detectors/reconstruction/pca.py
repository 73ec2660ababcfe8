"""Principal components: the linear baseline of every autoencoder."""

from __future__ import annotations

from typing import Any

import numpy as np

from foreshock.data.errors import ConfigError
from foreshock.detectors.pooled import PooledDetector
from foreshock.detectors.scaling import CLIP
from foreshock.engine.features.features import Features


class PCA(PooledDetector):
    """Mean squared error of reconstructing a standardised row from its first principal components.

    score = |z - V V' z|^2 / n_features with z the row, standardised per symbol by median and interquartile range, less the
    training mean, and V the leading eigenvectors of the training covariance. For fitting, z is clipped at 10, so that single
    crashes do not determine the components. The score of a row uses that row alone; a row with an unknown feature gets NaN.

    Parameters
    ----------
    n_components : int
        Number of components, from 1 to one less than the number of features.
    pool : bool
        Whether all symbols share one set of components (True, the default) or each has its own.
    """

    name = "pca"
    tolerance = 1e-9

    def __init__(self, n_components: int = 4, pool: bool = True) -> None:
        self.n_components = n_components
        self.pool = pool

    def _check(self, features: Features) -> None:
        if not 1 <= self.n_components < len(features.names):
            raise ConfigError(
                f"n_components must lie between 1 and {len(features.names) - 1} for {len(features.names)} features, "
                f"got {self.n_components}"
            )

    def _fit_rows(self, rows: np.ndarray) -> dict[str, Any]:
        rows = np.clip(rows, -CLIP, CLIP)
        mean = rows.mean(axis=0)
        return {"mean": mean, "components": principal_components(rows - mean, self.n_components)}

    def _score_rows(self, rows: np.ndarray, model: dict[str, Any]) -> np.ndarray:
        return (self._residual(rows, model) ** 2).mean(axis=1)

    def _parts(self, rows: np.ndarray, model: dict[str, Any]) -> np.ndarray:
        return self._residual(rows, model) ** 2 / rows.shape[1]

    def _residual(self, rows: np.ndarray, model: dict[str, Any]) -> np.ndarray:
        centred = rows - model["mean"]
        return centred - (centred @ model["components"].T) @ model["components"]

    def _fits(self, model: dict[str, Any], n_features: int) -> bool:
        return model["mean"].shape == (n_features,) and model["components"].shape == (self.n_components, n_features)


def principal_components(centred: np.ndarray, n_components: int) -> np.ndarray:
    """Leading eigenvectors of the covariance of centred rows, (n_components, n_features), each with its largest entry positive.

    >>> principal_components(np.array([[-1.0, -2.0], [1.0, 2.0]]), 1).round(3)
    array([[0.447, 0.894]])
    """
    _, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
    components = vectors[:, ::-1][:, :n_components].T
    largest = np.take_along_axis(components, np.abs(components).argmax(axis=1)[:, None], axis=1)
    return components * np.where(largest < 0, -1.0, 1.0)
