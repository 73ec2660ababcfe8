"""Studies of things of one's own: five of them in a study file and in a script, the gate, and thresholds of single detectors."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import IsolationForest

import foreshock as fs
from foreshock.engine.thresholds.quantiles import Fixed, RollingQuantile
from foreshock.reports.study.own import gate_sentences, leak_sentences, threshold_text
from foreshock.reports.study.page import headline
from foreshock.study.own.gate import prepared
from foreshock.study.own.rules import Rules
from tests.market import make_bars
from tests.paths import ROOT
from tests.small import small_study

MINE = """
import torch
from sklearn.ensemble import IsolationForest

import foreshock as fs

forest = IsolationForest(n_estimators=20, random_state=1)
net = torch.nn.Sequential(torch.nn.Linear(13, 4), torch.nn.Tanh(), torch.nn.Linear(4, 13))


def volume(frame, window=100):
    return (frame["volume_ratio_20"] - frame["volume_ratio_20"].rolling(window).mean()).abs()


def leaky(frame):
    return frame["log_return"].abs().shift(-3).rolling(3).mean()


class Short(fs.Detector):
    def _score(self, features):
        import pandas as pd

        return pd.DataFrame(features.column("range")).rolling(50).max().to_numpy()
"""
STUDY = """
detectors = [
    "zscore",
    "mine.py:forest",
    "mine.py:net",
    { name = "mine.py:volume", window = 60, label = "volume 60" },
    "mine.py:leaky",
    { name = "mine.py:Short", threshold = { kind = "rolling_quantile", q = 0.9, window = "10D" } },
    "pyod.models.ecod:ECOD",
    { scores = "theirs.csv", label = "theirs" },
]
horizons = ["6h"]
n_bootstrap = 99

[labels]
path = "labels.csv"

[splits]
train = "40D"
test = "20D"

[threshold]
kind = "fixed"
value = 2

