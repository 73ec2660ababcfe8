"""Sources: what a study runs on has the same rows everywhere, knows nothing of later rows, and leaves out what nobody watched."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import foreshock as fs
from foreshock.data.errors import ConfigError, DataError
from foreshock.engine.sources.gate import audit_source
from foreshock.engine.sources.layout import APART, lay_out
from tests.market import make_bars

INTERVAL = np.timedelta64(20_000_000, "us")


def trades(start: str, n: int, seed: int = 0, gap: int = 15, price: float = 100.0) -> fs.Trades:
    """``n`` trades about ``gap`` seconds apart."""
    rng = np.random.default_rng(seed)
    time = np.datetime64(start, "us") + np.cumsum(rng.integers(1, 2 * gap, n)) * np.timedelta64(1, "s").astype("m8[us]")
    moves = price * np.exp(np.cumsum(rng.normal(0, 1e-3, n)))
    size = rng.exponential(1.0, n)
    return fs.Trades(time, moves, size, moves * size, rng.random(n) < 0.5)


@pytest.fixture(scope="module")
def several() -> fs.WindowSource:
    """Three symbols: two that overlap, and one a month later."""
    given = {"A": trades("2024-01-01", 3_000), "B": trades("2024-01-01T02:00", 2_000, 1), "C": trades("2024-02-01", 1_500, 2)}
    return fs.WindowSource(given)


def simulated_book() -> fs.BookSource:
    return fs.BookSource(fs.simulate_book(seed=3, n_rows=900).book)


def bar_source() -> fs.BarSource:
    return fs.BarSource(fs.simulate_market(seed=1, n_symbols=2, n_bars=900).bars, ["log_return", "range", "volume_ratio_20"])


def given_source() -> fs.FeatureSource:
    bars = fs.simulate_market(seed=1, n_symbols=2, n_bars=900).bars
    return fs.FeatureSource(fs.ohlcv_features(bars, ["log_return", "range"]), bars)


def window_source() -> fs.WindowSource:
    return fs.WindowSource(trades("2024-01-01", 3_000))


def again_source() -> fs.WindowSource:
    """A symbol that is watched twice, a month apart, and others that begin between its runs."""
    first, second = trades("2024-01-01", 600), trades("2024-02-01", 600, 3)
    parts = [
        np.concatenate([getattr(one, name) for one in (first, second)]) for name in ("time", "price", "size", "quote", "is_buy")
    ]
    return fs.WindowSource({"A": fs.Trades(*parts), "B": trades("2024-01-01T00:30", 900, 1), "C": trades("2024-02-01", 500, 2)})


def book_source() -> fs.BookSource:
    """Books of which the first begins last."""
    late, early = fs.simulate_book(seed=3, n_rows=300).book, fs.simulate_book(seed=4, n_rows=900).book
    return fs.BookSource({"late": replace(late, time=late.time + np.timedelta64(1, "h")), "early": early})


EVERY = {
    "bars": bar_source,
    "windows": window_source,
    "windows again": again_source,
    "book": simulated_book,
    "books": book_source,
    "features": given_source,
}


@pytest.mark.parametrize("kind", EVERY)
def test_prices_features_and_marks_lie_on_the_same_rows(kind):
    source = EVERY[kind]()
    assert kind.startswith(source.kind)
    assert source.features.values.shape[:2] == source.bars.shape
    np.testing.assert_array_equal(source.features.time, source.bars.time)
    for values in (source.marks or {}).values():
        assert values.shape == source.bars.shape
        assert np.nanmin(values) >= 0


@pytest.mark.parametrize("kind", EVERY)
def test_a_source_cut_short_is_what_it_was_then(kind):
    source = EVERY[kind]()
    for n in (source.bars.n_bars // 3, source.bars.n_bars - 1):
        early = source.head(n)
        np.testing.assert_array_equal(early.features.values, source.features.values[:n])
        np.testing.assert_array_equal(early.bars.close, source.bars.close[:n])
        for name, values in (early.marks or {}).items():
            np.testing.assert_array_equal(values, source.marks[name][:n])


@pytest.mark.parametrize("kind", EVERY)
def test_what_is_disturbed_changes_later_rows_alone(kind):
    source = EVERY[kind]()
    cut = source.bars.n_bars // 2
    changed = source.disturbed(cut, np.random.default_rng(0))
    np.testing.assert_array_equal(changed.features.values[:cut], source.features.values[:cut])
    # The open of the first disturbed row is known before it is disturbed.
    np.testing.assert_array_equal(changed.bars.open[: cut + 1], source.bars.open[: cut + 1])
    assert not np.array_equal(changed.features.values[cut:], source.features.values[cut:], equal_nan=True)
    assert not np.array_equal(changed.bars.close[cut:], source.bars.close[cut:], equal_nan=True)


def test_the_gate_finds_a_computation_on_a_source_that_looks_ahead():
    source = simulated_book()

    def compute(seen: fs.Source) -> dict[str, np.ndarray]:
        column = seen.features.column("relative_spread")
        return {"honest": column, "leaky": column / np.nanmax(column)}

    found = audit_source(compute, source, 3, 100)
    assert (found["honest"].passed, found["leaky"].passed) == (True, False)
    with pytest.raises(ConfigError, match="rows after row 900"):
        audit_source(compute, source, 3, 900)


def test_times_at_which_nobody_watched_are_left_out_and_nothing_crosses_them(several):
    bars = several.bars
    step = np.diff(bars.time)
    assert bars.broken
    assert (step > INTERVAL).sum() == 1
    at = int(np.argmax(step > INTERVAL))
    # A month of unknown rows is 129,600 rows.
    assert bars.n_bars < 8_000
    assert np.isnan(bars.close[at + 1 - APART : at + 1]).all()
    alone = fs.WindowSource(trades("2024-02-01", 1_500, 2), symbol="C", features=several.names)
    np.testing.assert_array_equal(several.features.values[at + 1 :, 2], alone.features.values[:, 0])
    assert np.isnan(bars.returns()[at + 1, 2])


def test_a_window_without_trades_keeps_the_price_and_has_no_volume():
    source = window_source()
    windows = fs.trade_windows(trades("2024-01-01", 3_000))
    quiet = windows.trade_count == 0
    assert quiet.any()
    np.testing.assert_array_equal(source.bars.volume[quiet, 0], 0.0)
    np.testing.assert_array_equal(source.bars.close[~quiet, 0], windows.close[~quiet])
    rows = np.flatnonzero(quiet)
    for price in ("open", "high", "low", "close"):
        np.testing.assert_array_equal(getattr(source.bars, price)[rows, 0], source.bars.close[rows - 1, 0])


def test_a_symbol_that_is_silent_for_longer_than_it_may_be_was_not_watched():
    early, late = trades("2024-01-01", 500), trades("2024-01-02", 500)
    both = fs.Trades(*(np.concatenate([getattr(early, f), getattr(late, f)]) for f in ("time", "price", "size", "quote", "is_buy")))
    assert fs.WindowSource(both).bars.n_bars > 4_000
    assert fs.WindowSource(both, silence="6h").bars.n_bars < 1_500


def test_an_identity_is_of_kind_symbols_interval_and_features_not_of_time_or_values():
    one, later = (fs.WindowSource(trades(day, 500), symbol="A") for day in ("2024-01-01", "2024-03-01"))
    assert one.identity == later.identity
    others = (
        fs.WindowSource(trades("2024-01-01", 500), symbol="B"),
        fs.WindowSource(trades("2024-01-01", 500), "10s", symbol="A"),
        fs.WindowSource(trades("2024-01-01", 500), features=["log_return"], symbol="A"),
    )
    assert len({one.identity, *(other.identity for other in others)}) == 4


def test_the_runs_of_a_layout_are_placed_at_their_rows():
    layout = lay_out([5, 2_000, 6], [3, 2, 4], [0, 0, 1], 2)
    assert layout.broken
    assert len(layout.rows) == 5 + APART + 2
    placed = layout.place([np.array([1.0, 2, 3]), np.array([4.0, 5]), np.array([6.0, 7, 8, 9])])
    np.testing.assert_array_equal(placed[:5, 0], [1, 2, 3, np.nan, np.nan])
    np.testing.assert_array_equal(placed[:5, 1], [np.nan, 6, 7, 8, 9])
    np.testing.assert_array_equal(placed[-2:, 0], [4, 5])
    assert np.isnan(placed[5:-2]).all()


def test_books_have_a_price_of_the_middle_or_of_the_micro():
    book = fs.simulate_book(seed=3, n_rows=50).book
    middle, micro = fs.BookSource(book), fs.BookSource(book, price="microprice")
    np.testing.assert_array_equal(middle.bars.close[:, 0], book.midpoint)
    bid, ask = book.price[:, 0, 0], book.price[:, 1, 0]
    size_bid, size_ask = book.notional[:, 0, 0] / bid, book.notional[:, 1, 0] / ask
    np.testing.assert_allclose(micro.bars.close[:, 0], (bid * size_ask + ask * size_bid) / (size_bid + size_ask), rtol=1e-12)
    np.testing.assert_array_equal(middle.bars.open[1:, 0], book.midpoint[:-1])
    traded = np.nansum(book.market_notional, axis=(1, 2))
    known = ~np.isnan(book.market_notional).all(axis=(1, 2))
    np.testing.assert_allclose((middle.bars.volume * middle.bars.close)[known, 0], traded[known], rtol=1e-12)


def test_a_book_with_holes_has_unknown_rows():
    book = fs.simulate_book(seed=3, n_rows=300).book
    kept = np.delete(np.arange(300), np.arange(100, 120))
    source = fs.BookSource(book.rows(np.isin(np.arange(300), kept)))
    assert np.isnan(source.bars.close[100:120]).all()
    # The bar after a hole opens at its own price, because nothing was known before it.
    assert source.bars.open[120, 0] == source.bars.close[120, 0]
    assert np.isnan(source.features.values[100:120]).all()


@pytest.mark.real_data
def test_a_partial_book_without_prices_is_studied_on_bars_of_its_market(shared_data):
    book = fs.read_book(shared_data / "l2_btc_5min_top30.parquet", "5m", symbol="BTCUSDT", partial=True, start="2021-04-07T16:35")
    with pytest.raises(DataError, match="has no midpoint in any row"):
        fs.BookSource(book)
    bars = fs.read_bars(shared_data / "ohlcv_1h_8assets.parquet")
    source = fs.BookSource(book, prices=bars)
    assert source.bars.symbols == ("BTCUSDT",)
    assert source.bars.n_bars == 281
    wanted = fs.book_features(book, ["log_bids_notional_0"])
    row = 100
    # The last snapshot whose interval has ended when the bar closes.
    last = np.searchsorted(wanted.time + book.interval, source.bars.time[row] + source.bars.interval, side="right") - 1
    assert source.features.column("log_bids_notional_0")[row, 0] == wanted.values[last, 0, 0]
    np.testing.assert_array_equal(source.features.column("log_return"), source.bars.returns())


def test_default_features_of_a_book_are_chosen_by_its_first_rows_alone():
    book = fs.simulate_book(seed=3, n_rows=2_500).book
    early = (np.arange(2_500) < 1_000)[:, None, None]
    # Placed and cancelled values are reported from snapshot 1,000 on: most rows know them, and none of the first.
    late = replace(book, limit_notional=np.where(early, np.nan, book.limit_notional))
    assert "cancel_to_limit_20" in fs.BookSource(book).names
    assert "cancel_to_limit_20" not in fs.BookSource(late).names
    assert fs.BookSource(late).names == fs.BookSource(late.head(1_000)).names


def test_features_of_other_rows_than_the_bars_are_refused():
    bars = fs.simulate_market(seed=1, n_symbols=2, n_bars=300).bars
    source = fs.FeatureSource(fs.ohlcv_features(bars.head(200), ["range"]), bars)
    with pytest.raises(DataError, match="rows and symbols of the bars, 300 rows"):
        _ = source.features


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: fs.WindowSource({}), "at least one symbol"),
        (lambda: fs.WindowSource({"A": 3}), "must be Trades or TradeWindows"),
        (lambda: fs.WindowSource({"": trades("2024-01-01", 50)}), "must be a text"),
        (lambda: fs.WindowSource(fs.trade_windows(trades("2024-01-01", 50), 5)), "must be of the interval 20s"),
        (lambda: fs.BookSource(fs.simulate_book(seed=3, n_rows=50).book, price="last"), "'midpoint' or 'microprice'"),
        (lambda: fs.BookSource(fs.simulate_book(seed=3, n_rows=50).book, prices=bar_source().bars), "must have the symbols"),
        (lambda: fs.BarSource(bar_source().bars, lambda _: 3).features, "must be Features"),
    ],
)
def test_what_no_source_can_be_made_of_is_refused_with_a_remedy(make, words):
    with pytest.raises(ConfigError, match=words):
        make()


def test_raw_rows_are_what_was_recorded_and_nothing_after_the_source_ends():
    bars = fs.simulate_market(seed=1, n_symbols=2, n_bars=48).bars
    trades = {name: fs.bar_trades(bars.select(name)) for name in bars.symbols}
    source = fs.WindowSource(trades, "5m")
    start, stop = bars.time[10], bars.time[12]
    own = trades["ETH/USDT"].to_frame()
    wanted = own[(own["time"] >= start) & (own["time"] < stop)].reset_index(drop=True)
    kind, found = source.raw_rows("ETH/USDT", start, stop)
    assert kind == "trades"
    pd.testing.assert_frame_equal(found, wanted)
    n = int(np.searchsorted(source.bars.time, bars.time[11]))
    _, cut = source.head(n).raw_rows("ETH/USDT", start, stop)
    assert cut["time"].max() < bars.time[11]
    assert len(source.raw_rows("ETH/USDT", bars.time[0] - np.timedelta64(2, "D"), bars.time[0])[1]) == 0
    # The trades of disturbed windows are not known: their bars stand for them.
    assert source.disturbed(100, np.random.default_rng(0)).raw_rows("ETH/USDT", start, stop)[0] == "bars"
    kind, found = fs.BarSource(bars).raw_rows("ETH/USDT", start, stop)
    assert (kind, len(found)) == ("bars", 2)
    kind, found = fs.BarSource(bars).raw_rows("ETH/USDT", bars.time[0] - np.timedelta64(2, "D"), bars.time[0])
    assert (kind, len(found), "close" in found) == ("bars", 0, True)
    windows = fs.trade_windows(trades["BTC/USDT"], 300)
    kind, found = fs.WindowSource(windows, "5m", symbol="A").raw_rows("A", start, stop)
    assert (kind, len(found)) == ("windows", 24)
    book = fs.simulate_book(seed=1, n_rows=60).book
    kind, found = fs.BookSource(book).raw_rows(book.symbol, book.time[10], book.time[20])
    assert kind == "snapshots"
    pd.testing.assert_frame_equal(found, book.rows(slice(10, 20)).to_frame()[["time", *book.known_columns]], check_like=True)
    with pytest.raises(ConfigError, match="the source has no symbol 'DOGE'"):
        source.raw_rows("DOGE", start, stop)


def test_a_function_of_features_that_raises_is_named_with_what_it_said():
    def broken(bars):
        raise KeyError("no such column")

    with pytest.raises(fs.ConfigError, match=r"^features function raised KeyError: 'no such column'; fix it$"):
        fs.validate(make_bars(600, 1), "zscore", broken, horizon="6h")
