"""Circumstances of alerts: each belongs to the regime that it came out of, and slices are judged as the verdict is."""

import numpy as np
import pytest

import foreshock as fs
from foreshock.detectors.clusters.labels import Regimes
from foreshock.detectors.clusters.setting import RegimeSetting
from foreshock.engine.out_of_sample.splits import WalkForward
from foreshock.engine.scores import Signals
from foreshock.engine.thresholds.quantiles import RollingQuantile
from foreshock.engine.validation.judging import Judging
from foreshock.engine.validation.moves.slices import MIN_RANKED_EVENTS, RANKED, slice_masks
from foreshock.engine.validation.selection.multiple import benjamini_hochberg
from foreshock.study import sections
from foreshock.study.judge import judge
from tests.market import make_bars

RULE = RollingQuantile(0.95, "10D")


def test_an_alert_belongs_to_the_regime_of_the_bar_before(monkeypatch):
    bars = make_bars(400, 1, seed=2)
    active = np.zeros(bars.shape, bool)
    active[np.arange(100, 380, 20)] = True
    # The bar of every alert is loud, the bar before it calm.
    labels = np.where(active, 1, 0).astype(np.int8)
    found = Regimes(bars.time, bars.symbols, labels, ("calm", "loud"))
    monkeypatch.setattr(RegimeSetting, "walk_forward", lambda *_: found)
    signals = Signals(bars.time, bars.symbols, active, np.full(bars.shape, 0.5), np.ones(bars.shape, bool), bars.interval)
    setting = Judging(("6h",), "6h", n_bootstrap=99)
    judged = judge(bars, {}, {"d": signals}, RULE, setting, {}, fs.ohlcv_features)
    around = sections.circumstances(judged, {"d": signals}, WalkForward("5D", "2D"), setting, lambda _: None)
    rows = [row for row in around.slices if row["by"] == "regime"]
    assert {row["slice"]: row["n_events"] for row in rows} == {"calm": 14, "loud": 0}
    n_judged = {row["slice"]: row["n_judged"] for row in rows}
    assert n_judged["calm"] > n_judged["loud"] == 0


@pytest.fixture(scope="module")
def studied():
    bars = fs.simulate_market(seed=5, n_symbols=2, n_bars=3_000).bars
    rng = np.random.default_rng(3)
    signals = {
        name: Signals(
            bars.time, bars.symbols, rng.random(bars.shape) < rate, np.ones(bars.shape), np.ones(bars.shape, bool), bars.interval
        )
        for name, rate in (("many", 0.03), ("fewer", 0.01))
    }
    setting = Judging(("1h", "12h"), "12h", first=500, n_bootstrap=99)
    judged = judge(bars, {}, signals, RULE, setting, {}, fs.ohlcv_features)
    masks = slice_masks(bars, rng.integers(-1, 2, bars.shape), ("calm", "loud"))
    horizons = {name: verdict.horizon for name, verdict in judged.verdicts.items()}
    rows = sections.slices_section(judged.table, judged.rung_table, signals, horizons, masks, setting)
    return judged, signals, masks, rows


def test_slices_are_the_deciding_test_at_the_horizon_of_the_verdict(studied):
    judged, signals, masks, rows = studied
    assert {row["detector"] for row in rows} == {"many", "fewer"}
    for row in rows:
        label = row["detector"]
        assert row["horizon"] == judged.verdicts[label].horizon
        (direct,) = judged.rung_table.in_slices(signals[label], row["horizon"], [masks[row["by"]][row["slice"]]])
        assert row["n_judged"] == direct.n_events
        if direct.n_events >= 8:
            assert (row["ratio"], *row["ratio_ci"], row["p"]) == pytest.approx((direct.ratio, *direct.ci, direct.p), rel=1e-9)
        else:
            assert np.isnan([row["ratio"], row["p"]]).all()
    assert any(row["n_judged"] >= 8 for row in rows)


def test_an_asset_has_the_matched_ratio_at_the_same_horizon(studied):
    judged, *_, rows = studied
    for row in rows:
        if row["by"] == "asset" and row["detector"] == "many":
            assert 0.5 < row["matched_ratio"] < 2
            assert row["horizon"] in judged.forward["many"].horizons


def test_q_is_over_all_detectors_years_assets_and_regimes_with_enough_alerts(studied):
    *_, rows = studied
    tested = [row for row in rows if row["by"] in RANKED and row["n_judged"] >= MIN_RANKED_EVENTS and not np.isnan(row["p"])]
    assert len(tested) > 5
    assert [row["q"] for row in tested] == pytest.approx(benjamini_hochberg(np.array([row["p"] for row in tested])))
    assert all(row["q"] is None for row in rows if row not in tested)
