"""Who was in the universe of a study when."""

from collections.abc import Mapping
from typing import Any

from foreshock.reports.parts import format as fmt
from foreshock.reports.parts.tables import Cell, Column, Table, cell, header


def universe_fact(results: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The rule by which members are chosen, and how many there were; nothing without a universe."""
    rule, blocks = (results.get("config") or {}).get("universe"), results.get("universe") or []
    if not rule or not blocks:
        return []
    ever = {name for block in blocks for name in block["members"]}
    said = f"the {fmt.count(rule['top'])} largest by {rule['by']} over the {rule['window']} before each block"
    return [("Universe", f"{said}; {fmt.counted(len(ever), 'symbol')} in {fmt.counted(len(blocks), 'block')}")]


def universe_table(results: Mapping[str, Any]) -> Table | None:
    """Who joined and who left at the beginning of each block; None without a universe."""
    rows, before = [], set()
    for block in results.get("universe") or []:
        members = set(block["members"])
        joined, left = ([name for name in block["members"] if name not in before], sorted(before - members))
        cells = [cell(len(members), fmt.count), *(Cell(", ".join(names) or fmt.DASH) for names in (joined, left))]
        rows.append([header(str(block["start"])[:16].replace("T", " ")), *cells])
        before = members
    if not rows:
        return None
    columns = [
        Column("Block from", "UTC", "text"),
        Column("n", "members"),
        Column("Joined", "largest first", "text"),
        Column("Left", kind="text"),
    ]
    return Table("universe", "Members of each test block, chosen by what was known when it began", columns, rows)
