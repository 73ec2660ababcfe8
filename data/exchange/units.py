"""Amounts of derivatives in base currency: the one place where what an exchange counts in contracts is converted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from foreshock.data.errors import ConfigError
from foreshock.data.exchange.profiles import BASE, CONTRACTS, Profile
from foreshock.data.show.shown import shown


@dataclass(frozen=True)
class Unit:
    """The unit in which a market's amounts come.

    Parameters
    ----------
    size : float
        Base currency in one unit; quote currency if ``per_price``.
    per_price : bool
        Whether the unit is an amount of quote currency, so that its amount of base currency depends on the price.
    """

    size: float = 1.0
    per_price: bool = False

    def base(self, amount: Any, price: Any) -> Any:
        """Amounts in base currency, of numbers or arrays: amount × size, or amount × size / price.

        >>> Unit(0.01).base(100.0, 40_000.0), Unit(100.0, per_price=True).base(200.0, 40_000.0)
        (1.0, 0.5)
        """
        if self.per_price:
            return amount * self.size / price
        return amount if self.size == 1.0 else amount * self.size


def unit_of(exchange: str, market: Mapping[str, Any], kind: str, profile: Profile) -> Unit:
    """The unit of the amounts of ``"ohlcv"``, ``"trades"`` or ``"book"`` as ccxt returns them.

    ccxt counts trades and books of every derivative in contracts: ``contractSize`` of base currency where the market is linear, of
    quote currency where it is inverse. Volumes of bars are whatever the exchange counts, which the profile knows.

    Raises
    ------
    ConfigError
        If the market is settled in neither of its currencies, or it is not known how much a contract is or what its bars count.
    """
    if not market.get("contract"):
        return Unit()
    symbol = market["symbol"]
    if not (market.get("linear") or market.get("inverse")):
        raise ConfigError(
            f"{symbol} is settled in {market.get('settle')}, which is neither its base nor its quote currency (a quanto contract): "
            "its amounts are none of base currency; use a market settled in one of the two"
        )
    if kind == "ohlcv" and profile.volume == BASE:
        return Unit()
    inverse = bool(market.get("inverse"))
    size = market.get("contractSize")
    if inverse and profile.inverse_size is not None:
        size = profile.inverse_size
    if not isinstance(size, int | float) or not 0 < size < math.inf:
        raise ConfigError(
            f"{exchange} does not say how much a contract of {symbol} is, got {shown(size)}: amounts cannot be converted to base "
            "currency; use a market of another exchange"
        )
    if kind == "ohlcv" and profile.volume != CONTRACTS and (inverse or size != 1):
        raise ConfigError(
            f"it is not known whether volumes of {exchange}'s bars are contracts or base currency, and a contract of {symbol} is "
            f"{size:g} {market.get('quote' if inverse else 'base')}; fetch its trades instead, or use another exchange"
        )
    return Unit(float(size), inverse)


def bars_in_base(unit: Unit, rows: np.ndarray) -> np.ndarray:
    """Bars (time, open, high, low, close, volume) with the volume in base currency.

    Where the volume is an amount of quote currency, the mean of open, high, low and close stands for the price that was paid.
    """
    if unit == Unit() or not len(rows):
        return rows
    return np.column_stack([rows[:, :5], unit.base(rows[:, 5], rows[:, 1:5].mean(axis=1))])


def book_in_base(unit: Unit, book: dict[str, Any]) -> dict[str, Any]:
    """What ccxt's ``fetch_order_book`` returned, with its amounts in base currency."""
    if unit == Unit():
        return book
    sides = {side: [[level[0], unit.base(level[1], level[0])] for level in book[side]] for side in ("bids", "asks")}
    return {**book, **sides}
