"""Progress on standard error: a bar in a terminal, a line a minute elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import Event, Thread
from time import monotonic

from foreshock.data.show.shown import one_line

# Seconds from line to line where there is no terminal.
EVERY = 60.0


@contextmanager
def progress_bar(total: int, shown: bool) -> Iterator[Callable[[str], None]]:
    """Yield a function that takes the name of a finished step and advances the bar by one; without a bar if not ``shown``.

    Where standard error is no terminal, a line a minute says how far it is.
    """
    if not shown:
        yield lambda _: None
        return
    if not sys.stderr.isatty():
        with _lines(lambda done, name: f"{done:,} of {total:,} steps, the last: {name}") as step:
            yield lambda name: step(1, name)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description:<34}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=total)
        yield lambda done: bar.update(task, advance=1, description=done)


@contextmanager
def _lines(said: Callable[[int, str], str]) -> Iterator[Callable[[int, str], None]]:
    """Yield a function that takes what was done and its name; a line a minute says the sum, during long steps too."""
    begun, over = monotonic(), Event()
    done, name = 0, "none yet"

    def step(more: int, of: str) -> None:
        nonlocal done, name
        done, name = done + more, of

    def write() -> None:
        while not over.wait(EVERY):
            took = timedelta(seconds=round(monotonic() - begun))
            print(f"{took}: {one_line(said(done, name), 200)}", file=sys.stderr, flush=True)  # noqa: T201

    writer = Thread(target=write, daemon=True)
    writer.start()
    try:
        yield step
    finally:
        over.set()
        writer.join()


@contextmanager
def fetch_bar(total_ms: int, shown: bool) -> Iterator[Callable[[str, int, int], None]]:
    """Yield a function that takes a symbol, rows and milliseconds of history just fetched; the bar shows rate and time left."""
    if not shown:
        yield lambda _symbol, _rows, _ms: None
        return
    if not sys.stderr.isatty():
        n_fetched = 0

        def fetched(symbol: str, rows: int, ms: int) -> None:
            nonlocal n_fetched
            n_fetched += rows
            advance(ms, symbol)

        with _lines(lambda done, symbol: f"{done / total_ms:.0%} fetched, {n_fetched:,} rows, now {symbol}") as advance:
            yield fetched
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description:<34}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rows]:>12,} rows {task.fields[rate]:>9,.0f}/s"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=total_ms, rows=0, rate=0.0)
        begun, n_rows = monotonic(), 0

        def step(symbol: str, rows: int, ms: int) -> None:
            nonlocal n_rows
            n_rows += rows
            rate = n_rows / max(monotonic() - begun, 1e-3)
            bar.update(task, advance=ms, description=symbol, rows=n_rows, rate=rate)

        yield step
