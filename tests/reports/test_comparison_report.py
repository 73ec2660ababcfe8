"""The comparison page: what stands on it is what stands in comparison.json, and what it says follows from it."""

import copy
import html
import json
import re

import numpy as np
import pytest
from typer.testing import CliRunner

from foreshock.cli.root import app
from foreshock.comparison.comparison import comparison, config_changes, load_models
from foreshock.comparison.rankings import rank_comparison, slice_ranks, with_q
from foreshock.data.errors import ConfigError, DataError
from foreshock.engine.validation.moves.slices import rank_stability
from foreshock.reports.comparison.page import ComparisonReport, headline, sentences
from foreshock.reports.parts import format as fmt
from foreshock.reports.study.order import detectors_by_verdict
from tests.made.comparison import DETECTORS, MODELS, YEARS, as_before, study
from tests.reading.seen import head_of, seen, specs, table_of


@pytest.fixture(scope="module")
def content() -> dict:
    return json.loads(json.dumps(comparison({"main": study(0, 0.2), "other": study(3)}, MODELS), allow_nan=False))


@pytest.fixture(scope="module")
def page(content) -> str:
    return ComparisonReport(content, "foreshock compare main other").to_html()


def test_ratios_counts_and_marks_are_those_of_the_slices(content, page):
    for i, found in enumerate(content["studies"].values()):
        by_cell = {(row["by"], row["detector"], row["slice"]): row for row in found["slices"]}
        n_marked = 0
        for by in ("year", "asset", "regime"):
            name = f"ratio-{by}-{i}"
            columns = head_of(page, name)[2:]
            rows = table_of(page, name)
            assert [row[0].split()[0] for row in rows] == list(found["verdicts"])
            for label, over, *cells in rows:
                assert over == "24h"
                for column, text in zip(columns, cells, strict=True):
                    row = by_cell[by, label.split()[0], column]
                    marked = row["q"] is not None and row["q"] <= 0.05
                    n_marked += marked
                    expected = f"{'◆ ' if marked else ''}{fmt.ratio(row['ratio'])} n = {fmt.count(row['n_judged'])}"
                    assert text == expected
        assert n_marked == found["cells"]["n_beyond"]
    assert content["studies"]["main"]["cells"]["n_beyond"] > 5


def test_only_cells_with_enough_events_are_shaded_and_blue_is_above_one(page):
    body = re.search(r'<table id="ratio-year-0">.*?</table>', page, re.DOTALL)
    assert body
    cells = re.findall(r'<td class="heat( heat \w+)?"(.*?)>(.*?)</td>', body[0], re.DOTALL)
    for kind, _, inside in cells:
        text = seen(inside)
        ratio = re.search(r"\d\.\d\d", text)
        n = int(re.search(r"n = (\d+)", text)[1])  # pyright: ignore
        assert bool(kind) == (n >= 10)
        if kind and ratio and ratio[0] != "1.00":
            assert kind == (" heat plus" if float(ratio[0]) > 1 else " heat minus")
    assert sum(not kind for kind, *_ in cells) == 2


def test_q_is_benjamini_and_hochbergs_over_years_assets_and_regimes_of_enough_events():
    slices = study(0, 0.2)["slices"]
    rows, cells = with_q(slices)
    tested = [row for row in rows if row["by"] != "asset_year" and row["n_judged"] >= 10]
    assert cells["n_tested"] == len(tested) == 6 * 9 - 2
    p = sorted(row["p"] for row in tested)
    by_hand = [min(len(p) * p[j] / (j + 1) for j in range(k, len(p))) for k in range(len(p))]
    assert sorted(row["q"] for row in tested) == pytest.approx(np.minimum(by_hand, 1))
    assert all(row["q"] is None for row in rows if row["by"] == "asset_year" or row["n_judged"] < 10)
    assert slices[2].get("q") is None


def test_results_without_p_of_slices_and_without_blocks_say_so():
    old = as_before(study(0, 0.2))
    old["slices"] = [{k: v for k, v in row.items() if k != "p_matched"} for row in old["slices"] if row["by"] != "asset_year"]
    found = comparison({"old": old})
    text = seen(ComparisonReport(found, "").to_html())
    assert "No cell was tested: the results of this study have no p of its slices." in text
    assert not re.search(r"◆ (marks|\d)", text)
    assert "results written before there were such blocks lack them: run the study again" in text
    assert not re.search(r"\b(nan|null|undefined|inf|NaT)\b|\bNone\b", text)


