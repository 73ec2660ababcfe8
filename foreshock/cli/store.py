"""``foreshock store``: list, check, repair, refetch, drop and export the history on disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foreshock.data.errors import DataError
from foreshock.terminal import StoreDir, printable

if TYPE_CHECKING:
    from foreshock.data.store.findings import SeriesSummary
    from foreshock.data.store.store import Store

Symbol = Annotated[str, typer.Argument(metavar="SYMBOL", help="Symbol as foreshock store ls shows it: BTC/USDT, BTC/USDT:USDT.")]
Kind = Annotated[str, typer.Option(help="What to take: ohlcv, trades, funding or book.")]
ExchangeName = Annotated[str | None, typer.Option("--exchange", help="Exchange, where several have the symbol.")]
Timeframe = Annotated[
    str | None, typer.Option("--timeframe", help="Bar length or time between snapshots, where there are several.")
]
Start = Annotated[str | None, typer.Option("--start", help="Start of the range, UTC, such as 2024-01-01.")]
End = Annotated[str | None, typer.Option("--end", help="End of the range, UTC, not part of it.")]

store_verbs = typer.Typer(help="List, check, repair, refetch, drop and export the history on disk.", no_args_is_help=True)


@store_verbs.command("ls")
def store_ls(store: StoreDir = None) -> None:
    """List every series: its rows, the range they cover, gaps never fetched, and bars that the exchange does not have."""
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
    """The line of ``store ls`` about a series, and its unreadable partitions."""
    from foreshock.data.store.series import minute, without

    marks, problems = f"{series.n_rows:>12,} rows", list(series.problems)
    # Exchanges count derivatives in contracts, so that it is worth a word that the store does not.
    marks += f" in {series.unit}" if series.unit and series.key.market != "spot" else ""
    if series.covered:
        start, stop = series.covered[0][0], series.covered[-1][1]
        marks += f"  {minute(start)} to {minute(stop)}  {series.n_bytes / 1e6:>9,.1f} MB"
        n_gaps = len(without((start, stop), series.covered))
        marks += f"  {n_gaps} not fetched" if n_gaps else ""
    if series.key.kind == "ohlcv" and not problems:
        try:
            empty = store.known_empty(series.key)
        except (DataError, OSError) as error:
            # A file with a valid footer may still have damaged rows.
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
    """Check that no row has changed since it was written; change nothing.

    A deleted partition is not an error: its range counts as missing, and foreshock fetch asks for it again. The folder of a series
    that is gone as a whole is one, and so is a link to a folder that is not there.
    """
    found = _store(store)
    report = found.verify()
    if not report.whole:
        for problem in report.problems:
            typer.echo(printable(f"BAD  {problem}"))
        raise DataError(f"{_first_of(report.problems)}; the other {report.n_partitions} partitions are valid")
    counts = f"{report.n_series} series, {report.n_partitions} partitions, {report.n_rows:,} rows"
    typer.echo(f"{counts}, all as they were written; {found.folder}")


@store_verbs.command("repair")
def store_repair(store: StoreDir = None) -> None:
    """Set damaged partitions aside, so that their ranges are fetched again, and clear up after interrupted writes."""
    found = _store(store)
    report = found.repair()
    for line in report.repaired:
        typer.echo(printable(line))
    typer.echo(f"{len(report.repaired)} things repaired; {report.n_partitions} partitions are valid; {found.folder}")


@store_verbs.command("export")
def store_export(
    symbol: Symbol,
    out: Annotated[Path, typer.Option("--out", help="File to write, which ends in .csv or .parquet.")],
    kind: Kind = "ohlcv",
    exchange: ExchangeName = None,
    timeframe: Timeframe = None,
    start: Start = None,
    end: End = None,
    store: StoreDir = None,
) -> None:
    """Write one series to a CSV or Parquet file."""
    from foreshock.data.store.export import export_series, find_series

    found, edges = _store(store), _range(start, end)
    key = find_series(found, symbol, kind, exchange, timeframe)
    typer.echo(printable(f"{export_series(found, key, out, *edges):,} rows of {key} in {out}"))


@store_verbs.command("notes")
def store_notes(
    symbol: Symbol, kind: Kind = "ohlcv", exchange: ExchangeName = None, timeframe: Timeframe = None, store: StoreDir = None
) -> None:
    """List what happened to single rows of a series: set aside because they cannot be, dropped, revised."""
    from foreshock.data.store.export import find_series
    from foreshock.data.store.series import minute

    found = _store(store)
    notes = found.notes(find_series(found, symbol, kind, exchange, timeframe))
    for note in notes:
        typer.echo(printable(f"{minute(note.time)}  {note.what}: {note.reason}; {note.raw}"))
    typer.echo(f"{len(notes)} notes")


@store_verbs.command("drop")
def store_drop(
    symbol: Symbol,
    kind: Kind = "ohlcv",
    exchange: ExchangeName = None,
    timeframe: Timeframe = None,
    start: Start = None,
    end: End = None,
    store: StoreDir = None,
) -> None:
    """Remove one series, or a range of it, from the store; the next fetch asks for it again."""
    from foreshock.data.store.export import find_series

    found = _store(store)
    key = find_series(found, symbol, kind, exchange, timeframe)
    typer.echo(printable(f"{found.drop(key, *_range(start, end)):,} rows of {key} dropped; {found.folder}"))


@store_verbs.command("refetch")
def store_refetch(
    symbol: Symbol,
    kind: Kind = "ohlcv",
    exchange: ExchangeName = None,
    timeframe: Timeframe = None,
    start: Start = None,
    end: End = None,
    store: StoreDir = None,
    base_url: Annotated[str | None, typer.Option("--base-url", help="Host for every request, as in foreshock fetch.")] = None,
) -> None:
    """Ask the exchange again for what the store has of a series; its answers replace what is stored.

    Rows that got other values are listed by foreshock store notes. What the exchange does not answer for stays as it is.
    """
    from foreshock.data.store.export import find_series
    from foreshock.market.fetching import refetch

    place = _store(store)
    found = refetch(place, find_series(place, symbol, kind, exchange, timeframe), *_range(start, end), base_url, True)
    told = f", {found.told()}; foreshock store notes shows them" if found.told() else ""
    typer.echo(printable(f"{found.key}: {found.n_fetched:,} fetched again, {found.n_rows:,} in the store{told}"))


def _range(start: str | None, end: str | None) -> tuple[int | None, int | None]:
    """Epoch ms of the ends that are given."""
    from foreshock.data.interval import parse_instant

    first, stop = (
        None if edge is None else int(parse_instant(edge, name).astype("datetime64[ms]").astype("int64"))
        for edge, name in ((start, "start"), (end, "end"))
    )
    return first, stop


def _store(path: Path | None) -> Store:
    """The store, which must exist."""
    from foreshock.data.store.store import Store

    store = Store(path) if path is not None else Store.default()
    if not store.folder.is_dir():
        raise DataError(f"no store at {store.folder}; foreshock fetch writes one, or pass --store DIR")
    return store


cache_verbs = typer.Typer(help="Forecasts and negative controls kept between studies.", no_args_is_help=True)
store_verbs.add_typer(cache_verbs, name="cache")


@cache_verbs.command("ls")
def cache_ls() -> None:
    """List what the cache holds, by kind."""
    from foreshock.data.system.cache import usual_cache

    cache = usual_cache()
    kinds: dict[str, list[int]] = {}
    for entry in cache.entries():
        kinds.setdefault(entry.kind, []).append(entry.n_bytes)
    for kind, sizes in sorted(kinds.items()):
        typer.echo(printable(f"{kind:<24}{len(sizes):>7,} entries  {sum(sizes) / 1e6:>9,.1f} MB"))
    total = sum(map(sum, kinds.values()))
    typer.echo(printable(f"{total / 1e6:,.1f} of {cache.n_bytes / 1e6:,.0f} MB; {cache.folder or 'the cache is off'}"))


@cache_verbs.command("clear")
def cache_clear() -> None:
    """Remove everything from the cache; it is filled again when it is needed."""
    from foreshock.data.system.cache import usual_cache

    typer.echo(f"{usual_cache().clear():,} entries removed")
