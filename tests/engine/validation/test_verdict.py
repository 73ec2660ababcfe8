"""Every branch of the verdict, label and sentence."""

from dataclasses import replace

import numpy as np
import pytest

from foreshock.engine.scores import Signals
from foreshock.engine.validation.moves.forward import ForwardMoves, HorizonMoves, forward_moves
from foreshock.engine.validation.verdict import Surrogate, decide
from tests.market import make_bars

NAN = float("nan")
ADDING = HorizonMoves(
    horizon="6h",
    n_events=200,
    n_others=9_000,
    n_effective=120,
    event_move=0.03,
    other_move=0.015,
    matched_move=0.02,
    event_signed=0.0,
    other_signed=0.0,
    abs_move_ratio=2.0,
    abs_move_ratio_ci=(1.7, 2.3),
    path_ratio=1.9,
    variance_ratio=3.8,
    matched_ratio=1.5,
    ci=(1.25, 1.75),
    p_naive=1e-9,
    p_hac=1e-6,
    p_matched=1e-4,
)
ECHO = replace(ADDING, matched_ratio=1.04, ci=(0.95, 1.13), p_matched=0.4)
NOTHING = replace(ECHO, abs_move_ratio=1.02, abs_move_ratio_ci=(0.9, 1.14))


def verdict(*horizons: HorizonMoves, q: tuple[float, ...] = (0.001,)):
    moves = ForwardMoves({m.horizon: m for m in horizons}, delay=1)
    return decide(moves, dict(zip(moves.horizons, q, strict=True)))


def test_a_matched_interval_above_one_with_a_small_q_adds_information():
    found = verdict(ADDING)
    assert (found.label, found.horizon) == ("adds information", "6h")
    assert found.sentence == (
        "After an alert the next 6h move 2.00 times as much as usual; given the volatility already visible, "
        "1.50 times (1.25 to 1.75): more than its volatility explains."
    )


@pytest.mark.parametrize("q", [0.0501, 0.3, NAN])
def test_without_a_small_q_larger_moves_are_an_echo(q):
    found = verdict(ADDING, q=(q,))
    assert found.label == "echoes volatility"
    shown = "unknown" if np.isnan(q) else f"{q:.2f}"
    expected = f"1.50 times (1.25 to 1.75): no more than chance allows among all tests (q {shown}), so an echo."
    assert found.sentence.endswith(expected)


def test_a_small_q_alone_adds_nothing():
    # The interval reaches down to 1.
    assert verdict(replace(ADDING, ci=(1.0, 1.6)), q=(0.001,)).label == "echoes volatility"


def test_calmer_than_expected_is_no_added_information_whatever_its_q():
    calmer = replace(ADDING, matched_ratio=0.7, ci=(0.6, 0.8))
    assert verdict(calmer, q=(1e-6,)).label == "echoes volatility"
    assert verdict(replace(calmer, abs_move_ratio_ci=(0.8, 1.1)), q=(1e-6,)).label == "no information"


def test_moves_no_larger_than_usual_are_no_information():
    found = verdict(NOTHING, q=(0.6,))
    assert (found.label, found.horizon) == ("no information", "6h")
    assert found.sentence == (
        "After an alert the next 6h move 1.02 times as much as usual; given the volatility already visible, "
        "1.04 times (0.95 to 1.13): nothing to act on."
    )


def test_the_verdict_speaks_of_the_horizon_with_the_smallest_q():
    day = replace(ADDING, horizon="24h", matched_ratio=1.3, ci=(1.1, 1.5))
    assert verdict(ADDING, day, q=(0.02, 0.01)).horizon == "24h"
    assert verdict(ADDING, day, q=(0.01, 0.02)).horizon == "6h"
    assert verdict(replace(NOTHING, horizon="1h"), NOTHING, q=(NAN, 0.9)).horizon == "6h"


def test_one_adding_horizon_is_enough_and_is_the_one_shown():
    quiet = replace(NOTHING, horizon="1h")
    found = verdict(quiet, ADDING, q=(0.0001, 0.04))
    assert (found.label, found.horizon) == ("adds information", "6h")
    found = verdict(quiet, ECHO, q=(0.2, 0.9))
    assert (found.label, found.horizon) == ("echoes volatility", "6h")


