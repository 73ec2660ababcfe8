"""Bars from CSV, Parquet and Feather files, and from tables."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from data.bars import FIELDS, Bars, regular_interval
from data.errors import DataError
from data.interval import Duration, format_duration

TIME_NAMES = ("ts", "time", "timestamp", "date", "datetime", "open_time")
READERS = {
    ".csv": pd.read_csv,
    ".gz": pd.read_csv,
    ".parquet": pd.read_parquet,
    ".pq": pd.read_parquet,
    ".feather": pd.read_feather,
    ".arrow": pd.read_feather,
}
# A grid far larger than the table it came from means that the interval or a time is wrong.
MAX_GRID_ROWS_PER_BAR = 100


def read_bars(path: str | Path, interval: Duration | None = None) -> Bars:
    """Bars from a file, or from all the files of a folder.

    Parameters
    ----------
    path : str or Path
        CSV (also ``.csv.gz``), Parquet or Feather, long (with a ``symbol`` column) or of a single symbol, which is then
        named after the file; or a folder of such files.
    interval : str, optional
        Such as ``"1h"``; by default the most common step.

    Raises
    ------
    DataError
        If a file is missing, empty, unreadable or malformed. Nothing is repaired; ``fs.clean`` does that, and counts.
    """
    return bars_from_frame(read_table(path), interval)


def read_table(path: str | Path) -> pd.DataFrame:
    """The files' rows as one table with a ``symbol`` column, unchecked."""
    path = Path(path)
    if not path.exists():
        raise DataError(f"no such file or folder: {path}; give a CSV, Parquet or Feather file")
    if not path.is_dir():
        return _read_one(path)
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in READERS)
    if not files:
        raise DataError(f"no CSV, Parquet or Feather file in the folder {path}")
    return pd.concat([_read_one(file) for file in files], ignore_index=True)


def _read_one(path: Path) -> pd.DataFrame:
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{path} must end in one of {', '.join(READERS)}; convert it first")
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty (0 bytes); expected a table of bars")
    try:
        frame = reader(path)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError, pa.ArrowException, OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0][:160]
        raise DataError(f"{path} cannot be read as {path.suffix[1:]}: {reason}; check that it is what its name says") from error
    frame = _lower_columns(frame)
    if "symbol" not in frame.columns:
        frame = frame.assign(symbol=path.name.split(".")[0])
    return frame


def _lower_columns(frame: pd.DataFrame) -> pd.DataFrame:
    lowered = [str(name).strip().lower() for name in frame.columns]
    doubled = {name for name in lowered if lowered.count(name) > 1}
    if doubled:
        raise DataError(f"columns differ only in case or are doubled: {', '.join(sorted(doubled))}; rename one")
    return frame.set_axis(lowered, axis=1)


def bars_from_frame(frame: pd.DataFrame, interval: Duration | None = None) -> Bars:
    """See ``Bars.from_frame``."""
    table = bar_table(frame)
    for symbol, rows in table.groupby("symbol", sort=False)["time"]:
        steps = np.diff(rows.to_numpy())
        _refuse_times(steps < np.timedelta64(0, "us"), rows, symbol, "unsorted", "ascending times")
        _refuse_times(steps == np.timedelta64(0, "us"), rows, symbol, "doubled", "each time once")
    return grid(table, interval)


def _refuse_times(wrong: np.ndarray, times: pd.Series, symbol: object, what: str, expected: str) -> None:
    if wrong.any():
        row = int(np.argmax(wrong)) + 1
        raise DataError(
            f"{symbol} has {int(wrong.sum())} {what} times, the first {times.iloc[row]} in its row {row}; expected {expected}; "
            f"mend the source, or give the table to fs.clean, which sorts, keeps the last of doubled bars, and counts them"
        )


