"""Calibration by negative controls, the overlap of alerts, and one multiplicity over both rungs."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from foreshock.engine.scores import Scores
from foreshock.engine.validation.rungs.calibration import (
    LEAST_CONTROLS,
    PRIOR,
    SYSTEMATIC,
    _fits,
    calibrate,
    chained_q,
    overlap,
)
from foreshock.engine.validation.rungs.controls import rolling_rule
from foreshock.engine.validation.rungs.effects import Effect
from tests.market import make_bars

NAN = float("nan")


def stepwise(p: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Adjusted p: the smallest times the first factor, and so on, never less than that of a smaller p."""
    order = np.argsort(p.ravel())
    out = np.empty(p.size)
    out[order] = np.minimum(np.maximum.accumulate(p.ravel()[order] * factors), 1)
    return out.reshape(p.shape)


def test_without_a_second_rung_the_first_is_that_of_bonferroni():
    # A second p of 1 never passes its share on, so nothing is won by rejecting a first.
    p = np.array([[0.001, 0.02, 0.4], [0.011, 0.3, 0.9]])
    first, second = chained_q(p, np.ones((2, 3)))
    assert first == pytest.approx(stepwise(p, np.full(6, 6)))
    assert np.all(second == 1)


def test_with_a_second_rung_as_small_as_the_first_the_shares_go_round_as_in_holm():
    p = np.array([[0.001, 0.02, 0.4], [0.011, 0.3, 0.9]])
    first, second = chained_q(p, p)
    assert first == pytest.approx(stepwise(p, np.arange(6, 0, -1)))
    assert second == pytest.approx(first)


def test_chains_of_two_as_computed_by_hand():
    # Shares are 1/2 each. First of A: .01 / .5 = .02, second of A: .02 / .5 = .04, which frees the whole level for B:
    # first of B: .04 / 1, no less than .04 before, second of B: .5 / 1.
    first, second = chained_q(np.array([0.01, 0.04]), np.array([0.02, 0.5]))
    assert first == pytest.approx([0.02, 0.04])
    assert second == pytest.approx([0.04, 0.5])
    # The second of A is large: B keeps its half, 2 * .04, and 2 * .5 comes before the second of A, which has .9 of the whole.
    first, second = chained_q(np.array([0.01, 0.04]), np.array([0.9, 0.3]))
    assert first == pytest.approx([0.02, 0.08])
    assert second == pytest.approx([0.9, 0.6])


def test_the_second_rung_has_the_larger_p_of_both():
    first, second = chained_q(np.array([0.03]), np.array([0.001]))
    assert first == second == pytest.approx([0.03])


def test_what_is_not_known_is_left_out_and_an_unknown_second_counts_as_one():
    known, _ = chained_q(np.array([0.01, 0.04]), np.ones(2))
    first, second = chained_q(np.array([0.01, NAN, 0.04]), np.array([1.0, 0.001, NAN]))
    assert first[[0, 2]] == pytest.approx(known)
    assert np.isnan([first[1], second[1]]).all()
    assert second[2] == 1
    nothing = chained_q(np.full((2, 2), NAN), np.full((2, 2), NAN))
    assert all(np.isnan(q).all() and q.shape == (2, 2) for q in nothing)


def test_q_is_never_below_p_and_the_second_never_below_the_first():
    rng = np.random.default_rng(4)
    for _ in range(20):
        one, two = rng.uniform(size=(2, 3, 4)) ** 3
        first, second = chained_q(one, two)
        assert np.all(first >= one - 1e-12)
        assert np.all(second >= np.maximum(one, two) - 1e-12)
        assert np.all(second >= first - 1e-12)
        assert max(first.max(), second.max()) <= 1


def test_any_false_rejection_over_both_rungs_is_as_rare_as_promised():
    # Everything is null, and both rungs of a test are nearly the same: the hardest case.
    rng, n_false = np.random.default_rng(7), 0
    for _ in range(2_000):
        one = rng.uniform(size=6)
        first, second = chained_q(one, np.clip(one + rng.normal(0, 0.001, 6), 0, 1))
        n_false += min(first.min(), second.min()) <= 0.05
    assert n_false / 2_000 < 0.065
    assert n_false / 2_000 > 0.03


def controls(effect, error=0.1, state=0.0, profile=(0.0, 0.0, 0.0, 0.0), families=10):
    """Effects of controls at one horizon, in families of equal size."""
    effect = np.atleast_1d(np.asarray(effect, float))
    error, state = np.broadcast_to(error, effect.shape), np.broadcast_to(state, effect.shape)
    return [
        (f"family {i % families}", Effect(e[None], s[None], (e / s)[None], at[None], np.array(profile), 50, 50, 0))
        for i, (e, s, at) in enumerate(zip(effect, error, state, strict=True))
    ]


