"""A source of trade windows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Self

import numpy as np
import pandas as pd

from foreshock.data.bars import Bars
from foreshock.data.checks import check_text, check_texts
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError
from foreshock.data.interval import Duration, format_duration, parse_duration
from foreshock.data.trades.trades import Trades
from foreshock.data.trades.windows import TradeWindows, trade_windows
from foreshock.engine.features.features import Features
from foreshock.engine.features.windows import window_features
from foreshock.engine.sources.layout import Layout, lay_out
from foreshock.engine.sources.marks import WINDOW_MARKS, marks_of_windows
from foreshock.engine.sources.source import Source, by_symbol
from foreshock.engine.sources.streams import WindowRows

# Defaults of several symbols: these have no unit, so that symbols can be compared. A window without trades has them, too.
COMPARABLE_FEATURES = (
    "log_return",
    "return_20",
    "volatility_20",
    "range",
    "volume_ratio_20",
    "trade_count_ratio_20",
    "buy_share_20",
    "rush_orders",
    "return_zscore_60",
    "volume_zscore_60",
)
SINGLE_FEATURES = (*COMPARABLE_FEATURES, "volume", "trade_count")
PRICE_FIELDS = ("open", "high", "low", "close", "mean_price")
AMOUNT_FIELDS = ("trade_count", "volume", "quote_volume", "buy_count", "buy_volume", "buy_quote_volume", "rush_orders")


@door
class WindowSource(Source):
    """Windows of trades of one symbol or several, whose histories may be of different length.

    Prices are those of the trades in a window; a window without a trade has the last price before it and a volume of zero. The
    second forecast of the verdict sees value, number and mean size of trades, the share of buys, and rush orders. Times at which no
    symbol was watched are left out, and no lookback crosses them.

    Parameters
    ----------
    trades : Trades or TradeWindows, or dict of symbol to either
        Trades of several series are told apart by the names of the series.
    interval : str
        Length of a window; that of ``TradeWindows`` must be the same.
    features : sequence of str, optional
        Names; see ``window_features``. By default returns, ranges, volatility, volumes, counts, the share of buys and rush orders;
        for several symbols those of them that have no unit.
    symbol : str
        Name of the symbol, if there is one without a name.
    silence : str
        A symbol without a trade for longer than this was not watched meanwhile.

    Raises
    ------
    ConfigError
        If an argument has another type, or windows have another length.
    DataError
        If there are no trades, or too many windows.

    Examples
    --------
    >>> import foreshock as fs
    >>> trades = fs.bar_trades(fs.simulate_market(seed=1, n_symbols=1, n_bars=24).bars)
    >>> source = fs.WindowSource(trades, "5m", symbol="BTC/USDT")
    >>> source
    WindowSource(BTC/USDT, 288 rows of 5m, 2022-01-01T00:00:00 to 2022-01-01T23:55:00)
    >>> source.features.column("trade_count").sum(), sorted(source.marks)
    (np.float64(11940.0), ['bought', 'rush_orders', 'trade_size', 'trades', 'volume'])
    """

    kind = "windows"

    def __init__(
        self,
        trades: Trades | TradeWindows | Mapping[str, Trades | TradeWindows],
        interval: Duration = "20s",
        features: Sequence[str] | None = None,
        symbol: str = "asset",
        silence: Duration = "1D",
    ) -> None:
        if features is not None:
            check_texts("features", features)
        check_text("symbol", symbol)
        step, quiet = parse_duration(interval, "interval"), parse_duration(silence, "silence")
        if isinstance(trades, Trades) and trades.series is not None:
            trades = trades.split()
        given = by_symbol(trades, (Trades, TradeWindows), "trades", symbol)
        self._symbols, self._step, self._recorded = tuple(given), step, given
        runs = [_runs(found, step, quiet) for found in given.values()]
        self._windows = [run for own in runs for run in own]
        column = [i for i, own in enumerate(runs) for _ in own]
        self._layout = lay_out([run.start_row for run in self._windows], [len(run) for run in self._windows], column, len(runs))
        self._names = tuple(features or (SINGLE_FEATURES if len(runs) == 1 else COMPARABLE_FEATURES))

    @property
    def names(self) -> tuple[str, ...]:
        return self._names

    @property
    def marks(self) -> dict[str, np.ndarray]:
        found = [marks_of_windows(run) for run in self._windows]
        return {name: self._layout.place([marks[name] for marks in found]) for name in WINDOW_MARKS}

    def _head(self, n: int) -> Self:
        layout = self._layout.head(n)
        begun = [self._windows[k] for k in self._layout.begun(n)]
        windows = [run.rows(slice(0, length)) for run, length in zip(begun, layout.length, strict=True)]
        return self._with(layout, windows, self._recorded)

    def _disturbed(self, cut: int, rng: np.random.Generator) -> Self:
        level = np.exp(rng.normal(0, 0.1, len(self._layout.rows)))
        amount = np.exp(rng.normal(0, 3, len(self._layout.rows)))
        changed = []
        for run, offset in zip(self._windows, self._layout.offset, strict=True):
            later = np.arange(offset, offset + len(run)) >= cut
            rows = slice(offset, offset + len(run))
            prices = {name: getattr(run, name) * np.where(later, level[rows], 1.0) for name in PRICE_FIELDS}
            # What is filled at the open of the first disturbed row must not change.
            at = cut - offset
            if 0 <= at < len(run):
                prices["open"][at] = run.open[at]
                prices["high"][at], prices["low"][at] = (
                    edge([prices[name][at] for name in PRICE_FIELDS]) for edge in (np.fmax.reduce, np.fmin.reduce)
                )
            amounts = {name: getattr(run, name) * np.where(later, amount[rows], 1.0) for name in AMOUNT_FIELDS}
            changed.append(replace(run, **prices, **amounts, volatility=run.volatility * np.where(later, level[rows], 1.0)))
        # The trades of disturbed windows are not known.
        return self._with(self._layout, changed, {})

    def _with(self, layout: Layout, windows: list[TradeWindows], recorded: Mapping[str, Trades | TradeWindows]) -> Self:
        other = object.__new__(type(self))
        other._recorded = recorded
        other._symbols, other._step, other._names = self._symbols, self._step, self._names
        other._layout, other._windows = layout, windows
        return other

    def _raw_rows(self, symbol: str, start: np.datetime64, stop: np.datetime64) -> tuple[str, pd.DataFrame]:
        found = self._recorded.get(symbol)
        if found is None:
            return super()._raw_rows(symbol, start, stop)
        rows = slice(*(int(k) for k in np.searchsorted(found.time, [start, stop])))
        kind = "trades" if isinstance(found, Trades) else "windows"
        # Trades of no row are no Trades: the columns are cut instead.
        columns = {name: values[rows] for name, values in vars(found).items() if isinstance(values, np.ndarray)}
        return kind, pd.DataFrame(columns)

    def stream(self) -> WindowRows:
        return WindowRows(self._symbols, self._names, self._step)

    def live_rows(self) -> Iterator[dict[str, TradeWindows]]:
        layout = self._layout
        by_row: dict[int, dict[str, TradeWindows]] = {}
        for run, offset, column in zip(self._windows, layout.offset, layout.column, strict=True):
            for k in range(len(run)):
                by_row.setdefault(offset + k, {})[self._symbols[column]] = run.rows(slice(k, k + 1))
        yield from (by_row[row] for row in sorted(by_row))

    def _prices(self) -> Bars:
        last = [pd.Series(run.close).ffill().to_numpy() for run in self._windows]
        placed = {}
        for name in ("open", "high", "low", "close"):
            found = zip(self._windows, last, strict=True)
            placed[name] = self._layout.place([np.where(run.trade_count > 0, getattr(run, name), close) for run, close in found])
        volume = self._layout.place([run.volume for run in self._windows])
        time = self._layout.time(self._step)
        return Bars(time, self._symbols, **placed, volume=volume, interval=self._step, broken=self._layout.broken)

    def _features(self) -> Features:
        values = [window_features(run, self._names).values[:, 0] for run in self._windows]
        placed = self._layout.place(values)
        time = self._layout.time(self._step)
        return Features(time, self._symbols, self._names, placed, self._step, comparable=len(self._symbols) > 1)


def _runs(found: Trades | TradeWindows, step: np.timedelta64, quiet: np.timedelta64) -> list[TradeWindows]:
    """Windows of one symbol, in runs between which it was not watched."""
    if isinstance(found, TradeWindows):
        if found.interval != step:
            raise ConfigError(
                f"windows must be of the interval {format_duration(step)}, got {format_duration(found.interval)}; pass interval"
            )
        cuts = np.flatnonzero(np.diff(found.time) != found.interval) + 1
        edges = [0, *map(int, cuts), len(found)]
        return [found.rows(slice(a, b)) for a, b in pairwise(edges)]
    edges = [0, *map(int, np.flatnonzero(np.diff(found.time) > quiet) + 1), len(found)]
    seconds = step / np.timedelta64(1, "s")
    return [trade_windows(found.rows(slice(a, b)), seconds) for a, b in pairwise(edges)]
