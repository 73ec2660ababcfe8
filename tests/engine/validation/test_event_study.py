"""Event study and decay: held to slow loops, to planted effects, and to echoes that add nothing."""

from dataclasses import replace

import numpy as np
import pytest

from foreshock.data.bars import Bars
from foreshock.data.errors import ConfigError, DataError
from foreshock.engine.validation.moves.event_study import (
    FEW,
    EventStudyTable,
    _cumulate,
    _half_life,
    event_study,
    seasonal_level,
    sums_ahead,
)
from tests.market import make_bars, quiet_bars, signals_of

PRICES = ("open", "high", "low", "close")


def with_returns(bars: Bars, returns: np.ndarray) -> Bars:
    close = bars.close[:1] * np.exp(np.cumsum(np.nan_to_num(returns), axis=0))
    open_ = np.vstack([bars.open[:1], close[:-1]])
    return replace(bars, open=open_, close=close, high=np.maximum(open_, close), low=np.minimum(open_, close))


def sparse_events(bars: Bars, seed: int, n: int) -> np.ndarray:
    """Events of each symbol far apart, away from the ends."""
    rng = np.random.default_rng(seed)
    active = np.zeros(bars.shape, dtype=bool)
    for i in range(bars.n_symbols):
        active[rng.choice(np.arange(150, bars.n_bars - 150, 60), n, replace=False) + 20 * i, i] = True
    return active


def after(active: np.ndarray, values: np.ndarray) -> np.ndarray:
    """For each row and symbol the value at its offset from the event before it; 0 elsewhere."""
    out = np.zeros(active.shape)
    for row, col in np.argwhere(active):
        out[row + 1 : row + 1 + len(values), col] = values
    return out


# Parts


def test_sums_ahead_equal_a_loop():
    x = np.random.default_rng(0).standard_normal(20)
    x[7] = np.nan
    found = sums_ahead(x, 4)
    for row in range(20):
        for j in range(1, 5):
            slow = np.sum(x[row + 1 : row + j + 1]) if row + j < 20 else np.nan
            np.testing.assert_allclose(found[row, j - 1], slow, atol=1e-12)


def test_activity_over_its_season_is_level_over_hours_and_the_week():
    bars = make_bars(24 * 70, 2)
    hour = (bars.time.astype("datetime64[h]").astype(int) % 24)[:, None]
    weekend = ((bars.time.astype("datetime64[D]").astype(int) + 3) % 7 >= 5)[:, None]
    values = (1 + hour) * np.where(weekend, 0.5, 2.0) * np.array([[1.0, 10.0]])
    np.testing.assert_allclose(seasonal_level(bars, values), values, rtol=0.02)


@pytest.mark.parametrize("half_life", [1.0, 3.0, 10.0, 40.0])
def test_the_half_life_of_an_exponential_is_its_own(half_life):
    curve = 3 * 2 ** (-np.arange(48) / half_life)
    weight = np.random.default_rng(0).uniform(0.5, 2, 48)
    found = _half_life(np.vstack([curve, curve + 0.7, 5 * curve]), weight)
    np.testing.assert_allclose(found, half_life, rtol=0.03)


