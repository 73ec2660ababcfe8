"""Verbs from file to file: ``clean`` for bars, ``windows`` for trades, ``denoise`` for order books."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foreshock.data.errors import ConfigError
from foreshock.terminal import printable

if TYPE_CHECKING:
    import pandas as pd

Out = Annotated[Path, typer.Option("--out", help="File to write; its name ends in .csv, .parquet or .feather.")]
ENDINGS = (".csv", ".parquet", ".feather")


def clean(
    data: Annotated[Path, typer.Argument(metavar="BARS", help="Bars: a CSV, Parquet or Feather file, or a folder of them.")],
    out: Out,
    interval: Annotated[str | None, typer.Option(help="Bar length, such as 1h; by default the most common step.")] = None,
    columns: Annotated[
        str | None,
        typer.Option(help="For rows without names: ccxt, binance or kraken, or time,open,high,low,close,volume."),
    ] = None,
) -> None:
    """Fix what eda finds: remove malformed bars, one symbol a series; with FILE.done.csv, the list of what was done."""
    _check(out, data)
    listed = out.with_name(f"{out.stem}.done.csv")
    _check(listed, data)
    from foreshock.data.files import naming, read_table
    from foreshock.data.quality.clean import clean as cleaned
    from foreshock.data.system.disk import written_together

    names = columns.split(",") if columns is not None and "," in columns else columns
    table = read_table(data, names)
    with naming(data):
        bars, report = cleaned(table, interval)
    with written_together(out.parent, (out.name, listed.name)) as parts:
        parts[out.name].write_bytes(_content(bars.to_frame(), out.suffix))
        parts[listed.name].write_bytes(_content(report.runs, ".csv"))
    for name, done, n in report.findings.groupby(["kind", "done"]).size().reset_index().itertuples(index=False):
        typer.echo(printable(f"{str(name).replace('_', ' ')}: {n:,} bars, {done}"))
    if report.findings.empty:
        typer.echo("nothing was found")
    typer.echo(printable(f"{listed}: what was found and done, {len(report.runs):,} runs of bars"))
    typer.echo(printable(f"{out}: {int(sum(report.bars.values())):,} bars of {bars.n_symbols} symbols"))


def windows(
    data: Annotated[Path, typer.Argument(metavar="TRADES", help="Trades: a CSV, Parquet or Feather file, or a folder of them.")],
    out: Out,
    interval: Annotated[str, typer.Option(help="Length of a window, a whole number of milliseconds.")] = "20s",
) -> None:
    """Aggregate trades in windows of exchange time: prices, counts, volumes, bought volumes and rush orders."""
    _check(out, data)
    import numpy as np
    import pandas as pd

    from foreshock.data.interval import parse_duration
    from foreshock.data.trades.trades import read_trades
    from foreshock.data.trades.windows import trade_windows

    seconds = float(parse_duration(interval, "--interval") / np.timedelta64(1, "s"))
    if data.is_dir():
        from foreshock.market.folders import trades_of

        several = trades_of(data)
    else:
        trades = read_trades(data)
        several = trades.split() if trades.series is not None else {"": trades}
    frames = []
    for name, one in several.items():
        frame = trade_windows(one, seconds).to_frame()
        frames.append(frame.assign(symbol=name) if name else frame)
        quiet = float((frame["trade_count"] == 0).mean())
        typer.echo(printable(f"{name or data.name}: {len(one):,} trades in {len(frame):,} windows, {quiet:.1%} without a trade"))
    _write(pd.concat(frames, ignore_index=True), out)
    typer.echo(printable(f"{out}: {sum(map(len, frames)):,} windows of {interval}"))


def denoise(
    data: Annotated[Path, typer.Argument(metavar="BOOK", help="Order book: a CSV, Parquet or Feather file; see read_book.")],
    out: Out,
    model: Annotated[str, typer.Option(help="Detector that rebuilds a book, or a file of a saved one.")] = "conv_autoencoder",
    ratio: Annotated[float, typer.Option(help="A level is replaced where it is this many times as large as expected.")] = 8.0,
    train: Annotated[float, typer.Option(help="Share of the snapshots, from the first, that the model learns from.")] = 0.5,
    interval: Annotated[str | None, typer.Option(help="Time between snapshots; by default the usual step.")] = None,
) -> None:
    """Take out of an order book the depth that a model of usual books does not expect; what it learned from is left as it is."""
    _check(out, data)
    if not 0 < train < 1:
        raise ConfigError(f"--train must be a share between 0 and 1, got {train}; such as 0.5")
    import numpy as np

    from foreshock.data.books.orderbook import Book, read_book
    from foreshock.detectors.neural.denoise import denoise_book
    from foreshock.detectors.registry import load_detector, make_detector
    from foreshock.engine.features.book import book_features

    book = read_book(data, interval, partial=True)
    depth = [name for name in book.known_columns if "_notional_" in name and name.split("_")[1] == "notional"]
    if not depth:
        raise ConfigError(f"{data} has no notional of a level, such as bids_notional_0; there is nothing to take out")
    cut = max(int(len(book) * train), 1)
    if Path(model).is_file():
        fitted, cut = load_detector(model), 0
    else:
        fitted = make_detector(model)
        fitted.fit(book_features(book.head(cut), tuple(f"log_{name}" for name in depth)))
    found = denoise_book(book, fitted, ratio)  # type: ignore[arg-type]
    later = np.arange(len(book)) >= cut
    known = later[:, None, None] & ~np.isnan(found.notional)
    notional = np.where(known, found.notional, book.notional)
    changed = known & (found.notional != book.notional)
    cleaned = Book(**{**vars(book), "notional": notional})
    _write(cleaned.to_frame(), out)
    per_row = changed.sum() / max(int(later.sum()), 1)
    learned = f"{fitted.name} learned from the first {cut:,}" if cut else f"{fitted.name} was learned before"
    typer.echo(printable(f"{len(book):,} snapshots; {learned}; {changed.sum():,} levels replaced, {per_row:.2f} a snapshot"))
    typer.echo(printable(str(out)))


def _check(out: Path, data: Path) -> None:
    """Refuse a file that cannot be written, before anything is read."""
    if out.suffix not in ENDINGS:
        raise ConfigError(f"--out must end in {', '.join(ENDINGS)}, got {out.name}; name it so")
    if not out.resolve().parent.is_dir():
        raise ConfigError(f"--out must lie in a folder that exists, got {out}; make the folder, or pass another file")
    if out.exists() and out.resolve() == data.resolve():
        raise ConfigError(f"--out must be another file than the one that is read, got {out}")


def _write(frame: pd.DataFrame, out: Path) -> None:
    from foreshock.data.system.disk import write_whole

    write_whole(out, _content(frame, out.suffix))


def _content(frame: pd.DataFrame, suffix: str) -> bytes:
    from io import BytesIO

    content = BytesIO()
    if suffix == ".csv":
        frame.to_csv(content, index=False, date_format="%Y-%m-%dT%H:%M:%S.%fZ")
    elif suffix == ".parquet":
        frame.to_parquet(content, index=False)
    else:
        frame.to_feather(content)
    return content.getvalue()
