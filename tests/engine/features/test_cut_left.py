"""Features and their streams have the same bits wherever the history begins, once their windows are full."""

from dataclasses import replace

import numpy as np
import pytest

from foreshock.data.bars import FIELDS, Bars
from foreshock.data.interval import absolute_row
from foreshock.data.simulate.book import simulate_book
from foreshock.data.trades.windows import trade_windows
from foreshock.engine.features import ohlcv
from foreshock.engine.features.book import BOOK_FEATURES, BookStream, book_features
from foreshock.engine.features.ohlcv import OHLCV_FEATURES, OhlcvStream, ohlcv_features
from foreshock.engine.features.windows import WINDOW_FEATURES, WindowStream, window_features
from foreshock.engine.validation.moves.moves import moves_after, typical_move, volatility_regressors
from tests.market import make_bars, make_trades

BAR_FEATURES = (*OHLCV_FEATURES, "return_rank_50", "volume_rank_50", "market_correlation_48", "market_beta_48", "skew_20")
TRADE_FEATURES = (
    *WINDOW_FEATURES, "rush_orders_7", "buy_quote_volume_20", "volume_zscore_30", "return_zscore_30", "buy_burst_3_20",
)  # fmt: skip
CUTS = (1, 100, 331)


def equal_bits(found: np.ndarray, expected: np.ndarray) -> bool:
    assert np.isfinite(expected).any()
    return np.array_equal(found, expected, equal_nan=True)


def differing(names: tuple[str, ...], found: np.ndarray, expected: np.ndarray) -> list[str]:
    return [name for i, name in enumerate(names) if not equal_bits(found[..., i], expected[..., i])]


@pytest.fixture(scope="module")
def bars() -> Bars:
    return make_bars(n_bars=900, n_symbols=3, seed=6)


@pytest.mark.parametrize("cut", CUTS)
def test_bar_features_of_a_cut_history_and_of_a_stream_that_starts_later_have_the_bits_of_the_whole(bars, cut):
    whole = ohlcv_features(bars, BAR_FEATURES).values
    later = bars.rows(slice(cut, None))
    full = 170
    assert differing(BAR_FEATURES, ohlcv_features(later, BAR_FEATURES).values[full:], whole[cut + full :]) == []
    stream = OhlcvStream(bars.n_symbols, BAR_FEATURES, later.start_row)
    columns = [getattr(later, name) for name in FIELDS]
    found = np.stack([stream.update([column[row] for column in columns]) for row in range(later.n_bars)])
    assert differing(BAR_FEATURES, found[full:], whole[cut + full :]) == []


def test_chunks_of_any_length_change_no_bit(bars, monkeypatch):
    whole = ohlcv_features(bars, BAR_FEATURES).values
    monkeypatch.setattr(ohlcv, "CHUNK_ROWS", 207)
    monkeypatch.setattr(ohlcv, "MIN_CHUNK_OF_WARM_UP", 1)
    assert differing(BAR_FEATURES, ohlcv_features(bars, BAR_FEATURES).values, whole) == []


@pytest.mark.parametrize("hour", [0, 8])
def test_bars_off_the_grid_count_whole_intervals_rounded_down(bars, hour):
    day = np.timedelta64(1, "D")
    time = np.datetime64("2024-01-01", "us") + np.timedelta64(hour, "h") + np.arange(bars.n_bars) * day
    daily = replace(bars, time=time, interval=day.astype("m8[us]"))
    assert daily.start_row == 19_723
    names = ("volatility_20", "volume_ratio_20")
    whole = ohlcv_features(daily, names).values
    assert equal_bits(ohlcv_features(daily.rows(slice(7, None)), names).values[21:], whole[28:])


def test_the_absolute_row_is_the_number_of_intervals_since_1970():
    hour = np.timedelta64(1, "h")
    assert absolute_row(np.array(["1970-01-01T02:59:59"], "M8[us]"), hour) == 2
    assert absolute_row(np.array(["1969-12-31T23:30"], "M8[us]"), hour) == -1
    assert absolute_row(np.array([], "M8[us]"), hour) == 0


@pytest.mark.parametrize("cut", CUTS)
def test_window_features_of_a_cut_history_and_of_a_stream_that_starts_later_have_the_bits_of_the_whole(cut):
    windows = trade_windows(make_trades(6_000, seed=2), 1)
    assert len(windows) > cut + 100
    whole = window_features(windows, TRADE_FEATURES).values
    # A price is known from the first window with a trade on.
    first = cut + int(np.argmax(windows.trade_count[cut:] > 0))
    later, full = windows.rows(slice(first, None)), 32
    assert differing(TRADE_FEATURES, window_features(later, TRADE_FEATURES).values[full:], whole[first + full :]) == []
    stream = WindowStream(TRADE_FEATURES)
    found = np.stack([stream.update(later.rows(slice(row, row + 1))) for row in range(len(later))])
    assert differing(TRADE_FEATURES, found[full:], whole[first + full :]) == []


@pytest.mark.parametrize("cut", CUTS)
def test_book_features_of_a_cut_history_and_of_a_stream_that_starts_later_have_the_bits_of_the_whole(cut):
    names = (*BOOK_FEATURES, "order_flow_imbalance_7", "volatility_3", "depth_ratio_30")
    book = simulate_book(seed=5, n_rows=500).book
    at, start = book.grid_rows()
    later, full = book.rows(slice(cut, None)), 32
    shift = int((later.grid_rows()[1] - start) / book.interval)
    assert np.array_equal(later.grid_rows()[0] + shift, at[cut:])
    whole = book_features(book, names).values[shift:]
    assert differing(names, book_features(later, names).values[full:], whole[full:]) == []
    stream = BookStream(names)
    found = np.stack([stream.update(later.rows(slice(row, row + 1))) for row in range(len(later))])
    kept = later.grid_rows()[0] >= full
    assert differing(names, found[kept], whole[later.grid_rows()[0]][kept]) == []


@pytest.mark.parametrize("cut", CUTS)
def test_moves_and_their_regressors_have_the_bits_of_the_whole_in_a_cut_history(bars, cut):
    later, typical = bars.rows(slice(cut, None)), typical_move(bars)
    whole, part = moves_after(bars, 24), moves_after(later, 24)
    for name in ("signed", "path", "variance"):
        assert equal_bits(getattr(part, name)[24:], getattr(whole, name)[cut + 24 :]), name
    assert equal_bits(volatility_regressors(later, typical)[97:], volatility_regressors(bars, typical)[cut + 97 :])
