"""Cases: which alerts belong together, what stands in a case, and that a scan alerts as a run does."""

import json

import numpy as np
import pandas as pd
import pytest

import foreshock as fs
from foreshock.reports.cases.page import CasesReport, headline
from foreshock.study.cases.cases import case_id, traded_value
from foreshock.study.cases.output import save_scan, scan_content
from foreshock.study.cases.scan import described, scan
from tests.made.cases import COOLDOWN, found
from tests.reading.seen import seen, table_of
from tests.small import small_study


def test_alerts_of_all_detectors_within_the_cooldown_of_the_first_are_one_case():
    one = found()
    assert one.cases["n_alerts"].tolist() == [3, 1, 1]
    assert one.cases["symbol"].tolist() == ["BTC/USDT", "ETH/USDT", "BTC/USDT"]
    assert (one.cases["start"].to_numpy() == one.bars.time[[100, 101, 106]]).all()
    assert (one.cases["stop"].to_numpy() == one.bars.time[[104, 102, 107]]).all()
    assert one.cases["detectors"].tolist() == ["zscore, mad", "mad", "zscore"]
    for case, row in one.cases.iterrows():
        own = one.alerts[one.of_alert == case]
        assert set(own["symbol"]) == {row["symbol"]}
        assert (own["time"] >= row["start"]).all()
        assert (own["time"].to_numpy() - np.datetime64(row["start"]) < COOLDOWN * one.bars.interval).all()


def test_a_case_has_its_rarest_alert_its_price_and_value_and_what_followed_the_first():
    one = found()
    case, bars = one.cases.iloc[0], one.bars
    assert (case["tail_probability"], case["rarest_detector"], case["largest_score"]) == (0.002, "zscore", 6.0)
    assert case[["driver_1", "driver_1_added", "driver_2", "driver_2_added"]].tolist() == ["log_return", 6.0, "range", 0.5]
    assert case["price_change"] == pytest.approx(bars.close[103, 0] / bars.close[99, 0] - 1)
    value = bars.close[:, 0] * bars.volume[:, 0]
    assert case["value"] == pytest.approx(value[100:104].sum())
    assert case["value_ratio"] == pytest.approx(value[100:104].sum() / (4 * value[52:100].mean()))
    assert case["move_1h"] == pytest.approx(0.1)


def test_an_id_depends_on_study_symbol_and_first_alert_alone():
    one = found()
    assert one.cases["case_id"].tolist() == [
        case_id("9f2c", symbol, one.bars.time[row]) for symbol, row in (("BTC/USDT", 100), ("ETH/USDT", 101), ("BTC/USDT", 106))
    ]
    assert found(n_alerts=1).cases["case_id"].iloc[0] in set(one.cases["case_id"])
    assert (
        len(
            {case_id("9f2c", "A", one.bars.time[0]), case_id("9f2d", "A", one.bars.time[0]), case_id("9f2c", "B", one.bars.time[0])}
        )
        == 3
    )


def test_the_value_traded_is_that_of_the_source():
    market = fs.simulate_market(seed=1, n_symbols=1, n_bars=24).bars
    windows = fs.WindowSource(fs.bar_trades(market), "1h")
    np.testing.assert_allclose(traded_value(windows)[:, 0], fs.trade_windows(fs.bar_trades(market), 3_600).quote_volume)
    np.testing.assert_array_equal(traded_value(fs.BarSource(market)), market.extras["quote_volume"])
    book = fs.simulate_book(seed=1, n_rows=100).book
    np.testing.assert_allclose(traded_value(fs.BookSource(book))[:, 0], np.sum(book.market_notional, axis=(1, 2)))


def test_a_scan_raises_the_alerts_of_a_run_without_its_baselines():
    study = small_study(
        bars=fs.simulate_market(seed=5, n_symbols=2, n_bars=2_500).bars, detectors=["zscore", "pca"], n_surrogates=0
    )
    one, ran = scan(study), study.run()
    wanted = ran.alerts_frame()
    wanted = wanted[wanted["detector"].isin(["zscore", "pca"])].reset_index(drop=True)
    # A run calls regimes by what it knows at its end, a scan by what was known at the time.
    left_out = ["time", "regime"]
    pd.testing.assert_frame_equal(one.alerts.drop(columns=left_out), wanted.drop(columns=left_out))
    assert len(one.alerts) > 10
    assert set(one.n_scored) == {"zscore", "pca"}
    assert one.cases["n_alerts"].sum() == len(one.alerts)


