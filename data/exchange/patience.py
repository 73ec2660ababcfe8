"""How long to wait for an exchange, and how fast to ask it."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from foreshock.data.errors import ExchangeError


class Stopped(ExchangeError):
    """Another part of the same fetch has failed, or whoever asked has gone."""


@dataclass(frozen=True)
class Patience:
    """When to ask again, and when to give up.

    Parameters
    ----------
    attempts : int
        Answers to one question that may fail before it is given up.
    first_attempts : int
        The same as long as the exchange has never answered: there may be no network at all.
    blocked_attempts : int
        Times that an exchange may say that it does not serve this place (HTTP 451, 403).
    first_wait, longest_wait : float
        Seconds before the second attempt, which double with every failure, and their most. ``Retry-After`` goes before both.
    longest_ban : float
        Seconds of ``Retry-After`` that are still waited for.
    timeout : float
        Seconds without an answer.
    scale : float
        All waits are multiplied by this, and the time between requests; for tests.
    """

    attempts: int = 10
    first_attempts: int = 5
    blocked_attempts: int = 4
    first_wait: float = 1.0
    longest_wait: float = 60.0
    longest_ban: float = 900.0
    timeout: float = 20.0
    scale: float = 1.0

    def wait(self, n_failed: int, retry_after: float | None) -> float:
        """Seconds to wait after that many failures, partly by chance, so that those who failed together do not come together."""
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
    """Requests of all threads, one after another, no faster than the exchange allows.

    Waiting ends early when the fetch is stopped.
    """

    def __init__(self, scale: float) -> None:
        self.stopped = threading.Event()
        self._scale = scale
        self._lock = threading.Lock()
        self._free = 0.0

    def turn(self, seconds: float) -> None:
        """Wait for one's turn, which lasts so many seconds."""
        with self._lock:
            now = time.monotonic()
            start = max(now, self._free)
            self._free = start + seconds * self._scale
        self._sleep(start - now)

    def hold(self, seconds: float) -> None:
        """Let nobody ask for so long: it is the address that has asked too often, not the thread."""
        with self._lock:
            self._free = max(self._free, time.monotonic() + seconds * self._scale)

    def rest(self, seconds: float) -> None:
        """Wait, alone."""
        self._sleep(seconds * self._scale)

    def _sleep(self, seconds: float) -> None:
        if self.stopped.wait(seconds) if seconds > 0 else self.stopped.is_set():
            raise Stopped("the fetch was stopped; what has arrived is kept")
