"""The times of the rows of a panel: known, and each after the one before."""

from __future__ import annotations

from datetime import timedelta

import numpy as np

from foreshock.data.checks import check_span, check_times
from foreshock.data.errors import DataError


def rising_times(name: str, value: object) -> np.ndarray:
    """Times as ``datetime64``; refuses one that is not known, and rows that are not in order of time or twice there.

    >>> rising_times("time", np.array(["2024-01-02", "2024-01-01"], "M8[D]"))
    Traceback (most recent call last):
    ...
    foreshock.data.errors.DataError: time must rise from row to row, got 2024-01-02 followed by 2024-01-01 ...
    """
    check_times(name, value)
    times = value if isinstance(value, np.ndarray) and value.dtype.kind == "M" else np.asarray(value, dtype="datetime64[us]")
    # NaT compares false.
    wrong = ~(times[1:] > times[:-1])
    if wrong.any() or (len(times) == 1 and np.isnat(times[0])):
        row = int(np.argmax(wrong)) + 1 if wrong.any() else 0
        if np.isnat(times).any():
            raise DataError(f"{name} must be known in every row, got NaT in row {int(np.argmax(np.isnat(times)))}; remove that row")
        got = f"{times[row - 1]} followed by {times[row]} in row {row}"
        raise DataError(f"{name} must rise from row to row, got {got}; sort the rows, each time once")
    return times


def check_step(name: str, value: object) -> None:
    """Refuse what is no length of a row.

    >>> check_step("interval", np.timedelta64(0, "s"))
    Traceback (most recent call last):
    ...
    foreshock.data.errors.DataError: interval must be longer than nothing, got 0 seconds; such as np.timedelta64(1, 'h')
    """
    check_span(name, value)
    # NaT is not longer either.
    if isinstance(value, timedelta | np.timedelta64) and not np.timedelta64(value) > np.timedelta64(0):
        raise DataError(f"{name} must be longer than nothing, got {value}; such as np.timedelta64(1, 'h')")
