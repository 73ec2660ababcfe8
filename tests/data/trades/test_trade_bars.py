"""Volume and dollar bars agree with a plain reference, in one pass and in runs."""

import pandas as pd
import pytest

from foreshock.data.errors import ConfigError, DataError
from foreshock.data.trades.bars import dollar_bars, volume_bars
from foreshock.data.trades.trades import Trades, read_trades, scan_trades
from tests.market import make_trades

MAKERS = {"volume": volume_bars, "quote_volume": dollar_bars}


def slow_bars(trades: Trades, least: float, by: str) -> pd.DataFrame:
    """One trade at a time, in plain Python."""
    rows, inside = [], []
    for i in range(len(trades)):
        inside.append(i)
        if sum(float((trades.size if by == "volume" else trades.quote)[j]) for j in inside) < least:
            continue
        price = [float(trades.price[j]) for j in inside]
        bought = [j for j in inside if trades.is_buy[j]]
        row = {
            "time": trades.time[inside[0]],
            "end": trades.time[inside[-1]],
            "trade_count": float(len(inside)),
            "volume": sum(float(trades.size[j]) for j in inside),
            "quote_volume": sum(float(trades.quote[j]) for j in inside),
            "buy_volume": sum((float(trades.size[j]) for j in bought), 0.0),
            "buy_quote_volume": sum((float(trades.quote[j]) for j in bought), 0.0),
            "open": price[0],
            "high": max(price),
            "low": min(price),
            "close": price[-1],
        }
        rows.append(row | {"vwap": row["quote_volume"] / row["volume"]})
        inside = []
    return pd.DataFrame(rows)


@pytest.mark.parametrize(("by", "least"), [("volume", 0.02), ("volume", 40.0), ("quote_volume", 3e6), ("quote_volume", 1.0)])
def test_bars_agree_with_the_plain_reference(by, least):
    trades = make_trades(4_000, seed=1)
    found = MAKERS[by](trades, least)
    assert len(found) > 20
    pd.testing.assert_frame_equal(found.to_frame(), slow_bars(trades, least, by), check_exact=True, check_dtype=False)


@pytest.mark.parametrize("by", MAKERS)
def test_bars_of_real_ticks_agree_with_the_plain_reference(shared_data, by):
    trades = read_trades(shared_data / "ticks_btcusdt_spot_20240808.parquet")
    least = float((trades.size if by == "volume" else trades.quote).sum()) / 150
    found = MAKERS[by](trades, least)
    assert 100 < len(found) <= 150
    pd.testing.assert_frame_equal(found.to_frame(), slow_bars(trades, least, by), check_exact=True, check_dtype=False)


@pytest.mark.parametrize("by", MAKERS)
def test_a_file_read_in_runs_gives_the_same_bits(shared_data, by):
    path = shared_data / "ticks_btcusdt_spot_20240808.parquet"
    whole = MAKERS[by](read_trades(path), 7e4 if by == "quote_volume" else 1.0).to_frame()
    for n_rows in (1, 997, 8_000):
        runs = scan_trades(path, max(n_rows, 200)) if n_rows > 1 else iter_rows(read_trades(path).rows(slice(0, 1_500)))
        found = MAKERS[by](runs, 7e4 if by == "quote_volume" else 1.0).to_frame()
        assert len(found) > 10
        assert found.equals(whole[: len(found)])
        assert n_rows == 1 or len(found) == len(whole)


def iter_rows(trades: Trades):
    return (trades.rows(slice(i, i + 1)) for i in range(len(trades)))


def test_later_trades_do_not_change_bars_that_are_full():
    trades = make_trades(3_000, seed=4)
    full = dollar_bars(trades, 2e6).to_frame()
    for cut in (500, 1_234, 2_999):
        part = dollar_bars(trades.rows(slice(0, cut)), 2e6).to_frame()
        assert part.equals(full[: len(part)])
        assert len(part) == (full["trade_count"].cumsum() <= cut).sum()


def test_too_little_for_one_bar_is_no_bar():
    assert len(volume_bars(make_trades(10), 1e9)) == 0


@pytest.mark.parametrize("least", [0.0, -1.0, float("nan"), float("inf")])
def test_what_a_bar_is_to_hold_must_be_positive(least):
    with pytest.raises(ConfigError, match="volume must be positive and finite, got"):
        volume_bars(make_trades(10), least)
    with pytest.raises(ConfigError, match="value must be positive and finite, got"):
        dollar_bars(make_trades(10), least)


def test_trades_that_cannot_be_put_together_are_refused():
    trades = make_trades(200)
    mixed = Trades.from_frame(pd.DataFrame({"time": 1e9, "price": 1, "size": 1, "side": "buy", "symbol": ["a", "b"]}))
    with pytest.raises(DataError, match="bars need trades of one series, got 2"):
        volume_bars(mixed, 1.0)
    with pytest.raises(DataError, match=r"runs of trades must follow one another, got one that begins at .* sort the source"):
        volume_bars([trades.rows(slice(100, 200)), trades.rows(slice(0, 100))], 1.0)
