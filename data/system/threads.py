"""Work on several items at once, each in a thread."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from threading import Event
from typing import TypeVar

Item = TypeVar("Item")


def for_each_in_threads(items: Iterable[Item], work: Callable[[Item], None], n_threads: int, stopped: Event) -> None:
    """Run the work on every item; ``stopped``, which the work must check, is set when one fails or the user interrupts.

    Raises
    ------
    Exception
        The first error of any item, after all have ended.
    """
    stopped.clear()
    with ThreadPoolExecutor(n_threads) as pool:
        jobs = [pool.submit(work, item) for item in items]
        try:
            done, _ = wait(jobs, return_when=FIRST_EXCEPTION)
        finally:
            # This also runs when the user interrupts: the threads write the pages they hold, and end.
            if not all(map(Future.done, jobs)):
                stopped.set()
    for job in sorted(jobs, key=lambda job: job not in done):
        job.result()
