"""Walk-forward scoring one row at a time: a refit on stored rows at each fold boundary, and the swap where the batch swaps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from foreshock.data.errors import ConfigError
from foreshock.data.interval import bars_in
from foreshock.data.stream.state import Stream
from foreshock.data.system.packed import pack
from foreshock.engine.features.features import Features
from foreshock.engine.out_of_sample.lookback import carried, is_ours, past_of
from foreshock.engine.out_of_sample.splits import WalkForward

FIRST_ROOM = 256
ALL = 2**62


class StoredRows(Stream):
    """The last rows of features, by their number since the first.

    Parameters
    ----------
    features : Features
        Their symbols, names and interval are those of the rows; there need not be any rows among them.
    """

    def __init__(self, features: Features) -> None:
        self.symbols, self.names, self.comparable = features.symbols, features.names, features.comparable
        self.interval = features.interval
        # Rows taken since the first, and those of them that are gone.
        self.n = self.cut = 0
        # How many rows back somebody may ask for.
        self.keep = 0
        self._time = np.zeros(FIRST_ROOM, dtype=np.int64)
        self._values = np.zeros((FIRST_ROOM, len(self.symbols), len(self.names)))
        self._offset = 0

    def append(self, row: np.ndarray, time: int) -> None:
        """Take the next row, (n_symbols, n_features), that opens at ``time`` in microseconds."""
        at = self.n - self._offset
        if at == len(self._time):
            # Arrays are replaced and never changed, so that a fit in another thread keeps the rows it was given.
            self.cut = max(self.cut, self.n - self.keep)
            kept = slice(self.cut - self._offset, at)
            room = max(self.n - self.cut, FIRST_ROOM)
            self._time = np.concatenate([self._time[kept], np.zeros(room, dtype=np.int64)])
            self._values = np.concatenate([self._values[kept], np.zeros((room, *self._values.shape[1:]))])
            self._offset, at = self.cut, self.n - self.cut
        self._time[at], self._values[at] = time, row
        self.n += 1

    def rows(self, start: int, stop: int) -> Features:
        """The rows of some numbers, without a copy."""
        part = slice(start - self._offset, stop - self._offset)
        time = self._time[part].view("datetime64[us]")
        return Features(time, self.symbols, self.names, self._values[part], self.interval, self.comparable)

    def state(self) -> dict[str, Any]:
        part = slice(max(self.n - self.keep, self.cut) - self._offset, self.n - self._offset)
        return {"n": self.n, "time": self._time[part].copy(), "values": self._values[part].copy()}

    def restore(self, state: Mapping[str, Any]) -> Self:
        self.n, self._time, self._values = state["n"], state["time"].copy(), state["values"].copy()
        self.cut = self._offset = self.n - len(self._time)
        return self


@dataclass(frozen=True)
class Refit:
    """A fit that is due, or done: training rows by number, the row of its first score, and its training scores."""

    train: slice
    start: int
    fitted: Any = None
    train_values: np.ndarray | None = None


# From a detector that is not fitted, its training rows, the fit before it, and whether training scores are wanted.
Fit = Callable[[Any, Features, Any, bool], tuple[Any, np.ndarray | None]]


def fit_fold(detector: Any, features: Features, previous: Any = None, train_scores: bool = False) -> tuple[Any, np.ndarray | None]:
    """A clone fitted on the rows, from the weights of the fit before it where it starts warm; and its training scores."""
    from sklearn.base import clone

    fresh = carried(clone(detector), detector)
    warm = getattr(detector, "warm_start", False) and previous is not None
    fitted = fresh.fit(features, initial=previous) if warm else fresh.fit(features)
    return fitted, fitted.score(features).values if train_scores else None


class ForwardStream(Stream):
    """``walk_forward`` one row at a time.

    Blocks begin at the rows at which those of the batch begin. Without an executor a model is fitted in the first row of its block.
    With one, it is fitted as soon as its training rows are known, which is the gap before its block; where it is late, the old
    model goes on, ``stale`` is True, and the new one takes over as soon as it is there, as if it had been there all along.

    Parameters
    ----------
    detector : Detector
        Not fitted; it is cloned for each fold.
    stored : StoredRows
        Rows that several of these streams share; each row is appended after it was scored.
    splits : WalkForward
        Training windows and test blocks.
    purge : int
        Rows between training and test rows, besides the embargo.
    train_scores : bool
        Whether the scores of the training rows are wanted.
    executor : Executor, optional
        Where to fit; a detector with ``warm_start`` is fitted in place.
    fit : callable
        How to fit; see ``fit_fold``.
    """

    def __init__(
        self,
        detector: Any,
        stored: StoredRows,
        splits: WalkForward,
        purge: int,
        train_scores: bool = False,
        executor: Executor | None = None,
        fit: Fit = fit_fold,
    ) -> None:
        self.detector, self.stored, self.train_scores, self.fit = detector, stored, train_scores, fit
        self.executor = None if getattr(detector, "warm_start", False) else executor
        self._test = bars_in(splits.test, stored.interval, "test")
        self._gap = purge + (bars_in(splits.embargo, stored.interval, "embargo") if splits.embargo else 0)
        self._needed = bars_in(splits.train, stored.interval, "train") + self._gap
        self._expanding = splits.mode == "expanding"
        # Rows of the block, of the one before it while a fit is late, and of the training window before that.
        back = ALL if self._expanding or past_of(detector, ALL) == ALL else self._needed + 2 * self._test
        stored.keep = max(stored.keep, back)
        # The first row of the next block, and of the next that is not being fitted.
        self._due = self._unfitted = -1
        self._running: list[tuple[Refit, Future]] = []
        self.current: Refit | None = None
        self.stream: Any = None
        self.stale = False
        # Whether a block waits for its model, as a replay does: it is faster than any fit.
        self.patient = False
        # Training rows of the block that began with the last row; None if none did.
        self.begun: slice | None = None
        # Why the last fit failed; the old model goes on.
        self.failure: str | None = None

    def update(self, row: np.ndarray, time: int) -> tuple[np.ndarray, bool]:
        """Scores of the next row, (n_symbols,), and whether it is the first of a new model; NaN before the first block."""
        at = self.stored.n
        if self._due < 0:
            origin = time // int(self.stored.interval.astype("timedelta64[us]").astype(np.int64))
            self._due = self._unfitted = self._needed + (-origin - self._needed) % self._test
        fresh = self._swap(at)
        if self.stream is None:
            return np.full(len(self.stored.symbols), np.nan), fresh
        return self.stream.update(row, np.datetime64(time, "us")), fresh

    def _swap(self, at: int) -> bool:
        while self.executor is not None and at >= self._unfitted - self._gap:
            refit = self._refit(self._unfitted)
            part = self.stored.rows(refit.train.start, refit.train.stop)
            self._running.append((refit, self.executor.submit(self.fit, self.detector, part, None, self.train_scores)))
            self._unfitted += self._test
        due = at == self._due
        self.begun = self._refit(at).train if due else None
        if due:
            self._due += self._test
            self.stale = self.current is not None
            if self.executor is None:
                refit = self._refit(at)
                part = self.stored.rows(refit.train.start, refit.train.stop)
                previous = None if self.current is None else self.current.fitted
                return self._take(refit, lambda: self.fit(self.detector, part, previous, self.train_scores))
        ready = [k for k, (refit, future) in enumerate(self._running) if refit.start <= at and (self.patient or future.done())]
        if not ready:
            return False
        refit, future = self._running[ready[-1]]
        self._running = self._running[ready[-1] + 1 :]
        return self._take(refit, future.result)

    def _refit(self, start: int) -> Refit:
        return Refit(slice(0 if self._expanding else start - self._needed, start - self._gap), start)

    def _take(self, refit: Refit, fit: Callable[[], tuple[Any, np.ndarray | None]]) -> bool:
        """Go on with the model of a fit; with the old one where it failed."""
        try:
            fitted, trained = fit()
        # Whatever a fit raises must not end what watches a market.
        except Exception as error:
            self.failure = f"{type(error).__name__}: {' '.join(str(error).split())}"
            return False
        self.failure = None
        self._open(Refit(refit.train, refit.start, fitted, trained))
        # A later block may have begun while this one was fitted.
        self.stale = self._due - self._test > refit.start
        return True

    def _open(self, refit: Refit) -> None:
        self.current = refit
        now = self.stored.n
        # The batch sees the rows of the look-back before the block, and those of the block itself.
        first = max(refit.start - past_of(refit.fitted, refit.start), self.stored.cut)
        self.stream = self._stream_of(refit.fitted, self.stored.rows(first, now), None)

    def _stream_of(self, fitted: Any, features: Features | None, state: Mapping[str, Any] | None) -> Any:
        return fitted.stream(features, state)

    def state(self) -> dict[str, Any]:
        """The model is part of the state where it can be saved; else it is fitted again on the stored rows."""
        now = self.current
        known = None
        if now is not None:
            known = {"train": (now.train.start, now.train.stop), "start": now.start, "model": _model_of(now.fitted)}
        # Fits that were running begin anew.
        unfitted = self._running[0][0].start if self._running else self._unfitted
        stream = None if self.stream is None else self.stream.state()
        dues = {"due": self._due, "unfitted": unfitted, "stale": self.stale, "failure": self.failure}
        return {**dues, "current": known, "stream": stream}

    def restore(self, state: Mapping[str, Any]) -> Self:
        """Go on from a state, after the stored rows were restored."""
        from sklearn.base import clone

        self._due, self._unfitted = state["due"], state["unfitted"]
        self.stale, self.failure, self._running = state["stale"], state["failure"], []
        self.current, self.stream, known = None, None, state["current"]
        if known is not None:
            train = slice(*known["train"])
            if known["model"] is not None:
                fresh: Any = clone(self.detector)
                fitted = carried(fresh, self.detector).restore(known["model"])
            else:
                fitted, _ = self.fit(self.detector, self.stored.rows(train.start, train.stop), None, False)
            self.current = Refit(train, known["start"], fitted)
            self.stream = self._stream_of(fitted, None, state["stream"])
        return self


def _model_of(fitted: Any) -> dict[str, Any] | None:
    """What a detector of ours learned; None for others, and where it is not arrays and plain values."""
    if not is_ours(fitted):
        return None
    model = fitted.state()
    try:
        pack(model, "model", {}, "")
    except ConfigError:
        return None
    return model
