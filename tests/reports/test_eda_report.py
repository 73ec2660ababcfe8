"""The exploration page: what stands on it is what stands in eda.json, and nothing else gets in or out."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import foreshock as fs
from foreshock.cli.root import app, main
from foreshock.reports.exploration import figures as eda_figures
from foreshock.reports.exploration import paths as eda_paths
from foreshock.reports.exploration import tables as eda_tables
from foreshock.reports.exploration.matrix import LEVELS, SIDE, scatter_matrix
from foreshock.reports.exploration.page import EdaReport, headline
from foreshock.reports.parts import format as fmt
from tests.made.exploration import exploration, history, page_of
from tests.market import make_bars
from tests.reading.seen import seen, specs, table_of


@pytest.fixture
def results() -> dict:
    return exploration().results


@pytest.fixture
def page() -> str:
    return page_of()


def test_every_chart_has_a_table_behind_it(page):
    for table in (
        "runs",
        "histogram-table",
        "box-symbol-table",
        "box-hour-table",
        "box-period-table",
        "pairs",
        "acf-table",
        "periods",
        "loadings",
    ):
        assert re.search(rf'<details><summary>[^<]+</summary>\s*<div class="scroll"[^>]*>\s*<table id="{table}">', page), table


def test_charts_hold_plain_lists_and_no_unknown_number(page):
    found = specs(page)
    small = {f"{kind}-{i}" for kind in ("hist", "acf", "price") for i in range(3)}
    assert set(found) == {"timeline", "box-symbol", "box-hour", "box-period", "volatility", "projection"} | small
    assert "bdata" not in json.dumps(found)
    assert "NaN" not in json.dumps(found)
    assert not re.search(r"\b(nan|null|undefined|inf|NaT)\b|\bNone\b", seen(page))
    kinds = {trace["type"] for spec in found.values() for trace in spec["data"]}
    assert kinds == {"scatter", "bar"}


def test_the_head_says_what_the_data_are_and_what_state_they_are_in(results, page):
    text = seen(page)
    assert headline(results)[0] == "16 bars missing in 2 gaps, and 14 other findings."
    assert text.index("16 bars missing in 2 gaps, and 14 other findings.") < text.index("Are the data complete?")
    assert "BTC/USDT, ETH/USDT, BTC/USDT (x1000)" in text
    assert f"1,920 of 1h From 2022-01-01 UTC To 2022-03-21 23:00 UTC Data hash {results['data']['hash'][:12]}" in text
    far = [row["far"] for row in results["returns"].values() if row["n"] >= 100]
    assert "24 bars apart, absolute returns of the median symbol correlate" in text
    assert f"{fmt.percent(min(far), 2)} to {fmt.percent(max(far), 2)} of the returns lie beyond 3 standard deviations" in text


def test_a_faultless_history_says_so():
    found = fs.explore(make_bars(400, 1))
    text = seen(EdaReport("x", found.results, "").to_html())
    assert "No bar is missing between first and last, and nothing else was found." in text
    assert "Checked and not found: unsorted, doubled, infinite" in text
    assert "What could not be drawn" not in text
    assert "There is only one symbol, so there is no correlation between symbols." in text


def test_quality_tables_are_the_counts_and_runs(results, page):
    rows = {row[0]: row[1:] for row in table_of(page, "quality")}
    # Known bars, gaps, unit, missing, zero volume, jump.
    assert rows["BTC/USDT"] == ["1,910", "1", "10", "10", "3", "0"]
    assert rows["ETH/USDT"] == ["1,914", "1", "0", "6", "0", "1"]
    assert rows["BTC/USDT (x1000)"] == ["10", "0", "0", "0", "0", "0"]
    runs = table_of(page, "runs")
    assert len(runs) == results["quality"]["n_runs"] == 5
    assert [
        "BTC/USDT",
        "Unit",
        "10",
        "2022-03-04 12:00",
        "2022-03-04 21:00",
        "prices 1,000 times those before",
        "set apart",
    ] in runs
    assert [
        "ETH/USDT",
        "Missing",
        "6",
        "2022-01-17 16:00",
        "2022-01-17 21:00",
        "no bar for 6h, others traded: up to 1",
        "left unknown",
    ] in runs


def test_the_time_line_marks_every_run_where_it_begins(results, page):
    spec = specs(page)["timeline"]
    names = spec["layout"]["yaxis"]["ticktext"]
    marks = [trace for trace in spec["data"] if trace["mode"] == "markers"]
    drawn = sorted((names[y], x) for trace in marks for x, y in zip(trace["x"], trace["y"], strict=True))
    assert drawn == sorted((run["symbol"], run["from"][:16].replace("T", " ")) for run in results["quality"]["runs"])
    spans = spec["data"][0]
    assert (spans["x"][0], spans["x"][1]) == ("2022-01-01 00:00", "2022-03-21 23:00")
    assert "16 missing bars in 2 gaps" in seen(page)
    legend = re.findall(r'data-chart="timeline" data-traces="(\d+) (\d+)">.*?</svg>\s*([a-z ]+) <span', page, flags=re.DOTALL)
    assert [name for *_, name in legend] == ["left unknown", "set apart", "kept"]
    for line, markers, _ in legend:
        assert spec["data"][int(line)]["mode"] == "lines"
        assert spec["data"][int(markers)]["mode"] == "markers"


def test_histograms_boxes_and_curves_draw_what_was_counted(results, page):
    found = specs(page)
    for i, symbol in enumerate(results["data"]["symbols"][:2]):
        drawn = results["returns"][symbol]["histogram"]
        bars, normal = found[f"hist-{i}"]["data"]
        assert bars["y"] == [count or None for count in drawn["counts"]]
        assert [y for y in normal["y"] if y is not None] == pytest.approx([x for x in drawn["normal"] if x >= 0.3], rel=1e-4)
        assert (
            normal["x"] == bars["x"] == pytest.approx((np.array(drawn["edges"][1:]) + drawn["edges"][:-1]) / 2, rel=1e-4, abs=1e-9)
        )
        *_, returns, absolute = found[f"acf-{i}"]["data"]
        assert returns["y"] == pytest.approx(results["autocorrelation"][symbol]["returns"], rel=1e-4)
        assert absolute["y"] == pytest.approx(results["autocorrelation"][symbol]["absolute"], rel=1e-4)
    whiskers, boxes, medians = found["box-hour"]["data"]
    hours = results["boxes"]["hour"]
    assert boxes["base"] == pytest.approx([box["q25"] for box in hours], rel=1e-4)
    assert np.add(boxes["base"], boxes["y"]) == pytest.approx([box["q75"] for box in hours], rel=1e-3, abs=1e-7)
    assert whiskers["y"][::6] == pytest.approx([box["low"] for box in hours], rel=1e-4)
    assert whiskers["y"][4::6] == pytest.approx([box["high"] for box in hours], rel=1e-4)
    assert medians["y"][::3] == pytest.approx([box["median"] for box in hours], rel=1e-4)
    low, high = found["box-hour"]["layout"]["yaxis"]["range"]
    assert low < min(box["low"] for box in hours) < max(box["high"] for box in hours) < high
    width = {box["name"]: box["q75"] - box["q25"] for box in hours}
    assert f"Widest in the hour from {max(width, key=width.get)} UTC, narrowest from {min(width, key=width.get)}" in seen(page)


def test_every_stretch_of_a_price_is_drawn_in_the_colour_of_its_regime(results, page):
    spec = specs(page)["price-0"]
    base, *regimes = spec["data"]
    close, labels = results["prices"]["close"]["BTC/USDT"], results["prices"]["regime"]["BTC/USDT"]
    assert (
        base["y"] == pytest.approx([x for x in close], rel=1e-4, nan_ok=True) if None not in close else len(base["y"]) == len(close)
    )
    assert (base["x0"], base["dx"]) == ("2022-01-01T00:00:00", 7_200_000)
    assert len(regimes) == len(results["regimes"]["names"]) == 4
    for t, label in enumerate(labels):
        if label is not None and close[t] is not None:
            assert regimes[label]["y"][t] is not None
            for k, trace in enumerate(regimes):
                # Another regime's line has the point only if its own begins here.
                assert k == label or trace["y"][t] is None or labels[t + 1] == k
    assert "thinned for drawing to runs of 2 bars" in seen(page)


def test_a_short_history_is_drawn_bar_by_bar_and_says_so():
    found = fs.explore(make_bars(300, 1))
    text = seen(EdaReport("x", found.results, "").to_html())
    assert "every bar drawn" in text
    assert "thinned for drawing" not in text


def test_the_projection_draws_its_points_by_regime(results, page):
    spec, found = specs(page)["projection"], results["projection"]
    for k, trace in enumerate(spec["data"]):
        own = [p for p, label in zip(found["points"], found["regime"], strict=True) if label == k]
        assert trace["x"] == pytest.approx([p[0] for p in own], rel=1e-4)
    total = fmt.percent(sum(found["explained"]), 0)
    assert f"Two components explain {total} of the variance of 6 features" in seen(page)
    assert f"n = {fmt.count(found['n'])} rows, of which {fmt.count(len(found['points']))} are drawn at random" in seen(page)


def test_matrix_cells_cover_each_counted_cell_once(results):
    matrix = scatter_matrix(results)
    assert matrix
    panel = next(panel for panel in matrix.panels if panel.words.startswith("range against 20-bar volatility"))
    cells = results["scatter"]["cells"]["volatility_20 range"]
    size = SIDE / 36
    covered = []
    for level, path in panel.paths:
        assert 1 <= level <= LEVELS
        for left, top, wide in re.findall(r"M([\d.]+) ([\d.e-]+)h([\d.]+)v", path):
            first, row = round(float(left) / size), 35 - round(float(top) / size)
            covered += [(first + k, row, level) for k in range(round(float(wide) / size))]
    assert sorted((x, y) for x, y, _ in covered) == sorted((x, y) for x, y, _ in cells)
    counts = {(x, y): count for x, y, count in cells}
    darkest = [counts[x, y] for x, y, level in covered if level == LEVELS]
    lightest = [counts[x, y] for x, y, level in covered if level == 1]
    assert min(darkest) > max(lightest)
    rho = results["features"]["spearman"][1][2]
    assert panel.words.endswith(f"rank correlation {fmt.ratio(rho)}")


def test_heat_tables_are_the_correlations_and_their_shades(results, page):
    table = eda_tables.heat_table("x", "y", ["a", "b"], [[1.0, -0.25], [-0.25, None]], ["A", "B"])
    assert [[c.text for c in row] for row in table.rows] == [["A", "1.00", "−0.25"], ["B", "−0.25", fmt.DASH]]
    assert [(c.kind, c.shade) for c in table.rows[0][1:]] == [("heat plus", 1.0), ("heat minus", 0.25)]
    rows = table_of(page, "features")
    expected = [[fmt.ratio(x) for x in row] for row in results["features"]["spearman"]]
    assert [row[1:] for row in rows] == expected
    assert re.search(r'<td class="heat heat plus"\s*style="--shade: 1\.000"', page)


def test_moments_and_regimes_are_the_formatted_results(results, page):
    rows = {row[0]: row[1:] for row in table_of(page, "moments")}
    for symbol, found in results["returns"].items():
        assert rows[symbol][0] == fmt.count(found["n"])
        assert rows[symbol][3:6] == [fmt.ratio(found["skew"]), fmt.ratio(found["kurtosis"]), fmt.percent(found["far"], 2)]
    regimes = {row[0]: row[1:] for row in table_of(page, "regimes")}
    for name, row in results["regimes"]["rows"].items():
        assert regimes[name][:2] == [fmt.count(row["n"]), fmt.percent(results["regimes"]["share"][name])]


@pytest.mark.parametrize("n_bars", [1, 2, 3, 30, 130])
def test_a_short_history_has_a_page_that_names_what_is_missing_and_why(n_bars):
    found = fs.explore(make_bars(n_bars, 2))
    page = EdaReport("Short", found.results, "").to_html()
    text = seen(page)
    assert "What could not be drawn." in text
    assert found.results["omitted"]
    for part in found.results["omitted"]:
        assert f"{part['what']}: {part['why']}" in text
    assert not re.search(r"\b(nan|null|undefined|inf|NaT)\b|\bNone\b", text)


def test_of_many_symbols_the_first_have_charts_and_the_page_says_so():
    found = fs.explore(make_bars(300, 26))
    page = EdaReport("Many", found.results, "").to_html()
    assert "The first 12 of 26 symbols have their own charts" in seen(page)
    assert len([name for name in specs(page) if name.startswith("price-")]) == eda_figures.N_CHARTS == 12
    assert len(table_of(page, "moments")) == len(table_of(page, "quality")) == 26
    assert len(table_of(page, "symbols")) == eda_tables.HEAT_SHOWN
    assert len(page.encode()) < 3e6


def test_more_runs_than_are_shown_are_counted():
    bars = make_bars(2_000, 1)
    bars.volume[::2] = 0.0
    found = fs.explore(bars)
    assert found.results["quality"]["n_runs"] == 1_000
    page = EdaReport("x", found.results, "").to_html()
    assert len(table_of(page, "runs")) == eda_tables.RUNS_SHOWN
    assert "n = 1,000 runs, the first 200 shown; eda.json has 1,000, fs.clean all" in seen(page)


def test_a_line_of_a_regime_starts_at_the_point_before_it():
    close, labels = [1.0, 2.0, 3.0, 4.0, 5.0], [0, 0, 1, 0, None]
    assert eda_paths._of_regime(close, labels, 0) == [1.0, 2.0, None, 4.0, None]
    assert eda_paths._of_regime(close, labels, 1) == [None, 2.0, 3.0, None, None]


def test_a_history_on_disk_becomes_a_page_and_a_json(tmp_path):
    table = history().to_frame()
    table.to_csv(tmp_path / "coins.csv", index=False)
    said = CliRunner().invoke(app, ["eda", str(tmp_path / "coins.csv"), "--out", str(tmp_path / "out")])
    assert said.exit_code == 0, said.output
    assert said.output.splitlines()[0] == "16 bars missing in 2 gaps, and 14 other findings."
    found = json.loads((tmp_path / "out" / "eda.json").read_text(encoding="utf-8"))
    assert found["data"]["hash"] == fs.clean(fs.read_bars(tmp_path / "coins.csv"))[0].fingerprint()
    page = (tmp_path / "out" / "eda.html").read_text(encoding="utf-8")
    assert "<title>coins.csv: what the data look like</title>" in page
    assert "<pre><code>foreshock eda coins.csv</code></pre>" in page


def test_a_file_with_doubled_and_malformed_rows_is_explored_and_not_refused(tmp_path):
    table = make_bars(200, 1).to_frame()
    table = pd.concat([table, table.iloc[[50]]], ignore_index=True)
    table.loc[60, "low"] = -1.0
    table.to_csv(tmp_path / "dirty.csv", index=False)
    assert CliRunner().invoke(app, ["eda", str(tmp_path / "dirty.csv"), "--out", str(tmp_path)]).exit_code == 0
    found = json.loads((tmp_path / "eda.json").read_text(encoding="utf-8"))
    (counts,) = found["quality"]["table"].values()
    assert {kind: n for kind, n in counts.items() if n} == {
        "n_bars": 199,
        "gaps": 1,
        "unsorted": 1,
        "doubled": 1,
        "not_positive": 1,
        "missing": 1,
    }


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("absent.csv", None, "no such file or folder: "),
        ("bars.txt", "x", "must end in one of .csv"),
        ("empty.csv", "", "is empty (0 bytes)"),
        ("series.csv", "timestamp,value\n2024-01-01,1\n", "missing column: open, high, low, close, volume"),
        ("broken.parquet", "no parquet", "cannot be read as parquet"),
        (
            "one.csv",
            "time,open,high,low,close,volume\n2024-01-01,1,1,1,1,1\n",
            "one.csv: the interval cannot be inferred from a single bar",
        ),
        ("bad.csv", "time,open,high,low,close,volume\n2024-01-01,1,1,1,0,1\n", "bad.csv: no valid bar is left of 1 rows"),
    ],
)
def test_what_cannot_be_read_is_one_sentence_and_exit_code_3(name, content, said, tmp_path, monkeypatch, capsys):
    if content is not None:
        (tmp_path / name).write_text(content)
    monkeypatch.setattr("sys.argv", ["foreshock", "eda", str(tmp_path / name), "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 3
    printed = capsys.readouterr().err
    assert printed.startswith("error: ")
    assert said in printed
    assert printed.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_single_bar_with_its_interval_has_a_page(tmp_path):
    (tmp_path / "one.csv").write_text("time,open,high,low,close,volume\n2024-01-01,1,1,1,1,1\n")
    said = CliRunner().invoke(app, ["eda", str(tmp_path / "one.csv"), "--interval", "1h", "--out", str(tmp_path)])
    assert said.exit_code == 0, said.output
    assert "not drawn: histogram of one: 0 returns are known" in said.output
