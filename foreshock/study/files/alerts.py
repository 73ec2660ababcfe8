"""The table of alerts: what was seen, how rare it was, what drove it, and what followed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from foreshock.data.bars import Bars
from foreshock.data.errors import ForeshockError
from foreshock.detectors.clusters.regimes import Regimes
from foreshock.engine.features.features import Features
from foreshock.engine.out_of_sample.lookback import past_of
from foreshock.engine.out_of_sample.walk_forward import FittedFolds
from foreshock.engine.scores import Scores, Signals, Threshold
from foreshock.engine.thresholds.tail_probability import tail_probability
from foreshock.engine.validation.moves.forward import MoveTable

N_DRIVERS = 3
# Columns of text; of a study without alerts they are empty, and look like any other.
WORDS = ("symbol", "detector", "regime", *(f"driver_{at + 1}" for at in range(N_DRIVERS)))


def alerts_table(
    table: MoveTable,
    scores: Mapping[str, Scores],
    signals: Mapping[str, Signals],
    thresholds: Mapping[str, Threshold],
    regimes: Regimes,
    features: Features,
    folds: Mapping[str, FittedFolds],
) -> pd.DataFrame:
    """One row for each alert of each detector, by detector and time; see ``StudyResult.alerts_frame`` for the columns."""
    before = regime_before(regimes)
    parts = []
    for label, found in signals.items():
        rows, cols = np.nonzero(found.active)
        columns = {
            "time": found.time[rows],
            "symbol": np.array(found.symbols, dtype=object)[cols],
            "detector": np.full(len(rows), label, dtype=object),
            "score": scores[label].values[rows, cols],
            "threshold": found.threshold[rows, cols],
            "tail_probability": tail_probability(scores[label], thresholds[label], rows, cols),
            "regime": before[rows, cols],
            "price_change": price_change(table.bars)[rows, cols],
        }
        added = drivers(folds[label], features, rows, cols)
        columns |= _largest(added, features.names)
        columns |= {f"move_{name}": moves.signed[rows, cols] for name, (moves, _) in table.entries.items()}
        parts.append(pd.DataFrame(columns))
    return with_words(pd.concat(parts, ignore_index=True))


def with_words(table: pd.DataFrame) -> pd.DataFrame:
    """The table with its text as objects, None where it is not known."""
    texts = {name: table[name].astype(object) for name in table.columns if name in WORDS}
    return table.assign(**{name: text.where(text.notna() & (text != ""), None) for name, text in texts.items()})


def drivers(folds: FittedFolds, features: Features, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
    """What each feature added to the score of some rows, by the detector of their fold, (n, n_features); NaN where not known."""
    added = np.full((len(rows), len(features.names)), np.nan)
    for detector, fold in zip(folds.detectors, folds.folds, strict=True):
        own = (rows >= fold.test.start) & (rows < fold.test.stop)
        explain = getattr(detector, "explain_rows", None)
        if explain is None or not own.any():
            continue
        first = fold.test.start - past_of(detector, fold.test.start)
        try:
            added[own] = explain(features.rows(slice(first, fold.test.stop)), rows[own] - first, cols[own])
        except ForeshockError:
            # A detector of a user's may be unable to say why. Its alerts stand without a reason, and the study goes on.
            continue
    return added


def _largest(added: np.ndarray, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """The features that added most, with how much, the largest first; what added nothing is no driver."""
    columns: dict[str, np.ndarray] = {}
    order = np.argsort(-np.where(np.isnan(added), -np.inf, added), axis=1, kind="stable")
    for at in range(N_DRIVERS):
        values = np.full(len(added), np.nan)
        if at < added.shape[1]:
            values = np.take_along_axis(added, order[:, at : at + 1], axis=1)[:, 0]
        known = values > 0
        said = np.array(names, dtype=object)[order[:, at]] if at < added.shape[1] else np.full(len(added), None)
        columns[f"driver_{at + 1}"] = np.where(known, said, np.array(None, dtype=object))
        columns[f"driver_{at + 1}_added"] = np.where(known, values, np.nan)
    return columns


def price_change(bars: Bars) -> np.ndarray:
    """Simple return of each bar, close over the close before, (n_bars, n_symbols)."""
    return np.expm1(bars.returns())


def regime_before(regimes: Regimes) -> np.ndarray:
    """Name of the regime of the bar before each bar, (n_bars, n_symbols); None where it is not known."""
    named = np.array([*regimes.names, None], dtype=object)[np.where(regimes.labels >= 0, regimes.labels, len(regimes.names))]
    before = np.full(named.shape, None, dtype=object)
    before[1:] = named[:-1]
    return before


def write_alerts(alerts: pd.DataFrame, path: str) -> None:
    """Write the table as CSV, its times in ISO 8601 with the zone."""
    alerts.assign(time=iso_times(alerts["time"])).to_csv(path, index=False)


def iso_times(moments: pd.Series) -> np.ndarray:
    """Times in ISO 8601 with the zone, all in one form: numpy would write a midnight as a date."""
    times = moments.to_numpy(dtype="datetime64[us]")
    unit = "s" if (times == times.astype("datetime64[s]")).all() else "us"
    return np.datetime_as_string(times, unit=unit, timezone="UTC") if len(times) else np.array([], dtype=object)
