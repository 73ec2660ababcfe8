"""Where and when a detector worked: ratios by asset and regime against years, and the regimes themselves."""

from collections.abc import Mapping
from typing import Any

from reports import format as fmt
from reports.study_tables import detectors_by_verdict
from reports.tables import Cell, Column, Table, cell, header

# With fewer events a ratio is written, but not coloured.
LEAST_EVENTS = 10
# Of |log ratio|: full colour.
DEEPEST = 0.7


def place_tables(results: Mapping[str, Any]) -> list[Table]:
    """For each detector that has cells the volatility-matched ratio by asset and regime, down, and year, across."""
    found = results.get("cells") or []
    tables = []
    for i, name in enumerate(detectors_by_verdict(results)):
        own = [row for row in found if row["detector"] == name]
        if own:
            tables.append(_place_table(i, name, own, results.get("slices") or []))
    return tables


def _place_table(i: int, name: str, cells: list[Mapping[str, Any]], slices: list[Mapping[str, Any]]) -> Table:
    years = sorted({row["year"] for row in cells})
    by_key = {(row["by"], row["name"], row["year"]): row for row in cells}
    whole = {(row["by"], row["slice"]): row for row in slices if row["detector"] == name}
    rows = [
        [header(place, by), *(_shaded(by_key.get((by, place, year))) for year in years), _shaded(whole.get((by, place)))]
        for by, place in dict.fromkeys((row["by"], row["name"]) for row in cells)
    ]
    rows.append([header("All", ""), *(_shaded(whole.get(("year", year))) for year in years), Cell(fmt.DASH)])
    columns = [
        Column("Asset or regime", kind="text"),
        *(Column(year, kind="heat") for year in (*years, "All years")),
    ]
    caption = (
        f"{name}: volatility-matched ratio over {cells[0]['horizon']} by asset and regime against year, n events below; "
        f"coloured from {LEAST_EVENTS} events on"
    )
    return Table(f"places-{i}", caption, columns, rows)


def _shaded(row: Mapping[str, Any] | None) -> Cell:
    ratio = (row or {}).get("matched_ratio")
    if row is None or ratio is None or not fmt.known(ratio):
        return Cell(fmt.DASH, f"n {fmt.count(row['n_events'])}" if row else "")
    n = row["n_events"]
    shade = min(abs(ratio - 1) / DEEPEST, 1.0) if n >= LEAST_EVENTS else None
    kind = ("heat minus" if ratio < 1 else "heat plus") if shade is not None else ""
    return Cell(fmt.ratio(ratio), f"n {fmt.count(n)}", ratio, kind, shade=shade)


def regime_table(results: Mapping[str, Any]) -> Table | None:
    """Share of each regime in the tested bars of each symbol; None when there are none."""
    found = results.get("regimes") or {}
    if not found:
        return None
    rows = [[header(symbol), *(cell(share, fmt.percent) for share in shares)] for symbol, shares in found["by_symbol"].items()]
    rows.append([header("All"), *(cell(found["share"][name], fmt.percent) for name in found["names"])])
    columns = [Column("Symbol", kind="text"), *(Column(name, "share of bars") for name in found["names"])]
    return Table("regime-shares", "Share of the tested bars in each regime, known at the close of each bar", columns, rows)
