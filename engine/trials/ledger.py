"""The trial ledger: everything tried, in a file that only grows and shows when it was touched."""

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

from foreshock.data.errors import ConfigError, DataError
from foreshock.data.show.facts import Shown
from foreshock.data.show.shown import shown
from foreshock.data.system.disk import unwritable, write_whole
from foreshock.data.system.locks import lock
from foreshock.engine.trials.chain import GENESIS, Entry, canonical, digest, read_chain

ENVIRONMENT = "FORESHOCK_LEDGER"
# Kinds of entries: a study or search that was run; a hold-out that was set aside, and that was opened; a torn line dropped.
TRIAL, SEAL, OPENING, REPAIR = "trial", "seal", "opening", "repair"


@dataclass(frozen=True)
class Verification:
    """What a ledger's chain says.

    Parameters
    ----------
    n_entries : int
        Entries that are whole and in their place, from the first on.
    problems : tuple of str
        One sentence for each, with its line; empty if every line is as it was written.
    torn : bool
        The last line was cut short by an interrupted write; the next entry drops it, and says so.
    head : str
        ``sha256`` of the last good entry. Whoever keeps it elsewhere can tell if the whole file was written anew.
    """

    n_entries: int
    problems: tuple[str, ...]
    torn: bool
    head: str

    @property
    def whole(self) -> bool:
        return not self.problems and not self.torn


class Ledger(Shown):
    """Append-only, hash-chained JSON lines of every configuration tried.

    Each entry holds the SHA-256 of the one before: a line that is changed, removed or moved breaks the chain. Lines removed from
    the end leave no gap; a small file ``<ledger>.head`` beside it remembers how far it went. Neither stops someone who writes
    both files anew: the head printed in a result does.

    Parameters
    ----------
    path : str or Path, optional
        ``FORESHOCK_LEDGER``, or ``ledger.jsonl`` in the user's data folder.
    clock : callable, optional
        Gives the time of an entry, in UTC; the system's clock by default.

    Notes
    -----
    Several processes and threads may append at once: a lock on the file lets them in one by one, and an entry is on the disk
    when ``append`` returns. Every append reads the whole chain first: 0.1 s for a thousand entries of 2 kB.
    """

    def __init__(self, path: str | Path | None = None, clock: Callable[[], datetime] | None = None) -> None:
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
            JSON types; None for what is not known.
        data_hash : str
        kind : str
        allowed : callable, optional
            Is given the entries so far, with the lock held, and raises if the new one must not be written.

        Raises
        ------
        ConfigError
            If a value is not of a JSON type, or is NaN or infinite, or the path is a folder or a device.
        DataError
            If the chain is broken, or the file is no ledger: nothing is written behind a line that was touched.
        """
        # Before the lock, and through JSON: what is hashed is what a reader will parse.
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
                # The write was cut between the entry and the end of its line.
                _write(descriptor, b"\n")
            entry = self._entry(chain, kind, tried, data_hash, became)
            for new in [*chain[len(entries) :], entry]:
                _write(descriptor, new.line())
            os.fsync(descriptor)
            # Only after the line is safe: a head behind the file is an interrupted append, one ahead of it is a loss.
            self._write_head(entry)
        return entry

    def entries(self) -> tuple[Entry, ...]:
        """All entries, oldest first; none if the file does not exist.

        Raises
        ------
        ConfigError
            If the path is a folder or a device.
        DataError
            If the chain is broken, with the line and what is wrong with it, or the file is no ledger.
        """
        entries, found = self._load()
        self._refuse_broken(found)
        return entries

    def verify(self) -> Verification:
        """Check every line, its place in the chain, and that the end is there; a file that does not exist has no entries."""
        return self._load()[1]

    def check(self) -> None:
        """Raise now what ``append`` would raise later, after hours of work; nothing is created.

        Raises
        ------
        ConfigError
            If the path is a folder or a device, or it or the folder it is in cannot be written.
        DataError
            If the chain is broken, or the file is no ledger.
        """
        self._refuse_no_file()
        # Every append makes a new head beside the ledger.
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
        """Distinct configurations tried, on the data of that hash or on any.

        The same configuration on the same data is one trial however often it is run. Data that were cut elsewhere have another
        hash, and their own count.
        """
        wanted = (entry for entry in self.entries() if entry.kind == TRIAL and data_hash in (None, entry.data_hash))
        return len({(entry.data_hash, digest(entry.configuration)) for entry in wanted})

    def _entry(self, chain: list[Entry], kind: str, configuration: dict[str, Any], data_hash: str, result: dict[str, Any]) -> Entry:
        previous = chain[-1].sha256 if chain else GENESIS
        time = self._clock()
        if time.utcoffset() is None:
            raise ConfigError(f"the clock of a ledger must give times with a zone, got {shown(time)}; use datetime.now(UTC)")
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
        """Entries, what is wrong, the whole content, and how many of its bytes come before a torn line."""
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
                problems.append(f"line {count}: entry {count - 1} is another one than was written; the file was written anew")
        head = entries[-1].sha256 if entries else GENESIS
        return tuple(entries), Verification(len(entries), tuple(problems), torn and not problems, head), content, good_bytes

    def _refuse_no_file(self) -> None:
        if self.path.exists() and not self.path.is_file():
            what = "a folder" if self.path.is_dir() else "a device or pipe"
            raise ConfigError(f"the ledger must be a file that can be written, got {self.path}, which is {what}; give another one")

    def _refuse_broken(self, found: Verification) -> None:
        if found.problems and not found.n_entries and not self.head_path.exists():
            raise DataError(f"{self.path} is no ledger, or was changed: {found.problems[0]}; left as it is, give another file")
        if found.problems:
            raise DataError(
                f"{self.path} was changed after it was written: {found.problems[0]}; put back a copy that is whole, "
                "or start another ledger"
            )

    @property
    def head_path(self) -> Path:
        return self.path.with_name(self.path.name + ".head")

    def _read_head(self) -> tuple[int, str] | str | None:
        """Entries and last hash as of the last append; a sentence if the file makes no sense, None without one."""
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
        """The open file, while no other process or thread holds it."""
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND if write else os.O_RDONLY
        descriptor = os.open(self.path, flags | getattr(os, "O_BINARY", 0), 0o644)
        try:
            lock(descriptor, write)
            yield descriptor
        finally:
            # Closing gives the lock back.
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
