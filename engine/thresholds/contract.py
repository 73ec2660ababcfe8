"""The contract of a threshold, as a function that raises if a threshold breaks it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from foreshock.data.doors.door import door
from foreshock.data.doors.kinds import ANYTHING
from foreshock.data.errors import ConfigError
from foreshock.data.plugins.contract import called, first_difference, global_seed
from foreshock.data.show.shown import shown
from foreshock.engine.scores import FoldScores, Scores, Threshold, check_threshold


@door(rule=ANYTHING)
def check_threshold_rule(rule: Threshold, scores: Scores | None = None) -> None:
    """Raise unless a threshold keeps the contract of the built-in thresholds.

    A threshold must be a float array of shape (n_rows, n_symbols) that is not all NaN. The threshold of row t must be bit-equal
    when the scores of t and later are changed, when rows after t are deleted, and when it is computed again under another global
    random state. If no score is known, it must be NaN or equal to its usual value. The scores must not be modified. A rule with a
    method ``stream`` must have the same thresholds row by row.

    Parameters
    ----------
    rule : Threshold
        The threshold to check.
    scores : Scores, optional
        Scores to check it on; by default 1,500 hourly scores of two symbols with gaps and one fold with training scores.

    Raises
    ------
    ConfigError
        If a check fails; the message says which one and how to fix it.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> fs.check_threshold_rule(fs.RollingQuantile(0.98, "10D"))
    >>> class InSample:
    ...     nominal_rate, needs_train_scores = 0.01, False
    ...     def threshold(self, scores):
    ...         return np.full(scores.values.shape, np.nanquantile(scores.values, 0.99))
    >>> fs.check_threshold_rule(InSample())  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    foreshock.data.errors.ConfigError: InSample looks ahead: its threshold of row 0 differs when ...
    """
    check_threshold(rule)
    name = type(rule).__name__
    rate = rule.nominal_rate
    if not isinstance(rate, float | int) or not (np.isnan(rate) or 0 <= rate <= 1):
        raise ConfigError(f"nominal_rate of {name} must be a fraction from 0 to 1, or nan if there is none, got {shown(rate)}")
    scores = _usual_scores() if scores is None else scores
    whole = _computed(rule, scores)
    _check_past(rule, scores, whole)
    with global_seed(2):
        if first_difference(rule.threshold(scores), whole) is not None:
            raise ConfigError(f"{name} returns another threshold when it is computed again; it must not depend on random numbers")
    unknown = rule.threshold(_unknown(scores))
    if (~np.isnan(unknown) & (unknown != whole)).any():
        raise ConfigError(f"{name} treats unknown scores (NaN) as numbers; leave NaN out, and return NaN if no score is known")
    if callable(getattr(rule, "stream", None)):
        _check_stream(rule, scores, whole)


def _computed(rule: Threshold, scores: Scores) -> np.ndarray:
    name = type(rule).__name__
    kept = [fold.train_values for fold in scores.folds if fold.train_values is not None]
    given = replace(
        scores,
        values=scores.values.copy(),
        folds=tuple(replace(f, train_values=None if f.train_values is None else f.train_values.copy()) for f in scores.folds),
    )
    with global_seed(1):
        whole = called(name, "threshold", lambda: rule.threshold(given))
    now = [fold.train_values for fold in given.folds if fold.train_values is not None]
    pairs = [(given.values, scores.values), *zip(now, kept, strict=True)]
    if any(first_difference(found, expected) is not None for found, expected in pairs):
        raise ConfigError(f"{name} writes into the scores; work on scores.values.copy()")
    if not isinstance(whole, np.ndarray) or whole.shape != scores.values.shape or whole.dtype.kind != "f":
        got = f"{whole.dtype} of {whole.shape}" if isinstance(whole, np.ndarray) else type(whole).__name__
        raise ConfigError(
            f"{name} must return a float array of shape (n_rows, n_symbols) = {scores.values.shape}, got {got}; use np.full"
        )
    if np.isnan(whole).all():
        raise ConfigError(f"{name} returns only NaN for {len(whole)} rows of scores; pass longer scores, or shorten its window")
    return whole


def _check_past(rule: Threshold, scores: Scores, whole: np.ndarray) -> None:
    name = type(rule).__name__
    n_rows = len(scores.values)
    for cut in (n_rows // 2, n_rows * 2 // 3, n_rows - 1):
        row = first_difference(rule.threshold(_head(scores, cut)), whole[:cut])
        if row is not None:
            raise ConfigError(
                f"{name} looks ahead: its threshold of row {row} differs when the rows from {cut} on are deleted; use earlier "
                f"scores only"
            )
        values = scores.values.copy()
        values[cut:] = 1e9
        row = first_difference(rule.threshold(replace(scores, values=values))[: cut + 1], whole[: cut + 1])
        if row is not None:
            own = "itself, which it judges" if row == cut else f"{cut} and later"
            raise ConfigError(
                f"{name} looks ahead: its threshold of row {row} differs when the scores of row {own}, are changed; use "
                f"earlier scores only"
            )


def _check_stream(rule: Any, scores: Scores, whole: np.ndarray) -> None:
    """A rule with a stream of its own: its thresholds row by row, saved and restored in the middle, are those of the batch."""
    name = type(rule).__name__
    begins = {fold.test.start: fold for fold in scores.folds}
    n_rows, none = len(scores.values), _head(scores, 0)
    stream = called(name, "stream", lambda: rule.stream(none))
    for row in range(n_rows):
        if row == n_rows // 2:
            stream = rule.stream(none).restore(stream.state())
        if row in begins:
            stream.begin_fold(begins[row].train_values, begins[row].train)
        found = called(name, "stream", lambda stream=stream, row=row: stream.update(scores.values[row], scores.time[row]))
        if not np.array_equal(found, whole[row], equal_nan=True):
            raise ConfigError(
                f"the stream of {name} differs from its threshold in row {row}, got {shown(np.asarray(found).tolist())}, expected "
                f"{shown(whole[row].tolist())}; leave stream out, and the rule is computed again at each row"
            )


def _head(scores: Scores, n: int) -> Scores:
    folds = tuple(
        replace(fold, test=slice(fold.test.start, min(fold.test.stop, n))) for fold in scores.folds if fold.test.start < n
    )
    return replace(scores, time=scores.time[:n], values=scores.values[:n], folds=folds)


def _unknown(scores: Scores) -> Scores:
    folds = tuple(
        fold if fold.train_values is None else replace(fold, train_values=np.full_like(fold.train_values, np.nan))
        for fold in scores.folds
    )
    return replace(scores, values=np.full_like(scores.values, np.nan), folds=folds)


def _usual_scores() -> Scores:
    rng = np.random.default_rng(5)
    values = np.abs(rng.standard_t(4, (1_500, 2)))
    values[rng.random(values.shape) < 0.1] = np.nan
    time = np.datetime64("2024-01-01", "us") + np.arange(1_500) * np.timedelta64(1, "h")
    folds = (FoldScores(slice(0, 500), slice(520, 1_500), np.abs(rng.standard_t(4, (500, 2)))),)
    return Scores(time, ("A", "B"), values, np.timedelta64(1, "h").astype("timedelta64[us]"), folds)
