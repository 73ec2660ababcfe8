"""Strategies in a study: accounts, random timings, and failures that take nothing else with them."""

import json
import tomllib
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

import foreshock as fs
from foreshock.data.errors import ConfigError
from foreshock.detectors.clusters.setting import RegimeSetting, regime_setting
from foreshock.study import study as study_module
from foreshock.study.config import parse_study
from foreshock.study.traded.entries import REGIME_NAMES, Defaults, acts_on_alerts, entries
from tests.paths import ROOT
from tests.small import small_study

DEFAULTS = Defaults("24h", 0.0, "1d")


@dataclass(frozen=True)
class Half:
    """Half of the equity, spread evenly, whatever happens."""

    name: ClassVar[str] = "half"

    def weights(self, bars: fs.Bars, signals: fs.Signals | None = None) -> np.ndarray:  # noqa: ARG002
        return np.full(bars.shape, 0.5 / bars.n_symbols)


@dataclass(frozen=True)
class Raises:
    name: ClassVar[str] = "raises"

    def weights(self, bars: fs.Bars, signals: fs.Signals) -> np.ndarray:  # noqa: ARG002
        raise KeyError("no such column")


@dataclass(frozen=True)
class Shape:
    name: ClassVar[str] = "shape"

    def weights(self, bars: fs.Bars, signals: fs.Signals | None = None) -> np.ndarray:  # noqa: ARG002
        return np.zeros((2, 2))


@dataclass(frozen=True)
class Unknown:
    name: ClassVar[str] = "unknown"

    def weights(self, bars: fs.Bars, signals: fs.Signals | None = None) -> np.ndarray:  # noqa: ARG002
        return np.full(bars.shape, np.nan)


@dataclass(frozen=True)
class Infinite:
    name: ClassVar[str] = "infinite"

    def weights(self, bars: fs.Bars, signals: fs.Signals | None = None) -> np.ndarray:  # noqa: ARG002
        return np.full(bars.shape, np.inf)


@dataclass(frozen=True)
class Ahead:
    name: ClassVar[str] = "ahead"

    def weights(self, bars: fs.Bars, signals: fs.Signals | None = None) -> np.ndarray:  # noqa: ARG002
        return (bars.close < bars.close[-1]) / bars.n_symbols


