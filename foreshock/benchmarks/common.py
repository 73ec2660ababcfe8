"""Functions that the labelled benchmarks share: rows, the printed table and the file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from foreshock.data.labels import Labels
from foreshock.data.system.disk import written_together
from foreshock.engine.detection import METRICS, DetectionReport
from foreshock.terminal import print_table

FILE, LABELS = "benchmark.json", "labels.csv"
# The keys that distinguish the rows of one detector.
KEYS = ("series", "kind", "size", "window_s")
FIGURES = (*METRICS, "vus_pr_lift", "vus_pr_all_rows")
INTERVALS_SHOWN = ("recall", "vus_pr")
# Rates of false alerts per day at which a curve is printed; the file has every point.
CURVE_RATES = (0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.0)
HEADINGS = {
    "window_s": "window",
    "false_per_day": "false/day",
    "median_delay_s": "delay",
    "auc_pr": "AUC-PR",
    "vus_pr": "VUS-PR",
    "vus_pr_lift": "lift",
    "vus_pr_all_rows": "all rows",
    "f1": "F1",
}


def report_row(detector: str, report: DetectionReport, **keys: Any) -> dict[str, Any]:
    return {"detector": detector, **keys, "published": False, **report.row()}


def published_row(detector: str, source: str, vus_pr: float, **keys: Any) -> dict[str, Any]:
    """A row of a figure published by others; metrics that they did not publish are None."""
    return {"detector": detector, **keys, "published": True, "source": source, **dict.fromkeys(METRICS), "vus_pr": vus_pr}


def save_benchmark(name: str, result: Mapping[str, Any], folder: Path) -> Path:
    """Write ``benchmark.json`` and, where events are labelled, ``labels.csv``, which ``fs.read_labels`` reads.

    Earlier files stay until the new ones are complete.
    """
    from foreshock.plain import plain, versions

    labels = result.get("labels")
    there = {"labels": LABELS} if isinstance(labels, Labels) else {}
    with written_together(folder, [FILE, *there.values()]) as partial:
        content = plain({"benchmark": name, **result, **there, "versions": versions()})
        partial[FILE].write_text(json.dumps(content, indent=1, allow_nan=False), encoding="utf-8")
        if isinstance(labels, Labels):
            labels.to_frame().to_csv(partial[LABELS], index=False)
    return folder / FILE


def print_rows(title: str, rows: Sequence[Mapping[str, Any]], figures: Sequence[str] = FIGURES) -> None:
    """Print a table with one line for each row; an asterisk marks published figures. ``lift`` is VUS-PR over chance."""
    keys = [key for key in KEYS if len({row.get(key) for row in rows}) > 1]
    shown = [name for name in figures if any(row.get(name) is not None for row in rows)]
    body = []
    for row in rows:
        label = f"{row['detector']}{' *' if row.get('published') else ''}"
        body.append((label, *(str(row.get(key) or "") for key in keys), *(_cell(row, name) for name in shown)))
    headings = [HEADINGS.get(name, name) for name in ("detector", *keys, *shown)]
    print_table(title, headings, body, n_left=1 + sum(key != "window_s" for key in keys))
    if any(row.get("published") for row in rows):
        print("* published figures of others")  # noqa: T201


def print_recalls(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print the recall of each detector by kind and size of event."""
    groups = list(dict.fromkeys((row["kind"], row["size"]) for row in rows))
    body = []
    for detector in dict.fromkeys(row["detector"] for row in rows):
        own = {(row["kind"], row["size"]): row for row in rows if row["detector"] == detector}
        body.append((detector, *(f"{own[group]['recall']:.2f}" for group in groups)))
    print_table(title, ("detector", *((kind if size == "all" else size).replace("_", " ") for kind, size in groups)), body)


def print_curves(title: str, curves: Sequence[Mapping[str, Any]]) -> None:
    """Print, for each detector and window, the highest recall at each limit of false alerts per day, with the median delay."""
    body = []
    for one in curves:
        cells = []
        for rate in CURVE_RATES:
            allowed = [point for point in one["points"] if point["false_per_day"] <= rate]
            best = max(allowed, key=lambda point: (point["recall"], -point["false_per_day"]), default=None)
            cells.append("–" if best is None else f"{best['recall']:.2f} {_cell(best, 'median_delay_s')}")
        body.append((one["detector"], f"{one['window_s']} s", *cells))
    print_table(title, ("detector", "window", *(f"≤ {rate:g}/day" for rate in CURVE_RATES)), body)


def _cell(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if value is None or math.isnan(value):
        return "–"
    if name == "median_delay_s":
        return f"{value:.0f} s" if abs(value) < 600 else f"{value / 3600:.1f} h"
    if name == "vus_pr_lift":
        return f"{value:.1f}"
    low, high = row.get(f"{name}_ci") or (None, None)
    if name not in INTERVALS_SHOWN or low is None or math.isnan(low):
        return f"{value:.3f}"
    return f"{value:.3f} [{low:.2f}, {high:.2f}]"
