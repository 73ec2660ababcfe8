"""Ratios of each detector by asset and regime against years, every slice with its test, and the shares of the regimes."""

from collections.abc import Mapping
from typing import Any

from foreshock.engine.validation.moves.slices import CROSSED, MIN_RANKED_EVENTS, RANKED, by_forecast, slice_figures
from foreshock.engine.validation.rungs.result import LEVEL
from foreshock.reports.parts import format as fmt
from foreshock.reports.parts.tables import Cell, Column, Table, cell, header
from foreshock.reports.study.order import detectors_by_verdict, on_rung

# Distance of a ratio from 1 at which its cell has the full colour: of the deciding test, and of the ratio of before.
DEEPEST, DEEPEST_MATCHED = 0.4, 0.7
# Marks a ratio that is beyond chance, so that colour is not the only sign.
BEYOND = "◆"


def slices_by_forecast(results: Mapping[str, Any]) -> bool:
    """Whether slices were judged by the deciding test; in results of before they have the volatility-matched ratio alone."""
    return any(map(by_forecast, results.get("slices") or []))


def place_tables(results: Mapping[str, Any]) -> list[Table]:
    """For each detector a table of its ratio: assets and regimes as rows, years as columns."""
    slices = results.get("slices") or []
    tables = []
    for i, name in enumerate(detectors_by_verdict(results)):
        own = {(row["by"], row["slice"]): row for row in slices if row["detector"] == name}
        if any(by in CROSSED for by, _ in own):
            horizon = next(iter(own.values()))["horizon"]
            tables.append(_place_table(i, name, own, horizon, _whole(results["detectors"][name], own, horizon)))
    return tables


def _whole(
    detector: Mapping[str, Any], slices: Mapping[tuple[str, str], Mapping[str, Any]], horizon: str
) -> Mapping[str, Any] | None:
    """The figures of a detector over the full history, as a row of slices."""
    first = on_rung(detector, 0, horizon)
    if any(map(by_forecast, slices.values())):
        return {"ratio": first.get("ratio"), "n_judged": first.get("n_events")}
    return (detector.get("forward") or {}).get(horizon)


def _place_table(
    i: int, name: str, slices: Mapping[tuple[str, str], Mapping[str, Any]], horizon: str, whole: Mapping[str, Any] | None
) -> Table:
    years = [year for by, year in slices if by == "year"]
    rows = []
    for crossed in CROSSED:
        by = crossed.removesuffix("_year")
        for place in [place for kind, place in slices if kind == by]:
            in_years = [_shaded(slices.get((crossed, f"{place} {year}"))) for year in years]
            rows.append([header(place, by), *in_years, _shaded(slices[by, place])])
    rows.append([header("All"), *(_shaded(slices["year", year]) for year in years), _shaded(whole)])
    columns = [Column("Asset or regime", kind="text"), *(Column(year, kind="heat") for year in (*years, "All years"))]
    ratio = "activity beyond the forecast" if any(map(by_forecast, slices.values())) else "volatility-matched ratio"
    caption = (
        f"{name}: {ratio} over {horizon} by asset and regime against year, n events below; "
        f"coloured from {MIN_RANKED_EVENTS} events on"
    )
    return Table(f"places-{i}", caption, columns, rows)


def _shaded(row: Mapping[str, Any] | None) -> Cell:
    if row is None:
        return Cell(fmt.DASH)
    ratio, _, _, n = slice_figures(row)
    below = f"n {fmt.count(n)}"
    if ratio is None:
        return Cell(fmt.DASH, below)
    forecast = by_forecast(row)
    shade = min(abs(ratio - 1) / (DEEPEST if forecast else DEEPEST_MATCHED), 1.0) if n >= MIN_RANKED_EVENTS else None
    kind = ("heat minus" if ratio < 1 else "heat plus") if shade is not None else ""
    q = row.get("q") if forecast else None
    text = f"{BEYOND} {fmt.ratio(ratio)}" if q is not None and q <= LEVEL else fmt.ratio(ratio)
    return Cell(text, below, ratio, kind, shade=shade)


def slices_table(results: Mapping[str, Any]) -> Table | None:
    """The deciding test of every detector in every year, asset and regime; None in results of before."""
    if not slices_by_forecast(results):
        return None
    order = detectors_by_verdict(results)
    rows = []
    for row in sorted((row for row in results["slices"] if row["by"] in RANKED), key=lambda row: order.index(row["detector"])):
        ratio, ci, p, n = slice_figures(row)
        rows.append(
            [
                header(row["detector"]),
                Cell(row["by"]),
                Cell(row["slice"], sort=row["slice"]),
                Cell(row["horizon"], sort=row["horizon"]),
                cell(n, fmt.count),
                cell(ratio, fmt.ratio, fmt.interval(ci)),
                cell(p, fmt.p_value),
                cell(row.get("q"), fmt.p_value),
            ]
        )
    columns = [
        Column("Detector", kind="text"),
        Column("By", kind="text"),
        Column("Slice", kind="text"),
        Column("Over", kind="text"),
        Column("n events"),
        Column("Beyond the forecast", "95 % interval"),
        Column("p", "two-sided"),
        Column("q", "of all cells here"),
    ]
    return Table("slices", "Every detector in every year, asset and regime, at the horizon of its verdict", columns, rows)


def places_rule(results: Mapping[str, Any]) -> dict[str, Any]:
    """Values for the explanation of the slices: which statistic they have, how many were tested, and the mark of a small q."""
    tested = [row for row in results.get("slices") or [] if row.get("q") is not None]
    return {
        "forecast": slices_by_forecast(results),
        "tested": fmt.count(len(tested)),
        "least": fmt.count(MIN_RANKED_EVENTS),
        "beyond": BEYOND,
        "level": fmt.percent(LEVEL, 0),
    }


def regime_rules_table(results: Mapping[str, Any]) -> Table | None:
    """What the name of each regime says, and how many of its bars do so; None for results without rules."""
    found = results.get("regimes") or {}
    if not found.get("rules"):
        return None
    rows = []
    for name, rule, share in zip(found["names"], found["rules"], found["holds"], strict=True):
        rows.append(
            [
                header(name),
                Cell(rule or "by number", kind="text"),
                cell(share, fmt.percent),
                cell(found["share"][name], fmt.percent),
            ]
        )
    columns = [
        *(Column(label, kind="text") for label in ("Regime", "Rule")),
        Column("Satisfied", "share of its bars"),
        Column("Share"),
    ]
    return Table("regime-rules", "What each regime means", columns, rows)


def regime_table(results: Mapping[str, Any]) -> Table | None:
    """Share of each regime in the tested bars of each symbol; None without regimes."""
    found = results.get("regimes") or {}
    if not found:
        return None
    rows = [[header(symbol), *(cell(share, fmt.percent) for share in shares)] for symbol, shares in found["by_symbol"].items()]
    rows.append([header("All"), *(cell(found["share"][name], fmt.percent) for name in found["names"])])
    columns = [Column("Symbol", kind="text"), *(Column(name, "share of bars") for name in found["names"])]
    return Table("regime-shares", "Share of the tested bars in each regime, known at the close of each bar", columns, rows)
