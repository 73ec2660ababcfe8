"""The tables of a comparison: ratios by period, stability of the ranking, agreement, models, and what changed between studies."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import log
from typing import Any

from foreshock.engine.validation.moves.slices import slice_figures
from foreshock.reports.exploration.tables import heat_table
from foreshock.reports.parts import format as fmt
from foreshock.reports.parts.tables import Cell, Column, Table, cell, header, settings_table, words
from foreshock.reports.study.order import verdict_kind
from foreshock.reports.study.places import BEYOND

KINDS = ("year", "asset", "regime")
# A ratio this many times above or below 1 gets the full colour.
FULL_SHADE = 1.5
SLICES_SHOWN = 20
FRIEDMAN_BLOCKS = {"asset_year": "each asset in each year", "year": "years"}


def detectors_of(study: Mapping[str, Any]) -> list[str]:
    """Detectors in the order of the study's own page, strongest verdict first."""
    return list(study["verdicts"])


def is_baseline(study: Mapping[str, Any], detector: str) -> bool:
    """Whether a detector is a baseline of the study."""
    return study["roles"].get(detector) == "baseline"


def ratio_words(study: Mapping[str, Any]) -> str:
    """What the ratio of a slice is."""
    return "activity beyond the forecast" if study["slices_by"] == "forecast" else "volatility-matched ratio of the move"


def slice_names(study: Mapping[str, Any], by: str) -> list[str]:
    """Years, assets or regimes, in their order."""
    return list(dict.fromkeys(row["slice"] for row in study["slices"] if row["by"] == by))


def ratio_table(i: int, study: Mapping[str, Any], by: str) -> Table | None:
    """Ratio of each detector in each slice of a kind, shaded by its distance from 1; None without slices."""
    names = slice_names(study, by)
    shown = names[:SLICES_SHOWN]
    found = {(row["detector"], row["slice"]): row for row in study["slices"] if row["by"] == by}
    if not found:
        return None
    cells = study["cells"]
    rows = [
        [_detector(label, study), _horizon(label, study), *(_ratio_cell(found.get((label, name)), cells) for name in shown)]
        for label in detectors_of(study)
    ]
    caption = f"{ratio_words(study).capitalize()} by {by}, and n events; 1.00 = no effect"
    if len(names) > len(shown):
        caption += f"; the first {fmt.count(len(shown))} of {fmt.count(len(names))}, comparison.json has all"
    return Table(
        f"ratio-{by}-{i}",
        caption,
        [Column("Detector", kind="text"), Column("Over", kind="text"), *(Column(name, kind="heat") for name in shown)],
        rows,
    )


def _horizon(detector: str, study: Mapping[str, Any]) -> Cell:
    """The horizon of a detector's slices."""
    name = next((row["horizon"] for row in study["slices"] if row["detector"] == detector), fmt.DASH)
    return Cell(name, sort=name)


def _ratio_cell(row: Mapping[str, Any] | None, cells: Mapping[str, Any]) -> Cell:
    if row is None:
        return Cell(fmt.DASH)
    ratio, _, _, n_events = slice_figures(row)
    detail = f"n = {fmt.count(n_events)}"
    if ratio is None:
        return Cell(fmt.DASH, detail)
    beyond = row["q"] is not None and row["q"] <= cells["level"]
    text = f"{BEYOND} {fmt.ratio(ratio)}" if beyond else fmt.ratio(ratio)
    if n_events < cells["least_events"] or ratio <= 0:
        # With few events the ratio is mostly noise, so the cell has no colour.
        return Cell(text, detail, ratio)
    distance = log(ratio) / log(FULL_SHADE)
    return Cell(text, detail, ratio, "heat " + ("minus" if distance < 0 else "plus"), shade=min(abs(distance), 1.0))


