"""Profiles of alerts, distributions of scores, and what follows low and high ones: tables and charts."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from foreshock.reports.parts import format as fmt
from foreshock.reports.parts.chart import Chart, blank, drawable, height_of, safe, spec_of
from foreshock.reports.parts.tables import Cell, Column, Table, cell, header
from foreshock.reports.study.order import decisive, detectors_by_verdict

# Distance in standard deviations at which a cell has the full colour.
DEEPEST = 3.0


def profile_table(results: Mapping[str, Any]) -> Table | None:
    """How far each feature on the alerts of each detector lies from its other rows; None in results of before."""
    found = results.get("profile") or {}
    names = [name for name in detectors_by_verdict(results) if found.get(name)]
    by_name = {name: {row["feature"]: row for row in found[name]} for name in names}
    features = list(dict.fromkeys(row["feature"] for name in names for row in found[name]))
    if not features:
        return None
    rows = [[header(feature), *(_shaded(by_name[name].get(feature)) for name in names)] for feature in features]
    counts = {name: max((row["n_alerts"] for row in found[name]), default=0) for name in names}
    columns = [Column("Feature", kind="text"), *(Column(name, f"n {fmt.count(counts[name])}", "heat") for name in names)]
    caption = (
        "Mean of each feature on the alerts against the other rows, in standard deviations of those; medians below, n alerts above"
    )
    return Table("profile", caption, columns, rows)


def _shaded(row: Mapping[str, Any] | None) -> Cell:
    value = (row or {}).get("difference")
    if row is None or value is None:
        return Cell(fmt.DASH)
    below = f"median {fmt.ratio(row['median_difference'])}"
    return Cell(fmt.ratio(value), below, value, "heat minus" if value < 0 else "heat plus", shade=min(abs(value) / DEEPEST, 1.0))


def distribution_charts(results: Mapping[str, Any]) -> list[Chart]:
    """For each detector, a histogram of its scores with the middle threshold."""
    found = results.get("distribution") or {}
    return [_histogram(i, name, found[name]) for i, name in enumerate(n for n in detectors_by_verdict(results) if n in found)]


def _histogram(i: int, name: str, bins: Mapping[str, Any]) -> Chart:
    figure = blank(220)
    edges, counts = bins["edges"], bins["counts"]
    middles = [(low + high) / 2 for low, high in pairwise(edges)]
    figure.add_bar(
        x=drawable(middles),
        y=counts,
        marker={"color": "var(--matched)"},
        hoverinfo="text",
        hovertext=[
            f"{fmt.number(low)} to {fmt.number(high)}<br>n = {fmt.count(n)}"
            for low, high, n in zip(edges, edges[1:], counts, strict=False)
        ],
    )
    low, middle, high = bins["threshold"]
    most = max(counts, default=1) or 1
    if fmt.known(middle):
        # Beyond the last bin the line stands at its edge; the caption has the number.
        x = min(max(middle, edges[0]), edges[-1])
        figure.add_scatter(
            x=drawable([x, x]), y=[0.8, most], mode="lines", hoverinfo="skip", line={"color": "var(--raw)", "width": 2}
        )
    figure.update_layout(margin={"l": 48}, bargap=0.05, yaxis={"type": "log", "showgrid": True, "nticks": 5}, xaxis={"nticks": 6})
    between = f"threshold {fmt.number(middle)}, from {fmt.number(low)} to {fmt.number(high)}"
    return Chart(
        f"distribution-{i}",
        f"{safe(name, 60)}: distribution of the scores",
        f"rows by score, log scale; {between}; n = {fmt.count(bins['n'])}",
        spec_of(figure),
        height_of(figure),
    )


def distribution_table(results: Mapping[str, Any]) -> Table | None:
    """The bins of every histogram; None in results of before."""
    found = results.get("distribution") or {}
    rows = [
        [header(name), cell(low, fmt.number), cell(high, fmt.number), cell(n, fmt.count)]
        for name in detectors_by_verdict(results)
        if name in found
        for low, high, n in zip(found[name]["edges"], found[name]["edges"][1:], found[name]["counts"], strict=False)
    ]
    columns = [Column("Detector", kind="text"), Column("From", "score"), Column("To", "score"), Column("n rows")]
    caption = "Decided rows by score; the outermost bins also hold what lies beyond them"
    return Table("distribution-table", caption, columns, rows) if rows else None


def decile_charts(results: Mapping[str, Any]) -> list[Chart]:
    """For each detector, the mean absolute move after rows of each tenth of its scores, at the horizon of its verdict."""
    found = results.get("deciles") or {}
    charts = []
    for i, name in enumerate(n for n in detectors_by_verdict(results) if n in found):
        horizon = decisive(results["detectors"][name])[0]
        if rows := found[name].get(horizon):
            charts.append(_tenths(i, name, horizon, rows))
    return charts


def _tenths(i: int, name: str, horizon: str, rows: list[Mapping[str, Any]]) -> Chart:
    figure = blank(220)
    groups = [row["group"] for row in rows]
    bounds = [row["abs_move_ci"] or (None, None) for row in rows]
    figure.add_scatter(
        x=[x for group in groups for x in (group, group, None)],
        y=drawable([y if y is None else 1e4 * y for low, high in bounds for y in (low, high, None)]),
        mode="lines",
        hoverinfo="skip",
        line={"color": "var(--matched)", "width": 2},
    )
    figure.add_scatter(
        x=groups,
        y=drawable([None if row["abs_move"] is None else 1e4 * row["abs_move"] for row in rows]),
        mode="markers",
        marker={"color": "var(--matched)", "size": 8},
        hoverinfo="text",
        hovertext=[
            f"tenth {group}<br>mean |move| {fmt.bps(row['abs_move'])} {fmt.interval(row['abs_move_ci'], fmt.bps)} bps"
            f"<br>mean return {fmt.bps(row['return'])} {fmt.interval(row['return_ci'], fmt.bps)} bps<br>n = {fmt.count(row['n'])}"
            for group, row in zip(groups, rows, strict=True)
        ],
    )
    figure.update_layout(
        margin={"l": 48},
        yaxis={"showgrid": True, "nticks": 5},
        xaxis={"tickmode": "array", "tickvals": groups, "range": [0.5, 10.5]},
    )
    n = sum(row["n"] for row in rows)
    return Chart(
        f"deciles-{i}",
        f"{safe(name, 60)}: |move| over {horizon} by tenth of the score",
        f"mean in bps with 95 % interval, tenth 10 has the highest scores; n = {fmt.count(n)} rows",
        spec_of(figure),
        height_of(figure),
    )


def decile_table(results: Mapping[str, Any]) -> Table | None:
    """Moves and returns after each tenth of the scores at every horizon; None in results of before."""
    found = results.get("deciles") or {}
    rows = [
        [
            header(name),
            Cell(horizon, sort=horizon),
            cell(row["group"], fmt.count),
            cell(row["n"], fmt.count),
            cell(row["abs_move"], fmt.bps, fmt.interval(row["abs_move_ci"], fmt.bps)),
            cell(row["return"], fmt.bps, fmt.interval(row["return_ci"], fmt.bps)),
        ]
        for name in detectors_by_verdict(results)
        for horizon, groups in (found.get(name) or {}).items()
        for row in groups
    ]
    columns = [
        Column("Detector", kind="text"),
        Column("Over", kind="text"),
        Column("Tenth", "10 is highest"),
        Column("n rows"),
        Column("|Move|", "mean, bps, 95 % interval"),
        Column("Return", "mean, bps, 95 % interval"),
    ]
    return Table("decile-table", "Moves and returns after rows of each tenth of the scores", columns, rows) if rows else None
