"""Checks and repairs of all partitions of a store."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from foreshock.data.errors import DataError
from foreshock.data.store.findings import StoreReport
from foreshock.data.store.layout import SUFFIX, Layout
from foreshock.data.store.partition import verify_partition
from foreshock.data.store.series import SeriesKey
from foreshock.data.system.disk import PARTIAL, sync_folder, writing

DAMAGED = ".damaged"
OnProblem = Callable[[Path, SeriesKey | None, DataError | OSError], None]


def examine(layout: Layout, on_problem: OnProblem = lambda _path, _key, _error: None) -> StoreReport:
    """Read every partition, and look for series and links that are gone."""
    series, n_partitions, n_rows, problems = set(), 0, 0, []
    for path, key in layout.partitions():
        try:
            if key is None:
                raise DataError(f"{path} lies where the store has no series; it was moved or renamed")
            n_rows += verify_partition(key, path).n_rows
            n_partitions += 1
            series.add(key)
        except FileNotFoundError:
            # Someone dropped it since it was listed.
            continue
        except (DataError, OSError) as error:
            problems.append(problem(path, error))
            on_problem(path, key, error)
    problems += [f"{path} is a link to a folder that is not there; mount it, or remove the link" for path in layout.broken_links()]
    problems += [
        f"{key} was in the store and its folder is gone ({layout.folder / key.folder}); bring it back, or run foreshock store "
        "repair, which forgets it, and fetch again"
        for key in layout.gone()
    ]
    return StoreReport(len(series), n_partitions, n_rows, tuple(problems))


def repair(layout: Layout) -> StoreReport:
    """Set damaged partitions aside, forget series that are gone, and remove what crashes left."""
    repaired: list[str] = []

    def set_aside(path: Path, key: SeriesKey | None, error: DataError | OSError) -> None:
        if isinstance(error, OSError):
            # A partition that the file system refuses to read may be valid.
            raise error
        if key is None:
            # The file is not in the folder of a series, so no writer is at work there.
            repaired.append(_set_aside(layout, path))
            return
        with layout.locked(key):
            try:
                verify_partition(key, path)
            except DataError:
                repaired.append(_set_aside(layout, path))

    found = examine(layout, set_aside)
    for path in layout.all_files(f"{SUFFIX}{PARTIAL}"):
        # Another writer may still be writing this file, so it is removed under the lock.
        key = layout.key_of(path)
        with layout.locked(key) if key else writing(path, "the store"):
            path.unlink(missing_ok=True)
        repaired.append(f"removed {path.relative_to(layout.folder)}, which an interrupted write left")
    for key in layout.gone():
        layout.forget(key)
        repaired.append(f"forgot {key}, whose folder is gone; fetch it again if it is needed")
    return StoreReport(found.n_series, found.n_partitions, found.n_rows, found.problems, tuple(repaired))


def _set_aside(layout: Layout, path: Path) -> str:
    aside = path.with_name(path.name + DAMAGED)
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}{DAMAGED}{number}")
    with writing(path, "the store"):
        os.replace(path, aside)
        sync_folder(path.parent)
    return f"set aside {path.relative_to(layout.folder)} as {aside.name}; its range is missing now, fetch it again"


def problem(path: Path, error: DataError | OSError) -> str:
    if isinstance(error, OSError):
        return f"partition {path.name} cannot be read: {error.strerror or error}; check its permissions and the disk ({path})"
    return str(error)