def cells_table(i: int, study: Mapping[str, Any]) -> Table:
    """Every cell of the heat maps with its interval, p and q."""
    forecast = study["slices_by"] == "forecast"
    rows = []
    for row in study["slices"]:
        if row["by"] not in KINDS:
            continue
        ratio, ci, p, n_events = slice_figures(row)
        rows.append(
            [
                _detector(row["detector"], study),
                Cell(row["by"]),
                Cell(row["slice"], sort=row["slice"]),
                Cell(row["horizon"], sort=row["horizon"]),
                cell(n_events, fmt.count),
                cell(ratio, fmt.ratio, fmt.interval(ci)),
                cell(p, fmt.p_value),
                cell(row["q"], fmt.p_value),
                cell(row["abs_move_ratio"], fmt.ratio),
                *([cell(row["matched_ratio"], fmt.ratio, fmt.interval(row["ci"]))] if forecast else []),
                cell(row["n_effective"], fmt.count),
            ]
        )
    columns = [
        Column("Detector", kind="text"),
        Column("By", kind="text"),
        Column("Slice", kind="text"),
        Column("Over", kind="text"),
        Column("n events"),
        Column("Beyond the forecast" if forecast else "Matched ratio", "95 % interval"),
        Column("p", "the ratio is 1"),
        Column("q", "of all cells"),
        Column("Raw ratio"),
        *([Column("Matched ratio", "95 % interval")] if forecast else []),
        Column("n effective"),
    ]
    return Table(f"cells-{i}", "Every detector in every year, asset and regime", columns, rows)


def tau_table(i: int, study: Mapping[str, Any], by: str) -> Table | None:
    """Kendall's tau between every two slices of a kind; None with fewer than two slices."""
    pairs = [pair for pair in study["rank_stability"] if pair["by"] == by]
    names = [name for name in slice_names(study, by) if any(name in (pair["first"], pair["second"]) for pair in pairs)]
    if not pairs:
        return None
    found = {frozenset((pair["first"], pair["second"])): pair["tau"] for pair in pairs}
    matrix = [[1.0 if a == b else found.get(frozenset((a, b))) for b in names] for a in names]
    mean = study["stability"][by]
    caption = f"Kendall's tau between {by}s; mean {fmt.ratio(mean['mean_tau'])}, n = {fmt.counted(mean['n_pairs'], 'pair')}"
    table = heat_table(f"tau-{by}-{i}", caption, names, matrix, names)
    return replace(table, columns=[Column(words(by), kind="text"), *table.columns[1:]])


def pairs_table(i: int, study: Mapping[str, Any]) -> Table:
    """Kendall's tau of every two slices, with its p under independent rankings."""
    rows = [
        [
            Cell(pair["by"], sort=pair["by"]),
            Cell(pair["first"], sort=pair["first"]),
            Cell(pair["second"], sort=pair["second"]),
            cell(pair["n_detectors"], fmt.count),
            cell(pair["tau"], fmt.ratio),
            cell(pair["p"], fmt.p_value),
        ]
        for pair in study["rank_stability"]
    ]
    columns = [
        Column("By", kind="text"),
        Column("First", kind="text"),
        Column("Second", kind="text"),
        Column("n", "detectors"),
        Column("Tau", "−1 to 1"),
        Column("p", "unrelated rankings"),
    ]
    return Table(f"pairs-{i}", "Rankings of the detectors in every two slices", columns, rows)


def ranks_table(i: int, study: Mapping[str, Any]) -> Table:
    """Rank of each detector in each slice: the values of the rank chart."""
    labels = detectors_of(study)
    rows = [
        [header(name), Cell(by), *(cell(ranks.get(label), fmt.number) for label in labels)]
        for by in KINDS
        for name, ranks in study["ranks"][by].items()
    ]
    columns = [Column("Slice", kind="text"), Column("By", kind="text"), *(Column(label) for label in labels)]
    return Table(
        f"ranks-{i}", f"Rank by {ratio_words(study)}, 1 is the largest; detectors with few events have no rank", columns, rows
    )


