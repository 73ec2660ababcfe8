"""History by name: bars from the store, and what it lacks from the exchange."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from foreshock.data.bars import Bars
from foreshock.data.doors.door import door
from foreshock.data.doors.kinds import ANYTHING
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.interval import Instant
from foreshock.data.show.shown import shown
from foreshock.data.store.series import minute
from foreshock.data.store.snapshots import trades_from_store
from foreshock.data.store.store import Store
from foreshock.data.tables import bar_columns, bar_table
from foreshock.data.trades.trades import Trades
from foreshock.market.fetching import Fetched, fetching_of, symbol_names

# Exchanges settle every eight hours or more often, some minutes late at times.
LONGEST_SETTLEMENT_MS = 9 * 3_600_000


def fetch_history(
    symbols: str | Sequence[str],
    exchange: str = "binance",
    timeframe: str = "1h",
    start: Instant | None = None,
    end: Instant | None = None,
    kind: str = "ohlcv",
    store: Store | str | Path | None = None,
    base_url: str | None = None,
    progress: bool = False,
    archive: str | Path | None = None,
) -> list[Fetched]:
    """Put history into the store; what is there already is not asked for again. See ``load_bars``.

    Parameters
    ----------
    kind : str
        ``"ohlcv"``, ``"trades"`` or ``"funding"``; the timeframe is of bars only.
    """
    names = symbol_names(symbols)
    if kind == "book":
        raise ConfigError("the past of an order book cannot be fetched; it is recorded: give a duration, such as '1h'")
    return fetching_of(exchange, start, end, store, base_url, progress, archive).fetch(names, kind, timeframe)


@door(symbols=ANYTHING, timeframe=ANYTHING, exchange=ANYTHING, store=ANYTHING, archive=ANYTHING, base_url=ANYTHING)
def load_bars(
    symbols: str | Sequence[str],
    exchange: str = "binance",
    timeframe: str = "1h",
    start: Instant | None = None,
    end: Instant | None = None,
    store: Store | str | Path | None = None,
    base_url: str | None = None,
    progress: bool = False,
    archive: str | Path | None = None,
    funding: bool = False,
) -> Bars:
    """Bars from the store; ranges that the store lacks are fetched first.

    Parameters
    ----------
    symbols : str or sequence of str
        As ccxt writes them: ``"BTC/USDT"``, or ``"BTC/USDT:USDT"`` for the perpetual swap.
    exchange : str
        ccxt's name: ``"binance"``, ``"bybit"``, ``"upbit"``, ``"coinbase"``, ``"kraken"`` and any other.
    timeframe : str
        A day or less that the exchange has, such as ``"1m"``, ``"1h"``.
    start : str or date
        First bar open.
    end : str or date, optional
        Only bars that open before this; by default now. A bar that is still open is left out.
    store : str or Path, optional
        Folder; by default ``FORESHOCK_STORE``, or the user's cache folder.
    base_url : str, optional
        Another host for every request, by default ``FORESHOCK_BASE_URL``: a public data host, a proxy, a loopback server.
    progress : bool
        Show a progress bar on standard error.
    archive : str or Path, optional
        Source that is asked first for ranges of a day and more: ``"public"`` for Binance's bulk archive, another address, or a
        folder with its layout. The exchange is asked for the rest.
    funding : bool
        Also fetch the funding rates of perpetual swaps, as ``extras["funding_rate"]``: each rate in the bar in which it was
        settled, their sum where a bar has several, NaN where it has none. ``Costs(funding=True)`` charges all rates of a bar at
        its open: with bars longer than the time between settlements (12h, 1d), rates that are settled later in the bar too.

    Returns
    -------
    Bars
        From the first bar that any symbol has to the last; a bar that the exchange lacks is NaN. So is one that cannot be, such as
        one with a high below its low: a warning says how many there are, and ``Store.notes`` has them as they came.

    Raises
    ------
    ConfigError
        If there is no such exchange, symbol or timeframe, ``start`` is not before ``end``, the archive cannot have the series, or
        an argument is of another type.
    ExchangeError
        If the exchange or the network fails; what arrived before is in the store.
    DataError
        If the exchange has no bar of a symbol in the range, a file of the archive is damaged, or the store cannot be read or
        written; with ``funding``, if rates are not known over a part of the bars: a backtest would take them for zero.

    Examples
    --------
    The store below already has the range, so that no exchange is asked:

    >>> import foreshock as fs
    >>> import pyarrow as pa
    >>> import tempfile
    >>> store, hour, start = fs.Store(tempfile.mkdtemp()), 3_600_000, 1_704_067_200_000
    >>> prices = {name: [100.0, 101.0] for name in ("open", "high", "low", "close")}
    >>> rows = pa.table({"time": [start, start + hour], **prices, "volume": [5.0, 6.0]})
    >>> store.write(fs.SeriesKey("binance", "spot", "BTC/USDT", "ohlcv", "1h"), rows, start, start + 2 * hour)
    >>> fs.load_bars("BTC/USDT", start="2024-01-01T00:00", end="2024-01-01T02:00", store=store)
    Bars(BTC/USDT, 2 bars of 1h, 2024-01-01T00:00:00 to 2024-01-01T01:00:00)
    """
    if not isinstance(funding, bool):
        raise ConfigError(f"funding must be True or False, got {shown(funding)}")
    names = symbol_names(symbols)
    fetching = fetching_of(exchange, start, end, store, base_url, progress, archive)
    found = fetching.fetch(names, "ohlcv", timeframe)
    fetching.tell(found)
    tables = []
    for one in found:
        if not one.n_rows:
            apart = f" ({one.told()})" if one.told() else ""
            raise DataError(f"{exchange} has no {timeframe} bar of {one.key.symbol} {fetching.asked}{apart}; widen the range")
        table = fetching.store.read(one.key, fetching.first, fetching.stop)
        columns = {name: table[name].to_numpy() for name in table.column_names}
        columns["time"] = columns["time"].astype("datetime64[ms]")
        tables.append(pd.DataFrame({"symbol": one.key.symbol, **columns}))
    # The store knows how long its bars are, however far from each other they lie.
    bars = Bars(**bar_columns(bar_table(pd.concat(tables, ignore_index=True)), timeframe, known_length=True))
    bars = bars.select([one.key.symbol for one in found])
    if not funding:
        return bars
    # Binance's archive has no funding rates; the exchange is asked for all of them.
    rates = replace(fetching, archive=None).fetch(names, "funding")
    tables = [fetching.store.read(one.key, fetching.first, fetching.stop) for one in rates]
    for col, (one, table) in enumerate(zip(rates, tables, strict=True)):
        known = np.flatnonzero(~np.isnan(bars.close[:, col]))
        _refuse_unknown_rates(one, table["time"].to_numpy(), bars.time[known[[0, -1]]].astype("datetime64[ms]").astype(np.int64))
    settled = [_on_bars(table, bars) for table in tables]
    return replace(bars, extras={**bars.extras, "funding_rate": np.column_stack(settled)})


def _refuse_unknown_rates(found: Fetched, times: np.ndarray, span: np.ndarray) -> None:
    """Refuse bars over which rates are not known, since a backtest would hold positions there for nothing.

    No perpetual swap settles less often than every eight hours. A history of rates that begins later than the bars do is one that
    the exchange does not keep; a pause within it, on which two answers agreed, is none of settlements.
    """
    (first, last), symbol = span.tolist(), found.key.symbol
    if not len(times):
        raise DataError(f"no funding rate of {symbol} is known from {minute(first)} to {minute(last)}; leave funding out")
    begin = int(times[0])
    if begin - first > LONGEST_SETTLEMENT_MS:
        raise DataError(
            f"funding rates of {symbol} are known from {minute(begin)} on, and its bars begin at {minute(first)}: "
            f"{found.key.exchange} does not give earlier ones; start there, take another exchange, or leave funding out"
        )
    parts = [(max(a, first), min(b, last)) for a, b in found.uncovered]
    unknown = [(a, b) for a, b in parts if a < b and (b < last or b - a > LONGEST_SETTLEMENT_MS)]
    if unknown:
        told = f" ({found.told()})" if found.told() else ""
        raise DataError(
            f"funding rates of {symbol} are not known from {minute(unknown[0][0])} to {minute(unknown[0][1])}{told}; fetch "
            "again, or leave funding out"
        )


def _on_bars(table: pa.Table, bars: Bars) -> np.ndarray:
    """Sum of the rates settled in each bar, shape (n_bars,); NaN where none was."""
    # Exchanges stamp a settlement some milliseconds off the hour, to either side.
    times = (table["time"].to_numpy() + 500) // 1000 * 1_000_000
    step, first = (int(span.astype(np.int64)) for span in (bars.interval, bars.time[0]))
    rows = (times - first) // step
    inside = (rows >= 0) & (rows < len(bars))
    rates = np.full(len(bars), np.nan)
    rates[rows[inside]] = 0.0
    np.add.at(rates, rows[inside], table["rate"].to_numpy()[inside])
    return rates


@door(symbol=ANYTHING, exchange=ANYTHING, store=ANYTHING, archive=ANYTHING, base_url=ANYTHING)
def load_trades(
    symbol: str,
    exchange: str = "binance",
    start: Instant | None = None,
    end: Instant | None = None,
    store: Store | str | Path | None = None,
    base_url: str | None = None,
    progress: bool = False,
    archive: str | Path | None = None,
) -> Trades:
    """Trades of one market from the store; ranges that the store lacks are fetched first. Parameters are those of ``load_bars``.

    Only Binance serves past trades; other exchanges serve their latest trades alone. A month of a busy market takes some GB of
    memory: ``stream_trades`` yields it day by day.

    Raises
    ------
    ConfigError, ExchangeError
        As ``load_bars``.
    DataError
        If there is no trade in the range, or the store cannot be read or written.

    Examples
    --------
    The store below already has the range, so that no exchange is asked:

    >>> import foreshock as fs
    >>> import pyarrow as pa
    >>> import tempfile
    >>> store, start = fs.Store(tempfile.mkdtemp()), 1_704_067_200_000
    >>> rows = pa.table(
    ...     {"time": [start, start + 40], "id": [7, 8], "price": [100.0, 101.0], "amount": [1.0, 2.0], "side": ["buy", "sell"]}
    ... )
    >>> store.write(fs.SeriesKey("binance", "spot", "BTC/USDT", "trades"), rows, start, start + 60_000)
    >>> fs.load_trades("BTC/USDT", start="2024-01-01T00:00", end="2024-01-01T00:01", store=store)
    Trades(2 trades, 2024-01-01T00:00:00 to 2024-01-01T00:00:00)
    """
    fetching = fetching_of(exchange, start, end, store, base_url, progress, archive)
    key = fetching.trades(symbol)
    return trades_from_store(fetching.store.read(key, fetching.first, fetching.stop))


@door(symbol=ANYTHING, exchange=ANYTHING, store=ANYTHING, archive=ANYTHING, base_url=ANYTHING)
def stream_trades(
    symbol: str,
    exchange: str = "binance",
    start: Instant | None = None,
    end: Instant | None = None,
    store: Store | str | Path | None = None,
    base_url: str | None = None,
    progress: bool = False,
    archive: str | Path | None = None,
) -> Iterator[Trades]:
    """Trades as ``load_trades`` returns them, a day at a time: ``trade_windows`` and ``volume_bars`` take them in bounded memory.

    Ranges that the store lacks are fetched when this is called, not when the first day is taken. Errors are those of
    ``load_trades``.

    Examples
    --------
    The store below already has the range, so that no exchange is asked:

    >>> import foreshock as fs
    >>> import pyarrow as pa
    >>> import tempfile
    >>> store, start = fs.Store(tempfile.mkdtemp()), 1_704_067_200_000
    >>> rows = pa.table(
    ...     {"time": [start, start + 40], "id": [7, 8], "price": [100.0, 101.0], "amount": [1.0, 2.0], "side": ["buy", "sell"]}
    ... )
    >>> store.write(fs.SeriesKey("binance", "spot", "BTC/USDT", "trades"), rows, start, start + 60_000)
    >>> days = fs.stream_trades("BTC/USDT", start="2024-01-01T00:00", end="2024-01-01T00:01", store=store)
    >>> [len(day.price) for day in days]
    [2]
    """
    fetching = fetching_of(exchange, start, end, store, base_url, progress, archive)
    key = fetching.trades(symbol)
    return map(trades_from_store, fetching.store.parts(key, fetching.first, fetching.stop))
