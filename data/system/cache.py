"""One cache for what is dear to compute and depends on nothing but its inputs: arrays in safetensors files."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from foreshock.data.errors import ConfigError, DataError
from foreshock.data.system.disk import unflushed, write_whole

FOLDER, SIZE = "FORESHOCK_CACHE", "FORESHOCK_CACHE_GB"
OFF = "off"
USUAL_GB = 4.0
ENDING = ".safetensors"
# Name of the digest of its arrays in the head of a file.
DIGEST = "sha256"
# Processes that may fill the room of a cache at once before any of them looks how much of it is left.
SHARED_BY = 8
# Share of its size that a full cache keeps.
LEFT = 0.9
# Bytes that this process may write to a cache before it looks again, by folder and size.
_room: dict[tuple[Path | None, int], float] = {}


@dataclass(frozen=True)
class Entry:
    """One file of the cache: its kind, its key, its size in bytes, and the time of its last use in seconds since 1970."""

    kind: str
    key: str
    n_bytes: int
    used: float
    path: Path


@dataclass(frozen=True)
class Cache:
    """A folder of arrays by kind and key; the least recently used are removed beyond a size.

    A file that cannot be read, or was changed or renamed since it was written, counts as missing, and a folder that cannot be
    written as full: the cache saves time and decides nothing.

    Parameters
    ----------
    folder : Path or None
        None for a cache that keeps nothing.
    n_bytes : int
        Size beyond which entries are removed.

    Examples
    --------
    >>> import tempfile
    >>> cache = Cache(Path(tempfile.mkdtemp()), 1_000_000)
    >>> key = key_of({"horizon": "6h"}, [np.arange(3)])
    >>> cache.read("forecast", key) is None
    True
    >>> cache.write("forecast", key, {"values": np.arange(3.0)})
    >>> cache.read("forecast", key)["values"]
    array([0., 1., 2.])
    """

    folder: Path | None
    n_bytes: int

    def read(self, kind: str, key: str) -> dict[str, np.ndarray] | None:
        """The arrays of an entry, or None."""
        from safetensors import SafetensorError, safe_open

        if self.folder is None:
            return None
        path = self._path(kind, key)
        try:
            with safe_open(path, framework="numpy") as file:
                said = (file.metadata() or {}).get(DIGEST)
                found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
            if said != _content_digest(kind, key, found):
                return None
            os.utime(path)
        except (OSError, SafetensorError, ValueError):
            return None
        return found

    def write(self, kind: str, key: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep the arrays of an entry, and remove what was not used for longest if the cache is full."""
        from safetensors.numpy import save

        if self.folder is None:
            return
        whole = {name: np.ascontiguousarray(values) for name, values in arrays.items()}
        content = save(whole, metadata={DIGEST: _content_digest(kind, key, whole)})
        if len(content) > self.n_bytes:
            return
        try:
            with unflushed():
                write_whole(self._path(kind, key), content)
            self._shrink(len(content))
        except (DataError, OSError):
            return

    def entries(self) -> list[Entry]:
        """Every entry, the least recently used first."""
        found = []
        for path in self.folder.glob(f"*/*{ENDING}") if self.folder is not None else ():
            try:
                status = path.stat()
            except OSError:
                continue
            found.append(Entry(path.parent.name, path.name.removesuffix(ENDING), status.st_size, status.st_mtime, path))
        return sorted(found, key=lambda entry: entry.used)

    def clear(self) -> int:
        """Remove every entry; returns how many there were."""
        entries = self.entries()
        for entry in entries:
            entry.path.unlink(missing_ok=True)
        return len(entries)

    def _path(self, kind: str, key: str) -> Path:
        assert self.folder is not None
        return self.folder / kind / f"{key}{ENDING}"

    def _shrink(self, n_written: int) -> None:
        """Remove what was not used for longest if the cache is full.

        To look at every entry takes a second of a full cache. So nobody looks before this process has written an eighth of the
        room that there was: as many processes may write at once.
        """
        place = (self.folder, self.n_bytes)
        _room[place] = _room.get(place, 0.0) - n_written
        if _room[place] >= 0:
            return
        entries = self.entries()
        left = sum(entry.n_bytes for entry in entries)
        # A full cache gets some room again, or the next write would have to look, too.
        enough = self.n_bytes if left <= self.n_bytes else LEFT * self.n_bytes
        for entry in entries:
            if left <= enough:
                break
            entry.path.unlink(missing_ok=True)
            left -= entry.n_bytes
        _room[place] = (self.n_bytes - left) / SHARED_BY


def usual_cache() -> Cache:
    """The cache of this user: in ``FORESHOCK_CACHE``, ``off`` for none, of at most ``FORESHOCK_CACHE_GB`` (4 by default)."""
    from platformdirs import user_cache_path

    place = os.environ.get(FOLDER, "")
    size = os.environ.get(SIZE, "")
    try:
        gigabytes = float(size) if size else USUAL_GB
    except ValueError:
        gigabytes = float("nan")
    if not 0 <= gigabytes < float("inf"):
        raise ConfigError(f"{SIZE} must be a number of gigabytes, got {size[:40]!r}; such as 4")
    folder = None if place == OFF else Path(place).expanduser() if place else user_cache_path("foreshock")
    return Cache(folder, int(gigabytes * 1e9))


def key_of(facts: Mapping[str, Any], arrays: Iterable[np.ndarray] = (), code: Iterable[str] = ()) -> str:
    """A key: digest of facts in JSON types, of arrays with their shapes, and of the source of packages.

    Parameters
    ----------
    facts : dict
        Settings, in JSON types.
    arrays : iterable of ndarray
        Inputs.
    code : iterable of str
        Packages whose source decides the result, such as ``"foreshock.engine.kernels"``.
    """
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode())
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).view(np.uint8).data)
    for package in code:
        digest.update(_source_digest(package).encode())
    return digest.hexdigest()[:40]


def _content_digest(kind: str, key: str, arrays: Mapping[str, np.ndarray]) -> str:
    """Digest of the arrays of an entry, and of the entry that they belong to: a file under the name of another is none."""
    digest = hashlib.sha256(f"{kind}/{key}".encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).view(np.uint8).data if array.size else b"")
    return digest.hexdigest()


@lru_cache
def _source_digest(package: str) -> str:
    """Digest of every source file of a package."""
    spec = find_spec(package)
    places = [Path(place) for place in (spec.submodule_search_locations or ())] if spec else []
    digest = hashlib.sha256()
    for path in sorted(path for place in places for path in place.rglob("*.py")):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()
