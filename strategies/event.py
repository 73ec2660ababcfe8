"""Trade with or against the move that comes with an anomaly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from foreshock.data.bars import Bars
from foreshock.data.checks import check_number, check_text, check_type
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError
from foreshock.data.interval import Duration, bars_in, parse_duration
from foreshock.data.show.facts import Shown
from foreshock.data.show.shown import shown
from foreshock.engine.scores import Signals
from foreshock.strategies.base import check_signals

MODES = {"follow": 1.0, "fade": -1.0}


@door
@dataclass(frozen=True, repr=False)
class EventTrade(Shown):
    """Buy or sell short after a signal, by the sign of the move that came with it.

    The side of a signal at row t is the sign of ``close[t] / close[t - move] - 1``, reversed by ``"fade"``; a flat or unknown
    move opens no position. The position of ``exposure / n_symbols`` is opened at the next open of the symbol and held for
    ``hold``. Meanwhile, further signals of its side are ignored, and a signal of the other side reverses the position.

    ``weights`` closes a losing position at the open after the first close that is ``stop`` worse than the entry price.
    For stops inside the bar, pass ``entries`` to ``backtest_signals`` with the same hold.

    Parameters
    ----------
    mode : "follow" or "fade"
        Whether to trade with the move or against it.
    hold : str
        How long a position is held, such as ``"24h"``.
    stop : float
        Loss at which a position is closed, as a fraction of the entry price; 0 for none.
    move : str
        Length of the move that determines the side.
    exposure : float
        Gross exposure if every symbol is held at once; short positions need ``Account(shorts=True)``.

    Raises
    ------
    ConfigError
        If a parameter is out of its range, or the signals do not fit the bars.

    Examples
    --------
    The price rises with the signal in row 1; the position is opened at the open of row 2 and closed at that of row 4.

    >>> import numpy as np
    >>> import foreshock as fs
    >>> hour, price = np.timedelta64(1, "h"), np.array([[1.0], [2.0], [2.0], [2.0], [2.0]])
    >>> time = np.datetime64("2024-01-01T00", "us") + np.arange(5) * hour
    >>> bars = fs.Bars(time, ("BTC",), price, price, price, price, price, hour)
    >>> active = np.array([[False], [True], [False], [False], [False]])
    >>> signals = fs.Signals(time, ("BTC",), active, price, np.full((5, 1), True), hour)
    >>> fs.EventTrade("fade", hold="2h").weights(bars, signals).ravel()
    array([nan, -1., nan,  0., nan])
    """

    mode: str = "follow"
    hold: Duration = "24h"
    stop: float = 0.0
    move: Duration = "1h"
    exposure: float = 1.0
    name: ClassVar[str] = "event_trade"

    def __post_init__(self) -> None:
        check_text("mode", self.mode)
        check_number("stop", self.stop)
        check_number("exposure", self.exposure)
        if self.mode not in MODES:
            raise ConfigError(f"mode must be one of {', '.join(MODES)}, got {shown(self.mode)}")
        parse_duration(self.hold, "hold")
        parse_duration(self.move, "move")
        if not 0 <= self.stop < 1:
            raise ConfigError(f"stop must be a fraction from 0 to below 1, got {shown(self.stop)}")
        if not 0 < self.exposure <= 1_000:
            raise ConfigError(f"exposure must be above 0, got {shown(self.exposure)}")

    def entries(self, bars: Bars, signals: Signals) -> np.ndarray:
        """1 to buy, -1 to sell short, 0 for nothing, decided at the close; shape (n_bars, n_symbols)."""
        check_type("bars", bars, Bars, "read a file with fs.read_bars")
        check_signals(bars, signals)
        n_bars = bars_in(self.move, bars.interval, "move")
        side = np.zeros(bars.shape)
        side[n_bars:] = np.sign(bars.close[n_bars:] - bars.close[:-n_bars]) * MODES[self.mode]
        return np.where(signals.active & signals.decided & ~np.isnan(side), side, 0.0)

    def weights(self, bars: Bars, signals: Signals) -> np.ndarray:
        """Target weights, shape (n_bars, n_symbols): an entry, its exit, and NaN between."""
        check_type("bars", bars, Bars, "read a file with fs.read_bars")
        entries = self.entries(bars, signals)
        hold = bars_in(self.hold, bars.interval, "hold")
        weights = np.full(bars.shape, np.nan)
        for col in range(bars.n_symbols):
            events = np.flatnonzero(entries[:, col])
            opened = np.flatnonzero(~np.isnan(bars.open[:, col]))
            side, free_from = 0.0, 0
            for at, row in enumerate(events):
                # A signal at the close that ends the position does not open the same side again.
                if entries[row, col] == side and row < free_from:
                    continue
                side = entries[row, col]
                weights[row, col] = side * self.exposure / bars.n_symbols
                later = opened[np.searchsorted(opened, row + 1) :]
                if not later.size:
                    break
                left = later[0] + hold - 1
                if self.stop:
                    gain = (bars.close[later[0] : left + 1, col] / bars.open[later[0], col] - 1) * side
                    # A comparison with NaN is false, so a bar without a trade does not trigger the stop.
                    stopped = np.flatnonzero(gain <= -self.stop)
                    left = later[0] + stopped[0] if stopped.size else left
                free_from = left + 1
                turned = [other for other in events[at + 1 :] if entries[other, col] == -side][:1]
                if left < len(bars) and not (turned and turned[0] <= left):
                    weights[left, col] = 0.0
        return weights
