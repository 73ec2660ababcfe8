"""Files are written whole, on the disk, or not at all."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from foreshock.data.errors import DataError
from foreshock.data.system.disk import check_writable, unwritable, write_whole, written_together, written_whole
from tests.paths import ROOT


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def with_a_block(path: Path) -> None:
    with written_whole(path) as partial:
        partial.write_bytes(b"new")


def with_two(path: Path) -> None:
    with written_together(path.parent, ("other", path.name)) as partial:
        for one in partial.values():
            one.write_bytes(b"new")


WAYS: dict[str, Callable[[Path], None]] = {
    "bytes": lambda path: write_whole(path, b"new"),
    "text": lambda path: write_whole(path, "new"),
    "block": with_a_block,
    "two": with_two,
}


@pytest.fixture(params=WAYS)
def write(request) -> Callable[[Path], None]:
    return WAYS[request.param]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_and_nothing_else_is_left(write, tmp_path):
    path = tmp_path / "deep" / "file"
    for before in (None, b"earlier and longer"):
        if before is not None:
            path.write_bytes(before)
        write(path)
        assert path.read_bytes() == b"new"
        assert set(names(path.parent)) <= {"file", "other"}


def test_line_ends_and_letters_are_as_they_are(tmp_path):
    write_whole(tmp_path / "file", "a\nb\r\nü")
    assert (tmp_path / "file").read_bytes() == b"a\nb\r\n\xc3\xbc"


def test_a_file_is_on_the_disk_before_it_has_its_name_and_the_folder_after(write, tmp_path, monkeypatch):
    path, seen = tmp_path / "file", []
    path.write_bytes(b"earlier")
    real = os.replace, os.fsync

    def replace(source: Path, target: Path) -> None:
        seen.append("replace")
        real[0](source, target)

    def fsync(descriptor: int) -> None:
        kind = "folder" if os.path.samestat(os.fstat(descriptor), tmp_path.stat()) else "file"
        assert kind == "folder" or path.read_bytes() == b"earlier"
        seen.append(kind)
        real[1](descriptor)

    monkeypatch.setattr("foreshock.data.system.disk.os.replace", replace)
    monkeypatch.setattr("foreshock.data.system.disk.os.fsync", fsync)
    write(path)
    n = seen.count("replace")
    assert seen == ["file"] * n + ["replace"] * n + (["folder"] if os.name != "nt" else [])


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_earlier_file_and_is_told_in_a_sentence(write, call, tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"earlier")
    with monkeypatch.context() as patch:
        patch.setattr(f"foreshock.data.system.disk.os.{call}", full)
        with pytest.raises(DataError, match="cannot be written: No space left on device; it is as it was; free") as caught:
            write(path)
    assert str(tmp_path) in str(caught.value)
    assert path.read_bytes() == b"earlier"
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt("what the block says"), ZeroDivisionError("what the block says"), DataError("what the block says")]
)
def test_a_block_that_ends_in_the_middle_leaves_every_earlier_file(error, tmp_path):
    write_whole(tmp_path / "one", "earlier")

    def stopped() -> None:
        with written_together(tmp_path, ("one", "two")) as partial:
            partial["one"].write_text("new")
            raise error

    with pytest.raises(type(error), match="what the block says"):
        stopped()
    assert names(tmp_path) == ["one"]
    assert (tmp_path / "one").read_text() == "earlier"


def test_a_process_that_is_killed_in_the_middle_leaves_the_earlier_file(tmp_path):
    write_whole(tmp_path / "one", "earlier")
    code = (
        "import os; from pathlib import Path; from foreshock.data.system.disk import written_whole\n"
        f"with written_whole(Path({str(tmp_path / 'one')!r})) as partial:\n"
        "    partial.write_text('half')\n"
        "    os._exit(9)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 9
    assert (tmp_path / "one").read_text() == "earlier"


def test_a_file_that_the_block_did_not_write_is_an_error_and_replaces_nothing(tmp_path):
    write_whole(tmp_path / "one", "earlier")
    with pytest.raises(DataError, match="cannot be written"), written_together(tmp_path, ("one", "two")) as partial:
        partial["one"].write_text("new")
    assert (tmp_path / "one").read_text() == "earlier"
    assert names(tmp_path) == ["one"]


def test_a_folder_where_a_file_is_wanted_is_told_before_anything_is_written(write, tmp_path):
    (tmp_path / "file").mkdir()
    with pytest.raises(DataError, match="file must be a file, and is a folder; pass the path of a file"):
        write(tmp_path / "file")
    assert names(tmp_path) == ["file"]


def test_a_file_where_a_folder_is_wanted_is_told(write, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(DataError, match=r"deep must be a folder, and \S+file is a file; pass another folder"):
        write(tmp_path / "file" / "deep" / "one")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_of_another_is_told(write):
    path = Path("/proc/1/task/new/file")
    if not path.parent.parent.is_dir():
        pytest.skip("there is no folder here in which nobody may write")
    with pytest.raises(DataError, match="cannot be written: "):
        write(path)
    assert unwritable(path.parent) is not None


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of Unix")
def test_a_folder_without_permissions_is_refused_at_the_door_and_by_the_write(write, tmp_path):
    if os.geteuid() == 0:
        pytest.skip("the superuser may write anywhere")
    tmp_path.chmod(0o500)
    try:
        assert unwritable(tmp_path / "new") == "Permission denied"
        with pytest.raises(DataError, match="Permission denied; it is as it was"):
            write(tmp_path / "file")
    finally:
        tmp_path.chmod(0o700)


def test_asking_whether_a_folder_can_be_written_makes_nothing(tmp_path):
    assert unwritable(tmp_path / "a" / "b") is None
    check_writable(tmp_path / "a" / "b")
    assert names(tmp_path) == []
    assert unwritable(Path("x" * 5_000)) == "File name too long"


def test_a_file_system_that_cannot_flush_folders_is_written_all_the_same(write, tmp_path, monkeypatch):
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if os.path.samestat(os.fstat(descriptor), tmp_path.stat()):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        real(descriptor)

    monkeypatch.setattr("foreshock.data.system.disk.os.fsync", fsync)
    write(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"new"


def test_a_pipe_or_device_is_refused_and_stays(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(DataError, match="pipe must be an ordinary file, and is a device, a pipe or a socket"):
        write_whole(pipe, "a note")
    assert pipe.is_fifo()


def test_a_link_planted_under_a_name_that_can_be_guessed_is_not_followed(write, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    folder = tmp_path / "shared"
    folder.mkdir()
    guessed = [f".{name}" for name in ("file.partial", f"{os.getpid()}.{threading.get_ident()}.file.partial")]
    for name in guessed:
        (folder / name).symlink_to(victim)
    # The name itself may be a link, too: it is replaced.
    (folder / "file").symlink_to(victim)
    write(folder / "file")
    assert victim.read_text() == "precious"
    assert not (folder / "file").is_symlink()
    assert (folder / "file").read_bytes() == b"new"


def test_the_name_of_a_file_that_is_being_written_differs_from_time_to_time(tmp_path):
    seen = set()
    for _ in range(20):
        with written_whole(tmp_path / "file") as partial:
            partial.write_text("new")
            seen.add(partial.name)
    assert len(seen) == 20


@pytest.mark.skipif(sys.platform == "win32", reason="folders are locked on Unix alone")
def test_files_that_belong_together_are_of_one_writer(tmp_path, monkeypatch):
    first_renamed, real = threading.Event(), os.replace

    def replace(source: Path, target: Path) -> None:
        real(source, target)
        if not first_renamed.is_set():
            first_renamed.set()
            time.sleep(0.3)

    def write(content: str) -> None:
        if content == "second":
            first_renamed.wait(10)
        with written_together(tmp_path, ("a", "b")) as partial:
            for path in partial.values():
                path.write_text(content)

    monkeypatch.setattr("foreshock.data.system.disk.os.replace", replace)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, ("first", "second")))
    assert {(tmp_path / name).read_text() for name in "ab"} == {"second"}


def test_threads_that_write_one_file_at_once_each_write_it_whole(tmp_path):
    barrier = threading.Barrier(3)

    def write(letter: str) -> None:
        with written_whole(tmp_path / "note") as partial:
            with partial.open("w") as file:
                file.write(letter * 10)
                file.flush()
                barrier.wait(10)
                file.write(letter * 10)
            barrier.wait(10)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(write, "abc"))
    assert (tmp_path / "note").read_text() in ("a" * 20, "b" * 20, "c" * 20)
    assert [path.name for path in tmp_path.iterdir()] == ["note"]
