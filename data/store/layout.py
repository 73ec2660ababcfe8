"""Folders and files of a store: where the partitions of a series lie, who may write them, and which series there were."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from foreshock.data.errors import ConfigError, DataError
from foreshock.data.store.series import SeriesKey
from foreshock.data.system.disk import PARTIAL, make_folder, writing
from foreshock.data.system.locks import lock

SUFFIX, LOCK = ".parquet", ".lock"
# A link that somebody planted as the lock is refused; Windows has no such flag.
NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
# A file for each series that was ever written, so that a folder that is gone is missed.
INVENTORY = ".series"


class Layout:
    """The files below one folder.

    Parameters
    ----------
    folder : Path
        Folder of the store.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def files(self, key: SeriesKey) -> list[Path]:
        """The partitions of a series in the order of time."""
        return sorted((self.folder / key.folder).glob(f"*{SUFFIX}"))

    def partitions(self) -> Iterator[tuple[Path, SeriesKey | None]]:
        """Every partition with its series; None for a file where no series is."""
        for path in self.all_files(SUFFIX):
            yield path, self.key_of(path)

    def all_files(self, suffix: str) -> list[Path]:
        """The files with an ending, also those of folders that are links."""
        found, seen = [], set()
        for folder, inner, names in os.walk(self.folder, followlinks=True):
            # A link may lead back up.
            real = os.path.realpath(folder)
            if real in seen:
                inner.clear()
                continue
            seen.add(real)
            found += [Path(folder) / name for name in names if name.endswith(suffix)]
        return sorted(found)

    def key_of(self, path: Path) -> SeriesKey | None:
        try:
            return SeriesKey.from_folder(path.parent.relative_to(self.folder).as_posix())
        except (ConfigError, ValueError):
            return None

    @contextmanager
    def locked(self, key: SeriesKey) -> Iterator[Path]:
        """The folder of a series, locked against other writers and cleared of what an interrupted write left."""
        folder = self.folder / key.folder
        with writing(folder, "the store"):
            make_folder(folder)
            descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | NO_FOLLOW, 0o644)
            try:
                lock(descriptor, True)
                for partial in folder.glob(f"*{PARTIAL}"):
                    partial.unlink()
                yield folder
            finally:
                os.close(descriptor)

    def remember(self, key: SeriesKey) -> None:
        """Note that there is such a series."""
        mark = self._mark(key)
        if not mark.exists():
            mark.parent.mkdir(exist_ok=True)
            mark.write_text(key.folder + "\n", encoding="utf-8")

    def forget(self, key: SeriesKey) -> None:
        self._mark(key).unlink(missing_ok=True)

    def gone(self) -> list[SeriesKey]:
        """The series whose folder is no longer there."""
        names = [path.read_text(encoding="utf-8").strip() for path in sorted((self.folder / INVENTORY).glob("*.txt"))]
        keys = []
        for name in names:
            try:
                keys.append(SeriesKey.from_folder(name))
            except ConfigError:
                continue
        return sorted(key for key in keys if not (self.folder / key.folder).is_dir())

    def broken_links(self) -> list[Path]:
        """The links to folders that are not there."""
        found = []
        for folder, inner, names in os.walk(self.folder):
            found += [path for name in (*inner, *names) if (path := Path(folder) / name).is_symlink() and not path.exists()]
        return sorted(found)

    def _mark(self, key: SeriesKey) -> Path:
        return self.folder / INVENTORY / (hashlib.sha256(key.folder.encode()).hexdigest()[:32] + ".txt")


def begin_of(path: Path) -> int:
    """Start of a partition in epoch ms, from its name."""
    try:
        return int(np.datetime64(path.name.removesuffix(SUFFIX), "ms").astype(np.int64))
    except ValueError as error:
        raise DataError(f"{path} is not named like a partition; it was moved or renamed, run foreshock store repair") from error
