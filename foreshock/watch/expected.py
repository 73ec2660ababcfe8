"""The activity that was to be expected after each row of a study in operation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from foreshock.data.bars import Bars
from foreshock.data.errors import DataError
from foreshock.data.interval import Duration
from foreshock.data.stream.state import Stream
from foreshock.engine.features.features import Features
from foreshock.engine.out_of_sample.forward_stream import StoredRows
from foreshock.engine.sources.streams import FeatureRow, SourceStream
from foreshock.engine.validation.expected.forecast import ActivityForecast
from foreshock.engine.validation.expected.stream import ActivityStream, next_row

PRICES = ("open", "high", "low", "close")


class ExpectedRows(Stream):
    """Both forecasts of a verdict, row by row: fitted on the training rows of each block of the study, and asked at every row.

    Parameters
    ----------
    rows : SourceStream
        The rows of the source, which have prices and marks.
    horizons : sequence of str
        Lengths of the paths.
    delay : int
        Rows from a row to the first of its path.
    """

    def __init__(self, rows: SourceStream, horizons: Sequence[Duration], delay: int) -> None:
        self.names = rows.mark_names or ()
        interval = np.timedelta64(rows.interval, "us")
        none = np.zeros((0, len(rows.symbols), len(PRICES) + len(self.names)))
        like = Features(np.zeros(0, "datetime64[us]"), rows.symbols, (*PRICES, *self.names), none, interval)
        self._stored = StoredRows(like)
        self._asked = horizons, delay
        self._stream: ActivityStream | None = None
        # Why the last fit failed; the old model goes on.
        self.failure: str | None = None

    def update(self, row: FeatureRow, train: slice | None, keep: int) -> dict[str, np.ndarray]:
        """The expected activity after a row, by forecast: (n_symbols, n_horizons); nothing before the first block.

        Parameters
        ----------
        row : FeatureRow
            With prices and marks.
        train : slice, optional
            Training rows of the block that begins with this row.
        keep : int
            How many rows back a later block may ask for.
        """
        assert row.prices is not None
        assert row.marks is not None
        self._stored.keep = keep
        if train is not None:
            self._fit(train)
        values = np.stack([*row.prices, *(row.marks[name] for name in self.names)], axis=1)
        self._stored.append(values, int(row.time.astype("datetime64[us]").astype(np.int64)))
        return {} if self._stream is None else next_row(self._stream, row.time, row.prices, row.marks)

    def state(self) -> dict[str, Any]:
        stream = None if self._stream is None else {"forecast": self._stream.forecast.state(), "past": self._stream.state()}
        return {"stored": self._stored.state(), "stream": stream, "failure": self.failure}

    def restore(self, state: Mapping[str, Any]) -> Self:
        self._stored.restore(state["stored"])
        self.failure, self._stream = state["failure"], None
        if state["stream"] is not None:
            forecast = ActivityForecast(*self._asked).restore(state["stream"]["forecast"])
            self._stream = ActivityStream(forecast).restore(state["stream"]["past"])
        return self

    def _fit(self, train: slice) -> None:
        try:
            bars, marks = self._rows(train.start, train.stop)
            old = None if self._stream is None else self._stream.forecast
            if old is not None and self._stream is not None and not _new_symbols(old, bars):
                self._stream.refitted(old.refit(bars, marks))
            else:
                forecast = ActivityForecast(*self._asked).fit(bars, marks)
                self._stream = ActivityStream(forecast)
                self._replay(*self._rows(self._stored.cut, self._stored.n))
            self.failure = None
        except DataError as error:
            self.failure = str(error)

    def _replay(self, bars: Bars, marks: Mapping[str, np.ndarray]) -> None:
        assert self._stream is not None
        prices = np.stack([getattr(bars, name) for name in PRICES], axis=1)
        for k in range(bars.n_bars):
            next_row(self._stream, bars.time[k], prices[k], {name: values[k] for name, values in marks.items()})

    def _rows(self, start: int, stop: int) -> tuple[Bars, dict[str, np.ndarray]]:
        """Stored rows as bars without a volume, and their marks."""
        found = self._stored.rows(max(start, self._stored.cut), stop)
        columns = [np.ascontiguousarray(found.values[:, :, k]) for k in range(len(found.names))]
        opened, high, low, close = columns[: len(PRICES)]
        broken = bool((np.diff(found.time) != found.interval).any())
        bars = Bars(found.time.copy(), found.symbols, opened, high, low, close, close * 0.0, found.interval, broken=broken)
        return bars, dict(zip(self.names, columns[len(PRICES) :], strict=True))


def _new_symbols(old: ActivityForecast, bars: Bars) -> bool:
    """Whether a symbol is known by now of which the scales know nothing."""
    return bool((np.isnan(old.scales_.typical) & (~np.isnan(bars.close)).any(axis=0)).any())
