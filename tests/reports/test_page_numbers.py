"""Every number that a study's page shows stands in its results, at the detector, strategy or symbol of its row."""

import json
import re
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

import foreshock as fs
from foreshock.reports.parts import format as fmt
from foreshock.strategies.backtest.closed_trades import closed_trades
from tests.small import small_study

NUMBER = re.compile(r"(?:< )?−?\d[\d,]*(?:\.\d+)?(?:\u202f[%s])?")
WRITERS = (
    *(lambda value, digits=digits: fmt.percent(value, digits) for digits in range(4)),
    fmt.ratio,
    lambda value: fmt.ratio(1e4 * value),
    fmt.bps,
    fmt.p_value,
    fmt.count,
    fmt.number,
    fmt.seconds,
)


class _Tables(HTMLParser):
    """Rows of every table by its id, each a list of cells, each a list of its texts."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: dict[str, list[list[list[str]]]] = {}
        self.inside = ""

    def handle_starttag(self, tag, attrs):
        if tag == "table":
            self.inside = dict(attrs)["id"]
            self.tables[self.inside] = []
        elif tag == "tr" and self.inside:
            self.tables[self.inside].append([])
        elif tag in ("td", "th") and self.inside:
            self.tables[self.inside][-1].append([])

    def handle_endtag(self, tag):
        if tag == "table":
            self.inside = ""

    def handle_data(self, data):
        if self.inside and self.tables[self.inside] and self.tables[self.inside][-1] and data.strip():
            self.tables[self.inside][-1][-1].append(data.strip())


@pytest.fixture(scope="module")
def result() -> fs.StudyResult:
    return small_study(bars=fs.simulate_market(seed=5, n_symbols=3, n_bars=3_500).bars).run()


@pytest.fixture(scope="module")
def saved(result, tmp_path_factory) -> tuple[dict, str]:
    """Results and page as they were written."""
    folder = result.save(tmp_path_factory.mktemp("study"))
    return json.loads((folder / "results.json").read_text()), (folder / "report.html").read_text()


@pytest.fixture(scope="module")
def tables(saved) -> dict[str, list[list[list[str]]]]:
    parser = _Tables()
    parser.feed(re.sub(r"<(script|style)\b.*?</\1>", "", saved[1], flags=re.DOTALL))
    return {name: rows[1:] for name, rows in parser.tables.items()}


def _leaves(node: object) -> Iterator[object]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield key
            yield from _leaves(value)
    elif isinstance(node, list):
        for value in node:
            yield from _leaves(value)
    else:
        yield node


def _about(node: object, name: str) -> Iterator[object]:
    """Every leaf of what is kept under a name, or beside it."""
    if isinstance(node, dict):
        if name in node.values():
            yield from _leaves(node)
        for key, value in node.items():
            yield from _leaves(value) if key == name else _about(value, name)
    elif isinstance(node, list):
        for value in node:
            yield from _about(value, name)


def _written(values: Iterator[object]) -> set[str]:
    known = {float(v) for v in values if isinstance(v, int | float) and not isinstance(v, bool)}
    return {write(value) for value in known for write in WRITERS} | {write(-value) for value in known for write in WRITERS}


def _strange(texts: list[str], written: set[str], strings: set[str]) -> list[str]:
    """Numbers in a cell that are written nowhere; a text that is a result itself may hold any."""
    shown = [text for text in texts if text not in strings]
    return [token for text in shown for token in NUMBER.findall(text) if token.rstrip(",") not in written]


BY_NAME = ("verdicts", "forward-table", "surrogate-table", "ladder-table", "lead-table", "after-table", "returns")
BY_NAME += ("risk", "var-table", "cost-table", "regime-shares", "rungs-table", "gains-table")
BY_NAME += ("profile", "distribution-table", "decile-table")


@pytest.fixture(scope="module")
def written_about(saved):
    """What a row about a name may hold: every number that is kept under the name, written in every way."""
    results, _ = saved

    @cache
    def found(name: str) -> set[str]:
        return _written(_leaves(results["regimes"]["share"]) if name == "share" else _about(results, name))

    return found


@pytest.mark.parametrize("table", BY_NAME)
def test_every_number_of_a_row_stands_in_the_results_of_what_the_row_is_about(table, saved, tables, written_about):
    results, _ = saved
    strings = {value for value in _leaves(results) if isinstance(value, str)}
    assert tables[table]
    n_numbers = 0
    for row in tables[table]:
        name = "".join(row[0]).removesuffix("baseline").removesuffix("the median draw")
        name = "share" if name == "All" else name
        written = written_about(name) | {fmt.percent(level, 0) for level in (0.95, 0.99)} | {fmt.count(1e4)}
        assert len(written) > 5, name
        for cell in row[1:]:
            n_numbers += len(NUMBER.findall(" ".join(cell)))
            assert not _strange(cell, written, strings), (name, cell)
    assert n_numbers > len(tables[table])


def test_a_wrong_number_would_be_found(saved, tables):
    results, _ = saved
    written = _written(_about(results, "zscore"))
    right = results["detectors"]["zscore"]["forward"]["12h"]["abs_move_ratio"]
    assert not _strange([fmt.ratio(right)], written, set())
    assert _strange(["77.77"], written, set()) == ["77.77"]
    assert _strange(["[0.99, 81.25]"], written | {"0.99"}, set()) == ["81.25"]


def test_places_and_years_are_those_of_the_slices(saved, tables):
    results, _ = saved
    found = {(row["detector"], row["slice"]): row for row in results["slices"]}
    order = [
        re.search(rf'<table id="{name}">\s*<caption><span>([^:]+):', saved[1])[1] for name in tables if name.startswith("places")
    ]
    assert len(order) == len(results["detectors"])
    years = sorted({row["slice"] for row in results["slices"] if row["by"] == "year"})
    n_compared = 0
    for i, detector in enumerate(order):
        horizon = results["detectors"][detector]["verdict_horizon"]
        assert f"{detector}: activity beyond the forecast over {horizon} by asset and regime" in saved[1]
        for row in tables[f"places-{i}"]:
            place = row[0][0]
            for year, cell in zip([*years, ""], row[1:], strict=True):
                entry = found.get((detector, year if place == "All" else f"{place} {year}".strip()))
                if place == "All" and not year:
                    whole = results["detectors"][detector]["rungs"]["volatility"][horizon]
                    entry = {"ratio": whole["ratio"], "n_judged": whole["n_events"], "q": None}
                if entry is None:
                    assert cell[0] == fmt.DASH
                    continue
                ratio = fmt.ratio(entry["ratio"])
                marked = entry["q"] is not None and entry["q"] <= 0.05
                assert cell == [f"◆ {ratio}" if marked else ratio, f"n {fmt.count(entry['n_judged'])}"]
                n_compared += ratio != fmt.DASH
    assert n_compared > 10


def test_every_year_asset_and_regime_stands_in_a_table_with_its_test(saved, tables):
    results, _ = saved
    found = {(row["detector"], row["by"], row["slice"]): row for row in results["slices"]}
    assert len(tables["slices"]) == sum(by in ("year", "asset", "regime") for _, by, _ in found)
    for name, by, place, horizon, n_events, ratio, p, q in tables["slices"]:
        row = found["".join(name), "".join(by), "".join(place)]
        assert "".join(horizon) == row["horizon"] == results["detectors"][row["detector"]]["verdict_horizon"]
        assert "".join(n_events) == fmt.count(row["n_judged"])
        assert "".join(ratio).startswith(fmt.ratio(row["ratio"]))
        assert ["".join(p), "".join(q)] == [fmt.p_value(row["p"]), fmt.p_value(row["q"])]


def test_timing_alert_rates_and_quality_are_those_of_the_results(result, saved, tables):
    results, _ = saved
    for row in tables["timing-table"]:
        name = "".join(row[0])
        drawn = results["random_draws"][name]
        totals = drawn["total_returns"]
        # Draws are shown as they are counted: their log returns widened about the mean.
        logs = np.log1p(totals)
        wide = logs.mean() + (logs - logs.mean()) * drawn["widening"]
        low, middle, high = (fmt.percent(float(np.expm1(np.quantile(wide, q)))) for q in (0.05, 0.5, 0.95))
        own = fmt.percent(results["backtests"][name]["total_return"])
        beaten = fmt.percent(results["random_draws"][name]["percentile"])
        around = fmt.interval(results["random_draws"][name]["interval"], fmt.percent)
        shown = [own, middle, f"[{low}, {high}]", beaten, around, fmt.count(len(totals)), fmt.ratio(drawn["widening"])]
        assert ["".join(cell) for cell in row[1:]] == shown
    for row in tables["alert-table"]:
        entry = results["detectors"]["".join(row[0])]
        rate = entry["alert_rate"]
        wanted = [fmt.percent(rate[key], 2) for key in ("nominal", "realised")]
        wanted += [fmt.ratio(rate["realised"] / rate["nominal"]), fmt.count(entry["n_alerts"])]
        assert ["".join(cell) for cell in row[1:5]] == wanted
    counts = {"".join(row[0]): ["".join(cell) for cell in row[1:]] for row in tables["quality"]}
    for symbol, row in result.quality.table.iterrows():
        assert counts[str(symbol)] == [fmt.quantity(str(key), value) for key, value in row.items()]


def test_months_and_offsets_are_those_of_the_results(result, saved, tables):
    results, page = saved
    heads = {
        name: re.findall(r'class="sort">([^<]+)<', re.search(rf'<table id="{name}">.*?</thead>', page, re.DOTALL)[0])
        for name in ("months", "offsets-table")
    }
    ends = result.equity.groupby((result.equity.index - pd.Timedelta("1us")).strftime("%Y-%m")).last()
    assert len(tables["months"]) == len(ends) >= 2
    for row in tables["months"]:
        wanted = [fmt.ratio(ends.loc[row[0][0], name]) for name in heads["months"][1:]]
        assert ["".join(cell) for cell in row[1:]] == wanted
    for i, row in enumerate(tables["offsets-table"]):
        for name, cell in zip(heads["offsets-table"][1:], row[1:], strict=True):
            study = results["event_study"][name]
            low, middle, high = (fmt.ratio(study[key][i]) for key in ("activity_low", "activity", "activity_high"))
            assert cell == [middle, f"[{low}, {high}]"]


def test_charts_draw_the_results_to_five_digits(result, saved):
    results, page = saved
    found = re.findall(r'<script type="application/json" id="([^"]+)-spec">(.*?)</script>', page, flags=re.DOTALL)
    specs = {name: json.loads(spec)["data"] for name, spec in found}
    titles = dict(re.findall(r'id="(after-\d+)" role="img" aria-label="([^:]+):', page))
    assert len(titles) == len(results["detectors"])
    for chart, detector in titles.items():
        study = results["event_study"][detector]
        low, high, _, activity = specs[chart]
        for trace, key in ((low, "activity_low"), (high, "activity_high"), (activity, "activity")):
            assert trace["y"] == pytest.approx(study[key], rel=1e-4)
    swept = results["cost_sweep"]
    drawn = {trace["name"]: trace["y"] for trace in specs["costs"] if "name" in trace}
    assert set(drawn) == set(swept["total_return"])
    assert all(drawn[name] == pytest.approx(totals, rel=1e-4) for name, totals in swept["total_return"].items())
    path = result.risk_paths["buy_and_hold"]
    var95, var99, calm, mild, worst = specs["var-0"]
    known = ~np.isnan(path.forecasts["filtered_historical"].var[0.95])
    assert var95["y"] == pytest.approx(-path.forecasts["filtered_historical"].var[0.95][known][-1_500:], rel=1e-4)
    assert var99["y"] == pytest.approx(-path.forecasts["filtered_historical"].var[0.99][known][-1_500:], rel=1e-4)
    assert len(calm["y"]) + len(mild["y"]) + len(worst["y"]) == len(var95["y"])
    rows = {(row["strategy"], row["method"], row["level"]): row for row in results["value_at_risk"]["rows"]}
    assert known.sum() == len(var95["y"])
    assert len(worst["y"]) == rows["buy_and_hold", "filtered_historical", 0.99]["n_hits"]
    assert len(mild["y"]) + len(worst["y"]) == rows["buy_and_hold", "filtered_historical", 0.95]["n_hits"]


def test_the_list_of_trades_holds_every_closed_trade(result, saved):
    document = re.search(r'<script type="application/json" id="trades-data">(.*?)</script>', saved[1], flags=re.DOTALL)
    columns = {column["label"]: column for column in json.loads(document[1])["columns"]}
    closed = {name: closed_trades(found) for name, found in result.backtests.items() if not name.startswith("random_avoidance")}
    n = sum(map(len, closed.values()))
    assert {len(column["values"]) for column in columns.values()} == {n}
    strategies = np.array(columns["Strategy"]["names"])[columns["Strategy"]["values"]]
    for name, trades in closed.items():
        mine = strategies == name
        assert np.sort(np.array(columns["Return"]["values"])[mine]) == pytest.approx(np.sort(trades["net_return"]), rel=1e-6)
    ends = columns["Closed"]["values"]
    assert all(later >= earlier for later, earlier in pairwise(ends))
    last = pd.concat(closed.values())["closed"].max()
    assert np.datetime64(ends[0], "m") == last
    texts, values = columns["Return"]["texts"], columns["Return"]["values"]
    assert texts[:20] == [fmt.percent(value, 2) for value in values[:20]]


def test_a_notebook_shows_headline_and_verdicts_as_text(result):
    excerpt = result._repr_html_()
    assert "<script" not in excerpt
    for name, entry in result.results["detectors"].items():
        assert f"<th>{name}" in excerpt
        assert entry["verdict"] in excerpt


def test_figures_are_plotly_figures_in_plain_colours_with_title_and_units(result):
    found = result.figures()
    assert {"forward-0", "equity", "costs", "var-0", "after-0", "lead-0", "projection"} <= set(found)
    for figure in found.values():
        assert "var(--" not in figure.to_json()
        assert figure.layout.title.text
        assert figure.layout.title.subtitle.text
    equity = found["equity"].data[0]
    assert len(equity.x) == len(equity.y)