def test_bias_is_learned_from_the_circumstances_of_the_alerts():
    rng = np.random.default_rng(1)
    state = np.linspace(-3, 3, 400)
    bias = 0.1 * np.tanh(state) + 0.06 * state**2 / (state**2 + 0.1)
    found = calibrate(controls(bias + 0.05 * rng.normal(size=400), 0.05, state), 0)
    assert found.n == 400
    assert found.coefficients[:2] == pytest.approx([0.1, 0.06], abs=0.01)
    loud, usual, quiet = (found.at(controls([0.01], 0.05, at)[0][1], 0) for at in (2.0, 0.0, -2.0))
    assert loud[0] == pytest.approx(0.1 * np.tanh(2) + 0.06 * 4 / 4.1, abs=0.02)
    assert usual[0] == 0
    assert quiet[0] < 0 < loud[0]
    assert usual[1] == pytest.approx(1, abs=0.1)


def test_what_the_sampling_errors_do_not_explain_widens_every_interval():
    rng = np.random.default_rng(2)
    honest = calibrate(controls(0.05 * rng.normal(size=60), 0.05), 0)
    assert honest.at(controls([0.01], 0.05)[0][1], 0)[1] < 1.25
    # The controls differ by .12 more than their errors say.
    wide = calibrate(controls(0.13 * rng.normal(size=60), 0.05), 0)
    assert wide.systematic == pytest.approx(0.12, abs=0.05)
    assert wide.at(controls([0.01], 0.05)[0][1], 0)[1] == pytest.approx(2.6, abs=0.7)
    # The systematic error matters little to a detector with few alerts and a large error.
    assert wide.at(controls([0.01], 0.5)[0][1], 0)[1] < 1.15


def test_a_family_that_the_others_do_not_foretell_widens_the_intervals():
    rng = np.random.default_rng(3)
    effect = 0.05 * rng.normal(size=40)
    effect[::10] += 0.4
    odd = calibrate(controls(effect, 0.05), 0)
    assert odd.excess > 1.2
    assert calibrate(controls(0.05 * rng.normal(size=40), 0.05), 0).excess < 1.3


def test_the_likelihood_is_that_of_the_covariance_of_the_effects():
    rng = np.random.default_rng(4)
    x, error = rng.normal(size=(30, 4)), rng.uniform(0.02, 0.2, 30)
    effect = x @ [0.1, 0.0, -0.05, 0.02] + error * rng.normal(size=30) + 0.06 * rng.normal(size=30)
    masks = np.array([np.arange(30) >= 6, np.ones(30, bool)])
    found = zip(masks, *_fits(effect, error, x, masks), strict=True)
    for used, coefficients, covariance, systematic in found:
        inputs, effects, errors, n = x[used], effect[used], error[used], int(used.sum())
        surprise = [
            -multivariate_normal(np.zeros(n), np.diag(t**2 + errors**2) + PRIOR**2 * inputs @ inputs.T).logpdf(effects)
            for t in SYSTEMATIC
        ]
        assert systematic == SYSTEMATIC[int(np.argmin(surprise))]
        total = np.diag(systematic**2 + errors**2) + PRIOR**2 * inputs @ inputs.T
        assert coefficients == pytest.approx(PRIOR**2 * inputs.T @ np.linalg.solve(total, effects))
        assert covariance == pytest.approx(PRIOR**2 * np.eye(4) - PRIOR**4 * inputs.T @ np.linalg.solve(total, inputs))


def test_too_few_controls_calibrate_nothing_and_unknown_ones_do_not_count():
    enough = controls(np.full(LEAST_CONTROLS, 0.1))
    assert calibrate(enough, 0).n == LEAST_CONTROLS
    assert not np.isnan(calibrate(enough, 0).excess)
    few = calibrate([*enough[1:], *controls([NAN])], 0)
    assert few.n == LEAST_CONTROLS - 1
    assert np.isnan(few.at(enough[0][1], 0)).all()


def alerts(*rows: int) -> np.ndarray:
    out = np.zeros((20, 1), bool)
    out[list(rows)] = True
    return out


def test_overlap_is_the_smaller_share_that_the_other_raises_within_a_row():
    assert overlap(alerts(3, 9), alerts(3, 9)) == 1
    assert overlap(alerts(3, 9), alerts(4, 8)) == 1
    assert overlap(alerts(3, 9), alerts(5, 11)) == 0
    # One of two, one of four.
    assert overlap(alerts(3, 9), alerts(3, 6, 12, 15)) == 0.25
    assert overlap(alerts(3, 6, 12, 15), alerts(3, 9)) == 0.25
    assert overlap(alerts(), alerts(3)) == overlap(alerts(3), alerts()) == 0


def test_overlap_does_not_cross_symbols_or_the_ends():
    one, other = np.zeros((20, 2), bool), np.zeros((20, 2), bool)
    one[5, 0] = other[5, 1] = True
    assert overlap(one, other) == 0
    assert overlap(alerts(0), alerts(19)) == 0


@pytest.mark.parametrize(("rate", "n_bars"), [(0.0, 3_500), (0.0, 500), (0.002, 3_500), (0.5, 3_500)])
def test_the_rule_of_the_controls_fits_the_history_however_rare_the_alerts(rate, n_bars):
    bars = make_bars(n_bars, 1)
    rule = rolling_rule(rate, bars)
    scores = Scores(bars.time, bars.symbols, np.abs(bars.returns()), bars.interval)
    assert scores.signals(rule).alert_rate > 0
    if rate == 0.002:
        assert rule.q == 0.998
