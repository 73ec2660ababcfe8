"""Tables of how well detectors find labelled events: metrics, kinds of events, what an analyst said, and pairs of detectors."""

from collections.abc import Mapping
from typing import Any

from foreshock.reports.parts import format as fmt
from foreshock.reports.parts.tables import Cell, Column, Table, cell, header, words
from foreshock.reports.study.order import detectors_by_verdict
from foreshock.reports.study.tables import DETECTOR_ROLES
from foreshock.reports.study.tables import detection_table as earlier_table


def _share(value: float | None) -> str:
    return fmt.percent(value, 0)


def _delay(value: float | None) -> str:
    """Seconds in the largest unit of which there is one."""
    if value is None or not fmt.known(value):
        return fmt.DASH
    unit, size = next((one for one in (("d", 86_400), ("h", 3_600), ("min", 60)) if abs(value) >= one[1]), ("s", 1))
    return f"{fmt.number(value / size)}{fmt.UNIT_SPACE}{unit}"


# Key, label, and how its values are written.
METRICS = (
    ("recall", "Recall", _share),
    ("precision", "Precision", fmt.percent),
    ("f1", "F1", fmt.ratio),
    ("median_delay_s", "Delay", _delay),
    ("false_per_day", "False alarms", fmt.ratio),
    ("auc_pr", "AUC-PR", fmt.ratio),
    ("vus_pr", "VUS-PR", fmt.ratio),
)
BELOW = {"median_delay_s": "median", "false_per_day": "a day"}
COMPARED = {"recall": "Recall", "precision": "Precision", "f1": "F1", "auc_pr": "AUC-PR", "vus_pr": "VUS-PR"}


def detection_sentence(results: Mapping[str, Any]) -> str:
    """What was labelled and how it was counted, or why nothing could be measured; empty without labels."""
    found = results.get("labels") or {}
    if not found:
        return ""
    kinds = ", ".join(f"{fmt.count(n)} {kind}" for kind, n in found["kinds"].items())
    said = {name: n for name, n in found["dispositions"].items() if n and name != "true"}
    others = "".join(f", {fmt.count(n)} {name}" for name, n in said.items())
    first = f"There are {fmt.count(found['n'])} labels ({kinds}{others})"
    if found["reason"]:
        return f"{first}, and none could be looked for: {found['reason']}."
    return (
        f"{first}; {fmt.counted(found['n_counted'], 'event')} lie in rows that were judged. An event is caught by an alert within "
        f"it, and counts once. A false alarm silences further ones of its symbol for {found['cooldown']}."
    )


def detection_table(results: Mapping[str, Any]) -> Table | None:
    """Every metric of every detector with its interval and the value that chance achieves; None without labels."""
    names = [name for name in detectors_by_verdict(results) if (results["detectors"][name].get("detection") or {})]
    if not any("recall_ci" in results["detectors"][name]["detection"] for name in names):
        return earlier_table(results)
    rows = []
    for name in names:
        found = results["detectors"][name]["detection"]
        cells = [header(name, DETECTOR_ROLES[results["detectors"][name]["role"]])]
        for key, _, write in METRICS:
            chance = found.get(f"{key}_chance")
            beside = f"; {write(chance)}" if fmt.known(chance) else ""
            cells.append(cell(found.get(key), write, fmt.interval(found.get(f"{key}_ci"), write) + beside))
        cells += [cell(found.get("n_caught"), fmt.count, f"of {fmt.count(found.get('n_events'))}")]
        rows.append([*cells, cell(found.get("n_false"), fmt.count)])
    columns = [
        Column("Detector", kind="text"),
        *(Column(label, BELOW.get(key, "")) for key, label, _ in METRICS),
        Column("n caught", "of events"),
        Column("n false"),
    ]
    return Table(
        "detection", "Detection of the labelled events; chance is what as many alerts at random times achieve", columns, rows
    )


def kinds_table(results: Mapping[str, Any]) -> Table | None:
    """Recall of each kind of event; None if there are not several."""
    names = [name for name in detectors_by_verdict(results) if (results["detectors"][name].get("detection") or {}).get("by_kind")]
    kinds = list(dict.fromkeys(kind for name in names for kind in results["detectors"][name]["detection"]["by_kind"]))
    if len(kinds) < 2:
        return None
    rows = []
    for name in names:
        found = results["detectors"][name]["detection"]["by_kind"]
        cells = [header(name)]
        for kind in kinds:
            own = found.get(kind) or {}
            beside = f"{fmt.interval(own.get('recall_ci'), fmt.percent)}, n {fmt.count(own.get('n_events'))}"
            cells.append(cell(own.get("recall"), fmt.percent, beside))
        rows.append(cells)
    columns = [Column("Detector", kind="text"), *(Column(kind, "recall, 95 % interval") for kind in kinds)]
    return Table("detection-kinds", "Recall of each kind of event", columns, rows)


def said_table(results: Mapping[str, Any]) -> Table | None:
    """How many alerts of each detector a label calls true, false or unsure; None if all labels are true."""
    found = {
        name: results["detectors"][name]["detection"]["alerts_said"]
        for name in detectors_by_verdict(results)
        if (results["detectors"][name].get("detection") or {}).get("alerts_said")
    }
    if not found:
        return None
    rows = [
        [
            header(name),
            *(cell(said[key], fmt.count) for key in ("true", "false", "unsure")),
            cell(said.get("share_true"), fmt.percent, fmt.interval(said.get("share_true_ci"), fmt.percent)),
        ]
        for name, said in found.items()
    ]
    columns = [
        Column("Detector", kind="text"),
        *(Column(words(key), "alerts") for key in ("true", "false", "unsure")),
        Column("Share true", "of those decided, 95 % interval"),
    ]
    return Table("detection-said", "Alerts that lie in a label, by what it says", columns, rows)


def pairs_table(results: Mapping[str, Any]) -> Table | None:
    """The detectors compared in pairs; None without labels."""
    pairs = results.get("detection_pairs") or []
    if not pairs:
        return None
    rows = []
    for pair in pairs:
        write = fmt.percent if pair["metric"] in ("recall", "precision") else fmt.ratio
        rows.append(
            [
                header(pair["first"]),
                Cell(pair["second"], sort=pair["second"]),
                Cell(COMPARED[pair["metric"]], sort=pair["metric"]),
                *(cell(pair[key], write) for key in ("value_first", "value_second")),
                cell(pair["difference"], write, fmt.interval([pair["low"], pair["high"]], write)),
                cell(pair["p"], fmt.p_value),
                cell(pair["p_adjusted"], fmt.p_value),
                *(cell(pair[key], fmt.count) for key in ("only_first", "only_second", "n_events")),
            ]
        )
    columns = [
        Column("First", kind="text"),
        Column("Second", kind="text"),
        Column("Metric", kind="text"),
        Column("First"),
        Column("Second"),
        Column("Difference", "95 % interval"),
        Column("p", "two-sided"),
        Column("p", "adjusted, Holm"),
        Column("Only first", "events caught"),
        Column("Only second", "events caught"),
        Column("n events"),
    ]
    return Table(
        "detection-pairs", "Detectors compared in pairs on the same events and the same draws of blocks of time", columns, rows
    )
