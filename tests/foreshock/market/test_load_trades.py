"""Trades by name: what the exchange has, whole or a day at a time."""

import numpy as np
import pytest

import foreshock as fs
from foreshock.data.exchange.patience import Pace
from foreshock.data.store.store import Store
from tests.console import foreshock
from tests.servers.exchange_server import HOUR_MS, START_MS, ExchangeServer, Market, tick_trades
from tests.servers.store_writers import BARS, MINUTE, START, TRADES, bars, trades


def test_a_stream_of_days_gives_the_windows_of_all_trades_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(Pace, "turn", lambda self, seconds: None)
    made = tick_trades(4_000, start=START_MS + 8 * HOUR_MS)
    made[3_000:, 1] += 14 * HOUR_MS
    with ExchangeServer([Market("BTC", trades=made)], now=int(made[-1, 1]) + HOUR_MS) as server:
        given = {"start": "2024-01-01", "end": "2024-01-04", "store": tmp_path, "base_url": server.url}
        whole = fs.load_trades("BTC/USDT", **given)
        days = list(fs.stream_trades("BTC/USDT", **given))
        part = fs.load_trades("BTC/USDT", **{**given, "start": "2024-01-01T12:00", "end": "2024-01-02"})
        with pytest.raises(fs.DataError, match="binance has no trade of BTC/USDT from 2023-12-01 to 2023-12-02; widen the range"):
            fs.load_trades("BTC/USDT", **{**given, "start": "2023-12-01", "end": "2023-12-02"})
        with pytest.raises(fs.ConfigError, match="no market 'BTC/USDX'"):
            fs.stream_trades("BTC/USDX", **given)
    assert whole.ids is not None
    assert part.ids is not None
    assert np.array_equal(whole.ids, made[:, 0])
    assert np.array_equal(whole.time.astype("datetime64[ms]").astype(int), made[:, 1])
    assert np.array_equal(whole.quote, made[:, 2] * made[:, 3])
    assert np.array_equal(whole.is_buy, made[:, 4] == 1)
    inside = (made[:, 1] >= START_MS + 12 * HOUR_MS) & (made[:, 1] < START_MS + 24 * HOUR_MS)
    assert np.array_equal(part.ids, made[inside, 0])
    assert len(days) == 2
    assert fs.trade_windows(iter(days), 20).to_frame().equals(fs.trade_windows(whole, 20).to_frame())


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_days_of_trades_are_exported_one_after_the_other(tmp_path, monkeypatch, capsys, suffix):
    store, table = Store(tmp_path / "store"), trades(9_000, 2)
    time = table["time"].to_numpy()
    store.write(TRADES, table, int(time[0]), int(time[-1]) + 1)
    assert len(list((tmp_path / "store").rglob("*.parquet"))) == 4
    path = tmp_path / f"t.{suffix}"
    given = ["BTC/USDT:USDT", "--kind", "trades", "--out", str(path), "--store", str(tmp_path / "store")]
    assert foreshock(monkeypatch, capsys, "store", "export", *given)[1].startswith("9,000 rows of")
    found = fs.read_trades(path)
    assert found.ids is not None
    assert np.array_equal(found.ids, table["id"])
    assert np.array_equal(found.price, table["price"])
    # A day that is damaged, found after others were written: what was at the path is there still.
    before = path.read_bytes()
    day = sorted((tmp_path / "store").rglob("*.parquet"))[2]
    day.write_bytes(day.read_bytes()[:-50])
    code, _, err = foreshock(monkeypatch, capsys, "store", "export", *given)
    assert code == 3
    assert err.startswith(f"error: partition {day.name} of")
    assert path.read_bytes() == before
    assert sorted(one.name for one in tmp_path.iterdir()) == sorted(["store", path.name])


def test_a_read_of_parts_is_a_read_of_the_whole(tmp_path):
    store, table = Store(tmp_path), bars(6_000, [(10, 40), (4_000, 4_700)])
    store.write(BARS, table, START, START + 6_000 * MINUTE)
    for first, stop in ((None, None), (START + 15 * MINUTE, START + 5_000 * MINUTE), (START + 12 * MINUTE, START + 20 * MINUTE)):
        parts = list(store.parts(BARS, first, stop))
        assert all(map(len, parts))
        assert sum(map(len, parts)) == len(store.read(BARS, first, stop))
        assert [time for part in parts for time in part["time"].to_pylist()] == store.read(BARS, first, stop)["time"].to_pylist()
