"""``foreshock fetch`` against the loopback exchange: what it says, what it refuses, and that it harms no store."""

import errno
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from foreshock.data.errors import ConfigError, DataError
from foreshock.data.exchange.patience import Pace
from foreshock.data.files import read_bars
from foreshock.data.store.series import SeriesKey, minute
from foreshock.data.store.store import Store
from foreshock.market.history import load_bars, load_trades
from tests.console import foreshock
from tests.paths import snapshot
from tests.servers.exchange_server import HOUR_MS, MINUTE_MS, START_MS, Market, plant_holes, tick_trades, walk
from tests.servers.fetched import N_HOLES, SPOT, assert_exact, serve


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["BTC/USDT", "--exchange", "binanse"], 2, "exchange must be one that ccxt knows, got 'binanse'; did you mean binance"),
        (["BTC/USDX"], 2, "binance has no market 'BTC/USDX'; did you mean BTC/USDT"),
        (["btc"], 2, "binance has no market 'btc'"),
        (["BTC/USDT", "--timeframe", "7m"], 2, "binance has no timeframe '7m' of a day or less; it has"),
        (["BTC/USDT", "--timeframe", "1w"], 2, "binance has no timeframe '1w' of a day or less"),
        (
            ["BTC/USDT", "--start", "2024-02-01", "--end", "2024-01-01"],
            2,
            "start must be before end, got 2024-02-01 and 2024-01-01",
        ),
        (["BTC/USDT", "--start", "1970-01-01"], 2, "start must lie in the years 2000 to 2099, got 1970-01-01"),
        (["BTC/USDT", "--kind", "trades", "--timeframe", "5m"], 2, "--timeframe applies to bars and books only, got 5m for trades"),
        (["BTC/USDT:USDT", "--kind", "funding", "--timeframe", "8h"], 2, "--timeframe applies to bars and books only, got 8h for"),
        (["BTC/USDT", "--start", "2999-01-01"], 2, "start must be before end"),
        (["BTC/USDT", "--start", "yesterday"], 2, "start must be an ISO date"),
        (["BTC/USDT", "--kind", "candles"], 2, "kind must be one of ohlcv, trades, funding, book"),
        (["BTC/USDT", "--base-url", "data.example"], 2, "base_url must start with http:// or https://"),
        (["BTC/USDT", "BTC/USDT"], 2, "symbols must be at least one and differ"),
        (["BTC/USDT", "--exchange", "upbit", "--kind", "funding"], 2, "upbit does not give funding rates"),
        (["BTC/USD", "--exchange", "coinbase", "--kind", "funding"], 2, "coinbase does not give funding rates"),
        (["BTC/USD", "--exchange", "kraken", "--kind", "funding"], 2, "kraken does not give funding rates"),
        (["BTC/JPY", "--exchange", "bitflyer"], 2, "bitflyer does not give bars"),
        (["BTC/USDT", "--kind", "funding"], 2, "BTC/USDT has no funding rate, it is not a perpetual swap"),
    ],
)
def test_wrong_use_is_one_sentence_and_harms_no_store(arguments, code, message, holed, tmp_path, monkeypatch, capsys):
    with serve(Market("BTC", bars=holed[0])) as server:
        given = ["--start", "2024-01-01", "--end", "2024-01-02", "--base-url", server.url, "--store", str(tmp_path / "store")]
        assert foreshock(monkeypatch, capsys, "fetch", *given, *arguments)[0] == code
        printed = foreshock(monkeypatch, capsys, "fetch", *given, *arguments)[2]
    assert message in printed
    assert printed.count("\n") == 1
    assert not any(path.is_file() for path in tmp_path.rglob("*.parquet"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"symbols": [5]}, "symbols must be words, such as 'BTC/USDT', got 5"),
        ({"symbols": None}, "symbols must be words, such as 'BTC/USDT', got None"),
        ({"timeframe": 60}, "timeframe must be a text, got 60"),
        ({"exchange": None}, "exchange must be a text, got None"),
        ({"store": 5}, "store must be a folder, got 5"),
        ({"archive": 5}, "archive must be public, an address that begins with http, or a folder, got 5"),
        ({"base_url": 5}, "base_url must be an address that begins with http, got 5"),
        ({"funding": "no"}, "funding must be True or False, got 'no'"),
    ],
)
def test_an_argument_of_another_type_is_refused_in_a_sentence(given, message, tmp_path):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}"):
        load_bars(**{"symbols": "BTC/USDT", "start": "2024-01-01", "store": tmp_path, **given})


