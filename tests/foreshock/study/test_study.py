"""A whole study on a small simulated market, and that it is reproducible and complete."""

import json
import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import foreshock as fs
from foreshock.engine.statistics.proportions import wilson
from foreshock.study.config import parse_study
from foreshock.study.demo import DETECTORS, demo_study
from tests.console import EARLIER
from tests.small import small_study
from tests.studies import embargo_default

pytestmark = pytest.mark.long
RESULT_KEYS = {"version", "config", "data", "detectors", "backtests", "seeds", "versions"}
FORWARD_KEYS = {
    "n_events",
    "n_effective",
    "abs_move_ratio",
    "matched_ratio",
    "ci",
    "p_naive",
    "p_hac",
    "p_shift",
    "p_surrogate",
    "q",
}
BACKTEST_KEYS = {"total_return", "annual_return", "annual_volatility", "sharpe", "sharpe_ci", "sortino", "calmar", "max_drawdown"}
BACKTEST_KEYS |= {"var_95", "cvar_95", "var_99", "cvar_99", "turnover", "costs", "exposure", "deflated_sharpe"}


@pytest.fixture(scope="module")
def result() -> fs.StudyResult:
    return small_study().run()


def test_results_have_every_key_of_the_contract_and_no_number_that_json_lacks(result, tmp_path):
    result.save(tmp_path)
    content = json.loads((tmp_path / "results.json").read_text(), parse_constant=pytest.fail)
    assert set(content) >= RESULT_KEYS
    assert list(content["detectors"]) == ["zscore", "pca", "random", "volatility_only"]
    for detector in content["detectors"].values():
        assert set(detector) >= {"alert_rate", "forward", "verdict", "fit_seconds", "score_seconds"}
        assert set(detector["alert_rate"]) == {"nominal", "realised"}
        assert list(detector["forward"]) == ["1h", "12h"]
        assert all(set(moves) >= FORWARD_KEYS for moves in detector["forward"].values())
    assert set(content["backtests"]) == {"buy_and_hold", "equal_weight"} | {
        f"{kind}_avoidance[{name}]" for kind in ("anomaly", "random") for name in content["detectors"]
    }
    assert all(set(backtest) >= BACKTEST_KEYS for backtest in content["backtests"].values())
    assert {path.name for path in tmp_path.iterdir()} == {*EARLIER, "files.json", "regimes.csv", "regimes.parquet"}


def test_the_files_hold_what_the_results_say(result, tmp_path):
    result.save(tmp_path)
    scores = pd.read_parquet(tmp_path / "scores.parquet")
    by_detector = scores.groupby("detector", observed=True)["alert"].agg(["sum", "mean"])
    for name, detector in result.results["detectors"].items():
        assert by_detector.loc[name, "sum"] == detector["n_alerts"]
        assert by_detector.loc[name, "mean"] == pytest.approx(detector["alert_rate"]["realised"])
    assert (scores["alert"] == (scores["score"] > scores["threshold"])).all()
    trades = pd.read_parquet(tmp_path / "trades.parquet")
    counts = trades.groupby("strategy").size()
    for name, backtest in result.results["backtests"].items():
        assert counts[name] == backtest["n_trades"]


def test_everything_reported_starts_at_the_first_test_block(result):
    first = result.scores["zscore"].folds[0].test.start
    start = result.results["data"]["test_start"]
    assert str(result.scores["zscore"].time[first]) == start
    assert str(result.backtests["equal_weight"].time[0]) == start
    for scores in result.scores.values():
        assert np.isnan(scores.values[:first]).all()
        # The longest horizon, the delay and the embargo lie between what was learned and what is scored.
        assert all(fold.test.start - fold.train.stop >= 12 + 1 + 24 for fold in scores.folds)


def test_the_same_seed_gives_the_same_results_and_another_does_not(result):
    again = small_study().run().results
    for name, detector in result.results["detectors"].items():
        assert again["detectors"][name]["forward"] == detector["forward"]
    assert again["backtests"] == result.results["backtests"]
    other = small_study(seed=1).run().results
    assert other["detectors"]["zscore"]["forward"]["12h"]["ci"] != result.results["detectors"]["zscore"]["forward"]["12h"]["ci"]
    # What is taken off a Sharpe ratio depends on the random timings beside it, and so on the seed.
    one, two = (
        {key: value for key, value in found["backtests"]["anomaly_avoidance[zscore]"].items() if key != "deflated_sharpe"}
        for found in (other, result.results)
    )
    assert one == two


