"""The page of a comparison: stability over periods, and changes between studies."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from foreshock.engine.validation.moves.slices import slice_figures
from foreshock.reports.comparison import figures, tables
from foreshock.reports.parts import format as fmt
from foreshock.reports.parts.page import Page, first_of
from foreshock.reports.parts.tables import settings_table
from foreshock.reports.study.order import is_finding

# Cells that a sentence names at most.
N_NAMED = 4


@dataclass(frozen=True)
class ComparisonReport(Page):
    """One self-contained HTML page about one study over time, or several studies compared.

    Parameters
    ----------
    content : dict
        Content of comparison.json: JSON types only, fractions, None where not known.
    command : str
        Command that makes the page again.
    title : str
        Heading of the page.
    """

    template: ClassVar[str] = "comparison.html.j2"

    content: Mapping[str, Any]
    command: str
    title: str = "Detectors through history"

    def headline(self) -> list[str]:
        """The findings in sentences: the first is the answer, the others qualify it."""
        return headline(self.content)

    def facts(self) -> list[tuple[str, str]]:
        """Facts about the data for the head of the page, as pairs of label and value."""
        return facts(self.content)

    def pieces(self) -> dict[str, Any]:
        """Further values of the template, besides title, headline, facts and command."""
        content = self.content
        studies = [_section(i, name, study) for i, (name, study) in enumerate(content["studies"].items())]
        changed = {"rows": tables.changes_table(content), "config": tables.config_table(content)} if len(studies) > 1 else None
        models = content["models"]
        return {
            "studies": studies,
            "changed": changed,
            "models": tables.models_table(models) if models else None,
            "models_data": settings_table("models-data", "What the models were compared on", _without(models, "rows"))
            if models
            else None,
            "versions": settings_table("versions", "Versions that compared them", content["versions"]),
            "beyond": tables.BEYOND,
        }


# Settings that change the meaning of a verdict.
TESTED_BY = {"data": "their data", "horizons": "their horizons"}


def headline(content: Mapping[str, Any]) -> list[str]:
    """The findings in sentences: all of them for one study; for several, the changes and the stability of each ranking."""
    studies = content["studies"]
    if len(studies) == 1:
        return sentences(next(iter(studies.values())))
    changes = content["changes"]
    moved = [row for row in changes if row["verdict_first"] != row["verdict_second"]]
    named = [f"{row['detector']} ({row['verdict_first']} → {row['verdict_second']} in {row['second']})" for row in moved]
    first = f"{fmt.count(len(moved))} of {fmt.counted(len(changes), 'verdict')} differ from those of {next(iter(studies))}" + (
        f": {first_of(named, N_NAMED)}." if moved else "."
    )
    unlike = sorted({row["key"].split(".")[0] for row in content["config_changes"]} & set(TESTED_BY))
    differing = [TESTED_BY[key] for key in unlike]
    if len({study["judged_by"] for study in studies.values()}) > 1:
        differing.append("their tests (some are from an earlier version)")
    said = f"The studies differ in {' and '.join(differing)}, so these verdicts cannot be compared directly."
    caution = [said] if differing and changes else []
    if not changes:
        first = "The studies have no detector in common."
    doubtful = [sentence for name, study in studies.items() for sentence in _baseline_sentence(study, f" in {name}")]
    return [first, *caution, *doubtful, *(f"{name}: {sentences(study)[0]}" for name, study in studies.items())]


def sentences(study: Mapping[str, Any]) -> list[str]:
    """Stability over the periods of one study: the ranking from year to year, single cells, and pairs of detectors."""
    return [_ranking_sentence(study), *_cell_sentences(study), *_pair_sentence(study), *_baseline_sentence(study)]


def _baseline_sentence(study: Mapping[str, Any], where: str = "") -> list[str]:
    lucky = [
        f"{name} is also judged to have a finding ({verdict})"
        for name, verdict in study["verdicts"].items()
        if tables.is_baseline(study, name) and is_finding(verdict)
    ]
    return [f"The baseline {said}{where}: read the other verdicts with suspicion." for said in lucky]


def _ranking_sentence(study: Mapping[str, Any]) -> str:
    years, tau = study["rank_comparison"]["year"], study["stability"]["year"]
    if years["reason"] is not None:
        return f"Whether the ranking of the detectors is stable from year to year is not known: {years['reason']}."
    figures_ = (
        f"Friedman's p {fmt.p_value(years['p_value'])} over {fmt.counted(years['n_blocks'], 'year')}"
        f", mean Kendall's tau {fmt.ratio(tau['mean_tau'])} over {fmt.counted(tau['n_pairs'], 'pair')} of years"
    )
    if years["p_value"] <= years["level"]:
        return f"The detectors rank more alike from year to year than by chance: {figures_}."
    return f"From year to year the detectors do not rank more alike than by chance: {figures_}."


def _cell_sentences(study: Mapping[str, Any]) -> list[str]:
    cells = study["cells"]
    if not cells["n_tested"]:
        return ["No cell was tested against chance: the results have no p of the slices."]
    found = [row for row in study["slices"] if row["q"] is not None and row["q"] <= cells["level"]]
    every = f"Among {fmt.count(cells['n_tested'])} tests (a detector in a year, asset or regime)"
    if not found:
        return [f"{every}, none is beyond chance after correction for their number."]
    named = first_of([f"{row['detector']} in {row['slice']} ({fmt.ratio(slice_figures(row).ratio)})" for row in found], N_NAMED)
    said = [f"{every}, {fmt.count(len(found))} {'is' if len(found) == 1 else 'are'} beyond chance: {named}."]
    idle = sorted({row["detector"] for row in found if tables.is_baseline(study, row["detector"])})
    if idle:
        some = "It belongs to" if len(found) == 1 else "Some belong to"
        said.append(f"{some} a baseline ({', '.join(idle)}), so read such cells with suspicion.")
    return said


def _pair_sentence(study: Mapping[str, Any]) -> list[str]:
    found = study["rank_comparison"]["asset_year"]
    if found["reason"] is not None:
        return []
    best, means, apart = found["names"][0], found["mean_ranks"], found["critical_difference"]
    behind = [name for name, mean in zip(found["names"], means, strict=True) if mean - means[0] > apart]
    over = f"Over {fmt.counted(found['n_blocks'], 'block')} of an asset in a year"
    if found["p_value"] > found["level"]:
        why = f"Friedman's test finds no difference between the detectors (p {fmt.p_value(found['p_value'])})"
        return [f"{over}, {best} has the best mean rank, but {why}."]
    if not behind:
        return [f"{over}, {best} has the best mean rank, and no other detector differs significantly from it."]
    others = len(found["names"]) - 1 - len(behind)
    rest = f", not from the other {fmt.count(others)}" if others else ""
    return [f"{over}, {best} has the best mean rank and differs significantly from {', '.join(behind)}{rest}."]


def facts(content: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Facts about the studies: names, symbols, range and hashes."""
    studies = content["studies"]
    data = [study["data"] for study in studies.values()]
    symbols = list(dict.fromkeys(symbol for found in data for symbol in found["symbols"]))
    hashes = list(dict.fromkeys(fmt.digest(found["hash"]) for found in data))
    return [
        ("Studies", ", ".join(studies)),
        ("Symbols", first_of(symbols)),
        ("Tested from", fmt.moment(min(found["test_start"] for found in data)) + " UTC"),
        ("To", fmt.moment(max(found["test_end"] for found in data)) + " UTC"),
        ("Data hash", ", ".join(hashes)),
    ]