def test_results_of_before_show_their_matched_ratios_and_say_so():
    old = as_before(study(0, 0.2))
    found = comparison({"old": old})
    page = ComparisonReport(found, "").to_html()
    assert "These results are from an earlier version: the ratios are volatility-matched" in seen(page)
    assert "Each cell is the test that decides verdicts" not in seen(page)
    by_cell = {(row["detector"], row["slice"]): row for row in old["slices"]}
    years = head_of(page, "ratio-year-0")[2:]
    for label, _, *cells in table_of(page, "ratio-year-0"):
        for year, text in zip(years, cells, strict=True):
            row = by_cell[label.split()[0], year]
            assert text.removeprefix("◆ ") == f"{fmt.ratio(row['matched_ratio'])} n = {fmt.count(row['n_events'])}"
    tested = [row["p_matched"] for row in old["slices"] if row["by"] != "asset_year" and row["n_events"] >= 10]
    assert found["studies"]["old"]["cells"]["n_tested"] == len(tested)


def test_detectors_stand_in_the_order_of_the_page_of_the_study():
    found = study(0, 0.2)
    for k, label in enumerate(("pca", "mad", "random")):
        found["detectors"][label]["verdict"] = ("volume tells", "calmer than expected", "adds information")[k]
    content = comparison({"one": found})
    order = detectors_by_verdict(found)
    assert set(order[:2]) == {"zscore", "random"}
    assert order[2:4] == ["pca", "mad"]
    page = ComparisonReport(content, "").to_html()
    for name in ("ratio-year-0", "ratio-asset-0", "ratio-regime-0", "agreement-0"):
        assert [row[0].split()[0] for row in table_of(page, name)] == order
    assert head_of(page, "ranks-0")[2:] == order
    assert head_of(page, "agreement-0")[1:] == order


def test_a_change_is_told_at_the_horizon_of_the_stronger_verdict():
    first, second = study(0), study(0, 0.2)
    first["detectors"]["zscore"]["verdict_horizon"], second["detectors"]["zscore"]["verdict_horizon"] = "24h", "1h"
    second["detectors"]["zscore"]["forward"]["1h"] = second["detectors"]["zscore"]["forward"]["1h"] | {"expected_ratio": 1.77}
    (row,) = [row for row in comparison({"a": first, "b": second})["changes"] if row["detector"] == "zscore"]
    assert (row["verdict_horizon_first"], row["verdict_horizon_second"], row["horizon"]) == ("24h", "1h", "1h")
    assert row["effect_second"] == 1.77
    (row,) = [row for row in comparison({"b": second, "a": first})["changes"] if row["detector"] == "zscore"]
    assert row["horizon"] == "1h"
    del second["detectors"]["zscore"]["forward"]["1h"]
    (row,) = [row for row in comparison({"a": first, "b": second})["changes"] if row["detector"] == "zscore"]
    assert row["horizon"] == "24h"


def test_a_study_of_few_events_has_a_page_that_says_what_cannot_be_told():
    few = study(0, 0.2, n_events=5)
    found = comparison({"few": few})
    page = ComparisonReport(found, "").to_html()
    text = seen(page)
    assert headline(found)[0].startswith(
        "Whether the ranking of the detectors is stable from year to year is not known: no detector has 10"
    )
    assert "Detectors are ranked in fewer than two years." in text
    assert specs(page) == {}
    assert "heat plus" not in re.search(r'<table id="ratio-year-0">.*?</table>', page, re.DOTALL)[0]  # pyright: ignore
    assert not re.search(r"\b(nan|null|undefined|inf|NaT)\b|\bNone\b", text)


