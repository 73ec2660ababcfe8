"""The accounts of a study: charts of equity, drawdown and exposure, of timing against chance, and the strategies that have none."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from foreshock.reports.parts import format as fmt
from foreshock.reports.parts.chart import (
    AXIS,
    DASHES,
    N_COLOURS,
    ROW,
    Chart,
    Line,
    blank,
    drawable,
    height_of,
    name_rows,
    reference_line,
    safe,
    spec_of,
    thinned,
)
from foreshock.reports.parts.tables import Cell, Column, Table, header
from foreshock.reports.study.order import detector_of, first_shown, n_groups, partner_of, strategies_in_order, strategy_kind
from foreshock.reports.study.tables import draw_quantiles
from foreshock.strategies.identity import BASELINE, RANDOM

# How many windows of the exposure's mean fit into the test side by side.
N_MEANS = 50
# Strategies that the equity chart shows at first; the others appear when their names are pressed.
N_SHOWN = 6
# Accounts that a chart can draw and a legend can list; beyond, random timings are left out, then the weakest detectors.
MOST_LINES = 48


def equity_chart(equity: pd.DataFrame, results: Mapping[str, Any], exposure: pd.DataFrame | None = None) -> Chart | None:
    """Equity of every strategy, and its drawdown and, where known, its exposure below; None when there is no equity."""
    if equity.empty:
        return None
    every = strategies_in_order(equity.columns, results)
    names = every if len(every) <= MOST_LINES else _fewer(every, results)
    first = first_shown(names, results, N_SHOWN)
    equity = equity[names]
    exposure = exposure if exposure is None else exposure[names]
    thin, drawdown = thinned(equity)
    panels, places = {"y": thin, "y2": drawdown}, [[0.36, 1], [0, 0.29]]
    if exposure is not None:
        # Bar by bar, accounts that go in and out would be a weave.
        n_mean = -(-len(exposure) // N_MEANS)
        mean = exposure.rolling(n_mean, min_periods=1).mean()
        panels, places = panels | {"y3": mean.loc[thin.index]}, [[0.48, 1], [0.235, 0.425], [0, 0.18]]
    figure = blank(560 if exposure is None else 680)
    lines, legend = dress(names, results), []
    for place, name in enumerate(names):
        colour, dash, width = lines[name]
        visible = strategy_kind(name, results) == BASELINE or name in first
        for axis, values in panels.items():
            figure.add_scatter(
                y=drawable(values[name].to_numpy()),
                yaxis=axis,
                name=safe(name, 60),
                mode="lines",
                visible=visible,
                line={"color": colour, "dash": dash, "width": width},
                hovertemplate="%{y:.3f}" if axis == "y" else "%{y:.1%}",
            )
        total = equity[name].dropna()
        last = fmt.percent(total.iloc[-1] - 1) if len(total) else fmt.DASH
        traces = tuple(range(len(panels) * place, len(panels) * (place + 1)))
        legend.append(Line(name, traces, colour, dash, visible, last))
    times = list(pd.DatetimeIndex(thin.index).strftime("%Y-%m-%d %H:%M"))
    # All traces share these times; the script hands them out, which keeps one copy in the page.
    figure.update_layout(
        meta={"x": times},
        hovermode="x unified",
        dragmode="zoom",
        yaxis={"domain": places[0], "title": {"text": "equity, start = 1"}, "tickformat": ".6~g", "nticks": 8},
        yaxis2=AXIS | {"domain": places[1], "title": {"text": "drawdown"}, "tickformat": ".3~%", "nticks": 5},
        margin={"l": 56},
        xaxis={
            "anchor": list(panels)[-1],
            "type": "date",
            "fixedrange": False,
            "spikecolor": "var(--ink-2)",
            "spikethickness": -1,
        },
    )
    below, shown_panels = "the fall from the running peak", "Equity and drawdown"
    if exposure is not None:
        figure.update_layout(yaxis3=AXIS | {"domain": places[2], "title": {"text": "exposure"}, "tickformat": ".3~%", "nticks": 4})
        below += f", and the share of the equity that is invested, mean of the {fmt.counted(n_mean, 'bar')} before"
        shown_panels = "Equity, drawdown and exposure"
    figure.update_yaxes(showgrid=True)
    figure.add_scatter(
        x=[times[0], times[-1]],
        y=[1, 1],
        mode="lines",
        hoverinfo="skip",
        line={"color": "var(--ink-2)", "width": 1, "dash": "dot"},
    )
    return Chart(
        "equity",
        f"{shown_panels} of each strategy, after costs, out of sample",
        f"start = 1; below, {below}; n = {fmt.count(len(equity))} bars, drawn in {fmt.count(len(thin))} "
        "points, each with the deepest drawdown since the last; press a name to show or hide it"
        + (f"; {fmt.count(len(names))} of {fmt.count(len(every))} accounts drawn" if len(names) < len(every) else ""),
        spec_of(figure),
        height_of(figure),
        tuple(legend),
    )


def _fewer(names: Sequence[str], results: Mapping[str, Any]) -> list[str]:
    """The accounts that are drawn if there are too many."""
    baselines = [name for name in names if strategy_kind(name, results) == BASELINE]
    return baselines + first_shown(names, results, MOST_LINES - len(baselines))


def dress(names: Sequence[str], results: Mapping[str, Any]) -> dict[str, tuple[str, str, float]]:
    """Colour, dash and width per strategy; random timing has the colour of the strategy it is held against."""
    lines = {"buy_and_hold": ("var(--ink)", "solid", 2.2), "equal_weight": ("var(--ink-2)", "dash", 1.8)}
    # The strategies that are shown at first have the first colours.
    tested = [name for name in names if name not in lines and strategy_kind(name, results) != RANDOM]
    first = first_shown(tested, results, N_COLOURS)
    for place, name in enumerate([*first, *(name for name in tested if name not in first)]):
        lines[name] = (f"var(--series-{place % N_COLOURS + 1})", DASHES[place // N_COLOURS % len(DASHES)], 1.7)
    for name in names:
        partner = partner_of(name, results) or ""
        lines.setdefault(name, (lines.get(partner, ("var(--ink-2)",))[0], "dot", 1.4))
    return lines


def timing_chart(results: Mapping[str, Any], draws: Mapping[str, Mapping[str, Any]]) -> Chart | None:
    """Total return of each avoidance strategy within the spread of random timing; None without draws."""
    names = strategies_in_order(draws, results)
    spread = [draw_quantiles(draws[name], (0.05, 0.25, 0.5, 0.75, 0.95)) for name in names]
    if not names:
        return None
    figure = blank(len(names) * ROW + 56)
    hold = (results["backtests"].get("buy_and_hold") or {}).get("total_return")
    totals = [(results["backtests"].get(name) or {}).get("total_return") for name in names]
    if hold is not None and fmt.known(hold):
        reference_line(figure, hold, len(names))
    for low, high, width in ((0, 4, 3), (1, 3, 9)):
        figure.add_scatter(
            x=[x for levels in spread for x in (levels[low], levels[high], None)],
            y=[x for place in range(len(names)) for x in (place, place, None)],
            mode="lines",
            line={"color": "var(--band)", "width": width},
            hoverinfo="skip",
        )
    figure.add_scatter(
        x=[levels[2] for levels in spread],
        y=list(range(len(names))),
        mode="markers",
        hoverinfo="skip",
        marker={"symbol": "line-ns", "size": 13, "line": {"color": "var(--raw)", "width": 2}},
    )
    figure.add_scatter(
        x=totals,
        y=list(range(len(names))),
        mode="markers",
        hoverinfo="text",
        marker={"symbol": "diamond", "size": 11, "color": "var(--matched)"},
        hovertext=[
            f"{safe(name, 60)}<br>return {fmt.percent(total)}, beats {fmt.percent(draws[name].get('percentile'))} "
            f"of {fmt.count(draws[name].get('n_draws'))} draws"
            for name, total in zip(names, totals, strict=True)
        ],
    )
    every = [*totals, hold, *(level for levels in spread for level in levels)]
    shown = [x for x in every if x is not None and fmt.known(x)] or [0.0]
    margin = 0.04 * (max(shown) - min(shown)) or 0.01
    figure.update_xaxes(tickformat=".3~%", nticks=6, showgrid=True, range=[min(shown) - margin, max(shown) + margin])
    # One strategy needs no name in every row.
    several = n_groups(names, results) > 1
    name_rows(figure, [name if several else detector_of(name, results) or name for name in names])
    n_draws = sorted({fmt.count(draws[name].get("n_draws")) for name in names})
    return Chart(
        "timing",
        "Total return of each strategy against random timing of the same alerts"
        if several
        else "Total return of anomaly avoidance against random timing of the same exposure",
        f"◆ strategy; thin band 5 to 95 %, thick band 25 to 75 %, tick the median of n = {' or '.join(n_draws)} random draws; "
        "vertical line buy_and_hold",
        spec_of(figure),
        height_of(figure),
    )


def failed_table(results: Mapping[str, Any]) -> Table | None:
    """Strategies that failed, with the reason; None if none did."""
    by_reason: dict[tuple[str, str], list[str]] = {}
    for entry in results.get("failed_strategies") or []:
        detectors = by_reason.setdefault((entry["strategy"], entry["reason"]), [])
        detectors += [entry["detector"]] if entry["detector"] is not None else []
    if not by_reason:
        return None
    rows = [
        [header(name), Cell(", ".join(detectors) or fmt.DASH, kind="text"), Cell(reason, kind="text")]
        for (name, reason), detectors in by_reason.items()
    ]
    columns = [Column("Strategy", kind="text"), Column("On the alerts of", kind="text"), Column("Reason", kind="text")]
    return Table("failed", "Strategies that failed and have no account", columns, rows)
