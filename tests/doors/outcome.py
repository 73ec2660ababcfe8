"""What a call ends in: an answer, a sentence of foreshock, or a raw error."""

from __future__ import annotations

import inspect
import signal
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import foreshock as fs
from tests.paths import ROOT

LONGEST = 500


@dataclass(frozen=True)
class Outcome:
    """``kind`` is ``fine``, ``sentence``, ``raw``, ``long message``, ``object printed`` or ``slow``."""

    kind: str
    text: str = ""
    place: str = ""
    seconds: float = 0.0


class TooSlow(BaseException):
    """The call took too long."""


def _stop(*_: object) -> None:
    raise TooSlow


def outcome(function: Callable[..., Any], arguments: dict[str, Any], limit: float = 10.0) -> Outcome:
    """Call the function and say how it ended; a generator is asked for its first item."""
    begun = time.perf_counter()
    before = signal.signal(signal.SIGALRM, _stop)
    signal.setitimer(signal.ITIMER_REAL, limit)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = function(**arguments)
            if inspect.isgenerator(found):
                next(found, None)
        kind, text, place = "fine", "", ""
    except fs.ForeshockError as error:
        kind, text, place = _sentence(str(error)), str(error)[:200], ""
    except TooSlow as error:
        kind, text, place = "slow", "", _place(error)
    except BaseException as error:
        kind, text, place = "raw", f"{type(error).__name__}: {str(error)[:160]}", _place(error)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    return Outcome(kind, text, place, time.perf_counter() - begun)


def _sentence(text: str) -> str:
    if len(text) >= LONGEST:
        return "long message"
    return "object printed" if "<anything>" in text or " object at 0x" in text or "\n" in text else "sentence"


def _place(error: BaseException) -> str:
    """The last line of foreshock that the error went through."""
    frames = [
        f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith(str(ROOT)) and "/tests/" not in f.filename
    ]
    if not frames:
        return "?"
    last = frames[-1]
    return f"{last.filename.removeprefix(f'{ROOT}/')}:{last.lineno} {last.name}"
