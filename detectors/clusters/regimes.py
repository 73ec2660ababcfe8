"""Market regimes by k-means: the nearest regime of a row, and the distance to it."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numba import njit

from foreshock.data.checks import check_type
from foreshock.data.errors import ConfigError
from foreshock.data.show.facts import Shown, counted, span_facts, symbols_fact
from foreshock.data.show.shown import few
from foreshock.detectors.kept import fit_kept
from foreshock.detectors.pooled import PooledDetector
from foreshock.detectors.reconstruction.pca import principal_components
from foreshock.detectors.scaling import CLIP
from foreshock.engine.features.features import Features
from foreshock.engine.out_of_sample.splits import WalkForward

REGIMES = ("calm", "high volatility", "bullish momentum", "bearish")
UNKNOWN = np.int8(-1)


@dataclass(frozen=True, repr=False)
class Regimes(Shown):
    """Regime of each row and symbol: ``names[labels[t, i]]``, known at the close of row t.

    Parameters
    ----------
    time : ndarray of datetime64[us], shape (n_rows,)
        Open times of the rows, UTC.
    symbols : tuple of str
        Names of the columns of ``labels``.
    labels : ndarray of int8, shape (n_rows, n_symbols)
        Position of the regime in ``names``; -1 where a feature is unknown.
    names : tuple of str
        Names of the regimes.

    Examples
    --------
    >>> import foreshock as fs
    >>> features = fs.ohlcv_features(fs.simulate_market(seed=1, n_symbols=1, n_bars=300).bars)
    >>> regimes = fs.make_detector("kmeans_regime").fit(features).regimes(features)
    >>> regimes.names
    ('calm', 'high volatility', 'bullish momentum', 'bearish')
    >>> regimes.labels.shape
    (300, 1)
    >>> round(sum(regimes.share().values()), 6)
    1.0
    """

    time: np.ndarray
    symbols: tuple[str, ...]
    labels: np.ndarray
    names: tuple[str, ...]

    def share(self) -> dict[str, float]:
        """Share of the known rows in each regime, from 0 to 1, all symbols together; NaN if no row is known."""
        known = self.labels[self.labels != UNKNOWN]
        return {name: float((known == i).mean()) if len(known) else float("nan") for i, name in enumerate(self.names)}

    def _facts(self) -> Iterator[str]:
        yield few(self.names)
        yield symbols_fact(self.symbols)
        yield counted(len(self.time), "row")
        yield from span_facts(self.time)

    def to_frame(self) -> pd.DataFrame:
        """Names of the regimes by time (UTC), one column per symbol; None where unknown."""
        names = np.array([*self.names, None], dtype=object)
        return pd.DataFrame(names[self.labels], pd.DatetimeIndex(self.time, name="time", tz="UTC"), list(self.symbols))


class KMeansRegime(PooledDetector):
    """Distance to the nearest of three or four regimes that k-means [1]_ finds in the training rows.

    score = min_k |z - c_k| with z the row, standardised per symbol by median and interquartile range, and c_k the centroids.
    For fitting, z is clipped at 10. A regime is named by its centroid relative to the others. *high volatility* has the highest
    ``volatility``. With four regimes, *calm* has the lowest, and among the two between them *bullish momentum* has the higher
    ``trend`` and *bearish* the lower. With three, the other two are *bullish momentum* and, with the lower trend, *calm*. The
    score and the regime of a row use that row alone; a row with an unknown feature has neither.

    Parameters
    ----------
    n_regimes : int
        Number of regimes, 3 or 4.
    volatility, trend : str
        The features by which regimes are named.
    pool : bool
        Whether all symbols share one set of regimes (True, the default) or each has its own.
    seed : int
        Seed of the starting centroids.

    References
    ----------
    .. [1] Lloyd (1982), Least squares quantization in PCM; Arthur and Vassilvitskii (2007), k-means++.
    """

    name = "kmeans_regime"

    def __init__(
        self, n_regimes: int = 4, volatility: str = "volatility_20", trend: str = "return_24", pool: bool = True, seed: int = 0
    ) -> None:
        self.n_regimes = n_regimes
        self.volatility = volatility
        self.trend = trend
        self.pool = pool
        self.seed = seed

    @property
    def regime_names(self) -> tuple[str, ...]:
        return REGIMES[: self.n_regimes]

    def regimes(self, features: Features) -> Regimes:
        """The nearest regime of each row and symbol."""
        self._check_fitted()
        labels = self._by_model(features, lambda rows, model: _nearest_nb(rows, model["centroids"])[0], unknown=UNKNOWN)
        return Regimes(features.time, features.symbols, labels, self.regime_names)

    def project(self, features: Features) -> np.ndarray:
        """Standardised rows on the two leading principal components of the training rows, shape (n_rows, n_symbols, 2).

        A row with an unknown feature is NaN. This is for plots: regimes that differ in 13 dimensions may overlap in two.
        """
        self._check_fitted()
        return self._by_model(features, lambda rows, model: (rows - model["mean"]) @ model["axes"].T, (2,))

    def matched_to(self, previous: KMeansRegime) -> KMeansRegime:
        """A copy of this fit in which each regime has the number and name of the regime of ``previous`` that it continues.

        Regimes are paired so that the sum of squared distances between centroids is least [1]_. Each centroid is in the units of
        its own training rows, because a regime is relative to its time.

        References
        ----------
        .. [1] Kuhn (1955), The Hungarian method for the assignment problem.
        """
        from scipy.optimize import linear_sum_assignment

        if (self.n_regimes, self.names_, self.pool) != (previous.n_regimes, previous.names_, previous.pool) or (
            not self.pool and self.symbols_ != previous.symbols_
        ):
            raise ConfigError("regimes can only be matched to those of a detector of the same parameters, features and symbols")
        models = []
        for model, old in zip(self.models_, previous.models_, strict=True):
            if model and old:
                gaps = ((old["centroids"][:, None] - model["centroids"][None]) ** 2).sum(axis=2)
                models.append({**model, "centroids": model["centroids"][linear_sum_assignment(gaps)[1]]})
            else:
                models.append(model)
        matched = copy(self)
        matched.models_ = tuple(models)
        return matched

    def _check(self, features: Features) -> None:
        if self.n_regimes not in (3, 4):
            raise ConfigError(f"n_regimes must be 3 or 4, got {self.n_regimes}")
        features.index(self.volatility)
        features.index(self.trend)

    def _fit_rows(self, rows: np.ndarray) -> dict[str, Any]:
        from sklearn.cluster import KMeans
        from threadpoolctl import threadpool_limits

        rows = np.clip(rows, -CLIP, CLIP)
        n_distinct = len(np.unique(rows, axis=0))
        # Without enough distinct rows some centroids would have no rows, and k-means would warn.
        n_clusters = min(self.n_regimes, n_distinct)
        # Several threads add their partial sums in any order; one thread gives the same bits each time.
        with threadpool_limits(limits=1):
            options: dict[str, Any] = {"n_clusters": n_clusters, "n_init": 10, "random_state": self.seed}
            found = KMeans(**options).fit(rows).cluster_centers_
        found = np.vstack([found, np.repeat(found[:1], self.n_regimes - n_clusters, axis=0)])
        centroids = found[self._order(found)]
        mean = rows.mean(axis=0)
        return {"centroids": centroids, "mean": mean, "axes": principal_components(rows - mean, 2)}

    def _order(self, centroids: np.ndarray) -> list[int]:
        """Which centroid is calm, which high volatility, and so on."""
        volatility, trend = (centroids[:, self.names_.index(name)] for name in (self.volatility, self.trend))
        high = int(volatility.argmax())
        others = [i for i in range(self.n_regimes) if i != high]
        calm = min(others, key=lambda i: volatility[i] if self.n_regimes == 4 else trend[i])
        between = sorted((i for i in others if i != calm), key=lambda i: -trend[i])
        return [calm, high, *between]

    def _score_rows(self, rows: np.ndarray, model: dict[str, Any]) -> np.ndarray:
        return _nearest_nb(rows, model["centroids"])[1]

    def _parts(self, rows: np.ndarray, model: dict[str, Any]) -> np.ndarray:
        nearest, distance = _nearest_nb(rows, model["centroids"])
        # The squared gaps add up to the squared distance; a row at its centroid has nothing to share out.
        return (rows - model["centroids"][nearest]) ** 2 / np.where(distance > 0, distance, 1.0)[:, None]

    def _fits(self, model: dict[str, Any], n_features: int) -> bool:
        return (
            model["centroids"].shape == (self.n_regimes, n_features)
            and model["mean"].shape == (n_features,)
            and model["axes"].shape == (2, n_features)
        )


def walk_forward_regimes(detector: KMeansRegime, features: Features, splits: WalkForward, n_jobs: int = 1) -> Regimes:
    """Out-of-sample regimes: refitted before each test block on the past only, each fit matched to the one before it.

    Parameters
    ----------
    detector : KMeansRegime
        A detector such as ``fs.make_detector("kmeans_regime")``. It is not changed; a clone is fitted for every fold.
    features : Features
        The features of the whole history.
    splits : WalkForward
        Lengths of the training and test windows.
    n_jobs : int
        Number of fits at a time; -1 uses all cores.

    Returns
    -------
    Regimes
        Regimes of all rows. Labels are -1 before the first test block and where a feature is unknown.

    Examples
    --------
    >>> import foreshock as fs
    >>> features = fs.ohlcv_features(fs.simulate_market(seed=1, n_symbols=1, n_bars=600).bars)
    >>> splits = fs.WalkForward(train="15D", test="5D")
    >>> regimes = fs.walk_forward_regimes(fs.make_detector("kmeans_regime"), features, splits)
    >>> first = (15 + 2) * 24  # 15 days of training and an embargo of 2 days, which is the default
    >>> bool((regimes.labels[:first] == -1).all()), bool((regimes.labels[first:] >= 0).all())
    (True, True)
    """
    check_type("features", features, Features, "make them with fs.ohlcv_features")
    check_type("detector", detector, KMeansRegime, "make one with fs.make_detector('kmeans_regime')")
    from joblib import Parallel, delayed
    from sklearn.base import clone

    labels = np.full((features.n_rows, len(features.symbols)), UNKNOWN)
    previous: KMeansRegime | None = None
    folds = splits.folds(features.n_rows, features.interval, purge=detector.lookback, origin=features.start_row)
    # joblib's return type is a union over all its modes, hence Any.
    fits: Any = Parallel(n_jobs=n_jobs)(delayed(_fitted)(clone(detector), features.rows(fold.train)) for fold in folds)
    for fold, fitted in zip(folds, fits, strict=True):
        matched = fitted.matched_to(previous) if previous is not None else fitted
        labels[fold.test] = matched.regimes(features.rows(fold.test)).labels
        previous = matched
    return Regimes(features.time, features.symbols, labels, detector.regime_names)


def _fitted(detector: KMeansRegime, features: Features) -> Any:
    return fit_kept(detector, features)


@njit(cache=True)
def _nearest_nb(rows, centroids):
    """Index of the nearest centroid of each row, int8, and the Euclidean distance to it; shape (n,) each."""
    label = np.empty(len(rows), np.int8)
    distance = np.empty(len(rows))
    for i in range(len(rows)):
        least = np.inf
        nearest = 0
        for k in range(len(centroids)):
            squared = 0.0
            for j in range(rows.shape[1]):
                gap = rows[i, j] - centroids[k, j]
                squared += gap * gap
            if squared < least:
                least = squared
                nearest = k
        label[i] = nearest
        distance[i] = np.sqrt(least)
    return label, distance
