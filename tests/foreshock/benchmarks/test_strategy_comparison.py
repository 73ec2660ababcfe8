"""The table of all strategies: each of them in it, and its figures those of its own accounts."""

import subprocess
import sys

import numpy as np
import pytest

from foreshock.benchmarks import strategies as module
from foreshock.benchmarks.strategies import QUANTILE, THRESHOLD_WINDOW, published, strategy_comparison
from foreshock.detectors.registry import make_detector
from foreshock.engine.features.ohlcv import ohlcv_features
from foreshock.engine.out_of_sample.splits import WalkForward
from foreshock.engine.out_of_sample.walk_forward import walk_forward
from foreshock.engine.thresholds.quantiles import RollingQuantile
from foreshock.strategies.anomaly_avoidance import AnomalyAvoidance
from foreshock.strategies.backtest.costs import DEFAULT_COSTS
from foreshock.strategies.backtest.portfolio import backtest
from foreshock.strategies.registry import STRATEGIES
from tests.console import foreshock
from tests.market import make_bars

SPLITS = WalkForward("60D", "30D", "2D")


@pytest.fixture(scope="module")
def bars():
    return make_bars(n_bars=2_800, n_symbols=3, seed=4)


@pytest.fixture(scope="module")
def table(bars):
    year = int(str(bars.time[-1])[:4])
    return strategy_comparison(bars, ["zscore"], SPLITS, year=year, n_draws=20, n_bootstrap=99).set_index(["sample", "strategy"])


def test_every_strategy_stands_in_both_samples(table):
    for sample in table.index.unique("sample"):
        names = {name.split("[")[0] for name in table.loc[sample].index}
        assert names == set(STRATEGIES), sample
    assert len(table.index.unique("sample")) == 2


def test_the_returns_of_the_years_compound_to_the_whole(table):
    years = table.filter(regex=r"^return_\d{4}$")
    np.testing.assert_allclose((1 + years.fillna(0)).prod(axis=1) - 1, table["total_return"], atol=1e-12)


def test_out_of_sample_avoidance_is_that_of_walk_forward_alerts(table, bars):
    scores = walk_forward(make_detector("zscore"), ohlcv_features(bars), SPLITS)
    alerts = scores.signals(RollingQuantile(QUANTILE, THRESHOLD_WINDOW))
    first = SPLITS.folds(bars.n_bars, bars.interval, 0, bars.start_row)[0].test.start
    rows = slice(first, bars.n_bars)
    result = backtest(bars.rows(rows), AnomalyAvoidance().weights(bars.rows(rows), alerts.rows(rows)), DEFAULT_COSTS)
    row = table.loc[("out-of-sample", "anomaly_avoidance[zscore]")]
    assert row["total_return"] == pytest.approx(result.equity[-1] - 1, rel=0.02)
    assert row["exposure"] == pytest.approx(result.exposure.mean(), rel=0.02)


def test_intervals_hold_their_figures_and_the_percentile_is_a_share(table):
    rows = table.dropna(subset=["beyond_equal"])
    assert len(rows) == len(table) - 2
    assert (rows["beyond_equal_low"] < rows["beyond_equal"]).all()
    assert (rows["beyond_equal"] < rows["beyond_equal_high"]).all()
    avoidance = table.dropna(subset=["percentile"])
    assert set(avoidance.index.get_level_values("strategy")) == {"anomaly_avoidance[zscore]"}
    assert avoidance["percentile"].between(0, 1).all()


def test_the_published_returns_are_marked_as_in_sample():
    assert published()["sample"].eq("published, in-sample 2024").all()
    assert dict(published()[["strategy", "total_return"]].to_numpy())["buy_and_hold"] == 0.381


def test_the_verb_prints_the_table_with_the_published_returns(bars, table, tmp_path, monkeypatch, capsys):
    bars.to_frame().to_parquet(tmp_path / "bars.parquet")

    def given(asked, on_step):
        assert asked.n_bars == bars.n_bars
        on_step("walk-forward zscore")
        return table.reset_index()

    monkeypatch.setattr(module, "strategy_comparison", given)
    code, out, err = foreshock(monkeypatch, capsys, "benchmark", "strategies", str(tmp_path / "bars.parquet"))
    assert (code, err) == (0, "walk-forward zscore\n")
    assert len(out.splitlines()) == 1 + len(table) + len(published())
    assert "published, in-sample 2024" in out


@pytest.mark.parametrize(("arguments", "code", "message"), [(["none.csv"], 3, "error: no such file"), ([], 2, "Usage: foreshock")])
def test_the_old_command_ends_as_the_verb_does(arguments, code, message, tmp_path):
    command = [sys.executable, "-m", "foreshock.strategy_comparison", *arguments]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (code, "")
    assert ended.stderr.strip().startswith(message)
