"""Odd values for every argument of every public name: ``python -m tests.studies.program.doors_fuzz --out doors.csv``.

Each call replaces one argument of a call that is right by one value of ``tests.doors.oddities``. The calls of one door run in a
process of their own, without a network, so that a call that hangs, or that is killed for its memory, is counted as well. The
numbers of calls that ended in an answer, in a sentence of foreshock, in a raw error, and after the limit are printed; the file has
every call.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import multiprocessing
import os
import resource
import shutil
import socket
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any

from tests.doors.calls import Door, doors, study_result
from tests.doors.oddities import oddities, variants
from tests.doors.outcome import Outcome, outcome

LIMIT = 10.0
# Beyond the limit a call does not react to a signal: its process is killed.
HANGS = 25.0
MEMORY = 12 * 2**30
COLUMNS = ("door", "parameter", "value", "kind", "text", "place", "seconds")


def values_of(door: Door, parameter: str) -> Iterator[tuple[str, Any]]:
    # That of the samples was not made by a study: its parts do not belong together.
    yield from (oddities() | {"StudyResult": study_result()}).items()
    if parameter in door.given:
        yield from variants(door.given[parameter])


def calls_of(door: Door) -> list[tuple[str, str]]:
    return [(parameter, name) for parameter in door.parameters for name, _ in values_of(door, parameter)]


def fuzz(door: Door) -> Iterator[tuple[str, str, Outcome]]:
    """Every call of one door, each in a child process that goes on until one hangs or dies."""
    planned, done = calls_of(door), 0
    while done < len(planned):
        receiver, sender = multiprocessing.Pipe(duplex=False)
        child = os.fork()
        if not child:
            _run(door, done, sender)
        sender.close()
        while done < len(planned):
            found = _next(receiver)
            if found is None:
                break
            yield *planned[done], found
            done += 1
        _end(child)
        if done < len(planned):
            yield *planned[done], Outcome("killed", "", "", HANGS)
            done += 1


def _next(receiver: Connection) -> Outcome | None:
    """The next outcome; None if the call hangs or its process is gone."""
    try:
        return receiver.recv() if receiver.poll(HANGS) else None
    except (EOFError, OSError):
        return None


def _run(door: Door, first: int, sender: Connection) -> None:
    home = tempfile.mkdtemp()
    try:
        os.chdir(home)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        socket.socket.connect = _no_network  # pyright: ignore[reportAttributeAccessIssue]
        time.sleep = lambda _: None
        threading.Event.wait = _no_wait(threading.Event.wait)
        values = [(parameter, value) for parameter in door.parameters for _, value in values_of(door, parameter)]
        for parameter, value in values[first:]:
            sender.send(outcome(door.function, door.given | {parameter: value}, LIMIT))
    finally:
        shutil.rmtree(home, ignore_errors=True)
        os._exit(0)


def _no_wait(wait: Callable[..., bool]) -> Callable[..., bool]:
    return lambda event, timeout=None: wait(event, timeout if timeout is None else min(timeout, 0.01))


def _no_network(*_: object) -> None:
    raise OSError(101, "Network is unreachable")


def _end(child: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, 9)
    os.waitpid(child, 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=[], help="names of doors, or their beginnings")
    parser.add_argument("--out", default="doors.csv")
    args = parser.parse_args()
    every = doors()
    chosen = [name for name in every if not args.only or name.startswith(tuple(args.only))]
    oddities()
    # Kernels are compiled here, not in the first of the children.
    right = {name: outcome(every[name].function, every[name].given, 60.0) for name in chosen}
    for name, found in right.items():
        if found.kind != "fine":
            print(f"the call without an odd value of {name}: {found.text}", flush=True)
    kinds: Counter[str] = Counter()
    raw: Counter[str] = Counter()
    begun, slowest = time.perf_counter(), (0.0, "")
    with open(args.out, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for name in chosen:
            for parameter, value, found in fuzz(every[name]):
                kinds[found.kind] += 1
                slowest = max(slowest, (found.seconds, f"{name}({parameter}: {value})"))
                if found.kind not in ("fine", "sentence"):
                    raw[f"{found.kind} {found.text.split(':')[0]} at {found.place or name}"] += 1
                writer.writerow([name, parameter, value, found.kind, found.text, found.place, round(found.seconds, 3)])
            file.flush()
    for text, n in raw.most_common():
        print(f"{n:>6}  {text}")
    print(f"{sum(kinds.values()):,} calls of {len(chosen)} doors in {time.perf_counter() - begun:,.0f} s: {dict(kinds)}")
    print(f"the slowest took {slowest[0]:.1f} s: {slowest[1]}")


if __name__ == "__main__":
    main()
