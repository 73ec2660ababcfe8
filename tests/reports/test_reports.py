"""The study report: what stands on the page is what stands in the results, and nothing else gets in."""

import html
import json
import math
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from foreshock.data.errors import ConfigError, DataError
from foreshock.engine.validation.evidence.ladder import CONTROLS, NAIVE_WARNING
from foreshock.reports.parts import chart
from foreshock.reports.parts import format as fmt
from foreshock.reports.parts.html import embed
from foreshock.reports.study import evidence as evidence_tables
from foreshock.reports.study import figures
from foreshock.reports.study import order as study_order
from foreshock.reports.study import page as study_report
from foreshock.reports.study import rungs as rung_tables
from foreshock.reports.study.page import StudyReport
from tests.made.study import DETECTORS, RUNGS, bare_report, made_lead, renamed
from tests.reading import seen as pages

HOSTILE = "<img src=x onerror=alert(1)>\"'&</script><!--"


def _rows(page: str, table: str) -> dict[str, list[str]]:
    """Text cells of each row of a table, by the first word of the row's header."""
    return {row[0].split(" ")[0]: row[1:] for row in pages.table_of(page, table)}


@pytest.fixture(scope="module")
def report() -> StudyReport:
    return bare_report()


@pytest.fixture(scope="module")
def page(report: StudyReport) -> str:
    return report.to_html()


def test_every_number_of_the_verdict_table_is_the_formatted_result(report, page):
    rows = _rows(page, "verdicts")
    assert set(rows) == set(report.results["detectors"])
    for name, detector in report.results["detectors"].items():
        moves, rate = detector["forward"]["24h"], detector["alert_rate"]
        first, second = (detector["rungs"][rung]["24h"] for rung in RUNGS)
        verdict, beyond, _, volumes, raw, q, least, both, n_events, alerts = rows[name]
        assert verdict == f"{detector['verdict']} {detector['sentence']}"
        assert beyond == f"{fmt.ratio(moves['expected_ratio'])} {fmt.interval(moves['expected_ci'])}"
        assert volumes == f"{fmt.ratio(second['ratio'])} {fmt.interval(second['ci'])}"
        assert raw == f"{fmt.ratio(moves['abs_move_ratio'])} {fmt.interval(moves['abs_move_ratio_ci'])}"
        assert q == f"{fmt.p_value(moves['q'])} p {fmt.p_value(moves['p_expected'])}"
        assert least == fmt.ratio(first["detectable"])
        assert both == " / ".join(fmt.ratio(half) for half in first["halves"])
        assert n_events == f"{fmt.count(first['n_events'])} {fmt.count(moves['n_effective'])} apart"
        assert alerts == f"{fmt.percent(rate['realised'], 2)} of {fmt.percent(rate['nominal'], 2)}"


def test_a_verdict_is_shown_at_the_horizon_it_names(report):
    results = json.loads(json.dumps(report.results))
    results["detectors"]["zscore"]["verdict_horizon"] = "1h"
    row = _rows(replace(report, results=results).to_html(), "verdicts")["zscore"]
    hour, day = (results["detectors"]["zscore"]["forward"][horizon]["expected_ratio"] for horizon in ("1h", "24h"))
    assert row[1].startswith(fmt.ratio(hour))
    assert row[3].startswith(fmt.ratio(results["detectors"]["zscore"]["rungs"]["volume"]["1h"]["ratio"]))
    assert hour != pytest.approx(day)


def test_detectors_stand_in_the_order_of_their_verdicts(report, page):
    shown = list(_rows(page, "verdicts"))
    assert shown[:3] == ["isolation_forest", "zscore", "seq2seq_autoencoder"]
    assert shown[3:] == ["mad", "rolling_volatility", "pca", "volatility_only", "random", "anogan"]


def test_the_calmest_of_the_calm_stands_first(report):
    results = json.loads(json.dumps(report.results))
    for name, ratio in (("mad", 0.9), ("pca", 0.7), ("zscore", 0.8)):
        results["detectors"][name]["verdict"] = "calmer than expected"
        results["detectors"][name]["forward"]["24h"]["expected_ratio"] = ratio
    order = study_order.detectors_by_verdict(results)
    assert [name for name in order if name in ("mad", "pca", "zscore")] == ["pca", "zscore", "mad"]


@pytest.mark.parametrize("label", study_order.VERDICTS)
def test_every_verdict_has_a_badge_of_its_own_style(label, page):
    kind = study_order.verdict_kind(label)
    assert kind == label.split()[0].strip(":")
    assert f".badge.{kind}" in page
    assert study_order.verdict_kind("unheard of") == study_order.verdict_kind(None) == "unknown"