def _section(i: int, name: str, study: Mapping[str, Any]) -> dict[str, Any]:
    compared = study["rank_comparison"]
    return {
        "i": i,
        "name": name,
        "sentences": sentences(study),
        "by_forecast": study["slices_by"] == "forecast",
        "cells": study["cells"]
        | {"tested": fmt.count(study["cells"]["n_tested"]), "level": fmt.percent(study["cells"]["level"], 0)},
        "ratios": [table for by in tables.KINDS if (table := tables.ratio_table(i, study, by))],
        "behind": tables.cells_table(i, study),
        "rank_chart": figures.rank_chart(i, study),
        "taus": [table for by in tables.KINDS if (table := tables.tau_table(i, study, by))],
        "pairs": tables.pairs_table(i, study),
        "ranks": tables.ranks_table(i, study),
        "critical": [chart for by in compared if (chart := figures.critical_chart(i, study, by))],
        "friedman": tables.friedman_table(i, study),
        "mean_ranks": tables.mean_rank_table(i, study),
        "left_out": list(dict.fromkeys(label for found in compared.values() for label in found["left_out"])),
        "agreement": tables.agreement_table(i, study),
        "settings": tables.settings_tables(i, name, study),
        "config": tables.settings_table(f"config-{i}", f"Configuration of {name}", study["config"]),
    }


def _without(content: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in content.items() if name != key}