def test_reported_returns_are_those_of_the_equity_curve(result):
    for name, backtest in result.results["backtests"].items():
        curve = result.equity[name]
        assert backtest["total_return"] == pytest.approx(curve.iloc[-1] / curve.iloc[0] - 1, rel=1e-12)
        returns = curve.pct_change().fillna(0).to_numpy()
        assert backtest["var_95"] == pytest.approx(-np.quantile(returns, 0.05, method="inverted_cdf"), abs=2e-4)
        assert backtest["max_drawdown"] == pytest.approx((1 - curve / curve.cummax()).max(), rel=1e-9)


def test_random_timing_has_the_exposure_of_the_strategy_it_stands_beside(result):
    for name in result.results["detectors"]:
        own = result.results["backtests"][f"anomaly_avoidance[{name}]"]["exposure"]
        chance = result.results["backtests"][f"random_avoidance[{name}]"]["exposure"]
        assert chance == pytest.approx(own, abs=0.02)


def test_the_summary_has_one_row_for_each_detector(result):
    summary = result.summary()
    assert list(summary.index) == ["zscore", "pca", "random", "volatility_only"]
    for name, row in summary.iterrows():
        assert row["verdict"] == result.verdicts[name].label
        assert row["matched_ratio"] == result.forward[name][row["horizon"]].matched_ratio
        rungs = result.results["detectors"][name]["rungs"]
        first, second = (rungs[rung][row["horizon"]] for rung in ("volatility", "volume"))
        assert (row["expected_ratio"], row["detectable"], row["q"]) == (first["ratio"], first["detectable"], first["q"])
        assert [row["expected_low"], row["expected_high"]] == list(first["ci"])
        assert row["volume_ratio"] == second["ratio"]


def test_the_bars_later_than_a_cut_change_no_earlier_score_or_trade(result):
    full, cut = result, 2_400
    early = small_study(bars=small_study().bars.head(cut), n_surrogates=0).run()
    for name in ("zscore", "random", "volatility_only"):
        assert np.array_equal(early.scores[name].values, full.scores[name].values[:cut], equal_nan=True)
        assert np.array_equal(early.signals[name].active, full.signals[name].active[:cut])
    np.testing.assert_allclose(early.scores["pca"].values, full.scores["pca"].values[:cut], rtol=1e-9)
    n = len(early.backtests["anomaly_avoidance[zscore]"].equity)
    equity = full.backtests["anomaly_avoidance[zscore]"].equity[:n]
    np.testing.assert_allclose(early.backtests["anomaly_avoidance[zscore]"].equity, equity, rtol=1e-12)


def test_a_study_with_train_quantiles_and_a_detector_object_runs():
    study = small_study(
        detectors={"short": fs.make_detector("zscore", window=48)}, threshold=fs.TrainQuantile(0.98), n_surrogates=0
    )
    found = study.run().results
    assert found["config"]["detectors"]["short"] == {"name": "zscore", "window": 48, "columns": ["log_return", "volume_ratio_20"]}
    assert 0.005 < found["detectors"]["short"]["alert_rate"]["realised"] < 0.05


def test_a_study_file_and_a_script_describe_the_same_study():
    toml = parse_study(
        {
            "detectors": ["zscore", {"name": "pca"}],
            "splits": {"train": "40D", "test": "10D", "embargo": "1D"},
            "threshold": {"q": 0.98, "window": "15D"},
            "horizons": ["1h", "12h"],
            "avoidance": {"random_draws": 3},
            "surrogates": {"n": 19},
            "n_bootstrap": 199,
        }
    )
    study = small_study()
    assert fs.Study.from_config(toml, study.bars).config() == study.config()


def test_the_defaults_of_a_study_file_are_those_of_a_study():
    bars = fs.simulate_market(seed=5, n_symbols=1, n_bars=500).bars
    from_file = fs.Study.from_config(parse_study({"detectors": ["zscore"]}), bars)
    assert from_file.config() == fs.Study(bars, ["zscore"]).config()


