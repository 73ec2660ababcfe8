"""Charts of an exploration, from the content of eda.json: a time line of findings, histograms and boxes."""

import itertools
from collections.abc import Mapping, Sequence
from math import log10
from typing import Any

from foreshock.reports.parts import format as fmt
from foreshock.reports.parts.chart import ROW, Chart, Line, blank, drawable, height_of, name_rows, safe, spec_of

# At most this many symbols get their own charts; tables have all symbols.
N_CHARTS = 12
N_ROWS = 40
# Marker and colour on the time line, by what was done about a finding.
MARKS = {
    "left unknown": ("line-ns", "var(--raw)"),
    "removed": ("x-thin", "var(--ink)"),
    "set apart": ("triangle-up", "var(--series-4)"),
    "sorted": ("circle-open", "var(--series-3)"),
    "last kept": ("circle-open", "var(--series-3)"),
    "kept": ("diamond-open", "var(--matched)"),
}


def charted(results: Mapping[str, Any]) -> list[str]:
    """The symbols that get their own charts."""
    return list(results["data"]["symbols"])[:N_CHARTS]


def timeline_chart(results: Mapping[str, Any]) -> Chart:
    """The span of each symbol, and a mark at every run of findings."""
    data, quality = results["data"], results["quality"]
    names = list(quality["table"])[:N_ROWS]
    figure = blank(len(names) * ROW + 56)
    spans = [(place, data["listed"][name]) for place, name in enumerate(names) if data["listed"].get(name, {}).get("n_bars")]
    figure.add_scatter(
        x=[x for _, span in spans for x in (_at(span["start"]), _at(span["end"]), None)],
        y=[y for place, _ in spans for y in (place, place, None)],
        mode="lines",
        line={"color": "var(--band)", "width": 7},
        hoverinfo="skip",
    )
    legend = []
    for done, (symbol, colour) in MARKS.items():
        runs = [run for run in quality["runs"] if run["done"] == done and run["symbol"] in names]
        if not runs:
            continue
        places = [names.index(run["symbol"]) for run in runs]
        figure.add_scatter(
            x=[x for run in runs for x in (_at(run["from"]), _at(run["to"]), None)],
            y=[y for place in places for y in (place, place, None)],
            mode="lines",
            line={"color": colour, "width": 7},
            hoverinfo="skip",
        )
        figure.add_scatter(
            x=[_at(run["from"]) for run in runs],
            y=places,
            mode="markers",
            hoverinfo="text",
            marker={"symbol": symbol, "size": 12, "color": colour, "line": {"width": 2, "color": colour}},
            hovertext=[
                f"{safe(run['symbol'], 60)}: {safe(run['found'], 90)}<br>{fmt.counted(run['rows'], 'bar')} "
                f"from {fmt.moment(run['from'])}"
                for run in runs
            ],
        )
        rows = sum(run["rows"] for run in runs)
        traces = len(legend) * 2 + 1
        legend.append(
            Line(done, (traces, traces + 1), colour, "solid", True, f"{fmt.counted(len(runs), 'run')}, {fmt.counted(rows, 'bar')}")
        )
    figure.update_layout(xaxis={"type": "date", "nticks": 8, "showgrid": True})
    name_rows(figure, names)
    missing, n_runs = sum(row["missing"] for row in quality["table"].values()), quality["n_runs"]
    gaps = sum(row["gaps"] for row in quality["table"].values())
    title = (
        "No bar is missing between first and last"
        if not missing
        else (f"{fmt.counted(missing, 'missing bar')} in {fmt.counted(gaps, 'gap')}")
    )
    listed = f", the first {fmt.count(len(quality['runs']))} drawn" if n_runs > len(quality["runs"]) else ""
    shown = f"; {fmt.count(len(names))} of {fmt.count(len(quality['table']))} symbols" if len(quality["table"]) > len(names) else ""
    return Chart(
        "timeline",
        title,
        f"time in UTC by symbol; grey from the first to the last bar; a mark where a run of findings begins; "
        f"n = {fmt.count(n_runs)} runs{listed}{shown}",
        spec_of(figure),
        height_of(figure),
        tuple(legend),
    )


def histogram_charts(results: Mapping[str, Any]) -> list[Chart]:
    """Histogram of the log returns of each symbol with log-scaled counts, and a normal distribution for comparison."""
    return [
        _histogram_chart(i, symbol, results["returns"][symbol], results["data"]["interval"])
        for i, symbol in enumerate(charted(results))
        if results["returns"][symbol]["histogram"]
    ]


