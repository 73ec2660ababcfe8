"""The charts of an exploration, from the content of eda.json."""

from collections.abc import Mapping, Sequence
from typing import Any

from reports import format as fmt
from reports.figures import AXIS, DASHES, N_COLOURS, N_SHOWN, ROW, Chart, Line, blank, drawable, height_of, name_rows, safe, spec_of
from reports.tables import words

# Symbols that get charts of their own; tables have all.
N_CHARTS = 12
N_ROWS = 40
REGIME_COLOURS = ("var(--series-1)", "var(--series-2)", "var(--series-3)", "var(--series-4)")
# What was done about a finding: its marker and colour on the time line.
MARKS = {
    "left unknown": ("line-ns", "var(--raw)"), "removed": ("x-thin", "var(--ink)"), "set apart": ("triangle-up", "var(--series-4)"),
    "sorted": ("circle-open", "var(--series-3)"), "last kept": ("circle-open", "var(--series-3)"),
    "kept": ("diamond-open", "var(--matched)"),
}


def charted(results: Mapping[str, Any]) -> list[str]:
    """The symbols that get charts of their own."""
    return list(results["data"]["symbols"])[:N_CHARTS]


def timeline_chart(results: Mapping[str, Any]) -> Chart:
    """For each symbol its span, and a mark at every run of findings."""
    data, quality = results["data"], results["quality"]
    names = list(quality["table"])[:N_ROWS]
    figure = blank(len(names) * ROW + 56)
    spans = [(place, data["listed"][name]) for place, name in enumerate(names) if name in data["listed"]]
    figure.add_scatter(
        x=[x for _, span in spans for x in (_at(span["start"]), _at(span["end"]), None)],
        y=[y for place, _ in spans for y in (place, place, None)],
        mode="lines", line={"color": "var(--band)", "width": 7}, hoverinfo="skip",
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
            mode="lines", line={"color": colour, "width": 7}, hoverinfo="skip",
        )
        figure.add_scatter(
            x=[_at(run["from"]) for run in runs], y=places, mode="markers", hoverinfo="text",
            marker={"symbol": symbol, "size": 12, "color": colour, "line": {"width": 2, "color": colour}},
            hovertext=[
                f"{safe(run['symbol'], 60)}: {safe(run['found'], 90)}<br>{fmt.count(run['rows'])} bars from {fmt.moment(run['from'])}"
                for run in runs
            ],
        )
        rows = sum(run["rows"] for run in runs)
        traces = len(legend) * 2 + 1
        legend.append(Line(done, (traces, traces + 1), colour, "solid", True, f"{fmt.count(len(runs))} runs, {fmt.count(rows)} bars"))
    figure.update_layout(xaxis={"type": "date", "nticks": 8, "showgrid": True})
    name_rows(figure, names)
    missing, n_runs = sum(row["missing"] for row in quality["table"].values()), quality["n_runs"]
    gaps = sum(row["gaps"] for row in quality["table"].values())
    title = "No bar is missing between first and last" if not missing else (
        f"{fmt.count(missing)} missing bars in {fmt.count(gaps)} gaps")
    listed = f", the first {fmt.count(len(quality['runs']))} drawn" if n_runs > len(quality["runs"]) else ""
    shown = f"; {fmt.count(len(names))} of {fmt.count(len(quality['table']))} symbols" if len(quality["table"]) > len(names) else ""
    return Chart(
        "timeline", title,
        f"time in UTC by symbol; grey from the first to the last bar; a mark where a run of findings begins; "
        f"n = {fmt.count(n_runs)} runs{listed}{shown}",
        spec_of(figure), height_of(figure), tuple(legend),
    )


def histogram_charts(results: Mapping[str, Any]) -> list[Chart]:
    """Log returns of each symbol, on a log scale of counts, with a normal beside."""
    return [
        _histogram_chart(i, symbol, results["returns"][symbol], results["data"]["interval"])
        for i, symbol in enumerate(charted(results)) if results["returns"][symbol]["histogram"]
    ]


