"""What is installed is `foreshock` alone, whatever lies beside the user's script, and importing it is quick."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import foreshock as fs
from tests.paths import ROOT

FOLDERS = ("data", "engine", "detectors", "strategies", "reports")
SCRIPT = """
import data, strategies, engine, reports, detectors
assert data.mine == strategies.mine == engine.mine == reports.mine == detectors.mine == "the user's"
import foreshock as fs
assert "zscore" in fs.detectors()
bars = fs.simulate_market(seed=1, n_symbols=1, n_bars=600).bars
print(fs.walk_forward(fs.make_detector("zscore"), fs.ohlcv_features(bars), fs.WalkForward("10D", "5D", embargo=None)).values.shape)
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
    shape, place = run(SCRIPT, crowded, PYTHONPATH=str(site))
    assert shape == "(600, 1)"
    assert Path(place).is_relative_to(site)


def test_an_editable_install_leaves_the_users_own_modules_alone(crowded):
    # The checkout stands behind the user's folder on the path, as an editable install puts it.
    shape, place = run(SCRIPT, crowded, PYTHONPATH=str(ROOT))
    assert shape == "(600, 1)"
    assert Path(place) == ROOT / "foreshock" / "__init__.py"


def test_a_checkout_without_links_runs(tmp_path):
    for name in ("foreshock", *FOLDERS):
        (tmp_path / name).symlink_to(ROOT / name) if name != "foreshock" else (tmp_path / name).mkdir()
    for path in (ROOT / "foreshock").iterdir():
        if path.name not in (*FOLDERS, "__pycache__"):
            (tmp_path / "foreshock" / path.name).symlink_to(path)
    copied = (ROOT / "foreshock" / "__init__.py").read_text()
    (tmp_path / "foreshock" / "__init__.py").unlink()
    (tmp_path / "foreshock" / "__init__.py").write_text(copied)
    code = "import foreshock.data.bars as found; print(found.__file__)"
    assert run(code, tmp_path, PYTHONPATH=str(tmp_path)) == [str(tmp_path / "data" / "bars.py")]
    # Folders that an older version has left there are not imported.
    (tmp_path / "hatch_build.py").symlink_to(ROOT / "hatch_build.py")
    (tmp_path / "foreshock" / "data").mkdir()
    assert run(code, tmp_path, PYTHONPATH=str(tmp_path)) == [str(tmp_path / "data" / "bars.py")]
    (tmp_path / "foreshock" / "data" / "__init__.py").touch()
    (tmp_path / "foreshock" / "data" / "bars.py").touch()
    assert run(code, tmp_path, PYTHONPATH=str(tmp_path)) == [str(tmp_path / "data" / "bars.py")]


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
    first = "import foreshock.detectors.base, foreshock as fs; print(fs.detectors()[0], fs.detectors.base.__name__)"
    later = "import foreshock as fs; print(fs.detectors()[0], end=' '); import foreshock.detectors.base as b; print(b.__name__)"
    for code in (first, later):
        assert run(code, ROOT) == ["zscore foreshock.detectors.base"]


def test_importing_the_face_loads_no_heavy_package():
    heavy = ("vectorbt", "torch", "sklearn", "plotly", "ccxt", "numba", "pandas", "scipy")
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
