"""The charts of a study's detectors: forward moves, evidence, leads and alert rates."""

from collections.abc import Mapping, Sequence
from typing import Any

from foreshock.reports.parts import format as fmt
from foreshock.reports.parts.chart import (
    ROW,
    Chart,
    blank,
    drawable,
    height_of,
    name_rows,
    ratio_range,
    reference_line,
    safe,
    spec_of,
)
from foreshock.reports.study.evidence import RATIOS, deciding_tests, ladder
from foreshock.reports.study.order import decisive, detectors_by_verdict

RUNG = 25


def forward_charts(results: Mapping[str, Any]) -> list[Chart]:
    """For each horizon, raw and volatility-matched ratio of every detector with their intervals."""
    names = detectors_by_verdict(results)
    forward = {name: results["detectors"][name].get("forward") or {} for name in names}
    horizons = list(dict.fromkeys(horizon for rows in forward.values() for horizon in rows))
    every = [moves for rows in forward.values() for moves in rows.values()]
    points = [moves.get(key) for moves in every for key in ("abs_move_ratio", "matched_ratio")]
    bounds = [bound for moves in every for key in ("abs_move_ratio_ci", "ci") for bound in moves.get(key) or ()]
    limits = ratio_range([x for x in points if fmt.known(x)], [x for x in bounds if fmt.known(x)])
    return [_forward_chart(i, horizon, names, forward, limits) for i, horizon in enumerate(horizons)]


def _forward_chart(i: int, horizon: str, names: Sequence[str], forward: Mapping[str, Any], limits: Sequence[float]) -> Chart:
    figure = blank(len(names) * ROW + 56)
    reference_line(figure, 1.0, len(names))
    rows = [forward[name].get(horizon, {}) for name in names]
    marks: list[dict[str, Any]] = []
    looks = (
        ("Raw", "abs_move_ratio", "abs_move_ratio_ci", -0.16, {"symbol": "circle-open", "size": 8, "color": "var(--raw)"}),
        ("Matched", "matched_ratio", "ci", 0.16, {"symbol": "diamond", "size": 9, "color": "var(--matched)"}),
    )
    for label, key, bounds, shift, marker in looks:
        height = [place + shift for place in range(len(names))]
        figure.add_scatter(
            x=[x for moves in rows for x in (*(moves.get(bounds) or (None, None)), None)],
            y=[x for y in height for x in (y, y, None)],
            mode="lines",
            line={"color": marker["color"], "width": 2},
            hoverinfo="skip",
        )
        marks += _cut_marks([moves.get(bounds) for moves in rows], height, limits, marker["color"])
        texts = [
            f"{safe(name, 60)}<br>{label} ratio {fmt.ratio(moves.get(key))} {fmt.interval(moves.get(bounds))}"
            f"<br>n = {fmt.count(moves.get('n_events'))}, effective {fmt.count(moves.get('n_effective'))}"
            for name, moves in zip(names, rows, strict=True)
        ]
        figure.add_scatter(
            x=[moves.get(key) for moves in rows],
            y=height,
            mode="markers",
            hovertext=texts,
            hoverinfo="text",
            marker={**marker, "line": {"width": 2, "color": marker["color"]}},
        )
    figure.update_xaxes(range=limits, nticks=6, showgrid=True)
    figure.update_layout(annotations=marks)
    name_rows(figure, names)
    n = sum(moves.get("n_events") or 0 for moves in rows)
    return Chart(
        f"forward-{i}",
        f"|move| over {horizon} after a signal ÷ after other bars",
        f"ratio, 1.0 = no difference; bars are 95 % intervals; n = {fmt.count(n)} events of {len(names)} detectors",
        spec_of(figure),
        height_of(figure),
    )


def _cut_marks(
    intervals: Sequence[Sequence[float | None] | None], heights: Sequence[float], limits: Sequence[float], color: str
) -> list[dict[str, Any]]:
    """Arrows at the ends of an axis, for the intervals that run beyond it."""
    ends = ((0, "◂", "left", -1), (1, "▸", "right", 1))
    return [
        {"x": limits[end], "y": y, "text": arrow, "showarrow": False, "xanchor": anchor, "font": {"color": color}}
        for interval, y in zip(intervals, heights, strict=True)
        for end, arrow, anchor, sign in ends
        if interval and (bound := interval[end]) is not None and sign * bound > sign * limits[end]
    ]


