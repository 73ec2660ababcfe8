"""Binance's bulk archive: zipped CSV files of a day or a month, each with a checksum.

Rows that a file lacks do not count as known to be absent: only the time between consecutive bars, or trades, is covered. The rest
stays missing, to be fetched from the exchange itself.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import threading
import urllib.error
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from time import time
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.csv

from foreshock.data.checks import check_integer, check_number, check_path, check_type
from foreshock.data.doors.door import door
from foreshock.data.doors.kinds import ANYTHING
from foreshock.data.errors import ConfigError, DataError, ExchangeError
from foreshock.data.exchange.addresses import is_address, masked, split_login
from foreshock.data.exchange.agreement import Fault
from foreshock.data.exchange.answers import Late, Stop, TooLarge, download
from foreshock.data.exchange.archive_file import FOLDERS, TAKEN, ArchiveFile, archive_file, archive_name, read_archive_zip
from foreshock.data.exchange.patience import Stopped
from foreshock.data.show.facts import Shown
from foreshock.data.show.shown import shown
from foreshock.data.store.journal import Note, notes_of
from foreshock.data.store.series import Range, SeriesKey
from foreshock.data.store.store import Store

# The largest files have a day of trades, some 150 MB.
LARGEST_ZIP = 1_000_000_000
PUBLIC = "public"
PUBLIC_URL = "https://data.binance.vision"
EXCHANGES = ("binance", "binanceusdm")
TIMEFRAMES = ("1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d")


@door(source=ANYTHING)
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
        if not isinstance(source, str | os.PathLike):
            raise ConfigError(f"archive must be {PUBLIC}, an address that begins with http, or a folder, got {shown(source)}")
        check_path("source", source)
        check_integer("attempts", attempts)
        check_number("wait", wait)
        check_number("timeout", timeout)
        if stopped is not None:
            check_type("stopped", stopped, threading.Event, "leave it out")
        self.attempts, self.wait, self.timeout = attempts, wait, timeout
        self.stopped = stopped or Stop()
        source = PUBLIC_URL if source == PUBLIC else source
        url, self._login = None, None
        if isinstance(source, str) and source.lower().startswith(("http://", "https://")):
            if not is_address(source):
                raise ConfigError(f"archive must be an address that names a host, got {shown(masked(source))}; correct it")
            url, self._login = split_login(source.rstrip("/"))
        self.url = url
        self.folder = None if self.url else Path(source)
        if self.folder and not (str(source) and self.folder.is_dir()):
            got = masked(str(source)) if source else "none"
            raise ConfigError(f"archive must be {PUBLIC}, an address that begins with http, or a folder that is there, got {got}")

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
        if key.market not in FOLDERS:
            raise ConfigError(f"the archive is read for spot and linear markets, got {key.market}; fetch from the exchange instead")
        if key.kind == "ohlcv" and key.timeframe not in TIMEFRAMES:
            raise ConfigError(f"the archive has the timeframes {', '.join(TIMEFRAMES)}, got {key.timeframe}; leave it out")
        if key.kind not in TAKEN or (key.timeframe == "1s" and key.market != "spot"):
            what = " ".join(filter(None, (key.kind, key.timeframe)))
            raise ConfigError(f"the archive has no {what} of the {key.market} market; fetch from the exchange instead")
        archive_name(key)

    def files(self, key: SeriesKey, start: int, stop: int) -> Iterator[ArchiveFile]:
        """The daily files of ``[start, stop)``, epoch ms; for a complete month, ``pages`` tries the monthly file first."""
        check_integer("stop", stop)
        check_integer("start", start)
        check_type("key", key, SeriesKey, "make one with fs.SeriesKey")
        for first, last, _ in _spans("D", start, stop):
            yield archive_file(key, "daily", first, last)

    def pages(self, key: SeriesKey, start: int, stop: int) -> Iterator[tuple[pa.Table, int, int]]:
        """Rows of ``[start, stop)`` and the range that they cover, in the order of time.

        A file that the archive does not have is skipped, and the range is cut where a bar or a trade id is missing in a file, or
        cannot be, so that no range claims data that were not seen. Trades with a price or an amount of 0 are left out. A month of
        bars is skipped entirely if neither its monthly file nor the file of its last day exists.

        Raises
        ------
        ConfigError
            If the archive has no such series.
        DataError
            If a file is truncated, fails its checksum, or its content does not fit its name.
        ExchangeError
            If the archive does not answer.
        """
        check_integer("stop", stop)
        check_integer("start", start)
        check_type("key", key, SeriesKey, "make one with fs.SeriesKey")
        self.check(key)
        for page in self._pages(key, start, stop):
            yield page[:3]

    def _pages(self, key: SeriesKey, start: int, stop: int) -> Iterator[tuple[pa.Table, int, int, list[Fault]]]:
        """``pages``, with the rows of the range that cannot be, or are nothing, beside the first page of their file."""
        begun: pa.Table | None = None
        for table, faults in self._tables(key, start, stop):
            told = [fault for fault in faults if start <= fault.time < stop]
            if key.kind == "ohlcv":
                runs = _bar_runs(key, table)
            else:
                runs, begun = _trade_runs(table, begun)
            for first, last, rows in runs:
                inside = max(first, start), min(last, stop)
                if inside[0] < inside[1]:
                    edges = np.searchsorted(rows["time"].to_numpy(), inside)
                    yield _real(key, rows.slice(edges[0], edges[1] - edges[0])), *inside, told
                    told = []
            if told:
                yield table.slice(0, 0), start, start, told

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
        notes: list[Note] = []
        with store.writer(key, n_rows=2_000_000) as writer:
            for first, last in store.missing(key, start, stop):
                for table, begin, end, faults in self._pages(key, first, last):
                    notes += notes_of(faults, int(time() * 1000))
                    if begin < end:
                        writer.write(table, begin, end)
                        on_page(len(table), end - begin)
        store.add_notes(key, notes)
        return store.missing(key, start, stop)

    def _tables(self, key: SeriesKey, start: int, stop: int) -> Iterator[tuple[pa.Table, list[Fault]]]:
        for first, last, whole in _spans("M", start, stop):
            # A month of trades is several GB, so trades are read by the day.
            if whole and key.kind == "ohlcv" and (table := self._table(key, archive_file(key, "monthly", first, last))) is not None:
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

    def _table(self, key: SeriesKey, file: ArchiveFile) -> tuple[pa.Table, list[Fault]] | None:
        """Rows of a file and those that cannot be, None if the archive does not have it."""
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
                return download(address, self.stopped, self.timeout, LARGEST_ZIP, self._login)
            except urllib.error.HTTPError as error:
                if error.code == 404:
                    return None
                reason = f"HTTP {error.code} {error.reason}"
                if error.code in (403, 451):
                    break
            except Late:
                reason = "the answer did not end in time"
            except TooLarge as error:
                reason = error
                break
            except (OSError, http.client.HTTPException, ValueError) as error:
                reason = getattr(error, "reason", None) or error or type(error).__name__
        raise ExchangeError(f"the archive did not return {address}: {reason}; try again later, or fetch from the exchange instead")

    def _facts(self) -> Iterator[str]:
        yield shown(self.url or str(self.folder))


def _bar_runs(key: SeriesKey, table: pa.Table) -> list[tuple[int, int, pa.Table]]:
    """Start, stop and rows of each run of bars that follow each other."""
    time = table["time"].to_numpy()
    edges = [0, *(np.flatnonzero(np.diff(time) != key.step_ms) + 1).tolist(), len(time)]
    return [(int(time[a]), int(time[b - 1]) + key.step_ms, table.slice(a, b - a)) for a, b in pairwise(edges) if a < b]


def _real(key: SeriesKey, rows: pa.Table) -> pa.Table:
    """The rows without trades that stand for nothing."""
    if key.kind != "trades":
        return rows
    real = (rows["price"].to_numpy() > 0) & (rows["amount"].to_numpy() > 0)
    return rows if real.all() else rows.filter(pa.array(real))


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


def _spans(unit: str, start: int, stop: int) -> Iterator[tuple[int, int, bool]]:
    """Start and stop of each month or day that the range overlaps, and whether it lies entirely in the range."""
    first = np.datetime64(start, "ms").astype(f"datetime64[{unit}]")
    while (begin := int(first.astype("datetime64[ms]").astype(np.int64))) < stop:
        first = first + 1
        end = int(first.astype("datetime64[ms]").astype(np.int64))
        yield begin, end, start <= begin and end <= stop
