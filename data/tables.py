"""Parsing of tables of bars: column names, times and numbers, and the regular grid."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from foreshock.data.errors import DataError
from foreshock.data.interval import Duration, format_duration, parse_duration
from foreshock.data.reading.calendar import date_form
from foreshock.data.reading.clock import DAY, Steps, by_time, latest_time, longer_bars_in, refuse_closes
from foreshock.data.reading.kinds import names_of, refuse_doubled, shown_names

PRICES = ("open", "high", "low", "close")
FIELDS = (*PRICES, "volume")
TIME_NAMES = ("ts", "time", "timestamp", "date", "datetime", "open_time")
# A grid far larger than the table it came from means that the interval, a time or the symbols are wrong.
MAX_GRID_CELLS_PER_BAR = 20
SMALL_GRID_CELLS = 1_000_000
# Unit, units per second, and the bound below which a number is read in that unit: 1e11 s is the year 5138, 1e11 ms is 1973.
EPOCHS = (("s", 10**0, 1e11), ("ms", 10**3, 1e14), ("us", 10**6, 1e17), ("ns", 10**9, np.inf))
# The years 2000 and 2100 in s. Numbers outside are row numbers, dates such as 20240131, or from a column whose unit changes.
EARLIEST_EPOCH, LATEST_EPOCH = 946_684_800, 4_102_444_800


def bar_columns(table: pd.DataFrame, interval: Duration | None, known_length: bool = False) -> dict[str, Any]:
    """The arguments of ``Bars`` from a ``bar_table`` whose rows must be sorted and unique; see ``Bars.from_frame``.

    With ``known_length``, every bar is known to be ``interval`` long, so that bars far from each other are no longer ones.
    """
    steps = steps_of(table)
    fix = "fix the source, or pass the table to fs.clean, which sorts, keeps the last of doubled bars, and counts them"
    _refuse_rows(table, steps.rows(steps.size < 0), f"expected the times of a symbol in ascending order; {fix}", "unsorted")
    _refuse_rows(table, steps.rows(steps.size == 0), f"expected each time of a symbol once; {fix}", "doubled")
    bare = np.isnan(table[PRICES[0]].to_numpy())
    if bare.any():
        bare &= table[list(PRICES)].isna().all(axis=1).to_numpy() & table["volume"].notna().to_numpy()
    fix = "remove them, or pass the table to fs.clean, which removes and counts them"
    _refuse_rows(table, np.flatnonzero(bare), f"expected no volume where no price is known; {fix}", "incomplete")
    step = regular_interval(table, steps, interval)
    columns = grid(table, step)
    if not known_length:
        refuse_longer_bars(table, steps, step, asked=interval is not None)
    return columns


def refuse_longer_bars(table: pd.DataFrame, steps: Steps, step: np.timedelta64, asked: bool) -> None:
    """Refuse a ``bar_table``, its times ascending, with bars longer than those of the grid; see ``longer_bars_in``."""
    found = longer_bars_in(steps, step, table["time"].to_numpy(), table["symbol"].cat.categories, asked)
    if found:
        raise DataError(found)


def steps_of(table: pd.DataFrame) -> Steps:
    """The steps between the bars of each symbol of a ``bar_table``."""
    return Steps.of(table["time"].to_numpy(), table["symbol"].cat.codes.to_numpy())


def _refuse_rows(table: pd.DataFrame, wrong: np.ndarray, expected: str, what: str) -> None:
    if wrong.size:
        first = table.iloc[int(wrong[0])]
        raise DataError(f"got {wrong.size} {what} bars, the first {first['symbol']} at {first['time']}; {expected}")


def bar_table(frame: pd.DataFrame, symbol: str = "asset") -> pd.DataFrame:
    """Columns ``time symbol open high low close volume`` and numeric extras: times parsed, symbols categories, numbers float64.

    Parameters
    ----------
    frame : DataFrame
        See ``Bars.from_frame``.
    symbol : str
        The symbol of a table without a symbol column.
    """
    frame = _named_columns(frame)
    # A bar is stamped by its open, whatever other times its row has.
    time_name = next((name for name in ("open_time", *TIME_NAMES) if name in frame.columns), None)
    missing = [name for name in FIELDS if name not in frame.columns]
    missing += [] if time_name else [f"a time column ({', '.join(TIME_NAMES)})"]
    if missing:
        raise DataError(f"missing column: {', '.join(missing)}; got {shown_names(frame.columns) or 'none'}; rename or add it")
    refuse_doubled(frame.columns)
    if not len(frame):
        raise DataError("the table of bars is empty; expected at least one row")
    columns: dict[str, object] = {"time": parse_times(frame[time_name])}
    columns["symbol"] = _symbols(frame["symbol"]) if "symbol" in frame else one_name(symbol, len(frame))
    columns |= {name: numbers(frame[name]) for name in FIELDS}
    for name in frame.columns.difference([*columns, *TIME_NAMES], sort=False):
        if pd.api.types.is_numeric_dtype(frame[name]) and not pd.api.types.is_complex_dtype(frame[name]):
            columns[name] = frame[name].to_numpy(dtype=np.float64)
    return pd.DataFrame(columns, copy=False)


def one_name(name: str, n_rows: int) -> pd.Categorical:
    """One name in every row."""
    return pd.Categorical.from_codes(np.zeros(n_rows, dtype=np.int8), categories=pd.Index([name], dtype=object))


def _named_columns(frame: pd.DataFrame) -> pd.DataFrame:
    """The table with lower-case column names, and its index levels of time and symbol as columns."""
    lowered = [str(name).strip().lower() for name in frame.columns]
    frame = frame.set_axis(lowered, axis=1)
    levels = {str(level).strip().lower(): frame.index.get_level_values(i) for i, level in enumerate(frame.index.names)}
    frame = frame.assign(**{name: levels[name] for name in (*TIME_NAMES, "symbol") if name in levels and name not in lowered})
    if isinstance(frame.index, pd.DatetimeIndex) and not set(TIME_NAMES) & set(frame.columns):
        frame = frame.assign(time=frame.index)
    return frame


def _symbols(values: pd.Series) -> pd.Categorical:
    codes, names = names_of(values)
    if codes.min(initial=0) < 0:
        nameless = codes < 0
        raise DataError(
            f"column symbol must have a name in every row, got {int(nameless.sum())} without, the first in row "
            f"{int(np.argmax(nameless))}; fill them in, or remove those rows"
        )
    return pd.Categorical.from_codes(codes, categories=pd.Index(names, dtype=object))


def numbers(values: pd.Series) -> np.ndarray:
    # numpy would convert booleans, complex numbers, durations and dates to numbers: True to 1.0, and a date to its epoch. Python
    # reads 1_000 as a number.
    marked = values.dtype.kind == "O" and values.astype(str).str.contains("_", regex=False).any()
    if values.dtype.kind not in "bcmM" and not marked:
        try:
            return values.to_numpy(dtype=np.float64)
        except (ValueError, TypeError, OverflowError):
            pass
    wrong = (pd.to_numeric(values.astype(str), errors="coerce").isna() & values.notna()).to_numpy(dtype=bool)
    got = f"{str(values.iloc[int(np.argmax(wrong))])[:40]!r} in row {int(np.argmax(wrong))}" if wrong.any() else str(values.dtype)
    raise DataError(f"column {values.name} must hold numbers, got {got}; fix or convert the column")


def parse_times(values: pd.Series) -> np.ndarray:
    """UTC times as datetime64[us], from timestamps, ISO strings, or epochs in s, ms, us or ns.

    Raises
    ------
    DataError
        If a time is missing, of another kind, more than a day in the future, an epoch outside the years 2000 to 2100, or a date
        written as a number, such as 2024013114.
    """
    name = str(values.name)
    _refuse_missing(values, name)
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(values.cat.categories.dtype)
    if values.dtype.kind in "iu":
        return _from_epochs(values.to_numpy(), name)
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        return _refuse_future(values.dt.tz_convert(None).to_numpy(dtype="datetime64[us]"), name)
    if values.dtype.kind == "M":
        return _refuse_future(values.to_numpy(dtype="datetime64[us]"), name)
    kind = pd.api.types.infer_dtype(values)
    if kind in ("integer", "floating") or (kind == "string" and values.str.fullmatch(r"\d{9,}").all()):
        # A float64 holds every epoch of this century to the microsecond.
        return _from_epochs(values.to_numpy(dtype=np.float64), name)
    if kind not in ("string", "datetime64", "datetime", "date"):
        got = f"{kind} values such as {str(values.iloc[0])[:40]!r}"
        raise DataError(f"column {name} must hold times, got {got}; use ISO 8601, or epochs in s, ms, us or ns")
    # pandas reads "now" and "today" as the moment of reading.
    values = values.mask(values.isin(["now", "today"]), "no date") if kind == "string" else values
    try:
        times = pd.to_datetime(values, utc=True, format="ISO8601" if kind == "string" else None)
    except (ValueError, TypeError, OverflowError) as error:
        reason = str(error).splitlines()[0].split(". You might")[0][:160]
        raise DataError(f"column {name} cannot be read as times: {reason}; use ISO 8601, or epochs in s, ms, us or ns") from error
    # pandas reads blank strings as NaT.
    _refuse_missing(times, name)
    return _refuse_future(times.dt.tz_convert(None).to_numpy(dtype="datetime64[us]"), name)


def _refuse_future(times: np.ndarray, name: str) -> np.ndarray:
    latest = latest_time()
    if len(times) and times.max() > latest:
        row = int(np.argmax(times > latest))
        raise DataError(
            f"column {name} must hold times of the past, got {times[row]} in row {row} ({int((times > latest).sum())} such rows), "
            f"and it is {latest - DAY} now; correct them"
        )
    return times


def _refuse_missing(times: pd.Series, name: str) -> None:
    missing = times.isna().to_numpy(dtype=bool)
    if missing.any():
        row = int(np.argmax(missing))
        raise DataError(
            f"column {name} must have a time in every row, got {int(missing.sum())} without, the first in row {row}; "
            f"remove those rows"
        )


def _from_epochs(values: np.ndarray, name: str) -> np.ndarray:
    whole = values.dtype.kind in "iu"
    if whole and values.itemsize < 8:
        # The bounds below are no numbers of a shorter type.
        values = values.astype(np.int64)
    known = values if whole else values[np.isfinite(values)]
    largest = max(abs(int(known.min(initial=0))), abs(int(known.max(initial=0))))
    unit, per_second = next((unit, scale) for unit, scale, limit in EPOCHS if largest < limit or unit == "ns")
    low, high = EARLIEST_EPOCH * per_second, LATEST_EPOCH * per_second
    if known.min(initial=high) < low or known.max(initial=low) >= high or len(known) < len(values):
        row = int(np.argmax((values < low) | (values >= high) | ~np.isfinite(values)))
        form = date_form(values)
        raise DataError(
            f"column {name} must hold epochs of the years 2000 to 2099, got {values[row]:.15g} in row {row}, read in {unit}; use "
            f"ISO 8601, or one of s, ms, us and ns for the whole column" + (f"; these are dates written {form}" if form else "")
        )
    form = date_form(values) if unit == "s" else None
    if form:
        raise DataError(
            f"column {name} must hold times that can be read in one way, got {values[0]:.15g} in row 0, a date written {form} or "
            f"an epoch in s; write dates in ISO 8601, such as 2024-01-31T14:00, or epochs in ms"
        )
    if whole and per_second <= 10**6:
        times = (values.astype(np.int64) * (10**6 // per_second)).view("datetime64[us]")
    else:
        times = np.round(values * (10**6 / per_second)).astype(np.int64).astype("datetime64[us]")
    return _refuse_future(times, name)


def grid(table: pd.DataFrame, step: np.timedelta64) -> dict[str, Any]:
    """The arguments of ``Bars`` on the regular grid from the first to the last time; rows that the table lacks are NaN.

    Parameters
    ----------
    table : DataFrame
        The result of ``bar_table``, with the times of each symbol ascending.
    step : timedelta64[us]
        Length of a bar.
    """
    time = table["time"].to_numpy()
    start = time.min()
    cols, symbols = table["symbol"].cat.codes.to_numpy(), table["symbol"].cat.categories
    # A table that goes time by time and has every symbol at every time is looked at once for each time.
    n_each = by_time(time, cols) or 1
    unit = int(step.astype(np.int64))
    after = (time[::n_each] - start).view(np.int64)
    rows = after // unit
    off = rows * unit != after
    if off.any():
        raise DataError(
            f"{int(off.sum()) * n_each} bars are off the {format_duration(step)} grid that starts at {start}, "
            f"the first at {time[::n_each][off][0]}; pass the right interval, or align the times"
        )
    refuse_closes(start, step)
    shape = (int(rows.max()) + 1, len(symbols))
    if shape[0] * shape[1] > max(SMALL_GRID_CELLS, MAX_GRID_CELLS_PER_BAR * len(table)):
        raise DataError(
            f"a {format_duration(step)} grid from {start} to {time.max()} would have {shape[0]} rows and {shape[1]} symbols for "
            f"{len(table)} bars; check the times and symbols, or pass the right interval"
        )
    whole = n_each == shape[1] and len(rows) == shape[0] and bool((cols[: shape[1]] == np.arange(shape[1])).all())
    # Each time of a symbol is there once, so a table of as many rows as the grid has cells has them all.
    full = len(table) == shape[0] * shape[1]
    stacked = not whole and full and bool((cols.reshape(shape[::-1]) == np.arange(shape[1])[:, None]).all())
    cells = np.repeat(rows, n_each) * shape[1] + cols if not (whole or stacked) else rows

    def spread(name: str) -> np.ndarray:
        values = table[name].to_numpy()
        if whole:
            return values.reshape(shape)
        if stacked:
            # Symbol after symbol, each with every time.
            return np.ascontiguousarray(values.reshape(shape[::-1]).T)
        matrix = np.empty(len(values)) if full else np.full(shape[0] * shape[1], np.nan)
        matrix[cells] = values
        return matrix.reshape(shape)

    return {
        "time": start + np.arange(shape[0]) * step,
        "symbols": tuple(symbols),
        "interval": step,
        **{name: spread(name) for name in FIELDS},
        "extras": {str(name): spread(name) for name in table.columns[2 + len(FIELDS) :]},
    }


def regular_interval(table: pd.DataFrame, steps: Steps, interval: Duration | None) -> np.timedelta64:
    """The requested interval, or the most common step between bars of a symbol (the shorter one in a tie).

    Where symbols have too few bars to tell their step, and that step puts some off the grid, it is the most common step between all
    times of the table.
    """
    if interval is not None:
        return parse_duration(interval, "interval")
    size = steps.size[steps.within & (steps.size > 0)]
    if not size.size:
        raise DataError(
            "the interval cannot be inferred from a single bar; pass interval, such as interval='1h' "
            "(data.interval in a study file)"
        )
    step, time = _most_common(size), table["time"].to_numpy()
    if (steps.size[steps.within] != step.astype(np.int64)).any() or not steps.within.all():
        after = (time - time.min()).view(np.int64)
    else:
        # Equal steps of one series are on their grid.
        return step
    if (after % step.astype(np.int64)).any():
        finer = _most_common(np.diff(np.unique(after)))
        symbols = table["symbol"].cat.categories
        if not (after % finer.astype(np.int64)).any() and longer_bars_in(steps, finer, time, symbols) is None:
            return finer
    return step


def _most_common(steps: np.ndarray) -> np.timedelta64:
    if steps.min() == steps.max():
        return np.timedelta64(int(steps[0]), "us")
    # Most tables have few different steps: to count them takes a hash table, not an order.
    counts = pd.Series(steps).value_counts(sort=False)
    return np.timedelta64(int(counts.index[counts == counts.max()].min()), "us")
