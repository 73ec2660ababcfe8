"""What all report pages share: the head, the scripts that a page needs and no others, and short lists of names."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest

from foreshock.reports.cases.page import CasesReport
from foreshock.reports.comparison.page import ComparisonReport
from foreshock.reports.exploration.page import EdaReport
from foreshock.reports.factors.page import FactorReport
from foreshock.reports.parts import html
from foreshock.reports.parts.page import Page, first_of, history_facts
from foreshock.reports.scenarios.page import ScenarioReport
from foreshock.reports.study.page import StudyReport


@dataclass(frozen=True)
class Small(Page):
    """A page of the shortest kind."""

    template: ClassVar[str] = "small.html.j2"

    title: str
    command: str
    own: dict[str, Any] = field(default_factory=dict)

    def headline(self) -> list[str]:
        return ["Nothing was found."]

    def facts(self) -> list[tuple[str, str]]:
        return [("Symbols", "A")]

    def pieces(self) -> dict[str, Any]:
        return self.own


@pytest.fixture
def rendered(monkeypatch) -> list[tuple]:
    """What was asked of the renderer."""
    calls: list[tuple] = []
    monkeypatch.setattr(html, "render", lambda *arguments: calls.append(arguments) or "<p>page</p>")
    return calls


@pytest.mark.parametrize("trades", [None, "records"])
@pytest.mark.parametrize("prices", [None, "chart"])
def test_a_page_carries_the_scripts_of_its_own_pieces_and_no_others(rendered, trades, prices):
    Small("Title", "again", {"trades": trades, "prices": prices}).to_html()
    ((template, values, scripts),) = rendered
    assert template == "small.html.j2"
    assert set(scripts) == {*(html.RECORDS if trades else ()), *(html.PRICE if prices else ())}
    assert values == {
        "title": "Title",
        "command": "again",
        "headline": ["Nothing was found."],
        "facts": [("Symbols", "A")],
        "trades": trades,
        "prices": prices,
    }


def test_the_file_holds_the_page(rendered, tmp_path):
    Small("Title", "again").save(tmp_path / "new" / "page.html")
    assert (tmp_path / "new" / "page.html").read_text() == "<p>page</p>"


def test_every_report_is_a_page_with_a_template_of_its_own():
    reports = (StudyReport, ComparisonReport, EdaReport, ScenarioReport, CasesReport, FactorReport)
    assert all(issubclass(report, Page) and not report.__abstractmethods__ for report in reports)
    assert len({report.template for report in reports}) == len(reports)


@pytest.mark.parametrize(
    ("n", "seen"), [(0, ""), (1, "0"), (3, "0, 1, 2"), (4, "0, 1, 2 and 1 more"), (1203, "0, 1, 2 and 1,200 more")]
)
def test_a_long_list_is_cut_and_its_rest_counted(n, seen):
    assert first_of([str(i) for i in range(n)]) == seen


def test_the_facts_of_a_history_are_its_length_its_span_and_its_hash():
    data = {"n_bars": 20_000, "interval": "1m", "start": "2024-01-01T00:00", "end": "2024-01-14T21:20", "hash": "9f2c41d07be85a33"}
    assert dict(history_facts(data)) == {
        "Bars": "20,000 of 1m",
        "From": "2024-01-01 UTC",
        "To": "2024-01-14 21:20 UTC",
        "Data hash": "9f2c41d07be8",
    }
