"""The charts of risk and cost: forecasts of value at risk with breaches, and returns at each cost of a fill."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from foreshock.engine.risk.forecasts.path import LEVELS, METHODS, RiskPath
from foreshock.reports.parts import format as fmt
from foreshock.reports.parts.chart import N_COLOURS, Chart, Line, blank, drawable, height_of, safe, spec_of
from foreshock.reports.parts.tables import Cell, Column, Table, cell, header, words
from foreshock.reports.study.accounts import N_SHOWN, dress
from foreshock.reports.study.order import first_shown, strategies_in_order, strategy_kind
from foreshock.strategies.identity import BASELINE, RANDOM

# Only this many periods are drawn, the last ones.
N_DRAWN = 1_500
SIMULATIONS = {"filtered_historical": "filtered historical simulation", "historical": "historical simulation"}
COLOURS = {0.95: "var(--matched)", 0.99: "var(--ink)"}


def var_charts(paths: Mapping[str, RiskPath], results: Mapping[str, Any]) -> list[Chart]:
    """Returns of each strategy and the value at risk that was forecast for them, with breaches marked."""
    names = [name for name in strategies_in_order(paths, results) if strategy_kind(name, results) != RANDOM]
    baselines = [name for name in names if strategy_kind(name, results) == BASELINE]
    drawn = [*baselines, *first_shown(names, results, max(N_SHOWN - len(baselines), 0))]
    return [_var_chart(i, name, paths[name]) for i, name in enumerate(drawn)]


def _var_chart(i: int, name: str, path: RiskPath) -> Chart:
    method, forecast = next(iter(path.forecasts.items()))
    known = np.flatnonzero(~np.isnan(forecast.var[LEVELS[0]]) & ~np.isnan(path.returns))
    drawn = known[-N_DRAWN:]
    figure = blank(280)
    written = "%Y-%m-%d" if path.period == "day" else "%Y-%m-%d %H:%M"
    time = pd.DatetimeIndex(path.time).strftime(written)
    breaches = {level: known[-path.returns[known] > forecast.var[level][known]] for level in LEVELS}
    worst, mild = breaches[LEVELS[1]], np.setdiff1d(breaches[LEVELS[0]], breaches[LEVELS[1]])
    calm = np.setdiff1d(drawn, breaches[LEVELS[0]])
    figure.update_layout(meta={"x": list(time[drawn])})
    for level in LEVELS:
        figure.add_scatter(
            y=drawable(-forecast.var[level][drawn]),
            mode="lines",
            hoverinfo="skip",
            line={"color": COLOURS[level], "width": 1.4, "dash": "solid" if level == LEVELS[0] else "dash"},
        )
    looks = ((calm, "var(--axis)", 3, "circle"), (mild, "var(--matched)", 6, "circle-open"), (worst, "var(--raw)", 8, "x-thin"))
    for every, colour, size, symbol in looks:
        rows = np.intersect1d(every, drawn)
        figure.add_scatter(
            x=list(time[rows]),
            y=drawable(path.returns[rows]),
            mode="markers",
            hoverinfo="text",
            marker={
                "color": colour,
                "size": size,
                "symbol": symbol,
                "line": {"width": 2 if symbol == "x-thin" else 1, "color": colour},
            },
            hovertext=[
                f"{time[row]}<br>return {fmt.percent(float(path.returns[row]), 2)}<br>VaR "
                + ", ".join(f"{fmt.percent(level, 0)}: {fmt.percent(float(forecast.var[level][row]), 2)}" for level in LEVELS)
                for row in rows
            ],
        )
    figure.update_layout(
        margin={"l": 52},
        dragmode="zoom",
        xaxis={"type": "date", "fixedrange": False, "nticks": 6},
        yaxis={"tickformat": ".3~%", "showgrid": True, "nticks": 6},
    )
    n, share = len(known), len(worst) / max(len(known), 1)
    shown = "" if len(drawn) == n else f", the last {fmt.count(len(drawn))} drawn"
    return Chart(
        f"var-{i}",
        f"{name}: the 99 % VaR was exceeded in {fmt.count(len(worst))} of {fmt.counted(n, path.period)}, {fmt.percent(share, 2)}",
        f"return per {path.period}; lines: −VaR 95 % and, dashed, 99 %, forecast one {path.period} before by {SIMULATIONS[method]} "
        f"over {fmt.counted(forecast.window, path.period)}; ○ beyond 95 %, × beyond 99 %; n = {fmt.count(n)}{shown}",
        spec_of(figure),
        height_of(figure),
    )


def var_table(results: Mapping[str, Any]) -> Table | None:
    """Hit rate of each forecast with its nominal rate, and the tests of the forecast; None without forecasts."""
    found = (results.get("value_at_risk") or {}).get("rows") or []
    by_key = {(row["strategy"], row["method"], row["level"]): row for row in found}
    names = strategies_in_order({row["strategy"]: None for row in found}, results)
    rows = []
    for name, method, level in ((n, m, level) for n in names for m in METHODS for level in LEVELS):
        row = by_key.get((name, method, level))
        if row is None:
            continue
        p = row["p"]
        rows.append(
            [
                header(name),
                Cell(words(method), sort=method),
                cell(level, lambda value: fmt.percent(value, 0)),
                cell(row["hit_rate"], lambda value: fmt.percent(value, 2), f"{fmt.count(row['n_hits'])} of {fmt.count(row['n'])}"),
                cell(row["mean_var"], lambda value: fmt.percent(value, 2)),
                cell(row["mean_cvar"], lambda value: fmt.percent(value, 2)),
                *(cell(p.get(test), fmt.p_value) for test in ("kupiec", "christoffersen_conditional", "dynamic_quantile")),
                cell(p.get("acerbi_szekely_z2"), fmt.p_value),
                Cell(
                    row["zone"],
                    sort=("green", "yellow", "red").index(row["zone"]) if row["zone"] in ("green", "yellow", "red") else None,
                ),
            ]
        )
    if not rows:
        return None
    period = found[0]["period"]
    columns = [
        Column("Strategy", kind="text"),
        Column("Forecast by", kind="text"),
        Column("Level"),
        Column("Exceeded", "share, n"),
        Column("VaR", f"mean per {period}"),
        Column("CVaR", f"mean per {period}"),
        Column("p Kupiec", "rate"),
        Column("p Christoffersen", "rate, runs"),
        Column("p DQ", "rate, memory"),
        Column("p Z2", "CVaR"),
        Column("Zone", "Basel", "text"),
    ]
    return Table(
        "var-table",
        f"Forecasts of VaR and CVaR per {period}, each from earlier returns, compared with the actual returns",
        columns,
        rows,
    )


def cost_chart(results: Mapping[str, Any]) -> Chart | None:
    """Total return of each strategy by the cost of a fill; None if costs were not varied."""
    swept = results.get("cost_sweep") or {}
    names = strategies_in_order(swept.get("total_return") or {}, results)
    if not names:
        return None
    figure = blank(380)
    lines, legend = dress(names, results), []
    first = first_shown(names, results, N_COLOURS - 2)
    rates = [1e4 * rate for rate in swept["rates"]]
    for place, name in enumerate(names):
        colour, dash, width = lines[name]
        visible = strategy_kind(name, results) == BASELINE or name in first
        totals = swept["total_return"][name]
        figure.add_scatter(
            x=rates,
            y=drawable(totals),
            mode="lines+markers",
            name=safe(name, 60),
            visible=visible,
            line={"color": colour, "dash": dash, "width": width},
            marker={"color": colour, "size": 6},
            hovertemplate="%{y:.1%}",
        )
        at = swept["break_even"][name]
        legend.append(Line(name, (place,), colour, dash, visible, _break_even(at, totals)))
    figure.update_layout(
        hovermode="x unified",
        margin={"l": 56, "b": 52},
        xaxis={"title": {"text": "cost of a fill, basis points of its value"}, "tickvals": rates, "showgrid": True},
        yaxis={"title": {"text": "total return"}, "tickformat": ".3~%", "showgrid": True, "nticks": 8},
    )
    figure.add_scatter(
        x=[rates[0], rates[-1]],
        y=[0, 0],
        mode="lines",
        hoverinfo="skip",
        showlegend=False,
        line={"color": "var(--ink-2)", "width": 1, "dash": "dot"},
    )
    return Chart(
        "costs",
        "How much trading may cost: total return by the cost of a fill",
        f"fee plus slippage, replacing those of the study; next to each name, the break-even cost; "
        f"n = {fmt.count(len(names))} strategies; press a name to show or hide it",
        spec_of(figure),
        height_of(figure),
        tuple(legend),
    )


def _break_even(rate: float | None, totals: Sequence[float]) -> str:
    if fmt.known(rate):
        return f"break-even {fmt.bps(rate)} bp"
    return "positive at any cost" if totals[0] > 0 else "negative without costs"


def cost_table(results: Mapping[str, Any]) -> Table | None:
    """The sweep in numbers; None if costs were not varied."""
    swept = results.get("cost_sweep") or {}
    names = strategies_in_order(swept.get("total_return") or {}, results)
    if not names:
        return None
    rows = [
        [
            header(name),
            *(cell(total, fmt.percent) for total in swept["total_return"][name]),
            cell(swept["break_even"][name], fmt.bps),
        ]
        for name in names
    ]
    columns = [
        Column("Strategy", kind="text"),
        *(Column(f"{fmt.number(1e4 * rate)} bp", "total return") for rate in swept["rates"]),
        Column("Break-even", "basis points"),
    ]
    return Table(
        "cost-table",
        "Total return by the cost of a fill; – under break-even: negative without costs, or positive at any cost",
        columns,
        rows,
    )
