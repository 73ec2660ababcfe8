"""Parsing and formatting of durations such as ``"1h"``, ``"20s"``, ``"365D"``, and parsing of instants.

Everything inside foreshock is a ``numpy.timedelta64[us]`` or ``numpy.datetime64[us]``. Calendar months and years have no
fixed length and are refused as durations.
"""

import re
from datetime import date, timedelta

import numpy as np
import pandas as pd

from foreshock.data.errors import ConfigError
from foreshock.data.show.shown import shown

UNITS_US = {
    "us": 1,
    "ms": 1_000,
    "s": 1_000_000,
    "m": 60_000_000,
    "min": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
    "w": 604_800_000_000,
}
YEAR = np.timedelta64(365 * UNITS_US["d"], "us")
LONGEST_YEARS = 100

Duration = str | timedelta | np.timedelta64
Instant = str | date | np.datetime64


def parse_duration(value: Duration, name: str = "duration") -> np.timedelta64:
    """A positive duration as ``timedelta64[us]``.

    >>> parse_duration("6h")
    np.timedelta64(21600000000,'us')
    """
    if isinstance(value, np.timedelta64) and np.datetime_data(value)[0] in ("Y", "M", "generic"):
        raise ConfigError(f"{name} must have a fixed length, got {shown(value)}; use days or weeks, such as '365D'")
    if isinstance(value, timedelta | np.timedelta64):
        micros = int(np.timedelta64(value).astype("timedelta64[us]").astype(np.int64))
    else:
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*", str(value))
        # ccxt writes "1M" for a month, which has no fixed length; every other unit may be in either case.
        unit = match and (match[2] if match[2] == "M" else match[2].lower())
        if not match or unit not in UNITS_US:
            raise ConfigError(
                f"{name} must be a number and one of the units s, m, h, d, w, such as '6h' or '90D', got {shown(value)}"
            )
        # Bound the value first: an infinite float cannot be rounded.
        micros = round(min(float(match[1]) * UNITS_US[unit], 2.0**62))
    if micros <= 0:
        raise ConfigError(f"{name} must be positive, got {shown(value)}")
    if micros > LONGEST_YEARS * YEAR.astype(np.int64):
        raise ConfigError(f"{name} must be at most {LONGEST_YEARS} years, got {str(value)[:40]!r}; check the number and its unit")
    return np.timedelta64(micros, "us")


def parse_instant(value: Instant, name: str = "time") -> np.datetime64:
    """A point in time as ``datetime64[us]`` in UTC; without a zone it is taken as UTC.

    >>> parse_instant("2024-06-01T02:00+02:00")
    np.datetime64('2024-06-01T00:00:00.000000')
    """
    # pandas also knows "now" and "today", which would make a study depend on the day it is run.
    known = isinstance(value, date | np.datetime64) or (isinstance(value, str) and re.match(r"\s*\d{4}", value))
    try:
        instant = pd.to_datetime(value, utc=True, format="ISO8601") if known else pd.NaT
    except (ValueError, TypeError, OverflowError):
        instant = pd.NaT
    if pd.isna(instant):
        raise ConfigError(f"{name} must be an ISO date or time, such as '2024-01-31' or '2024-01-31T12:00Z', got {shown(value)}")
    return instant.tz_convert(None).to_datetime64().astype("datetime64[us]")


def format_duration(value: np.timedelta64) -> str:
    """The shortest exact spelling of a duration.

    >>> format_duration(np.timedelta64(3600, "s"))
    '1h'
    """
    micros = int(value.astype("timedelta64[us]").astype(np.int64))
    for unit in ("d", "h", "m", "s", "ms"):
        if micros % UNITS_US[unit] == 0:
            return f"{micros // UNITS_US[unit]}{unit}"
    return f"{micros}us"


def bars_in(duration: Duration, interval: np.timedelta64, name: str = "duration") -> int:
    """Number of bars of ``interval`` in the duration, which must be a whole number of them."""
    span = parse_duration(duration, name)
    n_bars, rest = divmod(int(span.astype(np.int64)), int(interval.astype("timedelta64[us]").astype(np.int64)))
    if rest or n_bars < 1:
        raise ConfigError(
            f"{name} must be a whole number of {format_duration(interval)} bars, got {shown(duration)}; "
            f"use a multiple of {format_duration(interval)}"
        )
    return n_bars


def absolute_row(time: np.ndarray, interval: np.timedelta64) -> int:
    """Number of the first of the times on the grid of whole intervals since 1970, rounded down; 0 if there is none.

    Blocks of rolling statistics and test blocks of walk-forward start at multiples of their length on this grid, wherever a history
    begins.

    >>> absolute_row(np.array(["1970-01-02T05:30", "1970-01-02T06:30"], "M8[us]"), np.timedelta64(1, "h"))
    29
    """
    if not len(time):
        return 0
    step = int(interval.astype("timedelta64[us]").astype(np.int64))
    return int(time[0].astype("datetime64[us]").astype(np.int64)) // step


def bars_per_year(interval: np.timedelta64) -> float:
    """Bars in 365 days: crypto markets never close."""
    return float(YEAR / interval)
