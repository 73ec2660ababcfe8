"""Checks of arguments that many functions take."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Sequence

import numpy as np

from data.errors import ConfigError
from data.interval import Duration, parse_duration
from data.shown import shown


def check_whole(name: str, value: object, least: int, why: str = "", hint: str = "give one") -> None:
    """Refuse what is no whole number of at least ``least``.

    >>> check_whole("delay", 1.5, 1)
    Traceback (most recent call last):
    ...
    data.errors.ConfigError: delay must be a whole number of at least 1, got 1.5; give one
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ConfigError(f"{name} must be a whole number of at least {least}{why}, got {shown(value)}; {hint}")


def check_most(name: str, value: int, most: int, hint: str) -> None:
    """Refuse a whole number that would take hours or all memory.

    >>> check_most("n_draws", 10**9, 1_000_000, "999 are usual")
    Traceback (most recent call last):
    ...
    data.errors.ConfigError: n_draws must be at most 1,000,000, got 1000000000; 999 are usual
    """
    if value > most:
        raise ConfigError(f"{name} must be at most {most:,}, got {value}; {hint}")


def check_level(level: object, usual: float = 0.95) -> float:
    """The level as a float; refuses what is no number between 0 and 1.

    >>> check_level("95")
    Traceback (most recent call last):
    ...
    data.errors.ConfigError: level must be between 0 and 1, such as 0.95, got '95'
    """
    if isinstance(level, float | int | np.floating) and math.isfinite(level) and 0 < level < 1:
        return float(level)
    raise ConfigError(f"level must be between 0 and 1, such as {usual}, got {shown(level)}")


def check_levels(levels: Iterable[float], least: int = 1) -> tuple[float, ...]:
    """The levels as floats; refuses one without a list, the same one twice and fewer than ``least``.

    >>> check_levels(0.95)
    Traceback (most recent call last):
    ...
    data.errors.ConfigError: levels must be a list, such as (0.95, 0.99), got 0.95
    """
    if isinstance(levels, str | bytes) or not isinstance(levels, Iterable) or (isinstance(levels, np.ndarray) and not levels.ndim):
        raise ConfigError(f"levels must be a list, such as (0.95, 0.99), got {shown(levels)}")
    found = tuple(check_level(level) for level in levels)
    if len(found) < least:
        raise ConfigError("levels must be at least one, such as (0.95, 0.99), got none")
    if len(set(found)) < len(found):
        raise ConfigError(f"levels must differ, got {list(found)}; give each once")
    return found


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """The ending of a message on a name that is not known: the nearest one that is, or nothing.

    >>> did_you_mean("log_retrun", ["log_return", "range"])
    "; did you mean 'log_return'?"
    """
    near = difflib.get_close_matches(str(name), list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def check_horizons(horizons: Sequence[Duration]) -> None:
    """Refuse none, one that is no duration, and the same one twice, however it is written."""
    if len({parse_duration(horizon, "horizon") for horizon in horizons}) < len(horizons) or not horizons:
        raise ConfigError(f"horizons must differ and be at least one, got {list(horizons)}; a horizon twice is two tests")


def check_type(name: str, value: object, expected: type | tuple[type, ...], hint: str) -> None:
    """Refuse what is no ``expected``, such as a table where bars are wanted.

    >>> check_type("bars", "btc.csv", dict, "read a file with fs.read_bars")
    Traceback (most recent call last):
    ...
    data.errors.ConfigError: bars must be dict, got str; read a file with fs.read_bars
    """
    if not isinstance(value, expected):
        wanted = " or ".join(kind.__name__ for kind in (expected if isinstance(expected, tuple) else (expected,)))
        raise ConfigError(f"{name} must be {wanted}, got {type(value).__name__}; {hint}")


def check_switch(name: str, value: object) -> None:
    """Refuse what is neither True nor False: a text such as "no" would count as True.

    >>> check_switch("shorts", "no")
    Traceback (most recent call last):
    ...
    data.errors.ConfigError: shorts must be True or False, got 'no'
    """
    if not isinstance(value, bool | np.bool_):
        raise ConfigError(f"{name} must be True or False, got {shown(value)}")
