"""Acting on the alerts: backtests on the test rows, random timings, costs, and value at risk over time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any

import numpy as np

from foreshock.data.bars import Bars
from foreshock.data.errors import DataError, ForeshockError
from foreshock.engine.risk.forecasts.path import RiskPath, risk_path
from foreshock.engine.scores import Signals
from foreshock.strategies.anomaly_avoidance import AnomalyAvoidance
from foreshock.strategies.assess.cost_sweep import cost_sweep
from foreshock.strategies.backtest.account import DEFAULT_ACCOUNT, Account
from foreshock.strategies.backtest.costs import Costs
from foreshock.strategies.backtest.portfolio import backtest
from foreshock.strategies.backtest.result import BacktestResult
from foreshock.strategies.base import Strategy
from foreshock.strategies.baselines import BuyAndHold, EqualWeight, RandomAvoidance
from foreshock.strategies.identity import BASELINE, RANDOM, STRATEGY, Identity
from foreshock.strategies.luck import Luck, luck, luck_among
from foreshock.strategies.random_alerts import RandomAlerts
from foreshock.study.side_by_side import for_each
from foreshock.study.traded.entries import Entry, chance_label
from foreshock.study.traded.members import weights_of_members
from foreshock.study.traded.weights import Told, account_of, tested_weights, weights_from


@dataclass(frozen=True)
class Strategies:
    """The strategies of a study.

    Parameters
    ----------
    entries : tuple of Entry
        Strategies under test.
    hold, rebalance : str
        How long an alert counts in random timings of a strategy without a hold of its own, and how often passive equal weights are
        restored.
    n_draws, seed : int
        Random timings of every strategy that acts on alerts.
    """

    entries: tuple[Entry, ...]
    hold: str
    rebalance: str
    n_draws: int
    seed: int

    @property
    def passive(self) -> tuple[BuyAndHold, EqualWeight]:
        """The baselines that need no detector."""
        return BuyAndHold(), EqualWeight(self.rebalance)

    def n_backtests(self, n_detectors: int) -> int:
        """How many accounts a study of that many detectors runs."""
        return len(self.passive) + sum(n_detectors * (1 + self.n_draws) if entry.acts else 1 for entry in self.entries)


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
    failures : list of dict
        Strategies that failed: label, detector, role and the reason, one sentence.
    """

    accounts: dict[Identity, BacktestResult]
    timings: dict[str, dict[str, Any]]
    costs: dict[str, Any]
    risk_paths: dict[str, RiskPath]
    value_at_risk: dict[str, Any]
    failures: list[dict[str, Any]]

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
    told: Told,
    step: Callable[[str], None],
) -> Traded:
    """Backtest every strategy on the rows from ``first`` on, and measure what costs and risk make of it.

    A strategy that fails is named with its reason, and the others go on. ``step`` is called once for each account, then for the
    costs, then for the value at risk.
    """
    ran = _Accounts(bars, signals, first, strategies, costs, told, step)
    ran.run()
    acted = {identity.name: result for identity, result in ran.results.items() if identity.role != RANDOM}
    sweep = cost_section(ran.tested, acted, costs, ran.rules)
    step("costs")
    paths, tests = risk_section(acted, bars, told.seed)
    step("value at risk")
    return Traded(ran.results, ran.timings, sweep, paths, tests, ran.failures)


