"""Principal components: the linear baseline of every autoencoder."""

from __future__ import annotations

from typing import Any

import numpy as np

from foreshock.data.doors.door import door
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
        Number of components, from 1 to one less than the number of features; the default is lowered where it is more.
    pool : bool
        Whether all symbols share one set of components (True, the default) or each has its own.
    """

    name = "pca"
    tolerance = 1e-9

    def __init__(self, n_components: int = 4, pool: bool = True) -> None:
        self.n_components = n_components
        self.pool = pool

    def _check(self, features: Features) -> None:
        n = len(features.names)
        if not 1 <= self._size("n_components", n) < n:
            raise ConfigError(f"n_components must lie between 1 and {n - 1} for {n} features, got {self.n_components}")

    def _fit_rows(self, rows: np.ndarray) -> dict[str, Any]:
        rows = np.clip(rows, -CLIP, CLIP)
        mean = rows.mean(axis=0)
        return {"mean": mean, "components": principal_components(rows - mean, self._size("n_components", rows.shape[1]))}

    def _score_rows(self, rows: np.ndarray, model: dict[str, Any]) -> np.ndarray:
        return (self._residual(rows, model) ** 2).mean(axis=1)

    def _parts(self, rows: np.ndarray, model: dict[str, Any]) -> np.ndarray:
        return self._residual(rows, model) ** 2 / rows.shape[1]

    def _residual(self, rows: np.ndarray, model: dict[str, Any]) -> np.ndarray:
        centred = rows - model["mean"]
        return centred - (centred @ model["components"].T) @ model["components"]

    @door
    def encode(self, features: Features) -> np.ndarray:
        """Principal components of each row, shape (n_rows, n_symbols, n_components); NaN where a row is not scored.

        Examples
        --------
        >>> import foreshock as fs
        >>> features = fs.ohlcv_features(fs.simulate_market(seed=1, n_symbols=1, n_bars=400).bars)
        >>> pca = fs.make_detector("pca", n_components=3).fit(features)
        >>> pca.encode(features).shape
        (400, 1, 3)
        """
        self._check_fitted()
        n = self._size("n_components", len(self.names_))
        return self._by_model(features, lambda rows, model: (rows - model["mean"]) @ model["components"].T, (n,))

    @door
    def reconstruct(self, features: Features) -> np.ndarray:
        """Rows rebuilt from their components, in the units of ``features``, shape (n_rows, n_symbols, n_features).

        Row t uses row t alone; it is NaN where a row is not scored.

        Examples
        --------
        >>> import foreshock as fs
        >>> features = fs.ohlcv_features(fs.simulate_market(seed=1, n_symbols=1, n_bars=400).bars)
        >>> pca = fs.make_detector("pca").fit(features)
        >>> error = (features.values - pca.reconstruct(features)) / pca.scale_
        >>> bool(np.allclose((error**2).mean(axis=2), pca.score(features).values, equal_nan=True))
        True
        """
        self._check_fitted()

        def rebuilt(rows: np.ndarray, model: dict[str, Any]) -> np.ndarray:
            return (rows - model["mean"]) @ model["components"].T @ model["components"] + model["mean"]

        center, scale = self.scaler._of(features)
        return self._by_model(features, rebuilt, (len(self.names_),)) * scale + center

    def _fits(self, model: dict[str, Any], n_features: int) -> bool:
        return model["mean"].shape == (n_features,) and model["components"].shape == (
            self._size("n_components", n_features),
            n_features,
        )


def principal_components(centred: np.ndarray, n_components: int) -> np.ndarray:
    """Leading eigenvectors of the covariance of centred rows, (n_components, n_features), each with its largest entry positive.

    >>> principal_components(np.array([[-1.0, -2.0], [1.0, 2.0]]), 1).round(3)
    array([[0.447, 0.894]])
    """
    _, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
    components = vectors[:, ::-1][:, :n_components].T
    largest = np.take_along_axis(components, np.abs(components).argmax(axis=1)[:, None], axis=1)
    return components * np.where(largest < 0, -1.0, 1.0)
