"""Walk-forward scoring: refit on the past only, score the next block."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Protocol

import numpy as np

from foreshock.data.checks import check_type, check_whole
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.show.shown import shown
from foreshock.engine.features.features import Features
from foreshock.engine.out_of_sample.lookback import FitsAndScores, carried, knowing_lookback, lookback_of, past_of
from foreshock.engine.out_of_sample.splits import Fold, WalkForward
from foreshock.engine.scores import FoldScores, Scores

# Largest number of folds that are fitted together: each holds its training windows in memory.
TOGETHER = 10


class KeepsFolds(Protocol):
    """What keeps fits and scores of the folds of one detector from an earlier run; folds go by their number."""

    def found(self, fold: int) -> FoldScores | None:
        """Scores of a fold, ``values`` among them, or None."""
        ...

    def fitted(self, fold: int) -> tuple[FitsAndScores, float] | None:
        """The fit of a fold whose scores are found, or that was kept without scores, and the seconds it took; or None."""
        ...

    def keep_fit(self, fold: int, fitted: FitsAndScores, seconds: float) -> FitsAndScores:
        """Keep a fit, and return what stands for it."""
        ...

    def keep_scores(self, fold: int, scores: FoldScores, values: np.ndarray) -> None: ...

    def values(self, fold: int) -> np.ndarray:
        """Scores of the test rows of a fold that is found, (n_rows, n_symbols)."""
        ...


@dataclass(frozen=True)
class FittedFolds:
    """The fitted detectors of a walk-forward run, to score other histories on the same rows.

    Parameters
    ----------
    detectors : tuple
        The fitted detector of each fold.
    folds : tuple of FoldScores
        Rows and times of each fold.
    """

    detectors: tuple[FitsAndScores, ...]
    folds: tuple[FoldScores, ...]

    def score(self, features: Features) -> Scores:
        """Scores of each test block by the detector of its fold; NaN before the first block."""
        values = np.full((features.n_rows, len(features.symbols)), np.nan)
        for detector, fold in zip(self.detectors, self.folds, strict=True):
            values[fold.test] = score_block(detector, features, fold.test)
        return Scores(features.time, features.symbols, values, features.interval, self.folds)


def score_block(detector: FitsAndScores, features: Features, rows: slice) -> np.ndarray:
    """Scores of a slice of rows, (n_rows, n_symbols); the detector also sees the rows of its lookback before them."""
    first = rows.start - past_of(detector, rows.start)
    return detector.score(features.rows(slice(first, rows.stop))).values[rows.start - first :]


@door
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

    The look-back of a detector that is not foreshock's own is measured, whatever it claims: scores with a longer past must not
    differ. The longer of both is used.

    Parameters
    ----------
    detector : Detector
        Cloned for every fold; the original is not changed.
    features : Features
        Input of the detector.
    splits : WalkForward
        Training windows and test blocks.
    label_bars : int
        The longest horizon in bars over which the scores will be evaluated; with the detector's lookback it is the purge before
        each test block.
    train_scores : bool
        Whether to keep the scores of each fold's training rows, which ``TrainQuantile`` needs.
    on_fold : callable, optional
        Called after each fold.

    Returns
    -------
    Scores
        NaN before the first test block and where a row cannot be scored, with one ``FoldScores`` for each fold.

    Raises
    ------
    ConfigError
        If the detector lacks ``fit`` or ``score``, or no test block fits into the rows.
    DataError
        If no row of any test block can be scored.

    Examples
    --------
    >>> import foreshock as fs
    >>> bars = fs.simulate_market(seed=1, n_symbols=1, n_bars=300).bars
    >>> detector = fs.make_detector("zscore", window=24, columns=("log_return",))
    >>> splits = fs.WalkForward(train="5D", test="2D", embargo="1D")
    >>> scores = fs.walk_forward(detector, fs.ohlcv_features(bars, ["log_return"]), splits)
    >>> scores
    Scores(BTC/USDT, 300 rows of 1h, 2022-01-01 to 2022-01-13, 44.0% scored, 3 folds)
    >>> scores.folds[0].train, scores.folds[0].test
    (slice(0, 120, None), slice(168, 216, None))
    """
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
    keeper: Callable[[Sequence[Fold]], KeepsFolds] | None = None,
) -> tuple[Scores, FittedFolds]:
    """Out-of-sample scores of a detector that is refitted before each test block.

    Parameters
    ----------
    detector : Detector
        See ``walk_forward`` for all parameters.
    keeper : callable, optional
        From the folds to what keeps their fits and scores; by default nothing does.

    Returns
    -------
    Scores
        NaN before the first test block, with one ``FoldScores`` for each fold.
    FittedFolds
        The fitted detectors.
    """
    check_whole("label_bars", label_bars, 0)
    values = np.full((features.n_rows, len(features.symbols)), np.nan)
    folds, detectors = [], []
    if not callable(getattr(detector, "fit", None)) or isinstance(detector, type):
        raise ConfigError(
            f"a detector to walk forward must have fit and score, got {shown(detector)}; make one with fs.make_detector"
        )
    check_type("features", features, Features, "make them with fs.ohlcv_features(bars)")
    check_type("splits", splits, WalkForward, 'pass fs.WalkForward(train="120D", test="60D")')
    check_rows = getattr(detector, "check_rows", None)
    if check_rows is not None:
        check_rows(features)
    detector = knowing_lookback(detector, features, lambda: first_blocks(detector, features, splits, label_bars))
    purge = label_bars + lookback_of(detector)
    wanted = splits.folds(features.n_rows, features.interval, purge=purge, origin=features.start_row)
    kept = keeper(wanted) if keeper is not None else None
    for k, (fold, (fitted, fit_seconds)) in enumerate(zip(wanted, _fitted(detector, features, wanted, kept), strict=True)):
        found = kept.found(k) if kept is not None else None
        if kept is not None and found is not None:
            values[fold.test] = kept.values(k)
        else:
            began = perf_counter()
            values[fold.test] = score_block(fitted, features, fold.test)
            score_seconds = perf_counter() - began
            trained = fitted.score(features.rows(fold.train)).values if train_scores else None
            facts = getattr(getattr(fitted, "whole", fitted), "fit_facts", dict)()
            found = FoldScores(fold.train, fold.test, trained, fit_seconds, score_seconds, facts)
            if kept is not None:
                kept.keep_scores(k, found, values[fold.test])
        folds.append(found)
        detectors.append(fitted)
        if on_fold is not None:
            on_fold()
    if np.isnan(values).all():
        raise DataError(
            "no row could be scored in any test block; the features are NaN there (window longer than the data, "
            "or missing bars); shorten the windows or pass more data"
        )
    scores = Scores(features.time, features.symbols, values, features.interval, tuple(folds))
    return scores, FittedFolds(tuple(detectors), scores.folds)


