"""The types that a user's type checker sees in the installed package."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

# What a user calls, and the type that must be seen.
SEEN = {
    "fs.simulate_market(seed=1)": "SimulatedMarket",
    "fs.simulate_market(seed=1).bars": "Bars",
    "fs.Study": "type[Study]",
    "fs.Study(bars, detectors=['zscore']).run()": "StudyResult",
    "fs.validate(bars, 'zscore')": "Validation",
    "fs.explore(bars)": "Exploration",
    "fs.detectors()": "list[str]",
    "fs.make_detector('zscore')": "Detector",
    "fs.make_threshold('fixed', value=3.0)": "Threshold",
    "fs.make_strategy('equal_weight')": "Strategy",
    "fs.backtest(bars, bars.close)": "BacktestResult",
    "fs.__version__": "str",
}
WRONG = "fs.make_detector(3)"


def types_seen(site: Path, folder: Path) -> tuple[list[str], list[str]]:
    """Types of ``SEEN`` in their order, and the errors that pyright finds in the script of a user."""
    folder.mkdir()
    lines = ["import foreshock as fs", "bars: fs.Bars = fs.simulate_market(seed=1).bars"]
    lines += [f"reveal_type({code})" for code in SEEN] + [WRONG]
    (folder / "script.py").write_text("\n".join(lines) + "\n", encoding="utf-8")
    config = {"include": ["script.py"], "extraPaths": [str(site)], "pythonVersion": "3.11"}
    (folder / "pyrightconfig.json").write_text(json.dumps(config), encoding="utf-8")
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, "-p", str(folder)]
    found = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    told = json.loads(found.stdout)["generalDiagnostics"]
    revealed = [re.search(r' is "(.*)"$', one["message"]) for one in told if one["severity"] == "information"]
    return [match.group(1) for match in revealed if match], [one["message"] for one in told if one["severity"] == "error"]


@pytest.fixture
def site(wheel: Path, tmp_path: Path) -> Path:
    """What an installed wheel puts on the path."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    return tmp_path / "site"


@pytest.mark.long
def test_a_users_type_checker_sees_the_types_of_the_installed_package(site, tmp_path):
    seen, errors = types_seen(site, tmp_path / "user")
    assert dict(zip(SEEN, seen, strict=True)) == SEEN
    (error,) = errors
    assert "make_detector" in error
