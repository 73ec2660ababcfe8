"""Walk-forward scoring: refit on the past only, score the next block."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Protocol, Self

import numpy as np

from foreshock.data.checks import check_type, check_whole
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.show.shown import shown
from foreshock.engine.features.features import Features
from foreshock.engine.out_of_sample.splits import Fold, WalkForward
from foreshock.engine.scores import FoldScores, Scores

# Folds that are fitted together at most: each holds its training windows in memory.
TOGETHER = 10


class FitsAndScores(Protocol):
    """What the engine asks of a detector."""

    @property
    def lookback(self) -> int: ...

    def fit(self, features: Features) -> Self: ...

    def score(self, features: Features) -> Scores: ...


@dataclass(frozen=True)
class FittedFolds:
    """The fitted detectors of a walk-forward run, to score other histories on the same rows.

    Parameters
    ----------
    detectors : tuple
        One for each fold.
    folds : tuple of FoldScores
    """

    detectors: tuple[FitsAndScores, ...]
    folds: tuple[FoldScores, ...]

    def score(self, features: Features) -> Scores:
        """Each fold's block, scored by that fold's detector; NaN before the first."""
        values = np.full((features.n_rows, len(features.symbols)), np.nan)
        for detector, fold in zip(self.detectors, self.folds, strict=True):
            values[fold.test] = score_block(detector, features, fold.test)
        return Scores(features.time, features.symbols, values, features.interval, self.folds)


def score_block(detector: FitsAndScores, features: Features, rows: slice) -> np.ndarray:
    """Scores of a run of rows, (n_rows, n_symbols); the detector also sees its lookback before them."""
    first = max(rows.start - detector.lookback, 0)
    return detector.score(features.rows(slice(first, rows.stop))).values[rows.start - first :]


def walk_forward(
    detector: FitsAndScores,
    features: Features,
    splits: WalkForward,
    *,
    label_bars: int = 0,
    train_scores: bool = False,
    on_fold: Callable[[], None] | None = None,
) -> Scores:
    """Out-of-sample scores of a detector; see ``fit_walk_forward``, which also keeps the fitted detectors."""
    check_type("features", features, Features, "make them with fs.ohlcv_features")
    return fit_walk_forward(detector, features, splits, label_bars=label_bars, train_scores=train_scores, on_fold=on_fold)[0]


def fit_walk_forward(
    detector: FitsAndScores,
    features: Features,
    splits: WalkForward,
    *,
    label_bars: int = 0,
    train_scores: bool = False,
    on_fold: Callable[[], None] | None = None,
) -> tuple[Scores, FittedFolds]:
    """Out-of-sample scores of a detector that is refitted before each test block.

    Parameters
    ----------
    detector : Detector
        Cloned for every fold; itself left as it is.
    features : Features
    splits : WalkForward
    label_bars : int
        The longest horizon that the scores will be held against; with the detector's lookback it is purged before
        each test block.
    train_scores : bool
        Keep the scores of each fold's training rows, which ``TrainQuantile`` needs.
    on_fold : callable, optional
        Called after each fold.

    Returns
    -------
    Scores
        NaN before the first test block, with one ``FoldScores`` for each fold.
    FittedFolds
    """
    check_whole("label_bars", label_bars, 0)
    values = np.full((features.n_rows, len(features.symbols)), np.nan)
    folds, detectors = [], []
    if not callable(getattr(detector, "fit", None)) or isinstance(detector, type):
        raise ConfigError(
            f"a detector to walk forward must have fit and score, got {shown(detector)}; make one with fs.make_detector"
        )
    check_type("features", features, Features, "make them with fs.ohlcv_features(bars)")
    check_type("splits", splits, WalkForward, 'give fs.WalkForward(train="120D", test="60D")')
    wanted = splits.folds(features.n_rows, features.interval, purge=label_bars + detector.lookback)
    for fold, (fitted, fit_seconds) in zip(wanted, _fitted(detector, features, wanted), strict=True):
        began = perf_counter()
        values[fold.test] = score_block(fitted, features, fold.test)
        score_seconds = perf_counter() - began
        kept = fitted.score(features.rows(fold.train)).values if train_scores else None
        folds.append(FoldScores(fold.train, fold.test, kept, fit_seconds, score_seconds))
        detectors.append(fitted)
        if on_fold is not None:
            on_fold()
    if np.isnan(values).all():
        raise DataError(
            "no row could be scored in any test block; the features are NaN there (window longer than the data, "
            "or missing bars); shorten the windows or give more data"
        )
    scores = Scores(features.time, features.symbols, values, features.interval, tuple(folds))
    return scores, FittedFolds(tuple(detectors), scores.folds)


def _fitted(detector: Any, features: Features, folds: Sequence[Fold]) -> Iterator[tuple[FitsAndScores, float]]:
    """A clone fitted on the training rows of each fold, and the seconds that took.

    A detector with ``fit_folds`` may fit several folds together; one with ``warm_start`` begins at what the fold before learned.
    """
    from sklearn.base import clone

    fit_folds = getattr(detector, "fit_folds", lambda _: None)
    previous: Any = None
    for start in range(0, len(folds), TOGETHER):
        parts = [features.rows(fold.train) for fold in folds[start : start + TOGETHER]]
        began = perf_counter()
        together = fit_folds(parts)
        if together is not None:
            seconds = (perf_counter() - began) / len(parts)
            yield from ((fitted, seconds) for fitted in together)
            continue
        for part in parts:
            began = perf_counter()
            fresh: Any = clone(detector)
            warm = getattr(detector, "warm_start", False) and previous is not None
            previous = fresh.fit(part, initial=previous) if warm else fresh.fit(part)
            yield previous, perf_counter() - began
