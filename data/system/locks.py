"""A lock on an open file, between processes and between threads that opened it each for itself."""

import os
import sys

if sys.platform == "win32":
    import msvcrt

    def lock(descriptor: int, write: bool) -> None:  # noqa: ARG001
        """Wait for the file, alone to write; closing it, or the end of the process, gives it back."""
        # Windows locks bytes for readers too: take one that no file of ours reaches.
        os.lseek(descriptor, 1 << 30, os.SEEK_SET)
        while True:
            try:
                msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)
                return
            except OSError:
                # It gives up after ten seconds; another process may hold the file for longer.
                continue
else:
    import fcntl

    def lock(descriptor: int, write: bool) -> None:
        """Wait for the file, alone to write, with others to read; closing it, or the end of the process, gives it back."""
        fcntl.flock(descriptor, fcntl.LOCK_EX if write else fcntl.LOCK_SH)
