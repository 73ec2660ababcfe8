"""The tables of an exploration: the values of each chart."""

from collections.abc import Mapping, Sequence
from typing import Any

from foreshock.reports.parts import format as fmt
from foreshock.reports.parts.tables import Cell, Column, Table, cell, header, words

RUNS_SHOWN = 200
HEAT_SHOWN = 20
FINE_LAGS, COARSE_LAGS = 24, 24


def counts_table(results: Mapping[str, Any]) -> Table:
    """Bars, gaps and findings of each symbol, without kinds that no symbol has; see ``absent_kinds``."""
    rows = results["quality"]["table"]
    kinds = [
        kind for kind in next(iter(rows.values())) if kind in ("n_bars", "gaps", "missing") or any(r[kind] for r in rows.values())
    ]
    body = [[header(symbol), *(cell(counts[kind], fmt.count) for kind in kinds)] for symbol, counts in rows.items()]
    columns = [Column("Symbol", kind="text"), *(Column(words(kind)) for kind in kinds)]
    return Table("quality", "Bars of each symbol, and bars of each kind of finding", columns, body)


def absent_kinds(results: Mapping[str, Any]) -> list[str]:
    """Kinds of finding that no symbol has."""
    rows = results["quality"]["table"]
    kinds = [kind for kind in next(iter(rows.values())) if kind not in ("n_bars", "gaps")]
    return [words(kind).lower() for kind in kinds if not any(row[kind] for row in rows.values())]


def runs_table(results: Mapping[str, Any]) -> Table:
    """Runs of findings, with a description of each."""
    quality = results["quality"]
    shown = quality["runs"][:RUNS_SHOWN]
    rows = [
        [
            header(run["symbol"]),
            Cell(words(run["kind"]), sort=run["kind"]),
            cell(run["rows"], fmt.count),
            Cell(fmt.moment(run["from"]), sort=run["from"]),
            Cell(fmt.moment(run["to"]), sort=run["to"]),
            Cell(run["found"]),
            Cell(run["done"]),
        ]
        for run in shown
    ]
    columns = [
        Column("Symbol", kind="text"),
        Column("Kind", kind="text"),
        Column("Rows"),
        Column("From", "UTC", "text"),
        Column("To", "UTC", "text"),
        Column("Found", kind="text"),
        Column("Done", kind="text"),
    ]
    caption = f"Findings, neighbouring bars as one: n = {fmt.count(quality['n_runs'])} runs"
    if len(shown) < quality["n_runs"]:
        caption += f", the first {fmt.count(len(shown))} shown; eda.json has {fmt.count(len(quality['runs']))}, fs.clean all"
    return Table("runs", caption, columns, rows)


def moments_table(results: Mapping[str, Any]) -> Table:
    """Moments and extremes of the log returns of each symbol."""
    rows = [
        [
            header(symbol),
            cell(m["n"], fmt.count),
            *(cell(m[key], lambda x: fmt.percent(x, 3)) for key in ("mean", "std")),
            *(cell(m[key], fmt.ratio) for key in ("skew", "kurtosis")),
            cell(m["far"], lambda x: fmt.percent(x, 2)),
            *(cell(m[key], lambda x: fmt.percent(x, 2)) for key in ("min", "low", "median", "high", "max")),
        ]
        for symbol, m in results["returns"].items()
    ]
    columns = [
        Column("Symbol", kind="text"),
        Column("n", "returns"),
        Column("Mean"),
        Column("Deviation", "standard"),
        Column("Skew", "0 if normal"),
        Column("Kurtosis", "3 if normal"),
        Column("Far", "0.27 % if normal"),
        Column("Least"),
        Column("1 %", "quantile"),
        Column("Median"),
        Column("99 %", "quantile"),
        Column("Most"),
    ]
    return Table("moments", "Log returns per bar; far: beyond 3 standard deviations from the mean", columns, rows)


