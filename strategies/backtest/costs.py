"""Trading costs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from foreshock.data.bars import Bars
from foreshock.data.checks import check_number, check_type
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError
from foreshock.data.interval import Duration, bars_in, parse_duration
from foreshock.data.show.facts import Shown
from foreshock.data.show.shown import few, shown


@door
@dataclass(frozen=True, repr=False)
class Costs(Shown):
    """Costs of a fill at the open, and of holding a position, as fractions.

    A buy of ``size`` at the open ``p`` fills at ``p (1 + s)``, a sell at ``p (1 - s)``; the fee is
    ``(1 - maker_share) taker + maker_share maker`` times the value at the fill price. With ``Q`` the value of the order,
    ``R`` the mean range of a bar (high less low, over close) and ``V`` its mean volume in quote currency, both over
    ``impact_window`` and known at the close before the fill,

    ``s = slippage + min(impact R sqrt(Q / V), 0.1)``,

    the square-root law of market impact [1]_. Where R or V is unknown (NaN), or V is 0, the impact is 0.1.

    Parameters
    ----------
    taker : float
        Fee per fill; 5e-4 is 5 basis points. A rebate is negative, down to -0.01.
    slippage : float
        Price concession per fill, as a fraction of the price.
    maker : float
        Fee per fill for the share that is filled by resting orders.
    maker_share : float
        Share of the value filled by resting orders, 0 to 1. These fills have the same price as the others, because a resting order
        may lose what it saves in spread by being filled when the market moves against it.
    impact : float
        Factor of the market impact, about 1 for the square-root law; 0 for none.
    impact_window : str
        Time over which R and V are averaged.
    funding : bool
        Whether to charge ``bars.extras["funding_rate"]``. The rate in row t is settled at the open of t on the position held
        then; longs pay a positive rate, NaN is no settlement.
    borrow : float
        Interest per year on the value of short positions and on credit.

    Raises
    ------
    ConfigError
        If a rate is not a number in its range.

    References
    ----------
    .. [1] Toth et al. (2011), Anomalous price impact and the critical nature of liquidity in financial markets.

    Examples
    --------
    >>> import foreshock as fs
    >>> costs = fs.Costs(taker=5e-4, slippage=2e-4)
    >>> round(1_000 * (1 + costs.slippage) * costs.taker, 4)  # the fee of buying 1,000 at the open
    0.5001
    """

    taker: float = 5e-4
    slippage: float = 2e-4
    maker: float = 2e-4
    maker_share: float = 0.0
    impact: float = 0.0
    impact_window: Duration = "1d"
    funding: bool = False
    borrow: float = 0.0

    def __post_init__(self) -> None:
        for name, low in (("taker", -0.01), ("slippage", 0.0), ("maker", -0.01), ("borrow", 0.0)):
            rate = getattr(self, name)
            if not isinstance(rate, int | float) or not math.isfinite(rate) or not low <= rate < 1:
                raise ConfigError(
                    f"{name} must be a fraction from {low:g} to below 1, such as 0.0005 for 5 basis points, got {shown(rate)}"
                )
        for name, high in (("maker_share", 1.0), ("impact", 100.0)):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not 0 <= value <= high:
                raise ConfigError(f"{name} must be a number from 0 to {high:g}, got {shown(value)}")
        if not isinstance(self.funding, bool):
            raise ConfigError(f"funding must be True or False, got {shown(self.funding)}; the rates are those of the bars")
        parse_duration(self.impact_window, "impact_window")

    @property
    def fee(self) -> float:
        """Mean fee of a fill as a fraction of its value: taker and maker fee weighted by their shares."""
        return (1 - self.maker_share) * self.taker + self.maker_share * self.maker

    def funding_rates(self, bars: Bars) -> np.ndarray:
        """Rates settled at each open, shape (n_bars, n_symbols), NaN for none; shape (0, 0) if funding is not charged."""
        check_type("bars", bars, Bars, "read a file with fs.read_bars")
        if not self.funding:
            return np.empty((0, 0))
        if "funding_rate" not in bars.extras:
            raise ConfigError(
                f"costs with funding need bars.extras['funding_rate'], got {few(sorted(bars.extras)) or 'no extras'}; load the "
                "bars with fs.load_bars(..., funding=True), or leave funding out"
            )
        return bars.extras["funding_rate"]

    def impact_of_capital(self, bars: Bars, capital: float) -> np.ndarray:
        """Slippage from the impact of an order of ``capital`` at each open, shape (n_bars, n_symbols); (0, 0) without impact."""
        check_number("capital", capital)
        check_type("bars", bars, Bars, "read a file with fs.read_bars")
        if not self.impact:
            return np.empty((0, 0))
        window = bars_in(self.impact_window, bars.interval, "impact_window")
        spread, volume = (
            _trailing_mean((bars.high - bars.low) / bars.close, window, bars.start_row),
            _trailing_mean(bars.volume * bars.close, window, bars.start_row),
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            impact = self.impact * spread * np.sqrt(capital / volume)
        known = np.vstack([np.full((1, bars.n_symbols), np.inf), impact[:-1]])
        return np.where(np.isnan(known), np.inf, known)


def _trailing_mean(values: np.ndarray, window: int, start_row: int) -> np.ndarray:
    """Mean of the known values in the window that ends with each row; NaN if none is known."""
    from foreshock.engine.kernels.rolling import rolling_mean_nb

    if window == 1:
        return values
    known = ~np.isnan(values)
    padded = np.vstack([np.zeros((window - 1, values.shape[1])), np.where(known, values, 0.0)])
    counted = np.vstack([np.zeros((window - 1, values.shape[1])), known.astype(np.float64)])
    # The padding comes before the first row.
    phase = (start_row - (window - 1)) % window
    share = rolling_mean_nb(counted, window, phase)[window - 1 :]
    with np.errstate(divide="ignore", invalid="ignore"):
        return rolling_mean_nb(padded, window, phase)[window - 1 :] / share


DEFAULT_COSTS = Costs()
