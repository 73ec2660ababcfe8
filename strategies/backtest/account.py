"""What an account may do: credit, short sales, liquidation, bands, the smallest orders."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from foreshock.data.checks import check_mapping, check_names, check_switch, check_type
from foreshock.data.errors import ConfigError
from foreshock.data.show.facts import Shown
from foreshock.data.show.shown import few, shown


@dataclass(frozen=True, repr=False)
class MarketLimits(Shown):
    """Smallest orders of an exchange.

    Parameters
    ----------
    min_notional : dict of str to float
        Smallest value of an order in quote currency, by symbol; none for a symbol that is missing.
    lot : dict of str to float
        Unit of the size in base currency, by symbol.

    Raises
    ------
    ConfigError
        If a limit is negative or not finite.
    """

    min_notional: Mapping[str, float]
    lot: Mapping[str, float]

    def __post_init__(self) -> None:
        for name in ("min_notional", "lot"):
            if not isinstance(getattr(self, name), Mapping):
                raise ConfigError(f"{name} must be a dict of symbol to number, got {shown(getattr(self, name))}")
            for symbol, value in getattr(self, name).items():
                if not isinstance(value, int | float) or not 0 <= value < math.inf:
                    raise ConfigError(f"{name} of {symbol} must be a number of 0 or more, got {shown(value)}")

    def check(self, symbols: Sequence[str]) -> None:
        """Refuse limits of symbols that are not traded: written otherwise, they would limit nothing."""
        check_names("symbols", symbols)
        unknown = sorted({*self.min_notional, *self.lot}.difference(symbols))
        if unknown:
            raise ConfigError(f"limits name {few(unknown)}, but the symbols are {few(symbols)}; write them alike")

    @classmethod
    def from_markets(cls, markets: Mapping[str, Mapping[str, Any]], symbols: Sequence[str]) -> MarketLimits:
        """The limits in the market data that ccxt's ``load_markets`` gives.

        Parameters
        ----------
        markets : dict of str to dict
            With precision as step size, the way ccxt gives it for most exchanges (``precisionMode`` TICK_SIZE); a whole number
            above 0 is taken for decimal places.
        symbols : sequence of str

        Raises
        ------
        ConfigError
            If a symbol is no market.

        Examples
        --------
        >>> market = {"limits": {"cost": {"min": 5.0}}, "precision": {"amount": 1e-5}}
        >>> MarketLimits.from_markets({"BTC/USDT": market}, ["BTC/USDT"]).lot
        {'BTC/USDT': 1e-05}
        """
        check_mapping("markets", markets)
        check_names("symbols", symbols)
        missing = [symbol for symbol in symbols if symbol not in markets]
        if missing:
            raise ConfigError(f"no market data of {few(missing)}; the markets are {few(markets)}")
        notional, lot = {}, {}
        for symbol in symbols:
            limits, precision = markets[symbol].get("limits") or {}, markets[symbol].get("precision") or {}
            notional[symbol] = float((limits.get("cost") or {}).get("min") or 0.0)
            step = precision.get("amount") or 0.0
            lot[symbol] = 10.0**-step if isinstance(step, int) and step > 1 else float(step)
        return cls(notional, lot)


@dataclass(frozen=True, repr=False)
class Account(Shown):
    """Rules of the account that weights are held in.

    Equity is cash plus positions, shorts negative; all symbols share it (cross margin).

    Parameters
    ----------
    leverage : float
        The absolute weights of a row may sum to this; an order that opens or adds is cut where the gross value of the positions
        would exceed this multiple of the equity.
    shorts : bool
        Whether weights may be negative.
    maintenance : float
        Where equity falls to this fraction of the gross value, every position is closed. Within a bar all prices are taken to move
        from the open to the worst price of the bar for each position, in step; the fill is where the line is crossed. What is
        lost beyond the equity is forgiven, as an exchange's insurance fund does, and the account is at 0 for good.
    liquidation_fee : float
        Of the value closed, beside the taker fee.
    cash_yield : float
        Interest per year on cash less the proceeds of short sales.
    band : float
        No order for a symbol whose weight is nearer to its target than this, unless the target is 0.
    capital : float
        The starting equity in quote currency; only limits and impact depend on it.
    limits : MarketLimits, optional
        Orders are cut to whole lots; those below the smallest value are left out and counted.

    Raises
    ------
    ConfigError
        If a number is out of its range, or the account would be liquidated at its leverage limit.

    Examples
    --------
    >>> Account(leverage=3, shorts=True, maintenance=0.01).leverage
    3
    """

    leverage: float = 1.0
    shorts: bool = False
    maintenance: float = 0.01
    liquidation_fee: float = 0.005
    cash_yield: float = 0.0
    band: float = 0.0
    capital: float = 100_000.0
    limits: MarketLimits | None = None

    def __post_init__(self) -> None:
        for name, low, high in (
            ("leverage", 1e-9, 1_000.0),
            ("maintenance", 0.0, 1.0),
            ("liquidation_fee", 0.0, 1.0),
            ("cash_yield", 0.0, 1.0),
            ("band", 0.0, 1.0),
            ("capital", 1e-9, 1e18),
        ):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not low <= value <= high:
                raise ConfigError(f"{name} must be a number from {low:g} to {high:g}, got {shown(value)}")
        check_switch("shorts", self.shorts)
        if self.limits is not None:
            check_type("limits", self.limits, MarketLimits, "see fs.MarketLimits.from_markets")
        if self.leverage * self.maintenance >= 1:
            raise ConfigError(
                f"maintenance must be below 1 / leverage = {1 / self.leverage:g}, or every full position is liquidated at once, "
                f"got {shown(self.maintenance)}"
            )


DEFAULT_ACCOUNT = Account()
