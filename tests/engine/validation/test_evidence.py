"""The evidence around a verdict: held to statsmodels, to slow loops, and to histories whose truth is planted."""

import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats
from statsmodels.tsa.api import diebold_mariano_test

from foreshock.data.bars import Bars
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.files import read_bars
from foreshock.data.quality.clean import clean
from foreshock.detectors.registry import make_detector
from foreshock.engine.features.ohlcv import ohlcv_features
from foreshock.engine.out_of_sample.splits import WalkForward
from foreshock.engine.out_of_sample.walk_forward import walk_forward
from foreshock.engine.thresholds.quantiles import RollingQuantile
from foreshock.engine.validation.evidence.direction import direction
from foreshock.engine.validation.evidence.inference import (
    RowSums,
    bootstrap_estimate,
    dummy_slope,
    from_error,
    hac_dummy_p,
    hac_variance,
    hodrick_variance,
    stationary_block,
    stationary_bootstrap,
)
from foreshock.engine.validation.evidence.ladder import (
    CONTROLS,
    NAIVE_WARNING,
    EvidenceTable,
    evidence,
    evidence_frame,
    horizon_evidence,
)
from foreshock.engine.validation.evidence.qlike import N_FOLDS, fold_edges, qlike_gain, walk_forward_log_path
from foreshock.engine.validation.evidence.regression import control_design, volatility_regression
from foreshock.engine.validation.evidence.shift import shift_test, shifted_t_nb
from foreshock.engine.validation.moves.forward import MoveTable, forward_moves
from foreshock.engine.validation.moves.moves import Moves, moves_after
from tests.market import make_bars, quiet_bars, signals_of

NAN = float("nan")


def large_moves(bars: Bars, share: float = 0.05) -> np.ndarray:
    """The bars with the largest absolute returns: an echo of volatility."""
    size = np.abs(np.nan_to_num(bars.returns()))
    return size > np.quantile(size, 1 - share, axis=0)


def louder(bars: Bars, events: np.ndarray, factor: float, n_bars: int) -> Bars:
    """The bars with returns ``factor`` times as large in the ``n_bars`` bars after each event."""
    rows, cols = np.nonzero(events)
    size = np.ones(bars.shape)
    for j in range(1, n_bars + 1):
        inside = rows + j < bars.n_bars
        size[rows[inside] + j, cols[inside]] = factor
    close = bars.close[:1] * np.exp(np.cumsum(np.nan_to_num(bars.returns()) * size, axis=0))
    open_ = np.vstack([bars.open[:1], close[:-1]])
    return replace(bars, open=open_, close=close, high=np.maximum(open_, close), low=np.minimum(open_, close))


def runs(rng: np.random.Generator, n_rows: int, n_symbols: int, rate: float, length: int) -> np.ndarray:
    """Events that come in runs."""
    starts = rng.random((n_rows, n_symbols)) < rate / length
    return sum(np.roll(starts, j, axis=0) for j in range(length)) > 0


# Hodrick


def slow_hodrick(steps, event, known, horizon, delay):
    share = event[known].mean()
    error = np.nan_to_num(steps - np.nanmean(steps))
    total = 0.0
    for s in range(len(steps)):
        row = 0.0
        for i in range(steps.shape[1]):
            for t in range(s - delay - horizon + 1, s - delay + 1):
                if t >= 0 and known[t, i]:
                    row += error[s, i] * (event[t, i] - share)
        total += row**2
    return total / (known.sum() * share * (1 - share)) ** 2


@pytest.mark.parametrize(("horizon", "delay"), [(1, 1), (4, 1), (4, 3), (60, 1)])
def test_hodrick_errors_equal_a_loop_over_the_bars_of_every_move(horizon, delay):
    rng = np.random.default_rng(0)
    steps = rng.standard_normal((50, 3))
    steps[rng.random(steps.shape) < 0.1] = np.nan
    event, known = rng.random(steps.shape) < 0.2, rng.random(steps.shape) < 0.8
    expected = slow_hodrick(steps, event & known, known, horizon, delay)
    assert hodrick_variance(steps, event & known, known, horizon, delay) == pytest.approx(expected, rel=1e-9)


