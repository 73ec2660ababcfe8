"""The conditional autoencoder, in which normal rows depend on the state of the market."""

from __future__ import annotations

from typing import Any

import numpy as np

from foreshock.data.errors import ConfigError
from foreshock.detectors.neural.reconstruction.autoencoder import Autoencoder
from foreshock.engine.features.features import Features
from foreshock.engine.kernels.rolling import rolling_mean_nb


class ConditionalAutoencoder(Autoencoder):
    """Mean squared error of rebuilding a row from a short code and the state of the market before it.

    score = |z - g(f(z, s), s)|^2 / n_features. The state s of row t has one value for each standardised feature: the mean over
    the rows t - state_window .. t - 1 of its median over symbols. It says how volatile, busy or rising the market was, whatever
    the symbol did. The row itself is not in s; otherwise, in a market of one symbol, s would reveal to the decoder what to
    rebuild. A score therefore uses earlier rows of other symbols. A row gets NaN if its window has an unknown value, or its state
    has, because no symbol was known in one of the rows of the state. The other parameters are those of ``autoencoder``.

    That loadings depend on what was known before is the idea of [1]_, whose latent factors of returns are ``fs.latent_factors``.

    Parameters
    ----------
    state_window : int
        Number of rows over which the state is averaged, at least 1.

    References
    ----------
    .. [1] Gu, Kelly and Xiu (2021), Autoencoder asset pricing models.
    """

    name = "conditional_autoencoder"
    market_wide = True

    def __init__(self, *, state_window: int = 24, **shared: Any) -> None:
        super().__init__(**shared)
        self.state_window = state_window

    @property
    def lookback(self) -> int:
        return max(self.window - 1, self.state_window)

    def _check(self, features: Features) -> None:
        super()._check(features)
        if self.state_window < 1:
            raise ConfigError(f"state_window must be at least 1 row, got {self.state_window}; raise it")

    def _n_context(self, n_features: int) -> int:
        return n_features

    def _context(self, values: np.ndarray, start_row: int) -> np.ndarray:
        medians = median_over_symbols(values)
        before = np.full_like(medians, np.nan)
        before[1:] = medians[:-1]
        return rolling_mean_nb(before, self.state_window, start_row % self.state_window)


def median_over_symbols(values: np.ndarray) -> np.ndarray:
    """Median over the known symbols of each row and feature: (n_rows, n_symbols, n_features) to (n_rows, n_features).

    >>> median_over_symbols(np.array([[[1.0], [5.0], [np.nan]], [[np.nan], [np.nan], [np.nan]]])).ravel()
    array([ 3., nan])
    """
    ordered = np.sort(values, axis=1)
    n_known = np.logical_not(np.isnan(values)).sum(axis=1)[:, None]
    # NaN sorts last, so both positions hold NaN if no symbol is known.
    low, high = (np.take_along_axis(ordered, at, axis=1)[:, 0] for at in (np.maximum(n_known - 1, 0) // 2, n_known // 2))
    return 0.5 * (low + high)
