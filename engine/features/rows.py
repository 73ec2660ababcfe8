"""Series and rolling statistics for the formulas of features, for all rows at once or row by row with bit-equal results."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol, Self

import numpy as np

from foreshock.data.stream.state import Stream
from foreshock.engine.kernels.lag import LagStream
from foreshock.engine.kernels.logarithm import log_ratio_nb
from foreshock.engine.kernels.recursive import EwmaStream, ewma_nb
from foreshock.engine.kernels.robust import RankStream, rolling_rank_nb
from foreshock.engine.kernels.rolling import (
    CovarianceStream,
    MaxStream,
    MeanStream,
    MomentsStream,
    rolling_covariance_nb,
    rolling_max_nb,
    rolling_mean_nb,
    rolling_moments_nb,
)
from foreshock.engine.kernels.windows import SumStream, rolling_sum_nb


class Rows(Protocol):
    """Series of shape (n_rows, n_columns) by name, and their rolling statistics."""

    def series(self, name: str) -> np.ndarray: ...

    def lagged(self, name: str, n: int) -> np.ndarray: ...

    def log_ratio(self, name: str, other: str) -> np.ndarray: ...

    def log_change(self, name: str, n: int) -> np.ndarray: ...

    def filled(self, name: str) -> np.ndarray: ...

    def moments(self, name: str, window: int) -> np.ndarray: ...

    def mean(self, name: str, window: int) -> np.ndarray: ...

    def sums(self, name: str, window: int) -> np.ndarray: ...

    def highest(self, name: str, window: int) -> np.ndarray: ...

    def rank(self, name: str, window: int) -> np.ndarray: ...

    def ewma(self, name: str, window: int) -> np.ndarray: ...

    def covariance(self, name: str, other: str, window: int) -> np.ndarray: ...


Series = Mapping[str, Callable[[Rows], np.ndarray]]
_Key = tuple[str | int, ...]


class BatchRows:
    """All rows at once; series and statistics shared by several features are computed once.

    Parameters
    ----------
    fields : dict of str to ndarray, shape (n_rows, n_columns)
        Columns of the source.
    series : dict of str to callable
        Series computed from the columns or from other series, by name.
    third : collection of (str, int)
        Series and windows whose third moment is needed.
    spent : BatchRows, optional
        Rows of the previous chunk, no longer needed. Their buffers are released one at a time, so that the allocator can reuse each
        for its successor; released all at once, the memory would return to the system and be zeroed again.
    start_row : int
        Number of the first row on the absolute grid; see ``foreshock.data.interval.absolute_row``.
    """

    def __init__(
        self,
        fields: Mapping[str, np.ndarray],
        series: Series,
        third: Collection[tuple[str, int]] = (),
        spent: BatchRows | None = None,
        start_row: int = 0,
    ) -> None:
        self._known: dict[_Key, np.ndarray] = {("series", k): x for k, x in fields.items()}
        self._made = series
        self._third = third
        self._spent = spent._known if spent is not None else {}
        self._start_row = start_row

    def _once(self, key: _Key, make: Callable[[], np.ndarray]) -> np.ndarray:
        if key not in self._known:
            self._spent.pop(key, None)
            self._known[key] = make()
        return self._known[key]

    def series(self, name: str) -> np.ndarray:
        return self._once(("series", name), lambda: self._made[name](self))

    def lagged(self, name: str, n: int) -> np.ndarray:
        """The series shifted by n rows; NaN in the first n."""
        x = self.series(name)
        out = np.full_like(x, np.nan)
        out[n:] = x[:-n]
        return out

    def log_ratio(self, name: str, other: str) -> np.ndarray:
        x = self.series(name)
        return log_ratio_nb(x, self.series(other), np.empty_like(x))

    def log_change(self, name: str, n: int) -> np.ndarray:
        """log(x[t] / x[t - n]); NaN in the first n rows."""
        x = self.series(name)
        out = np.empty_like(x)
        out[:n] = np.nan
        log_ratio_nb(x[n:], x[:-n], out[n:])
        return out

    def filled(self, name: str) -> np.ndarray:
        """The last known value up to each row."""
        x = self.series(name)
        known = np.where(np.isnan(x), 0, np.arange(len(x))[:, None])
        return np.take_along_axis(x, np.maximum.accumulate(known, axis=0), axis=0)

    def moments(self, name: str, window: int) -> np.ndarray:
        """Deviation of the last row from the mean, standard deviation and, if in ``third``, skewness."""
        order = 3 if (name, window) in self._third else 2
        phase = self._start_row % window
        return self._once(("moments", name, window), lambda: rolling_moments_nb(self.series(name), window, order, phase))

    def mean(self, name: str, window: int) -> np.ndarray:
        return rolling_mean_nb(self.series(name), window, self._start_row % window)

    def sums(self, name: str, window: int) -> np.ndarray:
        phase = self._start_row % window
        return self._once(("sums", name, window), lambda: rolling_sum_nb(self.series(name), window, phase))

    def highest(self, name: str, window: int) -> np.ndarray:
        return rolling_max_nb(self.series(name), window, self._start_row % window)

    def rank(self, name: str, window: int) -> np.ndarray:
        return rolling_rank_nb(self.series(name), window)

    def ewma(self, name: str, window: int) -> np.ndarray:
        return ewma_nb(self.series(name), 2.0 / (window + 1.0))

    def covariance(self, name: str, other: str, window: int) -> np.ndarray:
        """Covariance of each column with the single column of ``other``."""
        return rolling_covariance_nb(self.series(name), self.series(other), window, self._start_row % window)[:, :, 0]


class StreamRows(Stream):
    """The current row only, shape (1, n_columns); rolling statistics keep their own state. See ``BatchRows`` for the parameters."""

    def __init__(self, series: Series, third: Collection[tuple[str, int]] = (), start_row: int = 0) -> None:
        self._made = series
        self._third = third
        self.start_row = start_row
        self._streams: dict[tuple[object, ...], Any] = {}
        # States of streams that no row has asked for yet, by the text of their key.
        self._waiting: dict[str, Mapping[str, Any]] = {}
        self._known: dict[tuple[object, ...], np.ndarray] = {}

    def state(self) -> dict[str, Any]:
        own = {" ".join(map(str, key)): stream.state() for key, stream in self._streams.items()}
        return {"start_row": self.start_row, "streams": dict(self._waiting) | own}

    def restore(self, state: Mapping[str, Any]) -> Self:
        # Each stream is made at the first row, because only a row tells its width.
        self.start_row, self._waiting = state["start_row"], dict(state["streams"])
        self._streams, self._known = {}, {}
        return self

    def take(self, fields: Mapping[str, np.ndarray]) -> None:
        """Advance to the next row, whose fields have shape (n_columns,)."""
        self._known = {("series", name): np.array(row, dtype=np.float64)[None] for name, row in fields.items()}

    def _once(self, key: tuple[object, ...], make: Callable[[int], Any], *names: str) -> np.ndarray:
        """The value of a stream at this row; the stream is created at the first row and updated exactly once per row."""
        if key not in self._known:
            rows = [self.series(name)[0] for name in names]
            if key not in self._streams:
                made = self._streams[key] = make(len(rows[0]))
                waiting = self._waiting.pop(" ".join(map(str, key)), None)
                if waiting is not None:
                    made.restore(waiting)
            self._known[key] = self._streams[key].update(*rows)
        return self._known[key]

    def series(self, name: str) -> np.ndarray:
        key = ("series", name)
        if key not in self._known:
            self._known[key] = self._made[name](self)
        return self._known[key]

    def lagged(self, name: str, n: int) -> np.ndarray:
        return self._once(("lag", name, n), lambda width: LagStream(n, width), name)[None]

    def log_ratio(self, name: str, other: str) -> np.ndarray:
        x = self.series(name)
        return log_ratio_nb(x, self.series(other), np.empty_like(x))

    def log_change(self, name: str, n: int) -> np.ndarray:
        x = self.series(name)
        return log_ratio_nb(x, self.lagged(name, n), np.empty_like(x))

    def filled(self, name: str) -> np.ndarray:
        return self._once(("filled", name), _LastKnown, name)[None]

    def moments(self, name: str, window: int) -> np.ndarray:
        order, phase = 3 if (name, window) in self._third else 2, self.start_row % window
        return self._once(("moments", name, window), lambda width: MomentsStream(window, width, order, phase), name)[:, None]

    def mean(self, name: str, window: int) -> np.ndarray:
        phase = self.start_row % window
        return self._once(("mean", name, window), lambda width: MeanStream(window, width, phase), name)[None]

    def sums(self, name: str, window: int) -> np.ndarray:
        phase = self.start_row % window
        return self._once(("sum", name, window), lambda width: SumStream(window, width, phase), name)[None]

    def highest(self, name: str, window: int) -> np.ndarray:
        phase = self.start_row % window
        return self._once(("max", name, window), lambda width: MaxStream(window, width, phase), name)[None]

    def rank(self, name: str, window: int) -> np.ndarray:
        return self._once(("rank", name, window), lambda width: RankStream(window, width), name)[None]

    def ewma(self, name: str, window: int) -> np.ndarray:
        return self._once(("ewma", name, window), lambda width: EwmaStream(2.0 / (window + 1.0), width), name)[None]

    def covariance(self, name: str, other: str, window: int) -> np.ndarray:
        key, phase = ("covariance", name, other, window), self.start_row % window
        return self._once(key, lambda width: CovarianceStream(window, width, 1, phase), name, other)[None, :, 0]


class _LastKnown(Stream):
    """The last value that was not NaN."""

    carries = ("_last",)

    def __init__(self, n_columns: int) -> None:
        self._last = np.full(n_columns, np.nan)

    def update(self, row: np.ndarray) -> np.ndarray:
        self._last = np.where(np.isnan(row), self._last, row)
        return self._last
