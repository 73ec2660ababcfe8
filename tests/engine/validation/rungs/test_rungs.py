"""The deciding test: its inputs, its forecasts, its regression, and what it tells of planted effects and of nothing."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from foreshock.engine.scores import Scores, Signals
from foreshock.engine.thresholds.quantiles import RollingQuantile
from foreshock.engine.validation.judging import Judging
from foreshock.engine.validation.rungs.controls import control_scores, control_signals
from foreshock.engine.validation.rungs.effects import LEAST_EVENTS, EventEffects
from foreshock.engine.validation.rungs.forecast import Forecast, _fit, cross_fit
from foreshock.engine.validation.rungs.gain import ForecastErrors
from foreshock.engine.validation.rungs.past import max_known, mean_known, since_nb
from foreshock.engine.validation.rungs.result import RUNGS
from foreshock.engine.validation.rungs.rungs import RungTable
from foreshock.engine.validation.rungs.seasons import season_nb
from foreshock.engine.validation.rungs.state import known_state
from tests.studies.parts.nulls import history
from tests.studies.verdict_power import RULE, Planted, simulate

HORIZONS = (1, 6, 24)
SETTING = Judging(("1h", "6h", "24h"), "24h", first=480)


@pytest.fixture(scope="module")
def bars():
    return history("long memory", 2_600, 3)


@pytest.fixture(scope="module")
def state(bars):
    return known_state(bars, HORIZONS)


@pytest.fixture(scope="module")
def forecast(state):
    return cross_fit(state, True, 480)


def random_signals(bars, rows) -> Signals:
    active = np.zeros(bars.shape, bool)
    active[rows, 0] = True
    return Signals(bars.time, bars.symbols, active, np.full(bars.shape, 0.5), np.ones(bars.shape, bool), bars.interval)


def test_an_input_that_does_not_vary_where_a_forecast_learns_has_no_part_in_it():
    rng = np.random.default_rng(0)
    x, noise = rng.normal(size=(400, 3)), rng.normal(size=(400, 1))
    # Constant but for rounding, as the largest move of a window that is longer than the history so far.
    x[:300, 2] = 0.1 + 1e-15 * rng.normal(size=300)
    rows = (x, x[:, :1] + noise, np.arange(300), np.arange(300, 400))
    found, expected = (_fit(*rows, np.array([True, True, seen]), 0, False) for seen in (True, False))
    np.testing.assert_array_equal(found, expected)


def test_means_and_maxima_of_what_is_known_are_those_of_pandas():
    rng = np.random.default_rng(0)
    values = rng.exponential(size=(300, 2))
    values[rng.random((300, 2)) < 0.2] = np.nan
    frame = pd.DataFrame(values).rolling(24, min_periods=1)
    np.testing.assert_allclose(mean_known(values, 24), frame.mean(), rtol=1e-12)
    np.testing.assert_array_equal(max_known(values, 24), frame.max())


def test_the_time_since_a_large_value_and_its_size():
    since, size = since_nb(np.array([[0.0], [3.0], [1.0], [5.0], [0.0], [0.0]]), 2.5)
    assert np.expm1(since[1:, 0]) == pytest.approx([0, 1, 0, 1, 2])
    assert size[:, 0].tolist() == [0, 3, 3, 5, 5, 5]


def test_the_season_is_learned_from_the_past_and_read_ahead():
    n, loud = 24 * 60, 8
    cell = np.arange(n + 24) % 24
    values = np.where(cell[:n] == loud, 2.0, 0.0)[:, None]
    now, ahead = season_nb(values, cell, 24, 0.99, 3.0, np.array([6]))[:, :, 0]
    last = n - 24
    assert now[last + loud] == pytest.approx(2 - 2 / 24, abs=0.15)
    # Six hours from 6 h on contain the loud hour; from 10 h on they do not.
    assert ahead[last + 6] > 0.2
    assert ahead[last + 10] < 0
    later = values.copy()
    later[-200:] = 9.0
    assert np.array_equal(
        season_nb(later, cell, 24, 0.99, 3.0, np.array([6]))[:, : n - 200], np.stack([now, ahead])[:, : n - 200, None]
    )


def test_inputs_do_not_look_ahead(bars, state):
    # The scale of a symbol is that of its whole history, so the cut has the same median as the whole.
    cut = 2_000
    early = known_state(bars.head(cut), HORIZONS)
    typical = np.median(np.abs(bars.returns()[1:, 0])) / np.median(np.abs(bars.returns()[1:cut, 0]))
    assert typical == pytest.approx(1, abs=0.2)
    for name, values in early.inputs.items():
        if name.startswith(("since", "hour", "size", "zscore")):
            np.testing.assert_allclose(values, state.inputs[name][:cut], rtol=1e-9, atol=1e-9, err_msg=name)
        else:
            assert np.corrcoef(values[300:], state.inputs[name][300:cut])[0, 1] > 0.999, name


def test_a_block_is_forecast_without_its_own_targets(state):
    whole = cross_fit(state, True)
    block = slice(520, 1_040)
    changed = replace(state, target=state.target.copy())
    changed.target[block] += np.random.default_rng(1).normal(size=changed.target[block].shape)
    again = cross_fit(changed, True)
    np.testing.assert_array_equal(again.values[block], whole.values[block])
    assert not np.allclose(again.values[1_600:], whole.values[1_600:])


def test_a_forward_forecast_knows_nothing_of_later_targets(state):
    whole = cross_fit(state, True, forward=True, first=480)
    changed = replace(state, target=state.target.copy())
    changed.target[1_500:] += 1.0
    again = cross_fit(changed, True, forward=True, first=480)
    known = ~np.isnan(whole.values[:1_500, 0])
    assert known.any()
    np.testing.assert_array_equal(again.values[:1_500][known], whole.values[:1_500][known])


def test_the_table_of_a_forward_setting_has_forward_forecasts_whatever_the_cache_holds(bars):
    across, forward = (RungTable(bars, replace(SETTING, forward=choice), RULE) for choice in (False, True))
    for rung, forecast in forward.forecasts.items():
        wanted = cross_fit(forward.measured.state, rung == "volume", SETTING.first, SETTING.seed, forward=True)
        np.testing.assert_array_equal(forecast.values, wanted.values)
        assert not np.allclose(forecast.values[1_000:], across.forecasts[rung].values[1_000:])


def test_trees_add_what_lines_cannot(state):
    x = np.random.default_rng(2).normal(size=len(state.row))
    target = np.repeat((np.abs(x) > 1)[:, None].astype(float), 3, axis=1)
    odd = replace(state, inputs={**state.inputs, "odd": x}, target=target, n_price=state.n_price)
    lines, trees = (cross_fit(odd, True, trees=choice) for choice in (False, True))
    assert lines.r2.max() < 0.1
    assert trees.r2.min() > 0.7


def test_the_effect_is_that_of_least_squares(bars, state, forecast):
    rows = np.random.default_rng(3).choice(np.arange(600, 2_500, 30), 40, replace=False)
    signals = random_signals(bars, rows)
    effects = EventEffects(state, forecast, True, 24, 480)
    whole, first, second = effects.of(signals.active, signals.decided)
    one = effects.symbols[0]
    last = np.maximum.accumulate(np.where(signals.active[:, 0], np.arange(bars.n_bars), -100))
    within = (np.arange(bars.n_bars) - last > 0) & (np.arange(bars.n_bars) - last < 24)
    keep = ~within[one.rows]
    design = np.column_stack([signals.active[one.rows, 0], one.x])[keep]
    plain = np.linalg.lstsq(design, one.y[keep], rcond=None)[0][0]
    np.testing.assert_allclose(whole.effect, plain, atol=2e-3)
    assert whole.n_events == first.n_events + second.n_events == 40
    assert (whole.error < np.minimum(first.error, second.error)).all()


def test_with_few_events_nothing_is_computed(bars, state, forecast):
    signals = random_signals(bars, np.arange(600, 600 + 50 * (LEAST_EVENTS - 1), 50))
    whole, *_ = EventEffects(state, forecast, True, 24, 480).of(signals.active, signals.decided)
    assert np.isnan(whole.z).all()
    assert whole.n_events == LEAST_EVENTS - 1


def test_controls_are_blind_to_what_they_do_not_name(bars):
    louder = replace(bars, volume=bars.volume * np.random.default_rng(4).exponential(size=bars.shape))
    found, other = control_scores(bars, 24), control_scores(louder, 24)
    for name, control in found.items():
        assert np.array_equal(control.values, other[name].values, equal_nan=True) != control.marks, name
    # A window of 720 bars does not fit into a fifth of this history.
    assert sum(control.marks for control in found.values()) == 6
    assert 30 <= sum(not control.marks for control in found.values()) <= 50
    without = control_scores(replace(bars, volume=np.zeros(bars.shape)), 24)
    assert not any(control.marks for control in without.values())


def test_controls_raise_alerts_by_the_rule_of_the_study(bars):
    rule = RollingQuantile(0.95, "10D")
    alerts = control_signals(control_scores(bars, 24), bars, rule, 0.01)
    rates = [found.active.sum() / found.decided.sum() for found in alerts.values()]
    assert np.median(rates) == pytest.approx(0.05, abs=0.015)
    clock = alerts["clock 8 h"].active[:, 0]
    hours = (bars.time[clock].astype("datetime64[h]").astype(int)) % 24
    assert (hours == 8).mean() > 0.5


def test_an_input_that_knows_improves_the_forecast_and_noise_does_not(bars, state):
    rng = np.random.default_rng(5)
    plain = Forecast(np.zeros(state.target.shape), np.zeros(3), np.zeros(3), False)
    signal = rng.random(bars.shape) < 0.05
    known = replace(state, target=rng.normal(size=state.target.shape) + 1.0 * signal[state.row, state.symbol][:, None])
    everywhere = np.ones(bars.shape, bool)
    errors = ForecastErrors(known, plain, 480)
    knows = errors.gain(signal, everywhere)
    assert (knows.low > 0).all()
    assert knows.r2 == pytest.approx(0.05 * 0.95 / (1 + 0.05 * 0.95), abs=0.03)
    noise = errors.gain(rng.normal(size=bars.shape), everywhere)
    assert (noise.r2 < 0.005).all()
    assert (noise.low < 0).all()


@pytest.fixture(scope="module")
def planted():
    bars, signals = simulate(Planted("outside", 1.5), 11)
    return bars, signals, RungTable(bars, SETTING, RULE)


def test_alerts_from_outside_before_larger_moves_are_found_at_both_rungs(planted):
    _, signals, table = planted
    found = table.test({"outside": signals}).found["outside"]
    for rung in RUNGS:
        best = min(found[rung].values(), key=lambda one: one.q)
        assert best.q < 0.05
        assert best.ci[0] > 1
        assert best.ratio == pytest.approx(1.4, abs=0.25)
        # What happens in one half alone may have too few alerts; here both have enough.
        assert min(best.halves) > 1.1


def test_a_second_table_has_the_same_figures_from_the_cache_and_computes_nothing(planted, monkeypatch):
    bars, signals, table = planted
    scores = {"outside": Scores(bars.time, bars.symbols, signals.active + 0.0, bars.interval)}
    wanted = table.test({"outside": signals}, scores)
    for name in ("known_state", "cross_fit", "EventEffects", "ForecastErrors"):
        monkeypatch.setattr(f"foreshock.engine.validation.rungs.measured.{name}", None)
    found = RungTable(bars, SETTING, RULE).test({"outside": signals}, scores)
    assert found.found == wanted.found
    assert found.controls == wanted.controls
    for rung, by_input in wanted.gains["outside"].items():
        assert list(by_input) == ["alert", "score"]
        for given, gain in by_input.items():
            np.testing.assert_array_equal(found.gains["outside"][rung][given].r2, gain.r2)


@pytest.mark.parametrize("change", ["close", "volume", "delay", "horizons"])
def test_nothing_of_another_history_or_setting_is_taken_from_the_cache(planted, change):
    bars, _, table = planted
    setting = SETTING
    if change in ("close", "volume"):
        values = getattr(bars, change).copy()
        values[700, 0] *= 1.0001 if change == "close" else 2.0
        bars = replace(bars, **{change: values, "high": np.maximum(bars.high, values)} if change == "close" else {change: values})
    else:
        setting = replace(SETTING, **{change: 2 if change == "delay" else ("1h", "6h")})
    forecast = RungTable(bars, setting, RULE).forecasts["volume"].values
    before = table.forecasts["volume"].values
    assert forecast.shape != before.shape or not np.array_equal(forecast, before, equal_nan=True)


def test_volume_spikes_without_a_trace_in_the_price_are_told_by_the_second_rung():
    bars, signals = simulate(Planted("volume", 1.5), 21)
    found = RungTable(bars, SETTING, RULE).test({"spikes": signals}).found["spikes"]
    assert min(one.q for one in found["volatility"].values()) < 0.05
    assert max(abs(one.z) for one in found["volume"].values()) < max(abs(one.z) for one in found["volatility"].values())


def test_a_detector_that_copies_a_control_is_calibrated_without_its_family(planted):
    bars, _, table = planted
    copied = Scores(bars.time, bars.symbols, control_scores(bars, 24)["range 6/168"].values, bars.interval).signals(RULE)
    assert "range" in table._kin(copied)
    own = next(one for one in table.control_findings() if (one.name, one.horizon, one.rung) == ("range 6/168", "6h", "volatility"))
    found = table.test({"copy": copied}).found["copy"]["volatility"]["6h"]
    assert found.z_raw == own.z_raw
    assert found.n_events == own.n_events


def test_a_history_without_volume_has_one_rung_that_stands_for_both(bars):
    silent = replace(bars, volume=np.zeros(bars.shape))
    table = RungTable(silent, SETTING, RULE)
    test = table.test({"some": random_signals(silent, np.arange(600, 2_500, 60))})
    assert not test.has_marks
    assert list(test.found["some"]) == ["volatility"]


def test_volumes_that_never_vary_are_no_second_forecast(bars):
    test = RungTable(replace(bars, volume=np.full(bars.shape, 3.0)), SETTING, RULE).test({"a": random_signals(bars, [700, 900])})
    assert not test.has_marks
    assert list(test.found["a"]) == ["volatility"]


def test_a_clock_whose_hour_the_controls_know_is_settled_and_says_so(bars):
    hour = bars.time.astype("datetime64[h]").astype(int) % 24
    weekday = (bars.time.astype("datetime64[D]").astype(int) + 3) % 7 < 5
    found = RungTable(bars, SETTING, RULE).test({"clock": random_signals(bars, (hour == 12) & weekday)}).found["clock"]
    for one in found["volatility"].values():
        assert one.settled
        assert "settle where the" in one.reason


def test_a_detector_that_alerts_in_every_row_has_no_other_bars(bars):
    found = RungTable(bars, SETTING, RULE).test({"all": random_signals(bars, slice(None))}).found["all"]
    assert {one.reason for one in found["volatility"].values()} == {"there are too few other bars to hold the 88 alerts against"}


def test_minutes_have_a_season_of_the_slot_in_the_hour():
    n = 3_000
    minutes = replace(
        history("hawkes", n, 5),
        time=np.datetime64("2024-01-01", "us") + np.arange(n) * np.timedelta64(60_000_000, "us"),
        interval=np.timedelta64(60_000_000, "us"),
    )
    names = known_state(minutes, (15, 60)).inputs
    assert {"slot0", "slot15", "slot60"} <= set(names)
    assert "slot1" not in known_state(history("hawkes", n, 5), HORIZONS).inputs
