"""Volatility target, momentum, regimes and factors: worked by hand, and against plain twins."""

from types import SimpleNamespace

import numpy as np
import pytest

from foreshock.data.errors import ConfigError
from foreshock.strategies.backtest.account import Account
from foreshock.strategies.backtest.portfolio import backtest
from foreshock.strategies.factor_portfolio import FactorPortfolio, _nearer
from foreshock.strategies.momentum import TimeSeriesMomentum
from foreshock.strategies.regime_exposure import RegimeExposure
from foreshock.strategies.volatility_target import VolatilityTarget
from tests.accounts import FREE
from tests.market import NAN, bars_of


def walk(rng, n_bars, scale):
    """Random walks, shape (n_bars, n_symbols)."""
    return 100 * np.exp(np.cumsum(rng.normal(0, 1, (n_bars, np.shape(scale)[-1])) * scale, axis=0))


def test_a_volatility_target_is_met_in_a_market_whose_volatility_doubles():
    rng = np.random.default_rng(0)
    level = np.repeat([0.005, 0.01], 4_000)[:, None]
    bars = bars_of(walk(rng, 8_000, level))
    result = backtest(bars, VolatilityTarget(0.3, "2d").weights(bars), FREE)
    for half in (slice(500, 4_000), slice(4_200, 8_000)):
        assert result.returns[half].std() * np.sqrt(8_760) == pytest.approx(0.3, rel=0.06)
    # Moves of 0.5 % an hour are 47 % a year.
    assert result.exposure[500:4_000].mean() == pytest.approx(0.3 / 0.468, rel=0.06)


def test_a_volatility_target_holds_at_most_its_bound_and_nothing_before_the_first_return():
    bars = bars_of(walk(np.random.default_rng(1), 100, [1e-5, 1e-5]))
    weights = VolatilityTarget(5.0, rebalance="1h").weights(bars)
    assert np.isnan(weights[0]).all()
    np.testing.assert_array_equal(weights[1:], 0.5)
    np.testing.assert_allclose(VolatilityTarget(5.0, most=2.0, rebalance="1h").weights(bars)[1:], 1.0, rtol=1e-15)


def test_a_bar_without_any_trade_keeps_the_last_volatility():
    close = walk(np.random.default_rng(2), 30, [0.01])
    close[10:12] = NAN
    weights = VolatilityTarget(0.2, "6h", rebalance="6h").weights(bars_of(close))
    assert (weights[~np.isnan(weights)] > 0).all()
    assert not np.isnan(weights[11, 0])


def test_momentum_holds_what_rose_and_sells_what_fell():
    close = np.column_stack([np.arange(1.0, 50), np.arange(50.0, 1, -1)])
    bars = bars_of(close)
    np.testing.assert_array_equal(TimeSeriesMomentum("12h", "1h").weights(bars)[12:], np.tile([0.5, 0.0], (37, 1)))
    np.testing.assert_array_equal(TimeSeriesMomentum("12h", "1h", True).weights(bars)[12:], np.tile([0.5, -0.5], (37, 1)))
    assert np.isnan(TimeSeriesMomentum("12h", "1h").weights(bars)[:12]).all()


def test_momentum_earns_a_trend():
    rng = np.random.default_rng(3)
    drift = np.repeat([0.002, -0.002], 500)[:, None]
    close = 100 * np.exp(np.cumsum(drift + rng.normal(0, 0.002, (1_000, 2)), axis=0))
    bars = bars_of(close)
    result = backtest(bars, TimeSeriesMomentum("1d", "6h", True).weights(bars), FREE, account=Account(shorts=True))
    # Each half is worth 0.002 times 500, less the days it takes to see the trend and its end.
    assert 1.5 < np.log(result.equity[-1]) < 2.0


def regimes_of(bars, labels):
    return SimpleNamespace(time=bars.time, symbols=bars.symbols, labels=np.asarray(labels, np.int8), names=("calm", "wild"))


