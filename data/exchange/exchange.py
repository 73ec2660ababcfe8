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
from foreshock.data.exchange.agreement import Answer, Fault
from foreshock.data.exchange.connection import Connection
from foreshock.data.exchange.pages import SETTLED_MS, Span, bar_spans, rate_spans, trade_spans
from foreshock.data.exchange.patience import Patience
from foreshock.data.exchange.placed import BUY, OHLCV, placed_bars, placed_rates, placed_trades
from foreshock.data.exchange.plausible import (
    check_book,
    check_market,
    check_raw_bars,
    check_raw_trades,
    check_timeframe,
    check_times,
    unlikely_times,
)
from foreshock.data.exchange.units import Unit, bars_in_base, book_in_base, unit_of
from foreshock.data.interval import UNITS_US, parse_duration
from foreshock.data.show.shown import few, shown

DAY_MS = UNITS_US["d"] // 1000
BARS_PER_PAGE = 500


class Page(NamedTuple):
    """All rows of ``[start, stop)``, epoch ms; times in the range without a row are known to be empty.

    Rows that cannot be are none of them but ``faults``; they may lie outside of the range. Rows from ``final`` on may still change,
    and in the ``holes`` of the range nothing is known.
    """

    table: pa.Table
    start: int
    stop: int
    faults: tuple[Fault, ...] = ()
    final: int | None = None
    holes: tuple[tuple[int, int], ...] = ()


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
            limit = min(n_page, -(-(until - at) // step))

            def fetch(exchange: Any) -> Answer:
                raw = exchange.fetch_ohlcv(symbol, timeframe, at, limit, extra)
                self._check(exchange, market, raw)
                check_raw_bars(exchange.answer, step, profile.close)
                rows, now = np.array([bar[:6] for bar in raw], dtype=np.float64).reshape(-1, 6), self.connection.now()
                check_times(rows[:, 0], self.connection.latest(), "bars")
                closed = rows[:, 0] + step <= now
                inside = (rows[:, 0] >= at) & (rows[:, 0] < until)
                if profile.exact and not inside[closed].all():
                    raise ccxt.BadResponse(f"{int((~inside[closed]).sum())} bars are from another time than was asked for")
                earlier = bool((rows[:, 0] < at).any())
                kept = np.flatnonzero(closed & inside)
                rows, faults = placed_bars(rows[kept], [raw[k] for k in kept.tolist()] if len(kept) < len(raw) else raw, step)
                check_timeframe(rows[:, 0], step)
                return Answer(rows, earlier, now, self.connection.final(SETTLED_MS), faults)

            return self.connection.call(fetch, f"{symbol} {timeframe} from {_iso(at)}")

        for span in bar_spans(ask, first, end, step, n_page, profile.exact):
            # A bar is final some time after its close.
            final = None if span.final is None or span.final >= span.stop else span.final // step * step
            yield Page(_bar_table(bars_in_base(unit, span.rows)), span.start, span.stop, span.faults, final, span.holes)

    def trades(self, symbol: str, start: int, stop: int) -> Iterator[Page]:
        """Trades of ``[start, stop)`` in pages: time (ms), id, price, amount, side of the taker.

        Only Binance serves past trades. Other exchanges give their latest trades, which must reach back to ``start``.
        """
        self._has("fetchTrades", "trades")
        market = self.connection.market(symbol)
        unit = self._unit(market, "trades")
        n_page = self.connection.profile.trades

        def ask(from_id: int | None, limit: int) -> Answer:
            extra = {} if from_id is None else {"fromId": from_id}

            def fetch(exchange: Any) -> Answer:
                raw = self._trades(exchange, market, limit, extra)
                rows, faults = placed_trades(raw, [int(trade["id"]) for trade in raw])
                if from_id is not None and np.any(rows[:, 1] < from_id):
                    raise ccxt.BadResponse("there are trades with a lower id than was asked for")
                if from_id is None and not len(rows):
                    raise ccxt.BadResponse("there is no latest trade")
                if len(rows) > limit:
                    raise ccxt.BadResponse(f"{limit} trades were requested, got {len(rows)}")
                doubtful = unlikely_times(rows[:, 0])
                return Answer(rows, False, self.connection.now(), self.connection.final(SETTLED_MS), faults, doubtful)

            return self.connection.call(fetch, f"trades of {symbol}")

        if not self.connection.profile.ids:
            yield self._latest_trades(market, unit, start, stop)
            return
        for span in trade_spans(ask, lambda: ask(None, 1), start, stop, n_page):
            yield Page(_trade_table(unit, span.rows), span.start, span.stop, span.faults, None, span.holes)

    def _trades(self, exchange: Any, market: dict[str, Any], limit: int, extra: dict[str, Any]) -> list[dict[str, Any]]:
        raw = exchange.fetch_trades(market["symbol"], None, limit, extra)
        self._check(exchange, market, raw)
        check_raw_trades(exchange.answer)
        check_times(np.array([trade["timestamp"] for trade in raw], dtype=np.float64), self.connection.latest(), "trades")
        return raw

    def _latest_trades(self, market: dict[str, Any], unit: Unit, start: int, stop: int) -> Page:
        symbol = market["symbol"]

        def fetch(exchange: Any) -> tuple[np.ndarray, dict[int, Fault], dict[int, int], int]:
            raw = self._trades(exchange, market, self.connection.profile.trades, {})
            unique = {trade["id"]: trade for trade in raw}
            ordered = sorted(unique.values(), key=lambda trade: trade["timestamp"])
            rows, faults = placed_trades(ordered, range(len(ordered)))
            return rows, faults, {at: _number(trade["id"]) for at, trade in enumerate(ordered)}, self.connection.now()

        rows, faults, ids, now = self.connection.call(fetch, f"trades of {symbol}")
        if faults:
            rows, faults, ids, now = self.connection.call(fetch, f"trades of {symbol}")
        # The page may lack some trades of its oldest millisecond.
        oldest = int(rows[0, 0]) + 1 if len(rows) else now
        if start < oldest:
            raise ExchangeError(
                f"{self.name} gives only its latest trades, for {symbol} those from {_iso(oldest)} on, got a start of "
                f"{_iso(start)}; start later, or take trades from Binance"
            )
        # What comes after a trade that cannot be read is not known to be whole.
        unread = min((fault.time for fault in faults.values() if not fault.nothing and fault.time >= start), default=stop)
        end = max(start, min(stop, int(rows[-1, 0]), unread))
        told = tuple(fault for fault in faults.values() if fault.time >= start)
        rows = rows[~np.isin(rows[:, 1], list(faults)) & (rows[:, 0] >= start) & (rows[:, 0] < end)]
        numbers = np.array([ids[int(at)] for at in rows[:, 1]], dtype=np.int64)
        return Page(_trade_table(unit, rows, numbers), start, end, told)

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
                self._check(exchange, market, raw)
                rows, faults = placed_rates(raw)
                check_times(rows[:, 0], self.connection.latest(), "rates")
                if np.any((rows[:, 0] < at) | (rows[:, 0] >= until)):
                    raise ccxt.BadResponse("there are rates from another time than was asked for")
                return Answer(rows, False, self.connection.now(), self.connection.final(SETTLED_MS), faults)

            return self.connection.call(fetch, f"funding rates of {symbol} from {_iso(at)}")

        for span in rate_spans(ask, start, stop, n_page):
            yield Page(_funding_table(span), span.start, span.stop, span.faults, None, span.holes)

    def order_book(self, symbol: str, levels: int = 20) -> dict[str, Any]:
        """The current order book as ccxt returns it, amounts in base currency; see ``fs.book_from_ccxt``."""
        self._has("fetchOrderBook", "order books")
        market = self.connection.market(symbol)
        unit = self._unit(market, "book")

        def fetch(exchange: Any) -> dict[str, Any]:
            book = exchange.fetch_order_book(symbol, levels)
            check_book(book, self.connection.latest())
            check_market(exchange.answer, market.get("id"), exchange.markets_by_id)
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

    def _check(self, exchange: Any, market: dict[str, Any], raw: Sequence[Any]) -> None:
        """Refuse an answer that has no list, or names another market."""
        if not raw and not _has_list(exchange.answer):
            raise ccxt.BadResponse(f"there is no list in the answer: {str(exchange.answer)[:60]}")
        check_market(exchange.answer, market.get("id"), exchange.markets_by_id)


def _has_list(answer: Any) -> bool:
    """Whether an answer without rows holds a list at all: ccxt reads ``{}`` as an empty list."""
    if isinstance(answer, dict):
        return any(map(_has_list, answer.values()))
    return isinstance(answer, list)


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


def _trade_table(unit: Unit, rows: np.ndarray, ids: np.ndarray | None = None) -> pa.Table:
    when, numbers, price, amount, is_buy = rows.T
    return pa.table(
        {
            "time": when.astype(np.int64),
            "id": numbers.astype(np.int64) if ids is None else ids,
            "price": np.ascontiguousarray(price),
            "amount": np.ascontiguousarray(unit.base(amount, price)),
            "side": pa.array(np.where(is_buy == BUY, "buy", "sell")),
        }
    )


def _funding_table(span: Span) -> pa.Table:
    return pa.table({"time": span.rows[:, 0].astype(np.int64), "rate": np.ascontiguousarray(span.rows[:, 1])})
