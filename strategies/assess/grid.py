"""Many backtests in one call with bounded memory; the equity of each is one column."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from foreshock.data.bars import Bars
from foreshock.data.checks import check_type
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError
from foreshock.data.show.facts import Shown, counted, grid_facts
from foreshock.data.show.shown import shown
from foreshock.strategies.backtest.account import DEFAULT_ACCOUNT, Account
from foreshock.strategies.backtest.account_loop import FEE, LINES, SLIPPAGE
from foreshock.strategies.backtest.costs import DEFAULT_COSTS, Costs
from foreshock.strategies.backtest.orders import checked_weights, orders_of
from foreshock.strategies.backtest.portfolio import Books, Market, filled, keep_books
from foreshock.strategies.backtest.result import simple_returns

# Bytes per cell of orders while vectorbt fills it: six input arrays, vectorbt's copies and its records.
BYTES_PER_CELL = 200
DEFAULT_MEMORY = 256 * 2**20


@dataclass(frozen=True, repr=False)
class GridResult(Shown):
    """Accounts of many parameter sets; money is in units of the starting equity.

    Parameters
    ----------
    time : ndarray of datetime64[us], shape (n_bars,)
        Open times of the bars, UTC.
    interval : timedelta64[us]
        Length of a bar.
    labels : tuple, length n_sets
        Labels of the parameter sets.
    equity : ndarray of float64, shape (n_bars, n_sets)
        Equity at each close, see ``BacktestResult``.
    costs : ndarray of float64, shape (n_sets,)
        Sum of fees and slippage over all fills.
    turnover : ndarray of float64, shape (n_sets,)
        Sum over bars of the value traded as a fraction of the equity in that bar.
    exposure : ndarray of float64, shape (n_sets,)
        Mean over bars of the net exposure.
    ledger : DataFrame, one row per set
        Sum of each line of the ledger.
    n_trades, n_skipped : ndarray of int, shape (n_sets,)
        Numbers of fills, and of orders left out because of the band, the lot or the smallest value.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> time = np.datetime64("2024-01-01T00", "us") + np.arange(3) * np.timedelta64(1, "h")
    >>> price = np.array([[100.0], [100.0], [110.0]])
    >>> bars = fs.Bars(time, ("BTC",), price, price, price, price, price, np.timedelta64(1, "h"))
    >>> weights = {half: np.array([[half], [np.nan], [np.nan]]) for half in (0.5, 1.0)}
    >>> grid = fs.backtest_grid(bars, weights, fs.Costs(taker=0.0, slippage=0.0))
    >>> grid.labels, grid.equity.shape
    ((0.5, 1.0), (3, 2))
    >>> grid.summary()["total_return"].round(9).tolist()
    [0.05, 0.1]
    """

    time: np.ndarray
    interval: np.timedelta64
    labels: tuple[Hashable, ...]
    equity: np.ndarray
    costs: np.ndarray
    turnover: np.ndarray
    exposure: np.ndarray
    ledger: pd.DataFrame
    n_trades: np.ndarray
    n_skipped: np.ndarray

    @property
    def returns(self) -> np.ndarray:
        """Simple return of each bar, shape (n_bars, n_sets); see ``BacktestResult``."""
        return simple_returns(self.equity)

    @property
    def total_return(self) -> np.ndarray:
        return self.equity[-1] - 1

    def to_frame(self) -> pd.DataFrame:
        """Equity by time (UTC), one column per set."""
        return pd.DataFrame(self.equity, pd.DatetimeIndex(self.time, name="time", tz="UTC"), columns=_index(self.labels))

    def summary(self) -> pd.DataFrame:
        """Total return, costs, turnover, mean exposure, trades and the sums of the ledger, one row per set."""
        columns = {
            "total_return": self.total_return,
            "costs": self.costs,
            "turnover": self.turnover,
            "exposure": self.exposure,
            "n_trades": self.n_trades,
            "n_skipped": self.n_skipped,
        }
        frame = pd.DataFrame(columns, index=_index(self.labels))
        return frame.join(self.ledger.set_axis(frame.index))

    def _facts(self) -> Iterator[str]:
        yield counted(len(self.labels), "set")
        yield from grid_facts(self.time, self.interval)

    def _preview(self) -> pd.DataFrame:
        return self.summary()


@door
def backtest_grid(
    bars: Bars,
    weights: Mapping[Any, np.ndarray] | Iterable[np.ndarray],
    costs: Costs | Sequence[Costs] = DEFAULT_COSTS,
    account: Account = DEFAULT_ACCOUNT,
    memory: int = DEFAULT_MEMORY,
) -> GridResult:
    """``backtest`` of many weight matrices over the same bars.

    Each matrix is held in its own account. The matrices are read one at a time, so a generator needs memory for one only;
    vectorbt fills as many accounts in one call as fit in ``memory``.

    Parameters
    ----------
    bars : Bars
        Prices at which orders are filled.
    weights : dict of label to ndarray, or iterable of ndarray
        Target weights of each set, as for ``backtest``. The labels of an iterable are 0, 1, ...
    costs : Costs or sequence of Costs
        Costs of all sets, or one for each matrix.
    account : Account
        Rules of the accounts.
    memory : int
        Bytes that may be used in addition to the results, which take 8 per bar and set. One account is always filled, even if it
        needs more.

    Returns
    -------
    GridResult

    Raises
    ------
    ConfigError
        If there are no weights, costs do not match them, or ``backtest`` would refuse one.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> time = np.datetime64("2024-01-01T00", "us") + np.arange(3) * np.timedelta64(1, "h")
    >>> price = np.array([[100.0], [100.0], [110.0]])
    >>> bars = fs.Bars(time, ("BTC",), price, price, price, price, price, np.timedelta64(1, "h"))
    >>> weights = {half: np.array([[half], [np.nan], [np.nan]]) for half in (0.5, 1.0)}
    >>> fs.backtest_grid(bars, weights, fs.Costs(taker=0.0, slippage=0.0)).total_return.round(9)
    array([0.05, 0.1 ])
    """
    check_type("bars", bars, Bars, "read a file with fs.read_bars")
    if not isinstance(memory, int) or memory < 1:
        raise ConfigError(f"memory must be a number of bytes, got {shown(memory)}")
    if isinstance(weights, str) or not isinstance(weights, Iterable):
        raise ConfigError(f"weights must be a dict or list of weights, got {type(weights).__name__}")
    if not isinstance(costs, Costs | list | tuple):
        raise ConfigError(f"costs must be Costs, or a list of them, got {type(costs).__name__}")
    labels: list[Hashable] = []
    found: list[Books] = []
    sums: list[tuple[np.ndarray, float, float, int, int]] = []
    waiting: list[Books] = []
    market, none = Market(bars), np.empty(0)
    named: Any = weights.items() if isinstance(weights, Mapping) else enumerate(weights)
    for at, (label, one) in enumerate(named):
        if not isinstance(costs, Costs) and at >= len(costs):
            raise ConfigError(f"there must be as many costs as weights, got {len(costs)} costs and more weights; pass one Costs")
        rates = costs if isinstance(costs, Costs) else costs[at]
        books = keep_books(market, rates, account, *orders_of(bars, checked_weights(bars, one, account)))
        labels.append(label)
        sums.append(_sums(books))
        # Arrays that are not needed are replaced by empty ones, so that their memory is released.
        slim = replace(books, gross=none, turnover=none, lines=none)
        if waiting and _cells(bars, [*waiting, slim]) * BYTES_PER_CELL > memory:
            filled(bars, waiting)
            waiting = []
        waiting.append(slim)
        found.append(replace(slim, fills=none, flows=none, net=none))
    if not found:
        raise ConfigError("there must be weights for at least one backtest, got none")
    if not isinstance(costs, Costs) and len(costs) != len(found):
        raise ConfigError(f"there must be as many costs as weights, got {len(costs)} and {len(found)}; pass one Costs")
    filled(bars, waiting)
    lines, turnover, exposure, n_trades, n_skipped = map(np.array, zip(*sums, strict=True))
    return GridResult(
        time=bars.time,
        interval=bars.interval,
        labels=tuple(labels),
        equity=np.column_stack([books.equity for books in found]),
        costs=-lines[:, [FEE, SLIPPAGE]].sum(axis=1),
        turnover=turnover,
        exposure=exposure,
        ledger=pd.DataFrame(lines, columns=list(LINES)),
        n_trades=n_trades,
        n_skipped=n_skipped,
    )


def _sums(books: Books) -> tuple[np.ndarray, float, float, int, int]:
    alive = books.equity > 0
    exposure = np.where(alive, books.net / np.where(alive, books.equity, 1.0), 0.0)
    return books.lines.sum(axis=0), float(books.turnover.sum()), float(exposure.mean()), len(books.fills), int(books.n_skipped)


def _cells(bars: Bars, books: Sequence[Books]) -> int:
    return max(len(own.flows) for own in books) * len(books) * (bars.n_symbols + 1)


def _index(labels: tuple[Hashable, ...]) -> pd.Index:
    if all(isinstance(label, tuple) for label in labels):
        return pd.MultiIndex.from_tuples(labels)  # pyright: ignore[reportArgumentType]
    return pd.Index(labels)
