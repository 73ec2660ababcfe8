"""The tables of a scenario report: realism cards, VaR and CVaR, and the values of the charts."""

from collections.abc import Iterable, Mapping
from math import log
from typing import Any

from foreshock.reports.parts import format as fmt
from foreshock.reports.parts.tables import Cell, Column, Table, cell, header, words

# Names of the sources of paths in sentences; a model has its own name.
SOURCES = {
    "history": "the training history itself",
    "gaussian": "Gaussian paths",
    "phase_shuffled": "phase-shuffled paths",
    "held out": "held-out paths",
    "historical": "every path of the history",
}
MEASURES = {
    "frechet": "Fréchet distance",
    "mmd": "maximum mean discrepancy",
    "correlation": "correlation of assets",
    "tail_index": "tail index",
    "kurtosis": "kurtosis",
    "acf_absolute": "clustering of volatility",
    "leverage": "leverage effect",
    "discriminative": "accuracy of a classifier",
}
# A distance this many times above or below the limit gets the full colour.
FULL_SHADE = 4.0


def measure_words(name: str) -> str:
    """The name of a measure of realism in sentences."""
    return MEASURES.get(name, name.replace("_", " "))


def card_table(content: Mapping[str, Any]) -> Table:
    """The realism card of the model against held-out paths."""
    card = content["realism"][content["model"]["name"]]
    rows = [
        [
            Cell(measure_words(name), name, measure_words(name), "tag"),
            *(cell(row[key], fmt.number) for key in ("real", "generated", "distance", "floor", "limit")),
            cell(row["p"], fmt.p_value),
            Cell("yes" if row["passed"] else "no", sort=int(row["passed"])),
        ]
        for name, row in card["measures"].items()
    ]
    columns = [
        Column("Measure", kind="text"),
        Column("Real", "the statistic"),
        Column("Generated", "the statistic"),
        Column("Distance", "generated to real"),
        Column("Floor", "real half to real half"),
        Column("Limit", f"{fmt.percent(card['level'], 0)} of real halves"),
        Column("p", "real halves as far apart"),
        Column("Passed", "distance within limit", "text"),
    ]
    caption = (
        f"{content['model']['name']} against paths that it was not trained on: n = {fmt.count(card['n_real'])} real and "
        f"{fmt.count(card['n_generated'])} generated, {fmt.count(card['n_splits'])} random splits"
    )
    return Table("card", caption, columns, rows)


def cards_table(content: Mapping[str, Any]) -> Table:
    """Distance divided by its limit for every measure and source, against held-out paths and against the later part."""
    cards = [(name, card, "held out") for name, card in content["realism"].items()]
    cards += [(name, card, "last 30 %") for name, card in content["realism_later"].items()]
    measures = list(dict.fromkeys(name for _, card, _ in cards for name in card["measures"]))
    rows = [
        [Cell(measure_words(name), name, measure_words(name), "tag"), *(_share(card["measures"].get(name)) for _, card, _ in cards)]
        for name in measures
    ]
    total = [header("passed of all"), *(cell(card["n_passed"], fmt.count, f"of {len(card['measures'])}") for _, card, _ in cards)]
    columns = [Column("Measure", kind="text"), *(Column(name, against, "heat") for name, _, against in cards)]
    caption = "Distance divided by its limit: at most 1.00 passes (✓). Blue is within the limit, orange beyond it"
    return Table("cards", caption, columns, [*rows, total])


def _share(row: Mapping[str, Any] | None) -> Cell:
    if row is None or row["distance"] is None or not row["limit"]:
        return Cell(fmt.DASH)
    share = row["distance"] / row["limit"]
    # An unbiased estimate of a squared distance can be negative.
    shade = min(abs(log(share)) / log(FULL_SHADE), 1.0) if share > 0 else 1.0
    text = f"{'✓' if row['passed'] else '✗'} {fmt.ratio(share)}"
    return Cell(text, "", share, "heat plus" if row["passed"] else "heat minus", shade=shade)


