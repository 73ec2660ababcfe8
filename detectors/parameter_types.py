"""Checks the type of each parameter of a detector against its annotation."""

from __future__ import annotations

from typing import Any

from sklearn.base import BaseEstimator

from foreshock.data.errors import ConfigError
from foreshock.data.plugins.parameters import mistyped


def check_types(estimator: BaseEstimator) -> None:
    """Refuse parameter values that are not of the types annotated in ``__init__``; see ``mistyped``.

    Raises
    ------
    ConfigError
        If a value is of the wrong type. The message names the parameter, its value and the expected type.
    """
    cls = type(estimator)
    try:
        defaults = defaults_of(cls)
    except ConfigError:
        # A detector built in a script need not have a default for each parameter.
        defaults = {}
    wrong = mistyped(cls, estimator.get_params(deep=False), defaults)
    if wrong is not None:
        raise ConfigError(f"{wrong[0]} of {getattr(estimator, 'name', cls.__name__)} {wrong[1]}")


def defaults_of(cls: type) -> dict[str, Any]:
    """The parameters of a detector class and their defaults, including those that it accepts as ``**params``.

    Raises
    ------
    ConfigError
        If a parameter has no default, because a study names a detector without its parameters.
    """
    try:
        return cls().get_params(deep=False)
    except (TypeError, RuntimeError, AttributeError) as error:
        said = " ".join(str(error).split())
        raise ConfigError(
            f"each parameter of {cls.__name__} must have a default and be kept under its own name in __init__, got: {said}"
        ) from error
