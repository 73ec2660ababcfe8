"""Several exchanges of one symbol: against pandas, and with known provenance."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import foreshock as fs
from foreshock.data.bars import FIELDS
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.merge import merge_exchanges
from tests.market import NAN, bars_of
from tests.servers.store_writers import bars


@pytest.fixture
def tables():
    """Three exchanges whose prices differ and whose bars overlap in part; two lack prices or a volume here and there."""
    found = {
        name: bars(n, holes, seed)
        for name, n, holes, seed in (("a", 400, [], 1), ("b", 300, [(5, 90)], 2), ("c", 350, [(0, 9)], 3))
    }
    for name, field, rows in (("a", "high", [3, 4, 399]), ("b", "volume", [7, 100]), ("c", "close", [50])):
        values = found[name][field].to_numpy().copy()
        values[rows] = np.nan
        found[name] = found[name].set_column(found[name].column_names.index(field), field, pa.array(values))
    return found


def test_prices_are_medians_and_volumes_sums_of_the_exchanges_that_have_the_bar(tables):
    long = pd.concat([table.to_pandas().assign(exchange=name) for name, table in tables.items()])
    long = long[long[["open", "high", "low", "close"]].notna().all(axis=1)]
    by_time = long.groupby("time")
    expected = by_time[["open", "high", "low", "close"]].median().assign(volume=by_time["volume"].sum(min_count=1))
    merged = merge_exchanges(tables)
    got = merged.table.to_pandas().set_index("time")
    pd.testing.assert_frame_equal(got, expected, rtol=1e-15)
    assert (got["low"] <= got[["open", "close"]].min(axis=1)).all()
    assert (got["high"] >= got[["open", "close"]].max(axis=1)).all()
    for name, field in (("close", "close"), ("volume", "volume")):
        wide = long.pivot(index="time", columns="exchange", values=field)
        np.testing.assert_array_equal(getattr(merged, name), wide.to_numpy())
    assert merged.exchanges == ("a", "b", "c")
    np.testing.assert_array_equal(merged.n_exchanges, by_time.size())
    np.testing.assert_allclose(merged.spread, (by_time["close"].max() / by_time["close"].min() - 1).to_numpy(), rtol=1e-12)


def test_one_exchange_is_itself_and_order_does_not_matter(tables):
    plain = bars(100, [(4, 6)])
    assert merge_exchanges({"a": plain}).table.equals(plain)
    assert merge_exchanges({"a": plain, "b": plain}).table.drop_columns("volume").equals(plain.drop_columns("volume"))
    forth, back = merge_exchanges(tables).table, merge_exchanges(dict(reversed(tables.items()))).table
    for name in ("time", *FIELDS):
        np.testing.assert_allclose(forth[name].to_numpy(), back[name].to_numpy(), rtol=1e-15)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: {}, "there is nothing to merge"),
        (lambda t: {"a": t.drop_columns("low")}, "a: missing column: low"),
        (lambda t: {"a": t, "b": t.take([0, 2, 1])}, "b: times must rise"),
        (lambda t: {"a": t.take([0, 0])}, "a: times must rise"),
    ],
)
def test_what_cannot_be_merged_is_refused(change, message):
    with pytest.raises(DataError, match=message):
        merge_exchanges(change(bars(5)))


def market(columns: dict[str, list[float]], start: str = "2024-01-01") -> fs.Bars:
    """Bars of these closes by symbol, with a volume of twice the close."""
    close = np.array(list(columns.values())).T
    found = bars_of(close, volume=2 * close, start=start)
    fields = {name: getattr(found, name) for name in FIELDS}
    return fs.Bars(found.time, tuple(columns), **fields, interval=found.interval)


def test_bars_of_exchanges_that_were_silent_for_whole_stretches_are_one_market():
    one = market({"A": [1.0, NAN, NAN, 4.0], "B": [NAN, NAN, NAN, NAN]})
    other = market({"A": [3.0, 5.0, NAN, NAN], "C": [7.0, 7.0, NAN, NAN]}, "2024-01-01T01:00")
    # A volume of no price is that of no bar.
    third = replace(market({"A": [NAN] * 6}), volume=np.ones((6, 1)))
    merged = fs.merge_exchanges({"one": one, "other": other, "third": third})
    assert merged.symbols == ("A", "B", "C")
    np.testing.assert_array_equal(merged.close[:, 0], [1.0, 3.0, 5.0, 4.0, NAN, NAN])
    np.testing.assert_array_equal(merged.volume[:, 0], [2.0, 6.0, 10.0, 8.0, NAN, NAN])
    assert np.isnan(merged.close[:, 1]).all()
    np.testing.assert_array_equal(merged.close[:, 2], [NAN, 7.0, 7.0, NAN, NAN, NAN])


def test_bars_merge_as_tables_do(tables):
    of_bars = {name: fs.Bars.from_frame(table.to_pandas().dropna(subset=list(FIELDS[:4]))) for name, table in tables.items()}
    merged, expected = fs.merge_exchanges(of_bars), merge_exchanges(tables).to_frame()
    rows = np.searchsorted(merged.time, expected["time"].to_numpy().astype("datetime64[ms]").astype("datetime64[us]"))
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(merged, name)[rows, 0], expected[name].to_numpy())


def test_exchanges_years_apart_are_joined_by_unknown_bars():
    merged = fs.merge_exchanges({"a": market({"A": [1.0, 1.0]}), "b": market({"A": [2.0]}, "2024-01-01T05:00")})
    np.testing.assert_array_equal(merged.close[:, 0], [1.0, 1.0, NAN, NAN, NAN, 2.0])


def test_bars_that_are_no_bars_of_one_grid_are_refused_in_one_sentence(tables):
    one = market({"A": [1.0, 1.0]})
    daily = bars_of([1.0, 2.0], interval=np.timedelta64(1, "D"))
    with pytest.raises(ConfigError, match="bars of several exchanges must have one interval to be merged"):
        fs.merge_exchanges({"a": one, "b": daily})
    with pytest.raises(DataError, match="b: bars must open when those of the other exchanges do, got 2024-01-01T00:30"):
        fs.merge_exchanges({"a": one, "b": market({"A": [1.0]}, "2024-01-01T00:30")})
    with pytest.raises(ConfigError, match="tables must be Bars for every exchange or for none"):
        fs.merge_exchanges({"a": one, "b": tables["a"]})


def test_trades_of_several_series_or_none_are_refused_in_one_sentence():
    trades = fs.bar_trades(fs.simulate_market(seed=1, n_symbols=1, n_bars=4).bars)
    several = fs.Trades.from_frame(
        trades.to_frame().drop(columns="ids").assign(symbol=["A", "B"] * (len(trades) // 2) + ["A"] * (len(trades) % 2))
    )
    with pytest.raises(DataError, match="okx: trades to merge must be of one symbol"):
        fs.merge_trades({"binance": trades, "okx": several})
    with pytest.raises(DataError, match="there is nothing to merge"):
        fs.merge_trades({})