def histogram_table(results: Mapping[str, Any], symbols: Sequence[str]) -> Table | None:
    """Number of returns in bins one standard deviation wide, and the shares of a normal distribution."""
    drawn = {name: results["returns"][name]["histogram"] for name in symbols if results["returns"][name]["histogram"]}
    if not drawn:
        return None
    first = next(iter(drawn.values()))
    n_bins = len(first["counts"])
    wide, half = 5, n_bins // 2
    total = sum(first["normal"]) or 1.0
    rows = []
    for k in range(0, n_bins, wide):
        low = (k - half) // wide
        cells = [header(f"{fmt.number(low)} to {fmt.number(low + 1)}")]
        cells += [cell(sum(found["counts"][k : k + wide]), fmt.count) for found in drawn.values()]
        rows.append([*cells, cell(sum(first["normal"][k : k + wide]) / total, _tail_share)])
    outside = [cell(found["below"] + found["above"], fmt.count) for found in drawn.values()]
    rows.append([header("beyond"), *outside, cell(1.97e-9, _tail_share)])
    columns = [
        Column("Deviations", "from the mean", "text"),
        *(Column(name, "returns") for name in drawn),
        Column("Normal", "share"),
    ]
    return Table("histogram-table", "Number of returns by distance from the mean, in standard deviations", columns, rows)


def _tail_share(share: float) -> str:
    return fmt.percent(share, 4) if share >= 1e-6 else "< " + fmt.percent(1e-6, 4)


def box_table(name: str, caption: str, first: str, boxes: Sequence[Mapping[str, Any]]) -> Table:
    """Quantiles behind a box chart."""
    keys = ("min", "low", "q25", "median", "q75", "high", "max")
    rows = [
        [header(box["name"]), cell(box["n"], fmt.count), *(cell(box[key], lambda x: fmt.percent(x, 3)) for key in keys)]
        for box in boxes
    ]
    labels = ("Least", "1 %", "25 %", "Median", "75 %", "99 %", "Most")
    return Table(name, caption, [Column(first, kind="text"), Column("n", "returns"), *(Column(label) for label in labels)], rows)


def heat_table(
    name: str,
    caption: str,
    names: Sequence[str],
    matrix: Sequence[Sequence[float | None]],
    written: Sequence[str],
    each: str = "Name",
) -> Table:
    """A correlation matrix as a table whose cells are coloured by value; ``each`` is the heading of the row names."""
    shown = range(min(len(names), HEAT_SHOWN))
    rows = []
    for i in shown:
        cells = [
            Cell(
                fmt.ratio(matrix[i][j]),
                sort=matrix[i][j],
                kind="heat " + ("minus" if (matrix[i][j] or 0) < 0 else "plus"),
                shade=abs(matrix[i][j] or 0.0),
            )
            for j in shown
        ]
        rows.append([header(written[i]), *cells])
    if len(names) > HEAT_SHOWN:
        caption += f"; the first {fmt.count(HEAT_SHOWN)} of {fmt.count(len(names))}"
    return Table(name, caption, [Column(each, kind="text"), *(Column(written[j], kind="heat") for j in shown)], rows)


def pairs_table(results: Mapping[str, Any]) -> Table | None:
    """Rank and linear correlation of every two features."""
    found = results["features"]
    if not found:
        return None
    names = found["names"]
    rows = [
        [
            header(words(names[j])),
            Cell(words(names[i]), sort=names[i]),
            cell(found["spearman"][i][j], fmt.ratio),
            cell(found["pearson"][i][j], fmt.ratio),
            cell(found["n"], fmt.count),
        ]
        for i in range(len(names))
        for j in range(i)
    ]
    columns = [
        Column("Feature", kind="text"),
        Column("And", kind="text"),
        Column("Rank", "correlation"),
        Column("Linear", "correlation"),
        Column("n", "rows"),
    ]
    return Table("pairs", "Correlation of every two features; ranks are within each symbol", columns, rows)


