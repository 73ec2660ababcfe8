"""Binance's bulk archive: zipped CSV files of a day or a month, each with a checksum.

Rows that a file lacks do not count as known to be absent: only the time between consecutive bars, or trades, is covered. The rest
stays missing, to be fetched from the exchange itself.
"""

from __future__ import annotations

import hashlib
import http.client
import io
import os
import threading
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote, urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.csv

from foreshock.data.bars import FIELDS
from foreshock.data.checks import check_integer, check_type
from foreshock.data.errors import ConfigError, DataError, ExchangeError
from foreshock.data.exchange.patience import Stopped
from foreshock.data.possible import impossible_amounts, impossible_bars
from foreshock.data.show.facts import Shown
from foreshock.data.show.shown import shown
from foreshock.data.store.series import SIDE_TYPE, SIDES, Range, SeriesKey, minute
from foreshock.data.store.store import Store

PUBLIC = "public"
PUBLIC_URL = "https://data.binance.vision"
EXCHANGES = ("binance", "binanceusdm")
FOLDERS = {"spot": "data/spot", "linear": "data/futures/um"}
TIMEFRAMES = ("1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d")
# Columns of files without a header, and the columns that are read (Binance's name: ours), by kind.
BAR_NAMES = "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore"
TRADE_NAMES = "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker,is_best_match"
NAMES = {"ohlcv": BAR_NAMES.split(","), "trades": TRADE_NAMES.split(",")}
TAKEN = {
    "ohlcv": {"open_time": "time", **{name: name for name in FIELDS}},
    "trades": {
        "transact_time": "time",
        "agg_trade_id": "id",
        "price": "price",
        "quantity": "amount",
        "is_buyer_maker": "is_buyer_maker",
    },
}
INTEGERS = ("open_time", "transact_time", "agg_trade_id")
# Times of spot files are in us from 2025 on, all others in ms: 1e14 ms is the year 5138, 1e14 us is 1973.
MICROSECONDS = 10**14


@dataclass(frozen=True)
class ArchiveFile:
    """One zip of the archive.

    Parameters
    ----------
    path : str
        Path below the source.
    start, stop : int
        First ms of its day or month, and first ms after it, since 1970.
    """

    path: str
    start: int
    stop: int


