"""``foreshock benchmark``: detectors against labelled events."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from foreshock.terminal import check_out

BenchmarkDir = Annotated[Path, typer.Option("--out", help="Folder for benchmark.json.")]

benchmark_verbs = typer.Typer(help="Detectors against labelled events.", no_args_is_help=True)


@benchmark_verbs.command()
def planted(
    out: BenchmarkDir = Path("foreshock-out/benchmark-planted"),
    seed: Annotated[int, typer.Option(help="Of the simulated market.", min=0)] = 7,
) -> None:
    """On the simulated market, by kind and size of event."""
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
    """On the Numenta Anomaly Benchmark, published figures of TSB-AD beside ours."""
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
    print_rows("Beside published figures", beside, ("auc_pr", "vus_pr", "vus_pr_lift", "vus_pr_all_rows"))
    _print_notes(result, out)


@benchmark_verbs.command()
def pumps(
    trades: Annotated[Path | None, typer.Option(help="Trades around the pumps.")] = None,
    events: Annotated[Path | None, typer.Option(help="The announced pumps.")] = None,
    out: BenchmarkDir = Path("foreshock-out/benchmark-pumps"),
) -> None:
    """On real pump-and-dumps, alerts on windows of trades."""
    check_out(out)
    from foreshock.benchmarks.common import print_curves
    from foreshock.benchmarks.pumps import WINDOW_SECONDS, pumps_benchmark
    from foreshock.progress import progress_bar

    # Reading, then for each window size nine detectors, their neighbours, and the supervised reference.
    with progress_bar(1 + 11 * len(WINDOW_SECONDS), True) as step:
        result = pumps_benchmark(trades, events, step)
    _finish_benchmark("pumps", "Announced pumps", result, out, result["rows"])
    print_curves("Recall and median delay against false alerts, any threshold", result["curves"])
    _print_notes(result, out)


def _finish_benchmark(name: str, title: str, result: dict[str, Any], out: Path, shown: list[dict[str, Any]]) -> None:
    from foreshock.benchmarks.common import print_rows, save_benchmark

    save_benchmark(name, result, out)
    print_rows(title, shown)


def _print_notes(result: dict[str, Any], out: Path) -> None:
    for note in result.get("notes", []):
        typer.echo(f"note: {note}")
    typer.echo(f"results: {out / 'benchmark.json'}")