def risk_table(content: Mapping[str, Any]) -> Table:
    """VaR and CVaR of the portfolio by source and level, with intervals."""
    rows = [
        [
            header(row["source"]),
            cell(row["level"], lambda x: fmt.percent(x, 0)),
            cell(row["n"], fmt.count),
            *(
                cell(row[key], fmt.percent, fmt.interval([row[f"{key}_low"], row[f"{key}_high"]], fmt.percent))
                for key in ("var", "cvar")
            ),
        ]
        for row in content["risk"]
    ]
    columns = [
        Column("Source", kind="text"),
        Column("Level"),
        Column("n", "paths"),
        Column("VaR", "95 % interval"),
        Column("CVaR", "95 % interval"),
    ]
    caption = f"Loss of the portfolio over {content['scenarios']['horizon']}; losses are positive, intervals cover sampling only"
    return Table("risk-sources", caption, columns, rows)


def fan_table(content: Mapping[str, Any]) -> Table:
    """Quantiles of the portfolio's return at the quarters of the horizon: the values of the fan charts."""
    found, n_steps = content["fan"], content["scenarios"]["n_steps"]
    steps = sorted({round(n_steps * part / 4) for part in range(1, 5)})
    rows = [
        [header(source), cell(step, fmt.count), *(cell(levels[step], fmt.percent) for levels in quantiles)]
        for source, quantiles in found["quantiles"].items()
        for step in steps
    ]
    columns = [
        Column("Source", kind="text"),
        Column("After", "bars"),
        *(Column(f"{fmt.percent(level, 0)}", "quantile") for level in found["levels"]),
    ]
    return Table("fan-table", "Return of the portfolio since the start of the path", columns, rows)


def losses_table(content: Mapping[str, Any]) -> Table:
    """Share of paths by loss, four bins merged into one: the values of the histograms."""
    found = content["losses"]
    edges, sources = found["edges"], found["sources"]
    wide, n_bins = 4, len(edges) - 1
    # Rows sort by the lower edge of their bin; the row below the first bin gets one step less.
    step = edges[1] - edges[0]
    below = Cell(f"below {fmt.percent(edges[0])}", sort=edges[0] - step)
    above = Cell(f"above {fmt.percent(edges[-1])}", sort=edges[-1])
    rows = [[below, *_shares(sources, lambda source: source["below"])]]
    for first in range(0, n_bins, wide):
        last = min(first + wide, n_bins)
        name = Cell(f"{fmt.percent(edges[first])} to {fmt.percent(edges[last])}", sort=edges[first])
        rows.append([name, *_shares(sources, lambda source, first=first, last=last: sum(source["counts"][first:last]))])
    rows.append([above, *_shares(sources, lambda source: source["above"])])
    columns = [Column("Loss", kind="text"), *(Column(name, f"n = {fmt.count(s['n'])}") for name, s in sources.items())]
    return Table("losses-table", "Share of paths by the portfolio's loss; a loss below zero is a gain", columns, rows)


def _shares(sources: Mapping[str, Any], count: Any) -> Iterable[Cell]:
    return [cell(count(source) / source["n"], fmt.percent) for source in sources.values()]


def clustering_table(content: Mapping[str, Any]) -> Table:
    """Autocorrelation of absolute returns at every lag."""
    found = content["clustering"]["absolute"]
    n_lags = len(next(iter(found.values())))
    rows = [
        [Cell(fmt.count(lag + 1), sort=lag + 1), *(cell(values[lag], fmt.ratio) for values in found.values())]
        for lag in range(n_lags)
    ]
    n = content["clustering"]["n"]
    columns = [Column("Lag", "bars", "text"), *(Column(words(name), f"n = {fmt.count(n[name])} paths") for name in found)]
    return Table("acf-table", "Autocorrelation of absolute returns within paths, averaged over assets", columns, rows)


def weights_table(content: Mapping[str, Any]) -> Table:
    """Weights of the portfolio."""
    rows = [[header(symbol), cell(weight, lambda x: fmt.percent(x, 1))] for symbol, weight in content["weights"].items()]
    return Table(
        "weights", "Weights of the portfolio, bought at the start and held", [Column("Symbol", kind="text"), Column("Weight")], rows
    )
