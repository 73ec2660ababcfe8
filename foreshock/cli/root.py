"""The command line: it parses, calls, prints, and turns errors into exit codes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import Annotated

import typer

from foreshock.cli.beginning import init
from foreshock.cli.benchmark import benchmark_verbs
from foreshock.cli.cases import scan
from foreshock.cli.ending import ending_cleanly, fail, fail_by_fault, fail_by_system, is_interrupt, open_streams, stop
from foreshock.cli.factors import factors
from foreshock.cli.fetch import fetch
from foreshock.cli.files import clean, denoise, windows
from foreshock.cli.gallery import gallery
from foreshock.cli.ledger import ledger_verbs
from foreshock.cli.store import store_verbs
from foreshock.cli.study import audit, compare, demo, eda, run, scenarios
from foreshock.data.errors import ConfigError, ForeshockError
from foreshock.terminal import printable

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
        with ending_cleanly():
            _run(arguments)
    except KeyboardInterrupt:
        # One that came while another error was told.
        stop()


def _run(arguments: Sequence[str] | None) -> None:
    try:
        with open_streams():
            app(args=arguments, prog_name="foreshock")
    except ForeshockError as error:
        fail(str(error), error.exit_code)
    except SystemExit as end:
        # typer turns an interrupt of a command into exit code 130, without a message, and a closed pipe into 1.
        if end.code == 130:
            stop()
        if isinstance(end.__context__, OSError):
            fail_by_system(end.__context__)
        raise
    except OSError as error:
        fail_by_system(error)
    except MemoryError:
        fail("there is not enough memory; pass fewer symbols or a shorter history", 3)
    except BaseException as error:
        if is_interrupt(error):
            stop()
        fail_by_fault(error)


if __name__ == "__main__":
    main()
