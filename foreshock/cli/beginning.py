"""``foreshock init``: a study file with comments, whose lengths fit the source and its history."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foreshock.data.errors import ConfigError, DataError
from foreshock.terminal import printable

if TYPE_CHECKING:
    import numpy as np

SOURCES = {"bars": "bars", "trades": "windows", "book": "book"}
# Lengths that a person would choose, in seconds with their names.
NICE = (
    *((k, f"{k}s") for k in (5, 10, 20, 30)),
    *((60 * k, f"{k}m") for k in (1, 2, 5, 10, 15, 30)),
    *((3_600 * k, f"{k}h") for k in (1, 2, 3, 6, 12)),
    *((86_400 * k, f"{k}D") for k in (1, 2, 4, 7, 14, 30, 60, 90, 180, 365)),
)
# Interval and length of a history, in seconds, that is not there to be looked at.
USUAL = {"bars": (3_600, 4 * 365 * 86_400), "trades": (20, 30 * 86_400), "book": (5, 2 * 86_400)}
DETECTORS = {
    "bars": ("zscore", "mad", "isolation_forest", "pca", "kmeans_regime"),
    "trades": ("zscore", "isolation_forest", "joint_tail", "kmeans_regime"),
    "book": ("zscore", "isolation_forest", "pca", "kmeans_regime"),
}
HORIZONS = {"bars": (1, 6, 24), "trades": (3, 15, 90), "book": (12, 60, 180)}
# A fit needs this many rows, and the z-score the 168 rows before each.
LEAST_TRAIN = 400


def init(
    out: Annotated[Path, typer.Argument(metavar="STUDY.toml", help="File to write; it must not exist.")] = Path("study.toml"),
    source: Annotated[str, typer.Option(help="What the study runs on: bars, trades or book.")] = "bars",
    data: Annotated[Path | None, typer.Option("--data", help="The data; the lengths in the file then fit them.")] = None,
) -> None:
    """Write a study file with comments: splits, horizons, threshold window and embargo fit the source and its length."""
    if source not in SOURCES:
        raise ConfigError(f"--source must be one of {', '.join(SOURCES)}, got {source}")
    if out.exists():
        raise ConfigError(f"{out} exists and is not overwritten; pass another name")
    step, length = USUAL[source]
    if data is not None:
        found = _history(source, data)
        step, length = int(found[0].astype("m8[s]").astype(int)), int(found[1].astype("m8[s]").astype(int))
    # A study file names its data as seen from its own folder.
    seen = data if data is None or data.is_absolute() else Path(os.path.relpath(data, out.parent))
    text = study_text(source, max(step, 1), length, seen)
    from foreshock.data.system.disk import write_whole

    write_whole(out, text.encode())
    typer.echo(printable(f"{out}: run it with foreshock run {out}" + ("" if data is not None else " --data PATH")))


def study_text(source: str, step: int, length: int, data: Path | None = None) -> str:
    """The study file for a history of ``length`` seconds in rows of ``step`` seconds.

    Raises
    ------
    DataError
        If the history is too short for two blocks of training and test.
    """

    # An odd bar length is told in its own multiples.
    def nice(seconds: float, least: int) -> str:
        return next((name for size, name in reversed(NICE) if least <= size <= seconds and size % step == 0), _spelled(least))

    rows = length // step
    horizons = [_spelled(k * step) for k in HORIZONS[source]]
    longest = HORIZONS[source][-1]
    least = LEAST_TRAIN * step
    if rows < (needed := 3 * LEAST_TRAIN + 2 * longest):
        raise DataError(
            f"the history has {rows:,} rows of {_spelled(step)}, and lengths that fit need about {needed:,}; pass more, or leave "
            f"--data out and set the lengths in the file by hand"
        )
    train = nice(min(length / 3, 365 * 86_400), least)
    test, window = nice(length / 12, longest * step), nice(length / 8, 100 * step)
    embargo = nice(min(length / 50, 2 * 86_400), longest * step)
    names = ", ".join(f'"{name}"' for name in DETECTORS[source])
    # A text of JSON is one of TOML.
    path = f"path = {json.dumps(str(data))}" if data is not None else '# path = "..."'
    interval = _spelled(step)
    about = {"trades": "Trades of one market or several, in a file or a folder", "book": "Snapshots of an order book"}
    section = f'[source]\nkind = "{SOURCES[source]}"\n{path}\ninterval = "{interval}"'
    what = f"[data]\n{path}" if source == "bars" else f"# {about[source]}.\n{section}"
    return f"""\
# foreshock run STUDY.toml{"" if data is not None else " --data PATH"}
title = "What comes after the alerts of {len(DETECTORS[source])} detectors"

# How long after an alert moves are measured.
horizons = [{", ".join(f'"{one}"' for one in horizons)}]
# foreshock detectors lists them all; {{ name = "zscore", window = 24 }} sets parameters, "mine.py:Mine" names your own.
detectors = [{names}]

# A last part that nothing sees before run --open: sealed = 0.2

{what}

# Each test block is scored by detectors that are fitted on the block before it.
[splits]
train = "{train}"
test = "{test}"
# Rows left out between the two, beside the longest horizon and look-back.
embargo = "{embargo}"

# An alert is a score above the q-quantile of the scores in the window before it.
[threshold]
kind = "rolling_quantile"
q = 0.99
window = "{window}"

[costs]
taker = 5e-4
slippage = 2e-4

# The strategy that stands aside after an alert.
[avoidance]
hold = "{horizons[-1]}"
rebalance = "{nice(86_400, 10 * step)}"
random_draws = 200
"""


def _spelled(seconds: int) -> str:
    for size, unit in ((86_400, "D"), (3_600, "h"), (60, "m")):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _history(source: str, data: Path) -> tuple[np.timedelta64, np.timedelta64]:
    """Interval and length of the data; those of trades are 20 seconds and the rows that windows of them have."""
    import numpy as np

    from foreshock.data.files import read_bars
    from foreshock.engine.sources.source import Source
    from foreshock.market.sources import open_source
    from foreshock.study.config import parse_study

    if source == "bars":
        bars = read_bars(data)
        return bars.interval, bars.n_bars * bars.interval
    wanted = {"kind": SOURCES[source], "path": str(data.resolve())} | ({"interval": "20s"} if source == "trades" else {})
    found = open_source(parse_study({"detectors": ["zscore"], "source": wanted}), str(data), Path())
    bars = found.bars if isinstance(found, Source) else found
    return bars.interval, np.timedelta64(int(bars.n_bars), "s") * int(bars.interval / np.timedelta64(1, "s"))
