"""The verbs around a study: demo, run, audit, compare, eda and scenarios."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from foreshock.data.errors import ConfigError, DataError, ForeshockError
from foreshock.strategies.identity import BASELINE
from foreshock.terminal import LedgerFile, check_out, print_table, printable

if TYPE_CHECKING:
    from foreshock.data.bars import Bars
    from foreshock.engine.sources.source import Source
    from foreshock.exploration.exploration import Exploration
    from foreshock.scenarios.scenarios import ScenarioStudy
    from foreshock.study.config import StudyConfig
    from foreshock.study.result import StudyResult

StudyFile = Annotated[Path, typer.Argument(metavar="STUDY.toml", help="Study file; see examples/study.toml.")]
DataPath = Annotated[Path | None, typer.Option("--data", help="Bars to use instead of data.path of the study.")]
OutDir = Annotated[Path, typer.Option("--out", help="Folder for report.html, results.json and the tables.")]


def demo(
    out: OutDir = Path("foreshock-out/demo"), seed: Annotated[int, typer.Option(help="Seed of the simulated market.")] = 7
) -> None:
    """Run a complete study on a simulated market with planted events, offline."""
    check_out(out)
    from foreshock.study.demo import demo_study

    result = demo_study(seed).run(progress=True)
    _finish(result, out, f"foreshock demo --seed {seed}")


def run(
    study: StudyFile,
    data: DataPath = None,
    out: OutDir = Path("foreshock-out/study"),
    ledger: LedgerFile = None,
    no_ledger: Annotated[
        bool, typer.Option("--no-ledger", help="Do not use the trial ledger: write no entry, count no trials.")
    ] = False,
    opened: Annotated[
        bool, typer.Option("--open", help="Open the part that the study file keeps sealed, once, and show whether findings hold.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Read everything, run nothing, and say what would run and about how long.")
    ] = False,
) -> None:
    """Run a study from a file: walk-forward scores, verdicts, backtests, a report, and an entry in the trial ledger."""
    check_out(out)
    from foreshock.engine.trials.ledger import Ledger

    if ledger is not None and no_ledger:
        raise ConfigError(f"--ledger and --no-ledger exclude each other, got both (--ledger {ledger}); leave one out")
    if opened and no_ledger:
        raise ConfigError("--open and --no-ledger exclude each other, got both: a part is opened once, which the ledger records")
    trials = None if no_ledger else Ledger(ledger)
    if trials is not None:
        trials.check()
    config = _loaded(study)
    if opened and config.sealed is None:
        raise ConfigError(f"--open needs a sealed part, and {study} has no key 'sealed'; add sealed = 0.2, or sealed = \"180D\"")
    bars = _source(config, study, data)
    from foreshock.study.replication.sealed import open_sealed, seal_study
    from foreshock.study.study import Study
    from foreshock.study.trials import record_study

    whole = Study.from_config(config, bars)
    if check:
        from foreshock.study.files.outlook import outlook

        for line in outlook(whole):
            typer.echo(printable(line))
        return
    if trials is not None and whole.n_sealed:
        # Before hours of work: a part that was opened is refused.
        seal_study(whole, trials)
    # The verdicts are saved before the backtests, which may take long or be interrupted.
    result = whole.run(progress=True, out=out)
    command = f"foreshock run {study.name}" + (f" --data {data.name}" if data else "") + (" --open" if opened else "")
    if trials is not None:
        try:
            result = record_study(result, trials)
        except (ForeshockError, OSError) as error:
            # The results may have taken hours: save them, as a run without a ledger would.
            _finish(result, out, command)
            reason = error.strerror if isinstance(error, OSError) else error
            said = f"the results are saved, but writing the ledger {trials.path} failed: {reason}; fix this and run again"
            raise DataError(said) from error
    if opened:
        # A part is opened once: what cannot be written is found before.
        result.save(out, command)
        result = open_sealed(whole, result, trials, progress=True)
    _finish(result, out, command)


def audit(
    study: StudyFile,
    data: DataPath = None,
    cuts: Annotated[int, typer.Option(help="Number of random cut points.", min=1)] = 20,
) -> None:
    """Check causality: run features, detectors, threshold and strategies on truncated and corrupted histories."""
    config = _loaded(study)
    bars = _source(config, study, data)
    from foreshock.study.study import Study

    found = Study.from_config(config, bars).audit(cuts, progress=True)
    for result in found.results:
        state = "ok  " if result.passed else "LEAK"
        typer.echo(f"{state} {result.name:<40} worst {result.worst:.1e}, allowed {result.tolerance:.0e}  {result.first_leak or ''}")
    n_leaks = sum(not result.passed for result in found.results)
    typer.echo(f"{len(found.results)} computations, {cuts} cuts: {n_leaks or 'no'} {'leak' if n_leaks == 1 else 'leaks'}")
    if n_leaks:
        raise typer.Exit(1)


def compare(
    studies: Annotated[
        list[Path], typer.Argument(metavar="STUDY_OR_DIR...", help="Study files, or folders that foreshock run wrote.")
    ],
    data: DataPath = None,
    models: Annotated[
        Path | None,
        typer.Option(help="Comparison of models to show in the report; foreshock benchmark models --out writes it."),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", help="Folder for report.html, comparison.json and the studies that had to be run.")
    ] = Path("foreshock-out/compare"),
    ledger: LedgerFile = None,
    no_ledger: Annotated[
        bool, typer.Option("--no-ledger", help="Do not use the trial ledger for studies that have to be run.")
    ] = False,
) -> None:
    """Compare detectors by year, asset and regime, with the stability of their ranking, and their agreement.

    A study file is run first, which adds an entry to the trial ledger, as foreshock run does.
    """
    check_out(out)
    from foreshock.comparison.comparison import comparison, load_models, load_results, print_comparison, save_comparison
    from foreshock.comparison.folders import folders_of, names_of
    from foreshock.study.files.manifest import as_written

    beside = load_models(models) if models is not None else None
    found: dict[str, dict[str, Any]] = {}
    for path, name, folder in zip(studies, names_of(studies), folders_of(studies, out), strict=True):
        if path.suffix == ".toml":
            run(path, data, folder, ledger, no_ledger)
        found[name] = load_results(folder)
    options = (f" --data {data.name}" if data else "") + (f" --models {models.name}" if models else "")
    with as_written(" or ".join([f"results.json of {name}" for name in found] + ([models.name] if models else []))):
        content = comparison(found, beside)
        save_comparison(content, out, "foreshock compare " + " ".join(path.name for path in studies) + options)
        print_comparison(content)
    typer.echo(f"comparison: {out / 'comparison.json'}")
    typer.echo(f"report: {out / 'report.html'}")


def eda(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Bars: a CSV, Parquet or Feather file, or a folder of them.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for eda.html and eda.json.")] = Path("foreshock-out/eda"),
    interval: Annotated[str | None, typer.Option(help="Bar length, such as 1h; by default the most common step.")] = None,
    regimes: Annotated[int | None, typer.Option(help="Number of regimes, 2 to 8; by default 4.")] = None,
) -> None:
    """Show what a history looks like: its faults, returns, features, volatility and regimes, on one page."""
    check_out(out)
    found = explore_file(data, out, interval, regimes)
    from foreshock.reports.exploration.page import headline

    for sentence in headline(found.results):
        typer.echo(sentence)
    for part in found.results["omitted"]:
        typer.echo(printable(f"not drawn: {part['what']}: {part['why']}"))
    typer.echo(f"report: {out / 'eda.html'}")


def explore_file(data: Path, out: Path, interval: str | None = None, regimes: int | None = None) -> Exploration:
    """Explore a file of bars, and write ``eda.html`` and ``eda.json`` into a folder."""
    from foreshock.data.files import naming, read_table

    table = read_table(data)
    from foreshock.exploration.exploration import explore

    with naming(data):
        title, chosen = f"{data.resolve().name}: what the data look like", {} if regimes is None else {"n_regimes": regimes}
        found = explore(table, interval, title, **chosen)
    options = (f" --interval {interval}" if interval else "") + (f" --regimes {regimes}" if regimes is not None else "")
    found.save(out, f"foreshock eda {data.name}{options}")
    return found


def scenarios(
    study: StudyFile,
    n: Annotated[int, typer.Option("--n", help="Number of scenarios.", min=100)] = 1_000,
    stress: Annotated[float, typer.Option(help="Volatility of the scenarios, as a multiple of the model's.", min=1, max=20)] = 3.0,
    data: DataPath = None,
    out: Annotated[
        Path, typer.Option("--out", help="Folder for report.html, scenarios.json, scenarios.parquet and model.safetensors.")
    ] = Path("foreshock-out/scenarios"),
) -> None:
    """Generate scenarios: how realistic they look, and the stressed risk of a portfolio."""
    check_out(out)
    config = _loaded(study)
    bars = _bars(config, study, data)
    from foreshock.engine.trials.hold_out import n_held

    # What a study keeps sealed is not learned from.
    bars = bars.head(bars.n_bars - n_held(bars, config.sealed))
    from foreshock.scenarios.output import print_scenarios

    found = draw_scenarios(config, bars, n, stress, out, f"foreshock scenarios {study.name}", data)
    print_scenarios(found)
    typer.echo(f"scenarios: {out / 'scenarios.json'}")
    typer.echo(f"report: {out / 'report.html'}")


def draw_scenarios(
    config: StudyConfig, bars: Bars, n: int, stress: float, out: Path, command: str, data: Path | None = None
) -> ScenarioStudy:
    """Draw the scenarios that a study asks for, and write their report into a folder; append the options to ``command``."""
    from foreshock.progress import progress_bar
    from foreshock.scenarios.output import save_scenarios
    from foreshock.scenarios.scenarios import scenario_study

    wanted = config.scenarios
    with progress_bar(6 if wanted.later else 4, True) as step:
        found = scenario_study(
            bars, wanted.model, wanted.horizon, n, stress, wanted.weights, wanted.levels, wanted.later, config.seed, on_step=step
        )
    command += f" --n {n} --stress {stress:g}" + (f" --data {data.name}" if data else "")
    save_scenarios(found, bars, {**wanted.model_dump(), "n": n, "stress": stress, "seed": config.seed}, out, command)
    return found


def _loaded(study: Path) -> StudyConfig:
    """Load a study file, and print which of the user's Python files were run for it."""
    from foreshock.study.config import load_study

    config = load_study(study)
    if config.files:
        typer.echo(f"ran {', '.join(config.files)}, which {study} names", err=True)
    return config


