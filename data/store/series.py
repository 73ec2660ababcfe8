"""Series of the store: their keys, columns and partitions, and the ranges of time that are known."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, unquote

import numpy as np
import pyarrow as pa

from foreshock.data.books.orderbook import N_LEVELS
from foreshock.data.books.orderbook import SIDES as BOOK_SIDES
from foreshock.data.checks import check_integer
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.interval import parse_duration
from foreshock.data.show.facts import Shown
from foreshock.data.show.shown import few, shown
from foreshock.data.tables import EARLIEST_EPOCH, LATEST_EPOCH

MARKETS = ("spot", "linear", "inverse")
EXAMPLES = {"exchange": "binance", "market": "spot", "symbol": "BTC/USDT", "kind": "ohlcv", "timeframe": "1h"}
SIDES = ("buy", "sell")
N_PARTS = 4
Range = tuple[int, int]

_TIME = pa.field("time", pa.int64(), nullable=False)


def _floats(*names: str) -> list[pa.Field]:
    return [pa.field(name, pa.float64(), nullable=False) for name in names]


# Price and amount of each level; values in quote currency are computed when a book is read.
LEVELS = [f"{side}_{what}_{level}" for side in BOOK_SIDES for what in ("price", "amount") for level in range(N_LEVELS)]
# Columns on disk. The taker's side is stored as a bit, and read as a word.
STORED = {
    "ohlcv": pa.schema([_TIME, *_floats("open", "high", "low", "close", "volume")]),
    "trades": pa.schema(
        [
            _TIME,
            pa.field("id", pa.int64(), nullable=False),
            *_floats("price", "amount"),
            pa.field("buy", pa.bool_(), nullable=False),
        ]
    ),
    "funding": pa.schema([_TIME, *_floats("rate")]),
    "book": pa.schema([_TIME, *_floats(*LEVELS)]),
}
STEPPED = ("ohlcv", "book")
SIDE_TYPE = pa.dictionary(pa.int8(), pa.string())
COLUMNS = {kind: tuple("side" if name == "buy" else name for name in schema.names) for kind, schema in STORED.items()}


@door
@dataclass(frozen=True, repr=False, order=True)
class SeriesKey(Shown):
    """Key of one series in a store.

    Parameters
    ----------
    exchange : str
        ccxt's name, such as ``"binance"``.
    market : str
        ``"spot"``, ``"linear"`` (settled in the quote currency) or ``"inverse"`` (settled in the base currency).
    symbol : str
        As ccxt writes it, such as ``"BTC/USDT"`` or ``"BTC/USDT:USDT"``.
    kind : str
        ``"ohlcv"``, ``"trades"``, ``"funding"`` or ``"book"``.
    timeframe : str
        Length of a bar, such as ``"1m"``; for books, the time between snapshots; empty for other kinds.

    Raises
    ------
    ConfigError
        If a part does not have one of these forms.

    Examples
    --------
    >>> import foreshock as fs
    >>> key = fs.SeriesKey("binance", "spot", "BTC/USDT", "ohlcv", "1h")
    >>> str(key), key.folder, key.step_ms
    ('binance spot BTC/USDT ohlcv 1h', 'binance/spot/BTC%2FUSDT/ohlcv-1h', 3600000)
    """

    exchange: str
    market: str
    symbol: str
    kind: str
    timeframe: str = ""

    def __post_init__(self) -> None:
        for name in ("exchange", "market", "symbol", "kind", "timeframe"):
            if not isinstance(value := getattr(self, name), str):
                raise ConfigError(f"{name} must be a word, such as {EXAMPLES[name]!r}, got {shown(value)}")
        if not re.fullmatch(r"[a-z0-9_]{1,40}", self.exchange):
            raise ConfigError(f"exchange must be a name of ccxt, such as 'binance', got {shown(self.exchange)}")
        if self.market not in MARKETS:
            raise ConfigError(f"market must be one of {', '.join(MARKETS)}, got {shown(self.market)}")
        # The symbol becomes a folder name: it must not begin with a dot, and be short enough for any file system.
        if not self.symbol or self.symbol[0] == "." or not self.symbol.isprintable() or len(quote(self.symbol, safe="")) > 200:
            raise ConfigError(f"symbol must be one of ccxt's, such as 'BTC/USDT', got {self.symbol[:40]!r}")
        if self.kind not in STORED:
            raise ConfigError(f"kind must be one of {', '.join(STORED)}, got {shown(self.kind)}")
        if self.kind in STEPPED:
            if self.timeframe != self.timeframe.lower() or " " in self.timeframe or self.step_ms < 1:
                raise ConfigError(f"timeframe must be written as ccxt does, such as '1m' or '4h', got {shown(self.timeframe)}")
        elif self.timeframe:
            raise ConfigError(
                f"timeframe is only for {' and '.join(STEPPED)}, got {shown(self.timeframe)} for {self.kind}; leave it empty"
            )

    def __str__(self) -> str:
        return f"{self.exchange} {self.market} {self.symbol} {self.kind}" + (f" {self.timeframe}" if self.timeframe else "")

    @property
    def unit(self) -> str:
        """Currency of all amounts, the base currency of the market, whatever the exchange counts in; empty for funding rates."""
        return "" if self.kind == "funding" else self.symbol.partition("/")[0]

    @property
    def step_ms(self) -> int:
        """Milliseconds from one bar or snapshot to the next."""
        return int(parse_duration(self.timeframe, "timeframe").astype("timedelta64[ms]").astype(np.int64))

    @property
    def grid_ms(self) -> int:
        """Unit in ms of all times: the length of bars that divide an hour, else 1, because days may begin at another hour."""
        return self.step_ms if self.kind == "ohlcv" and 3_600_000 % self.step_ms == 0 else 1

    @property
    def folder(self) -> str:
        """Path of the series in its store."""
        kind = f"{self.kind}-{self.timeframe}" if self.timeframe else self.kind
        return f"{self.exchange}/{self.market}/{quote(self.symbol, safe='')}/{kind}"

    @classmethod
    def from_folder(cls, folder: str) -> SeriesKey:
        parts = folder.split("/") if isinstance(folder, str) else ()
        if len(parts) != N_PARTS:
            raise ConfigError(f"folder must be exchange/market/symbol/kind, got {shown(folder)}")
        exchange, market, symbol, last = parts
        kind, _, timeframe = last.partition("-")
        key = cls(exchange, market, unquote(symbol), kind, timeframe)
        if key.folder != folder:
            raise ConfigError(f"{folder} is not how the store writes {key.folder}")
        return key

    def partitions(self, start: int, stop: int) -> Iterator[tuple[str, int, int]]:
        """Name, start and stop of each partition that ``[start, stop)`` overlaps, epoch ms."""
        check_integer("stop", stop)
        check_integer("start", start)
        width = 10 if self.kind in ("trades", "book") else 4
        if self.kind == "ohlcv" and self.step_ms < 3_600_000:
            width = 10 if self.step_ms < 60_000 else 7
        if self.kind == "book" and self.step_ms < 5_000:
            # With partitions of an hour, a new snapshot does not rewrite a whole day of them.
            width = 13
        unit = {4: "Y", 7: "M", 10: "D", 13: "h"}[width]
        first = np.datetime64(start, "ms").astype(f"datetime64[{unit}]")
        while (begin := int(first.astype("datetime64[ms]").astype(np.int64))) < stop:
            yield str(first), begin, int((first + 1).astype("datetime64[ms]").astype(np.int64))
            first = first + 1


def market_of(symbol: str) -> str:
    """The kind of market that ccxt's symbol names.

    >>> [market_of(symbol) for symbol in ("BTC/USDT", "BTC/USDT:USDT", "BTC/USD:BTC-240329")]
    ['spot', 'linear', 'inverse']
    """
    pair, _, settled = symbol.partition(":")
    base = pair.partition("/")[0]
    return "spot" if not settled else "inverse" if settled.partition("-")[0] == base else "linear"


def checked_range(key: SeriesKey, start: int, stop: int) -> Range:
    """The range in epoch ms, its ends moved to the grid so that it holds the same bar opens."""
    if not EARLIEST_EPOCH * 1000 <= start <= stop <= LATEST_EPOCH * 1000:
        raise ConfigError(f"a range must rise and lie in the years 2000 to 2099, in epoch ms, got [{start}, {stop})")
    grid = key.grid_ms
    return -(-int(start) // grid) * grid, -(-int(stop) // grid) * grid


def stored_rows(key: SeriesKey, table: pa.Table, start: int, stop: int) -> pa.Table:
    """A table in the form on disk: columns checked and cast, rows sorted, each bar or trade once (the last one).

    Raises
    ------
    DataError
        If a column is missing or surplus, a value has another type or is missing where it must be known, or a time lies outside
        of ``[start, stop)`` or off the grid of the bars.
    """
    if set(table.column_names) != set(COLUMNS[key.kind]) or len(table.column_names) != len(COLUMNS[key.kind]):
        raise DataError(f"{key}: columns must be {', '.join(COLUMNS[key.kind])}, got {few(table.column_names) or 'none'}")
    columns = {}
    for field in STORED[key.kind]:
        values = table["side" if field.name == "buy" else field.name]
        if field.name == "buy":
            values = _bought(key, values)
        elif pa.types.is_floating(field.type) and (pa.types.is_floating(values.type) or pa.types.is_integer(values.type)):
            values = values.cast(field.type).fill_null(np.nan)
        elif not pa.types.is_integer(values.type):
            raise DataError(f"{key}: column {field.name} must hold {field.type}, got {values.type}")
        if values.null_count:
            raise DataError(f"{key}: column {field.name} must be known in every row, got {values.null_count} rows without")
        columns[field.name] = values.cast(field.type)
    time = columns["time"].to_numpy()
    wrong = (time < start) | (time >= stop)
    if wrong.any():
        raise DataError(f"{key}: times must lie in [{start}, {stop}), got {time[wrong][0]} and {int(wrong.sum()) - 1} more")
    wrong = time % key.grid_ms != 0
    if wrong.any():
        raise DataError(f"{key}: bars must open on multiples of {key.timeframe}, got {time[wrong][0]} ms, {int(wrong.sum())} such")
    return ordered(key, pa.table(columns, schema=STORED[key.kind]))


def _bought(key: SeriesKey, side: pa.ChunkedArray) -> pa.ChunkedArray:
    if side.null_count:
        raise DataError(f"{key}: column side must be known in every row, got {side.null_count} rows without")
    chunks = []
    for chunk in (side if pa.types.is_dictionary(side.type) else side.dictionary_encode()).chunks:
        words = np.array(chunk.dictionary.to_pylist(), dtype=object)
        indices = chunk.indices.to_numpy()
        foreign = set(words[np.unique(indices)]) - set(SIDES)
        if foreign:
            raise DataError(f"{key}: column side must say {' or '.join(SIDES)}, got {sorted(map(repr, foreign))[0][:40]}")
        chunks.append(pa.array((words == SIDES[0])[indices]))
    return pa.chunked_array(chunks, pa.bool_())


def ordered(key: SeriesKey, table: pa.Table) -> pa.Table:
    """Rows sorted by time and id; the last of rows with the same identity (the id for trades, else the time) is kept."""
    time = table["time"].to_numpy()
    identity = table["id"].to_numpy() if key.kind == "trades" else time
    if (np.diff(identity) > 0).all() and (np.diff(time) >= 0).all():
        return table
    by_identity = np.argsort(identity, kind="stable")
    last = np.append(np.diff(identity[by_identity]) != 0, True)
    kept = by_identity[last]
    order = kept[np.lexsort((identity[kept], time[kept]))]
    # Ids that are hashes of texts do not rise with time.
    return table if np.array_equal(order, np.arange(len(table))) else table.take(order)


def handed_out(key: SeriesKey, table: pa.Table) -> pa.Table:
    """Stored rows with the columns that users see."""
    # Columns lose the file's not-null flag, so that a user's table of the same columns has the same schema.
    table = pa.table(table.columns, names=table.column_names)
    if key.kind != "trades":
        return table
    chunks = [
        pa.DictionaryArray.from_arrays((~chunk.to_numpy(zero_copy_only=False)).view(np.int8), pa.array(SIDES))
        for chunk in table["buy"].chunks
    ]
    return table.drop_columns("buy").append_column("side", pa.chunked_array(chunks, SIDE_TYPE))


def union(ranges: Iterable[Range]) -> list[Range]:
    """The same times as the fewest half-open ranges, ascending.

    >>> union([(5, 7), (1, 3), (3, 4), (6, 9), (2, 2)])
    [(1, 4), (5, 9)]
    """
    merged: list[Range] = []
    for start, stop in sorted((start, stop) for start, stop in ranges if start < stop):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
        else:
            merged.append((start, stop))
    return merged


def without(wanted: Range, known: list[Range]) -> list[Range]:
    """The parts of a range outside all known ranges, which are ascending and disjoint.

    >>> without((0, 10), [(-5, 1), (3, 4), (9, 12)])
    [(1, 3), (4, 9)]
    """
    start, stop = wanted
    cuts = [start, *(edge for a, b in known if b > start and a < stop for edge in (a, b)), stop]
    return [(a, b) for a, b in zip(cuts[::2], cuts[1::2], strict=True) if a < b]


def empty_runs(key: SeriesKey, time: np.ndarray, covered: list[Range]) -> list[Range]:
    """The runs of bars that the covered ranges should have and the ascending ``time`` lacks, as half-open ranges of their opens."""
    step = key.step_ms
    # Weeks open on Mondays; the epoch was a Thursday.
    offset = int(time[0]) % step if len(time) else 345_600_000 % step if step % 604_800_000 == 0 else 0
    runs = []
    for start, stop in covered:
        first, after = (edge + (offset - edge) % step for edge in (start, stop))
        inside = time[np.searchsorted(time, start) : np.searchsorted(time, stop)]
        before = np.append(first, inside + step)
        following = np.append(inside, after)
        gaps = np.flatnonzero(following > before)
        runs += [(int(before[i]), int(following[i])) for i in gaps]
    return runs


def minute(time: int) -> str:
    """An epoch in ms as a readable UTC time."""
    return datetime.fromtimestamp(time / 1000, UTC).strftime("%Y-%m-%d %H:%M")
