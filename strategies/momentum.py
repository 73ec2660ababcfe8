"""Time-series momentum: hold the symbols that have risen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from foreshock.data.bars import Bars
from foreshock.data.checks import check_switch
from foreshock.data.doors.door import door
from foreshock.data.interval import Duration, bars_in, parse_duration
from foreshock.data.show.facts import Shown
from foreshock.engine.scores import Signals
from foreshock.strategies.base import carried, equal_weights


@door
@dataclass(frozen=True, repr=False)
class TimeSeriesMomentum(Shown):
    """Equal weight in each symbol by the sign of its own past return [1]_.

    ``w[t] = b[t] sign(close[t] / close[t - lookback] - 1)`` with b the weights of ``EqualWeight``; without ``shorts`` a symbol that
    has fallen has weight 0. The last known closes are used; there is no order (NaN) before a symbol has a past return.

    Parameters
    ----------
    lookback : str
        Time over which the past return is measured, such as ``"30d"``.
    rebalance : str
        How often weights are restored, such as ``"1d"``.
    shorts : bool
        Whether to sell symbols that have fallen short, which needs ``Account(shorts=True)``.

    Raises
    ------
    ConfigError
        If a duration is not a whole number of bars.

    References
    ----------
    .. [1] Moskowitz, Ooi and Pedersen (2012), Time series momentum.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> time = np.datetime64("2024-01-01T00", "us") + np.arange(3) * np.timedelta64(1, "D")
    >>> price = np.array([[1.0, 4.0], [2.0, 3.0], [3.0, 2.0]])
    >>> bars = fs.Bars(time, ("A", "B"), price, price, price, price, price, np.timedelta64(1, "D"))
    >>> fs.TimeSeriesMomentum("1d", shorts=True).weights(bars)
    array([[ nan,  nan],
           [ 0.5, -0.5],
           [ 0.5, -0.5]])
    """

    lookback: Duration = "30d"
    rebalance: Duration = "1d"
    shorts: bool = False
    name: ClassVar[str] = "time_series_momentum"

    def __post_init__(self) -> None:
        parse_duration(self.lookback, "lookback")
        parse_duration(self.rebalance, "rebalance")
        check_switch("shorts", self.shorts)

    def weights(self, bars: Bars, signals: Signals | None = None) -> np.ndarray:  # noqa: ARG002
        """Target weights, shape (n_bars, n_symbols). The signals are not used."""
        base, listed, due = equal_weights(bars, self.rebalance)
        n_bars = bars_in(self.lookback, bars.interval, "lookback")
        close = carried(bars.close)
        side = np.full(bars.shape, np.nan)
        side[n_bars:] = np.sign(close[n_bars:] - close[:-n_bars])
        if not self.shorts:
            side = np.where(side < 0, 0.0, side)
        return np.where(due, np.where(listed, base * side, 0.0), np.nan)
