"""Imports run one way, without a circle, whether they stand at the top of a module, in a function, or for the type checker."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.paths import ROOT

# A package may import those of a lower level, and itself; two of one level know nothing of each other.
LEVELS = {"data": 0, "engine": 1, "detectors": 2, "strategies": 2, "reports": 3, "foreshock": 4}
INNER = tuple(name for name in LEVELS if name != "foreshock")


def sources(root: Path) -> dict[str, str]:
    """Source of every module, by its name without the ``foreshock.`` that the inner packages may have."""
    found = {}
    for package in LEVELS:
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            # Inner packages may also be seen through links in the folder of the outer one.
            if parts[:1] == ("foreshock",) and parts[1] in INNER and (root / "foreshock" / parts[1]).is_symlink():
                continue
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found[plain(name)] = path.read_text(encoding="utf-8")
    return found


def plain(name: str) -> str:
    """``foreshock.data.bars`` and ``data.bars`` are one module."""
    inner = name.removeprefix("foreshock.")
    return inner if inner.split(".")[0] in INNER else name


def imports(name: str, source: str, modules: Mapping[str, str]) -> Iterator[str]:
    """The modules that one imports, anywhere in its source."""
    is_package = any(other.startswith(f"{name}.") for other in modules)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            wanted = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = name.split(".")
                above = parts[: len(parts) - node.level + is_package]
                base = ".".join([*above, *([node.module] if node.module else [])])
            # A name is a module of the package, or something that the package's own file defines.
            wanted = [inner if (inner := f"{base}.{alias.name}") and plain(inner) in modules else base for alias in node.names]
        else:
            continue
        for other in map(plain, wanted):
            if other in modules and other != name:
                yield other


def graph(modules: Mapping[str, str]) -> dict[str, set[str]]:
    return {name: set(imports(name, source, modules)) for name, source in modules.items()}


def circles(edges: Mapping[str, set[str]]) -> list[list[str]]:
    """Strongly connected components of more than one module, by Tarjan's algorithm."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(name: str) -> None:
        order[name] = low[name] = len(order)
        stack.append(name)
        for other in sorted(edges[name]):
            if other not in order:
                visit(other)
            if other in stack:
                low[name] = min(low[name], low[other])
        if low[name] == order[name]:
            first = stack.index(name)
            component = stack[first:]
            del stack[first:]
            if len(component) > 1:
                found.append(sorted(component))

    for name in sorted(edges):
        if name not in order:
            visit(name)
    return found


def upward(edges: Mapping[str, set[str]]) -> list[str]:
    """Imports of a higher package, or of another one of the same level."""
    found = []
    for name, others in sorted(edges.items()):
        here = name.split(".")[0]
        for other in sorted(others):
            there = other.split(".")[0]
            if here != there and LEVELS[there] >= LEVELS[here]:
                found.append(f"{name} imports {other}")
    return found


@pytest.fixture(scope="module")
def edges() -> dict[str, set[str]]:
    return graph(sources(ROOT))


def test_no_modules_import_each_other_in_a_circle(edges):
    assert circles(edges) == []


def test_no_import_runs_upward(edges):
    assert upward(edges) == []


def test_every_package_is_read(edges):
    assert {name.split(".")[0] for name in edges} == set(LEVELS)
    assert "data.bars" in edges["engine.out_of_sample.splits"] | edges["engine.features.ohlcv"]
    assert sum(map(len, edges.values())) > 1_000


AT_THE_TOP = "from data.b import x\n"
IN_A_FUNCTION = "def f():\n    from data.b import x\n"
FOR_THE_TYPE_CHECKER = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from data.b import x\n"
SPELLINGS = [
    AT_THE_TOP,
    IN_A_FUNCTION,
    FOR_THE_TYPE_CHECKER,
    "import data.b\n",
    "from data import b\n",
    "from foreshock.data.b import x\n",
    "from foreshock.data import b\n",
    "import foreshock.data.b as b\n",
    "from .b import x\n",
    "from . import b\n",
]


@pytest.mark.parametrize("source", SPELLINGS)
def test_a_circle_is_seen_in_every_spelling(source):
    modules = {
        "data": "",
        "data.a": source,
        "data.b": "from data.c import y\n",
        "data.c": "import data.a\n",
        "data.d": "import data.a\n",
    }
    assert circles(graph(modules)) == [["data.a", "data.b", "data.c"]]


@pytest.mark.parametrize("source", SPELLINGS[:-2])
def test_an_import_that_runs_upward_is_seen_in_every_spelling(source):
    source = source.replace("data", "reports")
    modules = {"engine": "", "engine.a": source, "reports": "", "reports.b": ""}
    assert upward(graph(modules)) == ["engine.a imports reports.b"]


def test_packages_of_one_level_do_not_import_each_other():
    modules = {"detectors.a": "import strategies.b\n", "strategies.b": "import foreshock.engine.c\n", "engine.c": ""}
    assert upward(graph(modules)) == ["detectors.a imports strategies.b"]


@pytest.mark.parametrize("linked", [False, True])
def test_both_layouts_have_the_same_modules(tmp_path, linked):
    for package in LEVELS:
        (tmp_path / package / "inner").mkdir(parents=True)
        for name in ("__init__.py", "inner/__init__.py", "inner/one.py"):
            (tmp_path / package / name).touch()
    if linked:
        for package in INNER:
            (tmp_path / "foreshock" / package).symlink_to(tmp_path / package)
    assert set(sources(tmp_path)) == {f"{package}{rest}" for package in LEVELS for rest in ("", ".inner", ".inner.one")}
