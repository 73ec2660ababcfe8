"""The layout of the repository: rooms that can be overlooked, files of one idea."""

from __future__ import annotations

import importlib
import re
import subprocess
from collections import Counter
from pathlib import PurePosixPath

import pytest

from tests.paths import ROOT

MOST_MODULES = 15
LONG = 350
# A longer file has its reason here; the lines are an upper bound, so that it cannot grow unseen.
REASONS: dict[str, tuple[int, str]] = {
    "data/books/orderbook.py": (
        420,
        "240 lines of code: a book and how it is read; the rest documents columns",
    ),
    "engine/sources/streams.py": (385, "one base and the rows of four kinds of source, which are read beside each other"),
    "data/checks.py": (405, "one kind of function, each a few lines with its doctest: checks of arguments"),
    "data/simulate/book.py": (365, "226 lines of code: one simulator; the rest documents its events and columns"),
    "detectors/neural/base.py": (420, "one base class: a subclass and its reader see the life of a network in one place"),
    "detectors/neural/latent/factors.py": (
        370,
        "197 lines of code: one computation and its documented result",
    ),
    "data/exchange/connection.py": (370, "one way to ccxt: whatever it raises, and whatever its classes drop, is known here alone"),
    "detectors/neural/scenarios/model.py": (
        440,
        "234 lines of code: the base of three generators; the rest documents formulas",
    ),
    "engine/detection/report.py": (390, "207 lines of code: one report, whose metrics are documented one by one"),
    "engine/kernels/rolling.py": (420, "a kernel and its stream share helpers, and numba's cache does not see another file change"),
    "engine/validation/moves/event_study.py": (390, "207 lines of code: one study and its result, with formulas and papers"),
    "engine/validation/moves/forward.py": (
        380,
        "201 lines of code: one computation and its documented result",
    ),
    "engine/validation/surrogates/histories.py": (370, "227 lines of code: one model of histories, with its formulas and papers"),
    "engine/validation/surrogates/significance.py": (
        410,
        "196 lines of code: one test and its documented result",
    ),
    "detectors/clusters/regimes.py": (360, "one detector, its rules and its walk-forward use; a third documents them"),
    "foreshock/study/config.py": (360, "every section of a study file in one place, one class a table"),
    "foreshock/study/study.py": (550, "one class and its plan; a third documents what a study may be asked"),
    "reports/study/page.py": (370, "one page: every chart and table of a study is named here once"),
    "strategies/assess/comparison.py": (
        435,
        "188 lines of code: one comparison and its documented results",
    ),
}


def tracked(*suffixes: str) -> list[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return [name for name in listed if name.endswith(suffixes) and (ROOT / name).exists()]


def test_no_folder_has_more_modules_than_can_be_overlooked():
    modules = Counter(
        str(PurePosixPath(name).parent) for name in tracked(".py") if PurePosixPath(name).name not in ("__init__.py", "conftest.py")
    )
    crowded = {folder: n for folder, n in modules.items() if n > MOST_MODULES}
    assert not crowded


@pytest.mark.parametrize("name", [name for name in tracked(".py") if not name.startswith("tests/")])
def test_a_long_file_has_a_reason(name):
    n_lines = len((ROOT / name).read_text(encoding="utf-8").splitlines())
    allowed, _ = REASONS.get(name, (LONG, ""))
    assert n_lines <= allowed, f"{name} has {n_lines} lines: split it, or give the reason in REASONS"


def test_every_reason_is_still_needed():
    stale = [name for name in REASONS if len((ROOT / name).read_text(encoding="utf-8").splitlines()) <= LONG]
    assert not stale


def test_every_package_says_what_it_holds():
    for name in tracked("__init__.py"):
        if not name.startswith(("tests/", "examples/")):
            assert (ROOT / name).read_text(encoding="utf-8").startswith('"""'), name


@pytest.mark.parametrize("stub", tracked("/__init__.pyi"))
def test_every_name_of_a_face_can_be_imported(stub):
    folder = ROOT / PurePosixPath(stub).parent
    dotted = stub.removesuffix("/__init__.pyi").removeprefix("foreshock/").replace("/", ".")
    room = importlib.import_module("foreshock" if dotted == "foreshock" else f"foreshock.{dotted}")
    names = re.findall(r"^from \.\S+ import (\w+) as \1$", (ROOT / stub).read_text(encoding="utf-8"), re.MULTILINE)
    assert names
    # A module of the same name would hide the object as soon as it is imported.
    hidden = [name for name in names if (folder / f"{name}.py").exists() or (folder / name).is_dir()]
    missing = [name for name in names if not hasattr(room, name)]
    private = [name for name in names if name.startswith("_")]
    assert (hidden, missing, private) == ([], [], [])
