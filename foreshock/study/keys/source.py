"""The source section of a study file."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from foreshock.data.errors import ConfigError
from foreshock.study.keys.symbols import Symbols, names_of
from foreshock.study.keys.types import IsoDate, Section, Span

# Keys that belong to some kinds of source alone.
OF_KIND = {
    "exchange": ("bars", "windows"),
    "merge": ("bars", "windows"),
    "silence": ("windows",),
    "price": ("book",),
    "first_row": ("book",),
    "prices": ("book", "features"),
}


class SourceConfig(Section):
    """What a study runs on: bars, windows of trades, order books, or ready features; ``path`` is replaced by ``--data``."""

    kind: Literal["bars", "windows", "book", "features"] = "bars"
    # A file, or a folder with a file for each symbol, relative to the study file.
    path: str | None = None
    # "path"; "store" for bars, or trades of kind windows, by exchange and symbol; "trades" for bars that are made of the trades in
    # path. Trades of several exchanges lie in path in a folder or file for each, by the name of the exchange.
    origin: Annotated[Literal["path", "store", "trades"], Field(alias="from")] = "path"
    interval: Span | None = None
    exchange: str | list[str] | None = None
    # Names, or a table such as { top = 50, by = "quote_volume", window = "30D" }.
    symbols: Symbols = None
    start: IsoDate | None = None
    end: IsoDate | None = None
    # Several exchanges as one market: bars with median prices and summed volumes, trades in the order of time.
    merge: bool = False
    # Without a trade for longer than this, a symbol was not watched.
    silence: Span | None = None
    price: Literal["midpoint", "microprice"] = "midpoint"
    # Time of the first row of an order book without times.
    first_row: IsoDate | None = None
    # Bars to judge and trade, for order books and features.
    prices: str | None = None

    @property
    def names(self) -> list[str] | None:
        """Symbols by name; None for all that the data have."""
        return names_of(self.symbols)

    @model_validator(mode="after")
    def _keys_belong_to_the_kind(self) -> Self:
        for key, kinds in OF_KIND.items():
            if key in self.model_fields_set and self.kind not in kinds:
                raise ConfigError(f"{key} is for sources of kind {' and '.join(kinds)}, not {self.kind}; leave it out")
        if self.origin != "path" and self.kind not in ("bars", "windows"):
            raise ConfigError(f"from = {self.origin!r} is for sources of kind bars and windows, not {self.kind}; leave it out")
        if self.origin == "store" and self.path is not None:
            raise ConfigError("from = 'store' and path exclude each other; leave one of them out")
        return self
