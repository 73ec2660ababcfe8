"""The circumstances of the alerts: what follows them, the years, assets and regimes in which they matter, and the regimes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from foreshock.data.bars import Bars
from foreshock.data.interval import Duration
from foreshock.detectors.clusters.labels import Regimes
from foreshock.detectors.clusters.setting import RegimeSetting
from foreshock.engine.out_of_sample.splits import WalkForward
from foreshock.engine.scores import Signals
from foreshock.engine.validation.judging import Judging
from foreshock.engine.validation.moves.event_study import EventStudyTable, event_study
from foreshock.engine.validation.moves.forward import MoveTable
from foreshock.engine.validation.moves.slices import slice_masks, slice_q, sliced_moves
from foreshock.engine.validation.rungs.rungs import RungTable
from foreshock.study.judge import Judgement
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
        Out of sample, on the rows of the bars, with names that their bars satisfy.
    named : Regimes
        The same with the names that were known at the time, for strategies.
    slices : list of dict
        The deciding test and the forward moves of each detector in each year, asset and regime, at the horizon of its verdict.
    """

    event_study: dict[str, dict[str, Any]]
    regimes: Regimes
    named: Regimes
    slices: list[dict[str, Any]]


def circumstances(
    judged: Judgement,
    signals: Mapping[str, Signals],
    splits: WalkForward,
    setting: Judging,
    step: Callable[[str], None],
    wanted: RegimeSetting | None = None,
) -> Circumstances:
    """Event studies over the longest horizon, regimes, and slices at the horizon of each detector's verdict.

    ``step`` is called once for each detector, and once more at the end.
    """
    table = judged.table
    bars = table.bars
    after = event_studies(bars, signals, table.longest, setting, step)
    n_jobs = -1 if worth_processes(bars) else 1
    named = (wanted or RegimeSetting()).walk_forward(bars, splits, setting.seed, n_jobs)
    regimes = named.checked()
    # The bar of an alert is seldom calm, whatever was before it: an alert belongs to the regime that it came out of.
    before = np.full_like(regimes.labels, -1)
    before[1:] = regimes.labels[:-1]
    masks = slice_masks(bars, before, regimes.names)
    horizons = {label: verdict.horizon for label, verdict in judged.verdicts.items()}
    slices = slices_section(table, judged.rung_table, signals, horizons, masks, setting)
    step("years, assets and regimes")
    return Circumstances(after, regimes, named, slices)


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
    table: MoveTable,
    rungs: RungTable,
    signals: Mapping[str, Signals],
    horizons: Mapping[str, str],
    masks: Mapping[str, Mapping[str, np.ndarray]],
    setting: Judging,
) -> list[dict[str, Any]]:
    """The deciding test and the forward moves of each detector, over its own horizon, in each of the slices of ``slice_masks``."""
    tables = {name: table.only(name) for name in set(horizons.values())}
    arguments = {
        label: (tables[horizons[label]], found, masks, setting.cooldown, SLICE_DRAWS, setting.seed)
        for label, found in signals.items()
    }
    moves = for_each(sliced_moves, arguments, table.bars)
    places = [(by, name) for by, slices in masks.items() for name in slices]
    rows = []
    for label, alerts in signals.items():
        tested = rungs.in_slices(alerts, horizons[label], [masks[by][name] for by, name in places])
        found = dict(zip(places, tested, strict=True))
        for row in moves[label]:
            figures = found[row["by"], row["slice"]]
            judged = {"ratio": figures.ratio, "ratio_ci": figures.ci, "z": figures.z, "p": figures.p, "n_judged": figures.n_events}
            rows.append({"detector": label, **row, **judged})
    return [row | {"q": q} for row, q in zip(rows, slice_q(rows), strict=True)]


def regimes_section(regimes: Regimes) -> dict[str, Any]:
    """Share of the known rows in each regime, overall and by symbol."""
    known = {symbol: regimes.labels[regimes.labels[:, i] >= 0, i] for i, symbol in enumerate(regimes.symbols)}
    return {
        "names": regimes.names,
        "rules": regimes.rules,
        "holds": regimes.holds,
        "share": regimes.share(),
        "by_symbol": {
            symbol: [float((own == k).mean()) if len(own) else None for k in range(len(regimes.names))]
            for symbol, own in known.items()
        },
    }
