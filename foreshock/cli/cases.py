"""``foreshock scan``: trades, books or bars in, cases out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from foreshock.terminal import check_out, print_table, printable

# Cases that the terminal shows.
SHOWN = 10


def scan(
    study: Annotated[Path, typer.Argument(metavar="STUDY.toml", help="Study file; see examples/scan.toml.")],
    data: Annotated[
        Path | None, typer.Argument(metavar="DATA", help="Trades, book or bars to scan, instead of the path in the study.")
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", help="Folder for cases.csv, cases.html, alerts.csv and the evidence of each case.")
    ] = Path("foreshock-out/scan"),
) -> None:
    """Watch a market: alerts of a study's detectors as cases, each with its raw rows; nothing is judged or traded."""
    check_out(out)
    from foreshock.cli.study import _loaded, _source
    from foreshock.reports.cases.page import headline
    from foreshock.study.cases.output import made_of, save_scan, scan_content
    from foreshock.study.cases.scan import scan as scanned
    from foreshock.study.study import Study

    config = _loaded(study)
    found = scanned(Study.from_config(config, _source(config, study, data)), progress=True)
    command = f"foreshock scan {study.name}" + (f" {data.name}" if data else "")
    others = save_scan(found, out, command, made_of(config, study, data))
    content = scan_content(found)
    _print_cases(content)
    for sentence in headline(content):
        typer.echo(printable(sentence))
    if others:
        typer.echo(f"{others} bundles of other cases in {out / 'evidence'} were left as they are")
    typer.echo(printable(f"cases: {out / 'cases.csv'}"))
    typer.echo(printable(f"report: {out / 'cases.html'}"))


def _print_cases(content: dict) -> None:
    from foreshock.reports.cases.tables import signed_percent, tail
    from foreshock.reports.parts import format as fmt

    columns = ("case", "symbol", "from", "rarest", "alerts", "tail", "price", "value", "driver")
    rows = [
        (
            case["case_id"],
            case["symbol"],
            fmt.moment(case["start"]),
            case["rarest_detector"],
            fmt.count(case["n_alerts"]),
            tail(case["tail_probability"]),
            signed_percent(case["price_change"]),
            fmt.ratio(case["value_ratio"]),
            case["driver_1"] or fmt.DASH,
        )
        for case in content["cases"][:SHOWN]
    ]
    if rows:
        print_table(f"{content['title']}: the rarest of {len(content['cases'])} cases", columns, rows, n_left=4)
