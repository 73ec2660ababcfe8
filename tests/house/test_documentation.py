"""What the README, CONTRIBUTING.md and the examples show runs as it stands; paths and commands that pages name exist."""

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import foreshock as fs
from foreshock.study.config import load_study
from tests.paths import ROOT

pytestmark = pytest.mark.long
README, CONTRIBUTING, CHANGELOG = (
    (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
)
# Fenced blocks: the language, which may be none, and the content.
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# A block may be a file: its first line is then a comment with the name.
FILE = re.compile(r"# ([\w.-]+\.(?:py|toml))\n")


# What each example prints.
EXAMPLES = {
    "single_detector.py": r"\d+ alerts, \d\.\d\d% of the scored bars",
    "planted_foreshocks.py": r"planted foreshocks, 24h: n = \d+, volatility-matched ratio [12]\.\d\d",
    "stand_aside.py": r"anomaly avoidance +[+-]\d+\.\d%",
    "own_detectors.py": r"range_over_usual +\d+ alerts, \d of 7 events, gate: passed, rows it looks back: 99\n",
}


@pytest.fixture(scope="module")
def ran(tmp_path_factory) -> Path:
    """Folders with what the README's script and the examples printed and wrote; one process runs them, each in its own folder."""
    folder = tmp_path_factory.mktemp("scripts")
    scripts = {name: (ROOT / "examples" / name).read_text(encoding="utf-8") for name in EXAMPLES}
    (scripts["readme.py"],) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    for name, code in scripts.items():
        (folder / Path(name).stem).mkdir()
        (folder / Path(name).stem / name).write_text(code, encoding="utf-8")
    command = [sys.executable, "-W", "error", "-m", "tests.house.scripts", *(f"{Path(name).stem}/{name}" for name in scripts)]
    environ = os.environ | {"PYTHONPATH": str(ROOT)}
    found = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    return folder


def test_what_contributing_shows_runs_in_its_order(tmp_path):
    steps = []
    for language, content in BLOCK.findall(CONTRIBUTING):
        named = FILE.match(content)
        if named:
            (tmp_path / named.group(1)).write_text(content, encoding="utf-8")
        elif language in ("python", "sh") or content == "pip install -e .\n":
            steps.append((language, content))
    (tmp_path / "steps.json").write_text(json.dumps(steps), encoding="utf-8")
    command = [sys.executable, "-W", "error", "-m", "tests.house.reader", "steps.json"]
    environ = os.environ | {"PYTHONPATH": str(ROOT)}
    found = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    # Each of the three recipes has ten steps, and every step its check.
    for recipe in re.findall(r"^## Write your own .*?(?=^## )", CONTRIBUTING, re.MULTILINE | re.DOTALL):
        parts = re.split(r"^\*\*(\d+)\.\*\* ", recipe, flags=re.MULTILINE)
        assert parts[1::2] == [str(number) for number in range(1, 11)]
        assert all("```" in part for part in parts[2::2])


def commands(text: str) -> set[str]:
    """Every command that a page names, in a block or in a line."""
    blocks = [line for language, content in BLOCK.findall(text) if language in ("", "sh") for line in content.splitlines()]
    lines = blocks + re.findall(r"`([^`\n]+)`", BLOCK.sub("", text))
    return {
        part.strip() for line in lines for part in line.split("&&") if re.match(r"\s*(foreshock|python3?|pip|pytest|ruff) ", part)
    }


@pytest.mark.parametrize("text", [README, CONTRIBUTING, CHANGELOG], ids=["README", "CONTRIBUTING", "CHANGELOG"])
def test_every_path_and_command_that_a_page_names_exists(text):
    from typer.main import get_command

    from foreshock.cli.root import app

    verbs = get_command(app)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert (ROOT / target).exists(), target
    for name in re.findall(r"\bfs\.(\w+)", text):
        assert hasattr(fs, name), name
    # What git ignores, such as the links in foreshock/ and what a run writes, is not looked for.
    folders = "data|engine|detectors|strategies|reports|tests|examples|docs|foreshock|.ci"
    for path in re.findall(rf"`((?:{folders})/[\w./-]*)`", text):
        if not re.fullmatch(r"foreshock/(data|foreshock-out)/?.*", path):
            assert (ROOT / path).exists(), path
    for command in commands(text):
        program, *words = shlex.split(command)
        if program == "foreshock":
            known = verbs
            while words and hasattr(known, "commands") and not words[0].startswith("-"):
                names = words.pop(0).split("|")
                for name in names:
                    assert name in known.commands, command
                known = known.commands[names[0]]
            options = {option for parameter in known.params for option in parameter.opts}
            named = set(re.findall(r"--[a-z-]+", command)) - {"--version"}
            assert named <= options, command
        elif program == "python" and words[:1] == ["-m"]:
            path = ROOT / words[1].replace(".", "/")
            assert path.is_dir() or path.with_suffix(".py").is_file(), command
        elif program == "pytest":
            assert all((ROOT / word).exists() for word in words if "/" in word), command
        elif program == "pip":
            for extra in re.findall(r"\[(\w+)\]", command):
                assert extra in extras, command


def test_the_readmes_script_prints_a_row_for_each_detector_and_writes_its_report(ran):
    printed = (ran / "readme" / "printed.txt").read_text(encoding="utf-8")
    for name in ("zscore", "isolation_forest", "random", "volatility_only"):
        assert re.search(rf"^{name} ", printed, re.MULTILINE), printed
    assert "<!doctype html>" in (ran / "readme" / "report.html").read_text(encoding="utf-8")[:100].lower()


@pytest.mark.parametrize(("name", "expected"), EXAMPLES.items(), ids=EXAMPLES)
def test_each_example_runs(name, expected, ran):
    printed = (ran / Path(name).stem / "printed.txt").read_text(encoding="utf-8")
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
