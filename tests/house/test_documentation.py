"""The README's script and the examples run as they stand."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from foreshock.study.config import load_study
from tests.paths import ROOT

pytestmark = pytest.mark.long
README = (ROOT / "README.md").read_text(encoding="utf-8")


def run_script(code: str, folder: Path) -> str:
    script = folder / "script.py"
    script.write_text(code, encoding="utf-8")
    found = subprocess.run([sys.executable, "-W", "error", str(script)], cwd=folder, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    return found.stdout


def test_the_readmes_script_prints_a_row_for_each_detector_and_writes_its_report(tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    printed = run_script(code, tmp_path)
    for name in ("zscore", "isolation_forest", "random", "volatility_only"):
        assert re.search(rf"^{name} ", printed, re.MULTILINE), printed
    assert "<!doctype html>" in (tmp_path / "report.html").read_text(encoding="utf-8")[:100].lower()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("single_detector.py", r"\d+ alerts, \d\.\d\d% of the scored bars"),
        ("planted_foreshocks.py", r"planted foreshocks, 24h: n = \d+, volatility-matched ratio [12]\.\d\d"),
        ("stand_aside.py", r"anomaly avoidance +[+-]\d+\.\d%"),
    ],
)
def test_each_example_runs(name, expected, tmp_path):
    printed = run_script((ROOT / "examples" / name).read_text(encoding="utf-8"), tmp_path)
    assert re.search(expected, printed), printed


def test_the_readme_names_every_verb_and_every_file_it_links_exists():
    from foreshock.cli.root import app

    for command in app.registered_commands:
        name = command.name or command.callback.__name__
        assert f"`foreshock {name}" in README, name
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_example_study_is_a_valid_study():
    study = load_study(ROOT / "examples" / "study.toml")
    assert len(study.detectors) == 6
