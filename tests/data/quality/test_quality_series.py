"""Tickers used again, wrong units, wrong prints, feeds that hang: planted, and found at exactly their rows."""

import numpy as np
import pandas as pd
import pytest

from foreshock.data.bars import FIELDS, PRICES, Bars
from foreshock.data.files import read_bars
from foreshock.data.quality.clean import DONE, clean
from foreshock.data.quality.runs import COLUMNS
from foreshock.data.simulate.market import simulate_market
from foreshock.engine.features.ohlcv import ohlcv_features
from tests.market import make_bars

NEW = ("relisted", "unit", "volume_unit", "outlier")


def changed(bars: Bars, rows: np.ndarray, factor: float, fields: tuple[str, ...] = PRICES, col: int = 0) -> Bars:
    values = {name: getattr(bars, name).copy() for name in FIELDS}
    for name in fields:
        values[name][rows, col] *= factor
    return Bars(bars.time, bars.symbols, **values, interval=bars.interval, extras=bars.extras)


def without(bars: Bars, rows: np.ndarray, col: int = 0) -> Bars:
    return changed(bars, rows, np.nan, FIELDS, col)


def places(report, kind: str) -> list[tuple[str, np.datetime64]]:
    rows = report.findings[report.findings["kind"] == kind]
    return list(zip(rows["symbol"], rows["time"].to_numpy(), strict=True))


def only(report, *kinds: str) -> bool:
    return set(report.findings["kind"]) <= {*kinds, "missing"}


@pytest.mark.parametrize("seed", [7, 8])
def test_a_simulated_market_with_crashes_pumps_and_long_wicks_has_nothing_to_report(seed):
    market = simulate_market(seed, n_bars=9_000)
    assert len(market.events) > 40
    bars, report = clean(market.bars)
    assert len(report.findings) == len(report.runs) == 0
    assert report.runs.columns.tolist() == list(COLUMNS)
    assert bars.fingerprint() == market.bars.fingerprint()


@pytest.mark.parametrize("factor", [100.0, 1000.0, 1e6, 0.01, 1e-6])
@pytest.mark.parametrize("rows", [np.arange(200, 201), np.arange(200, 260), np.arange(200, 400)])
def test_bars_in_another_unit_are_set_apart_and_the_rest_is_as_it_was(factor, rows):
    good = make_bars(400, 2, seed=5)
    bars, report = clean(changed(good, rows, factor))
    assert places(report, "unit") == [("A", good.time[row]) for row in rows]
    assert only(report, "unit")
    apart = f"A (x{factor:.6f}".rstrip("0").rstrip(".") + ")"
    assert bars.symbols == ("A", "B", apart)
    for name in FIELDS:
        planted = getattr(good, name)[rows, 0] * (factor if name != "volume" else 1)
        np.testing.assert_array_equal(getattr(bars, name)[rows, 2], planted)
        assert np.isnan(np.delete(getattr(bars, name)[:, 2], rows)).all()
        np.testing.assert_array_equal(np.delete(getattr(bars, name)[:, 0], rows), np.delete(getattr(good, name)[:, 0], rows))
        assert np.isnan(getattr(bars, name)[rows, 0]).all()
        np.testing.assert_array_equal(getattr(bars, name)[:, 1], getattr(good, name)[:, 1])
    assert report.count("missing", "A") == (len(rows) if rows[-1] < 399 else 0)
    assert set(report.runs.query("kind == 'missing'")["found"]) <= {f"no bar for {len(rows)}h, others traded: up to 1"}
    (run,) = report.runs.query("kind == 'unit'").to_dict("records")
    assert (run["rows"], run["from"], run["to"]) == (len(rows), good.time[rows[0]], good.time[rows[-1]])
    assert run["done"] == "set apart"


def test_a_symbol_alone_has_no_others_even_when_a_part_of_it_is_set_apart():
    _, report = clean(changed(make_bars(300, 1, seed=5), np.arange(100, 105), 1000.0))
    assert report.runs["found"].tolist() == ["no bar for 5h", "prices 1,000 times those before"]


def test_units_that_change_twice_are_two_series_and_two_runs():
    good = make_bars(300, 1, seed=5)
    bars, report = clean(changed(changed(good, np.arange(100, 300), 1000.0), np.arange(150, 200), 1000.0))
    assert bars.symbols == ("A", "A (x1000)", "A (x1000000)")
    assert (~np.isnan(bars.close)).sum(axis=0).tolist() == [100, 150, 50]
    assert report.runs.query("kind == 'unit'")["rows"].tolist() == [50, 50, 100]
    assert report.runs.query("kind == 'unit'")["found"].tolist() == [
        f"prices {n} times those before" for n in ("1,000", "1,000,000", "1,000")
    ]


