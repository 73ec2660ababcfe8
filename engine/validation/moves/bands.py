"""Simultaneous confidence bands around curves whose points share data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LEVEL = 0.95


@dataclass(frozen=True)
class Band:
    """Uncertainty of a curve of k points, for all points at once.

    Parameters
    ----------
    error : ndarray, shape (k,)
        Standard error of each point.
    critical : float
        Number of standard errors within which the complete curve stays in 95 % of samples.
    p : float
        Share of samples whose largest distance from 0, in standard errors, is at least that of ``value``.
    draws : ndarray, shape (n_draws, k)
        Drawn deviations of the curve from the truth.
    """

    error: np.ndarray
    critical: float
    p: float
    draws: np.ndarray


def sup_t_band(
    value: np.ndarray, influence: np.ndarray, lags: int, n_clusters: int, n_draws: int = 999, seed: int = 0, floor: bool = False
) -> Band:
    """The sup-t band [1]_ of a curve that is a sum over rows, such as the mean over events at each offset.

    Deviations follow a dependent multiplier bootstrap [2]_: the influence of each row is multiplied by a normal number that is a
    mean of ``lags`` + 1 successive independent ones. Given the data, the deviations are normal with the Newey-West covariance, so
    they are drawn from that distribution directly. With few clusters of events they are multivariate t, with one degree of freedom
    less than there are clusters.

    Parameters
    ----------
    value : ndarray, shape (k,)
        The curve less its value under the null.
    influence : ndarray, shape (n_rows, k)
        What each row adds to the error of the curve; all symbols of a moment are one row.
    lags : int
        Autocovariances of the Newey-West covariance.
    n_clusters : int
        Groups of events far enough apart not to share bars, at least 2.
    floor : bool
        Whether no point may have a smaller error than the median one; for curves whose points should be equally precise.

    References
    ----------
    .. [1] Montiel Olea and Plagborg-Moller (2019), Simultaneous confidence bands: theory, implementation, and an application to
       SVARs.
    .. [2] Shao (2010), The dependent wild bootstrap.
    """
    root = covariance_root(influence, lags)
    rng = np.random.default_rng(seed)
    freedom = max(n_clusters - 1, 1)
    draws = rng.standard_normal((n_draws, len(root))) @ root
    draws *= np.sqrt(freedom / rng.chisquare(freedom, (n_draws, 1)))
    error = np.sqrt((root**2).sum(axis=0))
    # Moves are skewed: a few events with small moves by chance make both the mean and its estimated error too small.
    error = np.maximum(error, np.median(error) if floor else 0.0)
    moves = error > 0
    if not moves.any():
        return Band(error, float("nan"), float("nan"), draws)
    largest = (np.abs(draws[:, moves]) / error[moves]).max(axis=1)
    observed = (np.abs(value[moves]) / error[moves]).max()
    p = float((1 + (largest >= observed).sum()) / (1 + n_draws))
    return Band(error, float(np.quantile(largest, LEVEL)), p, draws)


def covariance_root(influence: np.ndarray, lags: int) -> np.ndarray:
    """R, shape (k, k), such that R' R is the Newey-West covariance of the column sums of ``influence`` (n_rows, k)."""
    n_rows = len(influence)
    lags = min(lags, n_rows - 1)
    # With Bartlett weights the covariance is the mean product of sums over all windows of lags + 1 rows (see shifted_t_nb).
    total = np.vstack([np.zeros((1, influence.shape[1])), np.cumsum(influence, axis=0)])
    stops = np.arange(1, n_rows + lags + 1)
    windows = total[np.minimum(stops, n_rows)] - total[np.maximum(stops - lags - 1, 0)]
    covariance = windows.T @ windows / (lags + 1)
    values, vectors = np.linalg.eigh(covariance)
    return np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T
