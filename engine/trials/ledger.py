"""The trial ledger: every configuration tried, in an append-only file that reveals tampering."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from foreshock.data.checks import check_function, check_mapping, check_path, check_text
from foreshock.data.doors.door import door
from foreshock.data.errors import ConfigError, DataError
from foreshock.data.show.facts import Shown
from foreshock.data.show.shown import shown
from foreshock.data.system.disk import unwritable, write_whole
from foreshock.data.system.locks import lock
from foreshock.engine.trials.chain import GENESIS, Entry, canonical, digest, read_chain

ENVIRONMENT = "FORESHOCK_LEDGER"
# Kinds of entries: a study or search; a hold-out that was set aside; one that was opened; a torn line that was dropped.
TRIAL, SEAL, OPENING, REPAIR = "trial", "seal", "opening", "repair"


@dataclass(frozen=True)
class Verification:
    """Result of checking the chain of a ledger.

    Parameters
    ----------
    n_entries : int
        Valid entries in the right place, counted from the first.
    problems : tuple of str
        One sentence per problem, with its line; empty if every line is as it was written.
    torn : bool
        Whether the last line was cut short by an interrupted write; the next append drops it and records that.
    head : str
        ``sha256`` of the last valid entry. A copy kept elsewhere shows later whether the file was rewritten.
    """

    n_entries: int
    problems: tuple[str, ...]
    torn: bool
    head: str

    @property
    def whole(self) -> bool:
        return not self.problems and not self.torn


@door
class Ledger(Shown):
    """Append-only, hash-chained JSON lines of every configuration tried.

    Each entry holds the SHA-256 of the previous one: a line that is changed, removed or moved breaks the chain. Removing lines from
    the end leaves the chain intact, so the file ``<ledger>.head`` next to the ledger stores its length. Neither stops someone who
    rewrites both files, but a head printed in an earlier result shows it.

    Parameters
    ----------
    path : str or Path, optional
        Path of the ledger file; by default ``FORESHOCK_LEDGER``, or ``ledger.jsonl`` in the user's data folder.
    clock : callable, optional
        Returns the time of an entry, with a time zone; the system's clock by default.

    Notes
    -----
    Several processes and threads may append at once: a lock on the file serialises them, and an entry is on the disk when
    ``append`` returns. Every append reads the complete chain first: 0.1 s for a thousand entries of 2 kB.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> import foreshock as fs
    >>> ledger = fs.Ledger(Path(mkdtemp()) / "ledger.jsonl", clock=lambda: datetime(2024, 5, 6, tzinfo=UTC))
    >>> entry = ledger.append({"window": 24}, data_hash="abc", result={"sharpe": 1.1})
    >>> entry.sequence, entry.time, ledger.count(), ledger.verify().problems
    (0, '2024-05-06T00:00:00.000000+00:00', 1, ())
    """

    def __init__(self, path: str | Path | None = None, clock: Callable[[], datetime] | None = None) -> None:
        if path is not None:
            check_path("path", path)
        if clock is not None:
            check_function("clock", clock)
        self.path = Path(path) if path is not None else default_path()
        self._clock = clock or _now

    def append(
        self,
        configuration: Mapping[str, Any],
        data_hash: str,
        result: Mapping[str, Any],
        kind: str = TRIAL,
        allowed: Callable[[tuple[Entry, ...]], None] | None = None,
    ) -> Entry:
        """Write one entry and return it.

        Parameters
        ----------
        configuration, result : mapping
            What was tried and what came out, in JSON types; None for values that are not known.
        data_hash : str
            Hash of the data used; see ``Bars.fingerprint``.
        kind : str
            Kind of the entry; see ``Entry``.
        allowed : callable, optional
            Called with the existing entries while the lock is held; raises if the new entry must not be written.

        Raises
        ------
        ConfigError
            If a value is not of a JSON type, or is NaN or infinite, or the path is a folder or a device.
        DataError
            If the chain is broken, or the file is not a ledger: nothing is appended to a file that was changed.
        """
        check_mapping("configuration", configuration)
        check_mapping("result", result)
        check_text("data_hash", data_hash)
        check_text("kind", kind)
        # Serialised before the lock is taken, and parsed back: the hash covers what a reader will parse.
        tried, became = json.loads(canonical(configuration)), json.loads(canonical(result))
        self._refuse_no_file()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._locked() as descriptor:
            entries, found, content, good_bytes = self._read(descriptor)
            self._refuse_broken(found)
            if allowed is not None:
                allowed(entries)
            chain = list(entries)
            if found.torn:
                os.ftruncate(descriptor, good_bytes)
                lost = content[good_bytes:]
                dropped = {"dropped_bytes": len(lost), "dropped_sha256": hashlib.sha256(lost).hexdigest()}
                chain.append(self._entry(chain, REPAIR, {}, "", dropped))
            elif content and not content.endswith(b"\n"):
                # An interrupted write ended after the entry and before its newline.
                _write(descriptor, b"\n")
            entry = self._entry(chain, kind, tried, data_hash, became)
            for new in [*chain[len(entries) :], entry]:
                _write(descriptor, new.line())
            os.fsync(descriptor)
            # Written once the line is on disk: a head behind the file means an interrupted append, one ahead of it lost lines.
            self._write_head(entry)
        return entry

    def entries(self) -> tuple[Entry, ...]:
        """All entries, oldest first; none if the file does not exist.

        Raises
        ------
        ConfigError
            If the path is a folder or a device.
        DataError
            If the chain is broken, with the line and the reason, or the file is not a ledger.
        """
        entries, found = self._load()
        self._refuse_broken(found)
        return entries

    def verify(self) -> Verification:
        """Check every line, its place in the chain and the end of the file; a file that does not exist has no entries."""
        return self._load()[1]

    def check(self) -> None:
        """Raise early what ``append`` would raise after hours of work; creates nothing.

        Raises
        ------
        ConfigError
            If the path is a folder or a device, or the file or its folder cannot be written.
        DataError
            If the chain is broken, or the file is not a ledger.
        """
        self._refuse_no_file()
        # Every append replaces the head file in the folder of the ledger.
        reason = unwritable(self.path.absolute().parent)
        try:
            if reason is None and self.path.exists():
                os.close(os.open(self.path, os.O_RDWR | os.O_APPEND))
        except OSError as error:
            reason = error.strerror
        if reason is not None:
            raise ConfigError(
                f"the ledger must be a file that can be written, in a folder that can be, got {self.path}: {reason}; "
                "pass another one"
            )
        self.entries()

    def count(self, data_hash: str | None = None) -> int:
        """Number of distinct configurations tried, on the data with that hash or on any data.

        The same configuration on the same data is one trial, however often it is run. Data cut differently have another hash and
        are counted separately.
        """
        if data_hash is not None:
            check_text("data_hash", data_hash)
        wanted = (entry for entry in self.entries() if entry.kind == TRIAL and data_hash in (None, entry.data_hash))
        return len({(entry.data_hash, digest(entry.configuration)) for entry in wanted})

    def _entry(self, chain: list[Entry], kind: str, configuration: dict[str, Any], data_hash: str, result: dict[str, Any]) -> Entry:
        previous = chain[-1].sha256 if chain else GENESIS
        time = self._clock()
        if time.utcoffset() is None:
            raise ConfigError(f"the clock of a ledger must return times with a zone, got {shown(time)}; use datetime.now(UTC)")
        stamp = time.astimezone(UTC).isoformat(timespec="microseconds")
        bare = Entry(len(chain), previous, stamp, kind, configuration, data_hash, result)
        return replace(bare, sha256=bare.digest())

    def _load(self) -> tuple[tuple[Entry, ...], Verification]:
        self._refuse_no_file()
        if not self.path.exists():
            expected = self._read_head()
            if expected is None:
                return (), Verification(0, (), False, GENESIS)
            gone = f"the ledger is gone, but {self.head_path.name} says it was there"
            return (), Verification(0, (expected if isinstance(expected, str) else gone,), False, GENESIS)
        with self._locked(write=False) as descriptor:
            return self._read(descriptor)[:2]

    def _read(self, descriptor: int) -> tuple[tuple[Entry, ...], Verification, bytes, int]:
        """Entries, result of the check, complete content of the file, and the number of bytes before a torn line."""
        os.lseek(descriptor, 0, os.SEEK_SET)
        content = _read_all(descriptor)
        entries, problems, torn, good_bytes = read_chain(content)
        expected = self._read_head()
        if isinstance(expected, str):
            problems.append(expected)
        elif expected is not None and not problems:
            count, last = expected
            if count > len(entries):
                lost = f"entry {count - 1} is" if count == len(entries) + 1 else f"entries {len(entries)} to {count - 1} are"
                problems.append(f"line {len(entries) + 1}: {lost} missing at the end; the ledger had {count}")
            elif entries[count - 1].sha256 != last:
                problems.append(f"line {count}: entry {count - 1} differs from the one that was written; the file was rewritten")
        head = entries[-1].sha256 if entries else GENESIS
        return tuple(entries), Verification(len(entries), tuple(problems), torn and not problems, head), content, good_bytes

    def _refuse_no_file(self) -> None:
        if self.path.exists() and not self.path.is_file():
            what = "a folder" if self.path.is_dir() else "a device or pipe"
            raise ConfigError(f"the ledger must be a file that can be written, got {self.path}, which is {what}; pass another")

    def _refuse_broken(self, found: Verification) -> None:
        if found.problems and not found.n_entries and not self.head_path.exists():
            raise DataError(f"{self.path} is not a ledger, or was changed: {found.problems[0]}; left as it is, pass another file")
        if found.problems:
            raise DataError(
                f"{self.path} was changed after it was written: {found.problems[0]}; restore a valid copy, or start another ledger"
            )

    @property
    def head_path(self) -> Path:
        return self.path.with_name(self.path.name + ".head")

    def _read_head(self) -> tuple[int, str] | str | None:
        """Number of entries and last hash at the last append; a sentence if the file is invalid, None if it does not exist."""
        if self.head_path.is_dir():
            return f"{self.head_path.name} is a folder, where a file with a count and a hash belongs"
        try:
            count, last = self.head_path.read_text(encoding="ascii").split()
            return max(int(count), 1), last
        except FileNotFoundError:
            return None
        except ValueError:
            return f"{self.head_path.name} is not a count and a hash; it was changed"

    def _write_head(self, entry: Entry) -> None:
        write_whole(self.head_path, f"{entry.sequence + 1} {entry.sha256}\n")

    @contextmanager
    def _locked(self, write: bool = True) -> Iterator[int]:
        """The open file, locked against other processes and threads."""
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND if write else os.O_RDONLY
        descriptor = os.open(self.path, flags | getattr(os, "O_BINARY", 0), 0o644)
        try:
            lock(descriptor, write)
            yield descriptor
        finally:
            # Closing the file releases the lock.
            os.close(descriptor)

    def _facts(self) -> Iterator[str]:
        yield shown(str(self.path), 120)


def default_path() -> Path:
    """``FORESHOCK_LEDGER``, or ``ledger.jsonl`` in the user's data folder."""
    import platformdirs

    return Path(os.environ.get(ENVIRONMENT) or platformdirs.user_data_path("foreshock") / "ledger.jsonl")


def _now() -> datetime:
    return datetime.now(UTC)


def _read_all(descriptor: int) -> bytes:
    parts = []
    while part := os.read(descriptor, 1 << 20):
        parts.append(part)
    return b"".join(parts)


def _write(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content) :]
