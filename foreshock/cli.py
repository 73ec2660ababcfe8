"""The command line: it parses, calls, prints, and turns errors into exit codes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from data.errors import ConfigError, DataError, ForeshockError
from foreshock.benchmark_verbs import benchmark_verbs
from foreshock.ledger_verbs import ledger_verbs
from foreshock.store_verbs import store_verbs
from foreshock.terminal import LedgerFile, StoreDir, check_out, print_table, printable

if TYPE_CHECKING:
    from data.bars import Bars
    from foreshock.config import StudyConfig
    from foreshock.study_result import StudyResult

INTERRUPTED = "interrupted; what was written before is as it was"

app = typer.Typer(
    help="Is the anomaly a foreshock, or only an aftershock? Backtests and validates crypto-market anomaly detectors.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(ledger_verbs, name="ledger")
app.add_typer(store_verbs, name="store")
app.add_typer(benchmark_verbs, name="benchmark")

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
    check_out(out)
    from foreshock.demo import demo_study

    result = demo_study(seed).run(progress=True)
    _finish(result, out, f"foreshock demo --seed {seed}")


@app.command()
def run(
    study: StudyFile,
    data: DataPath = None,
    out: OutDir = Path("foreshock-out/study"),
    ledger: LedgerFile = None,
    no_ledger: Annotated[bool, typer.Option("--no-ledger", help="Leave no entry in the trial ledger, and count none.")] = False,
) -> None:
    """A study from a file: walk-forward scores, verdicts, backtests, report, and an entry in the trial ledger."""
    check_out(out)
    from engine.ledger import Ledger

    if ledger is not None and no_ledger:
        raise ConfigError(f"--ledger and --no-ledger exclude each other, got both, {ledger}; leave one out")
    trials = None if no_ledger else Ledger(ledger)
    if trials is not None:
        trials.check()
    config = _loaded(study)
    bars = _bars(config, study, data)
    from foreshock.ledger import record_study
    from foreshock.study import Study

    result = Study.from_config(config, bars).run(progress=True)
    command = f"foreshock run {study.name}" + (f" --data {data.name}" if data else "")
    if trials is not None:
        try:
            result = record_study(result, trials)
        except (ForeshockError, OSError) as error:
            # What took hours is kept, as it would be without a ledger.
            _finish(result, out, command)
            reason = error.strerror if isinstance(error, OSError) else error
            said = f"the results are saved, but writing the ledger {trials.path} failed: {reason}; mend it, run again"
            raise DataError(said) from error
    _finish(result, out, command)


@app.command()
def audit(
    study: StudyFile,
    data: DataPath = None,
    cuts: Annotated[int, typer.Option(help="Random cut points.", min=1)] = 20,
) -> None:
    """The causality gate: features, detectors, threshold and strategies on truncated and corrupted histories."""
    config = _loaded(study)
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
def fetch(
    symbols: Annotated[list[str], typer.Argument(metavar="SYMBOL...", help="As ccxt writes them: BTC/USDT, BTC/USDT:USDT.")],
    start: Annotated[str | None, typer.Option(help="First bar, trade or rate, such as 2024-01-01; UTC.")] = None,
    end: Annotated[str | None, typer.Option(help="What is before this; by default now.")] = None,
    exchange: Annotated[str, typer.Option(help="binance, bybit, upbit, coinbase, kraken, or another of ccxt's.")] = "binance",
    timeframe: Annotated[
        str | None, typer.Option(help="Of bars, 1m, 1h, 1d, as the exchange has; of books the time between snapshots.  [1h; 10s]")
    ] = None,
    kind: Annotated[str, typer.Option(help="ohlcv, trades, funding or book.")] = "ohlcv",
    duration: Annotated[str | None, typer.Option(help="Of books, which are recorded from now on: how long, such as 1h.")] = None,
    store: StoreDir = None,
    base_url: Annotated[
        str | None, typer.Option("--base-url", help="Another host for every request, instead of FORESHOCK_BASE_URL.")
    ] = None,
    archive: Annotated[
        str | None,
        typer.Option(
            metavar="SOURCE",
            help="Take long ranges from Binance's bulk archive first: 'public', another address, or a folder with its layout, "
            "DIR/data/spot/daily/klines/BTCUSDT/1h/*.zip, each with its .zip.CHECKSUM.",
        ),
    ] = None,
) -> None:
    """History of an exchange into the store; what is there already is not fetched again."""
    if kind == "book":
        _record(symbols, exchange, timeframe, start or end, duration, store, base_url, archive)
        return
    if duration is not None:
        raise ConfigError(f"--duration is of books alone, got {duration} for {kind}; give --start and --end")
    if timeframe is not None and kind in ("trades", "funding"):
        raise ConfigError(f"--timeframe is of bars and books alone, got {timeframe} for {kind}; leave it out")
    from foreshock.history import fetch_history

    for found in fetch_history(symbols, exchange, timeframe or "1h", start, end, kind, store, base_url, True, archive):
        empty = f", {found.n_empty} bars that the exchange lacks" if found.n_empty else ""
        still = sum(b - a for a, b in found.uncovered) / 60_000
        open_ = f", {still:,.0f} {'minute' if round(still) == 1 else 'minutes'} not yet known" if found.uncovered else ""
        bulk = f" ({found.n_archived:,} from the archive)" if archive is not None else ""
        typer.echo(printable(f"{found.key}: {found.n_fetched:,} fetched{bulk}, {found.n_rows:,} in the store{empty}{open_}"))


def _record(
    symbols: list[str],
    exchange: str,
    timeframe: str | None,
    past: str | None,
    duration: str | None,
    store: Path | None,
    base_url: str | None,
    archive: str | None,
) -> None:
    if past is not None or archive is not None:
        wrong = f"--start and --end, got {past}" if past is not None else f"--archive, got {archive}"
        raise ConfigError(f"order books have no past to fetch, they are recorded from now on: leave out {wrong}; give --duration")
    from foreshock.books import record_book

    for found in record_book(symbols, exchange, timeframe or "10s", duration, store, base_url, progress=True):
        missed = f", {found.n_missed:,} missed" if found.n_missed else ""
        typer.echo(printable(f"{found.key}: {found.n_taken:,} snapshots taken{missed}"))


@app.command()
def compare(
    studies: Annotated[list[Path], typer.Argument(metavar="STUDY_OR_DIR...", help="Study files, or folders that run has written.")],
    data: DataPath = None,
    models: Annotated[
        Path | None,
        typer.Option(help="A comparison of models for the report; python -m foreshock.model_comparison --out writes it."),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", help="Folder for report.html, comparison.json and the studies that had to be run.")
    ] = Path("foreshock-out/compare"),
    ledger: LedgerFile = None,
    no_ledger: Annotated[bool, typer.Option("--no-ledger", help="Leave no entry for studies that have to be run.")] = False,
) -> None:
    """Detectors through history: by year, asset and regime, the stability of their ranking, and their agreement.

    A study file is run first, and leaves an entry in the trial ledger as run does.
    """
    check_out(out)
    from foreshock.compare import comparison, load_models, load_results, print_comparison, save_comparison

    beside = load_models(models) if models is not None else None
    found: dict[str, dict[str, Any]] = {}
    twice = next((path for i, path in enumerate(studies) if path.resolve() in {other.resolve() for other in studies[:i]}), None)
    if twice is not None:
        raise ConfigError(f"studies to compare must differ, got {twice} twice; leave one out")
    for path in studies:
        name = path.resolve().stem if path.suffix == ".toml" else path.resolve().name
        if name in found:
            name = str(path)
        if path.suffix == ".toml":
            run(path, data, out / name, ledger, no_ledger)
            found[name] = load_results(out / name)
        else:
            found[name] = load_results(path)
    content = comparison(found, beside)
    options = (f" --data {data.name}" if data else "") + (f" --models {models.name}" if models else "")
    save_comparison(content, out, "foreshock compare " + " ".join(path.name for path in studies) + options)
    print_comparison(content)
    typer.echo(f"comparison: {out / 'comparison.json'}")
    typer.echo(f"report: {out / 'report.html'}")


@app.command()
def eda(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Bars: a CSV, Parquet or Feather file, or a folder of them.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for eda.html and eda.json.")] = Path("foreshock-out/eda"),
    interval: Annotated[str | None, typer.Option(help="Of the bars, such as 1h; by default the most common step.")] = None,
) -> None:
    """What a history looks like: its faults, returns, features, volatility and regimes, on one page."""
    check_out(out)
    from data.files import naming, read_table

    table = read_table(data)
    from foreshock.exploration import explore
    from reports.eda_report import headline

    with naming(data):
        found = explore(table, interval, f"{data.resolve().name}: what the data look like")
    folder = found.save(out, f"foreshock eda {data.name}" + (f" --interval {interval}" if interval else ""))
    for sentence in headline(found.results):
        typer.echo(sentence)
    for part in found.results["omitted"]:
        typer.echo(printable(f"not drawn: {part['what']}: {part['why']}"))
    typer.echo(f"report: {folder / 'eda.html'}")


@app.command()
def scenarios(
    study: StudyFile,
    n: Annotated[int, typer.Option("--n", help="Scenarios.", min=100)] = 1_000,
    stress: Annotated[float, typer.Option(help="Volatility of the scenarios over that of the model, from 1.", min=1, max=20)] = 3.0,
    data: DataPath = None,
    out: Annotated[
        Path, typer.Option("--out", help="Folder for report.html, scenarios.json, scenarios.parquet, model.safetensors.")
    ] = Path("foreshock-out/scenarios"),
) -> None:
    """Generated scenarios: how real they look, and the stressed risk of a portfolio."""
    check_out(out)
    config = _loaded(study)
    bars = _bars(config, study, data)
    from foreshock.progress import progress_bar
    from foreshock.scenario_output import print_scenarios, save_scenarios
    from foreshock.scenarios import scenario_study

    wanted = config.scenarios
    with progress_bar(6 if wanted.later else 4, True) as step:
        found = scenario_study(
            bars, wanted.model, wanted.horizon, n, stress, wanted.weights, wanted.levels, wanted.later, config.seed, on_step=step
        )
    command = f"foreshock scenarios {study.name} --n {n} --stress {stress:g}" + (f" --data {data.name}" if data else "")
    save_scenarios(found, bars, {**wanted.model_dump(), "n": n, "stress": stress, "seed": config.seed}, out, command)
    print_scenarios(found)
    typer.echo(f"scenarios: {out / 'scenarios.json'}")
    typer.echo(f"report: {out / 'report.html'}")


@app.command()
def detectors(
    names: Annotated[bool, typer.Option("--names", help="Only the names: no detector is imported.")] = False,
) -> None:
    """The registered detectors, what they do, and their parameters."""
    from detectors.registry import DETECTORS, detector_class

    if names:
        typer.echo("\n".join(DETECTORS.names()))
        return
    for name in DETECTORS.names():
        cls = detector_class(name)
        params = ", ".join(f"{key}={value!r}" for key, value in cls().get_params().items())
        typer.echo(f"{name}({params})\n    {(cls.__doc__ or '').strip().splitlines()[0]}")


def _loaded(study: Path) -> StudyConfig:
    """The study of a file; says which files of the user's were run for it."""
    from foreshock.config import load_study

    config = load_study(study)
    if config.files:
        typer.echo(f"ran {', '.join(config.files)}, which {study} names", err=True)
    return config


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
    columns = ("detector", "verdict", "over", "events", "raw", "matched [95 %]", "q", "alerts", "avoidance", "luck")
    rows = []
    for label, row in result.summary().to_dict("index").items():
        matched = f"{row['matched_ratio']:.2f} [{row['ci_low']:.2f}, {row['ci_high']:.2f}]"
        figures = (str(row["n_events"]), f"{row['abs_move_ratio']:.2f}", matched, f"{row['q']:.3f}", f"{row['alert_rate']:.2%}")
        paid = (f"{row['avoidance_return']:+.1%}", f"{row['luck_below']:.0%}")
        rows.append((str(label), row["verdict"], row["horizon"], *(cell.replace("nan", "–") for cell in (*figures, *paid))))
    print_table(result.title, columns, rows, n_left=3)
    returns = {name: result.results["backtests"][name]["total_return"] for name in ("buy_and_hold", "equal_weight")}
    held = ", ".join(f"{name} {value:+.1%}" for name, value in returns.items())
    typer.echo("raw, matched: move after an alert over that after other bars, over that after bars as volatile")
    typer.echo(f"avoidance: return of standing aside after alerts; luck: share of random timings that earned less; {held}")


def main() -> None:
    """Entry point of the command line."""
    try:
        app(prog_name="foreshock")
    except ForeshockError as error:
        _fail(str(error), error.exit_code)
    except (KeyboardInterrupt, SystemError) as error:
        if not _is_interrupt(error):
            raise
        _fail(INTERRUPTED, 130)
    except SystemExit as stop:
        # typer turns an interrupt of a command into this, and says nothing.
        if stop.code == 130:
            _fail(INTERRUPTED, 130)
        raise
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        _fail(f"{error.strerror or error}{where}; check the path, its rights and the free space", 3)


def _is_interrupt(error: BaseException | None) -> bool:
    """numba turns an interrupt inside a kernel into a SystemError, most often into two, one from the other."""
    while isinstance(error, SystemError):
        error = error.__cause__ or error.__context__
    return isinstance(error, KeyboardInterrupt)


def _fail(message: str, exit_code: int) -> NoReturn:
    # Names and values in a message come from the user's files: they get no line of their own and no say over the terminal.
    print("error:", printable(message), file=sys.stderr)  # noqa: T201
    sys.exit(exit_code)


if __name__ == "__main__":
    main()
