"""Trade windows: trades aggregated on a regular grid of exchange time, in one pass and in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numba import njit

from foreshock.data.bars import PRICES, Bars
from foreshock.data.checks import check_number, check_numbers, check_rows, check_text, check_type
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.interval import absolute_row, format_duration
from foreshock.data.show.facts import Shown, grid_facts
from foreshock.data.trades.trades import Trades

MAX_WINDOWS = 50_000_000
# The kernel's columns: sums of a window.
COUNT, VOLUME, QUOTE, BUYS, BUY_VOLUME, BUY_QUOTE, RUSH, OPEN, HIGH, LOW, CLOSE, SHIFT, SQUARES = range(13)


@door
@dataclass(frozen=True, repr=False)
class TradeWindows(Shown):
    """Sums and prices of the trades in each window of a regular grid; window t spans ``[time[t], time[t] + interval)``.

    A window without trades has counts and volumes of zero; its prices, ``avg_trade_size``, ``log_return`` and ``volatility`` are
    NaN (not known).

    Parameters
    ----------
    time : ndarray of datetime64[us], shape (n_windows,)
        Start of each window, a whole multiple of the interval since 1970; its values are known one interval later.
    interval : timedelta64[us]
        Length of a window.
    trade_count, buy_count : ndarray of float64, shape (n_windows,)
        Number of all trades, and of those in which the taker bought.
    volume, buy_volume : ndarray of float64
        Volume of all trades, and of those in which the taker bought, in base currency.
    quote_volume, buy_quote_volume : ndarray of float64
        The same in quote currency.
    rush_orders : ndarray of float64
        Milliseconds with more than one buy: a market order that ate through several resting ones [1]_.
    open, high, low, close, mean_price : ndarray of float64
        First, highest, lowest, last and mean price of the trades (each trade counts once).
    log_return : ndarray of float64
        log(close / open): the move within the window.
    volatility : ndarray of float64
        Standard deviation (sample) of the prices over their mean; NaN below two trades.

    References
    ----------
    .. [1] La Morgia, Mei, Sassi and Stefa (2020), Pump and dumps in the Bitcoin era.

    Examples
    --------
    >>> import foreshock as fs
    >>> bars = fs.simulate_market(seed=1, n_symbols=1, n_bars=24).bars
    >>> windows = fs.trade_windows(fs.bar_trades(bars), seconds=3_600)
    >>> windows
    TradeWindows(24 windows of 1h, 2022-01-01T00:00:00 to 2022-01-01T23:00:00)
    >>> bool((windows.close == bars.close[:, 0]).all())
    True
    """

    time: np.ndarray
    interval: np.timedelta64
    trade_count: np.ndarray
    volume: np.ndarray
    quote_volume: np.ndarray
    buy_count: np.ndarray
    buy_volume: np.ndarray
    buy_quote_volume: np.ndarray
    rush_orders: np.ndarray
    open: np.ndarray
    high: np.ndarray
    low: np.ndarray
    close: np.ndarray
    mean_price: np.ndarray
    log_return: np.ndarray
    volatility: np.ndarray

    def __len__(self) -> int:
        return len(self.time)

    @property
    def start_row(self) -> int:
        """Number of the first row on the grid of whole intervals since 1970, rounded down; 0 without rows."""
        return absolute_row(self.time, self.interval)

    @property
    def sell_count(self) -> np.ndarray:
        return self.trade_count - self.buy_count

    @property
    def sell_volume(self) -> np.ndarray:
        """Volume of the takers' sells, in base currency; exactly zero if every trade was a buy, without rounding."""
        return np.where(self.sell_count > 0, self.volume - self.buy_volume, 0.0)

    @property
    def avg_trade_size(self) -> np.ndarray:
        return np.divide(self.volume, self.trade_count, out=np.full(len(self), np.nan), where=self.trade_count > 0)

    def rows(self, rows: slice | np.ndarray) -> TradeWindows:
        """Some of the windows, by a slice or a mask."""
        check_rows("rows", rows, len(self))
        return replace(self, **{name: values[rows] for name, values in vars(self).items() if isinstance(values, np.ndarray)})

    def to_frame(self) -> pd.DataFrame:
        """One row per window, without ``interval``, with ``sell_count``, ``sell_volume`` and ``avg_trade_size``."""
        columns = {name: values for name, values in vars(self).items() if isinstance(values, np.ndarray)}
        return pd.DataFrame(columns | {name: getattr(self, name) for name in ("sell_count", "sell_volume", "avg_trade_size")})

    def to_bars(self, symbol: str = "asset") -> Bars:
        """OHLCV bars of the windows; a window without trades is a NaN bar."""
        check_text("symbol", symbol)
        traded = self.trade_count > 0
        extras = {"trade_count": self.trade_count, "quote_volume": self.quote_volume, "taker_buy_volume": self.buy_volume}
        prices = {name: getattr(self, name) for name in PRICES}
        volume = np.where(traded, self.volume, np.nan)
        return Bars(self.time, (symbol,), **prices, volume=volume, interval=self.interval, extras=extras)

    def _facts(self) -> Iterator[str]:
        yield from grid_facts(self.time, self.interval, "window")