def test_a_detector_without_events_shows_dashes_and_counts(page):
    verdict, beyond, _, volumes, raw, q, least, both, n_events, _ = _rows(page, "verdicts")["anogan"]
    assert verdict.startswith("too few events")
    assert (beyond, volumes, raw, q, n_events) == ("– –", "– –", "– –", "– p –", "0 0 apart")
    assert (least, both) == ("–", "– / –")


def test_a_detector_without_any_forward_move_and_a_study_without_strategies_still_render(report):
    results = {**report.results, "backtests": {}, "risk": {}, "config": {}, "seeds": {}, "versions": {}}
    silent = {"role": "detector", "alert_rate": {"nominal": None, "realised": None}, "forward": {}, "verdict": None}
    results["detectors"] = {"silent": silent}
    results |= {
        "surrogates": {"n": 0, "notes": []},
        "evidence": {},
        "lead_lag": {},
        "calibration": [],
        "controls": {},
        "forecasts": {},
    }
    bare = replace(report, results=results, equity=pd.DataFrame(), quality=pd.DataFrame(), random_draws={})
    page = bare.to_html()
    assert [figure for figure in pages.specs(page) if figure.startswith(("ladder", "lead"))] == []
    assert "Size and power of the test of these verdicts are not known." in pages.seen(page)
    assert "The study has no forecasts." in pages.seen(page)
    rows = _rows(page, "verdicts")
    assert rows["silent"] == ["–", "– –", "", "– –", "– p –", "– – apart", "– of –"]


def test_missing_values_are_dashes_and_never_words(report, page):
    assert report.results["backtests"]["buy_and_hold"]["deflated_sharpe"] is None
    assert _rows(page, "returns")["buy_and_hold"][4] == fmt.DASH
    assert _rows(page, "versions")["torch"] == [fmt.DASH]
    assert _rows(page, "quality")["DOGE/USDT"][-1] == fmt.DASH
    seen = pages.seen(page)
    assert not re.search(r"\b(nan|null|undefined|inf|NaT)\b|\bNone\b(?! of)", seen)
    assert "NaN" not in "".join(json.dumps(spec) for spec in pages.specs(page).values())


@pytest.mark.parametrize("unknown", [None, float("nan")])
@pytest.mark.parametrize("write", [fmt.percent, fmt.ratio, fmt.bps, fmt.p_value, fmt.count, fmt.number, fmt.seconds, fmt.literal])
def test_an_unknown_value_is_a_dash_in_every_format(write, unknown):
    assert write(unknown) == "–"
    assert fmt.quantity("share", unknown) == fmt.interval([unknown, unknown]) == "–"


def test_rounding_never_turns_a_p_value_or_a_loss_into_something_else():
    assert fmt.p_value(0.0009999) == "< 0.001"
    assert fmt.p_value(0.001) == "0.001"
    assert fmt.percent(-0.00001) == "0.0\u202f%"
    assert fmt.percent(-0.1234) == "−12.3\u202f%"


def test_a_hostile_name_is_the_title(report):
    page = renamed(report, "zscore", HOSTILE).to_html()
    assert f"<title>{html.escape(HOSTILE).replace('&quot;', '&#34;').replace('&#x27;', '&#39;')}</title>" in page


def test_json_cannot_end_its_script_element():
    document = json.dumps([HOSTILE, "\u2028"], ensure_ascii=False)
    embedded = str(embed(document))
    assert not set("<>&\u2028") & set(embedded)
    assert json.loads(embedded) == json.loads(document)


def test_a_report_that_cannot_be_rendered_leaves_the_earlier_one(report, tmp_path):
    path = tmp_path / "report.html"
    report.save(path)
    before = path.read_bytes()
    broken = replace(report, results={key: value for key, value in report.results.items() if key != "backtests"})
    with pytest.raises(KeyError):
        broken.save(path)
    assert path.read_bytes() == before
    assert [child.name for child in tmp_path.iterdir()] == ["report.html"]


