"""The verdict on a detector, from its forward moves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.validation.forward import ForwardMoves, HorizonMoves

ADDS = "adds information"
ECHOES = "echoes volatility"
NOTHING = "no information"
TOO_FEW = "too few events"
MIN_EVENTS = 30
# Alerts of several symbols at one moment, or within one horizon, are one observation; an interval needs ten.
MIN_EFFECTIVE = 10
LEVEL = 0.05


@dataclass(frozen=True)
class Verdict:
    """A label and the sentence that says why.

    Parameters
    ----------
    label : str
        ``adds information``, ``echoes volatility``, ``no information`` or ``too few events``.
    horizon : str
        The horizon that the sentence speaks of: the one with the smallest q.
    sentence : str
    """

    label: str
    horizon: str
    sentence: str


def decide(forward: ForwardMoves, q_values: dict[str, float]) -> Verdict:
    """Verdict by the volatility-matched interval, held against q over all the tests of the study.

    *Adds information* needs, at one horizon, a matched interval above 1 and q below 5 %. *Echoes volatility*: moves after alerts
    are larger than usual, but not larger than their volatility led one to expect. *Too few events*: at no horizon 30 events, 10 of
    them a horizon apart, and a matched interval.

    On simulated GARCH histories without information (8 symbols, 1 and 4 years of hours, five detectors, three horizons) 3 and 4 %
    of the matched intervals lie above 1, and 0 and 1 % of the detectors are said to add information. Real volatility may follow a
    law that the forecast fits less well, so *adds information* means a candidate.

    Parameters
    ----------
    forward : ForwardMoves
    q_values : dict of str to float
        Benjamini-Hochberg q of ``p_matched``, by horizon.
    """
    by_q = sorted(forward.horizons.values(), key=lambda m: (np.nan_to_num(q_values[m.horizon], nan=2.0), m.horizon))
    counted = [m for m in by_q if m.n_events >= MIN_EVENTS and m.n_effective >= MIN_EFFECTIVE]
    enough = [m for m in counted if not np.isnan(m.ci).any()]
    if not counted:
        most = max(by_q, key=lambda m: (m.n_effective, m.n_events))
        sentence = (
            f"{most.n_events} alerts could be followed over {most.horizon}, {most.n_effective} of them a horizon apart; "
            f"{MIN_EVENTS} and {MIN_EFFECTIVE} are needed to judge."
        )
        return Verdict(TOO_FEW, most.horizon, sentence)
    if not enough:
        shown = counted[0]
        sentence = (
            f"{shown.n_events} alerts could be followed over {shown.horizon}, but too few other rows with moves are known "
            f"to compare them with."
        )
        return Verdict(TOO_FEW, shown.horizon, sentence)
    adding = [m for m in enough if m.ci[0] > 1 and q_values[m.horizon] < LEVEL]
    louder = [m for m in enough if m.abs_move_ratio_ci[0] > 1]
    if adding:
        return Verdict(ADDS, adding[0].horizon, _sentence(adding[0], "more than its volatility explains"))
    if louder:
        # An interval above 1 among many tests happens by chance: then q decides, and the sentence says so.
        q = q_values[louder[0].horizon]
        shown = "unknown" if np.isnan(q) else f"{q:.2f}"
        chance = f"no more than chance allows among all tests (q {shown}), so an echo"
        return Verdict(ECHOES, louder[0].horizon, _sentence(louder[0], chance if louder[0].ci[0] > 1 else "an echo"))
    return Verdict(NOTHING, enough[0].horizon, _sentence(enough[0], "nothing to act on"))


def _sentence(moves: HorizonMoves, conclusion: str) -> str:
    low, high = moves.ci
    return (
        f"After an alert the next {moves.horizon} move {moves.abs_move_ratio:.2f} times as much as usual; given the volatility "
        f"already visible, {moves.matched_ratio:.2f} times ({low:.2f} to {high:.2f}): {conclusion}."
    )
