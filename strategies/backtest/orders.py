"""Checks of target weights, and their conversion to orders at the opens."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from foreshock.data.bars import Bars
from foreshock.data.checks import check_type
from foreshock.data.errors import ConfigError
from foreshock.data.show.shown import few
from foreshock.strategies.backtest.account import Account
from foreshock.strategies.backtest.account_loop import ROUNDING


def checked_weights(bars: Bars, weights: np.ndarray | pd.DataFrame, account: Account) -> np.ndarray:
    """A copy of the weights, shape (n_bars, n_symbols); an error if the account does not allow them."""
    weights = matrix_of(bars, weights, "weights")
    check_type("account", account, Account, "such as fs.Account(shorts=True)")
    limit = account.leverage + ROUNDING
    for wrong, rule in (
        (np.isinf(weights), "finite"),
        (weights < 0 if not account.shorts else np.zeros(1, bool), "0 or more"),
        (np.abs(weights) > limit, f"at most {account.leverage:g}"),
    ):
        if wrong.any():
            row, col = map(int, np.argwhere(wrong)[0])
            raise ConfigError(
                f"weights must be {rule}, or NaN to hold, got {weights[row, col]} for {bars.symbols[col]} at {bars.time[row]}"
                + ("" if account.shorts or weights[row, col] >= 0 else "; Account(shorts=True) allows short sales")
            )
    sums = np.nansum(np.abs(weights), axis=1)
    if (sums > limit).any():
        row = int(np.argmax(sums > limit))
        raise ConfigError(
            f"the weights of a row must sum to at most {account.leverage:g}, got {sums[row]} at {bars.time[row]}; scale them, or "
            f"allow credit with Account(leverage=...)"
        )
    return weights


def matrix_of(bars: Bars, values: np.ndarray | pd.DataFrame, what: str) -> np.ndarray:
    """A copy as float64, shape (n_bars, n_symbols); a DataFrame must have the times and symbols of the bars."""
    check_type("bars", bars, Bars, "read a file with fs.read_bars")
    if isinstance(values, pd.DataFrame):
        _refuse_misaligned(bars, values, what)
    try:
        given = np.asarray(values)
        matrix = np.array(given, dtype=np.float64) if given.dtype.kind in "bifuO" else None
    except (TypeError, ValueError):
        matrix = None
    if matrix is None:
        raise ConfigError(f"{what} must be numbers, shape (n_bars, n_symbols) = {bars.shape}, got {type(values).__name__}")
    if matrix.ndim == 1 and bars.n_symbols == 1:
        matrix = matrix[:, None]
    if matrix.shape != bars.shape:
        raise ConfigError(f"{what} must have the shape (n_bars, n_symbols) = {bars.shape}, got {matrix.shape}")
    return matrix


def _refuse_misaligned(bars: Bars, weights: pd.DataFrame, what: str) -> None:
    if tuple(map(str, weights.columns)) != bars.symbols:
        raise ConfigError(f"the columns of the {what} must be the symbols {few(bars.symbols)}, got {few(weights.columns)}")
    index: Any = weights.index
    if not isinstance(index, pd.DatetimeIndex):
        raise ConfigError(f"the index of the {what} must be the times of the bars, got {type(index).__name__}; or pass an array")
    naive = index if index.tz is None else index.tz_convert(None)
    if not np.array_equal(naive.to_numpy().astype("datetime64[us]"), bars.time):
        raise ConfigError(
            f"the index of the {what} must be the {len(bars)} times of the bars from {bars.time[0]}, got {len(index)} from "
            f"{index[0] if len(index) else 'none'}; use reindex"
        )


def orders_of(bars: Bars, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Target weights in the row in which they are filled, NaN for no order; and True where a position is settled."""
    orders = np.full(bars.shape, np.nan)
    settled = np.zeros(bars.shape, dtype=bool)
    orders[1:] = weights[:-1]
    row = np.arange(len(bars))
    for col in range(bars.n_symbols):
        known = ~np.isnan(bars.open[:, col])
        if known.all():
            continue
        # The newest target is filled at an open if it was decided after the previous open.
        wanted = np.maximum.accumulate(np.where(np.isnan(orders[:, col]), -1, row))
        opened = np.maximum.accumulate(np.where(known, row, -1))
        due = known & (wanted > np.concatenate([[-1], opened[:-1]]))
        orders[:, col] = np.where(due, orders[wanted, col], np.nan)
        end = opened[-1] + 1
        if end < len(bars):
            orders[end, col] = 0.0
            settled[end, col] = True
    return orders, settled