def first_blocks(detector: Any, features: Features, splits: WalkForward, label_bars: int) -> tuple[slice, slice]:
    """The first training window and the first test block of a detector, by the look-back that is known of it."""
    purge = label_bars + lookback_of(detector)
    fold = splits.folds(features.n_rows, features.interval, purge, features.start_row)[0]
    return fold.train, fold.test


def _fitted(
    detector: Any, features: Features, folds: Sequence[Fold], kept: KeepsFolds | None = None
) -> Iterator[tuple[FitsAndScores, float]]:
    """Yield a clone fitted on the training rows of each fold, and the seconds of fitting.

    A detector with ``fit_folds`` may fit several folds together; one with ``warm_start`` starts from the previous fold. Folds that
    are kept are not fitted.
    """
    from sklearn.base import clone

    fit_folds = getattr(detector, "fit_folds", lambda _: None)
    previous: Any = None
    for start in range(0, len(folds), TOGETHER):
        numbers = range(start, min(start + TOGETHER, len(folds)))
        have = {k: one for k in numbers if kept is not None and (one := kept.fitted(k)) is not None}
        missing = [k for k in numbers if k not in have]
        parts = [features.rows(folds[k].train) for k in missing]
        began = perf_counter()
        together = fit_folds(parts) if parts else None
        if together is not None:
            seconds = (perf_counter() - began) / len(parts)
            # All of them are kept before the first is scored: an interrupt would lose the others.
            have |= {k: (_stand_in(kept, k, fitted, seconds), seconds) for k, fitted in zip(missing, together, strict=True)}
        for k in numbers:
            if k not in have:
                began = perf_counter()
                fresh = carried(clone(detector), detector)
                warm = getattr(detector, "warm_start", False) and previous is not None
                part = features.rows(folds[k].train)
                fitted = fresh.fit(part, initial=getattr(previous, "whole", previous)) if warm else fresh.fit(part)
                seconds = perf_counter() - began
                have[k] = _stand_in(kept, k, fitted, seconds), seconds
            previous = have[k][0]
            yield have[k]


def _stand_in(kept: KeepsFolds | None, fold: int, fitted: FitsAndScores, seconds: float) -> FitsAndScores:
    return fitted if kept is None else kept.keep_fit(fold, fitted, seconds)
