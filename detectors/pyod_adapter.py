"""Any model of PyOD as a detector, made causal."""

from __future__ import annotations

import inspect
import re
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from data.errors import ConfigError
from detectors.pooled import PooledDetector

PREFIX = "pyod:"
# Rows that are scored alone and together, to see whether a model looks at a row's neighbours.
N_PROBES = 16


class PyODDetector(PooledDetector):
    """A PyOD model on standardised rows; built by ``make_detector("pyod:ECOD")``, with the model's own parameters [1]_.

    Some models (ECOD, COPOD) rank a row among all rows that are scored with it, later ones included. Whether a model does is
    tried out when it is fitted; if so, each row is scored alone against the training rows, which is slow (ECOD: about 10 ms a
    row at 5,000 training rows). A row with an unknown feature is not scored. ``random_state`` is 0 unless given. A fitted model
    cannot be saved: PyOD's models are pickles.

    Parameters
    ----------
    pool : bool
        One model for all symbols, or one for each.
    max_rows : int
        Of more training rows (symbols pooled), this many are used, evenly spread; many models need time or memory by their square.
    **params
        Of the PyOD model.

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
            raise ConfigError(f"unknown parameter of {self.name}: {', '.join(unknown)}")
        for name, value in params.items():
            if name in ("pool", "max_rows"):
                setattr(self, name, value)
            else:
                self.params[name] = value
        return self

    def save(self, path: str | Path) -> None:
        raise ConfigError(
            f"{self.name} cannot be saved to {path}: PyOD models are pickles, and loading one can run any code; fit it again"
        )

    def _fit_rows(self, rows: np.ndarray) -> dict[str, Any]:
        if self.max_rows < 100:
            raise ConfigError(f"max_rows must be at least 100, got {self.max_rows}")
        if len(rows) > self.max_rows:
            rows = rows[np.linspace(0, len(rows) - 1, self.max_rows).astype(int)]
        model: Any = self.model_class(**self.params)
        model.fit(rows)
        probes = rows[np.linspace(0, len(rows) - 1, N_PROBES).astype(int)]
        together, alone = model.decision_function(probes), _one_by_one(model, probes)
        if not np.allclose(alone, _one_by_one(model, probes), rtol=1e-9, atol=0):
            raise ConfigError(f"{self.name} scores the same row differently each time; take another model")
        return {"model": model, "alone": not np.allclose(together, alone, rtol=1e-9, atol=0)}

    def _score_rows(self, rows: np.ndarray, model: dict[str, Any]) -> np.ndarray:
        score = _one_by_one(model["model"], rows) if model["alone"] else model["model"].decision_function(rows)
        return np.asarray(score, dtype=np.float64).ravel()


def _one_by_one(model: Any, rows: np.ndarray) -> np.ndarray:
    return np.array([np.ravel(model.decision_function(row[None]))[0] for row in rows], dtype=np.float64)


@cache
def pyod_class(name: str) -> type[PyODDetector]:
    """The detector class of ``pyod:<Name>``.

    Raises
    ------
    ConfigError
        If PyOD has no such model, or the model needs labels or a package that is not installed.
    """
    wanted = name.removeprefix(PREFIX)
    homes = _homes()
    if wanted not in homes:
        raise ConfigError(f"PyOD has no model {wanted!r}; it has {', '.join(sorted(homes))}")
    try:
        model_class = getattr(import_module(homes[wanted]), wanted)
    except ImportError as error:
        raise ConfigError(f"{name} needs a package that is not installed: {error}") from error
    return type(f"PyOD{wanted}", (PyODDetector,), {"name": name, "model_class": model_class, "__doc__": PyODDetector.__doc__})


@cache
def _homes() -> dict[str, str]:
    """Module of each model, read from the sources: importing all of them would need every optional package."""
    spec = find_spec("pyod.models")
    folder = Path(next(iter(spec.submodule_search_locations or []))) if spec else Path()
    homes: dict[str, str] = {}
    for path in sorted(folder.glob("*.py")):
        # Models of graphs, sound and whole series do not score rows.
        if not path.stem.startswith(("pyg_", "ts_", "audio_", "embedding", "base")):
            bases = r"Base(?:DeepLearning)?Detector"
            for found in re.findall(rf"^class (\w+)\({bases}", path.read_text(encoding="utf-8"), re.MULTILINE):
                homes.setdefault(found, f"pyod.models.{path.stem}")
    return homes


def _defaults(model_class: type) -> dict[str, Any]:
    """Parameters of a PyOD model; ``random_state`` is 0, for scores must not change from run to run."""
    parameters = inspect.signature(model_class.__init__).parameters.values()
    plain = (p for p in parameters if p.name != "self" and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD))
    found = {p.name: None if p.default is p.empty else p.default for p in plain}
    return found | {"random_state": 0} if "random_state" in found else found
