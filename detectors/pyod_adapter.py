"""An adapter that makes any PyOD model a causal detector."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from foreshock.data.errors import ConfigError
from foreshock.data.show.shown import few, shown
from foreshock.detectors.pooled import PooledDetector

PREFIX = "pyod:"
TAILS = ("pyod:ECOD", "pyod:COPOD")
# Number of rows that are scored both alone and together, to test whether a model's score depends on the other rows.
N_PROBES = 16


class PyODDetector(PooledDetector):
    """A PyOD model on standardised rows; built by ``make_detector("pyod:ECOD")``, with the model's own parameters [1]_.

    Some models rank a row among all rows that are scored with it, including later ones. ``fit`` tests whether the model does. If
    it does, each row is scored alone against the training rows, which is slow; for ECOD and COPOD the formula is evaluated here
    instead. A row with an unknown feature gets NaN. ``random_state`` is 0 unless passed. A fitted model cannot be saved, because
    PyOD stores its models as pickles.

    Parameters
    ----------
    pool : bool
        Whether all symbols share one model (True, the default) or each has its own.
    max_rows : int
        Largest number of training rows (symbols pooled), at least 100. If there are more, this many are used, evenly spread,
        because the time or memory of many models grows with the square of the number of rows.
    **params
        Parameters of the PyOD model.

    Raises
    ------
    ConfigError
        By ``fit``, if the model fails on these rows (some models need labels, or one feature), cannot score a row without other
        rows, or scores the same row differently each time.

    References
    ----------
    .. [1] Zhao, Nasrullah and Li (2019), PyOD: A Python toolbox for scalable outlier detection.
    """

    name = "pyod"
    model_class: type
    tolerance = 1e-9

    def __init__(self, pool: bool = True, max_rows: int = 5_000, **params: Any) -> None:
        self.pool = pool
        self.max_rows = max_rows
        self.params = {**_defaults(self.model_class), **params}

    def get_params(self, deep: bool = True) -> dict[str, Any]:  # noqa: ARG002 - scikit-learn's signature
        return {"pool": self.pool, "max_rows": self.max_rows, **self.params}

    def set_params(self, **params: Any) -> PyODDetector:
        unknown = [name for name in params if name not in self.get_params()]
        if unknown:
            raise ConfigError(f"unknown parameter of {self.name}: {few(unknown)}")
        for name, value in params.items():
            if name in ("pool", "max_rows"):
                setattr(self, name, value)
            else:
                self.params[name] = value
        return self

    def save(self, path: str | Path) -> None:
        raise ConfigError(
            f"{self.name} cannot be saved to {path}: PyOD models are pickles, and loading a pickle can run any code; fit it again"
        )

    def _fits(self, model: dict[str, Any], n_features: int) -> bool:  # noqa: ARG002 - the signature of the base
        """A PyOD model is never read from a file; only an ensemble restores one, from the state of its member."""
        return "model" in model

    def _fit_rows(self, rows: np.ndarray) -> dict[str, Any]:
        if self.max_rows < 100:
            raise ConfigError(f"max_rows must be at least 100, got {self.max_rows}")
        if len(rows) > self.max_rows:
            rows = rows[np.linspace(0, len(rows) - 1, self.max_rows).astype(int)]
        probes = rows[np.linspace(0, len(rows) - 1, N_PROBES).astype(int)]
        try:
            model: Any = self.model_class(**self.params)
            model.fit(rows)
            # A model that cannot score a single row may divide by zero; its result is checked below.
            with np.errstate(all="ignore"):
                alone, again = (one_by_one(model.decision_function, probes) for _ in range(2))
            together = model.decision_function(probes)
        except (ValueError, TypeError, IndexError) as error:
            raise ConfigError(f"{self.name} cannot learn from these rows and score others one by one: {error}") from error
        if not np.isfinite(alone).all():
            raise ConfigError(f"{self.name} scores a row only among others, including later ones; choose another model")
        if not np.allclose(alone, again, rtol=1e-9, atol=0):
            raise ConfigError(f"{self.name} scores the same row differently each time; choose another model")
        return {"model": model, "alone": not np.allclose(together, alone, rtol=1e-9, atol=0)}

    def _score_rows(self, rows: np.ndarray, model: dict[str, Any]) -> np.ndarray:
        if not model["alone"]:
            return np.asarray(model["model"].decision_function(rows), dtype=np.float64).ravel()
        if self.name in TAILS:
            return tails(model["model"].X_train, rows, self.name)
        return one_by_one(model["model"].decision_function, rows)


def one_by_one(score: Callable[[np.ndarray], Any], rows: np.ndarray) -> np.ndarray:
    """Scores of rows, each of them scored alone."""
    return np.array([np.ravel(score(row[None]))[0] for row in rows], dtype=np.float64)


def tails(train: np.ndarray, rows: np.ndarray, name: str) -> np.ndarray:
    """The ECOD or COPOD score of each row when it is scored alone, together with the training rows.

    L and R are minus the logarithms of the two empirical tail probabilities of a feature, counting the row itself. S is the one
    on the side to which the feature is skewed, or L + R if it is not skewed. ECOD is the sum over features of max(L, R, S),
    COPOD the sum of max((L + R) / 2, S).
    """
    n = len(train)
    ranked = np.sort(train, axis=0)
    columns = list(zip(ranked.T, rows.T, strict=True))
    left = -np.log((np.array([np.searchsorted(past, x, "right") for past, x in columns]).T + 1) / (n + 1))
    right = -np.log((n - np.array([np.searchsorted(past, x, "left") for past, x in columns]).T + 1) / (n + 1))
    centred = train - train.mean(axis=0)
    gap = rows - train.mean(axis=0)
    # Third central moment of the training rows together with the scored row (Pebay 2008).
    third = (centred**3).sum(axis=0) + gap**3 * n * (n - 1) / (n + 1) ** 2 - 3 * gap * (centred**2).sum(axis=0) / (n + 1)
    skewed = np.where(third > 0, right, np.where(third < 0, left, left + right))
    usual = np.maximum(left, right) if name == "pyod:ECOD" else (left + right) / 2
    return np.maximum(usual, skewed).sum(axis=1)


@cache
def pyod_class(name: str) -> type[PyODDetector]:
    """The detector class of ``pyod:<Name>``.

    Raises
    ------
    ConfigError
        If PyOD has no such model, or the model needs a package that is not installed.
    """
    wanted = name.removeprefix(PREFIX)
    homes = _homes()
    if wanted not in homes:
        raise ConfigError(f"PyOD has no model {shown(wanted)}; it has {few(sorted(homes), 20)}")
    try:
        model_class = getattr(import_module(homes[wanted]), wanted)
    except ImportError as error:
        raise ConfigError(f"{name} needs a package that is not installed: {error}") from error
    return type(f"PyOD{wanted}", (PyODDetector,), {"name": name, "model_class": model_class, "__doc__": PyODDetector.__doc__})


@cache
def _homes() -> dict[str, str]:
    """Module of each model, found in the source text, because importing all modules would need every optional package."""
    spec = find_spec("pyod.models")
    folder = Path(next(iter(spec.submodule_search_locations or []))) if spec else Path()
    homes: dict[str, str] = {}
    for path in sorted(folder.glob("*.py")):
        # Models of graphs, audio and whole series do not score rows.
        if not path.stem.startswith(("pyg_", "ts_", "audio_", "embedding", "base")):
            bases = r"Base(?:DeepLearning)?Detector"
            for found in re.findall(rf"^class (\w+)\({bases}", path.read_text(encoding="utf-8"), re.MULTILINE):
                homes.setdefault(found, f"pyod.models.{path.stem}")
    return homes


def _defaults(model_class: type) -> dict[str, Any]:
    """Default parameters of a PyOD model; ``random_state`` is 0, so that scores do not change from run to run."""
    parameters = inspect.signature(model_class.__init__).parameters.values()
    plain = (p for p in parameters if p.name != "self" and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD))
    found = {p.name: None if p.default is p.empty else p.default for p in plain}
    return found | {"random_state": 0} if "random_state" in found else found
