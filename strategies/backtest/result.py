"""What a backtest returns."""

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
    interval : timedelta64[us]
    weights : ndarray of float64, shape (n_bars, n_symbols)
        The target weights as given: row t is known at the close of t and traded at the open of t + 1; NaN is no order.
    returns : ndarray of float64, shape (n_bars,)
        Simple return of each bar, ``equity[t] / equity[t - 1] - 1``; 0 in the first, which is spent in cash, and 0 once the
        account is lost.
    equity : ndarray of float64, shape (n_bars,)
        Value of cash and positions at each close; 1 in the first row.
    trades : DataFrame
        One row per fill: ``time`` (open of the bar it is filled in), ``symbol``, ``size`` (base currency per unit of starting
        equity), ``price`` (after slippage), ``value`` (size times price), ``fee``, ``side`` (buy or sell), ``kind`` (order,
        settlement, stop or liquidation). Orders below 1e-12 of the equity are rounding and are not given.
    costs : float
        Sum over all fills of the fee and of ``size * |price - open|``, the slippage. As a fraction of the starting
        equity: of a book that has doubled, 1 % costs 0.02.
    turnover : ndarray of float64, shape (n_bars,)
        Value bought plus value sold in the bar, at the open, as a fraction of the equity just before: a full switch
        from one symbol to another is 2.
    exposure : ndarray of float64, shape (n_bars,)
        Value of the positions, shorts negative, as a fraction of the equity, at each close.
    name : str
    gross : ndarray of float64, shape (n_bars,)
        Absolute value of the positions as a fraction of the equity, at each close.
    ledger : DataFrame, one row per bar
        What each line added to the cash: ``fee``, ``slippage``, ``funding``, ``borrow``, ``interest``, ``liquidation`` (its fee)
        and ``forgiven`` (loss beyond the equity). The change of the equity is their sum plus what the prices did.
    n_skipped : int
        Orders left out because of the band, the lot or the smallest value.
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
        """Equity, return, turnover, exposure and the ledger's lines by time (UTC)."""
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
    """Return of each bar along the first axis, 0 in the first bar and where nothing was left to lose."""
    before = np.concatenate([equity[:1], equity[:-1]])
    return np.where(before > 0, equity / np.where(before > 0, before, 1.0) - 1, 0.0)
