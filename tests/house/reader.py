"""Runs the blocks of a page as a reader would: Python in one session, commands in the working folder.

    python -m tests.house.reader STEPS.json

``pip install -e .`` is done by what it leaves: the entry points of the package. Whatever fails ends the run.
"""

import json
import shlex
import sys
import tomllib
from pathlib import Path

from foreshock.cli.root import main


def install(folder: Path) -> None:
    """Make the entry points of the project in a folder known, as an editable install does."""
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    info = folder / f"{project['name']}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    groups = project["entry-points"].items()
    lines = [line for group, points in groups for line in (f"[{group}]", *(f"{name} = {place}" for name, place in points.items()))]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")


def run(steps: list[tuple[str, str]], folder: Path) -> None:
    session = {"__name__": "__main__"}
    for number, (language, content) in enumerate(steps, 1):
        if language == "python":
            exec(compile(content, f"step {number}", "exec"), session)
            continue
        for line in content.splitlines():
            program, *arguments = shlex.split(line)
            if program == "pip":
                install(folder)
                continue
            assert program == "foreshock", line
            try:
                main(arguments)
            except SystemExit as ended:
                if ended.code:
                    raise RuntimeError(f"{line} ended with {ended.code}") from ended


if __name__ == "__main__":
    sys.path.insert(0, "")
    run(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), Path.cwd())
