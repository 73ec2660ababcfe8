"""The command line: it parses, calls, prints, and turns errors into exit codes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from data.errors import ConfigError, ForeshockError

if TYPE_CHECKING:
    from data.bars import Bars
    from foreshock.config import StudyConfig
    from foreshock.study import StudyResult

app = typer.Typer(
    help="Is the anomaly a foreshock, or only an aftershock? Backtests and validates crypto-market anomaly detectors.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

StudyFile = Annotated[Path, typer.Argument(metavar="STUDY.toml", help="The study; see examples/study.toml.")]
DataPath = Annotated[Path | None, typer.Option("--data", help="Bars, instead of data.path of the study.")]
OutDir = Annotated[Path, typer.Option("--out", help="Folder for report.html, results.json, scores.parquet, trades.parquet.")]


@app.callback()
def _root() -> None:
    # A callback keeps verbs as verbs, however many there are.
    pass


@app.command()
def demo(out: OutDir = Path("foreshock-out/demo"), seed: Annotated[int, typer.Option(help="Of the simulated market.")] = 7) -> None:
    """The whole job on a simulated market with planted events, offline."""
    _check_out(out)
    from foreshock.demo import demo_study

    result = demo_study(seed).run(progress=True)
    _finish(result, out, f"foreshock demo --seed {seed}")


@app.command()
def run(study: StudyFile, data: DataPath = None, out: OutDir = Path("foreshock-out/study")) -> None:
    """A study from a file: walk-forward scores, verdicts, backtests, report."""
    _check_out(out)
    from foreshock.config import load_study

    config = load_study(study)
    bars = _bars(config, study, data)
    from foreshock.study import Study

    result = Study.from_config(config, bars).run(progress=True)
    _finish(result, out, f"foreshock run {study.name}" + (f" --data {data.name}" if data else ""))


@app.command()
def audit(
    study: StudyFile,
    data: DataPath = None,
    cuts: Annotated[int, typer.Option(help="Random cut points.", min=1)] = 20,
) -> None:
    """The causality gate: features, detectors, threshold and strategies on truncated and corrupted histories."""
    from foreshock.config import load_study

    config = load_study(study)
    bars = _bars(config, study, data)
    from foreshock.study import Study

    found = Study.from_config(config, bars).audit(cuts, progress=True)
    for result in found.results:
        state = "ok  " if result.passed else "LEAK"
        typer.echo(f"{state} {result.name:<40} worst {result.worst:.1e}, allowed {result.tolerance:.0e}  {result.first_leak or ''}")
    n_leaks = sum(not result.passed for result in found.results)
    typer.echo(f"{len(found.results)} computations, {cuts} cuts: {f'{n_leaks} leak' if n_leaks else 'no leak'}")
    if n_leaks:
        raise typer.Exit(1)


@app.command()
def detectors() -> None:
    """The registered detectors, what they do, and their parameters."""
    from detectors.registry import detector_class
    from detectors.registry import detectors as names

    for name in names():
        cls = detector_class(name)
        params = ", ".join(f"{key}={value!r}" for key, value in cls().get_params().items())
        typer.echo(f"{name}({params})\n    {(cls.__doc__ or '').strip().splitlines()[0]}")


def _check_out(out: Path) -> None:
    """Refuse a folder that cannot be written before hours of work go into it; nothing is created yet."""
    from tempfile import TemporaryFile

    try:
        nearest = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
        if not nearest.is_dir():
            raise ConfigError(f"--out must be a folder, got {out}, where {nearest} is a file; give another folder")
        TemporaryFile(dir=nearest).close()
    except OSError as error:
        raise ConfigError(f"--out must be a folder that can be written, got {out}: {error.strerror}; give another one") from error


def _bars(config: StudyConfig, study: Path, data: Path | None) -> Bars:
    """The bars that the study's data section asks for."""
    from data.files import read_bars

    wanted = config.data
    if data is None and wanted.path is None:
        raise ConfigError(f"no data: {study} has no key 'data.path'; add it, or pass --data PATH")
    bars = read_bars(data or study.parent / str(wanted.path), wanted.interval)
    bars = bars.select(wanted.symbols) if wanted.symbols else bars
    return bars.between(wanted.start, wanted.end)


def _finish(result: StudyResult, out: Path, command: str) -> None:
    folder = result.save(out, command)
    _print_summary(result)
    typer.echo(f"report: {folder / 'report.html'}")


def _print_summary(result: StudyResult) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(title=result.title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    columns = ("detector", "verdict", "horizon", "events", "move ratio", "volatility-matched", "alert rate", "avoidance")
    for i, name in enumerate(columns):
        table.add_column(name, justify="left" if i < 3 else "right", no_wrap=True)
    for label, row in result.summary().to_dict("index").items():
        matched = f"{row['matched_ratio']:.2f} [{row['ci_low']:.2f}, {row['ci_high']:.2f}]"
        figures = (str(row["n_events"]), f"{row['abs_move_ratio']:.2f}", matched, f"{row['alert_rate']:.2%}")
        shown = [cell.replace("nan", "–") for cell in (*figures, f"{row['avoidance_return']:+.1%}")]
        table.add_row(str(label), row["verdict"], row["horizon"], *shown)
    # Labels are the user's: a bracket in one is no markup.
    Console(width=None if sys.stdout.isatty() else 120, markup=False).print(table)


def main() -> None:
    """Entry point of the command line."""
    try:
        app(prog_name="foreshock")
    except ForeshockError as error:
        _fail(str(error), error.exit_code)
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        _fail(f"{error.strerror or error}{where}; check the path, its rights and the free space", 3)


def _fail(message: str, exit_code: int) -> NoReturn:
    # Names and values in a message come from the user's files: they get no line of their own and no say over the terminal.
    print("error:", "".join(char if char.isprintable() else " " for char in message), file=sys.stderr)  # noqa: T201
    sys.exit(exit_code)


if __name__ == "__main__":
    main()
