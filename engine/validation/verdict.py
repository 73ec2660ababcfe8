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
    are larger than usual, but not larger than their volatility led one to expect. Matching on a HAR forecast is known to be
    wrong in 16 to 31 % of histories without information, so this verdict is an upper bound on what a detector knows.

    Parameters
    ----------
    forward : ForwardMoves
    q_values : dict of str to float
        Benjamini-Hochberg q of ``p_matched``, by horizon.
    """
    by_q = sorted(forward.horizons.values(), key=lambda m: (np.nan_to_num(q_values[m.horizon], nan=2.0), m.horizon))
    enough = [moves for moves in by_q if moves.n_events >= MIN_EVENTS]
    if not enough:
        shown = by_q[0]
        sentence = f"Only {shown.n_events} alerts could be followed over {shown.horizon}; {MIN_EVENTS} are needed to judge."
        return Verdict(TOO_FEW, shown.horizon, sentence)
    adding = [m for m in enough if m.ci[0] > 1 and q_values[m.horizon] < LEVEL]
    louder = [m for m in enough if m.abs_move_ratio_ci[0] > 1]
    if adding:
        return Verdict(ADDS, adding[0].horizon, _sentence(adding[0], "more than its volatility explains"))
    if louder:
        return Verdict(ECHOES, louder[0].horizon, _sentence(louder[0], "an echo"))
    return Verdict(NOTHING, enough[0].horizon, _sentence(enough[0], "nothing to act on"))


def _sentence(moves: HorizonMoves, conclusion: str) -> str:
    low, high = moves.ci
    return (
        f"After an alert the next {moves.horizon} move {moves.abs_move_ratio:.2f} times as much as usual; given the volatility "
        f"already visible, {moves.matched_ratio:.2f} times ({low:.2f} to {high:.2f}): {conclusion}."
    )
