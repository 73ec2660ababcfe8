"""The baseline of every strategy that acts on alerts: the same strategy, with alerts at random other times that are alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from foreshock.data.bars import Bars
from foreshock.data.interval import Duration, bars_in
from foreshock.engine.scores import Signals
from foreshock.strategies.base import equal_weights, within
from foreshock.strategies.matched_exits import expected_moves, matched_draws, stake


@dataclass(frozen=True)
class RandomAlerts:
    """Alerts moved to times at which the market is expected to move as much.

    Alerts move in stretches of ``hold`` as the exits of ``RandomAvoidance`` do, so simultaneous alerts stay simultaneous, and there
    are as many. What a strategy earns beyond these draws is due to the timing of its alerts within what volatility tells. A draw is
    a comparison made with hindsight, not a strategy.

    Parameters
    ----------
    n_draws, seed : int
        Number of draws; draw i depends on (seed, i) only.
    hold : str
        How long a position that an alert opens is held, or about as long.
    """

    n_draws: int
    seed: int
    hold: Duration

    def timings(self, bars: Bars, signals: Signals) -> Iterator[tuple[Signals, float]]:
        """Signals of each draw, and its stake as a multiple of that of the signals themselves; see ``RandomAvoidance.timings``."""
        n_hold = bars_in(self.hold, bars.interval, "hold")
        alerts = signals.active & signals.decided
        weight, listed, _ = equal_weights(bars, self.hold)
        moves = expected_moves(bars, n_hold)
        own = stake(within(alerts, n_hold), weight * moves)
        for drawn in matched_draws(alerts, n_hold, moves, weight, listed & signals.decided, self.n_draws, self.seed):
            share = stake(within(drawn, n_hold), weight * moves) / own if own > 0 else 1.0
            yield replace(signals, active=drawn), share