def test_over_one_bar_hodrick_errors_are_those_of_white():
    rng = np.random.default_rng(1)
    steps, event = rng.standard_normal((400, 1)), rng.random((400, 1)) < 0.2
    known = np.arange(400)[:, None] < 399
    fit = sm.OLS(steps[1:, 0], sm.add_constant(event[:-1, 0].astype(float))).fit(cov_type="HC0")
    # White's residuals are about the fitted means, Hodrick's about the common one: equal but for the effect itself.
    assert np.sqrt(hodrick_variance(steps, event & known, known, 1)) == pytest.approx(fit.bse[1], rel=0.02)


def test_hodrick_keeps_its_size_at_long_horizons_where_newey_west_does_not():
    """250 bars, moves over 50, alerts in runs of 25, nothing to find: rejections at 5 %."""
    rng = np.random.default_rng(2)
    rejected = np.zeros(2)
    for _ in range(400):
        steps = rng.standard_t(5, (250, 1))
        total = np.cumsum(np.vstack([[[0.0]], steps]), axis=0)
        y = np.full(steps.shape, np.nan)
        y[:-50] = total[51:] - total[1:-50]
        known = ~np.isnan(y)
        event = runs(rng, 250, 1, 0.3, 25) & known
        slope = dummy_slope(np.nan_to_num(y), event, known)
        if slope is None:
            continue
        variance = hodrick_variance(steps, event, known, 50)
        rejected += [hac_dummy_p(y, event, known, 100) < 0.05, from_error(slope.value, variance**0.5, 1, 1, "", 0.0).p < 0.05]
    assert rejected[0] / 400 > 0.15
    assert rejected[1] / 400 < 0.09


# Stationary bootstrap


def test_the_stationary_bootstrap_equals_one_drawn_row_by_row():
    rng = np.random.default_rng(3)
    n, block, draws = 60, 5.0, 40
    event = rng.random(n) < 0.4
    move, expected = rng.exponential(1, n), rng.exponential(1, n)
    sums = RowSums(move * event, event * 1.0, move * ~event, ~event * 1.0, move * event, expected * event, np.zeros(n))
    again = np.random.default_rng(9)
    n_blocks = int(n / block + 6 * np.sqrt(n / block) + 12)
    lengths, starts = again.geometric(1 / block, (draws, n_blocks)), again.integers(0, n, (draws, n_blocks))
    slow = []
    for length, start in zip(lengths, starts, strict=True):
        rows = [(first + k) % n for first, size in zip(start, length, strict=True) for k in range(size)][:n]
        e = event[rows]
        slow.append([move[rows][e].mean() / move[rows][~e].mean(), move[rows][e].sum() / expected[rows][e].sum()])
    np.testing.assert_allclose(stationary_bootstrap(sums, block, draws, 9), slow, rtol=1e-9)


def test_the_bootstrap_p_is_small_for_a_ratio_far_from_one_and_large_near_it():
    rng = np.random.default_rng(4)
    draws = np.exp(rng.normal(0.3, 0.1, 999))
    assert bootstrap_estimate(np.exp(0.3), draws, 1, 1, "").p < 0.01
    assert bootstrap_estimate(np.exp(0.02), np.exp(rng.normal(0.02, 0.1, 999)), 1, 1, "").p > 0.7


def test_the_block_is_longer_where_rows_depend_longer_and_never_below_the_least():
    noise = np.random.default_rng(5).standard_normal(4_000)
    slow = np.convolve(noise, np.ones(40), "valid")
    assert stationary_block(noise, 7.0) == 7.0
    assert stationary_block(slow, 7.0) > 30
    assert stationary_block(np.zeros(100), 7.0) == 7.0


# Circular shift


def test_shifted_statistics_equal_the_event_dummy_of_shifted_alerts():
    rng = np.random.default_rng(6)
    y = rng.exponential(1, (120, 3))
    market = rng.random(y.shape) < 0.9
    event = rng.random(y.shape) < 0.1
    excess = np.where(market, y - 1, 0.0)
    offsets = np.array([0, 1, 17, 119])
    for lags in (0, 6, 40):
        found = shifted_t_nb(excess, market, *np.nonzero(event), offsets, lags)
        for (value, error), offset in zip(found, offsets, strict=True):
            slope = dummy_slope(y, np.roll(event, offset, axis=0), market)
            assert slope is not None
            assert value == pytest.approx(slope.value, rel=1e-9)
            assert error == pytest.approx(np.sqrt(hac_variance(slope.influence, lags)), rel=1e-9)