def _histogram_chart(i: int, symbol: str, moments: Mapping[str, Any], interval: str) -> Chart:
    drawn = moments["histogram"]
    edges, counts, normal = drawn["edges"], drawn["counts"], drawn["normal"]
    centres = [(low + high) / 2 for low, high in itertools.pairwise(edges)]
    figure = blank(250)
    figure.add_bar(
        x=drawable(centres),
        y=[count or None for count in counts],
        width=0.94 * (edges[1] - edges[0]),
        hoverinfo="text",
        marker={"color": "var(--matched)"},
        hovertext=[
            f"{fmt.percent(low, 2)} to {fmt.percent(high, 2)}<br>n = {fmt.count(count)}, normal {fmt.number(expected)}"
            for low, high, count, expected in zip(edges[:-1], edges[1:], counts, normal, strict=True)
        ],
    )
    figure.add_scatter(
        x=drawable(centres),
        y=drawable(x if x >= 0.3 else None for x in normal),
        mode="lines",
        hoverinfo="skip",
        line={"color": "var(--raw)", "width": 2},
    )
    figure.update_layout(
        margin={"l": 44},
        bargap=0,
        xaxis={"tickformat": ".3~%", "nticks": 7},
        yaxis={
            "type": "log",
            "range": [-0.35, log10(max(*counts, *normal, 1.0)) + 0.12],
            "dtick": 1,
            "showgrid": True,
            "tickformat": ",d",
        },
    )
    outside = drawn["below"] + drawn["above"]
    return Chart(
        f"hist-{i}",
        f"{symbol}: {fmt.percent(moments['far'], 2)} of returns lie beyond 3 standard deviations",
        f"log return per {interval} bar by number of bars, log scale; line: a normal distribution with the same mean "
        f"and deviation, which has 0.27 %; "
        f"n = {fmt.count(moments['n'])}, {fmt.count(outside)} beyond 6 deviations not drawn",
        spec_of(figure),
        height_of(figure),
    )


def box_charts(results: Mapping[str, Any]) -> dict[str, Chart]:
    """Log returns by symbol, by hour of the day and by period; charts by hour and period need at least two boxes."""
    unit, interval = results["boxes"]["unit"], results["data"]["interval"]
    boxes = {key: [box for box in results["boxes"][key] if box["n"]] for key in ("symbol", "hour", "period")}
    if not boxes["symbol"]:
        return {}
    about = f"log return per {interval} bar; box from 25 to 75 %, line the median, whiskers 1 to 99 %"
    found = {"symbol": _box_chart("box-symbol", "Log returns by symbol", about, boxes["symbol"][:N_ROWS], "symbol", level=True)}
    if len(boxes["hour"]) > 1:
        widest, least = _widest(boxes["hour"])
        title = f"Widest in the hour from {widest} UTC, narrowest from {least}"
        found["hour"] = _box_chart("box-hour", title, f"{about}; by hour of the bar's open", boxes["hour"], "hour", level=False)
    if len(boxes["period"]) > 1:
        widest, least = _widest(boxes["period"])
        title = f"Widest in {widest}, narrowest in {least}"
        found["period"] = _box_chart("box-period", title, f"{about}; by {unit}", boxes["period"], unit, level=False)
    return found


def _widest(boxes: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    width = {box["name"]: box["q75"] - box["q25"] for box in boxes}
    return max(width, key=lambda name: width[name]), min(width, key=lambda name: width[name])


def _box_chart(name: str, title: str, note: str, boxes: Sequence[Mapping[str, Any]], what: str, level: bool) -> Chart:
    """Vertical boxes, or horizontal ones if `level`: bars between the quartiles, lines for whiskers and median."""
    places = list(range(len(boxes)))
    figure = blank(len(boxes) * ROW + 56 if level else 300)
    along, across = ("x", "y") if level else ("y", "x")
    figure.add_scatter(
        **{
            along: drawable(x for box in boxes for x in (box["low"], box["q25"], None, box["q75"], box["high"], None)),
            across: [at for place in places for at in (place, place, None, place, place, None)],
        },
        mode="lines",
        hoverinfo="skip",
        line={"color": "var(--ink-2)", "width": 1.4},
    )
    figure.add_bar(
        **{along: drawable(box["q75"] - box["q25"] for box in boxes), across: places},
        base=drawable(box["q25"] for box in boxes),
        orientation="h" if level else "v",
        width=0.62,
        marker={"color": "var(--matched)"},
        hoverinfo="text",
        hovertext=[
            f"{safe(box['name'], 60)}<br>median {fmt.percent(box['median'], 3)}, 25 to 75 % {fmt.percent(box['q25'], 3)} to "
            f"{fmt.percent(box['q75'], 3)}<br>1 to 99 % {fmt.percent(box['low'], 2)} to {fmt.percent(box['high'], 2)}"
            f"<br>n = {fmt.count(box['n'])}"
            for box in boxes
        ],
    )
    figure.add_scatter(
        **{
            along: drawable(x for box in boxes for x in (box["median"], box["median"], None)),
            across: [at for place in places for at in (place - 0.31, place + 0.31, None)],
        },
        mode="lines",
        hoverinfo="skip",
        line={"color": "var(--paper)", "width": 2.4},
    )
    values = {"tickformat": ".3~%", "nticks": 7, "showgrid": True, "zeroline": True, "zerolinecolor": "var(--axis)"}
    ends = [end for box in boxes for end in (box["low"], box["high"])]
    margin = 0.04 * (max(ends) - min(ends)) or 1e-6
    values["range"] = [min(ends) - margin, max(ends) + margin]
    if level:
        figure.update_layout(xaxis=values)
        name_rows(figure, [box["name"] for box in boxes])
    else:
        figure.update_layout(
            yaxis=values,
            margin={"l": 50, "b": 44},
            xaxis={
                "tickmode": "array",
                "tickvals": places,
                "ticktext": [safe(box["name"]) for box in boxes],
                "range": [-0.7, len(boxes) - 0.3],
            },
        )
    n = sum(box["n"] for box in boxes)
    note = f"{note}; n = {fmt.count(n)} returns in {fmt.counted(len(boxes), what)}"
    return Chart(name, title, note, spec_of(figure), height_of(figure))


def _at(time: str) -> str:
    return time[:16].replace("T", " ")