def test_of_three_studies_each_row_names_the_other_one():
    found = comparison({name: study(seed) for seed, name in enumerate("abc")})
    page = ComparisonReport(found, "").to_html()
    assert head_of(page, "changes")[:4] == ["Detector", "The other", "Verdict", "Verdict"]
    assert [row[1] for row in table_of(page, "changes")] == ["b"] * 6 + ["c"] * 6
    assert {row[1] for row in table_of(page, "config-changes")} == {"b", "c"}
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_ranks_are_drawn_and_tabled_as_they_stand_in_the_json(content, page):
    drawn = specs(page)["rank-0"]
    years = content["studies"]["main"]["ranks"]["year"]
    assert drawn["layout"]["xaxis"]["ticktext"] == list(YEARS)
    legend = re.findall(
        r'data-chart="rank-0" data-traces="(\d+)">.*?</svg>\s*(\S+) <span class="last">mean ([\d.]+)', page, re.DOTALL
    )
    assert len(legend) == len(DETECTORS)
    for trace, label, mean in legend:
        expected = [years[year].get(label) for year in YEARS]
        assert drawn["data"][int(trace)]["y"] == expected
        assert mean == fmt.ratio(float(np.mean([rank for rank in expected if rank is not None])))
    rows = {(row[1], row[0]): row[2:] for row in table_of(page, "ranks-0")}
    labels = head_of(page, "ranks-0")[2:]
    for by, slices in content["studies"]["main"]["ranks"].items():
        for name, ranks in slices.items():
            assert rows[by, name] == [fmt.number(ranks.get(label)) for label in labels]


def test_ranks_are_one_for_the_largest_ratio_and_leave_out_few_events():
    ratios = {"a": 1.3, "b": 1.1, "c": 1.3, "d": 0.9}
    slices = [{"by": "year", "slice": "2021", "detector": name, "matched_ratio": r, "n_events": 10} for name, r in ratios.items()]
    slices.append(slices[0] | {"detector": "e", "n_events": 9, "matched_ratio": 9.0})
    assert slice_ranks(slices)["year"] == {"2021": {"a": 1.5, "b": 3, "c": 1.5, "d": 4}}


def test_the_critical_picture_is_the_comparison_of_the_json(content, page):
    charts = specs(page)
    for i, found in enumerate(content["studies"].values()):
        for by in ("asset_year", "year"):
            compared = found["rank_comparison"][by]
            chart = charts[f"critical-{by}-{i}"]
            ruler, bars, points = chart["data"]
            assert chart["layout"]["yaxis"]["ticktext"] == compared["names"]
            assert points["x"] == pytest.approx(compared["mean_ranks"], rel=1e-4)
            assert ruler["x"][1] - ruler["x"][0] == pytest.approx(compared["critical_difference"])
            (label,) = chart["layout"]["annotations"]
            assert ruler["x"][0] < label["x"] < ruler["x"][1]
            assert label["text"] == f"critical difference {fmt.ratio(compared['critical_difference'])}"
            joined = list(zip(bars["y"][::3], bars["y"][1::3], strict=True))
            names = compared["names"]
            assert joined == [(names.index(g[0]) - 0.2, names.index(g[-1]) + 0.2) for g in compared["groups"]]
            assert max([*points["x"], ruler["x"][1]]) < min(x for x in bars["x"] if x is not None)
            row = next(
                row for row in table_of(page, f"friedman-{i}") if row[0] == {"year": "years"}.get(by, "each asset in each year")
            )
            assert row[1] == f"{compared['n_blocks']} {compared['n_blocks_left_out']} left out"
            figures = (compared["statistic"], compared["p_value"], compared["critical_difference"])
            written = [w(x) for w, x in zip((fmt.number, fmt.p_value, fmt.ratio), figures, strict=True)]
            assert row[2:] == [fmt.count(len(names)), *written]
            every = len(names) * (len(names) - 1) // 2
            n_pairs = sum(b - a > compared["critical_difference"] for a in compared["mean_ranks"] for b in compared["mean_ranks"])
            pairs = f"{n_pairs} of {every} pairs of detectors differ by more than the critical difference"
            if compared["p_value"] > 0.05:
                pairs = "Friedman's test finds no difference between the detectors" + (f", though {pairs}" if n_pairs else "")
            title = re.search(rf'id="critical-{by}-{i}" role="img" aria-label="([^"]*?): ◆', page)
            assert title
            assert html.unescape(title[1]) == pairs


