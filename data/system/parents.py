"""A process that was started for a part of some work ends when the process that started it is gone."""

from __future__ import annotations

import multiprocessing
import os
from functools import cache
from threading import Thread
from time import sleep

# Seconds from look to look.
EVERY = 0.2


@cache
def end_with_parent() -> None:
    """In a process that multiprocessing or joblib started: end it soon after its parent has ended, however that was.

    A worker whose parent was killed would go on for hours, and compute again what the next run computes. In any other process,
    such as the one that a user started, nothing happens. Systems that do not tell a process that its parent ended, such as
    Windows, let it finish its task.
    """
    if multiprocessing.parent_process() is not None:
        Thread(target=_watch, args=(os.getppid(),), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        sleep(EVERY)
    # Nobody waits for a result, and the cache takes a file only when it is whole.
    os._exit(1)
