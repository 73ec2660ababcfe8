"""Surrogate histories keep what volatility has and nothing else; the test on them finds what was planted and only that."""

from functools import partial

import numpy as np
import pytest
from scipy import stats

from foreshock.data.bars import Bars
from foreshock.data.errors import ConfigError, DataError
from foreshock.engine.features.features import Features
from foreshock.engine.features.ohlcv import ohlcv_features
from foreshock.engine.scores import Scores
from foreshock.engine.thresholds.quantiles import Fixed
from foreshock.engine.validation.evidence.event_regression import EventRegression
from foreshock.engine.validation.moves.moves import moves_after
from foreshock.engine.validation.surrogates.calibration import WATCHED, Planted, ZScoreAlerts, calibrate, simulate_history
from foreshock.engine.validation.surrogates.histories import fit_surrogates
from foreshock.engine.validation.surrogates.significance import Rescorer, step_down, surrogate_p, surrogate_test
from tests.market import make_bars, quiet_bars

FEATURES = partial(ohlcv_features, features=[WATCHED["returns"]])
RESCORER = Rescorer(ZScoreAlerts("returns"), Fixed(2.5))


@pytest.fixture(scope="module")
def market() -> Bars:
    return quiet_bars(3, 9_000, 3)


@pytest.fixture(scope="module")
def drawn(market) -> list[Bars]:
    fitted = fit_surrogates(market)
    return [fitted.draw(seed) for seed in range(8)]


def autocorrelation(x: np.ndarray, lag: int) -> float:
    return float(np.corrcoef(x[lag:], x[:-lag])[0, 1])


@pytest.mark.parametrize(
    ("name", "figure", "tolerance"),
    [
        ("spread of returns", lambda b: np.log(b.returns()[1:, 0].std()), 0.25),
        ("memory of volatility, 1 bar", lambda b: autocorrelation(np.abs(b.returns()[1:, 0]), 1), 0.1),
        ("memory of volatility, 24 bars", lambda b: autocorrelation(np.abs(b.returns()[1:, 0]), 24), 0.1),
        ("correlation of symbols", lambda b: np.corrcoef(b.returns()[1:, 0], b.returns()[1:, 1])[0, 1], 0.15),
        ("range of a bar", lambda b: np.log(np.mean(np.log(b.high / b.low)[:, 0])), 0.2),
        ("range with return", lambda b: np.corrcoef(np.log(b.high / b.low)[1:, 0], np.abs(b.returns()[1:, 0]))[0, 1], 0.1),
        ("spread of log volume", lambda b: np.log(b.volume * b.close)[:, 0].std(), 0.2),
        ("memory of log volume", lambda b: autocorrelation(np.log(b.volume * b.close)[:, 0], 24), 0.2),
        ("volume with volatility", lambda b: stats.spearmanr(b.volume[1:, 0], np.abs(b.returns()[1:, 0]))[0], 0.12),
    ],
)  # fmt: skip
def test_a_surrogate_has_the_figures_of_its_data(market, drawn, name, figure, tolerance):
    real, found = figure(market), np.median([figure(one) for one in drawn])
    assert found == pytest.approx(real, abs=tolerance), name


def test_a_surrogate_forgets_the_order_of_what_happened(market, drawn):
    for one in drawn:
        assert abs(np.corrcoef(np.abs(one.returns()[1:, 0]), np.abs(market.returns()[1:, 0]))[0, 1]) < 0.25
    assert not np.array_equal(drawn[0].close, drawn[1].close)
    again = fit_surrogates(market).draw(0)
    assert np.array_equal(again.close, drawn[0].close)
    assert np.array_equal(again.volume, drawn[0].volume)


