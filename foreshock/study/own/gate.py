"""A short causality gate on what is not foreshock's own, before a study trusts its scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.base import clone

from foreshock.data.errors import ConfigError
from foreshock.detectors.base import Detector
from foreshock.engine.features.features import Features
from foreshock.engine.out_of_sample.causality import difference
from foreshock.engine.out_of_sample.lookback import ROUNDING, is_ours, lookback_of, measure_lookback, needs_measuring, with_lookback
from foreshock.engine.out_of_sample.splits import Fold, WalkForward
from foreshock.engine.sources.source import Source

N_CUTS = 3
PASSED, LEAKS, UNKNOWN = "passed", "leaks", "cannot be checked"


@dataclass(frozen=True)
class Gate:
    """What was found out about a detector that is not foreshock's own.

    Parameters
    ----------
    outcome : str
        "passed", "leaks", or "cannot be checked" for scores from a table.
    n_cuts : int
        Rows at which the history was cut and corrupted.
    leak : str or None
        The first cut at which earlier scores changed, and how.
    claimed : int
        Rows before a row that the detector says it needs.
    needed : int or None
        Rows that its scores were measured to need; None if they depend on the whole past. Equal to ``claimed`` where each row is
        scored by itself.
    """

    outcome: str
    n_cuts: int
    leak: str | None
    claimed: int
    needed: int | None


def prepared(
    detectors: Mapping[str, Detector],
    source: Source,
    splits: WalkForward,
    label_bars: int,
    seed: int,
) -> tuple[dict[str, Detector], dict[str, Gate]]:
    """The detectors, those that are not ours with their measured look-back, and what the gate says of these, by label.

    Each of them is fitted on the first training window, and scores the first two test blocks, cut and corrupted.

    Parameters
    ----------
    detectors : dict of str to Detector
    source : Source
        Prices, and the features that the detectors see.
    splits : WalkForward
    label_bars : int
        Longest horizon and delay, in bars.
    seed : int
        Seed of the cuts and of what replaces later rows.
    """
    own = {label: detector for label, detector in detectors.items() if not is_ours(detector)}
    if not own:
        return dict(detectors), {}
    purge = label_bars + max(lookback_of(detector) for detector in detectors.values())
    bars = source.bars
    fold = splits.folds(bars.n_bars, bars.interval, purge, bars.start_row)[0]
    stop = min(2 * fold.test.stop - fold.test.start, bars.n_bars)
    features = source.head(stop).features
    found = {label: _examined(detector, features, fold, seed) for label, detector in own.items()}
    known = {label: detector for label, (detector, _) in found.items()}
    return {**detectors, **known}, {label: gate for label, (_, gate) in found.items()}


def leaks_of(gates: Mapping[str, Gate | None]) -> dict[str, str]:
    """What changes the scores of each detector that looks ahead."""
    return {label: gate.leak for label, gate in gates.items() if gate is not None and gate.leak is not None}


def refuse_leaking(controls: Mapping[str, Gate]) -> None:
    """Refuse a negative control that looks ahead: it would hide from the verdict what detectors know.

    Raises
    ------
    ConfigError
        If a control failed the gate.
    """
    for label, leak in leaks_of(controls).items():
        raise ConfigError(f"the control {label} sees later bars: its scores change with {leak}; a control must know nothing")


def _examined(detector: Detector, features: Features, fold: Fold, seed: int) -> tuple[Detector, Gate]:
    if getattr(detector, "from_table", False):
        return detector, Gate(UNKNOWN, 0, None, 0, 0)
    fresh: Any = clone(detector)
    fitted = fresh.fit(features.rows(fold.train))
    claimed = int(detector.lookback)
    needed: int | None = claimed
    if needs_measuring(detector):
        lookback = measure_lookback(fitted, features, fold.test)
        detector, needed = with_lookback(detector, lookback), lookback.needed
    leak = first_leak(fitted, features, fold.test.start, N_CUTS, seed)
    return detector, Gate(LEAKS if leak else PASSED, N_CUTS, leak, claimed, needed)


def first_leak(fitted: Detector, features: Features, first: int, n_cuts: int, seed: int) -> str | None:
    """The first cut at which scores before it change when the rows from it on are deleted or corrupted; None if none does."""
    rng = np.random.default_rng(seed)
    whole = fitted.score(features).values
    tolerance = max(fitted.tolerance, ROUNDING)
    size = np.nan_to_num(np.nanstd(np.where(np.isnan(features.values), 0.0, features.values), axis=(0, 1)))
    for cut in sorted(map(int, rng.integers(first + 1, features.n_rows, n_cuts))):
        values = features.values.copy()
        values[cut:] += rng.normal(0, 3, values[cut:].shape) * size
        for what, history in (("deleted", features.rows(slice(0, cut))), ("corrupted", replace(features, values=values))):
            if difference(whole[:cut], fitted.score(history).values[:cut]) > tolerance:
                return f"rows from {cut} on {what}"
    return None