def ladder_charts(results: Mapping[str, Any]) -> list[Chart]:
    """For each detector, the ratio by every test from naive to the deciding one over the horizon of its verdict, and p."""
    rungs = {name: ladder(results, name) for name in detectors_by_verdict(results)}
    shown = {name: (horizon, [row for row in tests if row["test"] in RATIOS]) for name, (horizon, tests) in rungs.items()}
    decides = deciding_tests(results)
    q = {name: decisive(results["detectors"][name])[1].get("q") for name in shown}
    return [
        _ladder_chart(i, f"{name}: {horizon} after an alert, test by test", tests, decides, q[name])
        for i, (name, (horizon, tests)) in enumerate(shown.items())
        if tests
    ]


def _ladder_chart(i: int, title: str, tests: Sequence[Mapping[str, Any]], decides: set[str], q: float | None) -> Chart:
    figure = blank(len(tests) * RUNG + 68)
    reference_line(figure, 1.0, len(tests))
    between = {row["test"] for row in tests} - {"naive"} - decides
    # A scale of its own: one loud detector would press the intervals of all others together.
    limits = ratio_range(
        [row["estimate"] for row in tests if fmt.known(row.get("estimate"))],
        [row[key] for row in tests for key in ("low", "high") if fmt.known(row.get(key))],
    )
    marks: list[dict[str, Any]] = []
    looks = (
        ({"naive"}, {"symbol": "circle-open", "size": 9, "color": "var(--raw)"}),
        (between, {"symbol": "circle", "size": 7, "color": "var(--ink-2)"}),
        (decides, {"symbol": "diamond", "size": 11, "color": "var(--matched)"}),
    )
    for kind, marker in looks:
        places = [place for place, row in enumerate(tests) if row["test"] in kind]
        rows = [tests[place] for place in places]
        figure.add_scatter(
            x=[x for row in rows for x in (row.get("low"), row.get("high"), None)],
            y=[y for place in places for y in (place, place, None)],
            mode="lines",
            line={"color": marker["color"], "width": 2},
            hoverinfo="skip",
        )
        marks += _cut_marks([(row.get("low"), row.get("high")) for row in rows], places, limits, marker["color"])
        figure.add_scatter(
            x=[row.get("estimate") for row in rows],
            y=places,
            mode="markers",
            hoverinfo="text",
            marker={**marker, "line": {"width": 2, "color": marker["color"]}},
            hovertext=[_rung_text(row) for row in rows],
        )
    figure.update_xaxes(range=limits, nticks=6, showgrid=True)
    name_rows(figure, [RATIOS[row["test"]] for row in tests])
    beside = {"xref": "paper", "x": 1, "xanchor": "left", "xshift": 8, "showarrow": False}
    figure.update_layout(
        margin={"t": 22, "r": 62},
        annotations=[
            {**beside, "yref": "paper", "y": 1, "yanchor": "bottom", "text": "p"},
            *({**beside, "y": place, "text": safe(fmt.p_value(row.get("p")))} for place, row in enumerate(tests)),
            *(
                {
                    "x": 1,
                    "xanchor": "left",
                    "xshift": 4,
                    "y": place,
                    "showarrow": False,
                    "text": safe(row.get("note") or "not known", 32),
                }
                for place, row in enumerate(tests)
                if not fmt.known(row.get("estimate"))
            ),
            *marks,
        ],
    )
    n = max(row.get("n_events") or 0 for row in tests)
    return Chart(
        f"ladder-{i}",
        title,
        f"ratio, 1.0 = no effect; 95 % intervals; p beside; ◆ adjusted for all tests: q {fmt.p_value(q)}; "
        f"n = {fmt.count(n)} events",
        spec_of(figure),
        height_of(figure),
    )


def _rung_text(row: Mapping[str, Any]) -> str:
    lines = [
        f"{RATIOS[row['test']]}: {fmt.ratio(row.get('estimate'))} {fmt.interval([row.get('low'), row.get('high')])}, "
        f"p {safe(fmt.p_value(row.get('p')))}",
        f"n = {fmt.count(row.get('n_events'))} events" + (f" of {fmt.count(row['n'])} rows" if fmt.known(row.get("n")) else ""),
        f"controls for {safe(row.get('controls_for'), 90)}",
    ]
    return "<br>".join([*lines, safe(row["note"], 110)] if row.get("note") else lines)


def lead_charts(results: Mapping[str, Any]) -> list[Chart]:
    """For each detector, activity by bars from the alert, its simultaneous band, and the estimated lead."""
    curves = results.get("lead_lag") or {}
    names = [name for name in detectors_by_verdict(results) if name in curves]
    shown = [x for name in names for key in ("activity", "low", "high") for x in curves[name][key] if fmt.known(x)]
    margin = 0.06 * (max(shown, default=1.0) - min(shown, default=1.0)) or 0.1
    limits = [min([*shown, 1.0]) - margin, max([*shown, 1.0]) + margin]
    return [_lead_chart(i, name, curves[name], limits) for i, name in enumerate(names)]


