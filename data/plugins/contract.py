"""Helpers shared by the checks of detectors, thresholds and strategies."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import fields
from typing import TypeVar

import numpy as np

from foreshock.data.errors import ConfigError, ForeshockError

Found = TypeVar("Found")


@contextmanager
def global_seed(seed: int) -> Iterator[None]:
    """Seed the global random generators of NumPy and Python; their state is restored afterwards."""
    before, plain = np.random.get_state(), random.getstate()  # noqa: NPY002 - the check is whether this state matters
    np.random.seed(seed)  # noqa: NPY002
    random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(before)  # noqa: NPY002
        random.setstate(plain)


def called(name: str, what: str, function: Callable[[], Found]) -> Found:
    """The result of a function; an error that is not foreshock's own becomes a ``ConfigError`` with the name."""
    try:
        return function()
    except ForeshockError:
        raise
    # A user's code may raise any error, or exit the program.
    except (Exception, SystemExit) as error:
        said = " ".join(str(error).split())
        raise ConfigError(f"{name} {what} raised {type(error).__name__}: {said}; fix it") from error


def apart(thing: Found) -> Found:
    """A copy of bars, signals or features whose arrays a user's code may write into; they are not checked again."""
    other = copy(thing)
    for name in (field.name for field in fields(thing)):  # pyright: ignore[reportArgumentType]
        value = getattr(thing, name)
        if isinstance(value, np.ndarray):
            object.__setattr__(other, name, value.copy())
        elif isinstance(value, dict):
            object.__setattr__(other, name, {key: one.copy() if isinstance(one, np.ndarray) else one for key, one in value.items()})
    return other


def first_difference(found: np.ndarray, expected: np.ndarray, tolerance: float = 0.0) -> int | None:
    """The first row in which two arrays differ by more than a relative tolerance, NaN being equal to NaN; None if none does.

    >>> first_difference(np.array([1.0, np.nan, 3.0]), np.array([1.0, np.nan, 4.0]))
    2
    """
    a, b = np.asarray(found, float), np.asarray(expected, float)
    with np.errstate(invalid="ignore"):
        same = (a == b) | (np.isnan(a) & np.isnan(b)) | (np.abs(a - b) <= tolerance * np.abs(b))
    rows = np.flatnonzero(~same.reshape(len(same), -1).all(axis=1))
    return int(rows[0]) if len(rows) else None
