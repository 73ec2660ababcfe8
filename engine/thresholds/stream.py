"""Thresholds row by row: the base of their streams, the stream of a rule of the user's, and alerts with a cool-down."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Self

import numpy as np

from foreshock.data.checks import check_array, check_duration, check_type
from foreshock.data.doors.door import door
from foreshock.data.errors import DataError
from foreshock.data.interval import Duration, bars_in
from foreshock.data.show.facts import Shown, counted, symbols_fact
from foreshock.data.stream.state import Stream
from foreshock.engine.scores import FoldScores, Scores, Threshold, check_threshold


class ThresholdStream(Stream):
    """A threshold one row at a time, with the bits of the rule over the whole history.

    The rows are those after ``scores``; a row that is left out counts as no row, as in ``Scores``.

    Parameters
    ----------
    scores : Scores
        The scores before the first row, with their folds if the rule needs them; there may be none of them. Their symbols and
        interval are those of the rows.
    """

    fixed = ("symbols",)
    carries = ("_next",)

    def __init__(self, scores: Scores) -> None:
        self.symbols, self.interval = scores.symbols, scores.interval
        self._next: int | None = None

    def begin_fold(self, train_values: np.ndarray | None, train: slice | None = None) -> None:
        """The next row is the first of a walk-forward block; ``train_values``, (n_rows, n_symbols), are scores of training rows."""

    def update(self, scores: np.ndarray, time: np.datetime64 | None = None) -> np.ndarray:
        """The threshold of the next row, (n_symbols,), made of the rows before it; then the scores of the row are taken.

        Parameters
        ----------
        scores : ndarray, shape (n_symbols,)
            Scores of the row; NaN where there is none.
        time : datetime64, optional
            Open of the row; by default one interval after the row before.
        """
        check_array("scores", scores)
        row = np.ascontiguousarray(scores, dtype=np.float64)
        if row.shape != (len(self.symbols),):
            raise DataError(f"scores of a row must have the shape (n_symbols,) = ({len(self.symbols)},), got {row.shape}")
        at = self._next if time is None else int(time.astype("datetime64[us]").astype(np.int64))
        if at is None:
            raise DataError("the first row of a threshold stream needs its time; pass time, or scores before it")
        if self._next is not None and at < self._next:
            raise DataError(f"rows must come in order, got {np.datetime64(at, 'us')} after {np.datetime64(self._next, 'us')}")
        self._next = at + _micros(self.interval)
        return self._step(row, at)

    @abstractmethod
    def _step(self, row: np.ndarray, time: int) -> np.ndarray:
        raise NotImplementedError

    def after(self, scores: Scores) -> Self:
        """The stream itself, once it has taken the rows of ``scores``."""
        begins = {fold.test.start: fold for fold in scores.folds}
        for row in range(len(scores.time)):
            if row in begins:
                self.begin_fold(begins[row].train_values, begins[row].train)
            self.update(scores.values[row], scores.time[row])
        return self


class HistoryStream(ThresholdStream):
    """Any rule, computed again at each row over all rows: right for whatever the rule does, and the slower the longer it runs.

    A rule that looks back over so many rows at most may say so by an attribute ``lookback``, a number of rows; it gets no more.
    """

    def __init__(self, rule: Threshold, scores: Scores) -> None:
        super().__init__(scores)
        self.rule = rule
        self._longest: int | None = getattr(rule, "lookback", None)
        self._n = self._cut = 0
        self._time = np.zeros(64, dtype=np.int64)
        self._values = np.full((64, len(self.symbols)), np.nan)
        self._folds: list[tuple[int, slice, np.ndarray | None]] = []

    def begin_fold(self, train_values: np.ndarray | None, train: slice | None = None) -> None:
        n_train = 0 if train_values is None else len(train_values)
        self._folds.append((self._cut + self._n, train or slice(0, n_train), train_values))

    def state(self) -> dict[str, Any]:
        folds = tuple(
            {"start": a, "train": (t.start, t.stop), "values": None if v is None else v.copy()} for a, t, v in self._folds
        )
        rows = {"time": self._time[: self._n].copy(), "values": self._values[: self._n].copy()}
        return {"next": self._next, "cut": self._cut, "folds": folds, **rows}

    def restore(self, state: Mapping[str, Any]) -> Self:
        if set(state) != set(self.state()) or state["values"].shape[1:] != self._values.shape[1:]:
            raise DataError(
                f"the state is not one of {type(self.rule).__name__}; restore the state of a stream made in the same way"
            )
        self._next, self._cut, self._n = state["next"], state["cut"], len(state["time"])
        self._time, self._values = state["time"].copy(), state["values"].copy()
        self._folds = [(fold["start"], slice(*fold["train"]), fold["values"]) for fold in state["folds"]]
        return self

    def _step(self, row: np.ndarray, time: int) -> np.ndarray:
        self._append(row, time)
        edges = [*(start - self._cut for start, _, _ in self._folds[1:]), self._n][: len(self._folds)]
        folds = tuple(
            FoldScores(train, slice(max(start - self._cut, 0), stop), values)
            for (start, train, values), stop in zip(self._folds, edges, strict=True)
            if stop > 0
        )
        known = self._time[: self._n].astype("datetime64[us]")
        found = self.rule.threshold(Scores(known, self.symbols, self._values[: self._n].copy(), self.interval, folds))
        return np.array(found[-1], dtype=np.float64)

    def after(self, scores: Scores) -> Self:
        # No threshold of these rows is asked for, so that none is computed.
        self._time = scores.time.astype("datetime64[us]").astype(np.int64)
        self._values, self._n = np.array(scores.values, dtype=np.float64), len(scores.time)
        self._folds = [(fold.test.start, fold.train, fold.train_values) for fold in scores.folds if fold.test.start < self._n]
        self._next = int(self._time[-1]) + _micros(self.interval) if self._n else None
        return self

    def _append(self, row: np.ndarray, time: int) -> None:
        if self._longest is not None and self._n > 2 * self._longest + 64:
            gone = self._n - self._longest
            self._time, self._values = self._time[gone : self._n].copy(), self._values[gone : self._n].copy()
            self._cut, self._n = self._cut + gone, self._longest
        if self._n == len(self._time):
            self._time = np.concatenate([self._time, np.zeros(max(self._n, 64), dtype=np.int64)])
            self._values = np.concatenate([self._values, np.full((max(self._n, 64), self._values.shape[1]), np.nan)])
        self._time[self._n], self._values[self._n] = time, row
        self._n += 1


@door
def threshold_stream(rule: Threshold, scores: Scores) -> ThresholdStream:
    """The stream of a threshold after some scores: its own where it has one, else one that computes the rule again at each row.

    Parameters
    ----------
    rule : Threshold
        Ours or the user's; a rule with a method ``stream(scores)`` has its own stream.
    scores : Scores
        The scores before the first row, with their folds if the rule needs training scores. They may have no rows.

    Raises
    ------
    ConfigError
        If the rule is none, or its window does not fit the interval.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> time = np.datetime64("2024-01-01", "us") + np.arange(400) * np.timedelta64(1, "h")
    >>> values = np.random.default_rng(0).exponential(1.0, (400, 1))
    >>> rule = fs.RollingQuantile(0.9, "10D")
    >>> stream = fs.threshold_stream(rule, fs.Scores(time[:300], ("A",), values[:300], np.timedelta64(1, "h")))
    >>> levels = np.array([stream.update(row) for row in values[300:]])
    >>> whole = rule.threshold(fs.Scores(time, ("A",), values, np.timedelta64(1, "h")))
    >>> np.array_equal(levels, whole[300:])
    True
    """
    check_threshold(rule)
    check_type("scores", scores, Scores, "make them with fs.walk_forward")
    made = getattr(rule, "stream", HistoryStream(rule, scores).after)
    found: Any = made(scores)
    return found


class Decision(NamedTuple):
    """What a row of scores came to: alerts, threshold, and where both score and threshold are known; each (n_symbols,)."""

    active: np.ndarray
    threshold: np.ndarray
    decided: np.ndarray


class Cooldown(Stream):
    """Alerts with those left out that come within so many rows after one that was kept, of the same symbol; see ``thin``."""

    fixed = ("n_bars",)
    carries = ("_quiet",)

    def __init__(self, n_symbols: int, n_bars: int) -> None:
        self.n_bars = n_bars
        # Rows that each symbol is still quiet.
        self._quiet = np.zeros(n_symbols, dtype=np.int64)

    def update(self, active: np.ndarray) -> np.ndarray:
        """The alerts of the next row that are kept, bool (n_symbols,)."""
        kept = active & (self._quiet == 0)
        self._quiet = np.where(kept, self.n_bars - 1, np.maximum(self._quiet - 1, 0))
        return kept


@door
class SignalStream(Stream, Shown):
    """``Scores.signals`` one row at a time: a threshold, the alerts that exceed it, and a cool-down.

    Parameters
    ----------
    rule : Threshold
        Rule for the threshold of each row.
    scores : Scores
        The scores before the first row; see ``threshold_stream``.
    cooldown : str, optional
        Time after an alert during which further alerts of the same symbol are dropped; none by default.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> time = np.datetime64("2024-01-01", "us") + np.arange(5) * np.timedelta64(1, "h")
    >>> before = fs.Scores(time[:2], ("A",), np.array([[0.1], [2.0]]), np.timedelta64(1, "h"))
    >>> stream = fs.SignalStream(fs.Fixed(1.0), before, cooldown="3h")
    >>> [bool(stream.update(np.array([score])).active[0]) for score in (np.nan, 3.0, 2.0)]
    [False, False, True]
    """

    carries = ("_threshold", "_cooldown")

    def __init__(self, rule: Threshold, scores: Scores, cooldown: Duration | None = None) -> None:
        check_type("scores", scores, Scores, "make them with fs.walk_forward")
        if cooldown is not None:
            check_duration("cooldown", cooldown)
        self._cooldown = None if cooldown is None else Cooldown(len(scores.symbols), bars_in(cooldown, scores.interval, "cooldown"))
        self._threshold = threshold_stream(rule, scores)
        if self._cooldown is not None and len(scores.time):
            for row in scores.signals(rule).active:
                self._cooldown.update(row)

    def begin_fold(self, train_values: np.ndarray | None, train: slice | None = None) -> None:
        """The next row is the first of a walk-forward block; see ``ThresholdStream.begin_fold``."""
        if train is not None:
            check_type("train", train, slice, "the training rows of the fold")
        if train_values is not None:
            check_array("train_values", train_values)
            n = len(self._threshold.symbols)
            if np.ndim(train_values) != 2 or np.shape(train_values)[1] != n:
                raise DataError(
                    f"train_values must have the shape (n_rows, n_symbols), for {n} symbols, got {np.shape(train_values)}"
                )
            train_values = np.asarray(train_values, dtype=np.float64)
        self._threshold.begin_fold(train_values, train)

    def update(self, scores: np.ndarray, time: np.datetime64 | None = None) -> Decision:
        """Alerts, threshold and what was decided in the next row; see ``ThresholdStream.update`` for the arguments."""
        level = self._threshold.update(scores, time)
        row = np.asarray(scores, dtype=np.float64)
        # NaN compares false: a row without a score or without a threshold is never an alert.
        active, decided = row > level, ~np.isnan(row) & ~np.isnan(level)
        if self._cooldown is not None:
            kept = self._cooldown.update(active)
            decided &= kept | ~active
            active = kept
        return Decision(active, level, decided)

    def _facts(self) -> Iterator[str]:
        yield symbols_fact(self._threshold.symbols)
        yield from [] if self._cooldown is None else [f"cool-down of {counted(self._cooldown.n_bars, 'row')}"]


def _micros(span: np.timedelta64) -> int:
    return int(span.astype("timedelta64[us]").astype(np.int64))
