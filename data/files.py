"""Bars from CSV, Parquet and Feather files."""

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from foreshock.data.bars import Bars
from foreshock.data.checks import check_path
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.interval import Duration
from foreshock.data.show.shown import shown
from foreshock.data.tables import bar_columns, bar_table, shown_names


def read_bars(path: str | Path, interval: Duration | None = None) -> Bars:
    """Bars from a file, or from all the files of a folder.

    Parameters
    ----------
    path : str or Path
        CSV (also ``.csv.gz``), Parquet or Feather, long (with a ``symbol`` column) or of a single symbol, which is then
        named after the file; or a folder of such files. Columns are those of ``Bars.from_frame``.
    interval : str, optional
        Length of a bar, such as ``"1h"``; by default the most common step.

    Raises
    ------
    ConfigError
        If ``path`` is not a path.
    DataError
        If a file is missing, empty, unreadable or malformed. Nothing is repaired; ``fs.clean`` removes malformed bars and counts
        them.

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
    table = read_table(path)
    with naming(path):
        return Bars(**bar_columns(table, interval))


def read_table(path: str | Path) -> pd.DataFrame:
    """The rows of all files as one ``bar_table``; their order and values are not checked."""
    if not isinstance(path, str | os.PathLike):
        raise ConfigError(f"path must be a file or a folder, got {shown(path)}; pass a CSV, Parquet or Feather file")
    path = Path(path)
    if not path.exists():
        raise DataError(f"no such file or folder: {path}; pass a CSV, Parquet or Feather file")
    if not path.is_dir():
        return _read_one(path)
    visible = (file for file in path.iterdir() if file.is_file() and not file.name.startswith("."))
    files = sorted(file for file in visible if _suffix(file))
    if not files:
        raise DataError(f"the folder {path} has no file that ends in {', '.join(READERS)}; pass a file, or another folder")
    stems = [_stem(file) for file in files]
    for stem in stems:
        if stems.count(stem) > 1:
            named = ", ".join(file.name for file in files if _stem(file) == stem)
            raise DataError(f"the folder {path} has {stem} more than once: {named}; keep one of them")
    return pd.concat([_read_one(file) for file in files], ignore_index=True)


def _suffix(path: Path) -> str:
    return next((suffix for suffix in READERS if path.name.lower().endswith(suffix)), "")


def _stem(path: Path) -> str:
    return path.name[: -len(_suffix(path))]


@contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Put the path in front of the message of a ``DataError``."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _read_one(path: Path) -> pd.DataFrame:
    suffix = _suffix(path)
    if not suffix:
        raise DataError(f"{path} must end in one of {', '.join(READERS)}; convert it first")
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty (0 bytes); expected a table of bars")
    with naming(path):
        try:
            frame = READERS[suffix](path)
        except DataError:
            raise
        except UnicodeDecodeError as error:
            byte = f"byte 0x{error.object[error.start]:02x} at {error.start}"
            raise DataError(f"not UTF-8 text ({byte}); save it as UTF-8, or check that it is a CSV file") from error
        except (pa.ArrowException, OSError, EOFError, zlib.error, ValueError, TypeError, LookupError) as error:
            # pandas' parser errors are ValueErrors; damaged metadata may raise any of the others.
            reason = (str(error).strip() or type(error).__name__).splitlines()[0][:160]
            raise DataError(f"cannot be read as {suffix[1:]}: {reason}; check that its content fits its name") from error
        return bar_table(frame, _stem(path))


def _read_csv(path: Path) -> pd.DataFrame:
    # The first row is read by itself, because pandas renames doubled columns and reads surplus fields as an index.
    first = pd.read_csv(path, header=None, nrows=1, dtype=str, keep_default_na=False, encoding="utf-8-sig").iloc[0]
    header = first.to_numpy(dtype=object)
    foreign = next((mark for mark in ";\t|" if mark in header[0]), None)
    if len(header) == 1 and foreign:
        raise DataError(f"fields must be separated by commas, got {shown(foreign)}; save it with commas and decimal points")
    frame = pd.read_csv(path, encoding="utf-8-sig", low_memory=False)
    if not isinstance(frame.index, pd.RangeIndex):
        raise DataError(f"rows have more fields than the {len(header)} of the header ({shown_names(header)}); name every column")
    frame = frame.set_axis(header, axis=1)
    return frame.iloc[:, np.flatnonzero(header != "")]


READERS = {
    ".csv": _read_csv,
    ".csv.gz": _read_csv,
    ".parquet": pd.read_parquet,
    ".pq": pd.read_parquet,
    ".feather": pd.read_feather,
    ".arrow": pd.read_feather,
}
