"""Files that belong together: all of them are new, or none is."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_together(folder: Path, names: Sequence[str]) -> Iterator[dict[str, Path]]:
    """Paths to write the files to; they get their own names when the block ends well, and are gone when it does not.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    names : sequence of str
    """
    folder.mkdir(parents=True, exist_ok=True)
    partial = {name: folder / f".{name}.partial" for name in names}
    try:
        yield partial
        for name, path in partial.items():
            os.replace(path, folder / name)
    finally:
        for path in partial.values():
            path.unlink(missing_ok=True)
