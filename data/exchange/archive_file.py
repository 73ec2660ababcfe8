"""One file of Binance's bulk archive: its name, and the rows that its zip holds."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.csv

from foreshock.data.bars import FIELDS
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.exchange.agreement import Fault
from foreshock.data.possible import impossible_amounts, impossible_bars, possible_amounts, possible_bars
from foreshock.data.reading.limits import unpacked
from foreshock.data.store.series import SIDE_TYPE, SIDES, SeriesKey, minute

FOLDERS = {"spot": "data/spot", "linear": "data/futures/um"}
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


def read_archive_zip(key: SeriesKey, content: bytes, file: ArchiveFile) -> tuple[pa.Table, list[Fault]]:
    """Rows of one zip with the columns of the store, sorted, times in ms, and those that cannot be; see ``Archive.pages``.

    Trades that stand for nothing are among both, so that their ids are not missing.
    """
    name = file.path.rsplit("/", 1)[1]
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            inside = archive.namelist()
            if inside != [name.replace(".zip", ".csv")]:
                raise DataError(
                    f"{name} must hold {name.replace('.zip', '.csv')} alone, got {', '.join(inside)[:120] or 'nothing'}"
                )
            with archive.open(inside[0]) as packed:
                text = unpacked(packed, len(content))  # type: ignore[arg-type]
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
    return _checked_rows(key, name, table)


def _checked_rows(key: SeriesKey, name: str, table: pa.Table) -> tuple[pa.Table, list[Fault]]:
    """The table without rows that no market can have, and these; a file whose rows are mostly such is refused as a whole."""
    columns = {column: table[column].to_numpy() for column in table.column_names if column != "side"}
    time = columns["time"]
    if key.kind == "ohlcv":
        # Every timeframe of the archive divides a day.
        off, steps = time % key.step_ms != 0, np.diff(time)
        # Binance has two days whose bars open off the hour, which are bars of an hour all the same.
        if off.any() and len(steps) and np.median(steps) < key.step_ms:
            raise DataError(
                f"{name} must hold bars of {key.timeframe}, got one that opens at {minute(time[off][0])}, {int(off.sum())} such; "
                "its bars are of another timeframe, fetch from the exchange instead"
            )
        if len(steps) and steps.min() > key.step_ms:
            raise DataError(
                f"{name} must hold bars of {key.timeframe}, got none that follow each other, the first at {minute(time[0])} and "
                f"{minute(time[1])}; its bars are of another timeframe, fetch from the exchange instead"
            )
        good, what = ~off & possible_bars(columns), "bar"
    else:
        good, what = possible_amounts(columns["price"]) & possible_amounts(columns["amount"]), "trade"
    faults = []
    for row in np.flatnonzero(~good).tolist():
        one = {column: values[row : row + 1] for column, values in columns.items()}
        found = impossible_bars(one) if key.kind == "ohlcv" else impossible_amounts(one, ("price", "amount"))
        reason = found[1] if found else "it does not open at a multiple of its length"
        faults.append(Fault(int(time[row]), f"{name}: {reason}", str([values[0].item() for values in one.values()])))
    n_impossible = sum(not fault.reason.endswith("length") for fault in faults)
    if 2 * n_impossible > len(time):
        first = faults[0]
        raise DataError(
            f"{name} holds a {what} that cannot be, at {minute(first.time)}: {first.reason.partition(': ')[2]}, and "
            f"{len(faults) - 1} more of {len(time)}; fetch from the exchange instead"
        )
    if key.kind == "trades":
        for row in np.flatnonzero(good & ((columns["price"] == 0) | (columns["amount"] == 0))).tolist():
            price, amount, id_ = (columns[column][row] for column in ("price", "amount", "id"))
            text = str([int(time[row]), int(id_), float(price), float(amount)])
            faults.append(Fault(int(time[row]), f"its price is {price:.15g} and its amount {amount:.15g}", text, True))
    return table if good.all() else table.filter(pa.array(good)), faults


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


def archive_name(key: SeriesKey) -> str:
    """The symbol as Binance writes it."""
    base, _, quoted = key.symbol.partition("/")
    quoted, _, settled = quoted.partition(":")
    if not base or not quoted or settled != (quoted if key.market == "linear" else ""):
        form = "BTC/USDT:USDT" if key.market == "linear" else "BTC/USDT"
        raise ConfigError(f"the archive's {key.market} symbols are written {form}, got {key.symbol}")
    return base + quoted


def archive_file(key: SeriesKey, period: str, start: int, stop: int) -> ArchiveFile:
    symbol = archive_name(key)
    what = key.timeframe or "aggTrades"
    folder = f"klines/{symbol}/{what}" if key.kind == "ohlcv" else f"{what}/{symbol}"
    date = str(np.datetime64(start, "ms").astype(f"datetime64[{'D' if period == 'daily' else 'M'}]"))
    return ArchiveFile(f"{FOLDERS[key.market]}/{period}/{folder}/{symbol}-{what}-{date}.zip", start, stop)
