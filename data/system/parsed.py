"""JSON and TOML of others: what cannot be read is a ``ValueError`` with a reason, however deep or long it is."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any, NoReturn

# A text of settings or results has some MB; one of a GB is no such text.
LARGEST = 500_000_000
DEEP = "it is nested too deeply"


def parse_json(content: str | bytes) -> Any:
    """The value in a JSON text.

    Raises
    ------
    ValueError
        If it is not JSON or not UTF-8, is nested too deeply, or has NaN, infinity or a number of thousands of digits.

    Examples
    --------
    >>> parse_json('{"a": [1, 0.5]}')
    {'a': [1, 0.5]}
    >>> parse_json("[" * 100_000)
    Traceback (most recent call last):
    ...
    ValueError: it is nested too deeply
    """
    try:
        return json.loads(content, parse_constant=_no_number)
    except RecursionError:
        raise ValueError(DEEP) from None


def parse_toml(content: str) -> dict[str, Any]:
    """The tables in a TOML text; ``ValueError`` as in ``parse_json``.

    >>> parse_toml("a = " + "[" * 100_000)
    Traceback (most recent call last):
    ...
    ValueError: it is nested too deeply
    """
    try:
        return tomllib.loads(content)
    except RecursionError:
        raise ValueError(DEEP) from None


def read_limited(path: Path, most: int = LARGEST) -> bytes:
    """The bytes of a file of settings or results; ``ValueError`` if it is far too large for one."""
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"it has more than {most / 1e6:,.0f} MB")
    return content


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"it has {name}, which is no number of JSON")
