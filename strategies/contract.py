"""The contract of a strategy, as a function that raises where it is broken."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from foreshock.data.bars import Bars
from foreshock.data.doors.door import door
from foreshock.data.doors.kinds import ANYTHING
from foreshock.data.errors import ConfigError
from foreshock.data.plugins.contract import called, first_difference, global_seed
from foreshock.data.show.shown import shown
from foreshock.data.simulate.random_bars import random_bars
from foreshock.engine.out_of_sample.causality import audit
from foreshock.engine.scores import Signals
from foreshock.strategies.backtest.account import Account
from foreshock.strategies.backtest.portfolio import backtest
from foreshock.strategies.base import Strategy

# Weights such as n times 1 / n may sum to slightly more than 1 by rounding.
ROUNDING = 1e-12
PRICES = ("open", "high", "low", "close", "volume")


@door(strategy=ANYTHING)
def check_strategy(strategy: Strategy, bars: Bars | None = None) -> None:
    """Raise unless a strategy keeps the contract that every strategy of foreshock keeps.

    Weights must be a float array of the shape (n_bars, n_symbols), whose absolute values sum to at most 1 in each row, with at
    least one order that is not for zero. They must be the same, bit for bit, when later bars and signals are deleted, when later
    bars are changed, and when they are computed again under another global random state. Fills at an open must not depend on the
    bar that opens. The strategy must not change bars or signals.

    Parameters
    ----------
    strategy : Strategy
        An object with a ``name`` and a method ``weights(bars, signals)``.
    bars : Bars, optional
        Bars to check with; by default 800 random hourly bars of three symbols, of which the last is listed later. About 2 in 100
        rows have a random signal.

    Raises
    ------
    ConfigError
        If a check fails. The message names the check and how to fix the strategy.

    Examples
    --------
    >>> import foreshock as fs
    >>> fs.check_strategy(fs.AnomalyAvoidance("6h"))
    >>> class Ahead:
    ...     name = "ahead"
    ...     def weights(self, bars, signals):
    ...         return (bars.close < bars.close[-1]) / bars.n_symbols
    >>> fs.check_strategy(Ahead())  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    foreshock.data.errors.ConfigError: ahead looks ahead: its weights differ with the rows from ...
    """
    if isinstance(strategy, type) or not callable(getattr(strategy, "weights", None)):
        raise ConfigError(f"strategy must be an object with a method weights(bars, signals), got {shown(strategy)}")
    name = getattr(strategy, "name", None)
    if not isinstance(name, str):
        raise ConfigError(f"{type(strategy).__name__} must have a name, a text on the class, got {shown(name)}")
    bars = _usual_bars() if bars is None else bars
    weights = _computed(strategy, bars)
    with global_seed(2):
        if first_difference(strategy.weights(bars, _signals(bars)), weights) is not None:
            raise ConfigError(
                f"{name} returns other weights when they are computed again; draw random numbers from np.random.default_rng(seed)"
            )

    def compute(history: Bars) -> dict[str, np.ndarray]:
        wanted = strategy.weights(history, _signals(history, bars))
        return {"weights": wanted, "fills": backtest(history, wanted, account=Account(shorts=True)).turnover}

    for result in audit(compute, bars, n_cuts=8, at_open=["fills"]).results:
        if not result.passed:
            raise ConfigError(f"{name} looks ahead: its {result.name} differ with the {result.first_leak}; use rows up to t only")


def _computed(strategy: Strategy, bars: Bars) -> np.ndarray:
    name, shape = strategy.name, (bars.n_bars, bars.n_symbols)
    given = replace(bars, **{column: getattr(bars, column).copy() for column in PRICES})
    signals = _signals(bars)
    with global_seed(1):
        weights = called(name, "weights", lambda: strategy.weights(given, signals))
    expected = _signals(bars)
    pairs = [(getattr(given, column), getattr(bars, column)) for column in PRICES]
    pairs += [(getattr(signals, key), getattr(expected, key)) for key in ("active", "threshold", "decided")]
    if any(first_difference(found, before) is not None for found, before in pairs):
        raise ConfigError(f"{name} writes into the bars or the signals; work on a copy, such as bars.close.copy()")
    if not isinstance(weights, np.ndarray) or weights.shape != shape or weights.dtype.kind != "f":
        got = f"{weights.dtype} of {weights.shape}" if isinstance(weights, np.ndarray) else type(weights).__name__
        raise ConfigError(f"{name} must return a float array of shape (n_bars, n_symbols) = {shape}, got {got}; such as np.full")
    most = float(np.nansum(np.abs(weights), axis=1).max())
    if not most <= 1 + ROUNDING:
        raise ConfigError(
            f"weights of {name} must sum to at most 1 in absolute value, got {most:.3g}; divide by the number of symbols"
        )
    if not (weights[~np.isnan(weights)] != 0).any():
        raise ConfigError(f"{name} orders nothing in {bars.n_bars} bars; a weight is a fraction of the equity, NaN is no order")
    return weights


def _signals(history: Bars, bars: Bars | None = None) -> Signals:
    """Random signals that depend on the row alone, so that the same rows have the same signals in every history."""
    shape = (history if bars is None else bars).shape
    active = np.random.default_rng(3).random(shape)[: len(history)] < 0.02
    ones = np.ones(active.shape)
    return Signals(history.time, history.symbols, active, ones, ones.astype(bool), history.interval)


def _usual_bars() -> Bars:
    bars = random_bars(800, 3, seed=8)
    columns = {column: getattr(bars, column).copy() for column in PRICES}
    for values in columns.values():
        values[:50, -1] = np.nan
    return replace(bars, **columns)
