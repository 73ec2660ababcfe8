"""The index of a gallery: one page with links to the reports."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from foreshock.reports.parts import html


@dataclass(frozen=True)
class Exhibit:
    """One report of the gallery.

    Parameters
    ----------
    title, question, answer : str
        Title of the report, the question it answers, and the first sentences of its headline.
    path : str
        Path of the report relative to the folder of the index.
    command : str
        Command that makes the report again in that folder.
    """

    title: str
    question: str
    answer: str
    path: str
    command: str


@dataclass(frozen=True)
class GalleryPage:
    """One page with links to the reports in its subfolders."""

    facts: Sequence[tuple[str, str]]
    exhibits: Sequence[Exhibit]
    title: str = "Four reports from one history"

    def to_html(self) -> str:
        """The page as text."""
        return html.render_still("gallery.html.j2", {"title": self.title, "facts": self.facts, "exhibits": self.exhibits})

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the page; an earlier file stays unchanged if rendering or writing fails."""
        html.save(self.to_html(), path)
