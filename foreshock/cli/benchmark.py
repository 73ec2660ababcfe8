"""``foreshock benchmark``: compare detectors with labelled events, models and strategies with published figures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from foreshock.data.errors import ConfigError
from foreshock.terminal import check_out

if TYPE_CHECKING:
    import pandas as pd

BenchmarkDir = Annotated[Path, typer.Option("--out", help="Folder for benchmark.json.")]

benchmark_verbs = typer.Typer(
    help="Compare detectors with labelled events, and models and strategies with published figures.", no_args_is_help=True
)


@benchmark_verbs.command()
def planted(
    out: BenchmarkDir = Path("foreshock-out/benchmark-planted"),
    seed: Annotated[int, typer.Option(help="Seed of the simulated market.", min=0)] = 7,
) -> None:
    """Detect the planted events of the simulated market, by kind and size of event."""
    check_out(out)
    from foreshock.benchmarks.common import print_recalls
    from foreshock.benchmarks.planted import planted_benchmark, planted_names
    from foreshock.progress import progress_bar

    with progress_bar(2 * len(planted_names()), True) as step:
        result = planted_benchmark(seed, step)
    title = f"Planted events of the simulated market, seed {seed}"
    _finish_benchmark("planted", title, result, out, [row for row in result["rows"] if row["kind"] == "all"])
    print_recalls("Recall by kind and size of event", [row for row in result["rows"] if row["kind"] != "all"])
    _print_notes(result, out)


@benchmark_verbs.command()
def nab(
    data: Annotated[Path | None, typer.Option(help="Folder with combined_windows.json and data/*.csv of NAB.")] = None,
    out: BenchmarkDir = Path("foreshock-out/benchmark-nab"),
) -> None:
    """Detect the events of the Numenta Anomaly Benchmark, and compare with the published figures of TSB-AD."""
    check_out(out)
    from foreshock.benchmarks.common import print_rows
    from foreshock.benchmarks.nab import TSB_FILE, nab_benchmark, nab_files, nab_folder
    from foreshock.progress import progress_bar

    folder = nab_folder(data)
    with progress_bar(len(nab_files(folder)), True) as step:
        result = nab_benchmark(folder, on_step=step)
    pooled = [row for row in result["rows"] if row["series"] == "all series"]
    beside = [row for row in result["rows"] if row["published"] or row["series"] == Path(TSB_FILE).stem]
    _finish_benchmark("nab", f"NAB, {pooled[0]['n_series']} series", result, out, pooled)
    print_rows("Compared with published figures", beside, ("auc_pr", "vus_pr", "vus_pr_lift", "vus_pr_all_rows"))
    _print_notes(result, out)


@benchmark_verbs.command()
def pumps(
    trades: Annotated[Path | None, typer.Option(help="File of trades around the pumps.")] = None,
    events: Annotated[Path | None, typer.Option(help="CSV file of the announced pumps.")] = None,
    out: BenchmarkDir = Path("foreshock-out/benchmark-pumps"),
) -> None:
    """Detect real pump-and-dumps, with alerts on windows of trades."""
    check_out(out)
    from foreshock.benchmarks.common import print_curves
    from foreshock.benchmarks.pumps import WINDOW_SECONDS, pumps_benchmark
    from foreshock.progress import progress_bar

    # One step to read, then for each window size nine detectors, the neighbouring settings, and the supervised reference.
    with progress_bar(1 + 11 * len(WINDOW_SECONDS), True) as step:
        result = pumps_benchmark(trades, events, step)
    _finish_benchmark("pumps", "Announced pumps", result, out, result["rows"])
    print_curves("Recall and median delay against false alerts, any threshold", result["curves"])
    _print_notes(result, out)


@benchmark_verbs.command()
def models(
    bars: Annotated[
        Path | None,
        typer.Argument(metavar="BARS", help="Bars that hold a dated crash of 2020 to 2024; the simulated market by default."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="JSON file for the table, which foreshock compare --models reads.")
    ] = None,
) -> None:
    """Compare autoencoders and PCA with published figures, in sample and out of sample."""
    if out is not None:
        if out.is_dir():
            raise ConfigError(f"--out must be a file, got the folder {out}; add a name, such as {out / 'models.json'}")
        check_out(out.parent)
    import json

    from foreshock.data.files import read_bars

    market = read_bars(bars) if bars is not None else None
    from foreshock.benchmarks.models import SPLITS, YEARLY, crash_events, model_comparison, model_results, planted_events
    from foreshock.reports.parts.html import save

    if market is None:
        (market, events), splits = planted_events(), SPLITS
    else:
        events, splits = crash_events(market), YEARLY
    found = model_comparison(market, events, splits=splits, on_step=_told)
    _print_frame(found)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        save(json.dumps(model_results(market, events, splits, 0, found), indent=1, allow_nan=False), out)
        typer.echo(f"models: {out}")


@benchmark_verbs.command()
def strategies(
    bars: Annotated[Path, typer.Argument(metavar="BARS", help="Bars: a CSV, Parquet or Feather file, or a folder of them.")],
) -> None:
    """Compare every strategy on one history, net of costs, out of sample and for one year in sample."""
    from foreshock.data.files import read_bars

    market = read_bars(bars)
    import pandas as pd

    from foreshock.benchmarks.strategies import published, strategy_comparison

    found = strategy_comparison(market, on_step=_told)
    _print_frame(pd.concat([found, published()], ignore_index=True))


def _told(done: str) -> None:
    typer.echo(done, err=True)


def _print_frame(table: pd.DataFrame) -> None:
    typer.echo(table.to_string(index=False, na_rep="–", float_format=lambda value: f"{value:.4g}"))


def _finish_benchmark(name: str, title: str, result: dict[str, Any], out: Path, shown: list[dict[str, Any]]) -> None:
    from foreshock.benchmarks.common import print_rows, save_benchmark

    save_benchmark(name, result, out)
    print_rows(title, shown)


def _print_notes(result: dict[str, Any], out: Path) -> None:
    for note in result.get("notes", []):
        typer.echo(f"note: {note}")
    typer.echo(f"results: {out / 'benchmark.json'}")
