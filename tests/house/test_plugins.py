"""Detectors, thresholds and strategies of a user's: registered, installed, from a module and from a file."""

import subprocess
import sys
import tomllib
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.base import clone

import foreshock as fs
from foreshock.data.plugins.registry import load_file
from foreshock.detectors.registry import DETECTORS
from foreshock.engine.thresholds.registry import THRESHOLDS, threshold_section
from foreshock.strategies.registry import REGISTRY as STRATEGY_REGISTRY
from foreshock.study.config import load_study, parse_study
from foreshock.study.side_by_side import walk_forward_all
from tests.market import make_bars
from tests.paths import ROOT

PLUGINS = ROOT / "examples" / "plugins"
DETECTOR = f"{PLUGINS / 'volume_zscore.py'}:VolumeZScore"
THRESHOLD = f"{PLUGINS / 'past_maximum.py'}:PastMaximum"
STRATEGY = f"{PLUGINS / 'calm_only.py'}:CalmOnly"
LEAST = """import foreshock as fs


class Mine(fs.Detector):
    def _score(self, features):
        return abs(features.values[:, :, 0])
"""


@pytest.fixture(autouse=True)
def _nothing_stays_registered():
    registries = (DETECTORS, THRESHOLDS, STRATEGY_REGISTRY)
    before = [dict(registry._registered) for registry in registries]
    yield
    for registry, known in zip(registries, before, strict=True):
        registry._registered = known


def written(folder: Path, code: str, name: str = "mine.py") -> Path:
    path = folder / name
    path.write_text(code, encoding="utf-8")
    return path


def test_the_examples_keep_the_contract_in_under_forty_lines_each():
    fs.check_detector(fs.make_detector(DETECTOR))
    fs.check_threshold_rule(fs.make_threshold(THRESHOLD))
    fs.check_strategy(fs.make_strategy(STRATEGY))
    for path in PLUGINS.glob("*.py"):
        assert len(path.read_text(encoding="utf-8").splitlines()) < 40


def test_a_study_file_names_plug_ins_beside_it_from_any_folder_and_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = load_study(PLUGINS / "study.toml")
    bars = make_bars(1_500, 2, seed=3)
    study = fs.Study.from_config(config, bars)
    assert list(study.labelled_detectors()) == ["zscore", "volume_z_score", "vz_20", "random", "volatility_only"]
    assert study.labelled_detectors()["vz_20"].get_params() == {"window": 20, "column": "volume_ratio_20"}
    assert study.config()["threshold"] == {"kind": "PastMaximum", "share": 0.6, "least": 100}
    content = tomllib.loads((PLUGINS / "study.toml").read_text())
    small = {"splits": {"train": "20D", "test": "15D", "embargo": "1D"}, "surrogates": {"n": 0}, "n_bootstrap": 99}
    small |= {"avoidance": {"random_draws": 1, "hold": "6h"}}
    result = fs.Study.from_config(parse_study(content | small, folder=PLUGINS), bars).run()
    assert set(result.results["detectors"]) == set(study.labelled_detectors())
    assert "anomaly_avoidance[vz_20]" in result.results["backtests"]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("nowhere.py:Mine", "no such file: "),
        ("mine.py:Yours", "mine.py has no class 'Yours'; detectors in it: Mine"),
        ("raises.py:Mine", "importing raises.py raised ZeroDivisionError: division by zero"),
        ("wrong.py:Mine", "'wrong.py:Mine' is not a detector: it must be a subclass of fs.Detector, got class Mine"),
        ("broken.py:Mine", "importing broken.py raised SyntaxError: "),
        ("quits.py:Mine", "importing quits.py raised SystemExit: 3"),
        ("lacks.py:Mine", "importing lacks.py raised ModuleNotFoundError: No module named 'nothing_of_that_name'"),
        ("no.such.package:Mine", "no module 'no' is installed; install it, or name a file, 'mine.py:Class'"),
        ("json:Mine", "json has no class 'Mine'; detectors in it: none"),
        ("zscor", "unknown detector 'zscor'; expected one of zscore, "),
        ("pyod:ECODD", "PyOD has no model 'ECODD'"),
        ({"name": "mine.py:Mine", "window": 3}, "unknown parameter of mine.py:Mine: window; expected some of none"),
        ({"name": "needs.py:Mine"}, "each parameter of Mine must have a default and be kept under its own name in __init__"),
        ({"name": "fails.py:Mine"}, "fails.py:Mine __init__ raised ValueError: of no use; fix it"),
        ({"name": "typed.py:Mine", "window": "3"}, "window of typed.py:Mine must be a whole number, such as 5, got '3'"),
        ({"name": "typed.py:Mine", "columns": "range"}, "columns of typed.py:Mine must be a list of texts, such as ['range'], got"),
    ],
)
def test_a_plug_in_that_cannot_be_loaded_is_one_sentence_before_any_bars_are_read(entry, message, tmp_path):
    written(tmp_path, LEAST)
    written(tmp_path, "1 / 0\n", "raises.py")
    written(tmp_path, "class Mine:\n    pass\n", "wrong.py")
    written(tmp_path, "class Mine(:\n", "broken.py")
    written(tmp_path, "import sys\nsys.exit(3)\n", "quits.py")
    written(tmp_path, "import nothing_of_that_name\n", "lacks.py")
    taking = "\n\nclass Mine(fs.Detector):\n    def __init__(self, {}):\n        self.window, self.columns = window, columns\n"
    written(tmp_path, "import foreshock as fs\n" + taking.format("window, columns"), "needs.py")
    written(tmp_path, LEAST + "\n    def __init__(self, window=5):\n        raise ValueError('of\\nno use')\n", "fails.py")
    typed = taking.format("window: int = 5, columns: Sequence[str] = ('range',)")
    written(tmp_path, "from collections.abc import Sequence\nimport foreshock as fs\n" + typed, "typed.py")
    table = entry if isinstance(entry, dict) else {"name": entry}
    toml = "detectors = [{ " + ", ".join(f"{key} = {value!r}" for key, value in table.items()) + " }]\n"
    toml += "[data]\npath = 'no.csv'\n"
    path = written(tmp_path, toml, "study.toml")
    with pytest.raises(fs.ConfigError) as caught:
        load_study(path)
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{path}: key 'detectors.0': ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("raised", ["ValueError('two\\nlines')", "SystemExit('two\\nlines')"])
def test_what_a_users_detector_raises_while_it_fits_or_scores_is_one_sentence(tmp_path, raised):
    features = fs.ohlcv_features(make_bars(300, 2))
    code = f"{LEAST}\n\nclass Fits(Mine):\n    def _fit(self, features):\n        raise {raised}\n"
    code += f"\n\nclass Scores(Mine):\n    def _score(self, features):\n        raise {raised}\n"
    path = written(tmp_path, code)
    with pytest.raises(fs.ConfigError, match=r"^fits fit raised [A-Za-z]+: two lines; fix it$"):
        fs.make_detector(f"{path}:Fits").fit(features)
    with pytest.raises(fs.ConfigError, match=r"^scores score raised [A-Za-z]+: two lines; fix it$"):
        fs.make_detector(f"{path}:Scores").fit(features).score(features)


