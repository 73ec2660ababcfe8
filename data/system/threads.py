"""Work on several items at once, each in a thread; and functions that keep BLAS to one thread."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from threading import Event
from typing import Any, TypeVar

from threadpoolctl import threadpool_limits

Item = TypeVar("Item")
Function = TypeVar("Function", bound=Callable[..., Any])


def with_one_blas_thread(function: Function) -> Function:
    """The function, in whose calls BLAS uses one thread.

    threadpoolctl has no types of its own, so that what its decorator returns is not known to every type checker.
    """
    return threadpool_limits.wrap(limits=1)(function)


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