FAILING = (Raises(), Shape(), Unknown(), Infinite(), Ahead())
STRATEGIES = {
    "anomaly_avoidance": "anomaly_avoidance",
    "fade": fs.EventTrade("fade", hold="6h"),
    "factors": fs.FactorPortfolio(n_components=1, window="10d"),
    "regime_exposure": "regime_exposure",
    "momentum": fs.TimeSeriesMomentum("7d", shorts=True),
    "target": fs.VolatilityTarget(most=2.0),
    "buy_and_hold": "buy_and_hold",
    "weekly": fs.EqualWeight("7d"),
    "half": Half(),
    **{strategy.name: strategy for strategy in FAILING},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("verdicts")


@pytest.fixture(scope="module")
def result(folder) -> fs.StudyResult:
    return small_study(strategies=STRATEGIES, regimes=3, n_surrogates=0).run(out=folder)


def test_every_strategy_has_its_accounts_and_says_who_it_is(result):
    backtests = result.results["backtests"]
    keys = ("strategy", "detector", "role", "of")
    who = {name: tuple(entry[key] for key in keys) for name, entry in backtests.items()}
    detectors = ["zscore", "pca", "random", "volatility_only"]
    expected = {name: (name, None, "baseline", None) for name in ("buy_and_hold", "equal_weight")}
    for label, chance in (("anomaly_avoidance", "random_avoidance"), ("fade", "random_fade")):
        expected |= {f"{label}[{d}]": (label, d, "strategy", None) for d in detectors}
        expected |= {f"{chance}[{d}]": (chance, d, "random", label) for d in detectors}
    alone = ("factors", "regime_exposure", "momentum", "target", "weekly", "half")
    expected |= {label: (label, None, "strategy", None) for label in alone}
    assert who == expected
    acted = {name for name, (_, _, role, _) in who.items() if role != "random"}
    assert set(result.results["cost_sweep"]["break_even"]) == acted
    assert set(result.results["risk"]) == set(who)
    assert set(result.results["random_draws"]) == {name for name in acted if "[" in name}
    assert set(result.trades_frame()["strategy"].unique()) == {
        name for name in who if result.results["backtests"][name]["n_trades"]
    }


def test_a_strategy_that_fails_is_named_with_its_reason_and_takes_nothing_with_it(result):
    failed: dict[str, str] = {}
    for entry in result.results["failed_strategies"]:
        assert entry["role"] == "strategy"
        assert "\n" not in entry["reason"]
        failed.setdefault(entry["strategy"], entry["reason"])
    assert set(failed) == {strategy.name for strategy in FAILING}
    assert failed["raises"] == "raises weights raised KeyError: 'no such column'; fix it"
    assert "must return a float array of shape (n_bars, n_symbols) = (3000, 3), got float64 of (2, 2)" in failed["shape"]
    assert "orders nothing" in failed["unknown"]
    assert "inf" in failed["infinite"]
    assert "looks ahead" in failed["ahead"]
    by = [entry["detector"] for entry in result.results["failed_strategies"] if entry["strategy"] == "raises"]
    assert by == ["zscore", "pca", "random", "volatility_only"]


def test_the_page_names_failures_and_regimes_with_their_rules(result, tmp_path):
    page = result.report(tmp_path / "page.html").read_text()
    assert "5 strategies failed and have no account: raises, shape, unknown, infinite and ahead." in page
    assert "raises weights raised KeyError: &#39;no such column&#39;; fix it" in page
    assert "return_24 above 0" in page
    assert "fade[zscore]" in page


def test_accounts_of_anomaly_avoidance_are_those_of_a_study_of_that_alone(result):
    alone = small_study(n_surrogates=0).run().results
    for name, entry in alone["backtests"].items():
        # The deflated Sharpe ratio depends on the other strategies.
        assert {**entry, "deflated_sharpe": None} == {**result.results["backtests"][name], "deflated_sharpe": None}
    for name, entry in alone["random_draws"].items():
        assert result.results["random_draws"][name] == entry
    assert {label: one["verdict"] for label, one in alone["detectors"].items()} == {
        label: one["verdict"] for label, one in result.results["detectors"].items()
    }


def test_accounts_equal_those_made_by_hand(result):
    first = result.bars.n_bars - len(result.backtests["half"].equity)
    tested = result.bars.rows(slice(first, None))
    half = fs.backtest(tested, np.full(tested.shape, 0.5 / 3))
    np.testing.assert_array_equal(result.backtests["half"].equity, half.equity)
    # What looks back sees the training rows, and starts with the target in force.
    weights = fs.TimeSeriesMomentum("7d", shorts=True).weights(result.bars)
    own = weights[first:].copy()
    for col in range(3):
        known = weights[: first + 1, col][~np.isnan(weights[: first + 1, col])]
        own[0, col] = known[-1]
    assert (own < 0).any()
    made = fs.backtest(tested, own, account=fs.Account(shorts=True))
    np.testing.assert_array_equal(result.backtests["momentum"].equity, made.equity)
    assert result.backtests["target"].exposure.max() > 1.2, "an account with credit"


def test_regime_exposure_holds_by_the_regimes_of_the_study(result):
    regimes = result.regimes
    assert regimes.names[:1] == ("calm",)
    first = result.bars.n_bars - len(result.backtests["regime_exposure"].equity)
    named = RegimeSetting(3).walk_forward(result.bars, small_study().splits, 0)
    np.testing.assert_array_equal(named.labels, regimes.labels)
    weights = fs.RegimeExposure(named).weights(result.bars)
    np.testing.assert_array_equal(result.backtests["regime_exposure"].weights[1:], weights[first:][1:])


def test_verdicts_are_saved_before_the_backtests(result, folder):
    early = json.loads((folder / "results.json").read_text())
    assert (early["complete"], early["backtests"]) == (False, {})
    assert early["detectors"] == result.results["detectors"]
    assert result.results["complete"] is True
    assert sorted(path.name for path in folder.iterdir()) == ["files.json", "results.json", "scores.parquet"]


def test_a_fault_in_the_backtests_leaves_the_verdicts(tmp_path, monkeypatch):
    def fault(*_args):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(study_module, "trade", fault)
    bars = small_study().bars.head(1_600)
    with pytest.raises(RuntimeError, match="out of memory"):
        small_study(bars=bars, n_surrogates=0).run(out=tmp_path)
    saved = json.loads((tmp_path / "results.json").read_text())
    assert set(saved["detectors"]) == {"zscore", "pca", "random", "volatility_only"}
    assert all(entry["verdict"] for entry in saved["detectors"].values())


def test_a_study_without_a_strategy_that_acts_still_has_a_summary():
    bars = small_study().bars.head(1_600)
    found = small_study(bars=bars, strategies=[Half()], n_surrogates=0).run()
    assert found.summary()["avoidance_return"].isna().all()
    assert found.summary()["luck_below"].isna().all()
    assert str(found)


# What is a strategy of a study


def test_a_file_and_a_script_name_the_same_strategies():
    toml = parse_study(
        {
            "detectors": ["zscore"],
            "avoidance": {"hold": "6h"},
            "strategies": [
                {"name": "anomaly_avoidance", "exposure": 0.5},
                {"name": "factor_portfolio", "n_components": 3, "model": "vae", "hidden": [8], "label": "vae"},
                "regime_exposure",
                {"name": "plugins/calm_only.py:CalmOnly", "hold": 12},
                "equal_weight",
            ],
            "regimes": {"n": 3, "pool": False},
        },
        folder=ROOT / "examples",
    )
    study = fs.Study.from_config(toml, small_study().bars)
    found = study.labelled_strategies()
    assert list(found) == ["anomaly_avoidance", "vae", "regime_exposure", "calm_only"]
    assert found["anomaly_avoidance"] == fs.AnomalyAvoidance("6h", 0.5)
    assert found["vae"] == fs.FactorPortfolio(3, model="vae", hidden=(8,))
    assert study.config()["strategies"]["vae"]["hidden"] == [8]
    assert study.regime_setting == RegimeSetting(3, pool=False)
    assert study.config()["strategies"]["calm_only"] == {"name": "calm_only", "hold": 12}
    assert [path.rpartition("/")[2] for path in toml.files] == ["calm_only.py"]


def test_the_default_is_anomaly_avoidance_alone_and_leaves_the_configuration_as_it_was():
    study = small_study(hold="6h")
    assert study.labelled_strategies() == {"anomaly_avoidance": fs.AnomalyAvoidance("6h")}
    assert not {"strategies", "regimes"} & set(study.config())


def test_what_acts_on_alerts_is_told_by_its_signature():
    assert acts_on_alerts(fs.AnomalyAvoidance())
    assert acts_on_alerts(fs.EventTrade())
    assert acts_on_alerts(Raises())
    for idle in (fs.FactorPortfolio(), fs.RegimeExposure(), fs.TimeSeriesMomentum(), fs.VolatilityTarget(), Half()):
        assert not acts_on_alerts(idle)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([fs.EventTrade("fade"), fs.EventTrade("follow")], "two strategies have the label 'event_trade'"),
        ([fs.EqualWeight("7d")], "the label 'equal_weight' belongs to the baseline"),
        ({"x": fs.EventTrade(), "random_x": Half()}, "the label 'random_x' belongs to random timings"),
        ([3], "a strategy must be a name or an object with a method weights"),
        ([Half], "a strategy must be a name or an object with a method weights"),
        (["anomaly_avoidence"], "unknown strategy 'anomaly_avoidence'.*did you mean 'anomaly_avoidance'"),
        ({" ": Half()}, "the label of a strategy must be a text"),
        ([fs.RegimeExposure(exposures={"bullisch": 1.0})], "exposures of regime_exposure name 'bullisch', which is no regime"),
    ],
)
def test_what_is_no_strategy_of_a_study_is_refused_at_the_door(given, message):
    with pytest.raises(ConfigError, match=message):
        entries(given, DEFAULTS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strategies": [{"name": "event_trade", "mod": "fade"}]}, "key 'strategies.0'.*mod"),
        ({"strategies": ["event_trade", "event_trade"]}, "'event_trade' stands there twice; set a label"),
        ({"strategies": "event_trade"}, "key 'strategies': must be a list"),
        ({"regimes": {"n": 9}}, "key 'regimes.n'"),
        ({"regimes": {"number": 3}}, "unknown key 'regimes.number'"),
        ({"regimes": {"features": ["range"]}}, "features of regimes must hold volatility_20, return_24"),
    ],
)
def test_what_a_study_file_says_wrongly_is_named(changes, message):
    with pytest.raises(ConfigError, match=message):
        fs.Study.from_config(parse_study({"detectors": ["zscore"], **changes}), small_study().bars)


