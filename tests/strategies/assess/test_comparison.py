"""Avoidance against chance and against volatility targeting: worked by hand, against plain loops, and on planted truth."""

import numpy as np
import pytest

from foreshock.data.errors import ConfigError
from foreshock.strategies.anomaly_avoidance import AnomalyAvoidance
from foreshock.strategies.assess.comparison import avoided_moves, compare_avoidance, matched_target, paired_difference
from foreshock.strategies.backtest.costs import Costs
from foreshock.strategies.backtest.portfolio import backtest
from foreshock.strategies.baselines import EqualWeight, RandomAvoidance
from foreshock.strategies.volatility_target import VolatilityTarget
from tests.accounts import FREE, random_market
from tests.market import NAN, bars_of, signals_of
from tests.studies.avoidance_null import alerts, differs


def crashing_market(seed, n_bars=3_000):
    """Symbols that fall by 1 % an hour for ten hours at random times; the signal comes an hour before, and at no other time."""
    rng = np.random.default_rng(seed)
    starts = rng.choice(np.arange(100, n_bars - 100, 50), 20, replace=False)
    moves = rng.normal(2e-4, 0.004, (n_bars, 2))
    active = np.zeros((n_bars, 2), bool)
    for start in starts:
        moves[start + 1 : start + 11] -= 0.01
        active[start - 1] = True
    bars = bars_of(100 * np.exp(np.cumsum(moves, axis=0)))
    return bars, signals_of(bars, active)


def test_signals_before_crashes_beat_every_random_timing_and_volatility_targeting():
    bars, signals = crashing_market(0)
    strategy = AnomalyAvoidance("12h", rebalance="6h")
    found = compare_avoidance(bars, signals, strategy, n_draws=60, n_bootstrap=199, seed=1)
    assert found.percentile == 1.0
    assert found.random_returns.shape == (60,)
    assert found.difference.p_value <= 0.01
    assert found.difference.mean_interval[0] > 0
    assert found.difference.sharpe_interval[0] > 0
    assert found.avoidance.exposure.mean() == pytest.approx(found.volatility_target.exposure.mean(), rel=1e-6)
    assert found.events["avoided_loss"].sum() > 5 * found.events["missed_gain"].sum()
    # The draws are those of the baseline with the strategy's own parameters.
    first = next(RandomAvoidance(1, 1, "12h", rebalance="6h").draws(bars, signals))
    assert found.random_returns[0] == backtest(bars, first).equity[-1] - 1


def test_signals_that_come_a_day_late_beat_nothing():
    bars, signals = crashing_market(0)
    late = signals_of(bars, np.vstack([np.zeros((24, 2), bool), signals.active[:-24]]))
    found = compare_avoidance(bars, late, AnomalyAvoidance("12h", rebalance="6h"), n_draws=120, n_bootstrap=199)
    assert 0.02 < found.percentile < 0.98
    assert found.difference.mean_interval[0] < 0
    assert found.difference.sharpe_interval[0] < 0


def test_the_target_is_found_that_gives_the_exposure_asked_for():
    bars, _ = crashing_market(1)
    for exposure in (0.2, 0.8):
        strategy = matched_target(bars, exposure, costs=FREE)
        assert backtest(bars, strategy.weights(bars), FREE).exposure.mean() == pytest.approx(exposure, rel=1e-6)
    whole = matched_target(bars, 1.0, VolatilityTarget(rebalance="6h"), FREE)
    held = backtest(bars, whole.weights(bars), FREE).exposure
    assert held[7:].min() == pytest.approx(1.0, rel=1e-9)
    with pytest.raises(ConfigError, match="exposure to match must be above 0"):
        matched_target(bars, 0.0)