def test_each_symbol_has_the_exposure_of_its_own_regime():
    bars = bars_of(np.ones((6, 2)), start="2024-01-01T21")
    labels = [[0, -1], [0, 1], [1, 1], [1, -1], [0, 0], [0, 0]]
    weights = RegimeExposure(regimes_of(bars, labels), {"calm": 1.0, "wild": 0.2}).weights(bars)
    # The close of 23:00 is midnight: every symbol has an order; an unknown regime is the last known one.
    np.testing.assert_allclose(weights[:, 0], [0.5, NAN, 0.1, NAN, 0.5, NAN], rtol=1e-15)
    np.testing.assert_allclose(weights[:, 1], [NAN, 0.1, 0.1, NAN, 0.5, NAN], rtol=1e-15)


def test_regimes_of_a_longer_history_are_found_by_time():
    bars = bars_of(np.ones((6, 1)))
    regimes = regimes_of(bars, [[0], [0], [0], [1], [1], [1]])
    later = bars.rows(slice(2, None))
    weights = RegimeExposure(regimes, {"calm": 1.0, "wild": 0.0}).weights(later)
    np.testing.assert_array_equal(weights[:, 0], [1, 0, NAN, NAN])
    with pytest.raises(ConfigError, match="regimes must cover the rows of the bars"):
        RegimeExposure(regimes_of(later, np.zeros((4, 1))), {"calm": 1.0, "wild": 0.0}).weights(bars)


def two_factors(rng, n_bars):
    """Four symbols: a market with drift, and a spread between pairs with drift the other way."""
    market, spread = rng.normal(2e-4, 2e-3, (n_bars, 1)), rng.normal(-2e-4, 1e-3, (n_bars, 1))
    return 100 * np.cumprod(1 + market + spread * [1, 1, -1, -1] + rng.normal(0, 1e-4, (n_bars, 4)), axis=0)


def test_a_factor_portfolio_earns_what_the_factors_drift():
    bars = bars_of(two_factors(np.random.default_rng(4), 6_000))
    strategy = FactorPortfolio(2, "30d", budget="sharpe", rebalance="5d")
    result = backtest(bars, strategy.weights(bars), FREE, account=Account(shorts=True))
    held = result.units()[-1] * bars.close[-1]
    # Long the market and short the spread: the latter has twice the mean in units of its variance, so the first pair is sold.
    assert (held[2:] > 0).all()
    assert (held[:2] < 0).all()
    assert held[2:].min() > 2 * np.abs(held[:2]).max()
    assert np.log(result.equity[-1]) > 1.0


def test_factor_weights_equal_a_plain_twin():
    rng = np.random.default_rng(5)
    close = walk(rng, 200, [0.01, 0.02, 0.005, 0.01])
    bars = bars_of(close)
    weights = FactorPortfolio(2, "100h", rebalance="50h").weights(bars)
    moves = close[1:] / close[:-1] - 1
    rows = np.flatnonzero(~np.isnan(weights).all(axis=1))
    assert len(rows) >= 2
    for row in rows:
        past = moves[row - 100 : row]
        values, vectors = np.linalg.eig(np.corrcoef(past.T))
        total = np.zeros(4)
        for k in np.argsort(-values)[:2]:
            portfolio = vectors[:, k] / past.std(axis=0)
            portfolio /= np.abs(portfolio).sum()
            earned = past @ portfolio
            total += np.sign(earned.mean()) / earned.std() * portfolio
        np.testing.assert_allclose(weights[row], total / np.abs(total).sum(), rtol=1e-8)


def test_a_long_only_factor_portfolio_sells_nothing_short_and_stays_invested():
    bars = bars_of(two_factors(np.random.default_rng(6), 1_000))
    weights = FactorPortfolio(2, "10d", long_only=True, rebalance="1d", exposure=0.8).weights(bars)
    known = weights[~np.isnan(weights).any(axis=1)]
    assert (known >= 0).all()
    np.testing.assert_allclose(known.sum(axis=1), 0.8, rtol=1e-12)


