"""The protocol of a strategy, and the equal weights with a rebalance calendar that strategies share."""

from __future__ import annotations

from typing import ClassVar, Protocol

import numpy as np

from foreshock.data.bars import Bars
from foreshock.data.checks import check_type
from foreshock.data.errors import ConfigError
from foreshock.data.interval import Duration, bars_in, parse_duration
from foreshock.data.show.shown import few
from foreshock.engine.scores import Signals


class Strategy(Protocol):
    """A rule that turns bars and signals into target weights.

    ``weights`` returns an array of shape (n_bars, n_symbols). Row t holds the target weights decided at the close of row t, as
    fractions of the equity, negative for short. Their absolute values sum to at most 1; the rest is cash. They trade at the open
    of t + 1. NaN is no order: the position stays. Row t must be the same, bit for bit, when the rows after t are deleted.

    A study runs a strategy once for each detector; one that acts on no alerts gives ``signals`` a default, such as None, and is run
    once. A strategy that needs credit has an attribute ``account``, an ``fs.Account``; short sales are allowed in any case.
    """

    name: ClassVar[str]

    def weights(self, bars: Bars, signals: Signals) -> np.ndarray: ...


def check_signals(bars: Bars, signals: Signals) -> None:
    """Refuse signals that do not cover the rows and symbols of the bars."""
    check_type("signals", signals, Signals, "such as scores.signals(fs.RollingQuantile(0.99))")
    if signals.symbols != bars.symbols:
        raise ConfigError(
            f"signals must have the symbols of the bars, {few(bars.symbols)}, got {few(signals.symbols)}; use bars.select"
        )
    if not np.array_equal(signals.time, bars.time):
        raise ConfigError(
            f"signals must cover the rows of the bars, {len(bars)} from {bars.time[0]}, "
            f"got {len(signals.time)} from {signals.time[0] if len(signals.time) else 'none'}; use bars.between"
        )


def within(events: np.ndarray, n_bars: int) -> np.ndarray:
    """True where an event lies in the row or in the ``n_bars - 1`` rows before it; shape (n_rows, n_symbols)."""
    rows = np.arange(len(events))[:, None]
    last = np.maximum.accumulate(np.where(events, rows, -n_bars), axis=0)
    return rows - last < n_bars


def equal_weights(bars: Bars, rebalance: Duration) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Equal weights over the listed symbols, and the rows at which they are restored.

    A symbol is listed at row t if it traded in row t or less than one rebalance period before, because a single bar without a
    trade is not a delisting, and a delisting shows only in a longer lack of trades. Weights are restored at the last close before
    each multiple of ``rebalance`` since 1970-01-01 UTC (so that the calendar does not depend on the first row), and at each row
    where a symbol becomes listed or delisted.

    Returns
    -------
    weights : ndarray of float64, shape (n_bars, n_symbols)
        1 / (number of listed symbols), 0 where not listed.
    listed : ndarray of bool, shape (n_bars, n_symbols)
        True where a symbol is listed.
    due : ndarray of bool, shape (n_bars, n_symbols)
        True where a symbol gets an order: every listed symbol where weights are restored, and one that is listed no more, whose
        weight is 0, so that a target from before its silence is not filled when it returns.
    """
    check_type("bars", bars, Bars, "read a file with fs.read_bars")
    listed = within(~np.isnan(bars.close), bars_in(rebalance, bars.interval, "rebalance"))
    weights = listed / np.maximum(listed.sum(axis=1, keepdims=True), 1)
    opens = bars.time.astype(np.int64)
    interval, period = (int(span.astype(np.int64)) for span in (bars.interval, parse_duration(rebalance)))
    due = (opens + interval) // period > opens // period
    moved = changed(listed)
    return weights, listed, (listed & (due | moved.any(axis=1))[:, None]) | moved


def changed(state: np.ndarray) -> np.ndarray:
    """True where a boolean state differs from the previous row; before the first row the state is False."""
    return state != np.vstack([np.zeros_like(state[:1]), state[:-1]])


def carried(values: np.ndarray, start: float = np.nan) -> np.ndarray:
    """The newest known value of each column at each row; ``start`` before the first known value."""
    known = ~np.isnan(values)
    if known.all():
        return values
    newest = np.maximum.accumulate(np.where(known, np.arange(len(values))[:, None], -1), axis=0)
    return np.where(newest < 0, start, np.take_along_axis(values, np.maximum(newest, 0), axis=0))


def rows_of(bars: Bars, time: np.ndarray, symbols: tuple[str, ...], name: str) -> np.ndarray:
    """Positions of the rows of the bars in ``time``, which must have all of them, and whose symbols must be those of the bars."""
    if tuple(symbols) != bars.symbols:
        raise ConfigError(f"{name} must have the symbols of the bars, {few(bars.symbols)}, got {few(symbols)}; use bars.select")
    rows = np.searchsorted(time, bars.time)
    if len(time) == 0 or not np.array_equal(np.asarray(time)[np.minimum(rows, len(time) - 1)], bars.time):
        raise ConfigError(
            f"{name} must cover the rows of the bars, {len(bars)} from {bars.time[0]}, got {len(time)} from "
            f"{time[0] if len(time) else 'none'}; use bars.between"
        )
    return rows