def test_bars_of_a_surrogate_are_whole_and_unknown_where_the_data_are(market):
    fields = {name: getattr(market, name).copy() for name in ("open", "high", "low", "close", "volume")}
    for values in fields.values():
        values[:3_000, 2] = np.nan
        values[5_000:5_020] = np.nan
        values[8_000:, 1] = np.nan
    holed = Bars(market.time, market.symbols, interval=market.interval, **fields)
    found = fit_surrogates(holed).draw(1)
    assert np.array_equal(np.isnan(found.close), np.isnan(holed.close))
    known = ~np.isnan(found.close)
    top, bottom = np.maximum(found.open, found.close), np.minimum(found.open, found.close)
    assert (found.high >= top * (1 - 1e-12))[known].all()
    assert (found.low <= bottom * (1 + 1e-12))[known].all()
    assert (found.volume > 0)[known].all()


def test_volatility_at_an_hour_of_the_day_is_that_of_the_data(market, drawn):
    hour = market.time.astype("datetime64[h]").astype(int) % 24
    profile = lambda b: np.array([np.abs(b.returns()[1:, 0])[hour[1:] == h].mean() for h in range(24)])  # noqa: E731
    real, found = profile(market), np.mean([profile(one) for one in drawn], axis=0)
    assert np.corrcoef(real, found)[0, 1] > 0.8
    assert real.max() / real.min() > 1.5


@pytest.mark.parametrize("family", ["gjr", "garch", "har", "sv"])
def test_every_family_draws_the_level_of_the_data(market, family):
    one = market.select(market.symbols[:1])
    fitted = fit_surrogates(one, family)
    assert fitted.family == (family,)
    typical = lambda b: np.mean(np.log(np.abs(b.returns()[1:]) + 1e-9))  # noqa: E731
    assert np.mean([typical(fitted.draw(k)) for k in range(5)]) == pytest.approx(typical(one), abs=0.15)


def test_what_cannot_be_fitted_is_left_out_or_falls_back_and_is_told():
    bars = make_bars(n_bars=1_500, n_symbols=2, seed=3)
    flat = {name: getattr(bars, name).copy() for name in ("open", "high", "low", "close", "volume")}
    for values in flat.values():
        values[:, 1] = 5.0
    found = fit_surrogates(Bars(bars.time, bars.symbols, interval=bars.interval, **flat))
    assert found.family[1] == "none"
    assert "never moved" in found.notes[-1]
    one = found.draw(0)
    assert np.isnan(one.close[:, 1]).all()
    assert not np.isnan(one.close[:, 0]).any()
    with pytest.raises(DataError, match="no surrogate histories"):
        fit_surrogates(bars.head(200))
    with pytest.raises(ConfigError, match="unknown family 'arch'"):
        fit_surrogates(bars, "arch")
    # Volatility that wanders without a level has no GARCH: the next family takes over.
    rng = np.random.default_rng(11)
    r = 0.001 * np.exp(np.cumsum(0.05 * rng.standard_normal(5_000))) * rng.standard_normal(5_000)
    close = np.exp(np.cumsum(r))[:, None]
    wandering = Bars(bars.time[0] + np.arange(5_000) * bars.interval, ("A",), close, close, close, close, close, bars.interval)
    fallen = fit_surrogates(wandering, "gjr")
    assert fallen.family[0] != "gjr"
    assert any("gjr" in note and "use another family" in note for note in fallen.notes)


