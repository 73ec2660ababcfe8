"""The check at the door of a public function or class, made of its annotations."""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import Callable
from typing import Any, TypeVar, get_args, get_origin, overload

from foreshock.data.doors.annotated import kind_of, optional
from foreshock.data.doors.kinds import NAMED, SPAN, SPANS, Kind

Public = TypeVar("Public", bound=Callable[..., Any])
Checks = dict[str, Callable[[str, Any], Any]]


@overload
def door(public: Public, /) -> Public: ...
@overload
def door(**kinds: Kind) -> Callable[[Public], Public]: ...
def door(public: Any = None, /, **kinds: Kind) -> Any:
    """Check the arguments of a function, or of a class and its public methods, before any work.

    What an argument may be is read off its annotation, once, at the first call; see ``kind_of``. A wrong one is refused by a
    sentence that says what, got, expected and what to do. Signature, docstring and pickling are those of the function.

    Parameters
    ----------
    public : function or class
        What is checked. Default values are not, nor are the results.
    **kinds
        By name of the parameter, where the annotation says too little; of a class, those of its constructor.

    Examples
    --------
    >>> @door
    ... def mean(values: list[float], size: int = 9) -> float:
    ...     return sum(values) / len(values)
    >>> mean([1.0, 2.0])
    1.5
    >>> mean([1.0, 2.0], size=0.5)
    Traceback (most recent call last):
    ...
    foreshock.data.errors.ConfigError: size must be a whole number, got 0.5
    """
    if public is None:
        return functools.partial(_with, kinds=kinds)
    return _with(public, kinds)


def _with(public: Any, kinds: dict[str, Kind]) -> Any:
    if not inspect.isclass(public):
        return _guarded(public, kinds)
    for name, value in list(vars(public).items()):
        if name != "__init__" and name.startswith("_"):
            continue
        if inspect.isfunction(value):
            setattr(public, name, _guarded(value, kinds if name == "__init__" else {}))
        elif isinstance(value, classmethod | staticmethod):
            setattr(public, name, type(value)(_guarded(value.__func__, {})))
    return public


def _guarded(function: Callable[..., Any], kinds: dict[str, Kind]) -> Callable[..., Any]:
    names: list[str] = []
    checks: Checks = {}
    # Every keyword there is; empty where any is taken.
    keywords: set[str] = set()
    read = functools.partial(_read, function, kinds, names, checks, keywords)

    def guarded(*args, **kwargs):
        if not names:
            read()
        if keywords and not kwargs.keys() <= keywords:
            # A misspelt keyword is told before what its default would say.
            return function(*args, **kwargs)
        changed = None
        for at, (name, value) in enumerate(zip(names, args)):  # noqa: B905 - too many are refused by Python itself
            if name in checks:
                found = checks[name](name, value)
                if found is not value:
                    changed = list(args) if changed is None else changed
                    changed[at] = found
        for name, value in kwargs.items():
            if name in checks:
                kwargs[name] = checks[name](name, value)
        return function(*(args if changed is None else changed), **kwargs)

    # Doctests are looked for in functions whose globals are those of their module.
    local = types.FunctionType(guarded.__code__, function.__globals__, function.__name__, None, guarded.__closure__)
    return functools.update_wrapper(local, function)


def _read(function: Callable[..., Any], kinds: dict[str, Kind], names: list[str], checks: Checks, keywords: set[str]) -> None:
    """Fill in the names of the parameters in their order, and the check of each, rare keywords of a TypedDict included."""
    hidden = getattr(inspect.unwrap(function), "__globals__", {})
    found: dict[str, Any] = {}
    every = list(inspect.signature(function).parameters.values())
    for parameter in every:
        annotation = _resolved(parameter.annotation, hidden)
        if parameter.kind is parameter.VAR_KEYWORD:
            if get_origin(annotation) is typing.Unpack:
                found |= typing.get_type_hints(get_args(annotation)[0])
        elif parameter.kind is not parameter.VAR_POSITIONAL and annotation is not parameter.empty:
            found[parameter.name] = annotation
    checks.update({name: kind_of(annotation).check for name, annotation in found.items()})
    for name in found.keys() & NAMED.keys():
        checks[name] = optional(NAMED[name]).check if type(None) in get_args(found[name]) else NAMED[name].check
    for name in found.keys() & set(SPANS):
        if found[name] in (str, str | None):
            checks[name] = (SPAN if found[name] is str else optional(SPAN)).check
    checks.update({name: kind.check for name, kind in kinds.items()})
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in every) or found.keys() - {one.name for one in every}:
        keywords.update(found, (parameter.name for parameter in every))
    # Last, because a second thread goes on as soon as there are names.
    names.extend(parameter.name for parameter in every)


def _resolved(annotation: Any, names: dict[str, Any]) -> Any:
    """An annotation as a type; anything where it names what is imported for type checkers alone."""
    try:
        return typing.get_type_hints(types.SimpleNamespace(__annotations__={"one": annotation}), names)["one"]
    except NameError:
        return Any