def mean_rank_table(i: int, study: Mapping[str, Any]) -> Table | None:
    """Mean ranks over assets in years and over years; None if neither exists."""
    found = {by: compared for by, compared in study["rank_comparison"].items() if compared["reason"] is None}
    if not found:
        return None
    means = {by: dict(zip(compared["names"], compared["mean_ranks"], strict=True)) for by, compared in found.items()}
    labels = list(dict.fromkeys(name for compared in found.values() for name in compared["names"]))
    rows = [[_detector(label, study), *(cell(means[by].get(label), fmt.ratio) for by in found)] for label in labels]
    columns = [
        Column("Detector", kind="text"),
        *(Column("Mean rank", f"over {fmt.count(c['n_blocks'])} blocks, {FRIEDMAN_BLOCKS[by]}") for by, c in found.items()),
    ]
    return Table(f"mean-rank-{i}", "Mean rank of each detector, 1 is the largest ratio", columns, rows)


def friedman_table(i: int, study: Mapping[str, Any]) -> Table:
    """Friedman's test and the critical difference for both kinds of block, or the reason why there is none."""
    rows = []
    for by, compared in study["rank_comparison"].items():
        known = compared if compared["reason"] is None else {}
        rows.append(
            [
                Cell(FRIEDMAN_BLOCKS[by], compared["reason"] or "", by),
                cell(known.get("n_blocks"), fmt.count, f"{fmt.count(compared['n_blocks_left_out'])} left out"),
                cell(len(known["names"]) if known else None, fmt.count),
                cell(known.get("statistic"), fmt.number),
                cell(known.get("p_value"), fmt.p_value),
                cell(known.get("critical_difference"), fmt.ratio),
            ]
        )
    columns = [
        Column("Blocks", kind="text"),
        Column("n", "blocks"),
        Column("n", "detectors"),
        Column("Friedman", "chi-squared"),
        Column("p", "all rank alike"),
        Column("Critical difference", "Nemenyi, 5 %, in ranks"),
    ]
    return Table(f"friedman-{i}", "Do the detectors rank alike?", columns, rows)


def agreement_table(i: int, study: Mapping[str, Any]) -> Table:
    """Share of the row detector's alerts that the column detector raised too."""
    names = list(study["agreement"])
    rows = [
        [_detector(name, study), *(cell(study["agreement"][name][other], lambda x: fmt.percent(x, 0)) for other in names)]
        for name in names
    ]
    for name, row in zip(names, rows, strict=True):
        row[1:] = [
            Cell(c.text, "", c.sort, "heat plus", shade=study["agreement"][name][other] or 0.0)
            for other, c in zip(names, row[1:], strict=True)
        ]
    caption = "Share of the row detector's alerts that the column detector raised too, within one bar"
    return Table(f"agreement-{i}", caption, [Column("Detector", kind="text"), *(Column(name, kind="heat") for name in names)], rows)


def changes_table(content: Mapping[str, Any]) -> Table:
    """Detectors that a study shares with the first: verdict, ratios and q in both studies."""
    names = list(content["studies"])
    several = len(names) > 2
    places = (f"in {names[0]}", "in the other" if several else f"in {names[-1]}")
    rows = [
        [
            _detector(row["detector"], content["studies"][row["second"]]),
            *([Cell(row["second"], sort=row["second"])] if several else []),
            *(_verdict(row[f"verdict_{nth}"], row[f"verdict_horizon_{nth}"]) for nth in ("first", "second")),
            Cell(row["horizon"] or fmt.DASH, sort=row["horizon"]),
            *(
                cell(row[f"{key}_{place}"], fmt.ratio, fmt.interval(row[f"{bounds}_{place}"]))
                for key, bounds in (("effect", "effect_ci"), ("matched", "ci"))
                for place in ("first", "second")
            ),
            *(cell(row[f"q_{p}"], fmt.p_value, f"n = {fmt.count(row[f'n_{p}'])}") for p in ("first", "second")),
        ]
        for row in content["changes"]
    ]
    columns = [
        Column("Detector", kind="text"),
        *([Column("The other", "study", "text")] if several else []),
        *(Column("Verdict", place, "text") for place in places),
        Column("Horizon", kind="text"),
        *(Column(label, place) for label in ("Beyond the forecast", "Matched ratio", "q") for place in places),
    ]
    caption = "Detectors that both studies have, at the horizon of the stronger verdict, with 95 % intervals and n events"
    return Table("changes", caption, columns, rows)