def _histogram_chart(i: int, symbol: str, moments: Mapping[str, Any], interval: str) -> Chart:
    drawn = moments["histogram"]
    edges, counts, normal = drawn["edges"], drawn["counts"], drawn["normal"]
    centres = [(low + high) / 2 for low, high in zip(edges[:-1], edges[1:], strict=True)]
    figure = blank(250)
    figure.add_bar(
        x=drawable(centres), y=[count or None for count in counts], width=0.94 * (edges[1] - edges[0]), hoverinfo="text",
        marker={"color": "var(--matched)"},
        hovertext=[
            f"{fmt.percent(low, 2)} to {fmt.percent(high, 2)}<br>n = {fmt.count(count)}, of a normal {fmt.number(expected)}"
            for low, high, count, expected in zip(edges[:-1], edges[1:], counts, normal, strict=True)
        ],
    )
    figure.add_scatter(
        x=drawable(centres), y=drawable(x if x >= 0.3 else None for x in normal), mode="lines", hoverinfo="skip",
        line={"color": "var(--raw)", "width": 2},
    )
    figure.update_layout(
        margin={"l": 44}, bargap=0, xaxis={"tickformat": ".3~%", "nticks": 7},
        yaxis={"type": "log", "range": [-0.35, _log10(max(*counts, *normal)) + 0.12], "dtick": 1, "showgrid": True, "tickformat": ",d"},
    )
    outside = drawn["below"] + drawn["above"]
    return Chart(
        f"hist-{i}", f"{symbol}: {fmt.percent(moments['far'], 2)} of returns lie beyond 3 standard deviations",
        f"log return per {interval} bar by number of bars, log scale; line: a normal of the same mean and deviation, which has 0.27 %; "
        f"n = {fmt.count(moments['n'])}, {fmt.count(outside)} beyond 6 deviations not drawn",
        spec_of(figure), height_of(figure),
    )


def box_charts(results: Mapping[str, Any]) -> dict[str, Chart]:
    """Log returns by symbol, by hour of the day, and by period; without those that have fewer than two boxes."""
    boxes, interval = results["boxes"], results["data"]["interval"]
    unit = boxes["unit"]
    about = f"log return per {interval} bar; box from 25 to 75 %, line the median, whiskers 1 to 99 %"
    found = {"symbol": _box_chart("box-symbol", "Log returns by symbol", about, boxes["symbol"][:N_ROWS], "symbols", level=True)}
    if len(boxes["hour"]) > 1:
        widest, least = _widest(boxes["hour"])
        title = f"Widest in the hour from {widest} UTC, narrowest from {least}"
        found["hour"] = _box_chart("box-hour", title, f"{about}; by hour of the bar's open", boxes["hour"], "hours", level=False)
    if len(boxes["period"]) > 1:
        widest, least = _widest(boxes["period"])
        title = f"Widest in {widest}, narrowest in {least}"
        found["period"] = _box_chart("box-period", title, f"{about}; by {unit}", boxes["period"], f"{unit}s", level=False)
    return found


