"""The sealed last part of a study's history: opened once, it shows whether what was found before it holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from foreshock.data.checks import check_type
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError
from foreshock.data.system.threads import with_one_blas_thread
from foreshock.engine.trials.hold_out import HoldOut
from foreshock.engine.trials.ledger import OPENING, Ledger
from foreshock.engine.validation.moves.forward import check_moves_fit
from foreshock.engine.validation.rungs.result import LEVEL, RungTest
from foreshock.engine.validation.rungs.rungs import RungTable
from foreshock.engine.validation.selection.multiple import holm
from foreshock.plain import plain
from foreshock.progress import progress_bar
from foreshock.study.content import controls_section
from foreshock.study.controls import control_alerts
from foreshock.study.judge import alert_rate
from foreshock.study.result import StudyResult
from foreshock.study.side_by_side import walk_forward_each
from foreshock.study.study import Study

NOTHING_SEALED = "the study has no sealed part; make it with sealed=0.2, the last fifth, or sealed='180D'"


def seal_study(study: Study, ledger: Ledger | None = None) -> HoldOut:
    """Write the seal of a study's last part into the ledger; repeating the same seal adds no entry.

    Raises
    ------
    ConfigError
        If nothing of the study is sealed.
    DataError
        If the ledger is broken, or a hold-out that overlaps the sealed part was opened already.
    """
    if not study.n_sealed:
        raise ConfigError(NOTHING_SEALED)
    # A sealed part that no horizon fits into would be opened in vain.
    check_moves_fit(study.source.bars.rows(slice(-study.n_sealed, None)), study.horizons, study.delay)
    return HoldOut.reserve(study.source.bars, study.n_sealed / study.source.bars.n_bars, ledger)


@door
@with_one_blas_thread
def open_sealed(study: Study, result: StudyResult, ledger: Ledger | None = None, progress: bool = False) -> StudyResult:
    """Open the sealed last part of a study, once, and hold what was found before against it.

    The ledger records the opening before any sealed bar is read. Detectors and controls go on walking forward through the sealed
    part by the study's blocks, each fitted on rows before its block. The forecasts of the sealed rows are fitted on earlier rows
    alone, and the test of these rows is calibrated by the negative controls on the same rows. p is adjusted by Holm [1]_ over
    the detectors, horizons and forecasts at which the study found something, or over all of them if it found nothing.

    Parameters
    ----------
    study : Study
        A study with ``sealed``.
    result : StudyResult
        Its result on the part before.
    ledger : Ledger, optional
        Ledger that records the seal and the opening; by default that of ``Ledger()``.
    progress : bool
        Show a progress bar on standard error.

    Returns
    -------
    StudyResult
        A copy with ``results["sealed"]``: ``start``, ``end``, ``opened``, ``over`` (``found`` or ``all``), and ``rows`` with the
        ratio of activity to the forecast in both halves before and in the sealed part, by detector, horizon and forecast.
        Nothing else differs from ``result``.

    Raises
    ------
    ConfigError
        If an argument has another type, nothing of the study is sealed, or the result is of another study.
    DataError
        If the ledger is broken, the sealed part or a part of it was opened before, or nothing can be scored.

    References
    ----------
    .. [1] Holm (1979), A simple sequentially rejective multiple test procedure.

    Examples
    --------
    >>> import foreshock as fs
    >>> bars = fs.simulate_market(seed=7, n_symbols=1, n_bars=6_000).bars
    >>> study = fs.Study(bars, ["zscore"], fs.WalkForward("60D", "30D"), sealed="60D")
    >>> study.visible.n_bars
    4560
    >>> result = study.run()  # doctest: +SKIP
    >>> fs.open_sealed(study, result).results["sealed"]["start"]  # doctest: +SKIP
    """
    check_type("study", study, Study, "make one with fs.Study")
    check_type("result", result, StudyResult, "run the study first")
    if ledger is not None:
        check_type("ledger", ledger, Ledger, "such as fs.Ledger('ledger.jsonl')")
    held = seal_study(study, ledger)
    plan, config = study._plan(), study.config()
    known = result.results
    if known["data"]["hash"] != plan.bars.fingerprint() or known["config"] != plain(config):
        raise ConfigError("result must be that of the study to open; run the study and pass what it returns")
    held.open(study.source.bars, {key: value for key, value in plain(config).items() if key != "title"})
    opening = next(entry for entry in reversed(held.ledger.entries()) if entry.kind == OPENING)
    source, _ = study.source.cleaned()
    bars = source.bars
    first = int(np.searchsorted(bars.time, held.visible.time[-1], side="right"))
    detectors, rule = plan.detectors, study.threshold
    purge = study._purge(detectors | plan.controls)
    n_folds = len(study.splits.folds(bars.n_bars, bars.interval, plan.purge, bars.start_row))
    with progress_bar(1 + n_folds * len(detectors | plan.controls), progress) as step:
        features = source.features
        fitted = walk_forward_each(detectors, features, study.splits, plan.purge, plan.rules.needs_train_scores, step)
        members = study._members(bars, plan.purge)
        within = None if members is None else members.mask
        signals, _ = plan.rules.signals({label: scores for label, (scores, _) in fitted.items()}, bars, within)
        controls = control_alerts(plan.controls, features, study.splits, purge, rule, step, within)
        setting = replace(study._judging(first), forward=True)
        test = RungTable(bars, setting, rule, alert_rate(signals), source.marks, controls, within).test(signals)
        step("the sealed part")
    found = replication(known["detectors"], test)
    section = {
        "start": str(bars.time[first]),
        "end": str(bars.time[-1]),
        "n_bars": bars.n_bars - first,
        "opened": opening.time,
        "n_trials": opening.result["n_trials"],
        "ledger": {"sequence": opening.sequence, "sha256": opening.sha256},
        **found,
        "quality": test.quality,
        "controls": controls_section(test)["summary"],
    }
    return replace(result, results={**known, "sealed": plain(section)})


def replication(before: Mapping[str, Any], test: RungTest) -> dict[str, Any]:
    """What was found before, and what the sealed part shows of it, one row for each detector, forecast and horizon.

    Parameters
    ----------
    before : dict
        ``detectors`` of the results of the study.
    test : RungTest
        The deciding test on the sealed rows.
    """
    rows = list(_rows(before, test))
    told = [row for row in rows if row["found"]]
    tested = [row for row in told or rows if np.isfinite(row["p"])]
    for row, q in zip(tested, holm(np.array([row["p"] for row in tested])), strict=True):
        row["q"] = float(q)
        # A finding holds if the sealed part points the same way.
        row["holds"] = bool(q <= LEVEL and (not told or (row["ratio"] > 1) == (row["ratio_before"] > 1)))
    return {"over": "found" if told else "all", "n_tests": len(tested), "rows": rows}


def _rows(before: Mapping[str, Any], test: RungTest) -> Iterator[dict[str, Any]]:
    for label, by_rung in test.found.items():
        for rung, by_horizon in by_rung.items():
            for horizon, sealed in by_horizon.items():
                # The sealed part may have volumes where there were none before.
                known = before[label]["rungs"].get(rung, {}).get(horizon, {})
                yield {
                    "detector": label,
                    "rung": rung,
                    "horizon": horizon,
                    "ratio_before": known.get("ratio"),
                    "q_before": known.get("q"),
                    "found": known.get("q") is not None and known["q"] <= LEVEL,
                    "halves": known.get("halves"),
                    "halves_z": known.get("halves_z"),
                    "n_events": sealed.n_events,
                    "ratio": sealed.ratio,
                    "ci": sealed.ci,
                    "z": sealed.z,
                    "p": sealed.p,
                    "q": float("nan"),
                    "holds": None,
                    "detectable": sealed.detectable,
                    "reason": sealed.reason,
                }
