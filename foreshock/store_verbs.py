"""``foreshock store``: what history is on disk, whether it is whole, and a way out of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from data.errors import DataError
from foreshock.terminal import StoreDir, printable

if TYPE_CHECKING:
    from data.store import SeriesSummary, Store

store_verbs = typer.Typer(help="What history is on disk, and whether it is whole.", no_args_is_help=True)


@store_verbs.command("ls")
def store_ls(store: StoreDir = None) -> None:
    """Every series: its rows, the range they cover, ranges never fetched between, and bars the exchange does not have."""
    found = _store(store)
    summaries = found.summary()
    problems: list[str] = []
    for series in summaries:
        marks, bad = _series_line(found, series)
        typer.echo(printable(f"{series.key!s:<44}{marks}"))
        problems += bad
    typer.echo(f"{len(summaries)} series; {found.folder}")
    if problems:
        raise DataError(_first_of(problems))


def _series_line(store: Store, series: SeriesSummary) -> tuple[str, list[str]]:
    """What ``store ls`` says of a series, and the partitions that cannot be read."""
    from data.series import minute, without

    marks, problems = f"{series.n_rows:>12,} rows", list(series.problems)
    if series.covered:
        start, stop = series.covered[0][0], series.covered[-1][1]
        marks += f"  {minute(start)} to {minute(stop)}  {series.n_bytes / 1e6:>9,.1f} MB"
        n_gaps = len(without((start, stop), series.covered))
        marks += f"  {n_gaps} not fetched" if n_gaps else ""
    if series.key.kind == "ohlcv" and not problems:
        try:
            empty = store.known_empty(series.key)
        except (DataError, OSError) as error:
            # A footer may be whole where the rows are not.
            empty, problems = [], [str(error)]
        n_bars = sum(stop - start for start, stop in empty) // series.key.step_ms
        marks += f"  {n_bars:,} bars known to be empty, in {len(empty)} runs" if empty else ""
    if problems:
        marks += f"  UNREADABLE: {len(problems)} of {series.n_partitions + len(series.problems)} partitions"
    return marks, problems


def _first_of(problems: Sequence[str]) -> str:
    return problems[0] + (f" (and {len(problems) - 1} more)" if len(problems) > 1 else "")


@store_verbs.command("verify")
def store_verify(store: StoreDir = None) -> None:
    """Whether every row is as it was written; nothing is changed.

    A partition that was deleted is not seen; its range is missing, and fetch asks for it again.
    """
    found = _store(store)
    report = found.verify()
    if not report.whole:
        for problem in report.problems:
            typer.echo(printable(f"BAD  {problem}"))
        raise DataError(f"{_first_of(report.problems)}; the other {report.n_partitions} partitions are whole")
    counts = f"{report.n_series} series, {report.n_partitions} partitions, {report.n_rows:,} rows"
    typer.echo(f"{counts}, all as they were written; {found.folder}")


@store_verbs.command("repair")
def store_repair(store: StoreDir = None) -> None:
    """Set damaged partitions aside, so that their ranges are fetched again, and clear up after interrupted writes."""
    found = _store(store)
    report = found.repair()
    for line in report.mended:
        typer.echo(printable(line))
    typer.echo(f"{len(report.mended)} things mended; {report.n_partitions} partitions are whole; {found.folder}")


@store_verbs.command("export")
def store_export(
    symbol: Annotated[str, typer.Argument(metavar="SYMBOL", help="As store ls shows it: BTC/USDT, BTC/USDT:USDT.")],
    out: Annotated[Path, typer.Option("--out", help="File that ends in .csv or .parquet.")],
    kind: Annotated[str, typer.Option(help="ohlcv, trades, funding or book.")] = "ohlcv",
    exchange: Annotated[str | None, typer.Option(help="Where several have the symbol.")] = None,
    timeframe: Annotated[str | None, typer.Option(help="Where bars or books of several are there.")] = None,
    start: Annotated[str | None, typer.Option(help="First time, such as 2024-01-01; UTC.")] = None,
    end: Annotated[str | None, typer.Option(help="Rows before this.")] = None,
    store: StoreDir = None,
) -> None:
    """One series as a CSV or Parquet file."""
    from data.export import export_series, find_series
    from data.interval import parse_instant

    found = _store(store)
    first, stop = (
        None if edge is None else int(parse_instant(edge, name).astype("datetime64[ms]").astype("int64"))
        for edge, name in ((start, "start"), (end, "end"))
    )
    key = find_series(found, symbol, kind, exchange, timeframe)
    typer.echo(printable(f"{export_series(found, key, out, first, stop):,} rows of {key} in {out}"))


def _store(path: Path | None) -> Store:
    """A store that is there."""
    from data.store import Store

    store = Store(path) if path is not None else Store.default()
    if not store.folder.is_dir():
        raise DataError(f"no store at {store.folder}; foreshock fetch writes one, or give --store DIR")
    return store