def test_detectors_without_ranks_in_three_quarters_of_the_blocks_are_left_out_then_blocks_with_a_gap():
    ratios = {str(k): {"a": k, "b": k + 1, "c": k + 2, "d": 5 - k} for k in range(5)}
    for k in "012":
        del ratios[k]["d"]
    del ratios["4"]["c"]
    found = rank_comparison(ratios, "year")
    assert found["left_out"] == ["d"]
    assert (found["n_blocks"], found["n_blocks_left_out"]) == (4, 1)
    assert found["names"] == ("c", "b", "a")
    assert found["reason"] is None
    assert "need at least 3 detectors over 2 blocks, there are 4 over 1" in rank_comparison({"x": ratios["3"]}, "year")["reason"]
    assert rank_comparison({k: dict.fromkeys("abc", 1.0) for k in "xy"}, "year")["reason"] == "all detectors tie in every block"


def test_tau_agreement_changes_settings_and_models_are_the_formatted_json(content, page):
    main = content["studies"]["main"]
    taus = {frozenset((p["first"], p["second"])): p["tau"] for p in main["rank_stability"] if p["by"] == "year"}
    years = head_of(page, "tau-year-0")[1:]
    for name, *cells in table_of(page, "tau-year-0"):
        assert cells == [fmt.ratio(1.0 if name == other else taus[frozenset((name, other))]) for other in years]
    pairs = table_of(page, "pairs-0")
    assert [row[3:] for row in pairs] == [
        [fmt.count(p["n_detectors"]), fmt.ratio(p["tau"]), fmt.p_value(p["p"])] for p in main["rank_stability"]
    ]
    labels = head_of(page, "agreement-0")[1:]
    for name, *cells in table_of(page, "agreement-0"):
        assert cells == [fmt.percent(main["agreement"][name.split()[0]][other], 0) for other in labels]
    for shown, row in zip(table_of(page, "changes"), content["changes"], strict=True):
        assert shown[0].split()[0] == row["detector"]
        assert shown[1:4] == [f"{row['verdict_first']} over 24h", f"{row['verdict_second']} over 24h", "24h"]
        assert shown[5] == f"{fmt.ratio(row['effect_second'])} {fmt.interval(row['effect_ci_second'])}"
        assert shown[6] == f"{fmt.ratio(row['matched_first'])} {fmt.interval(row['ci_first'])}"
        assert shown[8:] == [f"{fmt.p_value(row[key])} n = 200" for key in ("q_first", "q_second")]
    settings = {row[0]: row[1:] for row in table_of(page, "config-changes")}
    assert settings == {"data.hash": ["other", "00123456789abcdef", "30123456789abcdef"], "seed": ["other", "0", "3"]}
    rows = table_of(page, "models")
    assert [row[:3] for row in rows] == [
        ["pca", "in-sample", "0.21"],
        ["pca", "out-of-sample", "0.31"],
        ["pca", "published, in-sample", "0.00112"],
    ]
    assert rows[0][3:] == ["0.42", "0.50", "12 of 31", "0.66", "0.02\u202fs", "8.10\u202f%", "5.00\u202f%"]
    assert rows[2][4:] == [fmt.DASH] * 6


def test_settings_that_one_study_lacks_are_unknown_there():
    first, second = study(1), study(1, first="iqr")
    found = {row["key"]: (row["value_first"], row["value_second"]) for row in config_changes({"a": first, "b": second})}
    assert found == {"detectors.zscore.name": ("zscore", None), "detectors.iqr.name": (None, "iqr")}
    assert config_changes({"a": first, "b": copy.deepcopy(first)}) == []


def test_the_head_says_what_holds_and_what_does_not():
    steady = study(0, 0.2)
    for row in steady["slices"]:
        if row["by"] == "year":
            row |= {"ratio": 1.3 - 0.1 * DETECTORS.index(row["detector"]), "n_judged": 60}
    steady["rank_stability"] = rank_stability(steady["slices"])
    said = headline(comparison({"one": steady}))
    # The same order in each of four years: 4 * 5 of chi-squared with 5 degrees of freedom.
    figures = "Friedman's p 0.001 over 4 years, mean Kendall's tau 1.00 over 6 pairs of years"
    assert said[0] == f"The detectors rank more alike from year to year than by chance: {figures}."
    assert "zscore has the best mean rank and differs significantly from" in said[-1]
    noise = sentences(comparison({"one": study(5)})["studies"]["one"])
    assert "do not rank more alike than by chance" in noise[0]
    assert re.search(r"Among \d+ tests .* (none is beyond chance|\d+ (is|are) beyond chance)", noise[1])
    none = r"has the best mean rank, but Friedman's test finds no difference between the detectors \(p 0\.\d+\)\."
    assert re.search(none, noise[-1])


