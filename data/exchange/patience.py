"""Waits between attempts, and the pace of requests to an exchange."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from foreshock.data.errors import ExchangeError
from foreshock.data.exchange.answers import ANY, Stop


class Stopped(ExchangeError):
    """The fetch was stopped: another part of it failed, or the user interrupted it."""


@dataclass(frozen=True)
class Patience:
    """When to repeat a request, and when to give up.

    Parameters
    ----------
    attempts : int
        Attempts at one request before the error is raised.
    first_attempts : int
        The same as long as the exchange has never answered, because there may be no network at all.
    blocked_attempts : int
        Answers that the location is not served (HTTP 451, 403) before the error is raised.
    first_wait, longest_wait : float
        Seconds before the second attempt, which double with every failure, and their upper bound. A longer ``Retry-After`` takes
        precedence over both.
    longest_ban : float
        Largest ``Retry-After`` in seconds that is waited for.
    timeout : float
        Seconds to wait for an answer, and for each part of it.
    longest_answer : float
        Seconds of a whole answer; each 20 kB of it add one.
    largest_answer : int
        Bytes of an answer, unpacked.
    scale : float
        Factor on all waits and on the time between requests; for tests.
    """

    attempts: int = 10
    first_attempts: int = 5
    blocked_attempts: int = 4
    first_wait: float = 1.0
    longest_wait: float = 60.0
    longest_ban: float = 900.0
    timeout: float = 20.0
    longest_answer: float = ANY
    largest_answer: int = 256_000_000
    scale: float = 1.0

    def wait(self, n_failed: int, retry_after: float | None) -> float:
        """Seconds to wait after ``n_failed`` failures; a random part keeps clients that failed together from retrying together."""
        doubled = min(self.first_wait * 2.0 ** (n_failed - 1), self.longest_wait)
        return max(doubled * random.uniform(0.75, 1.0), retry_after or 0.0)


def retry_after(value: str | None, now: float) -> float | None:
    """Seconds of a ``Retry-After`` header, which holds seconds or a date.

    >>> retry_after("7", 0.0), retry_after("Thu, 01 Jan 1970 00:01:00 GMT", 15.0), retry_after("soon", 0.0)
    (7.0, 45.0, None)
    """
    if not value:
        return None
    try:
        return max(float(value), 0.0) if value.strip().replace(".", "", 1).isdigit() else _until(value, now)
    except (ValueError, TypeError, OverflowError):
        return None


def _until(value: str, now: float) -> float:
    return max(parsedate_to_datetime(value).timestamp() - now, 0.0)


class Pace:
    """Spaces the requests of all threads, so that they are no faster than the exchange allows.

    Waiting ends early when the fetch is stopped.
    """

    def __init__(self, scale: float) -> None:
        self.stopped = Stop()
        self._scale = scale
        self._lock = threading.Lock()
        self._free = 0.0

    def turn(self, seconds: float) -> None:
        """Wait for a turn; the next turn begins ``seconds`` later."""
        with self._lock:
            now = time.monotonic()
            start = max(now, self._free)
            self._free = start + seconds * self._scale
        self._sleep(start - now)

    def hold(self, seconds: float) -> None:
        """Let all threads wait: the exchange counts requests by address, not by thread."""
        with self._lock:
            self._free = max(self._free, time.monotonic() + seconds * self._scale)

    def rest(self, seconds: float) -> None:
        """Let only this thread wait."""
        self._sleep(seconds * self._scale)

    def _sleep(self, seconds: float) -> None:
        if self.stopped.wait(seconds) if seconds > 0 else self.stopped.is_set():
            raise Stopped("the fetch was stopped; what has arrived is kept")
