"""Links for an editable install: foreshock/data leads to data, and so do the other four folders.

Python itself does without them, because ``foreshock/__init__.py`` looks for its packages at the root of a checkout. Type checkers,
import-linter and editors look at the file system alone. A wheel holds the folders themselves.
"""

import os
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDERS = ("data", "engine", "detectors", "strategies", "reports")


class LinkFolders(BuildHookInterface):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        if version != "editable":
            return
        for name in FOLDERS:
            link = Path(self.root, "foreshock", name)
            if link.exists() and not link.samefile(Path(self.root, name)):
                self.app.display_warning(
                    f"{link} is in the way of a link; the program runs without it, type checkers read it instead"
                )
            elif not link.exists():
                try:
                    # A link that leads nowhere.
                    link.unlink(missing_ok=True)
                    _link(link, Path(self.root, name))
                except OSError as error:
                    self.app.display_warning(f"no link {link}: {error}; the program runs without it, type checkers see less")


def _link(link: Path, folder: Path) -> None:
    if os.name == "nt":
        # A junction needs no right that an ordinary user lacks.
        import _winapi

        _winapi.CreateJunction(str(folder), str(link))
    else:
        link.symlink_to(Path("..", folder.name), target_is_directory=True)
