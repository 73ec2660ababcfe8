"""What an editable install needs: links to the five folders, and a folder for the path that holds ``foreshock`` alone.

``foreshock/data`` leads to ``data``, and so do the other four. Python itself does without these links, because
``foreshock/__init__.py`` looks for its packages at the root of a checkout; type checkers, import-linter and editors look at the
file system alone. ``.editable`` is what the install puts on the path instead of the root, so that ``import data`` never finds ours.
A wheel holds the folders themselves.
"""

import os
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDERS = ("data", "engine", "detectors", "strategies", "reports")
# Where links cannot be made, this package leads to the real one.
WITHOUT_LINKS = """\
from pathlib import Path

_REAL = Path(__file__).resolve().parents[2] / "foreshock"
__file__ = str(_REAL / "__init__.py")
__path__ = [str(_REAL)]
exec(compile(Path(__file__).read_text(encoding="utf-8"), __file__, "exec"))
"""


class LinkFolders(BuildHookInterface):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        if version == "editable":
            for problem in prepare(Path(self.root)):
                self.app.display_warning(f"{problem}; the program runs without it, type checkers see less")


def prepare(root: Path) -> list[str]:
    """Make the links of a checkout that are not there yet; returns a sentence for each that cannot be made."""
    problems = []
    for name in FOLDERS:
        problems += _linked(root / "foreshock" / name, root / name)
    face = root / ".editable" / "foreshock"
    face.parent.mkdir(exist_ok=True)
    refused = [] if (face / "__init__.py").is_file() else _linked(face, root / "foreshock")
    if refused:
        face.mkdir(exist_ok=True)
        (face / "__init__.py").write_text(WITHOUT_LINKS, encoding="utf-8")
    return problems + refused


def _linked(link: Path, folder: Path) -> list[str]:
    if link.exists():
        return [] if link.samefile(folder) else [f"{link} is in the way of a link to {folder}"]
    try:
        # A link that leads nowhere.
        link.unlink(missing_ok=True)
        if os.name == "nt":
            # Unlike a symbolic link, a junction needs no permission that an ordinary user lacks.
            import _winapi

            _winapi.CreateJunction(str(folder), str(link))
        else:
            link.symlink_to(os.path.relpath(folder, link.parent), target_is_directory=True)
    except OSError as error:
        return [f"no link {link}: {error}"]
    return []
