"""Charts and tables of the cumulative moves after alerts, bar by bar."""

from collections.abc import Mapping, Sequence
from typing import Any

from foreshock.reports.parts import format as fmt
from foreshock.reports.parts.chart import Chart, blank, drawable, height_of, spec_of
from foreshock.reports.parts.tables import Cell, Column, Table, cell, header
from foreshock.reports.study.order import detectors_by_verdict


def event_charts(results: Mapping[str, Any]) -> list[Chart]:
    """Cumulative activity of each detector from the alert on, beyond that of equally volatile rows, with a simultaneous band."""
    studies = results.get("event_study") or {}
    names = [name for name in detectors_by_verdict(results) if name in studies and any(map(fmt.known, studies[name]["activity"]))]
    shown = [
        x for name in names for key in ("activity", "activity_low", "activity_high") for x in studies[name][key] if fmt.known(x)
    ]
    margin = 0.06 * (max([*shown, 0.0]) - min([*shown, 0.0])) or 0.1
    limits = [min([*shown, 0.0]) - margin, max([*shown, 0.0]) + margin]
    return [_event_chart(i, name, studies[name], limits) for i, name in enumerate(names)]


def _event_chart(i: int, name: str, study: Mapping[str, Any], limits: Sequence[float]) -> Chart:
    figure = blank(260)
    offsets = study["offsets"]
    figure.add_scatter(x=offsets, y=drawable(study["activity_low"]), mode="lines", line={"width": 0}, hoverinfo="skip")
    figure.add_scatter(
        x=offsets,
        y=drawable(study["activity_high"]),
        mode="lines",
        line={"width": 0},
        hoverinfo="skip",
        fill="tonexty",
        fillcolor="var(--band)",
    )
    figure.add_scatter(
        x=[offsets[0], offsets[-1]],
        y=[0, 0],
        mode="lines",
        hoverinfo="skip",
        line={"color": "var(--ink-2)", "width": 1, "dash": "dot"},
    )
    figure.add_scatter(
        x=offsets,
        y=drawable(study["activity"]),
        mode="lines+markers",
        hoverinfo="text",
        line={"color": "var(--matched)", "width": 2},
        marker={"color": "var(--matched)", "size": 4},
        hovertext=[
            f"{fmt.counted(offset, 'bar')} after the alert<br>{fmt.ratio(value)} {fmt.interval([low, high])}<br>n = {fmt.count(n)}"
            for offset, value, low, high, n in zip(
                offsets, study["activity"], study["activity_low"], study["activity_high"], study["n"], strict=True
            )
        ],
    )
    figure.update_layout(
        margin={"l": 44},
        yaxis={"range": limits, "nticks": 5, "showgrid": True},
        xaxis={"nticks": 9},
    )
    last = study["activity"][-1]
    return Chart(
        f"after-{i}",
        f"{name}: {fmt.ratio(last)} bars' worth of extra moves after {fmt.counted(offsets[-1], 'bar')}{_half_life(study)}",
        f"by bars after the alert, cumulative activity beyond that of equally volatile rows, in moves expected in one bar; "
        f"95 % band for all offsets at once; "
        f"p {fmt.p_value(study['p_activity'])}; n = {fmt.count(study['n_events'])} events",
        spec_of(figure),
        height_of(figure),
    )


def _half_life(study: Mapping[str, Any]) -> str:
    if not fmt.known(study["half_life"]):
        return ""
    return f", half-life {fmt.number(study['half_life'])} {fmt.interval(study['half_life_ci'], fmt.number)}"


def event_table(results: Mapping[str, Any]) -> Table | None:
    """Cumulative moves at the last offset, in size and in direction, and their half-life; None without event studies."""
    studies = results.get("event_study") or {}
    rows = []
    for name in detectors_by_verdict(results):
        if name not in studies:
            continue
        study = studies[name]
        half_life = fmt.interval(study["half_life_ci"], fmt.number)
        rows.append(
            [
                header(name),
                cell(study["activity"][-1], fmt.ratio, fmt.interval([study["activity_low"][-1], study["activity_high"][-1]])),
                cell(study["p_activity"], fmt.p_value),
                cell(
                    study["signed"][-1],
                    lambda value: fmt.percent(value, 2),
                    fmt.interval([study["signed_low"][-1], study["signed_high"][-1]], lambda value: fmt.percent(value, 2)),
                ),
                cell(study["p_signed"], fmt.p_value),
                cell(study["half_life"], fmt.number, half_life if fmt.known(study["half_life"]) else ""),
                cell(study["n_events"], fmt.count),
                Cell(study["reason"] or fmt.DASH, sort=study["reason"]),
            ]
        )
    if not rows:
        return None
    horizon = max((studies[name]["offsets"][-1] for name in studies), default=0)
    columns = [
        Column("Detector", kind="text"),
        Column("Extra activity", "95 % band"),
        Column("p", "of any"),
        Column("Extra return", "95 % band"),
        Column("p", "of any"),
        Column("Half-life", "bars, 95 % interval"),
        Column("n events"),
        Column("Note", kind="text"),
    ]
    return Table("after-table", f"Cumulative moves {fmt.counted(horizon, 'bar')} after alerts", columns, rows)


def offsets_table(results: Mapping[str, Any]) -> Table | None:
    """The curves of every detector, bar by bar; None without event studies."""
    studies = results.get("event_study") or {}
    names = [name for name in detectors_by_verdict(results) if name in studies]
    if not names:
        return None
    rows = []
    for i, offset in enumerate(studies[names[0]]["offsets"]):
        curves = [[studies[name][key][i] for key in ("activity_low", "activity", "activity_high")] for name in names]
        cells = [cell(middle, fmt.ratio, fmt.interval([low, high])) for low, middle, high in curves]
        rows.append([cell(offset, fmt.count), *cells])
    columns = [Column("After the alert", "bars"), *(Column(name, "95 % band") for name in names)]
    caption = "Cumulative activity beyond that of equally volatile rows, in moves expected in one bar"
    return Table("offsets-table", caption, columns, rows)
