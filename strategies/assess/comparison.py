"""Compares an avoidance strategy with the same exits at random times and with volatility targeting at equal exposure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from foreshock.data.bars import Bars
from foreshock.data.checks import check_integer, check_one, check_type, check_whole
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError
from foreshock.data.interval import bars_in, bars_per_year
from foreshock.data.show.facts import Shown, counted
from foreshock.data.show.shown import one_line, shown
from foreshock.engine.scores import Signals
from foreshock.strategies.anomaly_avoidance import AnomalyAvoidance
from foreshock.strategies.backtest.account import DEFAULT_ACCOUNT, Account
from foreshock.strategies.backtest.costs import DEFAULT_COSTS, Costs
from foreshock.strategies.backtest.orders import checked_weights, orders_of
from foreshock.strategies.backtest.portfolio import Market, backtest, keep_books
from foreshock.strategies.backtest.result import BacktestResult
from foreshock.strategies.base import carried, equal_weights
from foreshock.strategies.baselines import RandomAvoidance
from foreshock.strategies.luck import luck
from foreshock.strategies.volatility_target import VolatilityTarget

# Number of bisection steps in the search for the volatility target of equal exposure.
STEPS = 40


@dataclass(frozen=True, repr=False)
class PairedDifference(Shown):
    """Difference between a strategy and a baseline, from their returns in the same bars.

    Parameters
    ----------
    mean : float
        Mean simple return of the strategy less that of the baseline, per year.
    mean_interval : tuple of float
        Bootstrap percentile interval of ``mean``, 95 %.
    p_value : float
        Two-sided p-value of the hypothesis that the mean difference is 0.
    sharpe : float
        Sharpe ratio of the strategy less that of the baseline, per year.
    sharpe_interval : tuple of float
        Bootstrap percentile interval of ``sharpe``, 95 %.
    block : int
        Length of the bootstrap blocks in bars.
    n_bars : int
        Number of bars compared.
    n_bootstrap : int
        Number of bootstrap draws.

    Examples
    --------
    >>> import foreshock as fs
    >>> bars = fs.simulate_market(seed=1, n_symbols=1, n_bars=300).bars
    >>> held, half = fs.BuyAndHold().weights(bars), 0.5 * fs.BuyAndHold().weights(bars)
    >>> difference = fs.paired_difference(fs.backtest(bars, half), fs.backtest(bars, held), n_bootstrap=99)
    >>> difference.mean_interval[0] < difference.mean < difference.mean_interval[1]
    True
    >>> difference.n_bars
    299
    """

    mean: float
    mean_interval: tuple[float, float]
    p_value: float
    sharpe: float
    sharpe_interval: tuple[float, float]
    block: int
    n_bars: int
    n_bootstrap: int

    def _facts(self) -> Iterator[str]:
        yield f"mean {self.mean:.3g} a year, 95 % from {self.mean_interval[0]:.3g} to {self.mean_interval[1]:.3g}"
        yield f"p {self.p_value:.3g}"
        yield f"Sharpe {self.sharpe:.3g}"
        yield counted(self.n_bars, "bar")


@dataclass(frozen=True, repr=False)
class AvoidanceComparison(Shown):
    """An avoidance strategy and the two baselines that it must beat.

    Parameters
    ----------
    avoidance : BacktestResult
        The strategy.
    volatility_target : BacktestResult
        ``VolatilityTarget`` with the same mean exposure. Its target is chosen with hindsight, so it cannot be traded.
    target : float
        Target of ``volatility_target``, volatility per year.
    random_returns : ndarray, shape (n_draws,)
        Total returns of the draws of ``RandomAvoidance``.
    percentile : float
        Share of ``random_returns`` below the strategy's total return, after they are widened to the stake of the strategy; 0.5 is
        chance. See ``foreshock.strategies.luck``.
    difference : PairedDifference
        The strategy less ``volatility_target``.
    events : DataFrame
        One row per exit; see ``avoided_moves``.

    Examples
    --------
    >>> import foreshock as fs
    >>> bars = fs.simulate_market(seed=1, n_symbols=1, n_bars=300).bars
    >>> features = fs.ohlcv_features(bars)
    >>> signals = fs.make_detector("zscore", window=24).fit(features).score(features).signals(fs.Fixed(3.0))
    >>> found = fs.compare_avoidance(bars, signals, fs.AnomalyAvoidance("6h"), n_draws=20, n_bootstrap=99)
    >>> found.random_returns.shape
    (20,)
    >>> len(found.to_frame()) == len(found.events)
    True
    """

    avoidance: BacktestResult
    volatility_target: BacktestResult
    target: float
    random_returns: np.ndarray
    percentile: float
    difference: PairedDifference
    events: pd.DataFrame

    def _facts(self) -> Iterator[str]:
        yield one_line(self.avoidance.name, 60) or "avoidance"
        yield f"better than {self.percentile:.0%} of {counted(len(self.random_returns), 'random timing')}"
        yield f"target volatility {self.target:.3g}"
        yield counted(len(self.events), "exit")

    def _preview(self) -> pd.DataFrame:
        return self.events

    def to_frame(self) -> pd.DataFrame:
        """A copy of ``events``, one row per exit; see ``fs.avoided_moves``."""
        return self.events.copy()


@door
def compare_avoidance(
    bars: Bars,
    signals: Signals,
    strategy: AnomalyAvoidance | None = None,
    costs: Costs = DEFAULT_COSTS,
    account: Account = DEFAULT_ACCOUNT,
    n_draws: int = 1_000,
    n_bootstrap: int = 999,
    seed: int = 0,
) -> AvoidanceComparison:
    """Compare an avoidance strategy with random exits and with volatility targeting.

    Random exits are as many, as long and as clustered as those of the strategy, and as volatile at the exit (``RandomAvoidance``).
    Beating them shows that the timing is not luck, but less exposure could do just as well. The strategy must therefore also beat
    ``VolatilityTarget`` at the same mean exposure, bar by bar (``paired_difference``).

    Parameters
    ----------
    bars : Bars
        Prices at which the strategies trade.
    signals : Signals
        Signals for the rows of the bars.
    strategy : AnomalyAvoidance, optional
        The strategy to compare; by default ``AnomalyAvoidance()``.
    costs : Costs
        Costs of all strategies.
    account : Account
        Rules of all accounts.
    n_draws : int
        Number of random timings, at least 1.
    n_bootstrap : int
        Number of bootstrap draws of the paired difference, at least 1.
    seed : int
        Seed of the random timings and of the bootstrap.

    Returns
    -------
    AvoidanceComparison

    Raises
    ------
    ConfigError
        If the signals do not fit the bars, or a number of draws is below 1.

    Examples
    --------
    The volatility target is found such that both mean exposures are equal.

    >>> import foreshock as fs
    >>> bars = fs.simulate_market(seed=1, n_symbols=1, n_bars=300).bars
    >>> features = fs.ohlcv_features(bars)
    >>> signals = fs.make_detector("zscore", window=24).fit(features).score(features).signals(fs.Fixed(3.0))
    >>> found = fs.compare_avoidance(bars, signals, fs.AnomalyAvoidance("6h"), n_draws=20, n_bootstrap=99)
    >>> round(float(found.avoidance.exposure.mean() - found.volatility_target.exposure.mean()), 6) + 0.0
    0.0
    """
    check_integer("n_bootstrap", n_bootstrap)
    check_one("strategy", strategy)
    check_type("bars", bars, Bars, "read a file with fs.read_bars")
    strategy = strategy or AnomalyAvoidance()
    check_type("strategy", strategy, AnomalyAvoidance, "others have no exits to draw at random")
    check_whole("n_draws", n_draws, 1)
    check_whole("seed", seed, 0)
    avoidance = backtest(bars, strategy.weights(bars, signals), costs, strategy.name, account)
    matched = matched_target(bars, float(avoidance.exposure.mean()), VolatilityTarget(rebalance=strategy.rebalance), costs, account)
    baseline = backtest(bars, matched.weights(bars), costs, matched.name, account)
    chance = RandomAvoidance(n_draws, seed, **vars(strategy))
    found = luck(chance, bars, signals, avoidance.equity[-1] - 1, costs, account)
    return AvoidanceComparison(
        avoidance=avoidance,
        volatility_target=baseline,
        target=matched.target,
        random_returns=found.total_returns,
        percentile=0.5 if found.percentile is None else found.percentile,
        difference=paired_difference(avoidance, baseline, max(bars_in(strategy.hold, bars.interval, "hold"), 2), n_bootstrap, seed),
        events=avoided_moves(bars, signals, strategy, costs),
    )


def matched_target(
    bars: Bars,
    exposure: float,
    strategy: VolatilityTarget | None = None,
    costs: Costs = DEFAULT_COSTS,
    account: Account = DEFAULT_ACCOUNT,
) -> VolatilityTarget:
    """The volatility target whose mean exposure over these bars is ``exposure``.

    The target is found by bisection, because the exposure rises with it. If the exposure is out of reach even at ``most``, the
    target is so large that ``most`` always applies.
    """
    strategy = strategy or VolatilityTarget()
    if not exposure > 0:
        raise ConfigError(f"the exposure to match must be above 0, got {shown(exposure)}; the strategy is never invested")
    market = Market(bars)
    low, high = np.log(1e-6), np.log(1e5)
    for _ in range(STEPS):
        middle = (low + high) / 2
        weights = replace(strategy, target=float(np.exp(middle))).weights(bars)
        books = keep_books(market, costs, account, *orders_of(bars, checked_weights(bars, weights, account)))
        reached = np.mean(books.net / books.equity) if (books.equity > 0).all() else np.inf
        low, high = (low, middle) if reached > exposure else (middle, high)
    return replace(strategy, target=float(np.exp((low + high) / 2)))


@door
def paired_difference(
    strategy: BacktestResult, baseline: BacktestResult, block: int = 24, n_bootstrap: int = 999, seed: int = 0
) -> PairedDifference:
    """Mean return and Sharpe ratio of a strategy less those of a baseline, by a paired circular block bootstrap [1]_.

    Blocks of ``block`` bars, or of the cube root of the number of bars if that is more, are drawn from both series at once, so
    that their common part cancels. The p-value is the share of draws whose mean difference, less the observed difference, is at
    least as far from 0 as the observed difference.

    Parameters
    ----------
    strategy, baseline : BacktestResult
        Backtests on the same bars. The first bar, in which both are in cash, is left out.
    block : int
        Smallest length of a block in bars.
    n_bootstrap : int
        Number of draws, at least 1.
    seed : int
        Seed of the draws.

    Returns
    -------
    PairedDifference

    Raises
    ------
    ConfigError
        If the results are not of the same bars, ``block`` or ``n_bootstrap`` is below 1, or there are fewer than two blocks.

    References
    ----------
    .. [1] Politis and Romano (1992), A circular block-resampling procedure for stationary data.

    Examples
    --------
    A strategy does not differ from itself.

    >>> import foreshock as fs
    >>> bars = fs.simulate_market(seed=1, n_symbols=1, n_bars=300).bars
    >>> held = fs.backtest(bars, fs.BuyAndHold().weights(bars))
    >>> same = fs.paired_difference(held, held, n_bootstrap=99)
    >>> same.mean, same.p_value
    (0.0, 1.0)
    """
    check_whole("block", block, 1, " bar")
    check_integer("n_bootstrap", n_bootstrap)
    check_integer("seed", seed)
    for name, result in (("strategy", strategy), ("baseline", baseline)):
        check_type(name, result, BacktestResult, "pass what fs.backtest returned")
    if not np.array_equal(strategy.time, baseline.time):
        raise ConfigError("the two results must be of the same bars; backtest both on the same history")
    if n_bootstrap < 1:
        raise ConfigError(f"n_bootstrap must be at least 1, got {shown(n_bootstrap)}")
    # In the first bar both accounts are in cash.
    a, b = strategy.returns[1:], baseline.returns[1:]
    n = len(a)
    block = max(block, int(np.ceil(n ** (1 / 3))))
    if n < 2 * block:
        raise ConfigError(f"there must be at least two blocks of {block} bars, got {n} bars; pass a longer history")
    year = bars_per_year(strategy.interval)
    moments = np.column_stack([a, b, a**2, b**2])
    total = np.vstack([np.zeros((1, 4)), np.cumsum(np.vstack([moments, moments[: block - 1]]), axis=0)])
    sums = total[block:] - total[:-block]
    n_blocks = -(-n // block)
    starts = np.random.default_rng(seed).integers(0, n, (n_bootstrap, n_blocks))
    drawn = sums[starts].sum(axis=1) / (n_blocks * block)
    own = moments.mean(axis=0)
    mean, means = float(own[0] - own[1]), drawn[:, 0] - drawn[:, 1]
    sharpe, sharpes = _sharpe_gap(own[None])[0], _sharpe_gap(drawn)
    p_value = (1 + np.count_nonzero(np.abs(means - mean) >= abs(mean))) / (1 + n_bootstrap)
    return PairedDifference(
        mean=mean * year,
        mean_interval=_interval(means * year),
        p_value=float(p_value),
        sharpe=float(sharpe * np.sqrt(year)),
        sharpe_interval=_interval(sharpes * np.sqrt(year)),
        block=block,
        n_bars=n,
        n_bootstrap=n_bootstrap,
    )


@door
def avoided_moves(
    bars: Bars, signals: Signals, strategy: AnomalyAvoidance | None = None, costs: Costs = DEFAULT_COSTS
) -> pd.DataFrame:
    """Avoided losses and missed gains of an avoidance strategy, one row per exit.

    An exit decided at the close of row t sells at the open of t + 1; the symbol is bought again at the open after the last row
    of the exit. An exit that has not ended by the last bar is valued at the last close. Below, m is the move between those
    prices, and w the weight that is sold, ``(1 - exposure) / number of listed symbols``.

    Parameters
    ----------
    bars : Bars
        Prices at which the strategy trades.
    signals : Signals
        Signals for the rows of the bars.
    strategy : AnomalyAvoidance, optional
        The strategy; by default ``AnomalyAvoidance()``.
    costs : Costs
        Fees and slippage of the exits; impact is left out.

    Returns
    -------
    DataFrame
        ``symbol``, ``left`` and ``entered`` (times of these opens, the latter NaT for an exit that has not ended), ``move`` m,
        ``weight`` w, ``avoided_loss`` max(-w m, 0), ``missed_gain`` max(w m, 0), ``cost`` 2 w (fee + slippage), or half of that
        for an exit that has not ended, and ``net``, avoided less missed less cost. Values are fractions of the equity at the exit.

    Raises
    ------
    ConfigError
        If the signals do not fit the bars.

    Examples
    --------
    The strategy sells its position, the full equity, at 100 and buys it again at 80.

    >>> import numpy as np
    >>> import foreshock as fs
    >>> time = np.datetime64("2024-01-01T00", "us") + np.arange(4) * np.timedelta64(1, "h")
    >>> price = np.array([[100.0], [100.0], [90.0], [80.0]])
    >>> bars = fs.Bars(time, ("BTC",), price, price, price, price, price, np.timedelta64(1, "h"))
    >>> active = np.array([[True], [False], [False], [False]])
    >>> signals = fs.Signals(time, ("BTC",), active, price, np.full((4, 1), True), bars.interval)
    >>> moves = fs.avoided_moves(bars, signals, fs.AnomalyAvoidance("2h"), fs.Costs(0.001, 0.0))
    >>> moves[["move", "net"]].round(4).values.tolist()
    [[-0.2, 0.198]]
    """
    check_type("bars", bars, Bars, "read a file with fs.read_bars")
    check_one("strategy", strategy)
    strategy = strategy or AnomalyAvoidance()
    check_type("strategy", strategy, AnomalyAvoidance, "such as fs.AnomalyAvoidance()")
    check_type("costs", costs, Costs, "such as fs.Costs(taker=5e-4)")
    outside = strategy.outside(bars, signals)
    base, listed, _ = equal_weights(bars, strategy.rebalance)
    close, rows = carried(bars.close), []
    for col, symbol in enumerate(bars.symbols):
        state = np.concatenate([[False], outside[:, col] & listed[:, col], [False]])
        starts, stops = np.flatnonzero(state[1:] & ~state[:-1]), np.flatnonzero(~state[1:] & state[:-1])
        opened = np.flatnonzero(~np.isnan(bars.open[:, col]))
        for start, stop in zip(starts, stops, strict=True):
            out, back = (opened[at : at + 1] for at in np.searchsorted(opened, [start + 1, stop + 1]))
            if not out.size or (back.size and back[0] == out[0]):
                continue
            end = bars.open[back[0], col] if back.size else close[-1, col]
            weight = base[start, col] * (1 - strategy.exposure)
            move = end / bars.open[out[0], col] - 1
            cost = weight * (costs.fee + costs.slippage) * (2 if back.size else 1)
            entered = bars.time[back[0]] if back.size else np.datetime64("NaT", "us")
            rows.append((symbol, bars.time[out[0]], entered, move, weight, cost))
    frame = pd.DataFrame(rows, columns=["symbol", "left", "entered", "move", "weight", "cost"])
    gain = frame["weight"] * frame["move"]
    frame.insert(5, "avoided_loss", (-gain).clip(lower=0))
    frame.insert(6, "missed_gain", gain.clip(lower=0))
    return frame.assign(net=-gain - frame["cost"])


def _sharpe_gap(moments: np.ndarray) -> np.ndarray:
    """Difference of the Sharpe ratios per bar, from means and mean squares, shape (n, 4); a constant series has ratio 0."""
    ratios = []
    for mean, square in ((moments[:, 0], moments[:, 2]), (moments[:, 1], moments[:, 3])):
        variance = square - mean**2
        ratios.append(np.where(variance > 0, mean / np.sqrt(np.where(variance > 0, variance, 1.0)), 0.0))
    return ratios[0] - ratios[1]


def _interval(values: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)
