"""Leave the market for a while after an anomaly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from foreshock.data.bars import Bars
from foreshock.data.checks import check_duration, check_number, check_shape, check_switch, check_type
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError
from foreshock.data.interval import Duration, bars_in, parse_duration
from foreshock.data.show.facts import Shown
from foreshock.data.show.shown import shown
from foreshock.engine.scores import Signals, thin
from foreshock.strategies.base import changed, check_signals, equal_weights, within


@door
@dataclass(frozen=True, repr=False)
class AnomalyAvoidance(Shown):
    """Equal weight, except in symbols that had a signal within the last ``hold``.

    With ``b[t]`` = 1 / (number of listed symbols), the target of a symbol is ``exposure * b[t]`` at the rows t0 to
    t0 + hold - 1 after a signal at t0, and ``b[t]`` elsewhere; a further signal restarts the hold. The rest of the equity is
    cash.

    Orders are placed in the rows of ``EqualWeight(rebalance)`` for every listed symbol, and also in the rows in which a symbol is
    left or entered again, for that symbol only. Without signals this is therefore ``EqualWeight``, and the additional turnover is
    that of the exits and re-entries. A symbol re-entered between two rebalances gets at most the available cash.

    Parameters
    ----------
    hold : str
        How long to stay out of the symbol, counted from the row of the signal.
    exposure : float
        Fraction of the base weight that is kept during the hold, 0 to 1.
    rebalance : str
        How often equal weights are restored; with ``"1d"``, at the last close before each UTC midnight.
    reentry : "quiet" or "fixed"
        ``"quiet"`` restarts the hold at every signal; ``"fixed"`` counts it from the first signal and ignores further signals
        until it is over.
    market_wide : bool
        Whether to leave all symbols when one of them has a signal.

    Raises
    ------
    ConfigError
        If a duration is not a whole number of bars, exposure is outside 0 to 1, or the signals do not fit the bars.

    Examples
    --------
    The signal in the bar of 01:00 is known at 02:00, when the symbol is left; two bars later it is entered again.

    >>> import numpy as np
    >>> import foreshock as fs
    >>> hour, ones = np.timedelta64(1, "h"), np.ones((5, 1))
    >>> time = np.datetime64("2024-01-01T00", "us") + np.arange(5) * hour
    >>> bars = fs.Bars(time, ("BTC",), ones, ones, ones, ones, ones, hour)
    >>> active = np.array([[False], [True], [False], [False], [False]])
    >>> signals = fs.Signals(time, ("BTC",), active, ones, np.full((5, 1), True), hour)
    >>> fs.AnomalyAvoidance(hold="2h").weights(bars, signals).ravel()
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
        """Target weights, shape (n_bars, n_symbols); NaN is no order. Undecided rows count as rows without a signal."""
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
        """Target weights, shape (n_bars, n_symbols), with the reduced exposure where ``outside`` is True."""
        check_type("bars", bars, Bars, "read a file with fs.read_bars")
        check_shape("outside", outside, bars.shape)
        return weights_around(outside, self.exposure, *equal_weights(bars, self.rebalance))


def weights_around(outside: np.ndarray, exposure: float, base: np.ndarray, listed: np.ndarray, due: np.ndarray) -> np.ndarray:
    """Target weights from the equal weights of ``equal_weights``, with a part of them kept where ``outside`` is True."""
    target = np.where(outside, exposure * base, base)
    return np.where(due | (listed & changed(outside)), target, np.nan)
