"""The tables of the page of cases."""

from collections.abc import Mapping
from typing import Any

from foreshock.reports.parts import format as fmt
from foreshock.reports.parts.tables import Cell, Column, Table, cell, header

# Cases on the page; all of them stand in cases.csv.
MOST_CASES = 200
LEAST_TAIL = 1e-9
DRIVERS = ("driver_1", "driver_2", "driver_3")


def cases_table(content: Mapping[str, Any]) -> Table:
    """The cases, the one with the smallest tail probability first."""
    cases = content["cases"]
    shown = cases[:MOST_CASES]
    rest = f", the first {MOST_CASES} of {fmt.count(len(cases))}" if len(cases) > len(shown) else ""
    horizons = move_names(content)
    columns = [
        Column("Case", kind="text"),
        Column("From and to", "UTC"),
        Column("Detectors", kind="text"),
        Column("Alerts"),
        Column("Tail probability"),
        Column("Score"),
        Column("Price change"),
        Column("Value traded", "times the usual"),
        Column("Drivers", kind="text"),
        *([Column("Label", kind="text")] if content["known"] is not None else []),
        *(Column("Move after", name, "number") for name in horizons),
    ]
    return Table("cases", f"Cases by tail probability{rest}", columns, [_row(case, horizons) for case in shown])


def _row(case: Mapping[str, Any], horizons: list[str]) -> list[Cell]:
    drivers = ", ".join(case[name] for name in DRIVERS if case[name])
    return [
        Cell(case["symbol"], case["case_id"], case["symbol"]),
        Cell(fmt.moment(case["start"]), fmt.moment(case["stop"]), case["start"]),
        cell(case["detectors"], str),
        cell(case["n_alerts"], fmt.count),
        cell(case["tail_probability"], tail, case["rarest_detector"]),
        cell(case["largest_score"], fmt.number),
        cell(case["price_change"], signed_percent),
        cell(case["value_ratio"], fmt.ratio),
        cell(drivers or None, lambda text: text or fmt.DASH),
        *([cell(case["disposition"] or None, lambda text: text or fmt.DASH, case["label"])] if "disposition" in case else []),
        *(cell(case[f"move_{name}"], signed_percent) for name in horizons),
    ]


def detectors_table(content: Mapping[str, Any]) -> Table:
    """Alerts of each detector."""
    rows = [
        [
            header(label),
            cell(entry["n_scored"], fmt.count),
            cell(entry["n_alerts"], fmt.count),
            cell(entry["n_alerts"] / entry["n_scored"] if entry["n_scored"] else None, lambda share: fmt.percent(share, 2)),
            cell(entry["n_cases"], fmt.count),
        ]
        for label, entry in content["detectors"].items()
    ]
    columns = [Column("Detector", kind="text"), Column("Rows scored"), Column("Alerts"), Column("Share"), Column("Cases")]
    return Table("detectors", "Alerts of each detector", columns, rows)


def events_table(content: Mapping[str, Any]) -> Table | None:
    """The labelled events, those that no case caught first; None without labels."""
    if content["known"] is None or not content["known"]["events"]:
        return None
    events = sorted(content["known"]["events"], key=lambda event: (bool(event["case_id"]), event["start"]))
    columns = [
        Column("Event", kind="text"),
        Column("From and to", "UTC"),
        Column("Symbol", kind="text"),
        Column("Case", kind="text"),
        Column("Note", kind="text"),
    ]
    rows = [
        [
            Cell(event["kind"], sort=event["kind"]),
            Cell(fmt.moment(event["start"]), fmt.moment(event["stop"]), event["start"]),
            cell(event["symbol"], str),
            cell(event["case_id"] or None, lambda text: text or "no case"),
            cell(event["note"] or None, lambda text: text or fmt.DASH),
        ]
        for event in events
    ]
    return Table("events", "Labelled events and the case of each", columns, rows)


def move_names(content: Mapping[str, Any]) -> list[str]:
    """Horizons of the moves, in the order of the study."""
    cases = content["cases"]
    return [name.removeprefix("move_") for name in cases[0] if name.startswith("move_")] if cases else []


def tail(value: float | None) -> str:
    """A tail probability; below 1e-9, where no tail that was fitted is known so well, only as smaller.

    >>> tail(0.0042), tail(1e-300), tail(None)
    ('0.0042', '< 1e-9', '–')
    """
    return "< 1e-9" if value is not None and value < LEAST_TAIL else fmt.number(value)


def signed_percent(value: float | None) -> str:
    """A fraction as percent with its sign.

    >>> signed_percent(0.0421), signed_percent(-0.01), signed_percent(None)
    ('+4.21\u202f%', '−1.00\u202f%', '–')
    """
    return ("+" if value is not None and value > 0 else "") + fmt.percent(value, 2)
