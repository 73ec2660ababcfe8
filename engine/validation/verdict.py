"""The verdict on a detector: one label, from the deciding test at both rungs and the raw moves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from foreshock.data.show.facts import Shown
from foreshock.engine.validation.moves.forward import ForwardMoves
from foreshock.engine.validation.rungs.result import LEVEL, RUNGS, Found

ADDS = "adds information"
VOLUME_TELLS = "volume tells"
CALMER = "calmer than expected"
ECHOES = "echoes volatility"
NOTHING = "no information"
TOO_FEW = "too few events"
LOOKS_AHEAD = "looks ahead"
CANDIDATE = "candidate: "
# The order of strength.
LABELS = (
    *(ADDS, VOLUME_TELLS, CALMER),
    *(CANDIDATE + label for label in (ADDS, VOLUME_TELLS, CALMER)),
    *(ECHOES, NOTHING, TOO_FEW, LOOKS_AHEAD),
)
FINDINGS = (ADDS, VOLUME_TELLS, CALMER)


@dataclass(frozen=True, repr=False)
class Verdict(Shown):
    """A label and the sentence that explains it.

    Parameters
    ----------
    label : str
        ``adds information``, ``volume tells``, ``calmer than expected``, ``echoes volatility``, ``no information``, ``too few
        events``, ``looks ahead`` where scores change with later bars, or ``candidate:`` and one of the first three where the test
        could not be calibrated, or saw no volumes.
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
    """Result of the surrogate test for one detector at one horizon: the second opinion.

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
    rungs: Mapping[str, Mapping[str, Found]],
    surrogates: Mapping[str, Surrogate] | None = None,
    needed: str = "",
) -> Verdict:
    """The verdict on one detector: the first label of this order that holds at any horizon.

    *Adds information*: activity after alerts is larger than both forecasts expect, the one that sees past prices and the one that
    also sees volumes. *Volume tells*: larger than the first expects, not larger than the second. *Calmer than expected*: smaller
    than the first expects. All three need an adjusted p of at most 5 % over all detectors, horizons and rungs. *Echoes
    volatility*: the raw moves are larger, and the forecast explains it. *No information*: they are not, or the forecast knows where
    the alerts are, as it does of a clock's. *Too few events*: fewer
    than eight alerts could be followed at any horizon. Where the test could not be calibrated, a finding is a *candidate*; where no
    volumes are known, *adds information* is.

    Parameters
    ----------
    forward : ForwardMoves
        Moves after the alerts of the detector.
    rungs : dict of str to dict of str to Found
        Results of the deciding test, by rung and horizon; without the second rung the first stands for both.
    surrogates : dict of str to Surrogate, optional
        Second opinion by horizon; it never changes the label, and the sentence says where it disagrees.
    needed : str
        A sentence that says how many alerts would do.
    """
    prices = rungs[RUNGS[0]]
    volumes = rungs.get(RUNGS[1], prices)
    tested = [name for name, found in prices.items() if not np.isnan(found.z_raw)]
    if not tested:
        most = max(prices, key=lambda name: prices[name].n_events)
        reason = prices[most].reason or "no alert could be held against a forecast"
        if any(found.settled for found in prices.values()):
            return Verdict(NOTHING, most, f"Over {most}, {reason}.")
        return Verdict(TOO_FEW, most, f"Over {most}, {reason}.{' ' + needed if needed else ''}")
    calibrated = [name for name in tested if not np.isnan(prices[name].z)]
    level = LEVEL if calibrated else LEVEL / len(tested)
    groups: dict[str, list[tuple[float, str]]] = {label: [] for label in FINDINGS}
    for name in calibrated or tested:
        first, second = ((_p(found[name], bool(calibrated)), _z(found[name], bool(calibrated))) for found in (prices, volumes))
        if first[0] > level:
            continue
        if first[1] < 0:
            groups[CALMER].append((first[0], name))
        elif second[0] <= level and second[1] > 0:
            groups[ADDS].append((second[0], name))
        else:
            groups[VOLUME_TELLS].append((first[0], name))
    for label in FINDINGS:
        if groups[label]:
            name = min(groups[label])[1]
            says = _sentence(forward, rungs, name, label)
            if calibrated and label == ADDS and RUNGS[1] not in rungs:
                return Verdict(CANDIDATE + label, name, says + _second_opinion(label, name, surrogates))
            if calibrated:
                return Verdict(label, name, says + _second_opinion(label, name, surrogates))
            return Verdict(CANDIDATE + label, name, f"{says} The test is not calibrated: {prices[name].reason}.")
    by_q = sorted(tested, key=lambda name: (np.nan_to_num(_p(prices[name], bool(calibrated)), nan=2.0), tested.index(name)))
    louder = [name for name in by_q if forward[name].abs_move_ratio_ci[0] > 1]
    label, name = (ECHOES, louder[0]) if louder else (NOTHING, by_q[0])
    return Verdict(label, name, _sentence(forward, rungs, name, label) + _second_opinion(label, name, surrogates))


def looks_ahead(verdict: Verdict, leak: str) -> Verdict:
    """The verdict on a detector whose earlier scores change with later bars, instead of the one that its figures would have had."""
    says = f"Scores of earlier bars change with {leak}: the detector sees later bars, so its figures are no evidence of anything."
    return Verdict(LOOKS_AHEAD, verdict.horizon, says)


def _p(found: Found, calibrated: bool) -> float:
    p = found.q if calibrated else float(2 * stats.norm.sf(abs(found.z_raw)))
    return 1.0 if np.isnan(p) else p


def _z(found: Found, calibrated: bool) -> float:
    return found.z if calibrated else found.z_raw


CONCLUSIONS = {
    ADDS: "more than either forecast expects",
    VOLUME_TELLS: "more than past prices tell, and volume alone would have told it",
    CALMER: "calmer than past prices lead one to expect",
    ECHOES: "no clear excess over what past prices tell, so an echo",
    NOTHING: "nothing to act on",
}


def _sentence(forward: ForwardMoves, rungs: Mapping[str, Mapping[str, Found]], name: str, label: str) -> str:
    first = rungs[RUNGS[0]][name]
    parts = [
        f"After an alert the next {name} move {forward[name].abs_move_ratio:.2f} times as much as usual, and are "
        f"{first.ratio:.2f} times as active ({first.ci[0]:.2f} to {first.ci[1]:.2f}) as past prices lead one to expect"
    ]
    if RUNGS[1] in rungs:
        second = rungs[RUNGS[1]][name]
        parts.append(f", {second.ratio:.2f} times ({second.ci[0]:.2f} to {second.ci[1]:.2f}) given volumes too")
    conclusion = CONCLUSIONS[label]
    if label == ADDS and RUNGS[1] not in rungs:
        conclusion = "more than past prices tell; no volumes that vary are known, so there is no second forecast"
    if label in (ECHOES, NOTHING) and first.p <= LEVEL < first.q:
        conclusion = f"no more than chance allows among all tests (q {first.q:.2f})"
    shown = "" if np.isnan(first.detectable) else f" A ratio of {first.detectable:.2f} could have been shown."
    return f"{''.join(parts)}: {conclusion}.{shown}"


def _second_opinion(label: str, name: str, surrogates: Mapping[str, Surrogate] | None) -> str:
    """A sentence where the surrogate histories see it otherwise; they are one-sided, so they say nothing about calm."""
    if surrogates is None or label == CALMER or name not in surrogates or np.isnan(surrogates[name].q):
        return ""
    found = surrogates[name]
    if (found.q <= LEVEL) == (label in FINDINGS):
        return ""
    sees = "show as much" if label in FINDINGS else "do not show as much"
    return (
        f" The second opinion disagrees: histories of volatility alone {sees} "
        f"({found.n_above} of {found.n_surrogates}, q {found.q:.2f})."
    )
