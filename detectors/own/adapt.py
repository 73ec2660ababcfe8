"""Whatever a user passes as a detector, as a detector."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from foreshock.data.errors import ConfigError
from foreshock.data.plugins.contract import called
from foreshock.data.show.shown import shown
from foreshock.detectors.base import Detector
from foreshock.detectors.own.estimator import EstimatorDetector, is_estimator
from foreshock.detectors.own.function import FunctionDetector
from foreshock.detectors.own.scores import PrecomputedScores

FILES = (".csv", ".csv.gz", ".csv.zip", ".parquet", ".pq", ".feather")
KINDS = (
    "a name, a Detector, a model with fit and score_samples or decision_function, a torch module, a function of a features frame, "
    "or a table or file of scores"
)


def adapted(thing: Any, name: str | None = None, **params: Any) -> Detector:
    """A detector made of a model, a torch module, a function, or a table or file of scores; see ``fs.as_detector``."""
    if isinstance(thing, str | Path | pd.DataFrame | pd.Series):
        return PrecomputedScores(thing, name, **params)
    if is_module(thing):
        from foreshock.detectors.neural.module import ModuleDetector

        return ModuleDetector(thing, name, **params)
    if not isinstance(thing, type) and is_estimator(thing):
        return EstimatorDetector(thing, name, **params)
    if callable(thing) and not isinstance(thing, type):
        return FunctionDetector(thing, name, params or None)
    if isinstance(thing, type):
        raise ConfigError(f"a detector must be an object, got the class {thing.__name__}; make one, such as {thing.__name__}()")
    novelty = ", set its novelty=True" if getattr(thing, "novelty", True) is False else ""
    raise ConfigError(f"a detector must be {KINDS}, got {shown(thing)}{novelty}; such as 'zscore'")


def made(found: Any, name: str, params: dict[str, Any], label: str | None = None) -> Detector:
    """The detector behind an object of a module or file: a class of models is made with ``params``, a function called with them."""
    if isinstance(found, type):
        if not (is_estimator(found) or is_module_class(found)):
            raise ConfigError(
                f"{shown(name)} is not a detector: it must be a subclass of fs.Detector, got class {found.__name__}; a model, a "
                f"torch module, a function or a table of scores will do too"
            )
        return adapted(called(name, "__init__", lambda: found(**params)), label)
    if params and not callable(found):
        raise ConfigError(f"{shown(name)} is an object, which takes no parameters; remove {', '.join(params)}, or name its class")
    if isinstance(found, Detector):
        return found
    if callable(found) and not is_estimator(found) and not is_module(found):
        return FunctionDetector(found, label, params or None)
    return adapted(found, label, **params)


def is_module(thing: Any) -> bool:
    """Whether it is a torch module."""
    return is_module_class(type(thing))


def is_module_class(cls: type) -> bool:
    """Whether it is a class of torch modules; torch is not imported for it."""
    return any(f"{base.__module__}.{base.__qualname__}" == "torch.nn.modules.module.Module" for base in cls.__mro__)