class Archive(Shown):
    """Daily and monthly files of Binance spot and USD-M futures.

    Parameters
    ----------
    source : str or Path
        ``"public"`` for Binance's own archive, the address of another, or a folder with the same layout below ``data/``.
    attempts : int
        Downloads of one file that may fail before the error is raised.
    wait : float
        Seconds before the second attempt; the wait doubles with every attempt.
    timeout : float
        Seconds to wait for an answer.
    stopped : Event, optional
        Once it is set, the next download raises ``Stopped``.

    Raises
    ------
    ConfigError
        If the source is neither an address nor an existing folder.

    Notes
    -----
    Files lie below the address or folder as follows, each with a file ``NAME.zip.CHECKSUM`` that says ``SHA256  NAME.zip``::

        data/spot/daily/klines/BTCUSDT/1m/BTCUSDT-1m-2024-01-31.zip
        data/spot/monthly/klines/BTCUSDT/1m/BTCUSDT-1m-2024-01.zip
        data/spot/daily/aggTrades/BTCUSDT/BTCUSDT-aggTrades-2024-01-31.zip

    and those of perpetual swaps at ``data/futures/um/`` instead of ``data/spot/``. For trades, only daily files are read. A zip
    holds one CSV of the same name, with or without a header, with the columns of ``BAR_NAMES`` or ``TRADE_NAMES``, times in ms or
    us.

    Examples
    --------
    >>> import foreshock as fs
    >>> key = fs.SeriesKey("binance", "spot", "BTC/USDT", "ohlcv", "1m")
    >>> [file.path.split("/")[-1] for file in fs.Archive().files(key, 1_706_659_200_000, 1_706_832_000_000)]
    ['BTCUSDT-1m-2024-01-31.zip', 'BTCUSDT-1m-2024-02-01.zip']
    """

    def __init__(
        self,
        source: str | Path = PUBLIC,
        attempts: int = 4,
        wait: float = 1.0,
        timeout: float = 30.0,
        stopped: threading.Event | None = None,
    ) -> None:
        self.attempts, self.wait, self.timeout = attempts, wait, timeout
        self.stopped = stopped or threading.Event()
        if not isinstance(source, str | os.PathLike):
            raise ConfigError(f"archive must be {PUBLIC}, an address that begins with http, or a folder, got {shown(source)}")
        source = PUBLIC_URL if source == PUBLIC else source
        scheme = urlsplit(source).scheme if isinstance(source, str) else ""
        self.url = source.rstrip("/") if isinstance(source, str) and scheme in ("http", "https") else None
        self.folder = None if self.url else Path(source)
        if self.folder and not (str(source) and self.folder.is_dir()):
            raise ConfigError(
                f"archive must be {PUBLIC}, an address that begins with http, or a folder that is there, got {source or 'none'}"
            )

    def check(self, key: SeriesKey) -> None:
        """Refuse a series that the archive cannot have.

        Raises
        ------
        ConfigError
            If the archive has no such exchange, market, kind, timeframe or form of symbol.
        """
        check_type("key", key, SeriesKey, "make one with fs.SeriesKey")
        if key.exchange not in EXCHANGES:
            raise ConfigError(f"the archive is Binance's, got {key.exchange}; fetch from the exchange instead")
        if key.kind == "ohlcv" and key.timeframe not in TIMEFRAMES:
            raise ConfigError(f"the archive has the timeframes {', '.join(TIMEFRAMES)}, got {key.timeframe}; leave it out")
        if key.kind not in TAKEN or (key.timeframe == "1s" and key.market != "spot"):
            what = " ".join(filter(None, (key.kind, key.timeframe)))
            raise ConfigError(f"the archive has no {what} of the {key.market} market; fetch from the exchange instead")
        _name(key)

    def files(self, key: SeriesKey, start: int, stop: int) -> Iterator[ArchiveFile]:
        """The daily files of ``[start, stop)``, epoch ms; for a complete month, ``pages`` tries the monthly file first."""
        check_integer("start", start)
        check_type("key", key, SeriesKey, "make one with fs.SeriesKey")
        for first, last, _ in _spans("D", start, stop):
            yield _file(key, "daily", first, last)

    def pages(self, key: SeriesKey, start: int, stop: int) -> Iterator[tuple[pa.Table, int, int]]:
        """Rows of ``[start, stop)`` and the range that they cover, in the order of time.

        A file that the archive does not have is skipped, and the range is cut where a bar or a trade id is missing in a file, so
        that no range claims data that were not seen. A month of bars is skipped entirely if neither its monthly file nor the file
        of its last day exists.

        Raises
        ------
        ConfigError
            If the archive has no such series.
        DataError
            If a file is truncated, fails its checksum, or its content does not fit its name.
        ExchangeError
            If the archive does not answer.
        """
        check_integer("start", start)
        check_type("key", key, SeriesKey, "make one with fs.SeriesKey")
        self.check(key)
        begun: pa.Table | None = None
        for table in self._tables(key, start, stop):
            if key.kind == "ohlcv":
                runs = _bar_runs(key, table)
            else:
                runs, begun = _trade_runs(table, begun)
            for first, last, rows in runs:
                inside = max(first, start), min(last, stop)
                if inside[0] < inside[1]:
                    edges = np.searchsorted(rows["time"].to_numpy(), inside)
                    yield rows.slice(edges[0], edges[1] - edges[0]), *inside

    def fill(
        self, store: Store, key: SeriesKey, start: int, stop: int, on_page: Callable[[int, int], None] = lambda _rows, _ms: None
    ) -> list[Range]:
        """Write what the store lacks and the archive has into the store; returns the ranges that are still missing.

        Parameters
        ----------
        store : Store
            Store to fill.
        key : SeriesKey
            Series to fetch.
        start, stop : int
            Half-open range, epoch ms.
        on_page : callable
            Called with the number of rows and of milliseconds of each range that was found.
        """
        check_type("store", store, Store, "make one with fs.Store")
        check_type("key", key, SeriesKey, "make one with fs.SeriesKey")
        self.check(key)
        with store.writer(key, n_rows=2_000_000) as writer:
            for first, last in store.missing(key, start, stop):
                for table, begin, end in self.pages(key, first, last):
                    writer.write(table, begin, end)
                    on_page(len(table), end - begin)
        return store.missing(key, start, stop)

    def _tables(self, key: SeriesKey, start: int, stop: int) -> Iterator[pa.Table]:
        for first, last, whole in _spans("M", start, stop):
            # A month of trades is several GB, so trades are read by the day.
            if whole and key.kind == "ohlcv" and (table := self._table(key, _file(key, "monthly", first, last))) is not None:
                yield table
                continue
            days = list(self.files(key, max(first, start), min(last, stop)))
            newest = self._table(key, days[-1]) if whole and key.kind == "ohlcv" else None
            if whole and key.kind == "ohlcv" and newest is None:
                # Before a listing neither file exists; if only these two are missing, the exchange has the data.
                continue
            for day in days if newest is None else days[:-1]:
                if (table := self._table(key, day)) is not None:
                    yield table
            if newest is not None:
                yield newest

    def _table(self, key: SeriesKey, file: ArchiveFile) -> pa.Table | None:
        """Rows of a file, None if the archive does not have it."""
        content = self._get(file.path)
        if content is None:
            return None
        checksum = self._get(file.path + ".CHECKSUM")
        name = file.path.rsplit("/", 1)[1]
        if checksum is None:
            raise DataError(f"{name} has no {name}.CHECKSUM next to it; it cannot be trusted, fetch from the exchange instead")
        expected = checksum.decode("ascii", "replace").split()
        got = hashlib.sha256(content).hexdigest()
        if len(expected) != 2 or expected[1].lstrip("*") != name or expected[0].lower() != got:
            wanted = " ".join(expected)[:120] or "nothing"
            raise DataError(
                f"{name} fails its checksum: its SHA-256 is {got}, {name}.CHECKSUM says {wanted}; it is truncated or was changed, "
                "download it again or fetch from the exchange instead"
            )
        return read_archive_zip(key, content, file)

    def _get(self, path: str) -> bytes | None:
        if self.folder is not None:
            file = self.folder / path
            return file.read_bytes() if file.is_file() else None
        address = f"{self.url}/{quote(path)}"
        reason: object = None
        for attempt in range(self.attempts):
            if self.stopped.wait(self.wait * 2 ** (attempt - 1)) if attempt else self.stopped.is_set():
                raise Stopped("the fetch was stopped; what has arrived is kept")
            try:
                with urllib.request.urlopen(address, timeout=self.timeout) as answer:
                    return answer.read()
            except urllib.error.HTTPError as error:
                if error.code == 404:
                    return None
                reason = f"HTTP {error.code} {error.reason}"
                if error.code in (403, 451):
                    break
            except (OSError, http.client.HTTPException, ValueError) as error:
                reason = getattr(error, "reason", None) or error or type(error).__name__
        raise ExchangeError(f"the archive did not return {address}: {reason}; try again later, or fetch from the exchange instead")

    def _facts(self) -> Iterator[str]:
        yield shown(self.url or str(self.folder))


