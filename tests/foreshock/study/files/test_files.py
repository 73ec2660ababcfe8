"""The files of a study: each row of them is what it says, and the tables of the page can be made of them again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import foreshock as fs
from foreshock.study.files.rows import StudyRows
from tests.small import small_study

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def result() -> fs.StudyResult:
    market = fs.simulate_market(seed=5, n_symbols=3, n_bars=3_000)
    return small_study(bars=market.bars, labels=market.labels, n_surrogates=0).run()


@pytest.fixture(scope="module")
def folder(result, tmp_path_factory) -> Path:
    return result.save(tmp_path_factory.mktemp("out"))


@pytest.fixture(scope="module")
def alerts(folder) -> pd.DataFrame:
    return pd.read_csv(folder / "alerts.csv", parse_dates=["time"])


def test_every_alert_stands_in_the_file_with_score_and_threshold(result, alerts):
    assert alerts.groupby("detector").size().to_dict() == {
        label: one["n_alerts"] for label, one in result.results["detectors"].items()
    }
    assert (alerts["score"] > alerts["threshold"]).all()
    assert str(alerts["time"].dt.tz) == "UTC"
    frame = result.scores_frame().query("alert")
    np.testing.assert_array_equal(alerts["score"], frame["score"])


def test_change_regime_and_moves_of_an_alert_are_those_of_its_bar(result, alerts):
    bars, labels = result.bars, result.regimes.labels
    for alert in alerts.sample(60, random_state=1).itertuples():
        row = int(np.searchsorted(bars.time, np.datetime64(alert.time.tz_convert(None), "us")))
        col = bars.symbols.index(alert.symbol)
        assert alert.price_change == pytest.approx(bars.close[row, col] / bars.close[row - 1, col] - 1)
        before = labels[row - 1, col]
        assert alert.regime == result.regimes.names[before] if before >= 0 else pd.isna(alert.regime)
        for horizon, move in (("1h", alert.move_1h), ("12h", alert.move_12h)):
            last = row + int(horizon[:-1])
            if last < bars.n_bars:
                assert move == pytest.approx(np.log(bars.close[last, col] / bars.open[row + 1, col]))
            else:
                assert np.isnan(move)


def test_drivers_are_the_three_features_that_added_most(result, alerts):
    features = result.features
    own = alerts[alerts["detector"] == "pca"]
    fold = result.scores["pca"].folds[0]
    detector = fs.make_detector("pca").fit(features.rows(fold.train))
    times = own["time"].dt.tz_convert(None).to_numpy(dtype="datetime64[us]")
    rows = np.searchsorted(features.time, times)
    inside = (rows >= fold.test.start) & (rows < fold.test.stop)
    assert inside.any()
    cols = np.array([features.symbols.index(name) for name in own["symbol"]])[inside]
    added = detector.explain_rows(features, rows[inside], cols)
    for place in range(3):
        largest = np.argsort(-added, axis=1)[:, place]
        assert list(own[inside][f"driver_{place + 1}"]) == [features.names[at] for at in largest]
        np.testing.assert_allclose(own[inside][f"driver_{place + 1}_added"], np.take_along_axis(added, largest[:, None], 1)[:, 0])


def test_the_file_of_alerts_is_a_file_of_labels_once_an_analyst_has_judged_them(alerts, folder, tmp_path):
    judged = pd.read_csv(folder / "alerts.csv").head(4).assign(disposition=["true", "false", "unsure", ""], note="")
    judged.to_csv(tmp_path / "judged.csv", index=False)
    labels = fs.read_labels(tmp_path / "judged.csv")
    assert sorted(labels.dispositions) == ["false", "true", "unsure", "unsure"]
    assert set(labels.symbols) <= set(alerts["symbol"])


def test_scores_rates_and_profile_can_be_made_of_the_rows_again(result, folder):
    rows = pd.read_parquet(folder / "rows.parquet")
    assert len(rows) == result.bars.close.size
    assert rows.groupby("time", sort=False)["symbol"].apply(list).iloc[7] == list(result.bars.symbols)
    np.testing.assert_array_equal(rows["close"], result.bars.close.ravel())
    named = np.array([*result.regimes.names, None], dtype=object)[result.regimes.labels.ravel()]
    assert list(rows["regime"].astype(object).where(rows["regime"].notna(), None)) == list(named)
    for label, one in result.results["detectors"].items():
        decided = rows[rows[f"alert[{label}]"].notna()]
        alert = decided[f"alert[{label}]"].astype(bool)
        assert alert.mean() == pytest.approx(one["alert_rate"]["realised"])
        assert ((decided[f"score[{label}]"] > decided[f"threshold[{label}]"]) == alert).all()
        for row in result.results["profile"][label]:
            values, others = decided.loc[alert, row["feature"]], decided.loc[~alert, row["feature"]]
            assert row["difference"] == pytest.approx((values.mean() - others.mean()) / others.std(ddof=0))
            assert row["others_median"] == pytest.approx(others.median())


def test_rows_are_written_in_runs_and_say_the_same(result, monkeypatch):
    rows = StudyRows(result.bars, result.features, result.scores, result.signals, result.regimes)
    (whole,) = rows.tables()
    monkeypatch.setattr("foreshock.study.files.rows.CELLS", 1_000)
    runs = list(rows.tables())
    assert max(map(len, runs)) <= 1_000
    pd.testing.assert_frame_equal(pd.concat([run.to_pandas() for run in runs], ignore_index=True), whole.to_pandas())


def test_a_result_read_from_its_files_is_the_one_that_was_saved(result, folder, tmp_path):
    loaded = fs.load_result(folder)
    assert loaded.results == json.loads(json.dumps(result.results))
    assert (loaded.title, loaded.verdicts, str(loaded)) == (result.title, result.verdicts, str(result))
    pd.testing.assert_frame_equal(loaded.summary(), result.summary())
    pd.testing.assert_frame_equal(loaded.summary(short=True), result.summary(short=True))
    pd.testing.assert_frame_equal(loaded.alerts_frame(), result.alerts_frame(), check_exact=True)
    for label in result.scores:
        np.testing.assert_array_equal(loaded.scores[label].values, result.scores[label].values)
        for name in ("active", "threshold", "decided"):
            np.testing.assert_array_equal(getattr(loaded.signals[label], name), getattr(result.signals[label], name))
    np.testing.assert_array_equal(loaded.bars.volume, result.bars.volume)
    np.testing.assert_array_equal(loaded.bars.time, result.bars.time)
    assert len(loaded.trades_frame()) == len(result.trades_frame())
    assert loaded.report(tmp_path / "page.html").read_bytes() == (folder / "report.html").read_bytes()
    assert list(loaded.rows_frame(["time", "score[pca]"])) == ["time", "score[pca]"]


def test_what_is_not_there_is_said(folder, tmp_path):
    with pytest.raises(fs.DataError, match=r"no results\.json in"):
        fs.load_result(tmp_path)
    with pytest.raises(fs.ConfigError, match=r"no column score\[none\]; it has time"):
        fs.load_result(folder).rows_frame(["score[none]"])
    (tmp_path / "results.json").write_bytes((folder / "results.json").read_bytes())
    with pytest.raises(fs.DataError, match=r"no alerts.csv in .*; run the study again"):
        fs.load_result(tmp_path).alerts_frame()
    (tmp_path / "rows.parquet").write_bytes((folder / "rows.parquet").read_bytes()[:-20])
    with pytest.raises(fs.DataError, match=r"rows.parquet: cannot be read as parquet"):
        fs.load_result(tmp_path).bars  # noqa: B018


def test_the_page_says_what_labels_profile_scores_and_tenths_say(result, folder):
    page = (folder / "report.html").read_text()
    for name in ("detection", "detection-kinds", "detection-pairs", "profile", "distribution-table", "decile-table"):
        assert f'id="{name}"' in page, name
    n = result.results["labels"]["n_counted"]
    assert f"{n} events lie in rows that were judged" in page
