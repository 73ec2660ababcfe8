"""A scan: the detectors of a study over a history, walk-forward, as cases; nothing is judged or traded."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from foreshock.data.bars import Bars
from foreshock.data.interval import bars_in
from foreshock.data.system.threads import with_one_blas_thread
from foreshock.engine.sources.source import Source
from foreshock.engine.validation.moves.forward import MoveTable
from foreshock.plain import plain
from foreshock.progress import progress_bar
from foreshock.study.cases.cases import cases_of, traded_value
from foreshock.study.cases.known import Known, known_of
from foreshock.study.own.entries import labelled
from foreshock.study.side_by_side import worth_processes
from foreshock.study.study import Study

# What of a study's configuration decides which alerts there are.
DECIDING = (
    "features",
    "source",
    "detectors",
    "regimes",
    "splits",
    "threshold",
    "thresholds",
    "horizons",
    "delay",
    "cooldown",
    "seed",
    "universe",
)


@dataclass(frozen=True)
class Scan:
    """What a scan found.

    Parameters
    ----------
    title : str
        Title of the study.
    study : dict
        The identity of the source, and what decides which alerts there are: features, detectors, splits, thresholds, cool-down and
        seed.
    digest : str
        Digest of ``study``.
    source : Source
        The source as it was read, before cleaning, without a sealed part.
    bars : Bars
        Its prices after cleaning.
    n_scored : dict of str to int
        Rows that were decided, by detector.
    alerts : DataFrame
        See ``StudyResult.alerts_frame``.
    cases : DataFrame
        See ``cases_of``.
    of_alert : ndarray of int, shape (n_alerts,)
        Row of ``cases`` of each alert.
    cooldown, horizon : timedelta64
        The study's cool-down, and its longest horizon.
    first : datetime64[us]
        Time of the first row that was scored.
    known : Known, optional
        The labels of the study held against the cases, which then have the columns ``disposition`` and ``label``; None without
        labels.
    """

    title: str
    study: dict[str, Any]
    digest: str
    source: Source
    bars: Bars
    n_scored: dict[str, int]
    alerts: pd.DataFrame
    cases: pd.DataFrame
    of_alert: np.ndarray
    cooldown: np.timedelta64
    horizon: np.timedelta64
    first: np.datetime64
    known: Known | None = None


@with_one_blas_thread
def scan(study: Study, progress: bool = False) -> Scan:
    """Score a history with the detectors of a study, and put their alerts together as cases.

    Blocks, thresholds and alerts are those of ``study.run``; the baselines, which a study adds to be compared with, raise none.
    Labels of the study are held against the cases.

    Raises
    ------
    ConfigError
        If a window or horizon does not fit into the data.
    DataError
        If nothing can be scored.

    Examples
    --------
    >>> import foreshock as fs
    >>> from foreshock.study.cases.scan import scan
    >>> bars = fs.simulate_market(seed=1, n_symbols=1, n_bars=1_500).bars
    >>> found = scan(fs.Study(bars, ["zscore", "mad"], fs.WalkForward("20D", "5D"), fs.RollingQuantile(0.99, "10D")))
    >>> len(found.alerts), found.cases["n_alerts"].tolist(), found.cases["detectors"].iloc[0]
    (23, [6, 2, 4, 1, 4, 2, 4], 'zscore, mad')
    """
    plan = study._plan()
    bars = plan.bars
    named = list(labelled(study.detectors, ()))
    detectors = {label: plan.detectors[label] for label in named}
    with progress_bar(len(detectors) * plan.n_folds + 3, progress) as step:
        scored = plan.scored(detectors, study.splits, step)
        n_jobs = -1 if worth_processes(bars) else 1
        # By the names that were known at the time, so that a later scan calls the same bars the same.
        regimes = study.regime_setting.walk_forward(bars, study.splits, study.seed, n_jobs)
        step("regimes")
        table = MoveTable(bars, study.horizons, study.delay)
        alerts = scored.alerts(table, regimes)
        about = described(study)
        digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]
        cooldown = bars_in(study.event_cooldown, bars.interval, "cooldown")
        usual = bars_in(study.splits.train, bars.interval, "train")
        cases, of_alert = cases_of(alerts, bars, traded_value(plan.source), cooldown, usual, digest)
        first = bars.time[plan.setting.first]
        known = None if study.labels is None else known_of(cases, study.labels, first)
        if known is not None:
            cases = cases.assign(disposition=known.disposition, label=known.label)
        step("cases")
    longest = table.entries[table.longest][0].horizon
    n_scored = {label: int(found.decided.sum()) for label, found in scored.signals.items()}
    spans = (cooldown * bars.interval, longest * bars.interval)
    return Scan(
        study.title,
        about,
        digest,
        study.visible_source,
        bars,
        n_scored,
        alerts,
        cases,
        of_alert,
        *spans,
        first,
        known,
    )


def described(study: Study) -> dict[str, Any]:
    """The identity of a study's source, and the parameters that decide which alerts there are, in JSON types."""
    config = study.config()
    baselines = set(config["detectors"]) - set(labelled(study.detectors, ()))
    known = {key: config[key] for key in DECIDING if key in config}
    known["detectors"] = {label: entry for label, entry in config["detectors"].items() if label not in baselines}
    return plain({"identity": study.source.identity, **known})