def read_archive_zip(key: SeriesKey, content: bytes, file: ArchiveFile) -> pa.Table:
    """Rows of one zip with the columns of the store, sorted, times in ms; see ``Archive.pages``."""
    name = file.path.rsplit("/", 1)[1]
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            inside = archive.namelist()
            if inside != [name.replace(".zip", ".csv")]:
                raise DataError(
                    f"{name} must hold {name.replace('.zip', '.csv')} alone, got {', '.join(inside)[:120] or 'nothing'}"
                )
            text = archive.read(inside[0])
        table = _parse(key, text)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, pa.ArrowException, ValueError, LookupError) as error:
        if isinstance(error, DataError):
            raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:160]
        raise DataError(f"{name} cannot be read: {reason}; it is damaged, fetch from the exchange instead") from error
    times = table["time"].to_numpy()
    if len(times) and not (file.start <= times.min() and times.max() < file.stop):
        outside = times[(times < file.start) | (times >= file.stop)]
        raise DataError(
            f"{name} must hold times of its own period, got {outside[0]} ms and {len(outside) - 1} more; it is a different file"
        )
    identity = table["id" if key.kind == "trades" else "time"].to_numpy()
    table = table if (np.diff(identity) > 0).all() else table.take(np.unique(identity, return_index=True)[1])
    if (np.diff(table["time"].to_numpy()) < 0).any():
        raise DataError(f"{name} holds trades whose times fall while their ids rise; fetch from the exchange instead")
    _check_rows(key, name, table)
    return table