def _widest(boxes: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    width = {box["name"]: box["q75"] - box["q25"] for box in boxes if box["n"]}
    return max(width, key=lambda name: width[name]), min(width, key=lambda name: width[name])


def _box_chart(name: str, title: str, note: str, boxes: Sequence[Mapping[str, Any]], many: str, level: bool) -> Chart:
    """Boxes side by side, or lying on top of each other if `level`: bars from quartile to quartile, lines for the rest."""
    boxes = [box for box in boxes if box["n"]]
    places = list(range(len(boxes)))
    figure = blank(len(boxes) * ROW + 56 if level else 300)
    along, across = ("x", "y") if level else ("y", "x")
    figure.add_scatter(
        **{
            along: drawable(x for box in boxes for x in (box["low"], box["q25"], None, box["q75"], box["high"], None)),
            across: [at for place in places for at in (place, place, None, place, place, None)],
        },
        mode="lines", hoverinfo="skip", line={"color": "var(--ink-2)", "width": 1.4},
    )
    figure.add_bar(
        **{along: drawable(box["q75"] - box["q25"] for box in boxes), across: places}, base=drawable(box["q25"] for box in boxes),
        orientation="h" if level else "v", width=0.62, marker={"color": "var(--matched)"}, hoverinfo="text",
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
        mode="lines", hoverinfo="skip", line={"color": "var(--paper)", "width": 2.4},
    )
    values = {"tickformat": ".3~%", "nticks": 7, "showgrid": True, "zeroline": True, "zerolinecolor": "var(--axis)"}
    ends = [end for box in boxes for end in (box["low"], box["high"])]
    margin = 0.04 * (max(ends) - min(ends)) or 1e-6
    values["range"] = [min(ends) - margin, max(ends) + margin]
    if level:
        figure.update_layout(xaxis=values)
        name_rows(figure, [box["name"] for box in boxes])
    else:
        figure.update_layout(yaxis=values, margin={"l": 50, "b": 44}, xaxis={
            "tickmode": "array", "tickvals": places, "ticktext": [safe(box["name"]) for box in boxes], "range": [-0.7, len(boxes) - 0.3],
        })
    n = sum(box["n"] for box in boxes)
    note = f"{note}; n = {fmt.count(n)} returns in {fmt.count(len(boxes))} {many}"
    return Chart(name, title, note, spec_of(figure), height_of(figure))


def autocorrelation_charts(results: Mapping[str, Any]) -> list[Chart]:
    """Autocorrelation of returns and of absolute returns of each symbol."""
    found = results["autocorrelation"]
    names = [symbol for symbol in charted(results) if symbol in found]
    shown = [x for name in names for key in ("returns", "absolute") for x in found[name][key] if fmt.known(x)]
    limits = [min([*shown, -0.05]) - 0.02, max([*shown, 0.1]) + 0.03]
    return [_autocorrelation_chart(i, name, found[name], results["data"]["interval"], limits) for i, name in enumerate(names)]


def _autocorrelation_chart(i: int, symbol: str, found: Mapping[str, Any], interval: str, limits: Sequence[float]) -> Chart:
    figure = blank(240)
    lags = list(range(1, len(found["returns"]) + 1))
    for bound in (found["bound"], -found["bound"]):
        figure.add_scatter(
            x=[lags[0], lags[-1]], y=[bound, bound], mode="lines", hoverinfo="skip",
            line={"color": "var(--ink-2)", "width": 1, "dash": "dot"},
        )
    for key, colour, label in (("returns", "var(--raw)", "returns"), ("absolute", "var(--matched)", "|returns|")):
        figure.add_scatter(
            x=lags, y=drawable(found[key]), mode="lines+markers" if len(lags) < 30 else "lines", hoverinfo="text",
            line={"color": colour, "width": 1.8},
            hovertext=[f"{label}, {fmt.count(lag)} bars apart: {fmt.ratio(value)}" for lag, value in zip(lags, found[key], strict=True)],
        )
    figure.update_layout(margin={"l": 44}, xaxis={"nticks": 8}, yaxis={"range": limits, "nticks": 6, "showgrid": True})
    at = min(24, len(lags))
    return Chart(
        f"acf-{i}",
        f"{symbol}: {fmt.count(at)} bars apart, |returns| correlate {fmt.ratio(found['absolute'][at - 1])}, "
        f"returns {fmt.ratio(found['returns'][at - 1])}",
        f"autocorrelation by bars of {interval} apart; dotted: 95 % of white noise lies within; n = {fmt.count(found['n'])} returns",
        spec_of(figure), height_of(figure),
    )


def volatility_chart(results: Mapping[str, Any]) -> Chart | None:
    """Rolling volatility of every symbol, a year; None where there is none."""
    found = results["volatility"]
    names = [name for name in charted(results) if any(fmt.known(x) for x in found["annual"][name])]
    if not names:
        return None
    figure = blank(360)
    legend = []
    for place, name in enumerate(names):
        colour, dash = f"var(--series-{place % N_COLOURS + 1})", DASHES[place // N_COLOURS % len(DASHES)]
        values = found["annual"][name]
        figure.add_scatter(
            y=drawable(values), mode="lines", visible=place < N_SHOWN, name=safe(name, 60), hovertemplate="%{y:.0%}",
            line={"color": colour, "width": 1.5, "dash": dash},
        )
        known = [x for x in values if fmt.known(x)]
        legend.append(Line(name, (place,), colour, dash, place < N_SHOWN, "mean " + fmt.percent(sum(known) / len(known), 0)))
    figure.update_layout(
        meta={"x": found["time"]}, hovermode="x unified", dragmode="zoom", margin={"l": 50},
        yaxis={"type": "log", "dtick": "D2", "tickformat": ",.0%", "showgrid": True},
        xaxis={"type": "date", "fixedrange": False, "nticks": 8},
    )
    return Chart(
        "volatility", f"Volatility of each symbol, rolling over {fmt.count(found['window'])} bars",
        f"standard deviation of log returns, a year of 365 days, log scale; {_stretches(found)}, mean of each; "
        f"n = {fmt.count(results['data']['n_bars'])} bars; press a name to show or hide it",
        spec_of(figure), height_of(figure), tuple(legend),
    )


def price_charts(results: Mapping[str, Any]) -> list[Chart]:
    """Close of each symbol on a log scale, coloured by regime."""
    return [_price_chart(i, symbol, results) for i, symbol in enumerate(charted(results))]


def _price_chart(i: int, symbol: str, results: Mapping[str, Any]) -> Chart:
    found, regimes = results["prices"], results["regimes"]
    close = found["close"][symbol]
    figure = blank(300)
    figure.add_scatter(
        y=drawable(close), mode="lines", line={"color": "var(--axis)", "width": 1.2}, connectgaps=False,
        hovertemplate="%{y:,.5~r}<br>%{x}<extra></extra>",
    )
    shares = ""
    if regimes:
        labels = found["regime"][symbol]
        for k, colour in enumerate(REGIME_COLOURS[: len(regimes["names"])]):
            figure.add_scatter(
                y=drawable(_of_regime(close, labels, k)), mode="lines", line={"color": colour, "width": 1.9}, hoverinfo="skip",
            )
        own = regimes["by_symbol"][symbol]
        shares = ": " + ", ".join(f"{name} {fmt.percent(share, 0)}" for name, share in zip(regimes["names"], own, strict=True))
    known = [x for x in close if fmt.known(x)]
    decades = known and max(known) / min(known) > 8
    figure.update_layout(
        meta={"x": found["time"]}, dragmode="zoom", margin={"l": 58}, xaxis={"type": "date", "fixedrange": False, "nticks": 6},
        yaxis={"type": "log", "showgrid": True, "tickformat": ",.4~r", **({"dtick": "D2"} if decades else {"nticks": 6})},
    )
    listed = results["data"]["listed"][symbol]
    return Chart(
        f"price-{i}", symbol + shares,
        f"close in quote currency, log scale; {_stretches(found)}, last close of each"
        + (", coloured by its most frequent regime" if regimes else "") + f"; n = {fmt.count(listed['n_bars'])} bars",
        spec_of(figure), height_of(figure),
    )


def _of_regime(close: Sequence[float | None], labels: Sequence[int | None], k: int) -> list[float | None]:
    """Closes at which a line of this regime ends or, after another regime, begins."""
    last = len(close) - 1
    return [
        value if label == k or (t < last and labels[t + 1] == k and (t == 0 or labels[t - 1] != k)) else None
        for t, (value, label) in enumerate(zip(close, labels, strict=True))
    ]


def projection_chart(results: Mapping[str, Any]) -> Chart | None:
    """Feature rows on two principal components, coloured by regime; None where there is none."""
    found, regimes = results["projection"], results["regimes"]
    if not found:
        return None
    figure = blank(460)
    legend = []
    for k, name in enumerate(regimes["names"]):
        points = [point for point, label in zip(found["points"], found["regime"], strict=True) if label == k]
        figure.add_scatter(
            x=drawable(point[0] for point in points), y=drawable(point[1] for point in points), mode="markers", hoverinfo="skip",
            marker={"color": REGIME_COLOURS[k], "size": 4.5, "opacity": 0.6},
        )
        share = fmt.percent(regimes["share"][name], 0)
        legend.append(Line(name, (k,), REGIME_COLOURS[k], "solid", True, share))
    limits = [_middle([point[j] for point in found["points"]]) for j in range(2)]
    names = [f"component {j + 1}, {fmt.percent(found['explained'][j], 0)} of the variance" for j in range(2)]
    figure.update_layout(
        margin={"l": 52, "b": 52}, xaxis={"range": limits[0], "title": {"text": names[0]}, "showgrid": True},
        yaxis=AXIS | {"range": limits[1], "title": {"text": names[1]}, "showgrid": True},
    )
    outside = sum(any(not low <= x <= high for x, (low, high) in zip(p, limits, strict=True)) for p in found["points"])
    return Chart(
        "projection", f"Two components hold {fmt.percent(sum(found['explained']), 0)} of the variance of {len(found['features'])} features",
        f"principal components of the feature rows, each feature in robust standard deviations of its symbol, clipped at 10; "
        f"n = {fmt.count(found['n'])} rows, of which {fmt.count(len(found['points']))} are drawn at random, "
        f"{fmt.count(outside)} of them outside the axes; press a name to show or hide it",
        spec_of(figure), height_of(figure), tuple(legend),
    )


def _middle(values: Sequence[float]) -> list[float]:
    """An axis for all but one in a hundred values at each end."""
    ordered = sorted(values)
    low, high = ordered[len(ordered) // 100], ordered[-1 - len(ordered) // 100]
    margin = 0.08 * (high - low) or 1.0
    return [low - margin, high + margin]


def _stretches(found: Mapping[str, Any]) -> str:
    per_point = found["bars_per_point"]
    return "every bar drawn" if per_point == 1 else f"thinned for drawing to stretches of {fmt.count(per_point)} bars"


def _at(time: str) -> str:
    return time[:16].replace("T", " ")


def _log10(value: float) -> float:
    from math import log10

    return log10(max(value, 1.0))


def label(feature: str) -> str:
    """A feature's name as words.

    >>> label("volume_ratio_20")
    'Volume ratio 20'
    """
    return words(feature)