def test_the_paired_difference_equals_a_plain_loop():
    bars, signals = random_market(3)
    a = backtest(bars, AnomalyAvoidance("6h").weights(bars, signals))
    b = backtest(bars, EqualWeight().weights(bars))
    found = paired_difference(a, b, block=7, n_bootstrap=50, seed=4)
    x, y = a.returns[1:], b.returns[1:]
    n, means, sharpes = len(x), [], []
    for starts in np.random.default_rng(4).integers(0, n, (50, -(-n // 7))):
        rows = np.concatenate([(start + np.arange(7)) % n for start in starts])
        means.append(x[rows].mean() - y[rows].mean())
        sharpes.append(x[rows].mean() / x[rows].std() - y[rows].mean() / y[rows].std())
    own = x.mean() - y.mean()
    assert found.mean == pytest.approx(own * 8_760, rel=1e-9)
    np.testing.assert_allclose(found.mean_interval, np.quantile(np.array(means) * 8_760, [0.025, 0.975]), rtol=1e-9)
    np.testing.assert_allclose(found.sharpe_interval, np.quantile(np.array(sharpes) * 8_760**0.5, [0.025, 0.975]), rtol=1e-7)
    assert found.p_value == (1 + np.sum(np.abs(np.array(means) - own) >= abs(own))) / 51
    assert (found.block, found.n_bars, found.n_bootstrap) == (7, 119, 50)


def test_a_strategy_does_not_differ_from_itself():
    bars, _ = random_market(5)
    same = backtest(bars, EqualWeight().weights(bars))
    found = paired_difference(same, same)
    assert (found.mean, found.sharpe, found.p_value) == (0.0, 0.0, 1.0)


def test_results_of_other_bars_or_too_few_are_refused():
    bars, _ = random_market(5)
    whole, part = (backtest(some, EqualWeight().weights(some)) for some in (bars, bars.head(60)))
    with pytest.raises(ConfigError, match="must be of the same bars"):
        paired_difference(whole, part)
    with pytest.raises(ConfigError, match="at least two blocks of 40 bars, got 59"):
        paired_difference(part, part, 40)


def test_what_was_avoided_and_missed_explains_the_whole_difference_to_holding():
    rng = np.random.default_rng(6)
    bars = bars_of(100 * np.exp(np.cumsum(rng.normal(0, 0.02, (600, 1)), axis=0)))
    signals = signals_of(bars, rng.random((600, 1)) < 0.03)
    strategy = AnomalyAvoidance("5h", rebalance="600h")
    events = avoided_moves(bars, signals, strategy, FREE)
    held, avoided = (backtest(bars, some, FREE) for some in (EqualWeight("600h").weights(bars), strategy.weights(bars, signals)))
    assert len(events) > 3
    assert avoided.equity[-1] / held.equity[-1] == pytest.approx(np.prod(1 / (1 + events["move"])), rel=1e-9)
    np.testing.assert_allclose(events["net"], events["avoided_loss"] - events["missed_gain"], rtol=1e-12)


def test_an_exit_is_counted_from_open_to_open_with_the_weight_given_up_and_both_costs():
    close = np.array([[1.0, 1], [1, 1], [2, 1], [3, 1], [6, 1], [6, 1]])
    close[2, 1] = NAN
    bars = bars_of(close)
    active = np.zeros((6, 2), bool)
    active[1, 0], active[4, 1] = True, True
    events = avoided_moves(bars, signals_of(bars, active), AnomalyAvoidance("2h", exposure=0.2), Costs(0.01, 0.02))
    first, last = events.to_dict("records")
    # Left at the open of row 2, entered again at that of row 4.
    assert (first["symbol"], first["left"], first["entered"]) == ("S0", bars.time[2], bars.time[4])
    assert first["move"] == 2.0
    assert first["weight"] == pytest.approx(0.4)
    assert first["missed_gain"] == pytest.approx(0.8)
    assert first["cost"] == pytest.approx(2 * 0.4 * 0.03)
    assert first["net"] == pytest.approx(-0.8 - 0.024)
    assert last["entered"] != last["entered"]
    assert last["cost"] == pytest.approx(0.4 * 0.03)


def test_without_signals_there_is_no_event():
    bars, signals = random_market(7)
    assert avoided_moves(bars, signals_of(bars, np.zeros(bars.shape))).empty
    assert signals.active.any()


def test_alerts_of_the_null_study_follow_volatility():
    """Otherwise the null would be trivial: random exits differ from nothing."""
    from foreshock.engine.validation.surrogates.calibration import Planted, simulate_history

    bars = simulate_history(Planted(4_000, "gjr"), 1)
    signals = alerts(bars)
    size = np.abs(bars.returns())[:, 0]
    after = np.flatnonzero(signals.active[:-1, 0]) + 1
    assert np.nanmean(size[after]) > 1.3 * np.nanmean(size)


@pytest.mark.slow
def test_on_garch_histories_avoidance_does_not_differ_from_volatility_targeting():
    # 60 at a true rate of 5 % give more than 8 in 1 of 500.
    assert sum(differs(seed, Costs(), 199) for seed in range(60)) <= 8
