"""Paths known to be unrealistic, as controls of the realism card."""

from __future__ import annotations

import numpy as np


def gaussian_paths(real: np.ndarray, n: int, seed: int = 0) -> np.ndarray:
    """Independent Gaussian returns with the mean and the covariance of the real ones, shape (n, n_steps, n_assets)."""
    rows = real.reshape(-1, real.shape[2])
    rng = np.random.default_rng(seed)
    covariance = np.atleast_2d(np.cov(rows, rowvar=False))
    return rng.multivariate_normal(rows.mean(axis=0), covariance, (n, real.shape[1]), method="cholesky")


def phase_shuffled_paths(real: np.ndarray, n: int, seed: int = 0) -> np.ndarray:
    """The real history with random Fourier phases, cut into paths: shape (n, n_steps, n_assets).

    The paths are joined in their order and transformed; every frequency is rotated by one random phase, the same for all
    assets. Autocorrelations and cross-correlations of returns are kept; heavy tails and all structure of absolute returns are
    destroyed. Repeated with new phases until there are ``n`` paths.

    References
    ----------
    Prichard and Theiler (1994), Generating surrogate data for time series with several simultaneously measured variables.
    """
    rng = np.random.default_rng(seed)
    n_paths = len(real)
    series = real.reshape(-1, real.shape[2])
    mean = series.mean(axis=0)
    spectrum = np.fft.rfft(series - mean, axis=0)
    runs = []
    for _ in range(-(-n // n_paths)):
        turn = np.exp(2j * np.pi * rng.random((len(spectrum), 1)))
        # The constant, and for an even length the highest frequency, must remain real.
        turn[0] = 1
        turn[-1] = 1 if len(series) % 2 == 0 else turn[-1]
        runs.append((np.fft.irfft(spectrum * turn, len(series), axis=0) + mean).reshape(real.shape))
    return np.concatenate(runs)[:n]
