"""The page of generated scenarios: their realism, and the possible loss of a portfolio."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from foreshock.reports.parts import format as fmt
from foreshock.reports.parts.page import Page, first_of, history_facts
from foreshock.reports.parts.tables import settings_table
from foreshock.reports.scenarios import figures, tables

# Sources that serve as controls for the realism card of the model.
CONTROLS = ("history", "gaussian", "phase_shuffled")


@dataclass(frozen=True)
class ScenarioReport(Page):
    """One self-contained HTML page about generated scenarios.

    Parameters
    ----------
    content : dict
        Content of scenarios.json: JSON types only, fractions, losses positive, None where not known.
    command : str
        Command that makes the page again.

    Attributes
    ----------
    title : str
        Heading of the page: horizon and model of the content.
    """

    template: ClassVar[str] = "scenario.html.j2"

    content: Mapping[str, Any]
    command: str
    title: str = field(init=False)

    def __post_init__(self) -> None:
        title = f"Scenarios of {self.content['scenarios']['horizon']}: {self.content['model']['name']}"
        object.__setattr__(self, "title", title)

    def headline(self) -> list[str]:
        """The findings in sentences: the first is the answer, the others qualify it."""
        return headline(self.content)

    def facts(self) -> list[tuple[str, str]]:
        """Facts about the data for the head of the page, as pairs of label and value."""
        return facts(self.content)

    def pieces(self) -> dict[str, Any]:
        """Further values of the template, besides title, headline, facts and command."""
        content = self.content
        model = content["model"]
        return {
            "model": model["name"],
            "level": fmt.percent(content["realism"][model["name"]]["level"], 0),
            "mmd_p": fmt.p_value(content["realism"][model["name"]]["mmd_p"]),
            "embedding": content["embedding"],
            "later": bool(content["realism_later"]),
            "stressed": stress_sentence(content),
            "levels": figures.level_key(content),
            "charts": {
                "fans": figures.fan_charts(content),
                "losses": figures.loss_charts(content),
                "clustering": figures.clustering_chart(content),
            },
            "tables": {
                "card": tables.card_table(content),
                "cards": tables.cards_table(content),
                "risk": tables.risk_table(content),
                "fan": tables.fan_table(content),
                "losses": tables.losses_table(content),
                "clustering": tables.clustering_table(content),
                "weights": tables.weights_table(content),
                "data": settings_table("data-set", "Data", content["data"]),
                "model": settings_table("model-settings", "Model", model),
                "config": settings_table("config", "Configuration", content["config"]),
                "seeds": settings_table("seeds", "Seeds", content["seeds"]),
                "versions": settings_table("versions", "Versions", content["versions"]),
            },
        }


def headline(content: Mapping[str, Any]) -> list[str]:
    """The findings in sentences: measures of realism that pass, realism in later years, and the stressed loss."""
    return [*_realism_sentences(content), *_later_sentence(content), *_loss_sentence(content)]


def _realism_sentences(content: Mapping[str, Any]) -> list[str]:
    name, cards = content["model"]["name"], content["realism"]
    card = cards[name]
    held = f"against {fmt.counted(card['n_real'], 'path')} that it was not trained on"
    first = f"{name} passes {_passed(card)} measures of realism {held}{_failed(card)}."
    beside = ", ".join(f"{tables.SOURCES[control]} {_passed(cards[control])}" for control in CONTROLS if control in cards)
    return [first, f"Controls on the same card: {beside}."]


def _later_sentence(content: Mapping[str, Any]) -> list[str]:
    later, name = content["realism_later"], content["model"]["name"]
    if not later:
        return []
    history = f"; the earlier history itself passes {_passed(later['history'])}" if "history" in later else ""
    return [f"Fitted on the first 70\u202f% of the history, it passes {_passed(later[name])} against the last 30\u202f%{history}."]


def _loss_sentence(content: Mapping[str, Any]) -> list[str]:
    risk = content["risk"]
    level = max(row["level"] for row in risk)
    rows = {row["source"]: row for row in risk if row["level"] == level}
    stressed = list(rows)[-1]

    def written(source: str, key: str) -> str:
        row = rows[source]
        return f"{fmt.percent(row[key])} {fmt.interval([row[f'{key}_low'], row[f'{key}_high']], fmt.percent)}"

    before = f"generated {written('generated', 'var')}, historical {written('historical', 'var')}"
    over = content["scenarios"]["horizon"]
    return [
        f"The portfolio's {fmt.percent(level, 0)} VaR over {over} is {written(stressed, 'var')} {stressed}, {before}; "
        f"beyond it the {stressed} mean loss is {fmt.percent(rows[stressed]['cvar'])}."
    ]


def stress_sentence(content: Mapping[str, Any]) -> str:
    """How the stressed scenarios were made."""
    drawn = content["scenarios"]
    stress = fmt.number(drawn["stress"])
    return (
        f"Stress {stress}: paths are drawn with weights volatility to the power of {fmt.ratio(drawn['tilt'])}, and all returns are "
        f"then multiplied by {fmt.ratio(drawn['scale'])}, so that the volatility is {stress} times the model's."
    )


def facts(content: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Facts about data, portfolio and scenarios."""
    data = content["data"]
    weights = set(content["weights"].values())
    return [
        ("Symbols", first_of(data["symbols"])),
        ("Portfolio", "equal weights" if len(weights) == 1 else f"weights of {fmt.count(len(content['weights']))} symbols"),
        ("Scenarios", f"{fmt.count(content['scenarios']['n'])} of {content['scenarios']['horizon']}"),
        *history_facts(data),
    ]


def _passed(card: Mapping[str, Any]) -> str:
    return f"{fmt.count(card['n_passed'])} of {fmt.count(len(card['measures']))}"


def _failed(card: Mapping[str, Any]) -> str:
    return f" and fails {', '.join(tables.measure_words(name) for name in card['failed'])}" if card["failed"] else ""