def test_a_file_and_a_script_without_an_embargo_key_give_the_same_results_and_none_gives_others():
    bars = embargo_default.market()
    script = embargo_default.from_script(bars)
    assert embargo_default.differences(embargo_default.from_file(bars).results, script.results) == []
    without = embargo_default.from_script(bars, embargo=None)
    one, other = without.scores["pca"].folds[0], script.scores["pca"].folds[0]
    # Both first blocks begin at the same multiple of 15 days since 1970.
    assert one.test == other.test
    assert one.train.stop - other.train.stop == 48
    assert embargo_default.differences(without.results, script.results)


def test_two_detectors_of_one_name_need_labels():
    with pytest.raises(fs.ConfigError, match="same name"):
        small_study(detectors=["zscore", fs.make_detector("zscore", window=20)]).run()
    with pytest.raises(fs.ConfigError, match="'zscore' stands there twice; set a label for one of them"):
        fs.Study.from_config(parse_study({"detectors": ["zscore", "zscore"]}), small_study().bars)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hold": "90m"}, "hold must be a whole number of 1h bars"),
        ({"rebalance": "30m"}, "rebalance must be a whole number of 1h bars"),
        ({"cooldown": ""}, "cooldown must be a number and one of the units"),
        ({"detectors": [None]}, "a detector must be a name, a Detector, .*, got None"),
        ({"cooldown": "5m"}, "cooldown must be a whole number of 1h bars"),
        ({"threshold": fs.RollingQuantile(0.99, "2D")}, "threshold window must hold at least 100 bars"),
        ({"delay": 9_999}, "delay must be shorter than the data"),
    ],
)
def test_a_duration_that_does_not_fit_is_refused_before_any_detector_runs(changes, message, monkeypatch):
    monkeypatch.setattr("foreshock.study.signals.scored.walk_forward_each", None)
    with pytest.raises(fs.ConfigError, match=message):
        small_study(**changes).run()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"detectors": "zscore"}, "detectors must be a list, got 'zscore'"),
        ({"detectors": None}, "detectors must be a list, got None"),
        ({"horizons": "1h"}, "horizons must be a list, got '1h'"),
        ({"bars": "bars.csv"}, "bars must be Bars or a source, got 'bars.csv'; read a file with fs.read_bars"),
        ({"seed": -1}, "seed must be a whole number of at least 0, got -1"),
        ({"n_bootstrap": 98}, "n_bootstrap must be a whole number of at least 99, got 98"),
        ({"n_surrogates": 19.5}, "n_surrogates must be a whole number of at least 0, got 19.5"),
        ({"horizons": ["1h", "1h"]}, "horizons must differ"),
        ({"horizons": ["1h", "60m"]}, "horizons must differ"),
        ({"threshold": 0.99}, r"threshold must be a rule such as RollingQuantile\(0.99\), got 0.99"),
        ({"random_draws": 10**11}, "random_draws must lie between 1 and 10000"),
    ],
)
def test_an_argument_of_the_wrong_kind_is_refused_at_the_door(changes, message):
    with pytest.raises(fs.ConfigError, match=message):
        small_study(**changes)


class Random(fs.Detector):
    def _score(self, features):
        return abs(features.values[:, :, 0])


@pytest.mark.parametrize(
    ("detectors", "message"),
    [
        ({"random": "zscore"}, "the label 'random' belongs to the baseline of that name; choose another label"),
        ([Random()], "the label 'random' belongs to the baseline of that name"),
        ({3: "zscore"}, "label of a detector must be a text, got 3"),
        ({" ": "zscore"}, "the label of a detector must be a text, got ' '"),
        ({"\ud800": "zscore"}, "label of a detector must be"),
    ],
)
def test_a_label_is_a_text_and_that_of_a_baseline_stays_its_own(detectors, message):
    with pytest.raises(fs.ConfigError, match=message):
        small_study(detectors=detectors).labelled_detectors()
    assert small_study(detectors={"random": fs.make_detector("random", seed=5)}).labelled_detectors()["random"].seed == 5


def test_detectors_may_be_named_in_a_dict():
    labelled = small_study(detectors={"short": fs.make_detector("zscore", window=20), "plain": "iqr"}).labelled_detectors()
    assert {label: detector.name for label, detector in labelled.items()} == {
        "short": "zscore", "plain": "iqr", "random": "random", "volatility_only": "volatility_only"
    }  # fmt: skip


