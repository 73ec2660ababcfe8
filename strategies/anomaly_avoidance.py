"""Stand aside for a while after an anomaly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from foreshock.data.bars import Bars
from foreshock.data.checks import check_duration, check_number, check_shape, check_switch, check_type
from foreshock.data.errors import ConfigError
from foreshock.data.interval import Duration, bars_in, parse_duration
from foreshock.data.show.facts import Shown
from foreshock.data.show.shown import shown
from foreshock.engine.scores import Signals, thin
from foreshock.strategies.base import changed, check_signals, equal_weights, within


@dataclass(frozen=True, repr=False)
class AnomalyAvoidance(Shown):
    """Equal weight, except in symbols that had a signal within the last ``hold``.

    With ``b[t]`` = 1 / (number of listed symbols), the target of a symbol is ``exposure * b[t]`` at the rows t0 to
    t0 + hold - 1 after a signal at t0, and ``b[t]`` elsewhere; a further signal starts the hold anew. What is not
    invested is cash.

    Orders go out at the rows where ``EqualWeight(rebalance)`` has them, for every listed symbol, and besides at the rows
    where a symbol is left or entered again, for that symbol alone. So without signals this is ``EqualWeight``, and the
    turnover beyond it is that of the exits and re-entries. A symbol re-entered between two rebalances gets at most the
    cash there is.

    Parameters
    ----------
    hold : str
        How long to stand aside, counted from the signal's row.
    exposure : float
        Fraction of the base weight that is kept meanwhile, 0 to 1.
    rebalance : str
        How often equal weights are restored, in periods of UTC.
    reentry : "quiet" or "fixed"
        ``"fixed"`` counts the hold from the first signal and takes no notice of others before it is over.
    market_wide : bool
        Leave every symbol when one has a signal.

    Raises
    ------
    ConfigError
        If a duration is not a whole number of bars, exposure is outside 0 to 1, or the signals do not fit the bars.

    Examples
    --------
    A signal at 01:00 is known at 02:00; two bars later the symbol is entered again.

    >>> from foreshock.data.interval import parse_duration
    >>> hour, ones = parse_duration("1h"), np.ones((5, 1))
    >>> time = np.datetime64("2024-01-01T00", "us") + np.arange(5) * hour
    >>> bars = Bars(time, ("BTC",), ones, ones, ones, ones, ones, hour)
    >>> active = np.array([[False], [True], [False], [False], [False]])
    >>> signals = Signals(time, ("BTC",), active, ones, np.full((5, 1), True), hour)
    >>> AnomalyAvoidance(hold="2h").weights(bars, signals).ravel()
    array([ 1.,  0., nan,  1., nan])
    """

    hold: Duration = "24h"
    exposure: float = 0.0
    rebalance: Duration = "1d"
    reentry: str = "quiet"
    market_wide: bool = False
    name: ClassVar[str] = "anomaly_avoidance"

    def __post_init__(self) -> None:
        check_number("exposure", self.exposure)
        check_duration("reentry", self.reentry)
        parse_duration(self.hold, "hold")
        parse_duration(self.rebalance, "rebalance")
        if not 0 <= self.exposure <= 1:
            raise ConfigError(f"exposure must be a fraction from 0 to 1, got {shown(self.exposure)}")
        check_switch("market_wide", self.market_wide)
        if self.reentry not in ("quiet", "fixed"):
            raise ConfigError(f"reentry must be 'quiet' or 'fixed', got {shown(self.reentry)}")

    def weights(self, bars: Bars, signals: Signals) -> np.ndarray:
        """Target weights, shape (n_bars, n_symbols); undecided rows count as no signal."""
        check_type("bars", bars, Bars, "read a file with fs.read_bars")
        return self.weights_outside(bars, self.outside(bars, signals))

    def outside(self, bars: Bars, signals: Signals) -> np.ndarray:
        """True where a signal is less than ``hold`` old, shape (n_bars, n_symbols)."""
        check_type("bars", bars, Bars, "read a file with fs.read_bars")
        check_signals(bars, signals)
        n_bars = bars_in(self.hold, bars.interval, "hold")
        alerts = signals.active & signals.decided
        if self.market_wide:
            alerts = np.repeat(alerts.any(axis=1, keepdims=True), bars.n_symbols, axis=1)
        return within(thin(alerts, n_bars) if self.reentry == "fixed" else alerts, n_bars)

    def weights_outside(self, bars: Bars, outside: np.ndarray) -> np.ndarray:
        """Target weights of a book that stands aside where ``outside`` is True."""
        check_type("bars", bars, Bars, "read a file with fs.read_bars")
        check_shape("outside", outside, bars.shape)
        base, listed, due = equal_weights(bars, self.rebalance)
        target = np.where(outside, self.exposure * base, base)
        return np.where(listed & (due[:, None] | changed(outside)), target, np.nan)
