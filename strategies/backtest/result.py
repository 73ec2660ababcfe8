"""The result of a backtest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from foreshock.data.show.facts import Shown, counted, grid_facts, symbols_fact
from foreshock.data.show.shown import one_line


@dataclass(frozen=True, repr=False)
class BacktestResult(Shown):
    """The account of one strategy; money is in units of the starting equity.

    Parameters
    ----------
    time : ndarray of datetime64[us], shape (n_bars,)
        Bar opens, UTC.
    symbols : tuple of str
        Names of the columns of ``weights``.
    interval : timedelta64[us]
        Length of a bar.
    weights : ndarray of float64, shape (n_bars, n_symbols)
        The target weights passed to the backtest: row t is known at the close of t and traded at the open of t + 1; NaN is no
        order.
    returns : ndarray of float64, shape (n_bars,)
        Simple return of each bar, ``equity[t] / equity[t - 1] - 1``; 0 in the first bar, which has no position yet, and 0 after
        the account has lost everything.
    equity : ndarray of float64, shape (n_bars,)
        Value of cash and positions at each close; 1 in the first row.
    trades : DataFrame
        One row per fill: ``time`` (open of the bar it is filled in), ``symbol``, ``size`` (base currency per unit of starting
        equity), ``price`` (after slippage), ``value`` (size times price), ``fee``, ``side`` (buy or sell), ``kind`` (order,
        settlement, stop or liquidation). Orders below 1e-12 of the equity are rounding errors and are not filled.
    costs : float
        Sum over all fills of the fee and of ``size * |price - open|``, the slippage, as a fraction of the starting equity. If the
        equity has doubled, 1 % of it costs 0.02.
    turnover : ndarray of float64, shape (n_bars,)
        Value bought plus value sold in the bar, at the open, as a fraction of the equity just before: a full switch
        from one symbol to another is 2.
    exposure : ndarray of float64, shape (n_bars,)
        Value of the positions, shorts negative, as a fraction of the equity, at each close.
    name : str
        Name of the strategy.
    gross : ndarray of float64, shape (n_bars,)
        Absolute value of the positions as a fraction of the equity, at each close.
    ledger : DataFrame, one row per bar
        Cash that each line added: ``fee``, ``slippage``, ``funding``, ``borrow``, ``interest``, ``liquidation`` (its fee) and
        ``forgiven`` (loss beyond the equity). The change of the equity is their sum plus the profit from prices.
    n_skipped : int
        Number of orders left out because of the band, the lot or the smallest value.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> time = np.datetime64("2024-01-01T00", "us") + np.arange(4) * np.timedelta64(1, "h")
    >>> price = np.array([[100.0], [100.0], [110.0], [110.0]])
    >>> bars = fs.Bars(time, ("BTC",), price, price, price, price, price, np.timedelta64(1, "h"))
    >>> result = fs.backtest(bars, np.array([1.0, 0.0, np.nan, np.nan]), fs.Costs(taker=0.0, slippage=0.0))
    >>> result.equity
    array([1. , 1. , 1.1, 1.1])
    >>> result.trades["side"].tolist()
    ['buy', 'sell']
    """

    time: np.ndarray
    symbols: tuple[str, ...]
    interval: np.timedelta64
    weights: np.ndarray
    returns: np.ndarray
    equity: np.ndarray
    trades: pd.DataFrame
    costs: float
    turnover: np.ndarray
    exposure: np.ndarray
    name: str = ""
    gross: np.ndarray = field(default_factory=lambda: np.empty(0))
    ledger: pd.DataFrame = field(default_factory=pd.DataFrame)
    n_skipped: int = 0

    def units(self) -> np.ndarray:
        """Positions at each close in base currency per unit of starting equity, shorts negative; shape (n_bars, n_symbols)."""
        units = np.zeros((len(self.time), len(self.symbols)))
        row = np.searchsorted(self.time, self.trades["time"].to_numpy())
        col = pd.Index(self.symbols).get_indexer(self.trades["symbol"].to_numpy())
        sign = np.where(self.trades["side"] == "buy", 1.0, -1.0)
        np.add.at(units, (row, col), sign * self.trades["size"].to_numpy())
        return np.cumsum(units, axis=0)

    def to_frame(self) -> pd.DataFrame:
        """Equity, return, turnover, exposure and the lines of the ledger by time (UTC)."""
        columns = {"equity": self.equity, "return": self.returns, "turnover": self.turnover, "exposure": self.exposure}
        frame = pd.DataFrame(columns, index=pd.DatetimeIndex(self.time, name="time", tz="UTC"))
        return frame.join(self.ledger.set_axis(frame.index)) if len(self.ledger) else frame

    def _facts(self) -> Iterator[str]:
        if self.name:
            yield one_line(self.name, 60)
        yield f"total return {self.equity[-1] - 1:.2%}" if len(self.equity) else "no bar"
        yield counted(len(self.trades), "fill")
        yield symbols_fact(self.symbols)
        yield from grid_facts(self.time, self.interval)


def simple_returns(equity: np.ndarray) -> np.ndarray:
    """Simple return of each bar along the first axis; 0 in the first bar and after the equity has reached 0."""
    before = np.concatenate([equity[:1], equity[:-1]])
    return np.where(before > 0, equity / np.where(before > 0, before, 1.0) - 1, 0.0)
