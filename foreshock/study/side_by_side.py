"""Run a task for several detectors or strategies, in parallel processes where that pays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from threadpoolctl import threadpool_limits

from foreshock.data.bars import Bars
from foreshock.data.errors import ConfigError
from foreshock.data.system.parents import end_with_parent, parallel
from foreshock.detectors.base import Detector
from foreshock.detectors.kept import keeper_of
from foreshock.engine.features.features import Features
from foreshock.engine.out_of_sample.lookback import lookback_of
from foreshock.engine.out_of_sample.splits import WalkForward
from foreshock.engine.out_of_sample.walk_forward import FittedFolds, fit_walk_forward
from foreshock.engine.scores import Scores

Scored = tuple[Scores, FittedFolds]
Found = TypeVar("Found")
# Bars times symbols from which on parallel processes save more time than their start costs.
WORTH_PROCESSES = 200_000


def worth_processes(bars: Bars) -> bool:
    """Whether the bars are so many that parallel processes save more time than their start costs."""
    return bars.close.size >= WORTH_PROCESSES


def for_each(
    task: Callable[..., Found], arguments: Mapping[str, tuple], bars: Bars, on_done: Callable[[str], object] = lambda _: None
) -> dict[str, Found]:
    """``task(*arguments[label])`` by label; results do not depend on the number of processes.

    Parameters
    ----------
    task : callable
        A module-level function, which another process can import.
    arguments : dict of str to tuple
        Arguments of the task by label. Large arrays that several tuples share are copied to other processes once.
    bars : Bars
        The history; its size decides whether to use several processes.
    on_done : callable
        Called with each label when its task is done.
    """
    from joblib import delayed

    n_jobs = -1 if worth_processes(bars) and len(arguments) > 1 else 1
    # joblib's return type is a union of all modes, hence Any.
    results: Any = parallel(n_jobs, return_as="generator")(delayed(_alone)(task, given) for given in arguments.values())
    found = {}
    for label, result in zip(arguments, results, strict=True):
        found[label] = result
        on_done(label)
    return found


def _alone(task: Callable[..., Found], given: tuple) -> Found:
    end_with_parent()
    with threadpool_limits(limits=1):
        return task(*given)


def walk_forward_all(
    detectors: Mapping[str, Detector],
    features: Features,
    splits: WalkForward,
    purge: int,
    *,
    train_scores: bool = False,
    on_fold: Callable[[str], None] = lambda _: None,
    kept: bool = False,
) -> Iterator[tuple[str, Scored | ConfigError]]:
    """Yield each label with the result of ``fit_walk_forward``, or with the ConfigError that it raised; fast detectors come first.

    Parameters
    ----------
    detectors : dict of str to Detector
    features : Features
    splits : WalkForward
    purge : int
        Bars between training and test rows, the same for all detectors, so that they are judged on the same rows.
    train_scores : bool
        Whether to keep the scores of the training rows.
    on_fold : callable
        Called with the label after each fold; for a detector in another process, after all of its folds.
    kept : bool
        Whether fits and scores are kept in the cache, and read from it.
    """
    from joblib import delayed

    # The slowest starts first: started last, it would run alone while the other cores are idle.
    slow = sorted((label for label, detector in detectors.items() if detector.slow), key=lambda label: -detectors[label].slow)
    apart = slow if len(slow) > 1 else []
    digests: dict[str, str] | None = {} if kept else None
    for label, detector in detectors.items():
        if label not in apart:
            yield label, _scored(detector, features, splits, purge, train_scores, digests, lambda label=label: on_fold(label))
    # joblib's return type is a union of all modes, hence Any.
    results: Any = parallel(-1, return_as="generator")(
        delayed(_scored)(detectors[label], features, splits, purge, train_scores, digests) for label in apart
    )
    n_folds = len(splits.folds(features.n_rows, features.interval, purge, features.start_row))
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
    digests: dict[str, str] | None,
    on_fold: Callable[[], None] | None = None,
) -> Scored | ConfigError:
    end_with_parent()
    label_bars = purge - lookback_of(detector)
    keeper = keeper_of(detector, features, digests, train_scores) if digests is not None else None
    with threadpool_limits(limits=1):
        try:
            options: dict[str, Any] = {"label_bars": label_bars, "train_scores": train_scores, "on_fold": on_fold, "keeper": keeper}
            return fit_walk_forward(detector, features, splits, **options)
        except ConfigError as error:
            return error


def walk_forward_each(
    detectors: Mapping[str, Detector],
    features: Features,
    splits: WalkForward,
    purge: int,
    train_scores: bool,
    step: Callable[[str], None],
) -> dict[str, Scored]:
    """Scores and fitted detectors by label, in the order of the detectors; ``step`` is called after each fold.

    Fits and scores are kept in the cache, so that no fold is fitted twice.

    Raises
    ------
    ConfigError
        If a detector cannot work on these features.
    """
    found = {}

    def on_fold(label: str) -> None:
        step(f"walk-forward {label}")

    for label, result in walk_forward_all(
        detectors, features, splits, purge, train_scores=train_scores, on_fold=on_fold, kept=True
    ):
        if isinstance(result, ConfigError):
            raise result
        found[label] = result
    return {label: found[label] for label in detectors}
