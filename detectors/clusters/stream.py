"""Regimes row by row, refitted before each block and matched to those before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import replace
from typing import Any, Self

import numpy as np

from foreshock.data.checks import check_array, check_type
from foreshock.data.errors import DataError
from foreshock.data.show.facts import Shown, counted, symbols_fact
from foreshock.data.show.shown import few
from foreshock.data.stream.state import Stream
from foreshock.detectors.clusters.labels import UNKNOWN
from foreshock.detectors.clusters.regimes import KMeansRegime, _code_of, _coded_rows
from foreshock.detectors.kept import fit_kept
from foreshock.detectors.pooled import RowStream
from foreshock.detectors.stream import no_rows
from foreshock.engine.features.features import Features
from foreshock.engine.out_of_sample.forward_stream import ForwardStream, Refit, StoredRows
from foreshock.engine.out_of_sample.splits import WalkForward


class RegimeStream(Stream, Shown):
    """``walk_forward_regimes`` one row at a time, with the names that are known at the time.

    Blocks begin, and regimes are refitted and matched, where those of the batch are. ``names`` grows as regimes come up; a label is
    a position in it and keeps its meaning. Whether bars of a name keep satisfying its rule, which the batch looks at in the end, is
    not known yet.

    Parameters
    ----------
    detector : KMeansRegime
        A detector such as ``fs.make_detector("kmeans_regime")``. It is not changed; a clone is fitted for every block.
    splits : WalkForward
        Lengths of the training and test windows.
    features : Features
        Their symbols, names and interval are those of the rows to come; their rows are taken first, and there may be none.
    executor : Executor, optional
        Where to refit; see ``fs.Pipeline``.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> features = fs.ohlcv_features(fs.simulate_market(seed=1, n_bars=600).bars)
    >>> splits, detector = fs.WalkForward(train="15D", test="5D"), fs.make_detector("kmeans_regime")
    >>> stream = fs.RegimeStream(detector, splits, features.rows(slice(0, 500)))
    >>> labels = np.array([stream.update(row) for row in features.values[500:]])
    >>> whole = fs.walk_forward_regimes(detector, features, splits)
    >>> np.array_equal(labels, whole.labels[500:])
    True
    """

    fixed = ("symbols",)
    carries = ("_stored", "_forward", "_next")

    def __init__(self, detector: KMeansRegime, splits: WalkForward, features: Features, executor: Executor | None = None) -> None:
        check_type("detector", detector, KMeansRegime, "make one with fs.make_detector('kmeans_regime')")
        check_type("splits", splits, WalkForward, "such as fs.WalkForward('365D', '30D')")
        check_type("features", features, Features, "make them with fs.ohlcv_features")
        if executor is not None:
            check_type("executor", executor, Executor, "such as a ProcessPoolExecutor")
        self.symbols = features.symbols
        self._step = int(features.interval.astype("timedelta64[us]").astype(np.int64))
        self._stored = StoredRows(features.rows(slice(0, 0)))
        self._forward = _RegimeForward(detector, self._stored, splits, detector.lookback, False, executor, _fit)
        self._next: int | None = None
        self._forward.patient = True
        for row, time in zip(features.values, features.time, strict=True):
            self.update(row, time)
        self._forward.patient = False

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the regimes that came up so far."""
        return self._forward.names

    @property
    def stale(self) -> bool:
        """Whether the regimes are those of an earlier block, because the refit is late or failed."""
        return self._forward.stale

    def update(self, row: np.ndarray, time: np.datetime64 | None = None) -> np.ndarray:
        """Labels of the next row, int8 (n_symbols,): positions in ``names``, -1 where not known.

        Parameters
        ----------
        row : ndarray, shape (n_symbols, n_features)
            Features of the row.
        time : datetime64, optional
            Open of the row; by default one interval after the row before.
        """
        check_array("row", row)
        x = np.ascontiguousarray(row, dtype=np.float64)
        shape = (len(self.symbols), len(self._stored.names))
        if x.shape != shape:
            raise DataError(f"a row of features must have the shape (n_symbols, n_features) = {shape}, got {x.shape}")
        at = self._next if time is None else int(time.astype("datetime64[us]").astype(np.int64))
        if at is None:
            raise DataError("the first row of a stream needs its time; pass time, or rows before it")
        found, _ = self._forward.update(x, at)
        self._stored.append(x, at)
        self._next = at + self._step
        place = {_code_of(name): k for k, name in enumerate(self.names)}
        return np.array([UNKNOWN if np.isnan(code) else place[int(code)] for code in found], dtype=np.int8)

    def _facts(self) -> Iterator[str]:
        yield few(self.names) or "no regime yet"
        yield symbols_fact(self.symbols)
        yield counted(self._stored.n, "row")


class _RegimeForward(ForwardStream):
    """Codes of regimes in place of scores."""

    names: tuple[str, ...] = ()

    def _open(self, refit: Refit) -> None:
        if self.current is not None:
            refit = replace(refit, fitted=refit.fitted.matched_to(self.current.fitted))
        super()._open(refit)
        self.names = tuple(dict.fromkeys((*self.names, *refit.fitted.regime_names)))

    def _stream_of(self, fitted: Any, features: Features | None, state: Mapping[str, Any] | None) -> RowStream:
        stream = RowStream(fitted, features if state is None else no_rows(state), _coded_rows)  # pyright: ignore[reportArgumentType]
        return stream if state is None else stream.restore(state)

    def state(self) -> dict[str, Any]:
        return super().state() | {"names": self.names}

    def restore(self, state: Mapping[str, Any]) -> Self:
        self.names = tuple(state["names"])
        return super().restore(state)


def _fit(detector: Any, features: Features, previous: Any, train_scores: bool) -> tuple[Any, None]:  # noqa: ARG001 - matched later
    from sklearn.base import clone

    fresh: Any = clone(detector)
    return fit_kept(fresh, features), None
