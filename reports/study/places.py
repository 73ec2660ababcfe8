"""Ratios of each detector by asset and regime against years, and the shares of the regimes."""

from collections.abc import Mapping
from typing import Any

from foreshock.engine.validation.moves.slices import CROSSED, MIN_RANKED_EVENTS
from foreshock.reports.parts import format as fmt
from foreshock.reports.parts.tables import Cell, Column, Table, cell, header
from foreshock.reports.study.order import detectors_by_verdict

# Distance of a ratio from 1 at which its cell has the full colour.
DEEPEST = 0.7


def place_tables(results: Mapping[str, Any]) -> list[Table]:
    """For each detector a table of the volatility-matched ratio: assets and regimes as rows, years as columns."""
    slices = results.get("slices") or []
    tables = []
    for i, name in enumerate(detectors_by_verdict(results)):
        own = {(row["by"], row["slice"]): row for row in slices if row["detector"] == name}
        if any(by in CROSSED for by, _ in own):
            horizon = next(iter(own.values()))["horizon"]
            whole = (results["detectors"][name].get("forward") or {}).get(horizon)
            tables.append(_place_table(i, name, own, horizon, whole))
    return tables


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
    caption = (
        f"{name}: volatility-matched ratio over {horizon} by asset and regime against year, n events below; "
        f"coloured from {MIN_RANKED_EVENTS} events on"
    )
    return Table(f"places-{i}", caption, columns, rows)


def _shaded(row: Mapping[str, Any] | None) -> Cell:
    ratio = (row or {}).get("matched_ratio")
    if row is None or ratio is None or not fmt.known(ratio):
        return Cell(fmt.DASH, f"n {fmt.count(row['n_events'])}" if row else "")
    n = row["n_events"]
    shade = min(abs(ratio - 1) / DEEPEST, 1.0) if n >= MIN_RANKED_EVENTS else None
    kind = ("heat minus" if ratio < 1 else "heat plus") if shade is not None else ""
    return Cell(fmt.ratio(ratio), f"n {fmt.count(n)}", ratio, kind, shade=shade)


def regime_table(results: Mapping[str, Any]) -> Table | None:
    """Share of each regime in the tested bars of each symbol; None without regimes."""
    found = results.get("regimes") or {}
    if not found:
        return None
    rows = [[header(symbol), *(cell(share, fmt.percent) for share in shares)] for symbol, shares in found["by_symbol"].items()]
    rows.append([header("All"), *(cell(found["share"][name], fmt.percent) for name in found["names"])])
    columns = [Column("Symbol", kind="text"), *(Column(name, "share of bars") for name in found["names"])]
    return Table("regime-shares", "Share of the tested bars in each regime, known at the close of each bar", columns, rows)
