"""Gate, OKX and Bybit's inverse markets on the loopback interface, which count in contracts as their public REST does.

The markets that are served hold amounts in base currency, the truth; what goes out is in the exchange's own units and formats.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.servers.exchange_server import ExchangeServer, Market, _book, _step

GATE_LINEAR, OKX_LINEAR = 0.0001, 0.01
OKX_INVERSE, DOLLAR = 100.0, 1.0
GATE_PAGE, OKX_PAGE = 100, 100


class VenueServer(ExchangeServer):
    """Serves ``linear`` markets (quoted in USDT) and ``inverse`` ones (quoted in USD) of three exchanges.

    Parameters
    ----------
    inverse : sequence of Market
        Markets settled in their base currency.
    """

    def __init__(self, linear=(), inverse=(), **options) -> None:
        super().__init__((), linear, **options)
        self.markets["inverse"] = {one.id: one for one in inverse}

    def answer(self, path: str, query: dict[str, str], fault: str | None) -> Any:
        if path.startswith("/api/v4/"):
            return self._gate(path.removeprefix("/api/v4/"), query)
        if path.startswith("/api/v5/"):
            return {"code": "0", "msg": "", "data": self._okx(path.removeprefix("/api/v5/"), query)}
        if path.startswith("/v5/market/") and query.get("category") == "inverse":
            return self._bybit_inverse(path.removeprefix("/v5/market/"), query)
        return super().answer(path, query, fault)

    def _find(self, name: str) -> tuple[str, Market]:
        """Kind and market of ``BTC_USDT``, ``BTC-USD-SWAP`` or ``BTCUSD``."""
        plain = name.removesuffix("-SWAP").replace("-", "").replace("_", "")
        return next((kind, of[plain]) for kind, of in self.markets.items() if plain in of)

    def _gate(self, name: str, query: dict[str, str]) -> Any:
        parts = name.split("/")
        if parts[0] != "futures":
            return []
        kind = "linear" if parts[1] == "usdt" else "inverse"
        if parts[2] == "contracts":
            return [_gate_contract(one, kind) for one in self.markets[kind].values()]
        kind, market = self._find(query["contract"])
        size = GATE_LINEAR if kind == "linear" else DOLLAR
        if parts[2] == "candlesticks":
            step = _step(query["interval"])
            until = query.get("to")
            rows = self._between(market.of(step), 0, query.get("from", "0") + "000", until and until + "000", step)
            rows = rows[: int(query.get("limit", GATE_PAGE)) if until is None else 2000]
            names = ("o", "h", "l", "c")
            return [
                {"t": int(t) // 1000, **dict(zip(names, map(repr, prices), strict=True)), "v": _count(v, prices[3], size, kind)}
                for t, *prices, v in rows.tolist()
            ]
        if parts[2] == "trades":
            rows = market.trades[market.trades[:, 1] <= self.now][-int(query.get("limit", 100)) :]
            return [
                {
                    "id": int(id_),
                    "create_time": when // 1000,
                    "create_time_ms": when / 1000,
                    "contract": query["contract"],
                    "size": _count(amount, price, size, kind) * (1 if is_buy else -1),
                    "price": repr(price),
                }
                for id_, when, price, amount, is_buy in rows[::-1].tolist()
            ]
        if parts[2] == "order_book":
            bids, asks = _book(market, int(query.get("limit", 20)), self.now)
            sides = [[{"p": p, "s": _count(float(a), float(p), size, kind)} for p, a in side] for side in (asks, bids)]
            return {"id": 1, "current": self.now / 1000, "update": self.now / 1000, "asks": sides[0], "bids": sides[1]}
        return []

    def _okx(self, name: str, query: dict[str, str]) -> Any:
        if name == "public/instruments":
            if query.get("instType") != "SWAP":
                return []
            return [_okx_instrument(one, kind) for kind in ("linear", "inverse") for one in self.markets[kind].values()]
        if name == "public/time":
            return [{"ts": str(self.now)}]
        kind, market = self._find(query["instId"])
        size = OKX_LINEAR if kind == "linear" else OKX_INVERSE
        if name in ("market/candles", "market/history-candles"):
            step = _step(query["bar"])
            rows = market.of(step)
            inside = (rows[:, 0] > float(query.get("before", 0))) & (rows[:, 0] < float(query.get("after", 9e15)))
            rows, limit = rows[inside][::-1], min(int(query.get("limit", OKX_PAGE)), OKX_PAGE)
            rows = rows[-limit:] if "before" in query and "after" not in query else rows[:limit]
            return [
                [str(int(t)), *map(repr, (o, h, lo, c)), str(_count(v, c, size, kind)), repr(v), repr(v * c), "1"]
                for t, o, h, lo, c, v in rows.tolist()
            ]
        if name in ("market/trades", "market/history-trades"):
            rows = market.trades[market.trades[:, 1] <= self.now][-min(int(query.get("limit", 100)), 500) :]
            return [
                {
                    "instId": query["instId"],
                    "tradeId": str(int(id_)),
                    "px": repr(price),
                    "sz": str(_count(amount, price, size, kind)),
                    "side": "buy" if is_buy else "sell",
                    "ts": str(int(when)),
                }
                for id_, when, price, amount, is_buy in rows[::-1].tolist()
            ]
        if name == "market/books":
            bids, asks = _book(market, int(query.get("sz", 20)), self.now)
            sides = [[[p, str(_count(float(a), float(p), size, kind)), "0", "1"] for p, a in side] for side in (asks, bids)]
            return [{"asks": sides[0], "bids": sides[1], "ts": str(self.now), "seqId": 1}]
        return []

    def _bybit_inverse(self, name: str, query: dict[str, str]) -> Any:
        result = self._bybit(name, query, None)
        if name == "instruments-info":
            for one in result["result"]["list"]:
                one |= {"contractType": "InversePerpetual", "settleCoin": one["baseCoin"]}
                # The smallest order, which ccxt calls the size of a contract; amounts are dollars all the same.
                one["lotSizeFilter"] |= {"minOrderQty": "5", "minTradingQty": "5"}
        if name == "kline":
            for row in result["result"]["list"]:
                row[5:] = [str(_count(float(row[5]), float(row[4]), DOLLAR, "inverse")), row[5]]
        if name == "recent-trade":
            for trade in result["result"]["list"]:
                trade["size"] = str(_count(float(trade["size"]), float(trade["price"]), DOLLAR, "inverse"))
        if name == "orderbook":
            for side in "ab":
                levels = result["result"][side]
                result["result"][side] = [[p, str(_count(float(a), float(p), DOLLAR, "inverse"))] for p, a in levels]
        return result


def _count(amount: float, price: float, size: float, kind: str) -> float:
    """Contracts of an amount of base currency."""
    return amount / size if kind == "linear" else amount * price / size


def whole_contracts(market: Market, kind: str, size: float) -> Market:
    """The market with amounts that are whole numbers of contracts."""
    trades = market.trades.copy()
    prices = trades[:, 2] if kind == "inverse" else np.ones(len(trades))
    trades[:, 3] = np.maximum(np.round(trades[:, 3] * prices / size), 1) * size / prices
    return Market(market.base, market.quote, market.bars, trades, market.funding)


def _gate_contract(market: Market, kind: str) -> dict[str, Any]:
    numbers = ("leverage_min", "leverage_max", "order_price_round", "mark_price_round", "order_size_min")
    return {
        "name": f"{market.base}_{market.quote}",
        "type": "direct" if kind == "linear" else "inverse",
        "quanto_multiplier": str(GATE_LINEAR) if kind == "linear" else "0",
        "order_size_max": 1000000,
        "maker_fee_rate": "-0.0001",
        "taker_fee_rate": "0.0005",
        "order_price_deviate": "0.5",
        "in_delisting": False,
        "create_time": 1500000000,
        "mark_price": "40000",
        **dict.fromkeys(numbers, "1"),
    }


def _okx_instrument(market: Market, kind: str) -> dict[str, Any]:
    blank = ("baseCcy", "quoteCcy", "expTime", "stk", "optType", "alias")
    return {
        **dict.fromkeys(blank, ""),
        "instType": "SWAP",
        "instId": f"{market.base}-{market.quote}-SWAP",
        "uly": f"{market.base}-{market.quote}",
        "instFamily": f"{market.base}-{market.quote}",
        "settleCcy": market.quote if kind == "linear" else market.base,
        "ctVal": str(OKX_LINEAR if kind == "linear" else OKX_INVERSE),
        "ctMult": "1",
        "ctValCcy": market.base if kind == "linear" else "USD",
        "ctType": kind,
        "lever": "10",
        "listTime": "1500000000000",
        "lotSz": "1",
        "minSz": "1",
        "tickSz": "0.01",
        "state": "live",
    }