@dataclass(frozen=True)
class _Accounts:
    """The accounts of all strategies, on the same rows, filled by ``run``."""

    bars: Bars
    signals: Mapping[str, Signals]
    first: int
    strategies: Strategies
    costs: Costs
    told: Told
    step: Callable[[str], None]
    results: dict[Identity, BacktestResult] = field(default_factory=dict)
    timings: dict[str, dict[str, Any]] = field(default_factory=dict)
    rules: dict[str, Account] = field(default_factory=dict)
    failures: list[dict[str, Any]] = field(default_factory=list)

    @property
    def tested(self) -> Bars:
        """The test rows."""
        return self.bars.rows(slice(self.first, None))

    def run(self) -> None:
        """The passive baselines, then each strategy with the random timings that it is held against."""
        tested = self.tested
        for passive in self.strategies.passive:
            who = Identity(passive.name, role=BASELINE)
            weights = passive.weights(tested)
            if self.told.members is not None:
                # Bought anew with the members of each block.
                weights = weights_of_members(passive.weights, self.bars, None, self.told.members)[self.first :]
            self.results[who] = backtest(tested, weights, self.costs, passive.name)
            self.step(passive.name)
        for entry in self.strategies.entries:
            try:
                strategy = self.told.bound(entry.strategy, self.bars)
            except ForeshockError as error:
                self._fail(Identity(entry.label), error)
                continue
            for label in self.signals if entry.acts else (None,):
                who = Identity(entry.label, label)
                try:
                    self._one(who, entry, strategy, tested)
                except ForeshockError as error:
                    self._fail(who, error)

    def _fail(self, who: Identity, error: ForeshockError) -> None:
        said = " ".join(str(error).split())
        self.failures.append({"strategy": who.strategy, "detector": who.detector, "role": STRATEGY, "reason": said})
        # What belongs to a strategy that failed later is no result.
        for other in [
            other for other in self.results if (other.of or other.strategy, other.detector) == (who.strategy, who.detector)
        ]:
            del self.results[other]
        self.timings.pop(who.name, None)

    def _one(self, who: Identity, entry: Entry, strategy: Strategy, tested: Bars) -> None:
        alerts = None if who.detector is None else self.signals[who.detector]
        weights = tested_weights(entry, strategy, self.bars, alerts, self.first, self.told.members)
        self.rules[who.name] = account_of(entry, strategy, weights)
        own = self.results[who] = backtest(tested, weights, self.costs, who.name, self.rules[who.name])
        self.step(who.name)
        if alerts is None:
            return
        chance = Identity(chance_label(entry.label), who.detector, RANDOM, entry.label)
        found = self._luck(
            entry, strategy, alerts, float(own.equity[-1] - 1), self.rules[who.name], partial(self.step, chance.name)
        )
        totals = found.total_returns
        # The draw in the middle stands for chance in the tables; all of them give the percentile.
        middle = int(np.argsort(totals, kind="stable")[(len(totals) - 1) // 2])
        drawn, _ = next(islice(self._draws(entry, strategy, alerts), middle, None))
        self.results[chance] = backtest(tested, drawn, self.costs, chance.name, self.rules[who.name])
        self.timings[who.name] = {
            "n_draws": self.strategies.n_draws,
            "total_returns": totals.tolist(),
            "percentile": found.percentile,
            "interval": found.interval and list(found.interval),
            "widening": found.widening,
        }

    def _luck(
        self, entry: Entry, strategy: Strategy, alerts: Signals, own: float, account: Account, on_draw: Callable[[], None]
    ) -> Luck:
        tested, shown = self.tested, alerts.rows(slice(self.first, None))
        if isinstance(strategy, AnomalyAvoidance) and self.told.members is None:
            return luck(self._chance(strategy), tested, shown, own, self.costs, account, on_draw)
        timed = bool((shown.active & shown.decided).any())
        return luck_among(self._draws(entry, strategy, alerts), tested, timed, own, self.costs, account, on_draw)

    def _draws(self, entry: Entry, strategy: Strategy, alerts: Signals) -> Iterator[tuple[np.ndarray, float]]:
        """Target weights of each random timing on the test rows, and its stake."""
        if isinstance(strategy, AnomalyAvoidance) and self.told.members is None:
            yield from self._chance(strategy).timings(self.tested, alerts.rows(slice(self.first, None)))
            return
        hold = getattr(strategy, "hold", None)
        moved = RandomAlerts(self.strategies.n_draws, self.strategies.seed, hold if isinstance(hold, str) else self.strategies.hold)
        for drawn, stake in moved.timings(self.bars, alerts):
            yield weights_from(entry, strategy, self.bars, drawn, self.first, self.told.members), stake

    def _chance(self, strategy: AnomalyAvoidance) -> RandomAvoidance:
        return RandomAvoidance(self.strategies.n_draws, self.strategies.seed, **vars(strategy))


def cost_section(
    bars: Bars, backtests: Mapping[str, BacktestResult], costs: Costs, rules: Mapping[str, Account] | None = None
) -> dict[str, Any]:
    """Total return of each strategy at each cost of a fill, and the cost at which the total return is zero."""
    by_account: dict[Account, dict[str, np.ndarray]] = {}
    for name, result in backtests.items():
        by_account.setdefault((rules or {}).get(name, DEFAULT_ACCOUNT), {})[name] = result.weights
    sweeps = [cost_sweep(bars, weights, costs=costs, account=account) for account, weights in by_account.items()]
    rates = [column for column in sweeps[0].columns if column != "break_even"]
    rows = {str(name): row for sweep in sweeps for name, row in sweep.iterrows()}
    return {
        "rates": rates,
        "total_return": {name: [float(rows[name][rate]) for rate in rates] for name in backtests},
        "break_even": {name: float(rows[name]["break_even"]) for name in backtests},
    }


def risk_section(backtests: Mapping[str, BacktestResult], bars: Bars, seed: int) -> tuple[dict[str, RiskPath], dict[str, Any]]:
    """Risk forecasts of each strategy and their tests; if the history is too short, no forecast and the reason."""
    arguments = {name: (result.returns, result.interval, result.time, seed) for name, result in backtests.items()}
    tried = for_each(_tested_path, arguments, bars)
    found = {name: one for name, one in tried.items() if not isinstance(one, str)}
    reasons = {name: one for name, one in tried.items() if isinstance(one, str)}
    if not found:
        return {}, {"rows": [], "reason": next(iter(reasons.values()), "")}
    rows = [{"strategy": name, **row} for name, (_, tests) in found.items() for row in tests]
    return {name: path for name, (path, _) in found.items()}, {"rows": rows, "reason": ""} | (
        {"without": reasons} if reasons else {}
    )


def _tested_path(
    returns: np.ndarray, interval: np.timedelta64, time: np.ndarray, seed: int
) -> tuple[RiskPath, list[dict[str, Any]]] | str:
    """The forecasts and their tests, or why there are none."""
    try:
        path = risk_path(returns, interval, time)
        return path, path.tests(seed)
    except DataError as error:
        return str(error)
