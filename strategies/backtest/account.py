"""Rules of an account: credit, short sales, liquidation, rebalancing band and smallest orders."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from foreshock.data.checks import check_mapping, check_names, check_switch, check_type
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError
from foreshock.data.show.facts import Shown
from foreshock.data.show.shown import few, shown


@door
@dataclass(frozen=True, repr=False)
class MarketLimits(Shown):
    """Smallest orders of an exchange.

    Parameters
    ----------
    min_notional : dict of str to float
        Smallest value of an order in quote currency, by symbol; a symbol that is missing has no limit.
    lot : dict of str to float
        Unit of the size in base currency, by symbol; a symbol that is missing has no lot.

    Raises
    ------
    ConfigError
        If a limit is negative or not finite.

    Examples
    --------
    Orders below 20 are left out, here the one that would sell 10 of 100.

    >>> import numpy as np
    >>> import foreshock as fs
    >>> time, ones = np.datetime64("2024-01-01T00", "us") + np.arange(4) * np.timedelta64(1, "h"), np.ones((4, 1))
    >>> bars = fs.Bars(time, ("BTC",), ones, ones, ones, ones, ones, np.timedelta64(1, "h"))
    >>> account = fs.Account(capital=100.0, limits=fs.MarketLimits({"BTC": 20.0}, {}))
    >>> fs.backtest(bars, np.array([0.5, 0.4, np.nan, np.nan]), account=account).n_skipped
    1
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
        """Refuse limits of symbols that are not traded, because a misspelt symbol would have no limit."""
        check_names("symbols", symbols)
        unknown = sorted({*self.min_notional, *self.lot}.difference(symbols))
        if unknown:
            raise ConfigError(f"limits name {few(unknown)}, but the symbols are {few(symbols)}; use the same names")

    @classmethod
    def from_markets(cls, markets: Mapping[str, Mapping[str, Any]], symbols: Sequence[str]) -> MarketLimits:
        """The limits in the market data that ccxt's ``load_markets`` returns.

        Parameters
        ----------
        markets : dict of str to dict
            Market data by symbol. The amount precision is read as a step size, which ccxt uses for most exchanges
            (``precisionMode`` TICK_SIZE); a whole number above 1 is read as a number of decimal places.
        symbols : sequence of str
            Symbols whose limits are returned.

        Raises
        ------
        ConfigError
            If ``markets`` does not have a symbol.

        Examples
        --------
        >>> import foreshock as fs
        >>> market = {"limits": {"cost": {"min": 5.0}}, "precision": {"amount": 1e-5}}
        >>> fs.MarketLimits.from_markets({"BTC/USDT": market}, ["BTC/USDT"]).lot
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


@door
@dataclass(frozen=True, repr=False)
class Account(Shown):
    """Rules of the account in which weights are held.

    Equity is cash plus the value of the positions, negative for shorts; all symbols share it (cross margin).

    Parameters
    ----------
    leverage : float
        Largest sum of the absolute weights of a row. An order that opens or adds is reduced if the gross value of the positions
        would exceed this multiple of the equity. 1 is no credit.
    shorts : bool
        Whether weights may be negative.
    maintenance : float
        Every position is closed when the equity falls to this fraction of the gross value. Within a bar all prices are assumed to
        move at the same pace from the open to the worst price for each position; the fill is at the prices where the limit is
        reached. A loss beyond the equity is forgiven, as by an exchange's insurance fund, and the account stays at 0.
    liquidation_fee : float
        Fee of a liquidation as a fraction of the value closed, in addition to the taker fee.
    cash_yield : float
        Interest per year on cash, excluding the proceeds of short sales.
    band : float
        A symbol whose weight differs from its target by less than this gets no order, unless the target is 0.
    capital : float
        Starting equity in quote currency; only limits and impact depend on it.
    limits : MarketLimits, optional
        Smallest orders: sizes are rounded down to whole lots, and orders below the smallest value are left out and counted.

    Raises
    ------
    ConfigError
        If a number is out of its range, or the account would be liquidated at its leverage limit.

    Examples
    --------
    >>> import foreshock as fs
    >>> fs.Account(leverage=3, shorts=True, maintenance=0.01).leverage
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
