"""``foreshock ledger``: show the trial ledger, and check that it is intact."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from foreshock.data.errors import DataError
from foreshock.terminal import LedgerFile, printable

if TYPE_CHECKING:
    from foreshock.engine.trials.ledger import Ledger

ledger_verbs = typer.Typer(help="Show the trials in the ledger, and check that the ledger is intact.", no_args_is_help=True)


@ledger_verbs.command()
def show(ledger: LedgerFile = None) -> None:
    """List every entry: its time, data, configuration and result."""
    from foreshock.engine.trials.chain import digest
    from foreshock.study.trials import describe

    trials = _ledger(ledger)
    entries = trials.entries()
    for entry in entries:
        marks = f"data {entry.data_hash[:12] or '-':<12}  configuration {digest(entry.configuration)[:12]}"
        typer.echo(printable(f"{entry.sequence:>4}  {entry.time[:19]}  {entry.kind:<7}  {marks}  {describe(entry)}").rstrip())
    n_data = len({entry.data_hash for entry in entries if entry.kind == "trial"})
    typer.echo(f"{len(entries)} entries; {trials.count()} configurations on {n_data} sets of data; {trials.path}")


@ledger_verbs.command()
def verify(ledger: LedgerFile = None) -> None:
    """Check that no line was changed, moved or removed."""
    trials = _ledger(ledger)
    found = trials.verify()
    if found.problems:
        first, *others = found.problems
        more = f" (and {len(others)} more)" if others else ""
        raise DataError(f"{trials.path}: {first}{more}; the {found.n_entries} entries before are valid")
    if found.torn:
        raise DataError(
            f"{trials.path}: line {found.n_entries + 1} is torn, its writing was interrupted; the {found.n_entries} entries before "
            "are valid, and the next entry drops it"
        )
    typer.echo(f"{found.n_entries} entries, all as they were written; head {found.head}; {trials.path}")


def _ledger(path: Path | None) -> Ledger:
    """The ledger, which must exist: "0 entries, all as they were written" would mislead."""
    from foreshock.engine.trials.ledger import Ledger

    ledger = Ledger(path)
    if not ledger.path.exists() and not ledger.head_path.exists():
        raise DataError(f"no ledger at {ledger.path}; foreshock run writes one, or pass --ledger FILE")
    return ledger
