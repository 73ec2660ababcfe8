"""Scale equal weights by the exposure of the market regime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from foreshock.data.bars import Bars
from foreshock.data.checks import check_number, check_type
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError
from foreshock.data.interval import Duration, parse_duration
from foreshock.data.show.facts import Shown
from foreshock.data.show.shown import few, shown
from foreshock.engine.scores import Signals
from foreshock.strategies.base import carried, equal_weights, rows_of

# Full exposure in a calm or rising market, a quarter otherwise; these values were not fitted to returns.
EXPOSURES = {"calm": 1.0, "high volatility": 0.25, "bullish momentum": 1.0, "bearish": 0.25}


class RegimeLabels(Protocol):
    """Regimes such as ``fs.walk_forward_regimes`` returns: one for each row and symbol, known at the close; -1 where unknown."""

    @property
    def time(self) -> np.ndarray: ...
    @property
    def symbols(self) -> tuple[str, ...]: ...
    @property
    def labels(self) -> np.ndarray: ...
    @property
    def names(self) -> tuple[str, ...]: ...


@door
@dataclass(frozen=True, repr=False)
class RegimeExposure(Shown):
    """Equal weights, each multiplied by the exposure of its symbol's regime.

    ``w[t] = b[t] exposures[names[labels[t]]]`` with b the weights of ``EqualWeight``. Orders are placed in the rows of
    ``EqualWeight``, and for a symbol whose exposure changes. Where the regime is unknown, the last known one holds; before the
    first known regime there is no order (NaN).

    Parameters
    ----------
    regimes : Regimes, optional
        Walk-forward labels, because labels of a model that was fitted to all rows would use the future. A study passes its own to
        a strategy that has none.
    exposures : dict of str to float, optional
        Exposure for each regime, from 0 to 1; by default 1 in calm and bullish momentum, a quarter in high volatility and bearish,
        and 1 in a regime that is called by its number.
    rebalance : str
        How often equal weights are restored, such as ``"1d"``.
    unnamed : float, optional
        Exposure in a regime that ``exposures`` does not name; by default every regime must be named.

    Raises
    ------
    ConfigError
        If a regime has no exposure, an exposure names no regime or is outside 0 to 1, or the regimes do not cover the bars.

    Examples
    --------
    >>> import numpy as np
    >>> import foreshock as fs
    >>> time, price = np.datetime64("2024-01-01T00", "us") + np.arange(3) * np.timedelta64(1, "h"), np.ones((3, 1))
    >>> labels = np.array([[0], [1], [1]], dtype=np.int8)
    >>> regimes = fs.Regimes(time, ("BTC",), labels, ("calm", "high volatility"))
    >>> bars = fs.Bars(time, ("BTC",), price, price, price, price, price, np.timedelta64(1, "h"))
    >>> fs.RegimeExposure(regimes, {"calm": 1.0, "high volatility": 0.2}).weights(bars).ravel()
    array([1. , 0.2, nan])
    """

    regimes: RegimeLabels | None = None
    exposures: Mapping[str, float] | None = None
    rebalance: Duration = "1d"
    unnamed: float | None = None
    name: ClassVar[str] = "regime_exposure"

    def __post_init__(self) -> None:
        parse_duration(self.rebalance, "rebalance")
        if self.exposures is not None:
            check_type("exposures", self.exposures, Mapping, "name the exposure of each regime")
        if self.unnamed is not None:
            check_fraction("unnamed", self.unnamed)
        without = self.regimes is None and (self.exposures is None or bool(self.exposures))
        if not without and not hasattr(self.regimes, "labels"):
            raise ConfigError(f"regimes must be those of fs.walk_forward_regimes, got {type(self.regimes).__name__}")
        if self.exposures is None:
            return
        if self.regimes is not None and self.unnamed is None and set(self.exposures) != set(self.regimes.names):
            raise ConfigError(f"exposures must name the regimes {few(self.regimes.names)}, got {few(self.exposures)}")
        for name, value in self.exposures.items():
            check_fraction(f"the exposure of {shown(name)}", value)

    def weights(self, bars: Bars, signals: Signals | None = None) -> np.ndarray:  # noqa: ARG002
        """Target weights, shape (n_bars, n_symbols). The signals are not used."""
        if self.regimes is None:
            raise ConfigError("regime_exposure needs regimes; pass those of fs.walk_forward_regimes, or put it into a study")
        base, listed, due = equal_weights(bars, self.rebalance)
        labels = self.regimes.labels[rows_of(bars, self.regimes.time, self.regimes.symbols, "regimes")]
        exposures, rest = (EXPOSURES, 1.0) if self.exposures is None else (self.exposures, self.unnamed)
        table = np.array([exposures.get(name, rest) for name in self.regimes.names], dtype=float)
        exposure = carried(np.where(labels < 0, np.nan, table[np.maximum(labels, 0)]))
        before = np.vstack([np.full((1, bars.n_symbols), np.nan), exposure[:-1]])
        # The first known exposure of a symbol counts as a change; an unknown exposure does not.
        moved = (exposure != before) & ~np.isnan(exposure)
        return np.where(due | (listed & moved), np.where(listed, base * exposure, 0.0), np.nan)


def check_fraction(name: str, value: float) -> None:
    """Refuse an exposure that is not a number from 0 to 1."""
    check_number(name, value)
    if not 0 <= value <= 1:
        raise ConfigError(f"{name} must be a fraction from 0 to 1, got {shown(value)}")
