"""The sealed last part of a study on its page: what was found before, beside what the part shows."""

from collections.abc import Mapping
from math import exp, isfinite, log
from typing import Any

from scipy.stats import norm

from foreshock.reports.parts import format as fmt
from foreshock.reports.parts.tables import Cell, Column, Table, cell, header
from foreshock.reports.study.rungs import sees

# Two-sided 5 % of a normal score.
TWO_SIDED = 1.96


def sealed_table(results: Mapping[str, Any]) -> Table | None:
    """Both halves before and the sealed part of every detector, horizon and forecast; None if nothing was opened."""
    rows = []
    # What was found before comes first.
    for row in sorted((results.get("sealed") or {}).get("rows") or [], key=lambda row: not row["found"]):
        halves, scores = row.get("halves") or (None, None), row.get("halves_z") or (None, None)
        rows.append(
            [
                header(row["detector"]),
                Cell(row["horizon"]),
                Cell(sees(row["rung"]), sort=row["rung"]),
                Cell("found" if row["found"] else fmt.DASH),
                *(_half(ratio, z) for ratio, z in zip(halves, scores, strict=True)),
                cell(row["n_events"], fmt.count),
                cell(row["ratio"], fmt.ratio, fmt.interval(row["ci"])),
                cell(row["p"], fmt.p_value),
                cell(row["q"], fmt.p_value),
                Cell({True: "holds", False: "does not hold"}.get(row["holds"], fmt.DASH)),
                cell(row["detectable"], fmt.ratio),
                Cell(row["reason"] or fmt.DASH, sort=row["reason"] or None),
            ]
        )
    if not rows:
        return None
    columns = [
        Column("Detector", kind="text"),
        Column("Horizon", kind="text"),
        Column("Forecast sees", kind="text"),
        Column("Before", "q of all tests", kind="text"),
        Column("First half", "ratio, 95 %, p"),
        Column("Second half", "ratio, 95 %, p"),
        Column("n events", "sealed"),
        Column("Sealed part", "ratio, 95 %"),
        Column("p", "two-sided"),
        Column("q", "Holm"),
        Column("Sealed part says", kind="text"),
        Column("Detectable", "smallest ratio"),
        Column("Note", kind="text"),
    ]
    caption = "Activity after alerts over that which the forecast expects: in both halves before, and in the sealed part"
    return Table("sealed-table", caption, columns, rows)


def _half(ratio: float | None, z: float | None) -> Cell:
    """Ratio of a half, with its interval and p, which follow from its z."""
    if ratio is None or z is None or not (isfinite(ratio) and isfinite(z)) or z == 0:
        return cell(ratio, fmt.ratio)
    reach = abs(TWO_SIDED * log(ratio) / z)
    bounds = [ratio * exp(-reach), ratio * exp(reach)]
    return cell(ratio, fmt.ratio, f"{fmt.interval(bounds)}, p {fmt.p_value(float(2 * norm.sf(abs(z))))}")


def sealed_sentences(results: Mapping[str, Any]) -> list[str]:
    """What the sealed part says of what was found before, and how it was judged; empty if nothing was opened."""
    sealed = results.get("sealed")
    if not sealed:
        return []
    held = [row for row in sealed["rows"] if row["holds"]]
    names = ", ".join(f"{row['detector']} over {row['horizon']} ({sees(row['rung'])})" for row in held)
    where = f"the sealed part, from {sealed['start'][:10]} to {sealed['end'][:10]}"
    tested = fmt.counted(sealed["n_tests"], "test")
    if sealed["over"] == "found":
        n_found = sum(row["found"] for row in sealed["rows"])
        answer = f"In {where}, {len(held) or 'none'} of {fmt.counted(n_found, 'finding')} {'holds' if len(held) < 2 else 'hold'}"
        over = f"q is adjusted over the {tested} of these findings"
    else:
        answer = f"Nothing was found before {where}, and {len(held) or 'none'} of {tested} is a finding in it"
        over = f"as nothing was found before, q is adjusted over all {tested}"
    tried = fmt.counted(sealed["n_trials"], "configuration")
    return [
        answer + (f": {names}." if names else "."),
        f"It was opened once, at {fmt.moment(sealed['opened'])} UTC, when the ledger had seen {tried}; {over}, by Holm. "
        "Its forecasts are fitted on earlier rows alone, and its negative controls are those of the same rows.",
    ]