def test_a_later_scan_says_the_same_of_the_same_alerts():
    bars = fs.simulate_market(seed=5, n_symbols=2, n_bars=2_500).bars
    first, later = (scan(small_study(bars=one, detectors=["zscore"], n_surrogates=0)).alerts for one in (bars.head(1_900), bars))
    moves = [name for name in first.columns if name.startswith("move_")]
    before = later[later["time"] < bars.time[1_900]]
    assert len(first) > 20
    pd.testing.assert_frame_equal(
        first.drop(columns=moves).sort_values(["time", "symbol"]).reset_index(drop=True),
        before.drop(columns=moves).sort_values(["time", "symbol"]).reset_index(drop=True),
    )


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({}, True),
        ({"title": "Another title", "n_bootstrap": 199, "random_draws": 3}, True),
        ({"seed": 1}, False),
        ({"cooldown": "3h"}, False),
        ({"threshold": fs.RollingQuantile(0.9, "10D")}, False),
        ({"detectors": ["mad"]}, False),
    ],
)
def test_the_digest_holds_what_decides_which_alerts_there_are(change, same):
    bars = fs.simulate_market(seed=5, n_symbols=2, n_bars=900).bars
    usual = {"detectors": ["zscore"], "threshold": fs.RollingQuantile(0.99, "10D")}
    one, other = (described(small_study(bars=bars, **(usual | more))) for more in ({}, change))
    assert (one == other) is same
    assert described(small_study(bars=bars.head(800), **usual)) == one


def test_every_bundle_holds_the_raw_rows_their_hash_and_the_alerts(tmp_path):
    import hashlib

    one = found()
    assert save_scan(one, tmp_path, "foreshock scan study.toml", {"inputs": {"bars.csv": "ab"}}) == 0
    assert {path.name for path in (tmp_path / "evidence").iterdir()} == set(one.cases["case_id"])
    for at, case in one.cases.iterrows():
        place = tmp_path / "evidence" / case["case_id"]
        told = json.loads((place / "manifest.json").read_text(), parse_constant=pytest.fail)
        ((name, file),) = told["files"].items()
        assert name == "bars.parquet"
        assert hashlib.sha256((place / name).read_bytes()).hexdigest() == file["sha256"]
        rows = pd.read_parquet(place / name)
        row = int(np.searchsorted(one.bars.time, np.datetime64(case["start"])))
        stop = int(np.searchsorted(one.bars.time, np.datetime64(case["stop"])))
        own = one.bars.rows(slice(row - COOLDOWN, stop + 6)).select(case["symbol"])
        pd.testing.assert_frame_equal(rows, own.to_frame())
        assert file["from"] == f"{one.bars.time[row - COOLDOWN].astype('M8[s]')}Z"
        assert told["case"]["start"] == f"{one.bars.time[row].astype('M8[s]')}Z"
        assert [alert["score"] for alert in told["alerts"]] == one.alerts.loc[one.of_alert == at, "score"].tolist()
        assert told["study"] == {"digest": "9f2c", "title": "About BTC/USDT", **one.study}
        assert told["again"] == {"command": "foreshock scan study.toml", "inputs": {"bars.csv": "ab"}}


def test_bundles_of_other_cases_stay_and_are_counted(tmp_path):
    save_scan(found(), tmp_path, "", {})
    note = tmp_path / "evidence" / found().cases["case_id"].iloc[0] / "note.txt"
    note.write_text("seen by me")
    assert save_scan(found(n_alerts=1), tmp_path, "", {}) == 2
    assert note.read_text() == "seen by me"
    assert len(pd.read_csv(tmp_path / "cases.csv")) == 1


def test_the_page_is_what_the_cases_say():
    content = scan_content(found())
    page = CasesReport(content, "foreshock scan study.toml").to_html()
    rows = table_of(page, "cases")
    assert [row[0] for row in rows] == [f"{case['symbol']} {case['case_id']}" for case in content["cases"]]
    assert [row[4] for row in rows] == ["0.002 zscore", "0.003 mad", "0.006 zscore"]
    assert rows[0][1:4] == ["2022-01-05 04:00 2022-01-05 08:00", "zscore, mad", "3"]
    assert table_of(page, "detectors") == [["zscore", "300", "3", "1.00\u202f%", "2"], ["mad", "300", "2", "0.67\u202f%", "2"]]
    assert "3 cases in 5 alerts of 2 detectors, on 2 symbols." in seen(page)
    assert "The rarest is BTC/USDT at 2022-01-05 04:00 UTC: zscore had a score with a tail probability of 0.002" in seen(page)


def test_no_alert_is_a_result(tmp_path):
    one = found(n_alerts=0)
    save_scan(one, tmp_path, "foreshock scan study.toml", {})
    assert headline(scan_content(one)) == [
        "No alert: 2 detectors scored up to 300 rows, and no score passed its threshold.",
        "0 of 2 labelled events are in a case.",
    ]
    page = (tmp_path / "cases.html").read_text()
    assert "No detector raised an alert." in seen(page)
    assert len(pd.read_csv(tmp_path / "cases.csv")) == 0
    assert list(pd.read_csv(tmp_path / "cases.csv").columns) == list(found().cases.columns)
    assert not (tmp_path / "evidence").exists()
