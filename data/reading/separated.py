"""Rows of CSV text: every row has the fields of the header, and words stay as they are written."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from foreshock.data.errors import DataError
from foreshock.data.reading.kinds import UNKNOWN, Kinds, lowered, refuse_doubled, shown_names
from foreshock.data.reading.limits import LONGEST_LINE, refuse_long
from foreshock.data.show.shown import shown

BOM = b"\xef\xbb\xbf"
# Small enough for the cache of a core.
BLOCK = 1 << 20
WHOLE = re.compile(r"\s*[+-]?\d+\s*")
REAL = re.compile(r"\s*[+-]?(\d+\.\d*|\.\d+)([eE][+-]?\d+)?\s*")
ISO = re.compile(r"\d{4}-\d\d-\d\d([ T]\d\d(:\d\d(:\d\d(\.\d{1,9})?)?)?)?(Z|[+-]\d\d(:?\d\d)?)?")
NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*")
QUOTE = re.compile(rb'"')
INVALID = re.compile(r"In CSV column #(\d+)")


def read_csv(text: pa.Buffer, kinds: Kinds, given: Sequence[str] | None = None) -> pd.DataFrame:
    """The rows of a CSV text, one column for each name of its header.

    Parameters
    ----------
    text : Buffer
        UTF-8, with or without a byte order mark.
    kinds : Kinds
        Columns of other names are read as the numbers, truth values or text that their values show.
    given : sequence of str, optional
        Names of the columns of a text without a header; one without a name is not read.

    Raises
    ------
    DataError
        If the text is empty, is not separated by commas, or a row has fewer or more fields than the header.
    UnicodeDecodeError
        If it is not UTF-8.
    """
    names, start = header(text) if given is None else (list(given), _bom(text))
    refuse_doubled(name for name in names if name)
    body = text.slice(start)
    wanted = Wanted(names, column_types(names, first_row(body), kinds))
    while True:
        try:
            table = pyarrow.csv.read_csv(pa.BufferReader(body), *wanted.options())
            break
        except pa.ArrowInvalid as error:
            if "Empty CSV" in str(error):
                return pd.DataFrame({name: [] for name in names if name})
            wanted = wanted.after(error, io.BytesIO(text))
    if any(pa.types.is_binary(field.type) for field in table.schema):
        text.to_pybytes().decode("utf-8")
    if QUOTE.search(text):
        refuse_swallowed(table, names)
    return to_frame(table, names, kinds)


def header(text: pa.Buffer) -> tuple[list[str], int]:
    """The column names, and the place of the first byte after them."""
    number = 1
    at = _bom(text)
    while True:
        line, after = _line(text, at)
        refuse_long(number, len(line))
        if line.strip() or after >= text.size:
            break
        at, number = after, number + 1
    if not line.strip():
        raise DataError("cannot be read as csv: No columns to parse from file; check that its content fits its name")
    try:
        words = line.decode("utf-8")
    except UnicodeDecodeError as error:
        # The place in the file, not in the line.
        raise UnicodeDecodeError("utf-8", b"\0" * at + line, at + error.start, at + error.end, error.reason) from error
    names = next(csv.reader([words.rstrip("\r\n")]))
    foreign = next((mark for mark in ";\t|" if mark in words), None)
    if len(names) == 1 and foreign:
        raise DataError(f"fields must be separated by commas, got {shown(foreign)}; save it with commas and decimal points")
    if len(names) > 1 and all(NUMBER.fullmatch(name) for name in names if name.strip()):
        raise DataError(
            f"the first line must name the columns, got {shown_names(names[:3])}; add such a line, or name the columns of bars "
            f"with columns=, such as 'binance' or ['time', 'open', ...]"
        )
    return names, after


def _bom(text: pa.Buffer) -> int:
    return len(BOM) if text.slice(0, min(len(BOM), text.size)).to_pybytes() == BOM else 0


def _line(text: pa.Buffer, at: int) -> tuple[bytes, int]:
    """The line that begins at a place, and the place after it; of a line that is far too long, the beginning."""
    length = 1 << 12
    while True:
        piece = text.slice(at, min(length, text.size - at)).to_pybytes()
        ends = [end for end in (piece.find(b"\n"), piece.find(b"\r")) if end >= 0]
        if ends or at + length >= text.size or len(piece) > LONGEST_LINE:
            end = min(ends) + 1 if ends else len(piece)
            # Two characters end a line of Windows.
            end += int(piece[end - 1 : end + 1] == b"\r\n")
            return piece[:end], at + end
        length *= 8


def first_row(body: pa.Buffer) -> list[str]:
    """The fields of the first row that is not blank, or none."""
    at = 0
    while at < body.size:
        line, at = _line(body, at)
        refuse_long(2, len(line))
        if line.strip():
            return next(csv.reader([line.decode("utf-8", "replace").rstrip("\r\n")]))
    return []


def column_types(names: list[str], row: list[str], kinds: Kinds) -> dict[int, pa.DataType]:
    """The type in which each known column is first tried; what does not fit is read as text."""
    types: dict[int, pa.DataType] = {}
    for at, name in enumerate(map(lowered, names)):
        if name in kinds.numbers:
            types[at] = pa.float64()
        elif name in kinds.words:
            types[at] = pa.dictionary(pa.int32(), pa.string())
        elif name in kinds.ids:
            types[at] = pa.string()
        elif name in kinds.times:
            types[at] = _time_type(row[at] if at < len(row) else "")
    return types


def _time_type(value: str) -> pa.DataType:
    if WHOLE.fullmatch(value):
        return pa.int64()
    if REAL.fullmatch(value):
        return pa.float64()
    found = ISO.fullmatch(value)
    if not found or (found[5] and not found[1]):
        return pa.string()
    return pa.timestamp("ns" if found[4] and len(found[4]) > len(".123456") else "us", "UTC" if found[5] else None)


@dataclass(frozen=True)
class Wanted:
    """What Arrow is told of a CSV text: columns by their place, and no word of text is unknown.

    Parameters
    ----------
    names : list of str
        The header.
    types : dict of int to DataType
        Type of each known column, by its place.
    quoted, blank, unknown : bool
        Whether a field may hold the end of a line within quotes, there are lines of blanks, which are left out, and numbers may not
        be known. To look for each takes time, so they are looked for once a text without them cannot be read.
    """

    names: list[str]
    types: dict[int, pa.DataType]
    quoted: bool = False
    blank: bool = False
    unknown: bool = False

    def options(self) -> tuple[pyarrow.csv.ReadOptions, pyarrow.csv.ParseOptions, pyarrow.csv.ConvertOptions]:
        read = [at for at, name in enumerate(self.names) if name]
        # The kind of a column that is not known by name shows only without the words for unknown numbers.
        unknown = self.unknown or any(at not in self.types for at in read)
        return (
            pyarrow.csv.ReadOptions(column_names=[f"c{at}" for at in range(len(self.names))], block_size=BLOCK, use_threads=False),
            pyarrow.csv.ParseOptions(newlines_in_values=self.quoted, invalid_row_handler=_left_out if self.blank else None),
            pyarrow.csv.ConvertOptions(
                column_types={f"c{at}": kind for at, kind in self.types.items()},
                include_columns=[f"c{at}" for at in read],
                null_values=UNKNOWN if unknown else [],
                strings_can_be_null=False,
            ),
        )

    def after(self, error: pa.ArrowInvalid, text: BinaryIO) -> Wanted:
        """What to ask for after an error, such as the column at fault as text; what cannot be helped is raised."""
        if "UTF8" in str(error):
            text.read().decode("utf-8")
        found = INVALID.search(str(error))
        at = int(found[1]) if found else -1
        if self.types.get(at) not in (None, pa.string()):
            if not self.unknown:
                return replace(self, unknown=True)
            kind = pa.float64() if self.types[at] == pa.int64() else pa.string()
            return replace(self, types=self.types | {at: kind})
        if not self.quoted:
            return replace(self, quoted=True)
        refuse_cut_rows(text, self.names)
        if self.blank or "Expected" not in str(error):
            raise error
        return replace(self, blank=True)


def _left_out(row: pyarrow.csv.InvalidRow) -> str:
    return "error" if row.text.strip() else "skip"


def refuse_cut_rows(text: BinaryIO, names: list[str]) -> None:
    """Name the first row that has fewer or more fields than the header; Arrow does not tell its line."""
    words = io.TextIOWrapper(text, encoding="utf-8-sig", newline="")
    lines = _lines(words)
    reader = csv.reader(lines)
    n_wrong, line, n_fields, seen = 0, 0, 0, False
    limit = csv.field_size_limit(LONGEST_LINE)
    try:
        for row in reader:
            blank = not row or (len(row) == 1 and not row[0].strip())
            if seen and not blank and len(row) != len(names):
                line, n_fields = (line, n_fields) if n_wrong else (reader.line_num, len(row))
                n_wrong += 1
            seen |= not blank
    except csv.Error:
        return
    finally:
        csv.field_size_limit(limit)
        lines.close()
        words.detach()
    if n_wrong:
        raise DataError(
            f"every row must have the {len(names)} fields of the header ({shown_names(names)}), got {n_fields} in line {line} "
            f"({n_wrong} such rows); {_advice(n_fields, len(names))}"
        )


def refuse_swallowed(table: pa.Table, names: list[str]) -> None:
    """Refuse rows within a field: a quote that is not closed makes text of all rows up to the next one."""
    for column in table.column_names:
        values = table[column]
        if pa.types.is_dictionary(values.type):
            values = values.unify_dictionaries().chunk(0).dictionary if values.num_chunks else pa.array([], pa.string())
        if not pa.types.is_string(values.type):
            continue
        ended = pc.or_(*(pc.match_substring(values, end) for end in "\r\n"))  # pyright: ignore[reportAttributeAccessIssue]
        for value in values.filter(ended).to_pylist():
            inner = next((line for line in value.splitlines()[1:] if line.count(",") >= len(names) - 1), None)
            if inner is not None:
                where = f"within a field of the column {shown(names[int(column[1:])], 40)}"
                raise DataError(
                    f"every row must have a line of its own, got {shown(inner, 60)} {where}: a quote before it is not closed; "
                    f"close it, or write a quote within text twice"
                )


def _lines(text: io.TextIOWrapper) -> Generator[str]:
    number = 0
    while line := text.readline(LONGEST_LINE):
        number += 1
        refuse_long(number, len(line))
        yield line


def _advice(n_fields: int, n_names: int) -> str:
    if n_fields > n_names:
        return "name every column, and put quotes around text that has commas"
    return "the row is cut, as an interrupted download leaves it: fetch the file again, or remove the row"


def to_frame(table: pa.Table, names: list[str], kinds: Kinds) -> pd.DataFrame:
    """The table in the types that pandas reads well, with the names of the header."""
    known = {f"c{at}": name for at, name in enumerate(names)}
    columns = []
    for column in table.column_names:
        values, name = table[column], lowered(known[column])
        if pa.types.is_string(values.type) and name in (*kinds.times, *kinds.numbers):
            unknown = pc.is_in(values, pa.array(UNKNOWN))  # pyright: ignore[reportAttributeAccessIssue]
            values = pc.if_else(unknown, None, values)  # pyright: ignore[reportAttributeAccessIssue]
        elif pa.types.is_null(values.type):
            values = values.cast(pa.float64())
        elif pa.types.is_boolean(values.type):
            values = values.cast(pa.int8()).cast(pa.float64())
        columns.append(values)
    frame = pa.table(columns, names=table.column_names).to_pandas(split_blocks=True, self_destruct=True)
    return frame.set_axis([known[column] for column in table.column_names], axis=1)
