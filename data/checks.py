"""Checks of arguments that many functions take."""

from __future__ import annotations

import difflib
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

import numpy as np

from foreshock.data.errors import ConfigError
from foreshock.data.interval import Duration, parse_duration
from foreshock.data.show.shown import few, shown

# What Linux allows; other systems allow less.
LONGEST_PATH = 4_096


def check_whole(name: str, value: object, least: int, why: str = "", hint: str = "pass one") -> None:
    """Refuse a value that is not a whole number of at least ``least``.

    >>> check_whole("delay", 1.5, 1)
    Traceback (most recent call last):
    ...
    foreshock.data.errors.ConfigError: delay must be a whole number of at least 1, got 1.5; pass one
    """
    if not _is_whole(value) or value < least:  # pyright: ignore[reportOperatorIssue]
        raise ConfigError(f"{name} must be a whole number of at least {least}{why}, got {shown(value)}; {hint}")


def _is_whole(value: object) -> bool:
    # numpy counts a duration among its whole numbers.
    return isinstance(value, int | np.integer) and not isinstance(value, bool | np.timedelta64)


def check_most(name: str, value: int, most: int, hint: str) -> None:
    """Refuse a whole number that would take hours or all memory.

    >>> check_most("n_draws", 10**9, 1_000_000, "999 are usual")
    Traceback (most recent call last):
    ...
    foreshock.data.errors.ConfigError: n_draws must be at most 1,000,000, got 1000000000; 999 are usual
    """
    if value > most:
        raise ConfigError(f"{name} must be at most {most:,}, got {value}; {hint}")


# scikit-learn and numpy's legacy generator take no larger seed.
MOST_SEED = 2**32 - 1


def check_seed(name: str, value: object) -> None:
    """Refuse anything but a whole number from 0 to 4,294,967,295.

    >>> check_seed("seed", 2**32)
    Traceback (most recent call last):
    ...
    foreshock.data.errors.ConfigError: seed must be at most 4,294,967,295, got 4294967296; pass a smaller one
    """
    check_whole(name, value, 0)
    if isinstance(value, int | np.integer):
        check_most(name, int(value), MOST_SEED, "pass a smaller one")


def check_level(level: object, usual: float = 0.95) -> float:
    """The level as a float; refuses a value that is not a number between 0 and 1.

    >>> check_level("95")
    Traceback (most recent call last):
    ...
    foreshock.data.errors.ConfigError: level must be between 0 and 1, such as 0.95, got '95'
    """
    if isinstance(level, float | int | np.floating) and math.isfinite(level) and 0 < level < 1:
        return float(level)
    raise ConfigError(f"level must be between 0 and 1, such as {usual}, got {shown(level)}")