[avoidance]
random_draws = 2
"""


@pytest.fixture(scope="module")
def market() -> fs.SimulatedMarket:
    return fs.simulate_market(seed=5, n_symbols=2, n_bars=2_200, n_pumps=5)


@pytest.fixture(scope="module")
def bars(market) -> fs.Bars:
    return market.bars


@pytest.fixture(scope="module")
def result(bars, market, tmp_path_factory) -> fs.StudyResult:
    folder = tmp_path_factory.mktemp("own")
    (folder / "mine.py").write_text(MINE)
    (folder / "study.toml").write_text(STUDY)
    market.labels.to_frame().to_csv(folder / "labels.csv", index=False)
    features = fs.ohlcv_features(bars, ["range"])
    table = features.to_frame().reset_index().rename(columns={"range": "score"})
    table.assign(score=40 * table["score"]).to_csv(folder / "theirs.csv", index=False)
    return fs.Study.from_config(fs.load_study(folder / "study.toml"), bars).run()


def test_five_kinds_of_detectors_of_ones_own_run_from_a_study_file(result):
    assert list(result.results["detectors"]) == [
        "zscore",
        "forest",
        "net",
        "volume 60",
        "leaky",
        "short",
        "pyod_ecod",
        "theirs",
        "random",
        "volatility_only",
    ]
    assert result.results["config"]["detectors"]["volume 60"]["window"] == 60
    assert len(json.dumps(result.results, allow_nan=False)) > 0


def test_each_is_measured_by_how_well_it_finds_labelled_events_as_ours_is(result):
    found = {label: entry["detection"] for label, entry in result.results["detectors"].items()}
    (n_events,) = {one["n_events"] for one in found.values()}
    assert n_events == 3
    assert all(found[label]["n_caught"] == 3 for label in ("zscore", "net", "volume 60", "pyod_ecod", "theirs"))
    # Each sees that a bar of a pump or a crash is large; the forest never scores above 2, and so never alerts.
    chance = found["random"]["vus_pr"]
    assert all(found[label]["vus_pr"] > 3 * chance for label in ("forest", "net", "pyod_ecod", "theirs"))
    assert {row["first"] for row in result.results["detection_pairs"]} >= {"zscore", "forest"}


def test_the_gate_of_what_is_not_ours_stands_in_the_results(result):
    gates = {label: entry.get("gate") for label, entry in result.results["detectors"].items()}
    assert [label for label, gate in gates.items() if gate is None] == ["zscore", "random", "volatility_only"]
    told = {label: gate["outcome"] for label, gate in gates.items() if gate}
    passed = dict.fromkeys(["forest", "net", "volume 60", "short", "pyod_ecod"], "passed")
    assert told == passed | {"leaky": "leaks", "theirs": "cannot be checked"}
    assert (gates["volume 60"]["needed"], gates["short"]["needed"], gates["forest"]["needed"]) == (59, 49, 0)
    assert gates["leaky"]["leak"].endswith(" on deleted")
    assert gates["forest"]["n_cuts"] == 3


def test_the_head_of_the_page_begins_with_the_leak(result):
    sentences = headline(result.results, result.results["random_draws"])
    assert sentences[0].startswith("leaky (its scores change with rows from ")
    assert sentences[0].endswith("sees later bars, so its figures are no evidence.")
    assert "Whether the scores of theirs saw later bars cannot be checked: they come from a table." in sentences
    assert "forest, net, volume 60, short, pyod_ecod passed a short causality gate of 3 cuts." in sentences
    assert "short claims a look-back of 0 rows and needs 49, which were used." in sentences


def test_each_detector_says_its_threshold(result):
    rules = {label: entry["threshold"] for label, entry in result.results["detectors"].items()}
    assert rules["zscore"] == rules["theirs"] == {"kind": "Fixed", "value": 2.0}
    assert rules["short"] == {"kind": "RollingQuantile", "q": 0.9, "window": "10D"}
    assert rules["random"] == rules["volatility_only"]
    assert rules["random"]["kind"] == "RollingQuantile"
    assert result.results["config"]["thresholds"] == {"short": rules["short"]}
    assert "RollingQuantile, q 0.9, window 10D" in result._page().to_html()


def test_baselines_alert_although_the_threshold_names_a_level(result):
    rates = {label: entry["alert_rate"]["realised"] for label, entry in result.results["detectors"].items()}
    assert 0.5 < rates["random"] / (1 - result.results["detectors"]["random"]["threshold"]["q"]) < 2
    assert rates["volatility_only"] > 0


def test_a_study_of_ours_says_nothing_of_gates():
    results = {"detectors": {"zscore": {"threshold": {"kind": "Fixed", "value": 3.0}}}}
    assert leak_sentences(results) == gate_sentences(results) == []
    assert threshold_text(results["detectors"]["zscore"]["threshold"]) == "Fixed, value 3"


def test_a_script_takes_them_as_they_are(bars):
    table = pd.DataFrame(np.ones(bars.shape), pd.DatetimeIndex(bars.time), list(bars.symbols))
    study = fs.Study(
        bars,
        [IsolationForest(), fs.make_detector("mad"), lambda frame: frame["range"], table],
        thresholds={"mad": fs.Fixed(3)},
    )
    labels = ["sklearn_isolation_forest", "mad", "lambda", "scores", "random", "volatility_only"]
    assert list(study.labelled_detectors()) == labels
    # They are adapted once.
    assert study.labelled_detectors()["scores"] is study.labelled_detectors()["scores"]
    assert study.config()["thresholds"] == {"mad": {"kind": "Fixed", "value": 3}}


class Ahead(fs.Detector):
    """Sees the row after, but only of long histories' ends: it ranks all rows."""

    def _score(self, features):
        return pd.DataFrame(features.column("range")).rank(pct=True).to_numpy()


def test_a_score_among_all_rows_is_a_leak(bars):
    found, gates = prepared(
        {"ahead": Ahead(), "mad": fs.make_detector("mad")}, fs.BarSource(bars), fs.WalkForward("40D", "20D"), 7, 0
    )
    assert list(found) == ["ahead", "mad"]
    assert gates["ahead"].outcome == "leaks"
    assert list(gates) == ["ahead"]


@pytest.mark.parametrize(
    ("thresholds", "said"),
    [
        ({"zscor": fs.Fixed(3)}, "thresholds has 'zscor', which is no detector of the study: .*; did you mean 'zscore'"),
        ({"zscore": 3}, "threshold"),
        ([fs.Fixed(3)], "thresholds must be a dict"),
    ],
)
def test_thresholds_that_belong_to_no_detector_are_refused(bars, thresholds, said):
    with pytest.raises(fs.ConfigError, match=said):
        fs.Study(bars, ["zscore"], thresholds=thresholds)