def _check_rows(key: SeriesKey, name: str, table: pa.Table) -> None:
    """Refuse a file with bars of another timeframe, or with values that no market can have."""
    columns = {column: table[column].to_numpy() for column in table.column_names if column != "side"}
    time = columns["time"]
    if key.kind == "ohlcv":
        # Every timeframe of the archive divides a day.
        off = time % key.step_ms != 0
        if off.any():
            raise DataError(
                f"{name} must hold bars of {key.timeframe}, got one that opens at {minute(time[off][0])}, {int(off.sum())} such; "
                "its bars are of another timeframe, fetch from the exchange instead"
            )
        if len(time) > 1 and np.diff(time).min() > key.step_ms:
            raise DataError(
                f"{name} must hold bars of {key.timeframe}, got none that follow each other, the first at {minute(time[0])} and "
                f"{minute(time[1])}; its bars are of another timeframe, fetch from the exchange instead"
            )
        found, what = impossible_bars(columns), "bar"
    else:
        found, what = impossible_amounts(columns, ("price", "amount")), "trade"
    if found is not None:
        row, fault = found
        raise DataError(f"{name} holds a {what} that cannot be, at {minute(time[row])}: {fault}; fetch from the exchange instead")


def _parse(key: SeriesKey, text: bytes) -> pa.Table:
    if not text.strip():
        # The file of a day without trades may be empty.
        text = ",".join(NAMES[key.kind]).encode() + b"\n"
    first = text[: text.find(b"\n") + 1 or None].decode("ascii").strip().split(",")
    has_header = not first[0].lstrip("-").isdigit()
    names = [name.strip() for name in first] if has_header else NAMES[key.kind][: len(first)]
    taken = TAKEN[key.kind]
    missing = [name for name in taken if name not in names]
    if missing or len(names) != len(first):
        raise ValueError(f"its columns are {', '.join(first)[:120]}, expected {', '.join(NAMES[key.kind])}")
    types = {name: pa.int64() if name in INTEGERS else pa.float64() for name in taken}
    types |= {"is_buyer_maker": pa.bool_()} if key.kind == "trades" else {}
    table = pyarrow.csv.read_csv(
        io.BytesIO(text),
        read_options=pyarrow.csv.ReadOptions(use_threads=False, column_names=names, skip_rows=int(has_header)),
        convert_options=pyarrow.csv.ConvertOptions(column_types=types, include_columns=list(taken), null_values=[""]),
    )
    if any(table[name].null_count for name in taken):
        raise ValueError("it has rows that lack a value")
    columns = {ours: table[theirs] for theirs, ours in taken.items()}
    stamps = table[next(iter(taken))].to_numpy()
    if len(stamps) and (stamps.min() < MICROSECONDS) != (stamps.max() < MICROSECONDS):
        raise ValueError("its times are in more than one unit")
    if len(stamps) and stamps.min() >= MICROSECONDS:
        stamps = stamps // 1_000
    columns["time"] = pa.array(stamps)
    if key.kind == "trades":
        # If the buyer was the maker, the taker sold.
        sold = columns.pop("is_buyer_maker").to_numpy()
        columns["side"] = pa.DictionaryArray.from_arrays(sold.astype(np.int8), pa.array(SIDES)).cast(SIDE_TYPE)
    return pa.table(columns)


