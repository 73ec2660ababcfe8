"""``foreshock fetch``: load an exchange's history into the store, or record its order books from now on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from foreshock.data.errors import ConfigError
from foreshock.terminal import StoreDir, printable


def fetch(
    symbols: Annotated[
        list[str], typer.Argument(metavar="SYMBOL...", help="Symbols as ccxt writes them: BTC/USDT, BTC/USDT:USDT.")
    ],
    start: Annotated[str | None, typer.Option(help="Start of the range, UTC, such as 2024-01-01.")] = None,
    end: Annotated[str | None, typer.Option(help="End of the range, UTC, not part of it; by default now.")] = None,
    exchange: Annotated[
        str, typer.Option(help="Exchange by ccxt's name: binance, bybit, upbit, coinbase, kraken, or another.")
    ] = "binance",
    timeframe: Annotated[
        str | None,
        typer.Option(show_default="1h; for books 10s", help="Bar length (1m, 1h, 1d); for books, the time between snapshots."),
    ] = None,
    kind: Annotated[str, typer.Option(help="What to fetch: ohlcv, trades, funding or book.")] = "ohlcv",
    duration: Annotated[str | None, typer.Option(help="How long to record books, from now on, such as 1h.")] = None,
    store: StoreDir = None,
    base_url: Annotated[
        str | None, typer.Option("--base-url", help="Host for every request, instead of FORESHOCK_BASE_URL or the exchange's own.")
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
    """Fetch history from an exchange into the store; what the store has is not fetched again."""
    if kind == "book":
        _record(symbols, exchange, timeframe, start or end, duration, store, base_url, archive)
        return
    if duration is not None:
        raise ConfigError(f"--duration applies to books only, got {duration} for {kind}; pass --start and --end")
    if timeframe is not None and kind in ("trades", "funding"):
        raise ConfigError(f"--timeframe applies to bars and books only, got {timeframe} for {kind}; leave it out")
    from foreshock.market.history import fetch_history

    for found in fetch_history(symbols, exchange, timeframe or "1h", start, end, kind, store, base_url, True, archive):
        empty = f", {found.n_empty} bars that the exchange lacks" if found.n_empty else ""
        still = sum(b - a for a, b in found.uncovered) / 60_000
        open_ = f", {still:,.0f} {'minute' if round(still) == 1 else 'minutes'} not yet known" if found.uncovered else ""
        told = f", {found.told()}" if found.told() else ""
        told += "; foreshock store notes shows them" if told else ""
        bulk = f" ({found.n_archived:,} from the archive)" if archive is not None else ""
        typer.echo(printable(f"{found.key}: {found.n_fetched:,} fetched{bulk}, {found.n_rows:,} in the store{empty}{open_}{told}"))


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
        raise ConfigError(
            f"the past of an order book cannot be fetched, books are recorded from now on: leave out {wrong}; pass --duration"
        )
    from foreshock.market.order_books import record_book

    for found in record_book(symbols, exchange, timeframe or "10s", duration, store, base_url, progress=True):
        missed = f", {found.n_missed:,} missed" if found.n_missed else ""
        typer.echo(printable(f"{found.key}: {found.n_taken:,} snapshots taken{missed}"))
