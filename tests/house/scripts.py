"""Runs scripts one after the other, each in the folder that it lies in, where ``printed.txt`` keeps what it prints.

    python -m tests.house.scripts FOLDER/SCRIPT.py ...

One process imports what all of them need once. The first failure ends the run.
"""

import contextlib
import os
import runpy
import sys
from pathlib import Path


def run(scripts: list[Path]) -> None:
    for script in scripts:
        os.chdir(script.parent)
        with Path("printed.txt").open("w", encoding="utf-8") as file, contextlib.redirect_stdout(file):
            runpy.run_path(str(script), run_name="__main__")


if __name__ == "__main__":
    run([Path(name).resolve() for name in sys.argv[1:]])
