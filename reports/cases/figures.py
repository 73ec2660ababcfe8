"""The charts of the page of cases: the price around each of the strongest."""

from collections.abc import Mapping
from typing import Any

from foreshock.reports.cases.tables import signed_percent, tail
from foreshock.reports.parts import format as fmt
from foreshock.reports.parts.chart import Chart, blank, drawable, height_of, safe, spec_of

HEIGHT = 200


def case_charts(content: Mapping[str, Any]) -> list[Chart]:
    """The close around each of the strongest cases, with its alerts; the case itself is shaded."""
    cases = {case["case_id"]: case for case in content["cases"]}
    return [_chart(at, cases[picture["case_id"]], picture) for at, picture in enumerate(content["strongest"])]


def _chart(at: int, case: Mapping[str, Any], picture: Mapping[str, Any]) -> Chart:
    figure = blank(HEIGHT)
    known = [value for value in (*picture["close"], *picture["alert_close"]) if value is not None]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    margin = 0.06 * (high - low) or 0.01 * high
    # A trace, because plotly draws shapes under the grid.
    figure.add_scatter(
        x=[case["start"][:19], case["start"][:19], case["stop"][:19], case["stop"][:19]],
        y=[low - margin, high + margin, high + margin, low - margin],
        mode="lines",
        fill="toself",
        fillcolor="var(--raw)",
        opacity=0.18,
        line={"width": 0, "color": "var(--raw)"},
        hoverinfo="skip",
    )
    figure.add_scatter(
        x=picture["time"],
        y=drawable(picture["close"]),
        mode="lines",
        line={"color": "var(--matched)", "width": 1.6},
        hoverinfo="text",
        hovertext=[
            f"{fmt.moment(time)}<br>{fmt.price(close)}" for time, close in zip(picture["time"], picture["close"], strict=True)
        ],
    )
    figure.add_scatter(
        x=picture["alert_time"],
        y=drawable(picture["alert_close"]),
        mode="markers",
        marker={"color": "var(--raw)", "size": 7, "symbol": "triangle-down"},
        hoverinfo="text",
        hovertext=[
            f"{fmt.moment(time)}<br>{safe(names, 60)}"
            for time, names in zip(picture["alert_time"], picture["alert_detectors"], strict=True)
        ],
    )
    figure.update_layout(
        margin={"l": 58, "b": 26},
        xaxis={"type": "date", "nticks": 5},
        yaxis={"nticks": 4, "showgrid": True, "range": [low - margin, high + margin]},
    )
    return Chart(
        f"case-{at}",
        f"{case['symbol']}, {fmt.moment(case['start'])}: {signed_percent(case['price_change'])}, "
        f"tail probability {tail(case['tail_probability'])}",
        f"case {case['case_id']}; close, alerts of {case['detectors']}, the case shaded; n = {fmt.count(picture['n_rows'])} rows",
        spec_of(figure),
        height_of(figure),
    )