def test_the_shift_test_keeps_its_size_with_clustered_alerts_and_overlapping_moves():
    """Alerts in runs, moves over 12 bars with a slow volatility of their own, two symbols, nothing to find."""
    rng = np.random.default_rng(7)
    rejected = []
    for _ in range(200):
        slow = np.exp(np.convolve(rng.standard_normal(749), np.ones(50) / 12, "valid"))[:, None]
        steps = slow * (rng.standard_normal((700, 2)) + rng.standard_normal((700, 1)))
        total = np.cumsum(np.vstack([np.zeros((1, 2)), steps]), axis=0)
        y = np.abs(total[12:] - total[:-12])
        event = runs(rng, len(y), 2, 0.1, 20)
        rejected.append(shift_test(y, event, np.ones_like(event), 24, 199, seed=1).p < 0.05)
    assert np.mean(rejected) < 0.09


def test_the_shift_test_finds_a_planted_effect_and_its_interval_holds_it():
    rng = np.random.default_rng(8)
    y, event = rng.exponential(1, (3_000, 2)), rng.random((3_000, 2)) < 0.05
    y[event] *= 1.5
    y[:, 1] *= 1_000
    found = shift_test(y, event, np.ones_like(event), 24)
    assert found.p < 0.01
    # Relative to each symbol's mean, which the events raise by 2.5 %.
    assert found.value == pytest.approx(1.5 - 0.012, abs=0.12)
    assert found.ci[0] < 1.5 < found.ci[1]


# Regression


def one_symbol(n: int, seed: int):
    rng = np.random.default_rng(seed)
    x = np.column_stack([rng.normal(0, 1, (n, 2)), np.ones(n)])
    event = (rng.random(n) < 1 / (1 + np.exp(2 - x[:, 0])))[:, None]
    mean = np.exp(0.5 * x[:, 0] - 0.2 * x[:, 1] - 3)[:, None]
    return rng, x[None], event, mean


@pytest.mark.parametrize("lags", [0, 10])
def test_the_regression_has_the_coefficient_of_a_gamma_model_of_statsmodels_and_its_robust_p(lags):
    rng, design, event, mean = one_symbol(1_500, 9)
    y = mean * np.where(event, 1.15, 1) * rng.exponential(1, event.shape)
    x = np.column_stack([event[:, 0], design[0]]).astype(float)
    fit = sm.GLM(y[:, 0], x, family=sm.families.Gamma(sm.families.links.Log())).fit(tol=1e-12)
    # At the optimum the scores are those of a linear regression of y / m - 1, and so is their sandwich with expected information.
    scores = sm.OLS(y[:, 0] / fit.fittedvalues - 1, x).fit(cov_type="HAC", cov_kwds={"maxlags": lags, "use_correction": False})
    p = 2 * stats.norm.sf(abs(fit.params[0]) / scores.bse[0])
    found = volatility_regression(y, event, np.ones_like(event), design, np.log(mean) + 0.3, lags)
    assert 1e-4 < p < 0.9
    assert np.log(found.value) == pytest.approx(fit.params[0], rel=1e-3)
    assert found.p == pytest.approx(p, rel=1e-2)
    assert np.log(found.ci) == pytest.approx(fit.params[0] + np.array([-1.96, 1.96]) * scores.bse[0], rel=1e-3)
    assert (found.n, found.n_events) == (1_500, event.sum())


def test_a_garch_forecast_explains_what_the_other_controls_do_not():
    """Alerts where a forecast that is not in the design is high, and nothing beyond it."""
    rng, design, _, mean = one_symbol(4_000, 10)
    hidden = np.exp(rng.normal(0, 0.5, mean.shape))
    y = mean * hidden * rng.exponential(1, mean.shape)
    event = hidden > 1.8
    decided, start = np.ones_like(event), np.log(mean)
    without = volatility_regression(y, event, decided, design, start, 10)
    given = volatility_regression(y, event, decided, design, start, 10, 7 * hidden)
    assert without.value > 1.8
    assert without.p < 1e-6
    assert given.ci[0] < 1 < given.ci[1]
    assert "GARCH" in given.against
    assert "GARCH" not in without.against


def test_symbols_that_move_as_one_count_once_in_the_regression():
    rng, design, event, mean = one_symbol(800, 11)
    y = mean * rng.exponential(1, mean.shape)
    one = volatility_regression(y, event, np.ones_like(event), design, np.log(mean), 5)
    y4, event4, start4 = (np.tile(a, 4) for a in (y, event, np.log(mean)))
    four = volatility_regression(y4, event4, np.ones_like(event4), np.repeat(design, 4, axis=0), start4, 5)
    assert four.value == pytest.approx(one.value, rel=1e-6)
    assert four.p == pytest.approx(one.p, rel=1e-4)


