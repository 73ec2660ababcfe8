"""Numbers that are dates written without marks, such as 2024013114, and that would be read as epochs."""

from __future__ import annotations

import numpy as np

from foreshock.data.reading.clock import latest_time

# The digits of each form from the last to the first: a part of a date, and how many digits it has.
FORMS = {
    "YYYYMMDDHH": (("hour", 2), ("day", 2), ("month", 2), ("year", 4)),
    "YYMMDDHHMM": (("minute", 2), ("hour", 2), ("day", 2), ("month", 2), ("short year", 2)),
    "DDMMYYYYHH": (("hour", 2), ("year", 4), ("month", 2), ("day", 2)),
    "MMDDYYYYHH": (("hour", 2), ("year", 4), ("day", 2), ("month", 2)),
    "YYYYMMDD": (("day", 2), ("month", 2), ("year", 4)),
    "YYYYMMDDHHMM": (("minute", 2), ("hour", 2), ("day", 2), ("month", 2), ("year", 4)),
    "YYMMDDHHMMSS": (("second", 2), ("minute", 2), ("hour", 2), ("day", 2), ("month", 2), ("short year", 2)),
    "YYYYMMDDHHMMSS": (("second", 2), ("minute", 2), ("hour", 2), ("day", 2), ("month", 2), ("year", 4)),
    "YYYYMMDDHHMMSSmmm": (("milli", 3), ("second", 2), ("minute", 2), ("hour", 2), ("day", 2), ("month", 2), ("year", 4)),
}
BOUNDS = {
    "year": (1990, 9999),
    "short year": (0, 99),
    "month": (1, 12),
    "day": (1, 31),
    "hour": (0, 23),
    "minute": (0, 59),
    "second": (0, 59),
    "milli": (0, 999),
}


def date_form(values: np.ndarray) -> str | None:
    """The form, or forms, in which every one of several different whole numbers is a date; none if there is no such form.

    Epochs of bars or trades are dates in a form only by chance: of the seconds between 2000 and 2100 one in two hundred is, and a
    run of them is not one for longer than a minute.

    >>> date_form(np.array([2024010122, 2024010123, 2024010200])), date_form(np.array([1704067200, 1704070800]))
    ('YYYYMMDDHH', None)
    """
    if values.dtype.kind == "f":
        if not (np.isfinite(values) & (np.abs(values) < 2.0**62) & (values == np.round(values))).all():
            return None
        values = values.astype(np.int64)
    if len(values) < 2 or values.min() < 0 or values.min() == values.max():
        return None
    latest = int(str(latest_time())[:4])
    # Most tables are told by their first rows.
    possible = [form for form, parts in FORMS.items() if _fits(values[:1_000], parts, latest)]
    return " or ".join(form for form in possible if _fits(values, FORMS[form], latest)) or None


def _fits(values: np.ndarray, parts: tuple[tuple[str, int], ...], latest: int) -> bool:
    """Whether all values are dates in the form, of years until ``latest``."""
    rest = values
    for name, n_digits in parts:
        rest, digits = np.divmod(rest, 10**n_digits)
        low, high = BOUNDS[name]
        high = min(high, latest if name == "year" else latest - 2_000) if "year" in name else high
        if not ((digits >= low) & (digits <= high)).all():
            return False
    return not rest.any()
