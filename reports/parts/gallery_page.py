"""The index of a gallery: one page that leads to finished reports."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from foreshock.reports.parts import html


@dataclass(frozen=True)
class Exhibit:
    """A finished report.

    Parameters
    ----------
    title, question, answer : str
        Of the report, what it is about, and the sentences it begins with.
    path : str
        From the folder of the index.
    command : str
        How to make it again there.
    """

    title: str
    question: str
    answer: str
    path: str
    command: str


@dataclass(frozen=True)
class GalleryPage:
    """One page with links to reports in folders beside it."""

    facts: Sequence[tuple[str, str]]
    exhibits: Sequence[Exhibit]
    title: str = "Four reports from one history"

    def to_html(self) -> str:
        """The page as text."""
        return html.render_still("gallery.html.j2", {"title": self.title, "facts": self.facts, "exhibits": self.exhibits})

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the page; a file that stood there before stays as it is when rendering or writing fails."""
        html.save(self.to_html(), path)
