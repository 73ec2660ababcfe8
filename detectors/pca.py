"""Principal components: the linear baseline of every autoencoder."""

import numpy as np

from data.errors import ConfigError
from detectors.base import Detector
from detectors.scaling import CLIP, RobustScaler, complete_rows
from engine.features import Features


class PCA(Detector):
    """Mean squared error of reconstructing a standardised row from its first principal components.

    score = |z - V V' z|^2 / n_features with z the row, standardised per symbol by median and interquartile range, less the
    training mean, and V the leading eigenvectors of the training covariance. For fitting, z is clipped at 10, lest single
    crashes span the components. The score of a row uses that row alone.

    Parameters
    ----------
    n_components : int
        From 1 to one less than the number of features.
    """

    name = "pca"
    tolerance = 1e-9
    learned = ("symbols_", "names_", "center_", "scale_", "mean_", "components_")

    def __init__(self, n_components: int = 4) -> None:
        self.n_components = n_components

    def _fit(self, features: Features) -> None:
        if not 1 <= self.n_components < len(features.names):
            raise ConfigError(
                f"n_components must lie between 1 and {len(features.names) - 1} for {len(features.names)} features, "
                f"got {self.n_components}"
            )
        scaler = RobustScaler.learn(features)
        rows = np.clip(complete_rows(scaler.transform(features))[0], -CLIP, CLIP)
        self.symbols_, self.names_, self.center_, self.scale_ = scaler.symbols, scaler.names, scaler.center, scaler.scale
        self.mean_ = rows.mean(axis=0)
        centred = rows - self.mean_
        _, vectors = np.linalg.eigh(centred.T @ centred / len(rows))
        self.components_ = vectors[:, ::-1][:, : self.n_components].T.copy()

    def _score(self, features: Features) -> np.ndarray:
        scaler = RobustScaler(self.symbols_, self.names_, self.center_, self.scale_)
        rows, mask = complete_rows(scaler.transform(features))
        centred = rows - self.mean_
        residual = centred - (centred @ self.components_.T) @ self.components_
        score = np.full(mask.shape, np.nan)
        score[mask] = (residual**2).mean(axis=1)
        return score
