"""The baselines with which every strategy is compared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from foreshock.data.bars import Bars
from foreshock.data.checks import check_duration, check_integer, check_number, check_type
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError
from foreshock.data.interval import Duration, bars_in, parse_duration
from foreshock.data.show.facts import Shown
from foreshock.data.show.shown import shown
from foreshock.engine.scores import Signals
from foreshock.strategies.anomaly_avoidance import AnomalyAvoidance, weights_around
from foreshock.strategies.base import equal_weights
from foreshock.strategies.matched_exits import expected_moves, matched_draws, stake


@door
@dataclass(frozen=True, repr=False)
class BuyAndHold(Shown):
    """Equal weight of the symbols that trade in the first row with a trade, never rebalanced.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> hour, prices = np.timedelta64(1, "h"), np.array([[np.nan, 2.0, 3.0], [4.0, 2.0, 3.0]])
    >>> time = np.datetime64("2024-01-01T00", "us") + np.arange(2) * hour
    >>> bars = fs.Bars(time, ("A", "B", "C"), prices, prices, prices, prices, prices, hour)
    >>> fs.BuyAndHold().weights(bars)
    array([[nan, 0.5, 0.5],
           [nan, nan, nan]])
    """

    name: ClassVar[str] = "buy_and_hold"

    def weights(self, bars: Bars, signals: Signals | None = None) -> np.ndarray:  # noqa: ARG002
        """Target weights, shape (n_bars, n_symbols): one row of orders. The signals are not used."""
        check_type("bars", bars, Bars, "read a file with fs.read_bars")
        weights = np.full(bars.shape, np.nan)
        known = ~np.isnan(bars.close)
        first = int(np.argmax(known.any(axis=1)))
        if known[first].any():
            weights[first, known[first]] = 1 / known[first].sum()
        return weights


@door
@dataclass(frozen=True, repr=False)
class EqualWeight(Shown):
    """Equal weight of the listed symbols, restored every ``rebalance`` and whenever a symbol is listed or stops trading.

    ``w[t] = 1 / n[t]`` with n[t] the number of symbols that traded within the last ``rebalance``; NaN (no order) between the
    rebalances and for symbols that are not listed.

    Parameters
    ----------
    rebalance : str
        How often equal weights are restored; with ``"1d"``, orders are decided at the last close before each UTC midnight.

    Raises
    ------
    ConfigError
        If rebalance is not a whole number of bars.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> hour, ones = np.timedelta64(1, "h"), np.ones((5, 2))
    >>> time = np.datetime64("2024-01-01T22", "us") + np.arange(5) * hour
    >>> bars = fs.Bars(time, ("A", "B"), ones, ones, ones, ones, ones, hour)
    >>> fs.EqualWeight("1d").weights(bars)[:, 0]
    array([0.5, 0.5, nan, nan, nan])
    """

    rebalance: Duration = "1d"
    name: ClassVar[str] = "equal_weight"

    def __post_init__(self) -> None:
        parse_duration(self.rebalance, "rebalance")

    def weights(self, bars: Bars, signals: Signals | None = None) -> np.ndarray:  # noqa: ARG002
        """Target weights, shape (n_bars, n_symbols). The signals are not used."""
        base, _, due = equal_weights(bars, self.rebalance)
        return np.where(due, base, np.nan)


@door
@dataclass(frozen=True, repr=False)
class RandomAvoidance(Shown):
    """``AnomalyAvoidance`` with the same exits, at random times that are alike.

    Each draw exchanges the exits that begin in one stretch of the history, as long as ``hold``, with those of another, for all
    symbols at once, so that simultaneous exits stay simultaneous. A symbol is left only where it is listed and its signal is
    decided, and exits move only where they sell about as large a share of the equity and where, by the absolute returns of the
    last bar, 6, 24 and 168 bars, the market is expected to move as much: within 10 %, or at one of the 20 nearest places. A draw
    has the exits of the strategy, each as long as it was. What the strategy earns beyond these draws is due to its timing within
    what volatility tells.

    A draw is a comparison made with hindsight and not a strategy, so it need not be causal. Exits that fit nowhere else stay, and
    a draw may be the strategy itself; with few exits or a short history there are few different draws.

    Parameters
    ----------
    n_draws : int
        Number of draws, at least 1.
    seed : int
        Seed of the draws. Draw i depends on (seed, i) only, not on ``n_draws``.
    hold, exposure, rebalance, reentry, market_wide
        Parameters of the ``AnomalyAvoidance`` strategy that is compared with the draws.

    Raises
    ------
    ConfigError
        If n_draws is below 1, or ``AnomalyAvoidance`` refuses a parameter.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> hour, ones = np.timedelta64(1, "h"), np.ones((6, 1))
    >>> time = np.datetime64("2024-01-01T00", "us") + np.arange(6) * hour
    >>> bars = fs.Bars(time, ("BTC",), ones, ones, ones, ones, ones, hour)
    >>> active = np.arange(6)[:, None] == 1
    >>> signals = fs.Signals(time, ("BTC",), active, ones, np.full((6, 1), True), hour)
    >>> for weights in fs.RandomAvoidance(n_draws=2, seed=3, hold="2h").draws(bars, signals):
    ...     print(weights.ravel())
    [ 1. nan nan  0. nan  1.]
    [ 1.  0. nan  1. nan nan]
    """

    n_draws: int = 1_000
    seed: int = 0
    hold: Duration = "24h"
    exposure: float = 0.0
    rebalance: Duration = "1d"
    reentry: str = "quiet"
    market_wide: bool = False
    name: ClassVar[str] = "random_avoidance"

    def __post_init__(self) -> None:
        check_integer("n_draws", self.n_draws)
        check_integer("seed", self.seed)
        check_number("exposure", self.exposure)
        check_duration("reentry", self.reentry)
        if self.n_draws < 1:
            raise ConfigError(f"n_draws must be at least 1, got {shown(self.n_draws)}")
        self._strategy()

    def _strategy(self) -> AnomalyAvoidance:
        return AnomalyAvoidance(self.hold, self.exposure, self.rebalance, self.reentry, self.market_wide)

    def draws(self, bars: Bars, signals: Signals) -> Iterator[np.ndarray]:
        """Target weights of each draw in turn, each of shape (n_bars, n_symbols)."""
        return (weights for weights, _ in self.timings(bars, signals))

    def timings(self, bars: Bars, signals: Signals) -> Iterator[tuple[np.ndarray, float]]:
        """Target weights of each draw, (n_bars, n_symbols), and its stake as a multiple of that of the strategy.

        The stake is the sum over the bars of the square of what the positions left out are expected to move.
        """
        check_type("bars", bars, Bars, "read a file with fs.read_bars")
        strategy = self._strategy()
        n_hold = bars_in(self.hold, bars.interval, "hold")
        outside = strategy.outside(bars, signals)
        weight, listed, due = equal_weights(bars, self.rebalance)
        may_begin, moves = listed & signals.decided, expected_moves(bars, n_hold)
        own = stake(outside, weight * moves)
        for drawn in matched_draws(outside, n_hold, moves, weight, may_begin, self.n_draws, self.seed):
            share = stake(drawn, weight * moves) / own if own > 0 else 1.0
            yield weights_around(drawn, strategy.exposure, weight, listed, due), share
