"""Where each study of a comparison is written, and what it is called."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from foreshock.data.errors import ConfigError

# Files of the comparison itself.
TAKEN = ("report.html", "comparison.json")


def names_of(studies: Sequence[Path]) -> list[str]:
    """What each study is called: the name of its file or folder, or its whole path where another has that name.

    Raises
    ------
    ConfigError
        If two are the same.
    """
    places = [path.resolve() for path in studies]
    twice = next((path for i, path in enumerate(studies) if places[i] in places[:i]), None)
    if twice is not None:
        raise ConfigError(f"studies to compare must differ, got {twice} twice; leave one out")
    names: list[str] = []
    for path, place in zip(studies, places, strict=True):
        name = place.stem if path.suffix == ".toml" else place.name
        names.append(str(path) if name in names else name)
    return names


def folders_of(studies: Sequence[Path], out: Path) -> list[Path]:
    """The folder of the results of each study: that which was given, or one directly below ``out`` for a study file.

    Examples
    --------
    >>> [path.as_posix() for path in folders_of([Path("a/study.toml"), Path("../b/study.toml"), Path("...toml")], Path("out"))]
    ['out/study', 'out/study-2', 'out/study-3']
    """
    given = {path.resolve() for path in studies if path.suffix != ".toml"}
    found: list[Path] = []
    for path in studies:
        if path.suffix != ".toml":
            found.append(path)
            continue
        name = path.resolve().stem.strip(". ") or "study"
        places = (out / (name if k == 1 else f"{name}-{k}") for k in range(1, len(studies) + 3))
        # Another study has the name, or it is one of the folders to compare, which must not be overwritten.
        found.append(next(one for one in places if one not in found and one.resolve() not in given and one.name not in TAKEN))
    return found
