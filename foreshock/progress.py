"""Progress bars on standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic


@contextmanager
def progress_bar(total: int, shown: bool) -> Iterator[Callable[[str], None]]:
    """Yield a function that takes the name of a finished step and advances the bar by one; without a bar if not ``shown``."""
    if not shown:
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description:<34}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    # rich would write a blank line to a file or a pipe.
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("starting", total=total)
        yield lambda done: bar.update(task, advance=1, description=done)


@contextmanager
def fetch_bar(total_ms: int, shown: bool) -> Iterator[Callable[[str, int, int], None]]:
    """Yield a function that takes a symbol, rows and milliseconds of history just fetched; the bar shows rate and time left."""
    if not shown:
        yield lambda _symbol, _rows, _ms: None
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
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("starting", total=total_ms, rows=0, rate=0.0)
        begun, n_rows = monotonic(), 0

        def step(symbol: str, rows: int, ms: int) -> None:
            nonlocal n_rows
            n_rows += rows
            rate = n_rows / max(monotonic() - begun, 1e-3)
            bar.update(task, advance=ms, description=symbol, rows=n_rows, rate=rate)

        yield step
