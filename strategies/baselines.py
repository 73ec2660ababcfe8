"""The baselines that every strategy is shown beside."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from foreshock.data.bars import Bars
from foreshock.data.checks import check_duration, check_integer, check_number, check_type
from foreshock.data.errors import ConfigError
from foreshock.data.interval import Duration, parse_duration
from foreshock.data.show.facts import Shown
from foreshock.data.show.shown import shown
from foreshock.engine.scores import Signals
from foreshock.strategies.anomaly_avoidance import AnomalyAvoidance
from foreshock.strategies.base import equal_weights

MOST_TRIES = 100


@dataclass(frozen=True, repr=False)
class BuyAndHold(Shown):
    """Equal weight of the symbols that trade in the first row with a trade, never touched again.

    Examples
    --------
    >>> hour, prices = parse_duration("1h"), np.array([[np.nan, 2.0, 3.0], [4.0, 2.0, 3.0]])
    >>> time = np.datetime64("2024-01-01T00", "us") + np.arange(2) * hour
    >>> bars = Bars(time, ("A", "B", "C"), prices, prices, prices, prices, prices, hour)
    >>> BuyAndHold().weights(bars)
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


@dataclass(frozen=True, repr=False)
class EqualWeight(Shown):
    """Equal weight of the listed symbols, restored every ``rebalance`` and whenever a symbol is listed or falls silent.

    ``w[t] = 1 / n[t]`` with n[t] symbols that traded within the last ``rebalance``; NaN (no order) between the
    rebalances and for symbols that are not listed.

    Parameters
    ----------
    rebalance : str
        Such as ``"1d"``: orders are decided at the last close before each UTC midnight.

    Raises
    ------
    ConfigError
        If rebalance is not a whole number of bars.

    Examples
    --------
    >>> hour, ones = parse_duration("1h"), np.ones((5, 2))
    >>> time = np.datetime64("2024-01-01T22", "us") + np.arange(5) * hour
    >>> bars = Bars(time, ("A", "B"), ones, ones, ones, ones, ones, hour)
    >>> EqualWeight("1d").weights(bars)[:, 0]
    array([0.5, 0.5, nan, nan, nan])
    """

    rebalance: Duration = "1d"
    name: ClassVar[str] = "equal_weight"

    def __post_init__(self) -> None:
        parse_duration(self.rebalance, "rebalance")

    def weights(self, bars: Bars, signals: Signals | None = None) -> np.ndarray:  # noqa: ARG002
        """Target weights, shape (n_bars, n_symbols). The signals are not used."""
        base, listed, due = equal_weights(bars, self.rebalance)
        return np.where(listed & due[:, None], base, np.nan)


@dataclass(frozen=True, repr=False)
class RandomAvoidance(Shown):
    """``AnomalyAvoidance`` with as many and as long exits, at random times.

    Each draw shifts the times outside the market by a random number of rows, circularly within the rows of a symbol that
    are decided or spent outside. All symbols shift by the same fraction of their own rows, so that exits that came
    together stay together. The rows outside are as many as in the strategy, and so are the exits: a shift that cuts or joins
    one at the ends of the history is drawn anew, at most 100 times, and then differs by one. What the strategy earns beyond these
    draws is due to its timing.

    A draw is a comparison made with hindsight, no strategy: causality has no meaning for it. A shift is the only
    randomness, so there are no more different draws than decided rows.

    Parameters
    ----------
    n_draws : int
    seed : int
        Draw i depends on (seed, i) alone, not on ``n_draws``.
    hold, exposure, rebalance, reentry, market_wide
        Those of the strategy that it stands beside.

    Raises
    ------
    ConfigError
        If n_draws is below 1, or a parameter is one that ``AnomalyAvoidance`` refuses.

    Examples
    --------
    >>> hour, ones = parse_duration("1h"), np.ones((6, 1))
    >>> time = np.datetime64("2024-01-01T00", "us") + np.arange(6) * hour
    >>> bars = Bars(time, ("BTC",), ones, ones, ones, ones, ones, hour)
    >>> active = np.arange(6)[:, None] == 1
    >>> signals = Signals(time, ("BTC",), active, ones, np.full((6, 1), True), hour)
    >>> for weights in RandomAvoidance(n_draws=2, seed=1, hold="2h").draws(bars, signals):
    ...     print(weights.ravel())
    [ 1. nan nan nan  0. nan]
    [ 1. nan nan  0. nan  1.]
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
        check_type("bars", bars, Bars, "read a file with fs.read_bars")
        strategy = self._strategy()
        outside = strategy.outside(bars, signals)
        circles = [np.flatnonzero(rows) for rows in (outside | signals.decided).T]
        exits = _n_exits(outside)
        rings = [outside[rows, col] for col, rows in enumerate(circles)]
        for draw in range(self.n_draws):
            rng = np.random.default_rng([self.seed, draw])
            shifted = outside.copy()
            for _ in range(MOST_TRIES):
                fraction = rng.random()
                # At least one row, at most all but one: a draw is never the strategy itself.
                shifts = [1 + int(fraction * (len(ring) - 1)) for ring in rings]
                if any(_cut(ring, shift) != _cut(ring, 0) for ring, shift in zip(rings, shifts, strict=True)):
                    continue
                for col, (rows, ring, shift) in enumerate(zip(circles, rings, shifts, strict=True)):
                    shifted[rows, col] = np.roll(ring, shift)
                if np.array_equal(_n_exits(shifted), exits):
                    break
            else:
                for col, (rows, ring) in enumerate(zip(circles, rings, strict=True)):
                    shifted[rows, col] = np.roll(ring, 1 + int(fraction * (len(ring) - 1)))
            yield strategy.weights_outside(bars, shifted)


def _cut(ring: np.ndarray, shift: int) -> bool:
    """Whether the ends of a circle lie within one exit once it is shifted: then it counts twice."""
    return len(ring) > 0 and bool(ring[-shift] and ring[-shift - 1])


def _n_exits(outside: np.ndarray) -> np.ndarray:
    """Runs of True in each column."""
    return outside[:1].sum(axis=0) + (outside[1:] & ~outside[:-1]).sum(axis=0)
