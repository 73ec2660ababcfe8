"""``foreshock fetch``: history of an exchange into the store, and order books as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from data.errors import ConfigError
from foreshock.terminal import StoreDir, printable


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
