"""Every strategy through halts, late listings, delistings and returns: nothing is rejected, and accounts equal the plain ledger."""

from types import SimpleNamespace

import numpy as np
import pytest

from foreshock.engine.scores import Signals
from foreshock.strategies.anomaly_avoidance import AnomalyAvoidance
from foreshock.strategies.backtest.account import Account
from foreshock.strategies.backtest.costs import Costs
from foreshock.strategies.backtest.portfolio import backtest
from foreshock.strategies.baselines import BuyAndHold, EqualWeight
from foreshock.strategies.event import EventTrade
from foreshock.strategies.factor_portfolio import FactorPortfolio
from foreshock.strategies.momentum import TimeSeriesMomentum
from foreshock.strategies.regime_exposure import RegimeExposure
from foreshock.strategies.volatility_target import VolatilityTarget
from tests.ledger import full_ledger
from tests.market import NAN, bars_of

N_BARS = 300
STRATEGIES = (
    EqualWeight(),
    EqualWeight("6h"),
    BuyAndHold(),
    AnomalyAvoidance(hold="8h"),
    AnomalyAvoidance(hold="8h", exposure=0.5, market_wide=True),
    EventTrade("fade", hold="12h"),
    EventTrade("follow", hold="48h"),
    VolatilityTarget(0.4),
    TimeSeriesMomentum("2D", shorts=True),
    TimeSeriesMomentum("2D"),
    FactorPortfolio(1, "3d", rebalance="1d"),
    FactorPortfolio(1, "3d", long_only=True, rebalance="1d"),
)


def universe(seed: int):
    """Bars of three symbols of which one halts, one is listed late and one ends and may return; alerts, and regimes."""
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.02, (N_BARS, 3)), axis=0))
    opened = np.vstack([close[:1], close[:-1]]) * np.exp(rng.normal(0, 0.005, (N_BARS, 3)))
    silent = np.zeros((N_BARS, 3), bool)
    for _ in range(rng.integers(1, 4)):
        start = int(rng.integers(10, 250))
        silent[start : start + int(rng.choice([1, 3, 12, 23, 24, 25, 30, 48, 100])), 0] = True
    silent[: int(rng.integers(0, 120)), 1] = True
    start = int(rng.integers(150, 280))
    silent[start : None if rng.random() < 0.5 else start + int(rng.integers(5, 120)), 2] = True
    silent |= rng.random(silent.shape) < 0.01
    bars = bars_of(np.where(silent, NAN, opened), np.where(silent, NAN, close))
    alerts = (rng.random(silent.shape) < 0.03) & ~silent
    signals = Signals(bars.time, bars.symbols, alerts, np.where(silent, NAN, 0.5), ~silent, bars.interval)
    labels = np.repeat(rng.integers(0, 2, (N_BARS // 20, 3)), 20, axis=0)
    regimes = SimpleNamespace(time=bars.time, symbols=bars.symbols, labels=np.where(silent, -1, labels), names=("calm", "wild"))
    return bars, signals, regimes


def check(seed: int) -> None:
    bars, signals, regimes = universe(seed)
    costs, account = Costs(taker=1e-3, slippage=5e-4), Account(shorts=True)
    prices = {name: getattr(bars, name) for name in ("open", "high", "low", "close", "volume")}
    for strategy in (*STRATEGIES, RegimeExposure(regimes, {"calm": 1.0, "wild": 0.3})):  # pyright: ignore[reportArgumentType]
        weights = strategy.weights(bars, signals)
        found, expected = (
            backtest(bars, weights, costs, account=account),
            full_ledger(prices, weights, costs, account, bars.symbols),
        )
        scale = np.maximum.accumulate(np.maximum(expected["equity"], 1.0))
        assert np.max(np.abs(found.equity - expected["equity"]) / scale) < 1e-9, strategy


@pytest.mark.parametrize("seed", range(12))
def test_no_order_is_rejected_and_accounts_equal_the_plain_ledger(seed):
    check(seed)


@pytest.mark.parametrize("gap", [6, 23, 24, 25, 30, 48, 168, 1_000])
def test_a_symbol_may_be_silent_for_any_number_of_hours(gap):
    rng = np.random.default_rng(gap)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, (200 + gap, 2)), axis=0))
    opened = np.vstack([close[:1], close[:-1]])
    close[100 : 100 + gap, 1] = opened[100 : 100 + gap, 1] = NAN
    bars = bars_of(opened, close)
    weights = EqualWeight().weights(bars)
    equity = backtest(bars, weights).equity
    expected = full_ledger(
        {name: getattr(bars, name) for name in ("open", "high", "low", "close", "volume")},
        weights,
        Costs(),
        Account(),
        bars.symbols,
    )["equity"]
    np.testing.assert_allclose(equity, expected, rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12, 200))
def test_the_same_in_two_hundred_universes(seed):
    check(seed)


def test_a_target_from_before_a_halt_is_not_filled_when_the_symbol_returns():
    prices = np.full((120, 2), 100.0)
    prices[20:80, 1] = NAN
    bars = bars_of(prices, prices)
    weights = EqualWeight().weights(bars)
    # The symbol was last ordered .5, is listed no more a day after its last trade, and gets its share at the close of its return.
    assert weights[43].tolist() == [1.0, 0.0]
    assert weights[80].tolist() == [0.5, 0.5]
    assert np.isnan(weights[81]).all()
