"""Market regimes by k-means: the nearest regime of a row, and the distance to it."""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np
from numba import njit

from foreshock.data.checks import check_type
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError
from foreshock.data.show.shown import shown
from foreshock.data.system.parents import end_with_parent, parallel
from foreshock.detectors.clusters.labels import FEWEST, HOLDS, MOST, REGIMES, RULES, TREND, UNKNOWN, VOLATILITY, N, Regimes
from foreshock.detectors.kept import fit_kept
from foreshock.detectors.pooled import PooledDetector
from foreshock.detectors.reconstruction.pca import principal_components
from foreshock.detectors.scaling import CLIP, known_rows
from foreshock.engine.features.features import Features
from foreshock.engine.features.roles import default_column
from foreshock.engine.out_of_sample.splits import WalkForward

# Quantiles of the training bars: calm lies below the first, high volatility above the second.
LIMITS = (0.75, 0.5)


class KMeansRegime(PooledDetector):
    """Distance to the nearest of the regimes that k-means [1]_ finds in the training rows.

    score = min_k |z - c_k| with z the row, standardised per symbol by median and interquartile range, and c_k the centroids.
    For fitting, z is clipped at 10. The score and the regime of a row use that row alone; a row with an unknown feature has
    neither.

    A regime has a name if at least 90 % of its training bars satisfy the rule of the name:

    ==================  =========================================================================
    calm                ``volatility`` below the upper quartile of the training bars of its symbol
    high volatility     ``volatility`` above the median of the training bars of its symbol
    bullish momentum    ``trend`` above 0
    bearish             ``trend`` below 0
    ==================  =========================================================================

    *calm* can only be the regime whose centroid has the lowest volatility; among the others, *bullish momentum* the one with the
    highest trend, *bearish* the one with the lowest, and *high volatility* the one with the highest volatility of the rest. Any
    other regime is called by its number, such as *regime 2*: regimes are numbered by the volatility of their centroids, the lowest
    first. With many features regimes seldom satisfy a rule; pass the features of two names, as studies do, if names matter.

    Parameters
    ----------
    n_regimes : int
        Number of regimes, from 2 to 8.
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
        self, n_regimes: int = N, volatility: str = VOLATILITY, trend: str = TREND, pool: bool = True, seed: int = 0
    ) -> None:
        self.n_regimes = n_regimes
        self.volatility = volatility
        self.trend = trend
        self.pool = pool
        self.seed = seed

    @property
    def regime_names(self) -> tuple[str, ...]:
        """Names of the regimes: those that have one in the order of the table above, then the numbers."""
        self._check_fitted()
        return _name_of(sorted({int(code) for model in self.models_ if model for code in _codes(model)}))

    @door
    def regimes(self, features: Features) -> Regimes:
        """The nearest regime of each row and symbol."""
        return _collected(features, [(slice(None), self)], self.regime_names)

    def _coded(self, features: Features) -> tuple[np.ndarray, np.ndarray]:
        """Code of the regime of each row and symbol, -1 where unknown, and whether the row satisfies the rule of its name."""
        self._check_fitted()
        codes = self._by_model(
            features, lambda rows, model: _codes(model)[_nearest_nb(rows, model["centroids"])[0]], unknown=UNKNOWN
        )
        satisfied = self._satisfied(features)
        return codes, np.take_along_axis(satisfied, np.clip(codes, 0, len(REGIMES) - 1)[..., None].astype(np.intp), axis=2)[..., 0]

    def _satisfied(self, features: Features) -> np.ndarray:
        """Whether each row satisfies each of the rules, shape (n_rows, n_symbols, 4)."""
        volatility, trend = (features.column(name) for name in self._columns(features))
        limit = np.full((len(LIMITS), len(features.symbols)), np.nan)
        for i, symbol in enumerate(features.symbols):
            if symbol in self.symbols_:
                at = self.symbols_.index(symbol)
                model = self.models_[0 if self.pool else at]
                limit[:, i] = model["limit"][:, at if self.pool else 0] if "limit" in model else np.nan
        return np.stack([volatility < limit[0], volatility > limit[1], trend > 0, trend < 0], axis=-1)

    @door
    def project(self, features: Features) -> np.ndarray:
        """Standardised rows on the two leading principal components of the training rows, shape (n_rows, n_symbols, 2).

        A row with an unknown feature is NaN. This is for plots: regimes that differ in 13 dimensions may overlap in two.
        """
        self._check_fitted()
        return self._by_model(features, lambda rows, model: (rows - model["mean"]) @ model["axes"].T, (2,))

    @door
    def matched_to(self, previous: KMeansRegime) -> KMeansRegime:
        """A copy of this fit in which each regime has the number of the regime of ``previous`` that it continues.

        Names do not move: they say what the bars of a regime do.

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
                order = linear_sum_assignment(gaps)[1]
                kept = {key: model[key][order] for key in ("centroids", "kind") if key in model}
                models.append({**model, **kept})
            else:
                models.append(model)
        matched = copy(self)
        matched.models_ = tuple(models)
        return matched

    def _columns(self, features: Features) -> tuple[str, str]:
        """The features that name regimes; of the default ones, those that stand nearest to them in features that lack them."""
        usual = ((self.volatility, VOLATILITY), (self.trend, TREND))
        volatility, trend = (
            default_column(features, name) if name == default else features.names[features.index(name)] for name, default in usual
        )
        return volatility, trend

    def _check(self, features: Features) -> None:
        check_regimes(self.n_regimes)
        self._named_by = self._columns(features)

    def _fit(self, features: Features) -> None:
        super()._fit(features)
        volatility = features.column(self._columns(features)[0])
        known = known_rows(features.values)
        limits = np.stack([_limits(volatility[known[:, i], i]) for i in range(len(features.symbols))], axis=1)
        for i, model in enumerate(self.models_):
            if model:
                model["limit"] = limits if self.pool else limits[:, i : i + 1]
        nearest = self._by_model(features, lambda rows, model: _nearest_nb(rows, model["centroids"])[0], unknown=UNKNOWN)
        satisfied = self._satisfied(features)
        for i, model in enumerate(self.models_):
            if model:
                own = slice(None) if self.pool else slice(i, i + 1)
                model["kind"] = self._kinds(model["centroids"], nearest[:, own], satisfied[:, own])

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
        centroids = found[np.argsort(found[:, self.names_.index(self._named_by[0])], kind="stable")]
        mean = rows.mean(axis=0)
        return {"centroids": centroids, "mean": mean, "axes": principal_components(rows - mean, 2)}

    def _kinds(self, centroids: np.ndarray, nearest: np.ndarray, satisfied: np.ndarray) -> np.ndarray:
        """Which name each regime has, a position in ``REGIMES``; -1 for one that is called by its number."""
        volatility, trend = (centroids[:, self.names_.index(name)] for name in self._named_by)
        kinds = np.full(len(centroids), UNKNOWN)
        # A regime that no bar belongs to has no name.
        free = [k for k in range(len(centroids)) if (nearest == k).any()]
        for kind, value in ((0, -volatility), (2, trend), (3, -trend), (1, volatility)):
            if not free:
                break
            best = max(free, key=lambda k: value[k])
            if satisfied[nearest == best][:, kind].mean() >= HOLDS:
                kinds[best] = kind
                free.remove(best)
        return kinds

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
            # Files of before have neither: their regimes are called by their numbers.
            and ("kind" not in model or (model["kind"].shape == (self.n_regimes,) and (np.abs(model["kind"]) < len(REGIMES)).all()))
            and ("limit" not in model or model["limit"].shape == (len(LIMITS), len(self.symbols_) if self.pool else 1))
        )


