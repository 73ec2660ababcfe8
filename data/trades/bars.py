"""Volume and dollar bars: trades aggregated until enough was traded, however long that takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numba import njit

from foreshock.data.checks import check_number, check_type
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.show.facts import Shown, counted, span_facts
from foreshock.data.trades.trades import Trades

MAX_BARS = 50_000_000
# The fields of each bar, in the order of the kernel's columns.
SUMS = ("trade_count", "volume", "quote_volume", "buy_volume", "buy_quote_volume", "open", "high", "low", "close")


@dataclass(frozen=True, repr=False)
class TradeBars(Shown):
    """Bars of trades, not evenly spaced in time; arrays have the shape (n_bars,).

    Parameters
    ----------
    time, end : ndarray of datetime64[us]
        First and last trade of each bar. A bar is known at its end.
    trade_count, volume, quote_volume, buy_volume, buy_quote_volume : ndarray of float64
        Number, volume and value of all trades, and volume and value of those in which the taker bought; volume in base currency,
        quote volume in quote currency.
    open, high, low, close : ndarray of float64
        First, highest, lowest and last price, in quote currency.

    Examples
    --------
    >>> import foreshock as fs
    >>> trades = fs.bar_trades(fs.simulate_market(seed=1, n_symbols=1, n_bars=24).bars)
    >>> bars = fs.dollar_bars(trades, value=1e8)
    >>> bars
    TradeBars(9 bars, 2022-01-01T00:00:02 to 2022-01-01T18:01:28)
    >>> bars.to_frame().shape
    (9, 12)
    """

    time: np.ndarray
    end: np.ndarray
    trade_count: np.ndarray
    volume: np.ndarray
    quote_volume: np.ndarray
    buy_volume: np.ndarray
    buy_quote_volume: np.ndarray
    open: np.ndarray
    high: np.ndarray
    low: np.ndarray
    close: np.ndarray

    def __len__(self) -> int:
        return len(self.time)

    @property
    def vwap(self) -> np.ndarray:
        """Volume-weighted mean price, shape (n_bars,), in quote currency."""
        return self.quote_volume / self.volume

    def to_frame(self) -> pd.DataFrame:
        """One row per bar, with ``vwap``."""
        return pd.DataFrame(vars(self) | {"vwap": self.vwap})

    def _facts(self) -> Iterator[str]:
        yield counted(len(self), "bar")
        yield from span_facts(self.time)


@door
def volume_bars(trades: Trades | Iterable[Trades], volume: float) -> TradeBars:
    """Bars of at least ``volume`` in base currency each [1]_.

    A bar ends with the trade that makes it full. Trades are never split, so a bar holds up to one trade more than requested, and
    the next one starts at zero. Trades after the last full bar are left out, because that bar is not complete. An iterable of runs
    in the order of time, such as ``scan_trades`` returns, is read one run at a time, with the same result bit for bit.

    Parameters
    ----------
    trades : Trades, or iterable of Trades
        Trades of one series.
    volume : float
        Least volume of a bar, in base currency.

    Raises
    ------
    ConfigError
        If ``volume`` is not positive and finite.
    DataError
        If the trades belong to several series, a run begins before the end of the run before it, or there would be more than 50
        million bars.

    References
    ----------
    .. [1] Easley, Lopez de Prado and O'Hara (2012), The volume clock: insights into the high-frequency paradigm.

    Examples
    --------
    >>> import foreshock as fs
    >>> import numpy as np
    >>> time = np.arange(5).astype("M8[s]")
    >>> price, size = np.array([10.0, 12, 11, 9, 10]), np.array([1.0, 2, 3, 1, 1])
    >>> bars = fs.volume_bars(fs.Trades(time, price, size, price * size, size > 1), volume=3)
    >>> bars.volume, bars.close, bars.end.astype("M8[s]").astype(int)
    (array([3., 3.]), array([12., 11.]), array([1, 2]))
    """
    check_number("volume", volume)
    return _bars(trades, volume, "volume", SUMS.index("volume"))


@door
def dollar_bars(trades: Trades | Iterable[Trades], value: float) -> TradeBars:
    """Bars of at least ``value`` in quote currency each; otherwise as ``volume_bars``.

    Parameters
    ----------
    trades : Trades, or iterable of Trades
        Trades of one series.
    value : float
        Least value of a bar, in quote currency.

    Raises
    ------
    ConfigError, DataError
        As ``volume_bars``.

    Examples
    --------
    >>> import foreshock as fs
    >>> import numpy as np
    >>> time = np.arange(5).astype("M8[s]")
    >>> price, size = np.array([10.0, 12, 11, 9, 10]), np.array([1.0, 2, 3, 1, 1])
    >>> bars = fs.dollar_bars(fs.Trades(time, price, size, price * size, size > 1), value=30)
    >>> bars.quote_volume, bars.close
    (array([34., 33.]), array([12., 11.]))
    """
    check_number("value", value)
    return _bars(trades, value, "value", SUMS.index("quote_volume"))


def _bars(trades: Trades | Iterable[Trades], least: float, name: str, column: int) -> TradeBars:
    if not 0 < least < np.inf:
        raise ConfigError(f"{name} must be positive and finite, got {least}; pass the amount that a bar must hold")
    check_type("trades", trades, (Trades, Iterable), "read them with fs.read_trades")
    carry, times = np.zeros(len(SUMS)), np.zeros(2, dtype=np.int64)
    blocks, spans, n_bars, last = [np.empty((0, len(SUMS)))], [np.empty((0, 2), dtype=np.int64)], 0, None
    for run in (trades,) if isinstance(trades, Trades) else trades:
        check_type("a run of trades", run, Trades, "read them with fs.read_trades")
        if run.series is not None:
            raise DataError(f"bars need trades of one series, got {len(set(run.series))}; use Trades.split")
        if last is not None and run.time[0] < last:
            raise DataError(
                f"runs of trades must follow one another, got one that begins at {run.time[0]} after one that ends at {last}; "
                f"sort the source by time"
            )
        # A full bar holds at least ``least``; two more are for the carry and for rounding.
        traded = float((run.size if name == "volume" else run.quote).sum())
        room = int(min(len(run), traded / least + 2))
        if n_bars + room > MAX_BARS:
            raise DataError(f"bars of {least} would be more than {MAX_BARS}; pass a larger {name}")
        block, span = np.empty((room, len(SUMS))), np.empty((room, 2), dtype=np.int64)
        time = run.time.astype(np.int64)
        n = _fill_bars_nb(time, run.price, run.size, run.quote, run.is_buy, least, column, carry, times, block, span)
        blocks.append(block[:n])
        spans.append(span[:n])
        n_bars, last = n_bars + n, run.time[-1]
    sums, span = np.concatenate(blocks), np.concatenate(spans).astype("datetime64[us]")
    return TradeBars(span[:, 0].copy(), span[:, 1].copy(), **{key: sums[:, i].copy() for i, key in enumerate(SUMS)})


@njit(cache=True)
def _fill_bars_nb(time, price, size, quote, is_buy, least, column, carry, times, out, span):
    """Adds trades to the bar in ``carry`` (its first trade at ``times[0]``), puts full bars into ``out``; returns their number."""
    n = 0
    for i in range(len(time)):
        p = price[i]
        if carry[0] == 0.0:
            times[0] = time[i]
            carry[5] = p
            carry[6] = p
            carry[7] = p
        carry[0] += 1.0
        carry[1] += size[i]
        carry[2] += quote[i]
        if is_buy[i]:
            carry[3] += size[i]
            carry[4] += quote[i]
        carry[6] = max(carry[6], p)
        carry[7] = min(carry[7], p)
        carry[8] = p
        if carry[column] >= least:
            out[n] = carry
            span[n, 0] = times[0]
            span[n, 1] = time[i]
            carry[:] = 0.0
            n += 1
    return n