def test_a_constructor_that_refuses_a_value_is_one_sentence(tmp_path):
    init = "\n    def __init__(self, window=5):\n        self.window = window\n"
    init += "        if window > 5:\n            raise ValueError('too\\nlong')\n"
    path = written(tmp_path, LEAST + init)
    with pytest.raises(fs.ConfigError, match=r"mine\.py:Mine __init__ raised ValueError: too long; fix it$"):
        fs.make_detector(f"{path}:Mine", window=9)


def test_the_command_line_says_which_files_it_ran(tmp_path, monkeypatch, capsys):
    from foreshock.cli import root as cli

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["foreshock", "audit", str(PLUGINS / "study.toml")])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert said.startswith(f"ran volume_zscore.py, past_maximum.py, which {PLUGINS / 'study.toml'} names\nerror: no data: ")


def test_the_command_line_says_it_in_one_sentence_with_exit_code_2(tmp_path):
    written(tmp_path, "1 / 0\n", "raises.py")
    written(tmp_path, "detectors = ['raises.py:Mine']\n", "study.toml")
    command = [sys.executable, "-m", "foreshock.cli", "run", "study.toml", "--no-ledger"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert found.returncode == 2
    assert "Traceback" not in found.stderr
    assert "detector 'raises.py:Mine' cannot be loaded, importing raises.py raised ZeroDivisionError" in found.stderr


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"kind": "mine.py:Mine"}, "key 'threshold': 'mine.py:Mine' is not a threshold: it must be a class with a method"),
        (
            {"kind": "rolling_quantil"},
            "key 'threshold': unknown threshold 'rolling_quantil'; .*; did you mean 'rolling_quantile'[?]",
        ),
        ({"kind": THRESHOLD, "shar": 0.5}, "key 'threshold': unknown parameter of .*: shar; .*; did you mean 'share'[?]"),
        ({"kind": THRESHOLD, "least": 0.5}, "key 'threshold': least of .* must be a whole number, such as 100, got 0.5"),
    ],
)
def test_a_threshold_that_cannot_be_loaded_is_refused_with_its_key(section, message, tmp_path):
    written(tmp_path, LEAST)
    with pytest.raises(fs.ConfigError, match=f"^study: {message}"):
        parse_study({"detectors": ["zscore"], "threshold": section}, folder=tmp_path)


