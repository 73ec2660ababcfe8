"""Files of a scan: the tables, the page, and a bundle of evidence for each case."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from foreshock.data.interval import format_duration
from foreshock.data.labels import DISPOSITIONS
from foreshock.data.system.disk import written_together
from foreshock.plain import bars_section, plain, versions
from foreshock.study.cases.known import Known
from foreshock.study.cases.scan import Scan
from foreshock.study.files.alerts import iso_times, write_alerts

if TYPE_CHECKING:
    from foreshock.study.config import StudyConfig

VERSION = 1
EVIDENCE, MANIFEST = "evidence", "manifest.json"
# Cases that get a chart, and the most points of its line.
STRONGEST, N_POINTS = 10, 400


def save_scan(found: Scan, folder: Path, command: str, again: Mapping[str, Any]) -> int:
    """Write ``cases.csv``, ``alerts.csv``, ``cases.html`` and a bundle for each case; returns how many other bundles stood there.

    A bundle is complete when it is there, and bundles of other cases are left alone: an analyst may have put notes beside them.

    Parameters
    ----------
    found : Scan
    folder : Path
        Made if it does not exist.
    command : str
        Command that makes the files again.
    again : dict
        What else that takes, for the manifests; see ``made_of``.
    """
    from foreshock.reports.cases.page import CasesReport

    evidence = folder / EVIDENCE
    for case in range(len(found.cases)):
        _write_bundle(found, case, evidence, command, again)
    page = CasesReport(scan_content(found), command).to_html()
    with written_together(folder, ("alerts.csv", "cases.csv", "cases.html")) as parts:
        write_alerts(found.alerts, str(parts["alerts.csv"]))
        _dated(found.cases).to_csv(parts["cases.csv"], index=False)
        parts["cases.html"].write_bytes(page.encode())
    own = set(found.cases["case_id"])
    return sum(path.is_dir() and path.name not in own for path in evidence.iterdir()) if evidence.is_dir() else 0


def _write_bundle(found: Scan, case: int, evidence: Path, command: str, again: Mapping[str, Any]) -> None:
    row = found.cases.iloc[case]
    first, last = span_of(found, row)
    kind, raw = found.source.raw_rows(row["symbol"], first, last)
    name = f"{kind}.parquet"
    with written_together(evidence / row["case_id"], (name, MANIFEST)) as parts:
        raw.to_parquet(parts[name], index=False, compression="zstd")
        file = {
            "sha256": hashlib.sha256(parts[name].read_bytes()).hexdigest(),
            "kind": kind,
            "n_rows": len(raw),
            **dict(zip(("from", "before"), iso_times(pd.Series([first, last])), strict=True)),
        }
        content = {
            "version": VERSION,
            "case": _dated(found.cases.iloc[[case]]).to_dict("records")[0],
            "alerts": _dated(found.alerts[found.of_alert == case]).to_dict("records"),
            "files": {name: file},
            "study": {"digest": found.digest, "title": found.title, **found.study},
            "data": bars_section(found.bars),
            "again": {"command": command, **again},
            "versions": versions(),
        }
        text = json.dumps(plain(content), indent=1, allow_nan=False, ensure_ascii=False)
        parts[MANIFEST].write_text(text + "\n", encoding="utf-8")


def _dated(table: pd.DataFrame) -> pd.DataFrame:
    """The table with its times as text."""
    return table.assign(**{name: iso_times(table[name]) for name in ("time", "start", "stop") if name in table})


def span_of(found: Scan, row: pd.Series) -> tuple[np.datetime64, np.datetime64]:
    """Times that a case's evidence covers: from one cool-down before it to the longest horizon after it."""
    start, stop = (np.datetime64(row[name], "us") for name in ("start", "stop"))
    return start - found.cooldown, stop + found.horizon


def made_of(config: StudyConfig, study: Path, data: Path | None) -> dict[str, Any]:
    """What a scan was made of: the study file with its text, and the hash of each file that it read.

    Files are named as the study names them, or by their last name where the path was passed beside it.
    """
    section = config.source or config.data
    read = {data.name: data} if data is not None else {}
    if data is None and section.path is not None:
        read[str(section.path)] = study.parent / section.path
    if config.source is not None and config.source.prices is not None:
        read[config.source.prices] = study.parent / config.source.prices
    read |= {name: study.parent / name for name in config.files}
    return {
        "study_file": {"name": study.name, "sha256": _sha256(study), "text": study.read_text(encoding="utf-8")},
        "inputs": {name: digest for given, path in read.items() for name, digest in _hashes(given, path)},
    }


def _hashes(given: str, path: Path) -> list[tuple[str, str]]:
    if path.is_dir():
        return [(f"{given}/{file.name}", _sha256(file)) for file in sorted(path.iterdir()) if file.is_file()]
    return [(given, _sha256(path))] if path.is_file() else []


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def scan_content(found: Scan) -> dict[str, Any]:
    """What the page shows, in JSON types: fractions, no NaN, times in ISO 8601."""
    strength = found.cases["tail_probability"].astype(float)
    # Among equally rare ones, the one with more alerts comes first.
    ranked = found.cases.iloc[np.lexsort((-found.cases["n_alerts"].to_numpy(int), strength.fillna(np.inf).to_numpy()))]
    detectors = found.alerts["detector"].to_numpy()
    return plain(
        {
            "version": VERSION,
            "title": found.title,
            "study": {"digest": found.digest, **found.study},
            "data": {**bars_section(found.bars), "scanned_from": str(found.first)},
            "cooldown": format_duration(found.cooldown),
            "detectors": {
                label: {
                    "n_scored": n,
                    "n_alerts": int((detectors == label).sum()),
                    "n_cases": len(np.unique(found.of_alert[detectors == label])),
                }
                for label, n in found.n_scored.items()
            },
            "n_alerts": len(found.alerts),
            "known": None if found.known is None else _known(found.known),
            "cases": [_plain_case(row) for row in ranked.to_dict("records")],
            "strongest": [_picture(found, at, row) for at, row in ranked.head(STRONGEST).iterrows()],
            "versions": versions(),
        }
    )


def _plain_case(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {**row, "start": str(np.datetime64(row["start"], "us")), "stop": str(np.datetime64(row["stop"], "us"))}


def _known(known: Known) -> dict[str, Any]:
    """How many cases the labels call what, and the labelled events with the case that holds each."""
    said = {word: known.disposition.count(word) for word in DISPOSITIONS}
    return {"cases": said | {"not known": known.disposition.count("")}, "events": _dated(known.events).to_dict("records")}


def _picture(found: Scan, case: Any, row: pd.Series) -> dict[str, Any]:
    """Closes around a case, thinned to ``N_POINTS``, and those of the rows that alerted."""
    bars, col = found.bars, found.bars.symbols.index(row["symbol"])
    first, last = span_of(found, row)
    rows = np.arange(*np.searchsorted(bars.time, [first, last]))
    shown = rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), N_POINTS)).round().astype(int))]
    alerts = found.alerts[found.of_alert == case]
    at = np.unique(np.searchsorted(bars.time, alerts["time"].to_numpy(dtype="datetime64[us]")))
    return {
        "case_id": row["case_id"],
        "time": np.datetime_as_string(bars.time[shown], unit="s"),
        "close": bars.close[shown, col],
        "n_rows": len(rows),
        "alert_time": np.datetime_as_string(bars.time[at], unit="s"),
        "alert_close": bars.close[at, col],
        "alert_detectors": [", ".join(alerts.loc[alerts["time"].to_numpy() == bars.time[k], "detector"]) for k in at],
    }
