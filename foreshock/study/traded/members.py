"""Weights of a strategy that may hold the members of a universe alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from foreshock.data.bars import Bars
from foreshock.engine.out_of_sample.universe import Membership
from foreshock.engine.scores import Signals
from foreshock.strategies.base import Strategy, carried

Weighs = Callable[[Bars, Signals | None], np.ndarray]


def from_row(weights: np.ndarray, first: int) -> np.ndarray:
    """The weights from a row on, which begin with the newest targets up to it."""
    own = weights[first:].copy()
    own[0] = carried(weights[: first + 1])[-1]
    return own


def weights_of_members(
    weigh: Weighs, bars: Bars, signals: Signals | None, members: Membership, begin: int | None = None
) -> np.ndarray:
    """Target weights of a rule that is asked anew in each block, for its members alone; shape (n_rows, n_symbols).

    The rule sees the rows up to the end of the block, and a block begins with the newest targets. They are 0 outside the
    membership, and in its last row too, so that who leaves is sold at the first open of the next block; NaN before the first block.

    Parameters
    ----------
    weigh : callable
        From bars and signals of the members to weights.
    bars : Bars
        The history of all symbols.
    signals : Signals or None
        Alerts, if the rule acts on them.
    members : Membership
        Who is a member when.
    begin : int, optional
        First row that the rule sees; by default the first row of each block.
    """
    weights = np.full(bars.shape, np.nan)
    for block in members.blocks:
        first = block.rows.start if begin is None else begin
        seen, columns = slice(first, block.rows.stop), block.columns
        weights[block.rows] = 0.0
        if columns.size:
            own = bars.rows(seen).select([bars.symbols[k] for k in columns])
            told = None if signals is None else _of_columns(signals.rows(seen), columns)
            weights[block.rows, columns] = from_row(weigh(own, told), block.rows.start - first)
    tested = np.arange(len(bars)) >= members.blocks[0].rows.start
    return np.where(members.held | ~tested[:, None], weights, 0.0)


def _of_columns(signals: Signals, columns: np.ndarray) -> Signals:
    cut = {name: getattr(signals, name)[:, columns] for name in ("active", "threshold", "decided")}
    return replace(signals, symbols=tuple(signals.symbols[k] for k in columns), **cut)


def for_symbols(strategy: Strategy, symbols: tuple[str, ...]) -> Strategy:
    """A strategy that was told regimes or factors of all symbols, with those of some."""
    told: Any = strategy
    regimes: Any = getattr(strategy, "regimes", None)
    factors: Any = getattr(strategy, "factors", None)
    if hasattr(regimes, "labels"):
        columns = [regimes.symbols.index(name) for name in symbols]
        told = replace(told, regimes=replace(regimes, symbols=symbols, labels=regimes.labels[:, columns]))
    if hasattr(factors, "factor_returns"):
        columns = [factors.symbols.index(name) for name in symbols]
        told = replace(told, factors=replace(factors, symbols=symbols, weights=factors.weights[:, :, columns]))
    return told
