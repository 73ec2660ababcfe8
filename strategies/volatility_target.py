"""Hold as much as keeps the volatility at a target: the baseline that uses volatility alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from foreshock.data.bars import Bars
from foreshock.data.errors import ConfigError
from foreshock.data.interval import Duration, bars_in, bars_per_year, parse_duration
from foreshock.data.show.facts import Shown
from foreshock.data.show.shown import shown
from foreshock.engine.kernels.recursive import ewma_nb
from foreshock.engine.scores import Signals
from foreshock.strategies.base import equal_weights


@dataclass(frozen=True, repr=False)
class VolatilityTarget(Shown):
    """Equal weights, scaled to a constant expected volatility.

    ``w[t] = b[t] min(most, target / v[t])`` with b the weights of ``EqualWeight`` and v the volatility per year of the mean
    return of the listed symbols, ``v[t]^2 = P ewma(r^2)[t]``, P bars a year of 365 days. Orders go out where ``EqualWeight`` has
    them; before the first return there are none.

    Parameters
    ----------
    target : float
        Volatility per year; 0.4 is 40 %.
    halflife : str
    most : float
        Largest exposure; above 1 it needs credit.
    rebalance : str

    Raises
    ------
    ConfigError
        If a parameter is out of its range or a duration is no whole number of bars.

    Examples
    --------
    Moves of 1 % an hour are 94 % a year.

    >>> time = np.datetime64("2024-01-01T00", "us") + np.arange(3) * parse_duration("1h")
    >>> price = 100 * 1.01 ** np.array([[0.0], [1.0], [0.0]])
    >>> bars = Bars(time, ("BTC",), price, price, price, price, price, parse_duration("1h"))
    >>> VolatilityTarget(0.468, rebalance="1h").weights(bars).ravel().round(3)
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
        return np.where(listed & due[:, None], base * exposure, np.nan)


def market_volatility(bars: Bars, halflife: int) -> np.ndarray:
    """Volatility per year of the mean return of the symbols that have one, shape (n_bars,); NaN before the first."""
    moves = bars.returns(log=False)
    known = ~np.isnan(moves)
    counts = known.sum(axis=1)
    mean = np.where(counts > 0, np.where(known, moves, 0.0).sum(axis=1) / np.maximum(counts, 1), np.nan)
    variance = ewma_nb(mean[:, None] ** 2, 1 - 0.5 ** (1 / halflife))[:, 0]
    # Where no symbol has a return the last variance holds.
    rows = np.maximum.accumulate(np.where(np.isnan(variance), -1, np.arange(len(bars))))
    return np.where(rows < 0, np.nan, np.sqrt(bars_per_year(bars.interval) * variance[np.maximum(rows, 0)]))
