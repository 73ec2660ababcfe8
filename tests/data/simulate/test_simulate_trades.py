"""Simulated trades make exactly the bars that they are drawn from."""

import re
from dataclasses import replace

import numpy as np
import pytest

from foreshock.data.bars import PRICES
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.simulate.market import simulate_market
from foreshock.data.simulate.trades import bar_trades
from foreshock.data.trades.windows import trade_windows


@pytest.fixture(scope="module")
def bars():
    return simulate_market(seed=3, n_symbols=2, n_bars=400).bars


@pytest.mark.parametrize(("symbol", "trades_per_bar"), [(None, 4), (None, 40), ("ETH/USDT", 600)])
def test_windows_of_the_trades_are_the_bars(bars, symbol, trades_per_bar):
    trades = bar_trades(bars, symbol, trades_per_bar)
    windows = trade_windows(trades, seconds=3_600)
    col = 0 if symbol is None else bars.symbols.index(symbol)
    assert np.array_equal(windows.time, bars.time)
    for name in PRICES:
        assert np.array_equal(getattr(windows, name), getattr(bars, name)[:, col]), name
    np.testing.assert_allclose(windows.volume, bars.volume[:, col], rtol=1e-12)
    assert windows.trade_count.min() >= 4
    assert windows.trade_count.mean() == pytest.approx(max(trades_per_bar, 4.75), rel=0.05)


def test_bars_without_trades_have_none_and_flat_bars_stand_still(bars):
    changed = {name: getattr(bars, name).copy() for name in (*PRICES, "volume")}
    for name in (*PRICES, "volume"):
        changed[name][10] = np.nan
    changed["volume"][20] = 0.0
    for name in PRICES:
        changed[name][30] = changed["open"][30]
    windows = trade_windows(bar_trades(replace(bars, **changed, extras={}), trades_per_bar=50), seconds=3_600)
    assert np.flatnonzero(windows.trade_count == 0).tolist() == [10, 20]
    assert windows.high[30] == windows.low[30] == windows.mean_price[30] == bars.open[30, 0]


def test_trades_have_the_grain_of_a_market(bars):
    trades = bar_trades(bars, trades_per_bar=400)
    move = np.diff(np.log(trades.price))
    # Paths run through the bar's range instead of straight from anchor to anchor.
    inside = trade_windows(trades, seconds=300).to_bars()
    assert np.nanstd(inside.returns()) == pytest.approx(np.nanstd(bars.returns()[:, 0]) / np.sqrt(12), rel=0.25)
    assert (np.diff(trades.time) == np.timedelta64(0)).mean() == pytest.approx(0.2, abs=0.02)
    bought = trades.is_buy[1:]
    assert bought[move > 0].mean() == pytest.approx(0.8, abs=0.02)
    assert bought[move < 0].mean() == pytest.approx(0.2, abs=0.02)
    assert np.array_equal(bar_trades(bars, trades_per_bar=400).price, trades.price)
    assert not np.array_equal(bar_trades(bars, trades_per_bar=400, seed=8).price[:100], trades.price[:100])


def test_a_market_has_trades_and_a_book_once_they_are_asked_for():
    market = simulate_market(seed=3, n_symbols=2, n_bars=400)
    assert set(vars(market)) == {"bars", "events", "volatility", "seed", "annual_volatility"}
    windows = trade_windows(market.trades, seconds=3_600)
    assert np.array_equal(windows.close, market.bars.close[:24, 0])
    assert market.trades is market.trades
    assert market.book is market.simulated_book.book
    assert market.book.time[0] == market.bars.time[0]


@pytest.mark.parametrize("n", [3, 2.5, 2_000_000, True])
def test_a_number_of_trades_out_of_range_is_refused(bars, n):
    with pytest.raises(ConfigError, match=re.escape(f"trades_per_bar must be a whole number from 4 to 1000000, got {n!r}")):
        bar_trades(bars, trades_per_bar=n)


def test_bars_that_hold_no_trades_are_refused(bars):
    with pytest.raises(DataError, match="no bar of BTC/USDT has a volume"):
        bar_trades(replace(bars, volume=np.zeros(bars.shape)))
    with pytest.raises(DataError, match="no such symbol: XMR"):
        bar_trades(bars, "XMR")
