"""The circumstances of the alerts: what follows them, the years, assets and regimes in which they matter, and the regimes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from foreshock.data.bars import Bars
from foreshock.data.interval import Duration
from foreshock.detectors.clusters.regimes import KMeansRegime, Regimes, walk_forward_regimes
from foreshock.engine.features.ohlcv import ohlcv_features
from foreshock.engine.out_of_sample.splits import WalkForward
from foreshock.engine.scores import Signals
from foreshock.engine.validation.judging import Judging
from foreshock.engine.validation.moves.event_study import EventStudyTable, event_study
from foreshock.engine.validation.moves.forward import MoveTable
from foreshock.engine.validation.moves.slices import slice_masks, sliced_moves
from foreshock.study.side_by_side import for_each, worth_processes

CURVES = ("activity", "activity_low", "activity_high", "signed", "signed_low", "signed_high")
# Bootstrap draws of one slice: fewer than elsewhere, because there are many slices.
SLICE_DRAWS = 199


@dataclass(frozen=True)
class Circumstances:
    """What surrounds the alerts of a study.

    Parameters
    ----------
    event_study : dict of str to dict
        Activity and return after the alerts of each detector.
    regimes : Regimes
        Out of sample, on the rows of the bars.
    slices : list of dict
        Forward moves of each detector in each year, asset and regime.
    """

    event_study: dict[str, dict[str, Any]]
    regimes: Regimes
    slices: list[dict[str, Any]]


def circumstances(
    table: MoveTable, signals: Mapping[str, Signals], splits: WalkForward, setting: Judging, step: Callable[[str], None]
) -> Circumstances:
    """Event studies, regimes and slices, all over the longest horizon of ``table``.

    ``step`` is called once for each detector, and once more at the end.
    """
    bars, longest = table.bars, table.longest
    after = event_studies(bars, signals, longest, setting, step)
    n_jobs = -1 if worth_processes(bars) else 1
    regimes = walk_forward_regimes(KMeansRegime(seed=setting.seed), ohlcv_features(bars), splits, n_jobs)
    # The bar of an alert is seldom calm, whatever was before it: an alert belongs to the regime that it came out of.
    before = np.full_like(regimes.labels, -1)
    before[1:] = regimes.labels[:-1]
    masks = slice_masks(bars, before, regimes.names)
    slices = slices_section(table.only(longest), signals, masks, setting)
    step("years, assets and regimes")
    return Circumstances(after, regimes, slices)


def event_studies(
    bars: Bars,
    signals: Mapping[str, Signals],
    horizon: Duration,
    setting: Judging,
    step: Callable[[str], None],
) -> dict[str, dict[str, Any]]:
    """Cumulative abnormal activity and return after the alerts of each detector, with bands and half-life."""
    table = EventStudyTable(bars, horizon)
    rest = (horizon, setting.cooldown, setting.n_bootstrap, setting.seed, table)
    found = for_each(
        event_study,
        {label: (bars, alerts, *rest) for label, alerts in signals.items()},
        bars,
        lambda label: step(f"event study {label}"),
    )
    return {
        label: {
            "offsets": study.offsets,
            **{key: getattr(study, key) for key in CURVES},
            "p_activity": study.p_activity,
            "p_signed": study.p_signed,
            "n": study.n,
            "n_events": study.n_events,
            "half_life": study.decay.half_life,
            "half_life_ci": study.decay.half_life_ci,
            "reason": study.reason or study.decay.reason,
        }
        for label, study in found.items()
    }


def slices_section(
    table: MoveTable, signals: Mapping[str, Signals], masks: Mapping[str, Mapping[str, np.ndarray]], setting: Judging
) -> list[dict[str, Any]]:
    """Forward moves of each detector in each of the slices of ``slice_masks``."""
    arguments = {label: (table, found, masks, setting.cooldown, SLICE_DRAWS, setting.seed) for label, found in signals.items()}
    found = for_each(sliced_moves, arguments, table.bars)
    return [{"detector": label, **row} for label, rows in found.items() for row in rows]


def regimes_section(regimes: Regimes) -> dict[str, Any]:
    """Share of the known rows in each regime, overall and by symbol."""
    known = {symbol: regimes.labels[regimes.labels[:, i] >= 0, i] for i, symbol in enumerate(regimes.symbols)}
    return {
        "names": regimes.names,
        "share": regimes.share(),
        "by_symbol": {
            symbol: [float((own == k).mean()) if len(own) else None for k in range(len(regimes.names))]
            for symbol, own in known.items()
        },
    }