def test_rules_of_a_rate_are_the_same_for_all():
    scores = {label: fs.Scores(*_scores(seed)) for seed, label in enumerate(("zscore", "random"))}
    bars = make_bars(2_000, 1)
    rule = RollingQuantile(0.95, "20D")
    _, told = Rules(rule, {}, ["random"]).signals(scores, bars)
    assert told == {"zscore": rule, "random": rule}
    found, told = Rules(Fixed(3.0), {}, ["random"]).signals(scores, bars)
    assert told["zscore"] == Fixed(3.0)
    assert found["random"].alert_rate == pytest.approx(found["zscore"].alert_rate, abs=0.02)
    _, told = Rules(Fixed(3.0), {"random": Fixed(0.5)}, ["random"]).signals(scores, bars)
    assert told["random"] == Fixed(0.5)


def _scores(seed: int) -> tuple:
    rng = np.random.default_rng(seed)
    values = rng.exponential(1.0, (2_000, 1)) if seed == 0 else rng.random((2_000, 1))
    bars = make_bars(2_000, 1)
    return bars.time, bars.symbols, values, bars.interval


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ('{ label = "x" }', "key 'detectors.0.name' is missing; add it"),
        ('{ name = "zscore", scores = "s.csv" }', "key 'detectors.0': it has a name and scores, and is one of both; leave one out"),
        ('{ scores = "s.csv", window = 3 }', "scores take no parameters, got window"),
        (
            '{ name = "zscore", threshold = { kind = "fixed", valu = 3 } }',
            "unknown key 'detectors.0.threshold.valu'; a fixed has .*; did you mean 'value'",
        ),
        ('{ name = "zscore", threshold = { kind = "fixd" } }', "unknown threshold 'fixd'"),
        ('{ name = "mine.py:nothing" }', "mine.py has no class 'nothing'"),
        ('{ name = "mine.py:volume", wide = 3 }', None),
        ('{ name = "mine.py:forest", n_estimators = 3 }', "is an object, which takes no parameters"),
    ],
)
def test_an_entry_that_cannot_be_is_one_sentence(entry, said, tmp_path):
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "study.toml").write_text(f"detectors = [{entry}]\n")
    if said is None:
        # What a function takes is known when it is called.
        fs.load_study(tmp_path / "study.toml")
        return
    with pytest.raises(fs.ConfigError, match=said) as caught:
        fs.load_study(tmp_path / "study.toml")
    assert len(str(caught.value)) < 500


def test_controls_alert_by_the_rule_of_the_study(tmp_path):
    (tmp_path / "study.toml").write_text(
        'detectors = ["zscore"]\ncontrols = [{ name = "mad", threshold = { kind = "fixed", value = 1 } }]\n'
    )
    with pytest.raises(fs.ConfigError, match="controls alert by the rule of the study; remove it"):
        fs.load_study(tmp_path / "study.toml")


def test_scores_of_a_table_are_judged_as_those_of_the_detector_that_made_them():
    bars = fs.simulate_market(seed=7, n_symbols=1, n_bars=2_000).bars
    features = fs.ohlcv_features(bars)
    # The embargo is longer than both purges, so that the blocks are the same.
    rule, splits = fs.RollingQuantile(0.95, "20D"), fs.WalkForward("20D", "10D", "3D")
    for name in ("volatility_only", "mad"):
        detector = fs.make_detector(name, window=24).fit(features)
        table = fs.PrecomputedScores(pd.DataFrame(detector.score(features).values, pd.DatetimeIndex(bars.time), list(bars.symbols)))
        given = {"threshold": rule, "horizon": "6h", "n_bootstrap": 99, "splits": splits}
        theirs, ours = fs.validate(bars, table, **given), fs.validate(bars, detector, **given)
        assert (theirs.label, theirs.p_value) == (ours.label, pytest.approx(ours.p_value))


@pytest.mark.slow
def test_workers_of_other_processes_get_them(monkeypatch):
    monkeypatch.setattr("foreshock.study.side_by_side.WORTH_PROCESSES", 1)
    detectors = {"mine": lambda frame: frame["range"], "forest": IsolationForest(n_estimators=20)}
    study = small_study(bars=fs.simulate_market(seed=5, n_symbols=1, n_bars=2_000).bars, detectors=detectors, n_bootstrap=99)
    result = study.run()
    assert result.results["surrogates"]["n"] == 19
    assert result.results["detectors"]["mine"]["n_alerts"] > 0