def _bars(config: StudyConfig, study: Path, data: Path | None) -> Bars:
    """The bars that the data or source section of the study selects, of the same symbols throughout."""
    if config.universe is not None:
        raise ConfigError(
            f"symbols = {{ top = {config.universe.top}, ... }} in {study} changes from block to block, which only run, audit, "
            f"compare and scan follow; name the symbols"
        )
    from foreshock.engine.sources.source import Source

    found = _source(config, study, data)
    return found.bars if isinstance(found, Source) else found


def _source(config: StudyConfig, study: Path, data: Path | None) -> Bars | Source:
    """What the data or source section of the study selects."""
    from foreshock.market.sources import open_source

    return open_source(config, str(study), study.parent, data)


def _finish(result: StudyResult, out: Path, command: str) -> None:
    folder = result.save(out, command)
    _print_summary(result)
    from foreshock.reports.study.own import gate_sentences, leak_sentences

    for sentence in (*leak_sentences(result.results), *gate_sentences(result.results)):
        typer.echo(printable(sentence))
    from foreshock.study.files.summary import failures_in_words

    for sentence in failures_in_words(result.results):
        typer.echo(printable(sentence))
    if result.results.get("sealed"):
        from foreshock.reports.study.sealed import sealed_sentences

        for sentence in sealed_sentences(result.results):
            typer.echo(sentence)
    typer.echo(f"report: {folder / 'report.html'}")


