"""Values that differ by rounding alone do not vary, whatever their size and whoever asks."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import foreshock as fs
from foreshock.data.errors import DataError
from foreshock.detectors.registry import make_detector
from foreshock.detectors.scaling import RobustScaler
from foreshock.engine.features.features import Features
from foreshock.engine.kernels.robust import rolling_mean_deviation_nb
from foreshock.engine.risk.estimators.filtered import GarchFilter
from foreshock.engine.statistics.variation import robust_spread, varies
from foreshock.engine.validation.selection.overfitting import overfitting_probability
from tests.market import make_bars

GROWN = 1.0001 ** np.arange(2_001)
# Returns of 0.01 % a bar, but for the rounding of the equity.
STEADY = GROWN[1:] / GROWN[:-1] - 1


def test_steady_growth_has_no_ratio_and_no_model():
    assert np.ptp(STEADY) > 0
    assert not varies(STEADY, level=1.0)
    found = fs.performance(STEADY, "1h")
    assert math.isnan(found.sharpe)
    assert found.annual_volatility == 0
    assert math.isnan(fs.annual_sharpe(STEADY, "1h").ratio)
    assert math.isnan(fs.probabilistic_sharpe(STEADY))
    assert math.isnan(fs.deflated_sharpe(STEADY, 10, 0.001).probability)
    assert math.isnan(fs.min_track_record(STEADY))
    with pytest.raises(DataError, match="differ from each other"):
        GarchFilter.fit(STEADY)


# Accounts that earn the same each bar, however their equity was computed: from what they begin with, the rate and the bars.
ACCOUNTS = {
    "power": lambda size, rate, bars: size * (1 + rate) ** np.arange(bars),
    "product": lambda size, rate, bars: size * np.cumprod(np.full(bars, 1 + rate)),
    "logs": lambda size, rate, bars: size * np.exp(rate * np.arange(bars)),
    "decline": lambda size, rate, bars: size * (1 - rate) ** np.arange(bars),
    "flat": lambda size, rate, bars: np.full(bars, size),
}
RATIOS = {
    "performance": lambda returns: fs.performance(returns, "1h").sharpe,
    "annual": lambda returns: fs.annual_sharpe(returns, "1h").ratio,
    "probabilistic": fs.probabilistic_sharpe,
    "deflated": lambda returns: fs.deflated_sharpe(returns, 10, 0.001).probability,
    "least track record": fs.min_track_record,
}


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("account", ACCOUNTS)
@settings(max_examples=12, deadline=None)
@given(size=st.floats(1e-6, 1e9), rate=st.floats(1e-9, 1e-2), bars=st.integers(60, 1_500))
def test_an_account_that_earns_the_same_each_bar_has_no_ratio(account, ratio, size, rate, bars):
    equity = ACCOUNTS[account](size, rate, bars)
    assert math.isnan(RATIOS[ratio](equity[1:] / equity[:-1] - 1))
    # A thousandth of the rate more in every other bar is no rounding.
    moved = (equity[1:] / equity[:-1] - 1) + 1e-3 * max(rate, 1e-6) * (np.arange(bars - 1) % 2)
    assert not math.isnan(RATIOS[ratio](moved))


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_values_vary_relative_to_their_size(size):
    values = size * np.full(100, 0.1)
    values[50:] += size * 1e-16
    assert not varies(values)
    values[50:] += size * 1e-9
    assert varies(values)


def test_a_steady_configuration_is_not_chosen_over_one_that_earns():
    rng = np.random.default_rng(0)
    returns = np.column_stack([STEADY[:480], rng.normal(0.01, 0.01, 480), rng.normal(0.0, 0.01, 480)])
    chosen = overfitting_probability(returns, n_blocks=8).chosen
    assert chosen[0] == 0
    assert chosen[1] == chosen.sum()


def test_interest_alone_is_not_chosen_in_a_walk_forward():
    bars = make_bars(n_bars=1_500, n_symbols=1, seed=3)
    rising = 100 * np.exp(np.cumsum(np.random.default_rng(3).normal(0.001, 0.004, (1_500, 1)), axis=0))
    bars = replace(bars, open=rising, high=rising, low=rising, close=rising, extras={})
    weights = {"idle": np.zeros(bars.shape), "held": np.ones(bars.shape)}
    splits = fs.WalkForward("15D", "10D", embargo=None)
    found = fs.choose_walk_forward(bars, weights, splits, account=fs.Account(cash_yield=0.05))
    assert set(found.folds["chosen"]) == {"held"}


def test_the_spread_of_tied_values_is_that_of_their_mean_deviation():
    values = np.zeros((1_000, 3))
    rng = np.random.default_rng(1)
    values[:100, 0] = rng.normal(size=100)
    values[:, 1] = rng.normal(5, 2, 1_000)
    values[:, 2] = 0.1
    low, high = np.quantile(values[:, 1], [0.25, 0.75])
    expected = [np.sqrt(np.pi / 2) * np.abs(values[:, 0]).mean(), (high - low) / 1.349, 0.0]
    np.testing.assert_allclose(robust_spread(values), expected, rtol=1e-12)


@pytest.mark.parametrize("size", [1e-6, 1.0, 6e4])
def test_the_scale_of_a_column_is_in_the_unit_of_the_column(size):
    values = np.zeros((400, 1, 3))
    values[::10, 0, 0] = np.random.default_rng(2).normal(size=40)
    values[:, 0, 1] = 0.1
    time = np.datetime64("2024-01-01", "us") + np.arange(400) * np.timedelta64(1, "h")
    one = Features(time, ("A",), ("tied", "still", "zero"), values, np.timedelta64(1, "h"))
    plain, other = RobustScaler.learn(one), RobustScaler.learn(replace(one, values=values * size))
    np.testing.assert_allclose(other.scale[0, :2], size * plain.scale[0, :2], rtol=1e-12)
    assert other.scale[0, 2] == 1.0


def test_the_rolling_mean_deviation_equals_pandas():
    x = np.random.default_rng(3).normal(size=(60, 2)).round(0)
    wanted = np.random.default_rng(4).random((60, 2)) < 0.7
    expected = pd.DataFrame(x).rolling(8).apply(lambda w: np.mean(np.abs(w - np.median(w))), raw=True)
    np.testing.assert_allclose(rolling_mean_deviation_nb(x, 8, wanted), expected.where(wanted), rtol=1e-12)


@pytest.mark.parametrize("name", ["iqr", "mad"])
def test_a_coin_that_mostly_stands_still_is_scored(name):
    values = np.zeros((400, 1, 1))
    values[::10, 0, 0] = np.random.default_rng(5).normal(size=40)
    values[390] = 30.0
    time = np.datetime64("2024-01-01", "us") + np.arange(400) * np.timedelta64(1, "h")
    features = Features(time, ("A",), ("log_return",), values, np.timedelta64(1, "h"))
    found = make_detector(name, window=100, columns=["log_return"]).fit(features).score(features).values[:, 0]
    assert np.isfinite(found[100:]).all()
    before = values[290:390, 0, 0]
    unit = np.sqrt(np.pi / 2) * np.abs(before - np.median(before)).mean() * (1.349 if name == "iqr" else 1.0)
    np.testing.assert_allclose(found[390], 30.0 / unit, rtol=1e-12)


@pytest.mark.parametrize("name", ["zscore", "iqr", "mad"])
def test_a_window_of_rounding_has_no_score(name):
    values = (0.1 + 1e-17 * np.arange(300) + np.spacing(0.1) * (np.arange(300) % 3))[:, None, None]
    time = np.datetime64("2024-01-01", "us") + np.arange(300) * np.timedelta64(1, "h")
    features = Features(time, ("A",), ("log_return",), values, np.timedelta64(1, "h"))
    found = make_detector(name, window=50, columns=["log_return"]).fit(features).score(features).values
    assert np.isnan(found).all()
