"""Labels in a study: which alerts find them, what does not count, and how files name them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import foreshock as fs
from foreshock.study.signals.detection import detect, labels_of
from tests.small import small_study

HOUR = np.timedelta64(1, "h")


@pytest.fixture(scope="module")
def bars() -> fs.Bars:
    return fs.simulate_market(seed=1, n_symbols=2, n_bars=400).bars


def alerts_at(bars: fs.Bars, *places: tuple[int, int], first: int = 100) -> tuple[fs.Scores, fs.Signals]:
    values = np.zeros(bars.shape)
    values[:first] = np.nan
    for row, col in places:
        values[row, col] = 1.0
    scores = fs.Scores(bars.time, bars.symbols, values, bars.interval)
    return scores, scores.signals(fs.Fixed(0.5))


def labels_at(bars: fs.Bars, *rows: tuple[int, int, int, str, str]) -> fs.Labels:
    table = [
        {"symbol": bars.symbols[col], "start": bars.time[a], "stop": bars.time[b], "kind": kind, "disposition": said}
        for col, a, b, kind, said in rows
    ]
    return fs.Labels.from_frame(pd.DataFrame(table))


def found_by(labels: fs.Labels | None, bars: fs.Bars, **alerts: tuple[fs.Scores, fs.Signals]):
    scores, signals = {name: pair[0] for name, pair in alerts.items()}, {name: pair[1] for name, pair in alerts.items()}
    return detect(labels, bars, scores, signals, "1h", 0)


def test_metrics_are_those_that_can_be_counted_by_hand(bars):
    labels = labels_at(bars, (0, 150, 153, "pump", "true"), (1, 200, 204, "crash", "true"), (1, 300, 302, "pump", "true"))
    alerts = alerts_at(bars, (151, 0), (152, 0), (201, 1), (250, 0), (350, 1))
    found = found_by(labels, bars, mine=alerts, none=alerts_at(bars))
    mine = found.detectors["mine"]
    assert (mine["n_events"], mine["n_caught"], mine["n_false"]) == (3, 2, 2)
    assert mine["recall"] == pytest.approx(2 / 3)
    assert mine["precision"] == pytest.approx(1 / 2)
    assert mine["median_delay_s"] == 2 * 3_600
    assert mine["false_per_day"] == pytest.approx(2 / (2 * 300 / 24))
    assert {kind: (row["n_caught"], row["n_events"]) for kind, row in mine["by_kind"].items()} == {"pump": (1, 2), "crash": (1, 1)}
    assert found.detectors["none"]["recall"] == 0
    pair = next(row for row in found.pairs if row["metric"] == "recall")
    assert (pair["first"], pair["second"], pair["only_first"], pair["only_second"]) == ("mine", "none", 2, 0)
    assert found.labels["n_counted"] == 3
    assert "alerts_said" not in mine


def test_a_row_that_an_analyst_is_unsure_about_does_not_count_and_a_false_one_is_no_event(bars):
    alerts = alerts_at(bars, (151, 0), (250, 0), (350, 1))
    sure = labels_at(bars, (0, 150, 153, "e", "true"))
    doubted = labels_at(bars, (0, 150, 153, "e", "true"), (0, 250, 251, "e", "unsure"), (1, 350, 351, "e", "false"))
    assert found_by(sure, bars, mine=alerts).detectors["mine"]["n_false"] == 2
    mine = found_by(doubted, bars, mine=alerts).detectors["mine"]
    assert (mine["n_false"], mine["n_events"]) == (1, 1)
    said = mine["alerts_said"]
    assert (said["true"], said["false"], said["unsure"], said["share_true"]) == (1, 1, 1, 0.5)


def test_a_detector_without_a_score_for_an_event_misses_it(bars):
    labels = labels_at(bars, (0, 150, 153, "e", "true"), (0, 300, 303, "e", "true"))
    late = alerts_at(bars, (301, 0), first=200)
    found = found_by(labels, bars, late=late, whole=alerts_at(bars, (301, 0)))
    assert [found.detectors[name]["recall"] for name in ("late", "whole")] == [0.5, 0.5]


def test_labels_of_the_training_rows_alone_end_no_study(bars):
    found = found_by(labels_at(bars, (0, 20, 23, "e", "true")), bars, mine=alerts_at(bars, (150, 0)))
    assert found.labels["n_counted"] == 0
    assert "no event starts in a row that counts" in found.labels["reason"]
    assert found_by(None, bars, mine=alerts_at(bars, (150, 0))).labels == {}


def test_a_study_refuses_labels_that_lie_outside_its_bars(bars):
    with pytest.raises(fs.DataError, match="labels name DOGE/USDT"):
        fs.Study(bars, ["zscore"], labels=fs.Labels.from_frame(pd.DataFrame({"symbol": ["DOGE/USDT"], "time": [bars.time[9]]})))
    late = pd.DataFrame({"symbol": [bars.symbols[0]], "time": [bars.time[-1] + HOUR]})
    with pytest.raises(fs.DataError, match="labels must lie within the data"):
        fs.Study(bars, ["zscore"], labels=fs.Labels.from_frame(late))
    with pytest.raises(fs.ConfigError, match="labels must be Labels"):
        fs.Study(bars, ["zscore"], labels=late)  # pyright: ignore[reportArgumentType]


def test_labels_of_the_sealed_part_are_not_seen():
    market = fs.simulate_market(seed=5, n_symbols=3, n_bars=3_000)
    study = small_study(bars=market.bars, labels=market.labels, sealed=0.3)
    visible = study.visible
    assert (market.labels.start > visible.time[-1]).any()
    found = found_by(study.labels, visible, mine=alerts_at(visible, (1_000, 0)))
    assert 0 < found.labels["n_counted"] < sum(said == "true" for said in market.labels.dispositions)


def test_a_study_file_names_labels_beside_itself_and_selects_them_as_its_data(tmp_path):
    (tmp_path / "events.csv").write_text(
        "symbol,start,stop\nA,2024-01-05,2024-01-06\nB,2024-01-05,2024-01-06\nA,2025-01-05,2025-01-06\n"
    )
    text = 'detectors = ["zscore"]\n[labels]\npath = "events.csv"\n[data]\nsymbols = ["A"]\nend = 2024-06-01\n'
    (tmp_path / "study.toml").write_text(text)
    labels = labels_of(fs.load_study(tmp_path / "study.toml"))
    assert labels is not None
    assert (labels.symbols, str(labels.start[0])[:10]) == (("A",), "2024-01-05")
    (tmp_path / "study.toml").write_text(text.replace('"A"', '"C"'))
    with pytest.raises(fs.DataError, match="no label is of the symbols and the time"):
        labels_of(fs.load_study(tmp_path / "study.toml"))
    (tmp_path / "study.toml").write_text(text.replace("path =", "file ="))
    with pytest.raises(fs.ConfigError, match=r"unknown key 'labels\.file'|key 'labels\.path'"):
        fs.load_study(tmp_path / "study.toml")