@pytest.mark.parametrize("factor", [10.0, 31.0, 300.0, 1 / 31])
def test_a_move_that_is_no_power_of_ten_is_a_jump_and_stays_in_its_series(factor):
    good = make_bars(300, 1, seed=5)
    bars, report = clean(changed(good, np.arange(150, 300), factor))
    assert bars.symbols == ("A",)
    assert places(report, "jump") == [("A", good.time[150])]
    assert only(report, "jump")


@pytest.mark.parametrize(("absent", "factor", "n_relisted"), [(24, 40.0, 100), (24, 0.02, 100), (23, 40.0, 0), (60, 2.0, 0)])
def test_a_ticker_used_again_becomes_a_symbol_of_its_own(absent, factor, n_relisted):
    good = make_bars(300 + absent, 2, seed=6)
    gone, later = np.arange(200, 200 + absent), np.arange(200 + absent, 300 + absent)
    scale = factor * good.close[199, 0] / good.close[later[0], 0]
    bars, report = clean(without(changed(good, later, scale), gone))
    assert places(report, "relisted") == [("A", good.time[row]) for row in later[:n_relisted]]
    assert bars.symbols == (("A", "B", "A (relisted)") if n_relisted else ("A", "B"))
    assert report.count("missing", "A") == (0 if n_relisted else absent)
    assert report.count("jump") == (factor > 3 and not n_relisted)
    if n_relisted:
        np.testing.assert_array_equal(bars.close[later, 2], good.close[later, 0] * scale)
        assert np.isnan(bars.returns()[later[0], :]).tolist() == [True, False, True]
        assert report.bars == {"A": 200, "B": 324, "A (relisted)": 100}


def test_a_ticker_may_be_used_three_times():
    good = make_bars(400, 1, seed=6)
    scaled = changed(changed(good, np.arange(150, 400), 50.0), np.arange(300, 400), 50.0)
    bars, report = clean(without(scaled, np.r_[120:150, 270:300]))
    assert bars.symbols == ("A", "A (relisted)", "A (relisted 2)")
    assert report.runs.query("kind == 'relisted'")["rows"].tolist() == [120, 100]


@pytest.mark.parametrize("cut", [120, 160, 205, 250, 330])
def test_later_bars_do_not_change_what_is_set_apart_or_removed(cut):
    good = make_bars(400, 2, seed=6)
    dirty = changed(without(changed(good, np.arange(230, 400), 70.0), np.arange(200, 230)), np.r_[100:110, 300:302], 1000.0)
    whole, _ = clean(dirty)
    part, _ = clean(dirty.head(cut))
    assert whole.symbols == ("A", "B", "A (x1000)", "A (relisted)", "A (relisted, x1000)")
    assert part.symbols == whole.symbols[: len(part.symbols)]
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(part, name), getattr(whole, name)[:cut, : len(part.symbols)])
        assert np.isnan(getattr(whole, name)[:cut, len(part.symbols) :]).all()


def test_extras_go_with_the_bars_that_are_set_apart():
    good = make_bars(200, 1, seed=5)
    counted = Bars(good.time, good.symbols, *(getattr(good, name) for name in FIELDS), good.interval, {"trade_count": good.volume})
    bars, _ = clean(changed(counted, np.arange(100, 150), 100.0))
    np.testing.assert_array_equal(bars.extras["trade_count"][100:150, 1], good.volume[100:150, 0])
    assert np.isnan(bars.extras["trade_count"][100:150, 0]).all()


@pytest.mark.parametrize(("field", "factor"), [("high", 1.6), ("low", 0.6), ("high", 100.0)])
def test_a_wrong_print_is_found_in_its_bar(field, factor):
    bars, report = clean(changed(make_bars(400, 2, seed=5), np.array([250]), factor, (field,)))
    assert places(report, "outlier") == [("A", bars.time[250])]
    assert only(report, "outlier")
    (found,) = report.runs["found"]
    assert found.startswith("a price " if factor > 1 else "a price 1/")


def test_a_wrong_close_is_one_print_and_neither_jump_nor_unit():
    good = make_bars(400, 1, seed=5)
    bars, report = clean(changed(good, np.array([250]), 100.0, ("high", "close")))
    assert places(report, "outlier") == [("A", bars.time[250])]
    assert only(report, "outlier")
    assert bars.symbols == ("A",)


def test_a_price_that_was_traded_at_or_that_its_neighbours_share_is_no_wrong_print():
    good = make_bars(400, 1, seed=5)
    # A pump, with its volume; a bar beside another as high; too early to be judged; and where volume is not known.
    traded = changed(changed(good, np.array([250]), 1.6, ("high",)), np.array([250]), 40.0, ("volume",))
    beside = changed(good, np.array([250, 251]), 1.6, ("high",))
    early = changed(good, np.array([15]), 1.6, ("high",))
    unknown = changed(changed(good, np.array([250]), 1.6, ("high",)), np.array([250]), np.nan, ("volume",))
    for bars in (traded, beside, early, unknown):
        assert clean(bars)[1].count("outlier") == 0


