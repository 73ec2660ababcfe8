"""Target weights: causal, fair to each other, and equal to examples worked by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foreshock.data.bars import Bars
from foreshock.data.errors import ConfigError
from foreshock.engine.scores import Signals
from foreshock.strategies.anomaly_avoidance import AnomalyAvoidance
from foreshock.strategies.backtest.portfolio import backtest
from foreshock.strategies.baselines import BuyAndHold, EqualWeight, RandomAvoidance
from foreshock.strategies.factor_portfolio import FactorPortfolio
from foreshock.strategies.momentum import TimeSeriesMomentum
from foreshock.strategies.volatility_target import VolatilityTarget
from tests.accounts import random_market
from tests.market import NAN, bars_of, signals_of


def head(signals: Signals, n: int) -> Signals:
    parts = (signals.active[:n], signals.threshold[:n], signals.decided[:n])
    return Signals(signals.time[:n], signals.symbols, *parts, signals.interval)


STRATEGIES = [
    AnomalyAvoidance(hold="6h"),
    AnomalyAvoidance(hold="1h", exposure=0.3, rebalance="12h"),
    AnomalyAvoidance(hold="6h", reentry="fixed", market_wide=True),
    VolatilityTarget(1.5, "12h"),
    TimeSeriesMomentum("6h", "3h"),
    FactorPortfolio(2, "6h", long_only=True, rebalance="6h"),
    BuyAndHold(),
    EqualWeight(),
    EqualWeight("3h"),
]


@pytest.mark.parametrize("strategy", STRATEGIES, ids=str)
@given(seed=st.integers(0, 10_000), cut=st.integers(1, 119))
@settings(max_examples=25, deadline=None)
def test_deleting_later_rows_does_not_change_earlier_weights(strategy, seed, cut):
    bars, signals = random_market(seed)
    full = strategy.weights(bars, signals)
    part = strategy.weights(bars.head(cut), head(signals, cut))
    np.testing.assert_array_equal(part, full[:cut])


@pytest.mark.parametrize("strategy", STRATEGIES, ids=str)
@given(seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_weights_are_fractions_that_need_no_credit_and_spare_what_never_traded(strategy, seed):
    bars, signals = random_market(seed)
    weights = strategy.weights(bars, signals)
    known = weights[~np.isnan(weights)]
    assert ((known >= 0) & (known <= 1)).all()
    assert np.nansum(weights, axis=1).max() <= 1 + 1e-12
    assert (known > 0).any()
    traded = np.maximum.accumulate(~np.isnan(bars.close), axis=0)
    assert np.isnan(weights[~traded]).all()


@pytest.mark.parametrize("strategy", STRATEGIES, ids=str)
def test_random_markets_can_be_traded_with_no_order_rejected(strategy):
    for seed in range(10):
        bars, signals = random_market(seed)
        result = backtest(bars, strategy.weights(bars, signals))
        assert result.exposure.max() <= 1 + 1e-9
        assert result.exposure[10:60].max() > 0.2


def test_a_signal_takes_its_symbol_out_for_exactly_the_hold():
    bars = bars_of(np.ones((8, 2)))
    active = np.zeros((8, 2), bool)
    active[2, 0] = True
    weights = AnomalyAvoidance(hold="3h").weights(bars, signals_of(bars, active))
    np.testing.assert_array_equal(weights[:, 0], [0.5, NAN, 0, NAN, NAN, 0.5, NAN, NAN])
    np.testing.assert_array_equal(weights[:, 1], [0.5] + [NAN] * 7)
    # Known at the close of row 2: out at the open of row 3, in again at the open of row 6.
    np.testing.assert_allclose(backtest(bars, weights).exposure[1:] > 0.6, [1, 1, 0, 0, 0, 1, 1])


def test_a_further_signal_starts_the_hold_anew():
    bars = bars_of(np.ones((9, 1)))
    active = np.isin(np.arange(9), [1, 3])[:, None]
    weights = AnomalyAvoidance(hold="3h").weights(bars, signals_of(bars, active))
    np.testing.assert_array_equal(weights[:, 0], [1, 0, NAN, NAN, NAN, NAN, 1, NAN, NAN])


def test_a_fixed_hold_takes_no_notice_of_signals_before_it_is_over():
    bars = bars_of(np.ones((9, 1)))
    signals = signals_of(bars, np.isin(np.arange(9), [1, 3])[:, None])
    weights = AnomalyAvoidance(hold="3h", reentry="fixed").weights(bars, signals)
    np.testing.assert_array_equal(weights[:, 0], [1, 0, NAN, NAN, 1, NAN, NAN, NAN, NAN])


def test_a_market_wide_exit_leaves_every_symbol():
    bars = bars_of(np.ones((5, 2)))
    active = np.zeros((5, 2), bool)
    active[1, 0] = True
    weights = AnomalyAvoidance(hold="2h", market_wide=True).weights(bars, signals_of(bars, active))
    np.testing.assert_array_equal(weights, np.array([0.5, 0, NAN, 0.5, NAN])[:, None] * [1, 1])


def test_the_kept_exposure_is_a_fraction_of_the_base_weight():
    bars = bars_of(np.ones((4, 4)))
    active = np.zeros((4, 4), bool)
    active[1, 2] = True
    weights = AnomalyAvoidance(hold="24h", exposure=0.4).weights(bars, signals_of(bars, active))
    np.testing.assert_allclose(weights[1], [NAN, NAN, 0.1, NAN], rtol=1e-15)


def test_a_rebalance_does_not_bring_a_symbol_back_before_its_time():
    bars = bars_of(np.ones((6, 2)), start="2024-01-01T21")
    active = np.zeros((6, 2), bool)
    active[1, 0] = True
    weights = AnomalyAvoidance(hold="4h").weights(bars, signals_of(bars, active))
    # The close of 23:00 is midnight.
    np.testing.assert_array_equal(weights, [[0.5, 0.5], [0, NAN], [0, 0.5], [NAN, NAN], [NAN, NAN], [0.5, NAN]])


def test_an_undecided_signal_is_no_signal():
    bars = bars_of(np.ones((4, 1)))
    signals = signals_of(bars, np.ones((4, 1)), np.zeros((4, 1), bool))
    np.testing.assert_array_equal(AnomalyAvoidance().weights(bars, signals), EqualWeight().weights(bars))


@given(seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_without_signals_or_with_full_exposure_it_trades_as_equal_weight_does(seed):
    bars, signals = random_market(seed)
    none = signals_of(bars, np.zeros(bars.shape))
    np.testing.assert_array_equal(AnomalyAvoidance().weights(bars, none), EqualWeight().weights(bars))
    avoiding, plain = AnomalyAvoidance(hold="6h").weights(bars, signals), EqualWeight().weights(bars)
    # Every order of the baseline is one of the strategy; the others are exits and re-entries.
    assert not np.isnan(avoiding[~np.isnan(plain)]).any()


def test_equal_weight_is_restored_at_the_close_before_midnight_wherever_the_bars_start():
    for start, rows in (("2024-01-01T00", [0, 23, 47]), ("2024-01-01T22", [0, 1, 25, 49]), ("2024-01-01T23", [0, 24, 48])):
        weights = EqualWeight().weights(bars_of(np.ones((50, 1)), start=start))
        np.testing.assert_array_equal(np.flatnonzero(~np.isnan(weights[:, 0])), rows)


def test_bars_that_straddle_midnight_are_rebalanced_once_a_day():
    # Bars of 8 h that open at 03:00, 11:00 and 19:00: only the last one's close passes midnight.
    bars = bars_of(np.ones((7, 1)), start="2024-01-01T03", interval=np.timedelta64(8, "h"))
    np.testing.assert_array_equal(np.flatnonzero(~np.isnan(EqualWeight().weights(bars)[:, 0])), [0, 2, 5])


def test_daily_bars_are_rebalanced_every_bar():
    bars = bars_of(np.ones((4, 2)), interval=np.timedelta64(1, "D"))
    np.testing.assert_array_equal(EqualWeight().weights(bars), np.full((4, 2), 0.5))


def test_a_listing_is_given_its_share_at_once_and_a_single_missing_bar_is_no_delisting():
    close = np.ones((6, 2))
    close[:2, 1] = NAN
    close[4, 1] = NAN
    weights = EqualWeight().weights(bars_of(close))
    np.testing.assert_array_equal(weights, [[1, NAN], [NAN, NAN], [0.5, 0.5], [NAN, NAN], [NAN, NAN], [NAN, NAN]])


def test_a_symbol_that_is_silent_for_a_rebalance_period_leaves_its_share_to_the_others():
    close = np.ones((8, 2))
    close[3:, 1] = NAN
    weights = EqualWeight("3h").weights(bars_of(close, start="2024-01-01T01"))
    # Multiples of 3 h: the closes of rows 1, 4 and 7; row 5 is the third without a trade.
    np.testing.assert_array_equal(weights[:, 0], [0.5, 0.5, NAN, NAN, 0.5, 1, NAN, 1])
    np.testing.assert_array_equal(weights[:, 1], [0.5, 0.5, NAN, NAN, 0.5, 0, NAN, NAN])


def test_buy_and_hold_buys_what_trades_first_and_never_again():
    close = np.array([[NAN, NAN, NAN], [1, 1, NAN], [2, 1, 1], [2, NAN, 1]])
    expected = np.full((4, 3), NAN)
    expected[1, :2] = 0.5
    np.testing.assert_array_equal(BuyAndHold().weights(bars_of(close)), expected)


def test_buy_and_hold_of_nothing_that_ever_trades_places_no_order():
    assert np.isnan(BuyAndHold().weights(bars_of(np.full((3, 2), NAN)))).all()


def time_outside(bars: Bars, weights: np.ndarray) -> np.ndarray:
    """Rows whose last order was for zero, per symbol."""
    rows = np.arange(len(weights))[:, None]
    newest = np.maximum.accumulate(np.where(np.isnan(weights), -1, rows), axis=0)
    return (np.take_along_axis(weights, np.maximum(newest, 0), axis=0) == 0) & (newest >= 0)


def n_exits(outside: np.ndarray) -> np.ndarray:
    return np.maximum(np.diff(outside.astype(int), axis=0, prepend=0), 0).sum(axis=0)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_every_random_draw_is_out_of_the_market_as_long_and_as_often_as_the_strategy(seed):
    rng = np.random.default_rng(seed)
    bars = bars_of(np.ones((200, 3)))
    # The third symbol is decided later than the others.
    decided = np.arange(200)[:, None] >= np.array([10, 10, 60])
    signals = signals_of(bars, (rng.random((200, 3)) < 0.03) & decided, decided)
    strategy = time_outside(bars, AnomalyAvoidance(hold="5h").weights(bars, signals))
    for weights in RandomAvoidance(n_draws=5, seed=seed, hold="5h").draws(bars, signals):
        draw = time_outside(bars, weights)
        np.testing.assert_array_equal(draw.sum(axis=0), strategy.sum(axis=0))
        np.testing.assert_array_equal(n_exits(draw), n_exits(strategy))
        assert not draw[~decided].any()


def test_random_draws_keep_exits_of_several_symbols_together():
    bars = bars_of(np.ones((100, 2)))
    active = np.isin(np.arange(100), [20, 50])[:, None] & [True, True]
    for weights in RandomAvoidance(n_draws=10, hold="3h").draws(bars, signals_of(bars, active)):
        outside = time_outside(bars, weights)
        np.testing.assert_array_equal(outside[:, 0], outside[:, 1])


def test_random_draws_move_the_exits_to_many_different_rows():
    bars = bars_of(np.ones((50, 1)))
    signals = signals_of(bars, np.arange(50)[:, None] == 10)
    firsts = [np.argmax(time_outside(bars, w)[:, 0]) for w in RandomAvoidance(400, hold="1h").draws(bars, signals)]
    # Prices at rest make all places alike, the strategy's own among them; the first row has no return.
    assert len(set(firsts)) == 49
    assert np.bincount(firsts).max() < 25


def test_random_draws_leave_the_market_where_it_is_expected_to_move_as_much():
    rng = np.random.default_rng(0)
    # Every second stretch of 100 rows moves ten times as much; all exits are in the restless ones.
    restless = (np.arange(2_000) // 100 % 2 == 1)[:, None]
    bars = bars_of(100 * np.exp(np.cumsum(np.where(restless, 0.01, 0.001) * rng.standard_normal((2_000, 1)), axis=0)))
    signals = signals_of(bars, np.isin(np.arange(2_000), [150, 550, 1_150])[:, None])
    rows = [np.flatnonzero(time_outside(bars, weights)) for weights in RandomAvoidance(50, hold="5h").draws(bars, signals)]
    assert np.mean(restless[np.concatenate(rows)]) > 0.8
    assert len(np.unique(np.concatenate(rows))) > 100


def test_random_draws_leave_the_market_where_as_many_symbols_are_listed():
    rng = np.random.default_rng(1)
    close = 100 * np.exp(np.cumsum(0.01 * rng.standard_normal((1_200, 3)), axis=0))
    close[:600, 1:] = np.nan
    bars = bars_of(close)
    active = np.zeros(close.shape, dtype=bool)
    active[[50, 120, 300, 470], 0] = True
    active[[700, 900], 1] = True
    for weights in RandomAvoidance(20, hold="5h").draws(bars, signals_of(bars, active)):
        outside = time_outside(bars, weights)
        assert outside[:600].sum(axis=0).tolist() == [20, 0, 0]
        assert outside[600:].sum(axis=0).tolist() == [0, 10, 0]


def test_a_draw_depends_on_its_seed_and_number_alone():
    bars, signals = random_market(3)
    few = list(RandomAvoidance(2, seed=5, hold="6h").draws(bars, signals))
    many = list(RandomAvoidance(4, seed=5, hold="6h").draws(bars, signals))
    np.testing.assert_array_equal(few, many[:2])
    other = next(RandomAvoidance(1, seed=6, hold="6h").draws(bars, signals))
    assert not np.array_equal(other, few[0], equal_nan=True)


def test_signals_of_other_rows_or_symbols_are_refused():
    bars, signals = random_market(0)
    with pytest.raises(ConfigError, match="signals must cover the rows of the bars, 120 from 2024-01-01T05"):
        AnomalyAvoidance().weights(bars, head(signals, 119))
    with pytest.raises(ConfigError, match="signals must have the symbols of the bars"):
        AnomalyAvoidance().weights(bars.select(["S1", "S0", "S2"]), signals)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: AnomalyAvoidance(exposure=1.5), "exposure must be a fraction from 0 to 1, got 1.5"),
        (lambda: AnomalyAvoidance(exposure=NAN), "exposure must be a fraction from 0 to 1, got nan"),
        (lambda: AnomalyAvoidance(hold="0h"), "hold must be positive"),
        (lambda: EqualWeight("soon"), "rebalance must be a number"),
        (lambda: AnomalyAvoidance(reentry="soon"), "reentry must be 'quiet' or 'fixed', got 'soon'"),
        (lambda: RandomAvoidance(n_draws=0), "n_draws must be a whole number of at least 1, got 0"),
        (lambda: RandomAvoidance(exposure=-1), "exposure must be"),
        (lambda: EqualWeight("90m").weights(bars_of(np.ones((2, 1)))), "whole number of 1h bars, got '90m'"),
    ],
)
def test_parameters_that_make_no_strategy_are_refused(build, message):
    with pytest.raises(ConfigError, match=message):
        build()