def check_regimes(n_regimes: object) -> None:
    """Refuse a number of regimes below 2 or above 8."""
    if isinstance(n_regimes, bool) or not isinstance(n_regimes, int) or not FEWEST <= n_regimes <= MOST:
        raise ConfigError(f"n_regimes must be a number from {FEWEST} to {MOST}, got {shown(n_regimes)}; 3 or 4 is usual")


def _limits(values: np.ndarray) -> np.ndarray:
    return np.quantile(values, LIMITS) if len(values) else np.full(len(LIMITS), np.nan)


def _codes(model: dict[str, Any]) -> np.ndarray:
    """Code of each regime of a model: the position of its name in ``REGIMES``, or beyond them its number."""
    n = len(model["centroids"])
    kinds = model.get("kind", np.full(n, UNKNOWN))
    return np.where(kinds == UNKNOWN, len(REGIMES) + np.arange(n), kinds).astype(np.int8)


def _coded_rows(rows: np.ndarray, model: dict[str, Any]) -> np.ndarray:
    """Code of the nearest regime of each row, shape (n,)."""
    return _codes(model)[_nearest_nb(rows, model["centroids"])[0]]


def _name_of(codes: list[int]) -> tuple[str, ...]:
    return tuple(REGIMES[code] if code < len(REGIMES) else f"regime {code - len(REGIMES) + 1}" for code in codes)