def _bar_runs(key: SeriesKey, table: pa.Table) -> list[tuple[int, int, pa.Table]]:
    """Start, stop and rows of each run of bars that follow each other."""
    time = table["time"].to_numpy()
    edges = [0, *(np.flatnonzero(np.diff(time) != key.step_ms) + 1).tolist(), len(time)]
    return [(int(time[a]), int(time[b - 1]) + key.step_ms, table.slice(a, b - a)) for a, b in pairwise(edges) if a < b]


def _trade_runs(table: pa.Table, begun: pa.Table | None) -> tuple[list[tuple[int, int, pa.Table]], pa.Table | None]:
    """Start, stop and rows of each run of trades with consecutive ids, and the rows of the last millisecond of the last run.

    The ids of aggregate trades have no gaps, so the first id after a file or a day shows whether it is complete. Whether a run has
    all trades of its first and last millisecond is not known.
    """
    if not len(table):
        return [], begun
    table = table if begun is None else pa.concat_tables([begun, table])
    time = table["time"].to_numpy()
    edges = [0, *(np.flatnonzero(np.diff(table["id"].to_numpy()) != 1) + 1).tolist(), len(time)]
    runs = [(int(time[a]) + 1, int(time[b - 1]), table.slice(a, b - a)) for a, b in pairwise(edges)]
    if begun is not None:
        # The previous run ended where this millisecond begins.
        runs[0] = (int(time[0]), *runs[0][1:])
    return runs, table.slice(int(np.searchsorted(time, time[-1]))) if runs[-1][0] <= time[-1] else None


def _name(key: SeriesKey) -> str:
    """The symbol as Binance writes it."""
    base, _, quoted = key.symbol.partition("/")
    quoted, _, settled = quoted.partition(":")
    if not base or not quoted or settled != (quoted if key.market == "linear" else ""):
        form = "BTC/USDT:USDT" if key.market == "linear" else "BTC/USDT"
        raise ConfigError(f"the archive's {key.market} symbols are written {form}, got {key.symbol}")
    return base + quoted


def _file(key: SeriesKey, period: str, start: int, stop: int) -> ArchiveFile:
    symbol = _name(key)
    what = key.timeframe or "aggTrades"
    folder = f"klines/{symbol}/{what}" if key.kind == "ohlcv" else f"{what}/{symbol}"
    date = str(np.datetime64(start, "ms").astype(f"datetime64[{'D' if period == 'daily' else 'M'}]"))
    return ArchiveFile(f"{FOLDERS[key.market]}/{period}/{folder}/{symbol}-{what}-{date}.zip", start, stop)


def _spans(unit: str, start: int, stop: int) -> Iterator[tuple[int, int, bool]]:
    """Start and stop of each month or day that the range overlaps, and whether it lies entirely in the range."""
    first = np.datetime64(start, "ms").astype(f"datetime64[{unit}]")
    while (begin := int(first.astype("datetime64[ms]").astype(np.int64))) < stop:
        first = first + 1
        end = int(first.astype("datetime64[ms]").astype(np.int64))
        yield begin, end, start <= begin and end <= stop
