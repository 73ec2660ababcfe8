"""The tables of the evidence: all tests, lead and lag, the surrogate test and its calibration."""

from collections.abc import Callable, Mapping
from typing import Any

from foreshock.reports.parts import format as fmt
from foreshock.reports.parts.tables import Cell, Column, Table, cell, header, words
from foreshock.reports.study.order import decisive, detectors_by_verdict, forecasts_decide, has_surrogates, on_rung

# Tests whose estimate is a ratio, 1 without an effect; one chart shows them all.
RATIOS = {
    "naive": "naive (a warning)",
    "hac": "HAC",
    "bootstrap": "block bootstrap",
    "shift": "circular shift",
    "hodrick": "Hodrick",
    "matched": "volatility matched",
    "matched_shift": "matched, shifted",
    "regression": "volatility regression",
    "surrogate": "surrogates",
    "expected": "forecast: prices",
    "expected_volume": "forecast: volumes",
}
# The tests that the deciding test consists of, rung by rung: what it compares with, and what it controls for.
RUNG_ROWS = {
    "expected": ("the forecast that sees past prices", "past prices: moves and ranges at all scales, hour of the week, the market"),
    "expected_volume": ("the forecast that sees past volumes too", "the same, and past volumes"),
}
# Tests on other scales: label, and format of the estimate.
OTHER_SCALES: dict[str, tuple[str, Callable[[float | None], str]]] = {
    "qlike": ("QLIKE gain, losses × 10,000", lambda value: fmt.ratio(None if value is None else 1e4 * value)),
    "direction": ("direction, bps", fmt.bps),
    "hit_rate": ("hit rate, a difference of shares", fmt.percent),
}
LAWS = {"garch": "GARCH, Student t", "gjr": "GJR-GARCH, Student t", "sv": "stochastic volatility"}


def ladder(results: Mapping[str, Any], name: str) -> tuple[str, list[Mapping[str, Any]]]:
    """The horizon of a detector's verdict, and all tests at it, from the naive one to the deciding one at both rungs.

    The surrogate test has no row where forecasts decided and no surrogates were drawn.
    """
    detector = results["detectors"][name]
    horizon, _ = decisive(detector)
    tests = ((results.get("evidence") or {}).get(name) or {}).get(horizon) or []
    if forecasts_decide(results) and not has_surrogates(results):
        tests = [row for row in tests if row["test"] != "surrogate"]
    return horizon, [
        *tests,
        *(_rung_row(test, found) for i, test in enumerate(RUNG_ROWS) if (found := on_rung(detector, i, horizon))),
    ]


def _rung_row(test: str, found: Mapping[str, Any]) -> Mapping[str, Any]:
    """The deciding test at one rung, as a row of the evidence."""
    low, high = found.get("ci") or (None, None)
    against, controls = RUNG_ROWS[test]
    return {
        "test": test,
        "estimate": found.get("ratio"),
        "low": low,
        "high": high,
        "p": found.get("p"),
        "null": 1.0,
        "n_events": found.get("n_events"),
        "n": None,
        "compared_with": against,
        "controls_for": controls,
        "note": found.get("reason") or "",
    }


def deciding_tests(results: Mapping[str, Any]) -> set[str]:
    """The deciding test: that against the forecasts, or in results of before the surrogate test or the matched ratio."""
    if forecasts_decide(results):
        return set(RUNG_ROWS)
    return {"surrogate" if has_surrogates(results) else "matched"}


def ladder_table(results: Mapping[str, Any]) -> Table:
    """Every test of every detector at the horizon of its verdict."""
    rows = []
    for name in detectors_by_verdict(results):
        horizon, tests = ladder(results, name)
        for row in tests:
            test = str(row["test"])
            label, write = OTHER_SCALES.get(test, (RATIOS.get(test, words(test)), fmt.ratio))
            rows.append(
                [
                    header(name),
                    Cell(horizon),
                    Cell(label, sort=label),
                    cell(row.get("estimate"), write, fmt.interval([row.get("low"), row.get("high")], write)),
                    cell(row.get("null"), fmt.number),
                    cell(row.get("p"), fmt.p_value),
                    *(cell(row.get(key), fmt.count) for key in ("n_events", "n")),
                    *(Cell(str(row.get(key) or fmt.DASH)) for key in ("compared_with", "controls_for")),
                    Cell(str(row.get("note") or "")),
                ]
            )
    columns = [
        Column("Detector", kind="text"),
        Column("Horizon", kind="text"),
        Column("Test", kind="text"),
        Column("Estimate", "95 % interval"),
        Column("No effect", "estimate then"),
        Column("p"),
        Column("n events"),
        Column("n rows"),
        Column("Compared with", kind="text"),
        Column("Controls for", kind="text"),
        Column("Note", kind="text"),
    ]
    return Table("ladder-table", "Every test at the horizon of the verdict, from naive to the deciding one", columns, rows)


