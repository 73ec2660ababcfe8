"""An exchange's market data: bars, trades and funding rates as pages of tables, and the current order book."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

import ccxt
import numpy as np
import pyarrow as pa

from foreshock.data.errors import ConfigError, ExchangeError
from foreshock.data.exchange.connection import Connection
from foreshock.data.exchange.pages import Answer, Span, bar_spans, rate_spans, trade_spans
from foreshock.data.exchange.patience import Patience
from foreshock.data.exchange.units import Unit, bars_in_base, book_in_base, unit_of
from foreshock.data.interval import UNITS_US, parse_duration
from foreshock.data.possible import impossible_bars
from foreshock.data.show.shown import few, shown

OHLCV = ("time", "open", "high", "low", "close", "volume")
DAY_MS = UNITS_US["d"] // 1000
BUY, SELL = 1.0, 0.0
BARS_PER_PAGE = 500


class Page(NamedTuple):
    """All rows of ``[start, stop)``, epoch ms; times in the range without a row are known to be empty."""

    table: pa.Table
    start: int
    stop: int


class Exchange:
    """The public market data of an exchange.

    Parameters
    ----------
    exchange : str
        ccxt's name, such as ``"binance"``, ``"binanceusdm"``, ``"bybit"``, ``"upbit"``, ``"coinbase"`` or ``"kraken"``.
    base_url, patience, clock
        See ``Connection``.

    Raises
    ------
    ConfigError
        If there is no such exchange, market, timeframe or kind of data.
    ExchangeError
        If the exchange or the network does not give what was requested.
    """

    def __init__(
        self,
        exchange: str,
        base_url: str | None = None,
        patience: Patience | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.connection = Connection(exchange, base_url, patience, clock)
        self.name = exchange

    def step(self, timeframe: str) -> int:
        """Length in ms of a timeframe that the exchange has.

        Raises
        ------
        ConfigError
            If the exchange lacks it, or it is longer than a day: weeks begin on different days, months differ in length.
        """
        self._has("fetchOHLCV", "bars")
        known = [name for name in self.connection.offline.timeframes or () if ccxt.Exchange.parse_timeframe(name) * 1000 <= DAY_MS]
        if timeframe not in known:
            raise ConfigError(f"{self.name} has no timeframe {shown(timeframe)} of a day or less; it has {few(known, 20)}")
        return int(parse_duration(timeframe).astype(np.int64)) // 1000

    def ohlcv(self, symbol: str, timeframe: str, start: int, stop: int) -> Iterator[Page]:
        """Bars that open in ``[start, stop)`` and have closed, in pages: time (ms), open, high, low, close, volume."""
        step = self.step(timeframe)
        profile, market = self.connection.profile, self.connection.market(symbol)
        first, end = -(-start // step) * step, -(-stop // step) * step
        if profile.history is not None and first < self.connection.now() - profile.history * step:
            raise ExchangeError(
                f"{self.name} gives only its last {profile.history} bars of a timeframe, got {timeframe} from {_iso(first)}; "
                f"start at {_iso(self.connection.now() - (profile.history - 1) * step)} or later, or take a longer timeframe"
            )
        n_page = profile.bars or self._page_size(market)
        unit = self._unit(market, "ohlcv")

        def ask(at: int, until: int) -> Answer:
            # An end is requested only from exchanges that respect it; some of the others refuse the parameter.
            extra = {"until": until - 1} if profile.exact else {}
            limit = min(n_page, (until - at) // step)

            def fetch(exchange: Any) -> Answer:
                raw = exchange.fetch_ohlcv(symbol, timeframe, at, limit, extra)
                rows, now = self._rows([bar[:6] for bar in raw], 6, exchange), self.connection.now()
                rows = _checked(rows[rows[:, 0] + step <= now], step)
                inside = (rows[:, 0] >= at) & (rows[:, 0] < until)
                if profile.exact and not inside.all():
                    raise ccxt.BadResponse(f"{int((~inside).sum())} bars are from another time than was asked for")
                return Answer(rows[inside], bool((rows[:, 0] < at).any()), now)

            return self.connection.call(fetch, f"{symbol} {timeframe} from {_iso(at)}")

        for span in bar_spans(ask, first, end, step, n_page, profile.exact):
            yield Page(_bar_table(bars_in_base(unit, span.rows)), span.start, span.stop)

    def trades(self, symbol: str, start: int, stop: int) -> Iterator[Page]:
        """Trades of ``[start, stop)`` in pages: time (ms), id, price, amount, side of the taker.

        Only Binance serves past trades. Other exchanges give their latest trades, which must reach back to ``start``.
        """
        self._has("fetchTrades", "trades")
        unit = self._unit(self.connection.market(symbol), "trades")
        n_page = self.connection.profile.trades

        def ask(from_id: int | None, limit: int) -> Answer:
            extra = {} if from_id is None else {"fromId": from_id}

            def fetch(exchange: Any) -> Answer:
                raw = exchange.fetch_trades(symbol, None, limit, extra)
                rows = self._rows([_trade(trade, int(trade["id"])) for trade in raw], 5, exchange)
                rows = np.unique(rows, axis=0)[:, [1, 0, 2, 3, 4]]
                if np.any(np.diff(rows[:, 1]) == 0):
                    raise ccxt.BadResponse("two different trades have one id")
                if from_id is not None and np.any(rows[:, 1] < from_id):
                    raise ccxt.BadResponse("there are trades with a lower id than was asked for")
                if from_id is None and not len(rows):
                    raise ccxt.BadResponse("there is no latest trade")
                return Answer(rows, False, self.connection.now())

            return self.connection.call(fetch, f"trades of {symbol}")

        if not self.connection.profile.ids:
            yield self._latest_trades(symbol, unit, start, stop)
            return
        for span in trade_spans(ask, lambda: ask(None, 1), start, stop, n_page):
            rows = span.rows
            yield Page(_trade_table(unit, rows[:, 0], rows[:, 1], *rows[:, 2:].T), span.start, span.stop)

    def _latest_trades(self, symbol: str, unit: Unit, start: int, stop: int) -> Page:
        def fetch(exchange: Any) -> tuple[list[list[float]], list[int], int]:
            raw = exchange.fetch_trades(symbol, None, self.connection.profile.trades)
            unique = {trade["id"]: trade for trade in raw}
            ordered = sorted(unique.values(), key=lambda trade: trade["timestamp"])
            rows = [_trade(trade, 0) for trade in ordered]
            self._rows(rows, 5, exchange)
            return rows, [_number(trade["id"]) for trade in ordered], self.connection.now()

        rows, ids, now = self.connection.call(fetch, f"trades of {symbol}")
        # The page may lack some trades of its oldest millisecond.
        oldest = int(rows[0][1]) + 1 if rows else now
        if start < oldest:
            raise ExchangeError(
                f"{self.name} gives only its latest trades, for {symbol} those from {_iso(oldest)} on, got a start of "
                f"{_iso(start)}; start later, or take trades from Binance"
            )
        end = max(start, min(stop, int(rows[-1][1])))
        inside = [at for at, row in enumerate(rows) if start <= row[1] < end]
        columns = np.array(rows)[inside]
        numbers = np.array(ids, dtype=np.int64)[inside]
        return Page(_trade_table(unit, columns[:, 1], numbers, *columns[:, 2:].T), start, end)

    def funding(self, symbol: str, start: int, stop: int) -> Iterator[Page]:
        """Funding rates of ``[start, stop)`` in pages: time (ms), rate (the fraction of the position's value that longs pay)."""
        self._has("fetchFundingRateHistory", "funding rates")
        market = self.connection.market(symbol)
        if not market.get("swap"):
            raise ConfigError(f"{symbol} has no funding rate, it is not a perpetual swap; pass a symbol such as BTC/USDT:USDT")
        n_page = self.connection.profile.funding

        def ask(at: int, until: int) -> Answer:
            def fetch(exchange: Any) -> Answer:
                raw = exchange.fetch_funding_rate_history(symbol, at, n_page, {"until": until - 1})
                rows = self._rows([[rate["timestamp"], rate["fundingRate"]] for rate in raw], 2, exchange)
                rows = np.unique(rows, axis=0)
                if np.any(np.diff(rows[:, 0]) == 0):
                    raise ccxt.BadResponse("two different rates have one time")
                if np.any((rows[:, 0] < at) | (rows[:, 0] >= until)):
                    raise ccxt.BadResponse("there are rates from another time than was asked for")
                return Answer(rows, False, self.connection.now())

            return self.connection.call(fetch, f"funding rates of {symbol} from {_iso(at)}")

        for span in rate_spans(ask, start, stop, n_page):
            yield Page(_funding_table(span), span.start, span.stop)

    def order_book(self, symbol: str, levels: int = 20) -> dict[str, Any]:
        """The current order book as ccxt returns it, amounts in base currency; see ``fs.book_from_ccxt``."""
        self._has("fetchOrderBook", "order books")
        unit = self._unit(self.connection.market(symbol), "book")

        def fetch(exchange: Any) -> dict[str, Any]:
            book = exchange.fetch_order_book(symbol, levels)
            if not book["bids"] or not book["asks"]:
                raise ccxt.BadResponse("a side of the order book is empty")
            if book["bids"][0][0] >= book["asks"][0][0]:
                raise ccxt.BadResponse("the order book is crossed")
            return {**book_in_base(unit, book), "symbol": symbol, "timestamp": book.get("timestamp") or self.connection.moment()}

        return self.connection.call(fetch, f"the order book of {symbol}")

    def _has(self, ability: str, what: str) -> None:
        if not self.connection.offline.has.get(ability):
            raise ConfigError(f"{self.name} does not give {what}; use another exchange, such as binance or bybit")

    def _unit(self, market: dict[str, Any], kind: str) -> Unit:
        return unit_of(self.name, market, kind, self.connection.profile)

    def _page_size(self, market: dict[str, Any]) -> int:
        features = self.connection.offline.features or {}
        settled = "inverse" if market.get("inverse") else "linear"
        of_kind = features.get("spot") if market.get("spot") else (features.get("swap") or {}).get(settled)
        return ((of_kind or {}).get("fetchOHLCV") or {}).get("limit") or BARS_PER_PAGE

    def _rows(self, raw: Sequence[Sequence[float | None]], n_columns: int, exchange: Any) -> np.ndarray:
        """The rows of an answer as an array; a number that is missing or not finite is refused."""
        if not raw and not _has_list(exchange.answer):
            raise ccxt.BadResponse(f"there is no list in the answer: {str(exchange.answer)[:60]}")
        rows = np.array(raw, dtype=np.float64).reshape(-1, n_columns)
        if not np.isfinite(rows).all():
            raise ccxt.BadResponse("a number is missing or not finite")
        return rows


def _checked(rows: np.ndarray, step: int) -> np.ndarray:
    """The bars in ascending order, each once; invalid bars are refused."""
    if np.any(rows[:, 0] % step):
        raise ccxt.BadResponse(f"a bar does not open at a multiple of {step} ms")
    if (found := impossible_bars(dict(zip(OHLCV, rows.T, strict=True)))) is not None:
        row, fault = found
        raise ccxt.BadResponse(f"the bar of {_iso(int(rows[row, 0]))} cannot be: {fault}")
    rows = np.unique(rows, axis=0)
    if np.any(np.diff(rows[:, 0]) == 0):
        raise ccxt.BadResponse("two different bars open at one time")
    return rows


def _has_list(answer: Any) -> bool:
    """Whether an answer without rows holds a list at all: ccxt reads ``{}`` as an empty list."""
    if isinstance(answer, dict):
        return any(map(_has_list, answer.values()))
    return isinstance(answer, list)


def _trade(trade: dict[str, Any], id_: int) -> list[float]:
    return [id_, trade["timestamp"], trade["price"], trade["amount"], {"buy": BUY, "sell": SELL}[trade["side"]]]


def _number(id_: str) -> int:
    """A trade id as an integer; an id that is not a number becomes a hash of 63 bits."""
    if id_.isdigit() and len(id_) < 19:
        return int(id_)
    return int.from_bytes(blake2b(id_.encode(), digest_size=8).digest(), "big") >> 1


def _iso(ms: int) -> str:
    return str(np.datetime64(ms, "ms"))[:16] + "Z"


def _bar_table(rows: np.ndarray) -> pa.Table:
    columns = [pa.array(rows[:, 0].astype(np.int64)), *(pa.array(np.ascontiguousarray(column)) for column in rows[:, 1:].T)]
    return pa.table(dict(zip(OHLCV, columns, strict=True)))


def _trade_table(
    unit: Unit, when: np.ndarray, ids: np.ndarray, price: np.ndarray, amount: np.ndarray, is_buy: np.ndarray
) -> pa.Table:
    return pa.table(
        {
            "time": when.astype(np.int64),
            "id": ids.astype(np.int64),
            "price": np.ascontiguousarray(price),
            "amount": np.ascontiguousarray(unit.base(amount, price)),
            "side": pa.array(np.where(is_buy == BUY, "buy", "sell")),
        }
    )


def _funding_table(span: Span) -> pa.Table:
    return pa.table({"time": span.rows[:, 0].astype(np.int64), "rate": np.ascontiguousarray(span.rows[:, 1])})
