"""The charts of the page of latent factors: what their portfolios earned, and how much of them stays."""

from collections.abc import Mapping
from typing import Any

from foreshock.reports.parts import format as fmt
from foreshock.reports.parts.chart import DASHES, N_COLOURS, Chart, Line, blank, drawable, height_of, spec_of
from foreshock.reports.parts.tables import words


def _look(at: int) -> tuple[str, str]:
    return f"var(--series-{at % N_COLOURS + 1})", DASHES[at // N_COLOURS % len(DASHES)]


def return_charts(content: Mapping[str, Any]) -> list[Chart]:
    """Cumulated returns of the portfolios that mimic the factors, one chart for each model."""
    return [_return_chart(at, model, content) for at, model in enumerate(content["models"])]


def _return_chart(at: int, model: str, content: Mapping[str, Any]) -> Chart:
    found = content["models"][model]
    figure, legend = blank(280), []
    for k, (name, row) in enumerate(found["factors"].items()):
        colour, dash = _look(k)
        values = found["cumulated"][name]
        figure.add_scatter(
            x=found["cumulated"]["time"],
            y=drawable(values),
            mode="lines",
            line={"color": colour, "width": 1.6, "dash": dash},
            hoverinfo="text",
            hovertext=[
                f"{words(name)}, {fmt.moment(time)}: {fmt.percent(value)}"
                for time, value in zip(found["cumulated"]["time"], values, strict=True)
            ],
        )
        legend.append(Line(words(name), (k,), colour, dash, True, fmt.percent(row["total_return"])))
    figure.update_layout(
        margin={"l": 54},
        xaxis={"type": "date", "nticks": 7},
        yaxis={"tickformat": ",.0%", "nticks": 6, "showgrid": True, "zeroline": True},
    )
    n = max(row["n"] for row in found["factors"].values())
    return Chart(
        f"returns-{at}",
        f"{model}: cumulated returns of the factors",
        f"portfolios that mimic the factors, absolute weights sum to 1, known at the close before, without costs; "
        f"n = {fmt.count(n)} bars of {content['data']['interval']}",
        spec_of(figure),
        height_of(figure),
        tuple(legend),
    )


def stability_chart(content: Mapping[str, Any]) -> Chart | None:
    """Share of the space of loadings that stays from one block to the next; None with fewer than two blocks."""
    figure, legend = blank(260), []
    n = 0
    for k, (model, found) in enumerate(content["models"].items()):
        blocks = found["stability"]["blocks"]
        colour, dash = _look(k)
        n = len(blocks)
        figure.add_scatter(
            x=[entry["start"][:19] for entry in blocks],
            y=drawable(entry["space"] for entry in blocks),
            mode="lines+markers",
            line={"color": colour, "width": 1.6, "dash": dash},
            marker={"color": colour, "size": 5},
            hoverinfo="text",
            hovertext=[f"{model}, {fmt.moment(entry['start'])}: {fmt.percent(entry['space'])}" for entry in blocks],
        )
        legend.append(Line(model, (k,), colour, dash, True, f"mean {fmt.percent(found['stability']['space'], 0)}"))
    if not n:
        return None
    chance = next(iter(content["models"].values()))["stability"]["blocks"]
    figure.add_scatter(
        x=[entry["start"][:19] for entry in chance],
        y=drawable(entry["chance"] for entry in chance),
        mode="lines",
        line={"color": "var(--ink-2)", "width": 1.3, "dash": "dot"},
        hoverinfo="skip",
    )
    figure.update_layout(
        margin={"l": 50},
        xaxis={"type": "date", "nticks": 7},
        yaxis={"tickformat": ",.0%", "range": [0, 1.05], "nticks": 6, "showgrid": True},
    )
    return Chart(
        "stability",
        "How much of the factors stays from block to block",
        f"share of the space of a block's mean loadings that lies in that of the block before; dotted: random spaces; "
        f"n = {fmt.counted(n, 'pair')} of blocks",
        spec_of(figure),
        height_of(figure),
        tuple(legend),
    )
