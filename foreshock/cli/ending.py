"""How a command ends: with one sentence and an exit code, and nothing of it left, whatever it was told."""

from __future__ import annotations

import atexit
import errno
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

from foreshock.terminal import printable

INTERRUPTED = "interrupted; files that were already written are unchanged"
ENDED = "ended by {}; files that were already written are unchanged"
KEPT = "; fits and forecasts are kept in the cache: run again, and it goes on from there"
# Exit code of a fault of the program, and what shows where it is.
FAULT, TRACEBACK = 5, "FORESHOCK_TRACEBACK"
# Seconds after which a process that was asked to end does, whatever it is at.
GRACE = 1.2
SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
# The signal by which the process was asked to end.
_asked: list[int] = []
# Where standard error went before it was hushed.
_errors: list[int] = []


@contextmanager
def ending_cleanly() -> Iterator[None]:
    """Treat SIGTERM and SIGHUP as an interrupt, so that locks are let go, halves of files removed and processes ended.

    A compiled kernel does not hear of a signal before it is done: the process then ends at once after ``GRACE`` seconds, which
    files survive, as they are renamed when they are whole. What it started ends with it.
    """
    _asked.clear()
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(number: int, _frame: object) -> None:
        # A second one would interrupt what is being cleared up.
        if not _asked:
            _asked.append(number)
            # An interrupt within a function that a library calls back is lost, which Python tells at length; ``_end_late`` follows.
            sys.unraisablehook = lambda _: None
            if number == getattr(signal, "SIGHUP", None):
                # The terminal has told helpers of libraries, too, which do not survive it, and say so at length.
                _hush()
            raise KeyboardInterrupt

    # What the caller ignores, as nohup and the background of a shell do, stays ignored.
    numbers = [getattr(signal, name) for name in SIGNALS if hasattr(signal, name)]
    before = {one: signal.getsignal(one) for one in numbers if signal.getsignal(one) != signal.SIG_IGN}
    told, heard = socket.socketpair()
    for one in (told, heard):
        one.setblocking(one is heard)
    woken = signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_end_late, args=(heard, tuple(before)), daemon=True).start()
    for one in before:
        signal.signal(one, ask)
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
        signal.set_wakeup_fd(woken)
        # The thread reads the end of it, unless it has read a signal.
        told.close()


def _end_late(heard: socket.socket, numbers: tuple[int, ...]) -> None:
    """Wait for one of the signals, and end the process if it has not ended soon after it."""
    with heard:
        while content := heard.recv(1):
            if content[0] not in numbers:
                continue
            threading.Event().wait(GRACE)
            _speak()
            with suppress(OSError):
                os.write(2, f"error: {said_of(content[0])}\n".encode())
            os._exit(128 + content[0])


def stop() -> NoReturn:
    """End after an interrupt, and say what is kept."""
    number = _asked[0] if _asked else signal.SIGINT
    _speak()
    try:
        fail(said_of(number), 128 + number)
    finally:
        if _asked:
            # Python would take seconds to take large libraries apart. Temporary folders are removed here.
            _hush()
            with suppress(Exception):
                atexit._run_exitfuncs()
            os._exit(128 + number)


def _hush() -> None:
    """Let what is written to standard error go nowhere, until ``_speak``."""
    with suppress(OSError):
        _errors.append(os.dup(2))
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)


def _speak() -> None:
    with suppress(OSError, IndexError):
        os.dup2(_errors.pop(), 2)


def said_of(number: int) -> str:
    """What is said of a command that a signal ended."""
    if number == signal.SIGINT:
        return INTERRUPTED
    from foreshock.data.system.cache import usual_cache

    return ENDED.format(signal.Signals(number).name) + (KEPT if usual_cache().folder else "")


def is_interrupt(error: BaseException | None) -> bool:
    """Whether an error is an interrupt: numba turns one inside a kernel into a SystemError, often into two that are chained."""
    while isinstance(error, SystemError):
        error = error.__cause__ or error.__context__
    return isinstance(error, KeyboardInterrupt)


def fail(message: str, exit_code: int) -> NoReturn:
    """Print a message and end."""
    # Names and values in a message come from the user's files: they must not start a new line or control the terminal.
    with suppress(OSError, ValueError):
        print("error:", printable(message), file=sys.stderr, flush=True)  # noqa: T201
    sys.exit(exit_code)


def fail_by_fault(error: BaseException) -> NoReturn:
    """End after an error that nobody foresaw, and say where it is."""
    if os.environ.get(TRACEBACK):
        traceback.print_exception(error)
    frames = traceback.extract_tb(error.__traceback__)
    where = f" in line {frames[-1].lineno} of {os.path.basename(frames[-1].filename)}" if frames else ""
    reason = f"{type(error).__name__}{f': {error}' if str(error) else ''}"[:300]
    fail(f"a fault of foreshock, not of yours: {reason}{where}; please report it with what {TRACEBACK}=1 shows", FAULT)


def fail_by_system(error: OSError) -> NoReturn:
    """End after an error of the system, such as a full disk; a reader that has gone away is no news."""
    if error.errno == errno.EPIPE:
        sys.exit(3)
    where = f": {error.filename}" if error.filename else ""
    fail(f"{error.strerror or error}{where}; check the path, its permissions and the free space", 3)


@contextmanager
def open_streams() -> Iterator[None]:
    """Let output and errors go nowhere where they were closed, and replace letters that a terminal does not have.

    What cannot be written at the end, to a full disk or a reader that has gone away, is an error like any other.
    """
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            # The next file that is opened would else be taken for it.
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w", encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        _reconfigure(stream)
    try:
        yield
        sys.stdout.flush()
    finally:
        for name in ("stdout", "stderr"):
            try:
                getattr(sys, name).flush()
            except (OSError, ValueError):
                # Python would try again at its end, and complain.
                setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115


def _reconfigure(stream: Any) -> None:
    if hasattr(stream, "reconfigure") and stream.errors == "strict":
        stream.reconfigure(errors="replace")
