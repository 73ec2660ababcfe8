"""A folder holds the files of one run; a mixed one, and a results.json of any content, get a sentence."""

from __future__ import annotations

import copy
import json
import os
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

import foreshock as fs
from foreshock.comparison.comparison import comparison, load_results, print_comparison, save_comparison
from foreshock.data.errors import DataError, ForeshockError
from foreshock.data.system.disk import written_together
from foreshock.detectors.clusters.labels import REGIME_FILES
from foreshock.study.files.load import load_result
from foreshock.study.files.manifest import MANIFEST, as_written, check_of_run, read_manifest
from foreshock.study.result import FILES
from tests.small import small_study

OTHER_RUN = "is not the one of the run that files.json beside it names"
TABLES = ("alerts.csv", "rows.parquet", "scores.parquet", "trades.parquet", "report.html")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folders of two runs that differ in their seed."""
    place = tmp_path_factory.mktemp("runs")
    bars = fs.simulate_market(seed=5, n_symbols=2, n_bars=2_500).bars
    for seed in (1, 2):
        small_study(bars=bars, seed=seed, n_surrogates=0).run().save(place / str(seed))
    return place


@pytest.fixture
def folder(runs, tmp_path):
    shutil.copytree(runs / "1", tmp_path / "study")
    return tmp_path / "study"


def read_all(folder: Path) -> None:
    found = load_result(folder)
    found.alerts_frame(), found.rows_frame(), found.scores_frame(), found.trades_frame()
    found.report(folder.parent / "copied.html")


@pytest.mark.parametrize("name", TABLES)
def test_a_file_of_another_run_is_refused(name, folder, runs):
    read_all(folder)
    shutil.copy(runs / "2" / name, folder / name)
    if (runs / "1" / name).read_bytes() == (runs / "2" / name).read_bytes():
        (folder / name).write_bytes((runs / "1" / name).read_bytes() + b"\n")
    with pytest.raises(DataError, match=f"{name} {OTHER_RUN}"):
        read_all(folder)


def test_results_of_another_run_or_an_altered_digit_are_refused_by_both_readers(folder, runs):
    for content in ((runs / "2" / "results.json").read_text(), (folder / "results.json").read_text().replace("0.", "1.", 1)):
        (folder / "results.json").write_text(content)
        for read in (load_result, load_results):
            with pytest.raises(DataError, match=f"results.json {OTHER_RUN}"):
                read(folder)


@pytest.mark.parametrize("n_renamed", range(1, 9))
def test_a_run_that_is_stopped_between_two_renames_leaves_a_folder_that_is_refused(n_renamed, folder, runs, monkeypatch):
    real, n = os.replace, 0

    def replace(source: Path, target: Path) -> None:
        nonlocal n
        if n == n_renamed:
            raise KeyboardInterrupt
        n += 1
        real(source, target)

    monkeypatch.setattr("foreshock.data.system.disk.os.replace", replace)
    names = (MANIFEST, *FILES, *REGIME_FILES)

    def save() -> None:
        with written_together(folder, names) as parts:
            for name in names:
                parts[name].write_bytes((runs / "2" / name).read_bytes())

    with pytest.raises(KeyboardInterrupt):
        save()
    monkeypatch.undo()
    with pytest.raises(DataError, match=OTHER_RUN):
        check_every_file(folder)


def check_every_file(folder: Path) -> None:
    digests = read_manifest(folder)
    for name in digests or ():
        check_of_run(folder / name, digests)


def test_a_folder_of_a_version_without_digests_is_read(folder):
    (folder / MANIFEST).unlink()
    read_all(folder)


@pytest.mark.parametrize("content", ["", "[]", '{"sha256": 5}', '{"sha256": {"a": 5}}', "[" * 100_000, "\0"])
def test_digests_that_are_none_are_refused(content, folder):
    (folder / MANIFEST).write_text(content)
    with pytest.raises(DataError, match=r"files\.json (is not|cannot be read)"):
        load_result(folder)


@pytest.mark.parametrize(
    "content", ["[" * 100_000, '{"version": ' + "9" * 5_000 + "}", '{"version": NaN}', "\xff", '{"a": 1', '{"version": 1e999}']
)
def test_results_that_no_parser_likes_are_refused(content, folder):
    (folder / MANIFEST).unlink()
    (folder / "results.json").write_text(content, encoding="latin-1")
    with pytest.raises(DataError, match=r"results\.json is not (JSON|a results file)"):
        load_result(folder)


# What a value may be replaced by.
ODD = (None, True, -1, 0, 1e308, 10**400, "", "nan", "\x1b[31m</script>", "../..", [], {}, [[]], [None], {"": None}, ["a"] * 3)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    inner = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    return found + [place for key, one in inner for place in places(one, (*path, key))]


def mutated(results: dict[str, Any], every: list[tuple[Any, ...]], rng: random.Random) -> dict[str, Any]:
    """The results with one to three values replaced, removed or under another name."""
    changed = copy.deepcopy(results)
    for _ in range(rng.randint(1, 3)):
        # Every depth is as likely as another: most places lie deep.
        depth = rng.randint(1, max(map(len, every)))
        *above, last = rng.choice([place for place in every if len(place) == depth])
        try:
            at: Any = changed
            for key in above:
                at = at[key]
            if rng.random() < 0.3:
                del at[last]
            elif isinstance(at, dict) and rng.random() < 0.15:
                at[rng.choice(("", "\x1b[2J", "a" * 300))] = at.pop(last)
            else:
                at[last] = rng.choice(ODD)
        except (LookupError, TypeError):
            continue
    return changed


def read_and_compare(folder: Path, other: Path) -> None:
    found = load_result(folder)
    found.summary(), str(found), repr(found), found.verdicts, found.title, found.signals, found.scores, found.bars
    studies = {"one": load_results(folder), "other": load_results(other)}
    with as_written("results.json"):
        content = comparison(studies)
        save_comparison(content, folder.parent / "compared")
        print_comparison(content)


@pytest.mark.parametrize("n", [40, pytest.param(1_500, marks=pytest.mark.slow)])
def test_altered_results_get_a_sentence_and_never_a_traceback(n, folder, runs, capsys):
    (folder / MANIFEST).unlink()
    results = json.loads((folder / "results.json").read_text())
    every, rng, said = places(results), random.Random(n), list[str]()
    for k in range(n):
        content = json.dumps(mutated(results, every, rng))
        (folder / "results.json").write_text(content)
        try:
            read_and_compare(folder, runs / "2")
        except ForeshockError as error:
            said.append(str(error))
        assert "\x1b" not in capsys.readouterr().out, k
    assert not [one for one in said if "\n" in one]
    assert 0.1 * n < len(said) < 0.95 * n
