"""Format of numbers on a page; all values become text here.

Inputs are fractions; outputs are percent or basis points. A value that is not known (None, NaN) is an en dash.
"""

import json
import math
from collections.abc import Callable, Sequence

DASH = "–"
UNIT_SPACE = "\u202f"
SHARES = ("share", "rate", "fraction", "recall", "precision", "coverage")


def known(value: object) -> bool:
    """Whether a value is known: not None, NaN or infinite."""
    return value is not None and not (isinstance(value, float) and not math.isfinite(value))


def _spell(value: float | None, spec: str, unit: str = "") -> str:
    if value is None or not math.isfinite(value):
        return DASH
    written = format(value, spec)
    if written.startswith("-"):
        # A negative value that rounds to zero is printed without a sign.
        written = "−" + written[1:] if any(digit in written for digit in "123456789") else written[1:]
    return written + unit


def percent(value: float | None, digits: int = 1) -> str:
    """A fraction as percent.

    >>> percent(0.448), percent(None)
    ('44.8\u202f%', '–')
    """
    return _spell(None if value is None else 100 * value, f",.{digits}f", UNIT_SPACE + "%")


def ratio(value: float | None) -> str:
    """A ratio, or a number of that size, with two decimals.

    >>> ratio(1.274)
    '1.27'
    """
    return _spell(value, ",.2f")


def bps(value: float | None) -> str:
    """A log move in basis points, without the unit.

    >>> bps(0.01234)
    '123.4'
    """
    return _spell(None if value is None else 1e4 * value, ",.1f")


def p_value(value: float | None) -> str:
    """A p or q value with three decimals.

    >>> p_value(0.00004), p_value(0.04)
    ('< 0.001', '0.040')
    """
    if value is not None and 0 <= value < 0.001:
        return "< 0.001"
    return _spell(value, ".3f")


def count(value: float | None) -> str:
    """A count, with a comma between thousands.

    >>> count(20_000)
    '20,000'
    """
    return _spell(value, ",.0f")


def counted(n: int, what: str) -> str:
    """A count with the noun, in singular or plural.

    >>> counted(1, "gap"), counted(2_000, "bar")
    ('1 gap', '2,000 bars')
    """
    return f"{count(n)} {what}{'' if n == 1 else 's'}"


def number(value: float | None) -> str:
    """Any other number, four significant digits.

    >>> number(0.123456), number(12)
    ('0.1235', '12')
    """
    return _spell(value, ",.4g")


def seconds(value: float | None) -> str:
    """A running time.

    >>> seconds(0.214), seconds(75)
    ('0.21\u202fs', '75.0\u202fs')
    """
    digits = 2 if value is not None and value < 10 else 1
    return _spell(value, f",.{digits}f", UNIT_SPACE + "s")


def moment(time: str | None) -> str:
    """A point in time to the minute; to the second if it has seconds, to the day if it is midnight.

    >>> moment("2024-01-31T12:30:00.000000"), moment("2024-01-31T12:30:20"), moment("2024-01-31T00:00"), moment(None)
    ('2024-01-31 12:30', '2024-01-31 12:30:20', '2024-01-31', '–')
    """
    if time is None:
        return DASH
    whole_minute = time[16:19] in ("", ":00")
    return time[: 16 if whole_minute else 19].replace("T", " ").removesuffix(" 00:00")


def digest(value: str | None) -> str:
    """The first twelve characters of a hash, enough to distinguish data sets.

    >>> digest("9f2c41d07be85a3316ad")
    '9f2c41d07be8'
    """
    return DASH if value is None else value[:12]


def price(value: float | None, digits: int | None = None) -> str:
    """A price, five significant digits, large ones without decimals; or with ``digits`` decimals.

    >>> price(64_123.456), price(0.0000123456), price(64_000, 2)
    ('64,123', '0.000012346', '64,000.00')
    """
    if value is None or not math.isfinite(value) or value <= 0:
        return DASH
    if digits is None:
        digits = max(4 - math.floor(math.log10(value)), 0)
    return _spell(value, f",.{digits}f")


def interval(bounds: Sequence[float | None] | None, write: Callable[[float | None], str] = ratio) -> str:
    """An interval, each bound written by `write`.

    >>> interval([1.051, 1.518])
    '[1.05, 1.52]'
    """
    if bounds is None or not any(known(bound) for bound in bounds):
        return DASH
    return "[" + ", ".join(write(bound) for bound in bounds) + "]"


def quantity(name: str, value: object) -> str:
    """A value formatted by its name, for tables of quality counts or detection measures.

    >>> quantity("event_recall", 0.83), quantity("n_bars", 20_000.0)
    ('83.0\u202f%', '20,000')
    """
    if not known(value):
        return DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return interval(value, lambda bound: quantity(name, bound))
    if not isinstance(value, int | float):
        return str(value)
    if any(word in name.lower().split("_") for word in SHARES):
        return percent(value)
    return count(value) if float(value).is_integer() else number(value)


def literal(value: object) -> str:
    """A configuration value with all its digits.

    >>> literal(["BTC/USDT", 0.0005, True])
    'BTC/USDT, 0.0005, true'
    """
    if not known(value):
        return DASH
    if isinstance(value, list | tuple):
        return ", ".join(literal(part) for part in value) or DASH
    return value if isinstance(value, str) else json.dumps(value)
