"""Calibration by negative controls, the overlap of alerts, and one multiplicity over both rungs."""

import numpy as np
import pytest

from foreshock.engine.scores import Scores
from foreshock.engine.validation.rungs.calibration import LEAST_CONTROLS, calibrate, chained_q, overlap, weight
from foreshock.engine.validation.rungs.controls import rolling_rule
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


def test_calibration_finds_a_bias_that_grows_with_the_state():
    rng = np.random.default_rng(1)
    state = np.linspace(0, 3, 400)
    found = calibrate(2.5 * weight(state) + rng.normal(size=400), state)
    assert found.bias == pytest.approx(2.5, abs=0.2)
    assert found.spread == pytest.approx(1, abs=0.1)
    assert found.n == 400
    assert found.bias_at(0.0) == 0
    assert found.bias_at(100.0) == pytest.approx(found.bias, rel=1e-3)
    # Half of the bias is there where the squared state is a tenth.
    assert found.bias_at(np.sqrt(0.1)) == pytest.approx(found.bias / 2)
    assert found.bias_at(-2.0) == found.bias_at(2.0)


def test_the_spread_is_that_of_the_rest_and_at_least_one():
    state = np.ones(12)
    rest = np.tile([1.5, -1.5], 6)
    found = calibrate(0.8 * weight(state) + rest, state)
    assert found.bias == pytest.approx(0.8)
    assert found.spread == pytest.approx(np.sqrt(12 * 1.5**2 / 11))
    assert calibrate(0.8 * weight(state) + rest / 10, state).spread == 1


def test_usual_states_have_no_bias_to_measure():
    found = calibrate(np.arange(12.0), np.zeros(12))
    assert found.bias == 0


def test_too_few_controls_calibrate_nothing_and_unknown_ones_do_not_count():
    z, state = np.ones(LEAST_CONTROLS), np.ones(LEAST_CONTROLS)
    assert calibrate(z, state).n == LEAST_CONTROLS
    assert not np.isnan(calibrate(z, state).spread)
    few = calibrate(np.append(z[1:], NAN), state)
    assert few.n == LEAST_CONTROLS - 1
    assert np.isnan([few.bias, few.spread]).all()


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
