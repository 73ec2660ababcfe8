"""Tenths of the scores, histograms and profiles: against slow twins and planted truths."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import foreshock as fs
from foreshock.engine.validation.moves.forward import MoveTable
from foreshock.study.signals.description import (
    _mean_of_blocks,
    deciles_section,
    distribution_section,
    profile_section,
    score_groups,
)


@pytest.fixture(scope="module")
def market() -> fs.SimulatedMarket:
    return fs.simulate_market(seed=4, n_symbols=2, n_bars=3_000)


def scored(bars: fs.Bars, values: np.ndarray) -> tuple[fs.Scores, fs.Signals]:
    scores = fs.Scores(bars.time, bars.symbols, values, bars.interval)
    return scores, scores.signals(fs.Fixed(float(np.nanquantile(values, 0.98))))


def test_a_score_that_knows_the_next_move_has_tenths_that_rise_and_noise_has_none(market):
    bars = market.bars
    table = MoveTable(bars, ["6h"])
    knowing = np.abs(table.entries["6h"][0].signed)
    noise = np.random.default_rng(0).random(bars.shape)
    pairs = {"knowing": scored(bars, knowing), "noise": scored(bars, noise)}
    found = deciles_section(table, {k: v[0] for k, v in pairs.items()}, {k: v[1] for k, v in pairs.items()})
    moves = [row["abs_move"] for row in found["knowing"]["6h"]]
    assert moves == sorted(moves)
    assert moves[-1] > 10 * moves[0]
    every = np.nanmean(knowing)
    inside = [low <= every <= high for row in found["noise"]["6h"] for low, high in [row["abs_move_ci"]]]
    assert sum(inside) >= 8
    assert sum(row["n"] for row in found["noise"]["6h"]) == int((~np.isnan(knowing)).sum())


def test_means_of_a_tenth_are_those_of_its_rows(market):
    bars = market.bars
    table = MoveTable(bars, ["6h"])
    values = np.random.default_rng(1).random(bars.shape)
    values[:500] = np.nan
    scores, signals = scored(bars, values)
    groups = score_groups(scores, signals.decided)
    found = deciles_section(table, {"a": scores}, {"a": signals})["a"]["6h"]
    signed = table.entries["6h"][0].signed
    for row in found:
        own = signed[(groups == row["group"] - 1) & ~np.isnan(signed)]
        assert row["abs_move"] == pytest.approx(np.abs(own).mean())
        assert row["return"] == pytest.approx(np.expm1(own).mean())
    sizes = np.bincount(groups[groups >= 0])
    assert (sizes == 500).all()
    assert (groups[:500] == -1).all()


def test_equal_scores_belong_to_one_tenth(market):
    bars = market.bars
    values = np.zeros(bars.shape)
    values[::20] = 1.0
    scores, signals = scored(bars, values)
    groups = score_groups(scores, signals.decided)
    assert set(groups[values == 0]) == {0}
    assert len(set(groups[values == 1])) == 1


def test_the_interval_of_a_tenth_is_wider_where_moves_overlap():
    # Moves that last for a day: sums over blocks must not count them as independent.
    rng = np.random.default_rng(2)
    covered = []
    for _ in range(120):
        level = np.repeat(rng.standard_normal(40), 24)[:, None]
        block = np.arange(len(level)) // 48
        _, (low, high) = _mean_of_blocks(level, np.ones(level.shape, bool), block)
        covered.append(low <= 0 <= high)
    assert np.mean(covered) > 0.85


def test_a_histogram_holds_every_decided_row_and_the_thresholds(market):
    values = np.random.default_rng(3).standard_t(2, market.bars.shape)
    values[:100] = np.nan
    scores, signals = scored(market.bars, values)
    found = distribution_section({"a": scores}, {"a": signals})["a"]
    assert found["counts"].sum() == found["n"] == signals.decided.sum()
    inner = np.histogram(values[signals.decided], found["edges"])[0]
    np.testing.assert_array_equal(found["counts"][1:-1], inner[1:-1])
    assert found["threshold"][1] == np.nanmedian(signals.threshold)


def test_the_profile_is_that_of_a_table_of_rows(market):
    features = fs.ohlcv_features(market.bars, ["range", "log_return", "volatility_20"])
    _, signals = scored(market.bars, features.column("range"))
    rows = profile_section(features, {"a": signals})["a"]
    assert rows[0]["feature"] == "range"
    frame = pd.DataFrame({name: features.column(name)[signals.decided] for name in features.names})
    alert = signals.active[signals.decided]
    for row in rows:
        own, others = frame.loc[alert, row["feature"]].dropna(), frame.loc[~alert, row["feature"]].dropna()
        assert row["difference"] == pytest.approx((own.mean() - others.mean()) / others.std(ddof=0))
        assert row["median_difference"] == pytest.approx((own.median() - others.median()) / others.std(ddof=0))
        assert row["n_alerts"] == len(own)
