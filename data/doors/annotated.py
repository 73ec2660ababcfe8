"""What an annotation says about an argument, as a kind."""

from __future__ import annotations

import inspect
import os
import types
import typing
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import numpy as np
import pandas as pd

from foreshock.data import checks
from foreshock.data.doors.kinds import (
    ANYTHING,
    ARRAY,
    DURATION,
    INSTANT,
    MOMENT,
    NUMBER,
    PATH,
    STEP,
    SWITCH,
    TEXT,
    WHOLE,
    Kind,
    checked,
)
from foreshock.data.errors import ConfigError
from foreshock.data.interval import Duration, Instant
from foreshock.data.show.shown import few, shown

# What a value of a class is made with, by the name of the class.
HINTS = {
    "Account": "such as fs.Account(shorts=True)",
    "AnomalyAvoidance": "such as fs.AnomalyAvoidance()",
    "BacktestResult": "pass what fs.backtest returned",
    "Bars": "read a file with fs.read_bars",
    "Book": "read one with fs.read_book",
    "CombinatorialSplits": "such as fs.CombinatorialSplits(6, 2)",
    "Costs": "such as fs.Costs(taker=5e-4)",
    "DataFrame": "pass a pandas table",
    "DetectionReport": "make them with fs.detection_report",
    "Detector": "make one with fs.make_detector",
    "Events": "make them with fs.Events.from_frame",
    "Features": "make them with fs.ohlcv_features",
    "Generator": "such as np.random.default_rng(0)",
    "KMeansRegime": "make one with fs.make_detector('kmeans_regime')",
    "Labels": "read a file with fs.read_labels",
    "Ledger": "such as fs.Ledger('ledger.jsonl')",
    "ScenarioModel": "fit one, or load one with fs.load_scenario_model",
    "Scores": "make them with fs.walk_forward",
    "SeriesKey": "make one with fs.SeriesKey",
    "Signals": "make them with Scores.signals",
    "Store": "make one with fs.Store",
    "Study": "make one with fs.Study",
    "StudyConfig": "read one with fs.load_study",
    "StudyResult": "run one with fs.Study",
    "Surrogates": "fit them with fs.fit_surrogates",
    "Table": "pass a table of pyarrow",
    "TradeWindows": "make them with fs.trade_windows",
    "Trades": "read them with fs.read_trades",
    "Universe": "such as fs.Universe(top=50)",
    "WalkForward": "such as fs.WalkForward('365D', '30D')",
    "slice": "such as slice(0, 100)",
}
# What an object of a protocol is called; others are told by their members.
PROTOCOLS = {"Threshold": "a rule such as RollingQuantile(0.99) or Fixed(3.0)"}
# Longer lists are looked at as far as this, so that a door costs the same whatever goes through it.
LOOKED_AT = 1_000
# Classes that have a kind of their own.
SIMPLE: dict[Any, Kind] = {
    bool: SWITCH,
    int: WHOLE,
    float: NUMBER,
    str: TEXT,
    np.ndarray: ARRAY,
    np.datetime64: MOMENT,
    np.timedelta64: STEP,
    Duration: DURATION,
    Instant: INSTANT,
    os.PathLike: PATH,
}


def kind_of(annotation: Any) -> Kind:
    """The kind of arguments that an annotation describes; anything where it says nothing that can be checked.

    >>> kind_of(int).check("n", 3)
    3
    >>> kind_of(int | None).check("n", 1.5)
    Traceback (most recent call last):
    ...
    foreshock.data.errors.ConfigError: n must be a whole number, got 1.5
    """
    if isinstance(annotation, Hashable) and annotation in SIMPLE:
        return SIMPLE[annotation]
    if annotation in (Any, object):
        return ANYTHING
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        return _union(get_args(annotation))
    if origin is Literal:
        return _literal(get_args(annotation))
    if origin is os.PathLike:
        return PATH
    if origin is not None:
        return _container(origin, get_args(annotation))
    if isinstance(annotation, type):
        return _protocol(annotation) if getattr(annotation, "_is_protocol", False) else _instance((annotation,))
    return ANYTHING


