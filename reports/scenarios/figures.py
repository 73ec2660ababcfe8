"""The charts of a scenario report: fans of portfolio paths, losses with VaR and CVaR, and the clustering of volatility."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from foreshock.reports.parts import format as fmt
from foreshock.reports.parts.chart import Chart, blank, drawable, height_of, safe, spec_of
from foreshock.reports.scenarios.tables import SOURCES

# Pairs of indices in the list of levels whose quantiles bound a band; the widest first.
BANDS = ((0, 6), (1, 5), (2, 4))
MIDDLE, OUTER = 3, (0, 1, 5, 6)
VAR_COLOURS = ("var(--series-3)", "var(--series-4)", "var(--series-5)")


def fan_charts(content: Mapping[str, Any]) -> list[Chart]:
    """Bands of the portfolio's return for generated and for stressed paths, with quantiles of the real paths as lines."""
    found = content["fan"]
    real = found["quantiles"]["historical"]
    names = [name for name in found["quantiles"] if name != "historical"]
    return [_fan_chart(i, name, content, found["quantiles"][name], real) for i, name in enumerate(names)]


def _fan_chart(
    i: int, name: str, content: Mapping[str, Any], bands: Sequence[Sequence[float]], real: Sequence[Sequence[float]]
) -> Chart:
    figure = blank(320)
    steps, levels = list(range(len(bands[0]))), content["fan"]["levels"]
    within = f"{fmt.percent(levels[1], 0)} to {fmt.percent(levels[5], 0)}"
    for opacity, (low, high) in zip((0.16, 0.2, 0.26), BANDS, strict=True):
        # A closed outline, because the fill between two traces ignores opacity.
        figure.add_scatter(
            x=[*steps, *reversed(steps)],
            y=drawable([*bands[low], *reversed(bands[high])]),
            mode="lines",
            fill="toself",
            fillcolor="var(--matched)",
            opacity=opacity,
            line={"width": 0, "color": "var(--matched)"},
            hoverinfo="skip",
        )
    figure.add_scatter(
        x=steps,
        y=drawable(bands[MIDDLE]),
        mode="lines",
        line={"color": "var(--matched)", "width": 2},
        hoverinfo="text",
        hovertext=[
            f"after {fmt.counted(step, 'bar')}, {within}<br>"
            f"{safe(name)} {fmt.percent(bands[1][step])} to {fmt.percent(bands[5][step])}<br>"
            f"historical {fmt.percent(real[1][step])} to {fmt.percent(real[5][step])}"
            for step in steps
        ],
    )
    for place in (*OUTER, MIDDLE):
        figure.add_scatter(
            x=steps,
            y=drawable(real[place]),
            mode="lines",
            hoverinfo="skip",
            line={"color": "var(--raw)", "width": 1.6, "dash": "solid" if place in (1, MIDDLE, 5) else "dot"},
        )
    figure.update_layout(
        margin={"l": 54}, xaxis={"nticks": 8}, yaxis={"tickformat": ",.3~%", "nticks": 8, "showgrid": True, "zeroline": True}
    )
    generated, history = (fmt.percent(quantiles[1][-1]) for quantiles in (bands, real))
    n = content["fan"]["n"]
    return Chart(
        f"fan-{i}",
        f"{name}: one path in twenty ends below {generated}, historical below {history}",
        f"return of the portfolio since the start of the path, by bars of {content['data']['interval']}; "
        f"blue: {name}, 1 to 99, 5 to 95 and 25 to 75 %, line the median; orange: historical, 5, 50 and 95 %, dotted 1 and 99 %; "
        f"n = {fmt.count(n[name])} and {fmt.count(n['historical'])} paths",
        spec_of(figure),
        height_of(figure),
    )