def test_a_failed_save_leaves_the_earlier_files(result, tmp_path, monkeypatch):
    result.save(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.setattr(fs.StudyResult, "trades_frame", lambda self: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        result.save(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def demo_results() -> dict:
    """What ``foreshock demo`` wrote into FORESHOCK_DEMO; without such a folder, what it finds with fewer bars and detectors."""
    if folder := os.environ.get("FORESHOCK_DEMO"):
        return json.loads((Path(folder) / "results.json").read_text(encoding="utf-8"))
    demo = demo_study()
    few, bars = {"planted_foreshocks": demo.labelled_detectors()["planted_foreshocks"]}, demo.bars.rows(slice(0, 12_000))
    labels = demo.labels.between(None, bars.time[-1])
    return replace(demo, bars=bars, detectors=few, labels=labels, random_draws=20, n_bootstrap=199).run().results


def test_the_demo_tells_the_planted_foreshocks_from_chance():
    assert list(demo_study().labelled_detectors())[: len(DETECTORS) + 1] == [*DETECTORS, "planted_foreshocks"]
    found = demo_results()
    truth, chance = found["detectors"]["planted_foreshocks"], found["detectors"]["random"]
    assert truth["verdict"] == "adds information"
    assert all(truth["forward"][horizon]["ci"][0] > 1 for horizon in ("6h", "24h"))
    assert all(low <= 1 <= high for low, high in (moves["ci"] for moves in chance["forward"].values()))
    assert chance["verdict"] == "no information"
    assert all(math.isfinite(b["total_return"]) for b in found["backtests"].values())


@pytest.mark.real_data
def test_a_study_runs_on_real_bars_with_a_delisting(shared_data: Path):
    bars = fs.read_bars(shared_data / "ohlcv_1h_8assets.parquet").between("2024-01-01", "2024-08-01")
    bars = bars.select(["BTCUSDT", "MATICUSDT"])
    splits, rule = fs.WalkForward("60D", "30D", "2D"), fs.RollingQuantile(0.99, "30D")
    found = small_study(bars=bars, splits=splits, threshold=rule, n_surrogates=0).run()
    assert found.quality.count("missing") == 0
    matic = bars.symbols.index("MATICUSDT")
    ended = np.searchsorted(bars.time, np.datetime64("2024-06-16T12:00"))
    for name, signals in found.signals.items():
        assert not signals.decided[ended:, matic].any()
        rate = found.results["detectors"][name]["alert_rate"]["realised"]
        assert 0.005 < rate < 0.03, (name, rate)
    assert all(math.isfinite(b["sharpe"]) for b in found.results["backtests"].values())


def test_the_second_opinion_stands_in_the_results_and_decides_nothing(result):
    content = result.results
    assert content["surrogates"]["n"] == 19
    assert set(content["surrogates"]["family"]) == set(content["data"]["symbols"])
    for detector in content["detectors"].values():
        for moves in detector["forward"].values():
            assert moves["p_surrogate"] is None or 1 / 20 <= moves["p_surrogate"] <= 1
            assert moves["p_surrogate"] is None or moves["q_surrogate"] >= moves["p_surrogate"]
    bare = small_study(n_surrogates=0).run().results["detectors"]
    assert {name: entry["verdict"] for name, entry in bare.items()} == {
        name: entry["verdict"] for name, entry in content["detectors"].items()
    }
    assert {name: entry["rungs"] for name, entry in bare.items()} == {
        name: entry["rungs"] for name, entry in content["detectors"].items()
    }


def test_a_study_without_surrogates_or_too_short_for_them_says_so(result, monkeypatch):
    bare = small_study(n_surrogates=0, detectors=["zscore"]).run().results
    assert bare["surrogates"] == {"n": 0, "notes": ["not asked for"]}
    zscore = bare["detectors"]["zscore"]["forward"]["12h"]
    assert zscore["p_surrogate"] is None
    assert "q_surrogate" not in zscore
    assert zscore["q"] == bare["detectors"]["zscore"]["rungs"]["volatility"]["12h"]["q"]
    assert zscore["matched_ratio"] == result.results["detectors"]["zscore"]["forward"]["12h"]["matched_ratio"]

    def refuse(*args, **kwargs):
        raise fs.DataError("no surrogate histories without a volatility model")

    monkeypatch.setattr("foreshock.study.judge.fit_surrogates", refuse)
    brief = small_study(detectors=["zscore"]).run().results
    assert brief["surrogates"] == {"n": 0, "notes": ["no surrogate histories without a volatility model"]}
    assert brief["detectors"]["zscore"]["verdict"] == bare["detectors"]["zscore"]["verdict"]
    with pytest.raises(fs.ConfigError, match="0 or at least 19, got 7"):
        small_study(n_surrogates=7)


@pytest.mark.slow
def test_slow_detectors_run_side_by_side_with_the_scores_they_have_alone():
    seeds = {"one": 1, "two": 2}
    networks = {label: fs.make_detector("autoencoder", epochs=1, hidden=(8,), seed=seed) for label, seed in seeds.items()}
    study = small_study(detectors=networks, n_surrogates=0)
    together = study.run()
    assert list(together.scores) == ["one", "two", "random", "volatility_only"]
    features = fs.ohlcv_features(study.bars, study.features)
    longest = max(detector.lookback for detector in study.labelled_detectors().values())
    purge = 12 + study.delay + longest - networks["two"].lookback
    alone = fs.walk_forward(networks["two"], features, study.splits, label_bars=purge)
    assert np.array_equal(together.scores["two"].values, alone.values, equal_nan=True)
    assert not np.array_equal(together.scores["one"].values, together.scores["two"].values, equal_nan=True)
    assert together.results["detectors"]["one"]["fit_seconds"] > 0


@pytest.mark.parametrize(("level", "rate"), [(1e9, 0.0), (-1e9, 1.0)])
def test_alerts_in_no_bar_or_in_every_bar_still_make_a_report(level, rate, tmp_path):
    bars = fs.simulate_market(seed=5, n_symbols=2, n_bars=3_500).bars
    found = small_study(bars=bars, detectors=["zscore"], threshold=fs.Fixed(level), n_surrogates=0).run()
    entry = found.results["detectors"]["zscore"]
    assert entry["alert_rate"]["realised"] == rate
    draws = found.results["random_draws"]["anomaly_avoidance[zscore]"]
    assert len(set(draws["total_returns"])) == 1
    # Draws that equal the strategy are half below it; without alerts there is no timing.
    assert draws["percentile"] == (0.5 if rate else None)
    assert draws["interval"] == (pytest.approx(wilson(0.5 * draws["n_draws"], draws["n_draws"])) if rate else None)
    page = found.report(tmp_path / "new" / "report.html").read_text()
    assert "beat 0.0\u202f% of" not in page


def test_a_result_is_short_in_words_and_refuses_a_folder_as_page(result, tmp_path):
    assert repr(result).startswith("StudyResult('foreshock study', 3 symbols, 3,000 bars of 1h, ")
    assert len(repr(result)) < 200
    lines = str(result).splitlines()
    assert max(map(len, lines)) <= 80
    empty = lines.index("")
    assert [line.split()[0] for line in lines[2:empty]] == list(result.verdicts)
    assert [line.split(":")[0] for line in lines[empty + 1 :]] == ["alerts", "beyond", "avoidance return", "luck below"]
    short = result.summary(short=True)
    assert short["beyond"].equals(result.summary()["expected_ratio"].rename("beyond"))
    assert list(short) == ["verdict", "horizon", "alerts", "beyond", "q", "avoidance_return", "luck_below"]
    assert result.to_frame().equals(result.summary())
    with pytest.raises(fs.ConfigError, match="add a name, such as"):
        result.report(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_label_of_a_baseline_belongs_to_that_baseline():
    bars = fs.simulate_market(seed=1, n_symbols=1, n_bars=300).bars
    for detectors in ({"random": "zscore"}, {"volatility_only": fs.make_detector("random")}):
        with pytest.raises(fs.ConfigError, match="belongs to the baseline of that name; choose another label"):
            fs.Study(bars, detectors).labelled_detectors()
    assert list(fs.Study(bars, ["random", "zscore"]).labelled_detectors()) == ["random", "zscore", "volatility_only"]


def test_a_seed_that_a_library_cannot_take_is_refused_at_the_door():
    bars = fs.simulate_market(seed=1, n_symbols=1, n_bars=300).bars
    for call in (lambda seed: fs.Study(bars, ["zscore"], seed=seed), lambda seed: fs.explore(bars, seed=seed)):
        with pytest.raises(fs.ConfigError, match=r"seed must be at most 4,294,967,295, got 4294967296"):
            call(2**32)
