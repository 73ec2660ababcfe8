"""The page of cases: what detectors saw, how rare it was, and what followed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from foreshock.reports.cases import figures, tables
from foreshock.reports.cases.tables import signed_percent, tail
from foreshock.reports.parts import format as fmt
from foreshock.reports.parts.page import Page, first_of, history_facts
from foreshock.reports.parts.tables import settings_table

# What labels call a case, in words.
WORDS = {"true": "true", "false": "a false alarm", "unsure": "unsure", "not known": "nothing"}


@dataclass(frozen=True)
class CasesReport(Page):
    """One self-contained HTML page about the cases of a scan.

    Parameters
    ----------
    content : dict
        JSON types only: fractions, None where not known; the cases by tail probability.
    command : str
        Command that makes the page again.

    Attributes
    ----------
    title : str
        Heading of the page: the title of the study.
    """

    template: ClassVar[str] = "cases.html.j2"

    content: Mapping[str, Any]
    command: str
    title: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "title", f"Cases: {self.content['title']}")

    def headline(self) -> list[str]:
        """The findings in sentences: the first is the answer, the others qualify it."""
        return headline(self.content)

    def facts(self) -> list[tuple[str, str]]:
        """Facts about the data for the head of the page, as pairs of label and value."""
        data = self.content["data"]
        return [
            ("Symbols", first_of(data["symbols"])),
            ("Scanned from", fmt.moment(data["scanned_from"]) + " UTC"),
            ("Study", self.content["study"]["digest"]),
            *history_facts(data),
        ]

    def pieces(self) -> dict[str, Any]:
        """Further values of the template, besides title, headline, facts and command."""
        content = self.content
        return {
            "cooldown": content["cooldown"],
            "n_cases": len(content["cases"]),
            "charts": figures.case_charts(content),
            "tables": {
                "cases": tables.cases_table(content),
                "detectors": tables.detectors_table(content),
                "events": tables.events_table(content),
                "study": settings_table("study-settings", "Study", content["study"]),
                "data": settings_table("data-set", "Data", content["data"]),
                "versions": settings_table("versions", "Versions", content["versions"]),
            },
        }


def headline(content: Mapping[str, Any]) -> list[str]:
    """How many cases there are, the rarest of them, and what the figures are not."""
    cases, detectors = content["cases"], content["detectors"]
    scored = fmt.count(max((entry["n_scored"] for entry in detectors.values()), default=0))
    names = fmt.counted(len(detectors), "detector")
    if not cases:
        return [f"No alert: {names} scored up to {scored} rows, and no score passed its threshold.", *known_sentences(content)]
    rarest = cases[0]
    symbols = len({case["symbol"] for case in cases})
    found = f"{fmt.counted(len(cases), 'case')} in {fmt.counted(content['n_alerts'], 'alert')} of {names}"
    changed = signed_percent(rarest["price_change"])
    traded = (
        f", and {fmt.ratio(rarest['value_ratio'])} times the usual value was traded" if fmt.known(rarest["value_ratio"]) else ""
    )
    return [
        f"{found}, on {fmt.counted(symbols, 'symbol')}.",
        *known_sentences(content),
        f"The rarest is {rarest['symbol']} at {fmt.moment(rarest['start'])} UTC: {rarest['rarest_detector']} had a score with a "
        f"tail probability of {tail(rarest['tail_probability'])}, the price changed by {changed}{traded}.",
        "A case says that something was unusual, not why, and not that it was wrong; no verdict on the detectors was reached here.",
    ]


def known_sentences(content: Mapping[str, Any]) -> list[str]:
    """What the labels say of the cases; nothing without labels."""
    known = content["known"]
    if known is None:
        return []
    events, said = known["events"], known["cases"]
    held = sum(bool(event["case_id"]) for event in events)
    found = f"{fmt.count(held)} of {fmt.counted(len(events), 'labelled event')} {'is' if held == 1 else 'are'} in a case"
    words = ", ".join(f"{fmt.count(said[name])} {text}" for name, text in WORDS.items() if said[name])
    return [f"{found}; of the cases, labels call {words}." if words else f"{found}."]
