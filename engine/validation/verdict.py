"""The verdict on a detector, from forward moves and the surrogate test."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from foreshock.data.show.facts import Shown
from foreshock.engine.validation.moves.forward import ForwardMoves, HorizonMoves

ADDS = "adds information"
ECHOES = "echoes volatility"
NOTHING = "no information"
TOO_FEW = "too few events"
NOT_TESTED = "not tested"
MIN_EVENTS = 30
# Alerts of several symbols at one moment, or within one horizon, count as one observation; an interval needs ten.
MIN_EFFECTIVE = 10
LEVEL = 0.05


@dataclass(frozen=True, repr=False)
class Verdict(Shown):
    """A label and the sentence that explains it.

    Parameters
    ----------
    label : str
        ``adds information``, ``echoes volatility``, ``no information``, ``too few events`` or ``not tested``.
    horizon : str
        The horizon of the sentence: the one with the smallest q.
    sentence : str
        One sentence with the numbers behind the label.

    Examples
    --------
    >>> import foreshock as fs
    >>> fs.Verdict("no information", "6h", "After an alert the next 6h move as usual.").label
    'no information'
    """

    label: str
    horizon: str
    sentence: str

    def _facts(self) -> Iterator[str]:
        yield self.label
        yield f"at {self.horizon}"
        yield self.sentence


@dataclass(frozen=True)
class Surrogate:
    """Result of the surrogate test for one detector at one horizon.

    Parameters
    ----------
    p, q : float
        p of the test, and p adjusted for all tests of the study.
    excess : float
        Log ratio of activity after alerts, beyond that of the surrogates.
    ci : tuple of float
        95 % interval of ``excess``.
    n_events : int
        Alerts used by the test, those whose controls are known.
    n_above, n_surrogates : int
        Surrogate histories with at least the t of the data, and surrogate histories that have a t.
    """

    p: float
    q: float
    excess: float
    ci: tuple[float, float]
    n_events: int
    n_above: int
    n_surrogates: int


def decide(
    forward: ForwardMoves,
    q_values: Mapping[str, float],
    surrogates: Mapping[str, Surrogate] | None = None,
    why_none: str = "",
) -> Verdict:
    """The verdict on one detector.

    *Adds information*: at some horizon the p of the surrogate test, adjusted for every detector and horizon of the study, is at
    most 5 %. *Echoes volatility*: moves after alerts are larger than usual, but no larger than volatility explains. *No
    information*: they are not larger than usual. *Too few events*: no horizon has 30 events, 10 of them a horizon apart, and a
    matched interval.

    Without surrogates the volatility-matched ratio replaces the test: its interval must lie above 1 and its q be at most 5 %. This
    test is weaker: on simulated GARCH histories without information 3 to 4 % of its intervals lie above 1, and its forecast may fit
    real volatility less well. If surrogates were asked for but could not be drawn, it cannot find information: the verdict is then
    *not tested* instead of *adds information*.

    Parameters
    ----------
    forward : ForwardMoves
        Moves after the alerts of the detector.
    q_values : dict of str to float
        Benjamini-Hochberg q of ``p_matched``, by horizon.
    surrogates : dict of str to Surrogate, optional
        Results of the surrogate test, by horizon.
    why_none : str
        Why there are no surrogates, if they were asked for.
    """
    q_values = dict(q_values) if surrogates is None else {name: found.q for name, found in surrogates.items()}
    by_q = sorted(forward.horizons.values(), key=lambda m: (np.nan_to_num(q_values[m.horizon], nan=2.0), m.horizon))
    tested = {name: found.n_events for name, found in (surrogates or {}).items() if not np.isnan(found.p)}
    # The surrogate test can use only alerts whose controls are known, so it may have fewer.
    n_events = {m.horizon: min(m.n_events, tested.get(m.horizon, m.n_events)) for m in by_q}
    counted = [m for m in by_q if n_events[m.horizon] >= MIN_EVENTS and m.n_effective >= MIN_EFFECTIVE]
    enough = [m for m in counted if not np.isnan(m.ci).any()]
    if not counted:
        most = max(by_q, key=lambda m: (m.n_effective, n_events[m.horizon]))
        n = n_events[most.horizon]
        sentence = (
            f"{n} alerts could be followed over {most.horizon}, {min(most.n_effective, n)} of them a horizon apart; "
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
    decided = [m for m in enough if surrogates is None or not np.isnan(surrogates[m.horizon].p)]
    adding = [m for m in decided if q_values[m.horizon] <= LEVEL and (surrogates is not None or m.ci[0] > 1)]
    louder = [m for m in enough if m.abs_move_ratio_ci[0] > 1]
    if adding and why_none:
        return Verdict(NOT_TESTED, adding[0].horizon, _sentence(adding[0], f"surrogates could not be drawn ({why_none})", None))
    if adding:
        return Verdict(ADDS, adding[0].horizon, _sentence(adding[0], "more than its volatility explains", surrogates))
    if louder:
        # Among many tests a small p occurs by chance. In that case q decides, and the sentence says so.
        first = louder[0]
        q = q_values[first.horizon]
        small = first.ci[0] > 1 if surrogates is None else surrogates[first.horizon].p <= LEVEL
        shown = "unknown" if np.isnan(q) else f"{q:.2f}"
        chance = f"no more than chance allows among all tests (q {shown}), so an echo"
        return Verdict(ECHOES, first.horizon, _sentence(first, chance if small else "an echo", surrogates))
    return Verdict(NOTHING, enough[0].horizon, _sentence(enough[0], "nothing to act on", surrogates))


def _sentence(moves: HorizonMoves, conclusion: str, surrogates: Mapping[str, Surrogate] | None) -> str:
    low, high = moves.ci
    tested = "" if surrogates is None else _tested(surrogates[moves.horizon])
    return (
        f"After an alert the next {moves.horizon} move {moves.abs_move_ratio:.2f} times as much as usual; given the volatility "
        f"already visible, {moves.matched_ratio:.2f} times ({low:.2f} to {high:.2f}){tested}: {conclusion}."
    )


def _tested(found: Surrogate) -> str:
    if np.isnan(found.p):
        return ", and histories of volatility alone could not be compared"
    above = "none" if found.n_above == 0 else str(found.n_above)
    return f", and {above} of {found.n_surrogates} histories of volatility alone show{'s' if found.n_above == 1 else ''} as much"
