"""Does a result hold for other parameters, and does choosing them by the past pay?"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from foreshock.data.bars import Bars
from foreshock.data.checks import check_mapping, check_one, check_texts, check_type
from foreshock.data.errors import ConfigError
from foreshock.data.interval import bars_per_year, parse_duration
from foreshock.data.show.facts import Shown, counted, grid_facts
from foreshock.data.show.shown import few
from foreshock.engine.out_of_sample.splits import WalkForward
from foreshock.engine.scores import Scores, Threshold, check_threshold
from foreshock.strategies.anomaly_avoidance import AnomalyAvoidance
from foreshock.strategies.assess.grid import GridResult, backtest_grid
from foreshock.strategies.backtest.account import DEFAULT_ACCOUNT, Account
from foreshock.strategies.backtest.costs import DEFAULT_COSTS, Costs
from foreshock.strategies.backtest.orders import checked_weights
from foreshock.strategies.backtest.portfolio import backtest
from foreshock.strategies.backtest.result import BacktestResult
from foreshock.strategies.base import carried
from foreshock.strategies.event import EventTrade


@dataclass(frozen=True, repr=False)
class StabilityGrid(Shown):
    """Results over thresholds (rows) and holds (columns), ready for a heat map.

    Parameters
    ----------
    total_return, sharpe, turnover, alert_rate : DataFrame
        Sharpe ratio per year, NaN where the equity does not vary; turnover over all bars; alerts over decided rows.
    weights : dict of (threshold, hold) to ndarray
        For ``choose_walk_forward``.
    grid : GridResult
    """

    total_return: pd.DataFrame
    sharpe: pd.DataFrame
    turnover: pd.DataFrame
    alert_rate: pd.DataFrame
    weights: dict[tuple[Hashable, Hashable], np.ndarray]
    grid: GridResult

    def _facts(self) -> Iterator[str]:
        yield f"{counted(len(self.total_return), 'threshold')} by {counted(self.total_return.shape[1], 'hold')}"
        yield from grid_facts(self.grid.time, self.grid.interval)

    def _preview(self) -> pd.DataFrame:
        return self.total_return

    def to_frame(self) -> pd.DataFrame:
        """``total_return``, ``sharpe``, ``turnover`` and ``alert_rate`` by ``threshold`` and ``hold``."""
        tables = {name: getattr(self, name).stack() for name in ("total_return", "sharpe", "turnover", "alert_rate")}
        return pd.DataFrame(tables).rename_axis(["threshold", "hold"])


def stability_grid(
    bars: Bars,
    scores: Scores,
    thresholds: Mapping[Hashable, Threshold],
    holds: Sequence[str],
    strategy: AnomalyAvoidance | EventTrade | None = None,
    costs: Costs = DEFAULT_COSTS,
    account: Account = DEFAULT_ACCOUNT,
) -> StabilityGrid:
    """Backtest a strategy on the same scores for every threshold and hold.

    The best cell of such a table is the best of many and no estimate of what it will earn; what is asked is whether its
    neighbours are like it. For a choice that can be traded see ``choose_walk_forward``.

    Parameters
    ----------
    bars : Bars
    scores : Scores
        Of the rows of the bars.
    thresholds : dict of label to Threshold
    holds : sequence of str
    strategy : AnomalyAvoidance or EventTrade, optional
        Everything but its hold.
    costs, account
        See ``backtest``.

    Raises
    ------
    ConfigError
        If a hold or threshold stands there twice or is none at all, or the scores do not fit the bars.
    """
    check_mapping("thresholds", thresholds)
    check_texts("holds", holds)
    check_one("strategy", strategy)
    check_type("bars", bars, Bars, "read a file with fs.read_bars")
    holds, strategy = list(holds), strategy or AnomalyAvoidance()
    if not isinstance(strategy, AnomalyAvoidance | EventTrade):
        raise ConfigError(f"strategy must be AnomalyAvoidance or EventTrade, got {type(strategy).__name__}; others hold no time")
    check_type("scores", scores, Scores, "those of fs.walk_forward")
    for threshold in thresholds.values():
        check_threshold(threshold)
    if not thresholds or not holds or len({parse_duration(hold, "hold") for hold in holds}) < len(holds):
        raise ConfigError(f"there must be thresholds and holds that differ, got {few(thresholds)} and {few(holds)}")
    weights: dict[tuple[Hashable, Hashable], np.ndarray] = {}
    rates = {}
    for label, threshold in thresholds.items():
        signals = scores.signals(threshold)
        for hold in holds:
            weights[label, hold] = replace(strategy, hold=hold).weights(bars, signals)
            rates[label, hold] = signals.alert_rate
    grid = backtest_grid(bars, weights, costs, account)
    sharpe = _sharpe(grid.returns[1:]) * np.sqrt(bars_per_year(bars.interval))

    def table(values: np.ndarray) -> pd.DataFrame:
        index = pd.Index(list(thresholds), name="threshold")
        return pd.DataFrame(np.reshape(values, (len(thresholds), len(holds))), index, pd.Index(holds, name="hold"))

    alert_rate = table(np.array(list(rates.values())))
    return StabilityGrid(table(grid.total_return), table(sharpe), table(grid.turnover), alert_rate, weights, grid)


@dataclass(frozen=True, repr=False)
class WalkForwardChoice(Shown):
    """Parameters chosen by the past alone, and what they earned then.

    Parameters
    ----------
    folds : DataFrame, one row per fold
        ``train_start``, ``train_end``, ``test_start``, ``test_end`` (opens of the first and after the last row), ``chosen``
        (label), ``train_sharpe`` and ``test_sharpe`` of the chosen set and ``best_test_sharpe`` of the set that was best in
        hindsight, per year. The fall from train to test is what choosing the best of many costs.
    weights : ndarray, shape (n_bars, n_symbols)
        Of all bars: NaN before the first test row.
    result : BacktestResult
        Of the rows from the first test row on.
    """

    folds: pd.DataFrame
    weights: np.ndarray
    result: BacktestResult

    def _facts(self) -> Iterator[str]:
        yield counted(len(self.folds), "fold")
        yield f"result={self.result!r}"

    def _preview(self) -> pd.DataFrame:
        return self.folds

    def to_frame(self) -> pd.DataFrame:
        """``folds``: one row a fold."""
        return self.folds.copy()


def choose_walk_forward(
    bars: Bars,
    weights: Mapping[Hashable, np.ndarray],
    splits: WalkForward,
    costs: Costs = DEFAULT_COSTS,
    account: Account = DEFAULT_ACCOUNT,
) -> WalkForwardChoice:
    """In each fold, trade the parameter set with the highest Sharpe ratio in the training rows.

    The sets are backtested once over all bars, costs included; a fold sees the returns of its training rows only, and the chosen
    set is traded in the test rows. Where the set changes, its last targets are ordered at the close of the first test row, so that
    the change is paid for.

    Parameters
    ----------
    bars : Bars
    weights : dict of label to ndarray
        Causal weights of each set, such as those of ``stability_grid``.
    splits : WalkForward
    costs, account
        See ``backtest``.

    Raises
    ------
    ConfigError
        If there are fewer than two sets, or the splits do not fit the bars.
    """
    check_type("weights", weights, dict, "give a dict of label to weights, such as StabilityGrid.weights")
    check_type("splits", splits, WalkForward, "such as fs.WalkForward('365D', '90D')")
    if len(weights) < 2:
        raise ConfigError(f"there must be at least two parameter sets to choose from, got {len(weights)}")
    labels, matrices = list(weights), [checked_weights(bars, one, account) for one in weights.values()]
    returns = backtest_grid(bars, matrices, costs, account).returns
    year = np.sqrt(bars_per_year(bars.interval))
    stitched, rows = np.full(bars.shape, np.nan), []
    folds = splits.folds(bars.n_bars, bars.interval, 0)
    for fold in folds:
        train, test = _sharpe(returns[fold.train]), _sharpe(returns[fold.test])
        # Sets that never traded have no Sharpe ratio; of none that has one, the first is as good as any.
        best = int(np.argmax(np.where(np.isnan(train), -np.inf, train)))
        stitched[fold.test] = matrices[best][fold.test]
        if not rows or rows[-1]["chosen"] != labels[best]:
            stitched[fold.test.start] = _entered(bars, matrices[best], fold.test.start, account)
        rows.append(
            {
                "train_start": bars.time[fold.train.start],
                "train_end": bars.time[fold.train.stop - 1] + bars.interval,
                "test_start": bars.time[fold.test.start],
                "test_end": bars.time[fold.test.stop - 1] + bars.interval,
                "chosen": labels[best],
                "train_sharpe": train[best] * year,
                "test_sharpe": test[best] * year,
                "best_test_sharpe": np.max(np.where(np.isnan(test), -np.inf, test)) * year,
            }
        )
    tested = slice(folds[0].test.start, folds[-1].test.stop)
    result = backtest(bars.rows(tested), stitched[tested], costs, "walk_forward_choice", account)
    return WalkForwardChoice(pd.DataFrame(rows), stitched, result)


def _entered(bars: Bars, weights: np.ndarray, row: int, account: Account) -> np.ndarray:
    """The targets in force at the close of a row, 0 for a symbol that has none; NaN for one that has not traded yet."""
    targets = carried(weights[: row + 1])[-1]
    traded = ~np.isnan(bars.close[: row + 1]).all(axis=0)
    targets = np.where(np.isnan(targets) & traded, 0.0, targets)
    # Targets of different rows can sum to more than the account allows.
    gross = np.nansum(np.abs(targets))
    return targets * (account.leverage / gross) if gross > account.leverage else targets


def _sharpe(returns: np.ndarray) -> np.ndarray:
    """Per bar, by column; NaN where nothing varies."""
    std = returns.std(axis=0)
    varies = np.ptp(returns, axis=0) > 0
    return np.where(varies, returns.mean(axis=0) / np.where(varies, std, 1.0), np.nan)
