"""Models with fit and score_samples or decision_function, such as those of scikit-learn and PyOD."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np

from foreshock.data.errors import ConfigError
from foreshock.data.show.shown import one_line, shown
from foreshock.detectors.own.base import OwnThing, checked_name
from foreshock.detectors.own.foreign import ForeignDetector


class EstimatorDetector(OwnThing, ForeignDetector):
    """A model with ``fit(X)`` and ``score_samples(X)`` or ``decision_function(X)``, on standardised rows.

    X are the complete rows, standardised for each symbol by median and interquartile range of the training rows. A copy of the
    model is fitted for each fold. In scikit-learn, the lower ``score_samples`` or ``decision_function`` is, the stranger is the
    row, so the score is minus that; in PyOD it is ``decision_function`` itself. A model that has both methods is asked for
    ``score_samples``. If it ranks a row among those scored with it, rows are scored one by one. A ``random_state`` of None, also
    that of a step of a pipeline, is set to ``seed``. A row with an unknown feature gets NaN.

    Parameters
    ----------
    model : object
        The model; it is not changed.
    name : str, optional
        By default the name of its class.
    pool : bool
        Whether all symbols share one model (True, the default) or each has its own.
    max_rows : int
        Largest number of training rows, at least 100; if there are more, this many are used, evenly spread.
    seed : int
        Seed of a model that has none.

    Raises
    ------
    ConfigError
        If the model lacks these methods; by ``fit``, if it fails on these rows, or scores the same row differently each time.

    Examples
    --------
    >>> import foreshock as fs
    >>> from sklearn.ensemble import IsolationForest
    >>> features = fs.ohlcv_features(fs.simulate_market(seed=1, n_symbols=1, n_bars=300).bars)
    >>> detector = fs.as_detector(IsolationForest(n_estimators=20)).fit(features)
    >>> detector.name, detector.score(features).values[-2:].ravel().round(3)
    ('sklearn_isolation_forest', array([0.489, 0.489]))
    """

    by_row = True
    remedy = "set its seed, or choose another model"

    def __init__(
        self, model: Any = None, name: str | None = None, pool: bool = True, max_rows: int = 20_000, seed: int = 0
    ) -> None:
        self.model = model
        self.name = checked_name(name, type(model).__name__, type(model).__module__)
        self.pool = pool
        self.max_rows = max_rows
        self.seed = seed
        self._method, self._sign = how_scored(model, self.name)

    def described(self) -> dict[str, Any]:
        about = {"model": one_line(f"{type(self.model).__module__}.{' '.join(repr(self.model).split())}", 300)}
        return {"name": self.name, **about, "pool": self.pool, "max_rows": self.max_rows, "seed": self.seed}

    @property
    def known(self) -> str:
        return f"pyod:{type(self.model).__name__}" if self._sign > 0 else ""

    def _trained(self, rows: np.ndarray) -> Any:
        model = _fresh(self.model, self.seed)
        try:
            model.fit(rows)
        # A model of anyone may raise anything.
        except Exception as error:
            raise ConfigError(
                f"{self.name} cannot learn from rows of {rows.shape[1]} features without labels: "
                f"{type(error).__name__}: {one_line(' '.join(str(error).split()), 160)}; pass a model that learns from X alone"
            ) from error
        return model

    def _asked(self, model: Any, rows: np.ndarray) -> np.ndarray:
        try:
            found = np.asarray(getattr(model, self._method)(rows), dtype=np.float64)
        except Exception as error:
            said = one_line(" ".join(str(error).split()), 200)
            raise ConfigError(f"{self._method} of {self.name} raised {type(error).__name__}: {said}; fix the model") from error
        if found.size != len(rows):
            raise ConfigError(
                f"{self._method} of {self.name} must return one number for each row, got the shape {found.shape} for {len(rows)} "
                f"rows; return an array of that length"
            )
        return self._sign * found.ravel()


def is_estimator(thing: Any) -> bool:
    """Whether a model, or a class of models, has ``fit`` and one of the two ways of scoring."""
    return callable(getattr(thing, "fit", None)) and any(
        hasattr(thing, method) for method in ("score_samples", "decision_function")
    )


def how_scored(model: Any, name: str) -> tuple[str, float]:
    """The method that scores, and the sign that makes stranger rows higher."""
    if any(base.__module__.split(".")[0] == "pyod" for base in type(model).__mro__):
        return "decision_function", 1.0
    for method in ("score_samples", "decision_function"):
        if hasattr(model, method):
            return method, -1.0
    if model is None:
        return "score_samples", -1.0
    raise ConfigError(
        f"{name} has neither score_samples nor decision_function, got {shown(model)}; pass a model of outliers"
        + (", with novelty=True" if hasattr(model, "novelty") else "")
    )


def _fresh(model: Any, seed: int) -> Any:
    """An unfitted copy with a seed."""
    from sklearn.base import clone

    try:
        fresh: Any = clone(model)
        # Also those of the steps of a pipeline.
        drawn = [key for key, value in fresh.get_params().items() if key.split("__")[-1] == "random_state" and value is None]
        fresh.set_params(**dict.fromkeys(drawn, seed))
    except (TypeError, RuntimeError, AttributeError):
        fresh = deepcopy(model)
    return fresh
