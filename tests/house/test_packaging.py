"""What is installed is `foreshock` alone, whatever lies beside the user's script, and importing it is quick."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

import foreshock as fs
from tests.paths import ROOT

FOLDERS = ("data", "engine", "detectors", "strategies", "reports")
SCRIPT = """
import data, strategies, engine, reports, detectors
assert data.mine == strategies.mine == engine.mine == reports.mine == detectors.mine == "the user's"
import foreshock as fs
assert "zscore" in fs.detectors()
print(repr(fs.make_detector("pca")), fs.WalkForward("10D", "5D", embargo=None).train)
print(fs.__file__)
"""


@pytest.fixture
def crowded(tmp_path: Path) -> Path:
    """A user's folder with modules and packages that are called as ours are."""
    for name in ("data.py", "engine.py", "reports.py", "detectors.py"):
        (tmp_path / name).write_text('mine = "the user\'s"\n')
    (tmp_path / "strategies").mkdir()
    (tmp_path / "strategies" / "__init__.py").write_text('mine = "the user\'s"\n')
    return tmp_path


def run(code: str, folder: Path, **environ: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=os.environ | environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_wheel_installs_foreshock_alone(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.split("/")[0] for name in names} == {"foreshock", f"foreshock-{fs.__version__}.dist-info"}
    for wanted in ("py.typed", "__init__.pyi", *(f"{folder}/__init__.py" for folder in FOLDERS)):
        assert names.count(f"foreshock/{wanted}") == 1


def test_a_wheel_holds_every_file_of_the_packages_once(wheel):
    listed = subprocess.run(["git", "ls-files", *FOLDERS, "foreshock"], cwd=ROOT, capture_output=True, text=True, check=True)
    tracked = {name.removeprefix("foreshock/") for name in listed.stdout.splitlines() if (ROOT / name).exists()}
    with zipfile.ZipFile(wheel) as archive:
        held = [name.removeprefix("foreshock/") for name in archive.namelist() if name.startswith("foreshock/")]
    assert sorted(held) == sorted(set(held))
    assert tracked <= set(held)


def test_an_installed_wheel_leaves_the_users_own_modules_alone(wheel, crowded, tmp_path_factory):
    site = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    said, place = run(SCRIPT, crowded, PYTHONPATH=str(site))
    assert said == "PCA() 10D"
    assert Path(place).is_relative_to(site)


@pytest.fixture
def editable(tmp_path: Path) -> Path:
    """What an editable install puts on the path, made as the build hook makes it for a copy of the checkout's folders."""
    root = tmp_path / "checkout"
    (root / "foreshock").mkdir(parents=True)
    for path in (ROOT / "foreshock").iterdir():
        if path.name not in (*FOLDERS, "__pycache__"):
            # The face looks for the five folders from where its own file lies, so that file is a copy.
            (shutil.copy if path.name.startswith("__init__") else os.symlink)(path, root / "foreshock" / path.name)
    for name in (*FOLDERS, "hatch_build.py"):
        (root / name).symlink_to(ROOT / name)
    return root


def build_hook() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def prepared(root: Path) -> Path:
    # A second install finds what the first has made.
    for _ in range(2):
        build_hook().prepare(root)
    return root / ".editable"


def test_an_editable_install_leaves_the_users_own_modules_alone(editable, crowded):
    path = prepared(editable)
    assert [entry.name for entry in path.iterdir()] == ["foreshock"]
    said, place = run(SCRIPT, crowded, PYTHONPATH=str(path))
    assert said == "PCA() 10D"
    assert Path(place).resolve() == editable / "foreshock" / "__init__.py"


def test_an_editable_install_gives_no_module_of_a_common_name(editable, tmp_path):
    code = f"import importlib.util; print([name for name in {FOLDERS} if importlib.util.find_spec(name)])"
    (tmp_path / "elsewhere").mkdir()
    assert run(code, tmp_path / "elsewhere", PYTHONPATH=str(prepared(editable))) == ["[]"]


@pytest.mark.parametrize("installed", ["foreshock", ".editable"])
def test_a_checkout_without_links_runs(editable, monkeypatch, installed):
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    path = prepared(editable)
    assert not (editable / "foreshock" / "data").exists()
    where = path if installed == ".editable" else editable
    code = "import foreshock as fs, foreshock.data.bars as found; print(found.__file__, fs.detectors()[0])"
    (found,) = run(code, editable.parent, PYTHONPATH=str(where))
    assert found == f"{editable / 'data' / 'bars.py'} zscore"


def test_folders_that_an_older_version_left_are_not_imported(editable, tmp_path):
    code = "import foreshock.data.bars as found; print(found.__file__)"
    (editable / "foreshock" / "data").mkdir()
    for name in ("__init__.py", "bars.py"):
        (editable / "foreshock" / "data" / name).touch()
        assert run(code, tmp_path, PYTHONPATH=str(editable)) == [str(editable / "data" / "bars.py")]


def test_a_link_that_leads_nowhere_is_made_anew_and_a_folder_in_the_way_is_told(editable, tmp_path):
    (editable / "foreshock" / "data").symlink_to(tmp_path / "gone")
    (editable / "foreshock" / "engine").mkdir()
    prepared(editable)
    assert (editable / "foreshock" / "data").samefile(ROOT / "data")
    problems = build_hook().prepare(editable)
    assert [problem.partition(" is in the way")[0] for problem in problems] == [str(editable / "foreshock" / "engine")]


def test_modules_come_from_their_real_folders():
    from foreshock.data import bars

    assert Path(str(bars.__file__)) == ROOT / "data" / "bars.py"


def test_every_public_name_can_be_loaded():
    for name in fs.__all__:
        assert getattr(fs, name) is not None
    assert len(set(fs.__all__)) == len(fs.__all__) > 150
    with pytest.raises(AttributeError, match="bear"):
        fs.bear  # noqa: B018


def test_the_package_of_detectors_can_be_called_in_any_order_of_imports():
    first = "import foreshock.detectors.registry, foreshock as fs; print(fs.detectors()[0], fs.detectors.registry.__name__)"
    later = "import foreshock as fs; print(fs.detectors()[0], end=' '); import foreshock.detectors.registry as r; print(r.__name__)"
    for code in (first, later):
        assert run(code, ROOT) == ["zscore foreshock.detectors.registry"]


def test_importing_the_face_loads_no_heavy_package():
    heavy = ("vectorbt", "torch", "sklearn", "plotly", "ccxt", "numba", "pandas", "scipy", "numpy")
    code = f"import sys, foreshock, foreshock.cli.root; print([name for name in {heavy} if name in sys.modules])"
    assert run(code, ROOT) == ["[]"]


def test_the_version_is_the_same_everywhere():
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == fs.__version__


def test_no_file_names_a_machine_path():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    wanted = [
        ROOT / name
        for name in listed
        if name.endswith((".py", ".pyi", ".toml", ".md", ".j2", ".css", "run")) and "assets/plotly" not in name
    ]
    assert len(wanted) > 30
    for path in wanted:
        if path.exists() and path.resolve() != Path(__file__).resolve():
            assert "/work/" not in path.read_text(encoding="utf-8"), path