def test_the_effect_of_planted_alerts_is_found_in_size_and_sign():
    rng = np.random.default_rng(5)
    n, horizon = 20_000, 12
    events = np.zeros((n, 2), bool)
    events[rng.choice(np.arange(200, n - 50, 30), 250, replace=False), 0] = True
    deviation = np.full((n, 2), 0.01)
    for row in np.flatnonzero(events[:, 0]):
        deviation[row + 1 : row + 1 + horizon, 0] *= 1.4
    close = 100 * np.exp(np.cumsum(deviation * rng.standard_normal((n, 2)), axis=0))
    opened = np.vstack([close[:1], close[:-1]])
    bars = Bars(
        np.datetime64("2024-01-01", "us") + np.arange(n) * np.timedelta64(1, "h"), ("A", "B"), opened,
        np.maximum(opened, close) * 1.001, np.minimum(opened, close) * 0.999, close, np.ones_like(close), np.timedelta64(1, "h"),
    )  # fmt: skip
    regression = EventRegression(bars, np.full((n, 2), 0.01), [moves_after(bars, horizon)], horizon)
    found = regression.effect(events, np.ones_like(events))
    assert found.n_events == 250
    # Other rows shortly before an alert see a part of what follows it.
    assert np.exp(found.effect[0]) == pytest.approx(1.36, abs=0.06)
    assert found.t[0] > 10
    assert abs(regression.effect(events[:, ::-1], np.ones_like(events)).t[0]) < 3
    # Where rows are not decided, alerts and other rows do not count.
    decided = np.ones_like(events)
    decided[: n // 2] = False
    assert regression.effect(events & decided, decided).n_events == int(events[n // 2 :].sum())
    assert np.isnan(regression.effect(np.zeros_like(events), decided).t).all()


def test_leaving_rows_out_of_the_sums_equals_least_squares_on_the_rest():
    bars = make_bars(n_bars=2_000, n_symbols=1, seed=8)
    forecast = np.full(bars.shape, 0.01) * np.exp(np.random.default_rng(1).standard_normal(bars.shape) * 0.1)
    regression = EventRegression(bars, forecast, [moves_after(bars, 6)], 6)
    rng = np.random.default_rng(2)
    active = np.zeros(bars.shape, bool)
    active[np.arange(100, 1_990, 40), 0] = True
    decided = rng.random(bars.shape) < 0.8
    decided |= active
    rows, x, y, _, _ = regression._symbols[0]
    after = np.zeros(bars.n_bars, bool)
    for row in np.flatnonzero(active[:, 0]):
        after[row + 1 : row + 6] = True
    keep = decided[rows, 0] & ~after[rows]
    design = np.column_stack([x, active[rows, 0]])[keep]
    expected = np.linalg.lstsq(design, y[keep], rcond=None)[0][-1, 0]
    assert regression.effect(active, decided).effect[0] == pytest.approx(expected, rel=1e-8)


def test_p_counts_the_surrogates_that_do_as_well():
    drawn = np.array([[[0.0]], [[1.0]], [[2.0]], [[3.0]]])
    assert surrogate_p(np.array([[2.0]]), drawn)[0, 0] == pytest.approx(3 / 5)
    assert surrogate_p(np.array([[9.0]]), drawn)[0, 0] == pytest.approx(1 / 5)
    assert np.isnan(surrogate_p(np.array([[np.nan]]), drawn)[0, 0])
    holed = drawn.copy()
    holed[0] = np.nan
    assert np.isnan(surrogate_p(np.array([[2.0]]), holed)[0, 0])


def test_step_down_keeps_the_family_wise_error_and_finds_what_is_far_out():
    rng = np.random.default_rng(0)
    errors = 0
    for _ in range(300):
        common = rng.standard_normal((200, 1, 1))
        null = 0.7 * common + 0.7 * rng.standard_normal((200, 5, 4))
        q = step_down(null[0], null[1:])
        errors += bool((q < 0.05).any())
    assert errors / 300 < 0.08
    null = rng.standard_normal((199, 5, 4))
    t = np.zeros((5, 4))
    t[2, 1], t[3, 3], t[0, 0] = 9.0, 8.0, np.nan
    q = step_down(t, null)
    assert np.argwhere(q < 0.05).tolist() == [[2, 1], [3, 3]]
    assert np.isnan(q[0, 0])
    # One step alone: the largest t against the largest of each surrogate; never below the plain p.
    assert (q[~np.isnan(q)] >= surrogate_p(t, null)[~np.isnan(q)] - 1e-12).all()


def test_the_test_is_the_same_for_any_number_of_jobs_and_finds_a_planted_effect():
    bars = simulate_history(Planted(4_000, "gjr", 2.0), seed=1)
    settings = {"cooldown": "24h", "n_surrogates": 39, "seed": 3}
    signals = {"zscore": RESCORER.signals(FEATURES(bars))}
    fitted = fit_surrogates(bars)
    one, two = (
        surrogate_test(fitted, signals, {"zscore": RESCORER}, FEATURES, ["6h", "24h"], n_jobs=jobs, **settings) for jobs in (1, 2)
    )
    assert np.array_equal(one.drawn, two.drawn, equal_nan=True)
    assert np.array_equal(one.p, two.p)
    low, high = one.excess_ci
    assert (low < one.excess).all()
    assert (one.excess < high).all()
    assert one.excess[0, 1] == pytest.approx(one.effect[0, 1] - one.drawn_effect[:, 0, 1].mean())
    assert one.by_horizon("zscore", one.p)["24h"] == pytest.approx(1 / 40)
    assert 1.4 < np.exp(one.effect[0, 1]) < 2.1


def test_a_detector_that_scores_at_random_times_is_held_against_the_same_times():
    bars = simulate_history(Planted(3_000, "garch"), seed=2)

    def times(features: Features) -> Scores:
        score = np.random.default_rng(1).random((features.n_rows, 1))
        return Scores(features.time, features.symbols, score, features.interval)

    chance = Rescorer(times, Fixed(0.98))
    test = surrogate_test(
        fit_surrogates(bars), {"chance": chance.signals(FEATURES(bars))}, {"chance": chance}, FEATURES, ["24h"],
        cooldown="24h", n_surrogates=99,
    )  # fmt: skip
    assert abs(test.drawn.mean()) < 0.4
    assert test.drawn.std() == pytest.approx(1, abs=0.35)
    assert test.p[0, 0] > 0.01


def test_too_few_surrogates_are_refused():
    bars = make_bars(n_bars=600, n_symbols=1)
    with pytest.raises(ConfigError, match="at least 19 for a p of 5 %, got 10"):
        surrogate_test(fit_surrogates(bars), {}, {}, FEATURES, ["6h"], cooldown="6h", n_surrogates=10)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"delay": 0}, "delay must be a whole number of at least 1 bar, because a score is known at the close of its bar, got 0"),
        ({"delay": 1.5}, "delay must be a whole number, got 1.5"),
        ({"n_jobs": 0}, "n_jobs must be from 1 to 1,024, or -1 for every core, got 0"),
        ({"n_surrogates": 19.5}, "n_surrogates must be a whole number of at least 19 for a p of 5 %, got 19.5"),
        ({"seed": None}, "seed must be a whole number of at least 0, got None"),
        ({"first": -1}, "first must be a whole number of at least 0, got -1"),
        ({"horizons": []}, "horizons must differ and be at least one"),
        ({"horizons": ["6h", "360m"]}, "horizons must differ"),
        ({"horizons": "6h"}, "horizons must be a list of durations, got '6h'; put it in brackets"),
        ({"signals": {}, "rescorers": {}}, r"signals and rescorers must have the same detectors, at least one, got none and none"),
        ({"signals": "other"}, r"have the same detectors, at least one, got other and zscore"),
        ({"signals": {"zscore": None}}, r"each of signals, 'zscore', must be Signals, got NoneType"),
        ({"rescorers": {"zscore": None}}, r"each of rescorers, 'zscore', must be Rescorer, got NoneType"),
        ({"n_jobs": 10**30}, "n_jobs must be from 1 to 1,024"),
    ],
)
def test_arguments_of_the_surrogate_test_that_cannot_be_are_refused_at_the_door(change, message):
    bars = make_bars(n_bars=600, n_symbols=1)
    signals = RESCORER.signals(FEATURES(bars))
    if change.get("signals") == "other":
        change = {"signals": {"other": signals}}
    settings = {"signals": {"zscore": signals}, "rescorers": {"zscore": RESCORER}, "horizons": ["6h"], "cooldown": "6h", **change}
    with pytest.raises(ConfigError, match=message):
        surrogate_test(fit_surrogates(bars, "garch"), make_features=FEATURES, **settings)


