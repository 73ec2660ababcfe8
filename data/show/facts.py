"""How an object shows itself: in one line, and as a small table in a notebook."""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from foreshock.data.interval import format_duration
from foreshock.data.show.shown import few, one_line, shown

if TYPE_CHECKING:
    import pandas as pd

LONGEST = 199
SHOWN_ROWS = 10
SHOWN_COLUMNS = 12
# A time of day is worth telling where a span is shorter than this.
WHOLE_DAYS = np.timedelta64(2, "D")


class Shown:
    """Gives a class a ``repr`` of one line below 200 characters, and the same with a small table in a notebook.

    A class names its facts in ``_facts``, and a table of at most some rows in ``_preview``. Without facts of its own a dataclass
    shows its fields, as ``dataclass`` would, but each one short. A dataclass must be made with ``repr=False``.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True, repr=False)
    ... class Found(Shown):
    ...     values: np.ndarray
    ...     name: str = "zscore"
    >>> Found(np.zeros((2, 3)))
    Found(values=an array of shape (2, 3), name='zscore')
    """

    __slots__ = ()

    def _facts(self) -> Iterator[str]:
        """What is worth knowing at a glance, each in a few words."""
        fields = dataclasses.fields(self) if dataclasses.is_dataclass(self) else ()
        for field in fields:
            value = getattr(self, field.name)
            yield f"{field.name}={value!r}" if isinstance(value, Shown) else f"{field.name}={shown(value)}"

    def _preview(self) -> pd.DataFrame | None:
        """A table for a notebook, where there is a natural one."""
        return None

    def _in_words(self, most: int) -> str:
        return one_line(", ".join(self._facts()), most)

    def __repr__(self) -> str:
        name = type(self).__name__
        return f"{name}({self._in_words(LONGEST - len(name) - 2)})"

    def _repr_html_(self) -> str:
        words = f"<p><strong>{html.escape(type(self).__name__)}</strong> {html.escape(self._in_words(LONGEST))}</p>"
        table = self._preview()
        if table is None:
            return words
        return words + table.to_html(max_rows=SHOWN_ROWS, max_cols=SHOWN_COLUMNS, border=0, escape=True)


def counted(n: int, noun: str) -> str:
    """A number of things.

    >>> counted(1, "symbol"), counted(8_760, "row")
    ('1 symbol', '8,760 rows')
    """
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def symbols_fact(symbols: Sequence[str]) -> str:
    """The one symbol, or how many there are.

    >>> symbols_fact(("BTC/USDT",)), symbols_fact(("BTC/USDT", "ETH/USDT"))
    ('BTC/USDT', '2 symbols')
    """
    return few(symbols) if len(symbols) == 1 else counted(len(symbols), "symbol")


def grid_facts(time: np.ndarray, interval: np.timedelta64, noun: str = "row") -> Iterator[str]:
    """How many rows of which length there are, and from when to when.

    >>> list(grid_facts(np.arange("2024-01-01", "2024-02-01", dtype="datetime64[D]"), np.timedelta64(1, "D")))
    ['31 rows of 1d', '2024-01-01 to 2024-01-31']
    """
    yield f"{counted(len(time), noun)} of {format_duration(interval)}"
    yield from span_facts(time)


def span_facts(time: np.ndarray) -> Iterator[str]:
    """From when to when, by day, or to the second where that is less than two days; nothing of no rows."""
    if len(time):
        unit = "D" if time[-1] - time[0] >= WHOLE_DAYS else "s"
        first, last = np.datetime_as_string(np.asarray(time)[[0, -1]], unit=unit, casting="unsafe")
        yield f"{first} to {last}"