def test_a_turnover_penalty_leaves_small_changes_out_and_makes_large_ones_smaller():
    found = _nearer(np.array([0.5, 0.2, 0.0]), np.array([0.55, 0.0, 0.3]), 0.1, 1.0)
    np.testing.assert_allclose(found, [0.5, 0.1, 0.2], rtol=1e-12)
    bars = bars_of(two_factors(np.random.default_rng(7), 2_000))
    turnover = [
        backtest(bars, FactorPortfolio(2, "10d", rebalance="1d", turnover_penalty=penalty).weights(bars), FREE, account=SHORT)
        .turnover.sum()
        for penalty in (0.0, 0.05, 0.2)
    ]  # fmt: skip
    assert turnover[0] > 1.3 * turnover[1] > 1.3 * 1.3 * turnover[2] > 0


SHORT = Account(shorts=True)


def test_given_factors_are_held_by_their_own_portfolios_and_returns():
    bars = bars_of(np.ones((8, 2)), interval=np.timedelta64(1, "D"))
    returns = np.column_stack([np.full(8, 0.01), [0.02, -0.05] * 4]) + np.arange(8)[:, None] * 1e-6
    portfolios = np.tile(np.array([[0.5, 0.5], [0.5, -0.5]]), (8, 1, 1))
    factors = SimpleNamespace(time=bars.time, symbols=bars.symbols, weights=portfolios, factor_returns=returns)
    one = FactorPortfolio(1, "4d", rebalance="1d", factors=factors).weights(bars)
    np.testing.assert_allclose(one[-1], [0.5, 0.5], rtol=1e-12)
    past = returns[-4:]
    mix = (past.mean(axis=0) / past.var(axis=0)) @ portfolios[0]
    both = FactorPortfolio(2, "4d", budget="sharpe", rebalance="1d", factors=factors).weights(bars)
    np.testing.assert_allclose(both[-1], mix / np.abs(mix).sum(), rtol=1e-9)
    with pytest.raises(ConfigError, match="factors must have the symbols"):
        FactorPortfolio(factors=factors, window="4d", rebalance="1d").weights(bars.select(["S1", "S0"]))


def test_a_symbol_listed_later_takes_part_once_its_window_is_full():
    close = walk(np.random.default_rng(8), 80, [0.01, 0.01, 0.01])
    close[:30, 2] = NAN
    weights = FactorPortfolio(1, "24h", rebalance="1h").weights(bars_of(close))
    assert np.isnan(weights[:30, 2]).all()
    np.testing.assert_array_equal(weights[30:54, 2], 0.0)
    assert (weights[54:, 2] != 0).all()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: VolatilityTarget(target=0.0), "target must be a number above 0"),
        (lambda: VolatilityTarget(most=NAN), "most must be"),
        (lambda: VolatilityTarget(halflife="0h"), "halflife must be positive"),
        (lambda: FactorPortfolio(0), "n_factors must be at least 1"),
        (lambda: FactorPortfolio(budget="all"), "budget must be one of equal, sharpe"),
        (lambda: FactorPortfolio(turnover_penalty=-0.1), "turnover_penalty must be"),
        (lambda: FactorPortfolio(exposure=1.1), "exposure must be"),
        (lambda: FactorPortfolio(window="2h").weights(bars_of(np.ones((5, 1)))), "window must span at least 3 bars"),
        (lambda: RegimeExposure(regimes_of(bars_of(np.ones((2, 1))), [[0], [0]]), {"calm": 1.0}), "must name the regimes"),
        (
            lambda: RegimeExposure(regimes_of(bars_of(np.ones((2, 1))), [[0], [0]]), {"calm": 1.0, "wild": 1.2}),
            "exposure of 'wild' must be a fraction",
        ),
    ],
)
def test_parameters_that_make_no_strategy_are_refused(build, message):
    with pytest.raises(ConfigError, match=message):
        build()
