"""Target weights of a strategy on the test rows: told what it needs, checked, and held to the rows that it may see."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from foreshock.data.bars import Bars
from foreshock.data.errors import ConfigError
from foreshock.data.plugins.contract import apart, called, first_difference
from foreshock.detectors.clusters.labels import Regimes
from foreshock.engine.out_of_sample.splits import WalkForward
from foreshock.engine.out_of_sample.universe import Membership
from foreshock.engine.scores import Signals
from foreshock.strategies.anomaly_avoidance import AnomalyAvoidance
from foreshock.strategies.backtest.account import DEFAULT_ACCOUNT, Account
from foreshock.strategies.base import Strategy
from foreshock.strategies.event import EventTrade
from foreshock.strategies.factor_portfolio import FactorPortfolio
from foreshock.strategies.regime_exposure import RegimeExposure
from foreshock.strategies.volatility_target import VolatilityTarget
from foreshock.study.traded.entries import Entry
from foreshock.study.traded.members import for_symbols, from_row, weights_of_members

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
    members : Membership, optional
        Who may be held when; by default everyone.
    """

    regimes: Regimes
    splits: WalkForward
    seed: int
    members: Membership | None = None

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


def tested_weights(
    entry: Entry, strategy: Strategy, bars: Bars, signals: Signals | None, first: int, members: Membership | None
) -> np.ndarray:
    """Target weights on the rows from ``first`` on, shape (n_test_rows, n_symbols).

    Anomaly avoidance sees the test rows alone, all others the rows before them too; they start with the targets then in force. With
    ``members``, a strategy is asked for the members of each block.

    Raises
    ------
    ConfigError
        If the strategy raises, returns something else than weights, orders nothing, or looks ahead.
    """
    if isinstance(strategy, AnomalyAvoidance) and signals is not None and members is None:
        return strategy.weights(bars.rows(slice(first, None)), signals.rows(slice(first, None)))
    if not is_ours(strategy):
        _refuse_lookahead(entry, strategy, bars, signals, wanted(entry, strategy, bars, signals), first)
    weights = weights_from(entry, strategy, bars, signals, first, members)
    quiet = signals is not None and not (signals.active & signals.decided).any()
    asked = weights if members is None else weights[members.held[first:]]
    if np.isnan(asked).all() and not quiet:
        raise ConfigError(
            f"{entry.label} orders nothing in {len(weights)} bars: every weight is NaN; lengthen the history before the test"
        )
    return weights


def weights_from(
    entry: Entry, strategy: Strategy, bars: Bars, signals: Signals | None, first: int, members: Membership | None
) -> np.ndarray:
    """Target weights from a row on, which begin with the newest targets; with ``members``, theirs alone."""
    if members is None:
        return from_row(wanted(entry, strategy, bars, signals), first)
    begin = first if isinstance(strategy, AnomalyAvoidance) else 0

    def weigh(own: Bars, told: Signals | None) -> np.ndarray:
        return wanted(entry, for_symbols(strategy, own.symbols), own, told)

    return weights_of_members(weigh, bars, signals, members, begin)[first:]


def wanted(entry: Entry, strategy: Strategy, bars: Bars, signals: Signals | None) -> np.ndarray:
    """Target weights on every row, checked for their shape; ``backtest`` checks their values."""
    if not is_ours(strategy):
        # What it writes into them would change the prices at which everyone trades.
        bars, signals = apart(bars), None if signals is None else apart(signals)
    run: Callable[[], Any] = partial(strategy.weights, bars, signals) if entry.acts else partial(strategy.weights, bars)  # pyright: ignore[reportArgumentType, reportCallIssue]
    weights = called(entry.label, "weights", run)
    if not isinstance(weights, np.ndarray) or weights.shape != bars.shape or weights.dtype.kind != "f":
        got = f"{weights.dtype} of {weights.shape}" if isinstance(weights, np.ndarray) else type(weights).__name__
        raise ConfigError(
            f"{entry.label} must return a float array of shape (n_bars, n_symbols) = {bars.shape}, got {got}; such as np.full"
        )
    return weights


def is_ours(strategy: Strategy) -> bool:
    return type(strategy).__module__.startswith("foreshock.")


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
