"""The data section of a study file."""

from __future__ import annotations

from foreshock.study.keys.symbols import Symbols, names_of
from foreshock.study.keys.types import IsoDate, Section, Span


class DataConfig(Section):
    """Selection of the bars; ``path`` is relative to the study file and replaced by ``--data``."""

    path: str | None = None
    interval: Span | None = None
    # Names, or a table such as { top = 50, by = "quote_volume", window = "30D" }.
    symbols: Symbols = None
    start: IsoDate | None = None
    end: IsoDate | None = None

    @property
    def names(self) -> list[str] | None:
        """Symbols by name; None for all that the data have."""
        return names_of(self.symbols)
