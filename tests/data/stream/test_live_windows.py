"""Windows that come out as trades go in: those of the batch, whatever the packets, and after a restart at any packet."""

from itertools import pairwise

import numpy as np
import pytest

import foreshock as fs
from foreshock.data.trades.trades import Trades
from foreshock.data.trades.windows import TradeWindows, trade_windows
from tests.market import make_trades


def together(parts: list[TradeWindows]) -> dict[str, np.ndarray]:
    names = [name for name, value in vars(parts[0]).items() if isinstance(value, np.ndarray)]
    return {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}


def assert_equal(found: dict[str, np.ndarray], expected: TradeWindows) -> None:
    for name, values in found.items():
        assert np.array_equal(values, getattr(expected, name), equal_nan=values.dtype.kind == "f"), name


def packets(trades: Trades, seed: int, longest: int = 60) -> list[Trades]:
    rng, edges = np.random.default_rng(seed), [0]
    while edges[-1] < len(trades):
        edges.append(min(edges[-1] + int(rng.integers(1, longest)), len(trades)))
    return [trades.rows(slice(a, b)) for a, b in pairwise(edges)]


@pytest.mark.parametrize("seconds", [0.5, 1, 20])
def test_closed_windows_are_those_of_the_batch_whatever_the_packets(seconds):
    trades = make_trades(3_000, seed=2)
    batch = trade_windows(trades, seconds)
    assert (batch.trade_count == 0).any() or seconds == 20
    for seed in range(3):
        live = fs.LiveWindows(seconds)
        found = [live.add(part) for part in packets(trades, seed)]
        assert_equal(together(found), batch.rows(slice(0, -1)))
        # The open window is closed by the clock.
        found.append(live.close(batch.time[-1] + batch.interval))
        assert_equal(together(found), batch)
        assert live.n_late == 0


def test_a_restart_at_any_packet_changes_no_bit(tmp_path):
    trades = make_trades(2_000, seed=4)
    parts, batch = packets(trades, 1), trade_windows(trades, 2).rows(slice(0, -1))
    live, found = fs.LiveWindows(2), []
    for k, part in enumerate(parts):
        found.append(live.add(part))
        if k % 3 == 0:
            live.save(tmp_path / "windows")
            live = fs.LiveWindows(2).load(tmp_path / "windows")
    assert_equal(together(found), batch)
    with pytest.raises(fs.DataError, match="whose width is 2000000"):
        fs.LiveWindows(3).load(tmp_path / "windows")


@pytest.mark.real_data
def test_closed_windows_of_real_ticks_are_those_of_the_batch(shared_data):
    trades = fs.read_trades(shared_data / "ticks_btcusdt_spot_20240808.parquet")
    live = fs.LiveWindows(1)
    found = [live.add(part) for part in packets(trades, 7, 40)]
    assert_equal(together(found), trade_windows(trades, 1).rows(slice(0, -1)))


def test_the_clock_closes_quiet_windows_and_a_trade_that_comes_too_late_is_counted_and_in_none():
    start = np.datetime64("2024-01-01T00:00:05", "us")
    one = np.ones(1)

    def trade(seconds: float, price: float) -> Trades:
        return Trades(start + np.array([np.timedelta64(int(seconds * 1e6), "us")]), price * one, one, price * one, one > 0)

    live = fs.LiveWindows(10)
    assert len(live.close("2024-01-01T01:00")) == 0
    assert len(live.add(trade(0, 10.0))) == 0
    assert len(live.close("2024-01-01T00:00:09.999")) == 0
    closed = live.close("2024-01-01T00:00:35")
    assert closed.trade_count.tolist() == [1.0, 0.0, 0.0]
    assert len(live.add(trade(20, 11.0))) == 0
    assert live.n_late == 1
    assert live.add(trade(36, 12.0)).trade_count.tolist() == [0.0]
    assert "1 trade in the open one" in repr(live)


def test_what_cannot_be_windowed_is_refused():
    trades = make_trades(100, seed=2)
    live = fs.LiveWindows(1)
    live.add(trades.rows(slice(50, 60)))
    with pytest.raises(fs.DataError, match="trades must follow one another"):
        live.add(trades.rows(slice(0, 10)))
    far = Trades(
        trades.time[:1] + np.timedelta64(20_000, "D"), *(getattr(trades, n)[:1] for n in ("price", "size", "quote", "is_buy"))
    )
    with pytest.raises(fs.DataError, match="are too many; check the times"):
        live.add(far)
    with pytest.raises(fs.ConfigError, match="whole number of milliseconds"):
        fs.LiveWindows(0)
