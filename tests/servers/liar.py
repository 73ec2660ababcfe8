"""A loopback exchange whose answers are well formed and untrue: one kind of lie at a time, now and then or always."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tests.servers.exchange_server import HOUR_MS, MINUTE_MS, ExchangeServer

Rows = list[Any]
Change = Callable[[Rows, np.random.Generator], Rows]
DATA = ("klines", "kline", "aggTrades", "fundingRate")


class Liar(ExchangeServer):
    """Lies where history is served.

    Parameters
    ----------
    lie : str
        A name of ``LIES`` or ``QUESTIONS``; empty for none.
    when : int, float or None
        Number of the only answer that is a lie, from 1; the probability of each; always by default.
    """

    def __init__(self, *markets: Any, lie: str = "", when: float | None = None, **options: Any) -> None:
        super().__init__(*markets, **options)
        self.lie, self.when = lie, when
        self.asked = self.told = 0
        self._dice = np.random.default_rng(11)

    def answer(self, path: str, query: dict[str, str], fault: str | None) -> Any:
        name = path.rsplit("/", 1)[1]
        if not self.lie or name not in DATA or not self._lies():
            return super().answer(path, query, fault)
        # Several lies take turns.
        lie = self.lie.split("|")[int(self._dice.integers(self.lie.count("|") + 1))]
        self.told += 1
        asked = QUESTIONS[lie](dict(query)) if lie in QUESTIONS else query
        content = super().answer(path, asked, fault)
        if name == "kline":
            shown = content["result"]
            shown["list"] = self._changed(lie, shown["list"][::-1])[::-1]
            return content
        return self._changed(lie, content) if isinstance(content, list) else content

    def _lies(self) -> bool:
        with self._lock:
            self.asked += 1
            if self.when is None:
                return True
            return self.asked == self.when if self.when >= 1 else bool(self._dice.random() < self.when)

    def _changed(self, lie: str, rows: Rows) -> Rows:
        if lie == "fewer each time":
            return rows[: max(512 >> self.told, 0)]
        return LIES[lie](rows, self._dice) if lie in LIES else rows


def each(change: Callable[[Any], Any]) -> Change:
    return lambda rows, _: [change(row) for row in rows]


def column(at: int, value: Any) -> Change:
    """Bars with another value in a column; a function gets the one that was there."""
    change = value if callable(value) else lambda _: value
    return each(lambda row: [*row[:at], change(row[at]), *row[at + 1 :]])


def later(ms: int) -> Change:
    return each(lambda row: [type(row[0])(int(row[0]) + ms), *row[1:6], *((row[6] + ms, *row[7:]) if len(row) > 7 else row[6:])])


def prices(change: Callable[[float], float]) -> Change:
    return each(lambda row: [row[0], *(repr(change(float(value))) for value in row[1:5]), *row[5:]])


def field(name: str, value: Any) -> Change:
    """Trades and rates with another value under a name."""
    change = value if callable(value) else lambda _: value
    return each(lambda row: {**row, name: change(row[name])})


def without_some(rows: Rows, dice: np.random.Generator) -> Rows:
    return [row for at, row in enumerate(rows) if at in (0, len(rows) - 1) or dice.random() > 0.05]


def half_of_the_times_three_seconds_back(rows: Rows, _: np.random.Generator) -> Rows:
    return [{**row, "T": row["T"] - 3_000 * (at % 2)} for at, row in enumerate(rows)]


def one_off_the_grid(rows: Rows, _: np.random.Generator) -> Rows:
    middle = len(rows) // 2
    return (
        [*rows[:middle], [type(rows[middle][0])(int(rows[middle][0]) + 7_000), *rows[middle][1:]], *rows[middle + 1 :]]
        if rows
        else []
    )


def before(rows: Rows, _: np.random.Generator) -> Rows:
    return [[row[0], *rows[at - 1][1:6], *row[6:]] for at, row in enumerate(rows)]


BAR_LIES: dict[str, Change] = {
    "rows missing inside": without_some,
    "a row missing inside": lambda rows, _: rows[: len(rows) // 2] + rows[len(rows) // 2 + 1 :] if len(rows) > 4 else rows,
    "the first rows missing": lambda rows, _: rows[3:],
    "the last rows missing": lambda rows, _: rows[:-3],
    "fewer each time": lambda rows, _: rows,
    "nothing": lambda rows, _: [],
    "out of order": lambda rows, dice: [rows[at] for at in dice.permutation(len(rows))],
    "times in seconds": column(0, lambda time: type(time)(int(time) // 1_000)),
    "times in microseconds": column(0, lambda time: type(time)(int(time) * 1_000)),
    "a bar later": later(MINUTE_MS),
    "a bar earlier": later(-MINUTE_MS),
    "an hour later": later(HOUR_MS),
    "off the grid": later(7_000),
    "one off the grid": one_off_the_grid,
    "bars twice with other prices": lambda rows, _: [two for row in rows for two in (row, [row[0], "5", "6", "4", "5", *row[5:]])],
    "volume null": column(5, None),
    "price null": column(1, None),
    "price NaN": column(1, "NaN"),
    "price endless": column(2, "Infinity"),
    "price of zero": prices(lambda _: 0.0),
    "price negative": prices(lambda price: -price),
    "volume negative": column(5, "-1"),
    "high and low swapped": each(lambda row: [*row[:2], row[3], row[2], *row[4:]]),
    "prices with a comma": column(4, lambda price: f"{float(price):,.2f}"),
    "too few columns": each(lambda row: row[:4]),
    "truth values for numbers": each(lambda row: [row[0], True, True, True, True, True, *row[6:]]),
    "a thousandth of the price": prices(lambda price: price / 1_000),
}
TRADE_LIES: dict[str, Change] = {
    "trades missing inside": without_some,
    "the first trades missing": lambda rows, _: rows[3:],
    "the last trades missing": lambda rows, _: rows[:-3],
    "no trades": lambda rows, _: [],
    "ids that restart": field("a", lambda id_: id_ % 300),
    "negative ids": field("a", lambda id_: -id_),
    "ids with a fraction": field("a", lambda id_: id_ + 0.5),
    "ids beyond a float": field("a", lambda id_: 2**60 + id_),
    "one id for two trades": lambda rows, _: [two for row in rows for two in (row, {**row, "p": "5"})],
    "trade times in seconds": field("T", lambda time: time // 1_000),
    "trade times in microseconds": field("T", lambda time: time * 1_000),
    "half of the times three seconds back": half_of_the_times_three_seconds_back,
    "one time for all": lambda rows, _: [{**row, "T": rows[0]["T"]} for row in rows],
    "trade price zero": field("p", "0"),
    "trade price negative": field("p", "-5"),
    "trade price null": field("p", None),
    "amount zero": field("q", "0"),
    "amount negative": field("q", "-5"),
    "maker in words": field("m", "false"),
    "maker null": field("m", None),
    "no maker": each(lambda row: {name: value for name, value in row.items() if name != "m"}),
    "trades out of order": lambda rows, dice: [rows[at] for at in dice.permutation(len(rows))],
}
RATE_LIES: dict[str, Change] = {
    "rates missing inside": lambda rows, _: [row for at, row in enumerate(rows) if at % 7 != 3],
    "a rate of a billion": field("fundingRate", "1e9"),
    "a rate null": field("fundingRate", None),
    "a rate with a comma": field("fundingRate", "0,0001"),
    "two rates at one time": lambda rows, _: [two for row in rows for two in (row, {**row, "fundingRate": "0.5"})],
    "rates of another symbol": field("symbol", "ETHUSDT"),
}
# Moved within the range of what can be: nothing in an answer tells it from the truth.
HIDDEN: dict[str, tuple[Change, str]] = {
    "values of the bar before": (before, "each bar is one of the market, at the next open"),
    "open and close swapped": (each(lambda row: [row[0], row[4], *row[2:4], row[1], *row[5:]]), "both lie between low and high"),
    "prices moved a little": (prices(lambda price: round(price * 1.0004, 2)), "a market may well have been there"),
    "other prices of trades": (field("p", lambda price: repr(float(price) * 1.004)), "a market may well have been there"),
}
# What cannot be told where every answer is a lie, and is told where one is.
ALWAYS_HIDDEN = {
    "the first rows missing": "no earlier row is known at the beginning of a fetch",
    "the last rows missing": "no later row is known at the end of a fetch",
    "nothing": "a market without a bar answers so",
    "a thousandth of the price": "the unit of a price is what the exchange says, and a hundredfold jump between pages happened",
    "no trades": "a market without a trade answers so",
    "the last trades missing": "no later trade is known at the end of a fetch",
    "the first trades missing": "the ids before the first known one may not have been given",
    "ids that restart": "one page of them is consistent in itself; the fetch ends with a sentence at the next",
    "half of the times three seconds back": "two answers say so",
    "one time for all": "two answers say so",
    "another symbol": "Binance does not repeat the symbol in bars",
    "rates missing inside": "the exchange may settle at such times",
}
LIES: Mapping[str, Change] = {**BAR_LIES, **TRADE_LIES, **RATE_LIES, **{name: change for name, (change, _) in HIDDEN.items()}}


def _without(*names: str) -> Callable[[dict[str, str]], dict[str, str]]:
    return lambda query: {name: value for name, value in query.items() if name not in names}


# Answers to other questions than the one that was asked.
QUESTIONS: dict[str, Callable[[dict[str, str]], dict[str, str]]] = {
    "another timeframe": lambda query: {**query, "interval": "5" if query["interval"].isdigit() else "5m"},
    "another symbol": lambda query: {**query, "symbol": "ETHUSDT"},
    "the start ignored": _without("startTime", "start", "fromId"),
    "start and limit ignored": _without("startTime", "start", "fromId", "limit", "endTime", "end"),
}
