"""What a backtest returns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class BacktestResult:
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
        Simple return of each bar, ``equity[t] / equity[t - 1] - 1``; 0 in the first, which is spent in cash.
    equity : ndarray of float64, shape (n_bars,)
        Value of cash and positions at each close; 1 in the first row.
    trades : DataFrame
        One row per fill: ``time`` (open of the bar it is filled in), ``symbol``, ``size`` (base currency per unit of starting
        equity), ``price`` (after slippage), ``value`` (size times price), ``fee``, ``side`` (buy or sell). Fills below
        1e-12 of the equity are rounding and are left out.
    costs : float
        Sum over all fills of the fee and of ``size * |price - open|``, the slippage. As a fraction of the starting
        equity: of a book that has doubled, 1 % costs 0.02.
    turnover : ndarray of float64, shape (n_bars,)
        Value bought plus value sold in the bar, at the open, as a fraction of the equity just before: a full switch
        from one symbol to another is 2.
    exposure : ndarray of float64, shape (n_bars,)
        Value of the positions as a fraction of the equity, at each close.
    name : str
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
