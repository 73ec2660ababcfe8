"""Durations and instants."""

from datetime import date, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreshock.data.errors import ConfigError
from foreshock.data.interval import UNITS_US, YEAR, bars_in, bars_per_year, format_duration, parse_duration, parse_instant

HOUR = np.timedelta64(1, "h")
CENTURY_US = 100 * 365 * UNITS_US["d"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("6h", timedelta(hours=6)),
        ("90D", timedelta(days=90)),
        ("2w", timedelta(weeks=2)),
        ("15m", timedelta(minutes=15)),
        ("15 Min", timedelta(minutes=15)),
        ("20s", timedelta(seconds=20)),
        ("1.5h", timedelta(minutes=90)),
        (" 250 ms ", timedelta(milliseconds=250)),
        ("7us", timedelta(microseconds=7)),
    ],
)
def test_a_number_and_a_unit_are_a_duration(text, expected):
    assert parse_duration(text) == np.timedelta64(expected)


def test_timedeltas_of_python_numpy_and_pandas_are_durations():
    for value in (timedelta(hours=1), HOUR, np.timedelta64(3_600_000_000_000, "ns"), pd.Timedelta("1h")):
        parsed = parse_duration(value)
        assert parsed == HOUR
        assert parsed.dtype == "timedelta64[us]"


@pytest.mark.parametrize("text", ["1M", "1y", "h", "6", "-1h", "1.5.5h", "1h30m", "", "one hour", None, 5, True])
def test_text_that_is_no_duration_is_refused(text):
    with pytest.raises(ConfigError, match=r"^hold must be a number and one of the units s, m, h, d, w, such as '6h' or '90D', got"):
        parse_duration(text, "hold")


@pytest.mark.parametrize("value", ["0h", "0.0000001us", timedelta(0), timedelta(hours=-1), np.timedelta64(500, "ns")])
def test_a_duration_that_is_not_positive_is_refused(value):
    with pytest.raises(ConfigError, match=r"^hold must be positive, got "):
        parse_duration(value, "hold")


@pytest.mark.parametrize("value", [np.timedelta64(1, "M"), np.timedelta64(1, "Y"), np.timedelta64(5), np.timedelta64("NaT")])
def test_calendar_units_and_bare_numbers_have_no_fixed_length_and_are_refused(value):
    with pytest.raises(ConfigError, match=r"^hold must have a fixed length, got "):
        parse_duration(value, "hold")


@pytest.mark.parametrize("text", ["101000w", "9" * 30 + "d", "9" * 400 + "h", "36501d"])
def test_a_duration_beyond_a_century_is_refused_however_long_the_number(text):
    with pytest.raises(ConfigError, match=r"^hold must be at most 100 years, got '[^']{1,40}'; check the number and its unit$"):
        parse_duration(text, "hold")


@given(st.integers(1, CENTURY_US))
def test_formatting_a_duration_loses_nothing(micros):
    duration = np.timedelta64(micros, "us")
    assert parse_duration(format_duration(duration)) == duration


@given(st.integers(1, 1_000), st.sampled_from(["d", "h", "m", "s", "ms", "us"]))
def test_formatting_takes_the_largest_unit_that_is_exact(n, unit):
    text = format_duration(np.timedelta64(n * UNITS_US[unit], "us"))
    number, written = int(text.rstrip("dhmsu")), text.lstrip("0123456789")
    assert UNITS_US[written] >= UNITS_US[unit]
    assert number * UNITS_US[written] == n * UNITS_US[unit]


def test_bars_in_counts_whole_bars_only():
    assert bars_in("24h", HOUR) == 24
    assert bars_in("1D", np.timedelta64(20, "s")) == 4_320
    for wrong in ("90m", "30m", "1us"):
        with pytest.raises(ConfigError, match=rf"^horizon must be a whole number of 1h bars, got '{wrong}'; use a multiple of 1h$"):
            bars_in(wrong, HOUR, "horizon")


def test_a_year_has_365_days_because_markets_never_close():
    assert bars_per_year(HOUR) == 8_760
    assert bars_per_year(np.timedelta64(1, "D")) == 365
    assert np.timedelta64(365, "D") == YEAR


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2024", "2024-01-01"),
        ("2024-06", "2024-06-01"),
        ("2024-06-01", "2024-06-01"),
        ("2024-06-01T02:00", "2024-06-01T02:00"),
        ("2024-06-01 02:00:00.000001", "2024-06-01T02:00:00.000001"),
        ("2024-06-01T02:00Z", "2024-06-01T02:00"),
        ("2024-06-01T02:00+02:00", "2024-06-01T00:00"),
        (date(2024, 6, 1), "2024-06-01"),
        (datetime(2024, 6, 1, 2), "2024-06-01T02:00"),
        (datetime(2024, 6, 1, 2, tzinfo=timezone(timedelta(hours=-5))), "2024-06-01T07:00"),
        (np.datetime64("2024-06-01T02", "h"), "2024-06-01T02:00"),
        (pd.Timestamp("2024-06-01 02:00", tz="Asia/Tokyo"), "2024-05-31T17:00"),
    ],
)
def test_an_instant_is_utc_whatever_it_is_written_as(value, expected):
    assert parse_instant(value) == np.datetime64(expected)
    assert parse_instant(value).dtype == "datetime64[us]"


@pytest.mark.parametrize(
    "value", ["x", "", "2024-13-01", "01/02/2024", "now", "today", "NaT", 5, 1.7e9, None, np.datetime64("NaT"), pd.NaT]
)
def test_what_is_no_instant_is_refused_and_now_is_none(value):
    with pytest.raises(ConfigError, match=r"^start must be an ISO date or time, such as '2024-01-31' or '2024-01-31T12:00Z', got "):
        parse_instant(value, "start")
