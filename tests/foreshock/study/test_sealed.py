"""The sealed part of a study: nothing of it reaches the study, it is opened once, and it says whether findings hold."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import foreshock as fs
from foreshock.engine.trials.ledger import OPENING, SEAL, TRIAL
from foreshock.engine.validation.rungs.result import LEVEL, RUNGS
from foreshock.engine.validation.rungs.rungs import RungTable
from foreshock.reports.study import sealed as sealed_tables
from foreshock.reports.study.page import facts, headline
from foreshock.study.config import parse_study
from foreshock.study.replication.sealed import replication, seal_study
from tests.console import edit, foreshock, refused
from tests.small import small_study
from tests.studies.verdict_power import Planted, simulate

SEALED = "30D"
N_SEALED = 720


def without_seconds(results: dict) -> dict:
    """The results without the seconds that fits took, and without what was opened."""
    timeless = {key: value for key, value in results.items() if key not in ("sealed", "detectors", "versions")}
    timeless["detectors"] = {
        label: {key: value for key, value in entry.items() if not key.endswith("_seconds")}
        for label, entry in results["detectors"].items()
    }
    return timeless


def louder_at_the_end(bars: fs.Bars) -> fs.Bars:
    """The same bars with other prices and volumes in the sealed part."""
    scale = np.ones(bars.shape)
    scale[-N_SEALED:] = np.exp(np.cumsum(np.random.default_rng(2).normal(0, 0.03, (N_SEALED, bars.n_symbols)), axis=0))
    prices = {name: getattr(bars, name) * scale for name in ("open", "high", "low", "close")}
    return replace(bars, **prices, volume=bars.volume * scale)


@pytest.fixture(scope="module")
def study() -> fs.Study:
    return small_study(n_surrogates=0, sealed=SEALED, controls=["iqr"])


@pytest.fixture(scope="module")
def result(study) -> fs.StudyResult:
    return study.run()


@pytest.fixture(scope="module")
def ledger(tmp_path_factory) -> fs.Ledger:
    return fs.Ledger(tmp_path_factory.mktemp("sealed") / "ledger.jsonl")


@pytest.fixture(scope="module")
def tables() -> list[RungTable]:
    """The tables of the deciding test that opening made."""
    return []


@pytest.fixture(scope="module")
def opened(study, result, ledger, tables) -> fs.StudyResult:
    def kept(*given: Any, **named: Any) -> RungTable:
        tables.append(RungTable(*given, **named))
        return tables[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("foreshock.study.replication.sealed.RungTable", kept)
        return fs.open_sealed(study, result, ledger)


def test_sealed_rows_are_forecast_from_earlier_rows_and_calibrated_by_controls_on_them(study, opened, tables):
    (table,) = tables
    assert table.setting.forward
    assert table.setting.first == study.bars.n_bars - N_SEALED
    assert list(table.own.values()) == ["iqr"]
    assert opened.results["sealed"]["controls"][0]["n"] == len(
        {one.name for one in table.control_findings() if not np.isnan(one.z) and (one.rung, one.horizon) == ("volatility", "1h")}
    )


def test_nothing_of_the_sealed_part_reaches_the_study(study, result):
    assert study.n_sealed == N_SEALED
    assert result.bars.n_bars == study.bars.n_bars - N_SEALED
    changed = small_study(bars=louder_at_the_end(study.bars), n_surrogates=0, sealed=SEALED, controls=["iqr"]).run()
    assert without_seconds(changed.results) == without_seconds(result.results)
    for label, scores in result.scores.items():
        np.testing.assert_array_equal(changed.scores[label].values, scores.values)
    # The study is that of the bars before, in all but the key of its configuration.
    alone = small_study(bars=study.visible, n_surrogates=0, controls=["iqr"]).run()
    before = without_seconds(result.results)
    assert before.pop("config") == without_seconds(alone.results)["config"] | {"sealed": SEALED}
    assert before == {key: value for key, value in without_seconds(alone.results).items() if key != "config"}


def test_opening_adds_the_sealed_part_and_changes_nothing_else(study, result, opened):
    assert {key: value for key, value in opened.results.items() if key != "sealed"} == result.results
    sealed = opened.results["sealed"]
    assert (sealed["start"], sealed["n_bars"]) == (str(study.bars.time[-N_SEALED]), N_SEALED)
    assert len(sealed["rows"]) == 4 * 2 * 2
    for row in sealed["rows"]:
        before = result.results["detectors"][row["detector"]]["rungs"][row["rung"]][row["horizon"]]
        assert row["halves"] == before["halves"]
        assert row["found"] == (before["q"] is not None and before["q"] <= LEVEL)
    assert sealed["controls"][0]["n"] > 10


def test_alerts_of_the_sealed_part_are_those_of_the_walk_forward_onwards(study, result, opened):
    later = small_study(n_surrogates=0)
    scores = later.run().scores["zscore"]
    first = study.bars.n_bars - N_SEALED
    alerts = scores.signals(study.threshold).active[first:]
    n = next(row["n_events"] for row in opened.results["sealed"]["rows"] if row["detector"] == "zscore")
    # Events are alerts less those within a cool-down, and those whose horizon ends after the data.
    assert 0 < n <= alerts.sum()
    # Scores of the rows before are those of the study.
    np.testing.assert_array_equal(scores.values[: result.bars.n_bars], result.scores["zscore"].values)


def test_the_ledger_records_the_opening_and_a_second_one_is_refused(study, result, opened, ledger):
    kinds = [entry.kind for entry in ledger.entries()]
    assert kinds == [SEAL, OPENING]
    assert opened.results["sealed"]["opened"] == ledger.entries()[1].time
    assert ledger.entries()[1].configuration["detectors"] == result.results["config"]["detectors"]
    with pytest.raises(fs.DataError, match="was opened before"):
        fs.open_sealed(study, result, ledger)
    with pytest.raises(fs.DataError, match="was opened before"):
        seal_study(replace(study, sealed="20D"), ledger)


def test_what_is_not_this_study_is_refused_before_anything_is_opened(study, result, tmp_path):
    ledger = fs.Ledger(tmp_path / "ledger.jsonl")
    for other in (replace(study, delay=2), replace(study, sealed="31D")):
        with pytest.raises(fs.ConfigError, match="result must be that of the study to open"):
            fs.open_sealed(other, result, ledger)
    with pytest.raises(fs.ConfigError, match="the study has no sealed part"):
        fs.open_sealed(replace(study, sealed=None), result, ledger)
    with pytest.raises(fs.ConfigError, match="horizon"):
        fs.open_sealed(replace(study, sealed="6h"), result, ledger)
    assert OPENING not in [entry.kind for entry in ledger.entries()]


@pytest.mark.parametrize("sealed", [0, 1.0, 1.5, -0.2, float("nan"), True, [0.2], "soon", "9999D", 1e-9])
def test_a_sealed_part_that_cannot_be_is_refused(sealed):
    with pytest.raises(fs.ConfigError, match="sealed"):
        small_study(sealed=sealed)


@pytest.mark.parametrize("sealed", [0.2, "720h"])
def test_a_study_file_seals_as_a_script_does(sealed):
    config = parse_study({"detectors": ["zscore"], "sealed": sealed})
    assert fs.Study.from_config(config, small_study().bars).n_sealed == {0.2: 600, "720h": 720}[sealed]


@pytest.mark.parametrize(
    ("sealed", "said"),
    [
        (1.2, "key 'sealed': it must be a share between 0 and 1, or a duration, got 1.2"),
        ("soon", "key 'sealed': it must be"),
        ([0.2], "key 'sealed': "),
    ],
)
def test_a_study_file_refuses_what_cannot_be_sealed(sealed, said):
    with pytest.raises(fs.ConfigError) as refused:
        parse_study({"detectors": ["zscore"], "sealed": sealed})
    assert said in str(refused.value)


class Known(fs.Detector):
    """1 at given times, 0 elsewhere."""

    name = "known"

    def __init__(self, times: tuple[int, ...] = ()) -> None:
        self.times = times

    def _score(self, features: fs.Features) -> np.ndarray:
        return np.isin(features.time.astype(np.int64), self.times)[:, None] * np.ones(len(features.symbols))


@pytest.mark.parametrize(("late", "holds"), [(0, True), (30, False)])
def test_an_effect_that_lasts_holds_and_one_that_the_sealed_part_lacks_does_not(late, holds, tmp_path):
    # Late alerts come when the day of larger moves is over.
    bars, alerts = simulate(Planted("outside", 3.0, spikes=1.5), 11)
    rows = np.flatnonzero(alerts.active[:, 0])
    rows = np.where(rows < 0.65 * bars.n_bars, rows, np.minimum(rows + late, bars.n_bars - 1))
    known = Known(tuple(bars.time[rows].astype(np.int64).tolist()))
    splits = fs.WalkForward("20D", "20D", None)
    study = fs.Study(bars, [known], splits, fs.Fixed(0.5), ["6h"], random_draws=1, n_bootstrap=99, sealed=0.35)
    opened = fs.open_sealed(study, study.run(), fs.Ledger(tmp_path / "ledger.jsonl"))
    rows = [row for row in opened.results["sealed"]["rows"] if row["detector"] == "known"]
    assert [row["found"] for row in rows] == [True, True]
    assert [row["holds"] for row in rows] == [holds, holds]
    said = sealed_tables.sealed_sentences(opened.results)[0]
    assert ("2 of 2 findings hold: known over 6h" in said) == holds
    assert ("none of 2 findings holds." in said) != holds


def test_run_seals_and_open_opens_once(place, monkeypatch, capsys):
    monkeypatch.setenv("FORESHOCK_LEDGER", str(place / "mine.jsonl"))
    refused(monkeypatch, capsys, 2, "study.toml has no key 'sealed'; add sealed = 0.2", "run", "study.toml", "--open")
    edit("n_bootstrap", 'sealed = "6D"\nn_bootstrap')
    refused(monkeypatch, capsys, 2, "exclude each other", "run", "study.toml", "--open", "--no-ledger")
    code, out, _ = foreshock(monkeypatch, capsys, "run", "study.toml", "--out", "b")
    assert (code, "sealed part" in out) == (0, False)
    assert [entry.kind for entry in fs.Ledger("mine.jsonl").entries()] == [SEAL, TRIAL]
    before = json.loads(Path("b/results.json").read_text())
    code, out, _ = foreshock(monkeypatch, capsys, "run", "study.toml", "--out", "b", "--open")
    assert code == 0
    assert "Nothing was found before the sealed part, from 20" in out
    assert [entry.kind for entry in fs.Ledger("mine.jsonl").entries()] == [SEAL, TRIAL, TRIAL, OPENING]
    after = json.loads(Path("b/results.json").read_text())
    assert after["sealed"]["n_trials"] == 1
    assert without_seconds(after).keys() == without_seconds(before).keys()
    for key, value in without_seconds(before).items():
        assert key == "trials" or without_seconds(after)[key] == value
    assert "--open" in Path("b/report.html").read_text()
    refused(monkeypatch, capsys, 3, "was opened before", "run", "study.toml", "--open")


def test_scenarios_learn_nothing_of_the_sealed_part(place, monkeypatch, capsys):
    seen = []

    def draw(_, bars, *rest):
        seen.append(bars.n_bars)
        raise fs.ConfigError("drawn")

    monkeypatch.setattr("foreshock.cli.study.draw_scenarios", draw)
    refused(monkeypatch, capsys, 2, "drawn", "scenarios", "study.toml")
    edit("n_bootstrap", 'sealed = "6D"\nn_bootstrap')
    refused(monkeypatch, capsys, 2, "drawn", "scenarios", "study.toml")
    assert seen[0] - seen[1] == 6 * 24


def told(q: float, ratio: float) -> dict:
    return {"q": q, "ratio": ratio, "halves": [ratio, ratio], "halves_z": [2.0, 2.0]}


def as_tested(p: float, ratio: float) -> Any:
    """A deciding test of one detector at two horizons and both rungs, all alike."""
    fields = {"n_events": 40, "ratio": ratio, "ci": (0.9, 1.9), "z": 2.0, "p": p, "detectable": 1.3, "reason": ""}
    return SimpleNamespace(found={"a": {rung: {name: SimpleNamespace(**fields) for name in ("1h", "6h")} for rung in RUNGS}})


@pytest.mark.parametrize(
    ("qs", "ratio_before", "p", "over", "n_tests", "q", "holds"),
    [
        # One finding is one test; without any, all four are.
        ((0.01, 1, 1, 1), 1.3, 0.04, "found", 1, 0.04, True),
        ((0.01, 1, 0.02, 1), 1.3, 0.04, "found", 2, 0.08, False),
        ((0.2, 1, 1, 1), 1.3, 0.04, "all", 4, 0.16, False),
        ((0.2, 1, 1, 1), 1.3, 0.004, "all", 4, 0.016, True),
        # Larger moves in the sealed part do not confirm calm before.
        ((0.01, 1, 1, 1), 0.8, 0.001, "found", 1, 0.001, False),
    ],
)
def test_q_is_holm_over_what_was_found_before_or_over_all(qs, ratio_before, p, over, n_tests, q, holds):
    pairs = [(rung, horizon) for rung in RUNGS for horizon in ("1h", "6h")]
    rungs: dict = {rung: {} for rung in RUNGS}
    for (rung, horizon), value in zip(pairs, qs, strict=True):
        rungs[rung][horizon] = told(value, ratio_before)
    found = replication({"a": {"rungs": rungs}}, as_tested(p, 1.4))
    assert (found["over"], found["n_tests"]) == (over, n_tests)
    first = found["rows"][0]
    assert (first["q"], first["holds"]) == (pytest.approx(q), holds)
    if over == "found":
        others = [row for row in found["rows"] if not row["found"]]
        assert all(np.isnan(row["q"]) and row["holds"] is None for row in others)


def test_the_page_shows_both_halves_and_the_sealed_part_side_by_side(result, opened):
    results = opened.results
    table = sealed_tables.sealed_table(results)
    assert table is not None
    assert len(table.rows) == len(results["sealed"]["rows"])
    answer, how = sealed_tables.sealed_sentences(results)
    assert answer in headline(results, {})
    assert "fitted on earlier rows alone" in how
    page = opened._page().to_html()
    assert "Do the findings hold on the sealed part?" in page
    assert "Do the findings hold on the sealed part?" not in result._page().to_html()
    assert ("Sealed part", "the last 30D, not opened") in facts(result.results)
    assert any(label == "Sealed part" and "opened 20" in value for label, value in facts(results))


def test_the_interval_of_a_half_follows_from_its_z():
    found = sealed_tables._half(1.5, 1.96)
    assert found.text == "1.50"
    assert all(figure in found.detail for figure in ("1.00", "2.25", "0.050"))
