"""A comparison writes inside its folder alone, whatever its studies are called."""

from __future__ import annotations

from pathlib import Path

import pytest

from foreshock.comparison.folders import folders_of, names_of
from foreshock.data.errors import ConfigError

STRANGE = (
    ["../a/study.toml", "../b/study.toml"],
    ["a/study.toml", "/elsewhere/study.toml"],
    ["a/...toml", "b/...toml", "..toml.toml", "../.toml.toml"],
    ["report.html.toml", "comparison.json.toml", "x/report.html.toml"],
    ["a/study.toml", "b/study.toml", "study-2.toml"],
    [". .toml", "~.toml", "-.toml"],
)


@pytest.mark.parametrize("names", STRANGE, ids=str)
def test_every_study_has_a_folder_of_its_own_directly_below_out(names, tmp_path):
    out = tmp_path / "deep" / "out"
    found = folders_of([Path(name) for name in names], out)
    assert len(set(found)) == len(names)
    for folder in found:
        assert folder.resolve().parent == out
        assert folder.name not in ("report.html", "comparison.json")


def test_a_folder_to_compare_is_not_overwritten_by_a_study_of_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = folders_of([Path("study.toml"), Path("out/study"), Path("out/../out/study-2/")], Path("out"))
    assert found == [Path("out/study-3"), Path("out/study"), Path("out/../out/study-2")]


def test_studies_of_one_name_are_called_by_their_paths_and_the_same_twice_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert names_of([Path("a/study.toml"), Path("../b/study.toml"), Path("c/study")]) == ["study", "../b/study.toml", "c/study"]
    with pytest.raises(ConfigError, match=r"studies to compare must differ, got a/\.\./a/study\.toml twice"):
        names_of([Path("a/study.toml"), Path("a/../a/study.toml")])