# QLIKE gain


@pytest.mark.parametrize("cut", [1_334, 1_501, 1_667, 1_999])
def test_later_bars_do_not_change_walk_forward_forecasts(cut):
    """Runs are cut from the whole history, so that it is corrupted, not shortened; two cuts lie one row into a run."""
    bars = make_bars(2_000, 2, seed=3)
    rng = np.random.default_rng(0)
    future = np.arange(2_000)[:, None] >= cut
    noise = np.exp(np.where(future, rng.normal(0, 0.5, (2_000, 1)), 0.0))
    broken = replace(bars, **{name: getattr(bars, name) * noise for name in ("open", "high", "low", "close")})
    whole = walk_forward_log_path(bars, moves_after(bars, 6))
    changed = walk_forward_log_path(broken, moves_after(broken, 6))
    assert np.isfinite(whole[600:]).any()
    np.testing.assert_array_equal(whole[:cut], changed[:cut])
    assert not np.array_equal(whole[cut:], changed[cut:], equal_nan=True)


def test_the_qlike_gain_is_the_loss_difference_of_statsmodels_with_its_diebold_mariano_p():
    """One symbol, one dummy: the two forecasts rebuilt from means over the past."""
    rng = np.random.default_rng(12)
    n, horizon = 1_200, 3
    y = rng.exponential(1, (n, 1))
    event = rng.random((n, 1)) < 0.2
    y[event] *= 1.4
    moves = Moves(horizon, 1, y, y, y)
    found = qlike_gain(moves, event, np.ones_like(event), np.zeros((n, 1)), 5)
    without, given, outcome = [], [], []
    for first, stop in fold_edges(n, N_FOLDS)[1:]:
        past, seen = y[: first - horizon, 0], event[: first - horizon, 0]
        without += [past.mean()] * (stop - first)
        given += [past[seen].mean() if alert else past[~seen].mean() for alert in event[first:stop, 0]]
        outcome += list(y[first:stop, 0])

    def loss(path, forecast):
        return path / forecast + np.log(forecast)

    test = diebold_mariano_test(np.array(outcome), np.array(without), np.array(given), lags=5, criterion=loss)
    gain = np.mean(loss(np.array(outcome), np.array(without)) - loss(np.array(outcome), np.array(given)))
    assert found.n == len(outcome)
    assert found.value == pytest.approx(gain, rel=1e-4)
    assert gain > 0
    assert found.p == pytest.approx(test.pvalue / 2, rel=1e-3)


def test_a_score_that_knows_the_move_lowers_the_loss_and_noise_does_not():
    rng = np.random.default_rng(13)
    score = rng.normal(0, 1, (3_000, 2))
    y = np.exp(0.3 * score) * rng.exponential(1, score.shape)
    moves, decided, flat = Moves(1, 1, y, y, y), np.ones(y.shape, dtype=bool), np.zeros(y.shape)
    told = qlike_gain(moves, 1e9 * score - 3e9, decided, flat, 5)
    noise = qlike_gain(moves, rng.normal(0, 1, score.shape), decided, flat, 5)
    assert told.ci[0] > 0.01
    assert told.p < 1e-6
    assert noise.value < 1e-3
    assert noise.p > 0.05


# Direction


def test_direction_finds_a_drift_after_alerts_and_is_silent_on_magnitude():
    rng = np.random.default_rng(14)
    returns, event = rng.normal(0, 1, (4_000, 2)), rng.random((4_000, 2)) < 0.05
    after = np.vstack([np.zeros((1, 2), dtype=bool), event[:-1]])
    others = ~event

    def judge(steps, sign=None):
        signed = np.vstack([steps[1:], np.full((1, 2), np.nan)])
        return direction(signed, steps, event, others, 1, 2, sign=sign)

    drift, size = judge(returns + 0.3 * after), judge(returns * np.where(after, 2, 1))
    assert drift.move.ci[0] < 0.3 < drift.move.ci[1]
    assert max(drift.move.p, drift.p_hodrick, drift.hit.p) < 0.01
    assert drift.hit_rate - drift.base_rate == pytest.approx(drift.hit.value)
    assert drift.base_rate == pytest.approx(0.5, abs=0.02)
    assert min(size.move.p, size.p_hodrick, size.hit.p) > 0.05
    # Rows that point down see the same drift as a move against them; those without a sign are left out.
    down = judge(returns + 0.3 * after, -np.ones((4_000, 2)))
    assert down.move.value == pytest.approx(-drift.move.value)
    half = judge(returns + 0.3 * after, np.where(np.arange(4_000)[:, None] < 2_000, 1.0, 0.0) * np.ones((1, 2)))
    assert half.hit.n_events == event[:2_000].sum()


