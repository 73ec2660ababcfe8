"""Answers of a server that come to an end: each has a time and a size, and a stop cuts the line at once."""

from __future__ import annotations

import http.client
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

from foreshock.data.exchange.addresses import authorization

# Seconds that any answer may take, and the bytes a second at which a longer one must come.
ANY, LEAST_RATE = 60.0, 20_000.0
PIECE = 1 << 16


class Late(Exception):
    """An answer that did not end in time."""


class TooLarge(Exception):
    """An answer that is larger than allowed."""


class Line:
    """One request under way: it is cut at the end of its time, or when the work is stopped.

    Parameters
    ----------
    seconds : float
        Time of the answer; each 20 kB that arrive add one second.
    """

    def __init__(self, seconds: float) -> None:
        self.late = self.was_cut = False
        self.n_bytes = 0
        self._seconds, self._began = seconds, time.monotonic()
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()
        self._watch(seconds)

    def over(self, found: socket.socket | None) -> None:
        """The socket over which the answer comes."""
        with self._lock:
            self._socket = found
        if self.was_cut:
            self.cut()

    def cut(self) -> None:
        """End the request, whichever thread waits for it."""
        self.was_cut = True
        with self._lock, suppress(OSError):
            if self._socket is not None:
                self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._timer.cancel()

    def _watch(self, seconds: float) -> None:
        self._timer = threading.Timer(seconds, self._look)
        self._timer.daemon = True
        self._timer.start()

    def _look(self) -> None:
        left = self._began + self._seconds + self.n_bytes / LEAST_RATE - time.monotonic()
        if left > 0:
            self._watch(left)
            return
        self.late = True
        self.cut()


class Stop(threading.Event):
    """An event; setting it also cuts every line that was opened with it."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: set[Line] = set()

    def set(self) -> None:
        super().set()
        for line in list(self.lines):
            line.cut()


@contextmanager
def open_line(stopped: threading.Event, seconds: float) -> Iterator[Line]:
    """The line of what this thread requests in the block.

    Raises
    ------
    Late
        If the answer does not end in time.
    """
    line = Line(seconds)
    others = stopped.lines if isinstance(stopped, Stop) else set()
    others.add(line)
    before = _line.set(line)
    try:
        if stopped.is_set():
            line.cut()
        yield line
    except Exception as error:
        if line.late:
            raise Late from error
        raise
    finally:
        line.close()
        _line.reset(before)
        others.discard(line)


_line: ContextVar[Line | None] = ContextVar("line", default=None)


class OnLine:
    """Mixin for the connections of ``http.client``: the line of the thread learns over which socket its answer comes."""

    sock: Any

    def request(self, *args: Any, **kwargs: Any) -> None:
        super().request(*args, **kwargs)  # type: ignore[misc]
        line = _line.get()
        if line is not None:
            line.over(self.sock)


def read_whole(answer: Any, line: Line, most: int) -> bytes:
    """The body of an answer, unpacked piece by piece.

    Raises
    ------
    TooLarge
        If it has more than ``most`` bytes.
    ConnectionAbortedError
        If the line was cut: what came may lack its end.
    """
    parts: list[bytes] = []
    # Each piece is what has arrived, so that a body that drips in is not waited for.
    read = getattr(answer, "read1", answer.read)
    while part := read(PIECE):
        line.n_bytes += len(part)
        if line.n_bytes > most:
            raise TooLarge(f"the answer has more than {most / 1e6:,.0f} MB")
        parts.append(part)
    if line.was_cut:
        raise ConnectionAbortedError("the answer was cut")
    return b"".join(parts)


class _PlainLine(OnLine, http.client.HTTPConnection):
    pass


class _SecureLine(OnLine, http.client.HTTPSConnection):
    pass


class _PlainHandler(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_PlainLine, req)  # type: ignore[arg-type]


class _SecureHandler(urllib.request.HTTPSHandler):
    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_SecureLine, req)  # type: ignore[arg-type]


def download(address: str, stopped: threading.Event, timeout: float, most: int, login: tuple[str, str] | None = None) -> bytes:
    """The content at an address, asked for with a user name and password if there are any.

    Raises
    ------
    Late, TooLarge
        If it does not end in time, or is too large.
    OSError, http.client.HTTPException, ValueError
        As ``urllib.request.urlopen``.
    """
    opener = urllib.request.build_opener(_PlainHandler, _SecureHandler)
    request = urllib.request.Request(address)
    if login is not None:
        # Such a header does not follow a redirect to another place.
        request.add_unredirected_header("Authorization", authorization(login))
    with open_line(stopped, ANY) as line, opener.open(request, timeout=timeout) as answer:
        content = read_whole(answer, line, most)
        said = answer.headers.get("Content-Length")
        if said is not None and said.isdigit() and len(content) < int(said):
            raise http.client.IncompleteRead(content, int(said) - len(content))
    return content