def test_a_path_of_another_type_is_refused_in_a_sentence():
    with pytest.raises(ConfigError, match=r"^path must be a file or a folder, got 5"):
        read_bars(5)  # pyright: ignore[reportArgumentType]


def test_one_market_is_asked_for_trades(tmp_path):
    with pytest.raises(ConfigError, match=r"^symbol must be one word, such as 'BTC/USDT', got \['BTC/USDT'"):
        load_trades(["BTC/USDT", "ETH/USDT"], start="2024-01-01", store=tmp_path)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("column", [1, 2, 3, 4])
def test_a_bar_of_the_exchange_that_cannot_be_is_set_aside_and_the_rest_arrives(column, holed, tmp_path, monkeypatch, capsys):
    bars = holed[0].copy()
    bad = int(bars[50, 0])
    # A price far below the low, or a low far above the high.
    bars[50, column] *= 2 if column == 3 else 0.5
    given = {"timeframe": "1m", "start": "2024-01-01", "end": "2024-01-02", "store": tmp_path}
    with serve(Market("BTC", bars=bars)) as server:
        with pytest.warns(UserWarning, match=r"^binance spot BTC/USDT ohlcv 1m: 1 set aside that cannot be; foreshock store notes"):
            loaded = load_bars("BTC/USDT", base_url=server.url, **given)
        server.requests.clear()
        # Two answers said so: it is not asked for again until store refetch is.
        with pytest.warns(UserWarning, match="1 set aside that cannot be"):
            load_bars("BTC/USDT", base_url=server.url, **given)
        assert server.requests == []
        where = ("--store", str(tmp_path))
        code, out, _ = foreshock(monkeypatch, capsys, "fetch", "BTC/USDT", "--base-url", server.url, *where, *DAY)
        assert (code, "1 set aside that cannot be; foreshock store notes shows them" in out) == (0, True)
        code, out, _ = foreshock(monkeypatch, capsys, "store", "notes", "BTC/USDT", *where)
        assert code == 0
        assert out.startswith(f"{minute(bad)}  set aside: its ")
        assert out.endswith("\n1 notes\n")
        server.markets["spot"]["BTCUSDT"].bars[:] = holed[0]
        code, out, _ = foreshock(monkeypatch, capsys, "store", "refetch", "BTC/USDT", *where, "--base-url", server.url)
    assert code == 0
    assert "fetched again" in out
    assert "set aside" not in out
    row = int(np.searchsorted(loaded.time, np.datetime64(bad, "ms")))
    assert np.isnan(loaded.close[row, 0])
    assert np.isfinite(loaded.close).sum() == np.isfinite(load_bars("BTC/USDT", **given).close).sum() - 1


DAY = ("--timeframe", "1m", "--start", "2024-01-01", "--end", "2024-01-02")


@pytest.fixture
def hourly(holed, tmp_path, monkeypatch, capsys):
    """A store of some bars, and a fetch of more of them by the command line, beside what the exchange was asked."""
    with serve(Market("BTC", bars=holed[0])) as server:
        given = ["BTC/USDT", "--timeframe", "1m", "--start", "2024-01-01", "--base-url", server.url, "--store", str(tmp_path / "s")]
        assert foreshock(monkeypatch, capsys, "fetch", *given, "--end", "2024-01-02")[0] == 0

        def more() -> tuple[int, str, int]:
            server.requests.clear()
            code, _, err = foreshock(monkeypatch, capsys, "fetch", *given, "--end", "2024-01-03")
            assert err.count("\n") == (code != 0)
            return code, err, len(server.requests)

        yield more


