"""A process that was started for a part of some work ends when the process that started it is gone."""

from __future__ import annotations

import multiprocessing
import os
from functools import cache
from threading import Thread
from time import sleep
from typing import Any

# Seconds from look to look.
EVERY = 0.2


@cache
def end_with_parent() -> None:
    """In a process that multiprocessing or joblib started: end it soon after its parent has ended, however that was.

    A worker whose parent was killed would go on for hours, and compute again what the next run computes. In any other process,
    such as the one that a user started, nothing happens. Systems that do not tell a process that its parent ended, such as
    Windows, let it finish its task.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        Thread(target=_watch, args=(parent.pid, os.getppid()), daemon=True).start()


def parallel(n_jobs: int, **options: Any) -> Any:
    """``joblib.Parallel`` whose processes end with this one, before their first task, too.

    joblib's return type is a union of all modes, hence Any.

    >>> from joblib import delayed
    >>> parallel(2, prefer="threads")(delayed(abs)(x) for x in (-1, 2))
    [1, 2]
    """
    from joblib import Parallel

    return Parallel(n_jobs=n_jobs, initializer=end_with_parent, **options)


def _watch(parent: int | None, starter: int) -> None:
    # The parent may have ended before this began; some ways to start a process have another one between the two.
    while os.getppid() == starter and _is_there(parent):
        sleep(EVERY)
    # Nobody waits for a result, and the cache takes a file only when it is whole.
    os._exit(1)


def _is_there(process: int | None) -> bool:
    if process is None or os.name == "nt":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
