"""Kraken, Coinbase and Upbit on the loopback interface, in their own formats, orders of rows, limits and names of markets."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.servers.exchange_server import HOUR_MS, MINUTE_MS, ExchangeServer, Market, _book

KRAKEN_BARS, COINBASE_BARS, UPBIT_BARS = 720, 350, 200
GRANULARITIES = {"ONE_MINUTE": MINUTE_MS, "FIVE_MINUTE": 5 * MINUTE_MS, "ONE_HOUR": HOUR_MS}


class SpotVenueServer(ExchangeServer):
    """Serves one market under the names of three exchanges: XXBTZUSD, BTC-USD and KRW-BTC."""

    def __init__(self, market: Market, **options: Any) -> None:
        super().__init__((), (), **options)
        self.market = market
        # Where its bars are missing, for tests.
        self.market_holes: list[tuple[int, int]] = []

    def answer(self, path: str, query: dict[str, str], fault: str | None) -> Any:
        if path.startswith("/0/public/"):
            return {"error": [], "result": self._kraken(path.removeprefix("/0/public/"), query)}
        if path.startswith("/api/v3/brokerage/market/"):
            return self._coinbase(path.removeprefix("/api/v3/brokerage/market/"), query)
        if path.startswith("/v2/"):
            return {"data": []}
        if path.startswith("/v1/"):
            return self._upbit(path.removeprefix("/v1/"), query)
        return super().answer(path, query, fault)

    def _bars(self, step: int) -> np.ndarray:
        """All bars, the open one among them."""
        rows = self._between(self.market.of(step), 0, None, None, step)
        return rows[rows[:, 0] <= self.now]

    def _trades(self) -> np.ndarray:
        return self.market.trades[self.market.trades[:, 1] <= self.now]

    def _kraken(self, name: str, query: dict[str, str]) -> Any:
        if name == "Assets":
            return {
                one: {"aclass": "currency", "altname": one[1:], "decimals": 8, "display_decimals": 5} for one in ("XXBT", "ZUSD")
            }
        if name == "AssetPairs":
            names = {"altname": "XBTUSD", "wsname": "XBT/USD", "base": "XXBT", "quote": "ZUSD"}
            pair = {
                **names,
                "pair_decimals": 2,
                "lot_decimals": 8,
                "fees": [[0, 0.26]],
                "fees_maker": [[0, 0.16]],
                "ordermin": "0.0001",
            }
            return {"XXBTZUSD": {**pair, "status": "online"}}
        if name == "OHLC":
            rows = self._bars(int(query["interval"]) * MINUTE_MS)
            # It gives its newest bars, whatever time is asked for.
            rows = rows[rows[:, 0] > 1_000 * float(query.get("since", 0))][-KRAKEN_BARS:]
            bars = [[int(t) // 1000, *map(repr, (o, h, lo, c)), repr(c), repr(v), 1] for t, o, h, lo, c, v in rows.tolist()]
            return {"XXBTZUSD": bars, "last": bars[-2][0] if len(bars) > 1 else 0}
        if name == "Trades":
            rows = self._trades()[-int(query.get("count", 1_000)) :].tolist()
            trades = [[repr(p), repr(a), when / 1000, "b" if buy else "s", "l", "", int(id_)] for id_, when, p, a, buy in rows]
            return {"XXBTZUSD": trades, "last": "1704067200000000000"}
        bids, asks = _book(self.market, int(query.get("count", 100)), self.now)
        return {
            "XXBTZUSD": {side: [[p, a, self.now // 1000] for p, a in levels] for side, levels in (("bids", bids), ("asks", asks))}
        }

    def _coinbase(self, name: str, query: dict[str, str]) -> Any:
        if name == "products":
            if query.get("product_type") == "FUTURE":
                return {"products": [], "num_products": "0"}
            sizes = {"base_increment": "0.00000001", "quote_increment": "0.01", "base_min_size": "0.00000001", "price": "60000"}
            ids = {"product_id": "BTC-USD", "base_currency_id": "BTC", "quote_currency_id": "USD", "product_type": "SPOT"}
            return {"products": [{**ids, **sizes, "trading_disabled": False}], "num_products": "1"}
        if name == "product_book":
            sides = [
                [{"price": p, "size": a} for p, a in side] for side in _book(self.market, int(query.get("limit", 50)), self.now)
            ]
            return {"pricebook": {"product_id": "BTC-USD", "bids": sides[0], "asks": sides[1], "time": _iso(self.now)}}
        if name.endswith("/candles"):
            first, last = 1_000 * int(query["start"]), 1_000 * int(query["end"])
            step = GRANULARITIES[query["granularity"]]
            if (last - first) // step > COINBASE_BARS:
                return (400, {"error": "INVALID_ARGUMENT", "message": "number of candles requested should be less than 350"})
            rows = self._bars(step)
            rows = rows[(rows[:, 0] >= first) & (rows[:, 0] <= last)][::-1]
            names = ("open", "high", "low", "close", "volume")
            return {
                "candles": [
                    {"start": str(int(t) // 1000), **dict(zip(names, map(repr, rest), strict=True))} for t, *rest in rows.tolist()
                ]
            }
        rows = self._trades()[-int(query.get("limit", 100)) :][::-1].tolist()
        return {
            "trades": [
                {
                    "trade_id": str(int(id_)),
                    "product_id": "BTC-USD",
                    "price": repr(price),
                    "size": repr(amount),
                    "time": _iso(when),
                    "side": "BUY" if buy else "SELL",
                }
                for id_, when, price, amount, buy in rows
            ]
        }

    def _upbit(self, name: str, query: dict[str, str]) -> Any:
        if name == "market/all":
            return [{"market": "KRW-BTC", "korean_name": "BTC", "english_name": "Bitcoin"}]
        if name == "orderbook":
            bids, asks = _book(self.market, 15, self.now)
            units = [
                {"ask_price": float(a[0]), "bid_price": float(b[0]), "ask_size": float(a[1]), "bid_size": float(b[1])}
                for a, b in zip(asks, bids, strict=True)
            ]
            return [{"market": "KRW-BTC", "timestamp": self.now, "orderbook_units": units}]
        if name == "trades/ticks":
            rows = self._trades()[-min(int(query.get("count", 1)), 500) :][::-1].tolist()
            return [
                {
                    "market": "KRW-BTC",
                    "timestamp": int(when),
                    "trade_price": price,
                    "trade_volume": amount,
                    "ask_bid": "BID" if buy else "ASK",
                    # Seventeen digits, which a float64 does not hold.
                    "sequential_id": 17_040_672_000_000_000 + int(id_),
                }
                for id_, when, price, amount, buy in rows
            ]
        step = int(name.rsplit("/", 1)[1]) * MINUTE_MS if name.startswith("candles/minutes") else 24 * HOUR_MS
        rows = self._bars(step)
        if "to" in query:
            rows = rows[rows[:, 0] < int(np.datetime64(query["to"].rstrip("Z"), "ms").astype(np.int64))]
        names = ("opening_price", "high_price", "low_price", "trade_price", "candle_acc_trade_volume")
        return [
            {
                "market": "KRW-BTC",
                "candle_date_time_utc": str(np.datetime64(int(t), "s" if t < 1e11 else "ms"))[:19],
                "timestamp": int(t),
            }
            | dict(zip(names, values, strict=True))
            for t, *values in rows[-min(int(query.get("count", 1)), UPBIT_BARS) :][::-1].tolist()
        ]


def _iso(ms: float) -> str:
    return str(np.datetime64(int(ms), "ms")) + "000Z"
