"""Several exchanges of one symbol: against pandas, and with known provenance."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from foreshock.data.bars import FIELDS
from foreshock.data.errors import DataError
from foreshock.data.merge import merge_exchanges
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
