"""One list of odd values for every argument of every public name."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from tests.samples import samples

HOUR = np.timedelta64(1, "h")
OTHERS = ("Bars", "Features", "Scores", "Signals", "BacktestResult", "Trades", "Book", "WalkForward", "Costs", "StudyResult")


class Anything:
    """An object that nothing is known of, whose text is long."""

    def __repr__(self) -> str:
        return "<anything>" * 10_000


@functools.cache
def oddities() -> dict[str, Any]:
    """By name: wrong types, shapes, kinds and ranges, what is not known, and public objects in the wrong place."""
    found = samples()
    rows = pd.DatetimeIndex(found["Bars"].time)
    return {
        "None": None,
        "True": True,
        "zero": 0,
        "minus one": -1,
        "seven": 7,
        "huge": 10**30,
        "minus huge": -(10**30),
        "a billion": 10**9,
        "half": 0.5,
        "minus half": -0.5,
        "two and a half": 2.5,
        "nan": float("nan"),
        "inf": float("inf"),
        "minus inf": -float("inf"),
        "1e308": 1e308,
        "numpy nan": np.float64("nan"),
        "complex": 1j,
        "empty text": "",
        "word": "words",
        "long text": "<b>\n" + "x" * 100_000,
        "nul": "a\0b",
        "bytes": b"bytes",
        "duration": "1h",
        "minus duration": "-1h",
        "no duration": "0s",
        "date": "2024-01-01",
        "NaT": "NaT",
        "timedelta": -HOUR,
        "timedelta NaT": np.timedelta64("NaT"),
        "datetime NaT": np.datetime64("NaT"),
        "datetime": datetime(2024, 1, 1),
        "empty list": [],
        "list": [1, 2],
        "list of None": [None],
        "list twice": ["a", "a"],
        "list mixed": ["a", 1],
        "list ragged": [[1], [2, 3]],
        "empty tuple": (),
        "empty dict": {},
        "dict": {"a": 1},
        "dict of odd keys": {1: float("nan"), None: "b"},
        "set": {"a", "b"},
        "range": range(3),
        "empty array": np.array([]),
        "no rows": np.zeros((0, 2)),
        "unknown array": np.full(3, np.nan),
        "matrix": np.arange(12.0).reshape(3, 4),
        "cube": np.ones((2, 2, 2)),
        "scalar array": np.array(3.0),
        "huge array": np.full((600, 2), 10**18),
        "object array": np.array([object(), None], dtype=object),
        "text array": np.array(["a", "b"]),
        "time array": np.array(["2024-01-01", "NaT"], dtype="M8[us]"),
        "complex array": np.ones(3, dtype=complex),
        "mask": np.ones(5, dtype=bool),
        "empty frame": pd.DataFrame(),
        "frame": pd.DataFrame({"a": [1.0, None], 2: ["x", "y"]}),
        "frame in reverse": pd.DataFrame({"A": np.arange(600.0), "B": 1.0}, rows[::-1]),
        "series": pd.Series([1.0, 2.0], index=["a", "a"]),
        "generator": (i for i in range(3)),
        "function": lambda: None,
        "function of all": lambda *_, **__: None,
        "class": Anything,
        "module": np,
        "slice": slice(5, None, -1),
        "anything": Anything(),
    } | {name: found[name] for name in OTHERS}


def variants(value: Any) -> Iterator[tuple[str, Any]]:
    """A right value with its contents made odd."""
    if isinstance(value, np.ndarray) and value.ndim:
        yield "no rows of it", value[:0]
        yield "one row of it", value[:1]
        yield "in reverse", value[::-1]
        yield "one axis more", value[..., None]
        yield "turned", value.T
        yield "as a list", value.tolist()
        yield "as text", value.astype(str)
        yield "as objects", value.astype(object)
        if value.dtype.kind in "biuf":
            numbers = value.astype(float)
            yield "all unknown", np.full(value.shape, np.nan)
            yield "one unknown", np.where(np.arange(value.size).reshape(value.shape) == 0, np.nan, numbers)
            yield "one infinite", np.where(np.arange(value.size).reshape(value.shape) == 0, np.inf, numbers)
            yield "all zero", np.zeros(value.shape)
            yield "all the same", np.full(value.shape, 3.0)
            yield "very large", numbers * 1e300
            yield "very small", numbers * 1e-300
            yield "negative", -numbers
    elif isinstance(value, pd.DataFrame | pd.Series):
        yield "no rows of it", value.iloc[:0]
        yield "in reverse", value.iloc[::-1]
        yield "twice", pd.concat([value, value])
        yield "as text", value.astype(str)
        yield "all unknown", value.astype(object).where(np.zeros(value.shape, dtype=bool))
        if isinstance(value, pd.DataFrame):
            yield "no columns of it", value.iloc[:, :0]
            yield "columns twice", pd.concat([value, value], axis=1)
    elif isinstance(value, dict) and value:
        yield "one more", value | {"more": None}
        yield "keys of numbers", dict(enumerate(value.values()))
        for name, odd in (("None", None), ("nan", float("nan")), ("text", "words"), ("list", []), ("array", np.ones(3))):
            yield f"each {name}", dict.fromkeys(value, odd)
    elif isinstance(value, list | tuple) and value:
        kind = type(value)
        yield "twice", kind([*value, *value])
        yield "one None", kind([*value, None])
        yield "one nan", kind([*value, float("nan")])
        yield "each text", kind("words" for _ in value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield "as text", str(value)
        yield "negative", -value
        yield "as an array", np.array([value])
    elif isinstance(value, str):
        yield "with blanks", f" {value} "
        yield "upper case", value.upper()
        yield "in a list", [value]