def autocorrelation_table(results: Mapping[str, Any], symbols: Sequence[str]) -> Table | None:
    """Autocorrelation at lags 1 to 24, then at every 24th."""
    found = {name: results["autocorrelation"][name] for name in symbols if name in results["autocorrelation"]}
    if not found:
        return None
    longest = max(len(curve["returns"]) for curve in found.values())
    lags = [lag for lag in range(1, longest + 1) if lag <= FINE_LAGS or lag % COARSE_LAGS == 0]
    rows = [
        [
            Cell(fmt.count(lag), sort=lag),
            *(
                cell(curve[key][lag - 1] if lag <= len(curve[key]) else None, fmt.ratio)
                for curve in found.values()
                for key in ("returns", "absolute")
            ),
        ]
        for lag in lags
    ]
    columns = [Column("Lag", "bars", "text"), *(Column(name, unit) for name in found for unit in ("returns", "|returns|"))]
    return Table("acf-table", "Autocorrelation of returns and of absolute returns", columns, rows)


def periods_table(results: Mapping[str, Any]) -> Table:
    """Close, move, volatility and regimes of each symbol in each period."""
    found, names = results["periods"], (results["regimes"] or {}).get("names", [])
    rows = [
        [
            header(row["symbol"]),
            Cell(row["period"], sort=row["period"]),
            cell(row["n"], fmt.count),
            cell(row["close"], fmt.price),
            cell(row["move"], fmt.percent),
            cell(row["volatility"], lambda x: fmt.percent(x, 0)),
            *(cell(share, lambda x: fmt.percent(x, 0)) for share in row.get("regimes") or []),
        ]
        for row in found["rows"]
    ]
    columns = [
        Column("Symbol", kind="text"),
        Column(words(found["unit"]), kind="text"),
        Column("n", "bars"),
        Column("Close", "last"),
        Column("Log move"),
        Column("Volatility", "a year, mean"),
        *(Column(words(name), "share") for name in names),
    ]
    return Table("periods", f"Each symbol in each {found['unit']}", columns, rows)


def regimes_table(results: Mapping[str, Any]) -> Table | None:
    """Rows, share, mean duration and mean features of each regime."""
    found = results["regimes"]
    if not found:
        return None
    features = list(next(iter(found["rows"].values()))["means"])
    rules = dict(zip(found["names"], zip(found.get("rules") or (), found.get("holds") or (), strict=True), strict=False))
    percents = ("log_return", "volatility_20", "range", "return_24")
    rows = [
        [
            header(name),
            cell(row["n"], fmt.count),
            cell(found["share"][name], fmt.percent),
            cell(row["stay"], fmt.number),
            *(cell(row["means"][f], (lambda x: fmt.percent(x, 2)) if f in percents else fmt.ratio) for f in features),
            *([Cell(rules[name][0] or "called by its number", kind="text"), cell(rules[name][1], fmt.percent)] if rules else []),
        ]
        for name, row in found["rows"].items()
    ]
    columns = [
        Column("Regime", kind="text"),
        Column("n", "rows"),
        Column("Share"),
        Column("Stay", "bars, mean"),
        *(Column(words(f), "mean") for f in features),
        *([Column("Rule", kind="text"), Column("Satisfied", "share of its bars")] if rules else []),
    ]
    return Table("regimes", "The regimes, all symbols together", columns, rows)


def loadings_table(results: Mapping[str, Any]) -> Table | None:
    """Weights of the features in the two components."""
    found = results["projection"]
    if not found:
        return None
    rows = [[header(words(f)), *(cell(axis[j], fmt.ratio) for axis in found["axes"])] for j, f in enumerate(found["features"])]
    columns = [
        Column("Feature", kind="text"),
        *(Column(f"Component {k + 1}", fmt.percent(share, 0) + " of variance") for k, share in enumerate(found["explained"])),
    ]
    return Table("loadings", "Weight of each feature in the two components", columns, rows)
