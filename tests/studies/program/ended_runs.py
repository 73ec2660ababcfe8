"""Runs that are ended at random moments: ``python -m tests.studies.program.ended_runs --out ended.csv``.

Each run of a study of trees, a linear model and two networks in processes of their own gets one signal at a moment that is uniform
over the time of an undisturbed run: SIGTERM, SIGKILL, SIGINT or SIGHUP, to its own process alone, or, but for SIGKILL, to all of
its group, as a terminal does. Ten seconds later no process that it started may be alive, and none of its shared memory and
semaphores may be there. The study goes on where it was stopped.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tests.studies.parts.resumable import parser_of, resume
from tests.studies.program.killed_runs import completed, prepare, started

FIELDS = ("kill", "signal", "to_group", "after", "code", "took", "workers", "shared", "traceback")
SIGNALS = (signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGHUP)
MARK = "RUN_OF_STUDY"
# Seconds after the end of a run at which nothing of it may be left.
PATIENCE = 10.0
SHARED = Path("/dev/shm")


def processes(mark: str) -> list[int]:
    """Processes that were started with a mark in their environment and have not ended."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found


def shared(process: int) -> list[str]:
    """Shared memory and semaphores of joblib that belong to a process."""
    numbers = (f"_folder_{process}_", f"loky-{process}-", f"mp-{process}-")
    return [path.name for path in SHARED.glob("*") if any(number in path.name for number in numbers)]


def ended(folder: Path, whole: float, first_seed: int, kill: int, patience: float = PATIENCE) -> list[dict[str, Any]]:
    """One run that gets a signal, and what is left of it."""
    after = float(np.random.default_rng([first_seed, kill]).uniform(0, whole))
    sent, mark = SIGNALS[kill % len(SIGNALS)], secrets.token_hex(8)
    to_group = bool(kill // len(SIGNALS) % 2) and sent != signal.SIGKILL
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        # Without what counts fits, which is imported before the command line can do anything about a signal.
        process = started(folder, place, {MARK: mark, "PYTHONPATH": os.environ.get("PYTHONPATH", "")}, apart=True)
        seen: set[int] = set()
        until = time.monotonic() + after
        while time.monotonic() < until and process.poll() is None:
            seen.update(processes(mark))
            time.sleep(0.1)
        began = time.monotonic()
        with suppress(ProcessLookupError):
            os.killpg(process.pid, sent) if to_group else process.send_signal(sent)
        try:
            code = process.wait(60)
        except subprocess.TimeoutExpired:
            code = 0
            process.kill()
        took = time.monotonic() - began
        until = time.monotonic() + patience
        while (left := [processes(mark), [name for one in seen for name in shared(one)]]) != [[], []] and time.monotonic() < until:
            time.sleep(0.1)
        for one in left[0]:
            with suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)
        said = (place / "said").read_text(errors="replace")
        if "Traceback" in said:
            print(said)
    row = (kill, sent.name, to_group, after, code, took, len(left[0]), len(left[1]), "Traceback" in said)
    return [dict(zip(FIELDS, row, strict=True))]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = parser_of(__doc__, 50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--whole", type=float, help="seconds of an undisturbed run; measured by default")
    options = parser.parse_args(arguments)
    # A shell lets what it runs in the background ignore interrupts, which the runs would inherit.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with tempfile.TemporaryDirectory() as temporary:
        folder = prepare(Path(temporary), networks=True)
        whole = options.whole
        if whole is None:
            # Compiled kernels and imports are warm in the second run, as in those that are ended.
            completed(folder, folder / "first")
            whole = completed(folder, folder / "whole")
        print(f"an undisturbed run takes {whole:.1f} s")
        wanted = ((k,) for k in range(options.histories))
        rows = resume(options.out, FIELDS[:1], FIELDS, wanted, partial(ended, folder, whole, options.seed), jobs=1)
    print(rows.round(2).to_string(index=False))
    print(rows.groupby("signal")[["took"]].max().round(2).to_string())
    said = f"workers left {int(rows['workers'].sum())}, shared memory left {int(rows['shared'].sum())}"
    print(f"{len(rows)} runs ended: {said}, tracebacks {int(rows['traceback'].sum())}")


if __name__ == "__main__":
    main()