# The table


def test_the_ladder_has_a_row_for_each_test_with_the_p_of_forward_moves():
    bars = quiet_bars(1, 3_000)
    signals = signals_of(bars, large_moves(bars))
    table = evidence(bars, signals, "6h", cooldown="6h", seed=3)
    moves = forward_moves(bars, signals, ["6h"], cooldown="6h")["6h"]
    assert list(table.index) == list(CONTROLS)
    assert table.loc["naive", "p"] == pytest.approx(moves.p_naive)
    assert table.loc["hac", "p"] == pytest.approx(moves.p_hac)
    assert table.loc["matched", "p"] == pytest.approx(moves.p_matched)
    assert table.loc["naive", "estimate"] == pytest.approx(moves.abs_move_ratio)
    assert table.loc["matched", "estimate"] == pytest.approx(moves.matched_ratio)
    assert (table["n_events"].drop("qlike") <= moves.n_events).all()
    assert table.loc["naive", "note"] == NAIVE_WARNING
    assert table.loc["surrogate", "note"] == "not run"
    assert (table["low"] <= table["estimate"]).drop("surrogate").all()
    assert (table["estimate"] <= table["high"]).drop("surrogate").all()
    given = from_error(1.3, 0.1, 100, 10, "surrogate histories")
    found = horizon_evidence(EvidenceTable(MoveTable(bars, ["6h"])), signals, "6h", "6h", seed=3)
    row = evidence_frame(found, given).loc["surrogate"]
    assert (row["estimate"], row["p"], row["compared_with"], row["note"]) == (1.3, given.p, "surrogate histories", "")
    assert found.p_values["p_shift"] == table.loc["shift", "p"]
    pd.testing.assert_frame_equal(evidence_frame(found), table)


GIVEN = ("hodrick", "matched", "matched_shift", "regression")


def test_an_echo_passes_the_naive_tests_and_fails_those_that_know_of_volatility():
    bars = quiet_bars(2, 8_000)
    table = evidence(bars, signals_of(bars, large_moves(bars)), "6h")
    assert (table.loc[["naive", "hac", "bootstrap", "shift"], "p"] < 0.01).all()
    assert (table.loc[["naive", "hac", "bootstrap", "shift"], "low"] > 1.05).all()
    assert table.loc[list(GIVEN), "estimate"].between(0.9, 1.1).all()
    assert (table.loc[list(GIVEN), "p"] > 0.01).all()
    assert table.loc["qlike", "estimate"] < 1e-3


def test_a_planted_effect_passes_every_test_of_magnitude_and_none_of_direction():
    rng = np.random.default_rng(15)
    bars = quiet_bars(3, 8_000)
    events = rng.random(bars.shape) < 0.01
    table = evidence(louder(bars, events, 2.0, 6), signals_of(bars, events), "6h", cooldown="6h")
    ratios = table.loc[["naive", "hac", "bootstrap", "shift", *GIVEN]]
    assert (ratios["p"] < 0.01).all()
    assert (ratios["low"] > 1.2).all()
    # Bar by bar the forecast learns of the louder bars as they come, so that less is left of them.
    assert ratios.drop(index="hodrick")["estimate"].between(1.5, 2.3).all()
    assert table.loc["qlike", "low"] > 0
    assert (table.loc[["direction", "hit_rate"], "p"] > 0.01).all()


def test_the_seed_decides_the_random_tests_and_nothing_else():
    bars = quiet_bars(4, 2_500, 1)
    signals = signals_of(bars, large_moves(bars))
    first, again, other = (evidence(bars, signals, "6h", seed=seed)["p"] for seed in (1, 1, 2))
    pd.testing.assert_series_equal(first, again)
    changed = (first != other) & first.notna()
    assert set(first.index[changed]) <= {"bootstrap", "shift", "matched_shift"}


# Bad input


@pytest.mark.parametrize("kind", ["none", "one", "all"])
def test_no_event_one_event_or_events_in_every_bar_give_nan_with_a_reason(kind):
    bars = quiet_bars(5, 2_500, 1)
    active = np.full(bars.shape, kind == "all")
    active[1_000] |= kind == "one"
    table = evidence(bars, signals_of(bars, active), "6h").drop(index="surrogate")
    assert table["p"].isna().all()
    assert (table["note"] != "").all()
    assert (table["n_events"] <= max(active.sum(), 0)).all()