def test_a_users_threshold_may_be_scaled_by_volatility():
    config = parse_study({"detectors": ["zscore"], "threshold": {"kind": THRESHOLD, "share": 0.5, "volatility_scaled": True}})
    rule = fs.Study.from_config(config, make_bars(50)).threshold
    assert rule == fs.VolatilityScaled(fs.make_threshold(THRESHOLD, share=0.5))


# Registered


def test_registered_classes_are_known_by_their_names(tmp_path):
    path = written(tmp_path, LEAST)
    fs.register_detector("mine", f"{path}:Mine")
    fs.register_threshold("past_maximum", THRESHOLD)
    fs.register_strategy("calm_only", STRATEGY)
    assert fs.detectors()[-1] == "mine"
    assert fs.threshold_kinds()[-1] == "past_maximum"
    assert fs.strategy_names()[-1] == "calm_only"
    assert fs.make_detector("mine").name == "mine"
    assert fs.make_threshold("past_maximum", share=0.5).share == 0.5
    assert fs.make_strategy("calm_only", hold=3).weights(make_bars(30), _signals(make_bars(30))).shape == (30, 2)
    with pytest.raises(fs.ConfigError, match=r"unknown detector 'min'; .*; did you mean 'mine'"):
        fs.make_detector("min")


def _signals(bars: fs.Bars) -> fs.Signals:
    none = np.zeros(bars.shape)
    return fs.Signals(bars.time, bars.symbols, none.astype(bool), none, none == 0, bars.interval)


@pytest.mark.parametrize(
    ("register", "name", "cls", "message"),
    [
        (
            fs.register_detector,
            "zscore",
            fs.Detector,
            "'zscore' is a detector of foreshock's own; register yours under another name",
        ),
        (fs.register_threshold, "fixed", fs.Fixed, "'fixed' is a threshold of foreshock's own"),
        (fs.register_strategy, "buy_and_hold", fs.BuyAndHold, "'buy_and_hold' is a strategy of foreshock's own"),
        (fs.register_detector, "mine", fs.Fixed, "'mine' is not a detector: it must be a subclass of fs.Detector, got class Fixed"),
        (fs.register_detector, "mine", fs.make_detector("zscore"), "'mine' is not a detector: .*, got a ZScore"),
        (fs.register_strategy, "mine", fs.Fixed, "'mine' is not a strategy: it must be a class with a method weights"),
        (
            fs.register_detector,
            "mine",
            "volume",
            "'mine' must be registered as a class, 'package.module:Class' or 'mine.py:Class', got",
        ),
        (fs.register_detector, "a:b", fs.Detector, "the name of a detector must be a text without a colon, got 'a:b'"),
    ],
)
def test_what_cannot_be_registered_is_refused(register, name, cls, message):
    with pytest.raises(fs.ConfigError, match=f"^{message}"):
        register(name, cls)


def test_the_name_of_a_rule_makes_it_again():
    fs.register_threshold("past_maximum", type(fs.make_threshold(THRESHOLD)))
    rules = (
        fs.RollingQuantile(0.98),
        fs.AdaptiveConformal(0.02),
        fs.PeaksOverThreshold(0.98),
        fs.VolatilityScaled(fs.Fixed(3.0), "3D"),
        fs.make_threshold(THRESHOLD, share=0.5),
    )
    for rule in rules:
        assert fs.make_threshold(**threshold_section(rule)) == rule
    assert threshold_section(rules[-1]) == {"kind": "past_maximum", "share": 0.5, "least": 100}


def test_a_saved_detector_of_a_users_is_not_loaded_as_ours_of_the_same_name(tmp_path):
    features = fs.ohlcv_features(make_bars(300, 2))
    path = written(tmp_path, LEAST + "\n\nclass Random(Mine):\n    pass\n")
    fs.make_detector(f"{path}:Random").fit(features).save(tmp_path / "saved")
    with pytest.raises(fs.DataError, match="by another class, Random of a user's, and 'random' is Random of foreshock's"):
        fs.load_detector(tmp_path / "saved")
    fs.register_detector("mine", f"{path}:Mine")
    fs.make_detector("mine").fit(features).save(tmp_path / "mine")
    assert type(fs.load_detector(tmp_path / "mine")) is type(fs.make_detector("mine"))
    fs.make_detector("random").fit(features).save(tmp_path / "ours")
    assert type(fs.load_detector(tmp_path / "ours")) is type(fs.make_detector("random"))


# Installed


