"""A slow and obvious reader of bars, row by row in plain Python: the twin of the fast one in the differential test."""

import csv
import math
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pyarrow.feather
import pyarrow.parquet

TIMES = ("ts", "time", "timestamp", "date", "datetime", "open_time")
PRICES = ("open", "high", "low", "close")
UNKNOWN = {"", "NA", "NaN", "nan", "null", "NULL", "None", "N/A", "n/a", "<NA>"}
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?inf")


class RefusedError(Exception):
    """The table cannot be read in one way."""


def refuse(wrong: object) -> None:
    if wrong:
        raise RefusedError


def read(path: Path) -> dict[str, dict[tuple[str, int], float]]:
    """For each field and extra, the known values by symbol and time in us; and ``interval`` under ``("", 0)``."""
    if path.suffix == ".csv":
        header, rows = csv_rows(path)
    else:
        table = {".parquet": pyarrow.parquet.read_table, ".feather": pyarrow.feather.read_table}[path.suffix](path)
        header, rows = (
            table.column_names,
            [list(row) for row in zip(*(column.to_pylist() for column in table.columns), strict=True)],
        )
    names = [name.strip().lower() for name in header]
    refuse(len(set(names)) < len(names))
    time_name = next((name for name in TIMES if name in names), None)
    refuse(time_name is None or not {*PRICES, "volume"} <= set(names) or not rows)
    columns = {name: [row[at] for row in rows] for at, name in enumerate(names) if name}
    times = times_of(columns[time_name])
    symbols = [str(name).strip() if name is not None else "" for name in columns.get("symbol", [path.stem] * len(rows))]
    refuse("" in symbols)
    fields = {name: [number(value) for value in columns[name]] for name in (*PRICES, "volume")}
    typed = path.suffix != ".csv"
    extras = {name: extra(values, typed) for name, values in columns.items() if name not in (*PRICES, "volume", "symbol", *TIMES)}
    extras = {name: values for name, values in extras.items() if values is not None}
    by_symbol: dict[str, list[int]] = {}
    for symbol, time in zip(symbols, times, strict=True):
        by_symbol.setdefault(symbol, []).append(time)
    steps = Counter(b - a for own in by_symbol.values() for a, b in pairwise(own))
    refuse(not steps or min(steps) <= 0)
    step = min(size for size, count in steps.items() if count == max(steps.values()))
    refuse(any((time - min(times)) % step for time in times))
    for own in by_symbol.values():
        refuse(longer([(b - a) // step for a, b in pairwise(own)]))
    refuse(-min(times) % step in (1_000_000, 1_000, 1) and (-min(times) % step) * 10 <= step)
    check_values(fields, extras)
    out = {"interval": {("", 0): float(step)}}
    for name, values in {**fields, **extras}.items():
        out[name] = {
            (symbol, time): value for symbol, time, value in zip(symbols, times, values, strict=True) if not math.isnan(value)
        }
    return out


def csv_rows(path: Path) -> tuple[list[str], list[list[str]]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = [row for row in csv.reader(file) if row and not (len(row) == 1 and not row[0].strip())]
    refuse(not rows or any(len(row) != len(rows[0]) for row in rows))
    return rows[0], rows[1:]


def number(value: object) -> float:
    if value is None or (isinstance(value, str) and value in UNKNOWN):
        return math.nan
    refuse(isinstance(value, bool | datetime))
    if isinstance(value, str):
        refuse(not NUMBER.fullmatch(value.strip()))
    return float(value)  # type: ignore[arg-type]


def extra(values: list, typed: bool) -> list[float] | None:
    """The numbers of a further column, or none if it is one of text or times; a text without any word holds unknown numbers."""
    if typed and any(isinstance(value, str) for value in values):
        return None
    known = [value for value in values if value is not None and value not in UNKNOWN]
    if all(isinstance(value, str) for value in known):
        if known and {value.lower() for value in known} <= {"true", "false"}:
            return [math.nan if value in UNKNOWN else float(value.lower() == "true") for value in values]
        if not all(NUMBER.fullmatch(value) for value in known):
            return None
    if any(isinstance(value, datetime) for value in known):
        return None
    return [math.nan if value is None or value in UNKNOWN else float(value) for value in values]


def times_of(values: list) -> list[int]:
    refuse(any(value is None or value != value or (isinstance(value, str) and value.strip() in UNKNOWN) for value in values))  # noqa: PLR0124
    if all(isinstance(value, datetime) for value in values):
        found = [as_us(value) for value in values]
    elif all(isinstance(value, int | float) or re.fullmatch(r"\d+(\.\d+)?", value) for value in values):
        found = epochs([float(value) for value in values])
    else:
        refuse(not all(isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\d", value) for value in values))
        try:
            found = [as_us(datetime.fromisoformat(value)) for value in values]
        except ValueError as error:
            raise RefusedError from error
    refuse(max(found) > as_us(datetime.now(UTC) + timedelta(days=1)))
    return found


def as_us(moment: datetime) -> int:
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def epochs(values: list[float]) -> list[int]:
    largest = max(map(abs, values))
    per_second = next(scale for scale, most in ((1, 1e11), (10**3, 1e14), (10**6, 1e17), (10**9, math.inf)) if largest < most)
    refuse(any(not 946_684_800 <= value / per_second < 4_102_444_800 for value in values))
    if per_second == 1 and len(set(values)) > 1:
        for form in ("%Y%m%d%H", "%y%m%d%H%M"):
            refuse(all(dated(f"{int(value):010d}", form) for value in values))
    return [round(value * (10**6 / per_second)) for value in values]


def dated(text: str, form: str) -> bool:
    try:
        datetime.strptime(text, form)
    except ValueError:
        return False
    return True


def longer(counts: list[int]) -> bool:
    """Whether steps, counted in bars, are those of longer bars: all equal, or in runs that chance would not make."""
    n = len(counts)
    if n >= 3 and counts[0] > 1 and len(set(counts)) == 1:
        return True
    common = [
        size for size, _ in sorted(Counter(count for count in counts if count > 1).items(), key=lambda pair: (-pair[1], pair[0]))
    ]
    for size in common[:8]:
        chance = (1 - 1 / size) ** (size - 1) / size
        for fits, odds in ((lambda c, m=size: c == m, chance), (lambda c, m=size: c % m == 0, 1 / size)):
            run = best = 0
            for count in counts:
                run = run + 1 if fits(count) else 0
                best = max(best, run)
            if odds**best * 1e4 * n < 1:
                return True
    return False


def check_values(fields: dict[str, list[float]], extras: dict[str, list[float]]) -> None:
    for row in zip(*(fields[name] for name in (*PRICES, "volume")), strict=True):
        prices, volume = row[:4], row[4]
        unknown = [math.isnan(price) for price in prices]
        refuse(any(unknown) and not all(unknown))
        refuse(all(unknown) and not math.isnan(volume))
        refuse(any(price <= 0 for price in prices) or volume < 0 or any(math.isinf(value) for value in row))
    refuse(any(math.isinf(value) for values in extras.values() for value in values))
