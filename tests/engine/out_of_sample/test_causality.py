"""The causality gate: it passes everything of ours on real data, and catches leaks planted here."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from foreshock.data.errors import ConfigError
from foreshock.data.files import read_bars
from foreshock.detectors.registry import detectors, neural_detectors
from foreshock.engine.features.ohlcv import ohlcv_features
from foreshock.engine.out_of_sample.causality import audit
from foreshock.engine.out_of_sample.splits import WalkForward
from foreshock.engine.scores import Signals
from foreshock.engine.thresholds.quantiles import RollingQuantile, TrainQuantile
from foreshock.strategies.anomaly_avoidance import AnomalyAvoidance
from foreshock.strategies.backtest.portfolio import backtest
from foreshock.strategies.contract import check_strategy
from foreshock.strategies.registry import make_strategy, strategy_names
from foreshock.study.study import Study
from tests.market import make_bars
from tests.small import THRESHOLDS, quick, small_detector

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def bars():
    return make_bars(n_bars=1_200, n_symbols=2, seed=8)


def leaky_centred_window(bars):
    return pd.DataFrame(bars.returns()).rolling(21, center=True).mean().to_numpy()


def leaky_full_sample_scaler(bars):
    r = bars.returns()
    return (r - np.nanmean(r, axis=0)) / np.nanstd(r, axis=0)


def leaky_in_sample_quantile(bars):
    r = np.abs(bars.returns())
    return r > np.nanquantile(r, 0.99, axis=0)


@pytest.mark.parametrize("leak", [leaky_centred_window, leaky_full_sample_scaler, leaky_in_sample_quantile])
def test_a_planted_leak_is_caught(leak, bars):
    found = audit(leak, bars, n_cuts=20)
    assert not found.passed
    assert found.results[0].first_leak is not None


def test_every_planted_leak_is_caught_by_deleted_rows_and_by_corrupted_rows_alone(bars, monkeypatch):
    assert "deleted" in str(audit(leaky_centred_window, bars).results[0].first_leak)
    monkeypatch.setattr(type(bars), "head", lambda self, n: self)
    # With nothing deleted the truncated run is the full run: only the corrupted future is left to show the leak.
    assert "corrupted" in str(audit(leaky_centred_window, bars).results[0].first_leak)


def test_one_leak_among_honest_computations_is_named(bars):
    def compute(history):
        return {"honest": ohlcv_features(history, ["volatility_20"]).values, "leaky": leaky_full_sample_scaler(history)}

    found = audit(compute, bars)
    assert found["honest"].passed
    assert not found["leaky"].passed
    assert found["honest"].worst == 0.0


def test_a_value_that_appears_or_vanishes_is_a_leak(bars):
    def last_row_unknown(history):
        out = history.close.copy()
        out[-3:] = np.nan
        return out

    found = audit(last_row_unknown, bars)
    assert found.results[0].worst == np.inf


def test_the_tolerance_is_relative_and_zero_by_default(bars):
    def slightly_off(history):
        return history.close * (1 + 1e-12 * len(history))

    assert not audit(slightly_off, bars).passed
    assert audit(slightly_off, bars, tolerance=1e-8).passed


def test_an_audit_that_cannot_cut_is_refused(bars):
    with pytest.raises(ConfigError, match="pass more bars"):
        audit(lambda b: b.close, bars, first_cut=1_200)
    with pytest.raises(ConfigError, match="one row for each"):
        audit(lambda b: b.close[5:], bars)


def test_a_study_passes_with_every_detector(bars):
    every = {name: quick(name) for name in detectors()}
    study = Study(bars, every, WalkForward("20D", "10D", "1D"), RollingQuantile(0.98, "10D"), horizons=["1h", "6h"], hold="6h")
    found = study.audit(n_cuts=2)
    assert found.passed, found.table[found.table.first_leak.notna()]
    assert len(found.results) > 20


@pytest.mark.parametrize("threshold", THRESHOLDS, ids=repr)
def test_a_study_passes_with_every_threshold(threshold, bars):
    study = Study(bars, ["zscore", "pca"], WalkForward("20D", "5D", "1D"), threshold, horizons=["1h", "6h"], hold="6h")
    found = study.audit(n_cuts=3)
    assert found.passed, found.table[found.table.first_leak.notna()]


@pytest.mark.parametrize(
    ("broken", "leak"),
    [
        (
            "foreshock.engine.features.rows.rolling_mean_nb",
            lambda x, w, phase: pd.DataFrame(x).rolling(w, center=True).mean().to_numpy(),
        ),
        (
            "foreshock.engine.thresholds.quantiles.rolling_upper_quantile_nb",
            lambda x, w, q, k: np.full(x.shape, np.nanquantile(x, q)),
        ),
    ],
)
def test_a_leak_inside_the_engine_fails_the_study_audit(broken, leak, bars, monkeypatch):
    monkeypatch.setattr(broken, leak)
    study = Study(
        bars, ["zscore"], WalkForward("20D", "5D", embargo=None), RollingQuantile(0.98, "10D"), horizons=["1h"], hold="6h"
    )
    assert not study.audit(n_cuts=4).passed


def follow_the_bar(history):
    """Long while the bar rises: known at its close."""
    return (history.close > history.open).astype(float) / history.n_symbols


def test_weights_that_are_not_shifted_are_caught_at_the_open(bars):
    """Filling at the open of the very bar that decided: no deleted row shows it, only what is known at an open does."""

    def shifted(history):
        return {"fills": backtest(history, follow_the_bar(history)).turnover}

    def unshifted(history):
        weights = follow_the_bar(history)
        return {"fills": backtest(history, np.vstack([weights[1:], weights[-1:]])).turnover}

    assert audit(shifted, bars, at_open=["fills"]).passed
    leaking = audit(unshifted, bars, at_open=["fills"])
    assert not leaking.passed
    assert audit(unshifted, bars).passed, "the plain gate cannot see this leak; if it can, at_open is not needed"


def test_a_study_whose_adapter_forgets_the_shift_fails_its_audit(bars, monkeypatch):
    def forgetful(history, weights, costs, **rest):
        return backtest(history, np.vstack([weights[1:], weights[-1:]]), costs, **rest)

    study = Study(
        bars, ["zscore"], WalkForward("20D", "5D", embargo=None), RollingQuantile(0.98, "10D"), horizons=["1h"], hold="6h"
    )
    monkeypatch.setattr("foreshock.study.audit.backtest", forgetful)
    found = study.audit(n_cuts=20)
    assert [result.name for result in found.results if not result.passed] == ["fills anomaly_avoidance"]


@pytest.mark.real_data
@pytest.mark.parametrize("n_cuts", [6, pytest.param(20, marks=pytest.mark.slow)])
def test_every_feature_detector_threshold_and_strategy_passes_on_real_bars(n_cuts, shared_data):
    real = read_bars(shared_data / "ohlcv_1h_8assets.parquet").between("2022-01-01", "2022-08-01")
    others = {name: small_detector(name) for name in detectors() if name not in neural_detectors()}
    splits = WalkForward("60D", "30D", "2D")
    for chosen, threshold in ((others, RollingQuantile(0.98, "20D")), (["zscore"], TrainQuantile(0.98))):
        found = Study(real, chosen, splits, threshold, horizons=["1h", "24h"]).audit(n_cuts=n_cuts)
        assert found.passed, found.table[found.table.first_leak.notna()]


@pytest.mark.real_data
@pytest.mark.slow
@pytest.mark.parametrize("name", neural_detectors())
def test_every_network_passes_on_real_bars_at_twenty_cuts(name, shared_data):
    """A fit or two at each of forty histories; the simulated bars of every run have fewer cuts."""
    real = read_bars(shared_data / "ohlcv_1h_8assets.parquet").between("2022-01-01", "2022-08-01")
    network = {name: small_detector(name, **({"steps": 100} if name == "anogan" else {}))}
    study = Study(real, network, WalkForward("120D", "60D", "2D"), RollingQuantile(0.98, "20D"), horizons=["1h", "24h"])
    found = study.audit(n_cuts=20)
    assert found.passed, found.table[found.table.first_leak.notna()]


def test_strategy_weights_do_not_see_signals_that_come_later(bars):
    rng = np.random.default_rng(0)

    def compute(history):
        # Signals drawn by row: the same rows have the same signals in every history.
        active = np.random.default_rng(3).random((len(bars), 2))[: len(history)] < 0.02
        signals = Signals(
            history.time, history.symbols, active, np.ones(active.shape), np.ones(active.shape, bool), history.interval
        )
        return AnomalyAvoidance("6h").weights(history, signals)

    assert audit(compute, bars, seed=int(rng.integers(100))).passed


def test_corrupted_bars_stay_valid_bars(bars):
    from foreshock.engine.out_of_sample.causality import corrupt_from

    changed = corrupt_from(bars, 900, np.random.default_rng(1))
    assert np.array_equal(changed.close[:900], bars.close[:900])
    assert np.array_equal(changed.open[:901], bars.open[:901])
    assert (changed.open[901:] != bars.open[901:]).all()
    assert (changed.close[900:] != bars.close[900:]).all()
    replace(changed)  # the checks of Bars run again


def test_a_computation_that_reads_ahead_in_an_extra_is_found(bars):
    rng = np.random.default_rng(2)
    extras = {"trades": rng.poisson(50, bars.shape) + 1.0, "funding_rate": rng.normal(0, 1e-4, bars.shape)}
    bars = replace(bars, extras=extras)

    def leaky(history):
        later = history.extras["trades"][1:]
        return np.vstack([later, later[-1:]])

    def honest(history):
        # The rate of a row is settled at its open, which is the close of the row before.
        return np.where(history.extras["funding_rate"] > 0, history.extras["trades"], 0.0)

    assert not audit(leaky, bars, n_cuts=3).passed
    assert audit(honest, bars, n_cuts=3).passed


def test_extras_of_corrupted_bars_change_from_the_cut_on_and_a_rate_after_it(bars):
    from foreshock.engine.out_of_sample.causality import corrupt_from

    rng = np.random.default_rng(2)
    extras = {"trades": rng.poisson(50, bars.shape) + 1.0, "funding_rate": rng.normal(0, 1e-4, bars.shape)}
    changed = corrupt_from(replace(bars, extras=extras), 900, np.random.default_rng(1)).extras
    for name, first in (("trades", 900), ("funding_rate", 901)):
        same = changed[name] == extras[name]
        assert same[:first].all()
        assert not same[first:].any()
    assert (changed["trades"] > 0).all()


def built(name, bars):
    """A strategy by name, with regimes drawn by row where it needs them."""
    if name != "regime_exposure":
        return make_strategy(
            name, **{"factor_portfolio": {"window": "5d", "rebalance": "1d", "turnover_penalty": 0.01}}.get(name, {})
        )
    labels = np.random.default_rng(5).integers(-1, 2, bars.shape).astype(np.int8)
    regimes = SimpleNamespace(time=bars.time, symbols=bars.symbols, labels=labels, names=("calm", "wild"))
    return make_strategy(name, regimes=regimes, exposures={"calm": 1.0, "wild": 0.3})


@pytest.mark.parametrize("name", strategy_names())
def test_every_registered_strategy_keeps_the_contract_bit_for_bit(name, bars):
    check_strategy(built(name, bars), bars)


def test_a_strategy_that_looks_ahead_is_caught(bars):
    def oracle(history):
        later = np.vstack([history.close[1:], history.close[-1:]])
        return (later > history.close) / history.n_symbols

    assert not audit(oracle, bars, n_cuts=8).passed
