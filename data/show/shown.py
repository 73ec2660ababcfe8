"""Short descriptions of values of any type, for messages."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from datetime import date, time, timedelta
from numbers import Number
from typing import Any

import numpy as np

LONGEST = 80
SEVERAL = 8


def shown(value: object, longest: int = LONGEST) -> str:
    """A value for a message: itself if it is short and plain, else its type, with its shape or length.

    Parameters
    ----------
    value : object
        Numbers, strings, dates, None, and short lists of these are written out; a string is cut. Arrays, tables, dicts, long
        lists and every other object are named by their type.
    longest : int
        Largest number of characters of a string or a list.

    Returns
    -------
    str
        One line.

    Examples
    --------
    >>> shown("1h"), shown(np.float64(0.5)), shown([1, None])
    ("'1h'", '0.5', '[1, None]')
    >>> shown(np.zeros((3, 4))), shown(range(5_000)), shown({"a": 1})
    ('an array of shape (3, 4)', 'a range of 5,000', 'a dict of 1')
    """
    if isinstance(value, np.datetime64 | np.timedelta64 | date | time | timedelta):
        return str(value)
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and not value.ndim):
        value = value.item()
    if value is None or isinstance(value, Number):
        return _number(value)
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if isinstance(value, str | bytes):
        return _text(value, longest)
    if isinstance(value, list | tuple) and len(value) <= SEVERAL:
        text = _several(value, longest)
        if len(text) <= longest:
            return text
    return _kind(value)


def few(names: Iterable[Any], most: int = 5) -> str:
    """A user's names for a message: the first few, each cut, and the number of further ones.

    >>> few(["BTC", "ETH"]), few(map(str, range(12)), most=3)
    ('BTC, ETH', '0, 1, 2 and 9 more')
    """
    every = list(names)
    first = ", ".join(
        one_line(str(name), 40) if isinstance(name, str | Number | np.generic) else shown(name, 40) for name in every[:most]
    )
    return f"{first} and {len(every) - most:,} more" if len(every) > most else first


def one_line(text: str, longest: int) -> str:
    """The text on one line, cut to ``longest`` characters.

    >>> one_line("one\\ntwo three", 8)
    'one two…'
    """
    text = text[: 4 * longest]
    plain = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return plain if len(plain) <= longest else f"{plain[: longest - 1]}…"


def _number(value: object) -> str:
    if isinstance(value, int) and value.bit_length() > 256:
        return f"a whole number of about {int(value.bit_length() * 0.30103) + 1:,} digits"
    return one_line(repr(value), LONGEST)


def _text(value: str | bytes, longest: int) -> str:
    short = value if len(value) <= longest else value[: longest - 1]
    text = repr(short)
    return text if short is value else f"{text[:-1]}…{text[-1]}"


def _several(values: list[Any] | tuple[Any, ...], longest: int) -> str:
    inner = ", ".join(shown(value, longest) for value in values)
    if isinstance(values, list):
        return f"[{inner}]"
    return f"({inner},)" if len(values) == 1 else f"({inner})"


def _kind(value: object) -> str:
    kind = type(value)
    if isinstance(value, type):
        return f"the class {one_line(value.__name__, 40)}"
    name = one_line("array" if kind is np.ndarray else kind.__name__, 40)
    shape = getattr(value, "shape", None)
    article = "an" if name[0].lower() in "aeiou" else "a"
    if isinstance(shape, tuple) and all(isinstance(n, int) for n in shape):
        return f"{article} {name} of shape {shape}"
    if isinstance(value, Collection | Mapping):
        return f"{article} {name} of {len(value):,}"
    if callable(value) and hasattr(value, "__name__"):
        return f"the function {one_line(str(value.__name__), 40)}"
    return f"{article} {name}"