def test_regimes_are_those_of_the_studys_own_kmeans_regime():
    own = fs.make_detector("kmeans_regime", n_regimes=5, trend="return_12", pool=False)
    assert regime_setting(None, [own]) == RegimeSetting(5, trend="return_12", pool=False)
    assert regime_setting(None, [fs.make_detector("zscore")]) == RegimeSetting()
    assert regime_setting(6, [own]).n == 6
    assert regime_setting({"n": 2}, [own]) == RegimeSetting(2)
    for given, message in (({"m": 2}, "unknown key 'm'"), ("three", "regimes must be a number"), (1, "n_regimes must be")):
        with pytest.raises(ConfigError, match=message):
            regime_setting(given)
    assert set(fs.RegimeExposure().exposures or {}) <= set(REGIME_NAMES)


def test_the_gate_holds_every_strategy_of_the_study():
    bars = small_study().bars.head(1_600)
    study = small_study(bars=bars, strategies=["regime_exposure", fs.EventTrade("fade"), Half()], n_surrogates=0)
    found = study.audit(n_cuts=2)
    assert found.passed
    names = {result.name for result in found.results}
    assert {f"{kind} {label}" for kind in ("strategy", "fills") for label in ("regime_exposure", "event_trade", "half")} <= names
    leaking = replace(study, strategies=[Ahead()]).audit(n_cuts=2)
    assert "strategy ahead" in [result.name for result in leaking.results if not result.passed]


