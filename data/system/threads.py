"""Work on several items at once, each in a thread; and functions that keep BLAS to one thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from threading import Event, Thread
from time import monotonic
from typing import Any, TypeVar

from threadpoolctl import threadpool_limits

# Seconds that an interrupt waits for threads to write what they hold.
PATIENCE = 0.8
Item = TypeVar("Item")
Function = TypeVar("Function", bound=Callable[..., Any])


def with_one_blas_thread(function: Function) -> Function:
    """The function, in whose calls BLAS uses one thread.

    threadpoolctl has no types of its own, so that what its decorator returns is not known to every type checker.
    """
    return threadpool_limits.wrap(limits=1)(function)


def for_each_in_threads(items: Iterable[Item], work: Callable[[Item], None], n_threads: int, stopped: Event) -> None:
    """Run the work on every item; ``stopped``, which the work must check, is set when one fails or the user interrupts.

    An interrupt waits a second for the threads, which write what they hold; it does not wait for one that hangs.

    Raises
    ------
    Exception
        The first error of any item, after all have ended.
    """
    stopped.clear()
    left, errors = deque(items), []

    def run() -> None:
        while left and not stopped.is_set():
            with suppress(IndexError):
                item = left.popleft()
                try:
                    work(item)
                except BaseException as error:
                    errors.append(error)
                    stopped.set()

    # Those of an executor would be waited for at the end of the process, whatever they wait for.
    threads = [Thread(target=run, daemon=True) for _ in range(n_threads)]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    except BaseException:
        stopped.set()
        until = monotonic() + PATIENCE
        for thread in threads:
            thread.join(max(until - monotonic(), 0))
        raise
    if errors:
        raise errors[0]