def _print_summary(result: StudyResult) -> None:
    columns = (
        "detector",
        "verdict",
        "over",
        "n",
        "raw",
        "beyond [95 %]",
        "+ vol",
        "shown",
        "q",
        "rate",
        "earned",
        "luck",
    )
    rows = []
    for label, row in result.summary().to_dict("index").items():
        beyond = f"{row['expected_ratio']:.2f} [{row['expected_low']:.2f}, {row['expected_high']:.2f}]"
        ratios = (f"{row['abs_move_ratio']:.2f}", beyond, f"{row['volume_ratio']:.2f}", f"{row['detectable']:.2f}")
        figures = (str(row["n_events"]), *ratios, f"{row['q']:.3f}", f"{row['alert_rate']:.2%}")
        paid = (f"{row['avoidance_return']:+.1%}", f"{row['luck_below']:.0%}")
        rows.append((str(label), row["verdict"], row["horizon"], *(cell.replace("nan", "–") for cell in (*figures, *paid))))
    print_table(result.title, columns, rows, n_left=3)
    baselines = {name: entry for name, entry in result.results["backtests"].items() if entry["role"] == BASELINE}
    held = ", ".join(f"{name} {entry['total_return']:+.1%}" for name, entry in baselines.items())
    typer.echo(
        "raw: size of moves after alerts, divided by that after other bars; beyond: activity after alerts, divided by that which "
        "past prices lead one to expect; + vol: past volumes too; shown: smallest ratio beyond that could have been shown"
    )
    typer.echo(
        "n: alerts followed; rate: share of bars with an alert; earned: return of cutting exposure after alerts; "
        f"luck: share of random timings that earned less; {held}"
    )
