"""However a command ends: closed streams, a full disk, a kernel that hears of no signal, a home that cannot be written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from foreshock.data.system.kernel_cache import choose_kernel_cache
from tests.paths import ROOT

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="streams and signals of Unix")
# The main thread is at work where it hears of no signal, as in a compiled kernel, which lets other threads run.
DEAF = """
import ctypes, signal
from foreshock.cli import root as cli

def deaf(**_):
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    print("at work", flush=True)
    ctypes.CDLL(None).sleep(20)

cli.app = deaf
cli.main()
"""
# An interrupt within a function that C calls back is lost.
CALLED_BACK = """
import ctypes, time
from foreshock.cli import root as cli

def back(**_):
    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
    def compare(one, other):
        print("at work", flush=True)
        time.sleep(20)
        return 0
    values = (ctypes.c_int * 2)(1, 2)
    ctypes.CDLL(None).qsort(values, 2, ctypes.sizeof(ctypes.c_int), compare)
    time.sleep(20)

cli.app = back
cli.main()
"""
HANGS_UP = """
import os, signal
from foreshock.cli import root as cli

cli.app = lambda **_: os.kill(os.getpid(), signal.SIGHUP)
cli.main()
"""


def ended(shell: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "-c", shell], capture_output=True, text=True, cwd=ROOT, check=False, timeout=120)


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_no_fault(closed):
    done = ended(f"{sys.executable} -m foreshock detectors --names {closed}")
    assert (done.returncode, done.stderr) == (0, "")
    assert ("isolation_forest" in done.stdout) == (">&-" not in closed.replace("2>&-", ""))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_under_the_output_is_a_sentence():
    done = ended(f"{sys.executable} -m foreshock detectors --names > /dev/full")
    assert done.returncode == 3
    assert done.stderr == "error: No space left on device; check the path, its permissions and the free space\n"


def test_a_reader_that_has_gone_away_is_no_leak_and_no_traceback():
    done = ended(f"set -o pipefail; {sys.executable} -m foreshock detectors --names | true")
    assert (done.returncode, done.stderr) in ((3, ""), (0, ""))


def test_a_terminal_of_few_letters_gets_others_for_the_rest():
    done = ended(f"PYTHONIOENCODING=ascii {sys.executable} -m foreshock --help")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=["INT", "TERM", "HUP"])
@pytest.mark.parametrize("code", [DEAF, CALLED_BACK], ids=["deaf", "called back"])
def test_work_that_hears_of_no_signal_ends_within_two_seconds(code, sent):
    # Whoever runs the tests in the background may ignore such signals, which a child would inherit.
    heed: Any = {"preexec_fn": lambda: signal.signal(sent, signal.SIG_DFL)}
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **heed
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "at work\n"
        began = time.monotonic()
        running.send_signal(sent)
        _, err = running.communicate(timeout=30)
    # It ends by itself after 20 s; the program takes 1.2 s, and a busy machine longer.
    assert time.monotonic() - began < 15
    assert running.returncode == 128 + sent
    assert err.startswith("error: ")
    assert err.count("\n") == 1


def test_what_the_caller_ignores_stays_ignored():
    ignored: Any = {"preexec_fn": lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)}
    assert subprocess.run([sys.executable, "-c", HANGS_UP], check=False, timeout=60, **ignored).returncode == 0


def test_kernels_have_a_folder_of_their_own_where_neither_package_nor_home_can_be_written(monkeypatch, tmp_path):
    nowhere = Path("/proc/1/task")
    if not nowhere.is_dir():
        pytest.skip("there is no folder here in which nobody may write")
    monkeypatch.setenv("NUMBA_CACHE_DIR", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(nowhere / "cache"))
    monkeypatch.setattr("os.access", lambda path, mode: path != nowhere)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("atexit.register", lambda function, *arguments: ends.append(lambda: function(*arguments)))
    ends: list[Any] = []
    choose_kernel_cache(tmp_path)
    assert not os.environ["NUMBA_CACHE_DIR"]
    choose_kernel_cache(nowhere)
    folder = Path(os.environ["NUMBA_CACHE_DIR"])
    assert folder.parent == tmp_path
    assert folder.stat().st_mode & 0o777 == 0o700
    ends[0]()
    assert not folder.exists()