def test_the_example_of_things_of_ones_own_is_a_study():
    config = fs.load_study(ROOT / "examples" / "plugins" / "own.toml")
    study = fs.Study.from_config(config, make_bars(50, 1))
    labels = ["zscore", "envelope", "network", "volume_surge", "pyod_ecod", "sklearn_isolation_forest"]
    assert list(study.labelled_detectors()) == [*labels, "random", "volatility_only"]
    assert config.files == ["own.py"]


def test_an_audit_holds_thresholds_of_single_detectors_and_leaves_out_scores_from_a_table(bars):
    table = pd.DataFrame(np.ones(bars.shape), pd.DatetimeIndex(bars.time), list(bars.symbols))
    found = {"leaky": lambda frame: frame["range"].shift(-1), "theirs": table, "range": lambda frame: frame["range"]}
    found = {label: fs.as_detector(thing) for label, thing in found.items()}
    study = fs.Study(bars, found, fs.WalkForward("40D", "20D"), horizons=["6h"], thresholds={"range": fs.Fixed(0.01)})
    audit = study.audit(n_cuts=2)
    told = {result.name: result.passed for result in audit.results if result.name.startswith(("detector", "threshold"))}
    expected = {"detector leaky": False, "detector range": True, "detector random": True, "detector volatility_only": True}
    assert told == expected | {"threshold RollingQuantile": True, "threshold of range": True}


def peek(frame):
    return frame["range"].shift(-1)


def test_what_looks_ahead_has_no_verdict_and_eases_no_others_level(bars):
    rule, splits = fs.RollingQuantile(0.9, "10D"), fs.WalkForward("40D", "20D")
    found = fs.validate(bars, peek, threshold=rule, horizon="6h", splits=splits, n_bootstrap=99)
    assert found.gate.outcome == "leaks"
    assert found.label == "looks ahead"
    assert found.sentence.endswith(" on deleted: the detector sees later bars, so its figures are no evidence of anything.")
    study = {"splits": splits, "threshold": rule, "horizons": ["6h"], "n_bootstrap": 99, "random_draws": 1}
    alone, beside = (fs.Study(bars, names, **study).run() for names in (["zscore"], ["zscore", peek]))
    for rung, by_horizon in alone.results["detectors"]["zscore"]["rungs"].items():
        assert by_horizon["6h"]["q"] == beside.results["detectors"]["zscore"]["rungs"][rung]["6h"]["q"]
    assert beside.verdicts["peek"].label == "looks ahead"
    assert str(beside).splitlines()[-1] == "peek sees later bars, so its figures are no evidence"
    first, answer, *_ = headline(beside.results, beside.results["random_draws"])
    assert "peek" in first
    assert "of 1 detector " in answer
    assert "peek" not in " ".join(sentence for sentence in headline(beside.results, beside.results["random_draws"])[1:])
    assert fs.validate(bars, "zscore", threshold=rule, horizon="6h", splits=splits, n_bootstrap=99).gate is None


def test_a_control_that_looks_ahead_is_refused(bars):
    with pytest.raises(fs.ConfigError, match=r"the control peek sees later bars: .*; a control must know nothing"):
        fs.validate(bars, "zscore", horizon="6h", splits=fs.WalkForward("40D", "20D"), n_bootstrap=99, controls=[peek])


@pytest.mark.parametrize("column", ["time", "Timestamp", "date", "open_time"])
def test_scores_of_a_file_are_read_as_other_tables_are(bars, column, tmp_path):
    values = np.arange(5.0)
    rows = pd.DataFrame({column: bars.time[100:105].astype("datetime64[ms]").astype(np.int64), "Symbol": "A", "SCORE": values})
    rows.to_csv(tmp_path / "scores.csv", index=False)
    table = fs.PrecomputedScores(tmp_path / "scores.csv").table()
    assert table["A"].tolist() == values.tolist()
    assert table.index.equals(pd.DatetimeIndex(bars.time[100:105]))
    rows.assign(**{column: rows[column].astype(str).str.zfill(20)}).to_csv(tmp_path / "cut.csv", index=False)
    with (tmp_path / "cut.csv").open("a") as file:
        file.write("1,A\n")
    with pytest.raises(fs.DataError, match=r"cut\.csv: "):
        fs.PrecomputedScores(tmp_path / "cut.csv").table()
    dates = rows.assign(**{column: [2024010100, 2024010101, 2024010102, 2024010103, 2024010104]})
    with pytest.raises(fs.DataError, match="date"):
        fs.PrecomputedScores(dates).table()
