"""The parameters of a class, and checks of values against their annotations."""

from __future__ import annotations

import inspect
import numbers
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Literal, Union

import numpy as np

from foreshock.data.checks import did_you_mean
from foreshock.data.errors import ConfigError
from foreshock.data.show.shown import few, shown

# Stands for the default of a parameter that has no default.
REQUIRED = inspect.Parameter.empty


def parameters_of(cls: type) -> dict[str, Any]:
    """The parameters of a class by name with their defaults; ``REQUIRED`` where there is none.

    >>> class Rule:
    ...     def __init__(self, q, window=24): ...
    >>> list(parameters_of(Rule)), parameters_of(Rule)["window"]
    (['q', 'window'], 24)
    """
    if cls.__init__ is object.__init__:
        return {}
    found = inspect.signature(cls).parameters.values()
    return {p.name: p.default for p in found if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}


def check_known(label: str, params: Mapping[str, Any], known: Iterable[str]) -> None:
    """Refuse a parameter that is not among the known ones.

    >>> check_known("zscore", {"windw": 3}, ["window"])
    Traceback (most recent call last):
    ...
    foreshock.data.errors.ConfigError: unknown parameter of zscore: windw; expected some of window; did you mean 'window'?
    """
    known = list(known)
    unknown = [key for key in params if key not in known]
    if unknown:
        hint = did_you_mean(unknown[0], known)
        raise ConfigError(f"unknown parameter of {label}: {few(unknown)}; expected some of {few(known, 20) or 'none'}{hint}")


def mistyped(cls: type, params: Mapping[str, Any], defaults: Mapping[str, Any]) -> tuple[str, str] | None:
    """The first parameter whose value does not fit its annotation in ``__init__``, and the words for it; None if all fit.

    NumPy's numbers count as Python's, and a whole number counts as a float; a bool does not count as a number, nor a string as a
    sequence. A parameter without an annotation whose default is a number accepts any number, or None.

    >>> class Rule:
    ...     def __init__(self, columns: Sequence[str] = ("range",)): ...
    >>> mistyped(Rule, {"columns": "range"}, parameters_of(Rule))
    ('columns', "must be a list of texts, such as ['range'], got 'range'")
    """
    annotations = _annotations(cls)
    for name, value in params.items():
        default = defaults.get(name, REQUIRED)
        plain_number = isinstance(default, int | float) and not isinstance(default, bool)
        expected = annotations.get(name, float | None if plain_number else Any)
        if not _fits(value, expected):
            usual = list(default) if isinstance(default, tuple) else default
            such_as = (
                f", such as {usual!r}"
                if default is not REQUIRED and default is not None and typing.get_origin(expected) is not Literal
                else ""
            )
            return name, f"must be {_words(expected)}{such_as}, got {shown(value)}"
    return None


@cache
def _annotations(cls: type) -> dict[str, Any]:
    """Types of the parameters of the constructor and of those of its base classes."""
    found: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        if "__init__" in vars(base):
            try:
                found |= typing.get_type_hints(vars(base)["__init__"])
            except (NameError, TypeError, AttributeError):
                # An annotation may name a type that is imported for type checkers only.
                continue
    return found


def _fits(value: object, expected: Any) -> bool:
    origin, inner = typing.get_origin(expected), typing.get_args(expected)
    if origin in (Union, types.UnionType):
        return any(_fits(value, one) for one in inner)
    if origin is Literal:
        return value in inner
    if origin in (Sequence, tuple, list):
        if not isinstance(value, Iterable) or isinstance(value, str | bytes | Mapping):
            return False
        return all(_fits(one, inner[0]) for one in value)
    if origin in (Mapping, dict):
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
    if origin in (Sequence, tuple, list):
        return f"a list of {_words(inner[0]).split(' ', 1)[1]}s"
    plain = {int: "a whole number", float: "a number", bool: "a switch (true or false)", str: "a text", types.NoneType: "none"}
    return plain.get(expected, "a table" if origin in (Mapping, dict) else str(expected))