def test_the_example_runs_every_registered_strategy_and_one_of_the_users(tmp_path):
    content = tomllib.loads((ROOT / "examples" / "strategies.toml").read_text(encoding="utf-8"))
    names = [entry if isinstance(entry, str) else entry["name"] for entry in content["strategies"]]
    assert set(fs.strategy_names()) <= set(names)
    content |= {"detectors": ["zscore"], "n_bootstrap": 99}
    content["avoidance"]["random_draws"] = 2
    bars = fs.simulate_market(seed=5, n_symbols=3, n_bars=2_600).bars
    found = fs.Study.from_config(parse_study(content, folder=ROOT / "examples"), bars).run()
    assert found.results["failed_strategies"] == []
    shown = {entry["strategy"] for entry in found.results["backtests"].values() if entry["role"] != "random"}
    assert shown == {
        "buy_and_hold", "equal_weight", "anomaly_avoidance", "follow", "fade", "regime_exposure", "factor_portfolio",
        "autoencoder_factors", "time_series_momentum", "volatility_target", "equal_weight_weekly", "calm_only",
    }  # fmt: skip
    found.save(tmp_path)
    regimes = pd.read_csv(tmp_path / "regimes.csv")
    assert list(regimes.columns) == ["time", "symbol", "regime"]
    assert len(regimes) == (found.regimes.labels >= 0).sum()
    pd.testing.assert_series_equal(
        regimes["regime"], pd.read_parquet(tmp_path / "regimes.parquet")["regime"].astype(str), check_dtype=False
    )


@dataclass(frozen=True)
class Writes:
    name: ClassVar[str] = "half"

    def weights(self, bars: fs.Bars, signals: fs.Signals) -> np.ndarray:
        bars.close[bars.close > np.nanmedian(bars.close)] = 1.0
        bars.open[:] = 1.0
        signals.active[:] = True
        return Half().weights(bars)


@dataclass(frozen=True)
class Reads:
    name: ClassVar[str] = "half"

    def weights(self, bars: fs.Bars, signals: fs.Signals) -> np.ndarray:  # noqa: ARG002
        return Half().weights(bars)


def test_what_a_strategy_writes_into_bars_and_alerts_reaches_nobody_else():
    bars = fs.simulate_market(seed=3, n_symbols=1, n_bars=900).bars
    before = bars.to_frame()
    writes, reads = (
        small_study(
            bars=bars,
            strategies=[one()],
            splits=fs.WalkForward("15D", "10D"),
            threshold=fs.RollingQuantile(0.98, "8D"),
            n_surrogates=0,
        ).run()
        for one in (Writes, Reads)
    )
    pd.testing.assert_frame_equal(bars.to_frame(), before)
    assert "half[zscore]" in writes.backtests
    for name, own in writes.backtests.items():
        np.testing.assert_array_equal(own.equity, reads.backtests[name].equity)
