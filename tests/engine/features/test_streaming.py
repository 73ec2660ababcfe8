"""Streams give the bits of the batch kernels, and chunks and threads change none."""

import numpy as np
import pandas as pd
import pytest

from foreshock.data.bars import FIELDS, Bars
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.files import read_bars
from foreshock.data.trades.trades import read_trades
from foreshock.data.trades.windows import TradeWindows, trade_windows
from foreshock.engine.features import ohlcv
from foreshock.engine.features.ohlcv import OHLCV_FEATURES, OhlcvStream, ohlcv_features
from foreshock.engine.features.pumps import PumpStream, published_pump_features
from foreshock.engine.features.windows import WINDOW_FEATURES, WindowStream, window_features
from foreshock.engine.kernels.recursive import EwmaStream, ewma_nb
from foreshock.engine.kernels.robust import (
    MadStream,
    QuantilesStream,
    RankStream,
    rolling_mad_nb,
    rolling_quantiles_nb,
    rolling_rank_nb,
)
from foreshock.engine.kernels.rolling import (
    CovarianceStream,
    MaxStream,
    MeanStream,
    MomentsStream,
    rolling_covariance_nb,
    rolling_max_nb,
    rolling_mean_nb,
    rolling_moments_nb,
)
from foreshock.engine.kernels.windows import SumStream, rolling_sum_nb
from tests.market import make_bars, make_trades

MORE_FEATURES = (
    *OHLCV_FEATURES, "ewma_volatility_30", "return_rank_50", "volume_rank_50", "market_correlation_48", "market_beta_48", "skew_20",
)  # fmt: skip


def rows_with_gaps() -> np.ndarray:
    x = 6e4 + np.random.default_rng(0).standard_normal((500, 3)).cumsum(axis=0)
    x[200:230, 1] = np.nan
    x[300] = np.nan
    x[350:400, 2] = 61_000.0
    return x


QUANTILES = np.array([0.1, 0.5, 0.99])
TWINS = {
    "moments": (lambda w: MomentsStream(w, 3, 3), lambda x, w: rolling_moments_nb(x, w, 3)),
    "mean": (lambda w: MeanStream(w, 3), lambda x, w: rolling_mean_nb(x, w)[None]),
    "sum": (lambda w: SumStream(w, 3), lambda x, w: rolling_sum_nb(x, w)[None]),
    "max": (lambda w: MaxStream(w, 3), lambda x, w: rolling_max_nb(x, w)[None]),
    "quantiles": (lambda w: QuantilesStream(w, 3, QUANTILES, 1), lambda x, w: rolling_quantiles_nb(x, w, QUANTILES, 1)),
    "mad": (lambda w: MadStream(w, 3, w), lambda x, w: np.stack(rolling_mad_nb(x, w, w))),
    "rank": (lambda w: RankStream(w, 3), lambda x, w: rolling_rank_nb(x, w)[None]),
    "ewma": (lambda w: EwmaStream(2 / (w + 1), 3), lambda x, w: ewma_nb(x, 2 / (w + 1))[None]),
}


@pytest.mark.parametrize("window", [3, 20, 64])
@pytest.mark.parametrize("name", TWINS)
def test_a_stream_gives_the_bits_of_its_batch_kernel(name, window):
    x = rows_with_gaps()
    make, batch = TWINS[name]
    stream = make(window)
    found = np.stack([np.atleast_2d(np.stack(stream.update(row)) if name == "mad" else stream.update(row)) for row in x], axis=1)
    assert np.array_equal(found, batch(x, window), equal_nan=True)


@pytest.mark.parametrize("window", [2, 20, 64])
def test_a_covariance_stream_gives_the_bits_of_its_batch_kernel(window):
    x = rows_with_gaps()
    stream = CovarianceStream(window, 3, 2)
    found = np.stack([stream.update(row, row[:2]) for row in x])
    assert np.array_equal(found, rolling_covariance_nb(x, x[:, :2], window), equal_nan=True)


def stream_all(bars: Bars, names: tuple[str, ...]) -> np.ndarray:
    stream = OhlcvStream(bars.n_symbols, names, bars.start_row)
    columns = [getattr(bars, name) for name in FIELDS]
    return np.stack([stream.update([column[row] for column in columns]) for row in range(bars.n_bars)])