def test_curves_equal_a_slow_study_event_by_event():
    bars = quiet_bars(1, 900)
    active = sparse_events(bars, 0, 4)
    signals = signals_of(bars, active)
    table = EventStudyTable(bars, "3h")
    found = event_study(bars, signals, table=table)
    assert table.knots == [1, 2, 3]
    excess, normal, signed = [], [], []
    for row, i in np.argwhere(active):
        pool = [r for r in range(bars.n_bars - 3) if not active[r, i] and not np.isnan(table.forecasts[:, r, i]).any()]
        unit = np.exp(table.forecasts[0, row, i])
        steps = table.returns[:, i] - np.nanmean(table.returns[:, i])
        for j in (1, 2, 3):
            forecast = table.forecasts[j - 1, :, i]
            near = sorted(pool, key=lambda r: forecast[r])
            first = np.searchsorted(forecast[near], forecast[row]) - 25
            near = near[min(max(first, 0), len(near) - 50) :][:50]
            share = np.mean([table.activity[r + 1 : r + j + 1, i].sum() / np.exp(forecast[r]) for r in near])
            expected = np.exp(forecast[row]) * share / unit
            normal.append(expected)
            excess.append(table.activity[row + 1 : row + j + 1, i].sum() / unit - expected)
            signed.append(steps[row + 1 : row + j + 1].sum())
    shape = (-1, 3)
    np.testing.assert_allclose(found.activity, np.reshape(excess, shape).mean(axis=0), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(found.signed, np.reshape(signed, shape).mean(axis=0), rtol=1e-6, atol=1e-12)
    ratio = 1 + np.reshape(excess, shape).mean(axis=0) / np.reshape(normal, shape).mean(axis=0)
    np.testing.assert_allclose(found.decay.ratio, ratio, rtol=1e-6)
    assert (found.n == 8).all()


def test_the_error_of_the_match_is_each_rows_influence_on_the_expectation():
    bars = quiet_bars(1, 900, 1)
    active = sparse_events(bars, 0, 6)
    table = EventStudyTable(bars, "2h")
    found = _cumulate(table, active, ~active)
    pool = [r for r in range(bars.n_bars - 2) if not active[r, 0] and not np.isnan(table.forecasts[:, r, 0]).any()]
    rows = np.flatnonzero(active)
    for j in (1, 2):
        forecast = table.forecasts[j - 1, :, 0]
        order = sorted(pool, key=lambda r: forecast[r])
        slow = np.zeros(bars.n_bars)
        for row in rows:
            first = min(max(np.searchsorted(forecast[order], forecast[row]) - 25, 0), len(order) - 50)
            near = order[first : first + 50]
            ratio = np.array([table.activity[r + 1 : r + j + 1, 0].sum() / np.exp(forecast[r]) for r in near])
            level = np.exp(forecast[row] - table.forecasts[0, row, 0])
            slow[near] -= level * (ratio - ratio.mean()) / 50
            own = table.activity[row + 1 : row + j + 1, 0].sum() / np.exp(table.forecasts[0, row, 0])
            slow[row] += own - level * ratio.mean() - found.activity[j - 1]
        np.testing.assert_allclose(found.activity_error[:, j - 1], slow / len(rows), rtol=1e-6, atol=1e-12)


# Truth


def test_an_echo_of_volatility_adds_nothing_at_any_offset():
    """Alerts on large moves of a market without events: loud before and at the alert, as expected after it."""
    rejected = []
    for seed in range(6):
        bars = quiet_bars(20 + seed, 4_000)
        size = np.abs(np.nan_to_num(bars.returns()))
        found = event_study(bars, signals_of(bars, size > np.quantile(size, 0.97, axis=0)), "24h", cooldown="12h", seed=seed)
        rejected.append(found.p_activity < 0.05)
        assert np.abs(found.decay.ratio[5:] - 1).max() < 0.12
        assert (found.decay.reason != "") == np.isnan(found.decay.half_life)
    assert sum(rejected) <= 2


def test_a_planted_effect_and_its_half_life_are_found():
    bars = quiet_bars(2, 20_000)
    active = sparse_events(bars, 3, 40)
    for half_life in (2.0, 8.0):
        effect = 2.0 * 2 ** (-np.arange(48) / half_life)
        found = event_study(with_returns(bars, bars.returns() * (1 + after(active, effect))), signals_of(bars, active))
        total = effect.cumsum()
        assert (found.activity_low[[0, 11, 23]] > 0).all()
        assert found.p_activity < 0.01
        assert found.decay.half_life_ci[0] <= half_life <= found.decay.half_life_ci[1]
        assert found.decay.half_life_ci[1] < 5 * half_life
        # In bars' worth of moves; the forecast at the alert is for volatility that dies down, too.
        assert found.activity[11] == pytest.approx(total[11], rel=0.25)
        assert found.decay.ratio[0] == pytest.approx(3, rel=0.2)
        assert found.p_signed > 0.01


def test_an_effect_over_one_bar_has_no_half_life():
    bars = quiet_bars(2, 20_000)
    active = sparse_events(bars, 3, 40)
    loud = with_returns(bars, bars.returns() * (1 + after(active, np.array([3.0]))))
    found = event_study(loud, signals_of(bars, active), "1h")
    assert found.decay.ratio[0] > 2
    assert np.isnan(found.decay.half_life)
    assert found.decay.reason == "a half-life needs 3 bars after the alert"


def test_a_planted_drift_shows_in_the_signed_curve_alone():
    bars = quiet_bars(4, 20_000)
    active = sparse_events(bars, 5, 80)
    drift = after(active, np.full(6, 0.004))
    found = event_study(with_returns(bars, bars.returns() + drift), signals_of(bars, active), "24h")
    assert found.p_signed < 0.01
    assert found.signed_low[5] > 0
    assert found.signed[5] == pytest.approx(0.024, rel=0.3)
    assert found.signed_low[23] < 0.024 < found.signed_high[23]


def test_bands_hold_the_truth_in_about_95_percent_of_histories_with_random_alerts():
    """Nothing to find: the whole curve within its band. Two symbols share half of every move."""
    held = []
    for seed in range(40):
        bars = quiet_bars(100 + seed, 1_500)
        rng = np.random.default_rng(seed)
        found = event_study(bars, signals_of(bars, rng.random(bars.shape) < 0.03), "6h", n_draws=299, seed=seed)
        held.append([found.p_activity >= 0.05, found.p_signed >= 0.05])
    assert (np.mean(held, axis=0) > 0.85).all()


# Bad input


@pytest.mark.parametrize("kind", ["none", "one", "all", "flat"])
def test_nothing_to_compare_gives_nan_with_a_reason(kind):
    bars = make_bars(700, 2)
    active = np.full(bars.shape, kind == "all")
    active[300] |= kind == "one"
    if kind == "flat":
        bars = replace(bars, **{name: np.full(bars.shape, 5.0) for name in PRICES})
        active[::50] = True
    found = event_study(bars, signals_of(bars, active), "6h")
    assert found.reason == found.decay.reason == FEW
    assert np.isnan([found.p_activity, found.p_signed, found.decay.half_life]).all()
    assert np.isnan(found.activity).all()
    assert len(found.table) == 6


def test_gaps_after_events_are_counted_at_every_offset():
    bars = quiet_bars(6, 3_000, 1)
    active = sparse_events(bars, 7, 30)
    rows = np.flatnonzero(active[:, 0])
    gap = np.zeros(bars.shape, dtype=bool)
    gap[rows[-4:] + 3] = True
    holed = replace(bars, **{name: np.where(gap, np.nan, getattr(bars, name)) for name in (*PRICES, "volume")})
    found = event_study(holed, signals_of(holed, active & ~np.isnan(holed.close), ~np.isnan(holed.close)), "6h")
    # A gap makes the return after it unknown as well, and volatility for 96 bars.
    known = found.n_events
    assert known < 30
    assert found.n[0] == found.n[1] == known
    assert (found.n[2:] < known).all()


def test_what_does_not_fit_is_refused():
    bars = make_bars(100, 1)
    signals = signals_of(bars, np.zeros(bars.shape, dtype=bool))
    with pytest.raises(ConfigError, match="horizon must be shorter than the data"):
        event_study(bars, signals, "100h")
    with pytest.raises(DataError, match="rows and symbols of the bars"):
        event_study(bars.head(50), signals)
