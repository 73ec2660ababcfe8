"""Every branch of the verdict, label and sentence."""

from dataclasses import replace

import numpy as np
import pytest

from foreshock.engine.validation.moves.forward import ForwardMoves, HorizonMoves
from foreshock.engine.validation.rungs.result import Found
from foreshock.engine.validation.verdict import FINDINGS, LABELS, Surrogate, Verdict, decide

NAN = float("nan")
LOUD = HorizonMoves(
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
QUIET = replace(LOUD, abs_move_ratio=1.02, abs_move_ratio_ci=(0.9, 1.14))
BESIDE = (
    "After an alert the next 6h move 2.00 times as much as usual, "
    "and are 1.50 times as active (1.25 to 1.75) as past prices lead one to expect"
)


def found(q: float, z: float = 4.0, p: float | None = None, **changes: object) -> Found:
    """The deciding test at one rung and horizon: q, and the direction of z."""
    ratio, ci = (1.5, (1.25, 1.75)) if z > 0 else (0.7, (0.6, 0.8))
    made = Found(200, ratio, ci, z, z, q / 6 if p is None else p, q, 0.2, 1.1, 0.5, 1.31, (1.4, 1.6), (2.0, 2.5))
    return replace(made, **changes)  # pyright: ignore[reportArgumentType]


def raw(z_raw: float, reason: str = "9 negative controls have enough alerts; 10 are needed") -> Found:
    """A test that could not be calibrated."""
    return replace(found(NAN, z_raw), p=NAN, z=NAN, bias=NAN, spread=NAN, reason=reason)


def judged(*first: Found, second: Found | tuple[Found, ...] | None = None, moves: HorizonMoves = LOUD, **more: object) -> Verdict:
    """The verdict on tests at 6h (and 24h); without ``second`` there is one rung."""
    names = ("6h", "24h")[: len(first)]
    forward = ForwardMoves({name: replace(moves, horizon=name) for name in names}, delay=1)
    rungs = {"volatility": dict(zip(names, first, strict=True))}
    if second is not None:
        rungs["volume"] = dict(zip(names, (second,) if isinstance(second, Found) else second, strict=True))
    return decide(forward, rungs, **more)  # pyright: ignore[reportArgumentType]


def test_more_than_both_forecasts_expect_adds_information():
    said = judged(found(0.01), second=found(0.02))
    assert (said.label, said.horizon) == ("adds information", "6h")
    assert said.sentence == (
        f"{BESIDE}, 1.50 times (1.25 to 1.75) given volumes too: more than either forecast expects. "
        "A ratio of 1.31 could have been shown."
    )


def test_without_volumes_there_is_one_forecast_and_information_is_a_candidate():
    said = judged(found(0.01))
    assert said.label == "candidate: adds information"
    assert "given volumes" not in said.sentence
    assert "no volumes that vary are known, so there is no second forecast" in said.sentence


@pytest.mark.parametrize("second", [found(0.0501), found(0.9), found(NAN), found(0.001, z=-4.0)])
def test_what_the_forecast_with_volumes_does_not_confirm_is_told_by_volume(second):
    said = judged(found(0.01), second=second)
    assert said.label == "volume tells"
    assert "more than past prices tell, and volume alone would have told it" in said.sentence


def test_smaller_than_the_first_forecast_expects_is_calmer_whatever_the_second_says():
    for second in (found(0.9, z=-1.0), found(0.01, z=-4.0), None):
        said = judged(found(0.01, z=-4.0), second=second)
        assert said.label == "calmer than expected"
        assert "are 0.70 times as active (0.60 to 0.80) as past prices lead one to expect" in said.sentence
        assert "calmer than past prices lead one to expect. A ratio" in said.sentence


@pytest.mark.parametrize(("q", "label"), [(0.05, "adds information"), (0.0501, "echoes volatility"), (NAN, "echoes volatility")])
def test_five_percent_is_the_level_of_both_rungs(q, label):
    assert judged(found(q), second=found(0.001)).label == label
    assert judged(found(0.001), second=found(q)).label == ("adds information" if q == 0.05 else "volume tells")


def test_a_small_q_of_the_second_rung_alone_is_nothing():
    assert judged(found(0.2), second=found(0.001)).label == "echoes volatility"


def test_larger_raw_moves_that_the_forecast_explains_are_an_echo():
    said = judged(found(0.6, p=0.3), second=found(0.9))
    assert (said.label, said.horizon) == ("echoes volatility", "6h")
    assert said.sentence.endswith("no clear excess over what past prices tell, so an echo. A ratio of 1.31 could have been shown.")


def test_what_is_small_alone_but_not_among_all_tests_is_said_to_be_chance():
    said = judged(found(0.2, p=0.02), second=found(0.9))
    assert said.label == "echoes volatility"
    assert "no more than chance allows among all tests (q 0.20)." in said.sentence
    assert "so an echo" not in said.sentence
    assert "no more than chance allows" in judged(found(0.2, p=0.02), moves=QUIET).sentence


def test_raw_moves_no_larger_than_usual_are_no_information():
    said = judged(found(0.6, p=0.3), moves=QUIET)
    assert said.label == "no information"
    assert said.sentence.startswith("After an alert the next 6h move 1.02 times as much as usual, and are 1.50 times as active")
    assert ": nothing to act on." in said.sentence
    # The interval must lie above 1, not touch it.
    assert judged(found(0.6, p=0.3), moves=replace(QUIET, abs_move_ratio_ci=(1.0, 1.3))).label == "no information"


def test_the_strongest_label_at_any_horizon_is_the_verdict():
    adds, tells, calm, echo = (
        (found(0.01), found(0.02)),
        (found(0.001), found(0.3)),
        (found(0.0001, z=-4.0), found(0.9)),
        (found(0.5), found(0.9)),
    )
    for strong, weak, label in (
        (adds, tells, "adds information"),
        (adds, calm, "adds information"),
        (tells, calm, "volume tells"),
        (calm, echo, "calmer than expected"),
    ):
        for order in ((strong, weak), (weak, strong)):
            said = judged(*(pair[0] for pair in order), second=tuple(pair[1] for pair in order))
            assert (said.label, said.horizon) == (label, ("6h", "24h")[order.index(strong)])


def test_among_horizons_of_one_label_the_smallest_q_is_shown():
    assert judged(found(0.02), found(0.01), second=(found(0.9), found(0.9))).horizon == "24h"
    assert judged(found(0.01), found(0.02), second=(found(0.9), found(0.9))).horizon == "6h"
    # Information is added beyond both, so the q of the second rung counts.
    assert judged(found(0.01), found(0.011), second=(found(0.04), found(0.02))).horizon == "24h"
    assert judged(found(0.9), found(0.3)).horizon == "24h"
    assert judged(found(NAN), found(0.9)).horizon == "24h"


def test_a_test_that_could_not_be_calibrated_yields_candidates():
    said = judged(raw(3.0), second=raw(3.0))
    assert said.label == "candidate: adds information"
    assert said.sentence.endswith("The test is not calibrated: 9 negative controls have enough alerts; 10 are needed.")
    assert judged(raw(3.0), second=raw(0.5)).label == "candidate: volume tells"
    assert judged(raw(3.0), second=raw(-3.0)).label == "candidate: volume tells"
    assert judged(raw(-3.0), second=raw(0.1)).label == "candidate: calmer than expected"
    assert judged(raw(1.0), second=raw(3.0)).label == "echoes volatility"
    assert judged(raw(1.0), moves=QUIET).label == "no information"


def test_candidates_of_several_horizons_share_the_level():
    # Two-sided p of 2.1 is .036: enough alone, not for one of two.
    assert judged(raw(2.1)).label == "candidate: adds information"
    assert judged(raw(2.1), raw(0.1)).label == "echoes volatility"
    assert judged(raw(2.3), raw(0.1)).label == "candidate: adds information"


def test_a_calibrated_horizon_is_not_overruled_by_one_that_is_not():
    said = judged(raw(6.0), found(0.9))
    assert said.label == "echoes volatility"


def test_too_few_events_say_how_many_there_are_and_would_do():
    few = {"z_raw": NAN, "z": NAN, "p": NAN}
    hour = found(NAN, **few, n_events=5, reason="5 alerts could be held against a forecast; 8 are needed")
    day = found(NAN, **few, n_events=3, reason="3 alerts could be held against a forecast; 8 are needed")
    said = judged(day, hour, needed="33 alerts would show a ratio of 1.5 four times in five, about 900 days at the present rate.")
    assert (said.label, said.horizon) == ("too few events", "24h")
    assert said.sentence == (
        "Over 24h, 5 alerts could be held against a forecast; 8 are needed. "
        "33 alerts would show a ratio of 1.5 four times in five, about 900 days at the present rate."
    )
    assert judged(hour).sentence == "Over 6h, 5 alerts could be held against a forecast; 8 are needed."
    assert judged(replace(hour, n_events=0, reason="")).sentence == "Over 6h, no alert could be held against a forecast."
    # A horizon with too few events does not outvote one with enough.
    assert judged(hour, found(0.01)).label == "candidate: adds information"


def test_a_clock_has_no_information_and_the_reason_is_told():
    reason = "the hour and the recent past settle where the 162 alerts are, so they know nothing else"
    said = judged(found(NAN, z_raw=NAN, z=NAN, p=NAN, n_events=0, reason=reason, settled=True), needed="74 alerts would do.")
    assert said.label == "no information"
    assert said.sentence == f"Over 6h, {reason}."


def surrogate(q: float, n_above: int = 0) -> dict[str, Surrogate]:
    return {"6h": Surrogate(q / 3, q, 0.1, (0.0, 0.2), 190, n_above, 199)}


def test_the_second_opinion_is_told_where_it_disagrees_and_never_changes_the_label():
    said = judged(found(0.01), second=found(0.01), surrogates=surrogate(0.6, 40))
    assert said.label == "adds information"
    assert said.sentence.endswith(" The second opinion disagrees: histories of volatility alone show as much (40 of 199, q 0.60).")
    said = judged(found(0.6, p=0.3), surrogates=surrogate(0.01, 1))
    assert said.label == "echoes volatility"
    assert said.sentence.endswith(
        " The second opinion disagrees: histories of volatility alone do not show as much (1 of 199, q 0.01)."
    )
    assert "second opinion" in judged(found(0.6, p=0.3), moves=QUIET, surrogates=surrogate(0.05)).sentence


@pytest.mark.parametrize(
    ("test", "opinion"),
    [
        (found(0.01), surrogate(0.01)),
        (found(0.6), surrogate(0.6)),
        (found(0.6), surrogate(NAN)),
        (found(0.01), None),
        (found(0.01), {}),
        # Surrogates are one-sided, so they say nothing about calm.
        (found(0.01, z=-4.0), surrogate(0.9)),
    ],
)
def test_a_second_opinion_that_agrees_or_cannot_tell_is_not_mentioned(test, opinion):
    assert "second opinion" not in judged(test, surrogates=opinion).sentence


def test_labels_are_in_order_of_strength_and_every_finding_has_a_candidate():
    assert LABELS[:3] == FINDINGS
    assert LABELS[3:6] == tuple(f"candidate: {label}" for label in FINDINGS)
    assert LABELS[6:] == ("echoes volatility", "no information", "too few events", "looks ahead")


def test_no_sentence_prints_a_number_that_is_not_known():
    unknown = found(0.4, detectable=NAN)
    assert "could have been shown" not in judged(unknown).sentence
    for said in (
        judged(unknown),
        judged(raw(3.0)),
        judged(found(NAN, z_raw=NAN, reason="0 alerts could be held against a forecast; 8 are needed")),
    ):
        assert "nan" not in said.sentence
    assert np.isnan(raw(3.0).q)
