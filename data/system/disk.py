"""Atomic and durable writes of files and folders."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

from foreshock.data.errors import DataError
from foreshock.data.system.locks import lock

PARTIAL = ".partial"
# Errors of a file system that cannot flush a folder, or does not let its user open one.
NO_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EACCES)
# Whether what is written is flushed to the disk before it counts as written.
FLUSHED: ContextVar[bool] = ContextVar("flushed", default=True)


def write_whole(path: Path, content: bytes | str) -> None:
    """Write a file completely or not at all; text is UTF-8, and its line ends are kept.

    Raises
    ------
    DataError
        If the disk is full, the folder cannot be made or written, or the path is a folder or a device. A previous file is then
        unchanged.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "deep" / "note.txt"
    >>> write_whole(path, "a note")
    >>> path.read_text(), len(list(path.parent.iterdir()))
    ('a note', 1)
    """
    with written_whole(path) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A temporary path to write the file to; it is renamed to ``path`` when the block succeeds, and removed when it fails.

    Raises
    ------
    DataError
        As ``write_whole``; also for an ``OSError`` in the block.
    """
    with written_together(path.parent, (path.name,)) as partial:
        yield partial[path.name]


@contextmanager
def written_together(folder: Path, names: Sequence[str]) -> Iterator[dict[str, Path]]:
    """Temporary paths to write files to that belong together: all are renamed when the block succeeds, or none is.

    Each file is flushed to the disk before the first is renamed, and the folder after the last. Readers see either the old file or
    the new one. When the block fails, the temporary files are removed and the old files are unchanged.

    Parameters
    ----------
    folder : Path
        Folder of the files; made if it does not exist.
    names : sequence of str
        Names of the files.

    Raises
    ------
    DataError
        As ``write_whole``; also for an ``OSError`` in the block.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with written_together(folder, ("a", "b")) as partial:
    ...     for name, path in partial.items():
    ...         _ = path.write_text(f"content of {name}")
    >>> sorted(path.name for path in folder.iterdir())
    ['a', 'b']
    """
    with writing(folder / names[0] if len(names) == 1 else folder):
        _refuse_folders(folder, names)
        make_folder(folder)
        with renamed_together(folder, names) as partial:
            yield partial


@contextmanager
def renamed_together(folder: Path, names: Sequence[str]) -> Iterator[dict[str, Path]]:
    """``written_together`` in an existing folder; an ``OSError`` is not converted."""
    # In a folder that others may write to, a link under a name that can be guessed would be followed, and its target overwritten.
    token = secrets.token_hex(8)
    partial = {name: folder / f".{token}.{name}{PARTIAL}" for name in names}
    try:
        yield partial
        for path in partial.values():
            sync_file(path)
        with _alone(folder, len(partial)):
            try:
                for name, path in partial.items():
                    os.replace(path, folder / name)
            finally:
                sync_folder(folder)
    finally:
        for path in partial.values():
            path.unlink(missing_ok=True)


@contextmanager
def _alone(folder: Path, n_files: int) -> Iterator[None]:
    """While the block runs, no other process or thread renames files into the folder that belong together."""
    descriptor = os.open(folder, os.O_RDONLY) if n_files > 1 and os.name != "nt" else None
    try:
        if descriptor is not None:
            # Some network file systems lock no folders; readers of a study find files of two runs by their digests.
            with suppress(OSError):
                lock(descriptor, True)
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


@contextmanager
def writing(path: Path, what: str = "") -> Iterator[None]:
    """Convert an ``OSError`` to a ``DataError`` that says that a file, or ``what`` at the path, cannot be written."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        said = f"{what} cannot be written: {reason} ({path})" if what else f"{path} cannot be written: {reason}"
        raise DataError(f"{said}; it is as it was; free space, fix the permissions, or pass another path") from error


def _refuse_folders(folder: Path, names: Sequence[str]) -> None:
    """Refuse a folder or a device where a file is wanted, and a file where the folder is, before anything is written."""
    found = _nearest(folder)
    if not found.is_dir():
        raise DataError(f"{folder} must be a folder, and {found} is a file; pass another folder")
    taken = next((folder / name for name in names if (folder / name).is_dir()), None)
    if taken is not None:
        raise DataError(f"{taken} must be a file, and is a folder; pass the path of a file, or move the folder away")
    # The rename would replace the device itself, such as /dev/null, by an ordinary file.
    device = next((folder / name for name in names if (folder / name).exists() and not (folder / name).is_file()), None)
    if device is not None:
        raise DataError(f"{device} must be an ordinary file, and is a device, a pipe or a socket; pass another path")


def _nearest(folder: Path) -> Path:
    """The folder, or its nearest parent that exists."""
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())


def unwritable(folder: Path) -> str | None:
    """Why a folder cannot be written or made, or None. Called before hours of work; it leaves nothing in the folder.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> unwritable(folder / "made" / "later") is None
    True
    >>> write_whole(folder / "note", "a note")
    >>> unwritable(folder / "note" / "below") == f"{folder / 'note'} is a file"
    True
    """
    from tempfile import TemporaryFile

    try:
        found = _nearest(folder)
        if not found.is_dir():
            return f"{found} is a file"
        # Permissions, read-only disks and protected system folders show only in an attempt to write.
        TemporaryFile(dir=found).close()
    except OSError as error:
        return error.strerror or str(error)
    return None


def check_writable(folder: Path) -> None:
    """Refuse a folder for the store that cannot be written or made, before hours of fetching.

    Raises
    ------
    DataError
        If the folder cannot be written or made.
    """
    reason = unwritable(folder)
    if reason is not None:
        raise DataError(f"the store cannot be written: {reason} ({folder}); make it a folder that can be written, or pass another")


def make_folder(folder: Path) -> None:
    """Make the folder and its parents, each flushed to the disk before the ones in it."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


@contextmanager
def unflushed() -> Iterator[None]:
    """Writes in the block are whole but not flushed: for files that a reader checks and can do without, after a power failure too.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "kept"
    >>> with unflushed():
    ...     write_whole(path, "can be made again")
    >>> path.read_text()
    'can be made again'
    """
    before = FLUSHED.set(False)
    try:
        yield
    finally:
        FLUSHED.reset(before)


def sync_file(path: Path) -> None:
    if not FLUSHED.get():
        return
    # Windows flushes only files that are open for writing.
    with path.open("r+b") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    # Windows cannot open a folder to flush it.
    if os.name == "nt" or not FLUSHED.get():
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in NO_SYNC:
            raise