def check_levels(levels: Iterable[float], least: int = 1) -> tuple[float, ...]:
    """The levels as floats; refuses a single number, a repeated level and fewer than ``least`` levels.

    >>> check_levels(0.95)
    Traceback (most recent call last):
    ...
    foreshock.data.errors.ConfigError: levels must be a list, such as (0.95, 0.99), got 0.95
    """
    if isinstance(levels, str | bytes) or not isinstance(levels, Iterable) or (isinstance(levels, np.ndarray) and not levels.ndim):
        raise ConfigError(f"levels must be a list, such as (0.95, 0.99), got {shown(levels)}")
    found = tuple(check_level(level) for level in levels)
    if len(found) < least:
        raise ConfigError("levels must be at least one, such as (0.95, 0.99), got none")
    if len(set(found)) < len(found):
        raise ConfigError(f"levels must differ, got {few(found)}; pass each once")
    return found


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: the nearest known name, or an empty string.

    >>> did_you_mean("log_retrun", ["log_return", "range"])
    "; did you mean 'log_return'?"
    """
    if not isinstance(name, str) or len(name) > 100:
        return ""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def check_horizons(horizons: Sequence[Duration]) -> None:
    """Refuse an empty list, a horizon that is not a duration, and a repeated horizon, however it is written."""
    if len({parse_duration(horizon, "horizon") for horizon in horizons}) < len(horizons) or not len(horizons):
        raise ConfigError(f"horizons must differ and be at least one, got {few(horizons)}; a horizon twice is two tests")


def check_type(name: str, value: object, expected: type | tuple[type, ...], hint: str) -> None:
    """Refuse a value that is not an instance of ``expected``, such as a table where bars are wanted.

    >>> check_type("bars", "btc.csv", dict, "read a file with fs.read_bars")
    Traceback (most recent call last):
    ...
    foreshock.data.errors.ConfigError: bars must be dict, got str; read a file with fs.read_bars
    """
    if not isinstance(value, expected):
        wanted = " or ".join(kind.__name__ for kind in (expected if isinstance(expected, tuple) else (expected,)))
        raise ConfigError(f"{name} must be {wanted}, got {type(value).__name__}; {hint}")


def check_switch(name: str, value: object) -> None:
    """Refuse a value that is neither True nor False: a text such as "no" would count as True.

    >>> check_switch("shorts", "no")
    Traceback (most recent call last):
    ...
    foreshock.data.errors.ConfigError: shorts must be True or False, got 'no'
    """
    if not isinstance(value, bool | np.bool_):
        raise ConfigError(f"{name} must be True or False, got {shown(value)}")


def check_array(name: str, value: object, hint: str = "pass an array") -> None:
    """Refuse a value that is not an array of numbers, such as a dict, a text or one number.

    >>> check_array("returns", {"a": 1})
    Traceback (most recent call last):
    ...
    foreshock.data.errors.ConfigError: returns must be an array of numbers, got a dict of 1; pass an array
    """
    if isinstance(value, np.ndarray) and value.ndim and value.dtype.kind in "biuf":
        return
    try:
        if isinstance(value, list | tuple) or hasattr(value, "__array__"):
            found = np.asarray(value)
            # numpy would leave out the imaginary part, and count times in their unit.
            if found.ndim and found.dtype.kind not in "cmM" and found.astype(np.float64).ndim:
                return
    except (TypeError, ValueError):
        pass
    raise ConfigError(f"{name} must be an array of numbers, got {shown(value)}; {hint}")


def check_times(name: str, value: object) -> None:
    """Refuse a value that is not an array of times.

    >>> check_times("time", "2024")
    Traceback (most recent call last):
    ...
    foreshock.data.errors.ConfigError: time must be an array of times in UTC, got '2024'; pass an array of datetime64
    """
    if isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype.kind == "M":
        return
    try:
        if (isinstance(value, list | tuple) or hasattr(value, "__array__")) and np.asarray(value, "datetime64[us]").ndim == 1:
            return
    except (TypeError, ValueError):
        pass
    raise ConfigError(f"{name} must be an array of times in UTC, got {shown(value)}; pass an array of datetime64")


def check_names(name: str, value: object) -> None:
    """Refuse a value that is not a list of names.

    >>> check_names("symbols", "BTC")
    Traceback (most recent call last):
    ...
    foreshock.data.errors.ConfigError: symbols must be a list of names, got 'BTC'; put it in brackets
    """
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable) or getattr(value, "ndim", 1) != 1:
        raise ConfigError(f"{name} must be a list of names, got {shown(value)}; put it in brackets")


def check_path(name: str, value: object) -> None:
    """Refuse a value that is not a path.

    >>> check_path("path", 3)
    Traceback (most recent call last):
    ...
    foreshock.data.errors.ConfigError: path must be a file or a folder, got 3; pass its path as text
    """
    if not isinstance(value, str | os.PathLike):
        raise ConfigError(f"{name} must be a file or a folder, got {shown(value)}; pass its path as text")
    if len(os.fspath(value)) > LONGEST_PATH:
        raise ConfigError(f"{name} must be at most {LONGEST_PATH:,} characters, got {shown(value)}; shorten it")


def check_number(name: str, value: object) -> None:
    """Refuse a value that is not a number.

    >>> check_number("value", "3")
    Traceback (most recent call last):
    ...
    foreshock.data.errors.ConfigError: value must be a number, got '3'
    """
    if not _is_whole(value) and not isinstance(value, float | np.floating):
        raise ConfigError(f"{name} must be a number, got {shown(value)}")


def check_integer(name: str, value: object) -> None:
    """Refuse a value that is not a whole number.

    >>> check_integer("start", 1.5)
    Traceback (most recent call last):
    ...
    foreshock.data.errors.ConfigError: start must be a whole number, got 1.5
    """
    if not _is_whole(value):
        raise ConfigError(f"{name} must be a whole number, got {shown(value)}")


def check_text(name: str, value: object) -> None:
    """Refuse what is no text.

    >>> check_text("title", 3)
    Traceback (most recent call last):
    ...
    foreshock.data.errors.ConfigError: title must be a text, got 3
    """
    if not isinstance(value, str):
        raise ConfigError(f"{name} must be a text, got {shown(value)}")


def check_one(name: str, value: object) -> None:
    """Refuse an array or a table where one value is wanted.

    >>> check_one("strategy", np.zeros(3))
    Traceback (most recent call last):
    ...
    foreshock.data.errors.ConfigError: strategy must be one value, got an array of shape (3,); leave it out for the default
    """
    if getattr(value, "ndim", 0):
        raise ConfigError(f"{name} must be one value, got {shown(value)}; leave it out for the default")


def check_mapping(name: str, value: object) -> None:
    """Refuse what is no dict.

    >>> check_mapping("weights", [1])
    Traceback (most recent call last):
    ...
    foreshock.data.errors.ConfigError: weights must be a dict, got [1]
    """
    if not isinstance(value, Mapping):
        raise ConfigError(f"{name} must be a dict, got {shown(value)}")


def check_function(name: str, value: object) -> None:
    """Refuse what cannot be called.

    >>> check_function("on_epoch", 3)
    Traceback (most recent call last):
    ...
    foreshock.data.errors.ConfigError: on_epoch must be a function, got 3
    """
    if not callable(value):
        raise ConfigError(f"{name} must be a function, got {shown(value)}")


def check_texts(name: str, value: object) -> None:
    """Refuse what is no list of texts or durations.

    >>> check_texts("features", [1.5])
    Traceback (most recent call last):
    ...
    foreshock.data.errors.ConfigError: features must be a list of texts, got [1.5]
    """
    check_names(name, value)
    if isinstance(value, Sequence | np.ndarray) and not all(isinstance(one, str | timedelta | np.timedelta64) for one in value):
        raise ConfigError(f"{name} must be a list of texts, got {shown(value)}")


def check_numbers(name: str, value: object) -> None:
    """Refuse what is no list of numbers.

    >>> check_numbers("depths", 0.2)
    Traceback (most recent call last):
    ...
    foreshock.data.errors.ConfigError: depths must be a list of numbers, got 0.2; put it in brackets
    """
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable) or getattr(value, "ndim", 1) != 1:
        raise ConfigError(f"{name} must be a list of numbers, got {shown(value)}; put it in brackets")
    if isinstance(value, Sequence):
        for one in value:
            check_number(f"each of {name}", one)


def check_vector(name: str, value: object) -> None:
    """Refuse what is no array of numbers of one dimension.

    >>> check_vector("p_values", np.zeros((2, 3)))
    Traceback (most recent call last):
    ...
    foreshock.data.errors.ConfigError: p_values must have one dimension, got an array of shape (2, 3)
    """
    check_array(name, value)
    if np.ndim(value) != 1:  # pyright: ignore[reportArgumentType, reportCallIssue]
        raise ConfigError(f"{name} must have one dimension, got {shown(value)}")


def check_duration(name: str, value: object) -> None:
    """Refuse what is of no type that a duration may have; what it says is read where it is used.

    >>> check_duration("window", 3)
    Traceback (most recent call last):
    ...
    foreshock.data.errors.ConfigError: window must be a duration, such as '1h', got 3
    """
    if not isinstance(value, str | timedelta | np.timedelta64):
        raise ConfigError(f"{name} must be a duration, such as '1h', got {shown(value)}")


def check_span(name: str, value: object) -> None:
    """Refuse what is no timedelta.

    >>> check_span("interval", "1h")
    Traceback (most recent call last):
    ...
    foreshock.data.errors.ConfigError: interval must be a np.timedelta64, got '1h'
    """
    if not isinstance(value, timedelta | np.timedelta64):
        raise ConfigError(f"{name} must be a np.timedelta64, got {shown(value)}")


def check_each(name: str, value: object, expected: type) -> None:
    """Refuse what is no list of ``expected``.

    >>> check_each("books", [1], dict)
    Traceback (most recent call last):
    ...
    foreshock.data.errors.ConfigError: books must be a list of dict, got [1]
    """
    if not isinstance(value, list | tuple) or not all(isinstance(one, expected) for one in value):
        raise ConfigError(f"{name} must be a list of {expected.__name__}, got {shown(value)}")


def check_rows(name: str, value: object, n: int | None = None) -> None:
    """Refuse what chooses no rows: neither a slice, nor a mask, nor whole numbers.

    >>> check_rows("rows", np.zeros(3))
    Traceback (most recent call last):
    ...
    foreshock.data.errors.ConfigError: rows must be a slice, a mask or whole numbers, got an array of shape (3,)
    """
    if isinstance(value, slice) or (isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype.kind in "biu"):
        if n is not None and isinstance(value, np.ndarray) and not _within(value, n):
            raise ConfigError(f"{name} must be a mask of {n} rows, or numbers below that, got {shown(value)} of {value.dtype.name}")
        return
    raise ConfigError(f"{name} must be a slice, a mask or whole numbers, got {shown(value)}")


def _within(rows: np.ndarray, n: int) -> bool:
    return len(rows) == n if rows.dtype.kind == "b" else bool(((rows >= -n) & (rows < n)).all())


def check_shape(name: str, value: object, shape: tuple[int, ...]) -> None:
    """Refuse what is no array of this shape.

    >>> check_shape("outside", np.zeros(3), (3, 2))
    Traceback (most recent call last):
    ...
    foreshock.data.errors.ConfigError: outside must have the shape (3, 2), got an array of shape (3,)
    """
    check_array(name, value)
    if np.shape(value) != shape:  # pyright: ignore[reportArgumentType, reportCallIssue]
        raise ConfigError(f"{name} must have the shape {shape}, got {shown(value)}")


def check_pair(name: str, value: object) -> None:
    """Refuse what is no tuple of two.

    >>> check_pair("regimes", 3)
    Traceback (most recent call last):
    ...
    foreshock.data.errors.ConfigError: regimes must be a tuple of two, got 3
    """
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise ConfigError(f"{name} must be a tuple of two, got {shown(value)}")
