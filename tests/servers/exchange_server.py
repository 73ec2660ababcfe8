"""An exchange on the loopback interface: Binance and Bybit public REST as far as ccxt asks for it, with faults on demand.

By hand: ``python -m tests.servers.exchange_server --port 8750``, then
``foreshock fetch BTC/USDT --exchange binance --timeframe 1m --start ... --base-url http://127.0.0.1:8750``.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
UNITS_MS = {"m": MINUTE_MS, "h": HOUR_MS, "d": 24 * HOUR_MS, "w": 7 * 24 * HOUR_MS}
START_MS = 1_704_067_200_000  # 2024-01-01
REFUSALS = {"429": 429, "418": 418, "451": 451, "403": 403, "500": 500, "503": 503}
BODIES = ("html", "truncated", "blank", "no_list")
PAGES = ("newest_first", "open_candle", "duplicated", "overlapping", "repeated")
FAULTS = (*REFUSALS, "hang", "reset", *BODIES, *PAGES)
# A good answer that there is nothing, where there is something. No client can tell it from a gap if it comes twice in a row.
EMPTY = "empty"


@dataclass
class Market:
    """One symbol's history.

    Parameters
    ----------
    base, quote : str
    bars : ndarray of float64, shape (n_bars, 6)
        Minute bars: time (ms), open, high, low, close, volume; a missing minute is no row.
    trades : ndarray of float64, shape (n_trades, 5)
        Id, time (ms), price, amount, 1 where the taker bought; ids follow one another.
    funding : ndarray of float64, shape (n_rates, 2)
        Time (ms), rate.
    """

    base: str
    quote: str = "USDT"
    bars: np.ndarray = field(default_factory=lambda: np.empty((0, 6)))
    trades: np.ndarray = field(default_factory=lambda: np.empty((0, 5)))
    funding: np.ndarray = field(default_factory=lambda: np.empty((0, 2)))

    @property
    def id(self) -> str:
        return self.base + self.quote

    def of(self, step: int) -> np.ndarray:
        """Bars of another timeframe."""
        if step == MINUTE_MS or not len(self.bars):
            return self.bars
        opens = self.bars[:, 0] // step * step
        first = np.flatnonzero(np.r_[True, np.diff(opens) > 0])
        last = np.r_[first[1:], len(opens)] - 1
        return np.column_stack(
            [
                opens[first],
                self.bars[first, 1],
                np.maximum.reduceat(self.bars[:, 2], first),
                np.minimum.reduceat(self.bars[:, 3], first),
                self.bars[last, 4],
                np.add.reduceat(self.bars[:, 5], first),
            ]
        )


def walk(n_bars: int, seed: int = 1, start: int = START_MS, price: float = 6e4) -> np.ndarray:
    """Minute bars of a random walk, in ticks of 0.01."""
    rng = np.random.default_rng(seed)
    close = np.round(price * np.exp(np.cumsum(rng.normal(0, 5e-4, n_bars))), 2)
    open_ = np.r_[np.round(price, 2), close[:-1]]
    spread = np.round(rng.exponential(5.0, (2, n_bars)), 2)
    high, low = np.maximum(open_, close) + spread[0], np.minimum(open_, close) - spread[1]
    volume = np.round(rng.exponential(3.0, n_bars), 5)
    times = start + MINUTE_MS * np.arange(n_bars, dtype=np.float64)
    return np.column_stack([times, open_, np.round(high, 2), np.round(low, 2), close, volume])


def plant_holes(bars: np.ndarray, n_holes: int, seed: int = 2, widest: int = 2_500) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Bars without some runs of them, and those runs as ``[start, stop)`` in ms: from one bar to wider than two pages."""
    rng = np.random.default_rng(seed)
    room = len(bars) // n_holes
    widths = np.round(np.geomspace(1, min(widest, room // 2), n_holes)).astype(int)
    keep, holes = np.ones(len(bars), dtype=bool), []
    for at, width in enumerate(rng.permutation(widths)):
        first = at * room + 1 + int(rng.integers(room - width - 1))
        keep[first : first + width] = False
        holes.append((int(bars[first, 0]), int(bars[first, 0]) + int(width) * MINUTE_MS))
    return bars[keep], holes


def tick_trades(n_trades: int, seed: int = 3, start: int = START_MS, first_id: int = 1_000) -> np.ndarray:
    """Trades, several in a millisecond, with pauses of hours."""
    rng = np.random.default_rng(seed)
    gaps = rng.choice([0, 1, 40, 900], n_trades, p=[0.4, 0.2, 0.3, 0.1])
    gaps[rng.integers(0, n_trades, 3)] = 5 * HOUR_MS
    price = np.round(6e4 + np.cumsum(rng.normal(0, 1, n_trades)), 2)
    amount = np.round(rng.exponential(0.1, n_trades) + 1e-5, 5)
    ids = np.arange(first_id, first_id + n_trades)
    return np.column_stack([ids, start + np.cumsum(gaps), price, amount, rng.integers(0, 2, n_trades)])


class ExchangeServer:
    """Serves markets until closed; a context manager.

    Parameters
    ----------
    spot, linear : sequence of Market
    now : int, optional
        The exchange's clock, ms; by default the true one.
    faults : mapping of str to float
        Probability of each fault, per request. Those of ``PAGES`` come only where there are pages.
    script : sequence of str or None
        Faults of the first requests, one each, before chance begins.
    retry_after : float
        Seconds, with 429 and 418.
    cap : int
        Most bars in an answer, whatever is asked for.
    """

    def __init__(
        self,
        spot: Sequence[Market] = (),
        linear: Sequence[Market] = (),
        now: int | None = None,
        faults: Mapping[str, float] | None = None,
        script: Sequence[str | None] = (),
        seed: int = 0,
        retry_after: float = 1.0,
        cap: int = 1000,
        port: int = 0,
    ) -> None:
        self.markets = {"spot": {one.id: one for one in spot}, "linear": {one.id: one for one in linear}}
        self.fixed_now, self.faults, self.script, self.retry_after = now, dict(faults or {}), list(script), retry_after
        self.cap = cap
        self.requests: list[str] = []
        self.injected: Counter[str] = Counter()
        self.closing = threading.Event()
        self._rng = np.random.default_rng(seed)
        self._lock = threading.Lock()
        self._last_page: dict[str, list[Any]] = {}
        self._http = _Server(("127.0.0.1", port), _Handler)
        self._http.exchange = self
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self) -> ExchangeServer:
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._http.shutdown()
        self._http.server_close()

    def serve_forever(self) -> None:
        self._http.serve_forever()

    @property
    def now(self) -> int:
        return int(time.time() * 1000) if self.fixed_now is None else self.fixed_now

    def fault(self, path: str) -> str | None:
        """What goes wrong with this request."""
        with self._lock:
            self.requests.append(path)
            if self.script:
                name = self.script.pop(0)
            else:
                draws = {fault: self._rng.random() < p for fault, p in self.faults.items()}
                name = next((fault for fault, drawn in draws.items() if drawn), None)
            if name is not None:
                self.injected[name] += 1
            return name

    def answer(self, path: str, query: dict[str, str], fault: str | None) -> Any:
        """The JSON of a request; None where there is no such path, and text where a parameter is wrong."""
        if path.startswith("/v5/market/"):
            return self._bybit(path.removeprefix("/v5/market/"), query, fault)
        for prefix, kind in (("/api/v3/", "spot"), ("/fapi/v1/", "linear")):
            if path.startswith(prefix):
                return self._binance(path.removeprefix(prefix), kind, query, fault)
        return None

    def _binance(self, name: str, kind: str, query: dict[str, str], fault: str | None) -> Any:
        markets = self.markets[kind]
        if name == "exchangeInfo":
            return {"timezone": "UTC", "serverTime": self.now, "symbols": [_binance_market(one, kind) for one in markets.values()]}
        market = markets.get(query.get("symbol", ""))
        if market is None:
            return (400, {"code": -1121, "msg": "Invalid symbol."})
        limit = min(int(query.get("limit", 500)), 1000)
        if name == "klines":
            step = _step(query["interval"])
            rows = self._between(market.of(step), 0, query.get("startTime"), query.get("endTime"), step)
            shown = min(limit, self.cap)
            page = rows[:shown] if "startTime" in query else rows[-shown:]
            return [_kline(row, step) for row in self._spoiled(page, rows, limit, step, fault, f"{kind} {market.id}")]
        if name == "aggTrades":
            rows = market.trades[market.trades[:, 1] <= self.now]
            if "fromId" in query:
                page = rows[rows[:, 0] >= int(query["fromId"])][:limit]
            elif "startTime" in query:
                page = self._between(rows, 1, query["startTime"], query.get("endTime"))[:limit]
            else:
                page = rows[-limit:]
            return [_agg_trade(row) for row in self._spoiled(page, rows, limit, 0, fault, f"trades {kind} {market.id}")]
        if name == "fundingRate" and kind == "linear":
            page = self._between(market.funding, 0, query.get("startTime"), query.get("endTime"))[:limit]
            spoiled = self._spoiled(page, market.funding, limit, 0, fault, f"funding {market.id}")
            return [{"symbol": market.id, "fundingTime": int(when), "fundingRate": repr(float(rate))} for when, rate in spoiled]
        if name == "depth":
            bids, asks = _book(market, min(limit, 100), self.now)
            # Of spot books it does not say when they were taken.
            stamps = {"E": self.now, "T": self.now} if kind == "linear" else {}
            return {"lastUpdateId": 1, **stamps, "bids": bids, "asks": asks}
        return None

    def _bybit(self, name: str, query: dict[str, str], fault: str | None) -> Any:
        kind = query.get("category", "")
        markets = self.markets.get(kind, {})

        def reply(result: Any) -> dict[str, Any]:
            return {"retCode": 0, "retMsg": "OK", "result": {"category": kind, **result}, "retExtInfo": {}, "time": self.now}

        if name == "instruments-info":
            shown = [] if query.get("status") == "PreLaunch" else [_bybit_market(one) for one in markets.values()]
            return reply({"list": shown, "nextPageCursor": ""})
        market = markets.get(query.get("symbol", ""))
        if market is None:
            return {"retCode": 10001, "retMsg": "params error: symbol invalid", "result": {}, "retExtInfo": {}, "time": self.now}
        limit = int(query.get("limit", 200))
        if name == "kline":
            step = _step(query["interval"])
            rows = self._between(market.of(step), 0, query.get("start"), query.get("end"), step)
            page = rows[-min(limit, self.cap) :]
            spoiled = self._spoiled(page, rows, limit, step, fault, f"{kind} {market.id}")
            candles = [[str(int(row[0])), *(repr(float(value)) for value in row[1:]), "0"] for row in spoiled[::-1]]
            return reply({"symbol": market.id, "list": candles})
        if name == "funding/history":
            rows = self._between(market.funding, 0, query.get("startTime"), query.get("endTime"))[-min(limit, 200) :]
            spoiled = self._spoiled(rows, market.funding, limit, 0, fault, f"funding {market.id}")
            rates = [{"fundingRate": repr(float(rate)), "fundingRateTimestamp": str(int(when))} for when, rate in spoiled[::-1]]
            return reply({"list": [{"symbol": market.id, **rate} for rate in rates]})
        if name == "recent-trade":
            rows = market.trades[market.trades[:, 1] <= self.now][-min(limit, 1000) :]
            return reply({"list": [_bybit_trade(row, market.id) for row in rows[::-1]]})
        if name == "orderbook":
            bids, asks = _book(market, limit, self.now)
            return reply({"s": market.id, "b": bids, "a": asks, "ts": self.now, "u": 1})
        return None

    def _between(self, rows: np.ndarray, column: int, start: str | None, end: str | None, step: int = 0) -> np.ndarray:
        """Rows of a range; of bars, those that have closed and the one that is open."""
        when = rows[:, column]
        first = float(start) if start else -np.inf
        last = min(float(end) if end else np.inf, self.now)
        found = rows[(when >= first) & (when <= last)]
        if step and len(found) and found[-1, 0] + step > self.now:
            found = found.copy()
            found[-1, 4:] *= (found[-1, 3] / found[-1, 4], 0.5)
        return found

    def _spoiled(self, page: np.ndarray, rows: np.ndarray, limit: int, step: int, fault: str | None, series: str) -> list[Any]:
        """A page with its rows out of order, doubled, or not those that were asked for."""
        good = list(page)
        with self._lock:
            before = self._last_page.get(series, good)
            self._last_page[series] = good
        if fault == EMPTY:
            return []
        if fault == "newest_first":
            return good[::-1]
        if fault == "duplicated":
            return [row for row in good for _ in range(2)]
        if fault == "repeated":
            # A cache that answers with the page before.
            return before
        if fault == "overlapping" and before and good:
            # It begins inside the page before, and is as long as any.
            return [*before[-min(len(before), limit // 10 + 1) :], *good][: max(len(good), 1)]
        if fault == "open_candle" and step and len(rows):
            last = np.array(rows[-1])
            last[0] = self.now // step * step
            return [*good, last]
        return good


class _Server(ThreadingHTTPServer):
    exchange: ExchangeServer
    daemon_threads = True

    # Clients that gave up on a hanging answer are no news.
    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Headers and body in one packet: otherwise the second waits 40 ms for the first to be acknowledged.
    wbufsize = -1
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        exchange = self.server.exchange
        parts = urlsplit(self.path)
        fault = exchange.fault(self.path)
        if fault in REFUSALS:
            body = {"code": -1003, "msg": "Too many requests."} if fault in ("429", "418") else {"code": -1000, "msg": "Not now."}
            headers = {"Retry-After": f"{exchange.retry_after:g}"} if fault in ("429", "418") else {}
            self._send(json.dumps(body), REFUSALS[fault], headers)
            return
        if fault == "hang":
            exchange.closing.wait(30)
            self.close_connection = True
            return
        if fault == "reset":
            # Lingering for zero seconds makes the close a reset.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
            return
        found = exchange.answer(parts.path, {name: values[-1] for name, values in parse_qs(parts.query).items()}, fault)
        status, content = found if isinstance(found, tuple) else (404 if found is None else 200, found)
        text = json.dumps(content)
        if fault == "html":
            text = "<html><body>We are checking your browser.</body></html>"
        elif fault == "truncated":
            text = text[: len(text) // 2]
        elif fault == "blank":
            text = ""
        elif fault == "no_list":
            text = "{}"
        self._send(text, status, {})

    def _send(self, text: str, status: int, headers: Mapping[str, str]) -> None:
        body = text.encode()
        self.send_response_only(status)
        self.send_header("Date", formatdate(self.server.exchange.now / 1000, usegmt=True))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(body)
            self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        pass


def _step(interval: str) -> int:
    if interval.isdigit():
        return int(interval) * MINUTE_MS
    return {"D": 24 * HOUR_MS, "W": 7 * 24 * HOUR_MS}.get(interval) or int(interval[:-1]) * UNITS_MS[interval[-1]]


def _kline(row: np.ndarray, step: int) -> list[Any]:
    return [int(row[0]), *(repr(float(value)) for value in row[1:]), int(row[0]) + step - 1, "0", 1, "0", "0", "0"]


def _agg_trade(row: np.ndarray) -> dict[str, Any]:
    id_, when, price, amount, is_buy = row
    numbers = {"a": int(id_), "p": repr(float(price)), "q": repr(float(amount)), "f": 1, "l": 1, "T": int(when)}
    return {**numbers, "m": not is_buy, "M": True}


def _bybit_trade(row: np.ndarray, symbol: str) -> dict[str, Any]:
    id_, when, price, amount, is_buy = row
    return {
        "execId": f"{int(id_):08x}-50c6-58f3-bd9c-89b2088663ff",
        "symbol": symbol,
        "price": repr(float(price)),
        "size": repr(float(amount)),
        "side": "Buy" if is_buy else "Sell",
        "time": str(int(when)),
        "isBlockTrade": False,
    }


def _book(market: Market, levels: int, now: int) -> tuple[list[list[str]], list[list[str]]]:
    """Levels that stand still, with amounts that change by the second."""
    price = float(market.bars[-1, 4]) if len(market.bars) else 100.0
    amounts = [repr(1.5 + (now // 1_000 + 3 * at) % 7 / 2) for at in range(levels)]
    bids, asks = ([[repr(round(price + sign * 0.01 * (at + 1), 2)), amounts[at]] for at in range(levels)] for sign in (-1, 1))
    return bids, asks


def _binance_market(market: Market, kind: str) -> dict[str, Any]:
    shared = {"symbol": market.id, "status": "TRADING", "baseAsset": market.base, "quoteAsset": market.quote}
    shared |= {"baseAssetPrecision": 8}
    filters = [
        {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000", "tickSize": "0.01"},
        {"filterType": "LOT_SIZE", "minQty": "0.00001", "maxQty": "9000", "stepSize": "0.00001"},
    ]
    if kind == "spot":
        return {**shared, "quotePrecision": 8, "permissions": ["SPOT"], "isSpotTradingAllowed": True, "filters": filters}
    contract = {"contractType": "PERPETUAL", "deliveryDate": 4133404800000, "marginAsset": market.quote, "pricePrecision": 2}
    return {**shared, **contract, "quantityPrecision": 3, "filters": filters}


def _bybit_market(market: Market) -> dict[str, Any]:
    return {
        "symbol": market.id,
        "contractType": "LinearPerpetual",
        "status": "Trading",
        "baseCoin": market.base,
        "quoteCoin": market.quote,
        "settleCoin": market.quote,
        "launchTime": "1585526400000",
        "deliveryTime": "0",
        "fundingInterval": 480,
        "priceFilter": {"minPrice": "0.01", "maxPrice": "1000000", "tickSize": "0.01"},
        "lotSizeFilter": {"maxOrderQty": "100", "minOrderQty": "0.001", "qtyStep": "0.001"},
        "leverageFilter": {"minLeverage": "1", "maxLeverage": "100", "leverageStep": "0.01"},
    }


def demo_markets(n_bars: int, now: int) -> Iterator[Market]:
    """Simulated markets that end now."""
    start = now // MINUTE_MS * MINUTE_MS - n_bars * MINUTE_MS
    funding = np.arange(-(-start // (8 * HOUR_MS)) * 8 * HOUR_MS, now, 8 * HOUR_MS, dtype=np.float64)
    for seed, (base, price) in enumerate((("BTC", 6e4), ("ETH", 3e3), ("SOL", 150.0))):
        rates = np.round(np.random.default_rng(seed).normal(1e-4, 1e-4, len(funding)), 8)
        bars, _ = plant_holes(walk(n_bars, seed, start, price), 10, seed)
        trades = tick_trades(50_000, seed, start)
        trades[:, 1] += now - trades[-1, 1]
        yield Market(base, bars=bars, trades=trades, funding=np.column_stack([funding, rates]))


def main() -> None:
    parser = argparse.ArgumentParser(description="Binance spot, USD-M and Bybit linear on 127.0.0.1, with simulated markets.")
    parser.add_argument("--port", type=int, default=8750)
    parser.add_argument("--bars", type=int, default=200_000, help="minutes of history up to now")
    parser.add_argument("--fault", type=float, default=0.0, help="probability that a request goes wrong")
    parser.add_argument("--faults", nargs="+", default=[*FAULTS], choices=FAULTS, help="in which ways")
    args = parser.parse_args()
    markets = list(demo_markets(args.bars, int(time.time() * 1000)))
    faults = {name: args.fault / len(args.faults) for name in args.faults}
    server = ExchangeServer(markets, markets, faults=faults, port=args.port)
    print(f"{server.url}: BTC/USDT, ETH/USDT, SOL/USDT, spot and linear, {args.bars} minutes; stop with Ctrl-C", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()


if __name__ == "__main__":
    main()
