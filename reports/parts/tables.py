"""Tables of a report: values become cells of text, which a template macro draws."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from foreshock.reports.parts import format as fmt


@dataclass(frozen=True)
class Strip:
    """A miniature interval plot: positions between 0 and 1 (None where not known), and its description."""

    one: float
    low: float | None
    high: float | None
    middle: float | None
    raw: float | None
    words: str


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    ``detail`` is its second line and ``sort`` its sort key. ``kind`` is its style: "badge", "tag", "strip", "literal", "invalid",
    "heat plus" or "heat minus"; the last two use ``shade``, between 0 and 1.
    """

    text: str
    detail: str = ""
    sort: float | str | None = None
    kind: str = ""
    strip: Strip | None = None
    shade: float | None = None


@dataclass(frozen=True)
class Column:
    label: str
    unit: str = ""
    kind: str = "number"


@dataclass(frozen=True)
class Table:
    """A table with a caption; the first cell of each row is its header."""

    name: str
    caption: str
    columns: list[Column]
    rows: list[list[Cell]]


def cell(value: Any, write: Callable[[Any], str], detail: str = "", kind: str = "") -> Cell:
    """A cell whose text is ``write(value)`` and whose sort key is the value."""
    return Cell(write(value), detail, value if fmt.known(value) else None, kind)


def header(name: str, tag: str = "") -> Cell:
    """The first cell of a row."""
    return Cell(name, tag, name, "tag" if tag else "")


def words(name: str) -> str:
    """A key of the results as a column label."""
    text = name.replace("_", " ")
    return text if text.startswith("n ") else text[:1].upper() + text[1:]


def measure(name: str, value: Any) -> Cell:
    """A cell of a value that is formatted by its name; see ``format.quantity``."""
    number = value if isinstance(value, int | float) and fmt.known(value) else None
    return Cell(fmt.quantity(name, value), sort=number)


def quality_table(quality: pd.DataFrame) -> Table:
    """All counts of each symbol."""
    plain = quality.astype(object).where(quality.notna(), None)
    rows = [
        [header(str(symbol)), *(measure(str(key), value) for key, value in zip(quality.columns, row, strict=True))]
        for symbol, row in zip(plain.index, plain.itertuples(index=False, name=None), strict=True)
    ]
    columns = [Column("Symbol", kind="text"), *(Column(words(str(key))) for key in quality.columns)]
    return Table("quality", "Data quality per symbol", columns, rows)


def settings_table(name: str, caption: str, settings: Mapping[str, Any]) -> Table:
    """A nested mapping as dotted keys and their values."""
    rows = [[header(key), Cell(fmt.literal(value), kind="literal")] for key, value in flatten(settings)]
    return Table(name, caption, [Column("Key", kind="text"), Column("Value", kind="text")], rows)


def flatten(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Dotted keys and plain values of a nested mapping, in its order."""
    pairs = []
    for key, value in settings.items():
        path = f"{prefix}{key}"
        pairs += flatten(value, path + ".") if isinstance(value, Mapping) and value else [(path, value)]
    return pairs
