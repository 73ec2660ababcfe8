"""Target weights of a strategy on the test rows: told what it needs, checked, and held to the rows that it may see."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from foreshock.data.bars import Bars
from foreshock.data.errors import ConfigError
from foreshock.data.plugins.contract import called, first_difference
from foreshock.detectors.clusters.labels import Regimes
from foreshock.engine.out_of_sample.splits import WalkForward
from foreshock.engine.scores import Signals
from foreshock.strategies.anomaly_avoidance import AnomalyAvoidance
from foreshock.strategies.backtest.account import DEFAULT_ACCOUNT, Account
from foreshock.strategies.base import Strategy, carried
from foreshock.strategies.event import EventTrade
from foreshock.strategies.factor_portfolio import FactorPortfolio
from foreshock.strategies.regime_exposure import RegimeExposure
from foreshock.strategies.volatility_target import VolatilityTarget
from foreshock.study.traded.entries import Entry

# Rows at which the history of a user's strategy is cut, to see whether it looks ahead.
N_CUTS = 3
TOLERANCE = 1e-9
# The weights of an account with credit above this need a smaller maintenance margin than is usual.
MARGIN = 0.5


@dataclass(frozen=True)
class Told:
    """What strategies of a study are told beside bars and alerts.

    Parameters
    ----------
    regimes : Regimes
        The study's own, with the names that were known at the time.
    splits : WalkForward
        Blocks of the latent factors.
    seed : int
    """

    regimes: Regimes
    splits: WalkForward
    seed: int

    def bound(self, strategy: Strategy, bars: Bars) -> Strategy:
        """The strategy with the regimes or the latent factors that it lacks."""
        if isinstance(strategy, RegimeExposure) and strategy.regimes is None:
            rest = 1.0 if strategy.unnamed is None else strategy.unnamed
            return replace(strategy, regimes=self.regimes, unnamed=rest)
        if isinstance(strategy, FactorPortfolio) and strategy.factors is None and strategy.model is not None:
            from foreshock.detectors.neural.latent.factors import latent_factors

            factors = latent_factors(bars, strategy.model, strategy.n_factors, self.splits, hidden=strategy.hidden, seed=self.seed)
            return replace(strategy, factors=factors)
        return strategy


def tested_weights(entry: Entry, strategy: Strategy, bars: Bars, signals: Signals | None, first: int) -> np.ndarray:
    """Target weights on the rows from ``first`` on, shape (n_test_rows, n_symbols).

    Anomaly avoidance sees the test rows alone, all others the rows before them too; they start with the targets then in force.

    Raises
    ------
    ConfigError
        If the strategy raises, returns something else than weights, orders nothing, or looks ahead.
    """
    if isinstance(strategy, AnomalyAvoidance) and signals is not None:
        return strategy.weights(bars.rows(slice(first, None)), signals.rows(slice(first, None)))
    weights = wanted(entry, strategy, bars, signals)
    if not type(strategy).__module__.startswith("foreshock."):
        _refuse_lookahead(entry, strategy, bars, signals, weights, first)
    weights = from_row(weights, first)
    quiet = signals is not None and not (signals.active & signals.decided).any()
    if np.isnan(weights).all() and not quiet:
        raise ConfigError(
            f"{entry.label} orders nothing in {len(weights)} bars: every weight is NaN; lengthen the history before the test"
        )
    return weights


def from_row(weights: np.ndarray, first: int) -> np.ndarray:
    """The weights from a row on, which begin with the newest targets up to it."""
    own = weights[first:].copy()
    own[0] = carried(weights[: first + 1])[-1]
    return own


def wanted(entry: Entry, strategy: Strategy, bars: Bars, signals: Signals | None) -> np.ndarray:
    """Target weights on every row, checked for their shape; ``backtest`` checks their values."""
    run: Callable[[], Any] = partial(strategy.weights, bars, signals) if entry.acts else partial(strategy.weights, bars)  # pyright: ignore[reportArgumentType, reportCallIssue]
    weights = called(entry.label, "weights", run)
    if not isinstance(weights, np.ndarray) or weights.shape != bars.shape or weights.dtype.kind != "f":
        got = f"{weights.dtype} of {weights.shape}" if isinstance(weights, np.ndarray) else type(weights).__name__
        raise ConfigError(
            f"{entry.label} must return a float array of shape (n_bars, n_symbols) = {bars.shape}, got {got}; such as np.full"
        )
    return weights


def _refuse_lookahead(
    entry: Entry, strategy: Strategy, bars: Bars, signals: Signals | None, weights: np.ndarray, first: int
) -> None:
    for cut in np.linspace(first, len(bars), N_CUTS + 2).astype(int)[1:-1]:
        told = signals if signals is None else signals.rows(slice(0, cut))
        row = first_difference(wanted(entry, strategy, bars.head(int(cut)), told), weights[:cut], TOLERANCE)
        if row is not None:
            raise ConfigError(
                f"{entry.label} looks ahead: its weights of {bars.time[row]} differ when the bars from {bars.time[cut]} on are "
                f"deleted; use rows up to t only"
            )


def account_of(entry: Entry, strategy: Strategy, weights: np.ndarray) -> Account:
    """The account of a strategy: its own, or one that allows what it orders."""
    own = getattr(strategy, "account", None)
    if isinstance(own, Account):
        return own
    if isinstance(strategy, AnomalyAvoidance):
        return DEFAULT_ACCOUNT
    most = (
        strategy.most if isinstance(strategy, VolatilityTarget) else strategy.exposure if isinstance(strategy, EventTrade) else 1.0
    )
    leverage = max(1.0, float(most))
    return Account(leverage, entry.acts or bool((weights < 0).any()), min(Account.maintenance, MARGIN / leverage))
