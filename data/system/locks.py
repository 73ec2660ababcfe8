"""A lock on an open file, between processes and between threads that each opened the file."""

import os
import sys

if sys.platform == "win32":
    import msvcrt

    def lock(descriptor: int, write: bool) -> None:  # noqa: ARG001
        """Wait for an exclusive lock; closing the file, or the end of the process, releases it."""
        # Windows locks bytes against readers too, so lock one beyond the end of every file of ours.
        os.lseek(descriptor, 1 << 30, os.SEEK_SET)
        while True:
            try:
                msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)
                return
            except OSError:
                # ``locking`` gives up after ten seconds; another process may hold the lock for longer.
                continue
else:
    import fcntl

    def lock(descriptor: int, write: bool) -> None:
        """Wait for a lock, exclusive to write, shared to read; closing the file, or the end of the process, releases it."""
        fcntl.flock(descriptor, fcntl.LOCK_EX if write else fcntl.LOCK_SH)