def _union(members: tuple[Any, ...]) -> Kind:
    others = [one for one in members if one is not type(None)]
    inner = _alternatives(others)
    return optional(inner) if len(others) < len(members) else inner


def optional(inner: Kind) -> Kind:
    """A kind, or None."""

    def check(name: str, value: Any) -> Any:
        return value if value is None else inner.check(name, value)

    return Kind(check, f"{inner.expected} or None")


def _alternatives(members: list[Any]) -> Kind:
    kinds = set(members)
    # The aliases of times come apart in a union with None.
    for alias, kind in ((Duration, DURATION), (Instant, INSTANT)):
        if set(get_args(alias)) <= kinds:
            members = [one for one in members if one not in get_args(alias)]
            return kind if not members else _either([kind, *map(kind_of, members)])
    if any(_is_path(one) for one in members):
        members = [one for one in members if one is not str and not _is_path(one)]
        return PATH if not members else _either([*map(kind_of, members), PATH])
    if len(members) == 1:
        return kind_of(members[0])
    if all(_is_class(one) for one in members):
        return _instance(tuple(members))
    return _either([kind_of(one) for one in members])


def _is_path(one: Any) -> bool:
    origin = get_origin(one) or one
    return origin is os.PathLike or (isinstance(origin, type) and issubclass(origin, Path))


def _is_class(one: Any) -> bool:
    plain = isinstance(one, type) and get_origin(one) is None
    return (
        plain
        and one not in (bool, int, float, str, np.ndarray, np.datetime64, np.timedelta64)
        and not getattr(one, "_is_protocol", 0)
    )


def _either(kinds: list[Kind]) -> Kind:
    expected = " or ".join(kind.expected for kind in kinds)
    hint = next((f"; {HINTS[one]}" for one in expected.split(" or ") if one in HINTS), "")

    def check(name: str, value: Any) -> Any:
        for kind in kinds:
            if kind.takes(value):
                return kind.check(name, value)
        for kind in kinds:
            if isinstance(value, kind.holds):
                kind.check(name, value)
        raise ConfigError(f"{name} must be {expected}, got {shown(value)}{hint}")

    return Kind(check, expected)


def _literal(values: tuple[Any, ...]) -> Kind:
    expected = f"one of {few(values, 12)}"

    def check(name: str, value: Any) -> Any:
        if not isinstance(value, Hashable) or not _in(value, values):
            raise ConfigError(f"{name} must be {expected}, got {shown(value)}{checks.did_you_mean(value, map(str, values))}")
        return value

    return Kind(check, expected)


def _in(value: Any, values: tuple[Any, ...]) -> bool:
    return any(type(value) is type(one) and value == one for one in values)


def _instance(classes: tuple[type, ...]) -> Kind:
    hint = next((HINTS[one.__name__] for one in classes if one.__name__ in HINTS), "see the documentation of the argument")
    check = checked(lambda name, value: checks.check_type(name, value, classes, hint))
    return Kind(check, " or ".join(one.__name__ for one in classes))


def _protocol(protocol: type) -> Kind:
    """What has every member of a protocol; a class instead of an object of it has not."""
    members = sorted(
        typing.cast(Any, protocol).__protocol_attrs__ if hasattr(protocol, "__protocol_attrs__") else _members(protocol)
    )

    expected = PROTOCOLS.get(protocol.__name__, f"an object that has {' and '.join(members)}")

    def check(name: str, value: Any) -> Any:
        missing = [member for member in members if not hasattr(value, member)]
        if isinstance(value, type) or missing:
            raise ConfigError(f"{name} must be {expected}, got {shown(value)}")
        return value

    return Kind(check, expected)


