"""The expected activity one bar at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Self

import numpy as np

from foreshock.data.bars import Bars
from foreshock.data.checks import check_type
from foreshock.data.doors.door import door
from foreshock.data.errors import DataError
from foreshock.data.interval import format_duration
from foreshock.data.show.facts import Shown, symbols_fact
from foreshock.data.show.shown import few
from foreshock.data.stream.state import Stream
from foreshock.engine.validation.expected.forecast import ActivityForecast
from foreshock.engine.validation.rungs.inputs import (
    MARK_OF_THE_MARKET,
    OF_THE_MARKET,
    across,
    mark_inputs,
    market_changes,
    price_inputs,
)
from foreshock.engine.validation.rungs.past import PastStream


@door
class ActivityStream(Stream, Shown):
    """``ActivityForecast.forecast`` one bar at a time, with the same bits.

    Parameters
    ----------
    forecast : ActivityForecast
        Fitted.

    Examples
    --------
    >>> import foreshock as fs
    >>> bars = fs.simulate_market(seed=1, n_symbols=2, n_bars=1_500).bars
    >>> expected = fs.ActivityForecast(["6h"]).fit(bars.head(1_000))
    >>> stream = fs.ActivityStream(expected).after(bars.head(1_499))
    >>> stream.update(bars.rows(slice(1_499, 1_500)))["volatility"].round(2)
    array([[1.31],
           [1.27]])
    """

    fixed = ("symbols",)
    carries = ("_past", "_next")

    def __init__(self, forecast: ActivityForecast) -> None:
        self.forecast, self.symbols = forecast, forecast.symbols_
        self._past = PastStream(len(self.symbols), forecast.interval_)
        self._next: int | None = None

    def update(self, bar: Bars, marks: Mapping[str, np.ndarray] | None = None) -> dict[str, np.ndarray]:
        """The expected activity after the next bar, by forecast: (n_symbols, n_horizons).

        Parameters
        ----------
        bar : Bars
            One bar of all symbols, an interval after the one before; NaN where it is not known.
        marks : dict of str to ndarray, shape (1, n_symbols), optional
            Those that were fitted, if any were passed.

        Raises
        ------
        DataError
            If it is not the next bar of these symbols.
        """
        check_type("bar", bar, Bars, "pass bars of one row, see Bars.rows")
        seen = self.forecast._marks(bar, marks)
        if bar.n_bars != 1:
            raise DataError(f"a row must be one bar of {few(self.symbols, 3)}, got {bar.n_bars}")
        at = int(bar.time[0].astype(np.int64))
        if self._next is not None and at != self._next:
            raise DataError(
                f"bars must come one {format_duration(bar.interval)} after the other, got {bar.time[0]} where "
                f"{np.datetime64(self._next, 'us')} is next; pass unknown bars for those that are missing"
            )
        self._next = at + int(bar.interval.astype("timedelta64[us]").astype(np.int64))
        return self._step(bar.high, bar.low, bar.close, bar.time, seen)

    def after(self, bars: Bars, marks: Mapping[str, np.ndarray] | None = None) -> Self:
        """The stream itself, once it has taken bars and, if some were fitted, their marks, (n_bars, n_symbols) each."""
        check_type("bars", bars, Bars, "read them with fs.read_bars")
        marks = self.forecast._marks(bars, marks)
        for k in range(bars.n_bars):
            self.update(bars.rows(slice(k, k + 1)), {name: values[k : k + 1] for name, values in marks.items()})
        return self

    def restore(self, state: Mapping[str, Any]) -> Self:
        # What is kept of the past is made by the first row.
        unknown, none = np.full((1, len(self.symbols)), np.nan), np.zeros(1, dtype="datetime64[us]")
        self._step(unknown, unknown, unknown, none, dict.fromkeys(self.forecast.scales_.marks, unknown))
        return super().restore(state)

    def refitted(self, forecast: ActivityForecast) -> Self:
        """Go on with a forecast that was fitted again by ``ActivityForecast.refit``; returns the stream itself."""
        self.forecast = forecast
        return self

    def _step(
        self, high: np.ndarray, low: np.ndarray, close: np.ndarray, time: np.ndarray, marks: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        past, scales, steps = self._past, self.forecast.scales_, self.forecast.steps_
        past.begin(time[0])
        with np.errstate(divide="ignore", invalid="ignore"):
            market = market_changes(close, past, scales.windows)
            inputs, _ = price_inputs(high, low, close, time, scales, steps, market, past)
            seen: dict[str, np.ndarray] = {}
            for name in scales.marks:
                seen |= mark_inputs(name, marks[name], close, scales, past)[0]
        known = ~np.isnan(close) & ~np.isnan(scales.typical)
        if len(self.symbols) > 1:
            inputs |= {f"market_{name}": across(inputs[name], known) for name in OF_THE_MARKET}
            names = [f"{mark}{k}" for mark in scales.marks for k in MARK_OF_THE_MARKET]
            seen |= {f"market_{name}": across(seen[name], known) for name in names}
        inputs |= seen
        out = {}
        for rung, (names, model) in self.forecast.models_.items():
            columns = np.empty((len(self.symbols), len(names)))
            for j, name in enumerate(names):
                columns[:, j] = inputs[name][0]
            out[rung] = np.where(known.T, self.forecast._of(columns, model), np.nan)
        return out

    def _facts(self) -> Iterator[str]:
        yield few([str(horizon) for horizon in self.forecast.horizons])
        yield symbols_fact(self.symbols)


def next_row(
    stream: ActivityStream, time: np.datetime64, prices: np.ndarray, marks: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """``ActivityStream.update`` without a look at whether it is the next row.

    Its open, prices as (4, n_symbols), and marks, (n_symbols,) each.
    """
    _, high, low, close = (prices[k : k + 1] for k in range(4))
    return stream._step(high, low, close, np.array([time]), {name: marks[name][None] for name in stream.forecast.scales_.marks})
