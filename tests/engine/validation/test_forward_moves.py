"""Forward moves: held to slow loops, to hand-computed ratios, and to simulated markets whose truth is planted."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from foreshock.data.bars import Bars
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.simulate.market import SimulatedMarket, simulate_market
from foreshock.engine.kernels.rolling import rolling_mean_nb, rolling_moments_nb
from foreshock.engine.scores import Scores, Signals
from foreshock.engine.thresholds.quantiles import RollingQuantile
from foreshock.engine.validation.evidence.inference import RowSums, bootstrap_ratios, hac_dummy_p, hac_mean_p, welch_p
from foreshock.engine.validation.moves.forward import N_NEIGHBOURS, ForwardMoves, MoveTable, forward_moves, matched_expectation
from foreshock.engine.validation.moves.moves import expected_log_path, moves_after, typical_move, volatility_regressors
from tests.market import make_bars, quiet_bars, signals_of

PRICES = ("open", "high", "low", "close", "volume")


def with_gaps(bars: Bars, gaps: np.ndarray) -> Bars:
    """The bars without those of ``gaps`` (n_bars, n_symbols)."""
    return replace(bars, **{name: np.where(gaps, np.nan, getattr(bars, name)) for name in PRICES})


def gappy_bars(n_bars: int = 80, n_symbols: int = 3, seed: int = 1) -> Bars:
    gaps = np.random.default_rng(seed).random((n_bars, n_symbols)) < 0.03
    gaps[:, 0] = False
    return with_gaps(make_bars(n_bars, n_symbols, seed), gaps)


def random_signals(bars: Bars, rate: float, seed: int = 0) -> Signals:
    rng = np.random.default_rng(seed)
    decided = rng.random(bars.shape) < 0.95
    return signals_of(bars, decided & (rng.random(bars.shape) < rate), decided)


def bars_of_closes(close: np.ndarray) -> Bars:
    """One symbol, hourly, opening at the previous close, without wicks."""
    close = close[:, None]
    open_ = np.vstack([close[:1], close[:-1]])
    time = np.datetime64("2018-01-01", "us") + np.arange(len(close)) * np.timedelta64(1, "h")
    high, low = np.maximum(open_, close), np.minimum(open_, close)
    return Bars(time, ("A",), open_, high, low, close, np.ones_like(close), np.timedelta64(1, "h"))


def slow_moves(bars: Bars, horizon: int, delay: int) -> dict[str, np.ndarray]:
    """Signed move, path and variance after each row, one trade at a time."""
    out = {name: np.full(bars.shape, np.nan) for name in ("signed", "path", "variance")}
    for col in range(bars.n_symbols):
        for row in range(bars.n_bars):
            entry, last = row + delay, row + delay + horizon - 1
            if last >= bars.n_bars or np.isnan(bars.close[entry : last + 1, col]).any():
                continue
            prices = [bars.open[entry, col], *bars.close[entry : last + 1, col]]
            steps = [float(np.log(after / before)) for before, after in pairwise(prices)]
            out["signed"][row, col] = sum(steps)
            out["path"][row, col] = sum(abs(step) for step in steps)
            out["variance"][row, col] = sum(step * step for step in steps)
    return out


# What the market did


@pytest.mark.parametrize("delay", [1, 2, 3])
@pytest.mark.parametrize("horizon", [1, 2, 5, 24])
def test_moves_equal_a_loop_over_trades(horizon, delay):
    bars = gappy_bars()
    moves, slow = moves_after(bars, horizon, delay), slow_moves(bars, horizon, delay)
    assert np.isnan(slow["signed"]).any(axis=0).all()
    assert not np.isnan(slow["signed"]).all()
    for name, values in slow.items():
        np.testing.assert_allclose(getattr(moves, name), values, rtol=1e-9, atol=1e-13, err_msg=name)
    np.testing.assert_array_equal(moves.absolute, np.abs(moves.signed))


def test_moves_of_data_as_long_as_delay_and_horizon_are_those_of_the_first_row_only():
    bars = make_bars(10, 1)
    assert (~np.isnan(moves_after(bars, 8, 2).signed[:, 0])).tolist() == [True] + 9 * [False]
    assert np.isnan(moves_after(bars, 9, 2).signed).all()


@pytest.mark.parametrize("level", [6e4, 1e-6])
def test_moves_do_not_depend_on_the_price_level(level):
    bars = make_bars(200, 1, seed=4)
    scale = level / bars.close[0]
    scaled = replace(bars, **{name: getattr(bars, name) * scale for name in PRICES[:4]})
    np.testing.assert_allclose(moves_after(scaled, 6).path, moves_after(bars, 6).path, rtol=1e-9)
    np.testing.assert_allclose(
        expected_log_path(scaled, moves_after(scaled, 6)), expected_log_path(bars, moves_after(bars, 6)), atol=1e-6
    )


# What was to be expected


def test_volatility_regressors_equal_their_definition_in_pandas():
    bars = gappy_bars(300)
    typical = typical_move(bars)
    absolute: pd.DataFrame = pd.DataFrame(np.log(bars.close)).diff().abs()
    np.testing.assert_allclose(typical, absolute[absolute > 0].median(), rtol=1e-12)
    mean = [np.log(absolute.rolling(w).mean().to_numpy() / typical + 0.05) for w in (1, 6, 24, 96)]
    root = [np.log(np.sqrt((absolute**2).rolling(w).mean().to_numpy()) / typical + 0.05) for w in (6, 24, 96)]
    bends = [(m - mean[3]) ** 2 for m in mean[:3]] + [(r - root[2]) ** 2 for r in root[:2]]
    span = np.log(np.log(bars.high / bars.low) / typical + 0.05)
    x = volatility_regressors(bars, typical)
    assert not np.isnan(x[:, 0]).all()
    np.testing.assert_allclose(x, np.stack([*mean, *root, *bends, span], axis=-1), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("cut", [97, 98, 200, 299])
def test_later_bars_do_not_change_volatility_regressors(cut):
    bars = gappy_bars(300)
    typical = np.array([0.01, 0.02, 0.03])
    whole = volatility_regressors(bars, typical)
    np.testing.assert_array_equal(volatility_regressors(bars.head(cut), typical), whole[:cut])


def test_the_forecast_is_unbiased_at_every_hour_and_on_weekends():
    bars = make_bars(2_000, 2, seed=3)
    moves = moves_after(bars, 6)
    surprise = moves.path / np.exp(expected_log_path(bars, moves))
    time = pd.DatetimeIndex(bars.time)
    for col in range(2):
        ratio = pd.Series(surprise[:, col], index=time)
        np.testing.assert_allclose(ratio.groupby(time.hour).mean(), 1, atol=1e-5)
        np.testing.assert_allclose(ratio.groupby(time.day_of_week >= 5).mean(), 1, atol=1e-5)


@pytest.mark.parametrize("interval", ["1m", "4h", "1d", "7d"])
def test_the_forecast_is_unbiased_at_other_intervals(interval):
    bars = make_bars(800, 1, interval=interval, seed=5)
    moves = moves_after(bars, 3)
    surprise = moves.path / np.exp(expected_log_path(bars, moves))
    assert (~np.isnan(surprise)).sum() == 800 - 96 - 3
    assert np.nanmean(surprise) == pytest.approx(1, abs=1e-5)


def test_the_forecast_recovers_a_planted_log_linear_volatility():
    # Returns of volatility exp(x), x a slow wave: the forecast should follow it, whatever the noise.
    rng = np.random.default_rng(0)
    volatility = 0.01 * np.exp(np.sin(np.arange(6_000) / 150))
    bars = bars_of_closes(100 * np.exp(np.cumsum(volatility * rng.standard_normal(6_000))))
    moves = moves_after(bars, 6)
    forecast = expected_log_path(bars, moves)[:, 0]
    truth = np.log(6 * volatility * np.sqrt(2 / np.pi))
    known = ~np.isnan(forecast)
    assert np.polyfit(forecast[known], truth[known], 1)[0] == pytest.approx(1, abs=0.06)
    assert np.mean(forecast[known] - truth[known]) == pytest.approx(0, abs=0.02)
    assert np.std(forecast[known] - truth[known]) < 0.2 < 0.5 * np.std(truth)


def test_a_price_that_mostly_stands_still_has_a_forecast():
    bars = make_bars(1_500, 1, seed=2)
    held = np.random.default_rng(0).random(1_500) < 0.7
    row = np.maximum.accumulate(np.where(held, 0, np.arange(1_500)))
    still = replace(bars, **{name: bars.close[row] for name in PRICES[:4]})
    assert np.median(np.abs(still.returns()[1:])) == 0
    forecast = expected_log_path(still, moves_after(still, 6))
    assert not np.isnan(forecast[96:]).any()


# Matching


def slow_match(y, forecast, events, others):
    """Expected moves and the errors of their sum, event by event."""
    expected, error = np.full(y.shape, np.nan), np.zeros(y.shape)
    for col in range(y.shape[1]):
        pool = sorted((forecast[row, col], row) for row in range(len(y)) if others[row, col] and not np.isnan(forecast[row, col]))
        for row in range(len(y)):
            if not events[row, col] or np.isnan(forecast[row, col]) or len(pool) < N_NEIGHBOURS:
                continue
            below = [r for f, r in pool if f < forecast[row, col]]
            above = [r for f, r in pool if f >= forecast[row, col]]
            n_above = max(N_NEIGHBOURS // 2, N_NEIGHBOURS - len(below))
            near = above[:n_above]
            near = below[len(below) - (N_NEIGHBOURS - len(near)) :] + near
            ratios = np.array([y[r, col] / np.exp(forecast[r, col]) for r in near])
            level = np.exp(forecast[row, col])
            expected[row, col] = level * ratios.mean()
            error[near, col] += level * (ratios - ratios.mean()) / N_NEIGHBOURS
    return expected, error


def test_a_match_is_the_scaled_mean_of_the_fifty_neighbours():
    rng = np.random.default_rng(0)
    shape = (400, 4)
    forecast = rng.normal(0, 0.5, shape)
    forecast[rng.random(shape) < 0.05] = np.nan
    # The highest and the lowest forecasts of a symbol have all their neighbours on one side.
    forecast[5, 0], forecast[6, 0] = 4.0, -4.0
    y = np.exp(np.where(np.isnan(forecast), 0, forecast)) * rng.exponential(1, shape)
    events = rng.random(shape) < 0.1
    events[5:7, 0] = True
    others = ~events & (rng.random(shape) < 0.9)
    others[:, 3] &= np.arange(400) < 50  # fewer than fifty
    expected, error = matched_expectation(y, forecast, events, others)
    slow_expected, slow_error = slow_match(y, forecast, events, others)
    assert np.isnan(expected[:, 3]).all()
    np.testing.assert_allclose(expected, slow_expected, rtol=1e-10)
    np.testing.assert_allclose(error, slow_error, rtol=1e-8, atol=1e-13)
    np.testing.assert_allclose(error.sum(axis=0), 0, atol=1e-10)


def test_a_forecast_that_is_always_right_leaves_nothing_to_the_event():
    rng = np.random.default_rng(1)
    forecast = rng.normal(0, 1, (500, 1))
    events = forecast > np.quantile(forecast, 0.9)
    expected, error = matched_expectation(3 * np.exp(forecast), forecast, events, ~events)
    np.testing.assert_allclose(expected[events], 3 * np.exp(forecast[events]), rtol=1e-12)
    np.testing.assert_allclose(error, 0, atol=1e-12)


# The results of a horizon


def slow_events(active: np.ndarray, cooldown: int) -> np.ndarray:
    kept = np.zeros_like(active)
    for col in range(active.shape[1]):
        last = None
        for row in range(len(active)):
            if active[row, col] and (last is None or row - last >= cooldown):
                kept[row, col], last = True, row
    return kept


@pytest.mark.parametrize("cooldown", [None, 1, 4, 24])
def test_events_and_other_rows_are_counted_as_by_hand(cooldown):
    bars = gappy_bars(300)
    signals = random_signals(bars, 0.15)
    moves = forward_moves(bars, signals, ["3h"], 2, None if cooldown is None else f"{cooldown}h", n_bootstrap=9)["3h"]
    known = ~np.isnan(slow_moves(bars, 3, 2)["signed"])
    events = signals.active if cooldown is None else slow_events(signals.active, cooldown)
    assert moves.n_events == (events & known).sum()
    # Silenced alerts are neither events nor other rows.
    assert moves.n_others == (signals.decided & ~signals.active & known).sum()
    apart, free = 0, 0
    for row in np.flatnonzero((events & known).any(axis=1)):
        if row >= free:
            apart, free = apart + 1, row + 3
    assert moves.n_effective == apart
    assert apart < moves.n_events


def test_means_and_ratios_equal_those_by_hand():
    bars = gappy_bars(300)
    signals = random_signals(bars, 0.1, seed=3)
    result = forward_moves(bars, signals, ["6h"], delay=1, n_bootstrap=9)["6h"]
    slow = slow_moves(bars, 6, 1)
    known = ~np.isnan(slow["signed"])
    event, other = signals.active & known, signals.decided & ~signals.active & known
    for name, found in (("path", result.path_ratio), ("variance", result.variance_ratio)):
        assert found == pytest.approx(slow[name][event].mean() / slow[name][other].mean(), rel=1e-9)
    size = np.abs(slow["signed"])
    assert result.event_move == pytest.approx(size[event].mean(), rel=1e-9)
    assert result.other_move == pytest.approx(size[other].mean(), rel=1e-9)
    assert result.event_signed == pytest.approx(slow["signed"][event].mean(), rel=1e-9)
    assert result.other_signed == pytest.approx(slow["signed"][other].mean(), rel=1e-9)
    assert result.abs_move_ratio == pytest.approx(size[event].mean() / size[other].mean(), rel=1e-9)


def test_the_matched_ratio_compares_events_with_what_their_match_moved():
    bars = gappy_bars(400)
    signals = random_signals(bars, 0.1, seed=3)
    result = forward_moves(bars, signals, ["6h"], n_bootstrap=9)["6h"]
    size = np.abs(slow_moves(bars, 6, 1)["signed"])
    known = ~np.isnan(size)
    forecast = expected_log_path(bars, moves_after(bars, 6))
    expected, _ = slow_match(size, forecast, signals.active & known, signals.decided & ~signals.active & known)
    matched = ~np.isnan(expected)
    assert 0 < matched.sum() < (signals.active & known).sum()
    assert result.matched_move == pytest.approx(expected[matched].mean(), rel=1e-9)
    assert result.matched_ratio == pytest.approx(size[matched].sum() / expected[matched].sum(), rel=1e-9)


@pytest.mark.parametrize(("horizon", "block"), [(2, 8), (12, 24)])
def test_intervals_and_p_values_are_those_of_the_row_sums(horizon, block):
    # Blocks of twice the horizon, but not below the cube root of the rows: 8 for about 400.
    bars = gappy_bars(420)
    signals = random_signals(bars, 0.1, seed=3)
    result = forward_moves(bars, signals, [f"{horizon}h"], n_bootstrap=99, seed=6)[f"{horizon}h"]
    size = np.abs(slow_moves(bars, horizon, 1)["signed"])
    known = ~np.isnan(size)
    event, other = signals.active & known, signals.decided & ~signals.active & known
    expected, error = slow_match(size, expected_log_path(bars, moves_after(bars, horizon)), event, other)
    matched = ~np.isnan(expected)
    rows = np.flatnonzero((event | other).any(axis=1))
    parts = ((event, size), (event, known), (other, size), (other, known), (matched, size), (matched, expected), (other, error))
    sums = RowSums(*(np.where(mask, x, 0.0)[rows[0] : rows[-1] + 1].sum(axis=1) for mask, x in parts))
    raw_ci, ci = bootstrap_ratios(sums, block, 99, seed=6)
    assert result.abs_move_ratio_ci == pytest.approx(raw_ci, rel=1e-9)
    assert result.ci == pytest.approx(ci, rel=1e-9)
    assert result.p_hac == pytest.approx(hac_dummy_p(size, event, event | other, block), rel=1e-9)
    assert result.p_matched == pytest.approx(hac_mean_p(size - expected, matched, block, -error), rel=1e-7)
    assert result.p_naive == pytest.approx(welch_p(size[event], size[other]), rel=1e-9)


def test_a_longer_delay_measures_from_a_later_open():
    bars = make_bars(60, 1)
    signals = signals_of(bars, np.arange(60)[:, None] == 20)
    for delay in (1, 2, 7):
        result = forward_moves(bars, signals, ["2h"], delay, n_bootstrap=9)["2h"]
        move = np.log(bars.close[20 + delay + 1, 0] / bars.open[20 + delay, 0])
        assert result.event_signed == pytest.approx(move, rel=1e-9)


def test_equal_seeds_give_equal_intervals_and_a_shared_table_changes_nothing():
    bars = make_bars(600, 2)
    signals = random_signals(bars, 0.1)
    first = forward_moves(bars, signals, ["1h", "6h"], n_bootstrap=99, seed=4)
    again = forward_moves(bars, signals, ["1h", "6h"], n_bootstrap=99, seed=4, table=MoveTable(bars, ["1h", "6h"]))
    pd.testing.assert_frame_equal(first.table, again.table)
    assert forward_moves(bars, signals, ["1h"], n_bootstrap=99, seed=5)["1h"].ci != first["1h"].ci
    assert list(first.table.index) == ["1h", "6h"]


def test_requests_that_cannot_be_met_are_refused():
    bars = make_bars(50, 2)
    signals = signals_of(bars, np.zeros(bars.shape))
    with pytest.raises(ConfigError, match="delay must be a whole number of at least 1 bar"):
        forward_moves(bars, signals, ["1h"], delay=0)
    with pytest.raises(ConfigError, match="horizon must be shorter than the data, got 50h = 50 bars for 50 bars"):
        forward_moves(bars, signals, ["50h"])
    with pytest.raises(ConfigError, match="whole number of 1h bars"):
        forward_moves(bars, signals, ["90m"])
    with pytest.raises(DataError, match="rows and symbols of the bars"):
        forward_moves(bars.head(49), signals, ["1h"])
    with pytest.raises(DataError, match="rows and symbols of the bars"):
        forward_moves(bars, replace(signals, symbols=("A", "Z")), ["1h"])


# Little or nothing to go by


def test_without_events_there_is_a_count_and_nothing_else():
    bars = make_bars(400, 2)
    result = forward_moves(bars, signals_of(bars, np.zeros(bars.shape)), ["6h"], n_bootstrap=49)["6h"]
    assert (result.n_events, result.n_effective) == (0, 0)
    assert result.n_others == 2 * (400 - 6)
    ratios = (result.event_move, result.abs_move_ratio, result.matched_ratio, result.path_ratio)
    assert np.isnan([*ratios, *result.ci, *result.abs_move_ratio_ci, result.p_naive, result.p_hac, result.p_matched]).all()
    assert result.other_move > 0


def test_one_event_has_a_ratio_but_neither_interval_nor_p():
    bars = make_bars(400, 1)
    result = forward_moves(bars, signals_of(bars, np.arange(400)[:, None] == 200), ["6h"], n_bootstrap=199)["6h"]
    move = abs(np.log(bars.close[206, 0] / bars.open[201, 0]))
    assert result.event_move == pytest.approx(move)
    assert result.matched_ratio == pytest.approx(move / result.matched_move)
    assert np.isnan([*result.ci, *result.abs_move_ratio_ci, result.p_naive, result.p_hac, result.p_matched]).all()


def test_events_in_every_bar_leave_nothing_to_compare_with():
    bars = make_bars(400, 2)
    result = forward_moves(bars, signals_of(bars, np.ones(bars.shape)), ["6h"], n_bootstrap=49)["6h"]
    assert (result.n_events, result.n_others) == (2 * (400 - 6), 0)
    assert result.n_effective == -(-394 // 6)
    unknown = (result.other_move, result.abs_move_ratio, result.matched_ratio, *result.ci)
    assert np.isnan([*unknown, result.p_hac, result.p_matched]).all()


def test_a_price_that_never_moves_has_no_ratio():
    bars = make_bars(400, 1)
    still = replace(bars, **{name: np.full(bars.shape, 100.0) for name in PRICES[:4]})
    result = forward_moves(still, random_signals(still, 0.2), ["6h"], n_bootstrap=49)["6h"]
    assert result.event_move == result.other_move == 0
    unknown = [result.abs_move_ratio, result.path_ratio, result.variance_ratio, result.matched_ratio, *result.ci]
    assert np.isnan([*unknown, result.p_naive, result.p_hac, result.p_matched]).all()


def test_a_symbol_without_any_bar_changes_nothing_for_the_others():
    bars = make_bars(500, 2)
    gaps = np.zeros(bars.shape, dtype=bool)
    gaps[:, 1] = True
    both = with_gaps(bars, gaps)
    signals = random_signals(both, 0.1)
    alone = Signals(signals.time, ("A",), signals.active[:, :1], signals.threshold[:, :1], signals.decided[:, :1], signals.interval)
    expected = forward_moves(bars.select("A"), alone, ["6h"], n_bootstrap=49)
    pd.testing.assert_frame_equal(forward_moves(both, signals, ["6h"], n_bootstrap=49).table, expected.table)


@pytest.mark.parametrize(("gap", "known"), [(199, True), (200, True), (201, False), (206, False), (207, True)])
def test_an_event_is_followed_unless_a_bar_of_its_move_is_missing(gap, known):
    bars = make_bars(400, 1)
    gappy = with_gaps(bars, np.arange(400)[:, None] == gap)
    result = forward_moves(gappy, signals_of(gappy, np.arange(400)[:, None] == 200), ["6h"], n_bootstrap=9)["6h"]
    assert result.n_events == known


def test_events_without_a_match_count_in_the_raw_ratio_only():
    # The forecast needs 96 returns, so rows before that have a raw ratio only.
    bars = make_bars(400, 1)
    rows = np.arange(400)[:, None]
    early = forward_moves(bars, signals_of(bars, (rows < 90) & (rows % 5 == 0)), ["6h"], n_bootstrap=49)["6h"]
    assert early.n_events == 18
    assert early.abs_move_ratio > 0
    assert np.isnan([early.matched_ratio, *early.ci, early.matched_move, early.p_matched]).all()


# Simulated markets: nothing to find, and something


def volatility_alerts(bars: Bars) -> Signals:
    """What ``volatility_only`` alerts on: high trailing volatility and nothing else."""
    scores = Scores(bars.time, bars.symbols, rolling_moments_nb(bars.returns(), 24, 2)[1], bars.interval)
    return scores.signals(RollingQuantile(0.99, "60D"))


def test_high_volatility_is_followed_by_larger_moves_but_not_larger_than_its_match():
    found = []
    for seed in range(8):
        bars = quiet_bars(seed, 8_760, 4)
        found.append(forward_moves(bars, volatility_alerts(bars), ["6h"], cooldown="24h", n_bootstrap=199)["6h"])
    raw, matched = (np.array([getattr(m, name) for m in found]) for name in ("abs_move_ratio", "matched_ratio"))
    assert raw.mean() > 1.6
    assert all(m.abs_move_ratio_ci[0] > 1 for m in found)
    assert all(m.p_hac < 0.05 for m in found)
    assert matched.mean() == pytest.approx(1, abs=0.08)
    assert sum(m.ci[0] <= 1 <= m.ci[1] for m in found) >= 6
    # The interval is about as wide as the ratios of different histories lie apart.
    width = np.mean([(m.ci[1] - m.ci[0]) / (2 * 1.96) for m in found])
    assert 0.6 < width / matched.std(ddof=1) < 1.7


def large_returns(feeds_volatility: bool, seed: int) -> tuple[Bars, Signals]:
    """A history whose volatility feeds on its squared returns or is a process of its own, and alerts on large returns."""
    n = 60_000
    rng = np.random.default_rng(seed)
    shock = rng.standard_t(6, n) / np.sqrt(1.5)
    variance = np.ones(n)
    if feeds_volatility:
        for row in range(1, n):
            variance[row] = 0.03 + variance[row - 1] * (0.87 + 0.10 * shock[row - 1] ** 2)
    else:
        log = np.zeros(n)
        for row in range(1, n):
            log[row] = 0.97 * log[row - 1] + 0.2 * rng.standard_normal()
        variance = np.exp(log)
    bars = bars_of_closes(100 * np.exp(np.cumsum(0.005 * np.sqrt(variance) * shock)))
    mean, (_, std) = rolling_mean_nb(bars.returns(), 168), rolling_moments_nb(bars.returns(), 168, 2)
    score = np.full(bars.shape, np.nan)
    score[1:] = np.abs(bars.returns()[1:] - mean[:-1]) / std[:-1]
    return bars, Scores(bars.time, bars.symbols, score, bars.interval).signals(RollingQuantile(0.98, "60D"))


@pytest.mark.parametrize("feeds_volatility", [True, False])
def test_large_returns_are_matched_fairly_whether_or_not_volatility_feeds_on_them(feeds_volatility):
    found = [forward_moves(*large_returns(feeds_volatility, seed), ["1h"], n_bootstrap=9)["1h"] for seed in range(5, 8)]
    assert np.mean([moves.abs_move_ratio for moves in found]) > 1.4
    assert np.mean([moves.matched_ratio for moves in found]) == pytest.approx(1, abs=0.035)


@pytest.fixture(scope="module")
def planted() -> SimulatedMarket:
    return simulate_market(seed=7, n_flash_crashes=0, n_pumps=0, n_foreshocks=200, n_decoys=200)


@pytest.fixture(scope="module")
def planted_table(planted) -> MoveTable:
    return MoveTable(planted.bars, ["6h", "24h"])


def after_signatures(planted: SimulatedMarket, table: MoveTable, kind: str) -> ForwardMoves:
    active = np.zeros(planted.bars.shape, dtype=bool)
    chosen = planted.events[planted.events["kind"] == kind]
    active[chosen["signature_row"].to_numpy(), [planted.bars.symbols.index(symbol) for symbol in chosen["symbol"]]] = True
    return forward_moves(planted.bars, signals_of(planted.bars, active), ["6h", "24h"], table=table, n_bootstrap=199)


@pytest.mark.parametrize("horizon", ["6h", "24h"])
def test_foreshocks_are_followed_by_more_than_their_volatility_explains(planted, planted_table, horizon):
    moves = after_signatures(planted, planted_table, "foreshock")[horizon]
    assert moves.n_events == 200
    assert 2 < moves.matched_ratio < 4
    assert moves.ci[0] > 1.7
    assert moves.p_matched < 1e-6


@pytest.mark.parametrize("horizon", ["6h", "24h"])
def test_decoys_are_followed_by_nothing(planted, planted_table, horizon):
    moves = after_signatures(planted, planted_table, "decoy")[horizon]
    assert moves.n_events == 200
    assert moves.abs_move_ratio_ci[0] < 1 < moves.abs_move_ratio_ci[1]
    # The wick widens the range, a part of the visible volatility, so that somewhat more than usual was to be expected.
    assert 0.75 < moves.matched_ratio < 1.05
    assert moves.ci[0] < 1


def test_random_alerts_are_followed_by_nothing(planted, planted_table):
    rng = np.random.default_rng(0)
    found = []
    for _ in range(12):
        signals = signals_of(planted.bars, rng.random(planted.bars.shape) < 0.002)
        found.append(forward_moves(planted.bars, signals, ["6h"], table=planted_table, n_bootstrap=199)["6h"])
    assert np.mean([m.matched_ratio for m in found]) == pytest.approx(1, abs=0.04)
    assert np.mean([m.abs_move_ratio for m in found]) == pytest.approx(1, abs=0.04)
    assert sum(m.ci[0] > 1 or m.ci[1] < 1 for m in found) <= 3
