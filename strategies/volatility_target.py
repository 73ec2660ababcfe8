"""Volatility targeting: the baseline that uses volatility alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from foreshock.data.bars import Bars
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError
from foreshock.data.interval import Duration, bars_in, bars_per_year, parse_duration
from foreshock.data.show.facts import Shown
from foreshock.data.show.shown import shown
from foreshock.engine.kernels.recursive import ewma_nb
from foreshock.engine.scores import Signals
from foreshock.strategies.base import equal_weights


@door
@dataclass(frozen=True, repr=False)
class VolatilityTarget(Shown):
    """Equal weights, scaled to a constant expected volatility.

    ``w[t] = b[t] min(most, target / v[t])`` with b the weights of ``EqualWeight`` and v the volatility per year of the mean
    return of the listed symbols, ``v[t]^2 = P ewma(r^2)[t]``, where P is the number of bars in a year of 365 days. Orders are
    placed in the rows of ``EqualWeight``; before the first return there are none (NaN).

    Parameters
    ----------
    target : float
        Desired volatility per year; 0.4 is 40 %.
    halflife : str
        Half-life of the exponential weights of the squared returns, such as ``"3d"``.
    most : float
        Largest exposure; above 1 it needs credit.
    rebalance : str
        How often weights are restored, such as ``"1d"``.

    Raises
    ------
    ConfigError
        If a parameter is out of range or a duration is not a whole number of bars.

    Examples
    --------
    Moves of 1 % per hour are a volatility of 94 % per year, so half of the equity has 47 %.

    >>> import numpy as np
    >>> import foreshock as fs
    >>> time = np.datetime64("2024-01-01T00", "us") + np.arange(3) * np.timedelta64(1, "h")
    >>> price = 100 * 1.01 ** np.array([[0.0], [1.0], [0.0]])
    >>> bars = fs.Bars(time, ("BTC",), price, price, price, price, price, np.timedelta64(1, "h"))
    >>> fs.VolatilityTarget(0.468, rebalance="1h").weights(bars).ravel().round(3)
    array([nan, 0.5, 0.5])
    """

    target: float = 0.4
    halflife: Duration = "3d"
    most: float = 1.0
    rebalance: Duration = "1d"
    name: ClassVar[str] = "volatility_target"

    def __post_init__(self) -> None:
        for name in ("target", "most"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not 0 < value < 1e6:
                raise ConfigError(f"{name} must be a number above 0, got {shown(value)}")
        parse_duration(self.halflife, "halflife")
        parse_duration(self.rebalance, "rebalance")

    def weights(self, bars: Bars, signals: Signals | None = None) -> np.ndarray:  # noqa: ARG002
        """Target weights, shape (n_bars, n_symbols). The signals are not used."""
        base, listed, due = equal_weights(bars, self.rebalance)
        volatility = market_volatility(bars, bars_in(self.halflife, bars.interval, "halflife"))
        with np.errstate(divide="ignore"):
            exposure = np.minimum(self.most, self.target / volatility)[:, None]
        return np.where(due, np.where(listed, base * exposure, 0.0), np.nan)


def market_volatility(bars: Bars, halflife: int) -> np.ndarray:
    """Volatility per year of the mean of the known returns, shape (n_bars,); NaN before the first return."""
    moves = bars.returns(log=False)
    known = ~np.isnan(moves)
    counts = known.sum(axis=1)
    mean = np.where(counts > 0, np.where(known, moves, 0.0).sum(axis=1) / np.maximum(counts, 1), np.nan)
    variance = ewma_nb(mean[:, None] ** 2, 1 - 0.5 ** (1 / halflife))[:, 0]
    # In a row without any return the last variance is kept.
    rows = np.maximum.accumulate(np.where(np.isnan(variance), -1, np.arange(len(bars))))
    return np.where(rows < 0, np.nan, np.sqrt(bars_per_year(bars.interval) * variance[np.maximum(rows, 0)]))