def test_a_fetch_onto_a_full_disk_leaves_the_store_as_it_was(hourly, tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = snapshot(tmp_path / "s")
    with monkeypatch.context() as patch:
        patch.setattr("foreshock.data.system.disk.os.fsync", full)
        code, err, _ = hourly()
    assert (code, err[:62]) == (3, "error: the store cannot be written: No space left on device (/")
    assert snapshot(tmp_path / "s") == before
    assert hourly()[0] == 0


def test_a_fetch_onto_a_damaged_partition_asks_for_nothing_and_leaves_it(hourly, tmp_path):
    (path,) = (tmp_path / "s").rglob("*.parquet")
    path.write_bytes(path.read_bytes()[:-60])
    before = snapshot(tmp_path / "s")
    code, err, n_asked = hourly()
    assert (code, n_asked) == (3, 0)
    assert err.startswith("error: partition 2024-01.parquet of binance spot BTC/USDT ohlcv 1m is damaged")
    assert "run foreshock store repair" in err
    assert snapshot(tmp_path / "s") == before


@pytest.mark.skipif(sys.platform == "win32", reason="rights of Unix")
def test_a_fetch_into_a_store_that_cannot_be_written_asks_for_nothing(hourly, tmp_path, monkeypatch):
    def locked(**_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("tempfile.TemporaryFile", locked)
    before = snapshot(tmp_path / "s")
    code, err, n_asked = hourly()
    assert (code, n_asked) == (3, 0)
    assert err.startswith(
        f"error: the store cannot be written: Permission denied ({tmp_path / 's'}); make it a folder that can be written"
    )
    assert snapshot(tmp_path / "s") == before


def test_a_file_is_no_store(holed, tmp_path, monkeypatch, capsys):
    path = tmp_path / "bars.csv"
    path.write_text("mine")
    with serve(Market("BTC", bars=holed[0])) as server:
        given = ["BTC/USDT", "--start", "2024-01-01", "--base-url", server.url, "--store", str(path)]
        code, _, err = foreshock(monkeypatch, capsys, "fetch", *given)
    assert (code, err) == (
        3,
        f"error: the store cannot be written: {path} is a file ({path}); make it a folder that can be written, or pass another\n",
    )
    assert path.read_text() == "mine"


@pytest.mark.slow
def test_two_commands_that_fetch_overlapping_ranges_lose_and_double_nothing(tmp_path):
    n_bars = 20_000
    stop = START_MS + n_bars * MINUTE_MS
    bars, holes = plant_holes(walk(n_bars), N_HOLES)
    edges = [str(np.datetime64(START_MS + part * n_bars // 3 * MINUTE_MS, "ms")) for part in range(4)]
    edges[3] = str(np.datetime64(stop, "ms"))
    with serve(Market("BTC", bars=bars), now=stop + HOUR_MS) as server:
        given = ["BTC/USDT", "--timeframe", "1m", "--base-url", server.url, "--store", str(tmp_path)]
        commands = [
            [sys.executable, "-m", "foreshock", "fetch", *given, "--start", a, "--end", b] for a, b in (edges[::2], edges[1::2])
        ]
        processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for command in commands]
        printed = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert all("in the store" in line for line in printed)
    assert_exact(Store(tmp_path), SPOT, bars, holes, stop)


def test_fetch_says_what_it_did_and_the_second_time_asks_for_nothing(holed, tmp_path, monkeypatch, capsys):
    bars, holes = holed
    n_empty = sum(b - a for a, b in holes) // MINUTE_MS
    arguments = ["BTC/USDT", "--timeframe", "1m", "--start", "2024-01-01", "--end", "2024-01-04T11:20", "--store", str(tmp_path)]
    with serve(Market("BTC", bars=bars)) as server:
        monkeypatch.setenv("FORESHOCK_BASE_URL", server.url)
        _, printed, _ = foreshock(monkeypatch, capsys, "fetch", *arguments)
        assert printed == (
            f"binance spot BTC/USDT ohlcv 1m: {len(bars):,} fetched, {len(bars):,} in the store, "
            f"{n_empty} bars that the exchange lacks\n"
        )
        server.requests.clear()
        code, printed, _ = foreshock(monkeypatch, capsys, "fetch", *arguments)
        assert (code, printed[:41]) == (0, "binance spot BTC/USDT ohlcv 1m: 0 fetched")
        assert not server.requests
    assert_exact(Store(tmp_path), SPOT, bars, holes)


@pytest.mark.parametrize("timeframe", ["1h", "1d"])
def test_funding_rates_stand_in_the_bars_in_which_they_were_settled(timeframe, tmp_path):
    settled = START_MS + 8 * HOUR_MS * np.arange(9) + np.tile([0, 3, -2], 3)
    rates = np.round(np.random.default_rng(6).normal(1e-4, 1e-4, 9), 8)
    market = Market("BTC", bars=walk(3 * 24 * 60), funding=np.column_stack([settled, rates]))
    with serve(market) as server:
        given = {"start": "2024-01-01", "end": "2024-01-04", "store": tmp_path, "base_url": server.url, "timeframe": timeframe}
        bars = load_bars("BTC/USDT:USDT", funding=True, **given)
        assert "funding_rate" not in load_bars("BTC/USDT:USDT", **given).extras
        with pytest.raises(ConfigError, match="BTC/USDT has no funding rate"):
            load_bars("BTC/USDT", funding=True, **given)
    found = bars.extras["funding_rate"][:, 0]
    if timeframe == "1d":
        np.testing.assert_allclose(found, rates.reshape(3, 3).sum(axis=1), rtol=1e-12)
    else:
        expected = np.full(72, np.nan)
        expected[::8] = rates
        np.testing.assert_array_equal(found, expected)


def funded(tmp_path, rates: np.ndarray, name: str = "s"):
    """Bars of three days with the funding rates of an exchange that has no others."""
    with serve(Market("BTC", bars=walk(3 * 24 * 60), funding=rates)) as server:
        given = {"start": "2024-01-01", "end": "2024-01-04", "timeframe": "1h", "base_url": server.url, "store": tmp_path / name}
        return load_bars("BTC/USDT:USDT", funding=True, **given)


def test_bars_over_which_funding_is_not_known_are_refused_since_a_position_would_be_free_there(tmp_path):
    times = START_MS + 8 * HOUR_MS * np.arange(9.0)
    rates = np.column_stack([times, np.full(9, 1e-4)])
    with pytest.raises(DataError, match=r"^no funding rate of BTC/USDT:USDT is known from 2024-01-01 00:00 to 2024-01-03 23:00"):
        funded(tmp_path, rates[:0], "none")
    with pytest.raises(DataError, match=r"known from 2024-01-01 16:00 on, and its bars begin at 2024-01-01 00:00: .*start there"):
        funded(tmp_path, rates[2:], "late")
    wrong = rates.copy()
    wrong[4, 1] = 1e9
    with pytest.raises(DataError, match=r"not known from 2024-01-02 08:00 to 2024-01-02 08:00 \(1 set aside that cannot be\)"):
        funded(tmp_path, wrong, "wrong")
    # Two answers agree that there was no settlement: that is known.
    paused = funded(tmp_path, np.delete(rates, 4, axis=0), "paused").extras["funding_rate"][:, 0]
    assert np.flatnonzero(np.isfinite(paused)).tolist() == [0, 8, 16, 24, 40, 48, 56, 64]


def test_bybit_gives_funding_of_years_and_its_latest_trades(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Pace, "turn", lambda self, seconds: None)
    times = START_MS + 8 * HOUR_MS * np.arange(700.0)
    funding = np.column_stack([times, np.round(np.random.default_rng(5).normal(1e-4, 1e-4, 700), 8)])
    trades = tick_trades(900, start=int(times[-1]))
    now = int(trades[-1, 1]) + HOUR_MS
    first, stop = int(trades[1, 1]) + 1, int(trades[-1, 1]) + 1
    assert first < int(trades[400, 1])
    given = ["BTC/USDT:USDT", "--exchange", "bybit", "--store", str(tmp_path)]
    with serve(Market("BTC", trades=trades, funding=funding), now=now) as server:
        monkeypatch.setenv("FORESHOCK_BASE_URL", server.url)
        # The program's clock is later than the exchange's by years.
        code, out, _ = foreshock(monkeypatch, capsys, "fetch", *given, "--kind", "funding", "--start", "2024-01-01")
        assert (code, out.split(",")[0]) == (0, "bybit linear BTC/USDT:USDT funding: 700 fetched")
        start = str(np.datetime64(first, "ms"))
        code, out, _ = foreshock(monkeypatch, capsys, "fetch", *given, "--kind", "trades", "--start", start)
        assert (code, out.split(",")[0][-8:]) == (0, " fetched")
        code, _, err = foreshock(monkeypatch, capsys, "fetch", *given, "--kind", "trades", "--start", "2024-01-01")
        assert (code, err.count("\n")) == (4, 1)
        assert "bybit gives only its latest trades, for BTC/USDT:USDT those from" in err
    store = Store(tmp_path)
    kept = store.read(SeriesKey("bybit", "linear", "BTC/USDT:USDT", "trades"))
    expected = trades[(trades[:, 1] >= first) & (trades[:, 1] < stop - 1)]
    assert kept["time"].to_pylist() == expected[:, 1].astype(int).tolist()
    assert sorted(zip(kept["price"].to_pylist(), kept["amount"].to_pylist(), strict=True)) == sorted(map(tuple, expected[:, 2:4]))
    rates = store.read(SeriesKey("bybit", "linear", "BTC/USDT:USDT", "funding"))
    assert np.array_equal(np.column_stack([rates["time"].to_numpy(), rates["rate"].to_numpy()]), funding)
    assert store.verify().whole


def test_a_blocked_place_exits_with_4(holed, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Pace, "_sleep", lambda self, seconds: None)
    with serve(Market("BTC", bars=holed[0]), faults={"451": 1.0}) as server:
        given = ["BTC/USDT", "--start", "2024-01-01", "--base-url", server.url, "--store", str(tmp_path)]
        code, _, printed = foreshock(monkeypatch, capsys, "fetch", *given)
    assert code == 4
    assert printed.startswith("error: binance does not serve this location or address: HTTP 451")