def test_a_constant_price_gives_nan_with_a_reason():
    bars = make_bars(1_200, 2)
    flat = {name: np.full(bars.shape, 5.0) for name in ("open", "high", "low", "close")}
    rng = np.random.default_rng(0)
    table = evidence(replace(bars, **flat), signals_of(bars, rng.random(bars.shape) < 0.05), "6h").drop(index="surrogate")
    assert table["p"].isna().all()
    assert (table["note"] != "").all()


def test_gaps_at_events_leave_those_events_out():
    bars = quiet_bars(6, 2_500, 1)
    rng = np.random.default_rng(1)
    active = rng.random(bars.shape) < 0.05
    gap = np.zeros(bars.shape, dtype=bool)
    gap[np.flatnonzero(active[:, 0])[::12] + 1] = True
    gap &= ~active
    holed = replace(bars, **{n: np.where(gap, np.nan, getattr(bars, n)) for n in ("open", "high", "low", "close", "volume")})
    known = ~np.isnan(moves_after(holed, 6).signed)
    table = evidence(holed, signals_of(holed, active & ~np.isnan(holed.close), ~np.isnan(holed.close)), "6h")
    assert 10 < (active & known).sum() < active.sum() - 10
    assert (table.loc[["naive", "hac", "shift", "direction"], "n_events"] == (active & known).sum()).all()
    assert table["p"].drop("surrogate").notna().all()


def test_what_does_not_fit_is_refused():
    bars = quiet_bars(7, 300, 1)
    signals = signals_of(bars, large_moves(bars))
    with pytest.raises(ConfigError, match="horizon must be shorter than the data"):
        evidence(bars, signals, "300h")
    with pytest.raises(DataError, match="rows and symbols of the bars"):
        evidence(bars.head(200), signals, "6h")
    table = MoveTable(bars, ["6h"])
    with pytest.raises(ConfigError, match="garch must have horizons among"):
        EvidenceTable(table, {"24h": np.ones(bars.shape)})
    with pytest.raises(ConfigError, match="must have the shape of the bars"):
        EvidenceTable(table, {"6h": np.ones((10, 1))})
    with pytest.raises(ConfigError, match="horizon must be one of"):
        horizon_evidence(EvidenceTable(table), signals, "1h")


def test_a_history_too_short_for_shifts_says_so():
    y, event = np.ones((60, 1)), np.arange(60)[:, None] % 7 == 0
    found = shift_test(y + event, event, np.ones_like(event), 24)
    assert np.isnan(found.p)
    assert "offsets" in found.reason


def test_the_design_has_the_same_controls_for_every_symbol():
    bars = make_bars(300, 2)
    design = control_design(bars)
    alone = control_design(bars.select([bars.symbols[1]]))
    np.testing.assert_array_equal(design[1], alone[0])


@pytest.mark.slow
def test_six_detectors_and_three_horizons_on_five_years_of_hours_take_less_than_20_seconds(shared_data):
    """``pytest tests/engine/validation/test_evidence.py -m slow -s`` prints the ladder of each detector, and the CPU seconds."""
    bars, _ = clean(read_bars(shared_data / "ohlcv_1h_8assets.parquet"))
    features = ohlcv_features(bars)
    signals = {}
    for name in ("zscore", "iqr", "mad", "rolling_volatility", "volatility_only", "random"):
        scores = walk_forward(make_detector(name), features, WalkForward("365D", "90D", "2D"))
        signals[name] = scores.signals(RollingQuantile(0.99, "60D"))
    moves = MoveTable(bars, ["1h", "6h", "24h"])
    evidence(bars.head(2_000), signals["zscore"].rows(slice(0, 2_000)), "6h")  # compiles and imports
    begin = time.process_time()
    table = EvidenceTable(moves)
    found = {
        (name, horizon): horizon_evidence(table, alerts, horizon, "24h")
        for name, alerts in signals.items()
        for horizon in moves.entries
    }
    seconds = time.process_time() - begin
    rows = {key: {test: f"{e.value:8.3g} ({e.p:.3f})" for test, e in one.estimates.items()} for key, one in found.items()}
    print(f"\n{pd.DataFrame(rows).T.to_string()}\nestimate (p); {seconds:.1f} s of CPU")
    assert seconds < 20
