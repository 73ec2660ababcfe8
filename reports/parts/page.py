"""The base class of report pages: a template and its values, a headline, facts about the data, and saving."""

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from foreshock.reports.parts import format as fmt
from foreshock.reports.parts import html


class Page(ABC):
    """One self-contained HTML page; a frozen dataclass with ``title`` and ``command`` fills it.

    The class names its template; ``pieces`` are the charts, tables and texts that only this template uses. A page with the
    piece ``trades`` also gets the script that pages through them, a page with ``prices`` the script that draws them.
    """

    template: ClassVar[str]
    title: str
    command: str

    @abstractmethod
    def headline(self) -> list[str]:
        """The findings in sentences: the first is the answer, the others qualify it."""

    @abstractmethod
    def facts(self) -> list[tuple[str, str]]:
        """Facts about the data for the head of the page, as pairs of label and value."""

    @abstractmethod
    def pieces(self) -> dict[str, Any]:
        """Further values of the template, besides title, headline, facts and command."""

    def to_html(self) -> str:
        """The page as text."""
        head = {"title": self.title, "headline": self.headline(), "facts": self.facts(), "command": self.command}
        pieces = self.pieces()
        scripts = (html.RECORDS if pieces.get("trades") else ()) + (html.PRICE if pieces.get("prices") else ())
        return html.render(self.template, head | pieces, scripts)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the page; an earlier file stays unchanged if rendering or writing fails."""
        html.save(self.to_html(), path)


def first_of(names: Sequence[str], shown: int = 3) -> str:
    """The first names of a list, and the number of the others.

    >>> first_of(["BTC/USDT", "ETH/USDT"]), first_of(["a", "b", "c", "d", "e"])
    ('BTC/USDT, ETH/USDT', 'a, b, c and 2 more')
    """
    return ", ".join(names[:shown]) + (f" and {fmt.count(len(names) - shown)} more" if len(names) > shown else "")


def history_facts(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Facts about a history: bars, range and hash.

    >>> history_facts({"n_bars": 720, "interval": "1h", "start": "2024-01-01T00:00", "end": "2024-01-31T00:00", "hash": "9f2c"})[:2]
    [('Bars', '720 of 1h'), ('From', '2024-01-01 UTC')]
    """
    return [
        ("Bars", f"{fmt.count(data['n_bars'])} of {data['interval']}"),
        ("From", fmt.moment(data["start"]) + " UTC"),
        ("To", fmt.moment(data["end"]) + " UTC"),
        ("Data hash", fmt.digest(data["hash"])),
    ]
