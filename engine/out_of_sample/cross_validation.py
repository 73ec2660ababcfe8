"""Scores by combinatorial cross-validation: one out-of-sample history per path."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from foreshock.data.checks import check_type, check_whole
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError
from foreshock.data.show.shown import shown
from foreshock.engine.features.features import Features
from foreshock.engine.out_of_sample.combinatorial import CombinatorialSplits
from foreshock.engine.out_of_sample.lookback import carried, knowing_lookback, lookback_of
from foreshock.engine.out_of_sample.walk_forward import FitsAndScores, score_block
from foreshock.engine.scores import Scores


@door
def combinatorial_scores(
    detector: FitsAndScores,
    features: Features,
    splits: CombinatorialSplits,
    *,
    label_bars: int = 0,
    on_fold: Callable[[], None] | None = None,
) -> tuple[Scores, ...]:
    """Scores of all rows along each path of ``splits``, fitted on the other groups.

    Paths differ only in the history that the detector was fitted on. It is also fitted on rows later than those it scores, so
    verdicts use ``walk_forward`` instead. While a detector is fitted, the rows outside its training groups are NaN, as is every
    window that reaches into them.

    Parameters
    ----------
    detector : Detector
        Cloned for every fold; the original is not changed.
    features : Features
        Input of the detector.
    splits : CombinatorialSplits
        The splits; their purge is lengthened by ``label_bars`` and the detector's lookback.
    label_bars : int
        The longest horizon in bars over which the scores will be evaluated.
    on_fold : callable, optional
        Called after each of ``splits.n_folds`` folds.

    Returns
    -------
    tuple of Scores
        One for each of the ``splits.n_paths`` paths, NaN where a row cannot be scored. They have no folds, so ``TrainQuantile``
        cannot be used on them.

    Raises
    ------
    ConfigError
        If the detector lacks ``fit`` or ``score``, or the splits do not fit into the rows.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> bars = fs.simulate_market(seed=1, n_symbols=1, n_bars=300).bars
    >>> detector = fs.make_detector("zscore", window=24, columns=("log_return",))
    >>> paths = fs.combinatorial_scores(detector, fs.ohlcv_features(bars, ["log_return"]), fs.CombinatorialSplits(4, 2))
    >>> len(paths), [int(np.isnan(scores.values).sum()) for scores in paths]
    (3, [25, 25, 25])
    """
    if not (hasattr(detector, "fit") and hasattr(detector, "score")) or isinstance(detector, type):
        raise ConfigError(f"a detector must have fit and score, got {shown(detector)}; make one with fs.make_detector")
    check_type("features", features, Features, "make them with fs.ohlcv_features")
    from sklearn.base import clone

    check_whole("label_bars", label_bars, 0)
    half = features.n_rows // 2
    detector = knowing_lookback(detector, features, lambda: (slice(0, half), slice(half, features.n_rows)))
    splits = replace(splits, purge=splits.purge + label_bars + lookback_of(detector))
    tested = []
    for fold in splits.folds(features.n_rows, features.interval):
        known = np.zeros(features.n_rows, dtype=bool)
        known[fold.train_rows] = True
        visible = replace(features, values=np.where(known[:, None, None], features.values, np.nan))
        # scikit-learn's clone is not typed for a protocol.
        fresh: FitsAndScores = clone(detector)  # pyright: ignore[reportAssignmentType, reportArgumentType]
        fitted = carried(fresh, detector).fit(visible)
        values = np.full((features.n_rows, len(features.symbols)), np.nan)
        for block in fold.test:
            values[block] = score_block(fitted, features, block)
        tested.append(values)
        if on_fold is not None:
            on_fold()
    paths = splits.path_values(tested, features.n_rows)
    return tuple(Scores(features.time, features.symbols, values, features.interval) for values in paths)
