"""The tables of the page of latent factors."""

from collections.abc import Mapping
from typing import Any

from foreshock.reports.parts import format as fmt
from foreshock.reports.parts.tables import Cell, Column, Table, cell, header, words

R2 = {"total_r2": "Explained", "left_out_r2": "Left-out symbol", "predictive_r2": "Forecast"}
# Rows of a heat table; the file has them all.
HEAT_SHOWN = 60


def models_table(content: Mapping[str, Any]) -> Table:
    """What the factors of each model explain out of sample, and how much of them stays."""
    rows = []
    for model, found in content["models"].items():
        fit, stays = found["fit"], found["stability"]
        rows.append(
            [
                header(model),
                *(cell(fit[key], lambda value: fmt.percent(value, 2)) for key in R2),
                cell(found["market_gap"], fmt.ratio),
                cell(stays["space"], fmt.percent),
                cell(stays["chance"], fmt.percent),
                cell(fit["n"], fmt.count),
            ]
        )
    shares = [Column(label, "of squared returns") for label in R2.values()]
    rest = [Column("Market gap"), Column("Space kept"), Column("by chance"), Column("n", "returns")]
    return Table("models", "Factor models, out of sample", [Column("Model", kind="text"), *shares, *rest], rows)


def factors_table(at: int, model: str, content: Mapping[str, Any]) -> Table:
    """What each factor of a model adds, is, and earned."""
    rows = [
        [
            header(words(name)),
            cell(row["share"], fmt.percent),
            cell(row["cumulative"], fmt.percent),
            cell(row["market"], fmt.ratio),
            cell(row["own"], fmt.ratio),
            cell(row["purity"], fmt.ratio),
            cell(row["total_return"], fmt.percent),
            cell(row["volatility"], fmt.percent),
            cell(row["n"], fmt.count),
        ]
        for name, row in content["models"][model]["factors"].items()
    ]
    columns = [
        Column("Factor", kind="text"),
        Column("Explains", "of squared returns"),
        Column("Together"),
        Column("R2 market"),
        Column("R2 own"),
        Column("Purity"),
        Column("Return", "all test blocks"),
        Column("Volatility", "a year"),
        Column("n", "bars"),
    ]
    return Table(f"factors-{at}", f"Factors of {model}", columns, rows)


def correlation_table(at: int, model: str, content: Mapping[str, Any]) -> Table:
    """Correlations of codes and returns of symbols as a heat table; blue is positive, orange negative."""
    found, symbols = content["models"][model]["correlation"], content["data"]["symbols"]
    rows = [[header(symbol), *(_heat(row[symbol]) for row in found.values())] for symbol in symbols[:HEAT_SHOWN]]
    rest = f"; the first {HEAT_SHOWN} of {fmt.count(len(symbols))} symbols" if len(symbols) > HEAT_SHOWN else ""
    columns = [Column("Symbol", kind="text"), *(Column(words(name), kind="heat") for name in found)]
    return Table(f"correlation-{at}", f"Correlation of symbols with the factors of {model}, mean of blocks{rest}", columns, rows)


def _heat(value: float | None) -> Cell:
    return Cell(fmt.ratio(value), sort=value, kind="heat " + ("minus" if (value or 0) < 0 else "plus"), shade=abs(value or 0.0))


def stability_table(content: Mapping[str, Any]) -> Table:
    """Every two adjacent blocks of every model."""
    rows = []
    for model, found in content["models"].items():
        for entry in found["stability"]["blocks"]:
            rows.append(
                [
                    header(model),
                    cell(entry["start"], fmt.moment),
                    cell(entry["n_symbols"], fmt.count),
                    cell(entry["space"], fmt.percent),
                    cell(entry["chance"], fmt.percent),
                    *(cell(value, fmt.ratio) for value in entry["same"]),
                ]
            )
    same = [Column(f"Factor {k + 1}", "cosine") for k in range(content["n_factors"])]
    columns = [Column("Model", kind="text"), Column("Block from", "UTC", "text"), Column("Symbols"), Column("Space kept")]
    return Table(
        "stability-table", "Loadings of each block beside those of the one before", [*columns, Column("by chance"), *same], rows
    )
