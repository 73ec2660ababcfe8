"""Trades are read whole and in order; windows agree with a slow plain reference, in one pass and in runs."""

import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from foreshock.data.errors import ConfigError, DataError
from foreshock.data.trades.trades import Trades, read_trades, scan_trades
from foreshock.data.trades.windows import TradeWindows, trade_windows, window_size_study
from tests.market import FIRST_TRADE, make_trades


def slow_windows(trades: Trades, seconds: float) -> pd.DataFrame:
    """One window at a time, in plain Python, with exact sums."""
    width = round(seconds * 1e6)
    time = trades.time.astype(np.int64)
    rows = []
    for number in range(time[0] // width, time[-1] // width + 1):
        inside = [i for i in range(len(trades)) if time[i] // width == number]
        price = [float(trades.price[i]) for i in inside]
        buys = [i for i in inside if trades.is_buy[i]]
        millis = [int(time[i]) // 1_000 for i in buys]
        n = len(inside)
        mean = math.fsum(price) / n if n else math.nan
        squares = math.fsum((p - mean) ** 2 for p in price)
        volume, bought = (math.fsum(trades.size[i] for i in part) for part in (inside, buys))
        rows.append(
            {
                "time": np.datetime64(number * width, "us"),
                "trade_count": n,
                "volume": volume,
                "quote_volume": math.fsum(trades.quote[i] for i in inside),
                "buy_count": len(buys),
                "buy_volume": bought,
                "buy_quote_volume": math.fsum(trades.quote[i] for i in buys),
                "rush_orders": sum(millis.count(milli) > 1 for milli in set(millis)),
                "open": price[0] if n else math.nan,
                "high": max(price, default=math.nan),
                "low": min(price, default=math.nan),
                "close": price[-1] if n else math.nan,
                "mean_price": mean,
                "log_return": math.log(price[-1] / price[0]) if n else math.nan,
                "volatility": math.sqrt(squares / (n - 1)) / mean if n > 1 else math.nan,
                "sell_count": n - len(buys),
                "sell_volume": volume - bought,
                "avg_trade_size": volume / n if n else math.nan,
            }
        )
    return pd.DataFrame(rows)


def agree(windows: TradeWindows, slow: pd.DataFrame) -> None:
    fast = windows.to_frame()
    assert sorted(fast.columns) == sorted(slow.columns)
    for name in slow:
        if name in ("time", "trade_count", "buy_count", "sell_count", "rush_orders", "open", "high", "low", "close"):
            np.testing.assert_array_equal(fast[name], slow[name], err_msg=name)
        else:
            # What is left of a window's volume after its buys carries the rounding of the whole.
            scale = slow["volume"].max() if name == "sell_volume" else 0.0
            np.testing.assert_allclose(fast[name], slow[name], rtol=1e-11, atol=1e-14 * scale, err_msg=name)


def same_bits(a: TradeWindows, b: TradeWindows) -> bool:
    columns = [name for name, values in vars(a).items() if isinstance(values, np.ndarray)]
    return all(np.array_equal(getattr(a, name), getattr(b, name), equal_nan=name != "time") for name in columns)


@pytest.mark.parametrize("seconds", [0.5, 7, 20])
@pytest.mark.parametrize("level", [60_000.0, 1e-6])
def test_windows_agree_with_the_plain_reference(seconds, level):
    trades = make_trades(700, seed=3, level=level)
    agree(trade_windows(trades, seconds), slow_windows(trades, seconds))


def test_windows_of_real_ticks_agree_with_the_plain_reference_on_all_windows(shared_data):
    trades = read_trades(shared_data / "ticks_btcusdt_spot_20240808.parquet")
    assert len(trades) == 19_904
    for seconds in (20, 5):
        agree(trade_windows(trades, seconds), slow_windows(trades, seconds))


def test_an_empty_window_has_counts_of_zero_and_unknown_prices():
    time = FIRST_TRADE + np.array([0, 1, 65], dtype="m8[s]")
    one = np.ones(3)
    windows = trade_windows(Trades(time, one * 5, one, one, np.array([True, False, True])), 20)
    assert windows.time[0] == np.datetime64("2024-08-08T23:59:40")
    assert windows.trade_count.tolist() == [2, 0, 0, 1]
    for name in ("volume", "buy_volume", "sell_volume", "quote_volume", "rush_orders"):
        assert (getattr(windows, name)[1:3] == 0).all(), name
    for name in ("open", "high", "low", "close", "mean_price", "avg_trade_size", "log_return", "volatility"):
        assert np.isnan(getattr(windows, name)[1:3]).all(), name
    assert windows.volatility[0] == 0
    assert np.isnan(windows.volatility[3])


def test_a_trade_on_the_edge_belongs_to_the_window_that_it_opens():
    time = np.array(["2024-01-01T00:00:19.999999", "2024-01-01T00:00:20"], "M8[us]")
    one = np.ones(2)
    assert trade_windows(Trades(time, one, one, one, one > 0), 20).trade_count.tolist() == [1, 1]


@pytest.mark.parametrize("n_rows", [1, 7, 999])
def test_trades_in_runs_give_the_same_bits_as_all_at_once(n_rows):
    trades = make_trades(1_200, seed=5)
    runs = (trades.rows(slice(first, first + n_rows)) for first in range(0, len(trades), n_rows))
    assert same_bits(trade_windows(runs, 20), trade_windows(trades, 20))


def test_a_file_read_in_runs_gives_the_same_windows(tmp_path):
    trades = make_trades(2_000, seed=6)
    frame = pd.DataFrame({"timestamp": trades.time, "price": trades.price, "qty": trades.size})
    frame["side"] = np.where(trades.is_buy, "BUY", "sell")
    frame.to_parquet(tmp_path / "t.parquet")
    frame.to_csv(tmp_path / "t.csv", index=False)
    for name in ("t.parquet", "t.csv"):
        whole = trade_windows(read_trades(tmp_path / name), 20)
        assert same_bits(trade_windows(scan_trades(tmp_path / name, 173), 20), whole)
        assert same_bits(whole, trade_windows(trades, 20))
    frame.to_feather(tmp_path / "t.feather")
    with pytest.raises(DataError, match=r"t\.feather: this format cannot be read in runs"):
        trade_windows(scan_trades(tmp_path / "t.feather"))


def test_a_file_of_one_row_group_read_in_runs_never_sits_in_memory_at_once(tmp_path):
    n, rng = 500_000, np.random.default_rng(8)
    time = 1_700_000_000_000 + np.arange(n)
    side = np.where(rng.random(n) < 0.5, "buy", "sell")
    table = pa.table({"time": time, "price": rng.random(n) + 1, "amount": rng.random(n) + 1, "side": side})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=n, use_dictionary=["side"])
    pool = pa.default_memory_pool()
    before, held, count = pool.bytes_allocated(), [], 0
    for run in scan_trades(tmp_path / "t.parquet", 5_000):
        held.append(pool.bytes_allocated() - before)
        count += len(run)
    assert count == n
    assert max(held) < (tmp_path / "t.parquet").stat().st_size / 2


def test_later_trades_do_not_change_windows_that_are_closed():
    trades = make_trades(2_000, seed=7)
    full = trade_windows(trades, 5)
    rng = np.random.default_rng(0)
    for cut in rng.integers(100, len(trades), 20):
        part = trade_windows(trades.rows(slice(0, cut)), 5)
        closed = slice(0, int((part.time + part.interval <= trades.time[cut]).sum()))
        assert closed.stop >= len(part) - 1
        assert same_bits(part.rows(closed), full.rows(closed))


def test_identical_fills_in_one_millisecond_are_all_kept(shared_data):
    source = pd.read_parquet(shared_data / "pump_trades.parquet")
    assert source.duplicated().sum() > 10_000
    trades = read_trades(shared_data / "pump_trades.parquet")
    assert len(trades) == len(source) == 731_011
    parts = trades.split()
    assert len(parts) == 35
    nas = source[source["event_id"] == "NAS_202005301600"]
    windows = trade_windows(parts["NAS_202005301600"], 15)
    assert windows.trade_count.sum() == len(nas)
    np.testing.assert_allclose(windows.quote_volume.sum(), nas["btc_volume"].sum(), rtol=1e-12)


def table(**changes: object) -> pd.DataFrame:
    columns = {
        "timestamp": [1_700_000_000_500, 1_700_000_000_500, 1_700_000_001_000],
        "price": [10.0, 11.0, 12.0],
        "amount": [1, 2, 3],
    }
    return pd.DataFrame(columns | {"side": ["buy", "sell", "Buy"]} | changes)


def test_every_spelling_of_a_trade_reads_the_same():
    expected = Trades.from_frame(table())
    assert expected.quote.tolist() == [10, 22, 36]
    assert expected.is_buy.tolist() == [True, False, True]
    assert str(expected.time[0]) == "2023-11-14T22:13:20.500000"
    spelled = [
        table().assign(timestamp=lambda f: f["timestamp"] * 1_000),
        table().assign(timestamp=lambda f: pd.to_datetime(f["timestamp"], unit="ms", utc=True)),
        table().rename(columns={"amount": "QTY", "timestamp": "Time"}),
        table().drop(columns="side").assign(is_buyer_maker=[False, True, False]),
        table().drop(columns="side").assign(is_buyer_maker=["false", "true", "False"]),
        table().drop(columns="side").assign(is_buy=[1, 0, 1]),
        table(side=pd.Categorical(["buy", "sell", "Buy"])),
        # Categories that do not occur, as a filter leaves them.
        table(side=pd.Categorical(["buy", "sell", "Buy"], ["unknown", "sell", "Buy", "buy"]), symbol=pd.Categorical(["x"] * 3)),
        table().assign(timestamp=lambda f: pd.to_datetime(f["timestamp"], unit="ms")),
        table().assign(timestamp=lambda f: f["timestamp"].astype("Int64")),
        table().assign(timestamp=lambda f: f["timestamp"].astype("uint64") * 1_000_000),
    ]
    for frame in spelled:
        found = Trades.from_frame(frame)
        for name in ("time", "price", "size", "quote", "is_buy"):
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)


def test_unsorted_trades_are_sorted_by_time_and_those_of_one_time_keep_their_order():
    trades = Trades.from_frame(table(timestamp=[1_700_000_009_000, 1_700_000_000_000, 1_700_000_000_000]))
    assert trades.price.tolist() == [11, 12, 10]
    grouped = Trades.from_frame(
        table(event_id=["b", "a", "b"], timestamp=[1_700_000_009_000, 1_700_000_000_000, 1_700_000_000_000])
    )
    assert {name: part.price.tolist() for name, part in grouped.split().items()} == {"b": [12, 10], "a": [11]}


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (table().drop(columns="price"), r"missing column: price \(price\); got timestamp, amount, side"),
        (table().drop(columns="side"), r"missing column: a side \(side, is_buyer_maker, is_buy\)"),
        (table()[:0], "the table of trades is empty"),
        (table(price=[10.0, 0.0, 1.0]), r"price must be positive and finite, got 0.0 at 2023-11-14T22:13:20.500000 \(1 such"),
        (table(price=[10.0, np.nan, np.inf]), r"price must be positive and finite, got nan .*\(2 such"),
        (table(amount=[1, -2, 3]), "size must be positive"),
        (table(amount=["1", "two", "3"]), "column amount must hold numbers, got 'two' in row 1"),
        (table(side=["buy", "hold", "buy"]), "column side must say buy or sell, or true or false, got 'hold'"),
        (table(side=["buy", None, "buy"]), "got 1 rows without one"),
        (table(side=pd.Categorical(["buy", "hold", "buy"])), "column side must say buy or sell, or true or false, got 'hold'"),
        (table(side=pd.Categorical(["buy", None, "buy"])), "got 1 rows without one"),
        (table(event_id=pd.Categorical(["a", None, "a"])), "column event_id must have a name in every row, got 1 without"),
        (table(timestamp=[1, 2, 3]), "column timestamp must hold epochs of the years 2000 to 2099, got 1 in row 0, read in s"),
        (table(trade_id=[7, 8, 7]), "each trade id must come once, got 1 doubled, the first 7"),
        (table(event_id=["a", None, "a"]), "column event_id must have a name in every row, got 1 without"),
        (table(timestamp=[1.0, 2.0, 3.0]), "column timestamp must hold epochs"),
        (table(PRICE=[1, 2, 3]), "columns are doubled, or differ only in case: price"),
    ],
)
def test_malformed_trades_are_refused_in_one_sentence(frame, message):
    with pytest.raises(DataError, match=message):
        Trades.from_frame(frame)


