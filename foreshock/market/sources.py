"""The source of a study file: bars, windows of trades, order books or ready features, by the keys of its data or source section."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pandas as pd

from foreshock.data.bars import Bars
from foreshock.data.books.orderbook import Book, read_book
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.files import naming, read_bars
from foreshock.data.interval import parse_instant
from foreshock.data.merge import merge_exchanges
from foreshock.data.reading.kinds import Kinds, lowered, refuse_doubled, text_of
from foreshock.data.reading.rows import read_rows
from foreshock.data.show.shown import few, shown
from foreshock.data.store.store import Store
from foreshock.data.tables import TIME_NAMES, parse_times
from foreshock.data.trades.merge import merge_trades
from foreshock.data.trades.trades import Trades
from foreshock.engine.features.features import Features
from foreshock.engine.sources.bars import BarSource
from foreshock.engine.sources.books import BookSource
from foreshock.engine.sources.given import FeatureSource
from foreshock.engine.sources.source import Source
from foreshock.engine.sources.windows import WindowSource
from foreshock.market.folders import FileName, books_of, trades_of
from foreshock.market.history import load_bars, load_trades

if TYPE_CHECKING:
    from foreshock.study.config import StudyConfig
    from foreshock.study.keys.source import SourceConfig

STORE, TRADES = "store", "trades"
ENDINGS = (".parquet", ".pq", ".feather", ".arrow", ".csv", ".csv.gz", ".csv.zip", ".zip")
One = TypeVar("One", Trades, Book)


def open_source(config: StudyConfig, name: str, folder: Path, data: Path | None = None) -> Bars | Source:
    """The bars of a data section, or the source of a source section.

    Parameters
    ----------
    config : StudyConfig
        The study.
    name : str
        Name of the study file, for messages.
    folder : Path
        Folder that paths are relative to.
    data : Path, optional
        File or folder to read instead of the study's own path.

    Raises
    ------
    ConfigError
        If a key is missing, or a key does not belong to the kind of the source.
    DataError
        If the data cannot be read, or hold nothing of what is asked for.
    """
    wanted = config.source
    if wanted is None:
        section = config.data
        if data is None and section.path is None:
            raise ConfigError(f"no data: {name} has no key 'data.path'; add it, or pass --data PATH")
        bars = read_bars(data or folder / str(section.path), section.interval)
        bars = bars.select(section.names) if section.names else bars
        return bars.between(section.start, section.end)
    path = data or (folder / wanted.path if wanted.path is not None else None)
    if path is None and wanted.origin != STORE:
        raise ConfigError(f"no data: {name} has no key 'source.path'; add it, or pass --data PATH")
    prices = read_bars(folder / wanted.prices) if wanted.prices is not None else None
    if wanted.kind == "windows":
        return WindowSource(_trades(wanted, path), wanted.interval or "20s", config.features, silence=wanted.silence or "1D")
    if wanted.kind == "book":
        return _books(wanted, _required(path), config.features, prices)
    if wanted.kind == "features":
        if prices is None:
            raise ConfigError(
                f"key 'source.prices' is missing in {name}: features need the bars that belong to them; add their path"
            )
        return _given(wanted, _required(path), config.features, prices)
    bars = _stored(wanted) if wanted.origin == STORE else _bars(wanted, _required(path))
    return BarSource(bars, config.features) if config.features else BarSource(bars)


def _required(path: Path | None) -> Path:
    if path is None:
        raise ConfigError(f"source.from = {STORE!r} is for bars; set source.path for the other kinds")
    return path


def _bars(wanted: SourceConfig, path: Path) -> Bars:
    if wanted.origin == TRADES:
        source = WindowSource(_trades(wanted, path), wanted.interval or "1h")
        # A window without a trade is a bar without trades, as exchanges have it: its price stays, and its volume is 0.
        return source.bars
    bars = read_bars(path, wanted.interval)
    return (bars.select(wanted.names) if wanted.names else bars).between(wanted.start, wanted.end)


def _stored(wanted: SourceConfig) -> Bars:
    """Bars from the store; of several exchanges as one market, or each symbol by its exchange."""
    exchanges = [wanted.exchange] if isinstance(wanted.exchange, str) else list(wanted.exchange or ["binance"])
    if not wanted.symbols:
        raise ConfigError("key 'source.symbols' is missing: bars of the store go by symbol; add it, such as ['BTC/USDT']")
    step = wanted.interval or "1h"
    found = {
        exchange: load_bars(
            wanted.names or _all_stored(exchange, step, wanted), exchange, step, wanted.start, wanted.end, progress=True
        )
        for exchange in exchanges
    }
    if len(found) == 1:
        return found[exchanges[0]]
    if wanted.merge:
        return merged_bars(found)
    frames = [
        bars.to_frame().assign(symbol=lambda frame, e=exchange: e + ":" + frame["symbol"]) for exchange, bars in found.items()
    ]
    return Bars.from_frame(pd.concat(frames, ignore_index=True).sort_values("time", kind="stable"), wanted.interval or "1h")


def _all_stored(exchange: str, step: str, wanted: SourceConfig) -> list[str]:
    """Every spot symbol of an exchange of which the store has bars in the time of the study, from which a universe chooses."""
    first, last = (
        None if one is None else int(parse_instant(one, name).astype("datetime64[ms]").astype(np.int64))
        for one, name in ((wanted.start, "start"), (wanted.end, "end"))
    )
    store, found = Store.default(), []
    stored = store.keys()
    for key in stored:
        if (key.exchange, key.market, key.kind, key.timeframe) != (exchange, "spot", "ohlcv", step):
            continue
        if any(part.num_rows for part in store.parts(key, first, last)):
            found.append(key.symbol)
    if not found:
        raise DataError(
            f"the store has no {step} bars of {exchange} from which a universe could be chosen; fetch those of all symbols first"
        )
    return found


def merged_bars(found: Mapping[str, Bars]) -> Bars:
    """Bars of one market from those of several exchanges; see ``fs.merge_exchanges``."""
    return merge_exchanges(found)


def _trades(wanted: SourceConfig, path: Path | None) -> dict[str, Trades]:
    """Trades by symbol, from files or from the store; of several exchanges as one market, or each symbol by its exchange."""
    exchanges = [wanted.exchange] if isinstance(wanted.exchange, str) else list(wanted.exchange or [])
    if path is None:
        found = {exchange: _stored_trades(wanted, exchange) for exchange in exchanges or ["binance"]}
    elif not exchanges:
        return _of_symbols(trades_of(path), wanted)
    else:
        places = {exchange: _place_of(path, exchange, len(exchanges) == 1) for exchange in exchanges}
        found = {exchange: trades_of(place) for exchange, place in places.items()}
        name = wanted.names[0] if wanted.names and len(wanted.names) == 1 else None
        if name and all(_may_be_called(own, name) for own in found.values()):
            # The one market of each exchange goes by the name that the study gives it.
            found = {exchange: {name: next(iter(own.values()))} for exchange, own in found.items()}
    if len(found) == 1:
        return _of_symbols(next(iter(found.values())), wanted)
    if not wanted.merge:
        names = wanted.names or list(dict.fromkeys(symbol for own in found.values() for symbol in own))
        beside = {f"{exchange}:{symbol}": own[symbol] for exchange, own in found.items() for symbol in names if symbol in own}
        missing = [symbol for symbol in names if not any(symbol in own for own in found.values())]
        if missing:
            raise DataError(f"no such symbol on any exchange: {few(missing)}; the data have {few(beside, 5)}")
        return _in_time(beside, wanted)
    by_symbol: dict[str, dict[str, Trades]] = {}
    for exchange, own in found.items():
        for symbol, one in own.items():
            by_symbol.setdefault(symbol, {})[exchange] = one
    if all(len(venues) == 1 for venues in by_symbol.values()):
        raise DataError(
            f"no symbol is on two of the exchanges {few(found, 5)}, got {few(by_symbol, 5)}; name their files alike, or set "
            f"source.symbols"
        )
    return _of_symbols({symbol: merge_trades(venues) for symbol, venues in by_symbol.items()}, wanted)


def _stored_trades(wanted: SourceConfig, exchange: str) -> dict[str, Trades]:
    if not wanted.names:
        raise ConfigError("key 'source.symbols' is missing: trades of the store go by symbol; add it, such as ['BTC/USDT']")
    return {symbol: load_trades(symbol, exchange, wanted.start, wanted.end, progress=True) for symbol in wanted.names}


def _place_of(path: Path, exchange: str, alone: bool) -> Path:
    """The folder or the file of an exchange in a folder; of the only exchange, the path itself where there is none."""
    places = [path / exchange, *(path / f"{exchange}{ending}" for ending in ENDINGS)]
    place = next((place for place in places if place.exists()), path if alone else None)
    if place is None:
        raise DataError(f"{path} holds no folder and no file of {exchange}; put the trades of each exchange into one of its name")
    return place


def _books(wanted: SourceConfig, path: Path, features: list[str] | None, prices: Bars | None) -> BookSource:
    def read(file: Path) -> dict[str, Book]:
        return {"": read_book(file, wanted.interval, partial=True, start=wanted.first_row)}

    books = _of_symbols(books_of(path, read), wanted)
    if prices is not None and len(books) == 1 and wanted.names and len(wanted.names) == 1:
        books = {wanted.names[0]: next(iter(books.values()))}
    return BookSource(books, features, wanted.price, prices)


def _given(wanted: SourceConfig, path: Path, features: list[str] | None, prices: Bars) -> FeatureSource:
    # A column of any other name is of the kind that its values show.
    frame = read_rows(path, Kinds(TIME_NAMES, (), ("symbol",)), "features")
    with naming(path):
        found = features_of(frame, prices, features)
    bars = prices.select(wanted.names) if wanted.names else prices
    if wanted.names:
        found = replace(
            found, symbols=bars.symbols, values=found.values[:, [found.symbols.index(name) for name in bars.symbols]].copy()
        )
    rows = slice(*np.searchsorted(bars.time, _span(bars, wanted)))
    return FeatureSource(found.rows(rows), bars.rows(rows))


def _span(bars: Bars, wanted: SourceConfig) -> list[np.datetime64]:
    first = parse_instant(wanted.start, "start") if wanted.start else bars.time[0]
    last = parse_instant(wanted.end, "end") if wanted.end else bars.time[-1] + bars.interval
    return [first, last]


def features_of(frame: pd.DataFrame, bars: Bars, names: list[str] | None = None) -> Features:
    """Features of a long table, one row for each time and symbol, on the rows and symbols of bars; NaN where the table has no row.

    Parameters
    ----------
    frame : DataFrame
        A time column (``ts time timestamp date datetime open_time``), ``symbol`` unless the bars have one symbol, and a column of
        numbers for each feature. A time is the open of the bar at whose close the features are known.
    bars : Bars
        The bars.
    names : list of str, optional
        Columns to use; by default all columns of numbers.

    Raises
    ------
    DataError
        If the table has no time, no feature, a symbol or time that the bars do not have, or a row twice.
    """
    refuse_doubled(frame.columns)
    # Features keep the case of their names.
    keys = (*TIME_NAMES, "symbol")
    frame = frame.set_axis([lowered(name) if lowered(name) in keys else str(name).strip() for name in frame.columns], axis=1)
    time_name = next((name for name in TIME_NAMES if name in frame.columns), None)
    if time_name is None:
        raise DataError(f"missing column: a time ({', '.join(TIME_NAMES)}); add it")
    own = frame.drop(columns=[name for name in keys if name in frame])
    numbers = [str(name) for name in own.columns if own[name].dtype.kind in "iufb"]
    for name in own.columns.difference([*numbers, *(names or ())], sort=False):
        _refuse_near_numbers(own[name])
    chosen = names or numbers
    missing = [name for name in chosen if name not in numbers]
    if missing or not chosen:
        raise DataError(f"no column of numbers: {few(missing) or 'any'}; the table has {few(numbers) or 'none'}")
    symbol = frame["symbol"].map(text_of).astype(str) if "symbol" in frame else pd.Series([bars.symbols[0]] * len(frame))
    if "symbol" not in frame and bars.n_symbols > 1:
        raise DataError("missing column: symbol, because the bars have several; add it")
    strangers = [name for name in dict.fromkeys(symbol) if name not in bars.symbols]
    if strangers:
        raise DataError(f"features of {few(strangers, 3)}, of which there are no bars; the bars have {few(bars.symbols, 3)}")
    time = parse_times(frame[time_name])
    row = np.searchsorted(bars.time, time)
    wrong = (row >= bars.n_bars) | (bars.time[np.minimum(row, bars.n_bars - 1)] != time)
    if wrong.any():
        raise DataError(f"features at {time[int(np.argmax(wrong))]}, where there is no bar ({int(wrong.sum())} such rows)")
    column = np.array([bars.symbols.index(name) for name in symbol])
    if pd.Series(row * bars.n_symbols + column).duplicated().any():
        raise DataError("a time and symbol stands twice in the table of features; keep one row of each")
    values = np.full((*bars.shape, len(chosen)), np.nan)
    values[row, column] = frame[chosen].to_numpy(float)
    return Features(bars.time, bars.symbols, tuple(chosen), values, bars.interval)


def _refuse_near_numbers(column: pd.Series) -> None:
    """Refuse a column most of whose values are numbers: with one word it would be one of text, and so no feature."""
    if column.dtype.kind in "mMc":
        return
    texts = column.dropna().astype(str)
    plain = texts.str.replace(",", ".", regex=False)
    if (pd.to_numeric(plain, errors="coerce").notna()).mean() > 0.5:
        wrong = texts[pd.to_numeric(texts, errors="coerce").isna()]
        got = f"{shown(wrong.iloc[0], 40)} in row {wrong.index[0]}" if len(wrong) else "text"
        raise DataError(f"column {column.name} must hold numbers, got {got}; correct it, or remove the column")


def _may_be_called(found: Mapping[str, object], name: str) -> bool:
    """Whether there is one market that goes by the name that a study gives it: its rows have none, or the same but for marks."""
    own = next(iter(found), "")
    return len(found) == 1 and (isinstance(own, FileName) or _bare(own) == _bare(name))


def _bare(name: str) -> str:
    return "".join(char for char in name.upper() if char.isalnum())


def _of_symbols(found: dict[str, One], wanted: SourceConfig) -> dict[str, One]:
    """The symbols and the time that a study wants."""
    if wanted.names:
        if len(wanted.names) == 1 and _may_be_called(found, wanted.names[0]):
            found = {wanted.names[0]: next(iter(found.values()))}
        missing = [name for name in wanted.names if name not in found]
        if missing:
            raise DataError(f"no such symbol: {few(missing)}; the data have {few(found, 5)}")
        found = {name: found[name] for name in wanted.names}
    return _in_time(found, wanted)


def _in_time(found: dict[str, One], wanted: SourceConfig) -> dict[str, One]:
    """What lies in the time that a study wants."""
    if wanted.start is None and wanted.end is None:
        return found
    kept = {}
    for name, one in found.items():
        first = parse_instant(wanted.start, "start") if wanted.start else one.time[0]
        last = parse_instant(wanted.end, "end") if wanted.end else one.time[-1] + np.timedelta64(1, "us")
        rows = slice(*(int(k) for k in np.searchsorted(one.time, [first, last])))
        if rows.start < rows.stop:
            kept[name] = one.rows(rows)
    if not kept:
        raise DataError(f"no data from {shown(wanted.start)} to {shown(wanted.end)}; widen the range")
    return kept
