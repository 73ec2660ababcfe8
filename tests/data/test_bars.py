"""Bars: what is refused, what is kept, and what may be asked of them."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foreshock.data.bars import FIELDS, PRICES, Bars
from foreshock.data.errors import ConfigError, DataError
from tests.market import make_bars

HOUR = np.timedelta64(1, "h")
START = np.datetime64("2024-01-01", "us")


def plain(n_bars=4, n_symbols=2, **changes):
    """Flat bars at a price of 1, with some arguments replaced."""
    ones = np.ones((n_bars, n_symbols))
    arguments = {
        "time": START + np.arange(n_bars) * HOUR,
        "symbols": ("BTC", "ETH")[:n_symbols],
        "interval": HOUR,
        **dict.fromkeys(FIELDS, ones),
    }
    return Bars(**(arguments | changes))


def with_value(field, value, row=2, col=1):
    values = np.ones((4, 2))
    values[row, col] = value
    return plain(**{field: values})


def punched(seed, n_bars=30, n_symbols=3):
    """Random bars with unknown bars inside and, except in the first symbol, at the end."""
    bars = make_bars(n_bars, n_symbols, seed)
    rng = np.random.default_rng(seed)
    holes = rng.random(bars.shape) < 0.3
    holes[0], holes[-1, 0] = False, False
    fields = {name: np.where(holes, np.nan, getattr(bars, name)) for name in FIELDS}
    extras = {"trade_count": np.where(holes, np.nan, rng.integers(1, 99, bars.shape))}
    return Bars(bars.time, bars.symbols, **fields, interval=bars.interval, extras=extras)


def assert_same(left, right):
    assert left.symbols == right.symbols
    assert left.interval == right.interval
    np.testing.assert_array_equal(left.time, right.time)
    assert set(left.extras) == set(right.extras)
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name))
    for name in left.extras:
        np.testing.assert_array_equal(left.extras[name], right.extras[name])


# What is refused


@pytest.mark.parametrize("name", PRICES)
@pytest.mark.parametrize("value", [0.0, -1.0])
def test_a_price_that_is_not_positive_is_refused_and_found(name, value):
    message = rf"^{name} must be positive, got {value} for ETH at 2024-01-01T02:00:00.000000 \(1 such bars\); fix the source"
    with pytest.raises(DataError, match=message):
        with_value(name, value)


@pytest.mark.parametrize("name", FIELDS)
def test_an_infinite_number_is_refused(name):
    with pytest.raises(DataError, match=rf"^{name} must be finite, got inf for BTC at 2024-01-01T00:00:00.000000 \(1 such bars\)"):
        with_value(name, np.inf, row=0, col=0)


def test_a_negative_volume_is_refused_and_a_zero_volume_is_not():
    with pytest.raises(DataError, match=r"^volume must be zero or more, got -0.5 for ETH"):
        with_value("volume", -0.5)
    assert with_value("volume", 0.0).volume[2, 1] == 0


@pytest.mark.parametrize("name", PRICES)
def test_a_bar_with_some_of_its_prices_is_refused(name):
    with pytest.raises(DataError, match=r"must be known where another price of the bar is known, got nan"):
        with_value(name, np.nan)


def test_every_offending_bar_is_counted_and_the_first_is_named():
    low = np.ones((4, 2))
    low[1, 1] = low[2, 0] = low[3, 1] = -7.0
    with pytest.raises(DataError, match=r"got -7.0 for ETH at 2024-01-01T01:00:00.000000 \(3 such bars\)"):
        plain(low=low)


@pytest.mark.parametrize(
    "hours", [[0, 1, 3, 4], [0, 1, 1, 2], [0, 2, 1, 3], [3, 2, 1, 0]], ids=["gap", "doubled", "unsorted", "descending"]
)
def test_times_that_are_no_regular_grid_are_refused(hours):
    with pytest.raises(DataError, match=r"^bar times must rise by 1h from row to row, got .* followed by .*; use Bars.from_frame"):
        plain(time=START + np.array(hours) * HOUR)


def test_a_descending_grid_is_refused_also_with_a_negative_interval():
    with pytest.raises(ConfigError, match=r"^interval must be positive"):
        plain(time=START - np.arange(4) * HOUR, interval=-HOUR)


@pytest.mark.parametrize("n_bars", [1, 4])
def test_an_unknown_time_is_refused(n_bars):
    time = START + np.arange(n_bars) * HOUR
    time[-1] = np.datetime64("NaT")
    with pytest.raises(DataError, match=rf"^bar times must be known, got NaT in row {n_bars - 1}; remove that bar$"):
        plain(n_bars=n_bars, time=time)


@pytest.mark.parametrize("name", [*FIELDS, "trade_count"])
def test_a_matrix_of_another_shape_is_refused(name):
    wrong = np.ones((3, 2))
    changes = {"extras": {name: wrong}} if name == "trade_count" else {name: wrong}
    with pytest.raises(DataError, match=rf"^{name} must have the shape \(n_bars, n_symbols\) = \(4, 2\), got \(3, 2\)$"):
        plain(**changes)


def test_no_row_no_symbol_and_one_symbol_twice_are_refused():
    with pytest.raises(DataError, match=r"^bars need at least one row and one symbol, got 0 rows and 2 symbols$"):
        plain(n_bars=0)
    with pytest.raises(DataError, match=r"^bars need at least one row and one symbol, got 4 rows and 0 symbols$"):
        plain(symbols=(), **dict.fromkeys(FIELDS, np.ones((4, 0))))
    with pytest.raises(DataError, match=r"^symbols must differ, got \('BTC', 'BTC'\)$"):
        plain(symbols=("BTC", "BTC"))


def test_prices_of_every_scale_are_accepted():
    for scale in (1e-8, 1e-6, 6e4, 1e12):
        bars = plain(**{name: np.full((4, 2), scale) for name in PRICES})
        assert bars.close[0, 0] == scale


def test_vectors_and_integers_become_float64_columns():
    time = (START + np.arange(4) * HOUR).astype("datetime64[ns]")
    bars = plain(n_symbols=1, volume=np.array([1, 2, 3, 4]), time=time, interval="1h")
    assert bars.volume.dtype == np.float64
    assert bars.volume.tolist() == [[1.0], [2.0], [3.0], [4.0]]
    assert (bars.time.dtype, bars.interval.dtype) == (np.dtype("datetime64[us]"), np.dtype("timedelta64[us]"))


# Tables there and back


@pytest.mark.parametrize("seed", range(5))
def test_a_table_there_and_back_gives_equal_bars(seed):
    bars = punched(seed)
    frame = bars.to_frame()
    assert len(frame) == (~np.isnan(bars.close)).sum()
    assert_same(Bars.from_frame(frame), bars)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["1s", "1m", "1h", "4h", "1d"]), st.integers(1, 4))
def test_random_bars_of_any_interval_survive_a_table(seed, interval, n_symbols):
    bars = make_bars(25, n_symbols, seed, interval)
    assert_same(Bars.from_frame(bars.to_frame()), bars)
    assert_same(Bars.from_frame(bars.to_frame(), interval), bars)


def test_a_table_holds_the_bars_row_by_row():
    bars = punched(1, 6, 2)
    for row in bars.to_frame().itertuples():
        at = int(np.flatnonzero(bars.time == row.time)[0]), bars.symbols.index(row.symbol)
        assert [row.open, row.high, row.low, row.close, row.volume] == [getattr(bars, name)[at] for name in FIELDS]
        assert row.trade_count == bars.extras["trade_count"][at]


# Parts of bars


def test_select_takes_symbols_in_the_order_asked_for():
    bars = punched(3)
    part = bars.select(["C", "A"])
    assert part.symbols == ("C", "A")
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(part, name), getattr(bars, name)[:, [2, 0]])
    np.testing.assert_array_equal(part.extras["trade_count"], bars.extras["trade_count"][:, [2, 0]])
    assert bars.select("B").symbols == ("B",)


def test_select_refuses_a_symbol_that_is_not_there_and_names_those_that_are():
    with pytest.raises(DataError, match=r"^no such symbol: X, Y; the bars have A, B, C$"):
        punched(3).select(["A", "X", "Y"])


def test_between_takes_the_start_and_leaves_the_end():
    bars = make_bars(48, 1, interval="1h")
    part = bars.between("2024-01-01T05:00", "2024-01-01T08:00")
    assert part.time.astype("datetime64[h]").astype(str).tolist() == ["2024-01-01T05", "2024-01-01T06", "2024-01-01T07"]
    np.testing.assert_array_equal(part.close, bars.close[5:8])
    assert bars.between(end="2024-01-02").n_bars == 24
    assert bars.between("2024-01-02").n_bars == 24
    assert bars.between().n_bars == 48
    # An end between two bars leaves the bar that opens before it.
    assert bars.between("2024-01-01T04:59", "2024-01-01T05:01").time[0] == np.datetime64("2024-01-01T05:00")


def test_between_reads_a_zone_and_refuses_what_is_no_date():
    bars = make_bars(48, 1)
    assert bars.between("2024-01-01T05:00+02:00").time[0] == np.datetime64("2024-01-01T03:00")
    with pytest.raises(ConfigError, match=r"^end must be an ISO date or time, .* got 'tomorrow'$"):
        bars.between(end="tomorrow")


def test_between_refuses_a_range_without_bars_and_names_the_range_there_is():
    bars = make_bars(48, 1)
    there = "the bars run from 2024-01-01T00:00:00.000000 to 2024-01-02T23:00:00.000000, widen the range$"
    with pytest.raises(DataError, match=rf"^no bar from 2025 to before the end; {there}"):
        bars.between("2025")
    with pytest.raises(DataError, match=rf"^no bar from the first bar to before 2024-01-01; {there}"):
        bars.between(end="2024-01-01")
    with pytest.raises(DataError, match=rf"^no bar from 2024-01-02 to before 2024-01-01; {there}"):
        bars.between("2024-01-02", "2024-01-01")


def test_head_takes_the_first_bars_and_never_counts_from_the_end():
    bars = punched(4)
    assert_same(bars.head(7), bars.rows(slice(0, 7)))
    np.testing.assert_array_equal(bars.head(7).extras["trade_count"], bars.extras["trade_count"][:7])
    assert bars.head(1_000).n_bars == bars.n_bars == len(bars)
    for wrong in (0, -1):
        with pytest.raises(DataError, match=rf"^head takes at least 1 bar, got {wrong}$"):
            bars.head(wrong)


def test_rows_that_skip_bars_are_refused():
    with pytest.raises(DataError, match=r"^bar times must rise by 1h"):
        make_bars(10, 1).rows(slice(None, None, 2))


# Returns and fingerprint


def test_returns_are_those_of_pandas_and_unknown_across_an_unknown_bar():
    bars = punched(5)
    close = pd.DataFrame(bars.close)
    np.testing.assert_allclose(bars.returns(log=False), (close / close.shift() - 1).to_numpy(), rtol=1e-14)
    np.testing.assert_allclose(bars.returns(), np.log(close).diff().to_numpy(), rtol=1e-9, atol=1e-14)
    unknown = np.isnan(bars.close)
    assert (np.isnan(bars.returns()[1:]) == (unknown[1:] | unknown[:-1])).all()
    assert np.isnan(bars.returns()[0]).all()


def test_the_fingerprint_is_the_same_for_equal_bars():
    bars = punched(6)
    again = Bars.from_frame(bars.to_frame())
    assert again.fingerprint() == bars.fingerprint()
    payload = np.array([0x7FF8000000000001], dtype=np.uint64).view(np.float64)[0]
    fields = {name: np.where(np.isnan(getattr(bars, name)), payload, getattr(bars, name)) for name in FIELDS}
    other_nan = Bars(bars.time, bars.symbols, **fields, interval=bars.interval, extras=bars.extras)
    assert other_nan.fingerprint() == bars.fingerprint()
    zero = np.zeros((4, 2))
    assert plain(volume=zero).fingerprint() == plain(volume=-zero).fingerprint()


def test_the_fingerprint_of_known_bars_never_changes():
    assert plain().fingerprint() == "87bd3638b87ffd2e95be8150076dd847fec1afd0f6f80a60d976fc640aedda7a"


@pytest.mark.parametrize("name", FIELDS)
def test_the_fingerprint_changes_with_the_last_digit_of_any_value(name):
    assert with_value(name, 1 + 2**-52).fingerprint() != plain().fingerprint()


def test_the_fingerprint_changes_with_times_symbols_extras_and_a_field_swapped_for_another():
    ones, twos = np.ones((4, 2)), np.full((4, 2), 2.0)
    variants = [
        plain(),
        plain(time=START + HOUR + np.arange(4) * HOUR),
        plain(symbols=("BTC", "XRP")),
        plain(symbols=("ETH", "BTC")),
        plain(extras={"trade_count": ones}),
        plain(extras={"trade_count": twos}),
        plain(extras={"quote_volume": ones}),
        plain(high=twos),
        plain(volume=twos),
        plain(n_bars=3),
    ]
    assert len({bars.fingerprint() for bars in variants}) == len(variants)


def test_the_text_form_says_how_much_of_what_from_when_to_when():
    assert repr(plain()) == "Bars(2 symbols, 4 bars of 1h, 2024-01-01T00:00:00 to 2024-01-01T03:00:00)"
