"""Comparison of detectors by year, asset and regime, within one study and between studies."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from foreshock.comparison.rankings import rank_comparisons, slice_ranks, with_q
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.show.shown import one_line
from foreshock.data.system.disk import written_together
from foreshock.data.system.parsed import parse_json, read_limited
from foreshock.engine.validation.moves.slices import RANKED, by_forecast, slice_figures
from foreshock.plain import plain, versions
from foreshock.reports.study.order import decisive, detectors_by_verdict, forecasts_decide, verdict_rank
from foreshock.study.content import SCHEMA_VERSION
from foreshock.study.files.manifest import as_written, check_of_run, read_manifest
from foreshock.study.identities import with_identities
from foreshock.terminal import print_table

NEEDED = ("data", "config", "detectors", "slices", "rank_stability", "agreement")
MODELS_VERSION = 1
# Figures of two studies that are compared at one horizon: short name and key in results.json.
BESIDE = {"matched": "matched_ratio", "ci": "ci", "effect": "expected_ratio", "effect_ci": "expected_ci", "q": "q", "n": "n_events"}


def load_results(folder: Path) -> dict[str, Any]:
    """The results of a study from the folder that ``foreshock run`` wrote.

    Raises
    ------
    DataError
        If there is no results.json, it has another version, it was changed, or two runs are mixed in the folder.
    """
    path = folder / "results.json"
    if folder.is_file():
        raise DataError(f"{folder} is not a study; pass a folder that foreshock run wrote, or a study file that ends in .toml")
    missing = f"no results.json in {folder}; pass a folder that foreshock run wrote, or a study file"
    digests = read_manifest(folder)
    results = _read_json(path, missing, "run the study again")
    if not isinstance(results, dict) or results.get("version") != SCHEMA_VERSION or any(key not in results for key in NEEDED):
        raise DataError(f"{path} is not a results file of version {SCHEMA_VERSION}; run the study again")
    check_of_run(path, digests)
    with as_written(path):
        # What every reader needs first.
        with_identities(results)
    return results


def load_models(path: Path) -> dict[str, Any]:
    """The comparison of models that ``foreshock benchmark models --out`` wrote.

    Raises
    ------
    DataError
        If there is no such file, or it has another version.
    """
    missing = f"no such file: {path}; foreshock benchmark models --out {path.name} writes one"
    found = _read_json(path, missing, "write it again")
    if not isinstance(found, dict) or found.get("version") != MODELS_VERSION or not {"data", "rows"} <= found.keys():
        said = "foreshock benchmark models --out writes one"
        raise DataError(f"{path} is not a comparison of models of version {MODELS_VERSION}; {said}")
    return found


def _read_json(path: Path, missing: str, remedy: str) -> Any:
    try:
        return parse_json(read_limited(path))
    except FileNotFoundError as error:
        raise DataError(missing) from error
    except ValueError as error:
        raise DataError(f"{path} is not JSON: {one_line(str(error), 160)}; {remedy}") from error


def comparison(studies: Mapping[str, Mapping[str, Any]], models: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The content of comparison.json: each study's table by slice, stability and agreement, and the differences between studies.

    Parameters
    ----------
    studies : dict of str to dict
        Contents of results.json by name of the study.
    models : dict, optional
        A comparison of models to include; see ``load_models``.

    Raises
    ------
    ConfigError
        If ``studies`` is empty.
    """
    if not studies:
        raise ConfigError("nothing to compare, got no study; pass at least one study file or folder")
    studies = {name: with_identities(results) for name, results in studies.items()}
    return plain(
        {
            "version": SCHEMA_VERSION,
            "studies": {name: _study(results) for name, results in studies.items()},
            "changes": changes(studies),
            "config_changes": config_changes(studies),
            "models": models,
            "versions": versions(),
        }
    )


def _study(results: Mapping[str, Any]) -> dict[str, Any]:
    order = detectors_by_verdict(results)
    slices, cells = with_q([row for row in results["slices"] if row["detector"] in order])
    detectors = {label: results["detectors"][label] for label in order}
    return {
        "data": results["data"],
        "config": results["config"],
        "roles": {label: entry["role"] for label, entry in detectors.items()},
        "verdicts": {label: entry["verdict"] for label, entry in detectors.items()},
        "horizons": {label: decisive(entry)[0] for label, entry in detectors.items()},
        "judged_by": "forecasts" if forecasts_decide(results) else "an earlier test",
        "slices_by": "forecast" if any(map(by_forecast, slices)) else "matched",
        "slices": sorted(slices, key=lambda row: order.index(row["detector"])),
        "cells": cells,
        "ranks": slice_ranks(results["slices"]),
        "rank_comparison": rank_comparisons(results["slices"]),
        "stability": {by: mean_tau(results["rank_stability"], by) for by in RANKED},
        "rank_stability": results["rank_stability"],
        "agreement": {label: {other: results["agreement"][label][other] for other in order} for label in order},
        "seeds": results.get("seeds"),
        "versions": results.get("versions"),
    }