def test_streamed_features_have_the_bits_of_the_batch():
    bars = make_bars(n_bars=900, n_symbols=3, seed=6)
    assert np.array_equal(stream_all(bars, MORE_FEATURES), ohlcv_features(bars, MORE_FEATURES).values, equal_nan=True)


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "first"), [("ohlcv_1h_8assets", 6_000), ("ohlcv_btc_spot_1m_20251218", 0), ("ohlcv_btc_spot_1h_2017_2024", 1_000)]
)
def test_streamed_features_have_the_bits_of_the_batch_on_real_bars(name, first, shared_data):
    bars = read_bars(shared_data / f"{name}.parquet").rows(slice(first, first + 2_500))
    assert np.array_equal(stream_all(bars, MORE_FEATURES), ohlcv_features(bars, MORE_FEATURES).values, equal_nan=True)


@pytest.mark.parametrize("n_threads", [1, 2, 3])
@pytest.mark.parametrize("chunk", [1, 2_000, 10**9])
def test_chunks_and_threads_change_no_bit(chunk, n_threads, monkeypatch):
    bars = make_bars(n_bars=5_500, n_symbols=3, seed=6)
    monkeypatch.setattr(ohlcv, "CHUNK_ROWS", 10**9)
    names = tuple(name for name in MORE_FEATURES if name != "ewma_volatility_30")
    whole = ohlcv_features(bars, names).values
    monkeypatch.setattr(ohlcv, "CHUNK_ROWS", chunk)
    assert np.array_equal(ohlcv_features(bars, names, n_threads).values, whole, equal_nan=True)


def test_windows_that_share_no_short_multiple_equal_their_pandas_expressions():
    names = ("volatility_101", "volatility_103", "volatility_107", "return_500")
    bars = make_bars(n_bars=2_000, n_symbols=2, seed=6)
    expected = pd.DataFrame(bars.returns()).rolling(107).std()
    np.testing.assert_allclose(ohlcv_features(bars, names).column("volatility_107"), expected, rtol=1e-9)


def test_the_further_features_equal_their_pandas_expressions():
    bars = make_bars(n_bars=700, n_symbols=3, seed=9)
    features = ohlcv_features(bars, MORE_FEATURES)
    r = pd.DataFrame(bars.returns())
    market = r.mean(axis=1)
    ewma = np.sqrt((r**2).ewm(alpha=2 / 31, adjust=False, ignore_na=True).mean())
    np.testing.assert_allclose(features.column("ewma_volatility_30")[1:], ewma[1:], rtol=1e-12)
    np.testing.assert_allclose(features.column("return_rank_50"), r.rolling(50).rank(pct=True), rtol=1e-12)
    np.testing.assert_allclose(features.column("volume_rank_50"), pd.DataFrame(bars.volume).rolling(50).rank(pct=True), rtol=1e-12)
    correlation = r.apply(lambda column: column.rolling(48).corr(market))
    np.testing.assert_allclose(features.column("market_correlation_48"), correlation, rtol=1e-9)
    beta = r.apply(lambda column: column.rolling(48).cov(market)).div(market.rolling(48).var(), axis=0)
    np.testing.assert_allclose(features.column("market_beta_48"), beta, rtol=1e-9)


def test_covariances_equal_pandas_at_price_scale():
    x = 6e4 + np.random.default_rng(0).standard_normal((300, 3))
    found = rolling_covariance_nb(x, x, 40)
    expected = pd.DataFrame(x).rolling(40).cov().to_numpy().reshape(300, 3, 3)
    np.testing.assert_allclose(found, expected, atol=1e-9)
    spread = np.sqrt(np.einsum("tii->ti", found))
    np.testing.assert_allclose(spread[39:], rolling_moments_nb(x, 40, 2)[1][39:], rtol=1e-12)


def test_a_bar_of_other_symbols_than_the_stream_was_made_for_is_refused():
    with pytest.raises(DataError, match="one value for each of 3 symbols"):
        OhlcvStream(3).update([np.ones(2)] * 5)


@pytest.mark.parametrize(
    "bar",
    [
        (1.0, 1.0, 0.0, 1.0, 5.0),
        (1.0, -1.0, 1.0, 1.0, 5.0),
        (1.0, np.inf, 1.0, 1.0, 5.0),
        (np.nan, 1.0, 1.0, 1.0, 5.0),
        (1.0, 1.0, 1.0, 1.0, -5.0),
        (1.0, 1.0, 1.0, 1.0, np.inf),
    ],
)
def test_a_stream_refuses_the_bars_that_a_batch_refuses(bar):
    time = np.datetime64("2024-01-01", "us")
    fields = [np.array([[2.0, value]]) for value in bar]
    with pytest.raises(DataError):
        Bars(time[None], ("A", "B"), *fields, interval=np.timedelta64(1, "h"))
    with pytest.raises(DataError, match="for symbol 1"):
        OhlcvStream(2).update([field[0] for field in fields])


