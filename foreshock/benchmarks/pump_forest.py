"""The supervised reference for pumps: a random forest on the published features, trained on the past only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from foreshock.benchmarks.pump_alerts import ScoredEvent, outcome
from foreshock.benchmarks.pump_events import PumpEvent
from foreshock.data.errors import DataError
from foreshock.data.reading.kinds import Kinds
from foreshock.data.reading.rows import read_rows
from foreshock.data.tables import parse_times
from foreshock.engine.features.features import Features
from foreshock.engine.features.pumps import PUMP_FEATURES, published_pump_features

N_BLOCKS = 3
# Trades lie within 48 hours of an event: two events this far apart share none.
PURGE = np.timedelta64(4, "D")
# Chunks within this many seconds of an announcement are not used as quiet rows.
NEAR = 3_600.0
THRESHOLD = 0.5
WITHIN = 120.0


def forest_rows(
    pumps: Sequence[PumpEvent], labelled: Path, sizes: Sequence[int], on_step: Callable[[str], None], seed: int = 0
) -> list[dict[str, Any]]:
    """Score the events of the last three quarters, each by a forest that was trained on earlier ones only.

    The forest has the published settings (200 trees of depth 5, balanced classes) [1]_. Its positive rows are the
    published ones, one per pump, dated at least four days before the first event of the test block. Its negative rows are every
    fourth chunk of the earlier events, at least an hour from the announcement. An alert is a chunk with a probability above 0.5.

    A row has the figures of every detector and two more. ``caught_within_120s`` counts the events with an alert within 120 s of
    the announced minute, without a cool-down, as the published figures do. ``n_events_scored`` counts the events with the 900 (700)
    chunks with buys that the published features look back on; the thinnest markets have fewer in two days, and so are missed.

    References
    ----------
    .. [1] La Morgia, Mei, Sassi and Stefa (2020), Pump and dumps in the Bitcoin era.
    """
    rows_ = read_rows(Path(labelled), Kinds(("date",), tuple(PUMP_FEATURES), ("freq",)), "labelled rows")
    missing = [name for name in ("freq", "date", *PUMP_FEATURES) if name not in rows_]
    if missing:
        raise DataError(f"{labelled} lacks the column {', '.join(missing)}")
    rows_["time"] = parse_times(rows_["date"])
    rows = []
    for seconds in sizes:
        features = [published_pump_features(pump.trades, seconds, pump.name) for pump in pumps]
        positive = rows_[rows_["freq"] == f"{seconds}s"]
        tested = []
        for block in np.array_split(np.arange(len(pumps) // 4, len(pumps)), N_BLOCKS):
            if not block.size or not block[0]:
                continue
            forest = _trained(pumps, features, positive, pumps[block[0]].announced - PURGE, seed)
            tested += [_scored(pumps[i], features[i], forest) for i in block]
        if tested:
            found = outcome(tested, THRESHOLD)
            near = [event.score[np.abs(event.seconds) <= WITHIN] for event in tested]
            counts = {
                "caught_within_120s": sum(bool((score > THRESHOLD).any()) for score in near),
                "n_events_scored": sum(not np.isnan(score).all() for score in near),
            }
            extra = {"threshold": THRESHOLD, "threshold_from": "default", "published": False}
            rows.append({"detector": "random_forest", "window_s": seconds} | found.row() | counts | extra)
        on_step(f"{seconds} s: random_forest")
    return rows


def _trained(
    pumps: Sequence[PumpEvent], features: Sequence[Features], positive: pd.DataFrame, until: np.datetime64, seed: int
) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    pumped = positive.loc[positive["time"] < until, list(PUMP_FEATURES)].to_numpy()
    quiet = []
    for pump, found in zip(pumps, features, strict=True):
        if pump.announced < until:
            far = np.abs((found.time - pump.announced) / np.timedelta64(1, "s")) > NEAR
            quiet.append(found.values[far & ~np.isnan(found.values).any(axis=(1, 2)), 0][::4])
    calm = np.concatenate(quiet)
    forest = RandomForestClassifier(n_estimators=200, max_depth=5, class_weight="balanced", random_state=seed, n_jobs=1)
    # The published rows have three decimals; a forest could recognise unrounded quiet chunks by their digits.
    x = np.round(np.concatenate([pumped, calm]), 3)
    return forest.fit(x, np.r_[np.ones(len(pumped), dtype=int), np.zeros(len(calm), dtype=int)])


def _scored(pump: PumpEvent, features: Features, forest: Any) -> ScoredEvent:
    known = ~np.isnan(features.values).any(axis=(1, 2))
    score = np.full(features.n_rows, np.nan)
    score[known] = forest.predict_proba(np.round(features.values[known, 0], 3))[:, 1]
    span = (pump.trades.time[-1] - pump.trades.time[0]) / np.timedelta64(1, "D")
    return ScoredEvent((features.time - pump.announced + features.interval) / np.timedelta64(1, "s"), score, float(span))
