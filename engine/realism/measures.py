"""Statistics of return paths and distances between two sets of them, each of shape (n_paths, n_steps, n_assets)."""

from __future__ import annotations

import numpy as np

# Share of the largest absolute returns that the tail index uses.
TAIL = 0.02
MAX_LAGS = 12
EMBEDDING = (
    "log volatility",
    "its spread over assets",
    "log of largest over rms",
    "log kurtosis",
    "skewness",
    "acf 1 of absolute returns",
    "acf 2 to 6 of absolute returns",
    "acf 1 of returns",
    "leverage",
    "change of log volatility",
    "standardised move of the mean asset",
    "correlation of assets",
)


def embed_paths(paths: np.ndarray) -> np.ndarray:
    """Twelve statistics of each path, shape (n_paths, 12): see ``EMBEDDING``.

    Each statistic uses one path: it is computed per asset over the steps, then averaged over assets. All but the first are
    scale-free. The correlation between the assets of a path follows from the ratio of the variance of the mean asset to the mean
    variance; the second and the last statistic are 0 for a single asset.
    """
    n_steps, n_assets = paths.shape[1:]
    rms = np.sqrt((paths**2).mean(axis=1, keepdims=True))
    unit = paths / np.maximum(rms, np.finfo(float).tiny)
    size = np.abs(unit) - np.abs(unit).mean(axis=1, keepdims=True)
    power = np.maximum((size**2).sum(axis=1), 1e-12)
    acf = [(size[:, k:] * size[:, :-k]).sum(axis=1) / power for k in range(1, min(6, n_steps - 2) + 1)]
    log_rms = np.log(np.maximum(rms[:, 0], np.finfo(float).tiny))
    half = n_steps // 2
    parts = [np.log(np.maximum((unit[:, s] ** 2).mean(axis=1), 1e-6)) / 2 for s in (slice(0, half), slice(half, None))]
    mean_asset = unit.mean(axis=2)
    together = (mean_asset**2).mean(axis=1)
    statistics = [
        log_rms.mean(axis=1),
        log_rms.std(axis=1),
        np.log(np.maximum(np.abs(unit).max(axis=1), 1e-6)).mean(axis=1),
        np.log(np.maximum((unit**4).mean(axis=1), 1e-6)).mean(axis=1),
        (unit**3).mean(axis=(1, 2)),
        acf[0].mean(axis=1),
        np.mean(acf[1:], axis=0).mean(axis=1),
        (unit[:, 1:] * unit[:, :-1]).mean(axis=(1, 2)),
        (unit[:, :-1] * size[:, 1:]).mean(axis=(1, 2)),
        (parts[1] - parts[0]).mean(axis=1),
        mean_asset.sum(axis=1) / np.sqrt(n_steps * np.maximum(together, 1e-12)),
        (together * n_assets - 1) / (n_assets - 1) if n_assets > 1 else np.zeros(len(paths)),
    ]
    return np.stack(statistics, axis=1)


def frechet_distance(x: np.ndarray, y: np.ndarray) -> float:
    """Squared Frechet distance of two sets of vectors, (n, d) and (m, d), each treated as Gaussian.

    ``|mean_x - mean_y|^2 + tr(C_x + C_y - 2 (C_x^(1/2) C_y C_x^(1/2))^(1/2))`` with the covariances C (n - 1).

    References
    ----------
    Dowson and Landau (1982), The Frechet distance between multivariate normal distributions.

    Examples
    --------
    Two sets of identical shape, 3 apart.

    >>> x = np.array([[0.0], [2.0], [4.0]])
    >>> round(frechet_distance(x, x + 3), 9)
    9.0
    """
    cov_x, cov_y = (np.atleast_2d(np.cov(rows, rowvar=False)) for rows in (x, y))
    values, vectors = np.linalg.eigh(cov_x)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ cov_y @ root), 0)).sum()
    return float(((x.mean(axis=0) - y.mean(axis=0)) ** 2).sum() + np.trace(cov_x) + np.trace(cov_y) - 2 * cross)


def rbf_kernel(paths: np.ndarray, n_reference: int) -> np.ndarray:
    """``exp(-|a - b|^2 / (2 h^2))`` for all pairs of flattened paths, h^2 the median of ``|a - b|^2`` over the first
    ``n_reference`` paths."""
    flat = paths.reshape(len(paths), -1)
    squares = (flat**2).sum(axis=1)
    distance = np.maximum(squares[:, None] + squares[None] - 2 * flat @ flat.T, 0)
    reference = distance[:n_reference, :n_reference]
    width = np.median(reference[np.triu_indices(n_reference, 1)])
    return np.exp(-distance / (2 * max(width, np.finfo(float).tiny)))


def mmd(kernel: np.ndarray, x: np.ndarray, y: np.ndarray) -> float:
    """Unbiased squared maximum mean discrepancy of paths ``x`` and ``y``, indices into a kernel matrix with unit diagonal.

    ``sum_(i != j) k(x_i, x_j) / (n (n - 1)) + sum_(i != j) k(y_i, y_j) / (m (m - 1)) - 2 mean k(x_i, y_j)``; for equal
    distributions it is around 0 and can be negative.

    References
    ----------
    Gretton, Borgwardt, Rasch, Schoelkopf and Smola (2012), A kernel two-sample test.
    """
    n, m = len(x), len(y)
    within = (kernel[np.ix_(x, x)].sum() - n) / (n * (n - 1)) + (kernel[np.ix_(y, y)].sum() - m) / (m * (m - 1))
    return float(within - 2 * kernel[np.ix_(x, y)].mean())