def _members(protocol: type) -> set[str]:
    bases = [base for base in protocol.__mro__ if getattr(base, "_is_protocol", False)]
    named = {name for base in bases for name in (*vars(base), *getattr(base, "__annotations__", {}))}
    return {name for name in named if not name.startswith("_")}


def _container(origin: Any, inner: tuple[Any, ...]) -> Kind:
    if origin is Callable:
        return _function(inner)
    if not isinstance(origin, type):
        return ANYTHING
    if issubclass(origin, Mapping):
        return _mapping(*(kind_of(one) for one in inner[:2])) if len(inner) == 2 else Kind(checked(checks.check_mapping), "a dict")
    if issubclass(origin, tuple) and not (len(inner) == 2 and inner[1] is Ellipsis):
        return _tuple([kind_of(one) for one in inner])
    if issubclass(origin, Iterable) and not issubclass(origin, str | bytes):
        return _several(kind_of(inner[0]) if inner else ANYTHING, sized=issubclass(origin, Collection))
    if issubclass(origin, type):
        return Kind(_class, "a class")
    return ANYTHING


def _class(name: str, value: Any) -> Any:
    if not isinstance(value, type):
        raise ConfigError(f"{name} must be a class, got {shown(value)}")
    return value


def _function(inner: tuple[Any, ...]) -> Kind:
    n = len(inner[0]) if inner and isinstance(inner[0], list | tuple) else None

    def check(name: str, value: Any) -> Any:
        checks.check_function(name, value)
        if n is not None and not _takes(value, n):
            raise ConfigError(
                f"{name} must be a function of {n} argument{'s' if n != 1 else ''}, got {shown(value)}, which takes others"
            )
        return value

    return Kind(check, "a function")


def _takes(function: Callable[..., Any], n: int) -> bool:
    """Whether ``n`` arguments can be passed by position, as far as Python knows."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return True
    try:
        signature.bind(*range(n))
    except TypeError:
        return False
    return True


def _mapping(keys: Kind, values: Kind) -> Kind:
    def check(name: str, value: Any) -> Any:
        checks.check_mapping(name, value)
        for key, one in value.items():
            keys.check(f"each name of {name}" if keys is TEXT else f"each key of {name}", key)
            values.check(f"each of {name}, {shown(key, 40)},", one)
        return value

    return Kind(check, "a dict", (Mapping,))


def _tuple(kinds: list[Kind]) -> Kind:
    n = len(kinds)

    def check(name: str, value: Any) -> Any:
        if not isinstance(value, tuple | list) or len(value) != n:
            raise ConfigError(f"{name} must be a tuple of {n}, got {shown(value)}")
        for kind, one in zip(kinds, value, strict=True):
            kind.check(f"each of {name}", one)
        return value

    return Kind(check, f"a tuple of {n}")


def _several(inner: Kind, sized: bool) -> Kind:
    what = {TEXT: "a list of texts", WHOLE: "a list of whole numbers", NUMBER: "a list of numbers", DURATION: "a list of durations"}
    expected = what.get(inner, "a list" if inner is ANYTHING else f"a list of {inner.expected}")

    def check(name: str, value: Any) -> Any:
        wrong = isinstance(value, str | bytes | Mapping | pd.DataFrame) or not isinstance(value, Iterable)
        if wrong or getattr(value, "ndim", 1) != 1 or (sized and not isinstance(value, Collection)):
            raise ConfigError(
                f"{name} must be {expected}, got {shown(value)}{'; put it in brackets' if inner.takes(value) else ''}"
            )
        if isinstance(value, Collection):
            for at, one in enumerate(value):
                if at == LOOKED_AT:
                    break
                if inner in (TEXT, DURATION) and not inner.takes(one):
                    raise ConfigError(f"{name} must be {expected}, got {shown(value)}")
                inner.check(f"each of {name}", one)
        return value

    return Kind(check, expected, (list, tuple))