def installed(folder: Path, name: str, points: str) -> None:
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    written(info, f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", "METADATA")
    written(info, points, "entry_points.txt")


def test_entry_points_of_installed_packages_are_known(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    written(tmp_path, (PLUGINS / "volume_zscore.py").read_text(), "foreshock_vz.py")
    points = "[foreshock.detectors]\nvz = foreshock_vz:VolumeZScore\nlost = foreshock_lost:Lost\n"
    installed(tmp_path, "foreshock_vz", points + "[foreshock.thresholds]\nodd = json:JSONDecoder\n")
    assert fs.detectors()[-2:] == ["vz", "lost"]
    assert "foreshock_vz" not in sys.modules
    config = parse_study({"detectors": [{"name": "vz", "window": 20}]})
    assert fs.Study.from_config(config, make_bars(50)).labelled_detectors()["vz"].lookback == 20
    with pytest.raises(fs.ConfigError, match="detector 'lost': no module 'foreshock_lost' is installed"):
        fs.make_detector("lost")
    with pytest.raises(fs.ConfigError, match="'odd' is not a threshold"):
        fs.make_threshold("odd")
    installed(tmp_path, "other", "[foreshock.detectors]\nvz = other:Volume\n")
    with pytest.raises(fs.ConfigError, match="two installed packages call a detector 'vz', "):
        fs.make_detector("vz")
    assert fs.detectors()[-2:] == ["vz", "lost"]


def test_an_installed_package_cannot_take_a_name_of_ours(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    installed(tmp_path, "thief", "[foreshock.detectors]\nzscore = thief:ZScore\n")
    assert fs.detectors().count("zscore") == 1
    assert type(fs.make_detector("zscore")).__module__ == "foreshock.detectors.statistical.rolling"


def test_a_broken_installed_package_hides_no_other_detector(tmp_path, monkeypatch, capsys):
    from foreshock.cli import app

    monkeypatch.syspath_prepend(tmp_path)
    written(tmp_path, LEAST, "foreshock_good.py")
    written(tmp_path, LEAST.replace("def _score", "def __init__(self):\n        1 / 0\n\n    def _score"), "foreshock_bad.py")
    points = "lost = foreshock_lost:Lost\nbad = foreshock_bad:Mine\ngood = foreshock_good:Mine\n"
    installed(tmp_path, "foreshock_both", "[foreshock.detectors]\n" + points)
    monkeypatch.setattr(DETECTORS, "table", {"zscore": DETECTORS.table["zscore"]})
    app(["detectors"], standalone_mode=False)
    said = capsys.readouterr().out
    assert said.startswith("zscore(")
    assert "lost\n    detector 'lost': no module 'foreshock_lost' is installed" in said
    assert "bad\n    bad __init__ raised ZeroDivisionError: division by zero; fix it\n" in said
    assert said.endswith("good()\n    \n")


# Worker processes


def test_a_detector_from_a_file_works_in_other_processes_and_keeps_its_class(tmp_path):
    code = (PLUGINS / "volume_zscore.py").read_text() + "\n\nclass Slow(VolumeZScore):\n    slow = 1\n"
    path = written(tmp_path, code)
    detectors = {"a": fs.make_detector(f"{path}:Slow"), "b": fs.make_detector(f"{path}:Slow", window=20)}
    features = fs.ohlcv_features(make_bars(800, 2))
    splits = fs.WalkForward("10D", "10D", embargo=None)
    with joblib.parallel_config(backend="loky", n_jobs=2):
        found = dict(walk_forward_all(detectors, features, splits, 50))
    for label, detector in detectors.items():
        scores, folds = found[label]
        np.testing.assert_array_equal(
            scores.values, fs.walk_forward(clone(detector), features, splits, label_bars=50 - detector.lookback).values
        )
        assert all(type(one) is type(detector) for one in folds.detectors)


def test_a_file_is_run_again_when_it_has_changed_and_not_before(tmp_path):
    path = written(tmp_path, LEAST)
    first = load_file(path)
    assert load_file(path) is first
    written(tmp_path, LEAST.replace("Mine", "Other"))
    assert hasattr(load_file(path), "Other")
    written(tmp_path, "1 / 0")
    with pytest.raises(fs.ConfigError, match="ZeroDivisionError"):
        fs.make_detector(f"{path}:Other")


def test_listing_names_imports_neither_torch_nor_scikit_learn():
    code = (
        "import sys; sys.argv = ['foreshock', 'detectors', '--names']\n"
        "import foreshock as fs; fs.detectors(), fs.threshold_kinds(), fs.strategy_names()\n"
        "from foreshock.cli import app; app(standalone_mode=False)\n"
        "print([name for name in ('torch', 'sklearn', 'vectorbt') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split("\n")
    assert done[:-2] == fs.detectors()
    assert done[-2] == "[]"
