"""Where numba keeps compiled kernels if neither the installed package nor the user's home can be written."""

from __future__ import annotations

import atexit
import os
import sys
from pathlib import Path

# What numba itself reads.
PLACE = "NUMBA_CACHE_DIR"


def choose_kernel_cache(package: Path) -> None:
    """Let numba use a new folder for temporary files if it could write none of its own; it would refuse to load a kernel.

    Parameters
    ----------
    package : Path
        A folder of the installed package; numba keeps kernels beside their source if it can.
    """
    if os.environ.get(PLACE) or os.access(package, os.W_OK) or _writable(_home_of_numba()):
        return
    # These take a while to import, and are seldom needed.
    import tempfile

    try:
        # Numba runs what it finds in such a folder: nobody else may write to it.
        folder = tempfile.mkdtemp(prefix="foreshock-kernels-")
    except OSError:
        return
    os.environ[PLACE] = folder
    atexit.register(_remove, folder, os.getpid())


def _home_of_numba() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path("~/AppData/Local").expanduser())
    if sys.platform == "darwin":
        return Path("~/Library/Caches").expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())


def _writable(folder: Path) -> bool:
    """Whether a folder can be written, or made."""
    import tempfile

    try:
        found = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        # Made, because some folders of the system say that they can be written, and cannot.
        os.rmdir(tempfile.mkdtemp(dir=found))
    except (OSError, StopIteration):
        return False
    return True


def _remove(folder: str, owner: int) -> None:
    # Processes that this one started with a copy of its memory end with the same functions.
    if os.getpid() == owner:
        import shutil

        shutil.rmtree(folder, ignore_errors=True)
