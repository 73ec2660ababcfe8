"""What a folder of files means: which files are read, and which of them are one market."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import union_categoricals

from foreshock.data.errors import DataError
from foreshock.data.reading.kinds import shown_names
from foreshock.data.reading.rows import JSON, SUFFIXES, stem_of, suffix_of

# Endings of files that hold rows, and are not read. A text or JSON file is one if its content looks like rows.
ROWS = (
    *(".zip", ".gz", ".bz2", ".xz", ".zst", ".lz4", ".br", ".7z", ".rar", ".tar", ".tgz", ".xlsx", ".xls", ".ods", ".tsv", ".psv"),
    *(".dat", ".h5", ".hdf", ".hdf5", ".jsonl", ".ndjson", ".orc", ".avro", ".pkl", ".pickle", ".npy", ".npz", ".sqlite", ".db"),
    *(".ipc", ".arrows", ".duckdb", ".part", ".partial", ".crdownload", ".download", ".tmp", ".bak", ".old"),
)
YEAR, MONTH, DAY = r"(?:19|20)\d\d", r"(?:0[1-9]|1[0-2])", r"(?:0[1-9]|[12]\d|3[01])"
NAMED = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
DATE = re.compile(
    rf"(?<!\d)(?:{YEAR}(?:(?P<mark>[-_.]?)(?:{MONTH}(?:(?P=mark){DAY})?|Q[1-4]|W[0-5]\d|{NAMED}))?"
    rf"|(?:{DAY}(?P<other>[-_.])(?:{MONTH}|{NAMED})(?P=other)|{MONTH}[-_.]){YEAR})(?!\d)"
    rf"|(?<![a-z]){NAMED}[-_.]?{YEAR}(?!\d)",
    re.IGNORECASE,
)
# A number at the end, up to an epoch in ns.
NUMBER = re.compile(r"(?<!\d)\d{1,19}$")
MARKS = " -_.,()[]"


def files_of(folder: Path) -> list[Path]:
    """The files of a folder that are read, in order of name.

    Raises
    ------
    DataError
        If there are none, a file with rows would be passed over, or two files have one name.
    """
    visible = sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith("."))
    files = [file for file in visible if suffix_of(file) or (file.name.lower().endswith(JSON) and _has_rows(file))]
    if not files:
        raise DataError(
            f"the folder {folder} has no file that ends in {', '.join((*SUFFIXES, JSON))}; pass a file, or another folder"
        )
    passed = [file.name for file in visible if file not in files and _has_rows(file)]
    if passed:
        raise DataError(
            f"the folder {folder} has files that are not read: {shown_names(passed)}; move them away, or convert them to CSV, "
            f"Parquet or Feather"
        )
    stems = [stem_of(file) for file in files]
    for stem in stems:
        if stems.count(stem) > 1:
            named = ", ".join(file.name for file in files if stem_of(file) == stem)
            raise DataError(f"the folder {folder} has {stem} more than once: {named}; keep one of them")
    return files


def _has_rows(path: Path) -> bool:
    name = path.name.lower()
    if name.endswith(ROWS) or ".csv" in name or ".parquet" in name:
        return True
    if not name.endswith((".txt", ".json")):
        return False
    with path.open("rb") as file:
        lines = file.read(4_096).lstrip().splitlines()
    if not lines or name.endswith(".json"):
        # A description of data is an object, rows are a list.
        return bool(lines) and lines[0][:1] == b"["
    return max(lines[0].count(mark) for mark in (b",", b";", b"\t", b"|")) >= 4


def join(folder: Path, tables: Mapping[Path, pd.DataFrame]) -> pd.DataFrame:
    """One table of the tables of a folder, in which files of one market are one symbol.

    Files without a symbol column whose names differ in dates alone, or in a number at the end, are one market if their times follow
    one another. The symbol is then what their names have in common, or, if that is nothing, the name of the folder.

    Raises
    ------
    DataError
        If times of files whose names differ in dates alone overlap.
    """
    for base, files in _markets(tables).items():
        spans = {file: (tables[file]["time"].min(), tables[file]["time"].max()) for file in files}
        ordered = in_order(folder, spans)
        if ordered:
            name = base or folder.resolve().name
            tables = {**tables, **{file: _renamed(tables[file], name) for file in files}}
            # The parts stand where the first of them stood, in the order of their times.
            at = list(tables).index(min(files, key=list(tables).index))
            others = [file for file in tables if file not in files]
            n_before = sum(list(tables).index(file) < at for file in others)
            tables = {file: tables[file] for file in (*others[:n_before], *ordered, *others[n_before:])}
    parts = list(tables.values())
    if len(parts) == 1:
        return parts[0]
    symbol = pd.Series(union_categoricals([part["symbol"] for part in parts]))
    rows = pd.concat([part.drop(columns="symbol") for part in parts], ignore_index=True)
    rows.insert(1, "symbol", symbol)
    return rows


def in_order(folder: Path, spans: Mapping[Path, tuple[Any, Any]]) -> list[Path]:
    """Files of one market in the order of their first and last times; none if they do not follow one another.

    Raises
    ------
    DataError
        If times of files whose names differ in dates alone overlap.
    """
    ordered = sorted(spans, key=lambda file: spans[file])
    overlaps = [(a, b) for a, b in pairwise(ordered) if spans[b][0] <= spans[a][1]]
    if overlaps and all(DATE.search(stem_of(file)) for file in spans):
        first, second = overlaps[0]
        raise DataError(
            f"the folder {folder} has files whose names differ in a date alone, {first.name} and {second.name}, and whose "
            f"times overlap: {second.name} begins at {spans[second][0]}, {first.name} ends at {spans[first][1]}; parts of one "
            f"market must follow one another, several markets need a column symbol"
        )
    return [] if overlaps else ordered


def _markets(tables: Mapping[Path, pd.DataFrame]) -> dict[str, list[Path]]:
    # A file with a symbol column says itself whose rows it has.
    return markets_of(file for file, table in tables.items() if list(table["symbol"].cat.categories) == [stem_of(file)])


def markets_of(files: Iterable[Path]) -> dict[str, list[Path]]:
    """The files, by what their names have in common, of each market that has several."""
    groups: dict[str, list[Path]] = {}
    for file in files:
        stem = stem_of(file)
        dated = DATE.search(stem)
        bare = DATE.sub(" ", stem) if dated else NUMBER.sub(" ", stem)
        if bare != stem or dated:
            groups.setdefault(_tidy(bare) + ("" if dated else "#"), []).append(file)
        else:
            groups.setdefault(_tidy(stem), []).append(file)
    return {base.removesuffix("#"): files for base, files in groups.items() if len(files) > 1}


def _tidy(name: str) -> str:
    """A name without the marks that stood around what was cut out of it."""
    parts = [part.strip(MARKS) for part in name.split("  ")]
    pieces = [piece.strip(MARKS) for part in parts for piece in part.split(" ")]
    kept = [piece for piece in pieces if piece]
    mark = next((char for char in name if char in "-_."), "-")
    return mark.join(kept)


def _renamed(table: pd.DataFrame, name: str) -> pd.DataFrame:
    symbol = pd.Categorical.from_codes(np.zeros(len(table), dtype=np.int8), categories=pd.Index([name], dtype=object))
    return table.assign(symbol=symbol)