def test_rescorers_in_another_order_are_held_against_their_own_signals():
    bars = simulate_history(Planted(1_500, "garch"), seed=2)
    rescorers = {"often": Rescorer(RESCORER.score, Fixed(2.0)), "seldom": RESCORER}
    signals = {label: rescorer.signals(FEATURES(bars)) for label, rescorer in rescorers.items()}
    fitted, settings = fit_surrogates(bars), {"cooldown": "6h", "n_surrogates": 19}
    one, two = (
        surrogate_test(fitted, signals, given, FEATURES, ["6h"], **settings)
        for given in (rescorers, dict(reversed(rescorers.items())))
    )
    assert not np.array_equal(one.drawn[:, 0], one.drawn[:, 1], equal_nan=True)
    assert np.array_equal(one.drawn, two.drawn, equal_nan=True)


def test_the_planted_effect_follows_alerts_and_nothing_else():
    plain, planted = (simulate_history(Planted(3_000, "gjr", effect), seed=4) for effect in (1.0, 2.0))
    ratio = np.abs(planted.returns()[1:, 0] / plain.returns()[1:, 0])
    values, counts = np.unique(ratio.round(6), return_counts=True)
    assert values.tolist() == [1.0, 2.0]
    # Whole stretches of one horizon, but for one that the end cuts short.
    assert counts[1] % 24 == 0 or ratio[-1] == pytest.approx(2)
    with pytest.raises(ConfigError, match="unknown law"):
        simulate_history(Planted(null="arch"), 1)


