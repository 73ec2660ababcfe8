"""Which files one run wrote: their digests, so that a folder in which two runs are mixed is found when it is read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from foreshock.data.errors import DataError, ForeshockError
from foreshock.data.show.shown import one_line
from foreshock.data.system.parsed import parse_json, read_limited

# Renamed before the files that it names: a run that is killed between two renames leaves a folder that does not fit it.
MANIFEST = "files.json"
VERSION = 1
# What content of an unexpected form may raise.
UNREADABLE = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)


def write_manifest(parts: Mapping[str, Path]) -> None:
    """Write the digests of all other files, under their final names.

    Parameters
    ----------
    parts : dict of str to Path
        Where each file lies now, by name, ``MANIFEST`` among them.
    """
    digests = {name: _digest_of(path) for name, path in sorted(parts.items()) if name != MANIFEST}
    parts[MANIFEST].write_text(json.dumps({"version": VERSION, "sha256": digests}, indent=1) + "\n", encoding="utf-8")


def read_manifest(folder: Path) -> dict[str, str] | None:
    """The digests by name, None for a folder of a version that wrote none.

    Raises
    ------
    DataError
        If the file is not one that ``write_manifest`` wrote.
    """
    path = folder / MANIFEST
    try:
        found = parse_json(read_limited(path))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {one_line(str(error), 160)}; run the study again") from error
    digests = found.get("sha256") if isinstance(found, dict) else None
    if not isinstance(digests, dict) or not all(isinstance(one, str) for one in digests.values()):
        raise DataError(f"{path} is not a list of the files of a run; run the study again")
    return digests


def check_of_run(path: Path, digests: Mapping[str, str] | None) -> None:
    """Refuse a file that is not the one that the run wrote which wrote the manifest.

    Raises
    ------
    DataError
        If the file belongs to another run, or was changed.
    """
    if digests is None:
        return
    status = path.stat()
    if digests.get(path.name) != _digest_at(path, status.st_mtime_ns, status.st_size):
        raise DataError(
            f"{path} is not the one of the run that {MANIFEST} beside it names: two runs wrote into the folder, a run was "
            "stopped while it wrote, or the file was changed; run the study again"
        )


@contextmanager
def as_written(what: str | Path) -> Iterator[None]:
    """Turn an error about content of an unexpected form into a sentence that names the file."""
    try:
        yield
    except ForeshockError:
        raise
    except UNREADABLE as error:
        reason = f"{type(error).__name__}: {one_line(str(error), 120)}" if str(error) else type(error).__name__
        raise DataError(f"{what} is not as foreshock wrote it ({reason}); run the study again") from error


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@lru_cache(maxsize=64)
def _digest_at(path: Path, _changed: int, _size: int) -> str:
    return _digest_of(path)