@pytest.mark.parametrize(("n_events", "n_effective"), [(29, 29), (200, 9), (0, 0)])
def test_too_few_events_are_not_judged(n_events, n_effective):
    few = replace(ADDING, n_events=n_events, n_effective=n_effective)
    found = verdict(few)
    assert (found.label, found.horizon) == ("too few events", "6h")
    assert found.sentence == (
        f"{n_events} alerts could be followed over 6h, {n_effective} of them a horizon apart; 30 and 10 are needed to judge."
    )
    assert verdict(replace(ADDING, n_events=30, n_effective=10)).label == "adds information"


def test_a_horizon_with_too_few_events_does_not_outvote_one_with_enough():
    few = replace(ADDING, horizon="24h", n_events=12)
    found = verdict(few, NOTHING, q=(0.0001, 0.5))
    assert (found.label, found.horizon) == ("no information", "6h")


def test_the_sentence_on_too_few_events_shows_the_horizon_with_most():
    hour, day = replace(ADDING, horizon="1h", n_events=25, n_effective=20), replace(ADDING, n_events=22, n_effective=6)
    assert verdict(day, hour, q=(0.001, 0.5)).horizon == "1h"


def test_without_a_matched_interval_there_is_no_verdict_on_an_echo():
    found = verdict(replace(ADDING, matched_ratio=NAN, ci=(NAN, NAN), p_matched=NAN), q=(NAN,))
    assert found.label == "too few events"
    assert "200 alerts could be followed over 6h, but too few other rows" in found.sentence
    assert "nan" not in found.sentence


@pytest.mark.parametrize("active", ["never", "always"])
def test_alerts_never_or_always_are_too_few_to_judge(active):
    bars = make_bars(400, 2)
    chosen = np.full(bars.shape, active == "always")
    signals = Signals(bars.time, bars.symbols, chosen, np.zeros(bars.shape), np.ones(bars.shape, dtype=bool), bars.interval)
    found = decide(forward_moves(bars, signals, ["1h", "6h"], n_bootstrap=49), {"1h": NAN, "6h": NAN})
    assert found.label == "too few events"
    assert "nan" not in found.sentence


def judged(moves: HorizonMoves, p: float, q: float, n_tested: int = 200):
    above = 0 if np.isnan(p) else round(200 * p) - 1
    surrogate = {moves.horizon: Surrogate(p, q, 0.1, (0.0, 0.2), n_tested, above, 199)}
    return decide(ForwardMoves({moves.horizon: moves}, delay=1), {moves.horizon: 1e-9}, surrogate)


def test_with_surrogates_they_decide_alone():
    found = judged(replace(ADDING, ci=(0.9, 1.2)), 0.005, 0.01)
    assert found.label == "adds information"
    assert found.sentence.endswith("none of 199 histories of volatility alone show as much: more than its volatility explains.")
    assert judged(ADDING, 0.05, 0.05).label == "adds information"
    assert "and 1 of 199 histories of volatility alone shows as much" in judged(ADDING, 0.01, 0.02).sentence
    # Alerts in rows whose controls are unknown, as behind a gap, prove nothing.
    assert judged(ADDING, 0.005, 0.01, n_tested=29).label == "too few events"
    assert judged(ADDING, 0.2, 0.6).label == "echoes volatility"
    assert judged(NOTHING, 0.2, 0.6).label == "no information"
    by_chance = judged(ADDING, 0.02, 0.2)
    assert by_chance.label == "echoes volatility"
    assert "no more than chance allows among all tests (q 0.20), so an echo" in by_chance.sentence
    unknown = judged(ADDING, NAN, NAN)
    assert unknown.label == "echoes volatility"
    assert "could not be compared" in unknown.sentence


def test_what_the_lesser_test_finds_is_not_tested_where_surrogates_were_wanted():
    moves = ForwardMoves({ADDING.horizon: ADDING}, delay=1)
    found = decide(moves, {ADDING.horizon: 1e-9}, None, "only 50 bars know all of A and B at once")
    assert found.label == "not tested"
    assert "surrogates could not be drawn (only 50 bars know all of A and B at once)" in found.sentence
    assert decide(moves, {ADDING.horizon: 0.9}, None, "too few bars").label == "echoes volatility"
