"""Behaviour of the tested exchanges that ccxt does not describe."""

from __future__ import annotations

from dataclasses import dataclass

# What the volumes of a derivative's bars count.
BASE, CONTRACTS = "base", "contracts"


@dataclass(frozen=True)
class Profile:
    """Behaviour of one exchange.

    Parameters
    ----------
    exact : bool
        Whether an answer holds exactly the bars from ``since`` to ``until``, at most ``bars`` of them. If so, a bar outside is an
        error, and a request may be wider than a page, so that long stretches without a bar take few requests.
    bars : int, optional
        Bars in a page; by default the number that ccxt states.
    history : int, optional
        Number of bars that the exchange's history reaches back; by default there is no limit.
    ids : bool
        Whether trades can be requested from an id on. Otherwise only the latest trades are available.
    trades, funding : int
        Trades and funding rates in a page.
    markets : bool
        Whether markets can be loaded by type, without those that are not needed.
    host : str
        A public host of market data in addition to the usual one; empty if there is none.
    close : int, optional
        Position of the time of the close in a raw bar.
    volume : str
        What ccxt's bars of derivatives count: ``BASE`` or ``CONTRACTS``; empty if it is not known.
    inverse_size : float, optional
        Quote currency in one unit of an amount of an inverse market, where ``contractSize`` of ccxt says something else.
    """

    exact: bool = False
    bars: int | None = None
    history: int | None = None
    ids: bool = False
    trades: int = 100
    funding: int = 100
    markets: bool = False
    host: str = ""
    close: int | None = None
    volume: str = ""
    inverse_size: float | None = None


BINANCE_HOST = "https://data-api.binance.vision"
PROFILES = {
    "binance": Profile(
        exact=True, bars=1000, ids=True, trades=1000, funding=1000, markets=True, host=BINANCE_HOST, close=6, volume=BASE
    ),
    "binanceusdm": Profile(exact=True, bars=1000, ids=True, trades=1000, funding=1000, markets=True, close=6, volume=BASE),
    # It refuses a range of more than 200 days, so that no end is requested.
    "binancecoinm": Profile(bars=1000, ids=True, trades=1000, funding=1000, close=6, volume=BASE),
    # ccxt takes the smallest order of an inverse market for its contract, which is one dollar.
    "bybit": Profile(exact=True, bars=1000, trades=1000, funding=200, markets=True, volume=BASE, inverse_size=1.0),
    "upbit": Profile(bars=200, trades=500),
    "coinbase": Profile(bars=300, trades=1000),
    "kraken": Profile(bars=720, history=720, trades=1000),
    "okx": Profile(volume=BASE),
    # An inverse contract is one dollar; its multiplier is given as 0.
    "gate": Profile(volume=CONTRACTS, inverse_size=1.0),
    "kucoin": Profile(volume=CONTRACTS),
    "kucoinfutures": Profile(volume=CONTRACTS),
    "mexc": Profile(volume=CONTRACTS),
    "htx": Profile(volume=BASE),
    "blofin": Profile(volume=BASE),
}


def profile_of(exchange: str) -> Profile:
    return PROFILES.get(exchange, Profile())