def bar_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Columns ``time symbol open high low close volume`` and numeric extras, with times parsed and numbers float64."""
    frame = _lower_columns(frame)
    if isinstance(frame.index, pd.DatetimeIndex) and not set(TIME_NAMES) & set(frame.columns):
        frame = frame.assign(time=frame.index)
    time_name = next((name for name in TIME_NAMES if name in frame.columns), None)
    missing = [name for name in FIELDS if name not in frame.columns]
    missing += [] if time_name else [f"a time column ({', '.join(TIME_NAMES)})"]
    if missing:
        raise DataError(f"missing column: {', '.join(missing)}; got {', '.join(map(str, frame.columns))}; rename or add it")
    if not len(frame):
        raise DataError("the table of bars is empty; expected at least one row")
    columns: dict[str, object] = {"time": parse_times(frame[time_name])}
    columns["symbol"] = frame["symbol"].astype(str).to_numpy(dtype=object) if "symbol" in frame else "asset"
    for name in FIELDS:
        try:
            columns[name] = frame[name].to_numpy(dtype=np.float64)
        except (ValueError, TypeError) as error:
            raise DataError(f"column {name} must hold numbers, got {frame[name].dtype}: {error}; clean the column") from error
    for name in frame.columns.difference([*columns, *TIME_NAMES], sort=False):
        if pd.api.types.is_numeric_dtype(frame[name]):
            columns[str(name)] = frame[name].to_numpy(dtype=np.float64)
    return pd.DataFrame(columns)


def parse_times(values: pd.Series) -> np.ndarray:
    """UTC times as datetime64[us], from timestamps, ISO strings, or integer epochs in s, ms, us or ns."""
    name = values.name
    if values.isna().any():
        raise DataError(f"column {name} has {int(values.isna().sum())} missing times; remove those rows")
    try:
        if pd.api.types.is_numeric_dtype(values):
            parsed = pd.to_datetime(values, unit=_epoch_unit(values), utc=True)
        else:
            parsed = pd.to_datetime(values, utc=True)
    except (ValueError, TypeError, OverflowError) as error:
        reason = str(error).splitlines()[0][:160]
        raise DataError(f"column {name} cannot be read as times: {reason}; use ISO 8601 or integer epochs") from error
    return parsed.dt.tz_convert(None).to_numpy(dtype="datetime64[us]")


def _epoch_unit(values: pd.Series) -> str:
    # 1e11 s is the year 5138 and 1e11 ms is 1973: between them no instant of a crypto market is ambiguous.
    largest = float(values.abs().max())
    return next((unit for unit, limit in (("s", 1e11), ("ms", 1e14), ("us", 1e17)) if largest < limit), "ns")


def grid(table: pd.DataFrame, interval: Duration | None) -> Bars:
    """Bars on the regular grid from the first to the last time; rows that the table lacks are NaN.

    Parameters
    ----------
    table : DataFrame
        As ``bar_table`` gives it, each (time, symbol) at most once.
    """
    time = table["time"].to_numpy()
    first_symbol = table["symbol"].iloc[0]
    step = regular_interval(np.sort(time[(table["symbol"] == first_symbol).to_numpy()]), interval)
    start = time.min()
    rows, off = np.divmod((time - start).astype(np.int64), int(step.astype(np.int64)))
    if off.any():
        raise DataError(
            f"{int((off != 0).sum())} bars are off the {format_duration(step)} grid that starts at {start}, "
            f"the first at {time[off != 0][0]}; pass the right interval, or align the times"
        )
    n_rows = int(rows.max()) + 1
    if n_rows > MAX_GRID_ROWS_PER_BAR * max(len(table), 100):
        raise DataError(
            f"a {format_duration(step)} grid from {start} to {time.max()} would have {n_rows} rows for {len(table)} bars; "
            f"check the times, or pass the right interval"
        )
    symbols = tuple(dict.fromkeys(table["symbol"]))
    cols = table["symbol"].map({name: i for i, name in enumerate(symbols)}).to_numpy()

    def spread(name: str) -> np.ndarray:
        matrix = np.full((n_rows, len(symbols)), np.nan)
        matrix[rows, cols] = table[name].to_numpy()
        return matrix

    return Bars(
        time=start + np.arange(n_rows) * step,
        symbols=symbols,
        interval=step,
        **{name: spread(name) for name in FIELDS},
        extras={str(name): spread(name) for name in table.columns[2 + len(FIELDS) :]},
    )
