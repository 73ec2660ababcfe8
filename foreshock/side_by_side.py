"""Walk-forward scores of several detectors: the slow ones side by side, each in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from threadpoolctl import threadpool_limits

from data.errors import ConfigError
from detectors.base import Detector
from engine.features import Features
from engine.scores import Scores
from engine.splits import WalkForward
from engine.walk_forward import FittedFolds, fit_walk_forward

Scored = tuple[Scores, FittedFolds]


def walk_forward_all(
    detectors: Mapping[str, Detector],
    features: Features,
    splits: WalkForward,
    purge: int,
    *,
    train_scores: bool = False,
    on_fold: Callable[[str], None] = lambda _: None,
) -> Iterator[tuple[str, Scored | ConfigError]]:
    """Label and ``fit_walk_forward`` of each detector, or the error of one that refuses; quick ones first.

    Parameters
    ----------
    detectors : dict of str to Detector
    features : Features
    splits : WalkForward
    purge : int
        Bars between training and test rows: one for all detectors, so that they are judged on the same rows.
    train_scores : bool
    on_fold : callable
        Told the label after each fold; of a detector in another process after all of its folds.
    """
    from joblib import Parallel, delayed

    slow = [label for label, detector in detectors.items() if detector.slow]
    apart = slow if len(slow) > 1 else []
    for label, detector in detectors.items():
        if label not in apart:
            yield label, _scored(detector, features, splits, purge, train_scores, lambda label=label: on_fold(label))
    # Typed by joblib for every way of returning at once.
    results: Any = Parallel(n_jobs=-1, return_as="generator")(
        delayed(_scored)(detectors[label], features, splits, purge, train_scores) for label in apart
    )
    n_folds = len(splits.folds(features.n_rows, features.interval, purge))
    for label, result in zip(apart, results, strict=True):
        for _ in range(n_folds):
            on_fold(label)
        yield label, result


def _scored(
    detector: Detector,
    features: Features,
    splits: WalkForward,
    purge: int,
    train_scores: bool,
    on_fold: Callable[[], None] | None = None,
) -> Scored | ConfigError:
    label_bars = purge - detector.lookback
    with threadpool_limits(limits=1):
        try:
            return fit_walk_forward(detector, features, splits, label_bars=label_bars, train_scores=train_scores, on_fold=on_fold)
        except ConfigError as error:
            return error
