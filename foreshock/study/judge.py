"""The verdict on every detector of a study, with the evidence for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from foreshock.data.bars import Bars
from foreshock.data.errors import DataError
from foreshock.engine.features.features import Features
from foreshock.engine.scores import Scores, Signals, Threshold
from foreshock.engine.validation.evidence.inference import Estimate
from foreshock.engine.validation.evidence.ladder import EvidenceTable, evidence_frame, horizon_evidence
from foreshock.engine.validation.judging import Judging
from foreshock.engine.validation.moves.forward import ForwardMoves, MoveTable
from foreshock.engine.validation.moves.lead_lag import LeadLag, lead_lag
from foreshock.engine.validation.rungs.result import RungTest
from foreshock.engine.validation.rungs.rungs import RungTable
from foreshock.engine.validation.selection.multiple import benjamini_hochberg
from foreshock.engine.validation.surrogates.histories import Surrogates, fit_surrogates
from foreshock.engine.validation.surrogates.significance import Rescorer, SurrogateTest, run_surrogate_test
from foreshock.engine.validation.verdict import Surrogate, Verdict, decide, looks_ahead
from foreshock.study.side_by_side import for_each

# Bars before and after an alert that the lead-lag analysis covers.
REACH_BARS = 24


@dataclass(frozen=True)
class Judgement:
    """Evidence and verdict of each detector, by label and, where it depends on the horizon, by horizon.

    Parameters
    ----------
    forward : dict of str to ForwardMoves
    q_matched : dict of str to dict of str to float
        Benjamini-Hochberg q of ``p_matched`` over all detectors and horizons.
    rungs : RungTest
        The deciding test: both forecasts, and the negative controls that calibrate it.
    surrogates : SurrogateTest or None
        The second opinion.
    why_none : str
        Why there is no second opinion; empty if there is one.
    evidence : dict of str to dict of str to DataFrame
        The tests from the naive one to the surrogate test; see ``foreshock.engine.validation.evidence.ladder``.
    lead_lag : dict of str to LeadLag
    verdicts : dict of str to Verdict
    table : MoveTable
        The forward moves that all tests use.
    rung_table : RungTable
        The forecasts and controls of the deciding test.
    """

    forward: dict[str, ForwardMoves]
    q_matched: dict[str, dict[str, float]]
    rungs: RungTest
    surrogates: SurrogateTest | None
    why_none: str
    evidence: dict[str, dict[str, pd.DataFrame]]
    lead_lag: dict[str, LeadLag]
    verdicts: dict[str, Verdict]
    table: MoveTable
    rung_table: RungTable

    def surrogate(self, label: str) -> dict[str, Surrogate] | None:
        """Result of the surrogate test for one detector, by horizon; None without a test."""
        return _by_horizon(self.surrogates, label)


def judge(
    bars: Bars,
    scores: Mapping[str, Scores],
    signals: Mapping[str, Signals],
    threshold: Threshold,
    setting: Judging,
    rescorers: Mapping[str, Rescorer],
    make_features: Callable[[Bars], Features] | None,
    step: Callable[[str], None] = lambda _: None,
    own_controls: Mapping[str, Signals] | None = None,
    marks: Mapping[str, np.ndarray] | None = None,
    within: np.ndarray | None = None,
    leaks: Mapping[str, str] | None = None,
) -> Judgement:
    """Compute forward moves, the deciding test, evidence and verdict of several detectors on one history.

    ``own_controls`` are alerts of further negative controls, which calibrate the deciding test and are not judged; ``marks`` is
    what its second forecast also sees, by default the volume. ``within``, (n_bars, n_symbols), is where the negative controls
    decide, by default everywhere; detectors decide where their signals say. ``leaks`` says of detectors that look ahead what
    changes their scores: they are told so instead of a verdict, and take no part in the adjustment for the number of tests.

    ``rescorers`` and ``make_features`` serve the surrogate test, the second opinion, alone. ``step`` is called once for each
    detector, once for the deciding test, once for each surrogate, and once more for each detector.
    """
    table = MoveTable(bars, setting.horizons, setting.delay)
    forward = {}
    for label, found in signals.items():
        forward[label] = table.after(found, setting.cooldown, setting.n_bootstrap, setting.seed)
        step(f"forward moves {label}")
    q_matched = _q_values(forward)
    rung_table = RungTable(bars, setting, threshold, alert_rate(signals), marks, own_controls, within)
    leaks = leaks or {}
    rungs = rung_table.test(signals, scores, leaks)
    step("forecasts and negative controls")
    model, test, why_none = _surrogates(bars, signals, rescorers, make_features, setting, step)
    garch = {name: model.forecast(bars) for name in table.entries} if model else {}
    shared = EvidenceTable(table, garch)
    arguments = {}
    for label, found in signals.items():
        drawn = _by_horizon(test, label)
        estimates = {name: _estimate(drawn[name], forward[label], name) if drawn else None for name in table.entries}
        arguments[label] = (shared, found, estimates, setting)
    judged = for_each(_evidence, arguments, bars, lambda label: step(f"evidence {label}"))
    evidence = {label: frames for label, (frames, _) in judged.items()}
    leads = {label: lead for label, (_, lead) in judged.items()}
    verdicts = {
        label: decide(forward[label], rungs.found[label], _by_horizon(test, label), rungs.needed(label)) for label in signals
    }
    verdicts |= {label: looks_ahead(verdicts[label], leak) for label, leak in leaks.items()}
    return Judgement(forward, q_matched, rungs, test, why_none, evidence, leads, verdicts, table, rung_table)


def alert_rate(signals: Mapping[str, Signals]) -> float:
    """Share of the decided rows that are alerts, over all detectors."""
    decided = sum(int(found.decided.sum()) for found in signals.values())
    return sum(int(found.active.sum()) for found in signals.values()) / max(decided, 1)


def _evidence(
    shared: EvidenceTable, found: Signals, estimates: Mapping[str, Estimate | None], setting: Judging
) -> tuple[dict[str, pd.DataFrame], LeadLag]:
    """The tests of one detector by horizon, the surrogate test among them, and its lead."""
    cooldown, n_bootstrap, seed = setting.cooldown, setting.n_bootstrap, setting.seed
    frames = {
        name: evidence_frame(horizon_evidence(shared, found, name, cooldown, n_bootstrap, n_bootstrap, seed), estimate)
        for name, estimate in estimates.items()
    }
    bars = shared.table.bars
    return frames, lead_lag(bars, found, REACH_BARS * bars.interval, cooldown, n_bootstrap, seed, shared.surprise)


def _surrogates(
    bars: Bars,
    signals: Mapping[str, Signals],
    rescorers: Mapping[str, Rescorer],
    make_features: Callable[[Bars], Features] | None,
    setting: Judging,
    step: Callable[[str], None],
) -> tuple[Surrogates | None, SurrogateTest | None, str]:
    if not setting.n_surrogates or make_features is None:
        return None, None, "not asked for"
    try:
        model = fit_surrogates(bars, setting.family)
    except DataError as error:
        # The history is too short for a volatility model: there is no second opinion, and the results say why.
        return None, None, str(error)
    test = run_surrogate_test(
        model, signals, rescorers, make_features, setting, n_jobs=-1, on_step=lambda: step("surrogate histories")
    )
    return model, test, ""


def _by_horizon(test: SurrogateTest | None, label: str) -> dict[str, Surrogate] | None:
    if test is None:
        return None
    figures = (test.p, test.q, test.excess, *test.excess_ci, test.n_above, test.n_usable)
    p, q, excess, low, high, above, usable = (test.by_horizon(label, values) for values in figures)
    n_events = int(test.n_events[test.detectors.index(label)])
    return {
        name: Surrogate(p[name], q[name], excess[name], (low[name], high[name]), n_events, int(above[name]), int(usable[name]))
        for name in test.horizons
    }


def _estimate(found: Surrogate, forward: ForwardMoves, horizon: str) -> Estimate:
    """The surrogate test as a row of the evidence: activity after alerts divided by that after alerts on the surrogates."""
    moves, (low, high) = forward[horizon], np.exp(found.ci)
    n = moves.n_others + found.n_events
    against = "the detector on surrogate histories"
    return Estimate(float(np.exp(found.excess)), (float(low), float(high)), found.p, n, found.n_events, against)


def _q_values(forward: Mapping[str, ForwardMoves]) -> dict[str, dict[str, float]]:
    """Benjamini-Hochberg q of p_matched over every detector and horizon of the study."""
    keys = [(label, horizon) for label, moves in forward.items() for horizon in moves.horizons]
    q = benjamini_hochberg(np.array([forward[label][horizon].p_matched for label, horizon in keys]))
    out: dict[str, dict[str, float]] = {label: {} for label in forward}
    for (label, horizon), value in zip(keys, q, strict=True):
        out[label][horizon] = float(value)
    return out
