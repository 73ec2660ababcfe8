"""Kinds of arguments: what one takes, how its values are called, and what to do about another one."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from foreshock.data import checks
from foreshock.data.doors.truth import yes_or_no
from foreshock.data.errors import ConfigError, ForeshockError
from foreshock.data.interval import parse_duration, parse_instant
from foreshock.data.show.shown import shown

LARGEST = 2**63 - 1
MOST_JOBS = 1_024
# Arrays of these names hold times.
TIMES = ("time", "start", "stop", "end")


@dataclass(frozen=True)
class Kind:
    """What an argument may be.

    Parameters
    ----------
    check : callable
        Gets the name and the value; raises ConfigError for a value of another kind, and returns the value, which may be converted.
    expected : str
        What a value is called where several kinds may come.
    holds : tuple of type
        Classes whose contents are checked: what is wrong with one of these is a content.
    """

    check: Callable[[str, Any], Any]
    expected: str
    holds: tuple[type, ...] = ()

    def takes(self, value: object) -> bool:
        try:
            self.check("", value)
        except ForeshockError:
            return False
        return True


def checked(check: Callable[[str, Any], object]) -> Callable[[str, Any], Any]:
    """A check that hands the value through."""

    def through(name: str, value: Any) -> Any:
        check(name, value)
        return value

    return through


def _whole(name: str, value: Any) -> Any:
    checks.check_integer(name, value)
    if not -LARGEST <= value <= LARGEST:
        raise ConfigError(f"{name} must be a whole number of at most 64 bits, got {shown(value)}")
    return value


def _number(name: str, value: Any) -> Any:
    """A number, which may be NaN or infinite: a threshold of infinity alerts at nothing."""
    checks.check_number(name, value)
    if isinstance(value, int) and abs(value) > LARGEST:
        raise ConfigError(f"{name} must be a number of at most 64 bits, got {shown(value)}")
    return value


def _path(name: str, value: Any) -> Any:
    checks.check_path(name, value)
    text = os.fspath(value)
    if isinstance(text, bytes) or "\0" in text:
        raise ConfigError(f"{name} must be a file or a folder, got {shown(value)}; pass its path as text, without a zero byte")
    return value


def _array(name: str, value: Any) -> Any:
    """An array of numbers, truth values or times; a list becomes one, a pandas object must be in order of time."""
    if isinstance(value, np.ndarray) and value.ndim and value.dtype.kind in ("biufmM" if name in TIMES else "biuf"):
        return value
    if isinstance(value, pd.Series | pd.DataFrame):
        index = value.index
        if isinstance(index, pd.DatetimeIndex) and not (index.is_monotonic_increasing and index.is_unique):
            raise ConfigError(
                f"{name} must be in order of time, each time once, got an index that is not; sort it, such as by sort_index"
            )
    if name in TIMES:
        checks.check_times(name, value)
        return np.asarray(value) if isinstance(value, list | tuple) else value
    checks.check_array(name, value)
    if isinstance(value, list | tuple):
        value = np.asarray(value)
    # Objects and texts that are numbers become them.
    return value.astype(np.float64) if isinstance(value, np.ndarray) and value.dtype.kind not in "biuf" else value


def _any_array(name: str, value: Any) -> Any:
    """An array of anything; a list becomes one."""
    if isinstance(value, np.ndarray) and value.ndim:
        return value
    if isinstance(value, list | tuple | pd.Series | pd.Index):
        try:
            return np.asarray(value)
        except ValueError:
            pass
    raise ConfigError(f"{name} must be an array, got {shown(value)}; pass an array")


def _duration(name: str, value: Any) -> Any:
    checks.check_duration(name, value)
    parse_duration(value, name)
    return value


def _instant(name: str, value: Any) -> Any:
    parse_instant(value, name)
    return value


def _moment(name: str, value: Any) -> Any:
    if not isinstance(value, np.datetime64) or np.isnat(value):
        raise ConfigError(f"{name} must be a np.datetime64, got {shown(value)}; such as np.datetime64('2024-01-31')")
    return value


def _step(name: str, value: Any) -> Any:
    checks.check_span(name, value)
    parse_duration(value, name)
    return value


def _span(name: str, value: Any) -> Any:
    if not isinstance(value, str):
        raise ConfigError(f"{name} must be a duration such as '6h' or '90D', got {shown(value)}; write it as a text")
    return value


ANYTHING = Kind(lambda _, value: value, "anything")
WHOLE = Kind(_whole, "a whole number")
NUMBER = Kind(_number, "a number")
SWITCH = Kind(checked(checks.check_switch), "True or False")
TEXT = Kind(checked(checks.check_text), "a text")
PATH = Kind(_path, "a file or a folder")
ARRAY = Kind(_array, "an array of numbers")
ANY_ARRAY = Kind(_any_array, "an array")
DURATION = Kind(_duration, "a duration")
INSTANT = Kind(_instant, "a time")
MOMENT = Kind(_moment, "a np.datetime64")
STEP = Kind(_step, "a np.timedelta64")
NAMES = Kind(checked(checks.check_names), "a list of names")


def _seed(name: str, value: Any) -> Any:
    checks.check_whole(name, value, 0)
    if value.bit_length() > 128 if isinstance(value, int) else False:
        raise ConfigError(f"{name} must be a whole number of at most 128 bits, got {shown(value)}; pass a smaller one")
    return value


def _jobs(name: str, value: Any) -> Any:
    checks.check_integer(name, value)
    if not value or abs(value) > MOST_JOBS:
        raise ConfigError(f"{name} must be from 1 to {MOST_JOBS:,}, or -1 for every core, got {shown(value)}; pass 1")
    return value


def count_of(least: int, most: int = 1_000_000) -> Kind:
    """A whole number of at least ``least`` and at most ``most``."""

    def check(name: str, value: Any) -> Any:
        checks.check_whole(name, value, least)
        checks.check_most(name, value, most, "it would take hours or all memory")
        return value

    return Kind(check, f"a whole number of at least {least}")


def at_least(least: int, why: str = "", hint: str = "pass one") -> Kind:
    """A whole number of at least ``least``."""

    def check(name: str, value: Any) -> Any:
        checks.check_whole(name, value, least, why, hint)
        return _whole(name, value)

    return Kind(check, f"a whole number of at least {least}")


def between(low: float, high: float, hint: str = "") -> Kind:
    """A number from ``low`` to ``high``, both included."""

    def check(name: str, value: Any) -> Any:
        checks.check_number(name, value)
        if not low <= value <= high:
            expected = f"at least {low:g}" if math.isinf(high) else f"from {low:g} to {high:g}"
            raise ConfigError(f"{name} must be {expected}, got {shown(value)}{f'; {hint}' if hint else ''}")
        return value

    return Kind(check, "a number")


# More would take hours, or all memory.
DRAWS = count_of(1)
# Parameters that mean the same at every door that has them.
# Durations that are texts, such as those of a study file.
SPANS = ("horizon", "train", "test", "cooldown", "hold", "rebalance", "window", "refit")
SPAN = Kind(_span, "a duration")

NAMED: dict[str, Kind] = {
    "seed": Kind(_seed, "a whole number of at least 0"),
    "mask": Kind(yes_or_no, "an array of truth values"),
    "ids": ANY_ARRAY,
    "series": ANY_ARRAY,
    "n_shifts": count_of(0),
    "n_threads": count_of(1, 1_024),
    "n_jobs": Kind(_jobs, "a whole number"),
    "n_surrogates": count_of(0, 100_000),
    "level": Kind(lambda _, value: checks.check_level(value), "a number"),
    "levels": Kind(lambda _, value: checks.check_levels(value), "a list of numbers"),
} | dict.fromkeys(("n_draws", "n_bootstrap", "n_cuts", "n_permutations"), DRAWS)
