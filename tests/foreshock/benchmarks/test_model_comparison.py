"""The comparison of models: both samples, the published rows, and figures that mean what their names say."""

import json
import subprocess
import sys

import numpy as np
import pytest

import foreshock as fs
from foreshock.benchmarks import models as module
from foreshock.benchmarks.models import CRASHES, PUBLISHED, crash_events, model_comparison, model_results
from foreshock.comparison.comparison import load_models
from foreshock.data.errors import ConfigError
from foreshock.data.simulate.market import simulate_market
from foreshock.engine.detection import Events
from foreshock.reports.comparison.tables import models_table
from foreshock.reports.parts.format import DASH
from tests.console import foreshock
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
    with pytest.raises(ConfigError, match="zscore does not reconstruct rows"):
        model_comparison(bars, crash_events(bars), ["zscore"])
    with pytest.raises(ConfigError, match="events must have the shape of the bars"):
        model_comparison(bars, Events([0], [1], [3], (10, 2)))


@pytest.fixture
def told(monkeypatch, compared):
    """What the verb asks for, and the table that it gets at once."""
    asked = []

    def given(bars, events, splits, on_step):
        asked.append((bars, events, splits))
        on_step("pca in-sample")
        return compared[1].reset_index()

    monkeypatch.setattr(module, "model_comparison", given)
    return asked


def test_the_verb_prints_the_table_and_writes_the_file_that_compare_reads(told, tmp_path, monkeypatch, capsys):
    path = tmp_path / "new" / "models.json"
    code, out, err = foreshock(monkeypatch, capsys, "benchmark", "models", "--out", str(path))
    assert (code, err) == (0, "pca in-sample\n")
    assert out.endswith(f"models: {path}\n")
    assert "published, in-sample 0.00112" in out
    ((bars, events, splits),) = told
    found = load_models(path)
    assert (len(events.col), splits) == (found["data"]["n_events"], module.SPLITS)
    # The decoys of the simulated market are no events.
    table = simulate_market(seed=7).events
    assert len(events.col) == (table["kind"] != "decoy").sum()
    assert (events.shape, found["data"]["n_bars"]) == (bars.shape, bars.n_bars)


def test_the_verb_holds_bars_of_a_file_against_the_dated_crashes(told, tmp_path, monkeypatch, capsys):
    bars = make_bars(24 * 40, 2, start="2021-05-01")
    bars.to_frame().to_parquet(tmp_path / "bars.parquet")
    assert foreshock(monkeypatch, capsys, "benchmark", "models", str(tmp_path / "bars.parquet"))[0] == 0
    ((_, events, splits),) = told
    assert events.start.tolist() == crash_events(bars).start.tolist()
    assert splits == fs.WalkForward(train="365D", test="365D", embargo="2D")


def test_a_folder_is_no_file_of_models(tmp_path, monkeypatch, capsys):
    code, out, err = foreshock(monkeypatch, capsys, "benchmark", "models", "--out", str(tmp_path))
    assert (code, out) == (2, "")
    assert err == f"error: --out must be a file, got the folder {tmp_path}; add a name, such as {tmp_path / 'models.json'}\n"


@pytest.mark.parametrize(("arguments", "code", "message"), [(["none.csv"], 3, "error: no such file"), (["--ot"], 2, "Usage: fore")])
def test_the_old_command_ends_as_the_verb_does(arguments, code, message, tmp_path):
    command = [sys.executable, "-m", "foreshock.model_comparison", *arguments]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (code, "")
    assert ended.stderr.strip().startswith(message)
