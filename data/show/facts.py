"""Short representations of objects: one line, and a small table in a notebook."""

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
# Spans shorter than this are shown with the time of day.
WHOLE_DAYS = np.timedelta64(2, "D")


class Shown:
    """Mixin with a ``repr`` of one line below 200 characters, and the same line with a small table in a notebook.

    A class yields its facts in ``_facts``, and may return a table of a few rows in ``_preview``. Without its own ``_facts``, a
    dataclass shows its fields, each in short form. A dataclass must be made with ``repr=False``.

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
        """The most important facts, each in a few words."""
        fields = dataclasses.fields(self) if dataclasses.is_dataclass(self) else ()
        for field in fields:
            value = getattr(self, field.name)
            yield f"{field.name}={value!r}" if isinstance(value, Shown) else f"{field.name}={shown(value)}"

    def _preview(self) -> pd.DataFrame | None:
        """A table for a notebook, or None."""
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
    """A number with its noun, in the plural unless the number is 1.

    >>> counted(1, "symbol"), counted(8_760, "row")
    ('1 symbol', '8,760 rows')
    """
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def symbols_fact(symbols: Sequence[str]) -> str:
    """The only symbol, or the number of symbols.

    >>> symbols_fact(("BTC/USDT",)), symbols_fact(("BTC/USDT", "ETH/USDT"))
    ('BTC/USDT', '2 symbols')
    """
    return few(symbols) if len(symbols) == 1 else counted(len(symbols), "symbol")


def grid_facts(time: np.ndarray, interval: np.timedelta64, noun: str = "row") -> Iterator[str]:
    """Number and length of the rows, and the first and last time.

    >>> list(grid_facts(np.arange("2024-01-01", "2024-02-01", dtype="datetime64[D]"), np.timedelta64(1, "D")))
    ['31 rows of 1d', '2024-01-01 to 2024-01-31']
    """
    yield f"{counted(len(time), noun)} of {format_duration(interval)}"
    yield from span_facts(time)


def span_facts(time: np.ndarray) -> Iterator[str]:
    """First and last time, by day, or to the second if they are less than two days apart; empty without rows."""
    if len(time):
        unit = "D" if time[-1] - time[0] >= WHOLE_DAYS else "s"
        first, last = np.datetime_as_string(np.asarray(time)[[0, -1]], unit=unit, casting="unsafe")
        yield f"{first} to {last}"
