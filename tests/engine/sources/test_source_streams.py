"""Every source one row at a time: the features of the batch, and after a restart at any row."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

import foreshock as fs
from foreshock.data.trades.trades import Trades
from foreshock.engine.sources.source import Source
from tests.market import make_bars, make_trades


def of_bars(names, funding: bool = False) -> fs.BarSource:
    bars = make_bars(300, 3, seed=3)
    if funding:
        rates = np.full(bars.shape, np.nan)
        rates[::8], rates[100:200] = 1e-4 * np.arange(len(rates[::8]))[:, None], np.nan
        bars = replace(bars, extras={"funding_rate": rates, "open_interest": 1.0 + np.arange(300.0)[:, None] * np.ones(3)})
    return fs.BarSource(bars, names)


def later(trades: Trades, hours: float) -> Trades:
    return replace(trades, time=trades.time + np.timedelta64(int(hours * 3_600_000_000), "us"))


def of_windows(names=None) -> fs.WindowSource:
    # Two symbols that begin and end at different times, and hours between two runs of the first.
    first = make_trades(900, seed=2, gap_ms=400)
    runs = {name: fs.trade_windows(trades, 1) for name, trades in (("A", first), ("A2", later(first, 5)))}
    joined = {
        name: np.concatenate([getattr(runs["A"], name), getattr(runs["A2"], name)])
        for name, value in vars(runs["A"]).items()
        if isinstance(value, np.ndarray)
    }
    second = fs.trade_windows(later(make_trades(600, seed=3, gap_ms=300), 0.02), 1)
    return fs.WindowSource({"A": replace(runs["A"], **joined), "B": second}, "1s", names)


def of_books(names=None) -> fs.BookSource:
    book = fs.simulate_book(seed=5, n_rows=200).book
    holes = np.r_[0:60, 75:200]
    other = replace(fs.simulate_book(seed=6, n_rows=120).book, symbol="OTHER")
    other = replace(other, time=other.time + np.timedelta64(203_000_000, "us"))
    part = {name: value[holes] for name, value in vars(book).items() if isinstance(value, np.ndarray)}
    return fs.BookSource({"SIM/USDT": replace(book, **part), "OTHER": other}, names)


def of_features() -> fs.FeatureSource:
    source = of_bars(["log_return", "range"])
    return fs.FeatureSource(source.features, source.bars)


SOURCES: dict[str, Callable[[], Source]] = {
    "bars": lambda: of_bars(["volatility_20", "log_return", "volume_ratio_20", "skew_20"]),
    "bars without a return": lambda: of_bars(["volatility_20", "range"]),
    "bars with extras": lambda: of_bars(["open_interest", "log_return", "funding_rate", "range"], funding=True),
    "a function of bars": lambda: of_bars(lambda bars: fs.ohlcv_features(bars, ["volatility_20", "range"])),
    "windows": of_windows,
    "windows without a return": lambda: of_windows(["volume_ratio_20", "trade_count"]),
    "books": of_books,
    "books without a return": lambda: of_books(["imbalance_5", "depth_ratio_20"]),
    "features": of_features,
}


@pytest.mark.parametrize("kind", SOURCES)
def test_streamed_rows_have_the_times_and_the_bits_of_the_batch_also_after_a_restart(kind, tmp_path):
    source = SOURCES[kind]()
    batch, rows = source.features, list(source.live_rows())
    stream = source.stream()
    assert (stream.symbols, stream.names, stream.comparable) == (batch.symbols, batch.names, batch.comparable)
    cut = int(np.random.default_rng(len(kind)).integers(20, len(rows) - 20))
    found = [one for row in rows[:cut] for one in stream.update(row)]
    stream.save(tmp_path / "rows")
    resumed = source.stream().load(tmp_path / "rows")
    for row in rows[cut:]:
        expected = stream.update(row)
        for one, other in zip(resumed.update(row), expected, strict=True):
            assert one.time == other.time
            assert np.array_equal(one.values, other.values, equal_nan=True)
        found += expected
    assert np.array_equal([one.time for one in found], batch.time)
    assert np.isfinite(batch.values).all(axis=2).any()
    values = np.array([one.values for one in found])
    assert [
        name for k, name in enumerate(batch.names) if not np.array_equal(values[..., k], batch.values[..., k], equal_nan=True)
    ] == []


def test_a_malformed_bar_is_unknown_as_in_a_cleaned_history():
    bars = make_bars(200, 2, seed=4)
    bars.high[150, 1] = bars.low[150, 1] * 0.99
    source, report = fs.BarSource(bars, ["log_return", "range"]).cleaned()
    assert report.count("ohlc_violation") == 1
    stream, raw = source.stream(), fs.BarSource(bars, ["log_return", "range"])
    found = np.array([one.values for row in raw.live_rows() for one in stream.update(row)])
    assert np.array_equal(found, source.features.values, equal_nan=True)


def test_bars_that_were_left_out_are_unknown_rows_as_in_a_history_with_gaps():
    source = of_bars(["log_return", "volatility_20"])
    rows = list(source.live_rows())
    bars = source.bars
    for name in ("open", "high", "low", "close", "volume"):
        getattr(bars, name)[100:103] = np.nan
    stream = source.stream()
    found = [one for row in rows[:100] + rows[103:] for one in stream.update(row)]
    assert np.array_equal(np.array([one.values for one in found]), fs.BarSource(bars, source.names).features.values, equal_nan=True)


def test_rows_that_do_not_fit_are_refused():
    source = of_bars(["log_return"])
    stream, rows = source.stream(), list(source.live_rows())
    stream.update(rows[10])
    with pytest.raises(fs.DataError, match="rows must come in order"):
        stream.update(rows[3])
    with pytest.raises(fs.DataError, match="a row must be one bar of 1h of"):
        stream.update(source.bars)
    with pytest.raises(fs.ConfigError, match="row must be Bars"):
        stream.update({"A": 1})
    windows = of_windows()
    with pytest.raises(fs.ConfigError, match="a row must have windows of at least one of A, B, got none"):
        windows.stream().update({})
    with pytest.raises(fs.ConfigError, match="got C"):
        windows.stream().update({"C": next(windows.live_rows())["A"]})
    with pytest.raises(fs.ConfigError, match="cannot be streamed"):
        fs.BookSource(
            fs.simulate_book(seed=1, n_rows=600).book, prices=fs.simulate_book(seed=1, n_rows=600).book.to_bars()
        ).stream()
