"""The page of latent factors: what they explain, what they are, what they earned, and whether they stay."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from foreshock.reports.factors import figures, tables
from foreshock.reports.parts import format as fmt
from foreshock.reports.parts.page import Page, first_of, history_facts
from foreshock.reports.parts.tables import settings_table


@dataclass(frozen=True)
class FactorReport(Page):
    """One self-contained HTML page about the latent factors of a market.

    Parameters
    ----------
    content : dict
        Content of factors.json: JSON types only, fractions, None where not known.
    command : str
        Command that makes the page again.

    Attributes
    ----------
    title : str
        Heading of the page.
    """

    template: ClassVar[str] = "factors.html.j2"

    content: Mapping[str, Any]
    command: str
    title: str = field(init=False)

    def __post_init__(self) -> None:
        names = len(self.content["data"]["symbols"])
        object.__setattr__(self, "title", f"Latent factors of {fmt.counted(names, 'symbol')}")

    def headline(self) -> list[str]:
        """The findings in sentences: the first is the answer, the others qualify it."""
        return headline(self.content)

    def facts(self) -> list[tuple[str, str]]:
        """Facts about the data for the head of the page, as pairs of label and value."""
        data = self.content["data"]
        return [
            ("Symbols", first_of(data["symbols"])),
            ("Models", first_of(list(self.content["models"]))),
            ("Tested from", fmt.moment(data["test_start"]) + " UTC"),
            *history_facts(data),
        ]

    def pieces(self) -> dict[str, Any]:
        """Further values of the template, besides title, headline, facts and command."""
        content = self.content
        return {
            "n_factors": content["n_factors"],
            "charts": {"returns": figures.return_charts(content), "stability": figures.stability_chart(content)},
            "tables": {
                "models": tables.models_table(content),
                "factors": [tables.factors_table(at, model, content) for at, model in enumerate(content["models"])],
                "correlation": [tables.correlation_table(at, model, content) for at, model in enumerate(content["models"])],
                "stability": tables.stability_table(content),
                "config": settings_table("config", "Configuration", content["config"]),
                "data": settings_table("data-set", "Data", content["data"]),
                "seeds": settings_table("seeds", "Seeds", content["seeds"]),
                "versions": settings_table("versions", "Versions", content["versions"]),
            },
        }


def headline(content: Mapping[str, Any]) -> list[str]:
    """What the factors explain, what the first one is, what they forecast, and how much of them stays."""
    models = content["models"]
    # The network, if there is one: PCA is what it is held against.
    name = next(reversed(models))
    found = models[name]
    first = next(iter(found["factors"].values()))
    beside = ", ".join(f"those of {other} {fmt.percent(models[other]['fit']['total_r2'])}" for other in models if other != name)
    n = fmt.counted(content["n_factors"], "factor")
    stays = found["stability"]
    said = [
        f"{n} of {name}: {fmt.percent(found['fit']['total_r2'])} of squared returns are explained out of sample"
        + (f", {beside}." if beside else "."),
        f"The first alone explains {fmt.percent(first['share'])}, and its R2 on the market is {fmt.ratio(first['market'])}; "
        f"the others explain {fmt.percent(found['fit']['left_out_r2'])} of a symbol that is left out.",
        f"A forecast by the mean factor of training explains {fmt.percent(found['fit']['predictive_r2'], 2)}.",
    ]
    if fmt.known(stays["space"]):
        said.append(
            f"From block to block {fmt.percent(stays['space'], 0)} of the factors' space stays; random factors would keep "
            f"{fmt.percent(stays['chance'], 0)}."
        )
    return said