@door
def trade_windows(trades: Trades | Iterable[Trades], seconds: float = 20) -> TradeWindows:
    """Trades aggregated in windows of exchange time, from the window of the first trade to that of the last.

    An iterable of runs in the order of time, such as ``scan_trades`` returns, is read one run at a time, with the same result bit
    for bit. The last window holds the trades so far; it is complete once a trade of a later window comes.

    Parameters
    ----------
    trades : Trades, or iterable of Trades
        Trades of one series.
    seconds : float
        Length of a window, a whole number of milliseconds.

    Raises
    ------
    ConfigError
        If ``seconds`` is not positive or not a whole number of milliseconds.
    DataError
        If the trades belong to several series, a run begins before the end of the run before it, or the grid would be larger than
        50 million windows.

    Examples
    --------
    >>> import foreshock as fs
    >>> import numpy as np
    >>> time = np.array(["2024-01-01T00:00:01", "2024-01-01T00:00:01", "2024-01-01T00:00:45"], "M8[us]")
    >>> one = np.ones(3)
    >>> windows = fs.trade_windows(fs.Trades(time, np.array([10.0, 12.0, 11.0]), one, one, one > 0), seconds=20)
    >>> windows.trade_count, windows.rush_orders, windows.close
    (array([2., 0., 1.]), array([1., 0., 0.]), array([12., nan, 11.]))
    """
    check_number("seconds", seconds)
    width = _width(seconds)
    carry, blocks = np.zeros(13), []
    check_type("trades", trades, (Trades, Iterable), "read them with fs.read_trades")
    window, milli, in_milli, last = np.int64(0), np.int64(-(2**62)), np.int64(0), None
    start = None
    for run in (trades,) if isinstance(trades, Trades) else trades:
        check_type("a run of trades", run, Trades, "read them with fs.read_trades")
        if run.series is not None:
            raise DataError(f"windows need trades of one series, got {len(set(run.series))}; use Trades.split")
        time = run.time.view(np.int64)
        if start is None:
            start = window = time[0] // width
        elif run.time[0] < last:
            raise DataError(
                f"runs of trades must follow one another, got one that begins at {run.time[0]} after one that ends at {last}; "
                f"sort the source by time"
            )
        n_windows = int(time[-1] // width - window) + 1
        if time[-1] // width - start >= MAX_WINDOWS:
            span = f"{np.datetime64(int(start * width), 'us')} to {run.time[-1]}"
            raise DataError(f"{format_duration(np.timedelta64(width, 'us'))} windows from {span} are too many; check the times")
        block = np.zeros((n_windows, 13))
        block[0] = carry
        milli, in_milli = _add_trades_nb(time, run.price, run.size, run.quote, run.is_buy, width, window, milli, in_milli, block)
        last = run.time[-1]
        blocks.append(block[:-1])
        carry, window = block[-1], window + n_windows - 1
    if start is None:
        raise DataError("there is no run of trades; pass at least one")
    return _finish(np.concatenate([*blocks, carry[None]]), start * width, width)


@door
def window_size_study(trades: Trades, seconds: Sequence[float] = (5, 10, 20, 30, 60, 120, 300)) -> pd.DataFrame:
    """Coefficient of variation (standard deviation over mean) of trade windows, for each window size.

    The larger the window, the smaller the relative noise and the later the alert; a size is chosen where the coefficient stops
    falling fast. The first and last window, which are incomplete, are left out.

    Parameters
    ----------
    trades : Trades
        Trades of one series.
    seconds : sequence of float
        Window sizes, each a whole number of milliseconds.

    Returns
    -------
    DataFrame
        Indexed by ``seconds``: ``n_windows``, ``empty`` (share of windows without a trade), ``trade_count_cv``, ``volume_cv``,
        ``volatility_cv``; NaN where fewer than two windows are known.

    Examples
    --------
    >>> import foreshock as fs
    >>> trades = fs.bar_trades(fs.simulate_market(seed=1, n_symbols=1, n_bars=24).bars)
    >>> fs.window_size_study(trades, seconds=(60, 300, 1_800))["trade_count_cv"].round(2).to_dict()
    {60: 0.35, 300: 0.15, 1800: 0.06}
    """
    check_numbers("seconds", seconds)
    if not len(seconds):
        raise ConfigError("seconds must be at least one length of a window, got none; such as (60, 300)")
    check_type("trades", trades, Trades, "read them with fs.read_trades")
    rows = []
    for size in seconds:
        windows = trade_windows(trades, size)
        whole = windows.rows(slice(1, -1))
        row = {"seconds": size, "n_windows": len(whole), "empty": _mean(whole.trade_count == 0)}
        rows.append(row | {f"{name}_cv": _variation(getattr(whole, name)) for name in ("trade_count", "volume", "volatility")})
    return pd.DataFrame(rows).set_index("seconds")


def _mean(x: np.ndarray) -> float:
    return float(x.mean()) if x.size else float("nan")


def _variation(x: np.ndarray) -> float:
    x = x[~np.isnan(x)]
    return float(x.std(ddof=1) / x.mean()) if x.size > 1 and x.mean() > 0 else float("nan")


def _width(seconds: float) -> int:
    millis = round(seconds * 1_000) if 0 < seconds < 1e9 else 0
    if millis < 1 or abs(millis - seconds * 1_000) > 1e-6:
        raise ConfigError(f"seconds must be a positive whole number of milliseconds, such as 20 or 0.5, got {seconds}")
    return millis * 1_000


def _finish(sums: np.ndarray, start: int, width: int) -> TradeWindows:
    n, shift = sums[:, COUNT], sums[:, SHIFT]
    traded, several = n > 0, n > 1
    unknown = np.full(len(sums), np.nan)
    prices = {name: np.where(traded, sums[:, column], np.nan) for name, column in zip(PRICES, range(OPEN, CLOSE + 1), strict=True)}
    offset = np.divide(shift, n, out=unknown.copy(), where=traded)
    mean = prices["open"] + offset
    # Squares are of differences from the window's first price: exact at any price level, and zero for a constant price.
    variance = np.divide(np.maximum(sums[:, SQUARES] - shift * offset, 0.0), n - 1, out=unknown.copy(), where=several)
    return TradeWindows(
        time=(start + width * np.arange(len(sums), dtype=np.int64)).astype("datetime64[us]"),
        interval=np.timedelta64(width, "us"),
        trade_count=n.copy(),
        volume=sums[:, VOLUME].copy(),
        quote_volume=sums[:, QUOTE].copy(),
        buy_count=sums[:, BUYS].copy(),
        buy_volume=sums[:, BUY_VOLUME].copy(),
        buy_quote_volume=sums[:, BUY_QUOTE].copy(),
        rush_orders=sums[:, RUSH].copy(),
        **prices,
        mean_price=mean,
        log_return=np.log(prices["close"] / prices["open"]),
        volatility=np.sqrt(variance) / mean,
    )


@njit(cache=True)
def _add_trades_nb(time, price, size, quote, is_buy, width, window, milli, in_milli, out):
    """Adds trades to the sums of their windows, ``out[0]`` being window number ``window``, which may hold earlier trades.

    Equals a ``groupby(time // width)`` of pandas with count, sum, first, max, min and last. ``in_milli`` counts the buys so far in
    the millisecond that begins at ``milli``. time : (n_trades,) in us, ascending; out : (n_windows, 13). Returns both updated.
    """
    row = 0
    end = (window + 1) * width
    for i in range(len(time)):
        if time[i] >= end:
            row = time[i] // width - window
            end = (window + row + 1) * width
        if time[i] - milli >= 1_000:
            milli = time[i] // 1_000 * 1_000
            in_milli = 0
        w = out[row]
        p = price[i]
        if w[0] == 0.0:
            w[7] = p
            w[8] = p
            w[9] = p
        w[0] += 1.0
        w[1] += size[i]
        w[2] += quote[i]
        if is_buy[i]:
            w[3] += 1.0
            w[4] += size[i]
            w[5] += quote[i]
            in_milli += 1
            if in_milli == 2:
                w[6] += 1.0
        w[8] = max(w[8], p)
        w[9] = min(w[9], p)
        w[10] = p
        d = p - w[7]
        w[11] += d
        w[12] += d * d
    return milli, in_milli
