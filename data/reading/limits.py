"""How large a file may become in memory: one that unpacks to a thousand times its size is no table of a market."""

from __future__ import annotations

import os
import struct
from functools import cache
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
from pyarrow import ipc

from foreshock.data.errors import DataError

# Rows of constant values pack 100 to 1, a bomb 1,000 to 1 and more; what is small may be packed as it likes.
MOST_TIMES, SMALL = 300, 200_000_000
# Where the system does not say how much memory there is.
USUAL_MEMORY = 8_000_000_000
PIECE = 1 << 22
# A row of a table takes some hundred bytes.
LONGEST_LINE = 1 << 20
MAGIC = b"ARROW1"


@cache
def memory() -> int:
    """Bytes of memory of this machine."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return USUAL_MEMORY


def check_size(n_bytes: int, packed: int, what: str) -> None:
    """Refuse what would take more than the memory, or is hundreds of times larger than its file.

    Parameters
    ----------
    n_bytes, packed : int
        Size in memory, as far as it is known, and of the file.
    what : str
        What it is, for the message, such as ``"unpacks to"``.

    Raises
    ------
    DataError
        With the size and what to do.
    """
    if n_bytes > memory():
        raise DataError(
            f"it {what} {n_bytes / 1e9:,.1f} GB or more, and this machine has {memory() / 1e9:,.1f} GB of memory; cut it into parts"
        )
    if n_bytes > SMALL and n_bytes > MOST_TIMES * packed:
        raise DataError(
            f"it {what} {n_bytes / 1e9:,.1f} GB or more, over {MOST_TIMES} times the size of the file, as no table does; it is "
            "damaged, or no file of a market"
        )


def unpacked(file: BinaryIO, packed: int) -> bytes:
    """The content of a compressed file, read piece by piece; ``packed`` is the size of the file.

    Raises
    ------
    DataError
        If it would take more than the memory, or is hundreds of times larger than the file.
    """
    parts: list[bytes] = []
    n = 0
    while part := file.read(PIECE):
        n += len(part)
        check_size(n, packed, "unpacks to")
        parts.append(part)
    return b"".join(parts)


def refuse_long(line: int, n_bytes: int) -> None:
    """Refuse a line that no row of a table has."""
    if n_bytes >= LONGEST_LINE:
        said = f"line {line} has more than {LONGEST_LINE / 1e6:.0f} MB, as no row of a table has"
        raise DataError(f"{said}; check that it is a CSV file")


def feather_rows(path: Path) -> int:
    """Rows that a Feather file says to have, before any is unpacked; 0 for one of the first version, which packs nothing.

    Arrow itself unpacks a batch to say how long it is, so the number is read from the heads of the batches.
    """
    with pa.memory_map(str(path)) as file:
        content = file.read_buffer()
    if content.slice(0, len(MAGIC)).to_pybytes() != MAGIC:
        return 0
    n = 0
    for message in ipc.MessageReader.open_stream(pa.BufferReader(content.slice(8))):
        if message.type == "record batch":
            n += _length(message.metadata.to_pybytes())
    return n


def _length(head: bytes) -> int:
    """The number of rows in the head of a batch: the first field of the third of a message, as flatbuffers lay them out."""
    (message,) = struct.unpack_from("<I", head, 0)
    at = message + _place(head, message, 2)
    batch = at + struct.unpack_from("<I", head, at)[0]
    place = _place(head, batch, 0)
    return struct.unpack_from("<q", head, batch + place)[0] if place else 0


def _place(head: bytes, table: int, field: int) -> int:
    """Where a field of a table lies, 0 if it has none."""
    places = table - struct.unpack_from("<i", head, table)[0]
    size = struct.unpack_from("<H", head, places)[0]
    return struct.unpack_from("<H", head, places + 4 + 2 * field)[0] if 4 + 2 * field < size else 0
