"""Features of order books: one row at a time by hand, gaps, streams with the same bits, no look at later snapshots."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest

from foreshock.data.books.orderbook import BOOK_COLUMNS, SIDES, TOTALS, Book, read_book
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.simulate.book import simulate_book
from foreshock.engine.features.book import BOOK_FEATURES, LEVEL_FEATURES, BookStream, book_features

NAMES = (
    *BOOK_FEATURES, "order_flow_imbalance_7", "cancel_to_limit", "market_share", "trade_imbalance_5", "imbalance_3",
    "depth_ratio_2", "volatility_3", "cancel_to_limit_1",
)  # fmt: skip


@pytest.fixture(scope="module")
def book() -> Book:
    """A simulated book with gaps, a snapshot late, and levels that are not there."""
    whole = simulate_book(seed=5, n_rows=900).book
    kept = np.ones(len(whole), dtype=bool)
    kept[[100, 101, 400]] = False
    book = whole.rows(kept)
    time, notional, limit = book.time.copy(), book.notional.copy(), book.limit_notional.copy()
    time[50:] += np.timedelta64(1_300_000, "us")
    notional[200:210, 1, 12:] = limit[300, 0, 3] = np.nan
    notional[250] = 0.0
    return replace(book, time=time, notional=notional, limit_notional=limit)


def by_hand(book: Book) -> list[dict[str, float]]:
    """The features of each row of the grid that do not look further back than one row, in plain Python."""
    at, _ = book.grid_rows()
    snapshots: dict[int, int] = {int(row): i for i, row in enumerate(at)}
    out = []
    for row in range(int(at[-1]) + 1):
        if row not in snapshots:
            out.append({})
            continue
        i = snapshots[row]
        distance, notional = book.distance[i].tolist(), book.notional[i].tolist()
        mid, spread, buys, sells = (float(getattr(book, name)[i]) for name in TOTALS)
        values = {"relative_spread": spread / mid}
        (db, da), (qb, qa) = (column[0] for column in distance), (column[0] for column in notional)
        sb, sa = qb / (1 + db), qa / (1 + da)
        values["microprice_deviation"] = (db * sa + da * sb) / (sa + sb) if sa + sb > 0 else math.nan
        for k in (1, 3, 5, 15):
            b, a = math.fsum(notional[0][:k]), math.fsum(notional[1][:k])
            values[f"imbalance_{k}"] = (b - a) / (b + a) if b + a else math.nan
            values[f"log_depth_{k}"] = math.log(a + b) if a + b > 0 else math.nan
        slopes = [
            math.fsum(abs(d) * math.fsum(q[: j + 1]) for j, d in enumerate(ds)) / math.fsum(d * d for d in ds)
            for ds, q in zip(distance, notional, strict=True)
        ]
        values["depth_slope"] = math.log(sum(slopes) / 2) if sum(slopes) > 0 else math.nan
        values["trade_imbalance"] = (buys - sells) / (buys + sells) if buys + sells > 0 else math.nan
        limit, cancel, market = (getattr(book, f"{kind}_notional")[i].ravel().tolist() for kind in ("limit", "cancel", "market"))
        pairs = [(c, placed) for c, placed in zip(cancel, limit, strict=True) if not math.isnan(c + placed)]
        placed = math.fsum(p for _, p in pairs)
        values["cancel_to_limit"] = math.fsum(c for c, _ in pairs) / placed if placed > 0 else math.nan
        traded, cancelled = math.fsum(market), math.fsum(cancel)
        values["market_share"] = traded / (traded + cancelled) if traded + cancelled > 0 else math.nan
        if row - 1 in snapshots:
            before = snapshots[row - 1]
            values["midpoint_return"] = math.log(mid / book.midpoint[before])
            flow = 0.0
            for side, sign in ((0, 1), (1, -1)):
                p, p_before = (round(float(book.price[j, side, 0]) * 100) for j in (i, before))
                q, q_before = notional[side][0], float(book.notional[before, side, 0])
                better = sign * (p - p_before)
                flow += sign * ((q if better >= 0 else 0.0) - (q_before if better <= 0 else 0.0))
            values["order_flow_imbalance"] = flow
        out.append(values)
    return out


ROW_BY_ROW = (
    "relative_spread", "microprice_deviation", "imbalance_1", "imbalance_3", "imbalance_15", "log_depth_5", "log_depth_15",
    "depth_slope", "trade_imbalance", "cancel_to_limit", "market_share", "midpoint_return", "order_flow_imbalance",
)  # fmt: skip


def test_features_equal_those_computed_by_hand(book):
    found, expected = book_features(book, ROW_BY_ROW), by_hand(book)
    assert found.n_rows == len(expected) == 900
    for name in ROW_BY_ROW:
        wanted = np.array([row.get(name, math.nan) for row in expected])
        assert np.isfinite(wanted).sum() > 800
        np.testing.assert_allclose(found.column(name)[:, 0], wanted, rtol=1e-9, atol=1e-9 * np.nanmax(np.abs(wanted)), err_msg=name)


def test_windows_are_sums_and_deviations_of_the_rows(book):
    f = book_features(book, NAMES)
    x = {name: f.column(name)[:, 0] for name in NAMES}
    columns = book_features(book, ["buys", "sells", *(f"{side}_notional_{i}" for side in SIDES for i in range(15))])
    buys, sells = columns.column("buys")[:, 0], columns.column("sells")[:, 0]
    depth = columns.values[:, 0, 2:].sum(axis=1)
    n_checked = 0
    for row in range(30, f.n_rows):
        last = {w: slice(row - w + 1, row + 1) for w in (2, 3, 5, 7, 20)}
        expected = {
            "volatility_20": np.std(x["midpoint_return"][last[20]], ddof=1),
            "volatility_3": np.std(x["midpoint_return"][last[3]], ddof=1),
            "order_flow_imbalance_7": np.sum(x["order_flow_imbalance"][last[7]]),
            "depth_ratio_2": depth[row] / np.mean(depth[last[2]]),
            "trade_imbalance_5": np.sum((buys - sells)[last[5]]) / np.sum((buys + sells)[last[5]]),
            "cancel_to_limit_1": x["cancel_to_limit"][row],
        }
        for name, value in expected.items():
            rounding = 1e-3 if "flow" in name else 1e-9
            np.testing.assert_allclose(x[name][row], value, rtol=1e-9, atol=rounding, err_msg=f"{name} at {row}")
        n_checked += np.isfinite(list(expected.values())).all()
    assert n_checked > 500


def test_columns_and_their_logs_are_features(book):
    names = [*BOOK_COLUMNS, *(f"log_{name}" for name in BOOK_COLUMNS)]
    f, (at, start) = book_features(book, names), book.grid_rows()
    assert (f.time[0], f.symbols, f.interval) == (start, ("SIM/USDT",), book.interval)
    for name in BOOK_COLUMNS:
        plain, logged = f.column(name)[at, 0], f.column(f"log_{name}")[at, 0]
        assert np.array_equal(plain, book.column(name), equal_nan=True)
        expected = np.log(plain) if name == "midpoint" else np.log(1 + plain)
        np.testing.assert_allclose(logged, expected, rtol=1e-9, atol=1e-12, err_msg=name)
    assert len(LEVEL_FEATURES) == 150
    assert set(LEVEL_FEATURES) < set(names)


def test_a_row_without_a_snapshot_is_unknown_and_so_is_what_looks_across_it(book):
    f = book_features(book, NAMES)
    assert np.isnan(f.values[[100, 101, 400]]).all()
    for name in ("midpoint_return", "order_flow_imbalance"):
        assert np.isnan(f.column(name)[[102, 401], 0]).all()
        assert np.isfinite(f.column(name)[[103, 402], 0]).all()
    assert np.isnan(f.column("volatility_20")[400:421, 0]).all()
    assert np.isfinite(f.column("volatility_20")[421, 0])
    assert np.isnan(f.column("order_flow_imbalance_7")[100:109, 0]).all()
    assert np.isfinite(f.column("order_flow_imbalance_7")[109, 0])


def test_what_is_not_known_or_not_defined_is_nan_and_nothing_else_is(book):
    names = ["imbalance_15", "imbalance_5", "log_depth_15", "microprice_deviation", "depth_slope", "cancel_to_limit"]
    f = book_features(book, names)
    # Levels 12 to 14 of the asks are not there: snapshot 200 stands in row 202.
    assert np.isnan(f.column("imbalance_15")[202:212]).all()
    assert np.isfinite(f.column("imbalance_5")[202:212]).all()
    # A row in which nothing rests.
    for name in ("imbalance_15", "log_depth_15", "microprice_deviation", "depth_slope"):
        assert np.isnan(f.column(name)[252, 0])
        assert np.isfinite(f.column(name)[253, 0])
    # One unknown flow leaves the ratio of the others.
    assert np.isfinite(f.column("cancel_to_limit")[302, 0])


def stream_all(book: Book, names: tuple[str, ...]) -> np.ndarray:
    stream = BookStream(names)
    return np.stack([stream.update(book.rows(slice(i, i + 1))) for i in range(len(book))])


def test_streamed_features_have_the_bits_of_the_batch(book):
    names = (*NAMES, *LEVEL_FEATURES, *BOOK_COLUMNS)
    assert np.array_equal(stream_all(book, names), book_features(book, names).values[book.grid_rows()[0]], equal_nan=True)


def test_streamed_features_of_the_real_book_have_the_bits_of_the_batch(shared_data):
    book = read_book(shared_data / "l2_btc_1min_full_20210417.parquet")
    names = (*NAMES, *LEVEL_FEATURES)
    batch = book_features(book, names)
    assert batch.n_rows == 602
    assert np.array_equal(stream_all(book, names), batch.values[book.grid_rows()[0]], equal_nan=True)


def test_streamed_features_of_the_real_partial_book_have_the_bits_of_the_batch(shared_data):
    book = read_book(shared_data / "l2_btc_5min_top30.parquet", "5m", partial=True, start="2021-04-07T16:35")
    names = tuple(f"log_{name}" for name in book.known_columns)
    batch = book_features(book, names)
    assert batch.values.shape == (3_367, 1, 30)
    assert np.isfinite(batch.values).all()
    assert np.array_equal(stream_all(book.head(500), names), batch.values[:500])
    # Little can be said without the rest: both sides of the touch have a value, and one level what was placed and cancelled.
    derived = book_features(book)
    known = np.isfinite(derived.values).any(axis=(0, 1))
    assert [name for name, there in zip(derived.names, known, strict=True) if there] == ["imbalance_1", "cancel_to_limit_20"]


def test_later_snapshots_do_not_change_earlier_features(book):
    full = book_features(book, NAMES)
    at, _ = book.grid_rows()
    rng = np.random.default_rng(2)
    for cut in rng.integers(30, len(book), 12):
        part = book_features(book.head(int(cut)), NAMES)
        assert part.n_rows == at[cut - 1] + 1
        assert np.array_equal(part.values, full.values[: part.n_rows], equal_nan=True)
        noise = np.exp(rng.normal(0, 1, book.notional[cut:].shape))
        changed = {name: getattr(book, name).copy() for name in ("notional", "limit_notional", "midpoint")}
        changed["notional"][cut:] *= noise
        changed["limit_notional"][cut:] *= noise
        changed["midpoint"][cut:] *= 1.3
        later = book_features(replace(book, **changed), NAMES)
        assert np.array_equal(later.values[: part.n_rows], part.values, equal_nan=True)
        assert not np.array_equal(later.values[part.n_rows :], full.values[part.n_rows :], equal_nan=True)


def test_the_real_flash_crash_stands_out_of_the_logs_of_the_levels_as_it_is_known_to(shared_data):
    """Ten principal components of the 30 logs, learned before row 2,700: 9 of 14 rows in the top 2 %, median rank 1.2 %."""
    book = read_book(shared_data / "l2_btc_5min_top30.parquet", "5m", partial=True, start="2021-04-07T16:35")
    logs = book_features(book, [f"log_{name}" for name in book.known_columns]).values[:, 0]
    mean, std = logs[:2_700].mean(axis=0), logs[:2_700].std(axis=0)
    z = (logs - mean) / std
    axes = np.linalg.svd(z[:2_700], full_matrices=False)[2][:10]
    error = ((z - z @ axes.T @ axes) ** 2).sum(axis=1)[2_700:]
    rank = (-error).argsort().argsort()[3_008 - 2_700 : 3_022 - 2_700] / len(error)
    assert (rank < 0.02).sum() == 9
    assert np.median(rank) < 0.013


def test_the_flash_crash_shows_in_the_simulated_features():
    simulated = simulate_book(seed=7, n_rows=6_000, n_flash_crashes=2)
    f = book_features(simulated.book)
    for event in simulated.events.query("kind == 'flash_crash'").itertuples():
        fall = slice(event.row, event.row + (event.stop_row - event.row) // 3)
        usual = slice(event.row - 60, event.row)
        assert f.column("midpoint_return")[fall].sum() == pytest.approx(event.size, abs=0.01)
        assert f.column("log_depth_15")[event.row + 10, 0] < f.column("log_depth_15")[usual].mean() - 0.5
        assert f.column("order_flow_imbalance")[fall].mean() < 0
        assert f.column("trade_imbalance")[fall].mean() < -0.3
        assert f.column("volatility_20")[event.row + 10, 0] > 3 * np.median(f.column("volatility_20")[usual])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("imbalance", "unknown feature 'imbalance'; expected a column of the book, log_<column>, or one of midpoint_return"),
        ("imbalance_0", "the number of imbalance must be from 1 to 15, got 0 in 'imbalance_0'"),
        ("log_depth_16", "the number of log_depth must be from 1 to 15, got 16"),
        ("volatility_1", "the number of volatility must be from 2 to 10000000, got 1"),
        ("bids_notional_15", "unknown feature 'bids_notional_15'"),
        ("log_", "unknown feature 'log_'"),
        ("volatility_99999999999999", "unknown feature 'volatility_99999999999999'"),
    ],
)
def test_an_unknown_feature_is_refused_in_batch_and_stream(book, name, message):
    for make in (lambda: book_features(book, [name]), lambda: BookStream([name])):
        with pytest.raises(ConfigError, match=re.escape(message)):
            make()


def test_snapshots_that_cannot_be_streamed_are_refused(book):
    stream = BookStream(["midpoint_return"])
    first, second = (book.rows(slice(i, i + 1)) for i in (0, 1))
    stream.update(second)
    for wrong in (first, second):
        with pytest.raises(DataError, match="snapshots must come in ascending order, one in an interval"):
            stream.update(wrong)
    with pytest.raises(DataError, match="update takes one snapshot, got a book of 2"):
        stream.update(book.head(2))
    with pytest.raises(DataError, match="at most 100000 intervals apart"):
        stream.update(replace(second, time=second.time + np.timedelta64(9_999_999, "s")))
    # What was refused has changed nothing.
    assert stream.update(book.rows(slice(2, 3)))[0, 0] == pytest.approx(np.log(book.midpoint[2] / book.midpoint[1]))


def test_a_window_longer_than_the_book_is_unknown_everywhere(book):
    f = book_features(book.head(50), ["volatility_51", "order_flow_imbalance_51"])
    assert np.isnan(f.values).all()