def test_a_write_that_fails_leaves_the_earlier_report(report, tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    path.write_text("earlier")
    monkeypatch.setattr("foreshock.data.system.disk.os.fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(DataError, match=r"report\.html cannot be written: disk full"):
        report.save(path)
    assert path.read_text() == "earlier"
    assert [child.name for child in tmp_path.iterdir()] == ["report.html"]


def test_a_reader_of_the_earlier_report_is_not_disturbed(report, tmp_path):
    path = tmp_path / "report.html"
    path.write_text("earlier")
    with path.open() as reader:
        report.save(path)
        assert reader.read() == "earlier"
    assert path.read_text(encoding="utf-8") == report.to_html()


def test_thinned_equity_keeps_the_ends_and_the_deepest_drawdown(report):
    thin, drawdown = chart.thinned(report.equity)
    full = report.equity / report.equity.cummax().clip(lower=1.0) - 1
    assert len(thin) <= chart.N_POINTS
    assert list(thin.index[[0, -1]]) == list(report.equity.index[[0, -1]])
    pd.testing.assert_frame_equal(thin, report.equity.loc[thin.index])
    pd.testing.assert_series_equal(drawdown.min(), full.min())
    pd.testing.assert_series_equal(drawdown.iloc[-1], full.iloc[-13:].min(), check_names=False)


def test_a_first_bar_below_the_start_is_a_drawdown():
    equity = pd.DataFrame({"x": [0.8, 0.9]}, index=pd.date_range("2024-01-01", periods=2, freq="h"))
    _, drawdown = chart.thinned(equity)
    assert drawdown["x"].tolist() == pytest.approx([-0.2, -0.1])


def test_charts_hold_plain_lists_and_the_results(report, page):
    specs = pages.specs(page)
    small = {f"{kind}-{i}" for kind in ("ladder", "lead") for i in range(len(report.results["detectors"]))}
    assert set(specs) == {"forward-0", "forward-1", "forward-2", "equity", "timing", "alerts"} | small
    assert "bdata" not in json.dumps(specs)
    order = study_order.detectors_by_verdict(report.results)
    *_, matched = specs["forward-2"]["data"]
    assert matched["x"] == [report.results["detectors"][name]["forward"]["24h"]["matched_ratio"] for name in order]
    strategy = specs["timing"]["data"][-1]
    assert strategy["x"] == [report.results["backtests"][f"anomaly_avoidance[{name}]"]["total_return"] for name in order]


def test_legend_switches_the_traces_of_its_own_strategy(report, page):
    data = pages.specs(page)["equity"]["data"]
    entries = re.findall(r'data-chart="equity" data-traces="(\d+) (\d+)">.*?</svg>\s*(\S+) <span', page, flags=re.DOTALL)
    assert {name for *_, name in entries} == set(report.equity.columns)
    for equity, drawdown, name in entries:
        assert data[int(equity)]["name"] == data[int(drawdown)]["name"] == name
        assert data[int(equity)]["y"][-1] == pytest.approx(report.equity[name].iloc[-1], rel=1e-4)
        assert data[int(drawdown)]["yaxis"] == "y2"


def test_the_exposure_drawn_is_the_mean_of_the_bars_before(report):
    equity = report.equity
    wave = pd.DataFrame({name: np.arange(len(equity)) % 7 / 7 + 0.01 * i for i, name in enumerate(equity)}, index=equity.index)
    spec = pages.specs(replace(report, exposure=wave).to_html())["equity"]
    times = pd.DatetimeIndex(spec["layout"]["meta"]["x"])
    n = math.ceil(len(equity) / 50)
    for trace in (trace for trace in spec["data"] if trace.get("yaxis") == "y3"):
        values = wave[trace["name"]].to_numpy()
        rows = equity.index.get_indexer(times)
        assert trace["y"] == pytest.approx([values[max(row - n + 1, 0) : row + 1].mean() for row in rows], rel=1e-4)


def test_a_ratio_axis_shows_every_point_and_cuts_only_far_intervals():
    low, high = chart.ratio_range([0.8, 1.6], [0.7, 40.0])
    assert low < 0.7
    assert 1.6 < high < 3
    low, high = chart.ratio_range([], [])
    assert low < 1.0 < high


def test_an_interval_that_runs_off_the_axis_ends_in_an_arrow(report):
    def arrows(page):
        found = [(name, note) for name, spec in pages.specs(page).items() for note in spec["layout"].get("annotations", [])]
        return [(name, note["text"], note["x"], note["y"]) for name, note in found if note["text"] in "◂▸"]

    results = json.loads(json.dumps(report.results))
    results["detectors"]["zscore"]["forward"]["24h"]["ci"] = [-30.0, 40.0]
    before, after = arrows(report.to_html()), arrows(replace(report, results=results).to_html())
    added = [arrow for arrow in after if arrow not in before]
    horizons = list(dict.fromkeys(horizon for entry in results["detectors"].values() for horizon in entry["forward"]))
    name = f"forward-{horizons.index('24h')}"
    low, high = pages.specs(replace(report, results=results).to_html())[name]["layout"]["xaxis"]["range"]
    place = study_order.detectors_by_verdict(results).index("zscore") + 0.16
    here = {arrow[1:] for arrow in added if arrow[0] == name and arrow[3] == place}
    assert here == {("◂", low, place), ("▸", high, place)}


def test_the_headline_counts_verdicts_and_distrusts_a_lucky_baseline(report):
    seen = pages.seen(report.to_html())
    assert "3 of 7 detectors add information beyond both forecasts: isolation_forest, zscore and seq2seq_autoencoder." in seen
    assert (
        "Among the others, 1 exceeds only the forecast without volumes (mad), 1 comes before calmer moves than expected "
        "(rolling_volatility), 1 is a candidate whose test could not be calibrated (pca) and 1 has too few events."
    ) in seen
    assert "with suspicion" not in seen
    for verdict in ("adds information", "volume tells", "calmer than expected", "candidate: calmer than expected"):
        results = json.loads(json.dumps(report.results))
        results["detectors"]["random"]["verdict"] = verdict
        said = f"The baseline random is also judged to have a finding ({verdict}), so read the other verdicts with suspicion."
        assert said in study_report.headline(results, report.random_draws)


def test_the_headline_says_that_nothing_adds_and_beyond_what(report):
    results = json.loads(json.dumps(report.results))
    for name, verdict in (
        ("zscore", "volume tells"),
        ("isolation_forest", "echoes volatility"),
        ("seq2seq_autoencoder", "no information"),
    ):
        results["detectors"][name]["verdict"] = verdict
    first, second, *_ = study_report.headline(results, {})
    assert first == "None of 7 detectors adds information beyond both forecasts."
    assert second.startswith("2 exceed only the forecast without volumes (zscore, mad), 1 comes before calmer")
    assert "1 echoes volatility, 1 shows no information and 1 has too few events." in second
    results["forecasts"]["has_volume"] = False
    assert study_report.headline(results, {})[0].endswith("beyond the forecast.")
    before = _without_forecasts(report).results
    assert study_report.headline(before, {})[0].startswith("3 of 7 detectors add information beyond volatility: ")


@pytest.mark.parametrize(
    ("change", "warned"), [({}, False), ({"mean": -1.2}, True), ({"found_raw": 0.175}, True), ({"found_raw": 0.15}, False)]
)
def test_the_first_lines_warn_of_a_large_bias_of_the_controls(report, change, warned):
    results = json.loads(json.dumps(report.results))
    results["controls"]["summary"][4] |= change
    said = [sentence for sentence in study_report.headline(results, {}) if "negative controls" in sentence]
    if not warned:
        assert said == []
        return
    row = results["controls"]["summary"][4]
    n, mean = round(row["found_raw"] * 40), fmt.ratio(row["mean"])
    assert said == [
        f"Without calibration, {n} of 40 negative controls, which know no more than the forecast (prices and volumes), would have "
        f"been told to add information over 6h (mean z {mean}): the verdicts lean on the calibration."
    ]
    assert said[0] in pages.seen(replace(report, results=results).to_html())


def test_a_short_test_is_told_what_its_figures_per_year_are_worth(report):
    data = {**report.results["data"], "test_start": "2024-01-01T00:00:00", "test_end": "2024-02-07T12:00:00"}
    said = study_report.headline({**report.results, "data": data}, report.random_draws)
    assert said[-1].startswith("The test covers 38 days: the standard error of an annual Sharpe ratio is about 3.12,")
    long = study_report.headline({**report.results, "data": {**data, "test_end": "2024-07-02T00:00:00"}}, report.random_draws)
    assert long == said[:-1]


def _without_forecasts(report: StudyReport, **changes: object) -> StudyReport:
    """The report of the same study by an earlier version, in which surrogates decided."""
    results = {key: value for key, value in report.results.items() if key not in ("forecasts", "controls")}
    results["detectors"] = {
        name: {key: value for key, value in entry.items() if key not in ("rungs", "gains")}
        for name, entry in report.results["detectors"].items()
    }
    return replace(report, results=results | changes)


def test_the_rule_in_words_is_that_of_the_test_that_was_run(report, page):
    seen = pages.seen(page).replace("\u202f", " ")
    assert "held against two forecasts made from this study's own data" in seen
    assert "The second sees past volumes too. Forecasts are cross-fitted" in seen
    assert "R² is 31 % to 51 % without volumes and 33 % to 53 % with them" in seen
    assert "corrected by 2 negative controls" in seen
    assert (
        "adjusted for all 54 tests of the study (detectors, horizons, forecasts), and must be at most 5 %; at least 8 alerts"
        in seen
    )
    assert "that knows no more than these is an echo" not in seen
    assert "These verdicts are from an earlier version" not in seen
    one = json.loads(json.dumps(report.results))
    one["forecasts"] |= {"has_volume": False, "trees": True}
    one["forecasts"]["quality"].pop("volume")
    alone = pages.seen(replace(report, results=one).to_html()).replace("\u202f", " ")
    assert "held against a forecast made from" in alone
    assert "The data have no volumes, so there is no second one. Forecasts are cross-fitted" in alone
    assert "a ridge regression and boosted trees fitted on the other blocks" in alone
    assert "R² is 31 % to 51 %, depending on the horizon" in alone
    assert "Volume tells: larger" not in alone


def test_the_second_opinion_stands_on_the_page_only_where_there_is_one(report, page):
    seen = pages.seen(page)
    assert "Second opinion. The fitted detectors also score 199 surrogate histories" in seen
    assert "so it is at least 0.005" in seen
    assert "It nowhere disagrees with the deciding test." in seen or "It disagrees with the deciding test for" in seen
    assert "Volatility of the surrogate histories: gjr (BTC/USDT, SOL/USDT), har (ETH/USDT)." in seen
    assert "ETH/USDT: gjr: no optimum" in seen
    assert "If there is nothing to find, the surrogate test still" in seen
    few = replace(report, results={**report.results, "surrogates": {**report.results["surrogates"], "n": 19}}).to_html()
    assert "so it is at least 0.050" in pages.seen(few)
    without = replace(report, results={**report.results, "surrogates": {"n": 0, "notes": ["not asked for"]}}).to_html()
    seen = pages.seen(without)
    assert not re.search(r"(?<!seeds\.)\b[Ss]urrogate", seen)
    assert '<table id="surrogate-table">' not in without
    assert '<table id="calibration">' not in without


def test_where_the_second_opinion_disagrees_is_named_and_calm_is_left_out(report):
    results = json.loads(json.dumps(report.results))
    for entry in results["detectors"].values():
        for horizon, found in entry["rungs"]["volatility"].items():
            found.update(q=0.5, z=1.0)
            entry["forward"][horizon]["q_surrogate"] = 0.5
    assert rung_tables.disagreements(results) == []
    detectors = results["detectors"]
    detectors["mad"]["forward"]["1h"]["q_surrogate"] = 0.01
    detectors["pca"]["rungs"]["volatility"]["6h"].update(q=0.02, z=3.1)
    detectors["zscore"]["rungs"]["volatility"]["6h"].update(q=0.02, z=-3.1)
    assert set(rung_tables.disagreements(results)) == {
        "mad over 1h (surrogates q 0.010, forecast q 0.500)",
        "pca over 6h (surrogates q 0.500, forecast q 0.020)",
    }
    assert "It disagrees with the deciding test for" in pages.seen(replace(report, results=results).to_html())


def test_results_of_an_earlier_version_are_shown_as_such(report):
    old = _without_forecasts(report)
    page = old.to_html()
    seen = pages.seen(page)
    assert "These verdicts are from an earlier version. They rest on a comparison with 199 surrogate histories" in seen
    assert "Second opinion" not in seen
    moves = old.results["detectors"]["zscore"]["forward"]["24h"]
    row = _rows(page, "verdicts")["zscore"]
    assert row[1] == f"{fmt.ratio(moves['path_effect'])} {fmt.interval(moves['path_effect_ci'])}"
    assert row[5] == f"{fmt.p_value(moves['q'])} p {fmt.p_value(moves['p_surrogate'])}"
    for table in ("rungs-table", "gains-table", "quality-table", "controls", "every-control"):
        assert f'<table id="{table}">' not in page
    matched = _without_forecasts(report, surrogates={"n": 0, "notes": []}).to_html()
    assert "They rest on the volatility-matched ratio" in pages.seen(matched)
    assert _rows(matched, "verdicts")["zscore"][1] == f"{fmt.ratio(moves['matched_ratio'])} {fmt.interval(moves['ci'])}"
    assert _rows(matched, "verdicts")["zscore"][4] == f"{fmt.p_value(moves['q'])} p {fmt.p_value(moves['p_matched'])}"


def test_both_forecasts_at_every_horizon_are_the_formatted_results(report, page):
    shown = {(row[0], row[1], row[2]): row[3:] for row in pages.table_of(page, "rungs-table")}
    assert len(shown) == 9 * 3 * 2
    found = report.results["detectors"]["pca"]["rungs"]["volume"]["6h"]
    assert shown["pca", "6h", "prices and volumes"] == [
        fmt.count(found["n_events"]),
        f"{fmt.ratio(found['ratio'])} {fmt.interval(found['ci'])}",
        "2.60 raw 3.10",
        fmt.p_value(found["p"]),
        fmt.p_value(found["q"]),
        "0.40 spread 1.17",
        "0.93",
        "1.38",
        f"{fmt.ratio(found['halves'][0])} z 1.30",
        f"{fmt.ratio(found['halves'][1])} z 0.90",
        fmt.DASH,
    ]
    assert shown["anogan", "1h", "past prices"][-1] == "0 alerts could be held against a forecast; 8 are needed"


def test_quality_and_gains_are_the_formatted_results_in_the_order_of_the_horizons(report, page):
    seen = [[cell.replace("\u202f", " ") for cell in row] for row in pages.table_of(page, "quality-table")]
    assert seen[1] == ["past prices", "6h", "41.0 %", "0.0246"]
    assert seen[3] == ["prices and volumes", "1h", "33.0 %", "0.0123"]
    gains = {(row[0], row[1]): [cell.replace("\u202f", " ") for cell in row[2:]] for row in pages.table_of(page, "gains-table")}
    assert gains["mad", "1h"][:2] == ["0.12 % [−0.08 %, 0.42 %]", "0.52 % [0.32 %, 0.82 %]"]
    assert gains["mad", "6h"][2] == "0.35 % [0.15 %, 0.65 %]"
    assert gains["mad", "24h"][0] == "−0.05 % [−0.25 %, 0.25 %]"
    assert gains["anogan", "1h"] == ["– –"] * 4
    assert pages.head_of(page, "gains-table")[2:] == ["Alert added", "Score added"] * 2


def test_the_controls_are_the_formatted_results_before_and_after_calibration(page):
    rows = [[cell.replace("\u202f", " ") for cell in row] for row in pages.table_of(page, "controls")]
    assert rows[2] == ["past prices", "24h", "40", "10.0 % 4 of 40", "5.0 % 2 of 40", "0.50", "1.12"]
    assert len(rows) == 6
    every = pages.table_of(page, "every-control")
    assert every[0] == ["clock 13 h", "clock", "past prices", "1h", "93", "1.71", "0.62", "0.41"]
    assert len(every) == 12


def _ladder_points(spec: dict) -> dict[str, tuple[float, str]]:
    """By label of the axis, the estimate that is drawn beside it and p."""
    labels = spec["layout"]["yaxis"]["ticktext"]
    p_at = {note["y"]: html.unescape(note["text"]) for note in spec["layout"]["annotations"][1:] if "xref" in note}
    markers = [trace for trace in spec["data"] if trace["mode"] == "markers"]
    return {labels[y]: (x, p_at[y]) for trace in markers for x, y in zip(trace["x"], trace["y"], strict=True)}


def test_the_ladder_draws_every_ratio_with_its_interval_and_p_from_naive_to_surrogates(report, page):
    specs, results = pages.specs(page), json.loads(json.dumps(report.results))
    order = study_order.detectors_by_verdict(results)
    for i, name in enumerate(order):
        rows = {row["test"]: row for row in results["evidence"][name]["24h"]}
        spec = specs[f"ladder-{i}"]
        assert spec["layout"]["yaxis"]["ticktext"] == list(evidence_tables.RATIOS.values())
        bottom, top = spec["layout"]["yaxis"]["range"]
        assert bottom > top
        points = _ladder_points(spec)
        drawn = [trace for trace in spec["data"][1:] if trace["mode"] == "lines"]
        ends = [(trace["y"][::3], zip(trace["x"][::3], trace["x"][1::3], strict=True)) for trace in drawn]
        spans = {y: span for places, pairs in ends for y, span in zip(places, pairs, strict=True)}
        for rung, test in zip(RUNGS, ("expected", "expected_volume"), strict=True):
            found = results["detectors"][name]["rungs"][rung]["24h"]
            rows[test] = {"estimate": found["ratio"], "p": found["p"], "low": found["ci"][0], "high": found["ci"][1]}
        for place, (test, label) in enumerate(evidence_tables.RATIOS.items()):
            assert points[label] == (rows[test]["estimate"], fmt.p_value(rows[test]["p"]))
            assert spans[place] == (rows[test]["low"], rows[test]["high"])
        assert spec["data"][0]["x"] == [1.0, 1.0]
        moves = results["detectors"][name]["forward"]["24h"]
        assert figures.ladder_charts(results)[i].note.endswith(f"q {fmt.p_value(moves['q'])}; n = {moves['n_events']} events")
        left, right = spec["layout"]["xaxis"]["range"]
        assert all(left < x < right for x in [1.0, *(x for x, _ in points.values() if x is not None)])


def test_the_ladder_is_of_the_horizon_that_the_verdict_names(report):
    results = json.loads(json.dumps(report.results))
    results["detectors"]["zscore"]["verdict_horizon"] = "1h"
    place = study_order.detectors_by_verdict(results).index("zscore")
    chart = figures.ladder_charts(results)[place]
    assert chart.title == "zscore: 1h after an alert, test by test"
    drawn = _ladder_points(json.loads(chart.spec))
    for label, key in (("surrogates", "path_effect"), ("forecast: prices", "expected_ratio")):
        assert drawn[label][0] == results["detectors"]["zscore"]["forward"]["1h"][key]
        assert drawn[label][0] != results["detectors"]["zscore"]["forward"]["24h"][key]


@pytest.mark.parametrize(
    ("n", "now", "deciding"), [(199, True, ("expected", "expected_volume")), (199, False, ("surrogate",)), (0, False, ("matched",))]
)
def test_the_diamonds_of_the_ladder_are_the_test_that_decides(report, n, now, deciding):
    made = report if now else _without_forecasts(report)
    results = {**made.results, "surrogates": {**report.results["surrogates"], "n": n}}
    spec = json.loads(figures.ladder_charts(results)[0].spec)
    (diamond,) = [trace for trace in spec["data"] if trace.get("marker", {}).get("symbol") == "diamond"]
    labels = spec["layout"]["yaxis"]["ticktext"]
    assert [labels[y] for y in diamond["y"]] == [evidence_tables.RATIOS[test] for test in deciding]


def test_without_a_second_opinion_the_ladder_has_no_row_for_it(report):
    results = {**report.results, "surrogates": {"n": 0, "notes": ["not asked for"]}}
    labels = json.loads(figures.ladder_charts(results)[0].spec)["layout"]["yaxis"]["ticktext"]
    assert "surrogates" not in labels
    assert labels[-2:] == ["forecast: prices", "forecast: volumes"]
    assert "surrogates" not in {row[2].text for row in evidence_tables.ladder_table(results).rows}


def test_a_test_that_was_not_made_says_why_in_its_row(report):
    results = json.loads(json.dumps(report.results))
    last = results["evidence"]["zscore"]["24h"][9]
    assert last["test"] == "surrogate"
    last.update(estimate=None, p=None, note="not <run>")
    place = study_order.detectors_by_verdict(results).index("zscore")
    notes = json.loads(figures.ladder_charts(results)[place].spec)["layout"]["annotations"]
    inside = [(note["y"], note["text"]) for note in notes if note.get("xref") != "paper"]
    assert inside == [(8, "not &lt;run&gt;")]
    assert next(note["text"] for note in notes if note["y"] == 8) == fmt.DASH


def test_the_naive_row_carries_its_warning_in_picture_and_table(report, page):
    spec = pages.specs(page)["ladder-0"]
    assert spec["layout"]["yaxis"]["ticktext"][0] == "naive (a warning)"
    (naive,) = [trace for trace in spec["data"] if trace.get("marker", {}).get("symbol") == "circle-open"]
    assert NAIVE_WARNING[:60] in naive["hovertext"][0]
    table = evidence_tables.ladder_table(report.results)
    warned = [row[2].text for row in table.rows if row[-1].text == NAIVE_WARNING]
    assert set(warned) == {"naive (a warning)"}
    assert len(warned) == len(DETECTORS)


def test_the_table_behind_the_ladder_writes_each_test_on_its_own_scale(report):
    table = evidence_tables.ladder_table(report.results)
    assert len(table.rows) == len(report.results["detectors"]) * (len(CONTROLS) + len(RUNGS))
    found = {row[2].text: [cell.text for cell in row[3:8]] + [row[3].detail] for row in table.rows if row[0].text == "pca"}
    n = report.results["detectors"]["pca"]["forward"]["24h"]["n_events"]
    assert found["naive (a warning)"] == ["2.00", "1", "< 0.001", fmt.count(n), "9,000", "[1.80, 2.40]"]
    assert found["QLIKE gain, losses × 10,000"][::5] == ["0.20", "[0.18, 0.24]"]
    assert found["direction, bps"][::5] == ["37.0", "[33.3, 44.4]"]
    assert found["hit rate, a difference of shares"][:2] == ["4.2\u202f%", "0"]
    assert found["surrogates"][-1] == fmt.DASH


def test_the_surrogate_table_holds_t_of_the_data_beside_that_of_the_surrogates(report):
    table = evidence_tables.surrogate_table(report.results)
    assert table
    assert "n = 199 histories" in table.caption
    row = next(row for row in table.rows if (row[0].text, row[1].text) == ("zscore", "6h"))
    moves = report.results["detectors"]["zscore"]["forward"]["6h"]
    assert [cell.text for cell in row[2:]] == [
        fmt.ratio(moves["path_effect"]),
        "1.75",
        "0.31",
        "1.17",
        fmt.p_value(moves["p_surrogate"]),
        fmt.p_value(moves["q_surrogate"]),
        fmt.count(moves["n_events"]),
    ]


def test_lead_lag_pictures_draw_activity_band_and_lead(report, page):
    specs, seen = pages.specs(page), pages.seen(page)
    for i, name in enumerate(study_order.detectors_by_verdict(report.results)):
        curve, spec = report.results["lead_lag"][name], specs[f"lead-{i}"]
        low, high, usual, alert, activity, *lead = spec["data"]
        for trace, key in ((low, "low"), (high, "high"), (activity, "activity")):
            assert trace["x"] == curve["offsets"]
            assert trace["y"] == pytest.approx(curve[key], rel=1e-4)
        assert high["fill"] == "tonexty"
        assert (usual["y"], alert["x"]) == ([1, 1], [0, 0])
        if curve["lead"] is None:
            assert lead == []
            assert f"{name}: no lead found" in seen
        else:
            span, point = lead
            assert span["x"] == curve["lead_ci"]
            assert point["x"] == [curve["lead"]]
            assert point["y"] == [curve["activity"][curve["offsets"].index(curve["lead"])]]
            assert f"{name}: lead {fmt.count(curve['lead'])} bars {fmt.interval(curve['lead_ci'], fmt.count)}" in seen
    assert "mad: lead 0 bars [−2, 1]" in seen
    assert "n = 204 events; no offset stands out above 1" in seen
    assert _rows(page, "lead-table")["rolling_volatility"][:3] == ["−1 [−3, 0]", "< 0.001", "204"]
    names = study_order.detectors_by_verdict(report.results)
    at_two = _rows(page, "activity-table")["2"]
    assert at_two[names.index("zscore")] == "1.00 [0.80, 1.30]"
    assert at_two[names.index("mad")] == "1.70 [1.50, 2.00]"


def test_a_curve_without_a_band_is_drawn_without_one(report):
    blank = [None] * 49
    curve = {**made_lead(None), "low": blank, "high": blank, "p": None, "reason": "fewer than 2 groups of events with known bars"}
    results = {**report.results, "lead_lag": {"zscore": {**curve, "activity": [None, *curve["activity"][1:]]}}}
    (chart,) = figures.lead_charts(results)
    traces = json.loads(chart.spec)["data"]
    assert not any("fill" in trace for trace in traces)
    assert traces[-1]["y"][:2] == [None, pytest.approx(curve["activity"][1], rel=1e-4)]
    assert chart.note.endswith("n = 204 events; fewer than 2 groups of events with known bars")


def test_the_calibration_card_shows_size_before_power_with_the_naive_test_beside_it(page):
    table = evidence_tables.calibration_table(bare_report().results)
    assert table
    rows = [[cell.text for cell in row] for row in table.rows]
    assert [row[2] for row in rows] == ["size", "size", "size", "power"]
    assert rows[0] == ["GARCH, Student t", "returns", "size", "none", "2,500", "24", "41", "200", "99", "4.5\u202f%", "91.0\u202f%"]
    assert rows[-1][:4] == ["GJR-GARCH, Student t", "returns", "power", "1.50×"]
    assert table.rows[0][9].detail == "[2.5\u202f%, 7.5\u202f%]"
    seen = pages.seen(page).replace("\u202f", " ")
    assert "still finds something in 4.5 % to 6.5 % of simulated histories" in seen
    assert "the naive test does in 86.0 % to 95.0 %" in seen


def test_a_percentile_in_percent_is_refused(report):
    draws = {"anomaly_avoidance[zscore]": {"n_draws": 10, "total_returns": [0.1], "percentile": 97.0}}
    with pytest.raises(ConfigError, match="fraction between 0 and 1, got 97"):
        replace(report, random_draws=draws)


def test_fifty_strategies_still_make_a_small_page(report):
    names = [f"strategy_{i}" for i in range(50)]
    equity = pd.concat([report.equity.iloc[:, 0]] * 50, axis=1, keys=names)
    assert len(replace(report, equity=equity).to_html().encode()) < 3e6


def test_a_name_cannot_turn_the_direction_of_the_numbers_beside_it(report):
    page = renamed(report, "zscore", "z\u202escore\u2066").to_html()
    body = page[page.index("<body>") : page.rindex("<script>")]
    body = re.sub(r"<script>.*?</script>", "", body, flags=re.DOTALL)
    assert "z\ufffdscore\ufffd" in body
    assert not re.search("[\u202e\u2066]|\\\\u202e|\\\\u2066", body)