def test_a_file_that_is_no_table_of_trades_is_named(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_trades(tmp_path / "none.parquet")
    for name, content, message in [
        ("a.parquet", b"PAR1 and nothing else", r"a\.parquet: cannot be read as parquet"),
        ("b.csv", b"", r"b\.csv is empty"),
        ("c.xlsx", b"x", "must end in one of"),
        ("d.csv", b"price,qty\n1,2\n", r"d\.csv: missing column: a time"),
    ]:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=message):
            read_trades(tmp_path / name)
    with pytest.raises(ConfigError, match="n_rows must be at least 1, got 0"):
        next(scan_trades(tmp_path / "d.csv", 0))


def test_windows_refuse_what_they_cannot_bin():
    trades = make_trades(50)
    for seconds in (0, -5, 0.0001, float("nan")):
        with pytest.raises(ConfigError, match="seconds must be a positive whole number of milliseconds"):
            trade_windows(trades, seconds)
    with pytest.raises(DataError, match="runs of trades must follow one another"):
        trade_windows([trades.rows(slice(20, 50)), trades.rows(slice(0, 20))])
    with pytest.raises(DataError, match="there is no run of trades"):
        trade_windows([])
    with pytest.raises(DataError, match=r"trades of one series, got 2; use Trades\.split"):
        trade_windows(Trades.from_frame(table(event_id=["a", "b", "b"])))
    with pytest.raises(DataError, match="these trades are one series"):
        trades.split()
    far = np.array(["2001-01-01", "2024-01-01"], "M8[us]")
    with pytest.raises(DataError, match=r"1s windows from 2001-01-01T00:00:00\.000000 to .* are too many"):
        trade_windows(Trades(far, np.ones(2), np.ones(2), np.ones(2), np.ones(2, bool)), 1)
    with pytest.raises(DataError, match="must be in order of exchange time"):
        trades.rows(np.arange(50)[::-1])


def test_the_noise_of_independent_trades_falls_with_the_root_of_the_window():
    rng = np.random.default_rng(1)
    n = 100_000
    time = FIRST_TRADE + np.sort(rng.integers(0, 20_000_000, n)) * np.timedelta64(1_000, "us")
    one = np.ones(n)
    study = window_size_study(Trades(time, one, one, one, one > 0), [5, 20, 80])
    # Poisson counts of 25, 100 and 400 a window.
    np.testing.assert_allclose(study["trade_count_cv"], [1 / 5, 1 / 10, 1 / 20], rtol=0.12)
    assert study["n_windows"].tolist() == [3_998, 999, 249]
    assert np.isnan(study["volatility_cv"]).all(), "a price that stands still has no coefficient of variation"


def test_windows_become_bars_in_which_silence_is_unknown():
    trades = make_trades(600, seed=9)
    windows = trade_windows(trades, 5)
    bars = windows.to_bars("BTC")
    silent = windows.trade_count == 0
    assert silent.any()
    assert np.isnan(bars.close[silent, 0]).all()
    np.testing.assert_array_equal(bars.close[~silent, 0], windows.close[~silent])
    np.testing.assert_array_equal(bars.extras["trade_count"][:, 0], windows.trade_count)
