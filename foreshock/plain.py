"""Parts shared by all results files: conversion to JSON types, the bars used, and package versions."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np

from foreshock.data.bars import Bars
from foreshock.data.interval import format_duration
from foreshock.version import __version__

PACKAGES = ("numpy", "pandas", "numba", "scikit-learn", "scipy", "torch", "vectorbt")


def plain(value: Any) -> Any:
    """Convert a value to JSON types: NaN and infinity become None, tuples and arrays become lists."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(item) for item in value]
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return value if value is None else str(value)


def bars_section(bars: Bars) -> dict[str, Any]:
    """Fingerprint, symbols, range and interval of the bars used."""
    return {
        "hash": bars.fingerprint(),
        "symbols": list(bars.symbols),
        "start": str(bars.time[0]),
        "end": str(bars.time[-1]),
        "interval": format_duration(bars.interval),
        "n_bars": bars.n_bars,
    }


def versions() -> dict[str, str]:
    return {"foreshock": __version__, "python": platform.python_version(), **{name: version(name) for name in PACKAGES}}
