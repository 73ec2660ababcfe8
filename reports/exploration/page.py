"""The page of an exploration: the data, their faults, and the behaviour of their returns."""

from dataclasses import dataclass
from statistics import median
from typing import Any, ClassVar

from foreshock.reports.exploration import figures, paths, tables
from foreshock.reports.exploration.matrix import scatter_matrix
from foreshock.reports.parts import format as fmt
from foreshock.reports.parts.page import Page, first_of, history_facts
from foreshock.reports.parts.tables import settings_table, words

# Symbols and pairs with fewer bars are left out of the headline.
LEAST_BARS = 100


@dataclass(frozen=True)
class EdaReport(Page):
    """One self-contained HTML page about a history.

    Parameters
    ----------
    title : str
        Heading of the page.
    results : dict
        Content of eda.json: JSON types only, fractions, None where not known.
    command : str
        Command that makes the page again.
    """

    template: ClassVar[str] = "eda.html.j2"

    title: str
    results: dict[str, Any]
    command: str

    def headline(self) -> list[str]:
        """The findings in sentences: the first is the answer, the others qualify it."""
        return headline(self.results)

    def facts(self) -> list[tuple[str, str]]:
        """Facts about the data for the head of the page, as pairs of label and value."""
        return facts(self.results)

    def pieces(self) -> dict[str, Any]:
        """Further values of the template, besides title, headline, facts and command."""
        results = self.results
        symbols = figures.charted(results)
        features, pairs = results["features"], results["correlation"]
        charts = {
            "timeline": figures.timeline_chart(results),
            "histograms": figures.histogram_charts(results),
            "boxes": figures.box_charts(results),
            "matrix": scatter_matrix(results),
            "autocorrelation": paths.autocorrelation_charts(results),
            "volatility": paths.volatility_chart(results),
            "prices": paths.price_charts(results),
            "projection": paths.projection_chart(results),
        }
        unit = results["boxes"]["unit"]
        behind = {
            "counts": tables.counts_table(results),
            "runs": tables.runs_table(results),
            "moments": tables.moments_table(results),
            "histograms": tables.histogram_table(results, symbols),
            "symbol": tables.box_table("box-symbol-table", "Log returns by symbol", "Symbol", results["boxes"]["symbol"]),
            "hour": tables.box_table("box-hour-table", "Log returns by hour of the day, UTC", "Hour", results["boxes"]["hour"]),
            "period": tables.box_table("box-period-table", f"Log returns by {unit}", words(unit), results["boxes"]["period"]),
            "features": tables.heat_table(
                "features",
                f"Rank correlation of the features; n = {fmt.count(features['n'])} rows, ranks within each symbol",
                features["names"],
                features["spearman"],
                [words(name) for name in features["names"]],
                "Feature",
            )
            if features
            else None,
            "pairs": tables.pairs_table(results),
            "symbols": tables.heat_table(
                "symbols",
                f"Correlation of log returns; n = {_range([n for row in pairs['n'] for n in row], fmt.count)} bars a pair",
                pairs["symbols"],
                pairs["pearson"],
                pairs["symbols"],
                "Symbol",
            )
            if pairs
            else None,
            "autocorrelation": tables.autocorrelation_table(results, symbols),
            "periods": tables.periods_table(results),
            "regimes": tables.regimes_table(results),
            "loadings": tables.loadings_table(results),
            "data": settings_table("data-set", "Data", {k: v for k, v in results["data"].items() if k != "listed"}),
            "seeds": settings_table("seeds", "Seeds", results["seeds"]),
            "versions": settings_table("versions", "Versions", results["versions"]),
        }
        return {
            "charts": charts,
            "tables": behind,
            "absent": tables.absent_kinds(results),
            "omitted": results["omitted"],
            "regimes": regime_key(results),
            "regime_features": " and ".join((results["regimes"] or {}).get("features", [])),
            "n_symbols": len(results["data"]["symbols"]),
            "n_charted": len(symbols),
            "every": fmt.count(results["regimes"]["every"]) if results["regimes"] and results["regimes"]["every"] > 1 else "",
        }


def headline(results: dict[str, Any]) -> list[str]:
    """The findings in sentences: the state of the data first."""
    rows = results["quality"]["table"].values()
    missing, gaps = sum(row["missing"] for row in rows), sum(row["gaps"] for row in rows)
    found = results["quality"]["n_findings"] - missing
    holes = (
        f"{fmt.counted(missing, 'bar')} missing in {fmt.counted(gaps, 'gap')}"
        if missing
        else "no bar is missing between first and last"
    )
    sentences = [
        f"{holes[:1].upper()}{holes[1:]}, and {fmt.counted(found, 'other finding') if found else 'nothing else was found'}."
    ]
    # A symbol of a few bars, such as a separated part, would set the ends of every range.
    enough = [moments for moments in results["returns"].values() if moments["n"] >= LEAST_BARS] or list(results["returns"].values())
    far = [moments["far"] for moments in enough if fmt.known(moments["far"])]
    if far:
        two = lambda x: fmt.percent(x, 2)  # noqa: E731
        sentences.append(f"{_range(far, two)} of the returns lie beyond 3 standard deviations (normal: 0.27{fmt.UNIT_SPACE}%).")
    curves = list(results["autocorrelation"].values())
    lag = min(24, max((len(curve["returns"]) for curve in curves), default=1))
    curves = [curve for curve in curves if len(curve["returns"]) >= lag]
    at = {key: [c[key][lag - 1] for c in curves if fmt.known(c[key][lag - 1])] for key in ("absolute", "returns")}
    if at["absolute"] and at["returns"]:
        whose = "of the median symbol " if len(curves) > 1 else ""
        sentences.append(
            f"{fmt.counted(lag, 'bar')} apart, absolute returns {whose}correlate {fmt.ratio(median(at['absolute']))}, "
            f"returns {fmt.ratio(median(at['returns']))}."
        )
    pairs = results["correlation"]
    if pairs:
        n = pairs["n"]
        values = [
            x for i, row in enumerate(pairs["pearson"]) for j, x in enumerate(row[:i]) if fmt.known(x) and n[i][j] >= LEAST_BARS
        ]
        if values:
            sentences.append(f"Returns of two symbols correlate {_range(values, fmt.ratio)}.")
    return sentences


def facts(results: dict[str, Any]) -> list[tuple[str, str]]:
    """Facts about the data set: symbols, bars, range and hash."""
    data = results["data"]
    return [("Symbols", first_of(data["symbols"])), *history_facts(data)]


def regime_key(results: dict[str, Any]) -> list[tuple[str, str]]:
    """Names and colours of the regimes."""
    names = (results["regimes"] or {}).get("names", [])
    return list(zip(names, paths.REGIME_COLOURS, strict=False))


def _range(values: list[float], write: Any) -> str:
    low, high = write(min(values)), write(max(values))
    return low if low == high else f"{low} to {high}"