def test_a_stream_takes_an_unknown_bar():
    OhlcvStream(1).update([np.array([np.nan])] * 4 + [np.array([0.0])])


MORE_WINDOW_FEATURES = (
    *WINDOW_FEATURES, "return_1", "return_15", "rush_orders_6", "buy_quote_volume_1", "buy_quote_volume_7", "volatility_3",
    "volume_zscore_30", "return_zscore_30", "buy_burst_3_20", "buy_burst_1_20", "trade_count_ratio_7",
)  # fmt: skip


def assert_windows_stream_like_their_batch(windows: TradeWindows) -> None:
    stream = WindowStream(MORE_WINDOW_FEATURES)
    found = np.stack([stream.update(windows.rows(slice(row, row + 1))) for row in range(len(windows))])
    assert np.array_equal(found, window_features(windows, MORE_WINDOW_FEATURES).values, equal_nan=True)


def test_streamed_window_features_have_the_bits_of_the_batch():
    windows = trade_windows(make_trades(6_000, seed=2), 5)
    assert (windows.trade_count == 0).any()
    assert_windows_stream_like_their_batch(windows)


@pytest.mark.parametrize("seconds", [1, 20])
def test_streamed_features_of_real_ticks_have_the_bits_of_the_batch(shared_data, seconds):
    assert_windows_stream_like_their_batch(trade_windows(read_trades(shared_data / "ticks_btcusdt_spot_20240808.parquet"), seconds))


def test_streamed_features_of_a_live_collectors_windows_have_the_bits_of_the_batch(shared_data):
    table = pd.read_parquet(shared_data / "windows20s_btcusdt.parquet")
    for _, rows in table.groupby("segment", sort=False):
        close = np.cumprod(1 + rows["return"].to_numpy())
        known = {name: rows[name].to_numpy(dtype=float) for name in ("trade_count", "volume", "volatility")}
        unknown = np.full(len(rows), np.nan)
        absent = ("quote_volume", "buy_count", "buy_volume", "buy_quote_volume", "rush_orders", "open", "high", "low", "mean_price")
        step = np.timedelta64(20_000_000, "us")
        time = rows["timestamp"].to_numpy(dtype="datetime64[us]")[0] + step * np.arange(len(rows))
        windows = TradeWindows(time, step, **known, **dict.fromkeys(absent, unknown), close=close, log_return=unknown)
        assert_windows_stream_like_their_batch(windows)


@pytest.mark.parametrize(("event", "seconds"), [("NAS_202005301600", 5), ("ONG_202101111600", 15), ("POA_202003121900", 25)])
def test_streamed_features_of_real_pumps_have_the_bits_of_the_batch(shared_data, event, seconds):
    trades = read_trades(shared_data / "pump_trades.parquet").split()[event]
    windows = trade_windows(trades, seconds)
    assert_windows_stream_like_their_batch(windows.rows(slice(-4_000, None)))
    chunks, stream = trade_windows(trades.rows(trades.is_buy), seconds), PumpStream(seconds)
    streamed = [stream.update(chunks.rows(slice(row, row + 1))) for row in range(len(chunks))]
    found = np.stack([row for row in streamed if row is not None])
    expected = published_pump_features(trades, seconds).values
    assert len(found) < len(chunks)
    assert np.isfinite(expected).all(axis=2).any()
    assert np.array_equal(found, expected, equal_nan=True)


def test_windows_and_chunks_that_cannot_be_streamed_are_refused():
    windows, stream = trade_windows(make_trades(600), 5), WindowStream()
    stream.update(windows.rows(slice(0, 1)))
    with pytest.raises(DataError, match=r"windows must be consecutive, got .*, expected .*; pass empty windows too"):
        stream.update(windows.rows(slice(2, 3)))
    with pytest.raises(DataError, match="update takes one window, got 2"):
        stream.update(windows.rows(slice(1, 3)))
    with pytest.raises(DataError, match="update takes one chunk, got 2"):
        PumpStream(5).update(windows.rows(slice(1, 3)))
    with pytest.raises(ConfigError, match="seconds must be one of 5, 15, 25"):
        PumpStream(10)