def level_key(content: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Levels and the colours of their lines."""
    levels = dict.fromkeys(row["level"] for row in content["risk"])
    return [(fmt.percent(level, 0), colour) for level, colour in zip(levels, VAR_COLOURS, strict=False)]


def loss_charts(content: Mapping[str, Any]) -> list[Chart]:
    """Histogram of the portfolio's loss for each source, with VaR and CVaR; all have the same axes."""
    found = content["losses"]
    highest = max(max(source["counts"]) / source["n"] for source in found["sources"].values())
    # The CVaR of a heavy tail can lie beyond the bins.
    marks = [row[key] for row in content["risk"] for key in ("var", "cvar")]
    limits = [found["edges"][0], max([found["edges"][-1], *marks]) * 1.02]
    return [_loss_chart(i, name, content, highest, limits) for i, name in enumerate(found["sources"])]


def _loss_chart(i: int, name: str, content: Mapping[str, Any], highest: float, limits: Sequence[float]) -> Chart:
    found = content["losses"]
    edges, source = found["edges"], found["sources"][name]
    risk = [row for row in content["risk"] if row["source"] == name]
    figure = blank(240)
    figure.add_bar(
        x=drawable((low + high) / 2 for low, high in itertools.pairwise(edges)),
        y=drawable(count / source["n"] or None for count in source["counts"]),
        width=0.94 * (edges[1] - edges[0]),
        marker={"color": "var(--matched)"},
        hoverinfo="text",
        hovertext=[
            f"loss {fmt.percent(low)} to {fmt.percent(high)}<br>{fmt.counted(count, 'path')}, {fmt.percent(count / source['n'])}"
            for low, high, count in zip(edges[:-1], edges[1:], source["counts"], strict=True)
        ],
    )
    for row, colour in zip(risk, VAR_COLOURS, strict=False):
        for key, label, dash, reach in (("var", "VaR", "solid", 1.0), ("cvar", "CVaR", "dash", 0.8)):
            figure.add_scatter(
                x=[row[key], row[key]],
                y=[0, highest * reach],
                mode="lines",
                line={"color": colour, "width": 2, "dash": dash},
                hoverinfo="text",
                hovertext=[f"{label} {fmt.percent(row['level'], 0)}: {fmt.percent(row[key])}"] * 2,
            )
    figure.update_layout(
        margin={"l": 50},
        bargap=0,
        xaxis={"tickformat": ",.3~%", "nticks": 8, "range": limits},
        yaxis={"tickformat": ",.3~%", "nticks": 5, "showgrid": True, "range": [0, highest * 1.06]},
    )
    named = "; ".join(f"VaR {fmt.percent(row['level'], 0)} {fmt.percent(row['var'])}" for row in risk)
    outside = source["below"] + source["above"]
    return Chart(
        f"loss-{i}",
        f"{name}: {named}",
        f"share of paths by the portfolio's loss over {content['scenarios']['horizon']}, a gain is below zero; "
        f"lines: VaR, dashed CVaR; n = {fmt.count(source['n'])} paths, {fmt.count(outside)} beyond the bins",
        spec_of(figure),
        height_of(figure),
    )


def clustering_chart(content: Mapping[str, Any]) -> Chart:
    """Autocorrelation of absolute returns of held-out, generated, training and Gaussian paths."""
    found, n = content["clustering"]["absolute"], content["clustering"]["n"]
    lags = list(range(1, len(found["held out"]) + 1))
    figure = blank(300)
    looks = {
        "held out": ("var(--raw)", "solid", 2.2),
        "generated": ("var(--matched)", "solid", 2.2),
        "history": ("var(--raw)", "dot", 1.6),
        "gaussian": ("var(--ink-2)", "dash", 1.6),
    }
    for name, (colour, dash, width) in looks.items():
        figure.add_scatter(
            x=lags,
            y=drawable(found[name]),
            mode="lines+markers",
            line={"color": colour, "dash": dash, "width": width},
            marker={"color": colour, "size": 5},
            hoverinfo="text",
            hovertext=[
                f"{safe(SOURCES.get(name, name))}, {lag} apart: {fmt.ratio(x)}" for lag, x in zip(lags, found[name], strict=True)
            ],
        )
    figure.update_layout(margin={"l": 44}, xaxis={"dtick": 1}, yaxis={"nticks": 6, "showgrid": True, "zeroline": True})
    return Chart(
        "clustering",
        f"One bar apart, absolute returns correlate {fmt.ratio(found['generated'][0])} in generated and "
        f"{fmt.ratio(found['held out'][0])} in held-out paths",
        f"autocorrelation of absolute returns within paths, mean of assets, by bars of {content['data']['interval']} apart; "
        f"n = {fmt.count(n['generated'])} and {fmt.count(n['held out'])} paths",
        spec_of(figure),
        height_of(figure),
    )
