"""The look-back of a detector that is not foreshock's own: measured, because scores would be lost in silence if it were wrong."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np

from foreshock.engine.features.features import Features
from foreshock.engine.scores import Scores

# Rows at which scores with a shorter and with the longest past are compared.
N_PROBES = 5
# Relative difference of scores that rounding by pandas or BLAS explains.
ROUNDING = 1e-9


class FitsAndScores(Protocol):
    """The interface of a detector that the engine uses."""

    @property
    def lookback(self) -> int: ...

    def fit(self, features: Features) -> Self: ...

    def score(self, features: Features) -> Scores: ...


@dataclass(frozen=True)
class Lookback:
    """How many rows before a row its score depends on.

    Parameters
    ----------
    claimed : int
        What the detector says.
    needed : int or None
        What was measured; None if scores never stop depending on the first row.
    """

    claimed: int
    needed: int | None

    @property
    def rows(self) -> int:
        """Rows before a block that belong to it, for the purge."""
        return max(self.claimed, self.needed or 0)


def is_ours(detector: Any) -> bool:
    """Whether a detector is foreshock's own, so that its look-back is tested and need not be measured."""
    return type(detector).__module__.startswith("foreshock.") and not getattr(detector, "own", False)


def lookback_of(detector: Any) -> int:
    """Rows before a block that the purge keeps apart: the measured look-back, or else the claimed one."""
    measured: Lookback | None = getattr(detector, "lookback_", None)
    return detector.lookback if measured is None else measured.rows


def past_of(detector: Any, n_before: int) -> int:
    """How many of the ``n_before`` rows before a block its scores need."""
    measured: Lookback | None = getattr(detector, "lookback_", None)
    return n_before if measured is not None and measured.needed is None else min(lookback_of(detector), n_before)


def carried(fresh: Any, detector: Any) -> Any:
    """A clone, with the look-back that was measured on the original."""
    if getattr(detector, "lookback_", None) is not None:
        fresh.lookback_ = detector.lookback_
    return fresh


def with_lookback(detector: Any, found: Lookback) -> Any:
    """A copy of a detector that knows its measured look-back."""
    other = copy(detector)
    other.lookback_ = found
    return other


def needs_measuring(detector: Any) -> bool:
    """Whether a look-back is to be measured: that of what is not ours, unless each row is scored by itself, and not twice."""
    known = is_ours(detector) or getattr(detector, "by_row", False)
    return not known and getattr(detector, "lookback_", None) is None


def knowing_lookback(detector: Any, features: Features, blocks: Callable[[], tuple[slice, slice]]) -> Any:
    """The detector with its measured look-back; the detector itself if there is nothing to measure.

    A clone is fitted on the first of both blocks, and scores rows of the second.
    """
    if not needs_measuring(detector):
        return detector
    from sklearn.base import clone

    train, block = blocks()
    fresh: Any = clone(detector)
    fitted = fresh.fit(features.rows(train))
    return with_lookback(detector, measure_lookback(fitted, features, block))


def measure_lookback(fitted: FitsAndScores, features: Features, block: slice) -> Lookback:
    """The look-back of a fitted detector, from rows of a test block.

    The score of each of a few rows with the longest past there is, is compared with that with a shorter one, of twice the length
    each time until none differs; then the shortest is searched between the last two.

    Parameters
    ----------
    fitted : detector
    features : Features
        The history; rows after the block are not used.
    block : slice
        The rows from which those to compare are taken.

    Returns
    -------
    Lookback
        ``needed`` is at least the claimed look-back, so it is never shorter than what the detector asks for.
    """
    claimed = int(fitted.lookback)
    probes = _probes(fitted, features, block)
    if not probes:
        return Lookback(claimed, claimed)
    tolerance = max(float(getattr(fitted, "tolerance", 0.0)), ROUNDING)

    def enough(length: int) -> bool:
        return all(_same(_last(fitted, features, max(row - length, 0), row), whole, tolerance) for row, whole in probes)

    longest = max(min(block.start, *(row for row, _ in probes)), 1)
    short, length = -1, claimed
    while not enough(length):
        if length >= longest:
            return Lookback(claimed, None)
        short, length = length, min(max(2 * length, 1), longest)
    return Lookback(claimed, _shortest(enough, short, length) if short >= 0 else claimed)


def _shortest(enough: Callable[[int], bool], short: int, length: int) -> int:
    """The least length that is enough, between one that is not and one that is."""
    while length - short > 1:
        middle = (short + length) // 2
        short, length = (short, middle) if enough(middle) else (middle, length)
    return length


def _probes(fitted: FitsAndScores, features: Features, block: slice) -> list[tuple[int, np.ndarray]]:
    """Rows of the block, the last among them, and their scores with the longest past; only rows with a score."""
    candidates = np.unique(np.linspace(block.start, block.stop - 1, 4 * N_PROBES).astype(int))[::-1]
    scored = fitted.score(features.rows(slice(0, block.stop))).values
    known = [int(row) for row in candidates if not np.isnan(scored[row]).all()]
    chosen = [known[i] for i in np.unique(np.linspace(0, len(known) - 1, N_PROBES).astype(int))] if known else []
    found = [(row, _last(fitted, features, 0, row)) for row in chosen]
    return [(row, whole) for row, whole in found if not np.isnan(whole).all()]


def _last(fitted: FitsAndScores, features: Features, first: int, row: int) -> np.ndarray:
    return fitted.score(features.rows(slice(first, row + 1))).values[-1]


def _same(found: np.ndarray, whole: np.ndarray, tolerance: float) -> bool:
    return np.allclose(found, whole, rtol=tolerance, atol=0, equal_nan=True)
