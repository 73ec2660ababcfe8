"""Times of bars as clocks: what is read, and what is refused with which sentence, variant by variant."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foreshock.data.bars import FIELDS, Bars
from foreshock.data.errors import DataError
from foreshock.data.quality.clean import clean
from foreshock.data.reading.calendar import date_form
from foreshock.data.reading.clock import by_time, longer_bars
from tests.sentences import refused

START = pd.Timestamp("2024-01-01")
HOUR, DAY = pd.Timedelta("1h"), pd.Timedelta("1D")
Drawn = tuple[pd.DataFrame, str | None, str | None]


def bars(time: pd.DatetimeIndex | list, symbol: str = "A") -> pd.DataFrame:
    return pd.DataFrame({"time": time, "symbol": symbol, **dict.fromkeys(FIELDS, 1.0)})


def every(step: pd.Timedelta, n: int, start: pd.Timestamp = START) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(start + step * np.arange(n))


def drawn_rng(data: st.DataObject) -> np.random.Generator:
    return np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))


def steps_of_days(data: st.DataObject) -> pd.Timedelta:
    return pd.Timedelta(data.draw(st.sampled_from(["1s", "1min", "5min", "15min", "1h", "4h", "1D"])))


# What is read


def one_length(data: st.DataObject) -> Drawn:
    return bars(every(steps_of_days(data), data.draw(st.integers(2, 300)))), None, None


def two_symbols(data: st.DataObject) -> Drawn:
    step, n = steps_of_days(data), data.draw(st.integers(3, 200))
    late = data.draw(st.integers(0, n))
    return pd.concat([bars(every(step, n)), bars(every(step, n, START + late * step), "B")]), None, None


def missing_at_random(data: st.DataObject) -> Drawn:
    rng, n = drawn_rng(data), data.draw(st.integers(50, 400))
    there = rng.random(n) < data.draw(st.floats(0.5, 1))
    there[:2] = True
    return pd.concat([bars(every(HOUR, n)), bars(every(HOUR, n)[there], "B")]), None, None


def rare_bars(data: st.DataObject) -> Drawn:
    rng, n = drawn_rng(data), data.draw(st.integers(500, 2_000))
    return pd.concat([bars(every(HOUR, n)), bars(every(HOUR, n)[rng.random(n) < 0.05], "B")]), None, None


def outages(data: st.DataObject) -> Drawn:
    rng, n = drawn_rng(data), 500
    there = np.ones(n, bool)
    for at in rng.integers(0, n, 12):
        there[at : at + int(rng.integers(1, 60))] = False
    there[:5] = True
    return bars(every(HOUR, n)[there]), None, None


def hours_of_an_exchange_that_closes(data: st.DataObject) -> Drawn:
    time = every(HOUR, 24 * 60)
    return bars(time[(time.day_of_week < 5) & (time.hour >= 9) & (time.hour < data.draw(st.integers(12, 20)))]), None, None


def weekdays(data: st.DataObject) -> Drawn:
    time = every(DAY, data.draw(st.integers(30, 400)))
    return bars(time[time.day_of_week < 5]), None, None


def wide_bars_with_empty_rows_between(data: st.DataObject) -> Drawn:
    wide = data.draw(st.sampled_from([2, 4, 24]))
    table = bars(every(HOUR, 240), "B")
    table.loc[np.arange(240) % wide != 0, list(FIELDS)] = np.nan
    return pd.concat([bars(every(HOUR, 240)), table]), None, None


def a_few_bars(data: st.DataObject) -> Drawn:
    lone = bars(every(data.draw(st.integers(2, 9)) * HOUR, data.draw(st.integers(1, 3))), "B")
    return pd.concat([bars(every(HOUR, 48)), lone]), None, None


def said_interval(data: st.DataObject) -> Drawn:
    step = steps_of_days(data)
    return bars(every(step, 20)), f"{step.total_seconds():.0f}s", None


def opens_off_the_hour(data: st.DataObject) -> Drawn:
    return bars(every(DAY, 20, START + data.draw(st.sampled_from([1, 8, 16, 23])) * HOUR)), None, None


# What is refused

LONGER = "would be known before it ends"


def multiple(data: st.DataObject) -> int:
    return data.draw(st.sampled_from([2, 3, 4, 6, 8, 12, 24, 168]))


def longer_symbol(data: st.DataObject) -> Drawn:
    wide, n = multiple(data), data.draw(st.integers(4, 40))
    return pd.concat([bars(every(HOUR, n * wide)), bars(every(wide * HOUR, n), "B")]), None, f"B has bars of {_named(wide)} from "


def longer_symbol_with_gaps(data: st.DataObject) -> Drawn:
    wide, rng = data.draw(st.sampled_from([4, 6, 12, 24])), drawn_rng(data)
    time = every(wide * HOUR, 120)
    time = time[(rng.random(120) < 0.8) | (np.arange(120) < 2)]
    return pd.concat([bars(every(HOUR, 120 * wide)), bars(time, "B")]), None, f"B has bars of {_named(wide)} from "


def longer_ones_before(data: st.DataObject) -> Drawn:
    wide, n = multiple(data), data.draw(st.integers(30, 60))
    table = pd.concat([bars(every(wide * HOUR, n)), bars(every(HOUR, 24 * n, START + n * wide * HOUR))])
    return table, None, f"A has bars of {_named(wide)} from 2024-01-01T00:00:00.000000 to "


def longer_ones_after(data: st.DataObject) -> Drawn:
    wide, n = multiple(data), data.draw(st.integers(30, 60))
    end = START + 24 * n * HOUR
    return pd.concat([bars(every(HOUR, 24 * n)), bars(every(wide * HOUR, n, end))]), None, f"A has bars of {_named(wide)} from "


def interval_too_short(data: st.DataObject) -> Drawn:
    step = steps_of_days(data)
    wrong = step / data.draw(st.sampled_from([2, 5, 10, 20]))
    return bars(every(step, data.draw(st.integers(4, 100)))), f"{wrong.total_seconds()}s", "; if they are, leave interval out"


def interval_too_long(data: st.DataObject) -> Drawn:
    step = steps_of_days(data)
    return bars(every(step, 20)), f"{2 * step.total_seconds():.0f}s", " bars are off the "


def minutes_with_an_hour(data: st.DataObject) -> Drawn:
    n = data.draw(st.integers(4, 30))
    return pd.concat([bars(every(HOUR / 60, 60 * n), "M"), bars(every(HOUR, n), "H")]), None, "H has bars of 1h from "


def _named(hours: int) -> str:
    return f"{hours // 24}d" if hours % 24 == 0 else f"{hours}h"


def _digits(form: str) -> Callable[[st.DataObject], Drawn]:
    def table(data: st.DataObject) -> Drawn:
        step = HOUR / 60 if "MM" in form[4:] and form.startswith("YYMM") else DAY if form == "YYYYMMDD" else HOUR
        year = data.draw(st.integers(2010, 2026))
        first = pd.Timestamp(year, data.draw(st.integers(1, 10)), data.draw(st.integers(1, 28)))
        time = every(step, data.draw(st.integers(2, 90)), first)
        marks = {"YYYY": "%Y", "YY": "%y", "DD": "%d", "HH": "%H", "SS": "%S"}
        pattern = form.replace("HHMM", "%H%M").replace("MM", "%m", 1).replace("MM", "%M")
        for mark, code in marks.items():
            pattern = pattern.replace(mark, code)
        return bars([int(text) for text in time.strftime(pattern)]), None, form

    table.__name__ = form
    return table


def in_the_future(data: st.DataObject) -> Drawn:
    first = pd.Timestamp("2000-01-01") + data.draw(st.integers(40, 99)) * pd.Timedelta("365D")
    time = every(steps_of_days(data), 12, first)
    kind = data.draw(st.sampled_from(["timestamps", "text", "s", "ms"]))
    if kind == "text":
        return bars(time.strftime("%Y-%m-%d %H:%M:%S").tolist()), None, "column time must hold times of the past, got 20"
    if kind != "timestamps":
        epochs = time.astype("datetime64[ns]").astype("int64") // {"s": 10**9, "ms": 10**6}[kind]
        return bars(epochs), None, "column time must hold times of the past, got 20"
    return bars(time), None, "column time must hold times of the past, got 20"


def _last_moment(left: str) -> Callable[[st.DataObject], Drawn]:
    def table(data: st.DataObject) -> Drawn:
        step = pd.Timedelta(data.draw(st.sampled_from(["1min", "5min", "1h", "4h", "1D"])))
        time = every(step, data.draw(st.integers(2, 50))) + step - pd.Timedelta(left)
        return bars(time), None, "times must be the opens of bars, got 2024-01-"

    table.__name__ = f"last {left}"
    return table


READ = [
    *(one_length, two_symbols, missing_at_random, rare_bars, outages, hours_of_an_exchange_that_closes, weekdays),
    *(wide_bars_with_empty_rows_between, a_few_bars, said_interval, opens_off_the_hour),
]
REFUSED = [
    *(longer_symbol, longer_symbol_with_gaps, longer_ones_before, longer_ones_after, interval_too_short, interval_too_long),
    *(minutes_with_an_hour, in_the_future),
    *map(_digits, ["YYYYMMDDHH", "YYMMDDHHMM", "DDMMYYYYHH", "MMDDYYYYHH", "YYYYMMDD", "YYYYMMDDHHMM", "YYYYMMDDHHMMSS"]),
    *map(_last_moment, ["1s", "1ms", "1us", "1ns"]),
]


@pytest.mark.parametrize("variant", READ, ids=lambda variant: variant.__name__)
@settings(max_examples=10, deadline=None, derandomize=True)
@given(data=st.data())
def test_bars_of_one_length_are_read_where_they_are(variant, data):
    frame, interval, _ = variant(data)
    read = Bars.from_frame(frame, interval)
    known = frame[frame["close"].notna()]
    assert int((~np.isnan(read.close)).sum()) == len(known)
    rows = np.searchsorted(read.time, known["time"].to_numpy(dtype="datetime64[us]"))
    cols = [read.symbols.index(symbol) for symbol in known["symbol"]]
    assert not np.isnan(read.close[rows, cols]).any()
    assert (read.time[rows] == known["time"].to_numpy(dtype="datetime64[us]")).all()


@pytest.mark.parametrize("variant", REFUSED, ids=lambda variant: variant.__name__)
@settings(max_examples=10, deadline=None, derandomize=True)
@given(data=st.data())
def test_times_that_are_no_opens_of_bars_of_one_length_are_refused(variant, data):
    frame, interval, words = variant(data)
    with refused(DataError, words):
        Bars.from_frame(frame, interval)
    with refused(DataError, words):
        clean(frame, interval)


def test_a_longer_bar_is_refused_with_the_way_out():
    table = pd.concat([bars(every(HOUR, 96)), bars(every(4 * HOUR, 24), "B")])
    with refused(
        DataError, "B has bars of 4h from 2024-01-01T00:00:00.000000 to 2024-01-04T20:00:00.000000 (24 bars 4h apart), but"
    ):
        Bars.from_frame(table)
    with refused(DataError, LONGER, "or resample the shorter ones to 4h", "add those as rows without numbers"):
        Bars.from_frame(table)


def test_bars_that_clean_removes_do_not_make_the_others_look_longer():
    table = bars(every(HOUR, 60))
    table.loc[1::2, "low"] = -1.0
    read, report = clean(table, "1h")
    assert (report.count("not_positive"), int((~np.isnan(read.close)).sum())) == (30, 30)


def test_a_number_of_one_row_is_an_epoch():
    """A single number may look like a date by chance."""
    assert Bars.from_frame(bars([1_701_010_000]), "1h").n_bars == 1
    with refused(DataError, "got 1701010000 in row 0, a date written YYMMDDHHMM or an epoch in s"):
        Bars.from_frame(bars([1_701_010_000, 1_701_010_100]))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    first=st.integers(946_684_800, 1_790_000_000), step=st.sampled_from([60, 300, 3_600, 14_400, 86_400]), n=st.integers(60, 200)
)
def test_epochs_of_bars_are_no_dates(first, step, n):
    assert date_form(first // step * step + step * np.arange(n)) is None


@settings(max_examples=100, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), share=st.floats(0.02, 1), n=st.integers(3, 3_000))
def test_bars_missing_at_random_are_not_taken_for_longer_ones(seed, share, n):
    there = np.flatnonzero(np.random.default_rng(seed).random(n) < share)
    steps = np.diff(there)
    found = longer_bars(steps)
    assert found is None or (len(steps) < 6 and (steps == steps[0]).all())


@settings(max_examples=60, deadline=None, derandomize=True)
@given(n_times=st.integers(1, 6), n=st.integers(1, 4), swap=st.booleans(), seed=st.integers(0, 99))
def test_a_table_goes_time_by_time_if_each_time_has_every_symbol_in_one_order(n_times, n, swap, seed):
    time = np.repeat(np.arange(n_times), n).astype("datetime64[us]")
    codes = np.tile(np.random.default_rng(seed).permutation(n), n_times)
    if swap and n_times > 1 and n > 1:
        codes[[0, 1]] = codes[[1, 0]]
        assert by_time(time, codes) == 0
        assert by_time(time[::-1], codes) == 0
    else:
        assert by_time(time, codes) == n