@pytest.mark.parametrize("rows", [np.arange(200, 212), np.arange(200, 300), np.arange(300, 400)])
@pytest.mark.parametrize("price", [5e4, 2e-5])
def test_volume_in_quote_currency_is_found_at_its_rows(rows, price):
    good = make_bars(400, 2, seed=9)
    good = changed(good, np.arange(400), price / good.close[0, 0])
    values = good.volume.copy()
    values[rows, 0] *= good.close[rows, 0]
    _, report = clean(Bars(good.time, good.symbols, *(getattr(good, name) for name in PRICES), values, good.interval))
    assert places(report, "volume_unit") == [("A", good.time[row]) for row in rows]
    assert only(report, "volume_unit")
    assert report.runs["rows"].tolist() == [len(rows)]


@pytest.mark.parametrize(("price", "factor", "n_rows"), [(5e4, 5e4, 11), (50.0, 50.0, 60), (5e4, 300.0, 60), (5e4, 5e7, 60)])
def test_a_volume_that_changes_briefly_or_by_another_factor_is_no_unit(price, factor, n_rows):
    good = make_bars(400, 1, seed=9)
    good = changed(good, np.arange(400), price / good.close[0, 0])
    assert clean(changed(good, np.arange(200, 200 + n_rows), factor, ("volume",)))[1].count("volume_unit") == 0


def test_a_known_quote_volume_tells_the_unit_of_every_bar():
    market = simulate_market(7, n_symbols=2, n_bars=300).bars
    rows = np.r_[0:5, 100]
    wrong = changed(market, rows, 1.0)
    wrong.volume[rows, 0] = market.extras["quote_volume"][rows, 0]
    _, report = clean(wrong)
    assert places(report, "volume_unit") == [(market.symbols[0], market.time[row]) for row in rows]
    assert only(report, "volume_unit")


@pytest.mark.parametrize(("copies", "n_stale"), [(1, 0), (2, 2), (7, 7)])
def test_a_feed_that_hangs_is_stale_from_its_first_copy(copies, n_stale):
    bars = make_bars(100, 2, seed=3)
    for name in FIELDS:
        getattr(bars, name)[41 : 41 + copies, 1] = getattr(bars, name)[40, 1]
    _, report = clean(bars)
    assert places(report, "stale") == [("B", bars.time[row]) for row in range(41, 41 + n_stale)]


def test_runs_are_the_findings_counted_once_more():
    table = make_bars(300, 2, seed=3).to_frame()
    table.loc[[40, 42, 44, 90], "high"] = -1.0
    table.loc[[61, 63, 65], "volume"] = 0.0
    table = table.drop(index=[200, 201, 202, 203, 250, 253])
    bars, report = clean(table)
    assert (
        report.runs.groupby(["symbol", "kind"])["rows"].sum().to_dict()
        == report.findings.groupby(["symbol", "kind"]).size().to_dict()
    )
    for run in report.runs.to_dict("records"):
        mine = report.findings.query("symbol == @run['symbol'] and kind == @run['kind']")["time"]
        assert (mine.between(run["from"], run["to"])).sum() == run["rows"]
        assert run["to"] - run["from"] == (run["rows"] - 1) * pd.Timedelta("1h")
        assert run["done"] == DONE[run["kind"]]
    seen = report.runs[["symbol", "kind", "rows", "found"]].to_records(index=False).tolist()
    assert ("A", "not_positive", 3, "had a price of zero or less") in seen
    assert ("B", "zero_volume", 3, "no volume") in seen
    assert ("A", "missing", 3, "no bar for 3h, others traded: up to 1") in seen
    assert ("A", "missing", 2, "no bar for 2h, no symbol traded") in seen
    assert ("B", "missing", 1, "no bar for 1h, others traded: up to 1") in seen
    assert report.gaps == {symbol: (report.runs.query("symbol == @symbol")["kind"] == "missing").sum() for symbol in bars.symbols}


@pytest.mark.parametrize("file", ["ohlcv_1h_8assets", "ohlcv_btc_spot_1h_2017_2024", "ohlcv_btc_spot_1m_20251218"])
def test_the_crashes_and_squeezes_of_real_markets_are_no_faults(file, shared_data):
    _, report = clean(read_bars(shared_data / f"{file}.parquet"))
    assert [report.count(kind) for kind in (*NEW, "jump", "stale", "ohlc_violation")] == [0] * 7
    assert (report.count("missing"), report.count("zero_volume")) == ((128, 4) if "spot_1h" in file else (0, 0))


def test_no_feature_of_a_ticker_used_again_looks_at_the_asset_before():
    good = make_bars(400, 2, seed=6)
    bars, _ = clean(without(changed(good, np.arange(230, 400), 70.0), np.arange(200, 230)))
    moves = ohlcv_features(bars, ("log_return", "volatility_20")).values
    assert np.nanmax(np.abs(moves[:, :, 0])) < 0.2
    assert np.isnan(moves[230:250, 2, 1]).all()
    assert not np.isnan(moves[250:, 2, 1]).any()