def test_a_small_calibration_has_the_size_it_claims():
    found = calibrate(Planted(1_500, "garch"), n_histories=8, n_surrogates=19)
    assert found.found <= 2 / 8
    assert found.interval[0] <= found.found <= found.interval[1]
    assert 5 < found.n_events < 60
    assert np.array_equal(found.p_values, calibrate(Planted(1_500, "garch"), n_histories=8, n_surrogates=19).p_values)


@pytest.mark.slow
def test_size_and_power_on_two_hundred_histories():
    for null in ("garch", "gjr", "sv"):
        assert calibrate(Planted(2_500, null), 200, n_jobs=-1).found <= 0.08
    assert calibrate(Planted(2_500, "gjr", 1.5), 200, n_jobs=-1).found >= 0.5
    assert calibrate(Planted(2_500, "gjr", 1.25), 200, n_jobs=-1).found >= 0.25
    assert calibrate(Planted(20_000, "gjr", 1.25), 50, n_jobs=-1).found >= 0.9


def test_an_adjusted_p_is_nowhere_below_the_plain_one():
    rng = np.random.default_rng(0)
    drawn = rng.standard_normal((199, 1, 1))
    drawn[:39] = np.nan
    t = np.sort(drawn[39:].ravel())[-9].reshape(1, 1)
    assert surrogate_p(t, drawn)[0, 0] == pytest.approx(10 / 161)
    assert step_down(t, drawn)[0, 0] >= surrogate_p(t, drawn)[0, 0]


def test_alerts_that_the_controls_explain_wholly_have_no_t():
    bars = simulate_history(Planted(1_500, "garch"), seed=3)
    regression = EventRegression(bars, fit_surrogates(bars).forecast(bars), [moves_after(bars, 6)], cooldown=6)
    everywhere = np.ones(bars.shape, dtype=bool)
    found = regression.effect(everywhere, everywhere)
    assert np.isnan(found.t).all()
    assert found.n_events == 0


@pytest.mark.slow
def test_a_detector_of_volume_alone_adds_nothing_where_volume_follows_a_hidden_volatility():
    assert calibrate(Planted(2_500, "sv", watches="volume"), 100, 59, n_jobs=-1).found <= 0.1
