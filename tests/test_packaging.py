"""The packages of this repository are the ones that are imported, and importing them is quick."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import foreshock
from tests.paths import ROOT


@pytest.mark.parametrize("name", ["foreshock", "data", "engine", "detectors", "strategies", "reports"])
def test_each_root_package_resolves_inside_this_repository(name):
    module = importlib.import_module(name)
    assert Path(str(module.__file__)).resolve().parent == ROOT / name


def test_every_public_name_can_be_loaded_and_is_known_to_type_checkers():
    for name in foreshock.__all__:
        assert getattr(foreshock, name) is not None
    face = (ROOT / "foreshock" / "__init__.py").read_text()
    assert sorted(foreshock.__all__) == sorted(
        line.split(" as ")[1] for line in face.splitlines() if line.startswith("    from ") and " as " in line
    )
    with pytest.raises(AttributeError, match="no attribute 'bear'"):
        foreshock.bear  # noqa: B018


def test_importing_the_face_loads_no_heavy_package():
    heavy = ("vectorbt", "torch", "sklearn", "plotly", "ccxt", "numba", "pandas", "scipy")
    code = f"import sys, foreshock, foreshock.cli; print([name for name in {heavy} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_a_module_that_hides_a_package_is_named(tmp_path):
    (tmp_path / "data.py").write_text("bars = 1\n")
    code = [sys.executable, "-c", "import foreshock"]
    found = subprocess.run(code, cwd=tmp_path, capture_output=True, text=True, check=False)
    said = f"ImportError: {tmp_path / 'data.py'} hides foreshock's package 'data'; rename it, or run from another folder"
    assert (found.returncode, found.stderr.splitlines()[-1]) == (1, said)
    (tmp_path / "data.py").unlink()
    # A folder of files is no package, and hides none.
    (tmp_path / "data").mkdir()
    assert subprocess.run(code, cwd=tmp_path, capture_output=True, check=False).returncode == 0


def test_the_version_is_the_same_everywhere():
    import tomllib

    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == foreshock.__version__


def test_no_file_names_a_machine_path():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    wanted = [
        ROOT / name
        for name in listed
        if name.endswith((".py", ".toml", ".md", ".j2", ".css", "run")) and "assets/plotly" not in name
    ]
    own = Path(__file__)
    assert len(wanted) > 30
    for path in wanted:
        if path.exists() and path != own:
            assert "/work/" not in path.read_text(encoding="utf-8"), path


def test_no_public_name_is_that_of_a_module_which_would_hide_it():
    modules = {path.stem for path in (ROOT / "foreshock").glob("*.py")}
    assert not modules & set(foreshock.__all__)