def mmd_permutation_p(kernel: np.ndarray, n_x: int, n_permutations: int, rng: np.random.Generator) -> float:
    """Permutation p-value of the MMD between the first ``n_x`` rows and the rest; the observed labelling counts as one draw.

    The test assumes independent paths. Real paths of one history are dependent, so it rejects too often for them.
    """
    n = len(kernel)
    n_y = n - n_x
    labels = np.zeros((n_permutations + 1, n))
    labels[0, :n_x] = 1
    for row in labels[1:]:
        row[rng.permutation(n)[:n_x]] = 1
    others = 1 - labels
    sums = labels @ kernel
    xx, cross = (sums * labels).sum(axis=1), (sums * others).sum(axis=1)
    yy = kernel.sum() - xx - 2 * cross
    values = (xx - n_x) / (n_x * (n_x - 1)) + (yy - n_y) / (n_y * (n_y - 1)) - 2 * cross / (n_x * n_y)
    return float((values >= values[0] - 1e-12).mean())


def correlations(paths: np.ndarray) -> np.ndarray:
    """Correlations of every two assets over all steps of all paths, shape (n_assets (n_assets - 1) / 2,)."""
    matrix = np.corrcoef(paths.reshape(-1, paths.shape[2]), rowvar=False)
    return matrix[np.triu_indices(paths.shape[2], 1)]


def tail_index(paths: np.ndarray) -> float:
    """Hill estimate of the tail index from the largest 2 % of absolute returns, each asset in units of its own median.

    ``1 / mean(log(x_i / x_k))`` over the k largest x_i; about 3 for returns, 4 for a Student-t with 4 degrees of freedom, and large
    for a Gaussian.

    References
    ----------
    Hill (1975), A simple general approach to inference about the tail of a distribution.
    """
    size = np.abs(paths.reshape(-1, paths.shape[2]))
    size = (size / np.maximum(np.median(size, axis=0), np.finfo(float).tiny)).ravel()
    k = max(int(TAIL * len(size)), 10)
    largest = np.partition(size, len(size) - k - 1)[-k - 1 :]
    return float(1 / np.log(largest[1:] / largest.min()).sum() * k) if largest.min() > 0 else np.nan


def log_kurtosis(paths: np.ndarray) -> float:
    """Log of the kurtosis (3 for a Gaussian) over all steps of all paths, averaged over assets."""
    rows = paths.reshape(-1, paths.shape[2])
    centred = rows - rows.mean(axis=0)
    return float(np.log((centred**4).mean(axis=0) / (centred**2).mean(axis=0) ** 2).mean())


def absolute_autocorrelation(paths: np.ndarray) -> np.ndarray:
    """Correlation of absolute returns k steps apart within a path, k = 1..K, averaged over assets: shape (K,).

    Mean and variance are over all paths, so that differences in volatility between paths count as clustering. K is half the
    steps, at most 12.
    """
    size = np.abs(paths)
    return _lagged(size, size)


def leverage(paths: np.ndarray) -> np.ndarray:
    """Correlation of a return with the absolute return k steps later, computed as ``absolute_autocorrelation``.

    It is negative where falls raise volatility.
    """
    return _lagged(paths, np.abs(paths))


def _lagged(first: np.ndarray, later: np.ndarray) -> np.ndarray:
    first, later = (x - x.mean(axis=(0, 1)) for x in (first, later))
    scale = np.maximum(first.std(axis=(0, 1)) * later.std(axis=(0, 1)), np.finfo(float).tiny)
    lags = range(1, min(MAX_LAGS, first.shape[1] // 2) + 1)
    return np.array([((first[:, :-k] * later[:, k:]).mean(axis=(0, 1)) / scale).mean() for k in lags])


def discriminative_score(x: np.ndarray, y: np.ndarray, seed: int) -> float:
    """Out-of-sample balanced accuracy of a classifier of the vectors ``x`` and ``y``, less one half: 0 is chance, 0.5 perfect.

    Gradient boosting (shallow trees) on embedded paths: trained on the first half of each set and tested on the second, then the
    other way round. Rows must be in time order, so that neighbours of the test rows are not among the training rows.

    References
    ----------
    Yoon, Jarrett and van der Schaar (2019), Time-series generative adversarial networks.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    cut_x, cut_y = len(x) // 2, len(y) // 2
    accuracies = []
    for first in (True, False):
        learn, trial = (
            [part[:cut] if this else part[cut:] for part, cut in ((x, cut_x), (y, cut_y))] for this in (first, not first)
        )
        model = HistGradientBoostingClassifier(max_iter=30, max_leaf_nodes=8, learning_rate=0.2, random_state=seed)
        # With a few hundred rows, several threads would wait for each other, and for other programs, longer than they compute.
        with threadpool_limits(1):
            model.fit(np.vstack(learn), np.repeat([0, 1], [len(part) for part in learn]))
            accuracies.append(np.mean([(model.predict(part) == label).mean() for label, part in enumerate(trial)]))
    return float(np.mean(accuracies) - 0.5)