def test_a_baseline_beyond_chance_makes_the_reader_suspicious():
    odd = study(0)
    for row in odd["slices"]:
        row["p"] = 1e-9 if row["detector"] == "random" and row["by"] == "year" else 0.5
    found = sentences(comparison({"one": odd})["studies"]["one"])
    assert "Some belong to a baseline (random), so read such cells with suspicion." in found


@pytest.mark.parametrize("verdict", ["adds information", "volume tells", "calmer than expected", "candidate: volume tells"])
def test_a_finding_of_a_baseline_is_named_in_the_head(verdict):
    odd = study(0)
    odd["detectors"]["random"]["verdict"] = verdict
    said = f"The baseline random is also judged to have a finding ({verdict}){{}}: read the other verdicts with suspicion."
    assert said.format("") in headline(comparison({"one": odd}))
    assert headline(comparison({"one": study(1), "two": odd}))[2] == said.format(" in two")
    assert not any("judged to have" in sentence for sentence in headline(comparison({"one": study(0), "two": study(1)})))


def test_a_study_of_an_earlier_test_is_not_compared_in_silence():
    old = study(1)
    for entry in old["detectors"].values():
        del entry["rungs"]
    said = "differ in their data and their tests (some are from an earlier version), so these verdicts cannot be compared directly."
    assert said in headline(comparison({"new": study(0), "old": old}))[1]
    assert not any("their tests" in sentence for sentence in headline(comparison({"new": study(0), "newer": study(1)})))
    alike = headline(comparison({"old": old, "older": old}))
    assert not any("their tests" in sentence for sentence in alike)


def test_several_studies_begin_with_what_changed(content, page):
    first = headline(content)[0]
    assert first == ("1 of 6 verdicts differ from those of main: zscore (adds information → echoes volatility in other).")
    assert seen(page).index(first) < seen(page).index("What changed between the studies?")


def test_the_verb_writes_json_and_page_of_the_same_numbers(tmp_path):
    for name, found in (("main", study(0, 0.2)), ("other", study(3))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "results.json").write_text(json.dumps(found))
    (tmp_path / "models.json").write_text(json.dumps(MODELS))
    words = ["compare", str(tmp_path / "main"), str(tmp_path / "other"), "--models", str(tmp_path / "models.json")]
    said = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "out")])
    assert said.exit_code == 0, said.output
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["comparison.json", "report.html"]
    content = json.loads((tmp_path / "out" / "comparison.json").read_text(), parse_constant=pytest.fail)
    page = (tmp_path / "out" / "report.html").read_text()
    assert page == ComparisonReport(content, "foreshock compare main other --models models.json").to_html()
    assert "<pre><code>foreshock compare main other --models models.json</code></pre>" in page


def test_one_study_under_two_names_is_refused(tmp_path):
    (tmp_path / "main").mkdir()
    (tmp_path / "main" / "results.json").write_text(json.dumps(study(0)))
    words = ["compare", str(tmp_path / "main"), str(tmp_path / "x" / ".." / "main"), "--out", str(tmp_path / "out")]
    with pytest.raises(ConfigError, match=r"studies to compare must differ, got .*main twice"):
        CliRunner().invoke(app, words, catch_exceptions=False)
    assert not (tmp_path / "out").exists()


def test_what_is_no_comparison_of_models_is_refused(tmp_path):
    path = tmp_path / "models.json"
    with pytest.raises(DataError, match="no such file: "):
        load_models(path)
    for text, said in (
        ("{", "is not JSON"),
        ("[]", "is not a comparison of models"),
        ('{"version": 1}', "is not a comparison of models"),
    ):
        path.write_text(text)
        with pytest.raises(DataError, match=said):
            load_models(path)
