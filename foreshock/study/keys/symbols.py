"""The key ``symbols`` of a study file: names, or a table that chooses a universe known at the time."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated, Any

from pydantic import PlainValidator

from foreshock.data.checks import did_you_mean
from foreshock.data.errors import ConfigError
from foreshock.data.show.shown import shown
from foreshock.engine.out_of_sample.universe import Universe

KEYS = tuple(field.name for field in fields(Universe))


def _symbols(value: Any) -> list[str] | Universe | None:
    if value is None or isinstance(value, Universe):
        return value
    if isinstance(value, dict):
        unknown = [key for key in value if key not in KEYS]
        if unknown:
            hint = did_you_mean(unknown[0], KEYS) or "; remove it"
            raise ConfigError(f"unknown key {unknown[0]!r}; expected one of {', '.join(KEYS)}{hint}")
        if "top" not in value:
            raise ConfigError("the number of members is missing; add it, such as { top = 50 }")
        return Universe(**value)
    if not isinstance(value, list):
        raise ConfigError(f"must be a list, got {shown(value)}; put it in brackets, or write a table such as {{ top = 50 }}")
    if not value:
        raise ConfigError("list should have at least 1 item, not 0, got []; name a symbol, or remove the key")
    wrong = [name for name in value if not isinstance(name, str)]
    if wrong:
        raise ConfigError(f"must be a list of texts, got {shown(wrong[0])} in it; put it in quotes")
    return value


# Names, or who they are at each time.
Symbols = Annotated[list[str] | Universe | None, PlainValidator(_symbols)]


def names_of(symbols: list[str] | Universe | None) -> list[str] | None:
    """The symbols that a section names; None for all that the data have, from which a universe chooses."""
    return None if isinstance(symbols, Universe) else symbols
