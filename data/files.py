"""Bars from CSV, Parquet and Feather files."""

import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from foreshock.data.bars import Bars
from foreshock.data.checks import check_path
from foreshock.data.doors.door import door
from foreshock.data.doors.kinds import ANYTHING
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.interval import Duration
from foreshock.data.reading.folder import files_of, join
from foreshock.data.reading.kinds import Kinds
from foreshock.data.reading.named import names_of_columns, read_json, symbol_of
from foreshock.data.reading.rows import JSON, naming, read_rows, stem_of
from foreshock.data.show.shown import shown
from foreshock.data.tables import FIELDS, TIME_NAMES, bar_columns, bar_table

BARS = Kinds(times=TIME_NAMES, numbers=FIELDS, words=("symbol",))


@door(columns=ANYTHING)
def read_bars(path: str | Path, interval: Duration | None = None, columns: str | Sequence[str] | None = None) -> Bars:
    """Bars from a file, or from all the files of a folder.

    Parameters
    ----------
    path : str or Path
        CSV (also ``.csv.gz``, ``.csv.zip``, and ``.zip`` with one CSV), Parquet or Feather, long (with a ``symbol`` column) or of a
        single symbol, which is then named after the file (``BTC_USDT-1h``, as freqtrade writes it, is BTC/USDT); or a folder of
        such files. Columns are those of ``Bars.from_frame``. Also JSON: a list of rows, as ccxt and freqtrade write it.

        Files of a folder whose names differ in dates alone, or in a number at the end, such as ``BTCUSDT-1h-2024-01.csv`` and
        ``BTCUSDT-1h-2024-02.csv``, are one symbol, ``BTCUSDT-1h``, if their times follow one another.
    interval : str, optional
        Length of a bar, such as ``"1h"``; by default the most common step.
    columns : str or sequence of str, optional
        For rows without names: the names, ``""`` for a column that is not read, or whose rows they are, ``"ccxt"``, ``"binance"``
        or ``"kraken"``.

    Raises
    ------
    ConfigError
        If ``path`` is not a path, or ``columns`` are neither.
    DataError
        If a file is missing, empty, unreadable or malformed: a row of a CSV file has fewer or more fields than the header, say, or
        bars are of several lengths; or if a folder has files with rows that are not read. Nothing is repaired; ``fs.clean`` removes
        malformed bars and counts them.

    Examples
    --------
    >>> import foreshock as fs
    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/bars.csv"
    >>> fs.simulate_market(seed=1, n_symbols=2, n_bars=300).bars.to_frame().to_csv(path, index=False)
    >>> fs.read_bars(path)
    Bars(2 symbols, 300 bars of 1h, 2022-01-01 to 2022-01-13, with quote_volume)
    """
    check_path("path", path)
    table = read_table(path, columns)
    with naming(path):
        return Bars(**bar_columns(table, interval))


def read_table(path: str | Path, columns: str | Sequence[str] | None = None) -> pd.DataFrame:
    """The rows of all files as one ``bar_table``; their order and values are not checked."""
    if not isinstance(path, str | os.PathLike):
        raise ConfigError(f"path must be a file or a folder, got {shown(path)}; pass a CSV, Parquet or Feather file")
    names = None if columns is None else names_of_columns(columns)
    path = Path(path)
    if not path.exists():
        raise DataError(f"no such file or folder: {path}; pass a CSV, Parquet or Feather file")
    if not path.is_dir():
        return _read_one(path, names)
    tables = {file: _read_one(file, names) for file in files_of(path)}
    return join(path, tables)


def _read_one(path: Path, columns: tuple[str, ...] | None) -> pd.DataFrame:
    with naming(path):
        frame = read_json(path, columns) if path.name.lower().endswith(JSON) else None
    frame = read_rows(path, BARS, "bars", columns) if frame is None else frame
    with naming(path):
        return bar_table(frame, symbol_of(stem_of(path)))