def _lead_chart(i: int, name: str, curve: Mapping[str, Any], limits: Sequence[float]) -> Chart:
    figure = blank(260)
    offsets, activity = curve["offsets"], curve["activity"]
    if all(fmt.known(x) for key in ("low", "high") for x in curve[key]):
        figure.add_scatter(x=offsets, y=drawable(curve["low"]), mode="lines", line={"width": 0}, hoverinfo="skip")
        figure.add_scatter(
            x=offsets,
            y=drawable(curve["high"]),
            mode="lines",
            line={"width": 0},
            hoverinfo="skip",
            fill="tonexty",
            fillcolor="var(--band)",
        )
    for x, y in ((offsets[:1] + offsets[-1:], [1, 1]), ([0, 0], limits)):
        figure.add_scatter(x=x, y=y, mode="lines", hoverinfo="skip", line={"color": "var(--ink-2)", "width": 1, "dash": "dot"})
    figure.add_scatter(
        x=offsets,
        y=drawable(activity),
        mode="lines+markers",
        hoverinfo="text",
        line={"color": "var(--matched)", "width": 2},
        marker={"color": "var(--matched)", "size": 4},
        hovertext=[
            f"{fmt.count(offset)} bars from the alert<br>activity {fmt.ratio(value)} {fmt.interval([low, high])}"
            f"<br>n = {fmt.count(n)}"
            for offset, value, low, high, n in zip(offsets, activity, curve["low"], curve["high"], curve["n"], strict=True)
        ],
    )
    lead, bounds = curve.get("lead"), curve.get("lead_ci")
    title = f"{name}: no lead found"
    if lead is not None and fmt.known(lead):
        title = f"{name}: lead {fmt.count(lead)} bars {fmt.interval(bounds, fmt.count)}"
        at = activity[offsets.index(lead)]
        figure.add_scatter(
            x=bounds,
            y=[at, at],
            mode="lines",
            line={"color": "var(--raw)", "width": 2},
            hoverinfo="skip",
        )
        figure.add_scatter(
            x=[lead],
            y=[at],
            mode="markers",
            hoverinfo="skip",
            marker={"symbol": "diamond", "size": 11, "color": "var(--raw)"},
        )
    figure.update_layout(
        margin={"l": 44},
        yaxis={"range": limits, "nticks": 5, "showgrid": True},
        xaxis={"nticks": 9, "range": [offsets[0] - 0.5, offsets[-1] + 0.5]},
    )
    reason = f"; {curve['reason']}" if curve.get("reason") else ""
    return Chart(
        f"lead-{i}",
        title,
        f"activity by bars from the alert, 1.0 = usual; band of all offsets at once, 95 %; p {fmt.p_value(curve.get('p'))}; "
        f"n = {fmt.count(curve.get('n_events'))} events{reason}",
        spec_of(figure),
        height_of(figure),
    )


def alert_chart(results: Mapping[str, Any]) -> Chart | None:
    """Realised against nominal alert rate of each detector; None without detectors."""
    names = detectors_by_verdict(results)
    rates = [results["detectors"][name].get("alert_rate") or {} for name in names]
    if not names:
        return None
    places = list(range(len(names)))
    figure = blank(len(names) * ROW + 56)
    nominal, realised = ([rate.get(key) for rate in rates] for key in ("nominal", "realised"))
    figure.add_scatter(
        x=[x for pair in zip(nominal, realised, strict=True) for x in (*pair, None)],
        y=[x for place in places for x in (place, place, None)],
        mode="lines",
        line={"color": "var(--band)", "width": 3},
        hoverinfo="skip",
    )
    figure.add_scatter(
        x=nominal,
        y=places,
        mode="markers",
        hoverinfo="skip",
        marker={"symbol": "line-ns", "size": 15, "line": {"color": "var(--raw)", "width": 2}},
    )
    figure.add_scatter(
        x=realised,
        y=places,
        mode="markers",
        hoverinfo="text",
        cliponaxis=False,
        marker={"symbol": "circle", "size": 10, "color": "var(--matched)"},
        hovertext=[
            f"{safe(name, 60)}<br>realised {fmt.percent(rate.get('realised'), 2)} of {fmt.percent(rate.get('nominal'), 2)}"
            for name, rate in zip(names, rates, strict=True)
        ],
    )
    figure.update_xaxes(tickformat=".3~%", nticks=6, rangemode="tozero", showgrid=True)
    name_rows(figure, names)
    n = sum(results["detectors"][name].get("n_alerts") or 0 for name in names)
    return Chart(
        "alerts",
        "Realised against nominal alert rate of each detector",
        f"share of scored bars; ● realised, tick nominal; n = {fmt.count(n)} alerts of {len(names)} detectors",
        spec_of(figure),
        height_of(figure),
    )
