"""The comparison of models: both samples, the published rows, and figures that mean what their names say."""

import json

import numpy as np
import pytest

import foreshock as fs
from data.errors import ConfigError
from data.simulate import simulate_market
from engine.detection import Events
from foreshock.compare import load_models
from foreshock.model_comparison import CRASHES, PUBLISHED, crash_events, model_comparison, model_results
from reports.comparison_tables import models_table
from reports.format import DASH
from tests.market import make_bars

SPLITS = fs.WalkForward(train="50D", test="60D", embargo="2D")


@pytest.fixture(scope="module")
def compared():
    bars = simulate_market(seed=3, n_symbols=2, n_bars=24 * 110).bars
    # The largest move of each five days, after the features' first window.
    moves = np.abs(bars.returns()[:, 0]).reshape(-1, 120)[2:]
    rows = moves.argmax(axis=1) + 120 * np.arange(2, len(moves) + 2)
    events = Events(np.zeros(len(rows), int), rows, rows + 1, bars.shape)
    return bars, model_comparison(bars, events, ["pca", "autoencoder"], SPLITS).set_index(["model", "sample"])


def test_every_model_has_both_samples_and_its_published_figures(compared):
    _, table = compared
    for name in ("pca", "autoencoder"):
        assert list(table.loc[name].index) == ["in-sample", "out-of-sample", "published, in-sample"]
        published = table.loc[(name, "published, in-sample")]
        assert (published["mse"], published["f1"]) == PUBLISHED[name]
        assert np.isnan(published["fit_seconds"])


def test_the_error_of_pca_is_the_mean_of_its_scores_where_rows_are_ordinary(compared):
    bars, table = compared
    features = fs.ohlcv_features(bars)
    detector = fs.make_detector("pca").fit(features)
    scores = detector.score(features).values
    z = (features.values - detector.center_) / detector.scale_
    ordinary = (np.abs(z) <= 10).all(axis=2)
    assert table.loc[("pca", "in-sample"), "mse"] == pytest.approx(np.nanmean(scores[ordinary]), rel=1e-9)


def test_in_sample_alerts_are_the_top_scores(compared):
    _, table = compared
    row = table.loc[("pca", "in-sample")]
    precision, recall = row["precision"], row["caught"] / row["n_events"]
    assert row["f1"] == pytest.approx(2 * precision * recall / (precision + recall))
    # Fewer events are counted out of sample, where the first 60 days and the threshold's window are unknown.
    assert table.loc[("pca", "out-of-sample"), "n_events"] < row["n_events"]


def test_the_file_that_is_written_is_the_table_that_compare_reads(compared, tmp_path):
    bars, table = compared
    events = Events([0], [300], [301], bars.shape)
    path = tmp_path / "models.json"
    path.write_text(json.dumps(model_results(bars, events, SPLITS, 0, table.reset_index()), allow_nan=False))
    found = load_models(path)
    assert [(row["model"], row["sample"]) for row in found["rows"]] == list(table.index)
    assert [row["mse"] for row in found["rows"]] == table["mse"].tolist()
    assert (found["data"]["n_events"], found["data"]["n_bars"], found["splits"]["train"]) == (1, bars.n_bars, "50D")
    published = models_table(found).rows[2]
    assert [c.text for c in published[:4]] == ["pca", "published, in-sample", "0.00112", "0.42"]
    # What the published table does not say is not known, and no zero.
    assert {c.text for c in published[4:]} == {DASH}


def test_crashes_are_events_of_the_symbols_that_trade():
    bars = make_bars(24 * 40, 2, start="2021-05-01")
    events = crash_events(bars)
    row = int(np.searchsorted(bars.time, np.datetime64(CRASHES[1])))
    assert events.col.tolist() == [0, 1]
    assert set(events.start.tolist()) == {row - 1}
    assert set(events.stop.tolist()) == {row + 5}
    with pytest.raises(ConfigError, match="none of the dated crashes"):
        crash_events(make_bars(24 * 40, 2, start="2023-05-01"))


def test_what_cannot_be_compared_is_refused():
    bars = make_bars(24 * 40, 2, start="2021-05-01")
    with pytest.raises(ConfigError, match="zscore rebuilds no rows"):
        model_comparison(bars, crash_events(bars), ["zscore"])
    with pytest.raises(ConfigError, match="events must be of the panel of the bars"):
        model_comparison(bars, Events([0], [1], [3], (10, 2)))
