"""Types of the keys of a study file, and the base of its sections."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from foreshock.data.interval import parse_duration, parse_instant


def _iso(value: Any) -> Any:
    """Convert a TOML date to text; refuse a text that is not a date."""
    text = value.isoformat() if isinstance(value, date) else value
    if isinstance(text, str):
        parse_instant(text, "it")
    return text


def check_span(text: str) -> str:
    parse_duration(text, "it")
    return text


def _none(value: Any) -> Any:
    """Read the text ``none`` as None."""
    return None if value == "none" else value


IsoDate = Annotated[str, BeforeValidator(_iso)]
Span = Annotated[str, AfterValidator(check_span)]
SpanOrNone = Annotated[Span | None, BeforeValidator(_none)]
Fraction = Annotated[float, Field(gt=0, lt=1)]


class Section(BaseModel):
    """A table of a study file."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
