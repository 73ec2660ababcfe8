"""The cache keeps arrays by what they were computed from, and decides nothing."""

import os

import numpy as np
import pytest

from foreshock.data.errors import ConfigError
from foreshock.data.system.cache import Cache, key_of, usual_cache

ARRAYS = {"values": np.arange(1_000.0), "known": np.array([True, False])}


def test_what_is_written_is_read(tmp_path):
    cache = Cache(tmp_path, 1_000_000)
    assert cache.read("forecasts", "a") is None
    cache.write("forecasts", "a", ARRAYS)
    found = cache.read("forecasts", "a")
    assert all(np.array_equal(found[name], values) for name, values in ARRAYS.items())
    assert [(entry.kind, entry.key) for entry in cache.entries()] == [("forecasts", "a")]
    assert cache.clear() == 1
    assert cache.read("forecasts", "a") is None


def test_the_least_recently_used_goes_first(tmp_path):
    cache = Cache(tmp_path, 30_000)
    for place, key in enumerate("abc"):
        cache.write("kind", key, ARRAYS)
        os.utime(tmp_path / "kind" / f"{key}.safetensors", (place, place))
    cache.read("kind", "a")
    cache.write("kind", "d", ARRAYS)
    assert {entry.key for entry in cache.entries()} == {"a", "c", "d"}


def test_the_entries_of_a_cache_with_room_are_not_looked_at_with_each_write(tmp_path, monkeypatch):
    looks = []
    entries = Cache.entries
    monkeypatch.setattr(Cache, "entries", lambda self: looks.append(1) or entries(self))
    # A hundred entries fill it.
    cache = Cache(tmp_path, 820_000)
    for key in range(150):
        cache.write("kind", str(key), ARRAYS)
    assert len(looks) < 75
    # Other processes may have filled the rest meanwhile; alone, it is never more than full.
    assert sum(entry.n_bytes for entry in entries(cache)) <= 820_000


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\xff" * 200])
def test_a_damaged_file_counts_as_missing(tmp_path, content):
    cache = Cache(tmp_path, 1_000_000)
    cache.write("kind", "a", ARRAYS)
    (tmp_path / "kind" / "a.safetensors").write_bytes(content)
    assert cache.read("kind", "a") is None


@pytest.mark.parametrize("other", ["kind/b", "sort/a"])
def test_an_entry_under_the_name_of_another_counts_as_missing(tmp_path, other):
    cache = Cache(tmp_path, 1_000_000)
    cache.write("kind", "a", ARRAYS)
    place = tmp_path / f"{other}.safetensors"
    place.parent.mkdir(exist_ok=True)
    (tmp_path / "kind" / "a.safetensors").rename(place)
    assert cache.read(*other.split("/")) is None


def test_an_entry_is_not_flushed_and_a_folder_with_room_is_counted_once(tmp_path, monkeypatch):
    counted = []

    def flushed(_: int) -> None:
        raise AssertionError("an entry is checked when it is read, and need not survive a power failure")

    monkeypatch.setattr("foreshock.data.system.disk.os.fsync", flushed)
    whole = Cache.entries
    monkeypatch.setattr(Cache, "entries", lambda cache: counted.append(cache) or whole(cache))
    cache = Cache(tmp_path, 10_000_000)
    for key in "abcdefgh":
        cache.write("kind", key, ARRAYS)
    assert len(counted) == 1
    assert all(cache.read("kind", key) is not None for key in "abcdefgh")


def test_a_folder_that_cannot_be_written_is_a_full_cache(tmp_path):
    (tmp_path / "kind").write_text("a file where a folder should be")
    Cache(tmp_path, 1_000_000).write("kind", "a", ARRAYS)
    assert Cache(tmp_path, 1_000_000).read("kind", "a") is None


def test_keys_follow_facts_arrays_and_code():
    key = key_of({"a": 1}, [np.arange(3)])
    assert key == key_of({"a": 1}, [np.arange(3)])
    others = [key_of({"a": 2}, [np.arange(3)]), key_of({"a": 1}, [np.arange(3.0)]), key_of({"a": 1}, [np.arange(3)[:, None]])]
    others += [key_of({"a": 1}, [np.arange(3)], ["foreshock.engine.kernels"])]
    assert len({key, *others}) == 5


def test_the_folder_and_size_are_those_of_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("FORESHOCK_CACHE", str(tmp_path))
    monkeypatch.setenv("FORESHOCK_CACHE_GB", "0.5")
    assert usual_cache() == Cache(tmp_path, 500_000_000)
    monkeypatch.setenv("FORESHOCK_CACHE", "off")
    off = usual_cache()
    off.write("kind", "a", ARRAYS)
    assert off.read("kind", "a") is None
    assert off.entries() == []
    monkeypatch.setenv("FORESHOCK_CACHE_GB", "plenty")
    with pytest.raises(ConfigError, match="FORESHOCK_CACHE_GB must be a number of gigabytes, got 'plenty'"):
        usual_cache()
