"""Helpers shared by the verbs of the command line: options, a check of the output folder, tables, text safe to print."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from foreshock.data.errors import ConfigError
from foreshock.data.system.disk import unwritable

LedgerFile = Annotated[Path | None, typer.Option("--ledger", help="Ledger file, instead of FORESHOCK_LEDGER or the user's own.")]
StoreDir = Annotated[Path | None, typer.Option("--store", help="Store folder, instead of FORESHOCK_STORE or the user's own cache.")]


def check_out(out: Path) -> None:
    """Refuse a folder that cannot be written, before hours of work are spent; nothing is created yet."""
    reason = unwritable(out)
    if reason is not None:
        raise ConfigError(f"--out must be a folder that can be written, got {out}: {reason}; pass another one")


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], n_left: int = 1) -> None:
    """Print a table as wide as the terminal, or 120 columns without one; the first ``n_left`` columns are left-aligned text."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(title=printable(title), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 0, 0, 1))
    for i, name in enumerate(columns):
        table.add_column(name, justify="left" if i < n_left else "right", no_wrap=i < n_left)
    for row in rows:
        table.add_row(*map(printable, row))
    # Labels come from the user: brackets in them are not rich markup.
    terminal = sys.stdout is not None and sys.stdout.isatty()
    Console(width=None if terminal else 120, markup=False, highlight=False).print(table)


def printable(text: str) -> str:
    """The text on one line, without characters that control the terminal."""
    return "".join(char if char.isprintable() else " " for char in text)