def save_comparison(content: Mapping[str, Any], folder: str | Path, command: str = "foreshock compare STUDY_OR_DIR...") -> Path:
    """Write ``comparison.json`` and ``report.html`` into a folder; earlier files stay until both new ones are complete."""
    from foreshock.reports.comparison.page import ComparisonReport

    folder = Path(folder)
    with written_together(folder, ("comparison.json", "report.html")) as parts:
        parts["comparison.json"].write_text(json.dumps(content, indent=1, allow_nan=False), encoding="utf-8")
        parts["report.html"].write_bytes(ComparisonReport(content, command).to_html().encode())
    return folder


def mean_tau(pairs: Sequence[Mapping[str, Any]], by: str) -> dict[str, Any]:
    """Mean of Kendall's tau over the pairs of slices of a kind, and the number of pairs."""
    taus = [pair["tau"] for pair in pairs if pair["by"] == by and pair["tau"] is not None and not np.isnan(pair["tau"])]
    return {"mean_tau": float(np.mean(taus)) if taus else None, "n_pairs": len(taus)}


def changes(studies: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each detector of a later study compared with the first study: verdicts with their horizons, and figures at one of these.

    The figures of both are those at the horizon of the stronger verdict, of the first study if both are as strong; where a study
    lacks it, at that of the other, or else at the longest that both have.
    """
    names = list(studies)
    rows = []
    for name in names[1:]:
        for label, entry in studies[name]["detectors"].items():
            before = studies[names[0]]["detectors"].get(label)
            if before is None:
                continue
            by_strength = sorted((before, entry), key=lambda found: verdict_rank(found["verdict"]))
            wanted = [decisive(found)[0] for found in by_strength] + list(reversed(entry["forward"]))
            horizon = next((h for h in wanted if h in before["forward"] and h in entry["forward"]), None)
            moves = [found["forward"][horizon] if horizon else {} for found in (before, entry)]
            rows.append(
                {
                    "detector": label,
                    "first": names[0],
                    "second": name,
                    "verdict_first": before["verdict"],
                    "verdict_second": entry["verdict"],
                    "verdict_horizon_first": decisive(before)[0],
                    "verdict_horizon_second": decisive(entry)[0],
                    "horizon": horizon,
                }
                | {
                    f"{short}_{place}": found.get(key)
                    for short, key in BESIDE.items()
                    for place, found in zip(("first", "second"), moves, strict=True)
                }
            )
    return rows


def config_changes(studies: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Keys of configuration and data whose values differ from the first study; a value is None where a study lacks the key."""
    names = list(studies)
    settings = {name: dict(_flat({"data": results["data"], **results["config"]})) for name, results in studies.items()}
    first = settings[names[0]]
    return [
        {"key": key, "first": names[0], "second": name, "value_first": first.get(key), "value_second": settings[name].get(key)}
        for name in names[1:]
        for key in dict.fromkeys([*first, *settings[name]])
        if first.get(key) != settings[name].get(key)
    ]


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def by_slice(slices: Sequence[Mapping[str, Any]], by: str) -> tuple[list[str], dict[str, list[Mapping[str, Any] | None]]]:
    """Slice names in order, and for each detector its row in every slice, None where it has no row."""
    names = list(dict.fromkeys(row["slice"] for row in slices if row["by"] == by))
    found = {(row["detector"], row["slice"]): row for row in slices if row["by"] == by}
    labels = list(dict.fromkeys(row["detector"] for row in slices))
    return names, {label: [found.get((label, name)) for name in names] for label in labels}


def print_comparison(content: Mapping[str, Any]) -> None:
    """Print the tables of every study (ratio by slice, ranking stability, agreement), then changes between studies."""
    for study, found in content["studies"].items():
        ratio = "activity beyond the forecast" if found["slices_by"] == "forecast" else "volatility-matched ratio"
        for by, stability in found["stability"].items():
            names, table = by_slice(found["slices"], by)
            mean, n_pairs = stability["mean_tau"], stability["n_pairs"]
            tau = "not known" if mean is None else f"{mean:+.2f} over {n_pairs} pairs"
            rows = [(label, _horizon(cells), *map(_ratio, cells)) for label, cells in table.items()]
            title = f"{study}: {ratio} by {by} (events); mean Kendall's tau {tau}"
            print_table(title, ("detector", "over", *names), rows)
        labels = list(found["agreement"])
        share = [(label, *(_number(found["agreement"][label][other]) for other in labels)) for label in labels]
        print_table(f"{study}: share of a detector's alerts that another raised too, within a bar", ("detector", *labels), share)
    rows = [
        (
            row["detector"],
            f"{row['verdict_first']} → {row['verdict_second']}",
            row["horizon"] or "–",
            f"{_number(row['effect_first'])} → {_number(row['effect_second'])}",
            f"{_number(row['matched_first'])} → {_number(row['matched_second'])}",
        )
        for row in content["changes"]
    ]
    if rows:
        print_table("Against the first study", ("detector", "verdict", "over", "beyond the forecast", "matched ratio"), rows)


def _horizon(cells: Sequence[Mapping[str, Any] | None]) -> str:
    return next((row["horizon"] for row in cells if row is not None), "–")


def _ratio(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return "–"
    figures = slice_figures(row)
    return "–" if figures.ratio is None else f"{figures.ratio:.2f} ({figures.n_events})"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
