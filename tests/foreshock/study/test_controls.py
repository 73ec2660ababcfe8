"""Negative controls of the user's own: they calibrate, are not judged, and are refused in a sentence."""

import numpy as np
import pytest

import foreshock as fs
from foreshock.engine.features.features import Features
from foreshock.reports.study import rungs as rung_tables
from foreshock.study.config import parse_study
from tests.small import small_study

MOON = '''
import numpy as np
import foreshock as fs


class Moon(fs.Detector):
    """Higher in two days of every month of the moon."""

    name = "moon"

    def __init__(self, days: float = 29.53) -> None:
        self.days = days

    def _score(self, features):
        hours = features.time.astype("datetime64[s]").astype(np.int64) / 3600
        return np.cos(2 * np.pi * hours / (24 * self.days))[:, None] + np.zeros(len(features.symbols))
'''


class LooksBack(fs.Detector):
    """The largest return of its window: a control that looks back further than any detector of the small study."""

    name = "looks_back"

    def __init__(self, window: int = 400) -> None:
        self.window = window

    @property
    def lookback(self) -> int:
        return self.window

    def _score(self, features: Features) -> np.ndarray:
        return np.abs(features.values[:, :, 0])


@pytest.fixture(scope="module")
def plain() -> fs.StudyResult:
    return small_study(n_surrogates=0).run()


@pytest.fixture(scope="module")
def with_controls(tmp_path_factory) -> fs.StudyResult:
    folder = tmp_path_factory.mktemp("controls")
    (folder / "mine.py").write_text(MOON)
    controls = {"moon": f"{folder}/mine.py:Moon", "one range": LooksBack(), "iqr": "iqr"}
    return small_study(n_surrogates=0, controls=controls).run()


def test_controls_of_ones_own_calibrate_and_are_neither_judged_nor_traded(plain, with_controls):
    before, after = plain.results, with_controls.results
    assert list(after["detectors"]) == list(before["detectors"])
    assert list(after["backtests"]) == list(before["backtests"])
    assert list(after["config"]["controls"]) == ["moon", "one range", "iqr"]
    assert "controls" not in before["config"]
    for rows, n in ((before, 0), (after, 3)):
        # A label of the user's that a control of every study has is another control.
        assert len({row["name"] for row in rows["controls"]["rows"] if row["own"]}) == n
    own = {(row["name"], row["family"], row["rung"]) for row in after["controls"]["rows"] if row["own"]}
    assert own == {(name, name, rung) for name in ("moon", "one range", "iqr") for rung in ("volatility", "volume")}
    for label, detector in before["detectors"].items():
        for rung, by_horizon in detector["rungs"].items():
            for horizon, found in by_horizon.items():
                other = after["detectors"][label]["rungs"][rung][horizon]
                assert (other["z_raw"], other["n_events"]) == (found["z_raw"], found["n_events"])
                assert other["bias"] != found["bias"]
    assert after["controls"]["summary"][0]["n"] > before["controls"]["summary"][0]["n"]


def test_a_control_that_looks_back_further_than_the_detectors_changes_no_score(plain, with_controls):
    for label, scores in plain.scores.items():
        np.testing.assert_array_equal(scores.values, with_controls.scores[label].values)


def test_the_page_marks_controls_of_ones_own(plain, with_controls):
    table = rung_tables.every_control(with_controls.results)
    assert table is not None
    assert {row[0].text for row in table.rows if row[1].text == "your own"} == {"moon", "one range", "iqr"}
    assert rung_tables.rule(with_controls.results)["own"] == "3"
    assert "of them your own" in with_controls._page().to_html()
    assert "your own" not in plain._page().to_html()


def test_a_study_file_names_controls_as_it_names_detectors(tmp_path):
    (tmp_path / "mine.py").write_text(MOON)
    content = {"detectors": ["zscore"], "controls": ["iqr", {"name": "mine.py:Moon", "days": 7.0, "label": "week"}]}
    config = parse_study(content, "study.toml", tmp_path)
    assert config.files == ["mine.py"]
    study = fs.Study.from_config(config, small_study().bars)
    assert list(study.labelled_controls()) == ["iqr", "week"]
    assert study.config()["controls"]["week"] == {"name": "moon", "days": 7.0}


@pytest.mark.parametrize(
    ("controls", "said"),
    [
        (["mine.py:Sun"], "key 'controls.0': detector 'mine.py:Sun': no such file"),
        (["iqr", {"name": "mad", "windw": 3}], "key 'controls.1': unknown parameter of mad: windw"),
        ("iqr", "key 'controls': must be a list"),
        ([3], "key 'controls.0': must be"),
    ],
)
def test_a_study_file_refuses_what_is_no_control(controls, said, tmp_path):
    with pytest.raises(fs.ConfigError) as refused:
        parse_study({"detectors": ["zscore"], "controls": controls}, "study.toml", tmp_path)
    assert said in str(refused.value)


def test_a_control_twice_in_a_study_file_is_refused():
    config = parse_study({"detectors": ["zscore"], "controls": ["iqr", "iqr"]})
    with pytest.raises(fs.ConfigError, match="key 'controls': 'iqr' stands there twice"):
        fs.Study.from_config(config, small_study().bars)


@pytest.mark.parametrize(
    ("controls", "said"),
    [
        ("iqr", "controls must be a list, got 'iqr'; put it in brackets"),
        (3, "controls must be a list, got 3"),
        (["zscore"], "'zscore' is a detector that is judged, so it cannot be a negative control"),
        (["nowhere"], "unknown detector 'nowhere'"),
        ([3], "a detector must be a name, a Detector, .*, got 3"),
        (["iqr", "iqr"], "two controls have the label 'iqr'"),
        ({" ": "iqr"}, "the label of a control must be a text"),
    ],
)
def test_controls_are_refused_before_any_work(controls, said):
    bars = small_study().bars
    with pytest.raises(fs.ConfigError) as refused:
        fs.validate(bars, "zscore", controls=controls)
    assert said in str(refused.value)
    with pytest.raises(fs.ConfigError) as refused:
        small_study(controls=controls)._plan()
    assert said in str(refused.value)


def test_a_baseline_is_judged_in_a_study_and_may_be_a_control_of_one_detector():
    with pytest.raises(fs.ConfigError, match="'random' is a detector that is judged"):
        small_study(controls=["random"])._plan()
