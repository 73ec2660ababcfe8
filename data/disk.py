"""Files and folders that are on the disk, whole, once they are said to be written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data.errors import DataError


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Says in one sentence that the store cannot be written."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"the store cannot be written: {error.strerror or error} ({path}); it is as it was; free space, mend the rights, or "
            "give another folder"
        ) from error


def check_writable(folder: Path) -> None:
    """Refuse a folder that cannot be written, or made, before hours of fetching go into it; nothing is created yet.

    Raises
    ------
    DataError
    """
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not nearest.is_dir():
        raise DataError(f"the store cannot be written: {nearest} is a file; give a folder")
    # Who may do what is asked of the user in whose name the program runs, where the system tells the two apart.
    if not os.access(nearest, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
        raise DataError(f"the store cannot be written: no right to write to {nearest}; mend the rights, or give another folder")


def make_folder(folder: Path) -> None:
    """The folder and those above it, each on the disk before what lies in it."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def write_whole(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    # Windows has no handle of a folder to flush.
    if os.name != "nt":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
