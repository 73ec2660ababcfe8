"""The account of `strategies.portfolio.backtest`, kept slowly and plainly: one loop over bars, one over orders."""

import math

import numpy as np


def ledger(open_: np.ndarray, close: np.ndarray, weights: np.ndarray, taker: float, slippage: float) -> dict[str, np.ndarray]:
    """Equity, exposure, turnover and costs per bar of a book that starts with a cash of 1.

    Parameters
    ----------
    open_, close, weights : ndarray, shape (n_bars, n_symbols)
    """
    n_bars, n_symbols = open_.shape
    cash = 1.0
    units = [0.0] * n_symbols
    last_close = [math.nan] * n_symbols
    waiting: dict[int, float] = {}
    ends = [max((t for t in range(n_bars) if not math.isnan(open_[t, s])), default=-1) + 1 for s in range(n_symbols)]
    book = {name: np.zeros(n_bars) for name in ("equity", "exposure", "turnover", "costs")}
    for t in range(n_bars):
        # Newest decisions, known at the close before.
        for s in range(n_symbols):
            if t > 0 and not math.isnan(weights[t - 1, s]):
                waiting[s] = weights[t - 1, s]
        # Prices to trade and to value at, in this open.
        quote, slip, targets = {}, {}, {}
        for s in range(n_symbols):
            if not math.isnan(open_[t, s]):
                quote[s], slip[s] = open_[t, s], slippage
                if s in waiting:
                    targets[s] = waiting.pop(s)
            elif not math.isnan(last_close[s]):
                quote[s], slip[s] = last_close[s], 0.0
                if t == ends[s]:
                    targets[s] = 0.0
        value = cash + sum(units[s] * quote[s] for s in quote)
        changes = sorted((targets[s] * value - units[s] * quote[s], s) for s in targets)
        for _, s in changes:
            size = targets[s] * value / quote[s] - units[s]
            price = quote[s] * (1 + slip[s] if size > 0 else 1 - slip[s])
            if size > 0:
                size = min(size, max(cash, 0.0) / (price * (1 + taker)))
            cash -= size * price + abs(size) * price * taker
            units[s] += size
            book["costs"][t] += abs(size) * price * taker + abs(size) * quote[s] * slip[s]
            book["turnover"][t] += abs(size) * quote[s] / value
        for s in range(n_symbols):
            if not math.isnan(close[t, s]):
                last_close[s] = close[t, s]
        held = sum(units[s] * last_close[s] for s in range(n_symbols) if units[s] != 0)
        book["equity"][t] = cash + held
        book["exposure"][t] = held / (cash + held)
    return book
