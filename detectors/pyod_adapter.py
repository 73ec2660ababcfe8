"""An adapter that makes any PyOD model a causal detector."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from foreshock.data.errors import ConfigError
from foreshock.data.show.shown import few, shown
from foreshock.detectors.own.foreign import ForeignDetector

PREFIX = "pyod:"


class PyODDetector(ForeignDetector):
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

    def __init__(self, pool: bool = True, max_rows: int = 5_000, **params: Any) -> None:
        self.pool = pool
        self.max_rows = max_rows
        self.params = {**_defaults(self.model_class), **params}

    @property
    def known(self) -> str:
        return self.name

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

    def _trained(self, rows: np.ndarray) -> Any:
        with self._in_words():
            model: Any = self.model_class(**self.params)
            model.fit(rows)
        return model

    def _asked(self, model: Any, rows: np.ndarray) -> np.ndarray:
        with self._in_words():
            return np.asarray(model.decision_function(rows), dtype=np.float64).ravel()

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        try:
            yield
        except (ValueError, TypeError, IndexError) as error:
            raise ConfigError(f"{self.name} cannot learn from these rows and score others one by one: {error}") from error


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
