"""What type each parameter of a detector has, held against its annotation."""

from __future__ import annotations

from typing import Any

from sklearn.base import BaseEstimator

from foreshock.data.errors import ConfigError
from foreshock.data.plugins.parameters import mistyped


def check_types(estimator: BaseEstimator) -> None:
    """Refuse parameters whose values are not of the types that ``__init__`` names; see ``mistyped``.

    Raises
    ------
    ConfigError
        With the parameter, what it got and what it takes.
    """
    cls = type(estimator)
    try:
        defaults = defaults_of(cls)
    except ConfigError:
        # A script may build a detector whose parameters have no defaults.
        defaults = {}
    wrong = mistyped(cls, estimator.get_params(deep=False), defaults)
    if wrong is not None:
        raise ConfigError(f"{wrong[0]} of {getattr(estimator, 'name', cls.__name__)} {wrong[1]}")


def defaults_of(cls: type) -> dict[str, Any]:
    """The parameters of a detector class with their defaults, those that it takes by ``**params`` included.

    Raises
    ------
    ConfigError
        If a parameter has no default: a study could not name the detector alone.
    """
    try:
        return cls().get_params(deep=False)
    except (TypeError, RuntimeError, AttributeError) as error:
        said = " ".join(str(error).split())
        raise ConfigError(
            f"each parameter of {cls.__name__} must have a default and be kept under its own name in __init__, got: {said}"
        ) from error