def _verdict(verdict: object, horizon: str) -> Cell:
    return Cell(str(verdict), f"over {horizon}" if horizon else "", str(verdict), f"badge {verdict_kind(verdict)}")


def config_table(content: Mapping[str, Any]) -> Table:
    """Settings and data that differ from the first study."""
    rows = [
        [
            header(row["key"]),
            Cell(row["second"], sort=row["second"]),
            Cell(fmt.literal(row["value_first"]), kind="literal"),
            Cell(fmt.literal(row["value_second"]), kind="literal"),
        ]
        for row in content["config_changes"]
    ]
    first = next(iter(content["studies"]))
    columns = [
        Column("Key", kind="text"),
        Column("Study", kind="text"),
        Column("In the first", first, "text"),
        Column("In this one", kind="text"),
    ]
    return Table("config-changes", "Configuration and data that differ from the first study", columns, rows)


def models_table(models: Mapping[str, Any]) -> Table:
    """Each model in sample, out of sample, and as published."""
    facts = any(_code_text(row) != fmt.DASH for row in models["rows"])
    rows = [
        [
            header(row["model"]),
            Cell(row["sample"], sort=row["sample"]),
            cell(row["mse"], fmt.number),
            *(cell(row[key], fmt.ratio) for key in ("f1", "precision")),
            cell(row["caught"], fmt.count, f"of {fmt.count(row['n_events'])}" if row["n_events"] is not None else ""),
            cell(row["market_r2"], fmt.ratio),
            *([Cell(_code_text(row))] if facts else []),
            cell(row["fit_seconds"], fmt.seconds),
            *(cell(row[key], lambda x: fmt.percent(x, 2)) for key in ("var_95_alert", "var_95_other")),
        ]
        for row in models["rows"]
    ]
    columns = [
        Column("Model", kind="text"),
        Column("Sample", kind="text"),
        Column("Error", "MSE; published ones in other units"),
        Column("F1", "of events"),
        Column("Precision", "of events"),
        Column("Caught", "events"),
        Column("Market R²", "from the codes"),
        *([Column("Code", kind="text")] if facts else []),
        Column("Fit", "CPU"),
        Column("VaR 95 %", "after alerts"),
        Column("VaR 95 %", "after other bars"),
    ]
    caption = "Models that reconstruct their input, in sample, out of sample, and as published; losses are positive"
    return Table("models", caption, columns, rows)


def _code_text(row: Mapping[str, Any]) -> str:
    """What is known of the code of a model, in words."""
    facts = {"active units": row.get("active_units"), "mean activation": row.get("mean_activation")}
    return ", ".join(f"{name} {fmt.ratio(value)}" for name, value in facts.items() if fmt.known(value)) or fmt.DASH


def settings_tables(i: int, name: str, study: Mapping[str, Any]) -> Sequence[Table]:
    """Data, seeds and versions of a study."""
    return (
        settings_table(f"data-{i}", f"Data of {name}", study["data"]),
        settings_table(f"seeds-{i}", "Seeds", study["seeds"] or {}),
        settings_table(f"versions-{i}", "Versions", study["versions"] or {}),
    )


def _detector(name: str, study: Mapping[str, Any]) -> Cell:
    return header(name, "baseline" if is_baseline(study, name) else "")
