"""Weights of strategies that may hold the members of a universe alone."""

from dataclasses import dataclass

import numpy as np
import pytest

import foreshock as fs
from foreshock.engine.out_of_sample.universe import Membership
from foreshock.study.traded.members import for_symbols, weights_of_members
from tests.market import HOUR, bars_of

PARAMETERS = {"factor_portfolio": {"window": "3D", "rebalance": "1D"}, "time_series_momentum": {"lookback": "3D"}}
# Blocks of 48 rows from row 120 on.
SPLITS = fs.WalkForward("5D", "2D", embargo=None)


@dataclass(frozen=True)
class Factors:
    """One portfolio of equal weights, as ``fs.latent_factors`` would return it."""

    time: np.ndarray
    symbols: tuple[str, ...]
    weights: np.ndarray
    factor_returns: np.ndarray


def history() -> tuple[fs.Bars, Membership]:
    """Three symbols, of which the two with the largest volume are members; S0 leaves for S2 in row 168."""
    row = np.arange(264)[:, None]
    volume = np.where(row < 130, [[5.0, 4.0, 1.0]], [[1.0, 4.0, 99.0]])
    rng = np.random.default_rng(0)
    bars = bars_of(100 * np.exp(np.cumsum(rng.normal(0, 0.01, (264, 3)), axis=0)), volume=volume)
    return bars, fs.Universe(2, "volume", "2D").members(bars, SPLITS)


def test_the_market_is_as_it_is_told():
    _, members = history()
    assert [(block.rows.start, set(block.members)) for block in members.blocks] == [
        (120, {"S0", "S1"}),
        (168, {"S1", "S2"}),
        (216, {"S1", "S2"}),
    ]


def test_who_leaves_is_sold_at_the_first_open_of_the_next_block():
    bars, members = history()
    weights = weights_of_members(fs.BuyAndHold().weights, bars, None, members)
    assert np.isnan(weights[:120]).all()
    # The order of row 167 is filled at the open of row 168.
    assert weights[167].tolist()[0] == 0.0
    assert weights[168].tolist() == [0.0, 0.5, 0.5]
    assert weights[120].tolist() == [0.5, 0.5, 0.0]
    assert np.isnan(weights[121, :2]).all()
    account = fs.backtest(bars.rows(slice(120, None)), weights[120:], fs.Costs(taker=0, slippage=0))
    sold = account.trades[(account.trades["symbol"] == "S0") & (account.trades["side"] == "sell")]
    assert sold["time"].tolist() == [bars.time[168]]


def test_a_position_that_goes_on_is_not_touched_but_for_the_newest_target():
    bars, members = history()

    def once(own: fs.Bars, _: fs.Signals | None) -> np.ndarray:
        weights = np.full(own.shape, np.nan)
        weights[150, own.symbols.index("S1")] = 0.3
        return weights

    weights = weights_of_members(once, bars, None, members, 0)
    ordered = np.flatnonzero(~np.isnan(weights[:, 1]))
    assert ordered[ordered >= 120].tolist() == [150, 168, 216]
    assert weights[[150, 168, 216], 1].tolist() == [0.3] * 3


def test_a_rule_sees_the_whole_history_of_the_members_and_nothing_after_their_block():
    bars, members = history()
    seen = []

    def weigh(own: fs.Bars, _: fs.Signals | None) -> np.ndarray:
        seen.append((own.symbols, own.n_bars, str(own.time[0])))
        return np.zeros(own.shape)

    weights_of_members(weigh, bars, None, members, 0)
    start = str(bars.time[0])
    assert seen == [(("S0", "S1"), 168, start), (("S1", "S2"), 216, start), (("S1", "S2"), 264, start)]


@pytest.mark.parametrize(
    "name", ["anomaly_avoidance", "event_trade", "volatility_target", "time_series_momentum", "factor_portfolio"]
)
def test_later_bars_do_not_change_earlier_weights(name):
    bars, members = history()
    strategy = fs.make_strategy(name, **PARAMETERS.get(name, {}))
    active = np.random.default_rng(2).random(bars.shape) < 0.1
    signals = fs.Signals(bars.time, bars.symbols, active & members.mask, np.ones(bars.shape), members.mask, HOUR)
    whole = weights_of_members(strategy.weights, bars, signals, members, 0)
    assert (np.nan_to_num(whole[120:])[~members.held[120:]] == 0).all()
    assert np.nan_to_num(whole[120:]).any()
    for n in (121, 167, 168, 169, 200, 216, 240):
        head = bars.head(n)
        cut = weights_of_members(
            strategy.weights, head, signals.rows(slice(0, n)), fs.Universe(2, "volume", "2D").members(head, SPLITS), 0
        )
        assert np.array_equal(cut, whole[:n], equal_nan=True), n


def test_regimes_and_factors_of_all_symbols_are_told_for_the_members():
    bars, _ = history()
    labels = np.zeros(bars.shape, dtype=np.int8)
    labels[:, 2] = 1
    regimes = fs.Regimes(bars.time, bars.symbols, labels, ("calm", "bearish"))
    own = for_symbols(fs.RegimeExposure(regimes, {"calm": 1.0, "bearish": 0.5}), ("S1", "S2"))
    assert own.weights(bars.select(["S1", "S2"]))[0].tolist() == [0.5, 0.25]
    returns = np.random.default_rng(1).normal(0.01, 0.01, (bars.n_bars, 1))
    factors = Factors(bars.time, bars.symbols, np.full((bars.n_bars, 1, 3), 1 / 3), returns)
    own = for_symbols(fs.FactorPortfolio(1, window="2D", rebalance="1D", factors=factors), ("S1", "S2"))
    held = own.weights(bars.select(["S1", "S2"]))
    assert held[-1].tolist() == pytest.approx([0.5, 0.5])
