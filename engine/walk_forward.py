"""Walk-forward scoring: refit on the past only, score the next block."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any, Protocol, Self

import numpy as np

from data.errors import DataError
from engine.features import Features
from engine.scores import FoldScores, Scores
from engine.splits import WalkForward


class FitsAndScores(Protocol):
    """What the engine asks of a detector."""

    @property
    def lookback(self) -> int: ...

    def fit(self, features: Features) -> Self: ...

    def score(self, features: Features) -> Scores: ...


def walk_forward(
    detector: FitsAndScores,
    features: Features,
    splits: WalkForward,
    *,
    label_bars: int = 0,
    train_scores: bool = False,
    on_fold: Callable[[], None] | None = None,
) -> Scores:
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
    """
    from sklearn.base import clone

    values = np.full((features.n_rows, len(features.symbols)), np.nan)
    folds = []
    for fold in splits.folds(features.n_rows, features.interval, purge=label_bars + detector.lookback):
        began = perf_counter()
        fresh: Any = clone(detector)
        fitted: FitsAndScores = fresh.fit(features.rows(fold.train))
        fit_seconds = perf_counter() - began
        first = max(fold.test.start - detector.lookback, 0)
        block = fitted.score(features.rows(slice(first, fold.test.stop)))
        values[fold.test] = block.values[fold.test.start - first :]
        score_seconds = perf_counter() - began - fit_seconds
        kept = fitted.score(features.rows(fold.train)).values if train_scores else None
        folds.append(FoldScores(fold.train, fold.test, kept, fit_seconds, score_seconds))
        if on_fold is not None:
            on_fold()
    if np.isnan(values).all():
        raise DataError(
            "no row could be scored in any test block; the features are NaN there (window longer than the data, "
            "or missing bars); shorten the windows or give more data"
        )
    return Scores(features.time, features.symbols, values, features.interval, tuple(folds))
