"""What type each parameter of a detector has, held against its annotation."""

from __future__ import annotations

import numbers
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Literal, Union

import numpy as np
from sklearn.base import BaseEstimator

from data.errors import ConfigError
from data.shown import shown


def check_types(estimator: BaseEstimator) -> None:
    """Refuse parameters whose values are not of the types that ``__init__`` names.

    NumPy's numbers pass for Python's, a whole number for a float; a bool passes for no number, a string for no sequence.

    Raises
    ------
    ConfigError
        With the parameter, what it got and what it takes.
    """
    for name, value in estimator.get_params(deep=False).items():
        expected = _annotations(type(estimator)).get(name, Any)
        if not _fits(value, expected):
            label = getattr(estimator, "name", type(estimator).__name__)
            raise ConfigError(f"{name} of {label} must be {_words(expected)}, got {shown(value)}")


@cache
def _annotations(cls: type) -> dict[str, Any]:
    """Types of the constructor's parameters, those of the bases included."""
    found: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        if issubclass(base, BaseEstimator) and "__init__" in vars(base):
            found |= typing.get_type_hints(vars(base)["__init__"])
    return found


def _fits(value: object, expected: Any) -> bool:
    origin, inner = typing.get_origin(expected), typing.get_args(expected)
    if origin in (Union, types.UnionType):
        return any(_fits(value, one) for one in inner)
    if origin is Literal:
        return value in inner
    if origin in (Sequence, tuple):
        if not isinstance(value, Iterable) or isinstance(value, str | bytes | Mapping):
            return False
        return all(_fits(one, inner[0]) for one in value)
    if origin is Mapping:
        return isinstance(value, Mapping)
    if expected is bool:
        return isinstance(value, bool | np.bool_)
    if expected in (int, float):
        kind = numbers.Integral if expected is int else numbers.Real
        return isinstance(value, kind) and not isinstance(value, bool)
    if expected in (str, types.NoneType):
        return isinstance(value, expected)
    return True


def _words(expected: Any) -> str:
    """The type in words.

    >>> _words(Sequence[str] | None)
    'a list of texts or none'
    """
    origin, inner = typing.get_origin(expected), typing.get_args(expected)
    if origin in (Union, types.UnionType):
        return " or ".join(map(_words, inner))
    if origin is Literal:
        return "one of " + ", ".join(map(str, inner))
    if origin in (Sequence, tuple):
        return f"a list of {_words(inner[0]).split(' ', 1)[1]}s"
    plain = {int: "a whole number", float: "a number", bool: "a switch (true or false)", str: "a text", types.NoneType: "none"}
    return plain.get(expected, "a table" if origin is Mapping else str(expected))
