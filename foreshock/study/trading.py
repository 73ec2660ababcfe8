"""Acting on the alerts: backtests on the test rows, random timings, costs, and value at risk over time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import numpy as np

from foreshock.data.bars import Bars
from foreshock.data.errors import DataError
from foreshock.engine.risk.forecasts.path import RiskPath, risk_path
from foreshock.engine.scores import Signals
from foreshock.strategies.anomaly_avoidance import AnomalyAvoidance
from foreshock.strategies.assess.cost_sweep import cost_sweep
from foreshock.strategies.backtest.costs import Costs
from foreshock.strategies.backtest.portfolio import backtest
from foreshock.strategies.backtest.result import BacktestResult
from foreshock.strategies.baselines import BuyAndHold, EqualWeight, RandomAvoidance
from foreshock.strategies.identity import BASELINE, RANDOM, Identity
from foreshock.strategies.luck import luck
from foreshock.study.side_by_side import for_each


@dataclass(frozen=True)
class Strategies:
    """The strategies of a study.

    Parameters
    ----------
    acting : AnomalyAvoidance
        The strategy that acts on the alerts of each detector.
    chance : RandomAvoidance
        Random timings of the same exits.
    passive : tuple
        Strategies that need no detector.
    """

    acting: AnomalyAvoidance
    chance: RandomAvoidance
    passive: tuple[BuyAndHold, EqualWeight]

    @classmethod
    def of(cls, hold: str, exposure: float, rebalance: str, n_draws: int, seed: int) -> Strategies:
        """Avoidance, its random timings, and the two passive baselines, all rebalanced alike."""
        chance = RandomAvoidance(n_draws, seed, hold, exposure, rebalance)
        return cls(AnomalyAvoidance(hold, exposure, rebalance), chance, (BuyAndHold(), EqualWeight(rebalance)))

    def n_backtests(self, n_detectors: int) -> int:
        """How many accounts a study of that many detectors runs."""
        return len(self.passive) + n_detectors * (1 + self.chance.n_draws)


@dataclass(frozen=True)
class Traded:
    """What every strategy earned on the test rows.

    Parameters
    ----------
    accounts : dict of Identity to BacktestResult
        One account for each strategy and detector; of the random timings the one in the middle.
    timings : dict of str to dict
        By strategy, the total returns of its random timings, and the share of them that it beats with its 95 % interval.
    costs : dict
        Total return at each cost of a fill, and the cost at which nothing is left.
    risk_paths : dict of str to RiskPath
        Forecasts of each strategy's risk; empty where the history is too short.
    value_at_risk : dict
        Every test of these forecasts, or the reason why there is none.
    """

    accounts: dict[Identity, BacktestResult]
    timings: dict[str, dict[str, Any]]
    costs: dict[str, Any]
    risk_paths: dict[str, RiskPath]
    value_at_risk: dict[str, Any]

    @property
    def backtests(self) -> dict[str, BacktestResult]:
        """The accounts by displayed name."""
        return {identity.name: result for identity, result in self.accounts.items()}


def trade(
    bars: Bars,
    signals: Mapping[str, Signals],
    first: int,
    strategies: Strategies,
    costs: Costs,
    seed: int,
    step: Callable[[str], None],
) -> Traded:
    """Backtest every strategy on the rows from ``first`` on, and measure what costs and risk make of it.

    ``step`` is called once for each account, then for the costs, then for the value at risk.
    """
    tested = bars.rows(slice(first, None))
    alerts = {label: found.rows(slice(first, None)) for label, found in signals.items()}
    accounts, timings = run_backtests(tested, alerts, strategies, costs, step)
    acted = {identity.name: result for identity, result in accounts.items() if identity.role != RANDOM}
    sweep = cost_section(tested, acted, costs)
    step("costs")
    paths, tests = risk_section(acted, bars, seed)
    step("value at risk")
    return Traded(accounts, timings, sweep, paths, tests)


def run_backtests(
    bars: Bars, signals: Mapping[str, Signals], strategies: Strategies, costs: Costs, step: Callable[[str], None]
) -> tuple[dict[Identity, BacktestResult], dict[str, dict[str, Any]]]:
    """Avoidance by each detector, its random timings, and the passive baselines, all on the same rows."""
    accounts: dict[Identity, BacktestResult] = {}
    timings: dict[str, dict[str, Any]] = {}
    acting, chance = strategies.acting, strategies.chance
    for passive in strategies.passive:
        accounts[Identity(passive.name, role=BASELINE)] = backtest(bars, passive.weights(bars), costs, passive.name)
        step(passive.name)
    for label, alerts in signals.items():
        own, by_chance = Identity(acting.name, label), Identity(chance.name, label, RANDOM)
        accounts[own] = backtest(bars, acting.weights(bars, alerts), costs, own.name)
        step(own.name)
        found = luck(chance, bars, alerts, accounts[own].equity[-1] - 1, costs, on_draw=partial(step, by_chance.name))
        totals = found.total_returns
        # The draw in the middle stands for chance in the tables; all of them give the percentile.
        middle = int(np.argsort(totals, kind="stable")[(len(totals) - 1) // 2])
        accounts[by_chance] = backtest(bars, next(islice(chance.draws(bars, alerts), middle, None)), costs, by_chance.name)
        timings[own.name] = {
            "n_draws": chance.n_draws,
            "total_returns": totals.tolist(),
            "percentile": found.percentile,
            "interval": found.interval and list(found.interval),
            "widening": found.widening,
        }
    return accounts, timings


def cost_section(bars: Bars, backtests: Mapping[str, BacktestResult], costs: Costs) -> dict[str, Any]:
    """Total return of each strategy at each cost of a fill, and the cost at which the total return is zero."""
    sweep = cost_sweep(bars, {name: result.weights for name, result in backtests.items()}, costs=costs)
    rates = [column for column in sweep.columns if column != "break_even"]
    return {
        "rates": rates,
        "total_return": {str(name): [float(row[rate]) for rate in rates] for name, row in sweep.iterrows()},
        "break_even": {str(name): float(row["break_even"]) for name, row in sweep.iterrows()},
    }


def risk_section(backtests: Mapping[str, BacktestResult], bars: Bars, seed: int) -> tuple[dict[str, RiskPath], dict[str, Any]]:
    """Risk forecasts of each strategy and their tests; if the history is too short, no forecast and the reason."""
    arguments = {name: (result.returns, result.interval, result.time, seed) for name, result in backtests.items()}
    try:
        found = for_each(_tested_path, arguments, bars)
    except DataError as error:
        return {}, {"rows": [], "reason": str(error)}
    rows = [{"strategy": name, **row} for name, (_, tests) in found.items() for row in tests]
    return {name: path for name, (path, _) in found.items()}, {"rows": rows, "reason": ""}


def _tested_path(
    returns: np.ndarray, interval: np.timedelta64, time: np.ndarray, seed: int
) -> tuple[RiskPath, list[dict[str, Any]]]:
    path = risk_path(returns, interval, time)
    return path, path.tests(seed)
