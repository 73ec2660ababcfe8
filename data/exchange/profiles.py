"""What the tried exchanges do that ccxt does not say."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Profile:
    """How one exchange answers.

    Parameters
    ----------
    exact : bool
        Whether bars are those from ``since`` to ``until`` and no others, at most ``bars`` of them. A bar outside is then a wrong
        answer, and questions may be wider than a page, so that long stretches without a bar take few.
    bars : int, optional
        Bars in a page; by default what ccxt says.
    history : int, optional
        How many bars back the exchange goes at all.
    ids : bool
        Whether trades can be asked for from an id on. Elsewhere only the latest are to be had.
    trades, funding : int
        Trades, funding rates in a page.
    markets : bool
        Whether the markets can be loaded by type, without those that are not wanted.
    host : str
        A public host of market data beside the usual one.
    """

    exact: bool = False
    bars: int | None = None
    history: int | None = None
    ids: bool = False
    trades: int = 100
    funding: int = 100
    markets: bool = False
    host: str = ""


BINANCE_HOST = "https://data-api.binance.vision"
PROFILES = {
    "binance": Profile(exact=True, bars=1000, ids=True, trades=1000, funding=1000, markets=True, host=BINANCE_HOST),
    "binanceusdm": Profile(exact=True, bars=1000, ids=True, trades=1000, funding=1000, markets=True),
    "bybit": Profile(exact=True, bars=1000, trades=1000, funding=200, markets=True),
    "upbit": Profile(bars=200, trades=500),
    "coinbase": Profile(bars=300, trades=1000),
    "kraken": Profile(bars=720, history=720, trades=1000),
}


def profile_of(exchange: str) -> Profile:
    return PROFILES.get(exchange, Profile())
