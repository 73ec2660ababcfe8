"""Trades and books of a file, or of the files of a folder, by symbol."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd

from foreshock.data.books.orderbook import Book
from foreshock.data.errors import DataError
from foreshock.data.reading.folder import files_of, in_order, markets_of
from foreshock.data.reading.rows import stem_of
from foreshock.data.show.shown import few, shown
from foreshock.data.trades.trades import Trades, read_by_symbol

One = TypeVar("One", Trades, Book)


class FileName(str):
    """The name of a file whose rows do not say of which market they are."""


def trades_of(path: Path) -> dict[str, Trades]:
    """Trades of a file, or of the files of a folder, by symbol."""
    return _files(path, read_by_symbol, _join_trades)


def books_of(path: Path, read: Callable[[Path], dict[str, Book]]) -> dict[str, Book]:
    """Books of a file, or of the files of a folder, by symbol."""
    return _files(path, read, _join_books)


def _files(path: Path, read: Callable[[Path], dict[str, One]], join: Callable[[list[One]], One]) -> dict[str, One]:
    """What a file holds, or each file of a folder, by symbol; "" is one that the file does not name.

    Files of a folder that do not name their symbol, and whose names differ in dates or in a number at the end, are one market.
    """
    if not path.is_dir():
        return {symbol or FileName(stem_of(path)): one for symbol, one in read(path).items()}
    by_file = {file: read(file) for file in files_of(path)}
    named: dict[str, list[Path]] = {}
    for file, found in by_file.items():
        for symbol in found:
            named.setdefault(symbol, []).append(file)
    bare = named.pop("", [])
    out: dict[str, One] = {}
    for symbol, files in named.items():
        parts = [by_file[file][symbol] for file in in_order(path, {file: _span_of(by_file[file][symbol]) for file in files})]
        if not parts:
            raise DataError(f"{path} has {symbol} in {few([file.name for file in files])}, whose times overlap; keep one of them")
        out[symbol] = join(parts)
    for symbol, files in markets_of(bare).items():
        parts = [by_file[file][""] for file in in_order(path, {file: _span_of(by_file[file][""]) for file in files})]
        if parts:
            bare = [file for file in bare if file not in files]
            out |= _new(path, out, symbol or path.resolve().name, join(parts))
    for file in bare:
        out |= _new(path, out, stem_of(file), by_file[file][""])
    return dict(sorted(out.items()))


def _new(path: Path, out: Mapping[str, One], name: str, one: One) -> dict[str, One]:
    if name in out:
        raise DataError(f"{path} has {shown(name)} more than once: as the name of a file, and within one; keep one of them")
    return {FileName(name): one}


def _span_of(one: Trades | Book) -> tuple[np.datetime64, np.datetime64]:
    """The first and the last moment; trades of one moment may be the last of a file and the first of the next."""
    return one.time[0], one.time[-1] - np.timedelta64(int(isinstance(one, Trades)), "us")


def _join_trades(parts: list[Trades]) -> Trades:
    if len(parts) == 1:
        return parts[0]
    with_ids = all(one.ids is not None for one in parts)
    frames = [one.to_frame() for one in parts]
    return Trades.from_frame(pd.concat([frame if with_ids else frame.drop(columns="ids", errors="ignore") for frame in frames]))


def _join_books(parts: list[Book]) -> Book:
    return Book.join([replace(one, symbol=parts[0].symbol) for one in parts])