def surrogate_table(results: Mapping[str, Any]) -> Table | None:
    """t of the data and of the surrogates, with p before and after adjustment; None without surrogates."""
    if not has_surrogates(results):
        return None
    drawn, forecasts = results["surrogates"], forecasts_decide(results)
    rows = []
    for name in detectors_by_verdict(results):
        for horizon, moves in (results["detectors"][name].get("forward") or {}).items():
            rows.append(
                [
                    header(name),
                    Cell(horizon),
                    cell(moves.get("path_effect"), fmt.ratio),
                    *(
                        cell(((drawn.get(key) or {}).get(name) or {}).get(horizon), fmt.ratio)
                        for key in ("t", "t_surrogate_mean", "t_surrogate_std")
                    ),
                    # Results of before have the q of the surrogates under "q".
                    *(cell(moves.get(key), fmt.p_value) for key in ("p_surrogate", "q_surrogate" if forecasts else "q")),
                    cell(moves.get("n_events"), fmt.count),
                ]
            )
    columns = [
        Column("Detector", kind="text"),
        Column("Horizon", kind="text"),
        Column("Path ratio", "beyond surrogates"),
        Column("t", "data"),
        Column("t", "surrogates, mean"),
        Column("t", "surrogates, spread"),
        Column("p", "surrogates"),
        Column("q", "family-wise"),
        Column("n events"),
    ]
    caption = f"The surrogate test at every horizon, against n = {fmt.count(drawn['n'])} histories with volatility alone"
    return Table("surrogate-table", caption, columns, rows)


def families(results: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Each volatility model of the surrogates, and the symbols that it was fitted to."""
    by_family: dict[str, list[str]] = {}
    for symbol, family in ((results.get("surrogates") or {}).get("family") or {}).items():
        by_family.setdefault(str(family), []).append(str(symbol))
    return [(family, ", ".join(symbols)) for family, symbols in by_family.items()]


def lead_table(results: Mapping[str, Any]) -> Table | None:
    """Estimated lead of each detector; None without a lead-lag analysis."""
    curves = results.get("lead_lag") or {}
    rows = [
        [
            header(name),
            cell(curves[name].get("lead"), fmt.count, fmt.interval(curves[name].get("lead_ci"), fmt.count)),
            cell(curves[name].get("p"), fmt.p_value),
            cell(curves[name].get("n_events"), fmt.count),
            Cell(str(curves[name].get("reason") or "")),
        ]
        for name in detectors_by_verdict(results)
        if name in curves
    ]
    columns = [
        Column("Detector", kind="text"),
        Column("Lead in bars", "95 % interval"),
        Column("p", "no offset differs"),
        Column("n events"),
        Column("Note", kind="text"),
    ]
    caption = "Bars from the alert to the rise of activity; if negative, the alert comes after the rise"
    return Table("lead-table", caption, columns, rows) if rows else None


def activity_table(results: Mapping[str, Any]) -> Table | None:
    """Activity of every detector at every offset; None without a lead-lag analysis."""
    curves = results.get("lead_lag") or {}
    names = [name for name in detectors_by_verdict(results) if name in curves]
    at = {name: {offset: place for place, offset in enumerate(curves[name]["offsets"])} for name in names}

    def activity(name: str, offset: int) -> Cell:
        place = at[name].get(offset)
        low, middle, high = (None if place is None else curves[name][key][place] for key in ("low", "activity", "high"))
        return cell(middle, fmt.ratio, fmt.interval([low, high]))

    rows = [
        [cell(offset, fmt.count), *(activity(name, offset) for name in names)]
        for offset in sorted({offset for places in at.values() for offset in places})
    ]
    columns = [Column("Offset", "bars"), *(Column(name, "95 % band") for name in names)]
    return Table("activity-table", "Activity by bars from the alert; 1.0 is the usual level", columns, rows) if rows else None


def calibration_table(results: Mapping[str, Any]) -> Table | None:
    """Size and power of the surrogate test on simulated histories, size first; None if not measured."""
    measured = sorted(results.get("calibration") or [], key=lambda row: (row["effect"], row["n_bars"]))
    rows = []
    for row in measured:
        size = row["effect"] == 1
        rows.append(
            [
                header(LAWS.get(row["null"], str(row["null"]))),
                Cell(str(row["watches"])),
                Cell("size" if size else "power"),
                cell(row["effect"], lambda value: "none" if value == 1 else fmt.ratio(value) + "×"),
                *(cell(row[key], fmt.count) for key in ("n_bars", "horizon", "n_events", "n_histories", "n_surrogates")),
                cell(row["found"], fmt.percent, fmt.interval([row["low"], row["high"]], fmt.percent)),
                cell(row["found_naive"], fmt.percent),
            ]
        )
    columns = [
        Column("Law of volatility", kind="text"),
        Column("Detector watches", kind="text"),
        Column("Measured", kind="text"),
        Column("Planted", "effect on returns"),
        Column("Bars"),
        Column("Horizon", "bars"),
        Column("Events", "mean"),
        Column("n histories"),
        Column("n surrogates"),
        Column("Information found", "at 5 %, 95 % interval"),
        Column("By the naive test", "at 5 %"),
    ]
    caption = "The test on one simulated symbol with a z-score detector: size without a planted effect, power with one"
    return Table("calibration", caption, columns, rows) if rows else None


def calibration_sentence(results: Mapping[str, Any]) -> str:
    """Sentence on the false positives of the surrogate test and of the naive test; empty if not measured."""
    sizes = [row for row in results.get("calibration") or [] if row["effect"] == 1]
    if not sizes:
        return ""
    ours, naive = (_range([row[key] for row in sizes]) for key in ("found", "found_naive"))
    return (
        f"If there is nothing to find, the surrogate test still finds something in {ours} of simulated histories, depending on "
        f"the law of volatility (5 % is the target); the naive test does in {naive}."
    )


def _range(shares: list[float]) -> str:
    low, high = fmt.percent(min(shares)), fmt.percent(max(shares))
    return low if low == high else f"{low} to {high}"
