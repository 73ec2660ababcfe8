"""How much of what a strategy earned its timing is worth: against random timings of the same exits or alerts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from foreshock.data.bars import Bars
from foreshock.engine.scores import Signals
from foreshock.engine.statistics.proportions import wilson
from foreshock.strategies.backtest.account import DEFAULT_ACCOUNT, Account
from foreshock.strategies.backtest.costs import DEFAULT_COSTS, Costs
from foreshock.strategies.backtest.totals import total_returns
from foreshock.strategies.baselines import RandomAvoidance

# An account that lost everything has no log; it counts as one that lost all but this.
RUIN = 1e-12


@dataclass(frozen=True)
class Luck:
    """A strategy among its random timings.

    Parameters
    ----------
    total_returns : ndarray, shape (n_draws,)
        Total return of each draw.
    percentile : float or None
        Share of the draws that earned less, ties counting one half; None without exits, because nothing was timed.
    interval : tuple of float or None
        95 % interval of ``percentile``, by the number of draws.
    widening : float
        By how much the log returns of the draws are moved away from their mean before they are counted: the exits of the strategy
        are at times for which larger moves are expected than for any other times there are, so that they win and lose more.
    """

    total_returns: np.ndarray
    percentile: float | None
    interval: tuple[float, float] | None
    widening: float


def luck(
    chance: RandomAvoidance,
    bars: Bars,
    signals: Signals,
    own: float,
    costs: Costs = DEFAULT_COSTS,
    account: Account = DEFAULT_ACCOUNT,
    on_draw: Callable[[], None] | None = None,
) -> Luck:
    """Compare the total return ``own`` of an avoidance strategy with that of random timings of its exits.

    Parameters
    ----------
    chance : RandomAvoidance
        The draws, with the parameters of the strategy.
    bars, signals, costs, account
        Those of the strategy.
    own : float
        Total return of the strategy.
    on_draw : callable, optional
        Called after each draw.
    """
    timed = bool((signals.active & signals.decided).any())
    return luck_among(chance.timings(bars, signals), bars, timed, own, costs, account, on_draw)


def luck_among(
    timings: Iterable[tuple[np.ndarray, float]],
    bars: Bars,
    timed: bool,
    own: float,
    costs: Costs = DEFAULT_COSTS,
    account: Account = DEFAULT_ACCOUNT,
    on_draw: Callable[[], None] | None = None,
) -> Luck:
    """Compare the total return ``own`` of a strategy with that of other timings, given as pairs of weights and stake.

    ``timed`` says whether the strategy timed anything at all; see ``luck`` for the rest.
    """
    stakes: list[float] = []

    def drawn() -> Iterator[np.ndarray]:
        for weights, stake in timings:
            yield weights
            stakes.append(stake)
            if on_draw is not None:
                on_draw()

    totals = total_returns(bars, drawn(), costs, account)
    widening = 1 / np.sqrt(np.mean(stakes)) if np.mean(stakes) > 0 else 1.0
    if not timed:
        return Luck(totals, None, None, 1.0)
    logs, mine = np.log(np.maximum(1 + totals, RUIN)), np.log(max(1 + own, RUIN))
    middle = logs.mean()
    away, mine_away = (logs - middle) * widening, mine - middle
    # Draws that are the strategy itself are ties whatever the widening.
    same = totals == own
    share = float(np.mean(np.where(same, 0.5, away < mine_away)))
    low, high = wilson(share * len(totals), len(totals))
    return Luck(totals, share, (low, high), float(widening))
