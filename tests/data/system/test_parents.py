"""A worker ends with the process that started it, and a process that a user started does not."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

# The parent starts a worker as joblib does, says its number, and waits to be killed.
PARENT = """
import multiprocessing, os, time
from foreshock.data.system.parents import end_with_parent

def work(said):
    {call}
    print(os.getpid(), flush=True)
    time.sleep(60)

if __name__ == "__main__":
    end_with_parent()
    multiprocessing.get_context("spawn").Process(target=work, args=(1,)).start()
    time.sleep(60)
"""


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
        # A process that has ended and that nobody waits for is still there.
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked up in /proc")
@pytest.mark.parametrize(("call", "ends"), [("end_with_parent()", True), ("pass", False)])
def test_a_worker_ends_with_its_killed_parent(call, ends, tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(PARENT.format(call=call))
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        assert is_running(worker)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        until = time.monotonic() + (10 if ends else 0.6)
        while is_running(worker) and time.monotonic() < until:
            time.sleep(0.02)
        found = is_running(worker)
        if found:
            os.kill(worker, signal.SIGKILL)
    assert found != ends


# The parent is killed while its workers start, before either has a task.
STARTING = """
import time
from joblib import delayed
from foreshock.data.system.parents import parallel

if __name__ == "__main__":
    from joblib.externals.loky.process_executor import ProcessPoolExecutor
    begin = ProcessPoolExecutor._adjust_process_count

    def begun(self):
        begin(self)
        print(*self._processes, flush=True)
        time.sleep(60)

    ProcessPoolExecutor._adjust_process_count = begun
    parallel(2)(delayed(abs)(x) for x in range(4))
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked up in /proc")
def test_workers_that_have_no_task_yet_end_with_their_killed_parent(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(STARTING)
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        workers = list(map(int, parent.stdout.readline().split()))
        assert len(workers) == 2
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        until = time.monotonic() + 20
        while any(map(is_running, workers)) and time.monotonic() < until:
            time.sleep(0.05)
        left = [worker for worker in workers if is_running(worker)]
        for worker in left:
            os.kill(worker, signal.SIGKILL)
    assert not left
