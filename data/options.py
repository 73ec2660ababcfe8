"""Rare keywords of a function, taken as ``**options: Unpack[SomeTypedDict]`` (PEP 692), so that type checkers know them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from foreshock.data.checks import did_you_mean
from foreshock.data.errors import CallError


def check_options(function: Callable[..., Any], options: Mapping[str, object], known: type) -> None:
    """Refuse a keyword that a function does not have, as Python does, and name the nearest one.

    Parameters
    ----------
    function : callable
        The function that was called.
    options : dict
        The keywords that it got as ``**options``.
    known : TypedDict
        The keywords that ``**options`` may hold.

    Raises
    ------
    TypeError
        If a keyword is not known.

    Examples
    --------
    >>> from typing import TypedDict, Unpack
    >>> class Rare(TypedDict, total=False):
    ...     n_draws: int
    >>> def mean(values: list, **options: Unpack[Rare]) -> None:
    ...     check_options(mean, options, Rare)
    >>> mean([1.0], n_drawn=9)
    Traceback (most recent call last):
    ...
    foreshock.data.errors.CallError: mean() has no keyword 'n_drawn'; did you mean 'n_draws'?
    """
    # The keys of a TypedDict are those of its annotations.
    for name in options:
        if name not in known.__annotations__:
            named = [key for key, one in inspect.signature(function).parameters.items() if one.kind is not one.VAR_KEYWORD]
            raise CallError(f"{function.__name__}() has no keyword {name!r}{did_you_mean(name, [*named, *known.__annotations__])}")
