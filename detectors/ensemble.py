"""Rank average of several detectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from foreshock.data.errors import ConfigError
from foreshock.data.show.shown import few, shown
from foreshock.detectors.base import Detector
from foreshock.detectors.registry import make_detector
from foreshock.detectors.stream import DetectorStream
from foreshock.engine.features.features import Features
from foreshock.engine.statistics.variation import varies


class Ensemble(Detector):
    """Mean over the members of the rank that a row's score has among the member's training scores, in (0, 1).

    score = mean_k F_k(s_k), with F_k the distribution function of the k-th member's training scores: i / (n + 1) at the i-th of
    the n sorted scores, linear between them. Beyond the largest, F = 1 - 1 / ((n + 1) (1 + d)) with d the distance to it
    in standard deviations of the training scores, so that stranger rows still rank higher; below the smallest likewise.
    A row is ranked among training scores only, so its rank does not change when later rows come.

    A row is scored if every member scores it and has training scores to rank it among; otherwise its score is NaN.

    Parameters
    ----------
    members : sequence of str
        Names of at least two detectors.
    params : dict of str to dict, optional
        Parameters of the members, by name; a member that is not in it has its defaults.
    pool : bool
        Whether to rank among the training scores of all symbols (True, the default) or of the symbol itself. Whether a member
        pools symbols is a parameter of the member.
    """

    name = "ensemble"
    # The scores of members may differ by BLAS rounding, and the ranks with them.
    tolerance = 1e-9
    learned = ("symbols_", "states_", "ranked_")

    def __init__(
        self,
        members: Sequence[str] = ("zscore", "isolation_forest", "pca"),
        params: Mapping[str, Mapping[str, Any]] | None = None,
        pool: bool = True,
    ) -> None:
        self.members = members
        self.params = params
        self.pool = pool

    @property
    def lookback(self) -> int:
        return max(member.lookback for member in self._members())

    def _members(self) -> list[Detector]:
        if isinstance(self.members, str) or len(self.members) < 2 or len(set(self.members)) < len(self.members):
            raise ConfigError(f"members must be at least two different names, such as ['zscore', 'pca'], got {shown(self.members)}")
        if self.name in self.members:
            raise ConfigError("an ensemble cannot be a member of an ensemble; list its members instead")
        params = self.params or {}
        strangers = [name for name in params if name not in self.members]
        if strangers:
            raise ConfigError(f"params has {few(strangers)}, not a member; the members are {few(self.members)}")
        return [make_detector(name, **params.get(name, {})) for name in self.members]

    def _fit(self, features: Features) -> None:
        members = [member.fit(features) for member in self._members()]
        ranked = [self._ranked(member.score(features).values) for member in members]
        self.symbols_ = features.symbols
        self.states_ = tuple(member.state() for member in members)
        self.ranked_ = tuple(ranked)

    def _ranked(self, scores: np.ndarray) -> tuple[np.ndarray, ...]:
        """Sorted known scores, one array for all symbols together or one for each symbol."""
        groups = [scores] if self.pool else list(scores.T)
        return tuple(np.sort(group[~np.isnan(group)]) for group in groups)

    def _score(self, features: Features) -> np.ndarray:
        total = np.zeros((features.n_rows, len(features.symbols)))
        for member, state, ranked in zip(self._members(), self.states_, self.ranked_, strict=True):
            scores = member.restore(state).score(features).values
            for i, symbol in enumerate(features.symbols):
                known = symbol in self.symbols_ or (self.pool and features.comparable)
                total[:, i] += rank(scores[:, i], ranked[0 if self.pool else self.symbols_.index(symbol)]) if known else np.nan
        return total / len(self.states_)

    def _stream(self, features: Features) -> DetectorStream:
        return _EnsembleStream(self, features)

    def _variants(self, features: Features, rows: np.ndarray, symbols: np.ndarray) -> np.ndarray:
        total = np.zeros((len(rows), 1 + len(features.names)))
        for member, state, ranked in zip(self._members(), self.states_, self.ranked_, strict=True):
            restored = member.restore(state)
            restored.typical_ = self.typical_
            scores = restored._variants(features, rows, symbols)
            for i, symbol in enumerate(features.symbols):
                at = symbols == i
                if at.any():
                    own = ranked[0 if self.pool else self.symbols_.index(symbol)] if symbol in self.symbols_ else np.array([])
                    total[at] += rank(scores[at].ravel(), own).reshape(-1, total.shape[1])
        return total / len(self.states_)

    def _whole(self) -> bool:
        return super()._whole() and len(self.states_) == len(self.ranked_) == len(self.members)


@dataclass(frozen=True)
class _Table:
    """Sorted training scores as ranks: the distinct ones, the rank of each, and their spread; None if there are none."""

    values: np.ndarray
    places: np.ndarray
    unit: float

    @classmethod
    def of(cls, ranked: np.ndarray) -> _Table | None:
        if not len(ranked):
            return None
        # Tied training scores share the mean of their ranks.
        values, first, count = np.unique(ranked, return_index=True, return_counts=True)
        places = (first + (count + 1) / 2) / (len(ranked) + 1)
        return cls(values, places, float(ranked.std()) if varies(ranked) else 1.0)

    def rank(self, x: np.ndarray) -> np.ndarray:
        out = np.interp(x, self.values, self.places)
        above, below = x > self.values[-1], x < self.values[0]
        out[above] = 1 - (1 - self.places[-1]) / (1 + (x[above] - self.values[-1]) / self.unit)
        out[below] = self.places[0] / (1 + (self.values[0] - x[below]) / self.unit)
        return out


class _EnsembleStream(DetectorStream):
    """The streams of the members, and the ranks of their scores."""

    carries = (*DetectorStream.carries, "_members")

    def __init__(self, detector: Ensemble, features: Features) -> None:
        super().__init__(detector, features)
        members = zip(detector._members(), detector.states_, strict=True)
        self._members = tuple(member.restore(state)._stream(features) for member, state in members)
        self._tables = [[_Table.of(group) for group in ranked] for ranked in detector.ranked_]
        # The table of each symbol; None where it has no training scores to be ranked among.
        known = [name in detector.symbols_ or (detector.pool and features.comparable) for name in features.symbols]
        places = [
            0 if detector.pool or not ok else detector.symbols_.index(name)
            for name, ok in zip(features.symbols, known, strict=True)
        ]
        self._groups = [
            (place, np.array([i for i, p in enumerate(places) if p == place and known[i]])) for place in sorted(set(places))
        ]

    def _step(self, row: np.ndarray, time: int) -> np.ndarray:
        total = np.zeros(len(row))
        for member, tables in zip(self._members, self._tables, strict=True):
            scores = member.update(row, np.datetime64(time, "us"))
            ranks = np.full(len(row), np.nan)
            for place, symbols in self._groups:
                table = tables[place]
                if table is not None and len(symbols):
                    ranks[symbols] = table.rank(scores[symbols])
            total += ranks
        return total / len(self._members)


def rank(x: np.ndarray, ranked: np.ndarray) -> np.ndarray:
    """Rank of x among sorted training scores, in (0, 1); NaN where x is NaN, or if there are no training scores.

    >>> rank(np.array([-1.0, 1.0, 1.5, 3.0, 9.0]), np.array([1.0, 2.0, 3.0])).round(3)
    array([0.072, 0.25 , 0.375, 0.75 , 0.97 ])
    """
    table = _Table.of(ranked)
    return np.full_like(x, np.nan) if table is None else table.rank(x)