def _collected(features: Features, blocks: list[tuple[slice, KMeansRegime]], names: tuple[str, ...]) -> Regimes:
    """The regimes of each block of rows by its own fit."""
    labels = np.full((features.n_rows, len(features.symbols)), UNKNOWN)
    satisfied = np.zeros(labels.shape, dtype=bool)
    # -1 is not known, whatever the position of a name.
    place = np.full(len(REGIMES) + MOST + 1, UNKNOWN)
    for k, name in enumerate(names):
        place[_code_of(name)] = k
    for rows, fitted in blocks:
        codes, satisfied[rows] = fitted._coded(features.rows(rows))
        labels[rows] = place[codes]
    first = blocks[0][1]
    texts = {"volatility": first.volatility, "trend": first.trend}
    rules = tuple(RULES[REGIMES.index(name)].format(**texts) if name in REGIMES else "" for name in names)
    holds = tuple(_share(satisfied[labels == k]) if name in REGIMES else float("nan") for k, name in enumerate(names))
    return Regimes(features.time, features.symbols, labels, names, rules, holds)


def _code_of(name: str) -> int:
    return REGIMES.index(name) if name in REGIMES else len(REGIMES) + int(name.removeprefix("regime ")) - 1


def _share(satisfied: np.ndarray) -> float:
    return float(satisfied.mean()) if satisfied.size else float("nan")


@door
def walk_forward_regimes(detector: KMeansRegime, features: Features, splits: WalkForward, n_jobs: int = 1) -> Regimes:
    """Out-of-sample regimes: refitted before each test block on the past only, each fit matched to the one before it.

    A name is decided on the training bars of each block. If in the end fewer than 90 % of the bars of a name satisfy its rule, it
    is replaced by a number, so labels never depend on later rows and names always say what the bars did.

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
    return named_at_the_time(detector, features, splits, n_jobs).checked()


def named_at_the_time(detector: KMeansRegime, features: Features, splits: WalkForward, n_jobs: int = 1) -> Regimes:
    """``walk_forward_regimes`` with the names that were known at the time, for what acts on them; labels are the same."""
    check_type("features", features, Features, "make them with fs.ohlcv_features")
    check_type("detector", detector, KMeansRegime, "make one with fs.make_detector('kmeans_regime')")
    from joblib import delayed
    from sklearn.base import clone

    folds = splits.folds(features.n_rows, features.interval, purge=detector.lookback, origin=features.start_row)
    # joblib's return type is a union over all its modes, hence Any.
    fits: Any = parallel(n_jobs)(delayed(_fitted)(clone(detector), features.rows(fold.train)) for fold in folds)
    blocks: list[tuple[slice, KMeansRegime]] = []
    for fold, fitted in zip(folds, fits, strict=True):
        blocks.append((fold.test, fitted.matched_to(blocks[-1][1]) if blocks else fitted))
    # In the order in which they come up, so that later blocks do not renumber earlier rows.
    names = dict.fromkeys(name for _, fitted in blocks for name in fitted.regime_names)
    return _collected(features, blocks, tuple(names))


def _fitted(detector: KMeansRegime, features: Features) -> Any:
    end_with_parent()
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
