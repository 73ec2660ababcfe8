"""The command line: it parses, calls, prints, and turns errors into exit codes."""

from __future__ import annotations

import re
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Annotated, NoReturn

import typer

from foreshock.cli.beginning import init
from foreshock.cli.benchmark import benchmark_verbs
from foreshock.cli.cases import scan
from foreshock.cli.factors import factors
from foreshock.cli.fetch import fetch
from foreshock.cli.files import clean, denoise, windows
from foreshock.cli.gallery import gallery
from foreshock.cli.ledger import ledger_verbs
from foreshock.cli.store import store_verbs
from foreshock.cli.study import audit, compare, demo, eda, run, scenarios
from foreshock.data.errors import ConfigError, ForeshockError
from foreshock.terminal import printable

INTERRUPTED = "interrupted; files that were already written are unchanged"
ENDED = "ended by SIGTERM; files that were already written are unchanged"
# Numbers of signals by which the process was asked to end.
_asked: list[int] = []

app = typer.Typer(
    help="Is the anomaly a foreshock, or only an aftershock? Backtests and validates crypto-market anomaly detectors.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
# The order here is the order of --help.
for verb in (demo, init, run, scan, audit, fetch, compare, eda, scenarios, factors, gallery, clean, windows, denoise):
    app.command()(verb)
app.add_typer(ledger_verbs, name="ledger")
app.add_typer(store_verbs, name="store")
app.add_typer(benchmark_verbs, name="benchmark")


def _print_version(wanted: bool) -> None:
    if wanted:
        from foreshock import __version__

        typer.echo(f"foreshock {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    # The help text of the command line is in `app`, not here.
    pass


@app.command()
def detectors(
    names: Annotated[bool, typer.Option("--names", help="Print only the names, without importing any detector.")] = False,
) -> None:
    """List the registered detectors, what they do, and their parameters."""
    from foreshock.data.plugins.contract import called
    from foreshock.detectors.registry import DETECTORS, detector_class

    if names:
        typer.echo("\n".join(DETECTORS.names()))
        return
    for name in DETECTORS.names():
        try:
            cls = detector_class(name)
            defaults = called(name, "__init__", partial(DETECTORS.defaults, cls))
        except ConfigError as error:
            # A broken package of somebody's must not hide the others.
            typer.echo(f"{name}\n    {printable(str(error))}")
            continue
        params = ", ".join(f"{key}={value!r}" for key, value in defaults.items())
        typer.echo(f"{name}({params})\n    {_plain((cls.__doc__ or '').strip().partition(chr(10))[0])}")


def _plain(docstring: str) -> str:
    """A line of a docstring without its markup: references to papers and the marks of code."""
    return re.sub(r" \[\d+\]_", "", docstring).replace("``", "")


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the command line; the arguments are those of the process by default."""
    try:
        with _ending_cleanly():
            app(args=arguments, prog_name="foreshock")
    except ForeshockError as error:
        _fail(str(error), error.exit_code)
    except (KeyboardInterrupt, SystemError) as error:
        if not _is_interrupt(error):
            raise
        _stop()
    except SystemExit as stop:
        # typer turns an interrupt of a command into exit code 130, without a message.
        if stop.code == 130:
            _stop()
        raise
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        _fail(f"{error.strerror or error}{where}; check the path, its permissions and the free space", 3)


@contextmanager
def _ending_cleanly() -> Iterator[None]:
    """Treat SIGTERM as an interrupt, so that locks are let go, halves of files removed and processes ended."""
    _asked.clear()
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(number: int, _frame: object) -> None:
        _asked.append(number)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _stop() -> NoReturn:
    """End after an interrupt, and say what is kept."""
    if not _asked:
        _fail(INTERRUPTED, 130)
    from foreshock.data.system.cache import usual_cache

    kept = "; fits and forecasts are kept in the cache: run again, and it goes on from there" if usual_cache().folder else ""
    _fail(ENDED + kept, 143)


def _is_interrupt(error: BaseException | None) -> bool:
    """Whether an error is an interrupt: numba turns one inside a kernel into a SystemError, often into two that are chained."""
    while isinstance(error, SystemError):
        error = error.__cause__ or error.__context__
    return isinstance(error, KeyboardInterrupt)


def _fail(message: str, exit_code: int) -> NoReturn:
    # Names and values in a message come from the user's files: they must not start a new line or control the terminal.
    print("error:", printable(message), file=sys.stderr)  # noqa: T201
    sys.exit(exit_code)


if __name__ == "__main__":
    main()
